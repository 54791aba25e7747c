//! Runway: the developer API with its own and partner models, <https://docs.dev.runwayml.com/api>.
//!
//! Quirks: one version header with one fixed date; media only by `https:`, `data:` up to a size, or an upload of theirs,
//! never by `http:`; an empty account is a 400; a full concurrency slot is no error but the status `THROTTLED`; a
//! cancelled task is unknown afterwards. There is no idempotency key and no list of tasks, so a lost submit stays lost.
//!
//! Reads `params.path` (the endpoint; for clips it follows from the inputs), `params.sizes` (pixel ratios by resolution
//! and aspect ratio) and the `wire` fields of `image`, `images`, `video`, `aspectRatio` and `language`.
//! Unconfirmed: the texts for a wrong key, and whether a cancelled running task is charged.

use async_trait::async_trait;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    domain::{
        ContentInput, Fault, Upstream,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    media::InputFile,
    providers::{
        Call, Cancelled, Cx, Handle, Progress, Provider, Reply, Submitted, Task, body,
        http::{excerpt, preparing},
    },
};

const BASE: &str = "https://api.dev.runwayml.com/v1";
const VERSION: &str = "2024-11-06";
/// The longest `data:` URIs it takes, in characters.
const MAX_IMAGE_URI: usize = 5_242_880;
const MAX_MEDIA_URI: usize = 16_777_216;

/// Options that go into the body as they are, by our name and theirs.
const PLAIN: [(&str, &str); 9] = [
    ("duration", "duration"),
    ("seed", "seed"),
    ("negativePrompt", "negativePrompt"),
    ("sound", "audio"),
    ("bodyControl", "bodyControl"),
    ("expressionIntensity", "expressionIntensity"),
    ("speed", "speed"),
    ("stability", "stability"),
    ("similarityBoost", "similarityBoost"),
];

/// The adapter.
pub struct Runway;

#[async_trait]
impl Provider for Runway {
    fn upstream(&self) -> Upstream {
        "runway".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let input = place_all(cx, &task.input).await.map_err(preparing)?;
        let path = path(task);
        let reply = call(cx, Method::POST, path)?.json(&to_wire(task, path, &input)).send().await?;
        if !reply.is_success() {
            return Err(refusal(&reply));
        }
        let accepted: Accepted = reply.json()?;
        Ok(Submitted::Accepted { handle: Handle(accepted.id), poll_after: None })
    }

    async fn poll(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let reply = call(cx, Method::GET, &format!("tasks/{}", handle.0))?.send().await?;
        if !reply.is_success() {
            return Err(classify(&reply));
        }
        Ok(from_wire(&reply.json()?))
    }

    async fn cancel(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Cancelled, Fault> {
        let reply = call(cx, Method::DELETE, &format!("tasks/{}", handle.0))?.send().await?;
        match reply.status {
            404 => Ok(Cancelled::TooLate),
            _ if reply.is_success() => Ok(Cancelled::Stopped),
            _ => Err(classify(&reply)),
        }
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let reply = call(cx, Method::GET, "organization")?.send().await?;
        if reply.is_success() { Ok(()) } else { Err(classify(&reply)) }
    }
}

fn call(cx: &Cx, method: Method, path: &str) -> Result<Call, Fault> {
    let call = cx.call(method, &format!("{BASE}/{path}"))?;
    Ok(call
        .bearer(cx.secret("RUNWAYML_API_SECRET")?)
        .header("x-runway-version", VERSION)
        .header("accept", "application/json"))
}

/// The inputs with every file where Runway can read it.
async fn place_all(cx: &Cx, input: &ContentInput) -> Result<ContentInput, Fault> {
    let mut placed = input.clone();
    for url in [&mut placed.image, &mut placed.last_image, &mut placed.video, &mut placed.audio].into_iter().flatten() {
        *url = place(cx, url).await?;
    }
    for url in placed.images.iter_mut().flatten() {
        *url = place(cx, url).await?;
    }
    Ok(placed)
}

async fn place(cx: &Cx, url: &str) -> Result<String, Fault> {
    if url.starts_with("https:")
        && let Ok(reachable) = cx.input_url(url).await
        && reachable.starts_with("https:")
    {
        return Ok(reachable);
    }
    let file = cx.input(url).await?;
    let longest = if file.content_type.starts_with("image/") { MAX_IMAGE_URI } else { MAX_MEDIA_URI };
    let data = file.data_url();
    if data.len() <= longest { Ok(data) } else { upload(cx, file).await }
}

/// Stores a file with Runway for a day.
async fn upload(cx: &Cx, file: InputFile) -> Result<String, Fault> {
    let extension = file.content_type.rsplit('/').next().unwrap_or("bin");
    let name = format!("input.{extension}");
    let wanted = json!({ "filename": name, "type": "ephemeral" });
    let reply = call(cx, Method::POST, "uploads")?.json(&wanted).send().await?;
    if !reply.is_success() {
        return Err(refusal(&reply));
    }
    let place: Upload = reply.json()?;
    let mut form = reqwest::multipart::Form::new();
    for (field, value) in place.fields {
        form = form.text(field, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let part = reqwest::multipart::Part::stream(file.bytes).file_name(name);
    let stored = cx.post(&place.to)?.form(form.part("file", part)).send().await?;
    if stored.is_success() { Ok(place.uri) } else { Err(stored.fault("the upload was refused")) }
}

fn path(task: &Task) -> &str {
    if let Some(path) = body::param(task, "path") {
        path
    } else if task.input.video.is_some() {
        "video_to_video"
    } else if keyframes(&task.input) {
        "image_to_video"
    } else {
        "text_to_video"
    }
}

/// Whether there are pictures that are frames of the clip. The catalogue keeps them apart from reference pictures.
fn keyframes(input: &ContentInput) -> bool {
    input.image.is_some() || input.last_image.is_some()
}

fn to_wire(task: &Task, path: &str, input: &ContentInput) -> Value {
    let mut wire = Map::new();
    wire.insert("model".into(), json!(task.model));
    match path {
        "avatar_videos" => {
            wire.insert("avatar".into(), avatar(task));
            wire.insert("speech".into(), speech(task, input));
            return Value::Object(wire);
        }
        "character_performance" => {
            wire.insert("character".into(), json!({ "type": "image", "uri": input.image }));
            wire.insert("reference".into(), json!({ "type": "video", "uri": input.video }));
        }
        "text_to_speech" => {
            wire.insert("promptText".into(), json!(input.text));
            wire.insert("voice".into(), json!({ "type": "runway-preset", "presetId": body::option(task, "voice") }));
        }
        _ => {
            wire.insert("promptText".into(), json!(input.text));
            put_media(&mut wire, task, path, input);
        }
    }
    for (ours, theirs) in PLAIN {
        wire.insert(theirs.into(), body::option(task, ours));
    }
    if let Some(size) = body::size(task, Some("16:9")) {
        wire.insert("ratio".into(), json!(size));
    } else {
        wire.insert(body::field(task, "aspectRatio", "ratio").into(), body::option(task, "aspectRatio"));
        wire.insert("resolution".into(), body::option(task, "resolution"));
    }
    wire.insert(body::field(task, "language", "languageCode").into(), body::option(task, "language"));
    body::given(Value::Object(wire))
}

fn put_media(wire: &mut Map<String, Value>, task: &Task, path: &str, input: &ContentInput) {
    if let Some(video) = &input.video {
        wire.insert(body::field(task, "video", "videoUri").into(), json!(video));
    }
    if path == "image_to_video" {
        wire.insert("promptImage".into(), prompt_image(&task.model, input));
        return;
    }
    if let (Some(image), "keyframes") = (&input.image, body::field(task, "image", "")) {
        wire.insert("keyframes".into(), json!([{ "uri": image, "seconds": 0 }]));
        return;
    }
    let references: Vec<Value> = input.images.iter().flatten().map(|uri| json!({ "uri": uri })).collect();
    if !references.is_empty() {
        wire.insert(body::field(task, "images", "references").into(), Value::Array(references));
    }
}

/// Runway's own models know one picture, the first frame. To others a picture without a position may be a reference.
fn prompt_image(model: &str, input: &ContentInput) -> Value {
    if model.starts_with("gen4") {
        return json!(input.image);
    }
    let frame = |url: &String, position: &str| json!({ "uri": url, "position": position });
    let first = input.image.iter().map(|url| frame(url, "first"));
    first.chain(input.last_image.iter().map(|url| frame(url, "last"))).collect()
}

fn avatar(task: &Task) -> Value {
    let id = body::text(task, "avatarId").unwrap_or_default();
    if uuid::Uuid::try_parse(id).is_ok() {
        json!({ "type": "custom", "avatarId": id })
    } else {
        json!({ "type": "runway-preset", "presetId": id })
    }
}

fn speech(task: &Task, input: &ContentInput) -> Value {
    if let Some(audio) = &input.audio {
        return json!({ "type": "audio", "audio": audio });
    }
    let voice = body::text(task, "voice").map(|id| json!({ "type": "preset", "presetId": id }));
    body::given(json!({ "type": "text", "text": input.text, "voice": voice }))
}

fn from_wire(task: &TaskWire) -> Progress {
    match task.status.as_str() {
        "PENDING" | "THROTTLED" => Progress::Queued,
        "RUNNING" => Progress::Running(task.progress.map(body::percent)),
        "SUCCEEDED" => done(&task.output),
        "FAILED" => Progress::Failed(failure(task)),
        "CANCELLED" => Progress::Failed(Fault::refused(Kind::Failed, "cancelled at Runway")),
        unknown => {
            tracing::warn!(upstream.id = "runway", status = unknown, "a status word that is not documented");
            Progress::Running(None)
        }
    }
}

fn done(addresses: &[String]) -> Progress {
    let files: Vec<Output> = addresses
        .iter()
        .filter_map(|address| Url::parse(address).ok())
        .map(|url| Output { source: Source::Url { url, authorized: false }, content_type: None })
        .collect();
    if files.is_empty() {
        return Progress::Failed(Fault::refused(Kind::Failed, "succeeded without an output"));
    }
    Progress::Done(Outputs { files, ..Outputs::default() })
}

fn failure(task: &TaskWire) -> Fault {
    let code = task.failure_code.as_deref().unwrap_or_default();
    let kind = if code.starts_with("SAFETY.") || code.contains(".SAFETY.") {
        Kind::Moderated
    } else if code.starts_with("ASSET.INVALID") {
        Kind::InvalidInput
    } else if code.starts_with("THIRD_PARTY.UNAVAILABLE") {
        Kind::Down
    } else {
        Kind::Failed
    };
    Fault::refused(kind, excerpt(&format!("{code}: {}", task.failure.as_deref().unwrap_or_default())))
}

/// What a refused submit means: an endpoint that is not there is a wrong entry of ours.
fn refusal(reply: &Reply) -> Fault {
    let mut fault = classify(reply);
    if fault.kind == Kind::Gone || reply.status == 405 {
        fault.kind = Kind::Account;
    }
    fault
}

fn classify(reply: &Reply) -> Fault {
    let error: Refusal = reply.json().unwrap_or_default();
    let fault = match reply.status {
        // Load is being shed. A 504 may have created a task.
        502 | 503 if !error.error.is_empty() => reply.told_fault(excerpt(&error.detail())),
        _ => reply.fault(excerpt(&error.detail())),
    };
    if reply.status != 400 {
        return fault;
    }
    let ours = ["enough credits", "X-Runway-Version", "X-Runway-On-Behalf-Of"];
    if ours.iter().any(|words| error.error.contains(words)) || error.issues.iter().any(Issue::is_about_the_model) {
        return Fault { kind: Kind::Account, ..fault };
    }
    fault
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

#[derive(Deserialize)]
struct Upload {
    #[serde(rename = "uploadUrl")]
    to: String,
    fields: Map<String, Value>,
    #[serde(rename = "runwayUri")]
    uri: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TaskWire {
    status: String,
    progress: Option<f64>,
    #[serde(default)]
    output: Vec<String>,
    failure: Option<String>,
    failure_code: Option<String>,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: String,
    #[serde(default)]
    issues: Vec<Issue>,
}

#[derive(Deserialize)]
struct Issue {
    #[serde(default)]
    path: Vec<Value>,
    #[serde(default)]
    message: String,
}

impl Issue {
    fn is_about_the_model(&self) -> bool {
        self.path.first().and_then(Value::as_str) == Some("model")
    }
}

impl Refusal {
    fn detail(&self) -> String {
        let issues: Vec<String> =
            self.issues.iter().map(|issue| format!("{} {}", Value::Array(issue.path.clone()), issue.message)).collect();
        format!("{} {}", self.error, issues.join("; ")).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(status: Value) -> Progress {
        from_wire(&serde_json::from_value(status).unwrap())
    }

    #[test]
    fn a_throttled_task_waits() {
        assert!(matches!(task(json!({ "status": "THROTTLED" })), Progress::Queued));
        assert!(matches!(task(json!({ "status": "RUNNING", "progress": 0.42 })), Progress::Running(Some(42))));
        assert!(matches!(task(json!({ "status": "DREAMING" })), Progress::Running(None)));
    }

    #[test]
    fn failure_codes_say_whose_fault_it_is() {
        for (code, kind) in [
            ("SAFETY.INPUT.TEXT", Kind::Moderated),
            ("INPUT_PREPROCESSING.SAFETY.TEXT", Kind::Moderated),
            ("ASSET.INVALID", Kind::InvalidInput),
            ("THIRD_PARTY.UNAVAILABLE", Kind::Down),
            ("INTERNAL.BAD_OUTPUT.CODE01", Kind::Failed),
        ] {
            let Progress::Failed(fault) = task(json!({ "status": "FAILED", "failureCode": code })) else { panic!() };
            assert_eq!(fault.kind, kind, "{code}");
        }
    }

    #[test]
    fn frames_of_partner_models_take_their_position_along() {
        let mut input = ContentInput { image: Some("a".into()), ..ContentInput::default() };
        assert_eq!(prompt_image("gen4_turbo", &input), json!("a"));
        assert_eq!(prompt_image("seedance2", &input), json!([{ "uri": "a", "position": "first" }]));
        input.last_image = Some("b".into());
        assert_eq!(
            prompt_image("veo3.1", &input),
            json!([{ "uri": "a", "position": "first" }, { "uri": "b", "position": "last" }])
        );
    }
}
