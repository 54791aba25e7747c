//! fal against its double.

use std::sync::Arc;

use doitong::{
    domain::{Fault, Verdict, fault::Kind, output::Source},
    providers::{Cancelled, Cx, Progress, Provider, Submitted, adapters::fal::Fal},
};
use serde_json::json;

use super::{
    doubles::fal::{Double, KEY},
    support::{self, LINK, PNG, finish, run, run_every_route},
};

async fn start() -> (Double, Cx) {
    let double = Double::default();
    let base = support::serve(double.router()).await;
    (double, support::cx(&Fal, &base, &[("FAL_KEY", KEY)]))
}

async fn fails_with(words: &str) -> Fault {
    let (_, cx) = start().await;
    let task = support::task("fal", "flux-fast", "flux-schnell", &json!({ "text": words }), &json!({}));
    run(&Fal, &cx, &task).await.unwrap_err()
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let (_, cx) = start().await;
    run_every_route(&Fal, &cx).await;
}

#[test]
fn what_a_route_cannot_carry_it_says() {
    assert_eq!(support::uncarried("fal"), [""; 0]);
}

#[tokio::test]
async fn options_go_under_the_models_own_names() {
    let (double, cx) = start().await;
    let options = json!({ "mode": "pro", "duration": 10, "aspectRatio": "9:16", "negativePrompt": "blur" });
    let task = support::task("fal", "kling", "v2-5-turbo", &json!({ "text": "a battle" }), &options);
    let outputs = run(&Fal, &cx, &task).await.unwrap();
    let Source::Url { url, authorized } = &outputs.files[0].source else { panic!("no address") };
    assert!(url.path().contains("/out.mp4") && !authorized);
    assert_eq!((outputs.seed, outputs.files[0].content_type.as_deref()), (Some(3), Some("video/mp4")));
    assert_eq!(
        double.inputs()[0],
        json!({ "prompt": "a battle", "duration": "10", "aspect_ratio": "9:16", "negative_prompt": "blur" })
    );
}

#[tokio::test]
async fn a_picture_is_sent_by_its_address() {
    let (double, cx) = start().await;
    let input = json!({ "text": "it moves", "image": LINK });
    run(&Fal, &cx, &support::task("fal", "kling", "v3", &input, &json!({ "mode": "pro" }))).await.unwrap();
    assert_eq!(double.inputs()[0]["start_image_url"], LINK);
}

#[tokio::test]
async fn a_gateway_without_a_public_address_sends_the_picture_itself() {
    let (double, cx) = start().await;
    let cx = Cx { inputs: Arc::new(support::inputs(None)), ..cx };
    let input = json!({ "text": "it moves", "image": PNG });
    run(&Fal, &cx, &support::task("fal", "kling", "v3", &input, &json!({ "mode": "pro" }))).await.unwrap();
    assert_eq!(double.inputs()[0]["start_image_url"], PNG);
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Down, Verdict::Refused),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
    ] {
        let fault = fails_with(words).await;
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
    assert_eq!(fails_with("[[busy]]").await.retry_after.unwrap().as_secs(), 7);
}

#[tokio::test]
async fn an_input_the_model_refuses_is_the_callers_matter() {
    let (_, cx) = start().await;
    let mut task = support::task("fal", "flux-fast", "flux-schnell", &json!({ "text": "a fox" }), &json!({}));
    task.options.insert("n".into(), json!(99));
    assert_eq!(run(&Fal, &cx, &task).await.unwrap_err().kind, Kind::InvalidInput);
    task.model = "fal-ai/no-such-model".into();
    assert_eq!(run(&Fal, &cx, &task).await.unwrap_err().kind, Kind::Account);
}

#[tokio::test]
async fn an_unknown_status_is_still_running() {
    let (_, cx) = start().await;
    let task = support::task("fal", "flux-fast", "flux-schnell", &json!({ "text": "[[odd]]" }), &json!({}));
    let Submitted::Accepted { handle, .. } = Fal.submit(&cx, &task).await.unwrap() else { panic!("done at once") };
    assert!(matches!(Fal.poll(&cx, &task, &handle).await.unwrap(), Progress::Queued));
    assert!(matches!(Fal.poll(&cx, &task, &handle).await.unwrap(), Progress::Running(None)));
    finish(&Fal, &cx, &task, &handle).await.unwrap();
}

#[tokio::test]
async fn a_cancel_stops_it_once_and_may_be_repeated() {
    let (_, cx) = start().await;
    let task = support::task("fal", "flux-fast", "flux-schnell", &json!({ "text": "[[slow]]" }), &json!({}));
    let Submitted::Accepted { handle, .. } = Fal.submit(&cx, &task).await.unwrap() else { panic!("done at once") };
    assert_eq!(Fal.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::Stopped);
    assert_eq!(Fal.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::TooLate);
    assert_eq!(finish(&Fal, &cx, &task, &handle).await.unwrap_err().kind, Kind::Failed);
}

#[tokio::test]
async fn a_check_tells_a_good_key_from_a_bad_one() {
    let (_, cx) = start().await;
    Fal.check(&cx).await.unwrap();
    let cx = support::cx(&Fal, &cx.base.clone().unwrap(), &[("FAL_KEY", "id:wrong")]);
    assert_eq!(Fal.check(&cx).await.unwrap_err().kind, Kind::Account);
}
