//! Event streams, by the distinct-connections mode of graphql-sse.

use doitong::domain::Plan;
use reqwest::Response;
use serde_json::{Value, json};

use super::{picture, refusal, twenty_reads};
use crate::support::TestApp;

const WATCH: &str = "subscription W($id: ID!) { generationUpdated(id: $id) { status } }";

async fn stream(app: &TestApp, key: &str, query: &str, variables: Value) -> Response {
    let request = app.http.post(format!("{}/graphql", app.url)).bearer_auth(key).header("accept", "text/event-stream");
    request.json(&json!({"query": query, "variables": variables})).send().await.unwrap()
}

/// All events of a stream, as `event: data`, without signs of life.
async fn events(response: Response) -> Vec<String> {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    assert!(text.ends_with("event: complete\ndata: \ndata: \n\n"), "{text}");
    let blocks = text.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':'));
    blocks.map(|block| block.replace("event: ", "").replace("\ndata: ", " ").trim_end().to_owned()).collect()
}

#[tokio::test]
async fn a_generation_is_streamed_to_its_end() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    let response = stream(&app, &app.key.key, WATCH, json!({"id": id})).await;
    assert_eq!(response.headers()["x-ratelimit-limit"], "60");
    let (all, _) = tokio::join!(events(response), app.finish(&id));
    assert_eq!(all[0], r#"next {"data":{"generationUpdated":{"status":"PENDING"}}}"#);
    let end = [r#"next {"data":{"generationUpdated":{"status":"COMPLETED"}}}"#, "complete"];
    assert_eq!(all[all.len() - 2..], end);
}

#[tokio::test]
async fn a_query_is_one_event() {
    let app = TestApp::start().await;
    let response = stream(&app, &app.key.key, "{ account { mode } }", json!({})).await;
    assert_eq!(events(response).await, [r#"next {"data":{"account":{"mode":"test"}}}"#, "complete"]);
}

#[tokio::test]
async fn errors_of_the_document_are_an_event_too() {
    let app = TestApp::start().await;
    for (query, code) in [("{", "GRAPHQL_PARSE_FAILED"), ("{ x }", "GRAPHQL_VALIDATION_FAILED"), (WATCH, "NOT_FOUND")] {
        let all = events(stream(&app, &app.key.key, query, json!({"id": "gen_x"})).await).await;
        assert!(all[0].starts_with("next ") && all[0].contains(code), "{all:?}");
        assert_eq!(all[1..], ["complete"]);
    }
}

#[tokio::test]
async fn refusals_of_the_transport_are_no_stream() {
    let app = TestApp::on(Plan::Free).await;
    let response = stream(&app, "wrong", WATCH, json!({"id": "gen_x"})).await;
    assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
    assert_eq!(refusal(response).await["status"], 401);
    for _ in 0..20 {
        app.post(&twenty_reads(), json!({})).await;
    }
    let response = stream(&app, &app.key.key, WATCH, json!({"id": "gen_x"})).await;
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(refusal(response).await["status"], 429);
}

#[tokio::test]
async fn a_revoked_key_is_cut_off() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    let response = stream(&app, &app.key.key, WATCH, json!({"id": id})).await;
    assert!(app.app.accounts.revoke_key(&app.key.key).await.unwrap());
    let all = events(response).await;
    assert!(all[1].contains("UNAUTHENTICATED"), "{all:?}");
    assert_eq!(all[2..], ["complete"]);
}
