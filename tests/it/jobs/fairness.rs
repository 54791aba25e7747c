//! One account's backlog does not delay another's job.

use std::time::Duration;

use doitong::{
    accounts::Agreed,
    domain::{Mode, Plan},
};
use futures_util::future::join_all;

use crate::support::{Double, GENERATION, Said, TestApp, image, live_video};

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
        while generation["status"] != "COMPLETED" {
            assert_ne!(generation["status"], "FAILED", "{generation:#}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            generation = app.generation(&id).await;
        }
        assert_eq!(generation["attempts"].as_array().unwrap().len(), 1);
    }
    app.audit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_upstream_does_not_take_the_places_of_the_others() {
    let double = Double::start().await;
    let settings = double.settings();
    let app = TestApp::with(Plan::Enterprise, |config, secrets| {
        settings(config, secrets);
        config.worker.concurrency = 12;
    })
    .await;
    let key = app.live_key().await;
    (0..24).for_each(|_| double.on_submit(Said::Late(Duration::from_secs(20))));
    for n in 0..24 {
        app.ask_as(&key, None, live_video(&n.to_string())).await.id();
    }
    app.work();
    double.until_asked("submit").await;
    let id = app.ask(image("quick")).await.id();
    while app.generation(&id).await["status"] != "COMPLETED" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(double.asked("submit") <= 10, "the quick one waited for the slow ones");
}

#[tokio::test]
async fn a_few_webhooks_of_one_account_are_sent_at_once() {
    let app = TestApp::start().await;
    for n in 0..20 {
        let mut input = image(&n.to_string());
        input["webhookUrl"] = "http://127.0.0.1:9/".into();
        let id = app.ask(input).await.id();
        app.cancel(&id).await;
    }
    let webhooks = &app.app.webhooks;
    let (_, due) = webhooks.claim(64, Duration::from_mins(1), 8, &[]).await.unwrap();
    assert_eq!(due.len(), 8);
    let (_, others) = webhooks.claim(64, Duration::from_mins(1), 8, &[due[0].account]).await.unwrap();
    assert!(others.is_empty());
}
