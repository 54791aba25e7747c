//! Google speech against its double.

use doitong::{
    domain::{Verdict, fault::Kind, output::Source},
    providers::{Cx, Provider, adapters::google_tts::GoogleTts},
};
use serde_json::{Value, json};

use super::{
    doubles::google_tts::{KEY, router},
    support::{self, run, run_every_route},
};

async fn start() -> Cx {
    support::cx(&GoogleTts, &support::serve(router()).await, &[("GOOGLE_TTS_API_KEY", KEY)])
}

async fn spoken(model: &str, text: &str, options: &Value) -> String {
    let task = support::task("google-tts", "google-tts", model, &json!({ "text": text }), options);
    let outputs = run(&GoogleTts, &start().await, &task).await.unwrap();
    let Source::Bytes(bytes) = &outputs.files[0].source else { panic!("no bytes") };
    let text: String = bytes.iter().copied().map(char::from).collect();
    text.split("TIT2\0\0\0")
        .skip(1)
        .filter_map(|title| Some(title.split_once('<')?.1.split_once('>')?.0))
        .fold(String::new(), |spoken, name| spoken + "<" + name + ">")
}

#[tokio::test]
async fn every_catalogued_route_is_taken() {
    run_every_route(&GoogleTts, &start().await).await;
}

#[tokio::test]
async fn voices_are_found_by_language_letter_and_gender() {
    assert_eq!(spoken("wavenet", "hello", &json!({})).await, "<en-US-Wavenet-C>");
    assert_eq!(spoken("neural2", "hello", &json!({"language": "th-TH"})).await, "<th-TH-Neural2-C>");
    assert_eq!(spoken("studio", "hello", &json!({"voice": "male"})).await, "<en-US-Studio-Q>");
    assert_eq!(spoken("chirp3-hd", "hello", &json!({"language": "th-TH"})).await, "<th-TH-Chirp3-HD-Kore>");
    assert_eq!(spoken("gemini-2.5-pro", "hello", &json!({"voice": "Puck", "emotion": "calm"})).await, "<Puck>");
}

#[tokio::test]
async fn ssml_and_long_texts_are_spoken() {
    assert_eq!(spoken("wavenet", "<speak>hello</speak>", &json!({})).await, "<en-US-Wavenet-C>");
    let thai = json!({"voice": "th-TH-Wavenet-A"});
    assert_eq!(spoken("wavenet", "hello", &thai).await, "<th-TH-Wavenet-A>");
    let long = "สวัสดี. ".repeat(400);
    assert_eq!(spoken("wavenet", &long, &json!({})).await.matches('<').count(), 2);
}

#[tokio::test]
async fn refusals_say_what_they_are() {
    let cx = start().await;
    for (words, kind, verdict) in [
        ("[[busy]]", Kind::Busy, Verdict::Refused),
        ("[[poor]]", Kind::Account, Verdict::Refused),
        ("[[down]]", Kind::Down, Verdict::Refused),
        ("[[broken]]", Kind::Internal, Verdict::Refused),
        ("[[garbled]]", Kind::Garbled, Verdict::Unknown),
    ] {
        let task = support::task("google-tts", "google-tts", "chirp3-hd", &json!({ "text": words }), &json!({}));
        let fault = run(&GoogleTts, &cx, &task).await.unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{words}");
    }
    let other = json!({"language": "de-DE", "voice": "th-TH-Chirp3-HD-Leda"});
    let task = support::task("google-tts", "google-tts", "chirp3-hd", &json!({ "text": "hello" }), &other);
    let fault = run(&GoogleTts, &cx, &task).await.unwrap_err();
    assert_eq!((fault.kind, fault.verdict), (Kind::InvalidInput, Verdict::Refused));
    let task =
        support::task("google-tts", "google-tts", "studio", &json!({ "text": "hello" }), &json!({"language": "xx-XX"}));
    let fault = run(&GoogleTts, &cx, &task).await.unwrap_err();
    assert_eq!((fault.kind, fault.verdict), (Kind::InvalidInput, Verdict::Refused));
}

#[tokio::test]
async fn a_text_that_breaks_off_midway_was_begun() {
    let text = format!("{} [[busy]]", "สวัสดี. ".repeat(400));
    let task = support::task("google-tts", "google-tts", "wavenet", &json!({ "text": text }), &json!({}));
    let fault = run(&GoogleTts, &start().await, &task).await.unwrap_err();
    assert_eq!((fault.kind, fault.verdict), (Kind::Busy, Verdict::Unknown));
}

#[tokio::test]
async fn credentials_are_proved_by_the_voice_list() {
    let cx = start().await;
    GoogleTts.check(&cx).await.unwrap();
    let wrong = support::cx(&GoogleTts, &cx.base.clone().unwrap(), &[("GOOGLE_TTS_API_KEY", "wrong")]);
    assert_eq!(GoogleTts.check(&wrong).await.unwrap_err().kind, Kind::Account);
}
