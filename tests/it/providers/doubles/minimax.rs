//! `MiniMax`: clips of both protocols, pictures, speech. Words in the body steer it: `[[busy]]`, `[[down]]`, `[[poor]]`,
//! `[[moderated]]`, `[[garbled]]`, `[[failed]]`, `[[risk]]`, `[[odd]]`.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    check::{Field, Is, is_object, link, link_or_data_url, object},
    files,
};

pub const KEY: &str = "sk-api-minimax";

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<Vec<Entry>>>);

#[derive(Default)]
struct Entry {
    words: String,
    looks: u32,
    cancelled: bool,
}

impl Double {
    pub fn router(&self) -> Router {
        Router::new().fallback(handle).with_state(self.clone())
    }
}

const MEDIA: Is = Is::Like(link_or_data_url);
const CLIP: &[Field] = &[
    (
        "model",
        true,
        Is::Word(&[
            "MiniMax-Hailuo-2.3",
            "MiniMax-Hailuo-2.3-Fast",
            "MiniMax-Hailuo-02",
            "T2V-01",
            "T2V-01-Director",
            "I2V-01",
            "I2V-01-Director",
            "I2V-01-live",
            "S2V-01",
        ]),
    ),
    ("prompt", false, Is::Text(2000)),
    ("first_frame_image", false, MEDIA),
    ("last_frame_image", false, MEDIA),
    (
        "subject_reference",
        false,
        Is::List(1, 1, |item| {
            let image = ("image", true, Is::List(1, 1, link_or_data_url));
            is_object(item, &[("type", true, Is::Word(&["character"])), image])
        }),
    ),
    ("duration", false, Is::IntOf(&[6, 10])),
    ("resolution", false, Is::Word(&["512P", "720P", "768P", "1080P"])),
    ("prompt_optimizer", false, Is::Bool),
    ("fast_pretreatment", false, Is::Bool),
    ("callback_url", false, Is::Like(link)),
];
const CLIP_V2: &[Field] = &[
    ("model", true, Is::Word(&["MiniMax-H3", "MiniMax-H3-Max"])),
    ("resolution", true, Is::Word(&["480P", "768P", "2K"])),
    ("duration", true, Is::Int(4, 15)),
    ("ratio", false, Is::Word(&["21:9", "16:9", "4:3", "1:1", "3:4", "9:16", "adaptive"])),
    ("content", true, Is::List(1, 16, content)),
    (
        "extra",
        false,
        Is::Like(|extra| {
            is_object(extra, &[("prompt_expansion_mode", true, Is::Word(&["disabled", "balanced", "quality"]))])
        }),
    ),
];
const PICTURE: &[Field] = &[
    ("model", true, Is::Word(&["image-01", "image-01-live"])),
    ("prompt", true, Is::Text(1500)),
    ("aspect_ratio", false, Is::Word(&["1:1", "16:9", "4:3", "3:2", "2:3", "3:4", "9:16", "21:9"])),
    ("seed", false, Is::Int(i64::MIN, i64::MAX)),
    ("n", false, Is::Int(1, 9)),
    ("prompt_optimizer", false, Is::Bool),
    (
        "style",
        false,
        Is::Like(|style| {
            let weight = ("style_weight", false, Is::Num(0.001, 1.0));
            is_object(style, &[("style_type", true, Is::Word(&["漫画", "元气", "中世纪", "水彩"])), weight])
        }),
    ),
    (
        "subject_reference",
        false,
        Is::List(1, 1, |item| {
            is_object(item, &[("type", true, Is::Word(&["character"])), ("image_file", true, MEDIA)])
        }),
    ),
];
const SPEECH: &[Field] = &[
    (
        "model",
        true,
        Is::Word(&[
            "speech-2.8-hd",
            "speech-2.6-hd",
            "speech-02-hd",
            "speech-01-hd",
            "speech-2.8-turbo",
            "speech-2.6-turbo",
            "speech-02-turbo",
            "speech-01-turbo",
        ]),
    ),
    ("text", true, Is::Text(9999)),
    (
        "voice_setting",
        true,
        Is::Like(|voice| {
            let emotions =
                ["happy", "sad", "angry", "fearful", "disgusted", "surprised", "calm", "fluent", "whisper", "neutral"];
            let known = voice["emotion"].as_str().is_none_or(|emotion| emotions.contains(&emotion));
            let fields = [
                ("voice_id", true, Is::Text(256)),
                ("speed", false, Is::Num(0.5, 2.0)),
                ("vol", false, Is::Num(0.01, 10.0)),
                ("pitch", false, Is::Int(-12, 12)),
                ("emotion", false, Is::Text(20)),
            ];
            known && is_object(voice, &fields)
        }),
    ),
    (
        "audio_setting",
        false,
        Is::Like(|audio| {
            let fields = [
                ("sample_rate", false, Is::IntOf(&[8000, 16000, 22050, 24000, 32000, 44100])),
                ("bitrate", false, Is::IntOf(&[32000, 64000, 128_000, 256_000])),
                ("format", false, Is::Word(&["mp3", "pcm", "flac", "wav", "pcmu_raw", "pcmu_wav", "opus"])),
                ("channel", false, Is::IntOf(&[1, 2])),
            ];
            is_object(audio, &fields)
        }),
    ),
    ("language_boost", false, Is::Text(32)),
];

fn content(item: &Value) -> bool {
    let medium = |kind: &'static [&'static str], field: &'static str, roles: &'static [&'static str], is: Is| {
        let url = is_object(&item[field], &[("url", true, is)]);
        let fields =
            [("type", true, Is::Word(kind)), (field, true, Is::Like(|_| true)), ("role", true, Is::Word(roles))];
        url && is_object(item, &fields)
    };
    is_object(item, &[("type", true, Is::Word(&["text"])), ("text", true, Is::Text(7000))])
        || medium(&["image_url"], "image_url", &["first_frame", "last_frame", "reference_image"], MEDIA)
        || medium(&["video_url"], "video_url", &["reference_video"], Is::Like(link))
        || medium(&["audio_url"], "audio_url", &["reference_audio"], Is::Like(link))
}

fn combination(body: &Value) -> Result<(), &'static str> {
    let has = |field: &str| body.get(field).is_some();
    let model = body["model"].as_str().unwrap_or_default();
    let old = !model.starts_with("MiniMax");
    let size = body["resolution"].as_str().unwrap_or_default();
    let frame = has("first_frame_image");
    if (model.starts_with("I2V") || model.ends_with("Fast")) && !frame {
        return Err("first_frame_image is required");
    }
    if model.starts_with("T2V") && frame || model == "S2V-01" && (frame || !has("subject_reference")) {
        return Err("this model takes no first_frame_image");
    }
    if !frame && !has("prompt") && model != "S2V-01" {
        return Err("prompt is required");
    }
    if has("last_frame_image") && (model != "MiniMax-Hailuo-02" || size == "512P") {
        return Err("last_frame_image is for Hailuo-02 from 768P up");
    }
    if body["duration"] == 10 && (size == "1080P" || old) {
        return Err("10 s are made at up to 768P");
    }
    let good = match model {
        "MiniMax-Hailuo-02" => size != "720P" && (size != "512P" || frame),
        _ if old => size == "720P",
        _ => size == "768P" || size == "1080P",
    };
    if good { Ok(()) } else { Err("resolution") }
}

fn combination_v2(body: &Value) -> Result<(), &'static str> {
    let content = body["content"].as_array().unwrap();
    let has = |role: &str| content.iter().any(|item| item["role"].as_str().is_some_and(|text| text.starts_with(role)));
    let (first, last, reference) = (has("first_frame"), has("last_frame"), has("reference"));
    let mixed = reference && (first || last);
    if mixed || (last && !first) {
        return Err("frames and references exclude each other; a last frame needs a first");
    }
    let text_only = !reference && !first;
    if text_only && matches!(body["ratio"].as_str(), None | Some("adaptive")) {
        return Err("ratio is required");
    }
    let max = body["model"] == "MiniMax-H3-Max";
    if max && (reference || body["duration"] == 4 || body["resolution"] == "2K") || !max && body.get("extra").is_some()
    {
        return Err("not for this model");
    }
    Ok(())
}

async fn handle(State(double): State<Double>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path().strip_prefix("/double").unwrap_or_default();
    let v2 = path.starts_with("/v2/");
    if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {KEY}")) {
        return refuse(v2, 401, 1004, "login fail: Please carry the API secret key");
    }
    match (method, path) {
        (Method::POST, "/v1/get_voice") => Json(json!({ "system_voice": [], "base_resp": ok() })).into_response(),
        (Method::POST, _) => double.submit(path, v2, &body),
        (Method::GET, "/v1/query/video_generation") => double.look(uri.query().unwrap_or_default()),
        (Method::GET, "/v1/files/retrieve") if uri.query() == Some("file_id=205258526306433") => {
            fixture(include_str!("../../../fixtures/minimax/file.json"))
        }
        (Method::GET, _) => double.look_v2(path),
        (Method::DELETE, _) => double.cancel(path),
        _ => refuse(v2, 400, 2013, "no such endpoint"),
    }
}

fn ok() -> Value {
    json!({ "status_code": 0, "status_msg": "success" })
}

fn refuse(v2: bool, status: u16, code: u32, message: &str) -> Response {
    if !v2 {
        return Json(json!({ "base_resp": { "status_code": code, "status_msg": message } })).into_response();
    }
    let error = json!({ "type": "error", "message": format!("{message} ({code})"), "http_code": status.to_string() });
    let body = json!({ "type": "error", "error": error, "request_id": "r" });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn fixture(text: &str) -> Response {
    Json(serde_json::from_str::<Value>(text).unwrap()).into_response()
}

impl Double {
    fn submit(&self, path: &str, v2: bool, body: &[u8]) -> Response {
        let words = String::from_utf8_lossy(body).into_owned();
        let json: Value = serde_json::from_slice(body).unwrap();
        let fields = match path {
            "/v1/video_generation" => CLIP,
            "/v2/video_generation" => CLIP_V2,
            "/v1/image_generation" => PICTURE,
            "/v1/t2a_v2" => SPEECH,
            _ => return refuse(v2, 400, 2013, "no such endpoint"),
        };
        let mut checked = object(&json, &[fields]);
        if checked.is_ok() && path.ends_with("video_generation") {
            checked = if v2 { combination_v2(&json) } else { combination(&json) }.map_err(str::to_owned);
        }
        if let Err(problem) = checked {
            return refuse(v2, 400, 2013, &problem);
        }
        if words.contains("[[garbled]]") {
            return (StatusCode::OK, "{\"task_id\":\"29").into_response();
        }
        if words.contains("[[down]]") {
            return (StatusCode::SERVICE_UNAVAILABLE, "upstream connect error").into_response();
        }
        for (word, status, code) in
            [("[[busy]]", 429, 1002), ("[[poor]]", 402, 1008), ("[[moderated]]", 422, 1026), ("[[broken]]", 500, 1000)]
        {
            if words.contains(word) {
                return refuse(v2, status, code, "as the prompt asked");
            }
        }
        match path {
            "/v1/image_generation" => pictures(&json, &words),
            "/v1/t2a_v2" => speech(&json),
            _ => {
                let mut tasks = self.0.lock().unwrap();
                tasks.push(Entry { words, ..Entry::default() });
                let id = tasks.len().to_string();
                let answer = if v2 { json!({ "task_id": id }) } else { json!({ "task_id": id, "base_resp": ok() }) };
                Json(answer).into_response()
            }
        }
    }

    fn look(&self, query: &str) -> Response {
        let mut tasks = self.0.lock().unwrap();
        let index = query.strip_prefix("task_id=").and_then(|id| id.parse::<usize>().ok()).unwrap_or(0);
        let Some(entry) = index.checked_sub(1).and_then(|index| tasks.get_mut(index)) else {
            return refuse(false, 400, 2013, "invalid task_id");
        };
        entry.looks += 1;
        let (status, code) = match entry.looks {
            1 => ("Queueing", 0),
            2 if entry.words.contains("[[odd]]") => ("Dreaming", 0),
            2 => ("Processing", 0),
            _ if entry.words.contains("[[failed]]") => ("Fail", 0),
            _ if entry.words.contains("[[risk]]") => ("Fail", 1027),
            _ => return fixture(include_str!("../../../fixtures/minimax/query.json")),
        };
        let resp = json!({ "status_code": code, "status_msg": "" });
        let answer = json!({ "task_id": index.to_string(), "status": status, "file_id": "", "base_resp": resp });
        Json(answer).into_response()
    }

    fn look_v2(&self, path: &str) -> Response {
        let mut tasks = self.0.lock().unwrap();
        let id = path.strip_prefix("/v2/query/video_generation/").and_then(|id| id.parse::<usize>().ok()).unwrap_or(0);
        let Some(entry) = id.checked_sub(1).and_then(|index| tasks.get_mut(index)) else {
            return refuse(true, 400, 2013, "invalid task_id");
        };
        entry.looks += 1;
        let (status, message) = match entry.looks {
            _ if entry.cancelled => ("cancelled", ""),
            1 => ("queued", ""),
            2 if entry.words.contains("[[odd]]") => ("dreaming", ""),
            2 => ("running", ""),
            _ if entry.words.contains("[[failed]]") => ("failed", "internal"),
            _ if entry.words.contains("[[risk]]") => ("failed", "output new_sensitive (1027)"),
            _ => return fixture(include_str!("../../../fixtures/minimax/task_v2.json")),
        };
        Json(json!({ "task": { "id": id.to_string(), "status": status, "error": { "code": "", "message": message } } }))
            .into_response()
    }

    fn cancel(&self, path: &str) -> Response {
        let mut tasks = self.0.lock().unwrap();
        let id = path.strip_prefix("/v2/video_generation/").and_then(|id| id.parse::<usize>().ok()).unwrap_or(0);
        let Some(entry) = id.checked_sub(1).and_then(|index| tasks.get_mut(index)) else {
            return refuse(true, 400, 2013, "invalid task_id");
        };
        let action = match entry.looks {
            0 | 1 if !entry.cancelled => "cancelled",
            0..=2 => return refuse(true, 400, 2013, "this task cannot be cancelled now"),
            _ => "deleted",
        };
        entry.cancelled = true;
        Json(json!({ "task_id": id.to_string(), "action": action, "status": "cancelled" })).into_response()
    }
}

/// The sound comes in hex.
fn speech(body: &Value) -> Response {
    let format = body["audio_setting"]["format"].as_str().unwrap_or("mp3");
    let (_, bytes) = files::sample(format.trim_start_matches("pcmu_").replace("raw", "pcm").as_str()).unwrap();
    let mut answer: Value = serde_json::from_str(include_str!("../../../fixtures/minimax/speech.json")).unwrap();
    answer["data"]["audio"] = json!(hex::encode(bytes));
    Json(answer).into_response()
}

fn pictures(body: &Value, words: &str) -> Response {
    let asked = body["n"].as_u64().unwrap_or(1);
    let made = if words.contains("[[failed]]") { 0 } else { asked };
    let urls: Vec<_> = (0..made).map(|number| format!("https://media.example.com/{number}.png")).collect();
    let counts = json!({ "success_count": made.to_string(), "failed_count": (asked - made).to_string() });
    Json(json!({ "id": "1", "data": { "image_urls": urls }, "metadata": counts, "base_resp": ok() })).into_response()
}
