//! `HeyGen` v3. Words in the script steer it: `[[busy]]`, `[[down]]`, `[[broken]]`, `[[poor]]`, `[[running]]` (the key is
//! in use), `[[garbled]]` (the first answer only), `[[failed]]`, `[[rejected]]`, `[[odd]]`.

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

pub const KEY: &str = "heygen_key";

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<Vec<Entry>>>);

#[derive(Default)]
pub struct Entry {
    pub key: String,
    pub words: String,
    pub body: Value,
    looks: u32,
}

const ENGINE: Is = Is::Like(|it| ["avatar_v", "avatar_iii"].iter().any(|name| it == &json!({ "type": name })));
const SETTINGS: &[Field] = &[
    ("speed", false, Is::Num(0.5, 1.5)),
    ("pitch", false, Is::Num(-50.0, 50.0)),
    ("volume", false, Is::Num(0.0, 1.0)),
];
const SPEAKING: &[Field] = &[
    ("type", true, Is::Word(&["avatar", "image"])),
    ("script", false, Is::Text(5000)),
    ("audio_url", false, Is::Like(link)),
    ("audio_asset_id", false, Is::Word(&["asset_1"])),
    ("voice_id", false, Is::Word(&["voice_lea_1", "voice_ann_1", "voice_bob_1"])),
    ("voice_settings", false, Is::Like(|it| is_object(it, SETTINGS) && it != &json!({}))),
    ("aspect_ratio", false, Is::Word(&["16:9", "9:16", "4:5", "5:4", "1:1", "auto"])),
    ("resolution", false, Is::Word(&["720p", "1080p", "4k"])),
    ("fit", false, Is::Word(&["contain", "cover"])),
    ("background", false, Is::Like(background)),
    ("remove_background", false, Is::Bool),
    ("output_format", false, Is::Word(&["mp4", "webm"])),
    ("expressiveness", false, Is::Word(&["high", "medium", "low"])),
    ("motion_prompt", false, Is::Text(1000)),
];
const AVATAR: &[Field] = &[("avatar_id", true, Is::Text(100)), ("engine", false, ENGINE)];
const IMAGE: &[Field] = &[("image", true, Is::Like(asset))];
const CINEMATIC: &[Field] = &[
    ("type", true, Is::Word(&["cinematic_avatar"])),
    ("prompt", true, Is::Text(10_000)),
    ("avatar_id", true, Is::List(1, 3, |id| look(id.as_str().unwrap_or_default()).is_some())),
    ("references", false, Is::List(1, 15, asset)),
    ("aspect_ratio", false, Is::Word(&["16:9", "9:16", "1:1"])),
    ("resolution", false, Is::Word(&["720p", "1080p"])),
    ("duration", false, Is::Int(4, 15)),
    ("enhance_prompt", false, Is::Bool),
];
const LIPSYNC: &[Field] = &[
    ("video", true, Is::Like(asset)),
    ("audio", true, Is::Like(asset)),
    ("mode", false, Is::Word(&["speed", "precision"])),
    ("enable_caption", false, Is::Bool),
    ("enable_dynamic_duration", false, Is::Bool),
    ("disable_music_track", false, Is::Bool),
    ("enable_speech_enhancement", false, Is::Bool),
];
const SPEECH: &[Field] = &[
    ("text", true, Is::Text(5000)),
    ("voice_id", true, Is::Word(&["voice_lea_1", "voice_ann_1", "voice_bob_1"])),
    ("speed", false, Is::Num(0.5, 2.0)),
    ("language", false, Is::Text(5)),
];

fn asset(value: &Value) -> bool {
    let fields = value.as_object().map_or(0, serde_json::Map::len);
    let linked = value["type"] == "url" && link(&value["url"]);
    fields == 2 && (linked || value["type"] == "asset_id" && value["asset_id"] == "asset_1")
}

fn background(value: &Value) -> bool {
    let colour = value["value"].as_str().is_some_and(|colour| colour.len() == 7 && colour.starts_with('#'));
    let picture = link(&value["url"]) || value["asset_id"] == "asset_1";
    value["type"] == "color" && colour || value["type"] == "image" && picture
}

fn look(id: &str) -> Option<Value> {
    let looks = fixture(include_str!("../../../fixtures/heygen/looks.json"), &[]);
    looks["data"].as_array().unwrap().iter().find(|look| look["id"] == id).cloned()
}

fn refuse(status: u16, code: &str) -> Response {
    answer(status, json!({ "error": { "code": code, "message": "no", "doc_url": "https://example.com" } }))
}

fn invalid(problem: &str) -> Response {
    answer(400, json!({ "error": { "code": "invalid_parameter", "message": problem, "param": "p" } }))
}

/// What the schema does not say: exactly one sound, and who can act what.
fn combination(body: &Value) -> Result<(), String> {
    let has = |name: &str| body.get(name).is_some();
    let sounds = ["script", "audio_url", "audio_asset_id"].iter().filter(|name| has(name)).count();
    if sounds != 1 {
        return Err("script or audio".into());
    }
    if body["type"] == "image" {
        return if has("script") && !has("voice_id") { Err("voice_id".into()) } else { Ok(()) };
    }
    if body["output_format"] == "webm" && has("background") {
        return Err("background with webm".into());
    }
    let look = look(body["avatar_id"].as_str().unwrap_or_default()).ok_or("avatar_not_found")?;
    let engine = body.pointer("/engine/type").and_then(Value::as_str).unwrap_or("avatar_iv");
    if !look["supported_api_engines"].as_array().unwrap().contains(&json!(engine)) {
        return Err("engine".into());
    }
    let photo = look["avatar_type"] == "photo_avatar";
    if has("motion_prompt") && !photo && engine != "avatar_v" {
        return Err("motion_prompt".into());
    }
    if has("expressiveness") && !(photo && engine == "avatar_iv") {
        return Err("expressiveness".into());
    }
    Ok(())
}

async fn handle(State(double): State<Double>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let asked = Asked::new(method, &uri, headers, body);
    if asked.header("x-api-key") != KEY {
        return refuse(401, "unauthorized");
    }
    let path = asked.path.clone();
    match (asked.method.as_str(), path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["v3", "users", "me"]) => answer(200, json!({ "data": { "billing_type": "wallet" } })),
        ("GET", ["v3", "avatars", "looks"]) => looks(&asked),
        ("GET", ["v3", "voices"]) if asked.queries_only(&["limit", "engine"]) => {
            answer(200, fixture(include_str!("../../../fixtures/heygen/voices.json"), &[]))
        }
        ("POST", ["v3", "assets"]) if asked.has_file("file") => {
            let about = json!({ "asset_id": "asset_1", "url": "https://x", "mime_type": "m", "size_bytes": 1 });
            answer(200, json!({ "data": about }))
        }
        ("POST", ["v3", "videos"]) => double.create(&asked, "video_id", "waiting"),
        ("POST", ["v3", "lipsyncs"]) => double.create(&asked, "lipsync_id", ""),
        ("POST", ["v3", "voices", "speech"]) => double.speak(&asked),
        ("GET", ["v3", "videos", id]) => double.look(id, "processing"),
        ("GET", ["v3", "lipsyncs", id]) => double.look(id, "running"),
        _ => refuse(404, "not_found"),
    }
}

/// Two pages: the first look, then the others.
fn looks(asked: &Asked) -> Response {
    if asked.query["limit"] != "50" || !asked.queries_only(&["limit", "token"]) {
        return invalid("query");
    }
    let all = fixture(include_str!("../../../fixtures/heygen/looks.json"), &[]);
    let all = all["data"].as_array().unwrap();
    match asked.query.get("token").map(String::as_str) {
        None => answer(200, json!({ "data": all[..1], "has_more": true, "next_token": "two" })),
        Some("two") => answer(200, json!({ "data": all[1..], "has_more": false, "next_token": null })),
        Some(_) => invalid("token"),
    }
}

impl Double {
    pub fn router(&self) -> Router {
        Router::new().fallback(handle).with_state(self.clone())
    }

    /// The bodies that started something.
    pub fn created(&self) -> Vec<Value> {
        self.0.lock().unwrap().iter().map(|entry| entry.body.clone()).collect()
    }

    fn create(&self, asked: &Asked, id: &str, status: &str) -> Response {
        let body = asked.json();
        let fields: &[&[Field]] = match (id, body["type"].as_str().unwrap_or_default()) {
            ("lipsync_id", _) => &[LIPSYNC],
            (_, "cinematic_avatar") => &[CINEMATIC],
            (_, "image") => &[SPEAKING, IMAGE],
            _ => &[SPEAKING, AVATAR],
        };
        if let Err(problem) = object(&body, fields) {
            return invalid(&problem);
        }
        if fields.len() == 2
            && let Err(problem) = combination(&body)
        {
            return if problem == "avatar_not_found" { refuse(404, &problem) } else { invalid(&problem) };
        }
        self.taken(asked, |number| json!({ id: format!("v{number}"), "status": status }))
    }

    fn speak(&self, asked: &Asked) -> Response {
        if let Err(problem) = object(&asked.json(), &[SPEECH]) {
            return invalid(&problem);
        }
        let about = json!({ "audio_url": "https://files.example.com/a.mp3", "duration": 1.5, "request_id": "r" });
        self.taken(asked, |_| about.clone())
    }

    /// Under one key, one start; the first answer is replayed.
    fn taken(&self, asked: &Asked, about: impl Fn(usize) -> Value) -> Response {
        let key = asked.header("idempotency-key");
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:.-".contains(&byte)) {
            return invalid("idempotency-key");
        }
        let refusals = [
            ("[[busy]]", 429, "rate_limit_exceeded"),
            ("[[down]]", 503, "service_unavailable"),
            ("[[broken]]", 500, "internal_error"),
            ("[[poor]]", 402, "insufficient_credit"),
            ("[[running]]", 409, "request_in_progress"),
        ];
        if let Some((_, status, code)) = refusals.into_iter().find(|(word, ..)| asked.says(word)) {
            return refuse(status, code);
        }
        let mut entries = self.0.lock().unwrap();
        if let Some(at) = entries.iter().position(|entry| entry.key == key) {
            return answer(200, json!({ "data": about(at + 1) }));
        }
        let words = String::from_utf8_lossy(&asked.body).into_owned();
        entries.push(Entry { key: key.to_owned(), words, body: asked.json(), looks: 0 });
        if asked.says("[[garbled]]") { garbled() } else { answer(200, json!({ "data": about(entries.len()) })) }
    }

    fn look(&self, id: &str, going: &str) -> Response {
        let mut entries = self.0.lock().unwrap();
        let number = id.strip_prefix('v').and_then(|number| number.parse::<usize>().ok());
        let Some(entry) = number.and_then(|number| entries.get_mut(number - 1)) else {
            return refuse(404, "video_not_found");
        };
        entry.looks += 1;
        let says = |word: &str| entry.words.contains(word);
        let failed = |code: &str| {
            answer(
                200,
                json!({ "data": { "id": id, "status": "failed", "failure_code": code, "failure_message": "no" } }),
            )
        };
        match entry.looks {
            1 => answer(200, json!({ "data": { "id": id, "status": "pending" } })),
            2 if says("[[odd]]") => answer(200, json!({ "data": { "id": id, "status": "dreaming" } })),
            2 => answer(200, json!({ "data": { "id": id, "status": going } })),
            _ if says("[[failed]]") => failed("rendering_failed"),
            _ if says("[[rejected]]") => failed("moderation_rejected"),
            _ => answer(
                200,
                fixture(include_str!("../../../fixtures/heygen/completed.json"), &[("/data/id", json!(id))]),
            ),
        }
    }
}
