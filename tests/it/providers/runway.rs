//! Runway against its double.

use doitong::{
    domain::{Verdict, fault::Kind},
    providers::{Cancelled, Cx, Handle, Provider, Submitted, adapters::runway::Runway},
};
use serde_json::{Value, json};

use super::{
    doubles::{
        board::Board,
        runway::{KEY, router},
    },
    support::{self, PNG, run, run_every_route},
};

async fn start(board: Board) -> Cx {
    let base = support::serve(router(board)).await;
    support::cx(&Runway, &base, &[("RUNWAYML_API_SECRET", KEY)])
}

/// What was sent for a request.
async fn sent(model: &str, input: Value, options: Value) -> (String, Value) {
    let board = Board::default();
    let cx = start(board.clone()).await;
    Runway.submit(&cx, &support::task("runway", "runway", model, &input, &options)).await.unwrap();
    let (_, entry) = board.all().remove(0);
    (entry.path, entry.body)
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    run_every_route(&Runway, &start(Board::default()).await).await;
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start(Board::default()).await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[lost]]", Kind::Down, Verdict::Refused),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
    ] {
        let task = support::task("runway", "runway", "gen-4.5", &json!({ "text": words }), &json!({}));
        let fault = run(&Runway, &cx, &task).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
}

#[tokio::test]
async fn an_aspect_ratio_becomes_pixels() {
    let (path, body) = sent("gen-4.5", json!({ "text": "a fox" }), json!({ "aspectRatio": "9:16", "seed": 7 })).await;
    assert_eq!(path, "text_to_video");
    let expected = json!({ "model": "gen4.5", "promptText": "a fox", "ratio": "720:1280", "duration": 5, "seed": 7 });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_picture_alone_is_the_first_frame() {
    let (path, body) = sent("gen-4-turbo", json!({ "image": "https://example.com/a.jpg" }), json!({})).await;
    assert_eq!(path, "image_to_video");
    assert_eq!(body["promptImage"], "https://example.com/a.jpg");
    let (_, body) = sent("gen-4-turbo", json!({ "image": PNG }), json!({})).await;
    assert!(body["promptImage"].as_str().unwrap().starts_with("data:image/png;base64,"));
}

#[tokio::test]
async fn a_large_clip_is_uploaded_first() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    // A sound file of 13 MB is too long for a data URI.
    let mut wav =
        b"RIFF\x24\x00\xc8\x00WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\0\xc8\0"
            .to_vec();
    wav.resize(44 + 13_107_200, 0);
    let audio = format!("data:audio/wav;base64,{}", STANDARD.encode(&wav));
    let (path, body) = sent("gwm-1-avatar", json!({ "audio": audio }), json!({})).await;
    assert_eq!(path, "avatar_videos");
    assert_eq!(body["speech"], json!({ "type": "audio", "audio": "runway://upload" }));
}

#[tokio::test]
async fn an_unknown_status_is_still_running() {
    let task = support::task("runway", "runway", "gen-4.5", &json!({ "text": "[[odd]]" }), &json!({}));
    run(&Runway, &start(Board::default()).await, &task).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_task_is_unknown_afterwards() {
    let cx = start(Board::default()).await;
    let task = support::task("runway", "runway", "gen-4.5", &json!({ "text": "a fox" }), &json!({}));
    let Ok(Submitted::Accepted { handle, .. }) = Runway.submit(&cx, &task).await else { panic!("not taken") };
    assert_eq!(Runway.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::Stopped);
    assert_eq!(Runway.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::TooLate);
    assert_eq!(Runway.poll(&cx, &task, &handle).await.unwrap_err().kind, Kind::Gone);
}

#[tokio::test]
async fn a_key_is_checked_without_spending() {
    let cx = start(Board::default()).await;
    Runway.check(&cx).await.unwrap();
    let cx = support::cx(&Runway, &cx.base.clone().unwrap(), &[("RUNWAYML_API_SECRET", "wrong")]);
    assert_eq!(Runway.check(&cx).await.unwrap_err().kind, Kind::Account);
    let task = support::task("runway", "runway", "gen-4.5", &json!({ "text": "a fox" }), &json!({}));
    assert_eq!(Runway.poll(&cx, &task, &Handle("x".into())).await.unwrap_err().kind, Kind::Account);
}
