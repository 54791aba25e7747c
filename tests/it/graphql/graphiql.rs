//! The page that `GET /graphql` gives to a browser.

use serde_json::json;

use super::clients::{live, node};
use crate::{graphql::picture, support::TestApp};

#[tokio::test]
async fn a_browser_gets_a_page_and_a_client_an_answer() {
    let app = TestApp::start().await;
    let url = format!("{}/graphql", app.url);
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = app.http.get(&url).header("accept", browser).send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    let answer = app.http.get(&url).query(&[("query", "{ __typename }")]).bearer_auth(&app.key.key);
    let answer = answer.header("accept", browser).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), r#"{"data":{"__typename":"Query"}}"#);
}

#[tokio::test]
async fn what_the_page_needs_is_served_from_here() {
    let app = TestApp::start().await;
    let page = app.http.get(format!("{}/graphql", app.url)).header("accept", "text/html").send().await.unwrap();
    let page = page.text().await.unwrap();
    let assets: Vec<_> = page.split('"').filter(|text| text.starts_with("graphql/assets/")).collect();
    assert_eq!(assets.len(), 3, "{page}");
    for asset in assets {
        let response = app.http.get(format!("{}/{asset}", app.url)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{asset}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
    assert!(!page.contains("://"), "{page}");
}

#[tokio::test]
async fn in_a_browser_it_runs_queries_and_watches_generations() {
    let app = live().await;
    let id = app.generate(picture()).await["id"].clone();
    let told = node(&app, &["graphiql.mjs", &format!("{}/graphql", app.url), id.as_str().unwrap()]).await;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["query"], json!({"data": {"account": {"mode": "test"}}}));
    assert_eq!(told["subscription"]["data"]["generationUpdated"]["status"], "COMPLETED");
    assert_eq!(told["troubles"], json!([]));
}
