//! Stability against its double.

use doitong::{
    domain::{Verdict, fault::Kind, output::Source},
    providers::{Cx, Provider, adapters::stability::Stability},
};
use serde_json::json;

use super::{
    doubles::stability::{KEY, router},
    support::{self, run, run_every_route},
};

async fn start() -> Cx {
    let base = support::serve(router()).await;
    support::cx(&Stability, &base, &[("STABILITY_API_KEY", KEY)])
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let cx = start().await;
    run_every_route(&Stability, &cx).await;
}

#[tokio::test]
async fn the_answer_is_the_picture() {
    let options = json!({ "seed": 7, "format": "webp", "style": "cinematic" });
    let task =
        support::task("stability", "stable-diffusion", "stable-image-core", &json!({ "text": "a fox" }), &options);
    let outputs = run(&Stability, &start().await, &task).await.unwrap();
    assert!(matches!(&outputs.files[0].source, Source::Bytes(bytes) if bytes.starts_with(b"RIFF")));
    assert_eq!((outputs.seed, outputs.files[0].content_type.as_deref()), (Some(7), Some("image/webp")));
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Down, Verdict::Unknown),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[failed]]", Kind::Internal, Verdict::Refused),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
        ("[[filtered]]", Kind::Moderated, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
    ] {
        let task =
            support::task("stability", "stable-diffusion", "sd-3.5-large", &json!({ "text": words }), &json!({}));
        let fault = run(&Stability, &cx, &task).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
}

#[tokio::test]
async fn a_check_tells_a_good_key_from_a_bad_one() {
    let cx = start().await;
    Stability.check(&cx).await.unwrap();
    let cx = support::cx(&Stability, &cx.base.clone().unwrap(), &[("STABILITY_API_KEY", "wrong")]);
    assert_eq!(Stability.check(&cx).await.unwrap_err().kind, Kind::Account);
}
