//! `DashScope` against its double.

use doitong::{
    domain::{Verdict, fault::Kind},
    providers::{Cancelled, Cx, Provider, Submitted, adapters::dashscope::DashScope},
};
use serde_json::{Value, json};

use super::{
    doubles::{
        board::Board,
        dashscope::{KEY, router},
    },
    support::{self, LINK, run, run_every_route},
};

async fn start(board: Board) -> Cx {
    let base = support::serve(router(board)).await;
    support::cx(&DashScope, &base, &[("DASHSCOPE_API_KEY", KEY)])
}

async fn sent(model: &str, input: Value, options: Value) -> (String, Value) {
    let board = Board::default();
    let cx = start(board.clone()).await;
    DashScope.submit(&cx, &support::task("dashscope", "wan", model, &input, &options)).await.unwrap();
    let (_, entry) = board.all().remove(0);
    (entry.path, entry.body)
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let cx = start(Board::default()).await;
    run_every_route(&DashScope, &cx).await;
}

#[tokio::test]
async fn text_alone_is_sized_in_pixels() {
    let (path, body) = sent("wan-2.2", json!({ "text": "a cat" }), json!({ "resolution": "480p" })).await;
    assert_eq!(path, "video-generation/video-synthesis");
    let expected = json!({
        "model": "wan2.2-t2v-plus", "input": { "prompt": "a cat" },
        "parameters": { "size": "832*480", "duration": 5 },
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_dance_is_taken_from_the_recording() {
    let input = json!({ "text": "dance", "image": LINK, "video": LINK });
    let (path, body) = sent("wan-animate", input, json!({ "mode": "pro" })).await;
    assert_eq!(path, "image2video/video-synthesis");
    let expected = json!({
        "model": "wan2.2-animate-move", "input": { "image_url": LINK, "video_url": LINK },
        "parameters": { "mode": "wan-pro" },
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start(Board::default()).await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[quota]]", Kind::Account, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[lost]]", Kind::Down, Verdict::Refused),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
        ("[[risk]]", Kind::Moderated, Verdict::Refused),
        ("[[wrong]]", Kind::InvalidInput, Verdict::Refused),
    ] {
        let task = support::task("dashscope", "wan", "wan-2.2", &json!({ "text": words }), &json!({}));
        let fault = run(&DashScope, &cx, &task).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
}

#[tokio::test]
async fn an_unknown_status_is_still_running() {
    let task = support::task("dashscope", "wan", "wan-2.2", &json!({ "text": "[[odd]]" }), &json!({}));
    run(&DashScope, &start(Board::default()).await, &task).await.unwrap();
}

#[tokio::test]
async fn only_what_waits_is_cancelled() {
    let cx = start(Board::default()).await;
    let task = support::task("dashscope", "wan", "wan-2.2", &json!({ "text": "a fox" }), &json!({}));
    let Ok(Submitted::Accepted { handle, .. }) = DashScope.submit(&cx, &task).await else { panic!("not taken") };
    assert_eq!(DashScope.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::Stopped);
    assert_eq!(DashScope.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::TooLate);
    assert_eq!(DashScope.poll(&cx, &task, &handle).await.unwrap_err().kind, Kind::Gone);
}

#[tokio::test]
async fn a_key_is_checked_without_spending() {
    let cx = start(Board::default()).await;
    DashScope.check(&cx).await.unwrap();
    let cx = support::cx(&DashScope, &cx.base.clone().unwrap(), &[("DASHSCOPE_API_KEY", "wrong")]);
    assert_eq!(DashScope.check(&cx).await.unwrap_err().kind, Kind::Account);
}
