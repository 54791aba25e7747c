//! Kling against its double.

use doitong::{
    domain::{Fault, Verdict, fault::Kind, output::Source},
    providers::{Cx, Progress, Provider, Reconciled, Submitted, adapters::kling::Kling},
};
use serde_json::json;

use super::{
    doubles::kling::{ACCESS_KEY, API_KEY, Double, SECRET_KEY},
    support::{self, LINK, finish, run, run_every_route},
};

async fn start() -> (Double, Cx) {
    let double = Double::default();
    let base = support::serve(double.router()).await;
    (double, support::cx(&Kling, &base, &[("KLING_API_KEY", API_KEY)]))
}

async fn fails_with(words: &str) -> Fault {
    let (_, cx) = start().await;
    let task = support::task("kling", "kling", "v3", &json!({ "text": words }), &json!({}));
    run(&Kling, &cx, &task).await.unwrap_err()
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let (double, cx) = start().await;
    run_every_route(&Kling, &cx).await;
    assert!(double.taken() > 500);
}

#[tokio::test]
async fn a_clip_from_text_in_pro_mode_runs_for_ten_seconds() {
    let (_, cx) = start().await;
    let options = json!({ "mode": "pro", "duration": 10, "aspectRatio": "16:9" });
    let outputs = run(&Kling, &cx, &support::task("kling", "kling", "v3", &json!({ "text": "a battle" }), &options))
        .await
        .unwrap();
    let Source::Url { url, authorized } = &outputs.files[0].source else { panic!("no address") };
    assert!(url.path().contains(".mp4") && !authorized);
}

#[tokio::test]
async fn two_keys_make_a_token_which_the_newer_protocol_does_not_take() {
    let (_, cx) = start().await;
    let base = cx.base.clone().unwrap();
    let cx = support::cx(&Kling, &base, &[("KLING_ACCESS_KEY", ACCESS_KEY), ("KLING_SECRET_KEY", SECRET_KEY)]);
    Kling.check(&cx).await.unwrap();
    let input = json!({ "text": "a fox" });
    run(&Kling, &cx, &support::task("kling", "kling", "v2-1-master", &input, &json!({}))).await.unwrap();
    let fault = run(&Kling, &cx, &support::task("kling", "kling", "v3-turbo", &input, &json!({}))).await.unwrap_err();
    assert_eq!((fault.kind, fault.verdict), (Kind::Account, Verdict::Refused));
}

#[tokio::test]
async fn a_wrong_key_is_our_trouble() {
    let (_, cx) = start().await;
    let cx = support::cx(&Kling, &cx.base.clone().unwrap(), &[("KLING_API_KEY", "wrong")]);
    assert_eq!(Kling.check(&cx).await.unwrap_err().kind, Kind::Account);
}

#[tokio::test]
async fn refusals_say_what_they_are() {
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
        let fault = fails_with(words).await;
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
}

#[tokio::test]
async fn an_unknown_status_is_still_running() {
    let (_, cx) = start().await;
    let task = support::task("kling", "kling", "v3", &json!({ "text": "[[odd]]" }), &json!({}));
    run(&Kling, &cx, &task).await.unwrap();
}

#[tokio::test]
async fn a_lost_submit_is_found_again_and_never_taken_twice() {
    let (double, cx) = start().await;
    for model in ["v3", "v3-turbo"] {
        let task = support::task("kling", "kling", model, &json!({ "text": "[[garbled]]" }), &json!({}));
        assert!(matches!(Kling.reconcile(&cx, &task).await, Ok(Reconciled::Absent)));
        assert_eq!(Kling.submit(&cx, &task).await.unwrap_err().verdict, Verdict::Unknown);
        let taken = double.taken();
        assert_eq!(Kling.submit(&cx, &task).await.unwrap_err().verdict, Verdict::Refused);
        assert_eq!(double.taken(), taken);
        let Ok(Reconciled::Found(handle)) = Kling.reconcile(&cx, &task).await else { panic!("not found") };
        finish(&Kling, &cx, &task, &handle).await.unwrap();
    }
}

#[tokio::test]
async fn a_task_nobody_knows_is_gone() {
    let (_, cx) = start().await;
    for model in ["v3", "v3-turbo"] {
        let task = support::task("kling", "kling", model, &json!({ "text": "a fox" }), &json!({}));
        let fault = Kling.poll(&cx, &task, &doitong::providers::Handle("404".to_owned())).await.unwrap_err();
        assert_eq!(fault.kind, Kind::Gone);
    }
}

#[tokio::test]
async fn a_portrait_with_a_text_has_it_spoken_first() {
    let (double, cx) = start().await;
    let input = json!({ "text": "Hello there", "image": LINK });
    let task = support::task("kling", "kling", "avatar", &input, &json!({}));
    run(&Kling, &cx, &task).await.unwrap();
    assert_eq!(double.taken(), 1);
    let busy = support::task("kling", "kling", "avatar", &json!({ "text": "[[broken]]", "image": LINK }), &json!({}));
    let fault = Kling.submit(&cx, &busy).await.unwrap_err();
    assert_eq!((fault.kind, fault.verdict), (Kind::Down, Verdict::Refused), "nothing was started");
}

#[tokio::test]
async fn speech_is_there_at_once_and_sound_in_the_format_asked_for() {
    let (_, cx) = start().await;
    let speech = support::task("kling", "kling", "tts", &json!({ "text": "Hello" }), &json!({}));
    assert!(matches!(Kling.submit(&cx, &speech).await, Ok(Submitted::Done(_))));
    let sound =
        support::task("kling", "kling", "sfx", &json!({ "text": "rain" }), &json!({ "duration": 4, "format": "wav" }));
    let outputs = run(&Kling, &cx, &sound).await.unwrap();
    let Source::Url { url, .. } = &outputs.files[0].source else { panic!("no address") };
    assert!(url.path().contains(".wav"));
    assert!(!matches!(Kling.poll(&cx, &sound, &doitong::providers::Handle("404".into())).await, Ok(Progress::Done(_))));
}
