//! fal: the queue, with the inputs of the endpoints our catalogue names. As the service does, it takes any input and
//! says what is wrong with it at the result. Words in the prompt steer it: `[[busy]]`, `[[down]]`, `[[broken]]`,
//! `[[poor]]`, `[[garbled]]`, `[[moderated]]`, `[[failed]]`, `[[odd]]`, `[[slow]]` (never ends).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::check::{Field, Is, link_or_data_url, object};

pub const KEY: &str = "key-id:key-secret";

const QUEUED: &str = include_str!("../../../fixtures/fal/queued.json");
const POLICY: &str = include_str!("../../../fixtures/fal/policy.json");

#[derive(Clone, Default)]
pub struct Double {
    requests: Arc<Mutex<BTreeMap<String, Request>>>,
}

struct Request {
    endpoint: String,
    input: Value,
    looks: u32,
    cancelled: bool,
}

impl Request {
    fn says(&self, word: &str) -> bool {
        self.input.to_string().contains(word)
    }
}

impl Double {
    pub fn router(&self) -> Router {
        Router::new().fallback(handle).with_state(self.clone())
    }

    /// The inputs that were taken, in the order of their ids.
    pub fn inputs(&self) -> Vec<Value> {
        self.requests.lock().unwrap().values().map(|request| request.input.clone()).collect()
    }
}

const PROMPT: Field = ("prompt", true, Is::Text(10_000));
const SEED: Field = ("seed", false, Is::Int(0, i64::MAX));
const FORMAT: Field = ("output_format", false, Is::Word(&["jpeg", "png"]));
const SIZE: Field = ("image_size", false, Is::Like(image_size));
const COUNT: Field = ("num_images", false, Is::Int(1, 4));
const GUIDANCE: Field = ("guidance_scale", false, Is::Num(1.0, 20.0));
const NEGATIVE: Field = ("negative_prompt", false, Is::Text(10_000));
const MEDIA: Is = Is::Like(link_or_data_url);
const WIDE: Is = Is::Word(&["21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16", "9:21"]);
const FLUX: &[Field] = &[PROMPT, SEED, FORMAT, SIZE, COUNT, ("enable_safety_checker", false, Is::Bool)];
const KLING: &[Field] = &[PROMPT, NEGATIVE, ("cfg_scale", false, Is::Num(0.0, 1.0))];
const KLING_RATIO: &[Field] = &[("aspect_ratio", false, Is::Word(&["16:9", "9:16", "1:1"]))];
const FIVE_OR_TEN: &[Field] = &[("duration", false, Is::Word(&["5", "10"]))];
const THREE_TO_FIFTEEN: &[Field] = &[
    ("duration", false, Is::Word(&["3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"])),
    ("generate_audio", false, Is::Bool),
];

/// The input of an endpoint; nothing for one that is not there.
fn fields(endpoint: &str) -> Option<Vec<&'static [Field]>> {
    Some(match endpoint {
        "fal-ai/flux/schnell" => vec![FLUX, &[GUIDANCE, ("num_inference_steps", false, Is::Int(1, 12))]],
        "fal-ai/flux/dev" => vec![FLUX, &[GUIDANCE, ("num_inference_steps", false, Is::Int(1, 50))]],
        "fal-ai/flux-pro/v1.1" => vec![FLUX, &[("enhance_prompt", false, Is::Bool)]],
        "fal-ai/flux-pro/v1.1-ultra" => vec![&[
            PROMPT,
            SEED,
            FORMAT,
            COUNT,
            ("aspect_ratio", false, WIDE),
            ("raw", false, Is::Bool),
            ("image_url", false, MEDIA),
        ]],
        "fal-ai/flux-pro/kontext" => {
            vec![&[PROMPT, SEED, FORMAT, COUNT, GUIDANCE, ("aspect_ratio", false, WIDE), ("image_url", true, MEDIA)]]
        }
        "fal-ai/fast-sdxl" => vec![&[
            PROMPT,
            NEGATIVE,
            SIZE,
            ("num_images", false, Is::Int(1, 8)),
            ("format", false, Is::Word(&["jpeg", "png"])),
            ("num_inference_steps", false, Is::Int(1, 100)),
            ("guidance_scale", false, Is::Num(0.0, 30.0)),
        ]],
        "fal-ai/qwen-image" => vec![&[PROMPT, NEGATIVE, SIZE, COUNT, SEED]],
        "fal-ai/nano-banana" => vec![&[PROMPT, FORMAT, ("aspect_ratio", false, WIDE)]],
        "fal-ai/bytedance/seedream/v4.5/text-to-image" => {
            vec![&[PROMPT, ("image_size", false, Is::Word(&["auto_2K", "auto_4K"]))]]
        }
        _ => return clip_fields(endpoint),
    })
}

fn clip_fields(endpoint: &str) -> Option<Vec<&'static [Field]>> {
    Some(match endpoint {
        "fal-ai/kling-video/v2.5-turbo/pro/text-to-video" => vec![KLING, KLING_RATIO, FIVE_OR_TEN],
        "fal-ai/kling-video/v2.5-turbo/pro/image-to-video" => {
            vec![KLING, FIVE_OR_TEN, &[("image_url", true, MEDIA), ("tail_image_url", false, MEDIA)]]
        }
        "fal-ai/kling-video/v3/pro/text-to-video" => vec![KLING, KLING_RATIO, THREE_TO_FIFTEEN],
        "fal-ai/kling-video/v3/pro/image-to-video" => {
            vec![KLING, THREE_TO_FIFTEEN, &[("start_image_url", true, MEDIA), ("end_image_url", false, MEDIA)]]
        }
        "fal-ai/minimax/hailuo-02/standard/text-to-video" => {
            vec![&[PROMPT, ("duration", false, Is::Word(&["6", "10"]))]]
        }
        "fal-ai/veo3.1" | "fal-ai/veo3.1/fast" => vec![&[
            PROMPT,
            NEGATIVE,
            SEED,
            ("duration", false, Is::Word(&["4s", "6s", "8s"])),
            ("resolution", false, Is::Word(&["720p", "1080p"])),
            ("aspect_ratio", false, Is::Word(&["16:9", "9:16"])),
            ("generate_audio", false, Is::Bool),
        ]],
        "fal-ai/bytedance/seedance/v1/lite/text-to-video" => vec![&[
            PROMPT,
            ("duration", false, Is::Word(&["2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"])),
            ("resolution", false, Is::Word(&["480p", "720p", "1080p"])),
            ("aspect_ratio", false, Is::Word(&["21:9", "16:9", "4:3", "1:1", "3:4", "9:16"])),
        ]],
        "fal-ai/luma-dream-machine/ray-2" => vec![&[
            PROMPT,
            ("duration", false, Is::Word(&["5s", "9s"])),
            ("resolution", false, Is::Word(&["540p", "720p", "1080p"])),
            ("aspect_ratio", false, WIDE),
        ]],
        "wan/v2.6/text-to-video" => vec![&[
            PROMPT,
            NEGATIVE,
            SEED,
            ("duration", false, Is::Word(&["5", "10", "15"])),
            ("resolution", false, Is::Word(&["720p", "1080p"])),
            ("aspect_ratio", false, WIDE),
            ("enable_prompt_expansion", false, Is::Bool),
        ]],
        _ => return None,
    })
}

fn image_size(value: &Value) -> bool {
    let edge = |name: &str| value[name].as_i64().is_some_and(|pixels| (64..=4096).contains(&pixels));
    let presets = ["square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"];
    match value {
        Value::String(preset) => presets.contains(&preset.as_str()),
        Value::Object(size) => size.len() == 2 && edge("width") && edge("height"),
        _ => false,
    }
}

async fn handle(State(double): State<Double>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&format!("Key {KEY}")) {
        return trouble(401, "No user found for Key ID and Secret");
    }
    let base = format!("http://{}/double", headers["host"].to_str().unwrap());
    let Some(path) = uri.path().strip_prefix("/double/") else { return trouble(404, "Not Found") };
    match path.split_once("/requests/") {
        None if method == Method::POST => submit(&double, path, &body, &base),
        Some((app, rest)) => about(&double, &method, app, rest),
        None => trouble(405, "Method Not Allowed"),
    }
}

fn submit(double: &Double, endpoint: &str, body: &[u8], base: &str) -> Response {
    if fields(endpoint).is_none() {
        return trouble(404, "Application not found");
    }
    let Ok(input) = serde_json::from_slice::<Value>(body) else { return trouble(422, "not JSON") };
    let request = Request { endpoint: endpoint.to_owned(), input, looks: 0, cancelled: false };
    if request.says("[[busy]]") {
        return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")], Json(json!({ "detail": "Too many" })))
            .into_response();
    }
    for (word, status, text) in [
        ("[[down]]", 503, "down"),
        ("[[broken]]", 502, "bad gateway"),
        (
            "[[poor]]",
            403,
            "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.",
        ),
    ] {
        if request.says(word) {
            return trouble(status, text);
        }
    }
    let garbled = request.says("[[garbled]]");
    let mut requests = double.requests.lock().unwrap();
    let id = format!("00000000-0000-4000-8000-{:012}", requests.len());
    requests.insert(id.clone(), request);
    let app: Vec<&str> = endpoint.split('/').take(2).collect();
    let root = format!("{base}/{}/requests/{id}", app.join("/"));
    let mut answer: Value = serde_json::from_str(QUEUED).unwrap();
    answer["request_id"] = json!(id);
    answer["response_url"] = json!(root);
    answer["status_url"] = json!(format!("{root}/status"));
    answer["cancel_url"] = json!(format!("{root}/cancel"));
    if garbled { answer.to_string()[..40].to_owned().into_response() } else { Json(answer).into_response() }
}

fn about(double: &Double, method: &Method, app: &str, rest: &str) -> Response {
    let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
    let mut requests = double.requests.lock().unwrap();
    let unknown = || (StatusCode::NOT_FOUND, Json(json!({ "status": "NOT_FOUND" }))).into_response();
    let Some(request) = requests.get_mut(id) else { return unknown() };
    if app.split('/').count() != 2 || !request.endpoint.starts_with(app) {
        return trouble(405, "Method Not Allowed");
    }
    match (method.as_str(), what) {
        ("GET", "status") => status(request),
        ("GET", "") => result(request),
        ("PUT", "cancel") => cancel(request),
        _ => trouble(405, "Method Not Allowed"),
    }
}

fn status(request: &mut Request) -> Response {
    request.looks += 1;
    let done = request.cancelled || request.looks > 2 && !request.says("[[slow]]");
    match request.looks {
        _ if done => Json(json!({ "status": "COMPLETED", "metrics": { "inference_time": 1.2 } })).into_response(),
        1 => (StatusCode::ACCEPTED, Json(json!({ "status": "IN_QUEUE", "queue_position": 0 }))).into_response(),
        _ if request.says("[[odd]]") => Json(json!({ "status": "WARMING_UP" })).into_response(),
        _ => (StatusCode::ACCEPTED, Json(json!({ "status": "IN_PROGRESS", "logs": null }))).into_response(),
    }
}

fn result(request: &Request) -> Response {
    if request.cancelled {
        return trouble(499, "Request was cancelled");
    }
    if request.looks < 3 {
        return trouble(400, "Request is still in progress");
    }
    let listed = |status: u16, kind: &str, message: &str| {
        let item = json!({ "loc": ["body"], "msg": message, "type": kind, "input": {} });
        (StatusCode::from_u16(status).unwrap(), Json(json!({ "detail": [item] }))).into_response()
    };
    if request.says("[[moderated]]") {
        return (StatusCode::UNPROCESSABLE_ENTITY, POLICY).into_response();
    }
    if request.says("[[failed]]") {
        return listed(500, "internal_server_error", "Internal server error");
    }
    if let Err(error) = object(&request.input, &fields(&request.endpoint).unwrap()) {
        return listed(422, "value_error", &error);
    }
    Json(output(&request.endpoint)).into_response()
}

fn output(endpoint: &str) -> Value {
    let media = "https://v3.fal.media/files/rabbit";
    if clip_fields(endpoint).is_some() {
        return json!({ "video": { "url": format!("{media}/out.mp4"), "content_type": "video/mp4", "file_size": 9 }, "seed": 3 });
    }
    let picture =
        json!({ "url": format!("{media}/out.png"), "width": 1024, "height": 1024, "content_type": "image/png" });
    json!({ "images": [picture], "seed": 3, "has_nsfw_concepts": [false], "prompt": "", "timings": { "inference": 1.0 } })
}

fn cancel(request: &mut Request) -> Response {
    let (status, word) = match (request.cancelled, request.looks) {
        (true, _) | (_, 3..) => (400, "ALREADY_COMPLETED"),
        (_, 0 | 1) => (200, "OK"),
        _ => (202, "CANCELLATION_REQUESTED"),
    };
    request.cancelled |= status != 400;
    (StatusCode::from_u16(status).unwrap(), Json(json!({ "status": word }))).into_response()
}

fn trouble(status: u16, text: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(json!({ "detail": text }))).into_response()
}
