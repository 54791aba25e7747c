//! `HeyGen` against its double.

use std::time::Duration;

use doitong::{
    domain::{Verdict, fault::Kind},
    providers::{Cx, Handle, Provider, Reconciled, adapters::heygen::HeyGen},
};
use serde_json::{Value, json};

use super::{
    doubles::heygen::{Double, KEY},
    support::{self, finish, run, run_every_route},
};

async fn start() -> (Double, Cx) {
    let double = Double::default();
    let base = support::serve(double.router()).await;
    let cx = support::cx(&HeyGen, &base, &[("HEYGEN_API_KEY", KEY)]);
    (double, cx)
}

fn task(model: &str, text: &str, options: &Value) -> doitong::providers::Task {
    support::task("heygen", "heygen", model, &json!({ "text": text }), options)
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let (_, cx) = start().await;
    run_every_route(&HeyGen, &cx).await;
}

#[tokio::test]
async fn the_published_example_is_served() {
    let (double, cx) = start().await;
    let options = json!({
        "avatarId": "Kate (female)", "voice": "Professional (female)", "background": "#E8ECF0", "gesture": "Warm.",
    });
    let outputs = run(&HeyGen, &cx, &task("avatar-iv", "Hello", &options)).await.unwrap();
    let expected = json!({
        "type": "avatar", "avatar_id": "look_kate", "script": "Hello", "voice_id": "voice_ann_1",
        "background": { "type": "color", "value": "#E8ECF0" },
    });
    assert_eq!(double.created(), [expected]);
    // A studio look does not act gestures on this engine, and the result says so.
    assert_eq!(outputs.notes["note"], json!("gesture: not acted by this avatar"));
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let (_, cx) = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Down, Verdict::Unknown),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[running]]", Kind::Busy, Verdict::Unknown),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
        ("[[rejected]]", Kind::Moderated, Verdict::Refused),
    ] {
        let fault = run(&HeyGen, &cx, &task("avatar-iv", words, &json!({}))).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
    for options in [json!({ "avatarId": "Zaphod" }), json!({ "avatarId": "look_99" }), json!({ "voice": "Zaphod" })] {
        let fault = run(&HeyGen, &cx, &task("avatar-iv", "Hello", &options)).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (Kind::InvalidInput, Verdict::Refused), "{options}");
    }
}

#[tokio::test]
async fn a_lost_submit_is_found_under_its_key() {
    let (double, cx) = start().await;
    let lost = task("avatar-iv", "[[garbled]]", &json!({}));
    assert_eq!(HeyGen.submit(&cx, &lost).await.unwrap_err().verdict, Verdict::Unknown);
    let Reconciled::Found(handle) = HeyGen.reconcile(&cx, &lost).await.unwrap() else { panic!("not found") };
    finish(&HeyGen, &cx, &lost, &handle).await.unwrap();
    assert_eq!(double.created().len(), 1);
    // The key is remembered for a day; to send it later would make a second video.
    cx.clock.advance(Duration::from_hours(24));
    assert!(matches!(HeyGen.reconcile(&cx, &lost).await, Ok(Reconciled::Unsupported)));
}

#[tokio::test]
async fn an_unknown_state_is_still_running() {
    let (_, cx) = start().await;
    let task = task("avatar-iv", "[[odd]]", &json!({}));
    run(&HeyGen, &cx, &task).await.unwrap();
    assert_eq!(HeyGen.poll(&cx, &task, &Handle("v99".into())).await.unwrap_err().kind, Kind::Gone);
}

#[tokio::test]
async fn a_key_is_checked_without_spending() {
    let (_, cx) = start().await;
    HeyGen.check(&cx).await.unwrap();
    let cx = support::cx(&HeyGen, &cx.base.clone().unwrap(), &[("HEYGEN_API_KEY", "wrong")]);
    assert_eq!(HeyGen.check(&cx).await.unwrap_err().kind, Kind::Account);
}
