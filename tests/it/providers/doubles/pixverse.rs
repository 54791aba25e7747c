//! `PixVerse`. Words in the body steer it: `[[busy]]`, `[[down]]`, `[[broken]]`, `[[poor]]`, `[[moderated]]`,
//! `[[garbled]]`, `[[failed]]`, `[[risk]]`, `[[odd]]`.

use std::{
    collections::HashSet,
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

use super::check::{Field, Is, is_object, object};

pub const KEY: &str = "pixverse-key";

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    traces: HashSet<String>,
    tasks: Vec<(String, u32)>,
}

impl Double {
    pub fn router(&self) -> Router {
        Router::new().fallback(handle).with_state(self.clone())
    }
}

/// An id that an upload gave.
const MEDIA: Is = Is::IntOf(&[101, 102]);
const IMAGE: Is = Is::IntOf(&[101]);
const PROMPT: Is = Is::Text(2048);
const RATIO: Is = Is::Word(&["16:9", "4:3", "1:1", "3:4", "9:16", "2:3", "3:2", "21:9"]);
const CLIP: &[Field] = &[
    ("prompt", true, PROMPT),
    ("model", true, Is::Word(&["v3.5", "v4", "v4.5", "v5", "v5.5", "v5.6", "v6", "c1"])),
    ("duration", true, Is::Int(1, 15)),
    ("quality", true, Is::Word(&["360p", "540p", "720p", "1080p"])),
    ("negative_prompt", false, PROMPT),
    ("seed", false, Is::Int(0, 2_147_483_647)),
];
const EXTRAS: &[Field] = &[
    ("motion_mode", false, Is::Word(&["normal", "fast"])),
    (
        "camera_movement",
        false,
        Is::Word(&[
            "horizontal_left",
            "horizontal_right",
            "vertical_up",
            "vertical_down",
            "zoom_in",
            "zoom_out",
            "crane_up",
            "quickly_zoom_in",
            "quickly_zoom_out",
            "smooth_zoom_in",
            "camera_rotation",
            "robo_arm",
            "super_dolly_out",
            "whip_pan",
            "hitchcock",
            "left_follow",
            "right_follow",
            "pan_left",
            "pan_right",
            "fix_bg",
        ]),
    ),
    ("style", false, Is::Word(&["anime", "3d_animation", "clay", "comic", "cyberpunk"])),
    ("template_id", false, Is::Int(1, i64::MAX)),
    ("sound_effect_switch", false, Is::Bool),
    ("sound_effect_content", false, PROMPT),
    ("generate_audio_switch", false, Is::Bool),
    ("generate_multi_clip_switch", false, Is::Bool),
    ("thinking_type", false, Is::Word(&["enabled", "disabled", "auto"])),
];

fn fields(path: &str) -> Option<Vec<&'static [Field]>> {
    Some(match path {
        "text" => vec![CLIP, EXTRAS, &[("aspect_ratio", true, RATIO)]],
        "img" => vec![CLIP, EXTRAS, &[("img_id", true, IMAGE)]],
        "transition" => vec![CLIP, EXTRAS, &[("first_frame_img", true, IMAGE), ("last_frame_img", true, IMAGE)]],
        "fusion" => vec![
            CLIP,
            &[
                ("aspect_ratio", true, RATIO),
                (
                    "image_references",
                    true,
                    Is::List(1, 7, |item| {
                        let kind = ("type", true, Is::Word(&["subject", "background"]));
                        is_object(item, &[kind, ("img_id", true, IMAGE), ("ref_name", true, Is::Text(30))])
                    }),
                ),
            ],
        ],
        "extend" => vec![CLIP, EXTRAS, &[("video_media_id", true, Is::IntOf(&[102]))]],
        "mimic" => vec![&[
            ("video_media_id", true, MEDIA),
            ("img_id", true, IMAGE),
            ("quality", true, Is::Word(&["360p", "540p", "720p"])),
            ("seed", false, Is::Int(0, 2_147_483_647)),
        ]],
        _ => return None,
    })
}

fn combination(body: &Value) -> Result<(), &'static str> {
    let model = body["model"].as_str().unwrap_or_default();
    let (size, seconds) = (body["quality"].as_str().unwrap_or_default(), body["duration"].as_i64().unwrap_or(0));
    let older = matches!(model, "v3.5" | "v4" | "v4.5");
    let length = match model {
        "v6" | "c1" | "" => true,
        "v5.5" | "v5.6" => matches!(seconds, 5 | 8) || seconds == 10 && size != "1080p",
        "v5" => matches!(seconds, 5 | 8),
        _ => seconds == 5 || seconds == 8 && size != "1080p",
    };
    let fast = body["motion_mode"] != "fast" || older && seconds == 5 && size != "1080p";
    let camera = body.get("camera_movement").is_none() || matches!(model, "v4" | "v4.5");
    let sound = body.get("generate_audio_switch").is_none() || !older && model != "v5";
    let named = body["image_references"].as_array().into_iter().flatten().all(|reference| {
        let name = format!("@{}", reference["ref_name"].as_str().unwrap_or_default());
        body["prompt"].as_str().is_some_and(|prompt| prompt.contains(&name))
    });
    if length && fast && camera && sound && named { Ok(()) } else { Err("invalid param") }
}

async fn handle(State(double): State<Double>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if header("api-key") != KEY {
        return refuse(10005, "the key is not right");
    }
    let trace = header("ai-trace-id");
    if uuid::Uuid::parse_str(&trace).is_err() || !double.0.lock().unwrap().traces.insert(trace) {
        return refuse(400_011, "Ai-trace-id must be a new UUID");
    }
    let path = uri.path().strip_prefix("/double/openapi/v2/").unwrap_or_default();
    match (method, path) {
        (Method::GET, "account/balance") => success(&json!({ "account_id": 1, "credit_monthly": 10 })),
        (Method::GET, _) => double.look(path),
        (Method::POST, "image/upload") => upload(&body, "image", 101),
        (Method::POST, "media/upload") => upload(&body, "file", 102),
        _ => double.submit(path, &body),
    }
}

fn upload(body: &[u8], field: &str, id: u32) -> Response {
    let form = String::from_utf8_lossy(body);
    let by_file = form.contains(&format!("name=\"{field}\"; filename="))
        && (form.contains("image/png") || id == 102 && form.contains("video/mp4"));
    let by_url = form.contains(&format!("name=\"{field}_url\""));
    let typed = form.contains("name=\"media_type\"");
    if by_file == by_url || typed != (id == 102 && by_file) {
        return refuse(500_042, "bad upload");
    }
    let name = if id == 101 { "img_id" } else { "media_id" };
    success(&json!({ name: id, "url": "https://media.example.com/upload" }))
}

fn success(resp: &Value) -> Response {
    Json(json!({ "ErrCode": 0, "ErrMsg": "success", "Resp": resp })).into_response()
}

fn refuse(code: u32, message: &str) -> Response {
    Json(json!({ "ErrCode": code, "ErrMsg": message, "Resp": null })).into_response()
}

impl Double {
    fn submit(&self, path: &str, body: &[u8]) -> Response {
        let kind = path.strip_prefix("video/").and_then(|path| path.strip_suffix("/generate")).unwrap_or_default();
        let Some(fields) = fields(kind) else { return refuse(400_017, "no such endpoint") };
        let words = String::from_utf8_lossy(body).into_owned();
        let json: Value = serde_json::from_slice(body).unwrap();
        if let Err(problem) = object(&json, &fields) {
            return refuse(400_017, &problem);
        }
        if let Err(problem) = combination(&json) {
            return refuse(400_017, problem);
        }
        if words.contains("[[garbled]]") {
            return (StatusCode::OK, "{\"ErrCode\":0,\"Er").into_response();
        }
        if words.contains("[[down]]") {
            return (StatusCode::SERVICE_UNAVAILABLE, "unavailable").into_response();
        }
        for (word, code) in
            [("[[busy]]", 500_044), ("[[broken]]", 99_999), ("[[poor]]", 500_090), ("[[moderated]]", 500_063)]
        {
            if words.contains(word) {
                return refuse(code, "as the prompt asked");
            }
        }
        let mut store = self.0.lock().unwrap();
        store.tasks.push((words, 0));
        fixture(include_str!("../../../fixtures/pixverse/created.json"), &id(store.tasks.len()))
    }

    fn look(&self, path: &str) -> Response {
        let mut store = self.0.lock().unwrap();
        let asked = path.strip_prefix("video/result/").unwrap_or_default();
        let Some((_, (words, looks))) = (1..).zip(store.tasks.iter_mut()).find(|(index, _)| id(*index) == asked) else {
            return refuse(500_008, "no such data");
        };
        *looks += 1;
        let status = match looks {
            1 => 9,
            2 if words.contains("[[odd]]") => 77,
            2 => 5,
            _ if words.contains("[[failed]]") => 8,
            _ if words.contains("[[risk]]") => 7,
            _ => return fixture(include_str!("../../../fixtures/pixverse/result.json"), asked),
        };
        success(&json!({ "id": 1, "status": status, "url": "" }))
    }
}

fn id(index: usize) -> String {
    format!("3581234567{index:05}")
}

fn fixture(text: &str, id: &str) -> Response {
    Json(serde_json::from_str::<Value>(&text.replace("358123456789012", id)).unwrap()).into_response()
}
