//! The life of a generation, from PENDING to its end.

use std::time::Duration;

use doitong::domain::Plan;
use serde_json::{Value, json};

use crate::support::{Double, IMAGE_COST, Said, TestApp, image, live_video};

/// The waits of a real service, so that none passes by itself.
async fn unhurried(double: &Double) -> TestApp {
    let settings = double.settings();
    TestApp::with(Plan::Pro, |config, secrets| {
        settings(config, secrets);
        config.worker.time_scale = 1.0;
    })
    .await
}

#[tokio::test]
async fn a_generation_is_pending_then_processing_then_completed() {
    let app = TestApp::start().await;
    let accepted = app.generate(image("[[slow]]")).await;
    assert_eq!(
        (&accepted["status"], &accepted["progress"], &accepted["url"]),
        (&"PENDING".into(), &0.into(), &Value::Null)
    );
    app.advance(Duration::ZERO).await;
    let started = app.generation(&accepted["id"]).await;
    assert_eq!((&started["status"], &started["completedAt"]), (&"PROCESSING".into(), &Value::Null));
    assert!(started["startedAt"].is_string() && started["eta"].is_string());
    app.advance(Duration::from_secs(15)).await;
    let running = app.generation(&accepted["id"]).await;
    assert!((45..=99).contains(&running["progress"].as_i64().unwrap()), "{running:#}");
    let done = app.finish(&accepted["id"]).await;
    assert_eq!((&done["status"], &done["progress"], &done["error"]), (&"COMPLETED".into(), &100.into(), &Value::Null));
    assert_eq!((&done["attempts"][0]["outcome"], done["attempts"].as_array().unwrap().len()), (&"COMPLETED".into(), 1));
    let credits = app.account(&app.key.key).await["credits"].clone();
    assert_eq!(credits, json!({"balance": 100_000 - IMAGE_COST, "held": 0, "available": 100_000 - IMAGE_COST}));
    app.audit().await;
}

#[tokio::test]
async fn the_url_of_a_result_serves_it_with_its_type() {
    let app = TestApp::start().await;
    let audio =
        json!({"type": "AUDIO", "provider": "openai-tts", "input": {"text": "a"}, "options": {"voice": "alloy"}});
    for (input, kind) in [(image("a"), "image/"), (audio, "audio/")] {
        let done = app.ask(input).await.id();
        let done = app.finish(&done).await;
        let file = app.http.get(done["url"].as_str().unwrap()).send().await.unwrap();
        let content_type = file.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(done["assets"][0]["contentType"], content_type.as_str());
        assert!(content_type.starts_with(kind), "{content_type}");
        assert_eq!(done["metadata"]["sizeBytes"], file.bytes().await.unwrap().len());
    }
}

#[tokio::test]
async fn a_failure_and_a_rejection_give_the_credits_back() {
    let app = TestApp::start().await;
    for (word, code, reason, retryable) in [
        ("[[fail]]", "GENERATION_FAILED", "UPSTREAM_FAILED", true),
        ("[[reject]]", "INVALID_INPUT", "CONTENT_REJECTED", false),
    ] {
        let id = app.ask(image(word)).await.id();
        let ended = app.finish(&id).await;
        assert_eq!((&ended["status"], &ended["url"]), (&"FAILED".into(), &Value::Null));
        assert_eq!((&ended["error"]["code"], &ended["error"]["reason"]), (&code.into(), &reason.into()));
        assert_eq!((&ended["error"]["retryable"], &ended["errorCode"]), (&retryable.into(), &code.into()));
        assert_eq!(app.account(&app.key.key).await["credits"]["available"], 100_000);
    }
    app.audit().await;
}

#[tokio::test]
async fn a_named_provider_that_is_down_fails_when_patience_is_spent() {
    let app = unhurried(&Double::start().await).await;
    let id = app.ask(image("[[unavailable]]")).await.id();
    app.advance(Duration::ZERO).await;
    assert_eq!(app.generation(&id).await["status"], "PENDING");
    let ended = app.finish(&id).await;
    assert_eq!((&ended["status"], &ended["errorCode"]), (&"FAILED".into(), &"PROVIDER_UNAVAILABLE".into()));
    let attempts = ended["attempts"].as_array().unwrap();
    assert!(attempts.len() > 1 && attempts.iter().all(|attempt| attempt["provider"] == "flux-dev"), "{attempts:#?}");
    assert_eq!(app.account(&app.key.key).await["credits"]["available"], 100_000);
}

#[tokio::test]
async fn an_automatic_choice_tries_other_providers_before_it_fails() {
    let app = TestApp::start().await;
    let id = app.ask(json!({"type": "IMAGE", "input": {"text": "[[unavailable]]"}})).await.id();
    let ended = app.finish(&id).await;
    assert_eq!((&ended["status"], &ended["errorCode"]), (&"FAILED".into(), &"PROVIDER_UNAVAILABLE".into()));
    let mut providers: Vec<_> =
        ended["attempts"].as_array().unwrap().iter().map(|a| a["provider"].to_string()).collect();
    providers.dedup();
    assert!(providers.len() > 1, "{providers:?}");
    app.audit().await;
}

#[tokio::test]
async fn a_run_that_never_ends_fails_at_its_deadline() {
    let app = TestApp::start().await;
    let id = app.ask(image("[[hang]]")).await.id();
    app.advance(Duration::ZERO).await;
    let deadline = app.count("select extract(epoch from deadline_at - submitted_at)::bigint from job").await;
    app.advance(Duration::from_secs(deadline.unsigned_abs() - 20)).await;
    assert_eq!(app.generation(&id).await["status"], "PROCESSING");
    app.advance(Duration::from_secs(21)).await;
    let ended = app.generation(&id).await;
    assert_eq!((&ended["status"], &ended["error"]["reason"]), (&"FAILED".into(), &"DEADLINE".into()));
    assert_eq!(app.count("select count(*) from job").await, 0);
    app.audit().await;
}

#[tokio::test]
async fn a_slow_run_is_seen_soon_after_its_end() {
    let app = TestApp::start().await;
    let id = app.ask(image("[[slow]]")).await.id();
    for _ in 0..34 {
        app.advance(Duration::from_secs(1)).await;
    }
    assert_eq!(app.generation(&id).await["status"], "COMPLETED");
}

#[tokio::test]
async fn waiting_jobs_start_in_order_as_places_become_free() {
    let app = TestApp::on(Plan::Free).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(app.ask(image(&format!("[[slow]] {n}"))).await.id());
    }
    while !ids.is_empty() {
        app.advance(Duration::ZERO).await;
        for (ahead, id) in ids.iter().enumerate() {
            let generation = app.generation(id).await;
            let (status, position) = if ahead == 0 { ("PROCESSING", Value::Null) } else { ("PENDING", ahead.into()) };
            assert_eq!((&generation["status"], &generation["queuePosition"]), (&status.into(), &position));
        }
        app.advance(Duration::from_secs(31)).await;
        assert_eq!(app.generation(&ids.remove(0)).await["status"], "COMPLETED");
    }
    app.audit().await;
}

#[tokio::test]
async fn a_live_result_is_kept_before_the_generation_is_completed() {
    let double = Double::start().await;
    let app = unhurried(&double).await;
    let key = app.live_key().await;
    double.on_file(Said::Answer(500, json!({})));
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    app.advance(Duration::ZERO).await;
    app.advance(Duration::from_secs(100)).await;
    let storing = app.generation_as(&key, &id).await;
    assert_eq!((&storing["status"], &storing["url"], double.asked("file")), (&"PROCESSING".into(), &Value::Null, 1));
    app.advance(Duration::from_millis(1300)).await;
    let done = app.generation_as(&key, &id).await;
    assert_eq!((&done["status"], double.asked("file"), double.asked("poll")), (&"COMPLETED".into(), 2, 1));
    let file = app.http.get(done["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(file.headers()["content-type"], "video/mp4");
    assert!(!file.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_result_whose_link_has_expired_is_asked_for_again() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Pro, double.settings()).await;
    let key = app.live_key().await;
    double.on_file(Said::Answer(404, json!({})));
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    for _ in 0..4 {
        app.advance(Duration::from_secs(2)).await;
    }
    assert_eq!(app.generation_as(&key, &id).await["status"], "COMPLETED");
    assert_eq!((double.asked("poll"), double.asked("file"), double.asked("submit")), (2, 2, 1));
}

#[tokio::test]
async fn a_result_that_cannot_be_fetched_fails_without_a_charge() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Pro, double.settings()).await;
    let key = app.live_key().await;
    (0..20).for_each(|_| double.on_file(Said::Answer(500, json!({}))));
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    for _ in 0..20 {
        app.advance(Duration::from_secs(2)).await;
    }
    let ended = app.generation_as(&key, &id).await;
    assert_eq!((&ended["status"], &ended["error"]["reason"]), (&"FAILED".into(), &"RESULT_LOST".into()));
    assert_eq!(app.account(&key).await["credits"], json!({"balance": 100_000, "held": 0, "available": 100_000}));
    app.audit().await;
}

#[tokio::test]
async fn a_busy_upstream_is_tried_again_later_and_its_run_submitted_once() {
    let double = Double::start().await;
    let app = unhurried(&double).await;
    let key = app.live_key().await;
    let busy = json!({"reason": "TooManyRequests", "message": "slow down"});
    (0..2).for_each(|_| double.on_submit(Said::Answer(429, busy.clone())));
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    for (wait, status) in [(0, "PENDING"), (2, "PENDING"), (4, "PROCESSING"), (300, "COMPLETED")] {
        app.advance(Duration::from_secs(wait)).await;
        assert_eq!(app.generation_as(&key, &id).await["status"], status);
    }
    let done = app.generation_as(&key, &id).await;
    let outcomes: Vec<_> =
        done["attempts"].as_array().unwrap().iter().map(|attempt| attempt["outcome"].clone()).collect();
    assert_eq!(outcomes, ["REFUSED", "REFUSED", "COMPLETED"], "{done:#}");
    assert_eq!(double.asked("submit"), 3);
}
