//! `MiniMax` against its double.

use doitong::{
    domain::{Fault, Verdict, fault::Kind, output::Source},
    providers::{Cancelled, Cx, Handle, Provider, Submitted, adapters::minimax::MiniMax},
};
use serde_json::json;

use super::{
    doubles::{
        files,
        minimax::{Double, KEY},
    },
    support::{self, LINK, run, run_every_route},
};

async fn start() -> Cx {
    let base = support::serve(Double::default().router()).await;
    support::cx(&MiniMax, &base, &[("MINIMAX_API_KEY", KEY)])
}

async fn fails_with(model: &str, words: &str) -> Fault {
    let cx = start().await;
    let task = support::task("minimax", "minimax", model, &json!({ "text": words }), &json!({}));
    run(&MiniMax, &cx, &task).await.unwrap_err()
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let cx = start().await;
    run_every_route(&MiniMax, &cx).await;
}

#[tokio::test]
async fn a_finished_clip_is_fetched_by_its_file_id() {
    let cx = start().await;
    let options = json!({ "duration": 10, "resolution": "1080p" });
    let task = support::task("minimax", "minimax", "hailuo-02", &json!({ "text": "a mountain" }), &options);
    assert_eq!(task.options["resolution"], "768p");
    let outputs = run(&MiniMax, &cx, &task).await.unwrap();
    let Source::Url { url, .. } = &outputs.files[0].source else { panic!("no address") };
    assert!(url.as_str().ends_with("output_aigc.mp4"));
}

#[tokio::test]
async fn refusals_say_what_they_are_in_both_protocols() {
    for model in ["hailuo-02", "h3"] {
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
            let fault = fails_with(model, words).await;
            assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{model} {words}");
        }
    }
}

#[tokio::test]
async fn an_unknown_status_is_still_running() {
    let cx = start().await;
    for model in ["hailuo-02", "h3"] {
        let task = support::task("minimax", "minimax", model, &json!({ "text": "[[odd]]" }), &json!({}));
        run(&MiniMax, &cx, &task).await.unwrap();
    }
}

#[tokio::test]
async fn a_task_nobody_knows_is_gone() {
    let cx = start().await;
    for model in ["hailuo-02", "h3"] {
        let task = support::task("minimax", "minimax", model, &json!({ "text": "a fox" }), &json!({}));
        assert_eq!(MiniMax.poll(&cx, &task, &Handle("404".into())).await.unwrap_err().kind, Kind::Gone);
    }
}

#[tokio::test]
async fn only_what_waits_in_the_newer_protocol_is_cancelled() {
    let cx = start().await;
    let task = support::task("minimax", "minimax", "h3", &json!({ "text": "a fox" }), &json!({}));
    let Ok(Submitted::Accepted { handle, .. }) = MiniMax.submit(&cx, &task).await else { panic!("not taken") };
    assert_eq!(MiniMax.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::Stopped);
    assert_eq!(MiniMax.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::TooLate);
    let older = support::task("minimax", "minimax", "hailuo-02", &json!({ "text": "a fox" }), &json!({}));
    assert_eq!(MiniMax.cancel(&cx, &older, &handle).await.unwrap(), Cancelled::Unsupported);
}

#[tokio::test]
async fn speech_comes_with_the_answer() {
    let cx = start().await;
    let options = json!({ "emotion": "happy", "speed": 1.0 });
    let task =
        support::task("minimax", "minimax-speech", "speech-2.8-hd", &json!({ "text": "Selamat datang" }), &options);
    let outputs = run(&MiniMax, &cx, &task).await.unwrap();
    let (_, spoken) = files::sample("mp3").unwrap();
    assert!(matches!(&outputs.files[0].source, Source::Bytes(bytes) if bytes == spoken));
}

#[tokio::test]
async fn a_picture_that_did_not_come_out_is_a_failure() {
    let fault = fails_with("image-01", "[[failed]]").await;
    assert_eq!((fault.kind, fault.verdict), (Kind::Failed, Verdict::Refused));
}

#[tokio::test]
async fn a_wrong_key_is_our_trouble() {
    let cx = start().await;
    MiniMax.check(&cx).await.unwrap();
    let cx = support::cx(&MiniMax, &cx.base.clone().unwrap(), &[("MINIMAX_API_KEY", "wrong")]);
    assert_eq!(MiniMax.check(&cx).await.unwrap_err().kind, Kind::Account);
    let task = support::task("minimax", "minimax", "h3", &json!({ "image": LINK }), &json!({}));
    assert_eq!(run(&MiniMax, &cx, &task).await.unwrap_err().kind, Kind::Account);
}
