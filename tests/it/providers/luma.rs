//! Luma against its double.

use doitong::{
    domain::{Verdict, fault::Kind},
    providers::{Cancelled, Cx, Handle, Provider, Submitted, adapters::luma::Luma},
};
use serde_json::{Value, json};

use super::{
    doubles::{
        board::Board,
        luma::{AGENTS_KEY, KEY, router},
    },
    support::{self, run, run_every_route},
};

async fn start(board: Board) -> Cx {
    let base = support::serve(router(board)).await;
    support::cx(&Luma, &base, &[("LUMAAI_API_KEY", KEY), ("LUMA_AGENTS_API_KEY", AGENTS_KEY)])
}

async fn sent(model: &str, input: Value, options: Value) -> Value {
    let board = Board::default();
    let cx = start(board.clone()).await;
    Luma.submit(&cx, &support::task("luma", "luma", model, &input, &options)).await.unwrap();
    board.all().remove(0).1.body
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    run_every_route(&Luma, &start(Board::default()).await).await;
}

#[tokio::test]
async fn a_clip_of_nine_seconds_says_so_in_words() {
    let body = sent("ray-2", json!({ "text": "Beautiful sunset over ocean" }), json!({ "duration": 9 })).await;
    let expected = json!({
        "model": "ray-2", "prompt": "Beautiful sunset over ocean", "duration": "9s", "resolution": "720p",
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_clip_to_edit_is_the_source() {
    let body =
        sent("ray-3.2-edit", json!({ "text": "make it snow", "video": "https://example.com/a.mp4" }), json!({})).await;
    assert_eq!(body["type"], "video_edit");
    assert_eq!(body["source"], json!({ "url": "https://example.com/a.mp4", "media_type": "video/mp4" }));
}

#[tokio::test]
async fn refusals_say_what_they_are_in_both_services() {
    let cx = start(Board::default()).await;
    for model in ["ray-2", "ray-3.2"] {
        for (words, kind, verdict) in [
            ("[[busy]]", Kind::Busy, Verdict::Refused),
            ("[[down]]", Kind::Down, Verdict::Refused),
            ("[[lost]]", Kind::Down, Verdict::Refused),
            ("[[poor]]", Kind::Account, Verdict::Refused),
            ("[[moderated]]", Kind::Moderated, Verdict::Refused),
            ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
            ("[[failed]]", Kind::Failed, Verdict::Refused),
            ("[[risk]]", Kind::Moderated, Verdict::Refused),
        ] {
            let task = support::task("luma", "luma", model, &json!({ "text": words }), &json!({}));
            let fault = run(&Luma, &cx, &task).await.unwrap_err();
            assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{model} {words}");
        }
    }
}

#[tokio::test]
async fn an_unknown_state_is_still_running() {
    let task = support::task("luma", "luma", "ray-2", &json!({ "text": "[[odd]]" }), &json!({}));
    run(&Luma, &start(Board::default()).await, &task).await.unwrap();
}

#[tokio::test]
async fn only_dream_machine_can_be_told_to_stop() {
    let cx = start(Board::default()).await;
    let task = support::task("luma", "luma", "ray-2", &json!({ "text": "a fox" }), &json!({}));
    let Ok(Submitted::Accepted { handle, .. }) = Luma.submit(&cx, &task).await else { panic!("not taken") };
    assert_eq!(Luma.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::Stopped);
    assert_eq!(Luma.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::TooLate);
    assert_eq!(Luma.poll(&cx, &task, &handle).await.unwrap_err().kind, Kind::Gone);
    let task = support::task("luma", "luma", "ray-3.2", &json!({ "text": "a fox" }), &json!({}));
    assert_eq!(Luma.cancel(&cx, &task, &Handle("x".into())).await.unwrap(), Cancelled::Unsupported);
}

#[tokio::test]
async fn each_service_asks_for_its_own_key() {
    let cx = start(Board::default()).await;
    Luma.check(&cx).await.unwrap();
    let cx = support::cx(&Luma, &cx.base.clone().unwrap(), &[("LUMAAI_API_KEY", KEY)]);
    Luma.check(&cx).await.unwrap();
    let task = support::task("luma", "luma", "ray-3.2", &json!({ "text": "a fox" }), &json!({}));
    let fault = Luma.submit(&cx, &task).await.unwrap_err();
    assert_eq!((fault.kind, fault.verdict), (Kind::Account, Verdict::Refused));
}
