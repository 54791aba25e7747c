//! GraphQL over HTTP: methods, media types, bodies, batches, persisted queries.

use insta::assert_json_snapshot;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{picture, refusal};
use crate::support::{GENERATE, TestApp};

const ACCOUNT: &str = "{ account { mode } }";

impl TestApp {
    fn request(&self, method: Method) -> RequestBuilder {
        self.http.request(method, format!("{}/graphql", self.url)).bearer_auth(&self.key.key)
    }
}

#[tokio::test]
async fn get_runs_queries_with_variables() {
    let app = TestApp::start().await;
    let pairs = [
        ("query", "query A($n: Int) { generations(first: $n) { nodes { id } } } query B { account { mode } }"),
        ("operationName", "A"),
        ("variables", r#"{"n": 1}"#),
    ];
    let response = app.request(Method::GET).query(&pairs).send().await.unwrap();
    assert_eq!(response.json::<Value>().await.unwrap(), json!({"data": {"generations": {"nodes": []}}}));
}

#[tokio::test]
async fn get_runs_no_mutations() {
    let app = TestApp::start().await;
    let pairs = [("query", "mutation { rotateWebhookSecret { secret } }")];
    let response = app.request(Method::GET).query(&pairs).send().await.unwrap();
    assert_eq!(response.headers()["allow"], "POST");
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "INVALID_INPUT",
            "reason": "REQUEST",
            "retryable": false
          },
          "message": "Mutations need POST."
        }
      ],
      "status": 405
    }
    "#);
}

#[tokio::test]
async fn other_methods_are_refused() {
    let app = TestApp::start().await;
    for method in [Method::PUT, Method::DELETE, Method::PATCH] {
        let response = app.request(method).json(&json!({"query": ACCOUNT})).send().await.unwrap();
        assert_eq!(response.headers()["allow"], "GET, HEAD, POST");
        assert_eq!(refusal(response).await["status"], 405);
    }
    let response = app.request(Method::PUT).send().await.unwrap();
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "INVALID_INPUT",
            "reason": "REQUEST",
            "retryable": false
          },
          "message": "Send queries by GET or POST, and mutations by POST."
        }
      ],
      "status": 405
    }
    "#);
}

#[tokio::test]
async fn bodies_that_are_not_json_are_refused() {
    let app = TestApp::start().await;
    let post =
        |kind: &str, body: &str| app.request(Method::POST).header("content-type", kind).body(body.to_owned()).send();
    let mut told = Vec::new();
    for (kind, body) in [
        ("text/plain", "{}"),
        ("application/graphql", ACCOUNT),
        ("application/json; charset=latin1", "{}"),
        ("application/json", "{"),
        ("application/json", "1"),
        ("application/json", "{}"),
        ("application/json", r#"{"query": 1}"#),
        ("application/json", r#"{"query": "{ account { id } }", "variables": []}"#),
        ("application/json", "[1]"),
    ] {
        let refused = refusal(post(kind, body).await.unwrap()).await;
        told.push(format!(
            "{} {} {}",
            refused["status"], refused["errors"][0]["extensions"]["reason"], refused["errors"][0]["message"]
        ));
    }
    assert_json_snapshot!(told, @r#"
    [
      "415 \"REQUEST\" \"Send the body as Content-Type: application/json, in UTF-8.\"",
      "415 \"REQUEST\" \"Send the body as Content-Type: application/json, in UTF-8.\"",
      "415 \"REQUEST\" \"Send the body as Content-Type: application/json, in UTF-8.\"",
      "400 \"REQUEST\" \"The body is not JSON: EOF while parsing an object at line 1 column 1.\"",
      "400 \"REQUEST\" \"The body must be a JSON object with a `query`.\"",
      "400 \"REQUEST\" \"Send a GraphQL document in `query`.\"",
      "400 \"REQUEST\" \"`query` must be a string.\"",
      "400 \"REQUEST\" \"`variables` must be a JSON object.\"",
      "400 \"REQUEST\" \"Each operation of a batch must be a JSON object with a `query`.\""
    ]
    "#);
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_refused() {
    let app = TestApp::start().await;
    for length in [(1 << 20) + 1, 8 << 20] {
        let body = json!({"query": ACCOUNT, "variables": {"x": "x".repeat(length)}});
        let response = app.request(Method::POST).json(&body).send().await.unwrap();
        assert_eq!(response.headers()["x-credits-remaining"], "100000");
        assert_eq!(refusal(response).await["status"], 413);
    }
    let chunks = futures_util::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 << 10])));
    let body = reqwest::Body::wrap_stream(chunks);
    let response =
        app.request(Method::POST).header("content-type", "application/json").body(body).send().await.unwrap();
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "INVALID_INPUT",
            "reason": "REQUEST",
            "retryable": false
          },
          "message": "The body is over 1 MiB. Send files by POST /uploads and name their URLs."
        }
      ],
      "status": 413
    }
    "#);
}

#[tokio::test]
async fn what_cannot_be_accepted_is_refused() {
    let app = TestApp::start().await;
    let response =
        app.request(Method::POST).header("accept", "image/png").json(&json!({"query": ACCOUNT})).send().await.unwrap();
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "INVALID_INPUT",
            "reason": "REQUEST",
            "retryable": false
          },
          "message": "Accept application/json, application/graphql-response+json, text/event-stream or multipart/mixed;subscriptionSpec=1.0."
        }
      ],
      "status": 406
    }
    "#);
}

#[tokio::test]
async fn the_newer_media_type_is_400_when_nothing_ran() {
    let app = TestApp::start().await;
    let kind = "application/graphql-response+json";
    for (query, accept, status) in [
        ("{ account { mode } }", kind, 200),
        ("{ account { nme } }", kind, 400),
        ("{ account", kind, 400),
        ("{ account { nme } }", "application/json", 200),
        (r#"{ generation(id: "gen_x") { id } }"#, kind, 200),
    ] {
        let request = app.request(Method::POST).header("accept", accept).json(&json!({"query": query}));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{query}");
        assert_eq!(response.headers()["content-type"], format!("{accept}; charset=utf-8").as_str());
    }
}

#[tokio::test]
async fn variables_that_cannot_be_coerced_are_400_in_the_newer_media_type() {
    let app = TestApp::start().await;
    let body =
        json!({"query": "query Q($n: Int!) { generations(first: $n) { nodes { id } } }", "variables": {"n": "x"}});
    let accept = "application/graphql-response+json";
    let response = app.request(Method::POST).header("accept", accept).json(&body).send().await.unwrap();
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "GRAPHQL_VALIDATION_FAILED",
            "retryable": false
          },
          "locations": [
            {
              "column": 33,
              "line": 1
            }
          ],
          "message": "Invalid value for argument \"first\", expected type \"Int\""
        }
      ],
      "status": 400
    }
    "#);
}

#[tokio::test]
async fn a_batch_is_answered_in_its_order() {
    let app = TestApp::start().await;
    let batch = json!([
        {"query": ACCOUNT},
        {"query": GENERATE, "variables": {"input": picture()}},
        {"query": "{ nothing }"},
        {"query": "subscription { generationUpdated(id: 1) { id } }"},
    ]);
    let response = app.request(Method::POST).json(&batch).send().await.unwrap();
    assert_eq!(response.headers()["x-ratelimit-remaining"], "59");
    let answers: Value = response.json().await.unwrap();
    assert_eq!(answers[0]["data"]["account"]["mode"], "test");
    assert_eq!(answers[1]["data"]["generate"]["status"], "PENDING");
    assert_eq!(answers[2]["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
    assert_eq!(answers[3]["errors"][0]["extensions"]["reason"], "REQUEST");
}

#[tokio::test]
async fn a_subscription_needs_a_stream() {
    let app = TestApp::start().await;
    let response = app.post("subscription { generationUpdated(id: 1) { id } }", json!({})).await;
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "INVALID_INPUT",
            "reason": "REQUEST",
            "retryable": false
          },
          "message": "Subscriptions need a stream: send Accept: text/event-stream, or multipart/mixed;subscriptionSpec=1.0, or use the websocket /graphql/ws."
        }
      ],
      "status": 400
    }
    "#);
}

#[tokio::test]
async fn a_persisted_query_is_sent_once_with_its_text() {
    let app = TestApp::start().await;
    let hash = hex::encode(Sha256::digest(ACCOUNT));
    let extensions = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    let pairs = [("extensions", extensions.to_string())];
    let get = || app.request(Method::GET).query(&pairs).send();
    assert_json_snapshot!(refusal(get().await.unwrap()).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "PERSISTED_QUERY_NOT_FOUND",
            "retryable": true
          },
          "message": "PersistedQueryNotFound"
        }
      ],
      "status": 200
    }
    "#);
    let body = json!({"query": ACCOUNT, "extensions": extensions});
    app.request(Method::POST).json(&body).send().await.unwrap().error_for_status().unwrap();
    assert_eq!(get().await.unwrap().json::<Value>().await.unwrap()["data"]["account"]["mode"], "test");
    let forged = json!({"query": "{ account { id } }", "extensions": extensions});
    assert_json_snapshot!(refusal(app.request(Method::POST).json(&forged).send().await.unwrap()).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "INVALID_INPUT",
            "field": "extensions.persistedQuery",
            "reason": "PERSISTED_QUERY",
            "retryable": false
          },
          "message": "`sha256Hash` is not the SHA-256 of `query`."
        }
      ],
      "status": 200
    }
    "#);
}
