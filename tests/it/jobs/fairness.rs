//! One account's backlog does not delay another's job.

use std::time::Duration;

use doitong::{
    accounts::Agreed,
    domain::{Mode, Plan},
};
use futures_util::future::join_all;

use crate::support::{GENERATION, TestApp, image};

#[tokio::test]
async fn a_backlog_of_a_hundred_delays_only_its_own_account() {
    let app = TestApp::on(Plan::Enterprise).await;
    app.set_plan(Plan::Enterprise, Agreed { concurrent: Some(2), ..Agreed::default() }).await;
    join_all((0..100).map(|_| app.ask(image("[[slow]]")))).await;
    let key = app.new_key("other", Plan::Free, Mode::Test, None).await.key;
    let id = app.ask_as(&key, None, image("quick")).await.id();
    for _ in 0..5 {
        app.advance(Duration::from_secs(1)).await;
    }
    let generation =
        app.answer(&key, None, GENERATION, serde_json::json!({"id": id})).await.body["data"]["generation"].clone();
    assert_eq!(generation["status"], "COMPLETED", "{generation:#}");
    assert_eq!(app.count("select count(*) from job where stage = 'waiting'").await, 98);
    assert_eq!(app.count("select count(*) from job where stage = 'running'").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_of_two_processes_share_a_backlog_and_do_each_job_once() {
    let app = TestApp::on(Plan::Enterprise).await;
    let other = app.beside().await;
    app.set_plan(Plan::Enterprise, Agreed { concurrent: Some(5), ..Agreed::default() }).await;
    app.work();
    other.work();
    let answers = join_all((0..12).map(|n| app.ask(image(&n.to_string())))).await;
    for answer in answers {
        let id = answer.id();
        let mut generation = app.generation(&id).await;
        while !generation["status"].as_str().is_some_and(|status| status == "COMPLETED") {
            assert_ne!(generation["status"], "FAILED", "{generation:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            generation = app.generation(&id).await;
        }
        assert_eq!(generation["attempts"].as_array().unwrap().len(), 1);
    }
    app.audit().await;
}
