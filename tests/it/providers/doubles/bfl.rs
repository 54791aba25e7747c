//! Black Forest Labs. Words in the prompt steer it: `[[busy]]`, `[[down]]`, `[[poor]]`, `[[moderated]]`, `[[garbled]]`,
//! `[[failed]]`, `[[odd]]`. Unlike the service, it refuses unknown fields of picture models too.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    board::{Board, answer, broken_off, fixture},
    check::{Field, Is, link, object},
};

pub const KEY: &str = "bfl-0123";

const FILE: Is = Is::Like(file);
const PROMPT: &[Field] = &[("prompt", true, Is::Text(20_000))];
const COMMON: &[Field] = &[
    ("seed", false, Is::Int(0, i64::MAX)),
    ("output_format", false, Is::Word(&["jpeg", "png", "webp"])),
    ("safety_tolerance", false, Is::Int(0, 6)),
];
const UPSAMPLING: &[Field] = &[("prompt_upsampling", false, Is::Bool)];
const FLUX1: &[Field] =
    &[("width", false, Is::Like(side)), ("height", false, Is::Like(side)), ("image_prompt", false, Is::Like(base64))];
const STEPS: &[Field] = &[("steps", false, Is::Int(1, 50)), ("guidance", false, Is::Num(1.5, 100.0))];
const ULTRA: &[Field] = &[
    ("aspect_ratio", false, Is::Like(ratio)),
    ("raw", false, Is::Bool),
    ("image_prompt", false, Is::Like(base64)),
    ("image_prompt_strength", false, Is::Num(0.0, 1.0)),
];
const KONTEXT: &[Field] = &[
    ("aspect_ratio", false, Is::Like(ratio)),
    ("input_image", false, FILE),
    ("input_image_2", false, FILE),
    ("input_image_3", false, FILE),
    ("input_image_4", false, FILE),
];
const FLUX2: &[Field] = &[
    ("width", false, Is::Int(64, 4096)),
    ("height", false, Is::Int(64, 4096)),
    ("input_image", false, FILE),
    ("input_image_2", false, FILE),
    ("input_image_3", false, FILE),
    ("input_image_4", false, FILE),
];
const FLUX2_MORE: &[Field] = &[
    ("input_image_5", false, FILE),
    ("input_image_6", false, FILE),
    ("input_image_7", false, FILE),
    ("input_image_8", false, FILE),
];
const EXPAND: &[Field] = &[
    ("image", true, FILE),
    ("top", false, Is::Int(0, 2048)),
    ("bottom", false, Is::Int(0, 2048)),
    ("left", false, Is::Int(0, 2048)),
    ("right", false, Is::Int(0, 2048)),
    ("prompt", false, Is::Text(20_000)),
];
const FILL: &[Field] = &[("image", true, FILE)];
const CLIP: &[Field] = &[
    ("mode", true, Is::Word(&["t2v", "i2v", "v2v"])),
    ("keyframes", false, Is::Like(keyframes)),
    ("start_video", false, FILE),
    ("duration", false, Is::Int(5, 20)),
    ("resolution", false, Is::Word(&["hd", "fhd"])),
    ("aspect_ratio", false, Is::Word(&["auto", "21:9", "2:1", "16:9", "4:3", "1:1", "3:4", "9:16"])),
    ("generate_audio", false, Is::Bool),
    ("safety_tolerance", false, Is::Int(0, 4)),
];

fn side(value: &Value) -> bool {
    value.as_u64().is_some_and(|side| (256..=1440).contains(&side) && side % 32 == 0)
}

fn ratio(value: &Value) -> bool {
    let sides = value.as_str().and_then(|ratio| ratio.split_once(':'));
    let number = |text: &str| text.parse::<f64>().ok();
    sides
        .and_then(|(width, height)| Some(number(width)? / number(height)?))
        .is_some_and(|ratio| (9.0 / 21.0 - 0.001..=21.0 / 9.0 + 0.001).contains(&ratio))
}

fn base64(value: &Value) -> bool {
    value.as_str().is_some_and(|text| STANDARD.decode(text).is_ok_and(|bytes| !bytes.is_empty()))
}

fn file(value: &Value) -> bool {
    link(value) || base64(value)
}

fn keyframes(value: &Value) -> bool {
    let timed = |one: &Value| one[0].as_i64().is_some_and(|second| (0..=20).contains(&second)) && file(&one[1]);
    file(value) || value.as_array().is_some_and(|all| all.iter().all(file) || all.iter().all(timed))
}

fn fields(model: &str) -> Option<Vec<&'static [Field]>> {
    Some(match model {
        "flux-dev" => vec![PROMPT, COMMON, UPSAMPLING, FLUX1, STEPS],
        "flux-pro-1.1" => vec![PROMPT, COMMON, UPSAMPLING, FLUX1],
        "flux-pro-1.1-ultra" => vec![PROMPT, COMMON, UPSAMPLING, ULTRA],
        "flux-kontext-pro" | "flux-kontext-max" => vec![PROMPT, COMMON, UPSAMPLING, KONTEXT],
        "flux-pro-1.0-fill" => vec![PROMPT, COMMON, UPSAMPLING, STEPS, FILL],
        "flux-pro-1.0-expand" => vec![COMMON, UPSAMPLING, STEPS, EXPAND],
        "flux-2-pro" | "flux-2-max" => vec![PROMPT, COMMON, FLUX2, FLUX2_MORE],
        "flux-2-flex" => vec![PROMPT, COMMON, UPSAMPLING, STEPS, FLUX2, FLUX2_MORE],
        "flux-2-klein-9b" | "flux-2-klein-4b" => vec![PROMPT, COMMON, FLUX2],
        "flux-3-video" => vec![PROMPT, CLIP],
        _ => return None,
    })
}

pub fn router(board: Board) -> Router {
    Router::new().fallback(handle).with_state(board)
}

async fn handle(State(board): State<Board>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if headers.get("x-key").is_none_or(|value| value != KEY) {
        return answer(403, json!({ "detail": "Not authenticated - Invalid Authentication" }));
    }
    let path = uri.path().strip_prefix("/double/v1/").unwrap_or_default();
    match (method, path) {
        (Method::GET, "credits") => answer(200, json!({ "credits": 1234.5 })),
        (Method::GET, "get_result") => {
            look(&board, uri.query().and_then(|query| query.strip_prefix("id=")).unwrap_or(""))
        }
        (Method::POST, model) => submit(&board, model, &body),
        _ => answer(405, json!({ "detail": "Method Not Allowed" })),
    }
}

fn submit(board: &Board, model: &str, body: &[u8]) -> Response {
    let Some(fields) = fields(model) else { return answer(404, json!({ "detail": "Not Found" })) };
    let json: Value = serde_json::from_slice(body).unwrap();
    let mode_fits = model != "flux-3-video"
        || (json["mode"] == "i2v") == json.get("keyframes").is_some()
            && (json["mode"] == "v2v") == json.get("start_video").is_some();
    if let Some(problem) =
        object(&json, &fields).err().or_else(|| (!mode_fits).then(|| "fields of another mode".into()))
    {
        return answer(422, json!({ "detail": [{ "type": "value_error", "loc": ["body"], "msg": problem }] }));
    }
    let words = json["prompt"].as_str().unwrap_or_default();
    if words.contains("[[garbled]]") {
        return broken_off(200);
    }
    for (word, status, detail) in [
        ("[[busy]]", 429, "Too many requests"),
        ("[[down]]", 503, "Service unavailable"),
        ("[[lost]]", 504, "Gateway timeout"),
        ("[[poor]]", 402, "Insufficient credits"),
        ("[[key]]", 422, "Invalid API key format"),
    ] {
        if words.contains(word) {
            return answer(status, json!({ "detail": detail }));
        }
    }
    fixture(200, include_str!("../../../fixtures/bfl/accepted.json"), &board.take(model, &json))
}

fn look(board: &Board, id: &str) -> Response {
    let state = |status: &str, progress: Value, details: Value| json!({ "id": id, "status": status, "result": null, "progress": progress, "details": details, "preview": null });
    let unknown = || answer(404, state("Task not found", Value::Null, Value::Null));
    let Some(entry) = board.look(id) else { return unknown() };
    match entry.looks {
        1 => unknown(),
        2 => answer(200, state("Pending", Value::Null, Value::Null)),
        3 if entry.says("[[odd]]") => answer(200, state("Brewing", Value::Null, Value::Null)),
        3 => answer(200, state("Pending", json!(0.5), Value::Null)),
        _ if entry.says("[[failed]]") => answer(200, state("Error", Value::Null, Value::Null)),
        _ if entry.says("[[moderated]]") => {
            answer(200, state("Request Moderated", Value::Null, json!({ "Moderation Reasons": ["Safety Filter"] })))
        }
        _ => {
            let end = if entry.path == "flux-3-video" { ".mp4" } else { ".jpeg" };
            fixture(200, &include_str!("../../../fixtures/bfl/ready.json").replace(".jpeg", end), id)
        }
    }
}
