//! sync. against its double.

use doitong::{
    domain::{Verdict, fault::Kind},
    providers::{Cx, Handle, Provider, Reconciled, Task, adapters::sync::Sync},
};
use serde_json::json;

use super::{
    doubles::sync::{Double, KEY},
    support::{self, LINK, finish, run, run_every_route},
};

async fn start() -> (Double, Cx) {
    let double = Double::default();
    let base = support::serve(double.router()).await;
    let cx = support::cx(&Sync, &base, &[("SYNC_API_KEY", KEY)]);
    (double, cx)
}

fn task(script: &str) -> Task {
    support::task("sync", "sync", "lipsync-2", &json!({ "text": script, "video": LINK }), &json!({}))
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let (_, cx) = start().await;
    run_every_route(&Sync, &cx).await;
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let (_, cx) = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Down, Verdict::Unknown),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[long]]", Kind::InvalidInput, Verdict::Refused),
        ("[[running]]", Kind::Busy, Verdict::Unknown),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
        ("[[unreadable]]", Kind::InvalidInput, Verdict::Refused),
        ("[[rejected]]", Kind::Moderated, Verdict::Refused),
    ] {
        let fault = run(&Sync, &cx, &task(words)).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
}

#[tokio::test]
async fn a_lost_submit_is_found_under_its_key() {
    let (double, cx) = start().await;
    let lost = task("[[garbled]]");
    assert_eq!(Sync.submit(&cx, &lost).await.unwrap_err().verdict, Verdict::Unknown);
    let Reconciled::Found(handle) = Sync.reconcile(&cx, &lost).await.unwrap() else { panic!("not found") };
    finish(&Sync, &cx, &lost, &handle).await.unwrap();
    assert_eq!(double.started(), 1);
}

#[tokio::test]
async fn an_unknown_state_is_still_running() {
    let (_, cx) = start().await;
    let task = task("[[odd]]");
    run(&Sync, &cx, &task).await.unwrap();
    assert_eq!(Sync.poll(&cx, &task, &Handle("g99".into())).await.unwrap_err().kind, Kind::Gone);
}

#[tokio::test]
async fn a_key_is_checked_without_spending() {
    let (_, cx) = start().await;
    Sync.check(&cx).await.unwrap();
    let cx = support::cx(&Sync, &cx.base.clone().unwrap(), &[("SYNC_API_KEY", "wrong")]);
    assert_eq!(Sync.check(&cx).await.unwrap_err().kind, Kind::Account);
}
