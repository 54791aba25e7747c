//! Google Cloud Text-to-Speech by API key. Words in the text steer it: `[[busy]]`, `[[poor]]`, `[[down]]`,
//! `[[broken]]`, `[[garbled]]`.

use axum::{Router, http::Method, response::Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    asked::{Asked, answer, fixture, garbled},
    check::{Field, Is, is_object, object},
    files, google,
};

pub const KEY: &str = "tts-key";

const REQUEST: &[Field] = &[
    ("input", true, Is::Like(input)),
    ("voice", true, Is::Like(|voice| is_object(voice, VOICE))),
    ("audioConfig", true, Is::Like(|audio| is_object(audio, AUDIO))),
];
const VOICE: &[Field] = &[
    ("languageCode", true, Is::Text(10)),
    ("name", false, Is::Text(60)),
    ("modelName", false, Is::Word(&["gemini-2.5-flash-tts", "gemini-2.5-pro-tts"])),
];
const AUDIO: &[Field] = &[
    ("audioEncoding", true, Is::Word(&["LINEAR16", "MP3", "OGG_OPUS"])),
    ("speakingRate", false, Is::Num(0.25, 2.0)),
    ("pitch", false, Is::Num(-20.0, 20.0)),
    ("volumeGainDb", false, Is::Num(-96.0, 16.0)),
];

fn input(input: &Value) -> bool {
    let short = Is::Like(|text| text.as_str().is_some_and(|text| !text.is_empty() && text.len() <= 5000));
    is_object(input, &[("text", true, short), ("prompt", false, Is::Text(4000))])
        || is_object(input, &[("ssml", true, short)])
}

pub fn router() -> Router {
    Router::new().fallback(async |request: axum::extract::Request| handle(&Asked::read(request).await))
}

fn handle(asked: &Asked) -> Response {
    if let Some(refused) = google::wrong_key(asked, KEY) {
        return refused;
    }
    let language = asked.path.strip_prefix("/v1/voices?languageCode=");
    match (&asked.method, language) {
        (&Method::GET, Some("xx-XX")) => answer(200, json!({})),
        (&Method::GET, Some(language)) => answer(200, voices(language)),
        (&Method::POST, None) if asked.path == "/v1/text:synthesize" => synthesize(asked),
        _ => google::error(404, "NOT_FOUND", "no such path", &json!([])),
    }
}

/// A sound; in MP3 its title is the voice's name in angle brackets.
fn sound(config: &Value, voice: &str) -> Vec<u8> {
    let mut sound = Vec::new();
    let extension = match config["audioEncoding"].as_str() {
        Some("LINEAR16") => "wav",
        Some("OGG_OPUS") => "ogg",
        _ => {
            let title = format!("\0<{voice}>");
            let length = u8::try_from(title.len()).unwrap();
            sound.extend(*b"ID3\x03\0\0\0\0\0");
            sound.push(length + 10);
            sound.extend(*b"TIT2\0\0\0");
            sound.extend([length, 0, 0]);
            sound.extend(title.bytes());
            "mp3"
        }
    };
    sound.extend(files::sample(extension).unwrap().1);
    sound
}

/// The documented voices; those of other languages are like the American ones.
fn voices(language: &str) -> Value {
    let voices = fixture("google-tts/voices.json");
    if voices.to_string().contains(&format!("\"{language}\"")) {
        return voices;
    }
    serde_json::from_str(&voices.to_string().replace("en-US", language)).unwrap()
}

fn synthesize(asked: &Asked) -> Response {
    match () {
        () if asked.says("busy") => return google::busy(),
        () if asked.says("poor") => return google::error(403, "PERMISSION_DENIED", "billing is off", &json!([])),
        () if asked.says("down") => return google::error(503, "UNAVAILABLE", "overloaded", &json!([])),
        () if asked.says("broken") => return google::error(500, "INTERNAL", "internal", &json!([])),
        () if asked.says("garbled") => return garbled(),
        () => {}
    }
    let body = asked.json().unwrap_or_default();
    if let Err(problem) = object(&body, &[REQUEST]) {
        return google::invalid(&problem);
    }
    let (language, name) = (body["voice"]["languageCode"].as_str().unwrap(), body["voice"]["name"].as_str().unwrap());
    let gemini = body["voice"].get("modelName").is_some();
    if !gemini && !name.starts_with(&format!("{language}-")) {
        return google::invalid("Requested language code does not match the voice");
    }
    let modern = gemini || name.contains("Chirp");
    if modern && (body["audioConfig"].get("pitch").is_some() || body["input"].get("ssml").is_some()) {
        return google::invalid("This voice does not support pitch or SSML");
    }
    if gemini && asked.says("moderated") {
        return google::invalid("The prompt violates the usage guidelines of this model");
    }
    if !gemini && body["input"].get("prompt").is_some() {
        return google::invalid("prompt");
    }
    answer(200, json!({"audioContent": STANDARD.encode(sound(&body["audioConfig"], name))}))
}
