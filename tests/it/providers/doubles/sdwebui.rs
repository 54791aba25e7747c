//! The WebUI: pictures in the answer, behind Basic authentication. Words in the prompt steer it: `[[busy]]`, `[[down]]`,
//! `[[broken]]`, `[[failed]]`, `[[garbled]]`.

use axum::{
    Json, Router,
    body::Bytes,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    check::{Field, Is, object},
    files,
    request::steering,
};

pub const USER: &str = "user";
pub const PASSWORD: &str = "pass:word";
/// An address with both, where nobody listens.
pub const ADDRESS: &str = "http://user:pass%3Aword@127.0.0.1:1";

const MODELS: &str = include_str!("../../../fixtures/sdwebui/models.json");
const CRASH: &str = include_str!("../../../fixtures/sdwebui/crash.json");

pub fn router() -> Router {
    Router::new().fallback(handle)
}

const SAMPLERS: &[&str] = &[
    "Euler",
    "Euler a",
    "DPM++ 2M",
    "DPM++ SDE",
    "DPM++ 2M SDE",
    "DPM++ 3M SDE",
    "DPM++ 2S a",
    "Heun",
    "LMS",
    "DPM2",
    "DPM2 a",
    "DPM fast",
    "DPM adaptive",
    "DDIM",
    "PLMS",
    "UniPC",
    "LCM",
    "Restart",
];
const SCHEDULERS: &[&str] = &[
    "automatic",
    "uniform",
    "karras",
    "exponential",
    "polyexponential",
    "sgm_uniform",
    "kl_optimal",
    "align_your_steps",
    "simple",
    "normal",
    "ddim",
    "beta",
];
const COMMON: &[Field] = &[
    ("prompt", true, Is::Text(10_000)),
    ("negative_prompt", false, Is::Text(10_000)),
    ("seed", false, Is::Int(-1, 4_294_967_295)),
    ("sampler_name", false, Is::Word(SAMPLERS)),
    ("scheduler", false, Is::Word(SCHEDULERS)),
    ("steps", false, Is::Int(1, 150)),
    ("cfg_scale", false, Is::Num(1.0, 30.0)),
    ("width", false, Is::Like(side)),
    ("height", false, Is::Like(side)),
    ("batch_size", false, Is::Int(1, 8)),
    ("override_settings", false, Is::Like(Value::is_object)),
    ("override_settings_restore_afterwards", false, Is::Bool),
];
const FROM_PICTURE: &[Field] = &[
    ("init_images", true, Is::List(1, 1, picture)),
    ("denoising_strength", false, Is::Num(0.0, 1.0)),
    ("resize_mode", false, Is::Int(0, 3)),
];

fn side(value: &Value) -> bool {
    value.as_i64().is_some_and(|side| (64..=2048).contains(&side) && side % 8 == 0)
}

fn picture(value: &Value) -> bool {
    value.as_str().and_then(|text| STANDARD.decode(text).ok()).is_some_and(|bytes| bytes.starts_with(b"\x89PNG"))
}

async fn handle(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let expected = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&expected) {
        return detail(401, &json!("Incorrect username or password"));
    }
    match (method.as_str(), uri.path()) {
        ("GET", "/double/sdapi/v1/sd-models") => Json(models()).into_response(),
        ("GET", "/double/sdapi/v1/progress") => {
            Json(json!({ "progress": 0, "eta_relative": 0, "state": {} })).into_response()
        }
        ("POST", "/double/sdapi/v1/txt2img") => generate(&body, &[COMMON]),
        ("POST", "/double/sdapi/v1/img2img") => generate(&body, &[COMMON, FROM_PICTURE]),
        _ => detail(404, &json!("Not Found")),
    }
}

/// The checkpoints; the last is what the tests say where any name will do.
fn models() -> Vec<Value> {
    let mut models: Vec<Value> = serde_json::from_str(MODELS).unwrap();
    models.push(json!({ "title": "words.ckpt", "model_name": "words", "hash": null, "sha256": null }));
    models
}

fn generate(body: &[u8], fields: &[&[Field]]) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return detail(422, &json!("not JSON")) };
    if let Err(error) = object(&body, fields) {
        return detail(422, &json!([{ "loc": ["body"], "msg": error, "type": "value_error" }]));
    }
    let asked = body["override_settings"]["sd_model_checkpoint"].as_str().unwrap_or_default();
    let models = models();
    let model = models.iter().find(|model| model["title"] == asked).unwrap_or(&models[0]);
    match steering(body["prompt"].as_str().unwrap()) {
        "[[busy]]" => detail(429, &json!("Too many requests")),
        "[[down]]" => detail(503, &json!("Service unavailable")),
        "[[broken]]" => (StatusCode::BAD_GATEWAY, "bad gateway").into_response(),
        "[[failed]]" => (StatusCode::INTERNAL_SERVER_ERROR, CRASH).into_response(),
        "[[garbled]]" => r#"{"images": ["iVBOR"#.into_response(),
        _ => {
            let count = usize::try_from(body["batch_size"].as_i64().unwrap_or(1)).unwrap();
            let info = json!({ "seed": 42, "sd_model_name": model["model_name"] }).to_string();
            Json(json!({ "images": vec![files::base64("png"); count], "parameters": body, "info": info }))
                .into_response()
        }
    }
}

fn detail(status: u16, detail: &Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(json!({ "detail": detail }))).into_response()
}
