//! The dialect of published clients: `error` and `metadata` as objects and as plain values, `status` in lower case.

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::support::TestApp;

/// An app with a picture that completed and one that failed.
async fn app() -> (TestApp, Value, Value) {
    let app = TestApp::start().await;
    let input = |text: &str| json!({"type": "IMAGE", "provider": "flux-dev", "input": {"text": text}, "options": {"aspectRatio": "1:1"}});
    let done = app.generate(input("a fox")).await["id"].clone();
    let failed = app.generate(input("a fox [[fail]]")).await["id"].clone();
    app.finish(&done).await;
    app.finish(&failed).await;
    (app, done, failed)
}

const QUERY: &str = "query Q($done: ID!, $failed: ID!) { done: generation(id: $done) { ...F } failed: generation(id: $failed) { ...F } }";

async fn ask(fragment: &str) -> Value {
    let (app, done, failed) = app().await;
    let query = format!("{QUERY} fragment F on Generation {{ {fragment} }}");
    app.data(&query, json!({"done": done, "failed": failed})).await
}

#[tokio::test]
async fn objects_come_with_the_enum() {
    let data = ask("status error { code message reason retryable } errorCode metadata { width height format }").await;
    assert_json_snapshot!(data, @r#"
    {
      "done": {
        "error": null,
        "errorCode": null,
        "metadata": {
          "format": "png",
          "height": 1024,
          "width": 1024
        },
        "status": "COMPLETED"
      },
      "failed": {
        "error": {
          "code": "GENERATION_FAILED",
          "message": "The provider failed to make it. Try again, or with other parameters or another provider.",
          "reason": "UPSTREAM_FAILED",
          "retryable": true
        },
        "errorCode": "GENERATION_FAILED",
        "metadata": null,
        "status": "FAILED"
      }
    }
    "#);
}

#[tokio::test]
async fn a_plain_error_is_its_message_and_lowers_the_status() {
    let data = ask("status error errorCode metadata { width }").await;
    assert_json_snapshot!(data, @r#"
    {
      "done": {
        "error": null,
        "errorCode": null,
        "metadata": {
          "width": 1024
        },
        "status": "completed"
      },
      "failed": {
        "error": "The provider failed to make it. Try again, or with other parameters or another provider.",
        "errorCode": "GENERATION_FAILED",
        "metadata": null,
        "status": "failed"
      }
    }
    "#);
}

#[tokio::test]
async fn plain_metadata_alone_leaves_the_status_alone() {
    let mut data = ask("status error { code } metadata").await;
    data["done"]["metadata"]["sizeBytes"].take();
    data["done"]["metadata"]["seed"].take();
    assert_json_snapshot!(data, @r#"
    {
      "done": {
        "error": null,
        "metadata": {
          "contentType": "image/png",
          "duration": null,
          "format": "png",
          "fps": null,
          "height": 1024,
          "resolution": "1k",
          "seed": null,
          "sizeBytes": null,
          "voice": null,
          "width": 1024
        },
        "status": "COMPLETED"
      },
      "failed": {
        "error": {
          "code": "GENERATION_FAILED"
        },
        "metadata": null,
        "status": "FAILED"
      }
    }
    "#);
}

#[tokio::test]
async fn aliases_and_inline_fragments_are_served_alike() {
    let data = ask("s: status ... on Generation { e: error ... @include(if: true) { state: status } }").await;
    assert_json_snapshot!(data, @r#"
    {
      "done": {
        "e": null,
        "s": "completed",
        "state": "completed"
      },
      "failed": {
        "e": "The provider failed to make it. Try again, or with other parameters or another provider.",
        "s": "failed",
        "state": "failed"
      }
    }
    "#);
}

#[tokio::test]
async fn one_plain_error_lowers_every_status_of_the_operation() {
    let (app, done, failed) = app().await;
    let query = "query Q($a: ID!, $b: ID!) { generation(id: $a) { status } other: generation(id: $b) { error }
        generations(first: 2) { nodes { status } edges { node { status type } } }
        providers(type: IMAGE, available: true) { id models { status } } }";
    let data = app.data(query, json!({"a": done, "b": failed})).await;
    assert_eq!(data["generation"]["status"], "completed");
    assert_eq!(data["generations"]["nodes"], json!([{"status": "failed"}, {"status": "completed"}]));
    assert_eq!(data["generations"]["edges"][0]["node"], json!({"status": "failed", "type": "IMAGE"}));
    assert_eq!(data["providers"][0]["models"][0]["status"], "live");
}

#[tokio::test]
async fn another_operation_of_the_document_has_no_say() {
    let (app, done, _) = app().await;
    let query = format!(
        "query A {{ generation(id: {done}) {{ status }} }} query B {{ generation(id: {done}) {{ status error }} }}"
    );
    for (name, status) in [("A", "COMPLETED"), ("B", "completed")] {
        let body = json!({"query": query, "operationName": name});
        let request = app.http.post(format!("{}/graphql", app.url)).bearer_auth(&app.key.key).json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["data"]["generation"]["status"], status, "{answer}");
    }
}

#[tokio::test]
async fn a_mutation_has_the_dialect_too() {
    let app = TestApp::start().await;
    let query = r#"mutation { generate(input: { type: IMAGE, input: { text: "a" } }) { status error errorCode metadata }
        imageCreate(input: { prompt: "b" }) { status } }"#;
    let data = app.data(query, json!({})).await;
    assert_eq!(data["generate"], json!({"status": "pending", "error": null, "errorCode": null, "metadata": null}));
    assert_eq!(data["imageCreate"]["status"], "pending");
}
