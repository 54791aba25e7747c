//! The headers of every answer, refusals too, and what a browser's script may read of them.

use doitong::domain::{Mode, Plan};
use reqwest::{Method, Response, header::HeaderMap};
use serde_json::json;

use super::picture;
use crate::support::{GENERATE, TestApp};

const LIMITS: [&str; 6] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-daily-limit",
    "x-ratelimit-daily-remaining",
    "x-credits-remaining",
];

fn limits(headers: &HeaderMap) -> Vec<&str> {
    LIMITS.iter().map(|name| headers.get(*name).map_or("-", |value| value.to_str().unwrap())).collect()
}

#[tokio::test]
async fn every_answer_tells_what_is_left() {
    let app = TestApp::on(Plan::Free).await;
    let read = app.post("{ account { id } }", json!({})).await;
    assert_eq!(limits(read.headers()), ["10", "10", "0", "100", "100", "100000"]);
    let accepted = app.post(GENERATE, json!({"input": picture()})).await;
    assert_eq!(limits(accepted.headers()), ["10", "9", "6", "100", "99", "99975"]);
    for query in
        ["{", "{ nothing }", "{ generation(id: 1) { id } }", "subscription { generationUpdated(id: 1) { id } }"]
    {
        let refused = app.post(query, json!({})).await;
        assert_eq!(limits(refused.headers()), ["10", "9", "6", "100", "99", "99975"], "{query}");
    }
}

#[tokio::test]
async fn the_daily_pair_is_absent_without_a_daily_limit() {
    let app = TestApp::on(Plan::Enterprise).await;
    let read = app.post("{ account { id } }", json!({})).await;
    assert_eq!(limits(read.headers()), ["600", "600", "0", "-", "-", "100000"]);
}

#[tokio::test]
async fn each_mode_has_numbers_of_its_own() {
    let app = TestApp::start().await;
    app.generate(picture()).await;
    let live = app.new_key(&app.key.account, Plan::Pro, Mode::Live, Some(7)).await.key;
    let read = app.post_as(&live, None, "{ account { id } }", json!({})).await;
    assert_eq!(limits(read.headers()), ["60", "60", "0", "10000", "10000", "7"]);
}

#[tokio::test]
async fn a_replay_says_so_and_counts_nothing() {
    let app = TestApp::on(Plan::Free).await;
    let post = async || app.post_as(&app.key.key, Some("k"), GENERATE, json!({"input": picture()})).await;
    let (first, second) = (post().await, post().await);
    assert!(!first.headers().contains_key("idempotency-replayed"));
    assert_eq!(second.headers()["idempotency-replayed"], "true");
    assert_eq!(limits(first.headers()), limits(second.headers()));
}

#[tokio::test]
async fn a_request_id_is_taken_over_or_made() {
    let app = TestApp::start().await;
    let url = format!("{}/graphql", app.url);
    let given = app.http.post(&url).header("x-request-id", "mine-1").send().await.unwrap();
    assert_eq!(given.headers()["x-request-id"], "mine-1");
    let made = app.http.post(&url).send().await.unwrap();
    assert_eq!(made.headers()["x-request-id"].len(), 36);
}

async fn preflight(app: &TestApp, headers: &str) -> Response {
    let request = app.http.request(Method::OPTIONS, format!("{}/graphql", app.url));
    let request = request.header("origin", "https://example.com").header("access-control-request-method", "POST");
    request.header("access-control-request-headers", headers).send().await.unwrap()
}

#[tokio::test]
async fn a_browser_may_send_its_key_from_anywhere() {
    let app = TestApp::start().await;
    let asked = "authorization,content-type,idempotency-key";
    let response = preflight(&app, asked).await;
    assert!(response.status().is_success());
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
    // A wildcard would not cover `Authorization`.
    assert_eq!(response.headers()["access-control-allow-headers"], asked);
}

#[tokio::test]
async fn a_browsers_script_may_read_the_headers() {
    let app = TestApp::start().await;
    for key in [&app.key.key, "wrong"] {
        let request = app.http.post(format!("{}/graphql", app.url)).bearer_auth(key);
        let request = request.header("origin", "https://example.com").json(&json!({"query": "{ account { id } }"}));
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        let exposed = response.headers()["access-control-expose-headers"].to_str().unwrap();
        for name in LIMITS.iter().chain(&["retry-after", "idempotency-replayed", "x-request-id"]) {
            assert!(exposed.contains(name), "{name}: {exposed}");
        }
    }
}
