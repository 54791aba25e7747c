//! D-ID. Words in the text steer it: `[[busy]]`, `[[down]]`, `[[timeout]]`, `[[poor]]`, `[[moderated]]`, `[[garbled]]`,
//! `[[failed]]`, `[[faceless]]`, `[[rejected]]`, `[[odd]]`.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use serde_json::{Value, json};

use super::{
    check::{Field, Is, is_object, object},
    request::{Asked, answer, fixture, garbled},
};

pub const KEY: &str = "bWVAZXhhbXBsZS5jb20:secret";

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<Vec<Entry>>>);

pub struct Entry {
    kind: String,
    body: Value,
    looks: u32,
}

fn ends(value: &Value, extensions: &[&str]) -> bool {
    value.as_str().is_some_and(|url| {
        (url.starts_with("https://") || url.starts_with("s3://")) && extensions.iter().any(|it| url.ends_with(it))
    })
}

const PICTURE: Is = Is::Like(|it| ends(it, &[".jpg", ".jpeg", ".png"]));
const TEXT: &[Field] = &[
    ("type", true, Is::Word(&["text"])),
    ("input", true, Is::Like(|it| it.as_str().is_some_and(|text| (3..=10_000).contains(&text.len())))),
    ("provider", false, Is::Like(provider)),
    ("subtitles", false, Is::Bool),
];
const AUDIO: &[Field] = &[
    ("type", true, Is::Word(&["audio"])),
    ("audio_url", true, Is::Like(|it| ends(it, &[".m4a", ".flac", ".mp3", ".mp4", ".wav"]))),
    ("subtitles", false, Is::Bool),
];
const SCRIPT: Field = ("script", true, Is::Like(|it| is_object(it, TEXT) || is_object(it, AUDIO)));
const COMMON: &[Field] = &[("user_data", false, Is::Text(1000))];
const PORTRAIT: &[Field] = &[
    ("stitch", false, Is::Bool),
    ("result_format", false, Is::Word(&["mp4", "mov"])),
    ("fluent", false, Is::Bool),
    ("pad_audio", false, Is::Num(0.0, 60.0)),
    ("driver_expressions", false, Is::Like(|it| is_object(it, EXPRESSIONS))),
];
const EXPRESSIONS: &[Field] = &[("expressions", true, Is::List(1, 10, |it| is_object(it, EXPRESSION)))];
const EXPRESSION: &[Field] = &[
    ("start_frame", true, Is::Int(0, i64::MAX)),
    ("expression", true, Is::Word(&["neutral", "happy", "serious", "surprise"])),
    ("intensity", true, Is::Num(0.0, 1.0)),
];
const TALK: &[Field] =
    &[("source_url", false, PICTURE), SCRIPT, ("config", false, Is::Like(|it| is_object(it, PORTRAIT)))];
const ANIMATION: &[Field] =
    &[("source_url", false, PICTURE), ("config", false, Is::Like(|it| is_object(it, &[PORTRAIT[0], PORTRAIT[1]])))];
const PRESENTED: &[Field] = &[
    ("result_format", false, Is::Word(&["mp4", "mov", "webm"])),
    ("output_resolution", false, Is::IntOf(&[480, 720, 1080])),
];
const CONFIG: Field = ("config", false, Is::Like(|it| is_object(it, PRESENTED)));
const CLIP: &[Field] = &[
    ("presenter_id", false, Is::Word(&["amy-Aq6OmGZnMt", "jack-Pt27VkP3hW"])),
    SCRIPT,
    CONFIG,
    ("background", false, Is::Like(|it| is_object(it, &[("color", false, COLOUR), ("source_url", false, PICTURE)]))),
];
const COLOUR: Is = Is::Like(|it| it.as_str().is_some_and(|it| it.len() == 7 && it.starts_with('#')));
const EXPRESSIVE: &[Field] = &[
    ("avatar_id", true, Is::Word(&["public_mia_elegant@1", "public_leo@2"])),
    ("sentiment_id", false, Is::Word(&["snt_pro", "snt_emp", "snt_exc", "snt_fru", "snt_fri"])),
    SCRIPT,
    CONFIG,
    (
        "background",
        false,
        Is::Like(|it| is_object(it, &[("type", true, Is::Word(&["color"])), ("value", true, COLOUR)])),
    ),
];

fn provider(value: &Value) -> bool {
    let config = |it: &Value| is_object(it, &[("style", true, Is::Text(50))]);
    let known: &[Field] = &[
        ("type", true, Is::Word(&["microsoft", "elevenlabs", "amazon", "google", "azure-openai"])),
        ("voice_id", true, Is::Text(100)),
    ];
    match value["type"].as_str() {
        Some("microsoft") => {
            let voice = value["voice_id"].as_str().unwrap_or_default();
            let mut rest = value.clone();
            let style = rest.as_object_mut().unwrap().remove("voice_config");
            voice.ends_with("Neural") && style.is_none_or(|it| config(&it)) && is_object(&rest, known)
        }
        _ => is_object(value, known),
    }
}

fn refuse(status: u16, kind: &str) -> Response {
    answer(status, json!({ "kind": kind, "description": "no" }))
}

async fn handle(State(double): State<Double>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let asked = Asked::new(method, &uri, headers, body);
    if asked.header("authorization") != format!("Basic {KEY}") {
        return answer(401, json!({ "message": "Unauthorized" }));
    }
    let path = asked.path.clone();
    match (asked.method.as_str(), path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["credits"]) => answer(200, json!({ "credits": [], "remaining": 5, "total": 10 })),
        ("GET", ["tts", "voices"]) => answer(200, fixture(include_str!("../../../fixtures/did/voices.json"), &[])),
        ("GET", ["clips", "presenters"]) => {
            let amy = json!({ "presenter_id": "amy-Aq6OmGZnMt", "name": "Amy", "gender": "female" });
            let jack = json!({ "presenter_id": "jack-Pt27VkP3hW", "gender": "male" });
            answer(200, json!({ "presenters": [amy, jack] }))
        }
        ("GET", ["expressives", "avatars"]) => {
            answer(200, fixture(include_str!("../../../fixtures/did/avatars.json"), &[]))
        }
        ("POST", ["images"]) if asked.has_file("image") => {
            answer(201, json!({ "id": "img_1", "url": "s3://bucket/img_1/input.png", "faces": [] }))
        }
        ("POST", ["audios"]) if asked.has_file("audio") => {
            answer(201, json!({ "id": "aud_1", "url": "s3://bucket/aud_1/input.wav", "duration": 1.5 }))
        }
        ("POST", [kind]) => double.create(kind, &asked),
        ("GET", [kind]) => double.list(kind),
        ("GET", [kind, id]) => double.look(kind, id),
        _ => refuse(404, "NotFoundError"),
    }
}

impl Double {
    pub fn router(&self) -> Router {
        Router::new().fallback(handle).with_state(self.clone())
    }

    fn create(&self, kind: &str, asked: &Asked) -> Response {
        let fields = match kind {
            "talks" => TALK,
            "clips" => CLIP,
            "expressives" => EXPRESSIVE,
            "animations" => ANIMATION,
            _ => return refuse(404, "NotFoundError"),
        };
        let body = asked.json();
        if let Err(problem) = object(&body, &[COMMON, fields]) {
            return answer(400, json!({ "kind": "ValidationError", "description": problem, "details": {} }));
        }
        for (word, status, kind) in [
            ("[[poor]]", 402, "InsufficientCreditsError"),
            ("[[moderated]]", 451, "TextModerationError"),
            ("[[busy]]", 429, ""),
            ("[[down]]", 503, ""),
            ("[[timeout]]", 504, ""),
        ] {
            if asked.says(word) {
                let message = json!({ "message": if status == 504 { "Endpoint request timed out" } else { "no" } });
                return if kind.is_empty() { answer(status, message) } else { refuse(status, kind) };
            }
        }
        let mut entries = self.0.lock().unwrap();
        entries.push(Entry { kind: kind.to_owned(), body, looks: 0 });
        if asked.says("[[garbled]]") {
            return garbled();
        }
        let id = format!("tlk_{}", entries.len());
        answer(201, json!({ "id": id, "object": "talk", "created_at": "2026-04-10T12:00:00Z", "status": "created" }))
    }

    /// The newest jobs.
    fn list(&self, kind: &str) -> Response {
        let entries = self.0.lock().unwrap();
        let jobs = (1..).zip(entries.iter()).filter(|(_, entry)| entry.kind == kind);
        let jobs = jobs.map(|(at, entry)| json!({ "id": format!("tlk_{at}"), "user_data": entry.body["user_data"] }));
        let jobs: Vec<_> = jobs.collect();
        answer(200, json!({ kind: jobs }))
    }

    fn look(&self, kind: &str, id: &str) -> Response {
        let mut entries = self.0.lock().unwrap();
        let number = id.strip_prefix("tlk_").and_then(|number| number.parse::<usize>().ok());
        let Some(entry) = number.and_then(|number| entries.get_mut(number - 1)).filter(|entry| entry.kind == kind)
        else {
            return refuse(404, "NotFoundError");
        };
        entry.looks += 1;
        let words = entry.body.to_string();
        let ended = |status: &str, kind: &str| {
            let error = json!({ "kind": kind, "description": "no" });
            answer(200, json!({ "id": id, "status": status, "error": error }))
        };
        match entry.looks {
            1 => answer(200, json!({ "id": id, "status": "created" })),
            2 if words.contains("[[odd]]") => answer(200, json!({ "id": id, "status": "dreaming" })),
            2 => answer(200, json!({ "id": id, "status": "started" })),
            _ if words.contains("[[failed]]") => ended("error", "RenderError"),
            _ if words.contains("[[faceless]]") => ended("error", "FaceError"),
            _ if words.contains("[[rejected]]") => ended("rejected", "TextModerationError"),
            _ => answer(200, fixture(include_str!("../../../fixtures/did/done.json"), &[("/id", json!(id))])),
        }
    }
}
