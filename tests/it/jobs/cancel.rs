//! Cancelling, in every state and against the end.

use std::time::Duration;

use doitong::domain::{Mode, Plan};
use serde_json::{Value, json};

use crate::support::{Double, Said, TestApp, image, live_video};

/// Nothing is held, nothing is charged, the books are in order.
async fn assert_free(app: &TestApp, key: &str) {
    let credits = app.account(key).await["credits"].clone();
    assert_eq!(credits, json!({"balance": 100_000, "held": 0, "available": 100_000}));
    app.audit().await;
}

#[tokio::test]
async fn a_waiting_and_a_ready_generation_are_cancelled_at_once() {
    let app = TestApp::on(Plan::Free).await;
    let (ready, waiting) = (app.ask(image("a")).await.id(), app.ask(image("b")).await.id());
    for id in [&waiting, &ready] {
        assert_eq!(app.cancel(id).await, true);
        let cancelled = app.generation(id).await;
        assert_eq!((&cancelled["status"], &cancelled["queuePosition"]), (&"CANCELLED".into(), &Value::Null));
        assert_eq!((&cancelled["error"], cancelled["completedAt"].is_string()), (&Value::Null, true));
    }
    assert_eq!(app.count("select count(*) from job").await, 0);
    app.advance(Duration::from_mins(1)).await;
    assert_eq!(app.generation(&ready).await["status"], "CANCELLED");
    assert_free(&app, &app.key.key).await;
}

#[tokio::test]
async fn a_running_generation_is_cancelled_and_its_upstream_told() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Free, double.settings()).await;
    let key = app.live_key().await;
    double.runs_for(1000);
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    app.advance(Duration::ZERO).await;
    assert_eq!(app.generation_as(&key, &id).await["status"], "PROCESSING");
    assert_eq!(app.cancel_as(&key, &id).await, true);
    app.advance(Duration::ZERO).await;
    assert_eq!((double.asked("cancel"), app.count("select count(*) from job").await), (1, 0));
    let cancelled = app.generation_as(&key, &id).await;
    assert_eq!(cancelled["attempts"][0]["outcome"], "CANCELLED");
    assert!(cancelled["attempts"][0]["endedAt"].is_string());
    assert_free(&app, &key).await;
}

#[tokio::test]
async fn a_generation_that_is_being_submitted_is_cancelled_and_its_upstream_told_when_it_answers() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Free, double.settings()).await;
    let key = app.live_key().await;
    double.on_submit(Said::Late(Duration::from_millis(700)));
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    let worker = app.drain_apart();
    double.until_asked("submit").await;
    assert_eq!(app.cancel_as(&key, &id).await, true);
    worker.await.unwrap();
    app.advance(Duration::ZERO).await;
    assert_eq!((double.asked("cancel"), app.count("select count(*) from job").await), (1, 0));
    assert_eq!(app.generation_as(&key, &id).await["status"], "CANCELLED");
    assert_free(&app, &key).await;
}

#[tokio::test]
async fn a_generation_whose_result_is_being_copied_is_cancelled() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Free, double.settings()).await;
    let key = app.live_key().await;
    double.on_file(Said::Late(Duration::from_millis(700)));
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    app.advance(Duration::ZERO).await;
    app.clock.advance(Duration::from_secs(2));
    let worker = app.drain_apart();
    double.until_asked("file").await;
    assert_eq!(app.cancel_as(&key, &id).await, true);
    worker.await.unwrap();
    app.advance(Duration::ZERO).await;
    let cancelled = app.generation_as(&key, &id).await;
    assert_eq!((&cancelled["status"], &cancelled["url"]), (&"CANCELLED".into(), &Value::Null));
    assert_eq!(app.count("select count(*) from job").await, 0);
    assert_free(&app, &key).await;
}

#[tokio::test]
async fn what_has_ended_is_not_cancelled_and_what_is_not_yours_is_not_found() {
    let app = TestApp::start().await;
    let (done, failed) = (app.ask(image("a")).await.id(), app.ask(image("[[fail]]")).await.id());
    app.finish(&done).await;
    app.finish(&failed).await;
    let cancelled = app.ask(image("b")).await.id();
    app.cancel(&cancelled).await;
    for id in [&done, &failed, &cancelled] {
        assert_eq!(app.cancel(id).await, false);
    }
    let other = app.new_key("other", Plan::Free, Mode::Test, None).await.key;
    let query = "mutation C($id: ID!) { cancelGeneration(id: $id) }";
    for id in [done, "gen_00000000000000000000000000000000".into(), "nonsense".into()] {
        assert_eq!(app.answer(&other, None, query, json!({"id": id})).await.refusal().0, "NOT_FOUND");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cancel_and_the_end_race_and_the_answer_says_who_won() {
    let app = TestApp::start().await;
    let mut won = 0;
    for round in 0..12 {
        let id = app.ask(image("[[fail]]")).await.id();
        let worker = app.drain_apart();
        tokio::time::sleep(Duration::from_millis(round * 3)).await;
        let cancelled = app.cancel(&id).await;
        worker.await.unwrap();
        let ended = app.finish(&id).await;
        assert_eq!(ended["status"], if cancelled == true { "CANCELLED" } else { "FAILED" });
        won += u64::from(cancelled == true);
    }
    assert!(won > 0, "no cancel was ever in time");
    assert_free(&app, &app.key.key).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_cancels_one_wins() {
    let app = TestApp::start().await;
    let id = app.ask(image("a")).await.id();
    let answers = futures_util::future::join_all((0..20).map(|_| app.cancel(&id))).await;
    assert_eq!(answers.iter().filter(|answer| **answer == true).count(), 1);
    assert_free(&app, &app.key.key).await;
}
