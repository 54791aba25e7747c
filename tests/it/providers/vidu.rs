//! Vidu against its double.

use doitong::{
    domain::{Verdict, fault::Kind},
    providers::{Cancelled, Cx, Handle, Provider, Submitted, adapters::vidu::Vidu},
};
use serde_json::json;

use super::{
    doubles::vidu::{Double, KEY},
    support::{self, finish, run, run_every_route},
};

async fn start() -> Cx {
    let base = support::serve(Double::default().router()).await;
    support::cx(&Vidu, &base, &[("VIDU_API_KEY", KEY)])
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    run_every_route(&Vidu, &start().await).await;
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
        ("[[risk]]", Kind::Moderated, Verdict::Refused),
    ] {
        let task = support::task("vidu", "vidu", "q3-pro", &json!({ "text": words }), &json!({}));
        let fault = run(&Vidu, &cx, &task).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
}

#[tokio::test]
async fn an_unknown_state_is_still_running() {
    let task = support::task("vidu", "vidu", "q3-pro", &json!({ "text": "[[odd]]" }), &json!({}));
    run(&Vidu, &start().await, &task).await.unwrap();
}

#[tokio::test]
async fn only_what_waits_is_cancelled() {
    let cx = start().await;
    let task = support::task("vidu", "vidu", "q3-pro", &json!({ "text": "a fox" }), &json!({}));
    let Ok(Submitted::Accepted { handle, .. }) = Vidu.submit(&cx, &task).await else { panic!("not taken") };
    assert_eq!(Vidu.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::Stopped);
    assert_eq!(Vidu.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::TooLate);
    assert_eq!(finish(&Vidu, &cx, &task, &handle).await.unwrap_err().kind, Kind::Failed);
    assert_eq!(Vidu.cancel(&cx, &task, &Handle("404".into())).await.unwrap(), Cancelled::TooLate);
}

#[tokio::test]
async fn a_key_is_checked_without_spending() {
    let cx = start().await;
    Vidu.check(&cx).await.unwrap();
    let task = support::task("vidu", "vidu", "q3-pro", &json!({ "text": "a fox" }), &json!({}));
    assert_eq!(Vidu.poll(&cx, &task, &Handle("404".into())).await.unwrap_err().kind, Kind::Gone);
    let cx = support::cx(&Vidu, &cx.base.clone().unwrap(), &[("VIDU_API_KEY", "wrong")]);
    assert_eq!(Vidu.check(&cx).await.unwrap_err().kind, Kind::Account);
}
