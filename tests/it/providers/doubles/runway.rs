//! Runway. Words in the body steer it: `[[busy]]`, `[[down]]`, `[[poor]]`, `[[moderated]]`, `[[garbled]]`, `[[failed]]`,
//! `[[odd]]`.

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    board::{Board, answer, broken_off, fixture},
    check::{Field, Is, is_object, object},
};

pub const KEY: &str = "key_0123456789";

const MEDIA: Is = Is::Like(media);
const MODEL: &[Field] = &[("model", true, Is::Text(60))];
const SEED: &[Field] = &[("seed", false, Is::Int(0, 4_294_967_295))];
const TURBO_RATIOS: Is = Is::Word(&["1280:720", "720:1280", "1104:832", "832:1104", "960:960", "1584:672"]);
const PICTURE_RATIOS: Is = Is::Word(&[
    "1024:1024",
    "1080:1080",
    "1168:880",
    "1360:768",
    "1440:1080",
    "1080:1440",
    "1808:768",
    "1920:1080",
    "1080:1920",
    "2112:912",
    "1280:720",
    "720:1280",
    "720:720",
    "960:720",
    "720:960",
    "1680:720",
]);
const GEN45_TEXT: &[Field] = &[
    ("promptText", true, Is::Text(1000)),
    ("ratio", true, Is::Word(&["1280:720", "720:1280"])),
    ("duration", true, Is::Int(2, 10)),
];
const GEN45_IMAGE: &[Field] = &[
    ("promptImage", true, Is::Like(first_frame)),
    ("promptText", true, Is::Text(1000)),
    ("ratio", true, TURBO_RATIOS),
    ("duration", true, Is::Int(2, 10)),
];
const TURBO: &[Field] = &[
    ("promptImage", true, Is::Like(first_frame)),
    ("promptText", false, Is::Text(1000)),
    ("ratio", true, TURBO_RATIOS),
    ("duration", false, Is::Int(2, 10)),
];
const VEO: &[Field] = &[
    ("ratio", true, Is::Word(&["1280:720", "720:1280", "1080:1920", "1920:1080"])),
    ("duration", false, Is::IntOf(&[4, 6, 8])),
    ("audio", false, Is::Bool),
    ("negativePrompt", false, Is::Text(1000)),
];
const SEEDANCE: &[Field] = &[
    (
        "ratio",
        false,
        Is::Word(&[
            "992:432", "864:496", "752:560", "640:640", "560:752", "496:864", "1470:630", "1280:720", "1112:834",
            "960:960", "834:1112", "720:1280",
        ]),
    ),
    ("duration", false, Is::Int(4, 15)),
    ("audio", false, Is::Bool),
];
const HAILUO: &[Field] = &[
    ("ratio", false, Is::Word(&["adaptive", "21:9", "16:9", "4:3", "1:1", "3:4", "9:16"])),
    ("duration", false, Is::Int(5, 15)),
    ("resolution", false, Is::Word(&["768p", "2k"])),
];
const TEXT: &[Field] = &[("promptText", true, Is::Text(6000))];
const REFERENCES: &[Field] = &[("references", false, Is::List(1, 9, uri))];
const FRAMES: &[Field] = &[("promptImage", true, Is::Like(frames))];
const ALEPH: &[Field] = &[
    ("videoUri", true, MEDIA),
    ("promptText", false, Is::Text(1000)),
    ("keyframes", false, Is::List(1, 5, keyframe)),
    ("targetAspectRatio", false, Is::Word(&["16:9", "4:3", "3:2", "1:1", "2:3", "3:4", "9:16", "21:9"])),
];
const ACT_TWO: &[Field] = &[
    ("character", true, Is::Like(character)),
    ("reference", true, Is::Like(recording)),
    ("bodyControl", false, Is::Bool),
    ("expressionIntensity", false, Is::Int(1, 5)),
    ("ratio", false, TURBO_RATIOS),
];
const AVATAR: &[Field] = &[("avatar", true, Is::Like(avatar)), ("speech", true, Is::Like(speech))];
const PICTURE: &[Field] = &[
    ("promptText", true, Is::Text(1000)),
    ("ratio", true, PICTURE_RATIOS),
    ("referenceImages", false, Is::List(1, 3, uri)),
];
const PICTURE_TURBO: &[Field] = &[("referenceImages", true, Is::List(1, 3, uri))];
const SPEECH: &[Field] = &[("promptText", true, Is::Text(5000)), ("voice", true, Is::Like(voice))];
const SPEECH_V3: &[Field] = &[
    ("stability", false, Is::Num(0.0, 1.0)),
    ("similarityBoost", false, Is::Num(0.0, 1.0)),
    ("speed", false, Is::Num(0.7, 1.2)),
    ("languageCode", false, Is::Text(10)),
];

fn media(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        let data = text.starts_with("data:") && text.contains(";base64,");
        text.starts_with("https://") || text.starts_with("runway://") || data
    })
}

fn first_frame(value: &Value) -> bool {
    media(value)
}

fn frames(value: &Value) -> bool {
    const FRAME: &[Field] = &[("uri", true, MEDIA), ("position", true, Is::Word(&["first", "last"]))];
    media(value) || value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(|one| is_object(one, FRAME)))
}

fn uri(value: &Value) -> bool {
    is_object(value, &[("uri", true, MEDIA)])
}

fn keyframe(value: &Value) -> bool {
    is_object(value, &[("uri", true, MEDIA), ("seconds", true, Is::Num(0.0, 30.0))])
}

fn character(value: &Value) -> bool {
    is_object(value, &[("type", true, Is::Word(&["image", "video"])), ("uri", true, MEDIA)])
}

fn recording(value: &Value) -> bool {
    is_object(value, &[("type", true, Is::Word(&["video"])), ("uri", true, MEDIA)])
}

fn avatar(value: &Value) -> bool {
    let presets = Is::Word(&[
        "game-character",
        "music-superstar",
        "game-character-man",
        "cat-character",
        "influencer",
        "tennis-coach",
        "human-resource",
        "fashion-designer",
        "cooking-teacher",
    ]);
    is_object(value, &[("type", true, Is::Word(&["runway-preset"])), ("presetId", true, presets)])
        || is_object(value, &[("type", true, Is::Word(&["custom"])), ("avatarId", true, Is::Text(36))])
}

fn speech(value: &Value) -> bool {
    let voice =
        |value: &Value| is_object(value, &[("type", true, Is::Word(&["preset"])), ("presetId", true, Is::Text(20))]);
    is_object(value, &[("type", true, Is::Word(&["audio"])), ("audio", true, MEDIA)])
        || is_object(
            value,
            &[("type", true, Is::Word(&["text"])), ("text", true, Is::Text(5000)), ("voice", false, Is::Like(voice))],
        )
}

fn voice(value: &Value) -> bool {
    is_object(value, &[("type", true, Is::Word(&["runway-preset"])), ("presetId", true, Is::Text(20))])
}

fn fields(path: &str, model: &str) -> Option<Vec<&'static [Field]>> {
    Some(match (path, model) {
        ("text_to_video", "gen4.5") => vec![SEED, GEN45_TEXT],
        ("image_to_video", "gen4.5") => vec![SEED, GEN45_IMAGE],
        ("image_to_video", "gen4_turbo") => vec![SEED, TURBO],
        ("text_to_video", "veo3.1" | "veo3.1_fast") => vec![SEED, VEO, TEXT],
        ("image_to_video", "veo3.1" | "veo3.1_fast") => vec![SEED, VEO, TEXT, FRAMES],
        ("text_to_video", "seedance2") => vec![SEED, SEEDANCE, TEXT, REFERENCES],
        ("image_to_video", "seedance2") => vec![SEED, SEEDANCE, TEXT, FRAMES],
        ("text_to_video", "hailuo3") => vec![HAILUO, TEXT, REFERENCES],
        ("image_to_video", "hailuo3") => vec![HAILUO, TEXT, FRAMES],
        ("video_to_video", "aleph2") => vec![SEED, ALEPH],
        ("character_performance", "act_two") => vec![SEED, ACT_TWO],
        ("avatar_videos", "gwm1_avatars") => vec![AVATAR],
        ("text_to_image", "gen4_image") => vec![SEED, PICTURE],
        ("text_to_image", "gen4_image_turbo") => vec![SEED, PICTURE_TURBO, PICTURE],
        ("text_to_speech", "eleven_multilingual_v2") => vec![SPEECH],
        ("text_to_speech", "eleven_v3") => vec![SEED, SPEECH, SPEECH_V3],
        _ => return None,
    })
}

/// A double that takes nothing but what is documented.
pub fn router(board: Board) -> Router {
    Router::new().fallback(handle).layer(DefaultBodyLimit::disable()).with_state(board)
}

async fn handle(State(board): State<Board>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = uri.path().strip_prefix("/double/v1/").unwrap_or_default();
    if path == "storage" {
        return StatusCode::NO_CONTENT.into_response();
    }
    if header("authorization") != format!("Bearer {KEY}") {
        return answer(401, json!({ "error": "No API key was provided." }));
    }
    if header("x-runway-version") != "2024-11-06" {
        return answer(400, json!({ "error": "You must specify a valid X-Runway-Version." }));
    }
    match (method, path.strip_prefix("tasks/")) {
        (Method::GET, Some(task)) => look(&board, task),
        (Method::DELETE, Some(task)) if board.forget(task) => StatusCode::NO_CONTENT.into_response(),
        (Method::DELETE, Some(_)) => answer(404, json!({ "error": "Could not find Task" })),
        (Method::GET, None) if path == "organization" => answer(200, json!({ "creditBalance": 10 })),
        (Method::POST, None) if path == "uploads" => upload(&headers),
        (Method::POST, None) => submit(&board, path, &body),
        _ => answer(405, json!({ "error": "Method Not Allowed" })),
    }
}

fn upload(headers: &HeaderMap) -> Response {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let to = format!("http://{host}/double/v1/storage");
    answer(200, json!({ "uploadUrl": to, "fields": { "key": "k" }, "runwayUri": "runway://upload" }))
}

fn submit(board: &Board, path: &str, body: &[u8]) -> Response {
    let json: Value = serde_json::from_slice(body).unwrap();
    let model = json["model"].as_str().unwrap_or_default();
    let Some(mut fields) = fields(path, model) else {
        return answer(
            400,
            json!({ "error": "Validation of body failed",
            "issues": [{ "code": "invalid_value", "path": ["model"], "message": "Invalid model" }] }),
        );
    };
    fields.push(MODEL);
    if let Err(problem) = object(&json, &fields) {
        return answer(
            400,
            json!({ "error": "Validation of body failed",
            "issues": [{ "code": "custom", "path": [], "message": problem }] }),
        );
    }
    let words = json.to_string();
    let says = |word: &str| words.contains(word);
    if says("[[garbled]]") {
        return broken_off(200);
    }
    for (word, status, error) in [
        ("[[busy]]", 429, "Your daily task limit has been reached."),
        ("[[down]]", 503, "Service Unavailable"),
        ("[[lost]]", 502, "Bad Gateway"),
        ("[[poor]]", 400, "You do not have enough credits to run this task."),
    ] {
        if says(word) {
            return answer(status, json!({ "error": error }));
        }
    }
    fixture(200, include_str!("../../../fixtures/runway/created.json"), &board.take(path, &json))
}

fn look(board: &Board, task: &str) -> Response {
    let Some(entry) = board.look(task) else { return answer(404, json!({ "error": "Could not find Task" })) };
    let status = |status: &str| json!({ "id": task, "createdAt": "2026-11-22T09:00:00.000Z", "status": status });
    let failed = |code: &str| json!({ "id": task, "status": "FAILED", "failure": "It failed.", "failureCode": code });
    match entry.looks {
        1 => answer(200, status("THROTTLED")),
        2 if entry.says("[[odd]]") => answer(200, status("DREAMING")),
        2 => answer(200, json!({ "id": task, "status": "RUNNING", "progress": 0.5 })),
        _ if entry.says("[[failed]]") => answer(200, failed("INTERNAL.BAD_OUTPUT.CODE01")),
        _ if entry.says("[[moderated]]") => answer(200, failed("SAFETY.INPUT.TEXT")),
        _ => {
            let end = match entry.path.as_str() {
                "text_to_image" => ".png",
                "text_to_speech" => ".mp3",
                _ => ".mp4",
            };
            fixture(200, &include_str!("../../../fixtures/runway/succeeded.json").replace(".mp4", end), task)
        }
    }
}
