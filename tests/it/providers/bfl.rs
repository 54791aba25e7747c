//! Black Forest Labs against its double.

use std::time::Duration;

use doitong::{
    domain::{Verdict, fault::Kind},
    providers::{Cx, Progress, Provider, Submitted, adapters::bfl::Bfl},
};
use serde_json::{Value, json};

use super::{
    doubles::{
        bfl::{KEY, router},
        board::{Board, id},
    },
    support::{self, PNG, run, run_every_route},
};

async fn start(board: Board) -> Cx {
    let base = support::serve(router(board)).await;
    support::cx(&Bfl, &base, &[("BFL_API_KEY", KEY)])
}

async fn sent(provider: &str, model: &str, input: Value, options: Value) -> Value {
    let board = Board::default();
    let cx = start(board.clone()).await;
    Bfl.submit(&cx, &support::task("bfl", provider, model, &input, &options)).await.unwrap();
    board.all().remove(0).1.body
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let cx = start(Board::default()).await;
    run_every_route(&Bfl, &cx).await;
}

#[tokio::test]
async fn ultra_takes_the_aspect_ratio_and_nothing_of_the_quality() {
    let options = json!({ "aspectRatio": "16:9", "quality": "ultra", "seed": 42 });
    let body = sent("flux-ultra", "flux-ultra", json!({ "text": "Photorealistic portrait" }), options).await;
    assert_eq!(body, json!({ "prompt": "Photorealistic portrait", "aspect_ratio": "16:9", "seed": 42 }));
}

#[tokio::test]
async fn an_aspect_ratio_becomes_pixels_where_pixels_are_taken() {
    let body = sent("flux-dev", "flux-dev", json!({ "text": "a fox" }), json!({ "aspectRatio": "4:3" })).await;
    assert_eq!(body, json!({ "prompt": "a fox", "width": 1152, "height": 864 }));
}

#[tokio::test]
async fn pictures_are_numbered_and_inline_ones_are_bare_base64() {
    let input = json!({ "text": "both", "image": "https://example.com/a.jpg", "images": [PNG] });
    let body = sent("flux-kontext", "kontext-pro", input, json!({})).await;
    assert_eq!(body["input_image"], "https://example.com/a.jpg");
    assert!(body["input_image_2"].as_str().unwrap().starts_with("iVBOR"));
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start(Board::default()).await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[lost]]", Kind::Down, Verdict::Refused),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[key]]", Kind::Account, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
    ] {
        let task = support::task("bfl", "flux-dev", "flux-dev", &json!({ "text": words }), &json!({}));
        let fault = run(&Bfl, &cx, &task).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
}

#[tokio::test]
async fn an_unknown_status_is_still_running() {
    let task = support::task("bfl", "flux-dev", "flux-dev", &json!({ "text": "[[odd]]" }), &json!({}));
    run(&Bfl, &start(Board::default()).await, &task).await.unwrap();
}

#[tokio::test]
async fn a_task_may_be_unknown_for_a_while_only() {
    let board = Board::default();
    let cx = start(board.clone()).await;
    let task = support::task("bfl", "flux-dev", "flux-dev", &json!({ "text": "a fox" }), &json!({}));
    let Ok(Submitted::Accepted { handle, .. }) = Bfl.submit(&cx, &task).await else { panic!("not taken") };
    board.forget(&id(1));
    assert!(matches!(Bfl.poll(&cx, &task, &handle).await, Ok(Progress::Queued)));
    cx.clock.advance(Duration::from_mins(1));
    for _ in 0..5 {
        assert!(matches!(Bfl.poll(&cx, &task, &handle).await, Ok(Progress::Queued)));
    }
    assert_eq!(Bfl.poll(&cx, &task, &handle).await.unwrap_err().kind, Kind::Gone);
}

#[tokio::test]
async fn a_key_is_checked_without_spending() {
    let cx = start(Board::default()).await;
    Bfl.check(&cx).await.unwrap();
    let cx = support::cx(&Bfl, &cx.base.clone().unwrap(), &[("BFL_API_KEY", "wrong")]);
    assert_eq!(Bfl.check(&cx).await.unwrap_err().kind, Kind::Account);
}
