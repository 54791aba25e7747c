//! The typed conveniences over `generate`.

use serde_json::{Value, json};

use crate::support::TestApp;

const FIELDS: &str = "id status type provider model creditCost labels adjustments { option requested used reason }";

async fn create(app: &TestApp, field: &str, input: Value) -> Value {
    let kind = format!("{}Input", field[..1].to_uppercase() + &field[1..]);
    let query = format!("mutation M($input: {kind}!) {{ {field}(input: $input) {{ {FIELDS} }} }}");
    app.graphql(&query, json!({"input": input})).await
}

async fn created(app: &TestApp, field: &str, input: Value) -> Value {
    let answer = create(app, field, input).await;
    assert!(answer.get("errors").is_none(), "{answer:#}");
    answer["data"][field].clone()
}

async fn refused(app: &TestApp, field: &str, input: Value) -> Value {
    create(app, field, input).await["errors"][0]["extensions"].clone()
}

#[tokio::test]
async fn a_model_is_a_provider_or_one_of_its_models() {
    let app = TestApp::start().await;
    for (model, provider, expected) in [
        (json!("luma"), "luma", Some("ray-2")),
        (json!("ray-flash-2"), "luma", Some("ray-flash-2")),
        (json!("kling/v2-6"), "kling", Some("v2-6")),
        (json!("Hailuo_02"), "minimax", Some("hailuo-02")),
    ] {
        let made = created(&app, "videoCreate", json!({"prompt": "a sunset", "model": model})).await;
        assert_eq!(made["provider"], provider, "{model}");
        assert_eq!(made["model"], json!(expected), "{model}");
    }
    let error = refused(&app, "videoCreate", json!({"prompt": "a sunset", "model": "lumma"})).await;
    assert_eq!([&error["reason"], &error["field"]], ["MODEL", "model"]);
}

#[tokio::test]
async fn each_type_has_its_convenience() {
    let app = TestApp::start().await;
    for (field, kind, input) in [
        ("videoCreate", "VIDEO", json!({"prompt": "a", "duration": 5, "resolution": "720p", "aspectRatio": "16:9"})),
        ("imageCreate", "IMAGE", json!({"prompt": "a", "n": 1, "format": "png", "quality": "high", "seed": 7})),
        ("audioCreate", "AUDIO", json!({"text": "a", "voice": "rachel", "speed": 1.1, "emotion": "calm"})),
        ("audioCreate", "AUDIO", json!({"prompt": "a", "language": "en", "format": "mp3"})),
        ("avatarCreate", "AVATAR", json!({"text": "a", "model": "heygen", "avatarId": "kate", "gesture": "friendly"})),
    ] {
        assert_eq!(created(&app, field, input).await["type"], kind, "{field}");
    }
}

#[tokio::test]
async fn a_convenience_is_the_same_request_as_generate() {
    let app = TestApp::start().await;
    let typed = created(
        &app,
        "videoCreate",
        json!({"prompt": "a", "model": "minimax", "duration": 10, "resolution": "1080p",
        "options": {"promptOptimizer": true}, "priority": "SPEED", "labels": {"of": "me"}}),
    )
    .await;
    let general = app
        .generate(json!({"type": "VIDEO", "provider": "minimax", "input": {"text": "a"}, "labels": {"of": "me"},
        "options": {"duration": 10, "resolution": "1080p", "promptOptimizer": true}, "priority": "SPEED"}))
        .await;
    for field in ["provider", "model", "creditCost", "adjustments", "labels"] {
        assert_eq!(typed[field], general[field], "{field}");
    }
}

#[tokio::test]
async fn two_values_of_one_option_are_refused() {
    let app = TestApp::start().await;
    let error = refused(&app, "videoCreate", json!({"prompt": "a", "duration": 5, "options": {"duration": 6}})).await;
    assert_eq!([&error["reason"], &error["field"]], ["OPTION", "options.duration"]);
    created(&app, "videoCreate", json!({"prompt": "a", "duration": 5, "options": {"duration": 5}})).await;
    let error = refused(&app, "audioCreate", json!({"prompt": "a", "text": "b"})).await;
    assert_eq!(error["field"], "text");
}

#[tokio::test]
async fn a_convenience_keeps_to_the_callers_limit() {
    let app = TestApp::start().await;
    let error = refused(&app, "imageCreate", json!({"prompt": "a", "model": "flux-ultra", "maxCredits": 59})).await;
    assert_eq!([&error["code"], &error["reason"]], ["INSUFFICIENT_CREDITS", "MAX_CREDITS"]);
    let made = created(&app, "imageCreate", json!({"prompt": "a", "model": "flux-ultra", "maxCredits": 60})).await;
    assert_eq!(made["creditCost"], 60);
}

#[tokio::test]
async fn labels_come_back_as_given() {
    let app = TestApp::start().await;
    let labels = json!({"order": 17, "tags": ["a", null], "größe": {"x": 1.5}});
    let made = created(&app, "imageCreate", json!({"prompt": "a", "labels": labels})).await;
    assert_eq!(made["labels"], labels);
    assert_eq!(app.finish(&made["id"]).await["labels"], labels);
    assert!(created(&app, "imageCreate", json!({"prompt": "a", "labels": null})).await["labels"].is_null());
}
