//! Replicate against its double.

use doitong::{
    domain::{Fault, Verdict, fault::Kind},
    providers::{Cancelled, Cx, Progress, Provider, Submitted, adapters::replicate::Replicate},
};
use serde_json::json;

use super::{
    doubles::replicate::{Double, TOKEN, VERSION},
    support::{self, finish, run, run_every_route},
};

async fn start() -> Cx {
    let base = support::serve(Double::default().router()).await;
    support::cx(&Replicate, &base, &[("REPLICATE_API_TOKEN", TOKEN)])
}

async fn fails_with(words: &str) -> Fault {
    let task = support::task("replicate", "flux-fast", "flux-schnell", &json!({ "text": words }), &json!({}));
    run(&Replicate, &start().await, &task).await.unwrap_err()
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let cx = start().await;
    run_every_route(&Replicate, &cx).await;
}

#[test]
fn what_a_route_cannot_carry_it_says() {
    assert_eq!(support::uncarried("replicate"), [""; 0]);
}

#[tokio::test]
async fn a_model_that_is_not_official_runs_by_version() {
    let cx = start().await;
    let mut task =
        support::task("replicate", "minimax-speech", "speech-02-hd", &json!({ "text": "hello" }), &json!({}));
    task.params.insert("version".into(), json!(VERSION));
    task.wire.retain(|name, _| name == "text");
    run(&Replicate, &cx, &task).await.unwrap();
    task.params.clear();
    task.model = "jaaari/kokoro-82m".into();
    assert_eq!(run(&Replicate, &cx, &task).await.unwrap_err().kind, Kind::Account);
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Down, Verdict::Unknown),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
    ] {
        let fault = fails_with(words).await;
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
    assert_eq!(fails_with("[[busy]]").await.retry_after.unwrap().as_secs(), 30);
}

#[tokio::test]
async fn it_tells_how_far_it_is_and_survives_an_unknown_status() {
    let cx = start().await;
    for (words, percent) in [("a fox", Some(50)), ("[[odd]]", None)] {
        let task = support::task("replicate", "flux-fast", "flux-schnell", &json!({ "text": words }), &json!({}));
        let Submitted::Accepted { handle, .. } = Replicate.submit(&cx, &task).await.unwrap() else { panic!("at once") };
        assert!(matches!(Replicate.poll(&cx, &task, &handle).await.unwrap(), Progress::Queued));
        let progress = Replicate.poll(&cx, &task, &handle).await.unwrap();
        assert!(matches!(progress, Progress::Running(found) if found == percent), "{progress:?}");
        finish(&Replicate, &cx, &task, &handle).await.unwrap();
        assert_eq!(Replicate.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::TooLate);
    }
}

#[tokio::test]
async fn a_cancel_stops_it_and_may_be_repeated() {
    let cx = start().await;
    let task = support::task("replicate", "flux-fast", "flux-schnell", &json!({ "text": "[[slow]]" }), &json!({}));
    let Submitted::Accepted { handle, .. } = Replicate.submit(&cx, &task).await.unwrap() else { panic!("at once") };
    assert_eq!(Replicate.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::Stopped);
    assert_eq!(Replicate.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::Stopped);
    assert_eq!(finish(&Replicate, &cx, &task, &handle).await.unwrap_err().kind, Kind::Failed);
}

#[tokio::test]
async fn a_check_tells_a_good_token_from_a_bad_one() {
    let cx = start().await;
    Replicate.check(&cx).await.unwrap();
    let cx = support::cx(&Replicate, &cx.base.clone().unwrap(), &[("REPLICATE_API_TOKEN", "wrong")]);
    assert_eq!(Replicate.check(&cx).await.unwrap_err().kind, Kind::Account);
}
