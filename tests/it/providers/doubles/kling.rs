//! Kling: both protocols. Words in the body steer it: `[[busy]]`, `[[down]]`, `[[broken]]`, `[[poor]]`, `[[moderated]]`,
//! `[[garbled]]` (takes the task all the same), `[[failed]]`, `[[risk]]`, `[[odd]]`.

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
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::check::{Field, Is, is_object, link, object};

pub const API_KEY: &str = "kling-key";
pub const ACCESS_KEY: &str = "kling-access";
pub const SECRET_KEY: &str = "kling-secret";

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<BTreeMap<String, Entry>>>);

struct Entry {
    id: String,
    words: String,
    looks: u32,
}

impl Double {
    pub fn router(&self) -> Router {
        Router::new().fallback(handle).with_state(self.clone())
    }

    /// How many tasks were taken.
    pub fn taken(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// Base64 without a prefix, or an address.
fn media(value: &Value) -> bool {
    link(value) || value.as_str().is_some_and(|text| text.len() > 20 && !text.contains(':'))
}

fn duration(value: &Value) -> bool {
    matches!(value.as_str(), Some("3" | "4" | "5" | "6" | "7" | "8" | "9" | "10" | "11" | "12" | "13" | "14" | "15"))
}

const MEDIA: Is = Is::Like(media);
const PROMPT: Is = Is::Text(2500);
const RATIOS: Is = Is::Word(&["16:9", "9:16", "1:1"]);
const IMAGE_RATIOS: Is = Is::Word(&["16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9"]);
const OMNI_RATIOS: Is = Is::Word(&["16:9", "9:16", "1:1", "4:3", "3:4", "3:2", "2:3", "21:9", "auto"]);
const MODES: Is = Is::Word(&["std", "pro", "4k"]);
const YES_NO: Is = Is::Word(&["yes", "no"]);

const COMMON: &[Field] = &[("external_task_id", false, Is::Text(64)), ("callback_url", false, Is::Like(link))];
const CLIP: &[Field] = &[
    ("negative_prompt", false, PROMPT),
    ("cfg_scale", false, Is::Num(0.0, 1.0)),
    ("mode", false, MODES),
    ("duration", false, Is::Like(duration)),
    ("sound", false, Is::Word(&["on", "off"])),
    ("camera_control", false, Is::Like(camera)),
    ("multi_shot", false, Is::Bool),
    ("shot_type", false, Is::Word(&["customize", "intelligence"])),
];
const TEXT: &[Field] = &[
    (
        "model_name",
        false,
        Is::Word(&[
            "kling-v1",
            "kling-v1-6",
            "kling-v2-master",
            "kling-v2-1-master",
            "kling-v2-5-turbo",
            "kling-v2-6",
            "kling-v3",
        ]),
    ),
    ("prompt", true, PROMPT),
    ("aspect_ratio", false, RATIOS),
];
const IMAGE: &[Field] = &[
    (
        "model_name",
        false,
        Is::Word(&[
            "kling-v1",
            "kling-v1-5",
            "kling-v1-6",
            "kling-v2-master",
            "kling-v2-1",
            "kling-v2-1-master",
            "kling-v2-5-turbo",
            "kling-v2-6",
            "kling-v3",
        ]),
    ),
    ("prompt", false, PROMPT),
    ("image", false, MEDIA),
    ("image_tail", false, MEDIA),
];
const IMAGES: &[Field] = &[
    ("model_name", false, Is::Word(&["kling-v1-6"])),
    ("image_list", true, Is::List(1, 4, |item| is_object(item, &[("image", true, MEDIA)]))),
    ("prompt", true, PROMPT),
    ("negative_prompt", false, PROMPT),
    ("mode", false, Is::Word(&["std", "pro"])),
    ("duration", false, Is::Word(&["5", "10"])),
    ("aspect_ratio", false, RATIOS),
];
const OMNI: &[Field] = &[
    ("model_name", false, Is::Word(&["kling-video-o1", "kling-v3-omni"])),
    ("prompt", true, PROMPT),
    (
        "image_list",
        false,
        Is::List(1, 9, |item| {
            is_object(item, &[("image_url", true, MEDIA), ("type", false, Is::Word(&["first_frame", "end_frame"]))])
        }),
    ),
    (
        "video_list",
        false,
        Is::List(1, 1, |item| {
            let fields = [
                ("video_url", true, Is::Like(link)),
                ("refer_type", false, Is::Word(&["feature", "base"])),
                ("keep_original_sound", false, YES_NO),
            ];
            is_object(item, &fields)
        }),
    ),
    ("mode", false, MODES),
    ("duration", false, Is::Like(duration)),
    ("sound", false, Is::Word(&["on", "off"])),
    ("aspect_ratio", false, RATIOS),
];
const MOTION: &[Field] = &[
    ("model_name", false, Is::Word(&["kling-v2-6", "kling-v3"])),
    ("prompt", false, PROMPT),
    ("image_url", true, MEDIA),
    ("video_url", true, Is::Like(link)),
    ("character_orientation", true, Is::Word(&["image", "video"])),
    ("mode", true, Is::Word(&["std", "pro"])),
    ("keep_original_sound", false, YES_NO),
];
const EFFECTS: &[Field] = &[
    ("effect_scene", true, Is::Text(64)),
    (
        "input",
        true,
        Is::Like(|input| {
            let length = ("duration", false, Is::Word(&["5", "10"]));
            is_object(input, &[("image", true, MEDIA), length])
                || is_object(input, &[("images", true, Is::List(2, 2, media)), length])
        }),
    ),
];
const AVATAR: &[Field] = &[
    ("image", true, MEDIA),
    ("audio_id", false, Is::Text(64)),
    ("sound_file", false, MEDIA),
    ("prompt", false, PROMPT),
    ("mode", false, Is::Word(&["std", "pro"])),
];
const LIP_SYNC: &[Field] = &[(
    "input",
    true,
    Is::Like(|input| {
        let video = ("video_url", true, Is::Like(link));
        let spoken = [
            ("mode", true, Is::Word(&["text2video"])),
            video,
            ("text", true, Is::Text(120)),
            ("voice_id", true, Is::Text(64)),
            ("voice_language", true, Is::Word(&["zh", "en"])),
            ("voice_speed", false, Is::Num(0.8, 2.0)),
        ];
        let heard = [
            ("mode", true, Is::Word(&["audio2video"])),
            video,
            ("audio_type", true, Is::Word(&["url"])),
            ("audio_url", true, Is::Like(link)),
        ];
        let enclosed = [
            ("mode", true, Is::Word(&["audio2video"])),
            video,
            ("audio_type", true, Is::Word(&["file"])),
            ("audio_file", true, MEDIA),
        ];
        [&spoken[..], &heard, &enclosed].iter().any(|fields| is_object(input, fields))
    }),
)];
const PICTURE: &[Field] = &[
    ("model_name", false, Is::Word(&["kling-v1", "kling-v1-5", "kling-v2", "kling-v2-new", "kling-v2-1", "kling-v3"])),
    ("prompt", true, PROMPT),
    ("negative_prompt", false, PROMPT),
    ("image", false, MEDIA),
    ("image_reference", false, Is::Word(&["subject", "face"])),
    ("image_fidelity", false, Is::Num(0.0, 1.0)),
    ("human_fidelity", false, Is::Num(0.0, 1.0)),
    ("resolution", false, Is::Word(&["1k", "2k"])),
    ("n", false, Is::Int(1, 9)),
    ("aspect_ratio", false, IMAGE_RATIOS),
];
const OMNI_PICTURE: &[Field] = &[
    ("model_name", false, Is::Word(&["kling-image-o1", "kling-v3-omni"])),
    ("prompt", true, PROMPT),
    ("image_list", false, Is::List(1, 11, |item| is_object(item, &[("image", true, MEDIA)]))),
    ("resolution", false, Is::Word(&["1k", "2k", "4k"])),
    ("n", false, Is::Int(1, 9)),
    ("aspect_ratio", false, OMNI_RATIOS),
];
const SUBJECTS: &[Field] = &[
    ("model_name", false, Is::Word(&["kling-v2", "kling-v2-1"])),
    ("subject_image_list", true, Is::List(1, 4, |item| is_object(item, &[("subject_image", true, MEDIA)]))),
    ("prompt", false, PROMPT),
    ("n", false, Is::Int(1, 9)),
    ("aspect_ratio", false, IMAGE_RATIOS),
];
const TRY_ON: &[Field] = &[
    ("model_name", true, Is::Word(&["kolors-virtual-try-on-v1", "kolors-virtual-try-on-v1-5"])),
    ("human_image", true, MEDIA),
    ("cloth_image", true, MEDIA),
];
const SPEECH: &[Field] = &[
    ("text", true, Is::Text(1000)),
    ("voice_id", true, Is::Text(64)),
    ("voice_language", true, Is::Word(&["zh", "en"])),
    ("voice_speed", false, Is::Num(0.8, 2.0)),
];
const SOUND: &[Field] = &[("prompt", true, Is::Text(200)), ("duration", true, Is::Num(3.0, 10.0))];
const VIDEO_SOUND: &[Field] = &[
    ("video_url", true, Is::Like(link)),
    ("sound_effect_prompt", false, Is::Text(200)),
    ("bgm_prompt", false, Is::Text(200)),
    ("asmr_mode", false, Is::Bool),
];

fn camera(value: &Value) -> bool {
    let one_axis = |config: &Value| {
        config.as_object().is_some_and(|axes| axes.values().filter(|v| v.as_f64() != Some(0.0)).count() <= 1)
    };
    is_object(value, &[("type", true, Is::Word(&["simple"])), ("config", true, Is::Like(|_| true))])
        && one_axis(&value["config"])
        || is_object(
            value,
            &[("type", true, Is::Word(&["down_back", "forward_up", "right_turn_forward", "left_turn_forward"]))],
        )
}

fn fields(path: &str) -> Option<Vec<&'static [Field]>> {
    Some(match path {
        "/v1/videos/text2video" => vec![COMMON, CLIP, TEXT],
        "/v1/videos/image2video" => vec![COMMON, CLIP, IMAGE],
        "/v1/videos/multi-image2video" => vec![COMMON, IMAGES],
        "/v1/videos/omni-video" => vec![COMMON, OMNI],
        "/v1/videos/motion-control" => vec![COMMON, MOTION],
        "/v1/videos/effects" => vec![COMMON, EFFECTS],
        "/v1/videos/avatar/image2video" => vec![COMMON, AVATAR],
        "/v1/videos/lip-sync" => vec![COMMON, LIP_SYNC],
        "/v1/images/generations" => vec![COMMON, PICTURE],
        "/v1/images/omni-image" => vec![COMMON, OMNI_PICTURE],
        "/v1/images/multi-image2image" => vec![COMMON, SUBJECTS],
        "/v1/images/kolors-virtual-try-on" => vec![COMMON, TRY_ON],
        "/v1/audio/tts" => vec![SPEECH],
        "/v1/audio/text-to-audio" => vec![COMMON, SOUND],
        "/v1/audio/video-to-audio" => vec![COMMON, VIDEO_SOUND],
        "/text-to-video/kling-3.0-turbo" => vec![NEW_TEXT],
        "/image-to-video/kling-3.0-turbo" => vec![NEW_IMAGE],
        _ => return None,
    })
}

const NEW_OPTIONS: Is = Is::Like(|options| is_object(options, &[("external_task_id", false, Is::Text(64))]));
const NEW_TEXT: &[Field] = &[
    ("prompt", true, Is::Text(3072)),
    (
        "settings",
        false,
        Is::Like(|settings| {
            let fields = [
                ("resolution", false, Is::Word(&["720p", "1080p"])),
                ("aspect_ratio", false, RATIOS),
                ("duration", false, Is::Int(3, 15)),
            ];
            is_object(settings, &fields)
        }),
    ),
    ("options", false, NEW_OPTIONS),
];
const NEW_IMAGE: &[Field] = &[
    (
        "contents",
        true,
        Is::List(1, 2, |item| {
            is_object(item, &[("type", true, Is::Word(&["prompt"])), ("text", true, Is::Text(3072))])
                || is_object(item, &[("type", true, Is::Word(&["first_frame"])), ("url", true, Is::Like(link))])
        }),
    ),
    (
        "settings",
        false,
        Is::Like(|settings| {
            let fields = [("resolution", false, Is::Word(&["720p", "1080p"])), ("duration", false, Is::Int(3, 15))];
            is_object(settings, &fields)
        }),
    ),
    ("options", false, NEW_OPTIONS),
];

/// What one field cannot tell.
fn combination(path: &str, body: &Value) -> Result<(), &'static str> {
    let has = |field: &str| body.get(field).is_some();
    let is = |field: &str, value: &str| body[field] == value;
    if path.ends_with("/image2video") && !path.contains("avatar") {
        if !has("image") && !has("image_tail") {
            return Err("image or image_tail");
        }
        if has("image_tail") && has("camera_control") {
            return Err("image_tail excludes camera_control");
        }
        let pro_only = ["kling-v1-5", "kling-v1-6", "kling-v2-1", "kling-v2-5-turbo", "kling-v2-6"];
        if has("image_tail") && !is("mode", "pro") && pro_only.iter().any(|model| is("model_name", model)) {
            return Err("image_tail needs mode pro");
        }
        if is("model_name", "kling-v1") && has("image_tail") && !is("duration", "5") {
            return Err("image_tail needs 5 s");
        }
    }
    if path.starts_with("/v1/videos/") {
        let may_be_long = path.ends_with("omni-video") || is("model_name", "kling-v3");
        if has("duration") && !may_be_long && !is("duration", "5") && !is("duration", "10") {
            return Err("duration 5 or 10");
        }
        if is("mode", "4k") && !is("model_name", "kling-v3") && !is("model_name", "kling-v3-omni") {
            return Err("4k is for v3");
        }
        if is("sound", "on") && is("model_name", "kling-v2-6") && !is("mode", "pro") {
            return Err("sound needs mode pro");
        }
        if has("multi_shot") != has("shot_type") {
            return Err("multi_shot and shot_type go together");
        }
    }
    if path.contains("avatar") && has("audio_id") == has("sound_file") {
        return Err("exactly one of audio_id and sound_file");
    }
    if path == "/v1/images/generations" && has("image") && has("negative_prompt") {
        return Err("negative_prompt excludes image");
    }
    if path.ends_with("omni-video") {
        let framed = body["image_list"].as_array().is_some_and(|list| list.iter().any(|i| i["type"] == "first_frame"));
        let based = body["video_list"][0]["refer_type"] == "base";
        if !framed && !based && !has("aspect_ratio") {
            return Err("aspect_ratio is required");
        }
    }
    Ok(())
}

async fn handle(State(double): State<Double>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let path = uri.path().strip_prefix("/double").unwrap_or_default();
    let new = !path.starts_with("/v1/") && path != "/account/costs";
    if let Err(code) = authorized(&headers, new) {
        return refuse(401, code, "Authorization is not right");
    }
    match method {
        Method::POST => double.submit(path, new, &body),
        _ if path == "/account/costs" && uri.query().is_some_and(|query| query.contains("start_time=")) => {
            Json(json!({ "code": 0, "message": "SUCCEED", "data": {} })).into_response()
        }
        _ => double.look(path, uri.query().unwrap_or_default()),
    }
}

fn authorized(headers: &HeaderMap, new: bool) -> Result<(), u32> {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()).ok_or(1001_u32)?;
    let token = token.strip_prefix("Bearer ").ok_or(1002_u32)?;
    if token == API_KEY {
        return Ok(());
    }
    let (text, signature) = token.rsplit_once('.').filter(|_| !new).ok_or(1002_u32)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET_KEY.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).map_err(|_| 1002_u32)?).map_err(|_| 1002_u32)?;
    let claims = text.split_once('.').ok_or(1002_u32)?.1;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    if claims["iss"] == ACCESS_KEY && claims["exp"].is_i64() && claims["nbf"].is_i64() { Ok(()) } else { Err(1002) }
}

fn refuse(status: u16, code: u32, message: &str) -> Response {
    let body = json!({ "code": code, "message": message, "request_id": "r" });
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

impl Double {
    fn submit(&self, path: &str, new: bool, body: &[u8]) -> Response {
        let words = String::from_utf8_lossy(body).into_owned();
        let Some(fields) = fields(path) else { return refuse(404, 1203, "no such endpoint") };
        let Ok(json) = serde_json::from_slice::<Value>(body) else { return refuse(400, 1200, "no JSON") };
        if let Err(problem) = object(&json, &fields) {
            return refuse(400, 1201, &problem);
        }
        if let Err(problem) = combination(path, &json) {
            return refuse(400, 1201, problem);
        }
        for (word, status, code) in [
            ("[[busy]]", 429, 1303),
            ("[[down]]", 503, 5001),
            ("[[broken]]", 500, 5000),
            ("[[poor]]", 429, 1102),
            ("[[moderated]]", 400, 1301),
        ] {
            if words.contains(word) {
                return refuse(status, code, "as the prompt asked");
            }
        }
        if path == "/v1/audio/tts" {
            return speech();
        }
        let external = if new { &json["options"]["external_task_id"] } else { &json["external_task_id"] };
        let external = external.as_str().unwrap_or_default().to_owned();
        let mut tasks = self.0.lock().unwrap();
        if tasks.contains_key(&external) {
            return refuse(400, 1201, "external_task_id is taken");
        }
        let id = format!("8600112233{:08}", tasks.len());
        tasks.insert(external, Entry { id: id.clone(), words: words.clone(), looks: 0 });
        if words.contains("[[garbled]]") {
            return (StatusCode::OK, "{\"code\":0,\"da").into_response();
        }
        if new {
            let data = json!({ "id": id, "status": "submitted", "message": "", "external_id": "a1" });
            return Json(json!({ "code": 0, "message": "SUCCEED", "data": data })).into_response();
        }
        fixture(include_str!("../../../fixtures/kling/submitted.json"), &id).into_response()
    }

    fn look(&self, path: &str, query: &str) -> Response {
        let mut tasks = self.0.lock().unwrap();
        let new = path == "/tasks";
        let asked = if new { query.rsplit_once('=') } else { path.rsplit_once('/') }.unwrap_or_default().1;
        let entry = tasks.iter_mut().find(|(external, entry)| *external == asked || entry.id == asked);
        let Some((_, entry)) = entry else {
            return if new {
                Json(json!({ "code": 0, "message": "SUCCEED", "data": [] })).into_response()
            } else {
                refuse(404, 1203, "no such task")
            };
        };
        entry.looks += 1;
        let (status, message) = match entry.looks {
            1 => ("submitted", ""),
            2 if entry.words.contains("[[odd]]") => ("dreaming", ""),
            2 => ("processing", ""),
            _ if entry.words.contains("[[failed]]") => ("failed", "internal"),
            _ if entry.words.contains("[[risk]]") => ("failed", "Failure to pass the risk control system"),
            _ if new => return fixture(include_str!("../../../fixtures/kling/tasks.json"), &entry.id).into_response(),
            _ => return finished(path, &entry.id).into_response(),
        };
        let data = if new {
            json!([{ "id": entry.id, "status": status, "message": message }])
        } else {
            json!({ "task_id": entry.id, "task_status": status, "task_status_msg": message })
        };
        Json(json!({ "code": 0, "message": "SUCCEED", "request_id": "r", "data": data })).into_response()
    }
}

fn speech() -> Response {
    let audios = json!([{ "id": "audio-1", "url": "https://media.example.com/1.mp3", "duration": "2.5" }]);
    let data = json!({ "task_id": "1", "task_status": "succeed", "task_result": { "audios": audios } });
    Json(json!({ "code": 0, "message": "SUCCEED", "data": data })).into_response()
}

fn finished(path: &str, id: &str) -> Json<Value> {
    let Json(mut answer) = fixture(include_str!("../../../fixtures/kling/succeed.json"), id);
    let url = |kind: &str| format!("https://media.example.com/{id}.{kind}");
    if path.starts_with("/v1/images/") {
        let image = json!({ "index": 0, "url": url("png"), "watermark_url": "" });
        answer["data"]["task_result"] = json!({ "images": [image] });
    }
    if path.starts_with("/v1/audio/") {
        let audio = json!({ "id": "1", "url_mp3": url("mp3"), "url_wav": url("wav"), "duration_mp3": "5.0" });
        answer["data"]["task_result"] = json!({ "audios": [audio] });
    }
    Json(answer)
}

fn fixture(text: &str, id: &str) -> Json<Value> {
    Json(serde_json::from_str(&text.replace("860011223344556677", id)).unwrap())
}
