//! `OpenAI` against its double.

use std::time::Duration;

use doitong::{
    domain::{Verdict, fault::Kind, output::Source},
    providers::{Cx, Provider, adapters::openai::OpenAi},
};
use serde_json::json;

use super::{
    doubles::openai::{KEY, router},
    support::{self, PNG, run, run_every_route},
};

async fn start() -> Cx {
    support::cx(&OpenAi, &support::serve(router()).await, &[("OPENAI_API_KEY", KEY)])
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    let cx = start().await;
    run_every_route(&OpenAi, &cx).await;
}

#[tokio::test]
async fn pictures_come_with_the_answer() {
    let cx = start().await;
    let options = json!({"n": 2, "format": "webp", "resolution": "2k", "aspectRatio": "9:16"});
    let task = support::task("openai", "gpt-image", "gpt-image-2", &json!({"text": "a boat"}), &options);
    let outputs = run(&OpenAi, &cx, &task).await.unwrap();
    assert_eq!(outputs.files.len(), 2);
    assert_eq!(outputs.files[0].content_type.as_deref(), Some("image/webp"));
    let Source::Bytes(bytes) = &outputs.files[0].source else { panic!("no bytes") };
    assert!(bytes.starts_with(b"RIFF"));
}

#[tokio::test]
async fn input_pictures_make_it_an_edit() {
    let cx = start().await;
    let input = json!({"text": "a boat", "image": PNG, "images": [PNG, PNG]});
    let outputs =
        run(&OpenAi, &cx, &support::task("openai", "gpt-image", "gpt-image-2", &input, &json!({}))).await.unwrap();
    assert_eq!(outputs.files.len(), 1);
}

#[tokio::test]
async fn speech_comes_in_the_format_that_was_asked_for() {
    let cx = start().await;
    let options = json!({"voice": "nova", "format": "wav", "speed": 1.5, "emotion": "happy"});
    let task = support::task("openai", "openai-tts", "gpt-4o-mini-tts", &json!({"text": "hello"}), &options);
    let outputs = run(&OpenAi, &cx, &task).await.unwrap();
    assert_eq!(outputs.files[0].content_type.as_deref(), Some("audio/wav"));
    assert_eq!(outputs.notes["voice"], "nova");
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[quota]]", Kind::Account, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Internal, Verdict::Refused),
        ("[[moderated]]", Kind::Moderated, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
    ] {
        for (file, model) in [("gpt-image", "gpt-image-2"), ("openai-tts", "tts-1")] {
            let task = support::task("openai", file, model, &json!({"text": words}), &json!({}));
            let fault = run(&OpenAi, &cx, &task).await.unwrap_err();
            assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{file} {words}");
            assert_eq!(fault.retry_after, (kind == Kind::Busy).then_some(Duration::from_secs(7)), "{file} {words}");
        }
    }
}

#[tokio::test]
async fn credentials_are_proved_by_the_model_list() {
    let cx = start().await;
    OpenAi.check(&cx).await.unwrap();
    let wrong = support::cx(&OpenAi, &cx.base.clone().unwrap(), &[("OPENAI_API_KEY", "wrong")]);
    assert_eq!(OpenAi.check(&wrong).await.unwrap_err().kind, Kind::Account);
    let unset = support::cx(&OpenAi, &cx.base.clone().unwrap(), &[]);
    assert_eq!(OpenAi.check(&unset).await.unwrap_err().kind, Kind::Account);
}
