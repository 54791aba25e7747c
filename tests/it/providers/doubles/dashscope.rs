//! `DashScope`. Words in the body steer it: `[[busy]]`, `[[quota]]`, `[[down]]`, `[[poor]]`, `[[moderated]]`,
//! `[[garbled]]`, `[[failed]]`, `[[risk]]`, `[[odd]]`.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use serde_json::{Value, json};

use super::{
    board::{Board, answer, broken_off, fixture},
    check::{Field, Is, is_object, link, link_or_data_url, object},
};

pub const KEY: &str = "sk-0123";

const LINK: Is = Is::Like(link);
const PICTURE: Is = Is::Like(link_or_data_url);
const CLIP_SIZES: Is = Is::Word(&[
    "832*480",
    "480*832",
    "624*624",
    "1280*720",
    "720*1280",
    "960*960",
    "1088*832",
    "832*1088",
    "1920*1080",
    "1080*1920",
    "1440*1440",
    "1632*1248",
    "1248*1632",
]);
const RESOLUTIONS: Is = Is::Word(&["480P", "720P", "1080P"]);
const COMMON: &[Field] =
    &[("prompt_extend", false, Is::Bool), ("watermark", false, Is::Bool), ("seed", false, Is::Int(0, 2_147_483_647))];
const SIZED: &[Field] = &[
    ("size", false, CLIP_SIZES),
    ("duration", false, Is::Int(2, 15)),
    ("shot_type", false, Is::Word(&["single", "multi"])),
];
const BY_RESOLUTION: &[Field] = &[
    ("resolution", false, RESOLUTIONS),
    ("duration", false, Is::Int(2, 30)),
    ("shot_type", false, Is::Word(&["single", "multi"])),
];
const RATIO: &[Field] = &[("ratio", false, Is::Word(&["16:9", "9:16", "1:1", "4:3", "3:4"]))];
const TEXT_INPUT: &[Field] =
    &[("prompt", true, Is::Text(1500)), ("negative_prompt", false, Is::Text(500)), ("audio_url", false, LINK)];
const FRAME_INPUT: &[Field] = &[
    ("img_url", true, PICTURE),
    ("prompt", false, Is::Text(1500)),
    ("negative_prompt", false, Is::Text(500)),
    ("audio_url", false, LINK),
];
const FRAMES_INPUT: &[Field] = &[
    ("first_frame_url", true, LINK),
    ("last_frame_url", true, LINK),
    ("prompt", false, Is::Text(800)),
    ("negative_prompt", false, Is::Text(500)),
];
const REFERENCE_INPUT: &[Field] = &[("prompt", true, Is::Text(1500)), ("reference_urls", true, Is::List(1, 5, link))];
const MEDIA_INPUT: &[Field] = &[("prompt", false, Is::Text(5000)), ("media", false, Is::List(1, 20, medium))];
const ANIMATE_INPUT: &[Field] = &[("image_url", true, LINK), ("video_url", true, LINK), ("watermark", false, Is::Bool)];
const ANIMATE: &[Field] = &[("mode", true, Is::Word(&["wan-std", "wan-pro"])), ("check_image", false, Is::Bool)];
const PROMPT_INPUT: &[Field] = &[("prompt", true, Is::Text(800)), ("negative_prompt", false, Is::Text(500))];
const PICTURES: &[Field] = &[("size", false, Is::Like(size)), ("n", false, Is::Int(1, 4))];
const MESSAGES_INPUT: &[Field] = &[("messages", true, Is::List(1, 1, message))];
const NEGATIVE: &[Field] = &[("negative_prompt", false, Is::Text(500))];

fn medium(value: &Value) -> bool {
    let roles = Is::Word(&[
        "first_frame",
        "last_frame",
        "driving_audio",
        "first_clip",
        "reference_image",
        "reference_video",
        "video",
        "reference_audio",
    ]);
    is_object(value, &[("type", true, roles), ("url", true, LINK)])
}

fn size(value: &Value) -> bool {
    let sides = value.as_str().and_then(|size| size.split_once('*'));
    let side = |text: &str| text.parse::<u32>().is_ok_and(|side| (512..=2048).contains(&side));
    sides.is_some_and(|(width, height)| side(width) && side(height))
}

fn message(value: &Value) -> bool {
    fn content(part: &Value) -> bool {
        is_object(part, &[("text", true, Is::Text(800))]) || is_object(part, &[("image", true, PICTURE)])
    }
    is_object(value, &[("role", true, Is::Word(&["user"])), ("content", true, Is::List(1, 4, content))])
}

/// The fields of `input` and of `parameters`; the model and the path have to go together.
fn fields(path: &str, model: &str) -> Option<[Vec<&'static [Field]>; 2]> {
    let early = ["wan2.2", "wan2.5", "wan2.6", "wanx2.1"].iter().any(|family| model.starts_with(family));
    Some(match path {
        "video-generation/video-synthesis" if early && model.contains("t2v") => [vec![TEXT_INPUT], vec![COMMON, SIZED]],
        "video-generation/video-synthesis" if early && model.contains("i2v") => {
            [vec![FRAME_INPUT], vec![COMMON, BY_RESOLUTION]]
        }
        "video-generation/video-synthesis" if early && model.contains("r2v") => {
            [vec![REFERENCE_INPUT], vec![COMMON, SIZED]]
        }
        "video-generation/video-synthesis" if !early => [vec![MEDIA_INPUT], vec![COMMON, BY_RESOLUTION, RATIO]],
        "image2video/video-synthesis" if model.contains("kf2v") => [vec![FRAMES_INPUT], vec![COMMON, BY_RESOLUTION]],
        "image2video/video-synthesis" if model.contains("animate") => [vec![ANIMATE_INPUT], vec![ANIMATE]],
        "text2image/image-synthesis" if model.contains("t2i") || matches!(model, "qwen-image" | "qwen-image-plus") => {
            [vec![PROMPT_INPUT], vec![COMMON, PICTURES]]
        }
        "multimodal-generation/generation" if model.starts_with("qwen-image") => {
            [vec![MESSAGES_INPUT], vec![COMMON, PICTURES, NEGATIVE]]
        }
        _ => return None,
    })
}

pub fn router(board: Board) -> Router {
    Router::new().fallback(handle).with_state(board)
}

fn refuse(status: u16, code: &str, message: &str) -> Response {
    answer(status, json!({ "code": code, "message": message, "request_id": "r" }))
}

async fn handle(State(board): State<Board>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {KEY}")) {
        return refuse(401, "InvalidApiKey", "Invalid API-key provided.");
    }
    let path = uri.path().strip_prefix("/double/api/v1/").unwrap_or_default();
    if let Some(path) = path.strip_prefix("services/aigc/") {
        let flag = headers.get("x-dashscope-async").and_then(|value| value.to_str().ok());
        let wanted = (path != "multimodal-generation/generation").then_some("enable");
        if flag != wanted {
            return refuse(403, "AccessDenied", "current user api does not support this kind of call");
        }
        return submit(&board, path, &body);
    }
    match (method, path.strip_prefix("tasks/").map(|rest| rest.split_once('/').unwrap_or((rest, "")))) {
        (Method::GET, Some(("", _))) => answer(200, json!({ "total": 0, "data": [] })),
        (Method::GET, Some((task, ""))) => look(&board, task),
        (Method::POST, Some((task, "cancel"))) => cancel(&board, task),
        _ => refuse(404, "NotFound", "no such endpoint"),
    }
}

fn submit(board: &Board, path: &str, body: &[u8]) -> Response {
    let json: Value = serde_json::from_slice(body).unwrap();
    let model = json["model"].as_str().unwrap_or_default();
    let Some([input, parameters]) = fields(path, model) else {
        return refuse(400, "InvalidParameter", "url error, please check url!");
    };
    let whole = object(
        &json,
        &[&[
            ("model", true, Is::Text(60)),
            ("input", true, Is::Like(Value::is_object)),
            ("parameters", true, Is::Like(Value::is_object)),
        ]],
    );
    let checked =
        whole.and_then(|()| object(&json["input"], &input)).and_then(|()| object(&json["parameters"], &parameters));
    if let Err(problem) = checked {
        return refuse(400, "InvalidParameter", &problem);
    }
    let words = json.to_string();
    if words.contains("[[garbled]]") {
        return broken_off(200);
    }
    for (word, status, code) in [
        ("[[busy]]", 429, "Throttling.RateQuota"),
        ("[[quota]]", 429, "Throttling.AllocationQuota"),
        ("[[down]]", 503, "ModelUnavailable"),
        ("[[lost]]", 500, "InternalError.Timeout"),
        ("[[poor]]", 400, "Arrearage"),
        ("[[moderated]]", 400, "DataInspectionFailed"),
    ] {
        if words.contains(word) {
            return refuse(status, code, "as the prompt asked");
        }
    }
    let task = board.take(path, &json);
    let answer = if path == "multimodal-generation/generation" {
        include_str!("../../../fixtures/dashscope/message.json")
    } else {
        include_str!("../../../fixtures/dashscope/accepted.json")
    };
    fixture(200, answer, &task)
}

fn look(board: &Board, task: &str) -> Response {
    let state =
        |status: &str| answer(200, json!({ "request_id": "r", "output": { "task_id": task, "task_status": status } }));
    let Some(entry) = board.look(task) else { return state("UNKNOWN") };
    let failed = |code: &str| {
        let output = json!({ "task_id": task, "task_status": "FAILED", "code": code, "message": "it failed" });
        answer(200, json!({ "request_id": "r", "output": output }))
    };
    match entry.looks {
        1 => state("PENDING"),
        2 if entry.says("[[odd]]") => state("SUSPENDED"),
        2 => state("RUNNING"),
        _ if entry.says("[[failed]]") => failed("InternalError.Algo"),
        _ if entry.says("[[risk]]") => failed("DataInspectionFailed"),
        _ if entry.says("[[wrong]]") => failed("InvalidParameter.DataInspection"),
        _ if entry.says("animate") => {
            let results = json!({ "video_url": "https://dashscope-result.example.com/a.mp4" });
            let output = json!({ "task_id": task, "task_status": "SUCCEEDED", "results": results });
            answer(200, json!({ "request_id": "r", "output": output }))
        }
        _ if entry.path.starts_with("text2image") => {
            let results = json!([{ "url": "https://dashscope-result.example.com/a.png" }]);
            let output = json!({ "task_id": task, "task_status": "SUCCEEDED", "results": results });
            answer(200, json!({ "request_id": "r", "output": output }))
        }
        _ => fixture(200, include_str!("../../../fixtures/dashscope/clip.json"), task),
    }
}

fn cancel(board: &Board, task: &str) -> Response {
    let waits = board.all().iter().any(|(id, entry)| id == task && entry.looks < 2 && !entry.gone);
    if waits && board.forget(task) {
        return answer(200, json!({ "request_id": "r" }));
    }
    refuse(400, "UnsupportedOperation", "Failed to cancel the task, please confirm if the task is in PENDING status.")
}
