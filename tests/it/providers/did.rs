//! D-ID against its double.

use doitong::{
    domain::{Verdict, fault::Kind},
    providers::{Cx, Handle, Provider, Reconciled, Task, adapters::did::Did},
};
use serde_json::{Value, json};

use super::{
    doubles::did::{Double, KEY},
    support::{self, finish, run, run_every_route},
};

async fn start() -> Cx {
    let base = support::serve(Double::default().router()).await;
    support::cx(&Did, &base, &[("DID_API_KEY", KEY)])
}

fn task(model: &str, text: &str, options: &Value) -> Task {
    support::task("did", "d-id", model, &json!({ "text": text }), options)
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let cx = start().await;
    run_every_route(&Did, &cx).await;
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[timeout]]", Kind::Down, Verdict::Unknown),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
        ("[[faceless]]", Kind::InvalidInput, Verdict::Refused),
        ("[[rejected]]", Kind::Moderated, Verdict::Refused),
    ] {
        let fault = run(&Did, &cx, &task("talks", words, &json!({}))).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
}

#[tokio::test]
async fn voices_and_presenters_are_found_by_name() {
    let cx = start().await;
    for (model, options) in [
        ("talks", json!({ "voice": "Joanna" })),
        ("talks", json!({ "voice": "elevenlabs:21m00Tcm4TlvDq8ikWAM" })),
        ("clips", json!({ "avatarId": "amy" })),
        ("expressives", json!({ "avatarId": "Leo" })),
    ] {
        run(&Did, &cx, &task(model, "Hello", &options)).await.unwrap();
    }
    for (model, options) in [
        ("talks", json!({ "voice": "Zaphod" })),
        ("clips", json!({ "avatarId": "Zaphod" })),
        ("expressives", json!({ "avatarId": "Leo", "gesture": "friendly" })),
        ("clips", json!({ "background": "the moon" })),
    ] {
        let fault = run(&Did, &cx, &task(model, "Hello", &options)).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (Kind::InvalidInput, Verdict::Refused), "{options}");
    }
}

#[tokio::test]
async fn a_lost_submit_is_looked_for_in_the_list() {
    let cx = start().await;
    let lost = task("talks", "[[garbled]]", &json!({}));
    assert_eq!(Did.submit(&cx, &lost).await.unwrap_err().verdict, Verdict::Unknown);
    let Reconciled::Found(handle) = Did.reconcile(&cx, &lost).await.unwrap() else { panic!("not found") };
    finish(&Did, &cx, &lost, &handle).await.unwrap();
    // What the list does not show may be under way all the same.
    let other = task("talks", "never sent", &json!({}));
    assert!(matches!(Did.reconcile(&cx, &other).await, Ok(Reconciled::Unsupported)));
}

#[tokio::test]
async fn an_unknown_state_is_still_running() {
    let cx = start().await;
    let task = task("talks", "[[odd]]", &json!({}));
    run(&Did, &cx, &task).await.unwrap();
    assert_eq!(Did.poll(&cx, &task, &Handle("tlk_99".into())).await.unwrap_err().kind, Kind::Gone);
}

#[tokio::test]
async fn a_key_is_checked_without_spending() {
    let cx = start().await;
    Did.check(&cx).await.unwrap();
    let cx = support::cx(&Did, &cx.base.clone().unwrap(), &[("DID_API_KEY", "wrong")]);
    assert_eq!(Did.check(&cx).await.unwrap_err().kind, Kind::Account);
}
