//! Luma, both services. Words in the body steer them: `[[busy]]`, `[[down]]`, `[[poor]]`, `[[moderated]]`, `[[garbled]]`,
//! `[[failed]]`, `[[risk]]`, `[[odd]]`.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    board::{Board, answer, broken_off, fixture},
    check::{Field, Is, is_object, link, object},
};

pub const KEY: &str = "luma-0123";
pub const AGENTS_KEY: &str = "luma-api-0123";

const ASPECTS: Is = Is::Word(&["1:1", "16:9", "9:16", "4:3", "3:4", "21:9", "9:21"]);
const CLIP: &[Field] = &[
    ("model", true, Is::Word(&["ray-2", "ray-flash-2"])),
    ("prompt", false, Is::Text(5000)),
    ("aspect_ratio", false, ASPECTS),
    ("duration", false, Is::Word(&["5s", "9s"])),
    ("resolution", false, Is::Word(&["540p", "720p", "1080p", "4k"])),
    ("loop", false, Is::Bool),
    ("keyframes", false, Is::Like(keyframes)),
];
const PICTURE: &[Field] = &[
    ("model", true, Is::Word(&["photon-1", "photon-flash-1"])),
    ("prompt", true, Is::Text(5000)),
    ("aspect_ratio", false, ASPECTS),
    ("format", false, Is::Word(&["jpg", "png"])),
    ("image_ref", false, Is::List(1, 4, address)),
    ("modify_image_ref", false, Is::Like(address)),
];
const AGENTS: &[Field] = &[
    ("model", true, Is::Word(&["uni-1", "uni-1-max", "ray-3.2"])),
    ("type", true, Is::Word(&["image", "image_edit", "video", "video_edit", "video_reframe"])),
    ("prompt", true, Is::Text(6000)),
    (
        "aspect_ratio",
        false,
        Is::Word(&["3:1", "2:1", "21:9", "16:9", "4:3", "3:2", "1:1", "3:4", "2:3", "9:16", "1:2", "1:3"]),
    ),
    ("image_ref", false, Is::List(1, 9, reference)),
    ("source", false, Is::Like(reference)),
    ("output_format", false, Is::Word(&["png", "jpeg"])),
    ("web_search", false, Is::Bool),
    ("video", false, Is::Like(video)),
];
const VIDEO: &[Field] = &[
    ("duration", false, Is::Word(&["5s", "10s"])),
    ("resolution", false, Is::Word(&["360p", "540p", "720p", "1080p"])),
    ("start_frame", false, Is::Like(reference)),
    ("end_frame", false, Is::Like(reference)),
    ("loop", false, Is::Bool),
    ("hdr", false, Is::Bool),
    ("edit", false, Is::Like(edit)),
];

fn keyframes(value: &Value) -> bool {
    const KEYFRAMES: &[Field] = &[("frame0", false, Is::Like(frame)), ("frame1", false, Is::Like(frame))];
    is_object(value, KEYFRAMES) && value.as_object().is_some_and(|frames| !frames.is_empty())
}

fn frame(value: &Value) -> bool {
    is_object(value, &[("type", true, Is::Word(&["image"])), ("url", true, Is::Like(link))])
}

fn address(value: &Value) -> bool {
    is_object(value, &[("url", true, Is::Like(link)), ("weight", false, Is::Num(0.0, 1.0))])
}

fn reference(value: &Value) -> bool {
    is_object(value, &[("url", true, Is::Like(link)), ("media_type", false, Is::Text(40))])
        || is_object(value, &[("data", true, Is::Text(1 << 20)), ("media_type", true, Is::Text(40))])
}

fn video(value: &Value) -> bool {
    is_object(value, VIDEO) && value.as_object().is_some_and(|options| !options.is_empty())
}

fn edit(value: &Value) -> bool {
    let strengths = Is::Word(&[
        "adhere_1",
        "adhere_2",
        "adhere_3",
        "flex_1",
        "flex_2",
        "flex_3",
        "reimagine_1",
        "reimagine_2",
        "reimagine_3",
    ]);
    is_object(value, &[("strength", true, strengths)])
}

/// What the fields say together.
fn combination(agents: bool, path: &str, body: &Value) -> Result<(), &'static str> {
    let looped = |body: &Value| body["loop"] == true;
    if !agents {
        let short = body["prompt"].as_str().is_some_and(|prompt| prompt.chars().count() < 3);
        let bare = body.get("prompt").is_none() && body.get("keyframes").is_none();
        let no_loop = looped(body) && body["keyframes"].get("frame1").is_some();
        return match (short, bare && path == "generations/video", no_loop) {
            (true, ..) => Err("Prompt is too short, minimum length is 3 characters"),
            (_, true, _) => Err("Prompt is required"),
            (.., true) => Err("Loop is not supported for this"),
            _ => Ok(()),
        };
    }
    let (kind, video) = (body["type"].as_str().unwrap_or_default(), &body["video"]);
    let ray = body["model"] == "ray-3.2";
    let sourced = matches!(kind, "image_edit" | "video_edit" | "video_reframe");
    let typed = !kind.starts_with("video_") || body["source"].get("media_type").is_some();
    let (long, hdr, ended) = (video["duration"] == "10s", video["hdr"] == true, video.get("end_frame").is_some());
    let sized = !hdr || matches!(video["resolution"].as_str(), Some("720p" | "1080p"));
    let good = ray == kind.starts_with("video")
        && sourced == body.get("source").is_some()
        && typed
        && !(looped(video) && (long || hdr || ended))
        && !(long && (hdr || ended))
        && sized
        && (kind == "video" || (video.get("duration").is_none() && video.get("loop").is_none()));
    if good { Ok(()) } else { Err("not together") }
}

pub fn router(board: Board) -> Router {
    Router::new().fallback(handle).with_state(board)
}

async fn handle(State(board): State<Board>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let (agents, path) = match uri.path().strip_prefix("/double/dream-machine/v1/") {
        Some(path) => (false, path),
        None => (true, uri.path().strip_prefix("/double/v1/").unwrap_or_default()),
    };
    let key = if agents { AGENTS_KEY } else { KEY };
    if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {key}")) {
        return answer(401, json!({ "detail": "Invalid API key is provided" }));
    }
    match (method, path) {
        (Method::GET, "credits") if !agents => answer(200, json!({ "credit_balance": 100 })),
        (Method::GET, "files") if agents => answer(200, json!({ "data": [] })),
        (Method::POST, "generations") if agents => submit(&board, true, path, AGENTS, &body),
        (Method::POST, "generations/video") if !agents => submit(&board, false, path, CLIP, &body),
        (Method::POST, "generations/image") if !agents => submit(&board, false, path, PICTURE, &body),
        (method, path) => match (method, path.strip_prefix("generations/")) {
            (Method::GET, Some(id)) => look(&board, agents, id),
            (Method::DELETE, Some(id)) if !agents && board.forget(id) => StatusCode::NO_CONTENT.into_response(),
            _ => answer(404, json!({ "detail": "Not found" })),
        },
    }
}

fn submit(board: &Board, agents: bool, path: &str, fields: &[Field], body: &[u8]) -> Response {
    let json: Value = serde_json::from_slice(body).unwrap();
    let fault = object(&json, &[fields]).err();
    if let Some(problem) = fault.or_else(|| combination(agents, path, &json).err().map(str::to_owned)) {
        return answer(if agents { 422 } else { 400 }, json!({ "detail": problem }));
    }
    let words = json.to_string();
    if words.contains("[[garbled]]") {
        return broken_off(201);
    }
    for (word, status, detail) in [
        ("[[busy]]", 429, "Too many concurrent jobs"),
        ("[[down]]", 503, "Service unavailable"),
        ("[[lost]]", 500, "Internal error"),
        ("[[poor]]", 402, "Insufficient credits"),
        ("[[moderated]]", 400, "Contains blacklisted words"),
    ] {
        if words.contains(word) {
            return answer(status, json!({ "detail": detail }));
        }
    }
    let accepted = if agents {
        include_str!("../../../fixtures/luma/agents_generation.json")
    } else {
        include_str!("../../../fixtures/luma/generation.json")
    };
    fixture(201, accepted, &board.take(path, &json))
}

fn look(board: &Board, agents: bool, id: &str) -> Response {
    let Some(entry) = board.look(id) else { return answer(404, json!({ "detail": "Generation not found" })) };
    let state = |state: &str| answer(200, json!({ "id": id, "state": state, "assets": null, "output": [] }));
    let failed = |code: &str, reason: &str| {
        let mut body = json!({ "id": id, "state": "failed", "failure_reason": reason });
        if agents {
            body["failure_code"] = json!(code);
        }
        answer(200, body)
    };
    match entry.looks {
        1 => state("queued"),
        2 if entry.says("[[odd]]") => state("brewing"),
        2 => state(if agents { "processing" } else { "dreaming" }),
        _ if entry.says("[[failed]]") => failed("generation_failed", "Prompt processing failed"),
        _ if entry.says("[[risk]]") => failed("content_moderated", "Advanced prompt moderation failed"),
        _ if agents => {
            let picture = entry.body["type"].as_str().is_some_and(|kind| kind.starts_with("image"));
            let done = include_str!("../../../fixtures/luma/agents_completed.json");
            let done =
                if picture { done.replace("\"video\"", "\"image\"").replace(".mp4", ".png") } else { done.to_owned() };
            fixture(200, &done, id)
        }
        _ if entry.path == "generations/image" => {
            let done = include_str!("../../../fixtures/luma/completed.json");
            let done = done.replace("\"image\":null", "\"image\":\"https://storage.cdn-luma.com/output.jpg\"");
            fixture(200, &done.replace("\"https://storage.cdn-luma.com/output.mp4\"", "null"), id)
        }
        _ => fixture(200, include_str!("../../../fixtures/luma/completed.json"), id),
    }
}
