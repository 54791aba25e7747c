//! Black Forest Labs: FLUX pictures and clips, <https://docs.bfl.ai>.
//!
//! Quirks: the model is the path; unknown fields of picture models are ignored without a word, so names here are exact;
//! the answer holds an address to poll on a host that changes per task, kept as it is and trusted with our key only
//! below `bfl.ai`; that host may not know the task in its first seconds; moderation and failure are states of the task.
//! No cancel, no idempotency key, no list.
//!
//! Reads `params.sizes` (`WxH` by resolution and aspect ratio, for models that take pixels) and the `wire` fields of
//! `image`.
//! Unconfirmed: the bodies of 402 and 429.

use async_trait::async_trait;
use chrono::TimeDelta;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    domain::{
        Fault, GenerationType, Timestamp, Upstream, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    providers::{
        Call, Cx, Handle, Progress, Provider, Reply, Submitted, Task, body,
        http::{excerpt, preparing},
    },
};

const BASE: &str = "https://api.bfl.ai/v1";
/// So long, or so many looks, a task may be unknown to the host that is to be polled.
const UNKNOWN_FOR: TimeDelta = TimeDelta::seconds(30);
const UNKNOWN_LOOKS: u64 = 5;
/// How long such looks are counted.
const COUNTED_FOR: TimeDelta = TimeDelta::hours(1);
/// The one field that takes base64 only.
const IMAGE_PROMPT: &str = "image_prompt";

/// Options that go into the body as they are, by our name and theirs.
const PLAIN: [(&str, &str); 12] = [
    ("seed", "seed"),
    ("format", "output_format"),
    ("raw", "raw"),
    ("imageStrength", "image_prompt_strength"),
    ("promptUpsampling", "prompt_upsampling"),
    ("safetyTolerance", "safety_tolerance"),
    ("steps", "steps"),
    ("guidance", "guidance"),
    ("top", "top"),
    ("bottom", "bottom"),
    ("left", "left"),
    ("right", "right"),
];

/// The adapter.
pub struct Bfl;

#[async_trait]
impl Provider for Bfl {
    fn upstream(&self) -> Upstream {
        "bfl".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let files = files(cx, task).await.map_err(preparing)?;
        let wire = match task.r#type {
            GenerationType::Video => clip_to_wire(task, &files),
            _ => picture_to_wire(task, &files),
        };
        let reply = call(cx, Method::POST, &format!("{BASE}/{}", task.model))?.json(&wire).send().await?;
        if !reply.is_success() {
            return Err(refusal(&reply));
        }
        let accepted: Accepted = reply.json()?;
        let url = (accepted.polling_url.filter(|url| is_trusted(cx, url)))
            .unwrap_or_else(|| format!("{BASE}/get_result?id={}", accepted.id));
        Ok(Submitted::Accepted { handle: Place { url, since: cx.now() }.handle(), poll_after: None })
    }

    async fn poll(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let place = Place::of(handle)?;
        let reply = call(cx, Method::GET, &place.url)?.send().await?;
        let task = if reply.is_success() { Some(reply.json::<TaskWire>()?) } else { None };
        if reply.status == 404 || task.as_ref().is_some_and(|task| task.status == "Task not found") {
            let fresh = cx.now() - place.since < UNKNOWN_FOR;
            return if fresh || misses(cx, &place.url) <= UNKNOWN_LOOKS {
                Ok(Progress::Queued)
            } else {
                Err(Fault::refused(Kind::Gone, "task not found"))
            };
        }
        task.map(|task| from_wire(&task)).ok_or_else(|| classify(&reply))
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let reply = call(cx, Method::GET, &format!("{BASE}/credits"))?.send().await?;
        if reply.is_success() { Ok(()) } else { Err(classify(&reply)) }
    }
}

fn call(cx: &Cx, method: Method, url: &str) -> Result<Call, Fault> {
    Ok(cx.call(method, url)?.header("x-key", cx.secret("BFL_API_KEY")?))
}

/// Whether our key may be sent there: under the override every address is moved below it.
fn is_trusted(cx: &Cx, url: &str) -> bool {
    let ours = |url: &Url| url.scheme() == "https" && url.host_str().is_some_and(|host| host.ends_with(".bfl.ai"));
    Url::parse(url).is_ok_and(|url| cx.base.is_some() || ours(&url))
}

/// How many looks at a task have found nothing, with this one.
fn misses(cx: &Cx, url: &str) -> u64 {
    let name = format!("missed {url}");
    let misses = cx.cache.get(&name, cx.now()).and_then(|count| count.as_u64()).unwrap_or_default() + 1;
    cx.cache.put(&name, json!(misses), cx.now() + COUNTED_FOR);
    misses
}

/// Where to ask for a task, and since when it exists.
#[derive(Serialize, Deserialize)]
struct Place {
    url: String,
    since: Timestamp,
}

impl Place {
    fn handle(&self) -> Handle {
        Handle(json!(self).to_string())
    }

    fn of(handle: &Handle) -> Result<Self, Fault> {
        serde_json::from_str(&handle.0)
            .map_err(|error| Fault::new(Kind::Garbled, Verdict::Unknown, "unreadable handle").because(error))
    }
}

/// The inputs as BFL takes them: an address, or bare base64.
#[derive(Default)]
struct Files {
    images: Vec<String>,
    last_image: Option<String>,
    video: Option<String>,
}

async fn files(cx: &Cx, task: &Task) -> Result<Files, Fault> {
    let inline = body::field(task, "image", "") == IMAGE_PROMPT;
    let mut files = Files::default();
    for url in task.input.image.iter().chain(task.input.images.iter().flatten()) {
        files.images.push(file(cx, url, inline).await?);
    }
    if let Some(url) = &task.input.last_image {
        files.last_image = Some(file(cx, url, false).await?);
    }
    if let Some(url) = &task.input.video {
        files.video = Some(file(cx, url, false).await?);
    }
    Ok(files)
}

async fn file(cx: &Cx, url: &str, inline: bool) -> Result<String, Fault> {
    if !inline
        && !url.starts_with("data:")
        && let Ok(link) = cx.input_url(url).await
    {
        return Ok(link);
    }
    Ok(cx.input(url).await?.base64())
}

fn picture_to_wire(task: &Task, files: &Files) -> Value {
    let mut wire = Map::new();
    wire.insert("prompt".into(), json!(task.input.text));
    for (ours, theirs) in PLAIN {
        wire.insert(theirs.into(), body::option(task, ours));
    }
    if task.params.contains_key("sizes") {
        let asked = body::text(task, "aspectRatio").is_some() || files.images.is_empty();
        if let Some((width, height)) = body::size(task, Some("1:1")).filter(|_| asked).and_then(pixels) {
            wire.insert("width".into(), json!(width));
            wire.insert("height".into(), json!(height));
        }
    } else {
        wire.insert("aspect_ratio".into(), body::option(task, "aspectRatio"));
    }
    for (index, image) in files.images.iter().enumerate() {
        let field = match (body::field(task, "image", "input_image"), index) {
            (field, 0) => field.to_owned(),
            (_, index) => format!("input_image_{}", index + 1),
        };
        wire.insert(field, json!(image));
    }
    body::given(Value::Object(wire))
}

fn pixels(size: &str) -> Option<(u32, u32)> {
    let (width, height) = size.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

fn clip_to_wire(task: &Task, files: &Files) -> Value {
    let first = files.images.first();
    let mode = match (first.or(files.last_image.as_ref()), &files.video) {
        (_, Some(_)) => "v2v",
        (Some(_), None) => "i2v",
        (None, None) => "t2v",
    };
    let keyframes = match (first, &files.last_image) {
        (Some(first), Some(last)) => json!([first, last]),
        (Some(first), None) => json!(first),
        (None, Some(last)) => json!([[body::whole(task, "duration").unwrap_or(5), last]]),
        (None, None) => Value::Null,
    };
    let resolution = match body::text(task, "resolution") {
        Some("1080p") => Some("fhd"),
        Some(_) => Some("hd"),
        None => None,
    };
    body::given(json!({
        "mode": mode,
        "prompt": task.input.text,
        "keyframes": if mode == "i2v" { keyframes } else { Value::Null },
        "start_video": files.video,
        "duration": body::option(task, "duration"),
        "resolution": resolution,
        "aspect_ratio": body::option(task, "aspectRatio"),
        "generate_audio": body::option(task, "sound"),
        "safety_tolerance": body::option(task, "safetyTolerance"),
    }))
}

fn from_wire(task: &TaskWire) -> Progress {
    match task.status.as_str() {
        "Pending" => task.progress.map_or(Progress::Queued, |share| Progress::Running(Some(body::percent(share)))),
        "Reasoning" | "Generating" => Progress::Running(task.progress.map(body::percent)),
        "Ready" => done(task),
        "Request Moderated" | "Content Moderated" => Progress::Failed(Fault::refused(Kind::Moderated, task.words())),
        "Error" | "Failed" => Progress::Failed(Fault::refused(Kind::Failed, task.words())),
        unknown => {
            tracing::warn!(upstream.id = "bfl", status = unknown, "a status word that is not documented");
            Progress::Running(None)
        }
    }
}

fn done(task: &TaskWire) -> Progress {
    let Some(result) = &task.result else { return nothing() };
    let Some(url) = result.sample.as_ref().and_then(|sample| Url::parse(sample).ok()) else { return nothing() };
    let file = Output { source: Source::Url { url, authorized: false }, content_type: None };
    Progress::Done(Outputs { files: vec![file], seed: result.seed, ..Outputs::default() })
}

fn nothing() -> Progress {
    Progress::Failed(Fault::refused(Kind::Failed, "ready without a result"))
}

/// What a refused submit means: a model that is not there is a wrong entry of ours.
fn refusal(reply: &Reply) -> Fault {
    let fault = classify(reply);
    if matches!(reply.status, 404 | 405) { Fault { kind: Kind::Account, ..fault } } else { fault }
}

fn classify(reply: &Reply) -> Fault {
    let detail = reply.json::<Refusal>().map(|refusal| refusal.detail).unwrap_or_default();
    let words = detail.as_str().map_or_else(|| detail.to_string(), str::to_owned);
    let fault = if detail.is_null() { reply.fault("") } else { reply.told_fault(excerpt(&words)) };
    // The same status says that a field is wrong (a list) and that our key is malformed (a text).
    if reply.status == 422 && words.contains("API key") && detail.is_string() {
        return Fault { kind: Kind::Account, ..fault };
    }
    fault
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
    polling_url: Option<String>,
}

#[derive(Deserialize)]
struct TaskWire {
    status: String,
    progress: Option<f64>,
    result: Option<ResultWire>,
    details: Option<Value>,
}

impl TaskWire {
    fn words(&self) -> String {
        let details = self.details.as_ref().map(Value::to_string).unwrap_or_default();
        excerpt(&format!("{} {details}", self.status))
    }
}

#[derive(Deserialize)]
struct ResultWire {
    sample: Option<String>,
    seed: Option<i64>,
}

#[derive(Deserialize)]
struct Refusal {
    detail: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(task: Value) -> Progress {
        from_wire(&serde_json::from_value(task).unwrap())
    }

    #[test]
    fn a_task_is_queued_until_it_shows_progress() {
        assert!(matches!(read(json!({ "status": "Pending", "progress": null })), Progress::Queued));
        assert!(matches!(read(json!({ "status": "Pending", "progress": 0.5 })), Progress::Running(Some(50))));
        assert!(matches!(read(json!({ "status": "Brewing" })), Progress::Running(None)));
    }

    #[test]
    fn moderation_is_a_state() {
        for status in ["Request Moderated", "Content Moderated"] {
            let task = json!({ "status": status, "details": { "Moderation Reasons": ["Safety Filter"] } });
            assert!(matches!(read(task), Progress::Failed(fault) if fault.kind == Kind::Moderated));
        }
    }

    #[test]
    fn the_result_brings_the_seed() {
        let task = json!({ "status": "Ready", "result": { "sample": "https://delivery.bfl.ai/a.jpeg", "seed": 42 } });
        assert!(matches!(read(task), Progress::Done(outputs) if outputs.seed == Some(42)));
    }
}
