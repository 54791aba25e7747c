//! Vidu: `https://platform.vidu.com/docs`.
//!
//! Quirks:
//! - `Authorization: Token …`, not Bearer. The path tells the kind of task, chosen here by the inputs.
//! - `reason` is the stable name of an error; the same names stand in `err_code` of a failed task. Money, model and
//!   concurrency troubles come as HTTP 400 too, so the name decides.
//! - `payload` comes back with the task; it holds our id, but nothing can be asked by it: a lost submit stays lost.
//! - Only what waits can be cancelled. A cancelled task reads as failed.
//!
//! Route `params`: `path` where the inputs do not tell it (`extend`, `reference2image`, `ecommerce-img`,
//! `ad-one-click`, `trending-replicate`).
//!
//! Unconfirmed: the shape of a 503; the `err_code` of a cancelled task.

use async_trait::async_trait;
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
        Call, Cancelled, Cx, Handle, Progress, Provider, Reply, Submitted, Task,
        body::{Fields, id_text, param, text},
        files::{link, link_or_inline},
        http::{excerpt, unreadable},
    },
};

const BASE: &str = "https://api.vidu.com/ent/v2";

/// The adapter for Vidu.
pub struct Vidu;

#[async_trait]
impl Provider for Vidu {
    fn upstream(&self) -> Upstream {
        "vidu".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let input = resolve(cx, &task.input).await?;
        let path = path(task);
        let call = authorized(cx, cx.post(&format!("{BASE}/{path}"))?)?;
        let answer: Value = read(&call.json(&body(path, task, &input)).send().await?)?;
        let id = answer.get("task_id").and_then(id_text).ok_or_else(unreadable)?;
        Ok(Submitted::Accepted { handle: Handle(id), poll_after: None })
    }

    async fn poll(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let call = authorized(cx, cx.get(&format!("{BASE}/tasks/{}/creations", handle.0))?)?;
        progress(read(&call.send().await?)?)
    }

    async fn cancel(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Cancelled, Fault> {
        let call = authorized(cx, cx.post(&format!("{BASE}/tasks/{}/cancel", handle.0))?)?;
        let reply = call.json(&json!({ "id": handle.0 })).send().await?;
        if reply.is_success() {
            return Ok(Cancelled::Stopped);
        }
        let fault = classify(&reply);
        // "task state is scheduled, can not cancel"
        if matches!(fault.kind, Kind::InvalidInput | Kind::Gone | Kind::Failed) {
            return Ok(Cancelled::TooLate);
        }
        Err(fault)
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        // A task that is surely not there: the answer tells a good key from a bad one and costs nothing.
        let reply = authorized(cx, cx.get(&format!("{BASE}/tasks/1/creations"))?)?.send().await?;
        match read::<Value>(&reply) {
            Ok(_) => Ok(()),
            Err(fault) if matches!(fault.kind, Kind::Gone | Kind::InvalidInput) => Ok(()),
            Err(fault) => Err(fault),
        }
    }
}

fn authorized(cx: &Cx, call: Call) -> Result<Call, Fault> {
    Ok(call.header("authorization", &format!("Token {}", cx.secret("VIDU_API_KEY")?)))
}

/// The inputs as this service takes them: pictures by address or as data URLs, clips by address.
async fn resolve(cx: &Cx, input: &ContentInput) -> Result<ContentInput, Fault> {
    let mut resolved = input.clone();
    for picture in [&mut resolved.image, &mut resolved.last_image].into_iter().flatten() {
        *picture = link_or_inline(cx, picture, InputFile::data_url).await?;
    }
    for picture in resolved.images.iter_mut().flatten() {
        *picture = link_or_inline(cx, picture, InputFile::data_url).await?;
    }
    if let Some(video) = &mut resolved.video {
        *video = link(cx, video).await?;
    }
    Ok(resolved)
}

fn path(task: &Task) -> &str {
    let input = &task.input;
    match param(task, "path") {
        Some(path) => path,
        None if input.images.is_some() => "reference2video",
        None if input.image.is_some() && input.last_image.is_some() => "start-end2video",
        None if input.image.is_some() => "img2video",
        None => "text2video",
    }
}

fn body(path: &str, task: &Task, input: &ContentInput) -> Value {
    let fields = match path {
        "ad-one-click" => Fields::new()
            .maybe("images", input.images.clone())
            .maybe("prompt", input.text.clone())
            .option("duration", task, "duration")
            .option("aspect_ratio", task, "aspectRatio")
            .option("language", task, "language"),
        "trending-replicate" => Fields::new()
            .maybe("video_url", input.video.clone())
            .maybe("images", input.images.clone())
            .maybe("prompt", input.text.clone())
            .option("aspect_ratio", task, "aspectRatio")
            .option("resolution", task, "resolution")
            .option("remove_audio", task, "removeAudio"),
        "ecommerce-img" => Fields::new()
            .maybe("image", input.image.clone())
            .option("count", task, "n")
            .maybe("prompt", input.text.clone())
            .option("background", task, "background"),
        "reference2image" => Fields::new()
            .set("model", task.model.as_str())
            .maybe("prompt", input.text.clone())
            .maybe("images", input.images.clone())
            .option("aspect_ratio", task, "aspectRatio")
            .maybe("resolution", text(task, "resolution").map(|size| size.replace('k', "K")))
            .option("seed", task, "seed")
            .set("payload", task.id.to_string()),
        "extend" => Fields::new()
            .set("model", task.model.as_str())
            .maybe("video_url", input.video.clone())
            .maybe("images", input.last_image.as_ref().map(|image| vec![image.clone()]))
            .maybe("prompt", input.text.clone())
            .option("duration", task, "duration")
            .option("resolution", task, "resolution")
            .set("payload", task.id.to_string()),
        _ => clip(path, task, input),
    };
    fields.into()
}

/// A clip from text, from one or two frames, or from reference pictures. A clip from frames has their shape.
fn clip(path: &str, task: &Task, input: &ContentInput) -> Fields {
    let frames: Vec<String> = input.image.iter().chain(&input.last_image).cloned().collect();
    let pictures = input.images.clone().or((!frames.is_empty()).then_some(frames));
    let motion = text(task, "motionIntensity").map(|level| match level {
        "low" => "small",
        "high" => "large",
        other => other,
    });
    let fields = Fields::new()
        .set("model", task.model.as_str())
        .maybe("prompt", input.text.clone())
        .maybe("images", pictures)
        .maybe("videos", input.video.as_ref().map(|video| vec![video.clone()]))
        .option("duration", task, "duration")
        .option("resolution", task, "resolution")
        .maybe("movement_amplitude", motion)
        .option("audio", task, "sound")
        .option("bgm", task, "music")
        .option("seed", task, "seed")
        .set("payload", task.id.to_string());
    match path {
        "text2video" => fields.option("aspect_ratio", task, "aspectRatio").option("style", task, "look"),
        "reference2video" => fields.option("aspect_ratio", task, "aspectRatio"),
        _ => fields,
    }
}

#[derive(Deserialize)]
struct Answer {
    state: String,
    #[serde(default)]
    err_code: Option<String>,
    #[serde(default)]
    creations: Option<Vec<Creation>>,
}

#[derive(Deserialize)]
struct Creation {
    url: Url,
}

fn progress(answer: Answer) -> Result<Progress, Fault> {
    Ok(match answer.state.as_str() {
        "created" | "queueing" => Progress::Queued,
        "processing" => Progress::Running(None),
        "success" => {
            let files: Vec<Output> = answer.creations.unwrap_or_default().into_iter().map(output).collect();
            if files.is_empty() {
                return Err(unreadable());
            }
            Progress::Done(Outputs { files, ..Outputs::default() })
        }
        "failed" => {
            let reason = answer.err_code.unwrap_or_default();
            Progress::Failed(Fault::refused(failure(&reason), excerpt(&reason)))
        }
        other => {
            tracing::warn!(status = other, "Vidu names a state we do not know");
            Progress::Running(None)
        }
    })
}

fn output(creation: Creation) -> Output {
    Output { source: Source::Url { url: creation.url, authorized: false }, content_type: None }
}

/// Whose fault the failure of a task was, by the name of its error.
fn failure(reason: &str) -> Kind {
    match reason {
        reason if is_moderation(reason) => Kind::Moderated,
        reason if reason.starts_with("Field") || reason.starts_with("Image") => Kind::InvalidInput,
        _ => Kind::Failed,
    }
}

fn is_moderation(reason: &str) -> bool {
    matches!(reason, "TaskPromptPolicyViolation" | "AuditSubmitIllegal" | "CreationPolicyViolation")
}

fn read<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, Fault> {
    if reply.is_success() { reply.json() } else { Err(classify(reply)) }
}

/// Reads an error: by its name, else by the HTTP status.
fn classify(reply: &Reply) -> Fault {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Problem {
        reason: String,
        message: String,
    }
    let Ok(Problem { reason, message }) = reply.json() else {
        return reply.fault(excerpt(&String::from_utf8_lossy(&reply.body)));
    };
    let detail = excerpt(&format!("{reason} {message}"));
    let kind = match reason.as_str() {
        reason if is_moderation(reason) => Kind::Moderated,
        "CreditInsufficient" | "ModelUnavailable" | "Unauthorized" | "Forbidden" => Kind::Account,
        "OperationInProcess" | "Conflict" | "QuotaExceeded" | "TooManyRequests" | "SystemThrottling" => Kind::Busy,
        "UserCancelled" => Kind::Failed,
        "TaskNotFound" | "CreationNotFound" | "NotFound" => Kind::Gone,
        "Canceled" | "InternalServiceFailure" => Kind::Down,
        "" => return reply.fault(detail),
        _ => return reply.told_fault(detail),
    };
    Fault::refused(kind, detail).retry_after(reply.retry_after())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use reqwest::header::HeaderMap;
    use serde_json::Map;

    use super::*;
    use crate::domain::{GenerationId, GenerationType};

    fn task(model: &str, options: &Value, input: ContentInput) -> Task {
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Video,
            model: model.to_owned(),
            params: Map::new(),
            input,
            options: options.as_object().cloned().unwrap_or_default(),
            wire: BTreeMap::new(),
        }
    }

    fn url(name: &str) -> String {
        format!("https://example.com/{name}.png")
    }

    #[test]
    fn the_inputs_choose_the_path() {
        let on = |input: ContentInput| path(&task("viduq3-turbo", &json!({}), input)).to_owned();
        assert_eq!(on(ContentInput { text: Some("a".to_owned()), ..Default::default() }), "text2video");
        assert_eq!(on(ContentInput { image: Some(url("a")), ..Default::default() }), "img2video");
        assert_eq!(
            on(ContentInput { image: Some(url("a")), last_image: Some(url("b")), ..Default::default() }),
            "start-end2video"
        );
        assert_eq!(on(ContentInput { images: Some(vec![]), ..Default::default() }), "reference2video");
    }

    #[test]
    fn frames_keep_their_order_and_shape() {
        let input = ContentInput { image: Some(url("a")), last_image: Some(url("b")), ..Default::default() };
        let task = task("viduq1", &json!({ "motionIntensity": "high", "aspectRatio": "1:1", "duration": 5 }), input);
        let body = body("start-end2video", &task, &task.input);
        assert_eq!(
            body,
            json!({
                "model": "viduq1", "duration": 5, "movement_amplitude": "large", "payload": task.id.to_string(),
                "images": ["https://example.com/a.png", "https://example.com/b.png"],
            })
        );
    }

    #[test]
    fn the_name_of_an_error_decides() {
        for (status, reason, kind) in [
            (400, "FieldInvalid", Kind::InvalidInput),
            (400, "CreditInsufficient", Kind::Account),
            (400, "OperationInProcess", Kind::Busy),
            (400, "AuditSubmitIllegal", Kind::Moderated),
            (429, "QuotaExceeded", Kind::Busy),
            (404, "TaskNotFound", Kind::Gone),
            (503, "", Kind::Down),
        ] {
            let body = json!({ "code": status, "reason": reason, "message": "m" }).to_string();
            let reply = Reply { status, headers: HeaderMap::new(), body: body.into() };
            assert_eq!(classify(&reply).kind, kind, "{reason}");
        }
    }

    #[test]
    fn the_name_of_a_failure_says_whose_fault_it_was() {
        for (reason, kind) in [
            ("CreationPolicyViolation", Kind::Moderated),
            ("ImageDownloadFailure", Kind::InvalidInput),
            ("InternalServiceFailure", Kind::Failed),
        ] {
            assert_eq!(failure(reason), kind, "{reason}");
        }
    }

    #[test]
    fn while_waiting_there_are_no_creations() {
        let answer = serde_json::from_value(json!({ "state": "queueing", "creations": null })).unwrap();
        assert!(matches!(progress(answer), Ok(Progress::Queued)));
    }
}
