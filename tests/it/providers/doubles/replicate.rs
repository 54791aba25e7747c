//! Replicate: predictions, files and the account, with the inputs of the models our catalogue names. Words in the prompt
//! steer it: `[[busy]]`, `[[down]]`, `[[broken]]`, `[[poor]]`, `[[garbled]]`, `[[moderated]]`, `[[failed]]`, `[[odd]]`,
//! `[[slow]]` (never ends).

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

pub const TOKEN: &str = "r8_token";

/// A community model, which runs by version only.
pub const VERSION: &str = "f559560eb822dc509045f3921a1921234918b91739db4bf3daab2169b71c7a13";

const PREDICTION: &str = include_str!("../../../fixtures/replicate/prediction.json");
const INVALID: &str = include_str!("../../../fixtures/replicate/invalid.json");

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<BTreeMap<String, Prediction>>>);

struct Prediction {
    model: String,
    input: Value,
    looks: u32,
    cancelled: bool,
}

impl Prediction {
    fn says(&self, word: &str) -> bool {
        self.input.to_string().contains(word)
    }

    fn shown(&self, id: &str) -> Value {
        let mut shown: Value = serde_json::from_str(PREDICTION).unwrap();
        shown["id"] = json!(id);
        shown["model"] = json!(self.model);
        shown["input"] = self.input.clone();
        let status = match self.looks {
            _ if self.cancelled => "canceled",
            0 | 1 => "starting",
            2 if self.says("[[odd]]") => "resting",
            2 => "processing",
            _ if self.says("[[slow]]") => "processing",
            _ if self.says("[[failed]]") || self.says("[[moderated]]") => "failed",
            _ => "succeeded",
        };
        shown["status"] = json!(status);
        match status {
            "processing" => shown["logs"] = json!("Using seed: 1\n  0%|          | 0/4\n 50%|#####     | 2/4"),
            "failed" if self.says("[[moderated]]") => {
                shown["error"] = json!("The input or output was flagged as sensitive. Please try again. (E005)");
            }
            "failed" => shown["error"] = json!("CUDA out of memory"),
            "succeeded" => shown["output"] = output(&self.model),
            _ => {}
        }
        shown
    }
}

impl Double {
    pub fn router(&self) -> Router {
        Router::new().fallback(handle).with_state(self.clone())
    }
}

const PROMPT: Field = ("prompt", true, Is::Text(10_000));
const SEED: Field = ("seed", false, Is::Int(-1, i64::MAX));
const MEDIA: Is = Is::Like(link_or_data_url);
const FORMAT: Field = ("output_format", false, Is::Word(&["webp", "jpg", "png"]));
const RATIOS: Is = Is::Word(&["1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21"]);
const FLUX: &[Field] =
    &[PROMPT, SEED, FORMAT, ("aspect_ratio", false, RATIOS), ("output_quality", false, Is::Int(0, 100))];
const SPEEDS: &[&str] = &[
    "Lightly Juiced 🍊 (more consistent)",
    "Juiced 🔥 (default)",
    "Extra Juiced 🔥 (more speed)",
    "Blink of an eye 👁️",
];
const SPEECH: &[Field] = &[
    ("text", true, Is::Text(10_000)),
    ("voice_id", false, Is::Text(100)),
    ("speed", false, Is::Num(0.5, 2.0)),
    ("volume", false, Is::Num(0.0, 10.0)),
    ("pitch", false, Is::Int(-12, 12)),
    ("emotion", false, Is::Text(20)),
    ("language_boost", false, Is::Text(40)),
    ("sample_rate", false, Is::IntOf(&[8000, 16000, 22050, 24000, 32000, 44100])),
    ("bitrate", false, Is::IntOf(&[32000, 64000, 128_000, 256_000])),
];
const SEEDANCE: &[Field] = &[
    PROMPT,
    SEED,
    ("image", false, MEDIA),
    ("last_frame_image", false, MEDIA),
    ("duration", false, Is::Int(2, 12)),
    ("aspect_ratio", false, Is::Word(&["16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "9:21"])),
    ("camera_fixed", false, Is::Bool),
];

fn fields(model: &str) -> Option<Vec<&'static [Field]>> {
    Some(match model {
        "prunaai/flux-fast" => vec![FLUX, &[("speed_mode", false, Is::Word(SPEEDS))]],
        "black-forest-labs/flux-schnell" => {
            vec![FLUX, &[("num_outputs", false, Is::Int(1, 4)), ("num_inference_steps", false, Is::Int(1, 4))]]
        }
        "black-forest-labs/flux-dev" => vec![
            FLUX,
            &[
                ("num_outputs", false, Is::Int(1, 4)),
                ("num_inference_steps", false, Is::Int(1, 50)),
                ("guidance", false, Is::Num(0.0, 10.0)),
                ("image", false, MEDIA),
                ("prompt_strength", false, Is::Num(0.0, 1.0)),
            ],
        ],
        "black-forest-labs/flux-1.1-pro" => vec![FLUX, &[("prompt_upsampling", false, Is::Bool)]],
        "black-forest-labs/flux-1.1-pro-ultra" => vec![FLUX, &[("raw", false, Is::Bool)]],
        "black-forest-labs/flux-kontext-pro" => vec![FLUX, &[("input_image", true, MEDIA)]],
        "kwaivgi/kling-v2.5-turbo-pro" => vec![&[
            PROMPT,
            ("negative_prompt", false, Is::Text(2500)),
            ("start_image", false, MEDIA),
            ("end_image", false, MEDIA),
            ("aspect_ratio", false, Is::Word(&["16:9", "9:16", "1:1"])),
            ("duration", false, Is::IntOf(&[5, 10])),
        ]],
        "minimax/hailuo-02-fast" => vec![&[
            PROMPT,
            ("first_frame_image", true, MEDIA),
            ("duration", false, Is::IntOf(&[6, 10])),
            ("prompt_optimizer", false, Is::Bool),
            ("go_fast", false, Is::Bool),
        ]],
        "minimax/speech-02-hd" | "minimax/speech-02-turbo" => vec![SPEECH],
        "bytedance/seedance-1-pro" => vec![SEEDANCE, &[("resolution", false, Is::Word(&["1080p"]))]],
        "bytedance/seedance-1-lite" => vec![SEEDANCE, &[("resolution", false, Is::Word(&["720p"]))]],
        VERSION => {
            vec![&[("text", true, Is::Text(1000)), ("voice", false, Is::Text(40)), ("speed", false, Is::Num(0.1, 5.0))]]
        }
        _ => return None,
    })
}

fn output(model: &str) -> Value {
    let at = |name: &str| format!("https://replicate.delivery/xezq/{name}");
    match model {
        "black-forest-labs/flux-schnell" | "black-forest-labs/flux-dev" => json!([at("out-0.webp")]),
        model if model.contains("flux") => json!(at("out.webp")),
        model if model.contains("speech") => json!(at("out.mp3")),
        _ => json!(at("out.mp4")),
    }
}

async fn handle(State(double): State<Double>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(&format!("Bearer {TOKEN}")) {
        return problem(401, "Unauthenticated", "You did not pass a valid authentication token");
    }
    let path = uri.path().strip_prefix("/double/v1/").unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    match (method.as_str(), parts.as_slice()) {
        ("GET", ["account"]) => Json(json!({ "type": "organization", "username": "acme" })).into_response(),
        ("POST", ["models", owner, name, "predictions"]) => submit(&double, Some(format!("{owner}/{name}")), &body),
        ("POST", ["predictions"]) => submit(&double, None, &body),
        ("GET", ["predictions", id]) => look(&double, id),
        ("POST", ["predictions", id, "cancel"]) => cancel(&double, id),
        _ => problem(404, "", "The requested resource could not be found."),
    }
}

fn submit(double: &Double, official: Option<String>, body: &[u8]) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return problem(400, "Bad request", "not JSON") };
    let known = ["input", "version", "webhook", "webhook_events_filter", "stream"];
    let extra = body.as_object().unwrap().keys().any(|key| !known.contains(&key.as_str()));
    if extra || official.is_some() && body.get("version").is_some() {
        return problem(422, "Input validation failed", "additional property not allowed");
    }
    let by_version = official.is_none();
    let model = official.or_else(|| body["version"].as_str().map(str::to_owned)).unwrap_or_default();
    let Some(fields) = fields(&model).filter(|_| by_version == (model == VERSION)) else {
        return problem(404, "", "The requested resource could not be found.");
    };
    let prediction = Prediction { model, input: body["input"].clone(), looks: 0, cancelled: false };
    if prediction.says("[[busy]]") {
        let body = json!({ "detail": "Request was throttled. Your rate limit resets in ~30s.", "status": 429, "retry_after": 30 });
        return (StatusCode::TOO_MANY_REQUESTS, Json(body)).into_response();
    }
    for (word, status, title) in [
        ("[[down]]", 503, "Unavailable"),
        ("[[broken]]", 500, "Internal server error"),
        ("[[poor]]", 402, "Insufficient credit"),
    ] {
        if prediction.says(word) {
            return problem(status, title, "");
        }
    }
    if let Err(error) = object(&prediction.input, &fields) {
        let mut invalid: Value = serde_json::from_str(INVALID).unwrap();
        invalid["detail"] = json!(error);
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(invalid)).into_response();
    }
    let mut predictions = double.0.lock().unwrap();
    let id = format!("prediction{}", predictions.len());
    let shown = prediction.shown(&id);
    let garbled = prediction.says("[[garbled]]");
    predictions.insert(id, prediction);
    if garbled {
        return (StatusCode::CREATED, shown.to_string()[..40].to_owned()).into_response();
    }
    (StatusCode::CREATED, Json(shown)).into_response()
}

fn look(double: &Double, id: &str) -> Response {
    let mut predictions = double.0.lock().unwrap();
    let Some(prediction) = predictions.get_mut(id) else {
        return problem(404, "", "The requested resource could not be found.");
    };
    prediction.looks += 1;
    Json(prediction.shown(id)).into_response()
}

fn cancel(double: &Double, id: &str) -> Response {
    let mut predictions = double.0.lock().unwrap();
    let Some(prediction) = predictions.get_mut(id) else {
        return problem(404, "", "The requested resource could not be found.");
    };
    prediction.cancelled |= prediction.looks < 3;
    Json(prediction.shown(id)).into_response()
}

fn problem(status: u16, title: &str, detail: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(json!({ "title": title, "detail": detail, "status": status })))
        .into_response()
}
