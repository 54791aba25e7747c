//! Google video: Interactions on both services, `predictLongRunning` on Vertex AI. Words in the prompt steer it:
//! `[[busy]]`, `[[poor]]`, `[[down]]`, `[[broken]]`, `[[invalid]]`, `[[garbled]]`; and the task: `[[failed]]`,
//! `[[refused]]` (talks instead), `[[filtered]]`, `[[odd]]`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State, http::Method, response::Response};
use serde_json::{Value, json};

use super::{
    asked::{Asked, answer, fixture, garbled},
    check::{Field, Is, is_object, object},
    files,
    google::{self, KEY, LOCATION, PROJECT},
};

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<BTreeMap<String, Entry>>>);

struct Entry {
    words: String,
    looks: u32,
    cancelled: bool,
}

const INTERACTION: &[Field] = &[
    ("model", true, Is::Word(&["gemini-omni-1.2-flash", "gemini-omni-1.1-flash", "gemini-omni-1.1-flash-preview"])),
    ("input", true, Is::Like(input)),
    ("background", true, Is::Like(|value| value == true)),
    ("response_format", false, Is::Like(|value| is_object(value, FORMAT))),
    ("generation_config", false, Is::Like(|value| is_object(value, CONFIG))),
];
const FORMAT: &[Field] = &[
    ("type", true, Is::Word(&["video"])),
    ("aspect_ratio", false, Is::Word(&["16:9", "9:16"])),
    ("resolution", false, Is::Word(&["360p", "720p", "1080p", "4k"])),
    ("duration", false, Is::Like(seconds)),
    ("delivery", false, Is::Word(&["inline", "uri"])),
];
const CONFIG: &[Field] = &[(
    "video_config",
    true,
    Is::Like(|value| {
        let tasks = &["text_to_video", "image_to_video", "reference_to_video", "edit", "extend", "upscale"];
        value.as_object().is_some_and(|object| object.len() == 1)
            && value["task"].as_str().is_some_and(|task| tasks.contains(&task))
    }),
)];
const FILE: &[Field] = &[("bytesBase64Encoded", true, Is::Text(1 << 24)), ("mimeType", true, Is::Text(20))];
const REFERENCE: &[Field] =
    &[("image", true, Is::Like(|image| is_object(image, FILE))), ("referenceType", true, Is::Word(&["asset"]))];
const INSTANCE: &[Field] = &[
    ("prompt", false, Is::Text(10_000)),
    ("image", false, Is::Like(|image| is_object(image, FILE))),
    ("lastFrame", false, Is::Like(|image| is_object(image, FILE))),
    ("video", false, Is::Like(|video| is_object(video, FILE))),
    ("referenceImages", false, Is::List(1, 3, |reference| is_object(reference, REFERENCE))),
];
const PARAMETERS: &[Field] = &[
    ("durationSeconds", false, Is::IntOf(&[4, 6, 7, 8])),
    ("aspectRatio", false, Is::Word(&["16:9", "9:16"])),
    ("resolution", false, Is::Word(&["720p", "1080p", "4k"])),
    ("generateAudio", false, Is::Bool),
    ("negativePrompt", false, Is::Text(10_000)),
    ("personGeneration", false, Is::Word(&["dont_allow", "allow_adult", "allow_all"])),
    ("seed", false, Is::Int(0, 4_294_967_295)),
];

fn input(value: &Value) -> bool {
    let block = |block: &Value| match block["type"].as_str() {
        Some("text") => block["text"].as_str().is_some_and(|text| !text.is_empty()),
        Some("image" | "video") => block["data"].is_string() && block["mime_type"].is_string(),
        _ => false,
    };
    value.as_str().is_some_and(|text| !text.is_empty()) || value.as_array().is_some_and(|list| list.iter().all(block))
}

fn seconds(value: &Value) -> bool {
    let number = value.as_str().and_then(|text| text.strip_suffix('s')).and_then(|number| number.parse::<u32>().ok());
    number.is_some_and(|number| (3..=15).contains(&number))
}

impl Double {
    pub fn router(&self) -> Router {
        let handler = async |State(double): State<Self>, request: axum::extract::Request| {
            double.handle(&Asked::read(request).await)
        };
        Router::new().fallback(handler).with_state(self.clone())
    }

    fn handle(&self, asked: &Asked) -> Response {
        if asked.path == "/token" {
            return google::token(asked);
        }
        let vertex = format!("/v1beta1/projects/{PROJECT}/locations/global/interactions");
        let publisher = format!("/v1/projects/{PROJECT}/locations/{LOCATION}/publishers/google/models/");
        if let Some(rest) = asked.path.strip_prefix("/v1beta/") {
            return google::wrong_key(asked, KEY).unwrap_or_else(|| match rest.strip_prefix("interactions") {
                Some(rest) => self.interactions(asked, rest),
                None if rest == "files/abc:download?alt=media" => files::at("abc.mp4").unwrap(),
                None if rest == "models" => answer(200, json!({"models": []})),
                None => google::error(404, "NOT_FOUND", "no such path", &json!([])),
            });
        }
        if let Some(rest) = asked.path.strip_prefix(&vertex) {
            return google::wrong_token(asked).unwrap_or_else(|| self.interactions(asked, rest));
        }
        if let Some((model, method)) = asked.path.strip_prefix(&publisher).and_then(|rest| rest.split_once(':')) {
            return google::wrong_token(asked).unwrap_or_else(|| self.predict(asked, model, method));
        }
        google::error(404, "NOT_FOUND", "no such path", &json!([]))
    }

    fn interactions(&self, asked: &Asked, rest: &str) -> Response {
        match (&asked.method, rest) {
            (&Method::POST, "") => self.interact(asked),
            (&Method::GET, id) => self.interaction(&id[1..]),
            (&Method::POST, rest) => self.cancel(rest[1..].trim_end_matches("/cancel")),
            _ => google::error(404, "NOT_FOUND", "no such path", &json!([])),
        }
    }

    fn interact(&self, asked: &Asked) -> Response {
        let told = |status: u16, code: &str| answer(status, json!({"error": {"code": code, "message": "no"}}));
        let refusals = [
            ("busy", 429, "rate_limit_exceeded"),
            ("poor", 402, "payment_required"),
            ("down", 503, "unavailable"),
            ("broken", 500, "internal"),
            ("invalid", 400, "invalid_request"),
        ];
        if let Some((_, status, code)) = refusals.into_iter().find(|refusal| asked.says(refusal.0)) {
            return told(status, code);
        }
        if let Err(problem) = object(&asked.json().unwrap_or_default(), &[INTERACTION]) {
            return answer(400, json!({"error": {"code": "parameter_unknown", "message": problem}}));
        }
        let id = self.take("v1_", asked);
        if asked.says("garbled") {
            return garbled();
        }
        let mut taken = fixture("veo/interaction.json");
        taken["id"] = json!(id);
        answer(200, taken)
    }

    fn take(&self, prefix: &str, asked: &Asked) -> String {
        let mut entries = self.0.lock().unwrap();
        let id = format!("{prefix}{}", entries.len());
        let words = String::from_utf8_lossy(&asked.body).into_owned();
        entries.insert(id.clone(), Entry { words, looks: 0, cancelled: false });
        id
    }

    fn interaction(&self, id: &str) -> Response {
        let mut entries = self.0.lock().unwrap();
        let Some(entry) = entries.get_mut(id) else { return unknown() };
        entry.looks += 1;
        let says = |word: &str| entry.words.contains(&format!("[[{word}]]"));
        let mut state = match entry.looks {
            _ if entry.cancelled => json!({"status": "cancelled"}),
            1 => json!({"status": "queued"}),
            2 if says("odd") => json!({"status": "dreaming"}),
            2 => json!({"status": "in_progress"}),
            _ if says("failed") => {
                json!({"status": "failed", "errors": [{"code": "internal", "message": "it broke"}]})
            }
            _ if says("refused") => fixture("veo/refused.json"),
            _ if entry.words.contains(r#""delivery":"uri""#) => fixture("veo/completed.json"),
            _ => inline(fixture("veo/completed.json")),
        };
        state["id"] = json!(id);
        answer(200, state)
    }

    fn cancel(&self, id: &str) -> Response {
        let mut entries = self.0.lock().unwrap();
        let Some(entry) = entries.get_mut(id) else { return unknown() };
        if entry.cancelled || entry.looks > 2 {
            return answer(400, json!({"error": {"code": "failed_precondition", "message": "not running"}}));
        }
        entry.cancelled = true;
        answer(200, json!({"id": id, "status": "cancelled"}))
    }

    fn predict(&self, asked: &Asked, model: &str, method: &str) -> Response {
        let models = ["veo-3.1-generate-001", "veo-3.1-fast-generate-001", "veo-3.1-lite-generate-001"];
        if asked.method != Method::POST || !models.contains(&model) {
            return google::error(404, "NOT_FOUND", "Publisher Model was not found", &json!([]));
        }
        let body = asked.json().unwrap_or_default();
        match method {
            "predictLongRunning" => self.predict_submit(asked, model, &body),
            "fetchPredictOperation" => self.operation(body["operationName"].as_str().unwrap_or_default()),
            _ => google::error(404, "NOT_FOUND", "no such method", &json!([])),
        }
    }

    fn predict_submit(&self, asked: &Asked, model: &str, body: &Value) -> Response {
        match () {
            () if asked.says("busy") => return google::busy(),
            () if asked.says("poor") => return google::error(400, "FAILED_PRECONDITION", "billing is off", &json!([])),
            () if asked.says("down") => return google::error(503, "UNAVAILABLE", "overloaded", &json!([])),
            () if asked.says("broken") => return google::error(500, "INTERNAL", "internal", &json!([])),
            () if asked.says("invalid") => return google::invalid("`prompt` is bad"),
            () => {}
        }
        let instances = Is::List(1, 1, |instance| is_object(instance, INSTANCE));
        let parameters = Is::Like(|value| is_object(value, PARAMETERS));
        if let Err(problem) = object(body, &[&[("instances", true, instances), ("parameters", false, parameters)]]) {
            return google::invalid(&problem);
        }
        let (instance, parameters) = (&body["instances"][0], &body["parameters"]);
        let lite = model.contains("lite");
        let has = |field: &str| instance.get(field).is_some();
        if lite && (parameters["resolution"] == "4k" || has("video") || has("referenceImages")) {
            return google::invalid("not of the lite model");
        }
        let right = (!has("lastFrame") || has("image"))
            && !(has("referenceImages") && (has("image") || has("video") || !has("prompt")));
        if !right {
            return google::invalid("inputs that exclude each other");
        }
        let seconds = if has("video") { 7 } else { 8 };
        let free = [4, 6, 8].map(|number| json!(number));
        let fits = match parameters.get("durationSeconds") {
            Some(duration) if has("video") || has("referenceImages") => *duration == seconds,
            Some(duration) => free.contains(duration),
            None => true,
        };
        if !fits {
            return google::invalid("durationSeconds");
        }
        let parent = format!("projects/{PROJECT}/locations/{LOCATION}/publishers/google/models/{model}/operations/");
        let name = self.take(&parent, asked);
        if asked.says("garbled") { garbled() } else { answer(200, json!({ "name": name })) }
    }

    fn operation(&self, name: &str) -> Response {
        let mut entries = self.0.lock().unwrap();
        let Some(entry) = entries.get_mut(name) else {
            return google::error(404, "NOT_FOUND", "unknown operation", &json!([]));
        };
        entry.looks += 1;
        let says = |word: &str| entry.words.contains(&format!("[[{word}]]"));
        let mut state = match entry.looks {
            1 | 2 => json!({}),
            _ if says("failed") => json!({"done": true, "error": {"code": 13, "message": "internal"}}),
            _ if says("refused") => json!({"done": true, "error": {"code": 3, "message": "Support codes: 58061214"}}),
            _ if says("filtered") => fixture("veo/filtered.json"),
            _ => {
                let mut done = fixture("veo/operation.json");
                done["response"]["videos"][0]["bytesBase64Encoded"] = json!(files::base64("mp4"));
                done
            }
        };
        state["name"] = json!(name);
        answer(200, state)
    }
}

/// The interaction with its clip in the answer.
fn inline(mut interaction: Value) -> Value {
    for step in interaction["steps"].as_array_mut().into_iter().flatten() {
        for block in step["content"].as_array_mut().into_iter().flatten().filter(|block| block["type"] == "video") {
            *block = json!({"type": "video", "mime_type": "video/mp4", "data": files::base64("mp4")});
        }
    }
    interaction
}

fn unknown() -> Response {
    answer(400, json!({"error": {"code": "invalid_request", "message": "no such interaction"}}))
}
