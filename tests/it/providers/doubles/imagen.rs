//! Google pictures by `generateContent` on both services. Words in the prompt steer it: `[[busy]]`, `[[poor]]`,
//! `[[down]]`, `[[broken]]`, `[[garbled]]`, `[[moderated]]`, `[[unsafe]]`, `[[failed]]`.

use axum::{Router, http::Method, response::Response};
use serde_json::{Value, json};

use super::{
    asked::{Asked, answer, fixture, garbled},
    check::{Field, Is, is_object, object},
    google::{self, KEY, PROJECT},
};

const RATIOS: &[&str] =
    &["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9", "1:4", "4:1", "1:8", "8:1"];
const REQUEST: &[Field] = &[
    ("contents", true, Is::List(1, 1, |content| is_object(content, CONTENT))),
    ("generationConfig", false, Is::Like(|config| is_object(config, CONFIG))),
];
const CONTENT: &[Field] = &[("role", true, Is::Word(&["user"])), ("parts", true, Is::List(1, 15, part))];
const CONFIG: &[Field] = &[
    ("responseModalities", false, Is::Like(|value| *value == json!(["IMAGE"]))),
    ("imageConfig", false, Is::Like(|value| is_object(value, IMAGE))),
    ("seed", false, Is::Int(0, 2_147_483_647)),
];
const IMAGE: &[Field] =
    &[("aspectRatio", false, Is::Word(RATIOS)), ("imageSize", false, Is::Word(&["512", "1K", "2K", "4K"]))];

fn part(part: &Value) -> bool {
    let text = is_object(part, &[("text", true, Is::Text(100_000))]);
    let data =
        [("mimeType", true, Is::Word(&["image/png", "image/jpeg", "image/webp"])), ("data", true, Is::Text(1 << 24))];
    text || part.as_object().is_some_and(|part| part.len() == 1) && is_object(&part["inlineData"], &data)
}

/// The sizes and whether the long ratios are taken, by model.
fn model(name: &str) -> Option<(&'static [&'static str], bool)> {
    Some(match name {
        "gemini-nano-banana-2.1" => (&["1K", "2K", "4K"], true),
        "gemini-3-pro-image" => (&["1K", "2K", "4K"], false),
        "gemini-3.1-flash-lite-image" => (&["1K"], true),
        "gemini-3.1-flash-image" => (&["512", "1K", "2K", "4K"], true),
        "gemini-2.5-flash-image" => (&[], false),
        _ => return None,
    })
}

pub fn router() -> Router {
    Router::new().fallback(async |request: axum::extract::Request| handle(&Asked::read(request).await))
}

fn handle(asked: &Asked) -> Response {
    let vertex = format!("/v1/projects/{PROJECT}/locations/global/publishers/google/models/");
    if asked.path == "/token" {
        return google::token(asked);
    }
    if asked.method == Method::GET && asked.path == "/v1beta/models" {
        return google::wrong_key(asked, KEY).unwrap_or_else(|| answer(200, json!({"models": []})));
    }
    let refused = |call: &str, refused: Option<Response>| {
        refused.unwrap_or_else(|| match call.strip_suffix(":generateContent").and_then(model) {
            Some((sizes, long)) if asked.method == Method::POST => generate(asked, sizes, long),
            _ => google::error(404, "NOT_FOUND", "models/x is not found", &json!([])),
        })
    };
    if let Some(call) = asked.path.strip_prefix("/v1beta/models/") {
        return refused(call, google::wrong_key(asked, KEY));
    }
    match asked.path.strip_prefix(&vertex) {
        Some(call) => refused(call, google::wrong_token(asked)),
        None => google::error(404, "NOT_FOUND", "no such path", &json!([])),
    }
}

fn generate(asked: &Asked, sizes: &[&str], long: bool) -> Response {
    match () {
        () if asked.says("busy") => return google::busy(),
        () if asked.says("poor") => return google::error(403, "PERMISSION_DENIED", "no access", &json!([])),
        () if asked.says("down") => return google::error(503, "UNAVAILABLE", "overloaded", &json!([])),
        () if asked.says("broken") => return google::error(500, "INTERNAL", "internal", &json!([])),
        () if asked.says("garbled") => return garbled(),
        () if asked.says("moderated") => return answer(200, json!({"promptFeedback": {"blockReason": "SAFETY"}})),
        () if asked.says("unsafe") => return answer(200, json!({"candidates": [{"finishReason": "IMAGE_SAFETY"}]})),
        () if asked.says("failed") => return answer(200, json!({"candidates": [{"finishReason": "NO_IMAGE"}]})),
        () => {}
    }
    let body = asked.json().unwrap_or_default();
    if let Err(problem) = object(&body, &[REQUEST]) {
        return google::invalid(&problem);
    }
    let image = &body["generationConfig"]["imageConfig"];
    let fits = image["imageSize"].as_str().is_none_or(|size| sizes.contains(&size));
    let shaped = long || image["aspectRatio"].as_str().is_none_or(|ratio| RATIOS[..10].contains(&ratio));
    if fits && shaped { answer(200, fixture("imagen/picture.json")) } else { google::invalid("image_config") }
}
