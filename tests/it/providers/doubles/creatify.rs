//! Creatify. Words in the body steer it: `[[busy]]`, `[[down]]`, `[[poor]]`, `[[garbled]]`, `[[failed]]`, `[[moderated]]`,
//! `[[odd]]`.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    board::{Board, answer, broken_off, fixture, id},
    check::{Field, Is, link, object},
};

pub const ID: &str = "creatify-id";
pub const KEY: &str = "creatify-key";

const LINK: Is = Is::Like(link);
const RATIO: Is = Is::Word(&["16x9", "1x1", "9x16"]);
const PAGE: &[Field] = &[("url", true, LINK)];
const PRODUCT_DATA: &[Field] = &[
    ("title", true, Is::Text(255)),
    ("description", false, Is::Text(5000)),
    ("image_urls", true, Is::List(0, 20, link)),
    ("video_urls", false, Is::List(1, 5, link)),
];
const AD: &[Field] = &[
    ("link", true, Is::Text(36)),
    ("name", false, Is::Text(255)),
    ("target_platform", false, Is::Text(255)),
    ("target_audience", false, Is::Text(255)),
    ("language", false, Is::Text(2)),
    ("video_length", false, Is::IntOf(&[15, 30, 45, 60])),
    ("aspect_ratio", false, RATIO),
    ("script_style", false, Is::Text(60)),
    ("visual_style", false, Is::Text(60)),
    ("override_avatar", false, Is::Text(36)),
    ("override_voice", false, Is::Text(36)),
    ("override_script", false, Is::Text(5000)),
    ("caption_style", false, Is::Text(20)),
    ("no_caption", false, Is::Bool),
    ("no_background_music", false, Is::Bool),
    ("model_version", false, Is::Word(&["standard", "aurora_v1", "aurora_v1_fast"])),
];
const AURORA: &[Field] = &[
    ("image", true, LINK),
    ("audio", true, LINK),
    ("name", false, Is::Text(255)),
    ("text_prompt", false, Is::Text(5000)),
    ("prompt_guidance_scale", false, Is::Num(0.0, 10.0)),
    ("model_version", false, Is::Word(&["aurora_v1", "aurora_v1_fast"])),
];
const PRODUCT: &[Field] = &[
    ("product_url", true, LINK),
    ("type", false, Is::Word(&["product_anyshot", "product_avatar"])),
    ("image_prompt", false, Is::Text(5000)),
    ("aspect_ratio", false, RATIO),
    ("override_avatar", false, Is::Text(36)),
];
const MOTION: &[Field] = &[("motion_style", false, Is::Text(60)), ("video_prompt", false, Is::Text(5000))];
const LIPSYNC: &[Field] = &[
    ("text", false, Is::Text(8000)),
    ("audio", false, LINK),
    ("creator", true, Is::Text(36)),
    ("accent", false, Is::Text(36)),
    ("aspect_ratio", false, RATIO),
];
const SPEECH: &[Field] = &[("script", true, Is::Text(8000)), ("accent", true, Is::Text(36))];

pub fn router(board: Board) -> Router {
    Router::new().fallback(handle).with_state(board)
}

async fn handle(State(board): State<Board>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let has = |name: &str, value: &str| headers.get(name).is_some_and(|header| header == value);
    if !has("x-api-id", ID) || !has("x-api-key", KEY) {
        return answer(401, json!({ "detail": "Authentication credentials were not provided." }));
    }
    let path = uri.path().strip_prefix("/double/api/").and_then(|path| path.strip_suffix('/')).unwrap_or_default();
    if method == Method::POST {
        return submit(&board, path, &serde_json::from_slice(&body).unwrap());
    }
    match path.split_once('/') {
        None if path == "remaining_credits" => answer(200, json!({ "remaining_credits": 100 })),
        None if path == "link_to_videos" => list(&board),
        Some((kind, task)) => look(&board, kind, task),
        _ => answer(404, json!({ "detail": "Not found." })),
    }
}

fn submit(board: &Board, path: &str, body: &Value) -> Response {
    let fields = match path {
        "links" => PAGE,
        "links/link_with_params" => PRODUCT_DATA,
        "link_to_videos" => AD,
        "aurora" => AURORA,
        "product_to_videos/gen_image" => PRODUCT,
        "lipsyncs" => LIPSYNC,
        "text_to_speech" => SPEECH,
        _ if path.ends_with("/gen_video") => MOTION,
        _ => return answer(404, json!({ "detail": "Not found." })),
    };
    if let Err(problem) = object(body, &[fields]) {
        return answer(400, json!({ "non_field_errors": [problem] }));
    }
    if let Some(task) = path.strip_prefix("product_to_videos/").and_then(|path| path.strip_suffix("/gen_video")) {
        let begun = board.change(task, |entry| entry.path = "product_to_videos/gen_video".into());
        return begun.map_or_else(
            || answer(404, json!({ "detail": "Not found." })),
            |_| answer(200, json!({ "id": task, "status": "video_generating" })),
        );
    }
    if path.starts_with("links") {
        return fixture(201, include_str!("../../../fixtures/creatify/link.json"), &id(900));
    }
    let words = body.to_string();
    if words.contains("[[garbled]]") {
        return broken_off(201);
    }
    for (word, status, detail) in [
        ("[[busy]]", 429, "Request was throttled. Expected available in 7 seconds."),
        ("[[down]]", 503, "Service unavailable"),
        ("[[lost]]", 500, "Server error"),
        ("[[poor]]", 402, "Not enough credits"),
    ] {
        if words.contains(word) {
            let mut refusal = answer(status, json!({ "detail": detail }));
            if status == 429 {
                refusal.headers_mut().insert("retry-after", "7".parse().unwrap());
            }
            return refusal.into_response();
        }
    }
    fixture(201, include_str!("../../../fixtures/creatify/ad.json"), &board.take(path, body))
}

fn list(board: &Board) -> Response {
    let all: Vec<Value> = board
        .all()
        .iter()
        .map(|(id, entry)| json!({ "id": id, "name": entry.body["name"], "status": "pending" }))
        .collect();
    answer(200, json!(all))
}

fn look(board: &Board, kind: &str, task: &str) -> Response {
    let found = board.look(task).filter(|entry| entry.path.split('/').next() == Some(kind));
    let Some(entry) = found else { return answer(404, json!({ "detail": "Not found." })) };
    let state =
        |status: &str| answer(200, json!({ "id": task, "status": status, "progress": "0.4", "video_output": null }));
    let failed = |status: &str| answer(200, json!({ "id": task, "status": status, "failed_reason": "it failed" }));
    let product = kind == "product_to_videos";
    match entry.looks {
        1 => state(if product { "initializing" } else { "pending" }),
        2 if entry.says("[[odd]]") => state("dreaming"),
        2 => state(if product { "image_generating" } else { "running" }),
        _ if entry.says("[[failed]]") => failed("failed"),
        _ if entry.says("[[moderated]]") => failed("rejected"),
        _ if entry.path == "product_to_videos/gen_image" => {
            let photo = "https://creatify.example.com/photo.png";
            answer(200, json!({ "id": task, "status": "image_generated", "generated_photo_url": photo }))
        }
        _ if product => {
            let clip = "https://creatify.example.com/clip.mp4";
            answer(200, json!({ "id": task, "status": "video_generated", "generated_video_url": clip }))
        }
        _ if matches!(kind, "lipsyncs" | "text_to_speech") => {
            let end = if kind == "lipsyncs" { "mp4" } else { "mp3" };
            let output = format!("https://creatify.example.com/output.{end}");
            answer(200, json!({ "id": task, "status": "done", "output": output }))
        }
        _ => {
            answer(200, json!({ "id": task, "status": "done", "video_output": "https://creatify.example.com/ad.mp4" }))
        }
    }
}
