//! Stability: pictures in the answer to a form. Words in the prompt steer it: `[[busy]]`, `[[down]]`, `[[broken]]`,
//! `[[poor]]`, `[[moderated]]`, `[[filtered]]`, `[[failed]]`, `[[garbled]]`.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::{Multipart, Path},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::{files, request::steering};

pub const KEY: &str = "sk-stability";

const FILTERED: &str = include_str!("../../../fixtures/stability/filtered.json");
const MODERATED: &str = include_str!("../../../fixtures/stability/moderated.json");
const RATIOS: [&str; 9] = ["21:9", "16:9", "3:2", "5:4", "1:1", "4:5", "2:3", "9:16", "9:21"];
const STYLES: [&str; 17] = [
    "enhance",
    "anime",
    "photographic",
    "digital-art",
    "comic-book",
    "fantasy-art",
    "line-art",
    "analog-film",
    "neon-punk",
    "isometric",
    "low-poly",
    "origami",
    "modeling-compound",
    "cinematic",
    "3d-model",
    "pixel-art",
    "tile-texture",
];
const MODELS: [&str; 4] = ["sd3.5-large", "sd3.5-large-turbo", "sd3.5-medium", "sd3.5-flash"];

pub fn router() -> Router {
    Router::new()
        .route("/double/v2beta/stable-image/generate/{path}", post(generate))
        .route("/double/v1/user/balance", get(balance))
}

async fn balance(headers: HeaderMap) -> Response {
    if known(&headers) {
        Json(json!({ "credits": 1000.25 })).into_response()
    } else {
        refuse(401, "unauthorized", "authorization: invalid or missing header value")
    }
}

fn known(headers: &HeaderMap) -> bool {
    headers.get("authorization").and_then(|value| value.to_str().ok()) == Some(&format!("Bearer {KEY}"))
}

async fn generate(Path(path): Path<String>, headers: HeaderMap, mut form: Multipart) -> Response {
    if !known(&headers) {
        return refuse(401, "unauthorized", "authorization: invalid or missing header value");
    }
    if headers.get("accept").is_none_or(|accept| accept != "application/json") {
        return refuse(400, "bad_request", "accept: must be image/* or application/json");
    }
    let mut fields = BTreeMap::new();
    let mut image = None;
    while let Some(field) = form.next_field().await.unwrap() {
        let name = field.name().unwrap().to_owned();
        if name == "image" && field.file_name().is_some() {
            image = Some(field.bytes().await.unwrap());
        } else {
            fields.insert(name, field.text().await.unwrap());
        }
    }
    let image = image.map(|bytes| bytes.starts_with(b"\x89PNG"));
    if let Err(error) = check(&path, &fields, image) {
        return refuse(400, "bad_request", &error);
    }
    let seed = fields.get("seed").and_then(|seed| seed.parse().ok()).unwrap_or(343_940_597_i64);
    answer(&fields["prompt"], seed, fields.get("output_format").map_or("png", String::as_str))
}

/// `image` says whether there is a picture, and whether it is one.
fn check(path: &str, fields: &BTreeMap<String, String>, image: Option<bool>) -> Result<(), String> {
    for (name, value) in fields {
        let number = value.parse::<f64>();
        let within = |min: f64, max: f64| number.as_ref().is_ok_and(|number| (min..=max).contains(number));
        let good = match (name.as_str(), path) {
            ("prompt" | "negative_prompt", _) => (1..=10_000).contains(&value.chars().count()),
            ("aspect_ratio", "ultra" | "core") => RATIOS.contains(&value.as_str()),
            ("aspect_ratio", "sd3") => RATIOS.contains(&value.as_str()) && image.is_none(),
            ("seed", _) => value.parse::<u32>().is_ok_and(|seed| seed <= 4_294_967_294),
            ("output_format", _) => ["png", "jpeg", "webp"].contains(&value.as_str()),
            ("style_preset", _) => STYLES.contains(&value.as_str()),
            ("strength", "ultra" | "sd3") => within(0.0, 1.0) && image.is_some(),
            ("cfg_scale", "sd3") => within(1.0, 10.0),
            ("model", "sd3") => MODELS.contains(&value.as_str()),
            ("mode", "sd3") => value == if image.is_some() { "image-to-image" } else { "text-to-image" },
            _ => false,
        };
        if !good {
            return Err(format!("{name}: bad or unknown"));
        }
    }
    if !fields.contains_key("prompt") {
        return Err("prompt: is required".to_owned());
    }
    match image {
        Some(_) if path == "core" => Err("image: unknown".to_owned()),
        Some(false) => Err("image: not a picture".to_owned()),
        Some(true) if !fields.contains_key("strength") => Err("strength: is required".to_owned()),
        _ => Ok(()),
    }
}

fn answer(prompt: &str, seed: i64, format: &str) -> Response {
    let fixture = |status: u16, text: &str| {
        let value: Value = serde_json::from_str(text).unwrap();
        (StatusCode::from_u16(status).unwrap(), Json(value)).into_response()
    };
    match steering(prompt) {
        "[[busy]]" => {
            refuse(429, "rate_limit_exceeded", "You have exceeded the rate limit of 150 requests in 10 seconds")
        }
        "[[down]]" => (StatusCode::SERVICE_UNAVAILABLE, "unavailable").into_response(),
        "[[broken]]" => (StatusCode::BAD_GATEWAY, "bad gateway").into_response(),
        "[[poor]]" => refuse(402, "payment_required", "You lack sufficient credits to make this request."),
        "[[failed]]" => refuse(500, "internal_error", "An unexpected server error has occurred."),
        "[[moderated]]" => fixture(403, MODERATED),
        "[[filtered]]" => fixture(200, FILTERED),
        "[[garbled]]" => r#"{"image": "iVBORw0KGgo"#.into_response(),
        _ => Json(json!({ "image": files::base64(format), "finish_reason": "SUCCESS", "seed": seed })).into_response(),
    }
}

fn refuse(status: u16, name: &str, error: &str) -> Response {
    let body = json!({ "id": "a1b2c3d4e5f60718293a4b5c6d7e8f90", "name": name, "errors": [error] });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}
