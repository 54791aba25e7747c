//! `PixVerse` against its double.

use doitong::{
    domain::{Verdict, fault::Kind},
    providers::{Cancelled, Cx, Handle, Provider, adapters::pixverse::PixVerse},
};
use serde_json::json;

use super::{
    doubles::pixverse::{Double, KEY},
    support::{self, run, run_every_route},
};

async fn start() -> Cx {
    let base = support::serve(Double::default().router()).await;
    support::cx(&PixVerse, &base, &[("PIXVERSE_API_KEY", KEY)])
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    run_every_route(&PixVerse, &start().await).await;
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Down, Verdict::Refused),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
        ("[[risk]]", Kind::Moderated, Verdict::Refused),
    ] {
        let task = support::task("pixverse", "pixverse", "v5", &json!({ "text": words }), &json!({}));
        let fault = run(&PixVerse, &cx, &task).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
}

#[tokio::test]
async fn an_unknown_status_is_still_running_and_the_seed_is_told() {
    let task = support::task("pixverse", "pixverse", "v5", &json!({ "text": "[[odd]]" }), &json!({}));
    assert_eq!(run(&PixVerse, &start().await, &task).await.unwrap().seed, Some(7));
}

#[tokio::test]
async fn there_is_no_cancel_and_an_unknown_task_is_gone() {
    let cx = start().await;
    let task = support::task("pixverse", "pixverse", "v5", &json!({ "text": "a fox" }), &json!({}));
    let handle = Handle("404".into());
    assert_eq!(PixVerse.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::Unsupported);
    assert_eq!(PixVerse.poll(&cx, &task, &handle).await.unwrap_err().kind, Kind::Gone);
}

#[tokio::test]
async fn a_wrong_key_is_our_trouble() {
    let cx = start().await;
    PixVerse.check(&cx).await.unwrap();
    let cx = support::cx(&PixVerse, &cx.base.clone().unwrap(), &[("PIXVERSE_API_KEY", "wrong")]);
    assert_eq!(PixVerse.check(&cx).await.unwrap_err().kind, Kind::Account);
}
