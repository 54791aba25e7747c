//! `ElevenLabs`. Words in the body steer it: `[[busy]]`, `[[down]]`, `[[broken]]`, `[[poor]]`, `[[moderated]]`,
//! `[[garbled]]`, and of flows `[[failed]]`, `[[rejected]]`, `[[odd]]`.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{
    check::{Field, Is, is_object, object},
    files::sample,
    request::{Asked, answer, fixture, garbled},
};

pub const KEY: &str = "sk_elevenlabs";

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    flows: Vec<(String, u32)>,
    searches: u32,
}

const FORMATS: &[&str] = &[
    "mp3_22050_32",
    "mp3_24000_48",
    "mp3_44100_32",
    "mp3_44100_64",
    "mp3_44100_96",
    "mp3_44100_128",
    "mp3_44100_192",
    "opus_48000_32",
    "opus_48000_64",
    "opus_48000_96",
    "opus_48000_128",
    "opus_48000_192",
];
const WAVES: &[&str] = &["wav_8000", "wav_16000", "wav_22050", "wav_24000", "wav_32000", "wav_44100", "wav_48000"];

const SETTINGS: &[Field] = &[
    ("stability", false, Is::Num(0.0, 1.0)),
    ("similarity_boost", false, Is::Num(0.0, 1.0)),
    ("style", false, Is::Num(0.0, 1.0)),
    ("use_speaker_boost", false, Is::Bool),
    ("speed", false, Is::Num(0.7, 1.2)),
];
const SPEECH: &[Field] = &[
    ("text", true, Is::Text(40_000)),
    ("model_id", true, Is::Word(&["eleven_v3", "eleven_multilingual_v2", "eleven_flash_v2_5", "eleven_flash_v2"])),
    ("language_code", false, Is::Like(|code| code.as_str().is_some_and(|code| code.len() == 2))),
    ("voice_settings", false, Is::Like(|it| is_object(it, SETTINGS) && it != &json!({}))),
    ("seed", false, Is::Int(0, 4_294_967_295)),
    ("apply_text_normalization", false, Is::Word(&["auto", "on", "off"])),
];
const EFFECT: &[Field] = &[
    ("text", true, Is::Text(450)),
    ("model_id", true, Is::Word(&["eleven_text_to_sound_v2"])),
    ("duration_seconds", false, Is::Num(0.5, 30.0)),
    ("loop", false, Is::Bool),
    ("prompt_influence", false, Is::Num(0.0, 1.0)),
];
const MUSIC: &[Field] = &[
    ("prompt", true, Is::Text(4100)),
    ("model_id", true, Is::Word(&["music_v1", "music_v2"])),
    ("music_length_ms", false, Is::Int(3000, 600_000)),
    ("force_instrumental", false, Is::Bool),
];

const IMAGE: Is = Is::Like(|it| inline(it, &["image/png", "image/jpeg", "image/webp"]));
const PROMPT: Field = ("prompt", true, Is::Text(10_000));
const MODEL: Field = ("model_id", true, Is::Text(40));
const SEED: Field = ("seed", false, Is::Int(0, 4_294_967_295));
const AURORA: &[Field] = &[
    MODEL,
    ("image", true, IMAGE),
    ("audio", true, Is::Like(|it| inline(it, &["audio/mpeg", "audio/wav"]))),
    ("resolution", false, Is::Word(&["480p", "720p"])),
    ("guidance_scale", false, Is::Num(0.0, 5.0)),
    ("audio_guidance_scale", false, Is::Num(0.0, 5.0)),
];
const FRAMES: &[Field] =
    &[MODEL, PROMPT, ("generate_audio", false, Is::Bool), ("start_frame", false, IMAGE), ("end_frame", false, IMAGE)];
const VEO: &[Field] = &[
    SEED,
    ("negative_prompt", false, Is::Text(10_000)),
    ("enhance_prompt", false, Is::Bool),
    ("duration_secs", false, Is::IntOf(&[4, 6, 8])),
    ("aspect_ratio", false, Is::Word(&["16:9", "9:16"])),
    ("resolution", false, Is::Word(&["720p", "1080p", "4K"])),
    ("images", false, Is::List(1, 3, |it| inline(&it["image"], &["image/png"]) && it["role"] == "subject")),
];
const SEEDANCE: &[Field] = &[
    ("aspect_ratio", false, Is::Word(&["auto", "21:9", "16:9", "4:3", "1:1", "3:4", "9:16"])),
    ("images", false, Is::List(1, 30, |it| inline(it, &["image/png"]))),
    ("videos", false, Is::List(1, 3, |it| inline(it, &["video/mp4", "video/quicktime", "video/webm"]))),
    ("audios", false, Is::List(1, 3, |it| inline(it, &["audio/mpeg", "audio/wav"]))),
];
const SEEDANCE_4K: &[Field] = &[
    SEED,
    ("duration_secs", false, Is::Int(4, 15)),
    ("resolution", false, Is::Word(&["480p", "720p", "1080p", "4k"])),
];
const SEEDANCE_SMALL: &[Field] =
    &[SEED, ("duration_secs", false, Is::Int(4, 15)), ("resolution", false, Is::Word(&["480p", "720p"]))];
const SEEDANCE_25: &[Field] =
    &[("duration_secs", false, Is::Int(4, 30)), ("resolution", false, Is::Word(&["480p", "720p", "1080p"]))];
const PICTURE: &[Field] =
    &[MODEL, PROMPT, ("images", false, Is::List(1, 15, |it| inline(it, &["image/png", "image/jpeg"])))];
const QUALITY: Field = ("quality", false, Is::Word(&["low", "medium", "high"]));
const GPT_1: &[Field] = &[
    QUALITY,
    ("background", false, Is::Word(&["transparent", "opaque", "auto"])),
    ("aspect_ratio", false, Is::Word(&["1:1", "3:2", "2:3"])),
];
const RATIOS: Is = Is::Like(|it| it.as_str().is_some_and(|it| it == "auto" || it.contains(':')));
const GPT_2: &[Field] =
    &[QUALITY, ("aspect_ratio", false, RATIOS), ("resolution", false, Is::Word(&["1K", "2K", "4K"]))];
const GEMINI: &[Field] = &[("aspect_ratio", false, RATIOS)];
const GEMINI_SIZED: &[Field] =
    &[("aspect_ratio", false, RATIOS), ("resolution", false, Is::Word(&["512", "1K", "2K", "4K"]))];
const SEEDREAM: &[Field] = &[
    SEED,
    ("aspect_ratio", false, Is::Word(&["auto", "1:1", "3:4", "16:9", "4:3", "9:16"])),
    ("resolution", false, Is::Word(&["1K", "2K", "3K"])),
];

fn inline(value: &Value, types: &[&str]) -> bool {
    value["type"] == "inline_base64"
        && value["content_base64"].as_str().is_some_and(|data| data.len() > 30)
        && value["mime_type"].as_str().is_some_and(|kind| types.contains(&kind))
        && value.as_object().is_some_and(|fields| fields.len() == 3)
}

fn fields(path: &str, model: &str) -> Option<Vec<&'static [Field]>> {
    Some(match (path, model) {
        ("video", "creatify-aurora") => vec![AURORA],
        ("video", "veo-3.1-generate-001" | "veo-3.1-fast-generate-001") => vec![FRAMES, VEO],
        ("video", "bytedance-seedance-v2") => vec![FRAMES, SEEDANCE, SEEDANCE_4K],
        ("video", "bytedance-seedance-v2-fast" | "bytedance-seedance-v2-mini") => {
            vec![FRAMES, SEEDANCE, SEEDANCE_SMALL]
        }
        ("video", "bytedance-seedance-v2.5") => vec![FRAMES, SEEDANCE, SEEDANCE_25],
        ("image", "gpt-image-1" | "gpt-image-1.5") => vec![PICTURE, GPT_1],
        ("image", "gpt-image-2") => vec![PICTURE, GPT_2],
        ("image", "gemini-2.5-flash-image") => vec![PICTURE, GEMINI],
        ("image", "gemini-3-pro-image" | "gemini-3.1-flash-image" | "gemini-3.1-flash-lite-image") => {
            vec![PICTURE, GEMINI_SIZED]
        }
        ("image", "bytedance-seedream-5-lite" | "bytedance-seedream-5-pro") => vec![PICTURE, SEEDREAM],
        _ => return None,
    })
}

fn refuse(status: u16, kind: &str, code: &str) -> Response {
    let detail =
        json!({ "type": kind, "code": code, "message": "no", "status": code, "request_id": "r", "param": "p" });
    answer(status, json!({ "detail": detail }))
}

fn invalid(problem: &str) -> Response {
    answer(422, json!({ "detail": [{ "type": "value_error", "loc": ["body"], "msg": problem }] }))
}

fn steered(asked: &Asked) -> Option<Response> {
    let refusals = [
        ("[[busy]]", 429, "rate_limit_error", "concurrent_limit_exceeded"),
        ("[[down]]", 503, "service_unavailable", "maintenance"),
        ("[[broken]]", 500, "internal_error", "internal_error"),
        ("[[poor]]", 402, "payment_required", "insufficient_credits"),
        ("[[moderated]]", 403, "authorization_error", "content_against_policy"),
    ];
    if asked.says("[[garbled]]") {
        return Some(garbled());
    }
    refusals.into_iter().find(|(word, ..)| asked.says(word)).map(|(_, status, kind, code)| {
        let mut refusal = refuse(status, kind, code);
        if status == 429 {
            refusal.headers_mut().insert("retry-after", "7".parse().unwrap());
        }
        refusal
    })
}

async fn handle(State(double): State<Double>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let asked = Asked::new(method, &uri, headers, body);
    if asked.header("xi-api-key") != KEY {
        return refuse(401, "authentication_error", "invalid_api_key");
    }
    let path = asked.path.clone();
    match (asked.method.as_str(), path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice()) {
        ("GET", ["v1", "user", "subscription"]) => answer(200, json!({ "tier": "pro", "character_count": 1 })),
        ("GET", ["v2", "voices"]) => double.search(&asked),
        ("GET", ["v1", "flows", kind @ ("video" | "image"), id]) => double.look(kind, id),
        ("POST", ["v1", "flows", kind]) => double.flow(kind, &asked),
        ("POST", ["v1", "text-to-speech", voice]) => speak(voice, &asked),
        ("POST", ["v1", "sound-generation"]) => sound(&asked, EFFECT, FORMATS),
        ("POST", ["v1", "music"]) => sound(&asked, MUSIC, FORMATS),
        _ => answer(404, json!({ "detail": "Not Found" })),
    }
}

fn speak(voice: &str, asked: &Asked) -> Response {
    if voice.len() != 20 || voice == "00000000000000000000" {
        return refuse(404, "not_found", "voice_not_found");
    }
    let body = asked.json();
    let stability = body.pointer("/voice_settings/stability").and_then(Value::as_f64);
    let stepped = stability.is_none_or(|step| [0.0, 0.5, 1.0].contains(&step));
    let settings = body.pointer("/voice_settings").and_then(Value::as_object);
    let only_v3 = settings.is_none_or(|it| it.keys().all(|name| name == "stability" || name == "speed"));
    let model = body["model_id"].as_str().unwrap_or_default();
    let fits = match model {
        "eleven_v3" => stepped && only_v3,
        "eleven_multilingual_v2" => body.get("language_code").is_none(),
        _ => body.pointer("/voice_settings/style").is_none(),
    };
    if !fits {
        return refuse(400, "validation_error", "invalid_voice_settings");
    }
    sound(asked, SPEECH, &[FORMATS, WAVES].concat())
}

fn sound(asked: &Asked, fields: &[Field], formats: &[&str]) -> Response {
    if let Err(problem) = object(&asked.json(), &[fields]) {
        return invalid(&problem);
    }
    let format = asked.query.get("output_format").map_or("mp3_44100_128", String::as_str);
    if !asked.queries_only(&["output_format"]) || !formats.contains(&format) {
        return refuse(400, "validation_error", "invalid_output_format");
    }
    if let Some(refusal) = steered(asked) {
        return refusal;
    }
    let (kind, bytes) = sample(format.split('_').next().unwrap_or_default()).unwrap();
    ([("content-type", kind), ("request-id", "r")], bytes).into_response()
}

impl Double {
    pub fn router(&self) -> Router {
        // Pictures come inline, thirty of them at a time.
        let limit = axum::extract::DefaultBodyLimit::max(64 << 20);
        Router::new().fallback(handle).layer(limit).with_state(self.clone())
    }

    /// How many times voices were searched.
    pub fn searches(&self) -> u32 {
        self.0.lock().unwrap().searches
    }

    fn search(&self, asked: &Asked) -> Response {
        if !asked.queries_only(&["search", "page_size"]) || asked.query["page_size"] != "100" {
            return invalid("query");
        }
        self.0.lock().unwrap().searches += 1;
        let body = include_str!("../../../fixtures/elevenlabs/voices.json");
        let known = asked.query["search"].to_lowercase().starts_with("kat");
        answer(200, if known { fixture(body, &[]) } else { fixture(body, &[("/voices", json!([]))]) })
    }

    fn flow(&self, kind: &str, asked: &Asked) -> Response {
        let body = asked.json();
        let Some(fields) = fields(kind, body["model_id"].as_str().unwrap_or_default()) else {
            return invalid("model_id");
        };
        if let Err(problem) = object(&body, &fields) {
            return invalid(&problem);
        }
        if let Some(refusal) = steered(asked) {
            return refusal;
        }
        let mut state = self.0.lock().unwrap();
        state.flows.push((body["prompt"].as_str().unwrap_or_default().to_owned(), 0));
        answer(200, json!({ "id": format!("gen_{}", state.flows.len()), "status": "pending" }))
    }

    fn look(&self, kind: &str, id: &str) -> Response {
        let mut state = self.0.lock().unwrap();
        let number = id.strip_prefix("gen_").and_then(|number| number.parse::<usize>().ok());
        let Some((words, looks)) = number.and_then(|number| state.flows.get_mut(number - 1)) else {
            return refuse(404, "not_found", "generation_not_found");
        };
        *looks += 1;
        let status = match looks {
            1 => "pending",
            2 if words.contains("[[odd]]") => "dreaming",
            2 => "generating",
            _ if words.contains("[[failed]]") => return failed(id, "model_error"),
            _ if words.contains("[[rejected]]") => return failed(id, "moderated"),
            _ => {
                let (file, end) = if kind == "video" { ("video/mp4", "mp4") } else { ("image/png", "png") };
                let body = include_str!("../../../fixtures/elevenlabs/completed.json");
                let body = body.replace("gen_1.mp4", &format!("gen_1.{end}"));
                return answer(200, fixture(&body, &[("/id", json!(id)), ("/content_mime_type", json!(file))]));
            }
        };
        answer(200, json!({ "id": id, "status": status }))
    }
}

fn failed(id: &str, reason: &str) -> Response {
    answer(200, json!({ "id": id, "status": "failed", "failure_reason": reason, "error_message": "no" }))
}
