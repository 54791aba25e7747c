//! `ModelArk`. Words in the prompt steer it: `[[busy]]`, `[[quota]]`, `[[poor]]`, `[[down]]`, `[[broken]]`,
//! `[[moderated]]`, `[[garbled]]`; and the task: `[[failed]]`, `[[unsafe]]`, `[[expired]]`, `[[odd]]`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, http::Method, response::Response};
use serde_json::{Value, json};

use super::{
    asked::{Asked, answer, fixture, garbled},
    check::{Field, Is, is_object, link, link_or_data_url, object},
};

pub const KEY: &str = "ark-key";

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<BTreeMap<String, Entry>>>);

struct Entry {
    words: String,
    looks: u32,
}

const CLIP: &[Field] = &[
    ("model", true, Is::Text(60)),
    ("content", true, Is::List(1, 60, part)),
    ("resolution", false, Is::Word(&["480p", "720p", "1080p", "4k"])),
    ("ratio", false, Is::Word(&["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive"])),
    ("duration", false, Is::Int(-1, 30)),
    ("seed", false, Is::Int(-1, 4_294_967_295)),
    ("watermark", false, Is::Bool),
    ("camera_fixed", false, Is::Bool),
    ("generate_audio", false, Is::Bool),
    ("omni_reference_task_type", false, Is::Word(&["auto", "reference", "edit", "extend"])),
];
const PICTURE: &[Field] = &[
    ("model", true, Is::Text(60)),
    ("prompt", true, Is::Text(4000)),
    (
        "image",
        false,
        Is::Like(|image| {
            link_or_data_url(image) || image.as_array().is_some_and(|list| list.iter().all(link_or_data_url))
        }),
    ),
    ("size", false, Is::Text(12)),
    ("response_format", false, Is::Word(&["url", "b64_json"])),
    ("seed", false, Is::Int(-1, 2_147_483_647)),
    ("guidance_scale", false, Is::Num(1.0, 10.0)),
    ("watermark", true, Is::Bool),
    ("output_format", false, Is::Word(&["png", "jpeg"])),
];

fn part(part: &Value) -> bool {
    let url = |field: &'static str, inline: bool, roles: &'static [&'static str]| {
        let good = if inline { link_or_data_url } else { link };
        let held = part[field].as_object().is_some_and(|held| held.len() == 1 && held.get("url").is_some_and(good));
        held && part["role"].as_str().is_some_and(|role| roles.contains(&role)) && part.as_object().unwrap().len() == 3
    };
    match part["type"].as_str() {
        Some("text") => is_object(part, &[("type", true, Is::Word(&["text"])), ("text", true, Is::Text(4096))]),
        Some("image_url") => url("image_url", true, &["first_frame", "last_frame", "reference_image"]),
        Some("video_url") => url("video_url", false, &["reference_video"]),
        Some("audio_url") => {
            let inline = part["audio_url"]["url"].as_str().is_some_and(|url| url.starts_with("data:audio/wav;base64,"));
            inline && part["role"] == "reference_audio" || url("audio_url", false, &["reference_audio"])
        }
        _ => false,
    }
}

impl Double {
    pub fn router(&self) -> Router {
        let handler = async |State(double): State<Self>, request: axum::extract::Request| {
            double.handle(&Asked::read(request).await)
        };
        Router::new().fallback(handler).with_state(self.clone())
    }

    fn handle(&self, asked: &Asked) -> Response {
        if asked.bearer() != Some(KEY) {
            return error(401, "AuthenticationError", "the API key is missing or invalid");
        }
        let task = asked.path.strip_prefix("/api/v3/contents/generations/tasks");
        match (&asked.method, task) {
            (&Method::POST, Some("")) => self.submit(asked),
            (&Method::GET, Some("?page_num=1&page_size=1")) => answer(200, json!({"total": 0, "items": []})),
            (&Method::GET, Some(id)) => self.state(&id[1..]),
            (&Method::DELETE, Some(id)) => self.delete(&id[1..]),
            (&Method::POST, None) if asked.path == "/api/v3/images/generations" => picture(asked),
            _ => error(404, "NotFound", "no such path"),
        }
    }

    fn submit(&self, asked: &Asked) -> Response {
        if let Some(response) = steered(asked) {
            return response;
        }
        let body = asked.json().unwrap_or_default();
        if let Err(problem) = object(&body, &[CLIP]).and_then(|()| fits(&body)) {
            return error(400, "InvalidParameter", &problem);
        }
        let mut entries = self.0.lock().unwrap();
        let id = format!("cgt-20261009163014-{}", entries.len());
        entries.insert(id.clone(), Entry { words: String::from_utf8_lossy(&asked.body).into_owned(), looks: 0 });
        if asked.says("garbled") { garbled() } else { answer(200, json!({ "id": id })) }
    }

    fn state(&self, id: &str) -> Response {
        let mut entries = self.0.lock().unwrap();
        let Some(entry) = entries.get_mut(id) else { return error(404, "NotFound.Task", "no such task") };
        entry.looks += 1;
        let says = |word: &str| entry.words.contains(&format!("[[{word}]]"));
        let failed = |code: &str| json!({"status": "failed", "error": {"code": code, "message": "no"}});
        let mut state = match entry.looks {
            1 => fixture("ark/queued.json"),
            2 if says("odd") => json!({"status": "paused"}),
            2 => json!({"status": "running"}),
            _ if says("failed") => failed("InternalServiceError"),
            _ if says("unsafe") => failed("OutputVideoSensitiveContentDetected"),
            _ if says("expired") => json!({"status": "expired"}),
            _ => fixture("ark/succeeded.json"),
        };
        state["id"] = json!(id);
        answer(200, state)
    }

    fn delete(&self, id: &str) -> Response {
        let mut entries = self.0.lock().unwrap();
        match entries.get(id).map(|entry| entry.looks) {
            None => error(404, "NotFound.Task", "no such task"),
            Some(2) => error(409, "InvalidAction.RunningTaskDeletion", "the task is running"),
            Some(_) => {
                entries.remove(id);
                answer(200, json!({}))
            }
        }
    }
}

fn error(status: u16, code: &str, message: &str) -> Response {
    let message = format!("{message} Request id: 02176");
    answer(status, json!({"error": {"code": code, "message": message, "param": "", "type": "BadRequest"}}))
}

fn steered(asked: &Asked) -> Option<Response> {
    let refusals = [
        ("busy", 429, "RateLimitExceeded.EndpointRPMExceeded"),
        ("quota", 429, "QuotaExceeded"),
        ("poor", 403, "AccountOverdueError"),
        ("closed", 404, "ModelNotOpen"),
        ("down", 503, "ServiceUnavailable"),
        ("broken", 500, "InternalServiceError"),
        ("moderated", 400, "InputTextSensitiveContentDetected"),
    ];
    let (_, status, code) = refusals.into_iter().find(|refusal| asked.says(refusal.0))?;
    Some(error(status, code, "no"))
}

/// What each model takes beyond the shape: durations, sizes, roles.
fn fits(body: &Value) -> Result<(), String> {
    let model = body["model"].as_str().unwrap();
    let (shortest, longest, sizes): (i64, i64, &[&str]) = match model {
        "dreamina-seedance-2-5-260628" => (4, 30, &["480p", "720p", "1080p"]),
        "dreamina-seedance-2-0-260128" => (4, 15, &["480p", "720p", "1080p", "4k"]),
        "dreamina-seedance-2-0-fast-260128" | "dreamina-seedance-2-0-mini-260615" => (4, 15, &["480p", "720p"]),
        "seedance-1-5-pro-251215" => (4, 12, &["480p", "720p", "1080p"]),
        "seedance-1-0-pro-250528"
        | "seedance-1-0-pro-fast-251015"
        | "seedance-1-0-lite-t2v-250428"
        | "seedance-1-0-lite-i2v-250428" => (2, 12, &["480p", "720p", "1080p"]),
        _ => return Err("model".into()),
    };
    let newer = model.starts_with("dreamina");
    let roles: Vec<&str> =
        body["content"].as_array().unwrap().iter().filter_map(|part| part["role"].as_str()).collect();
    let has = |role: &str| roles.contains(&role);
    let references = roles.iter().any(|role| role.starts_with("reference"));
    let frames = has("first_frame") || has("last_frame");
    let adaptive = body.get("ratio").is_none_or(|ratio| ratio == "adaptive");
    let task = body["omni_reference_task_type"].as_str();
    let demands = [
        (body["duration"].as_i64().is_none_or(|seconds| (shortest..=longest).contains(&seconds)), "duration"),
        (body["resolution"].as_str().is_none_or(|size| sizes.contains(&size)), "resolution"),
        (body.get("camera_fixed").is_none() || !newer && !references, "camera_fixed"),
        (body.get("generate_audio").is_none() || newer || model.starts_with("seedance-1-5"), "generate_audio"),
        (!(frames && references), "roles"),
        (!has("last_frame") || has("first_frame"), "last_frame"),
        (!(has("reference_video") || has("reference_audio")) || newer, "reference"),
        (!model.contains("t2v") || roles.is_empty(), "content"),
        (!model.contains("i2v") || !roles.is_empty(), "content"),
        (!(model.contains("i2v") && references) || body["resolution"] != "1080p", "resolution"),
        (!(model.contains("2-5") && frames) || adaptive, "ratio"),
        (task.is_none() || model.contains("2-5"), "omni_reference_task_type"),
        (!matches!(task, Some("edit" | "extend")) || has("reference_video") && adaptive, "omni_reference_task_type"),
    ];
    match demands.into_iter().find(|(good, _)| !good) {
        Some((_, field)) => Err(field.into()),
        None => Ok(()),
    }
}

fn picture(asked: &Asked) -> Response {
    if let Some(response) = steered(asked) {
        return response;
    }
    if asked.says("garbled") {
        return garbled();
    }
    let body = asked.json().unwrap_or_default();
    if let Err(problem) = object(&body, &[PICTURE]).and_then(|()| picture_fits(&body)) {
        return error(400, "InvalidParameter", &problem);
    }
    answer(200, fixture("ark/picture.json"))
}

fn picture_fits(body: &Value) -> Result<(), String> {
    let model = body["model"].as_str().unwrap();
    let (words, least): (&[&str], u32) = match model {
        "seedream-3-0-t2i-250415" => (&[], 512 * 512),
        "seededit-3-0-i2i-250628" => (&["adaptive"], u32::MAX),
        "seedream-4-0-250828" => (&["1K", "2K", "4K"], 921_600),
        "seedream-4-5-251128" => (&["2K", "4K"], 3_686_400),
        "seedream-5-0-260128" => (&["2K", "3K"], 3_686_400),
        "dola-seedream-5-0-pro-260628" => (&["1K", "2K"], 921_600),
        _ => return Err("model".into()),
    };
    let older = model.contains("-3-0");
    let size = body["size"].as_str().unwrap_or("2048x2048");
    let pixels = size.split_once('x').and_then(|(w, h)| Some(w.parse::<u32>().ok()? * h.parse::<u32>().ok()?));
    let sized = words.contains(&size) || pixels.is_some_and(|pixels| (least..=16_777_216).contains(&pixels));
    let tuned = body.get("seed").is_some() || body.get("guidance_scale").is_some();
    let format = body.get("output_format").is_none() || model.contains("-5-0-");
    let image = match model {
        "seedream-3-0-t2i-250415" => body.get("image").is_none(),
        "seededit-3-0-i2i-250628" => body["image"].is_string(),
        _ => body["image"].as_array().is_none_or(|list| list.len() <= 14),
    };
    if sized && (older || !tuned) && format && image { Ok(()) } else { Err("size, seed, format or image".into()) }
}
