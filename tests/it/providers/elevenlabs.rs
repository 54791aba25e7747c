//! `ElevenLabs` against its double.

use std::time::Duration;

use doitong::{
    domain::{Verdict, fault::Kind, output::Source},
    providers::{Cx, Handle, Provider, adapters::elevenlabs::ElevenLabs},
};
use serde_json::json;

use super::{
    doubles::elevenlabs::{Double, KEY},
    support::{self, run, run_every_route},
};

async fn start() -> (Double, Cx) {
    let double = Double::default();
    let base = support::serve(double.router()).await;
    let cx = support::cx(&ElevenLabs, &base, &[("ELEVENLABS_API_KEY", KEY)]);
    (double, cx)
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let (double, cx) = start().await;
    run_every_route(&ElevenLabs, &cx).await;
    // Premade voices need no look-up.
    assert_eq!(double.searches(), 0);
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let (_, cx) = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Internal, Verdict::Refused),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
    ] {
        for model in ["v3", "veo-3.1"] {
            let task = support::task("elevenlabs", "elevenlabs", model, &json!({ "text": words }), &json!({}));
            let fault = run(&ElevenLabs, &cx, &task).await.unwrap_err();
            assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{model} {words}");
            let wait = (kind == Kind::Busy).then_some(Duration::from_secs(7));
            assert_eq!(fault.retry_after, wait, "{model} {words}");
        }
    }
}

#[tokio::test]
async fn a_flow_that_fails_says_whose_fault_it_was() {
    let (_, cx) = start().await;
    for (words, kind) in [("[[failed]]", Kind::Failed), ("[[rejected]]", Kind::Moderated)] {
        let task = support::task("elevenlabs", "elevenlabs", "veo-3.1", &json!({ "text": words }), &json!({}));
        assert_eq!(run(&ElevenLabs, &cx, &task).await.unwrap_err().kind, kind);
    }
    let task = support::task("elevenlabs", "elevenlabs", "veo-3.1", &json!({ "text": "[[odd]]" }), &json!({}));
    run(&ElevenLabs, &cx, &task).await.unwrap();
    assert_eq!(ElevenLabs.poll(&cx, &task, &Handle("gen_99".into())).await.unwrap_err().kind, Kind::Gone);
}

#[tokio::test]
async fn a_voice_is_looked_up_by_name_once() {
    let (double, cx) = start().await;
    let speak = |voice: &str| {
        support::task("elevenlabs", "elevenlabs", "v3", &json!({ "text": "Hi" }), &json!({ "voice": voice }))
    };
    for _ in 0..2 {
        let outputs = run(&ElevenLabs, &cx, &speak("Kate")).await.unwrap();
        assert_eq!(outputs.notes["voice"], json!("9BWtsMINqrJLrRacOk9x"));
        assert!(matches!(outputs.files[0].source, Source::Bytes(_)));
    }
    assert_eq!(double.searches(), 1);
    cx.clock.advance(Duration::from_hours(2));
    run(&ElevenLabs, &cx, &speak("kate")).await.unwrap();
    assert_eq!(double.searches(), 2);
    for nobody in ["zaphod", "00000000000000000000"] {
        let fault = run(&ElevenLabs, &cx, &speak(nobody)).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (Kind::InvalidInput, Verdict::Refused), "{nobody}");
    }
}

#[tokio::test]
async fn a_key_is_checked_without_spending() {
    let (_, cx) = start().await;
    ElevenLabs.check(&cx).await.unwrap();
    let cx = support::cx(&ElevenLabs, &cx.base.clone().unwrap(), &[("ELEVENLABS_API_KEY", "wrong")]);
    assert_eq!(ElevenLabs.check(&cx).await.unwrap_err().kind, Kind::Account);
}
