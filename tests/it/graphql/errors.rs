//! Every code and reason, with its shape.

use doitong::domain::{Mode, Plan};
use insta::assert_json_snapshot;
use serde_json::json;

use super::{picture, refusal, twenty_reads};
use crate::support::{GENERATE, TestApp};

#[tokio::test]
async fn without_a_good_key_a_call_is_unauthenticated() {
    let app = TestApp::start().await;
    let revoked = app.new_key("revoked", Plan::Free, Mode::Test, None).await.key;
    assert!(app.app.accounts.revoke_key(&revoked).await.unwrap());
    for header in ["", "Bearer ", "Bearer dt_test_nobody", "Basic abc", &format!("Bearer {revoked}")] {
        let request = app.http.post(format!("{}/graphql", app.url)).header("authorization", header);
        let response = request.json(&json!({"query": "{ account { id } }"})).send().await.unwrap();
        assert_eq!(response.status(), 401, "{header}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
    }
    let response = app.http.post(format!("{}/graphql", app.url)).send().await.unwrap();
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "UNAUTHENTICATED",
            "retryable": false
          },
          "message": "Send a valid API key: Authorization: Bearer YOUR_API_KEY. Keys are made with: doitong keys create --account NAME"
        }
      ],
      "status": 401
    }
    "#);
}

#[tokio::test]
async fn an_unknown_id_is_null_and_not_found() {
    let app = TestApp::start().await;
    let query = r#"{ generation(id: "gen_abc123") { id } }"#;
    assert_json_snapshot!(refusal(app.post(query, json!({})).await).await, @r#"
    {
      "data": {
        "generation": null
      },
      "errors": [
        {
          "extensions": {
            "code": "NOT_FOUND",
            "retryable": false
          },
          "locations": [
            {
              "column": 3,
              "line": 1
            }
          ],
          "message": "There is no generation gen_abc123. Check the id and the key.",
          "path": [
            "generation"
          ]
        }
      ],
      "status": 200
    }
    "#);
}

#[tokio::test]
async fn an_unknown_id_leaves_the_other_fields_alone() {
    let app = TestApp::start().await;
    let id = app.generate(picture()).await["id"].clone();
    let query =
        "query Q($id: ID!) { a: generation(id: $id) { status } b: generation(id: 1) { status } account { mode } }";
    let answer = app.graphql(query, json!({"id": id})).await;
    assert_eq!(answer["data"], json!({"a": {"status": "PENDING"}, "b": null, "account": {"mode": "test"}}));
    assert_eq!(answer["errors"][0]["path"], json!(["b"]));
}

#[tokio::test]
async fn a_document_that_is_no_graphql_fails_to_parse() {
    let app = TestApp::start().await;
    assert_json_snapshot!(refusal(app.post("{ account {", json!({})).await).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "GRAPHQL_PARSE_FAILED",
            "retryable": false
          },
          "locations": [
            {
              "column": 12,
              "line": 1
            }
          ],
          "message": "The query is not GraphQL: expected selection at line 1, column 12."
        }
      ],
      "status": 200
    }
    "#);
    assert_eq!(app.error("  ", json!({})).await["code"], "GRAPHQL_PARSE_FAILED");
}

#[tokio::test]
async fn a_document_that_does_not_fit_the_schema_fails_validation() {
    let app = TestApp::start().await;
    assert_json_snapshot!(refusal(app.post("{ account { nme } }", json!({})).await).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "GRAPHQL_VALIDATION_FAILED",
            "retryable": false
          },
          "locations": [
            {
              "column": 13,
              "line": 1
            }
          ],
          "message": "Unknown field \"nme\" on type \"Account\". Did you mean \"name\"?"
        }
      ],
      "status": 200
    }
    "#);
    for (query, variables) in [
        ("query A { account { id } } query B { account { id } }", json!({})),
        ("{ generation { id } }", json!({})),
        ("query Q($id: ID!) { generation(id: $id) { id } }", json!({})),
        ("query Q($n: Int) { generations(first: $n) { nodes { id } } }", json!({"n": "ten"})),
        (GENERATE, json!({"input": {"type": "SONG", "input": {"text": "la"}}})),
        (GENERATE, json!({"input": {"type": "IMAGE", "input": {"text": "a"}, "size": 1}})),
    ] {
        let error = app.error(query, variables).await;
        assert_eq!(error["code"], "GRAPHQL_VALIDATION_FAILED", "{query}: {error}");
        assert_eq!(error["retryable"], false, "{query}");
    }
}

#[tokio::test]
async fn an_unknown_option_is_refused_with_the_nearest_name() {
    let app = TestApp::start().await;
    let input = json!({"type": "IMAGE", "provider": "flux-dev", "input": {"text": "a"}, "options": {"aspectratio": "1:1", "sed": 1}});
    let response = app.post(GENERATE, json!({"input": input})).await;
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "data": null,
      "errors": [
        {
          "extensions": {
            "code": "INVALID_INPUT",
            "field": "options.aspectratio",
            "reason": "OPTION",
            "retryable": false
          },
          "locations": [
            {
              "column": 38,
              "line": 1
            }
          ],
          "message": "No option is called aspectratio; did you mean aspectRatio?",
          "path": [
            "generate"
          ]
        }
      ],
      "status": 200
    }
    "#);
}

#[tokio::test]
async fn what_is_wrong_with_an_input_is_told_by_reason_and_field() {
    let app = TestApp::start().await;
    let image = |more: serde_json::Value| {
        let mut input = picture();
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        input
    };
    let mut told = Vec::new();
    for input in [
        image(json!({"input": {}})),
        image(json!({"input": {"text": "a", "image": "cat.png"}})),
        image(json!({"provider": "flix-dev"})),
        image(json!({"model": "flux-dov"})),
        image(json!({"provider": "imagen", "model": "imagen-3", "options": {"strict": true}})),
        image(json!({"options": {"n": "many"}})),
        image(json!({"options": [1]})),
        image(json!({"webhookUrl": "ftp://example.com"})),
        image(json!({"maxCredits": -1})),
        image(json!({"labels": [1]})),
        image(json!({"labels": {"a": "x".repeat(4096)}})),
        image(json!({"input": {"text": "a\u{0}b"}})),
    ] {
        let error = app.refused(input).await;
        told.push(format!("{} {} {}: {}", error["code"], error["reason"], error["field"], error["message"]));
    }
    assert_json_snapshot!(told, @r#"
    [
      "\"INVALID_INPUT\" \"INPUT\" \"input.text\": \"flux-dev flux-dev needs input.text\"",
      "\"INVALID_INPUT\" \"URL\" \"input.image\": \"input.image must be an http or https URL, or a data: URL in base64\"",
      "\"INVALID_INPUT\" \"PROVIDER\" \"provider\": \"No provider is called flix-dev; did you mean flux-dev?\"",
      "\"INVALID_INPUT\" \"MODEL\" \"model\": \"flux-dev has no model called flux-dov; did you mean flux-dev?\"",
      "\"INVALID_INPUT\" \"MODEL_RETIRED\" \"model\": \"imagen-3 was retired on 2026-08-17; ask for nano-banana-2.1\"",
      "\"INVALID_INPUT\" \"OPTION\" \"options.n\": \"options.n must be a whole number; it can be 1 to 4\"",
      "\"INVALID_INPUT\" \"OPTION\" \"options\": \"`options` must be a JSON object: {\\\"duration\\\": 5}.\"",
      "\"INVALID_INPUT\" \"URL\" \"webhookUrl\": \"`webhookUrl` must be an absolute http or https URL.\"",
      "\"INVALID_INPUT\" \"INPUT\" \"maxCredits\": \"`maxCredits` must be 0 or more.\"",
      "\"INVALID_INPUT\" \"INPUT\" \"labels\": \"`labels` must be a JSON object.\"",
      "\"INVALID_INPUT\" \"INPUT\" \"labels\": \"`labels` may take 4096 bytes as JSON; these take 4104.\"",
      "\"INVALID_INPUT\" \"INPUT\" \"input\": \"The input must not hold the character U+0000.\""
    ]
    "#);
}

#[tokio::test]
async fn credits_that_do_not_suffice_are_told_apart_from_the_callers_own_limit() {
    let app = TestApp::start().await;
    let poor = app.new_key("poor", Plan::Free, Mode::Test, Some(10)).await.key;
    let response = app.post_as(&poor, None, GENERATE, json!({"input": picture()})).await;
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "data": null,
      "errors": [
        {
          "extensions": {
            "code": "INSUFFICIENT_CREDITS",
            "retryable": false
          },
          "locations": [
            {
              "column": 38,
              "line": 1
            }
          ],
          "message": "This costs 25 credits and 10 are left. Top up, or choose a cheaper model.",
          "path": [
            "generate"
          ]
        }
      ],
      "status": 200
    }
    "#);
    let mut input = picture();
    input["maxCredits"] = json!(3);
    let response = app.post(GENERATE, json!({"input": input})).await;
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "data": null,
      "errors": [
        {
          "extensions": {
            "code": "INSUFFICIENT_CREDITS",
            "field": "maxCredits",
            "reason": "MAX_CREDITS",
            "retryable": false
          },
          "locations": [
            {
              "column": 38,
              "line": 1
            }
          ],
          "message": "This costs at least 25 credits, more than maxCredits 3",
          "path": [
            "generate"
          ]
        }
      ],
      "status": 200
    }
    "#);
}

#[tokio::test]
async fn limits_are_429_and_say_when_to_come_again() {
    let app = TestApp::on(Plan::Free).await;
    for _ in 0..10 {
        app.generate(picture()).await;
    }
    let response = app.post(GENERATE, json!({"input": picture()})).await;
    assert_eq!(response.headers()["retry-after"], "6");
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "data": null,
      "errors": [
        {
          "extensions": {
            "code": "RATE_LIMIT",
            "reason": "REQUESTS_PER_MINUTE",
            "retryAfter": 6,
            "retryable": true
          },
          "locations": [
            {
              "column": 38,
              "line": 1
            }
          ],
          "message": "The plan allows 10 generations a minute. Wait 6 s, or move to a larger plan.",
          "path": [
            "generate"
          ]
        }
      ],
      "status": 429
    }
    "#);
}

#[tokio::test]
async fn a_full_queue_is_429() {
    let app = TestApp::on(Plan::Free).await;
    for _ in 0..11 {
        app.generate(picture()).await;
        app.clock.advance(std::time::Duration::from_secs(6));
    }
    let response = app.post(GENERATE, json!({"input": picture()})).await;
    assert_eq!(response.headers()["retry-after"], "5");
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "data": null,
      "errors": [
        {
          "extensions": {
            "code": "RATE_LIMIT",
            "reason": "QUEUE_FULL",
            "retryAfter": 5,
            "retryable": true
          },
          "locations": [
            {
              "column": 38,
              "line": 1
            }
          ],
          "message": "As many generations wait as the plan allows. Wait until some have ended, or move to a larger plan.",
          "path": [
            "generate"
          ]
        }
      ],
      "status": 429
    }
    "#);
}

#[tokio::test]
async fn too_many_reads_are_429_and_leave_generations_alone() {
    let app = TestApp::on(Plan::Free).await;
    // More than 300, since a few come back while the first ones are answered.
    for _ in 0..20 {
        app.post(&twenty_reads(), json!({})).await;
    }
    let response = app.post(&twenty_reads(), json!({})).await;
    assert!(response.headers().contains_key("retry-after"));
    let refused = refusal(response).await;
    assert_eq!(refused["status"], 429);
    assert_json_snapshot!(refused["errors"][0]["extensions"], @r#"
    {
      "code": "RATE_LIMIT",
      "reason": "READS",
      "retryAfter": 1,
      "retryable": true
    }
    "#);
    app.generate(picture()).await;
}

#[tokio::test]
async fn a_provider_without_credentials_is_unavailable() {
    let app = TestApp::start().await;
    let live = app.new_key("live", Plan::Free, Mode::Live, Some(1000)).await.key;
    let response = app.post_as(&live, None, GENERATE, json!({"input": picture()})).await;
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "data": null,
      "errors": [
        {
          "extensions": {
            "code": "PROVIDER_UNAVAILABLE",
            "retryable": false
          },
          "locations": [
            {
              "column": 38,
              "line": 1
            }
          ],
          "message": "flux-dev is not configured here: set BFL_API_KEY, or FAL_KEY, or REPLICATE_API_TOKEN",
          "path": [
            "generate"
          ]
        }
      ],
      "status": 200
    }
    "#);
    let any = json!({"type": "IMAGE", "input": {"text": "a"}});
    let response = app.post_as(&live, None, GENERATE, json!({"input": any})).await;
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "data": null,
      "errors": [
        {
          "extensions": {
            "code": "PROVIDER_UNAVAILABLE",
            "retryable": false
          },
          "locations": [
            {
              "column": 38,
              "line": 1
            }
          ],
          "message": "No provider that can serve this is configured here",
          "path": [
            "generate"
          ]
        }
      ],
      "status": 200
    }
    "#);
}

#[tokio::test]
async fn an_idempotency_key_is_visible_ascii_and_of_one_request() {
    let app = TestApp::start().await;
    let first = app.post_as(&app.key.key, Some("k-1"), GENERATE, json!({"input": picture()})).await;
    let first: serde_json::Value = first.json().await.unwrap();
    let mut other = picture();
    other["input"]["text"] = json!("a blue fox");
    let response = app.post_as(&app.key.key, Some("k-1"), GENERATE, json!({"input": other})).await;
    let mut refused = refusal(response).await;
    let id = refused["errors"][0]["extensions"]["generationId"].take();
    assert_eq!(id, first["data"]["generate"]["id"]);
    assert_json_snapshot!(refused, @r#"
    {
      "data": null,
      "errors": [
        {
          "extensions": {
            "code": "INVALID_INPUT",
            "generationId": null,
            "reason": "IDEMPOTENCY_MISMATCH",
            "retryable": false
          },
          "locations": [
            {
              "column": 38,
              "line": 1
            }
          ],
          "message": "This Idempotency-Key was used for another request. Use a new key for a new request, or send the first request again.",
          "path": [
            "generate"
          ]
        }
      ],
      "status": 200
    }
    "#);
    let response = app.post_as(&app.key.key, Some("k 1"), GENERATE, json!({"input": picture()})).await;
    assert_json_snapshot!(refusal(response).await, @r#"
    {
      "errors": [
        {
          "extensions": {
            "code": "INVALID_INPUT",
            "field": "Idempotency-Key",
            "reason": "IDEMPOTENCY_KEY",
            "retryable": false
          },
          "message": "An Idempotency-Key is 1 to 255 visible ASCII characters, given once. Send such a key, or none."
        }
      ],
      "status": 200
    }
    "#);
}

#[tokio::test]
async fn with_the_database_away_an_answer_is_503_and_may_be_tried_again() {
    let app = TestApp::start().await;
    app.data("{ account { id } }", json!({})).await;
    app.app.pool.close().await;
    let response = app.post("{ account { id } }", json!({})).await;
    assert_eq!(response.headers()["retry-after"], "1");
    let mut refused = refusal(response).await;
    let message = refused["errors"][0]["message"].take();
    assert!(message.as_str().unwrap().contains("(request id "), "{message}");
    assert_json_snapshot!(refused, @r#"
    {
      "data": null,
      "errors": [
        {
          "extensions": {
            "code": "INTERNAL",
            "reason": "UNAVAILABLE",
            "retryAfter": 1,
            "retryable": true
          },
          "locations": [
            {
              "column": 3,
              "line": 1
            }
          ],
          "message": null,
          "path": [
            "account"
          ]
        }
      ],
      "status": 503
    }
    "#);
    let response = app.post_as("dt_test_unknown", None, "{ account { id } }", json!({})).await;
    assert_eq!(refusal(response).await["status"], 503);
}
