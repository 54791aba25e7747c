//! sync. Words in the script steer it: `[[busy]]`, `[[down]]`, `[[broken]]`, `[[poor]]`, `[[long]]`, `[[running]]` (the key
//! is in use), `[[garbled]]` (the first answer only), `[[failed]]`, `[[unreadable]]`, `[[rejected]]`, `[[odd]]`.

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
    check::{Field, Is, is_object, link, object},
    request::{Asked, answer, fixture, garbled},
};

pub const KEY: &str = "sync_key";

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<Vec<Entry>>>);

pub struct Entry {
    key: String,
    words: String,
    looks: u32,
}

const OPTIONS: &[Field] = &[
    ("sync_mode", false, Is::Word(&["cut_off", "loop", "bounce", "silence", "remap"])),
    ("temperature", false, Is::Num(0.0, 1.0)),
    ("model_mode", false, Is::Word(&["lips", "face", "head"])),
    ("prompt", false, Is::Word(&["happy", "sad", "angry", "disgusted", "surprised", "neutral"])),
    ("active_speaker_detection", false, Is::Like(|it| is_object(it, &[("auto_detect", true, Is::Bool)]))),
    ("occlusion_detection_enabled", false, Is::Bool),
];
const FILE: &[Field] = &[("type", true, Is::Word(&["video", "image", "audio"])), ("url", true, Is::Like(link))];
const TEXT: &[Field] = &[("type", true, Is::Word(&["text"])), ("provider", true, Is::Like(|it| is_object(it, VOICE)))];
const VOICE: &[Field] = &[
    ("name", true, Is::Word(&["elevenlabs"])),
    ("voiceId", true, Is::Like(|it| it.as_str().is_some_and(|id| id.len() == 20))),
    ("script", true, Is::Text(5000)),
    ("stability", false, Is::Num(0.0, 1.0)),
    ("similarityBoost", false, Is::Num(0.0, 1.0)),
];
const BODY: &[Field] = &[
    ("model", true, MODEL),
    ("input", true, Is::List(2, 2, |it| is_object(it, FILE) || is_object(it, TEXT))),
    ("options", false, Is::Like(|it| is_object(it, OPTIONS) && it != &json!({}))),
];
const MODEL: Is = Is::Word(&["lipsync-2", "lipsync-2-pro", "sync-3", "lipsync-1.9.0-beta", "react-1"]);

fn refuse(status: u16, code: &str) -> Response {
    answer(status, json!({ "statusCode": status, "errorCode": code, "message": "no", "error": "no" }))
}

fn invalid(problem: &str) -> Response {
    answer(400, json!({ "statusCode": 400, "message": [problem], "error": "Bad Request" }))
}

/// One visual and one sound, fit for the model.
fn combination(body: &Value) -> Result<(), &'static str> {
    let (model, options) = (body["model"].as_str().unwrap_or_default(), &body["options"]);
    let kinds: Vec<_> = body["input"].as_array().unwrap().iter().filter_map(|it| it["type"].as_str()).collect();
    let visual = kinds.iter().filter(|kind| matches!(**kind, "video" | "image")).count();
    if visual != 1 {
        return Err("generation_input_too_many_visual");
    }
    let picture = kinds.contains(&"image") && (model != "sync-3" || options.get("sync_mode").is_some());
    let react = (options.get("prompt").is_some() || options.get("model_mode").is_some()) && model != "react-1";
    let occlusion = options.get("occlusion_detection_enabled").is_some() && !model.starts_with("lipsync-2");
    if picture || react || occlusion { Err("generation_input_validation_failed") } else { Ok(()) }
}

async fn handle(State(double): State<Double>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let asked = Asked::new(method, &uri, headers, body);
    if asked.header("x-api-key") != KEY {
        return answer(401, json!({ "statusCode": 401, "message": "Unauthorized", "error": "Unauthorized" }));
    }
    let path = asked.path.clone();
    match (asked.method.as_str(), path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["v2", "generations"]) if asked.query["status"] == "[\"PENDING\"]" => answer(200, json!([])),
        ("POST", ["v2", "generate"]) => double.create(&asked),
        ("GET", ["v2", "generate", id]) => double.look(id),
        _ => refuse(404, "not_found"),
    }
}

/// A form: the files under their names, everything else as text.
fn form(asked: &Asked) -> Result<(), &'static str> {
    let has = |name: &str| asked.says(&format!("name=\"{name}\"\r\n"));
    let file = asked.has_file("video") || asked.has_file("audio");
    if file && has("model") { Ok(()) } else { Err("a form without a file or model") }
}

impl Double {
    pub fn router(&self) -> Router {
        Router::new().fallback(handle).with_state(self.clone())
    }

    /// How many generations were started.
    pub fn started(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn create(&self, asked: &Asked) -> Response {
        let key = asked.header("idempotency-key");
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte)) {
            return refuse(400, "INVALID_IDEMPOTENCY_KEY");
        }
        if asked.header("content-type").starts_with("multipart/") {
            if let Err(problem) = form(asked) {
                return invalid(problem);
            }
        } else {
            let body = asked.json();
            if let Err(problem) = object(&body, &[BODY]) {
                return invalid(&problem);
            }
            if let Err(code) = combination(&body) {
                return refuse(400, code);
            }
        }
        let refusals = [
            ("[[busy]]", 429, "concurrency_limit_reached"),
            ("[[down]]", 503, "unavailable"),
            ("[[broken]]", 500, "internal_error"),
            ("[[poor]]", 402, "no_credits"),
            ("[[long]]", 402, "generation_plan_duration_exceeded"),
            ("[[running]]", 409, "IDEMPOTENCY_IN_PROGRESS"),
        ];
        if let Some((_, status, code)) = refusals.into_iter().find(|(word, ..)| asked.says(word)) {
            return refuse(status, code);
        }
        self.taken(key, asked)
    }

    fn taken(&self, key: &str, asked: &Asked) -> Response {
        let mut entries = self.0.lock().unwrap();
        if let Some(at) = entries.iter().position(|entry| entry.key == key) {
            let known = json!({ "errorCode": "IDEMPOTENCY_OUTCOME_UNKNOWN", "generationId": format!("g{}", at + 1) });
            return answer(409, known);
        }
        let words = String::from_utf8_lossy(&asked.body).into_owned();
        entries.push(Entry { key: key.to_owned(), words, looks: 0 });
        if asked.says("[[garbled]]") {
            return garbled();
        }
        let id = format!("g{}", entries.len());
        answer(201, json!({ "id": id, "createdAt": "2026-07-10T12:00:00Z", "status": "PENDING", "model": "m" }))
    }

    fn look(&self, id: &str) -> Response {
        let mut entries = self.0.lock().unwrap();
        let number = id.strip_prefix('g').and_then(|number| number.parse::<usize>().ok());
        let Some(entry) = number.and_then(|number| entries.get_mut(number - 1)) else {
            return refuse(404, "not_found");
        };
        entry.looks += 1;
        let says = |word: &str| entry.words.contains(word);
        let ended = |status: &str, code: &str| {
            answer(200, json!({ "id": id, "status": status, "error": "no", "errorCode": code }))
        };
        match entry.looks {
            1 => answer(200, json!({ "id": id, "status": "PENDING" })),
            2 if says("[[odd]]") => answer(200, json!({ "id": id, "status": "DREAMING" })),
            2 => answer(200, json!({ "id": id, "status": "PROCESSING" })),
            _ if says("[[failed]]") => ended("FAILED", "generation_pipeline_failed"),
            _ if says("[[unreadable]]") => ended("FAILED", "generation_input_video_inaccessible"),
            _ if says("[[rejected]]") => ended("REJECTED", "content_policy"),
            _ => answer(200, fixture(include_str!("../../../fixtures/sync/completed.json"), &[("/id", json!(id))])),
        }
    }
}
