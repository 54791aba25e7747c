//! Creatify against its double.

use std::time::Duration;

use doitong::{
    domain::{Verdict, fault::Kind, output::Source},
    providers::{Cancelled, Cx, Handle, Provider, Reconciled, Submitted, adapters::creatify::Creatify},
};
use serde_json::{Value, json};

use super::{
    doubles::{
        board::{Board, id},
        creatify::{ID, KEY, router},
    },
    support::{self, LINK, run, run_every_route},
};

async fn start(board: Board) -> Cx {
    let base = support::serve(router(board)).await;
    support::cx(&Creatify, &base, &[("CREATIFY_API_ID", ID), ("CREATIFY_API_KEY", KEY)])
}

async fn sent(model: &str, input: Value, options: Value) -> Value {
    let board = Board::default();
    let cx = start(board.clone()).await;
    Creatify.submit(&cx, &support::task("creatify", "creatify", model, &input, &options)).await.unwrap();
    board.all().remove(0).1.body
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    run_every_route(&Creatify, &start(Board::default()).await).await;
}

#[tokio::test]
async fn an_ad_is_made_from_a_stored_link() {
    let input = json!({ "text": "https://shop.example/shoe Run faster" });
    let mut body = sent("url-to-video", input, json!({ "duration": 30, "captions": false })).await;
    assert!(body["name"].take().as_str().unwrap().starts_with("gen_"));
    let expected = json!({
        "link": id(900), "name": null, "video_length": 30, "aspect_ratio": "16x9",
        "override_script": "Run faster", "no_caption": true, "model_version": "standard",
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn a_product_picture_is_set_in_motion() {
    let cx = start(Board::default()).await;
    for (model, end) in [("product-to-video", "clip.mp4"), ("product-photo", "photo.png")] {
        let task =
            support::task("creatify", "creatify", model, &json!({ "text": "on a beach", "image": LINK }), &json!({}));
        let outputs = run(&Creatify, &cx, &task).await.unwrap();
        let Source::Url { url, .. } = &outputs.files[0].source else { panic!("no address") };
        assert!(url.as_str().ends_with(end), "{model}");
    }
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
        let task = support::task("creatify", "creatify", "url-to-video", &json!({ "text": words }), &json!({}));
        let fault = run(&Creatify, &cx, &task).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
        assert_eq!(fault.retry_after, (kind == Kind::Busy).then(|| Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn an_unknown_status_is_still_running() {
    let task = support::task("creatify", "creatify", "url-to-video", &json!({ "text": "[[odd]]" }), &json!({}));
    run(&Creatify, &start(Board::default()).await, &task).await.unwrap();
}

#[tokio::test]
async fn a_lost_ad_is_found_by_its_name() {
    let cx = start(Board::default()).await;
    let task = support::task("creatify", "creatify", "url-to-video", &json!({ "text": "a shoe" }), &json!({}));
    assert!(matches!(Creatify.reconcile(&cx, &task).await, Ok(Reconciled::Unsupported)));
    let Ok(Submitted::Accepted { handle, .. }) = Creatify.submit(&cx, &task).await else { panic!("not taken") };
    assert!(matches!(Creatify.reconcile(&cx, &task).await, Ok(Reconciled::Found(found)) if found == handle));
    assert_eq!(Creatify.cancel(&cx, &task, &handle).await.unwrap(), Cancelled::Unsupported);
}

#[tokio::test]
async fn a_key_is_checked_without_spending() {
    let cx = start(Board::default()).await;
    Creatify.check(&cx).await.unwrap();
    let task = support::task("creatify", "creatify", "url-to-video", &json!({ "text": "a fox" }), &json!({}));
    assert_eq!(Creatify.poll(&cx, &task, &Handle("404".into())).await.unwrap_err().kind, Kind::Gone);
    let cx = support::cx(&Creatify, &cx.base.clone().unwrap(), &[("CREATIFY_API_ID", ID), ("CREATIFY_API_KEY", "x")]);
    assert_eq!(Creatify.check(&cx).await.unwrap_err().kind, Kind::Account);
}
