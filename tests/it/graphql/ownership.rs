//! Another account's id is the same as none, for every field that takes an id.

use doitong::domain::{Mode, Plan};
use serde_json::{Value, json};

use super::picture;
use crate::support::TestApp;

const QUERIES: [&str; 3] = [
    "query Q($id: ID!) { generation(id: $id) { id } }",
    "mutation Q($id: ID!) { cancelGeneration(id: $id) }",
    "mutation Q($id: ID!) { redeliverWebhook(generationId: $id) }",
];

/// The errors without the id that the caller sent.
async fn answer(app: &TestApp, key: &str, query: &str, id: &Value) -> String {
    let response = app.post_as(key, None, query, json!({"id": id})).await;
    let text = response.text().await.unwrap();
    text.replace(id.as_str().unwrap(), "ID")
}

#[tokio::test]
async fn a_foreign_id_is_answered_as_an_unknown_one() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    let other = app.new_key("other", Plan::Free, Mode::Test, None).await.key;
    let live = app.new_key(&app.key.account, Plan::Pro, Mode::Live, None).await.key;
    for query in QUERIES {
        let unknown = answer(&app, &other, query, &json!("gen_00000000000000000000000000000000")).await;
        assert!(unknown.contains("NOT_FOUND"), "{unknown}");
        for key in [&other, &live] {
            assert_eq!(answer(&app, key, query, &id).await, unknown, "{query}");
        }
    }
    assert_eq!(app.generation(&id).await["status"], "PENDING");
}

#[tokio::test]
async fn text_that_is_no_id_is_not_found_and_comes_back_cut_short() {
    let app = TestApp::start().await;
    for query in QUERIES {
        for id in [json!(""), json!("x".repeat(500)), json!("gen_\u{0}"), json!("gen_ü")] {
            let error = app.error(query, json!({"id": id})).await;
            assert_eq!(error["code"], "NOT_FOUND", "{query} {error}");
            assert!(error["message"].as_str().unwrap().len() < 150);
        }
    }
}

#[tokio::test]
async fn cancelling_twice_is_true_and_then_false() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    let cancel = async || app.data(QUERIES[1], json!({"id": id})).await["cancelGeneration"].clone();
    assert_eq!((cancel().await, cancel().await), (json!(true), json!(false)));
    assert_eq!(app.generation(&id).await["status"], "CANCELLED");
    app.audit().await;
}

#[tokio::test]
async fn only_an_ended_generation_with_a_webhook_is_redelivered() {
    let app = TestApp::start().await;
    let mut with_webhook = picture();
    with_webhook["webhookUrl"] = json!("https://example.com/hook");
    for input in [picture(), with_webhook] {
        let id = app.generate(input).await["id"].clone();
        let error = app.error(QUERIES[2], json!({"id": id})).await;
        assert_eq!([&error["code"], &error["field"]], ["INVALID_INPUT", "generationId"]);
    }
}
