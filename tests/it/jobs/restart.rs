//! Any process may be killed at any moment; another one goes on, and nothing is lost or done twice.

use std::time::Duration;

use doitong::{
    config::{Config, Secrets},
    domain::Plan,
    jobs::{Change, End, Ending, Failure, LeaseLost},
};
use serde_json::json;

use crate::support::{Double, Said, TestApp, image, live_video};

/// A step that nobody finishes is due again after this.
const LEASE: Duration = Duration::from_secs(61);

#[tokio::test]
async fn a_process_killed_between_intent_and_submit_is_made_good_where_the_upstream_can_tell() {
    let (app, id) = {
        let app = TestApp::start().await;
        let id = app.ask(image("a")).await.id();
        let (lease, jobs) = app.app.jobs.claim(10, &[], LEASE).await.unwrap();
        app.app.jobs.intend(jobs[0].id, lease).await.unwrap().unwrap();
        (app.beside().await, id)
    };
    app.advance(Duration::from_secs(1)).await;
    assert_eq!(app.generation(&id).await["status"], "PENDING", "the lease still holds");
    app.advance(LEASE).await;
    assert_eq!(app.finish(&id).await["status"], "COMPLETED");
    app.audit().await;
}

#[tokio::test]
async fn a_submit_whose_answer_died_with_its_process_is_not_sent_twice() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Free, double.settings()).await;
    let (key, other) = (app.live_key().await, app.beside_with(double.settings()).await);
    double.on_submit(Said::Late(Duration::from_secs(5)));
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    let worker = app.drain_apart();
    double.until_asked("submit").await;
    worker.abort();
    other.advance(LEASE).await;
    let ended = other.generation_as(&key, &id).await;
    assert_eq!((&ended["status"], &ended["error"]["reason"]), (&"FAILED".into(), &"SUBMISSION_UNKNOWN".into()));
    assert_eq!((&ended["attempts"][0]["outcome"], double.asked("submit")), (&"UNKNOWN".into(), 1));
    assert_eq!(other.account(&key).await["credits"], json!({"balance": 100_000, "held": 0, "available": 100_000}));
    other.audit().await;
}

#[tokio::test]
async fn a_run_goes_on_with_another_process() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Free, double.settings()).await;
    let (key, other) = (app.live_key().await, app.beside_with(double.settings()).await);
    double.runs_for(1);
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    app.advance(Duration::ZERO).await;
    drop(app);
    for _ in 0..3 {
        other.advance(Duration::from_secs(2)).await;
    }
    assert_eq!(other.generation_as(&key, &id).await["status"], "COMPLETED");
    assert_eq!((double.asked("submit"), double.asked("poll")), (1, 2));
}

#[tokio::test]
async fn a_result_that_was_being_copied_is_copied_by_another_process() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Free, double.settings()).await;
    let (key, other) = (app.live_key().await, app.beside_with(double.settings()).await);
    double.on_file(Said::Late(Duration::from_secs(5)));
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    app.advance(Duration::ZERO).await;
    app.clock.advance(Duration::from_secs(2));
    let worker = app.drain_apart();
    double.until_asked("file").await;
    worker.abort();
    other.advance(LEASE).await;
    let done = other.generation_as(&key, &id).await;
    assert_eq!((&done["status"], &done["attempts"][0]["outcome"]), (&"COMPLETED".into(), &"COMPLETED".into()));
    assert_eq!((double.asked("poll"), double.asked("file")), (1, 2));
    other.audit().await;
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_changes_nothing() {
    let app = TestApp::start().await;
    let id = app.ask(image("a")).await.id();
    let jobs = &app.app.jobs;
    let (old, claimed) = jobs.claim(1, &[], LEASE).await.unwrap();
    let job = &claimed[0];
    app.clock.advance(LEASE + LEASE);
    let (new, taken_over) = jobs.claim(1, &[], LEASE).await.unwrap();
    let now = app.clock.now();
    assert_eq!(jobs.prolong(job.id, old, LEASE).await.unwrap(), Err(LeaseLost));
    assert_eq!(jobs.intend(job.id, old).await.unwrap(), Err(LeaseLost));
    assert_eq!(jobs.put_back(job.id, old, now, 0).await.unwrap(), Err(LeaseLost));
    let resubmit = Change::Resubmit { due_at: now, patience_until: now };
    assert_eq!(jobs.advance(job, old, &resubmit, &[]).await.unwrap(), Err(LeaseLost));
    let failure = Failure { code: "GENERATION_FAILED".into(), reason: None, message: String::new(), retryable: true };
    let end = End { result: Ending::Failed(failure), attempts: Vec::new(), stop_at: None };
    assert_eq!(jobs.finish(job, old, end).await.unwrap(), Err(LeaseLost));
    assert_eq!(app.generation(&id).await["status"], "PENDING");
    jobs.intend(taken_over[0].id, new).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_end_that_was_written_but_not_answered_keeps_its_files() {
    let app = TestApp::start().await;
    let id = app.ask(image("a")).await.id();
    let done = app.finish(&id).await;
    // The same end once more, as a worker tries it whose answer was lost.
    let found = app.app.jobs.find_of(caller_account(&app).await, doitong::domain::Mode::Test, parse(&id)).await;
    let generation = found.unwrap().unwrap();
    let next = app.ask(image("b")).await.id();
    let (lease, claimed) = app.app.jobs.claim(1, &[], LEASE).await.unwrap();
    let job = doitong::jobs::Claimed { id: generation.id, ..claimed[0].clone() };
    let result = Ending::Completed { assets: generation.assets, metadata: json!({}) };
    let end = End { result, attempts: Vec::new(), stop_at: None };
    assert_eq!(app.app.jobs.finish(&job, lease, end).await.unwrap(), Ok(()));
    let file = app.http.get(done["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(file.status(), 200);
    assert_eq!(app.generation(&next).await["status"], "PENDING");
    app.audit().await;
}

async fn caller_account(app: &TestApp) -> doitong::domain::AccountId {
    app.app.accounts.caller(&app.key.key).await.unwrap().unwrap().account
}

fn parse(id: &serde_json::Value) -> doitong::domain::GenerationId {
    id.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_submit_that_takes_longer_than_its_lease_is_not_taken_over() {
    let double = Double::start().await;
    let change = |settings: &dyn Fn(&mut Config, &mut Secrets), config: &mut Config, secrets: &mut Secrets| {
        settings(config, secrets);
        config.worker.lease_seconds = 1;
    };
    let settings = double.settings();
    let app = TestApp::with(Plan::Free, |config, secrets| change(&settings, config, secrets)).await;
    let other = app.beside_with(|config, secrets| change(&settings, config, secrets)).await;
    let key = app.live_key().await;
    double.on_submit(Said::Late(Duration::from_secs(4)));
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    let worker = app.drain_apart();
    double.until_asked("submit").await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        other.advance(Duration::ZERO).await;
        assert_eq!(other.generation_as(&key, &id).await["status"], "PENDING");
    }
    worker.await.unwrap();
    assert_eq!(other.generation_as(&key, &id).await["status"], "PROCESSING");
}
