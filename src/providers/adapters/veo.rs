//! Google video in two wire forms.
//!
//! `params.protocol` is `interactions` (Gemini Omni) or `predict` (Veo on Vertex AI, `predictLongRunning`);
//! `params.service` is `gemini` (API key) or `vertex` (service account).
//!
//! Neither form fetches a caller's URL, so inputs go inline as base64; neither has an idempotency key or a list to
//! reconcile by. On the Gemini API the clip is asked for as a link, which needs the key for the download; Vertex AI
//! without a bucket answers with the bytes. Unconfirmed: whether an edit takes a duration (it is not sent), the shape
//! of the failure of an interaction (`error` and `errors` are both read).

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    domain::{
        Fault, Upstream,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    media::InputFile,
    providers::{
        Call, Cancelled, Cx, Handle, Progress, Provider, Reply, Submitted, Task,
        google::{self, GEMINI, Service},
        http::{excerpt, garbled, preparing},
    },
};

/// The adapter.
pub struct Veo;

#[async_trait]
impl Provider for Veo {
    fn upstream(&self) -> Upstream {
        "veo".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let media = Media::read(cx, task).await.map_err(preparing)?;
        let reply = if is_predict(task) {
            let call = cx.post(&predict_url(cx, task, "predictLongRunning")?)?.json(&predict_to_wire(task, &media)?);
            send(cx, call, Service::Vertex).await?
        } else {
            let service = Service::of(task);
            let call = cx.post(&interactions_url(cx, service)?)?.json(&interaction_to_wire(task, &media, service));
            send(cx, call, service).await?
        };
        if !reply.is_success() {
            return Err(classify(&reply));
        }
        let taken: Taken = reply.json()?;
        Ok(Submitted::Accepted { handle: Handle(taken.id), poll_after: None })
    }

    async fn poll(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let reply = if is_predict(task) {
            let body = json!({ "operationName": handle.0 });
            send(cx, cx.post(&predict_url(cx, task, "fetchPredictOperation")?)?.json(&body), Service::Vertex).await?
        } else {
            let service = Service::of(task);
            send(cx, cx.get(&format!("{}/{}", interactions_url(cx, service)?, handle.0))?, service).await?
        };
        if !reply.is_success() {
            return Err(classify_question(&reply));
        }
        if is_predict(task) { operation_from_wire(reply.json()?) } else { interaction_from_wire(reply.json()?) }
    }

    async fn cancel(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Cancelled, Fault> {
        if is_predict(task) {
            return Ok(Cancelled::Unsupported);
        }
        let service = Service::of(task);
        let call = cx.post(&format!("{}/{}/cancel", interactions_url(cx, service)?, handle.0))?;
        let reply = send(cx, call, service).await?;
        match reply.status {
            200..=299 => Ok(Cancelled::Stopped),
            // Ended already (`failed_precondition`), or unknown (a 400 too).
            400 | 404 | 409 => Ok(Cancelled::TooLate),
            _ => Err(classify(&reply)),
        }
    }

    async fn authorize(&self, cx: &Cx, call: Call) -> Result<Call, Fault> {
        google::sign(cx, call, Service::Gemini).await
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        google::check(cx).await
    }
}

fn is_predict(task: &Task) -> bool {
    task.params.get("protocol").and_then(Value::as_str) == Some("predict")
}

fn interactions_url(cx: &Cx, service: Service) -> Result<String, Fault> {
    Ok(match service {
        Service::Gemini => format!("{GEMINI}/v1beta/interactions"),
        Service::Vertex => format!("{}/interactions", google::vertex(cx, "v1beta1", Some("global"))?),
    })
}

fn predict_url(cx: &Cx, task: &Task, method: &str) -> Result<String, Fault> {
    Ok(format!("{}/publishers/google/models/{}:{method}", google::vertex(cx, "v1", None)?, task.model))
}

async fn send(cx: &Cx, call: Call, service: Service) -> Result<Reply, Fault> {
    let reply = google::sign(cx, call, service).await?.send().await?;
    if reply.status == 401 && service == Service::Vertex {
        google::forget_token(cx);
    }
    Ok(reply)
}

/// The inputs, read whole.
#[derive(Default)]
struct Media {
    first: Option<InputFile>,
    last: Option<InputFile>,
    references: Vec<InputFile>,
    clip: Option<InputFile>,
}

impl Media {
    async fn read(cx: &Cx, task: &Task) -> Result<Self, Fault> {
        let mut media = Self::default();
        if let Some(url) = &task.input.image {
            media.first = Some(cx.input(url).await?);
        }
        if let Some(url) = &task.input.last_image {
            media.last = Some(cx.input(url).await?);
        }
        for url in task.input.images.iter().flatten() {
            media.references.push(cx.input(url).await?);
        }
        if let Some(url) = &task.input.video {
            media.clip = Some(cx.input(url).await?);
        }
        Ok(media)
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && self.last.is_none() && self.references.is_empty() && self.clip.is_none()
    }
}

fn interaction_to_wire(task: &Task, media: &Media, service: Service) -> Value {
    let option = |name: &str| task.options.get(name);
    let mut format = json!({ "type": "video" });
    if let Some(ratio) = option("aspectRatio") {
        format["aspect_ratio"] = ratio.clone();
    }
    if let Some(resolution) = option("resolution") {
        format["resolution"] = resolution.clone();
    }
    let video_task = video_task(task, media);
    if let Some(seconds) = option("duration").filter(|_| video_task != Some("edit")) {
        format["duration"] = json!(format!("{seconds}s"));
    }
    if service == Service::Gemini {
        format["delivery"] = json!("uri");
    }
    let mut body = json!({
        "model": task.model,
        "input": interaction_input(task, media),
        "background": true,
        "response_format": format,
    });
    if let Some(video_task) = video_task {
        body["generation_config"] = json!({ "video_config": { "task": video_task } });
    }
    body
}

fn video_task<'a>(task: &'a Task, media: &Media) -> Option<&'a str> {
    if media.clip.is_some() {
        return Some(task.options.get("task").and_then(Value::as_str).unwrap_or("edit"));
    }
    match (&media.first, media.references.is_empty()) {
        (Some(_), true) => Some("image_to_video"),
        (_, false) => Some("reference_to_video"),
        (None, true) => None,
    }
}

/// The prompt alone, or a list of blocks. Tags in the prompt say what each picture is for.
fn interaction_input(task: &Task, media: &Media) -> Value {
    let text = task.input.text.as_deref().unwrap_or_default();
    if media.is_empty() {
        return json!(text);
    }
    let tags = media.first.iter().map(|_| "<FIRST_FRAME>".to_owned());
    let tags = tags.chain((0..media.references.len()).map(|index| format!("<IMAGE_REF_{index}>")));
    let mut words: Vec<String> = tags.filter(|tag| !text.contains(tag.as_str())).collect();
    words.push(text.to_owned());
    let block =
        |kind: &str, file: &InputFile| json!({ "type": kind, "mime_type": file.content_type, "data": file.base64() });
    let mut blocks = vec![json!({ "type": "text", "text": words.join(" ") })];
    blocks.extend(media.first.iter().chain(&media.references).map(|file| block("image", file)));
    blocks.extend(media.clip.iter().map(|file| block("video", file)));
    json!(blocks)
}

fn predict_to_wire(task: &Task, media: &Media) -> Result<Value, Fault> {
    if media.last.is_some() && media.first.is_none() {
        return Err(Fault::refused(Kind::InvalidInput, "a last picture needs a first one"));
    }
    let file = |file: &InputFile| json!({ "bytesBase64Encoded": file.base64(), "mimeType": file.content_type });
    let mut instance = Map::new();
    if let Some(text) = task.input.text.as_deref().filter(|text| !text.is_empty()) {
        instance.insert("prompt".into(), json!(text));
    }
    for (field, input) in [("image", &media.first), ("lastFrame", &media.last), ("video", &media.clip)] {
        if let Some(input) = input {
            instance.insert(field.into(), file(input));
        }
    }
    if !media.references.is_empty() {
        let references = media.references.iter().map(|input| json!({ "image": file(input), "referenceType": "asset" }));
        instance.insert("referenceImages".into(), references.collect());
    }
    let mut parameters = Map::new();
    for (option, field) in [
        ("duration", "durationSeconds"),
        ("resolution", "resolution"),
        ("aspectRatio", "aspectRatio"),
        ("seed", "seed"),
        ("negativePrompt", "negativePrompt"),
        ("sound", "generateAudio"),
        ("personGeneration", "personGeneration"),
    ] {
        if let Some(value) = task.options.get(option) {
            parameters.insert(field.into(), value.clone());
        }
    }
    Ok(json!({ "instances": [instance], "parameters": parameters }))
}

fn interaction_from_wire(interaction: Interaction) -> Result<Progress, Fault> {
    match interaction.status.as_str() {
        "queued" => Ok(Progress::Queued),
        "in_progress" => Ok(Progress::Running(None)),
        "completed" => completed(&interaction),
        "failed" | "incomplete" | "budget_exceeded" | "requires_action" | "requires_continuation" | "cancelled" => {
            let error = interaction.error.into_iter().chain(interaction.errors).next().unwrap_or_default();
            let words = excerpt(&format!("{} {}: {}", interaction.status, error.code, error.message));
            let kind = if google::is_moderation(&error.message) { Kind::Moderated } else { Kind::Failed };
            Ok(Progress::Failed(Fault::refused(kind, words)))
        }
        unknown => {
            tracing::warn!(upstream.status = unknown, "unknown status of an interaction");
            Ok(Progress::Running(None))
        }
    }
}

/// A finished interaction without a clip is the model talking instead: it refuses the content.
fn completed(interaction: &Interaction) -> Result<Progress, Fault> {
    let outputs = interaction.steps.iter().filter(|step| step.r#type == "model_output");
    let blocks: Vec<&Value> = outputs.flat_map(|step| step.content.as_array().into_iter().flatten()).collect();
    let Some(video) = blocks.iter().find(|block| block["type"] == "video") else {
        let words: String = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
        return Ok(Progress::Failed(Fault::refused(Kind::Moderated, excerpt(&format!("no clip: {words}")))));
    };
    let source = match (video["uri"].as_str(), video["data"].as_str()) {
        (Some(uri), _) => Source::Url { url: link(uri)?, authorized: true },
        (None, Some(data)) => decode(data)?,
        (None, None) => return Err(garbled("a clip without uri and data")),
    };
    let content_type = video["mime_type"].as_str().map(str::to_owned);
    Ok(Progress::Done(Outputs { files: vec![Output { source, content_type }], ..Outputs::default() }))
}

fn operation_from_wire(operation: Operation) -> Result<Progress, Fault> {
    if !operation.done {
        return Ok(Progress::Running(None));
    }
    if let Some(error) = operation.error {
        return Ok(Progress::Failed(operation_fault(&error)));
    }
    let answer = operation.response.ok_or_else(|| garbled("a finished operation without response"))?;
    let files: Vec<Output> = answer
        .videos
        .iter()
        .filter_map(|video| Some((video.bytes.as_deref()?, video.mime_type.clone())))
        .map(|(bytes, content_type)| Ok(Output { source: decode(bytes)?, content_type }))
        .collect::<Result<_, Fault>>()?;
    if !files.is_empty() {
        return Ok(Progress::Done(Outputs { files, ..Outputs::default() }));
    }
    if answer.filtered > 0 || !answer.filtered_reasons.is_empty() {
        let words = excerpt(&format!("filtered: {}", answer.filtered_reasons.join(" ")));
        return Ok(Progress::Failed(Fault::refused(Kind::Moderated, words)));
    }
    Ok(Progress::Failed(Fault::refused(Kind::Failed, "a finished operation without clips")))
}

/// The error of an operation carries a gRPC number.
fn operation_fault(error: &OperationError) -> Fault {
    let kind = match error.code {
        3 if google::is_moderation(&error.message) => Kind::Moderated,
        3 => Kind::InvalidInput,
        8 => Kind::Busy,
        _ => Kind::Failed,
    };
    Fault::refused(kind, excerpt(&format!("operation error {}: {}", error.code, error.message)))
}

/// Interactions name their errors by words, everything else as Google always does.
fn classify(reply: &Reply) -> Fault {
    let error = google::error_body(reply);
    let Some(code) = error["code"].as_str() else { return google::classify(reply) };
    let message = error["message"].as_str().unwrap_or_default();
    let mut fault = reply.told_fault(excerpt(&format!("{code}: {message}")));
    fault.retry_after = fault.retry_after.or_else(|| google::retry_delay(&error));
    fault.kind = match code {
        "invalid_request" if google::is_moderation(message) => Kind::Moderated,
        "invalid_request" | "parameter_unknown" | "out_of_range" => Kind::InvalidInput,
        "failed_precondition"
        | "authentication"
        | "permission_denied"
        | "payment_required"
        | "model_not_found"
        | "not_found"
        | "quota_exceeded" => Kind::Account,
        "aborted" | "rate_limit_exceeded" | "too_many_requests" => Kind::Busy,
        _ => fault.kind,
    };
    fault
}

/// The same for a question about a task: what is unknown there is gone. Interactions say so with a plain 400.
fn classify_question(reply: &Reply) -> Fault {
    let mut fault = classify(reply);
    let unknown = reply.status == 404 || google::error_body(reply)["code"] == "invalid_request";
    if unknown {
        fault.kind = Kind::Gone;
    }
    fault
}

fn link(uri: &str) -> Result<Url, Fault> {
    Url::parse(uri).map_err(|error| garbled("the link to the clip is no URL").because(error))
}

fn decode(data: &str) -> Result<Source, Fault> {
    let bytes = STANDARD.decode(data).map_err(|error| garbled("a clip is not base64").because(error))?;
    Ok(Source::Bytes(bytes.into()))
}

/// An interaction has an id, an operation a name.
#[derive(Deserialize)]
struct Taken {
    #[serde(alias = "name")]
    id: String,
}

#[derive(Deserialize)]
struct Interaction {
    status: String,
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(default)]
    errors: Vec<InteractionError>,
    error: Option<InteractionError>,
}

#[derive(Deserialize)]
struct Step {
    r#type: String,
    #[serde(default)]
    content: Value,
}

#[derive(Default, Deserialize)]
struct InteractionError {
    #[serde(default)]
    code: Value,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Operation {
    #[serde(default)]
    done: bool,
    response: Option<OperationAnswer>,
    error: Option<OperationError>,
}

#[derive(Deserialize)]
struct OperationAnswer {
    #[serde(default)]
    videos: Vec<Video>,
    #[serde(default, rename = "raiMediaFilteredCount")]
    filtered: u32,
    #[serde(default, rename = "raiMediaFilteredReasons")]
    filtered_reasons: Vec<String>,
}

#[derive(Deserialize)]
struct Video {
    #[serde(rename = "bytesBase64Encoded")]
    bytes: Option<String>,
    #[serde(rename = "mimeType")]
    mime_type: Option<String>,
}

#[derive(Deserialize)]
struct OperationError {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    fn task(model: &str, options: &Value) -> Task {
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Video,
            model: model.into(),
            params: Map::new(),
            input: ContentInput { text: Some("a red boat".into()), ..ContentInput::default() },
            options: options.as_object().cloned().unwrap_or_default(),
            wire: BTreeMap::new(),
        }
    }

    fn png() -> InputFile {
        InputFile { bytes: "png".into(), content_type: "image/png".into() }
    }

    fn reply(status: u16, body: &Value) -> Reply {
        Reply { status, headers: reqwest::header::HeaderMap::new(), body: body.to_string().into() }
    }

    #[test]
    fn an_interaction_from_text_is_said_in_seconds_with_a_unit() {
        let options = json!({"duration": 6, "resolution": "720p", "aspectRatio": "16:9"});
        assert_eq!(
            interaction_to_wire(&task("gemini-omni-1.1-flash", &options), &Media::default(), Service::Gemini),
            json!({"model": "gemini-omni-1.1-flash", "input": "a red boat", "background": true, "response_format":
                {"type": "video", "aspect_ratio": "16:9", "resolution": "720p", "duration": "6s", "delivery": "uri"}})
        );
    }

    #[test]
    fn pictures_of_an_interaction_are_tagged() {
        let media = Media { first: Some(png()), ..Media::default() };
        let wire = interaction_to_wire(&task("m", &json!({})), &media, Service::Vertex);
        assert_eq!(wire["input"][0], json!({"type": "text", "text": "<FIRST_FRAME> a red boat"}));
        assert_eq!(wire["input"][1], json!({"type": "image", "mime_type": "image/png", "data": "cG5n"}));
        assert_eq!(wire["generation_config"], json!({"video_config": {"task": "image_to_video"}}));
        assert_eq!(wire["response_format"], json!({"type": "video"}));
    }

    #[test]
    fn a_prediction_has_typed_parameters() {
        let options = json!({"duration": 8, "resolution": "1080p", "sound": true, "seed": 7, "negativePrompt": "rain"});
        let media = Media { first: Some(png()), last: Some(png()), ..Media::default() };
        let picture = json!({"bytesBase64Encoded": "cG5n", "mimeType": "image/png"});
        assert_eq!(
            predict_to_wire(&task("veo-3.1-generate-001", &options), &media).unwrap(),
            json!({"instances": [{"prompt": "a red boat", "image": picture, "lastFrame": picture}], "parameters":
                {"durationSeconds": 8, "resolution": "1080p", "generateAudio": true, "seed": 7, "negativePrompt": "rain"}})
        );
    }

    #[test]
    fn an_interaction_that_only_talks_has_refused() {
        let talk = json!({"id": "v1_x", "status": "completed", "steps": [
            {"type": "user_input", "content": "a red boat"}, {"type": "thought", "signature": "x"},
            {"type": "model_output", "content": [{"type": "text", "text": "I cannot."}]}]});
        let progress = interaction_from_wire(serde_json::from_value(talk).unwrap()).unwrap();
        assert!(matches!(progress, Progress::Failed(Fault { kind: Kind::Moderated, .. })));
    }

    #[test]
    fn operations_end_in_bytes_a_filter_or_an_error() {
        let read = |body: Value| operation_from_wire(serde_json::from_value(body).unwrap()).unwrap();
        assert!(matches!(read(json!({"name": "n"})), Progress::Running(None)));
        let done = json!({"name": "n", "done": true, "response": {"raiMediaFilteredCount": 0,
            "videos": [{"bytesBase64Encoded": "cG5n", "mimeType": "video/mp4"}]}});
        assert!(matches!(read(done), Progress::Done(_)));
        let filtered = json!({"done": true, "response": {"raiMediaFilteredCount": 1,
            "raiMediaFilteredReasons": ["Support codes: 58061214"]}});
        assert!(matches!(read(filtered), Progress::Failed(Fault { kind: Kind::Moderated, .. })));
        let error = |code: i64, message: &str| json!({"done": true, "error": {"code": code, "message": message}});
        for (body, kind) in [
            (error(3, "Support codes: 1"), Kind::Moderated),
            (error(3, "bad"), Kind::InvalidInput),
            (error(8, "quota"), Kind::Busy),
            (error(13, "internal"), Kind::Failed),
        ] {
            let Progress::Failed(fault) = read(body) else { panic!("not failed") };
            assert_eq!(fault.kind, kind);
        }
    }

    #[test]
    fn an_unknown_interaction_is_gone_only_when_it_was_asked_for() {
        let unknown = reply(400, &json!({"error": {"code": "invalid_request", "message": "no such interaction"}}));
        assert_eq!(classify(&unknown).kind, Kind::InvalidInput);
        assert_eq!(classify_question(&unknown).kind, Kind::Gone);
        let quota = reply(429, &json!({"error": {"code": "quota_exceeded", "message": "no"}}));
        assert_eq!(classify_question(&quota).kind, Kind::Account);
    }
}
