//! The limits of the plans, at their edges.

use std::time::Duration;

use doitong::{
    accounts::Agreed,
    domain::{Mode, Plan},
};
use serde_json::{Value, json};

use crate::support::{Answer, Double, GENERATE, IMAGE_COST, TestApp, image};

async fn ask_times(app: &TestApp, times: i64) -> Vec<Answer> {
    let mut answers = Vec::new();
    for n in 0..times {
        answers.push(app.ask(image(&n.to_string())).await);
    }
    answers
}

#[tokio::test]
async fn each_plan_admits_its_number_a_minute_and_refills_evenly() {
    for (plan, per_minute) in [(Plan::Free, 10), (Plan::Starter, 30), (Plan::Pro, 60)] {
        let app = TestApp::on(plan).await;
        app.hold_minute().await;
        for (answer, left) in ask_times(&app, per_minute).await.iter().zip((0..per_minute).rev()) {
            answer.id();
            assert_eq!(answer.number("x-ratelimit-remaining"), left);
        }
        let refused = app.ask(image("one too many")).await;
        assert_eq!((refused.status, refused.refusal()), (429, ("RATE_LIMIT", "REQUESTS_PER_MINUTE")));
        assert_eq!(refused.number("retry-after"), 60 / per_minute);
        assert_eq!(refused.number("x-ratelimit-reset"), 60);
        app.clock.advance(Duration::from_secs(3600 + 60 / per_minute.unsigned_abs()));
        let level = "select ceil(minute_level)::bigint from purse where mode = 'test' and minute_level > 0";
        app.ask(image("after the wait")).await.id();
        assert!(app.count(level).await <= per_minute);
    }
}

#[tokio::test]
async fn the_day_ends_at_midnight_utc() {
    let app = TestApp::on(Plan::Free).await;
    app.set_plan(Plan::Free, Agreed { daily: Some(2), queued: Some(10), ..Agreed::default() }).await;
    assert_eq!(ask_times(&app, 2).await[1].number("x-ratelimit-daily-remaining"), 0);
    let refused = app.ask(image("tomorrow")).await;
    assert_eq!((refused.status, refused.refusal()), (429, ("RATE_LIMIT", "DAILY_LIMIT")));
    let wait = refused.number("retry-after");
    assert!((1..=86_400).contains(&wait), "{wait}");
    app.clock.advance(Duration::from_secs(wait.unsigned_abs()));
    let answer = app.ask(image("tomorrow")).await;
    answer.id();
    assert_eq!(answer.number("x-ratelimit-daily-limit"), 2);
    assert_eq!(answer.number("x-ratelimit-daily-remaining"), 1);
}

#[tokio::test]
async fn on_the_free_plan_one_runs_ten_wait_and_the_twelfth_is_refused() {
    let app = TestApp::on(Plan::Free).await;
    app.set_plan(Plan::Free, Agreed { per_minute: Some(100), ..Agreed::default() }).await;
    let answers = ask_times(&app, 11).await;
    let positions: Vec<_> =
        answers.iter().map(|answer| answer.body["data"]["generate"]["queuePosition"].clone()).collect();
    assert_eq!(positions[0], Value::Null);
    assert_eq!(positions[1..], (1..=10).map(Value::from).collect::<Vec<_>>());
    let refused = app.ask(image("the twelfth")).await;
    assert_eq!((refused.status, refused.refusal()), (429, ("RATE_LIMIT", "QUEUE_FULL")));
    assert!(refused.number("retry-after") > 0);
    assert_eq!(app.cancel(&answers[0].id()).await, true);
    for (n, answer) in answers[1..].iter().enumerate() {
        let position = app.generation(&answer.id()).await["queuePosition"].clone();
        assert_eq!(position, if n == 0 { Value::Null } else { n.into() });
    }
    app.ask(image("the twelfth")).await.id();
    app.audit().await;
}

#[tokio::test]
async fn the_first_of_minute_day_queue_and_credits_is_named() {
    let app = TestApp::start().await;
    let key = app.new_key("poor", Plan::Free, Mode::Test, Some(3 * IMAGE_COST)).await.key;
    let agreed = Agreed { per_minute: Some(3), concurrent: Some(1), daily: Some(3), queued: Some(2) };
    app.app.accounts.set_plan("poor", Plan::Free, &agreed).await.unwrap();
    app.hold_minute().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(app.ask_as(&key, None, image(&n.to_string())).await.id());
    }
    let video = json!({"type": "VIDEO", "provider": "kling", "input": {"text": "a"}});
    let reason = async || app.ask_as(&key, None, video.clone()).await.refusal().1.to_owned();
    assert_eq!(reason().await, "REQUESTS_PER_MINUTE");
    app.clock.advance(Duration::from_mins(61));
    assert_eq!(reason().await, "DAILY_LIMIT");
    app.clock.advance(Duration::from_hours(24));
    assert_eq!(reason().await, "QUEUE_FULL");
    let cancel = "mutation C($id: ID!) { cancelGeneration(id: $id) }";
    app.answer(&key, None, cancel, json!({"id": ids[2]})).await;
    assert_eq!(app.ask_as(&key, None, video).await.refusal().0, "INSUFFICIENT_CREDITS");
    app.ask_as(&key, None, image("affordable")).await.id();
    app.audit().await;
}

#[tokio::test]
async fn each_aliased_field_counts_one() {
    let app = TestApp::on(Plan::Free).await;
    app.hold_minute().await;
    let query =
        "mutation ($input: GenerateInput!) { a: generate(input: $input) { id } b: generate(input: $input) { id }
        c: generate(input: $input) { id } }";
    let answer = app.answer(&app.key.key, None, query, json!({"input": image("thrice")})).await;
    assert_eq!(answer.number("x-ratelimit-remaining"), 7, "{:#}", answer.body);
    assert_eq!(answer.number("x-ratelimit-daily-remaining"), 97);
    assert_eq!(answer.number("x-credits-remaining"), 100_000 - 3 * IMAGE_COST);
}

#[tokio::test]
async fn refused_requests_and_reads_count_nothing() {
    let app = TestApp::on(Plan::Free).await;
    app.hold_minute().await;
    app.set_plan(Plan::Free, Agreed { queued: Some(0), ..Agreed::default() }).await;
    app.hold_minute().await;
    app.ask(image("the only one")).await.id();
    for input in [image("queue full"), json!({"type": "IMAGE", "provider": "nobody", "input": {"text": "a"}})] {
        let refused = app.ask(input).await;
        refused.refusal();
        assert_eq!(refused.number("x-ratelimit-remaining"), 9);
        assert_eq!(refused.number("x-ratelimit-daily-remaining"), 99);
        assert_eq!(refused.number("x-credits-remaining"), 100_000 - IMAGE_COST);
    }
    let read = app.answer(&app.key.key, None, "{ account { id } }", json!({})).await;
    assert_eq!((read.number("x-ratelimit-limit"), read.number("x-ratelimit-remaining")), (10, 9));
}

#[tokio::test]
async fn a_larger_plan_starts_waiting_jobs_at_once_and_gives_nothing_back() {
    let app = TestApp::on(Plan::Free).await;
    app.hold_minute().await;
    let answers = ask_times(&app, 6).await;
    app.hold_minute().await;
    app.set_plan(Plan::Starter, Agreed::default()).await;
    let account = app.account(&app.key.key).await;
    assert_eq!((&account["usage"]["running"], &account["usage"]["queued"]), (&3.into(), &3.into()), "{account:#}");
    assert_eq!(account["usage"]["minuteRemaining"], 24);
    assert_eq!(app.generation(&answers[3].id()).await["queuePosition"], 1);
    app.set_plan(Plan::Free, Agreed::default()).await;
    let answer = app.ask(image("waits")).await;
    assert_eq!(answer.body["data"]["generate"]["queuePosition"], 4);
    assert_eq!(answer.number("x-ratelimit-remaining"), 3);
    assert_eq!(app.account(&app.key.key).await["usage"]["running"], 3);
    app.finish(&answer.id()).await;
    app.audit().await;
}

#[tokio::test]
async fn an_agreed_number_holds_and_no_daily_limit_has_no_header() {
    let app = TestApp::on(Plan::Enterprise).await;
    app.set_plan(Plan::Enterprise, Agreed { per_minute: Some(2), ..Agreed::default() }).await;
    app.hold_minute().await;
    let answers = ask_times(&app, 3).await;
    assert_eq!(answers[1].number("x-ratelimit-remaining"), 0);
    assert!(!answers[1].headers.contains_key("x-ratelimit-daily-limit"));
    assert_eq!(answers[2].refusal(), ("RATE_LIMIT", "REQUESTS_PER_MINUTE"));
    assert_eq!(answers[2].number("retry-after"), 30);
}

#[tokio::test]
async fn test_and_live_are_counted_and_paid_apart() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Free, double.settings()).await;
    let live = app.new_key(&app.key.account, Plan::Free, Mode::Live, Some(10_000)).await.key;
    app.hold_minute().await;
    app.ask(image("test")).await.id();
    let input = json!({"type": "VIDEO", "provider": "vidu", "input": {"text": "live"}});
    let answer = app.answer(&live, None, GENERATE, json!({"input": input})).await;
    let cost = answer.body["data"]["generate"]["creditCost"].as_i64().unwrap();
    assert_eq!(answer.body["data"]["generate"]["queuePosition"], Value::Null);
    assert_eq!(answer.number("x-ratelimit-remaining"), 9);
    assert_eq!(answer.number("x-credits-remaining"), 10_000 - cost);
    assert_eq!(app.account(&app.key.key).await["credits"]["available"], 100_000 - IMAGE_COST);
    let other =
        app.answer(&app.key.key, None, "query G($id: ID!) { generation(id: $id) { id } }", json!({"id": answer.id()}));
    assert_eq!(other.await.refusal().0, "NOT_FOUND");
}
