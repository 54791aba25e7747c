//! `OpenAI`. Words in the prompt steer it: `[[busy]]`, `[[quota]]`, `[[down]]`, `[[broken]]`, `[[moderated]]`,
//! `[[garbled]]`.

use axum::{
    Router,
    http::{Method, header::HeaderValue},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    asked::{Asked, answer, fixture, garbled},
    check::{Field, Is, is_object, link_or_data_url, object},
    files,
};

pub const KEY: &str = "sk-test";

const IMAGE: &[Field] = &[
    (
        "model",
        true,
        Is::Word(&[
            "gpt-image-2",
            "gpt-image-2.5-sunburst",
            "gpt-image-2.5-flare",
            "gpt-image-2.6-sunburst",
            "gpt-image-2.6-flare",
            "gpt-image-1.5",
            "gpt-image-1-mini",
            "chatgpt-image-latest",
        ]),
    ),
    ("prompt", true, Is::Text(32_000)),
    ("n", false, Is::Int(1, 10)),
    ("size", false, Is::Like(size)),
    ("quality", false, Is::Word(&["auto", "low", "medium", "high", "xhigh", "max"])),
    ("output_format", false, Is::Word(&["png", "jpeg", "webp"])),
    ("output_compression", false, Is::Int(0, 100)),
    ("background", false, Is::Word(&["auto", "transparent", "opaque"])),
];
const EDIT: &[Field] =
    &[("images", true, Is::List(1, 16, |image| is_object(image, &[("image_url", true, Is::Like(link_or_data_url))])))];
const SPEECH: &[Field] = &[
    ("model", true, Is::Word(&["gpt-4o-mini-tts", "tts-1", "tts-1-hd"])),
    ("input", true, Is::Text(4096)),
    (
        "voice",
        true,
        Is::Word(&[
            "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin",
            "cedar",
        ]),
    ),
    ("instructions", false, Is::Text(4096)),
    ("response_format", false, Is::Word(&["mp3", "opus", "aac", "flac", "wav", "pcm"])),
    ("speed", false, Is::Num(0.25, 4.0)),
];

/// The service's rule for free sizes; the older models know three only, which follow it.
fn size(value: &Value) -> bool {
    let Some((width, height)) = value.as_str().and_then(|size| size.split_once('x')) else { return false };
    let (width, height): (u32, u32) = (width.parse().unwrap(), height.parse().unwrap());
    let pixels = width * height;
    width % 16 == 0
        && height % 16 == 0
        && (655_360..=3840 * 2160).contains(&pixels)
        && width <= 3 * height
        && height <= 3 * width
}

pub fn router() -> Router {
    Router::new().fallback(async |request: axum::extract::Request| handle(&Asked::read(request).await))
}

fn handle(asked: &Asked) -> Response {
    if asked.bearer() != Some(KEY) {
        return error(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided");
    }
    match (&asked.method, asked.path.as_str()) {
        (&Method::GET, "/v1/models") => answer(200, json!({"object": "list", "data": []})),
        (&Method::POST, "/v1/images/generations") => image(asked, &[IMAGE]),
        (&Method::POST, "/v1/images/edits") => image(asked, &[IMAGE, EDIT]),
        (&Method::POST, "/v1/audio/speech") => speech(asked),
        _ => error(404, "invalid_request_error", "unknown_url", "Unknown request URL"),
    }
}

fn error(status: u16, r#type: &str, code: &str, message: &str) -> Response {
    answer(status, json!({"error": {"message": message, "type": r#type, "param": null, "code": code}}))
}

fn steered(asked: &Asked) -> Option<Response> {
    if asked.says("busy") {
        let mut response = error(429, "requests", "rate_limit_exceeded", "Rate limit reached");
        response.headers_mut().insert("retry-after", HeaderValue::from_static("7"));
        return Some(response);
    }
    let words = [
        ("quota", 429, "insufficient_quota", "insufficient_quota"),
        ("down", 503, "server_error", "overloaded"),
        ("broken", 500, "server_error", "server_error"),
    ];
    if let Some((_, status, r#type, code)) = words.into_iter().find(|word| asked.says(word.0)) {
        return Some(error(status, r#type, code, "no"));
    }
    if asked.says("moderated") {
        return Some(answer(400, fixture("openai/moderated.json")));
    }
    asked.says("garbled").then(garbled)
}

fn image(asked: &Asked, fields: &[&[Field]]) -> Response {
    if let Some(response) = steered(asked) {
        return response;
    }
    let body = asked.json().unwrap_or_default();
    if let Err(problem) = object(&body, fields) {
        return error(400, "invalid_request_error", "invalid_value", &problem);
    }
    let fixed = !body["model"].as_str().unwrap().starts_with("gpt-image-2");
    let sizes = ["1024x1024", "1536x1024", "1024x1536"];
    if fixed && body["size"].as_str().is_some_and(|size| !sizes.contains(&size)) {
        return error(400, "invalid_request_error", "invalid_value", "size");
    }
    if body["background"] == "transparent" && body["output_format"] == "jpeg" {
        return error(400, "invalid_request_error", "invalid_value", "background");
    }
    let mut pictures = fixture("openai/image.json");
    let one = json!({ "b64_json": files::base64(body["output_format"].as_str().unwrap_or("png")) });
    let count = usize::try_from(body["n"].as_u64().unwrap_or(1)).unwrap();
    pictures["data"] = json!(vec![one; count]);
    pictures["output_format"] = body.get("output_format").cloned().unwrap_or(json!("png"));
    answer(200, pictures)
}

fn speech(asked: &Asked) -> Response {
    if let Some(response) = steered(asked) {
        return response;
    }
    let body = asked.json().unwrap_or_default();
    if let Err(problem) = object(&body, &[SPEECH]) {
        return error(400, "invalid_request_error", "invalid_value", &problem);
    }
    if body["model"] != "gpt-4o-mini-tts" && body.get("instructions").is_some() {
        return error(400, "invalid_request_error", "unknown_parameter", "instructions");
    }
    let format = body["response_format"].as_str().unwrap_or("mp3");
    let (content_type, bytes) = files::sample(format).unwrap();
    ([("content-type", content_type)], bytes).into_response()
}
