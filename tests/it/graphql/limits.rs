//! What a document may be: each limit is `INVALID_INPUT`/`QUERY_TOO_COMPLEX`, before anything runs.

use doitong::domain::Plan;
use insta::assert_json_snapshot;
use serde_json::{Value, json};

use super::{picture, refusal};
use crate::support::{GENERATE, TestApp};

fn nested(open: &str, depth: usize) -> String {
    format!("{{ {} a {} }}", open.repeat(depth), "}".repeat(depth))
}

#[tokio::test]
async fn each_limit_of_a_document_is_told() {
    let app = TestApp::start().await;
    let aliases = (0..60).map(|n| format!("a{n}: id")).collect::<Vec<_>>().join(" ");
    let mut told = Vec::new();
    for query in [
        nested("a { ", 25),
        nested("a { ", 100),
        format!("{{ account {{ {aliases} }} }}"),
        format!("{{ account {{ {} }} }}", "id ".repeat(1001)),
        format!("{{ account {{ id {} }} }}", "@skip(if: false) ".repeat(51)),
        format!("{{ {} }}", "account { id } ".repeat(21)),
        format!("{{ account {{ {} }} }}", "id ".repeat(5000)),
    ] {
        let error = app.error(&query, json!({})).await;
        assert_eq!([&error["code"], &error["reason"]], ["INVALID_INPUT", "QUERY_TOO_COMPLEX"], "{error}");
        told.push(error["message"].clone());
    }
    assert_json_snapshot!(told, @r#"
    [
      "The document has more than 20 levels. Ask for less, or in several requests.",
      "The document nests more than 64 brackets. Ask for less.",
      "The document has more than 50 aliases. Ask for less, or in several requests.",
      "The document has more than 1000 fields. Ask for less, or in several requests.",
      "The document has more than 50 directives. Ask for less, or in several requests.",
      "The document has more than 20 fields at the root. Ask for less, or in several requests.",
      "The document has more than 5000 tokens. Ask for less, or in several requests."
    ]
    "#);
}

#[tokio::test]
async fn fragments_that_multiply_are_refused_at_once() {
    let app = TestApp::start().await;
    let fragment = |n| format!("fragment F{n} on Query {{ ...F{m} ...F{m} }}", m = n + 1);
    let fragments: Vec<_> = (0..30).map(fragment).collect();
    let query = format!("{{ ...F0 }} fragment F30 on Query {{ account {{ id }} }} {}", fragments.concat());
    let error = app.error(&query, json!({})).await;
    assert_eq!(error["reason"], "QUERY_TOO_COMPLEX", "{error}");
}

#[tokio::test]
async fn a_batch_has_at_most_ten_operations() {
    let app = TestApp::start().await;
    let operation = json!({"query": "{ account { id } }"});
    let url = format!("{}/graphql", app.url);
    let post =
        |count: usize| app.http.post(&url).bearer_auth(&app.key.key).json(&vec![operation.clone(); count]).send();
    let ten: Value = post(10).await.unwrap().json().await.unwrap();
    assert_eq!(ten.as_array().unwrap().len(), 10);
    assert_json_snapshot!(refusal(post(11).await.unwrap()).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "INVALID_INPUT",
            "reason": "QUERY_TOO_COMPLEX",
            "retryable": false
          },
          "message": "A batch may have 10 operations; this one has 11. Send several."
        }
      ],
      "status": 400
    }
    "#);
    assert_json_snapshot!(refusal(post(0).await.unwrap()).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "INVALID_INPUT",
            "reason": "REQUEST",
            "retryable": false
          },
          "message": "A batch needs at least one operation."
        }
      ],
      "status": 400
    }
    "#);
}

#[tokio::test]
async fn a_batch_of_nothing_but_refusals_for_a_limit_is_429() {
    let app = TestApp::on(Plan::Free).await;
    let operation = json!({"query": GENERATE, "variables": {"input": picture()}});
    let url = format!("{}/graphql", app.url);
    let post =
        async || app.http.post(&url).bearer_auth(&app.key.key).json(&vec![operation.clone(); 10]).send().await.unwrap();
    assert_eq!(post().await.status(), 200);
    let response = post().await;
    assert_eq!(response.headers()["retry-after"], "6");
    assert_eq!(response.status(), 429);
}
