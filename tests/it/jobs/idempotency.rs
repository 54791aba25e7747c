//! `Idempotency-Key`: the same key and the same request give the same generation, once.

use std::time::Duration;

use doitong::{
    accounts::Agreed,
    domain::{Credits, Mode, Plan},
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Double, GENERATE, IMAGE_COST, TestApp, image};

async fn ask(app: &TestApp, key: &str, text: &str) -> Answer {
    app.ask_as(&app.key.key, Some(key), image(text)).await
}

#[tokio::test]
async fn a_repeated_request_is_replayed_in_whatever_state_its_generation_is() {
    let app = TestApp::start().await;
    let first = ask(&app, "k", "a").await;
    assert!(!first.is_replay());
    let again = ask(&app, "k", "a").await;
    assert_eq!((again.id(), again.is_replay()), (first.id(), true));
    app.finish(&first.id()).await;
    let done = ask(&app, "k", "a").await;
    assert_eq!((&done.body["data"]["generate"]["status"], done.id()), (&"COMPLETED".into(), first.id()));
    assert_eq!(app.account(&app.key.key).await["credits"]["balance"], 100_000 - IMAGE_COST);
}

#[tokio::test]
async fn another_request_with_the_key_is_a_mismatch_and_another_account_is_not() {
    let app = TestApp::start().await;
    let first = ask(&app, "k", "a").await;
    let mismatch = ask(&app, "k", "b").await;
    assert_eq!(mismatch.refusal(), ("INVALID_INPUT", "IDEMPOTENCY_MISMATCH"));
    assert_eq!(mismatch.body["errors"][0]["extensions"]["generationId"], first.id());
    let labelled = json!({"type": "IMAGE", "provider": "flux-dev", "input": {"text": "a"}, "labels": {"a": 1}});
    assert_eq!(app.ask_as(&app.key.key, Some("k"), labelled).await.refusal().1, "IDEMPOTENCY_MISMATCH");
    let other = app.new_key("other", Plan::Free, Mode::Test, None).await.key;
    assert_ne!(app.ask_as(&other, Some("k"), image("b")).await.id(), first.id());
}

#[tokio::test]
async fn a_refused_request_leaves_no_key_behind() {
    let app = TestApp::on(Plan::Free).await;
    let key = app.new_key("poor", Plan::Free, Mode::Test, Some(0)).await.key;
    assert_eq!(app.ask_as(&key, Some("k"), image("a")).await.refusal().0, "INSUFFICIENT_CREDITS");
    let unknown = json!({"type": "IMAGE", "provider": "nobody", "input": {"text": "a"}});
    assert_eq!(app.ask_as(&key, Some("k"), unknown).await.refusal().0, "INVALID_INPUT");
    assert_eq!(app.count("select count(*) from idempotency").await, 0);
    app.app.accounts.credit("poor", Mode::Test, Credits::new(IMAGE_COST)).await.unwrap();
    let answer = app.ask_as(&key, Some("k"), image("another")).await;
    answer.id();
    assert!(!answer.is_replay());
}

#[tokio::test]
async fn a_replay_needs_no_room_and_no_money() {
    let app = TestApp::start().await;
    let key = app.new_key("poor", Plan::Free, Mode::Test, Some(IMAGE_COST)).await.key;
    let agreed = Agreed { per_minute: Some(1), daily: Some(1), queued: Some(0), concurrent: Some(1) };
    app.app.accounts.set_plan("poor", Plan::Free, &agreed).await.unwrap();
    let first = app.ask_as(&key, Some("k"), image("a")).await;
    assert_eq!(app.ask_as(&key, Some("l"), image("a")).await.status, 429);
    let again = app.ask_as(&key, Some("k"), image("a")).await;
    assert_eq!((again.id(), again.status, again.is_replay()), (first.id(), 200, true));
    assert_eq!(app.ask_as(&key, Some("k"), image("b")).await.refusal().1, "IDEMPOTENCY_MISMATCH");
}

#[tokio::test]
async fn a_replay_needs_no_provider() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Free, double.settings()).await;
    let live = app.new_key(&app.key.account, Plan::Free, Mode::Live, Some(10_000)).await.key;
    let input = json!({"type": "VIDEO", "provider": "vidu", "input": {"text": "a"}});
    let first = app.ask_as(&live, Some("k"), input.clone()).await;
    let without = app.beside().await;
    assert_eq!(without.ask_as(&live, Some("l"), input.clone()).await.refusal().0, "PROVIDER_UNAVAILABLE");
    let again = without.ask_as(&live, Some("k"), input).await;
    assert_eq!((again.id(), again.is_replay()), (first.id(), true));
    let other = json!({"type": "VIDEO", "provider": "vidu", "input": {"text": "b"}});
    assert_eq!(without.ask_as(&live, Some("k"), other).await.refusal().1, "IDEMPOTENCY_MISMATCH");
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let app = TestApp::start().await;
    let first = ask(&app, "k", "a").await;
    app.clock.advance(Duration::from_secs(86_000));
    assert_eq!(ask(&app, "k", "a").await.id(), first.id());
    app.clock.advance(Duration::from_secs(400));
    let fresh = ask(&app, "k", "b").await;
    assert!(!fresh.is_replay() && fresh.id() != first.id());
    app.clock.advance(Duration::from_hours(25));
    app.app.jobs.keep_house(0).await.unwrap();
    assert_eq!(app.count("select count(*) from idempotency").await, 0);
}

#[tokio::test]
async fn several_fields_are_told_apart_by_their_response_names() {
    let app = TestApp::start().await;
    let query = "mutation ($one: GenerateInput!, $two: GenerateInput!) { a: generate(input: $one) { id } b: generate(input: $two) { id } }";
    let reordered = "mutation ($one: GenerateInput!, $two: GenerateInput!) { b: generate(input: $two) { status id } a: generate(input: $one) { id } }";
    let variables = json!({"one": image("same"), "two": image("same")});
    let first = app.answer(&app.key.key, Some("k"), query, variables.clone()).await;
    let again = app.answer(&app.key.key, Some("k"), reordered, variables).await;
    let (first_data, again_data) = (&first.body["data"], &again.body["data"]);
    assert_ne!(first_data["a"]["id"], first_data["b"]["id"], "{first_data:#}");
    assert_eq!((&first_data["a"]["id"], &first_data["b"]["id"]), (&again_data["a"]["id"], &again_data["b"]["id"]));
    assert!(again.is_replay());
    assert_eq!(app.count("select count(*) from generation").await, 2);
}

#[tokio::test]
async fn literal_variable_and_member_order_make_no_difference() {
    let app = TestApp::start().await;
    let input = r#"{type: IMAGE, provider: "flux-dev", input: {text: "a"}, options: {seed: 7, aspectRatio: "1:1"}}"#;
    let literal = format!("mutation {{ generate(input: {input}) {{ id }} }}");
    let first = app.answer(&app.key.key, Some("k"), &literal, json!({})).await.id();
    let inputs: [Value; 2] = [
        json!({"type": "IMAGE", "provider": "flux-dev", "input": {"text": "a"}, "options": {"aspectRatio": "1:1", "seed": 7}}),
        json!({"options": {"seed": 7.0, "aspectRatio": "1:1"}, "input": {"text": "a", "image": null}, "provider": "flux-dev",
            "type": "IMAGE", "priority": null}),
    ];
    for input in inputs {
        let again = app.answer(&app.key.key, Some("k"), GENERATE, json!({"input": input})).await;
        assert_eq!((again.id(), again.is_replay()), (first.clone(), true), "{input}");
    }
}

#[tokio::test]
async fn a_malformed_key_is_invalid_and_starts_nothing() {
    let app = TestApp::start().await;
    for key in ["", " ", "with space", "k\u{e9}y", &"k".repeat(256)] {
        let refused = ask(&app, key, "a").await;
        assert_eq!(refused.refusal().0, "INVALID_INPUT", "{key:?}");
        assert_eq!(refused.number("x-ratelimit-remaining"), 60);
    }
    ask(&app, &"~".repeat(255), "a").await.id();
    assert_eq!(app.count("select count(*) from generation").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_race_for_the_last_credits_the_losers_keep_their_keys() {
    let app = TestApp::start().await;
    let key = app.new_key("poor", Plan::Pro, Mode::Test, Some(IMAGE_COST)).await.key;
    let names: Vec<_> = (0..20).map(|n| format!("k{n}")).collect();
    let answers = join_all(names.iter().map(|name| app.ask_as(&key, Some(name), image(name)))).await;
    let winners = answers.iter().filter(|answer| answer.body["data"]["generate"]["id"].is_string()).count();
    assert_eq!((winners, app.count("select count(*) from idempotency").await), (1, 1));
    app.app.accounts.credit("poor", Mode::Test, Credits::new(19 * IMAGE_COST)).await.unwrap();
    let again = join_all(names.iter().map(|name| app.ask_as(&key, Some(name), image(name)))).await;
    assert_eq!(again.iter().filter(|answer| answer.is_replay()).count(), 1);
    assert_eq!(app.account(&key).await["credits"], json!({"balance": 500, "held": 500, "available": 0}));
    app.audit().await;
}

#[tokio::test]
async fn after_a_crash_another_process_replays() {
    let app = TestApp::start().await;
    let (key, other) = (app.key.key.clone(), app.beside().await);
    let first = ask(&app, "k", "a").await.id();
    drop(app);
    let again = other.ask_as(&key, Some("k"), image("a")).await;
    assert_eq!((again.id(), again.is_replay()), (first, true));
}
