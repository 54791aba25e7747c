//! Hedra, both protocols. Words in the prompt or text steer it: `[[busy]]`, `[[down]]`, `[[broken]]`, `[[poor]]`,
//! `[[moderated]]`, `[[garbled]]` (the first answer only), `[[failed]]`, `[[rejected]]`, `[[odd]]`, and of v2 `[[bare]]`
//! (a result without address).

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use serde_json::{Value, json};

use super::{
    check::{Field, Is, is_object, object},
    request::{Asked, answer, fixture, garbled},
};

pub const KEY: &str = "key_1:secret";
pub const V2_KEY: &str = "sk_hedra_1";
const VOICE: &str = "5f0f2b0e-3c1d-4a52-9d51-0d5f3c7a1b11";
const OTHER_VOICE: &str = "0c8d2f4e-77aa-4b52-8f10-6a5f3c7a1b22";

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    jobs: Vec<Entry>,
    generations: Vec<Entry>,
    assets: Vec<bool>,
}

struct Entry {
    key: String,
    model: String,
    words: String,
    looks: u32,
}

const HANDLE: Is = Is::Like(|it| {
    it == &json!({ "source": "url", "url": "https://files.example.com/handle" })
        || it["source"] == "asset" && it["asset_id"].as_str().is_some_and(|id| id.starts_with("asset_"))
});
const PROMPT: Field = ("prompt", true, Is::Text(2500));
const RATIOS: Is = Is::Word(&["1:1", "4:3", "3:4", "16:9", "9:16", "9:21", "21:9"]);
const BOTH: &[Field] = &[("start_image", true, HANDLE), ("audio", true, HANDLE)];
const HEDRA: &[Field] =
    &[PROMPT, ("aspect_ratio", true, RATIOS), ("resolution", true, Is::Word(&["540p", "720p", "1080p"]))];
const KLING: &[Field] = &[
    ("prompt", false, Is::Text(2500)),
    ("aspect_ratio", true, Is::Word(&["16:9", "9:16", "1:1"])),
    ("quality", true, Is::Word(&["standard", "pro"])),
];
const OMNIHUMAN: &[Field] = &[("resolution", true, Is::Word(&["720p"]))];
const FABRIC: &[Field] = &[
    PROMPT,
    ("aspect_ratio", true, Is::Word(&["16:9", "9:16", "4:3", "3:4", "1:1"])),
    ("resolution", true, Is::Word(&["480p", "720p"])),
];
const SPOKEN: &[Field] = &[
    ("text", true, Is::Text(5000)),
    ("stability", false, Is::Num(0.0, 1.0)),
    ("speed", false, Is::Num(0.7, 1.2)),
    ("language", false, Is::Text(10)),
];
const V3_VOICE: &[Field] = &[("voice_id", true, Is::Word(&["voice_ann", "voice_bob"]))];
const V2_VOICE: &[Field] =
    &[("type", true, Is::Word(&["text_to_speech"])), ("voice_id", true, Is::Word(&[VOICE, OTHER_VOICE]))];

const V2_INPUTS: &[Field] = &[
    ("text_prompt", true, Is::Text(2500)),
    ("resolution", false, Is::Word(&["540p", "720p", "1080p"])),
    ("aspect_ratio", false, RATIOS),
];
const OUR_ID: Field = ("generation_id", false, Is::Like(is_uuid));
const V2_VIDEO: &[Field] = &[
    OUR_ID,
    ("type", true, Is::Word(&["video"])),
    ("model_slug", false, Is::Word(&["together/hedra-avatar"])),
    ("ai_model_id", false, Is::Like(is_uuid)),
    ("start_keyframe_id", true, Is::Like(is_uuid)),
    ("audio_id", false, Is::Like(is_uuid)),
    ("audio_generation", false, Is::Like(|it| object(it, &[SPOKEN, V2_VOICE]).is_ok())),
    ("generated_video_inputs", true, Is::Like(|it| is_object(it, V2_INPUTS))),
];

fn is_uuid(value: &Value) -> bool {
    value.as_str().is_some_and(|text| uuid::Uuid::try_parse(text).is_ok())
}

fn fields(model: &str) -> Option<Vec<&'static [Field]>> {
    Some(match model {
        "hedra-character-3" | "hedra-avatar" => vec![BOTH, HEDRA],
        "kling-ai-avatar-v2" => vec![BOTH, KLING],
        "omnihuman-15" => vec![BOTH, OMNIHUMAN],
        "veed-fabric-10" => vec![BOTH, FABRIC],
        name if name.starts_with("elevenlabs-") || name.starts_with("minimax-speech-") => vec![SPOKEN, V3_VOICE],
        _ => return None,
    })
}

fn refuse(status: u16, code: &str) -> Response {
    let error = json!({
        "code": code, "message": "no", "retryable": false, "retry_after": null, "param": null, "details": [],
    });
    answer(status, json!({ "error": error, "trace_id": "t" }))
}

fn steered(asked: &Asked) -> Option<Response> {
    let refusals = [
        ("[[busy]]", 429, "RESOURCE_EXHAUSTED"),
        ("[[down]]", 503, "UNAVAILABLE"),
        ("[[broken]]", 500, "INTERNAL"),
        ("[[poor]]", 402, "INSUFFICIENT_BALANCE"),
        ("[[moderated]]", 422, "MODERATION_FAILED"),
    ];
    refusals.into_iter().find(|(word, ..)| asked.says(word)).map(|(_, status, code)| refuse(status, code))
}

async fn handle(State(double): State<Double>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let asked = Asked::new(method, &uri, headers, body);
    let path = asked.path.clone();
    let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET" | "POST", ["v3", ..]) if asked.header("authorization") != format!("Key {KEY}") => {
            refuse(401, "UNAUTHORIZED")
        }
        ("GET", ["v3", "balance"]) => answer(200, json!({ "balance": "1.00", "spent": "0", "currency": "USD" })),
        ("GET", ["v3", "models", _, "voices"]) => voices(&asked),
        ("POST", ["v3", "files"]) if asked.has_file("file") => {
            let about = json!({ "url": "https://files.example.com/handle", "content_type": "m", "expires_at": "t" });
            answer(201, about)
        }
        ("POST", ["v3", "models", model]) => double.start(model, &asked),
        ("GET", ["v3", "jobs", id, "status"]) => double.state(id, false),
        ("GET", ["v3", "jobs", id]) => double.state(id, true),
        ("GET" | "POST", ["web-app", "public", ..]) if asked.header("x-api-key") != V2_KEY => {
            answer(401, json!({ "messages": ["unauthorized"] }))
        }
        (method, ["web-app", "public", rest @ ..]) => double.v2(method, rest, &asked),
        _ => refuse(404, "NOT_FOUND"),
    }
}

/// Two pages of voices.
fn voices(asked: &Asked) -> Response {
    match asked.query.get("cursor").map(String::as_str) {
        None => {
            let bob = json!({ "id": "voice_bob", "name": "Bob", "labels": { "gender": "male" } });
            answer(200, json!({ "data": [bob], "next_cursor": "two" }))
        }
        Some("two") => {
            let ann = json!({ "id": "voice_ann", "name": "Ann", "labels": { "gender": "female" } });
            answer(200, json!({ "data": [ann], "next_cursor": null }))
        }
        Some(_) => refuse(400, "INVALID_ARGUMENT"),
    }
}

fn schema_error(problem: &str) -> Response {
    answer(422, json!({ "detail": [{ "type": "value_error", "loc": ["body"], "msg": problem, "input": null }] }))
}

impl Double {
    pub fn router(&self) -> Router {
        Router::new().fallback(handle).with_state(self.clone())
    }

    /// The models of the jobs that were started.
    pub fn started(&self) -> Vec<String> {
        let seen = self.0.lock().unwrap();
        seen.jobs.iter().chain(&seen.generations).map(|entry| entry.model.clone()).collect()
    }

    fn start(&self, model: &str, asked: &Asked) -> Response {
        let Some(fields) = fields(model) else { return refuse(404, "NOT_FOUND") };
        let body = asked.json();
        let alone = body.as_object().is_some_and(|body| body.len() == 1);
        if !alone || object(&body["input"], &fields).is_err() {
            return refuse(400, "INVALID_ARGUMENT");
        }
        if let Some(refusal) = steered(asked) {
            return refusal;
        }
        let mut seen = self.0.lock().unwrap();
        let key = asked.header("idempotency-key").to_owned();
        let first = !seen.jobs.iter().any(|job| job.key == key);
        if first {
            let words = String::from_utf8_lossy(&asked.body).into_owned();
            seen.jobs.push(Entry { key: key.clone(), model: model.to_owned(), words, looks: 0 });
        }
        if first && asked.says("[[garbled]]") {
            return garbled();
        }
        let number = seen.jobs.iter().position(|job| job.key == key).unwrap() + 1;
        let id = json!(format!("job_{number}"));
        let body = include_str!("../../../fixtures/hedra/accepted.json");
        answer(202, fixture(body, &[("/job_id", id), ("/model", json!(model))]))
    }

    fn state(&self, id: &str, whole: bool) -> Response {
        let mut seen = self.0.lock().unwrap();
        let number = id.strip_prefix("job_").and_then(|number| number.parse::<usize>().ok());
        let Some(job) = number.and_then(|number| seen.jobs.get_mut(number - 1)) else {
            return refuse(404, "NOT_FOUND");
        };
        job.looks += u32::from(!whole);
        let failure = [("[[failed]]", "INTERNAL"), ("[[rejected]]", "MODERATION_FAILED")];
        let failure = failure.into_iter().find(|(word, _)| job.words.contains(word));
        let status = match (job.looks, failure) {
            (1, _) => "IN_QUEUE",
            (2, _) if job.words.contains("[[odd]]") => "DREAMING",
            (2, _) => "IN_PROGRESS",
            (_, Some(_)) => "FAILED",
            (_, None) => "COMPLETED",
        };
        if !whole {
            return answer(200, json!({ "job_id": id, "status": status, "progress": null }));
        }
        let error = failure.map(|(_, code)| json!({ "code": code, "message": "no", "retryable": false }));
        let spoken = job.model.starts_with("elevenlabs-") || job.model.starts_with("minimax-speech-");
        let body = include_str!("../../../fixtures/hedra/job.json");
        let body =
            if spoken { body.replace(".mp4", ".mp3").replace("video/mp4", "audio/mpeg") } else { body.to_owned() };
        let mut body = fixture(&body, &[("/job_id", json!(id)), ("/status", json!(status)), ("/error", json!(error))]);
        body["outputs"][0]["asset_id"] = json!(format!("asset_{id}"));
        if status != "COMPLETED" {
            body["outputs"] = json!([]);
        }
        answer(200, body)
    }

    fn v2(&self, method: &str, path: &[&str], asked: &Asked) -> Response {
        let mut seen = self.0.lock().unwrap();
        let uuid = |number: usize| uuid::Uuid::from_u128(number as u128).to_string();
        let asset = |id: &str| uuid::Uuid::try_parse(id).map_or(usize::MAX, |id| id.as_u128() as usize);
        match (method, path) {
            ("GET", ["billing", "credits"]) => answer(200, json!({ "remaining": 5, "expiring": 0, "used": 1 })),
            ("GET", ["voices"]) => {
                let labels = json!([{ "name": "gender", "value": "female" }]);
                let voice = json!({ "type": "voice", "labels": labels });
                let ann = json!({ "id": VOICE, "type": "voice", "name": "Ann", "asset": voice });
                let ash = json!({ "id": OTHER_VOICE, "type": "voice", "name": "Ash", "asset": { "type": "voice" } });
                answer(200, json!([ann, ash]))
            }
            ("POST", ["assets"]) => {
                let body = asked.json();
                let known = [("name", true, Is::Text(255)), ("type", true, Is::Word(&["image", "audio"]))];
                if let Err(problem) = object(&body, &[&known]) {
                    return schema_error(&problem);
                }
                seen.assets.push(false);
                answer(200, json!({ "id": uuid(seen.assets.len()), "name": body["name"], "type": body["type"] }))
            }
            ("POST", ["assets", id, "upload"]) if asked.has_file("file") => match seen.assets.get_mut(asset(id) - 1) {
                Some(filled) => {
                    *filled = true;
                    answer(200, json!({ "id": id, "asset": { "type": "uploaded_image" } }))
                }
                None => answer(404, json!({ "messages": ["no such asset"] })),
            },
            ("GET", ["assets"]) => {
                let asset = json!({ "type": "generated_video", "url": "https://files.example.com/asset.mp3" });
                answer(200, json!([{ "id": asked.query["ids"], "type": asked.query["type"], "asset": asset }]))
            }
            ("POST", ["generations"]) => seen.generate(asked, |id| asset(id) - 1),
            ("GET", ["generations", id, "status"]) => seen.generation(id),
            _ => answer(404, json!({ "messages": ["not found"] })),
        }
    }
}

impl Seen {
    fn generate(&mut self, asked: &Asked, asset: impl Fn(&str) -> usize) -> Response {
        let body = asked.json();
        let speech = body["type"] == "text_to_speech";
        let fields: &[&[Field]] = if speech { &[&[OUR_ID], SPOKEN, V2_VOICE] } else { &[V2_VIDEO] };
        if let Err(problem) = object(&body, fields) {
            return schema_error(&problem);
        }
        let filled =
            |name: &str| body[name].as_str().is_none_or(|id| self.assets.get(asset(id)).copied().unwrap_or_default());
        if !speech {
            let model = body.get("model_slug").is_some() != body.get("ai_model_id").is_some();
            let sound = body.get("audio_id").is_some() != body.get("audio_generation").is_some();
            if !model || !sound || !filled("start_keyframe_id") || !filled("audio_id") {
                return schema_error("model, sound or assets");
            }
        }
        if let Some(refusal) = steered(asked) {
            return refusal;
        }
        let id = body["generation_id"].as_str().unwrap().to_owned();
        let model = body["model_slug"].as_str().or(body["ai_model_id"].as_str()).unwrap_or("speech").to_owned();
        let words = String::from_utf8_lossy(&asked.body).into_owned();
        self.generations.push(Entry { key: id.clone(), model, words, looks: 0 });
        if asked.says("[[garbled]]") {
            return garbled();
        }
        answer(200, json!({ "id": id, "asset_id": "a1", "status": "queued", "progress": 0, "eta_sec": 90 }))
    }

    fn generation(&mut self, id: &str) -> Response {
        let Some(entry) = self.generations.iter_mut().find(|entry| entry.key == id) else {
            return answer(404, json!({ "messages": ["not found"] }));
        };
        entry.looks += 1;
        let says = |word: &str| entry.words.contains(word);
        let body = include_str!("../../../fixtures/hedra/generation.json");
        let body = &if entry.model == "speech" { body.replace(".mp4", ".mp3") } else { body.to_owned() };
        let going = |status: &str| {
            let nothing = [("/url", Value::Null), ("/download_url", Value::Null), ("/status", json!(status))];
            answer(200, fixture(body, &nothing))
        };
        let failed = |kind: &str| {
            let error =
                json!({ "type": kind, "reason_code": null, "message": "no", "param": null, "violations": null });
            answer(200, fixture(body, &[("/status", json!("error")), ("/error", error), ("/url", Value::Null)]))
        };
        match entry.looks {
            1 => going("queued"),
            2 if says("[[odd]]") => going("dreaming"),
            2 => going("processing"),
            3 => going("finalizing"),
            _ if says("[[failed]]") => failed("INTERNAL"),
            _ if says("[[rejected]]") => failed("MODERATION_FAILED"),
            _ if says("[[bare]]") => going("complete"),
            _ => answer(200, fixture(body, &[("/id", json!(id))])),
        }
    }
}
