//! Vidu. Words in the body steer it: `[[busy]]`, `[[down]]`, `[[poor]]`, `[[moderated]]`, `[[garbled]]`, `[[failed]]`,
//! `[[risk]]`, `[[odd]]`.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::check::{Field, Is, link, link_or_data_url, object};

pub const KEY: &str = "vda_key";

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<Vec<Entry>>>);

#[derive(Default)]
struct Entry {
    words: String,
    looks: u32,
    cancelled: bool,
    picture: bool,
}

impl Double {
    pub fn router(&self) -> Router {
        Router::new().fallback(handle).with_state(self.clone())
    }
}

const MEDIA: Is = Is::Like(link_or_data_url);
const RATIO: Is = Is::Word(&["16:9", "9:16", "1:1", "3:4", "4:3"]);
const COMMON: &[Field] = &[
    ("seed", false, Is::Int(i64::MIN, i64::MAX)),
    ("payload", false, Is::Text(1_048_576)),
    ("off_peak", false, Is::Bool),
    ("watermark", false, Is::Bool),
    ("bgm", false, Is::Bool),
    ("callback_url", false, Is::Like(link)),
];
const CLIP: &[Field] = &[
    ("duration", false, Is::Int(1, 16)),
    ("resolution", false, Is::Word(&["360p", "540p", "720p", "1080p"])),
    ("movement_amplitude", false, Is::Word(&["auto", "small", "medium", "large"])),
    ("audio", false, Is::Bool),
];
const TEXT: &[Field] = &[
    ("model", true, Is::Word(&["viduq3-pro", "viduq3-turbo", "viduq2", "viduq1"])),
    ("prompt", true, Is::Text(5000)),
    ("style", false, Is::Word(&["general", "anime"])),
    ("aspect_ratio", false, RATIO),
];
const FRAME_MODELS: Is = Is::Word(&[
    "viduq3-pro",
    "viduq3-turbo",
    "viduq3-pro-fast",
    "viduq2-pro",
    "viduq2-turbo",
    "viduq2-pro-fast",
    "viduq1",
    "viduq1-classic",
    "vidu2.0",
]);
const FRAME: &[Field] = &[
    ("model", true, FRAME_MODELS),
    ("images", true, Is::List(1, 1, link_or_data_url)),
    ("prompt", false, Is::Text(5000)),
];
const FRAMES: &[Field] = &[
    ("model", true, FRAME_MODELS),
    ("images", true, Is::List(2, 2, link_or_data_url)),
    ("prompt", false, Is::Text(5000)),
];
const REFERENCES: &[Field] = &[
    ("model", true, Is::Word(&["viduq3-turbo", "viduq3", "viduq3-mix", "viduq2", "viduq2-pro", "viduq1", "vidu2.0"])),
    ("images", true, Is::List(1, 7, link_or_data_url)),
    ("videos", false, Is::List(1, 2, link)),
    ("prompt", true, Is::Text(5000)),
    ("aspect_ratio", false, RATIO),
];
const EXTEND: &[Field] = &[
    ("model", true, Is::Word(&["viduq2-pro", "viduq2-turbo"])),
    ("video_url", true, Is::Like(link)),
    ("images", false, Is::List(0, 1, link_or_data_url)),
    ("prompt", false, Is::Text(5000)),
    ("duration", false, Is::Int(1, 7)),
    ("resolution", false, Is::Word(&["540p", "720p", "1080p"])),
];
const PICTURE: &[Field] = &[
    ("model", true, Is::Word(&["viduq2", "viduq1"])),
    ("prompt", true, Is::Text(2000)),
    ("images", false, Is::List(1, 7, link_or_data_url)),
    ("aspect_ratio", false, Is::Word(&["16:9", "9:16", "1:1", "3:4", "4:3", "21:9", "2:3", "3:2", "auto"])),
    ("resolution", false, Is::Word(&["1080p", "2K", "4K"])),
];
const PRODUCT: &[Field] = &[
    ("image", true, MEDIA),
    ("count", false, Is::Int(1, 4)),
    ("background", false, Is::Text(2000)),
    ("prompt", false, Is::Text(2000)),
];
const FILM: &[Field] = &[
    ("images", true, Is::List(1, 7, link_or_data_url)),
    ("prompt", false, Is::Text(2000)),
    ("duration", false, Is::Int(10, 60)),
    ("aspect_ratio", false, Is::Word(&["16:9", "9:16", "1:1"])),
    ("language", false, Is::Word(&["zh", "en"])),
    ("callback_url", false, Is::Like(link)),
];
const REMAKE: &[Field] = &[
    ("video_url", true, Is::Like(link)),
    ("images", true, Is::List(1, 7, link_or_data_url)),
    ("prompt", false, Is::Text(2000)),
    ("aspect_ratio", false, Is::Word(&["16:9", "9:16", "1:1"])),
    ("resolution", false, Is::Word(&["540p", "720p", "1080p"])),
    ("remove_audio", false, Is::Bool),
];

fn fields(path: &str) -> Option<Vec<&'static [Field]>> {
    Some(match path {
        "/text2video" => vec![COMMON, CLIP, TEXT],
        "/img2video" => vec![COMMON, CLIP, FRAME],
        "/start-end2video" => vec![COMMON, CLIP, FRAMES],
        "/reference2video" => vec![COMMON, CLIP, REFERENCES],
        "/extend" => vec![COMMON, EXTEND],
        "/reference2image" => vec![COMMON, PICTURE],
        "/ecommerce-img" => vec![PRODUCT],
        "/ad-one-click" => vec![FILM],
        "/trending-replicate" => vec![REMAKE],
        _ => return None,
    })
}

fn combination(path: &str, body: &Value) -> Result<(), &'static str> {
    let has = |field: &str| body.get(field).is_some();
    let model = body["model"].as_str().unwrap_or_default();
    let (size, seconds) = (body["resolution"].as_str().unwrap_or_default(), body["duration"].as_i64().unwrap_or(0));
    if path == "/ecommerce-img" && has("background") && has("prompt") {
        return Err("background or prompt");
    }
    let good = match model {
        "viduq1" | "viduq1-classic" if path.ends_with("video") => seconds == 5 && size == "1080p",
        "vidu2.0" => {
            let long = seconds == 8 && path != "/reference2video" && size == "720p";
            (seconds == 4 || long) && size != "540p"
        }
        _ if model.starts_with("viduq2") => seconds <= 10 && size != "360p",
        _ => size != "360p",
    };
    let sound_for_q3 = !has("audio") || model.starts_with("viduq3");
    let style_for_q1 = !has("style") || model == "viduq1";
    let clips_for_q2_pro = !has("videos") || model == "viduq2-pro";
    if good && sound_for_q3 && style_for_q1 && clips_for_q2_pro { Ok(()) } else { Err("not for this model") }
}

async fn handle(State(double): State<Double>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if headers.get("authorization").is_none_or(|value| value != &format!("Token {KEY}")) {
        return refuse(401, "Unauthorized", "the key is not right");
    }
    let path = uri.path().strip_prefix("/double/ent/v2").unwrap_or_default();
    if let Some(task) = path.strip_prefix("/tasks/") {
        return match (method, task.split_once('/')) {
            (Method::GET, Some((id, "creations"))) => double.look(id),
            (Method::POST, Some((id, "cancel"))) if body == json!({ "id": id }).to_string() => double.cancel(id),
            _ => refuse(404, "NotFound", "no such endpoint"),
        };
    }
    double.submit(path, &body)
}

fn refuse(status: u16, reason: &str, message: &str) -> Response {
    let body = json!({ "code": status, "reason": reason, "message": message, "metadata": { "trace_id": "t" } });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

/// The id of the task at this place; longer than what JavaScript's numbers hold.
fn id(index: usize) -> String {
    format!("9123456789{index:08}")
}

impl Double {
    fn submit(&self, path: &str, body: &[u8]) -> Response {
        let Some(fields) = fields(path) else { return refuse(404, "NotFound", "no such endpoint") };
        let words = String::from_utf8_lossy(body).into_owned();
        let json: Value = serde_json::from_slice(body).unwrap();
        if let Err(problem) = object(&json, &fields) {
            return refuse(400, "FieldInvalid", &problem);
        }
        if let Err(problem) = combination(path, &json) {
            return refuse(400, "FieldInvalid", problem);
        }
        if words.contains("[[garbled]]") {
            return (StatusCode::OK, "{\"task_id\":\"91").into_response();
        }
        for (word, status, reason) in [
            ("[[busy]]", 429, "QuotaExceeded"),
            ("[[down]]", 503, "ServiceUnavailable"),
            ("[[poor]]", 400, "CreditInsufficient"),
            ("[[moderated]]", 400, "TaskPromptPolicyViolation"),
        ] {
            if words.contains(word) {
                return refuse(status, reason, "as the prompt asked");
            }
        }
        let mut tasks = self.0.lock().unwrap();
        let picture = path.ends_with("image") || path.ends_with("-img");
        tasks.push(Entry { words, picture, ..Entry::default() });
        fixture(include_str!("../../../fixtures/vidu/created.json"), &id(tasks.len()))
    }

    fn look(&self, asked: &str) -> Response {
        let mut tasks = self.0.lock().unwrap();
        let Some((_, entry)) = (1..).zip(tasks.iter_mut()).find(|(index, _)| id(*index) == asked) else {
            return refuse(404, "TaskNotFound", "no such task");
        };
        entry.looks += 1;
        let (state, error) = match entry.looks {
            _ if entry.cancelled => ("failed", "UserCancelled"),
            1 => ("queueing", ""),
            2 if entry.words.contains("[[odd]]") => ("dreaming", ""),
            2 => ("processing", ""),
            _ if entry.words.contains("[[failed]]") => ("failed", "InternalServiceFailure"),
            _ if entry.words.contains("[[risk]]") => ("failed", "CreationPolicyViolation"),
            _ => {
                let end = if entry.picture { ".png" } else { ".mp4" };
                let done = include_str!("../../../fixtures/vidu/creations.json").replace("c1.mp4", &format!("c1{end}"));
                return fixture(&done, asked);
            }
        };
        Json(json!({ "id": asked, "state": state, "err_code": error, "creations": null })).into_response()
    }

    fn cancel(&self, asked: &str) -> Response {
        let mut tasks = self.0.lock().unwrap();
        let Some((_, entry)) = (1..).zip(tasks.iter_mut()).find(|(index, _)| id(*index) == asked) else {
            return refuse(404, "TaskNotFound", "no such task");
        };
        if entry.looks > 1 || entry.cancelled {
            return refuse(400, "BadRequest", "task state is scheduled, can not cancel");
        }
        entry.cancelled = true;
        Json(json!({})).into_response()
    }
}

fn fixture(text: &str, id: &str) -> Response {
    Json(serde_json::from_str::<Value>(&text.replace("912345678901234567", id)).unwrap()).into_response()
}
