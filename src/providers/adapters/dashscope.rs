//! Alibaba Model Studio (`DashScope`): Wan and `HappyHorse` clips, Wan-Animate, Qwen-Image and Wan pictures,
//! <https://www.alibabacloud.com/help/en/model-studio>. The international region; another one is a matter of the
//! base URL.
//!
//! Quirks: an asynchronous submit needs the header `X-DashScope-Async`, the synchronous picture call refuses it; sizes
//! are written `W*H`; a query of a failed or even unknown task is answered with 200; wrong parameters may be told only
//! by the failed task. Only waiting tasks can be cancelled. No idempotency key.
//!
//! Reads `params.path` (below `/services/aigc`), `params.sizes` and `params.form`, how the request is laid out:
//! `prompt` (a prompt, a first frame), `references` (pictures or clips of people), `media` (a list of files with their
//! roles), `frames` (first and last), `animate` (a picture moved by a recording), `text2image`, and `messages` (the
//! synchronous one). Unconfirmed: names of the 503 codes.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
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
        files::link_or_inline,
        http::{excerpt, garbled, preparing},
    },
};

const BASE: &str = "https://dashscope-intl.aliyuncs.com/api/v1";
/// The synchronous picture call answers when the picture is done.
const PICTURE_TIMEOUT: Duration = Duration::from_mins(3);

/// The adapter.
pub struct DashScope;

#[async_trait]
impl Provider for DashScope {
    fn upstream(&self) -> Upstream {
        "dashscope".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let form = body::param(task, "form").unwrap_or("prompt");
        let input = place(cx, &task.input, form).await.map_err(preparing)?;
        let path = body::param(task, "path").unwrap_or("video-generation/video-synthesis");
        let call = call(cx, Method::POST, &format!("services/aigc/{path}"))?.json(&to_wire(task, form, &input));
        let at_once = form == "messages";
        let call = if at_once { call.timeout(PICTURE_TIMEOUT) } else { call.header("X-DashScope-Async", "enable") };
        let reply = call.send().await?;
        if !reply.is_success() {
            return Err(refusal(&reply));
        }
        let answer: Answer = reply.json()?;
        if at_once {
            return done(&answer.output).map(Submitted::Done);
        }
        let Some(id) = answer.output.task_id else { return Err(garbled("an answer without task_id")) };
        Ok(Submitted::Accepted { handle: Handle(id), poll_after: None })
    }

    async fn poll(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let reply = call(cx, Method::GET, &format!("tasks/{}", handle.0))?.send().await?;
        if !reply.is_success() {
            return Err(classify(&reply));
        }
        from_wire(&reply.json::<Answer>()?.output)
    }

    async fn cancel(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Cancelled, Fault> {
        let reply = call(cx, Method::POST, &format!("tasks/{}/cancel", handle.0))?.send().await?;
        match reply.status {
            // `UnsupportedOperation`: it is running or has ended.
            400 | 404 => Ok(Cancelled::TooLate),
            _ if reply.is_success() => Ok(Cancelled::Stopped),
            _ => Err(classify(&reply)),
        }
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let list = call(cx, Method::GET, "tasks/")?.query(&[("page_no", "1"), ("page_size", "1")]);
        let reply = list.send().await?;
        if reply.is_success() { Ok(()) } else { Err(classify(&reply)) }
    }
}

fn call(cx: &Cx, method: Method, path: &str) -> Result<Call, Fault> {
    Ok(cx.call(method, &format!("{BASE}/{path}"))?.bearer(cx.secret("DASHSCOPE_API_KEY")?))
}

/// The inputs under addresses the service can fetch. A first frame and the pictures of a message may also go inline.
async fn place(cx: &Cx, input: &ContentInput, form: &str) -> Result<ContentInput, Fault> {
    let inline = matches!(form, "prompt" | "messages");
    let mut placed = input.clone();
    for url in placed.image.iter_mut().chain(placed.images.iter_mut().flatten()) {
        *url = if inline { link_or_inline(cx, url, InputFile::data_url).await? } else { cx.input_url(url).await? };
    }
    for url in [&mut placed.last_image, &mut placed.video, &mut placed.audio].into_iter().flatten() {
        *url = cx.input_url(url).await?;
    }
    Ok(placed)
}

fn to_wire(task: &Task, form: &str, input: &ContentInput) -> Value {
    let (input, parameters) = match form {
        "messages" => (message(input), picture_parameters(task, true)),
        "text2image" => (
            json!({ "prompt": input.text, "negative_prompt": body::option(task, "negativePrompt") }),
            picture_parameters(task, false),
        ),
        "animate" => (
            json!({ "image_url": input.image, "video_url": input.video, "watermark": body::option(task, "watermark") }),
            json!({ "mode": animate_mode(task), "check_image": body::option(task, "checkImage") }),
        ),
        _ => (clip_input(task, form, input), clip_parameters(task, form, input)),
    };
    body::given(json!({ "model": task.model, "input": input, "parameters": parameters }))
}

fn message(input: &ContentInput) -> Value {
    let images = input.image.iter().chain(input.images.iter().flatten()).map(|url| json!({ "image": url }));
    let text = input.text.iter().map(|text| json!({ "text": text }));
    let content: Vec<Value> = images.chain(text).collect();
    json!({ "messages": [{ "role": "user", "content": content }] })
}

fn picture_parameters(task: &Task, with_negative: bool) -> Value {
    let edit = task.input.image.is_some() || task.input.images.is_some();
    let size = body::size(task, Some("1:1")).filter(|_| !edit);
    json!({
        "size": size,
        "n": body::option(task, "n"),
        "negative_prompt": if with_negative { body::option(task, "negativePrompt") } else { Value::Null },
        "prompt_extend": body::option(task, "promptExtend"),
        "watermark": body::option(task, "watermark"),
        "seed": body::option(task, "seed"),
    })
}

fn animate_mode(task: &Task) -> String {
    format!("wan-{}", body::text(task, "mode").unwrap_or("std"))
}

fn clip_input(task: &Task, form: &str, input: &ContentInput) -> Value {
    let negative = body::option(task, "negativePrompt");
    match form {
        "frames" => json!({
            "first_frame_url": input.image, "last_frame_url": input.last_image,
            "prompt": input.text, "negative_prompt": negative,
        }),
        "references" => {
            let people: Vec<&String> = input.images.iter().flatten().chain(&input.video).collect();
            json!({ "prompt": input.text, "reference_urls": people })
        }
        "media" => {
            let media = media(input);
            json!({ "prompt": input.text, "media": (!media.is_empty()).then_some(media) })
        }
        _ => json!({
            "prompt": input.text, "negative_prompt": negative,
            "img_url": input.image, "audio_url": input.audio,
        }),
    }
}

/// The files with their roles.
fn media(input: &ContentInput) -> Vec<Value> {
    let sound = if input.image.is_some() { "driving_audio" } else { "reference_audio" };
    let one = |role: &'static str, url: &Option<String>| url.clone().map(|url| (role, url));
    (one("first_frame", &input.image).into_iter())
        .chain(one("last_frame", &input.last_image))
        .chain(input.images.iter().flatten().map(|url| ("reference_image", url.clone())))
        .chain(one("video", &input.video))
        .chain(one(sound, &input.audio))
        .map(|(role, url)| json!({ "type": role, "url": url }))
        .collect()
}

fn clip_parameters(task: &Task, form: &str, input: &ContentInput) -> Value {
    let by_size = form == "references" || (form == "prompt" && input.image.is_none());
    let resolution = body::text(task, "resolution").map(str::to_uppercase);
    let ratio = if form == "media" && input.image.is_none() { body::option(task, "aspectRatio") } else { Value::Null };
    json!({
        "size": body::size(task, Some("16:9")).filter(|_| by_size),
        "resolution": resolution.filter(|_| !by_size),
        "ratio": ratio,
        "duration": body::option(task, "duration"),
        "prompt_extend": body::option(task, "promptExtend"),
        "shot_type": body::option(task, "shotType"),
        "watermark": body::option(task, "watermark"),
        "seed": body::option(task, "seed"),
    })
}

fn from_wire(output: &OutputWire) -> Result<Progress, Fault> {
    Ok(match output.task_status.as_deref().unwrap_or_default() {
        "PENDING" => Progress::Queued,
        "RUNNING" => Progress::Running(None),
        "SUCCEEDED" => match done(output) {
            Ok(outputs) => Progress::Done(outputs),
            Err(fault) if fault.kind == Kind::Garbled => Progress::Failed(Fault::refused(Kind::Failed, fault.detail)),
            Err(fault) => Progress::Failed(fault),
        },
        "FAILED" => Progress::Failed(failure(output.code.as_deref(), output.message.as_deref())),
        "CANCELED" => Progress::Failed(Fault::refused(Kind::Failed, "cancelled at DashScope")),
        "UNKNOWN" => return Err(Fault::refused(Kind::Gone, "the task is unknown or older than a day")),
        unknown => {
            tracing::warn!(upstream.id = "dashscope", status = unknown, "a status word that is not documented");
            Progress::Running(None)
        }
    })
}

fn done(output: &OutputWire) -> Result<Outputs, Fault> {
    let files: Vec<Output> = addresses(output)
        .into_iter()
        .filter_map(|address| Url::parse(address).ok())
        .map(|url| Output { source: Source::Url { url, authorized: false }, content_type: None })
        .collect();
    if !files.is_empty() {
        return Ok(Outputs { files, ..Outputs::default() });
    }
    // A picture that was refused stands among the results with its code.
    let text = |name: &str| output.results.pointer(&format!("/0/{name}")).and_then(Value::as_str);
    match text("code") {
        Some(code) => Err(failure(Some(code), text("message"))),
        None => Err(garbled("succeeded without a result")),
    }
}

/// Where the results are: at one place for clips, another for animations, others for pictures.
fn addresses(output: &OutputWire) -> Vec<&str> {
    let clip = output.video_url.as_deref().or_else(|| output.results.get("video_url").and_then(Value::as_str));
    let pictures = output.results.as_array().into_iter().flatten().filter_map(|item| item.get("url")?.as_str());
    let contents = output.choices.iter().filter_map(|choice| choice.pointer("/message/content")?.as_array()).flatten();
    let messages = contents.filter_map(|part| part.get("image")?.as_str());
    clip.into_iter().chain(pictures).chain(messages).collect()
}

fn failure(code: Option<&str>, message: Option<&str>) -> Fault {
    let code = code.unwrap_or_default();
    let kind = match code.split('.').next().unwrap_or_default() {
        "DataInspectionFailed" | "IPInfringementSuspect" => Kind::Moderated,
        "InvalidParameter" => Kind::InvalidInput,
        "Arrearage" => Kind::Account,
        "Throttling" => Kind::Busy,
        _ => Kind::Failed,
    };
    Fault::refused(kind, excerpt(&format!("{code}: {}", message.unwrap_or_default())))
}

/// What a refused submit means: an endpoint that is not there is a wrong entry of ours.
fn refusal(reply: &Reply) -> Fault {
    let fault = classify(reply);
    if matches!(reply.status, 404 | 405) { Fault { kind: Kind::Account, ..fault } } else { fault }
}

fn classify(reply: &Reply) -> Fault {
    let Refusal { code, message } = reply.json().unwrap_or_default();
    let detail = excerpt(&format!("{code}: {message}"));
    let fault = if code.is_empty() { reply.fault(detail) } else { reply.told_fault(detail) };
    let kind = match code.as_str() {
        "Throttling.AllocationQuota" | "Arrearage" | "ModelNotFound" | "InvalidApiKey" => Kind::Account,
        code if code.starts_with("AccessDenied") || code.ends_with(".AccessDenied") => Kind::Account,
        code if code.starts_with("DataInspectionFailed") || code.starts_with("IPInfringement") => Kind::Moderated,
        // The model or the path is wrong, and those are ours.
        code if code.starts_with("InvalidParameter")
            && (message.contains("url error") || message.contains("Model not exist")) =>
        {
            Kind::Account
        }
        code if code.starts_with("Throttling") => Kind::Busy,
        _ => fault.kind,
    };
    Fault { kind, ..fault }
}

#[derive(Deserialize)]
struct Answer {
    output: OutputWire,
}

#[derive(Deserialize)]
struct OutputWire {
    task_id: Option<String>,
    task_status: Option<String>,
    code: Option<String>,
    message: Option<String>,
    video_url: Option<String>,
    /// A list for pictures, an object for animations.
    #[serde(default)]
    results: Value,
    #[serde(default)]
    choices: Vec<Value>,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: Value) -> Result<Progress, Fault> {
        from_wire(&serde_json::from_value(output).unwrap())
    }

    #[test]
    fn results_are_found_wherever_a_model_puts_them() {
        for output in [
            json!({ "task_status": "SUCCEEDED", "video_url": "https://oss.example/a.mp4" }),
            json!({ "task_status": "SUCCEEDED", "results": { "video_url": "https://oss.example/a.mp4" } }),
            json!({ "task_status": "SUCCEEDED", "results": [{ "url": "https://oss.example/a.png" }] }),
            json!({ "task_status": "SUCCEEDED",
                "choices": [{ "message": { "content": [{ "image": "https://oss.example/a.png" }] } }] }),
        ] {
            assert!(matches!(read(output), Ok(Progress::Done(outputs)) if outputs.files.len() == 1));
        }
    }

    #[test]
    fn a_refused_picture_is_a_moderated_run() {
        let output =
            json!({ "task_status": "SUCCEEDED", "results": [{ "code": "DataInspectionFailed", "message": "no" }] });
        assert!(matches!(read(output), Ok(Progress::Failed(fault)) if fault.kind == Kind::Moderated));
    }

    #[test]
    fn an_unknown_task_is_gone() {
        assert!(matches!(read(json!({ "task_status": "UNKNOWN" })), Err(fault) if fault.kind == Kind::Gone));
    }
}
