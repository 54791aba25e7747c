//! Replicate: hosted open and partner models behind one predictions API, <https://replicate.com/docs/reference/http>.
//!
//! Quirks: official models are run under their name, others by version; a file is a URL, a list of them or an object,
//! as the model likes; everything of a prediction is deleted after an hour; any unknown top-level property is refused.
//! There is no idempotency key, and a list of predictions does not tell ours apart.
//!
//! Reads `params.input` (fixed fields), `params.version` (64 hex digits, for models that are not official) and
//! `route.wire`; the model id is `owner/name`.
//! Unconfirmed: what a cancel of a finished prediction answers (taken: the prediction, unchanged).

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    domain::{Fault, Upstream, fault::Kind, output::Outputs},
    media::InputFile,
    providers::{
        Call, Cancelled, Cx, Handle, Progress, Provider, Reply, Submitted, Task, hosted,
        http::{excerpt, preparing},
    },
};

const API: &str = "https://api.replicate.com/v1";

/// The largest file that may stand in the request itself.
const INLINE_BYTES: usize = 256 << 10;

/// The adapter.
pub struct Replicate;

#[async_trait]
impl Provider for Replicate {
    fn upstream(&self) -> Upstream {
        "replicate".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let mut places = HashMap::new();
        for url in hosted::media(task) {
            places.insert(url.to_owned(), place(cx, url).await.map_err(preparing)?);
        }
        let (path, body) = to_wire(task, &places);
        let reply = call(cx, Method::POST, &path)?.json(&body).send().await?;
        if !reply.is_success() {
            return Err(refusal(&reply));
        }
        let prediction: Prediction = reply.json()?;
        if prediction.status == "succeeded"
            && let Progress::Done(outputs) = from_wire(&prediction)
        {
            return Ok(Submitted::Done(outputs));
        }
        Ok(Submitted::Accepted { handle: Handle(prediction.id), poll_after: None })
    }

    async fn poll(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let reply = call(cx, Method::GET, &format!("/predictions/{}", handle.0))?.send().await?;
        if !reply.is_success() {
            return Err(classify(&reply));
        }
        Ok(from_wire(&reply.json()?))
    }

    async fn cancel(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Cancelled, Fault> {
        let reply = call(cx, Method::POST, &format!("/predictions/{}/cancel", handle.0))?.send().await?;
        match reply.status {
            200..=299 => Ok(match reply.json::<Prediction>()?.status.as_str() {
                "succeeded" | "failed" => Cancelled::TooLate,
                _ => Cancelled::Stopped,
            }),
            404 => Ok(Cancelled::TooLate),
            _ => Err(classify(&reply)),
        }
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let reply = call(cx, Method::GET, "/account")?.send().await?;
        if reply.is_success() { Ok(()) } else { Err(classify(&reply)) }
    }
}

fn call(cx: &Cx, method: Method, path: &str) -> Result<Call, Fault> {
    let token = cx.secret("REPLICATE_API_TOKEN")?;
    Ok(cx.call(method, &format!("{API}{path}"))?.bearer(token))
}

/// An address Replicate can fetch, or the file itself where we have no public address: small ones in the request,
/// others by upload.
async fn place(cx: &Cx, url: &str) -> Result<String, Fault> {
    if let Ok(reachable) = cx.input_url(url).await {
        return Ok(reachable);
    }
    let file = cx.input(url).await?;
    if file.bytes.len() <= INLINE_BYTES {
        return Ok(file.data_url());
    }
    upload(cx, file).await
}

async fn upload(cx: &Cx, file: InputFile) -> Result<String, Fault> {
    let part = Part::stream(file.bytes).file_name("input").mime_str(&file.content_type);
    let part = part.map_err(|error| Fault::refused(Kind::InvalidInput, "not a content type").because(error))?;
    let reply = call(cx, Method::POST, "/files")?.form(Form::new().part("content", part)).send().await?;
    if !reply.is_success() {
        return Err(refusal(&reply));
    }
    Ok(reply.json::<Uploaded>()?.urls.get)
}

fn to_wire(task: &Task, places: &HashMap<String, String>) -> (String, Value) {
    let input = hosted::body(task, places);
    match task.params.get("version").and_then(Value::as_str) {
        Some(version) => ("/predictions".to_owned(), json!({ "version": version, "input": input })),
        None => (format!("/models/{}/predictions", task.model), json!({ "input": input })),
    }
}

fn from_wire(prediction: &Prediction) -> Progress {
    match prediction.status.as_str() {
        "starting" => Progress::Queued,
        "processing" => Progress::Running(percent(prediction.logs.as_deref().unwrap_or_default())),
        "succeeded" => {
            let files = hosted::files(&prediction.output);
            if files.is_empty() {
                let why = if prediction.data_removed { "the result was deleted" } else { "no file in the result" };
                return Progress::Failed(Fault::refused(Kind::Failed, why));
            }
            Progress::Done(Outputs { files, ..Outputs::default() })
        }
        "failed" => Progress::Failed(failure(&prediction.error)),
        "canceled" | "aborted" => Progress::Failed(Fault::refused(Kind::Failed, prediction.status.clone())),
        word => {
            tracing::warn!(status = word, "replicate: unknown status");
            Progress::Running(None)
        }
    }
}

/// The last percentage of a progress bar in the logs: ` 50%|#####     |`.
fn percent(logs: &str) -> Option<u8> {
    let (before, _) = logs.rsplit_once("%|")?;
    let digits = before.rsplit(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().filter(|percent| *percent <= 100)
}

fn failure(error: &Value) -> Fault {
    let text = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
    let moderated = ["NSFW", "flagged as sensitive", "(E005)"].iter().any(|sign| text.contains(sign));
    Fault::refused(if moderated { Kind::Moderated } else { Kind::Failed }, excerpt(&text))
}

/// A submit that was refused: an unknown model there means a wrong catalogue entry.
fn refusal(reply: &Reply) -> Fault {
    let mut fault = classify(reply);
    if fault.kind == Kind::Gone {
        fault.kind = Kind::Account;
    }
    fault
}

fn classify(reply: &Reply) -> Fault {
    let problem: Problem = reply.json().unwrap_or_default();
    let mut fault = reply.fault(excerpt(&format!("{} {}", problem.title, problem.detail)));
    if reply.status == 422 && problem.title.starts_with("Invalid version") {
        fault.kind = Kind::Account;
    }
    if reply.status == 429 && fault.retry_after.is_none() {
        fault.retry_after = problem.retry_after.map(Duration::from_secs);
    }
    fault
}

#[derive(Deserialize)]
struct Prediction {
    id: String,
    status: String,
    #[serde(default)]
    output: Value,
    #[serde(default)]
    error: Value,
    logs: Option<String>,
    #[serde(default)]
    data_removed: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    retry_after: Option<u64>,
}

#[derive(Deserialize)]
struct Uploaded {
    urls: UploadedUrls,
}

#[derive(Deserialize)]
struct UploadedUrls {
    get: String,
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "json! literals read better without a borrow")]
mod tests {
    use super::*;
    use crate::domain::Verdict;

    fn prediction(fields: Value) -> Progress {
        let mut whole = json!({ "id": "p1", "status": "succeeded", "logs": null, "error": null, "output": null });
        whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        from_wire(&serde_json::from_value(whole).unwrap())
    }

    fn reply(status: u16, body: &Value) -> Reply {
        Reply { status, headers: reqwest::header::HeaderMap::new(), body: body.to_string().into() }
    }

    #[test]
    fn every_status_word_has_its_meaning() {
        assert!(matches!(prediction(json!({ "status": "starting" })), Progress::Queued));
        let running = json!({ "status": "processing", "logs": "  25%|##  |\n 50%|#####     | 14/28" });
        assert!(matches!(prediction(running), Progress::Running(Some(50))));
        assert!(matches!(prediction(json!({ "status": "canceled" })), Progress::Failed(f) if f.kind == Kind::Failed));
        assert!(matches!(prediction(json!({ "status": "resting" })), Progress::Running(None)));
    }

    #[test]
    fn outputs_come_in_three_shapes() {
        for (output, count) in [
            (json!("https://replicate.delivery/a.jpg"), 1),
            (json!(["https://replicate.delivery/a.jpg", "https://replicate.delivery/b.jpg"]), 2),
            (json!({ "video": "https://replicate.delivery/a.mp4", "frames": 3 }), 1),
        ] {
            assert!(matches!(prediction(json!({ "output": output })), Progress::Done(out) if out.files.len() == count));
        }
        let gone = prediction(json!({ "output": null, "data_removed": true }));
        assert!(matches!(gone, Progress::Failed(fault) if fault.detail.contains("deleted")));
    }

    #[test]
    fn moderation_is_told_from_failure() {
        for (error, kind) in [
            ("NSFW content detected. Try running it again", Kind::Moderated),
            ("The input or output was flagged as sensitive. (E005)", Kind::Moderated),
            ("CUDA out of memory", Kind::Failed),
        ] {
            let progress = prediction(json!({ "status": "failed", "error": error }));
            assert!(matches!(progress, Progress::Failed(fault) if fault.kind == kind), "{error}");
        }
    }

    #[test]
    fn refusals_say_whose_fault_it_is() {
        let kind = |status, body| refusal(&reply(status, &body)).kind;
        assert_eq!(kind(401, json!({ "title": "Unauthenticated", "detail": "…", "status": 401 })), Kind::Account);
        assert_eq!(kind(402, json!({ "title": "Insufficient credit" })), Kind::Account);
        assert_eq!(kind(404, json!({ "detail": "The requested resource could not be found." })), Kind::Account);
        assert_eq!(kind(422, json!({ "title": "Input validation failed" })), Kind::InvalidInput);
        assert_eq!(kind(422, json!({ "title": "Invalid version or not permitted" })), Kind::Account);
        assert_eq!(refusal(&reply(500, &json!({}))).verdict, Verdict::Unknown);
        let throttled = refusal(&reply(429, &json!({ "detail": "throttled", "status": 429, "retry_after": 30 })));
        assert_eq!((throttled.kind, throttled.retry_after), (Kind::Busy, Some(Duration::from_secs(30))));
    }
}
