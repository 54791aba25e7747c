//! Subscriptions as the parts of a body, by Apollo's protocol.

use reqwest::Response;
use serde_json::{Value, json};

use super::{picture, refusal};
use crate::support::TestApp;

const WATCH: &str = "subscription W($id: ID!) { generationUpdated(id: $id) { status } }";
const ACCEPT: &str = "multipart/mixed;subscriptionSpec=1.0, application/json";

async fn ask(app: &TestApp, key: &str, query: &str, variables: Value) -> Response {
    let request = app.http.post(format!("{}/graphql", app.url)).bearer_auth(key).header("accept", ACCEPT);
    request.json(&json!({"query": query, "variables": variables})).send().await.unwrap()
}

/// The parts of a body that has ended in order.
async fn parts(response: Response) -> Vec<Value> {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0");
    assert_eq!(response.headers()["x-ratelimit-limit"], "60");
    let text = response.text().await.unwrap();
    let body = text.strip_prefix("\r\n--graphql").unwrap().strip_suffix("\r\n--graphql--\r\n").unwrap();
    let json = |part: &str| {
        let json = part.strip_prefix("\r\ncontent-type: application/json\r\n\r\n").unwrap();
        serde_json::from_str(json).unwrap()
    };
    body.split("\r\n--graphql").map(json).collect()
}

fn status(status: &str) -> Value {
    json!({"payload": {"data": {"generationUpdated": {"status": status}}}})
}

#[tokio::test]
async fn a_generation_is_told_part_by_part_to_its_end() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    let response = ask(&app, &app.key.key, WATCH, json!({"id": id})).await;
    let (all, _) = tokio::join!(parts(response), app.finish(&id));
    assert_eq!(all.first(), Some(&status("PENDING")));
    assert_eq!(all.last(), Some(&status("COMPLETED")));
}

#[tokio::test]
async fn a_quiet_stream_gives_signs_of_life() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    let mut response = ask(&app, &app.key.key, WATCH, json!({"id": id})).await;
    let mut text = String::new();
    while !text.contains("\r\n\r\n{}\r\n--graphql") {
        text += std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap();
    }
    app.cancel(&id).await;
    assert!(response.text().await.unwrap().ends_with("\r\n--graphql--\r\n"));
}

#[tokio::test]
async fn errors_of_an_execution_are_in_a_payload_and_those_of_the_transport_beside_it() {
    let app = TestApp::start().await;
    let all = parts(ask(&app, &app.key.key, WATCH, json!({"id": "gen_x"})).await).await;
    assert_eq!(all[0]["payload"]["errors"][0]["extensions"]["code"], "NOT_FOUND");
    assert_eq!(all.len(), 1);

    let id = app.generate(picture()).await["id"].clone();
    let response = ask(&app, &app.key.key, WATCH, json!({"id": id})).await;
    assert!(app.app.accounts.revoke_key(&app.key.key).await.unwrap());
    let all = parts(response).await;
    assert_eq!(all[1]["payload"], Value::Null);
    assert_eq!(all[1]["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    assert_eq!(all.len(), 2);
}

#[tokio::test]
async fn what_is_no_subscription_is_answered_as_json() {
    let app = TestApp::start().await;
    let key = &app.key.key;
    let (query, unreadable) = (ask(&app, key, "{ account { mode } }", json!({})), ask(&app, key, "{", json!({})));
    for response in [query.await, unreadable.await, ask(&app, "wrong", WATCH, json!({"id": "gen_x"})).await] {
        assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
    }
    assert_eq!(refusal(ask(&app, "wrong", WATCH, json!({"id": "gen_x"})).await).await["status"], 401);
}
