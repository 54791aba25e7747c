//! Google pictures against their double.

use doitong::{
    domain::{Verdict, fault::Kind, output::Source},
    providers::{Cx, Provider, adapters::imagen::Imagen},
};
use serde_json::json;

use super::{
    doubles::{
        google::{KEY, account},
        imagen::router,
    },
    support::{self, PNG, run, run_every_route},
};

async fn start() -> Cx {
    let base = support::serve(router()).await;
    let mut secrets = account().to_vec();
    secrets.push(("GEMINI_API_KEY", KEY));
    support::cx(&Imagen, &base, &secrets)
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    run_every_route(&Imagen, &start().await).await;
}

#[tokio::test]
async fn each_picture_is_a_call() {
    let options = json!({"n": 3, "resolution": "2k", "aspectRatio": "21:9", "seed": 2_147_483_647});
    let task = support::task("imagen", "imagen", "nano-banana-pro", &json!({"text": "a boat"}), &options);
    let outputs = run(&Imagen, &start().await, &task).await.unwrap();
    assert_eq!(outputs.files.len(), 3);
    assert!(matches!(&outputs.files[2].source, Source::Bytes(bytes) if bytes.starts_with(b"\x89PNG")));
}

#[tokio::test]
async fn input_pictures_go_inline() {
    let input = json!({"text": "a boat", "image": PNG, "images": [PNG]});
    run(&Imagen, &start().await, &support::task("imagen", "imagen", "nano-banana", &input, &json!({}))).await.unwrap();
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Down, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
        ("[[unsafe]]", Kind::Moderated, Verdict::Refused),
        ("[[failed]]", Kind::Failed, Verdict::Refused),
    ] {
        let task = support::task("imagen", "imagen", "nano-banana-2", &json!({"text": words}), &json!({"n": 2}));
        let fault = run(&Imagen, &cx, &task).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
}

#[tokio::test]
async fn credentials_are_proved() {
    let cx = start().await;
    Imagen.check(&cx).await.unwrap();
    let wrong = support::cx(&Imagen, &cx.base.clone().unwrap(), &[("GEMINI_API_KEY", "wrong")]);
    assert_eq!(Imagen.check(&wrong).await.unwrap_err().kind, Kind::Account);
}
