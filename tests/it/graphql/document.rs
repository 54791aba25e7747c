//! Introspection, as tools ask for it.

use serde_json::{Value, json};

use crate::support::TestApp;

/// The query of the reference implementation, `getIntrospectionQuery` with every option.
const INTROSPECTION: &str = include_str!("../../clients/introspection.graphql");

#[tokio::test]
async fn the_schema_is_introspected_in_full() {
    let app = TestApp::start().await;
    let data = app.data(INTROSPECTION, json!({})).await;
    let types = data["__schema"]["types"].as_array().unwrap();
    let find = |name: &str| types.iter().find(|one| one["name"] == name).unwrap();
    let fields = |name: &str| -> Vec<Value> {
        find(name)["fields"].as_array().unwrap().iter().map(|field| field["name"].clone()).collect()
    };
    assert_eq!(data["__schema"]["queryType"]["name"], "Query");
    assert_eq!(fields("Subscription"), ["generationUpdated"]);
    assert_eq!(find("GenerationType")["enumValues"].as_array().unwrap().len(), 4);
    assert!(fields("Generation").contains(&json!("adjustments")));
}

#[tokio::test]
async fn typename_is_known_everywhere() {
    let app = TestApp::start().await;
    let data = app
        .data("{ __typename account { __typename plan { __typename } } __type(name: \"Quote\") { kind } }", json!({}))
        .await;
    let expected = json!({"__typename": "Query", "account": {"__typename": "Account", "plan": {"__typename": "Plan"}},
        "__type": {"kind": "OBJECT"}});
    assert_eq!(data, expected);
}
