//! What a gateway without credentials says of its catalogue.

use doitong::{
    catalog::{Catalog, Life},
    domain::{Clock, Mode, Plan},
};
use serde_json::{Value, json};

use crate::support::TestApp;

#[tokio::test]
async fn each_model_says_which_variables_it_waits_for() {
    let app = TestApp::start().await;
    let key = app.new_key(&app.key.account, Plan::Pro, Mode::Live, Some(1_000)).await.key;
    let query = "{ providers { id available models { id available waitsFor } } }";
    let said = app.answer(&key, None, query, json!({})).await.body["data"]["providers"].clone();
    let (catalog, today) = (Catalog::load(None).unwrap(), Clock::default().now().date_naive());
    let mut waiting = 0;
    for provider in catalog.providers() {
        let shown = find(&said, provider.id.as_str());
        assert_eq!(shown["available"], false, "{}", provider.id);
        for model in &provider.models {
            let shown = find(&shown["models"], model.id.as_str());
            assert_eq!(shown["available"], false, "{} {}", provider.id, model.id);
            let retired = catalog.life(model, today) == Life::Retired;
            for set in model.routes.iter().filter(|_| !retired).flat_map(|route| catalog.credentials(route)) {
                let told = shown["waitsFor"].as_str().unwrap();
                assert!(told.contains(&set.join(" and ")), "{} {}: {told}", provider.id, model.id);
                waiting += 1;
            }
        }
    }
    assert!(waiting > 200, "{waiting}");
    let refused =
        app.ask_as(&key, None, json!({"type": "VIDEO", "provider": "kling", "input": {"text": "a fox"}})).await;
    assert_eq!(refused.refusal().0, "PROVIDER_UNAVAILABLE");
    assert_eq!(refused.body["errors"][0]["extensions"]["retryable"], false, "{:#}", refused.body);
    assert!(refused.body["errors"][0]["message"].as_str().unwrap().contains("KLING_API_KEY"), "{:#}", refused.body);
}

fn find<'a>(list: &'a Value, id: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|item| item["id"] == id).unwrap()
}
