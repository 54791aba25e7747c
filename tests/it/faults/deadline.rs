//! Deadlines and cancels against upstreams that go on: who wins is decided once, and what comes too late is free.

use std::time::Duration;

use doitong::domain::Plan;
use serde_json::{Value, json};

use crate::support::{Double, Said, TestApp, live_video};

/// A live run on an upstream that takes longer than the deadline.
struct Hung {
    app: TestApp,
    double: Double,
    key: String,
    id: Value,
    /// What the route's deadline leaves it.
    deadline: Duration,
}

impl Hung {
    async fn start() -> Self {
        let double = Double::start().await;
        let app = TestApp::with(Plan::Free, double.settings()).await;
        let key = app.live_key().await;
        double.runs_for(10_000);
        let id = app.ask_as(&key, None, live_video("a")).await.id();
        app.advance(Duration::ZERO).await;
        let seconds = app.count("select extract(epoch from deadline_at - submitted_at)::bigint from job").await;
        Self { app, double, key, id, deadline: Duration::from_secs(seconds.unsigned_abs()) }
    }

    /// Lets the deadline pass.
    async fn end(&self) {
        assert_eq!(self.generation().await["status"], "PROCESSING");
        self.app.advance(self.deadline + Duration::from_secs(1)).await;
        let ended = self.generation().await;
        assert_eq!((&ended["status"], &ended["error"]["reason"]), (&"FAILED".into(), &"DEADLINE".into()), "{ended:#}");
        self.assert_free().await;
    }

    async fn generation(&self) -> Value {
        self.app.generation_as(&self.key, &self.id).await
    }

    async fn jobs(&self) -> i64 {
        self.app.count("select count(*) from job").await
    }

    /// Nothing is held, nothing is charged, the books are in order.
    async fn assert_free(&self) {
        let credits = self.app.account(&self.key).await["credits"].clone();
        assert_eq!(credits, json!({"balance": 100_000, "held": 0, "available": 100_000}));
        self.app.audit().await;
    }
}

fn too_late() -> Said {
    Said::Answer(400, json!({"code": 400, "reason": "TaskStateInvalid", "message": "can not cancel"}))
}

#[tokio::test]
async fn a_deadline_ends_a_hung_run_and_its_upstream_is_told() {
    let hung = Hung::start().await;
    hung.end().await;
    // What has stopped needs no more looks.
    assert_eq!((hung.double.asked("cancel"), hung.jobs().await), (1, 0));
    let attempt = hung.generation().await["attempts"][0].clone();
    assert_eq!(attempt["outcome"], "FAILED", "{attempt:#}");
}

#[tokio::test]
async fn a_success_after_the_deadline_is_on_record_and_free() {
    let hung = Hung::start().await;
    hung.double.on_cancel(too_late());
    hung.end().await;
    assert_eq!((hung.double.asked("cancel"), hung.jobs().await), (1, 1));
    hung.app.advance(Duration::from_mins(2)).await;
    let before = hung.double.asked("poll");
    hung.double.runs_no_longer();
    hung.app.advance(Duration::from_mins(2)).await;

    let ended = hung.generation().await;
    let attempt = &ended["attempts"][0];
    assert_eq!((&ended["status"], &ended["error"]["reason"]), (&"FAILED".into(), &"DEADLINE".into()), "{ended:#}");
    assert_eq!((&attempt["outcome"], &ended["url"]), (&"COMPLETED".into(), &Value::Null), "{ended:#}");
    assert!(attempt["message"].as_str().unwrap().contains("after the deadline"), "{attempt:#}");
    assert!(attempt["endedAt"].as_str() > ended["completedAt"].as_str(), "{ended:#}");
    assert_eq!((hung.double.asked("poll"), hung.double.asked("file"), hung.jobs().await), (before + 1, 0, 0));
    hung.assert_free().await;
}

#[tokio::test]
async fn a_run_that_never_ends_is_not_watched_for_ever() {
    let hung = Hung::start().await;
    hung.double.on_cancel(too_late());
    hung.end().await;
    let mut watched = Duration::ZERO;
    while hung.jobs().await > 0 {
        hung.app.advance(Duration::from_mins(5)).await;
        watched += Duration::from_mins(5);
        assert!(watched < 2 * hung.deadline, "it is still watched");
    }
    assert_eq!((hung.double.asked("submit"), hung.double.asked("cancel")), (1, 1));
    assert_eq!(hung.generation().await["attempts"][0]["outcome"], "FAILED");
    hung.assert_free().await;
}

/// From a cancel that comes before the worker to one that comes after it, through every moment in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cancel_and_a_result_race_and_the_answer_says_who_won() {
    const ROUNDS: u32 = 14;
    let double = Double::start().await;
    let app = TestApp::with(Plan::Pro, double.settings()).await;
    let key = app.live_key().await;
    let (mut won, mut charged) = (0, 0);
    for round in 0..ROUNDS {
        let asked = app.ask_as(&key, None, live_video("a")).await;
        let cost = asked.body["data"]["generate"]["creditCost"].as_i64().unwrap();
        let id = asked.id();
        app.advance(Duration::ZERO).await;
        app.clock.advance(Duration::from_secs(2));
        let cancelled = match round {
            0 => app.cancel_as(&key, &id).await,
            last if last == ROUNDS - 1 => {
                app.drain_apart().await.unwrap();
                app.cancel_as(&key, &id).await
            }
            _ => {
                let worker = app.drain_apart();
                tokio::time::sleep(Duration::from_millis(u64::from(round) * 4)).await;
                let cancelled = app.cancel_as(&key, &id).await;
                worker.await.unwrap();
                cancelled
            }
        };
        app.advance(Duration::from_secs(1)).await;
        let ended = app.generation_as(&key, &id).await;
        let (status, has_file) = (ended["status"].as_str().unwrap(), ended["url"].is_string());
        assert_eq!((status, has_file), if cancelled == true { ("CANCELLED", false) } else { ("COMPLETED", true) });
        won += u32::from(cancelled == true);
        charged += if cancelled == true { 0 } else { cost };
        let credits = app.account(&key).await["credits"].clone();
        assert_eq!(credits, json!({"balance": 100_000 - charged, "held": 0, "available": 100_000 - charged}));
    }
    assert!(won > 0 && won < ROUNDS, "the cancel won {won} times");
    app.audit().await;
}
