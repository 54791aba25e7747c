//! The v3 protocol: one job protocol for all models, and a chain of two jobs where an avatar speaks a text.

use std::time::Duration;

use reqwest::multipart::Form;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{
    UPLOAD_LIMIT, Voice, about_submit, done, failed, is_speech, keep_voices, kept_voices, kind_of, percent, pick,
    prompt, spoken, unreadable,
};
use crate::{
    domain::{Fault, Verdict, fault::Kind},
    providers::{
        Call, Cx, Handle, Progress, Reconciled, Reply, Submitted, Task,
        body::{Fields, param, text},
        files,
        http::{excerpt, preparing},
        resend,
    },
};

const BASE: &str = "https://api.hedra.com/v3";

/// Bounds the look-up in a list of voices.
const MAX_PAGES: usize = 10;

/// How long a key is remembered is not documented; so long it surely is.
const KEY_LIFE: Duration = Duration::from_hours(1);

/// How long the second job of a chain is remembered; longer than any deadline.
const CHAIN_LIFE: Duration = Duration::from_hours(24);

pub(super) async fn submit(cx: &Cx, task: &Task) -> Result<Handle, Fault> {
    let key = resend::key(task);
    if is_speech(task) {
        return speak(cx, task, &task.model, &key).await.map(Handle);
    }
    if let Some(audio) = task.input.audio.as_deref() {
        let audio = upload(cx, audio).await.map_err(preparing)?;
        return perform(cx, task, audio, &key).await.map(Handle);
    }
    let Some(speech) = param(task, "speech") else {
        return Err(Fault::refused(Kind::InvalidInput, "this model speaks recordings only"));
    };
    speak(cx, task, speech, &format!("{key}-speech")).await.map(Handle)
}

pub(super) async fn poll(cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
    let chained = !is_speech(task) && task.input.audio.is_none();
    if !chained {
        return job(cx, &handle.0).await.map(Job::progress);
    }
    let second = format!("avatar of {}", handle.0);
    if let Some(Value::String(avatar)) = cx.cache.get(&second, cx.now()) {
        return job(cx, &avatar).await.map(Job::progress);
    }
    let speech = job(cx, &handle.0).await?;
    let Some(asset) = speech.outputs.first().and_then(|output| output.asset_id.clone()) else {
        return match speech.progress() {
            Progress::Done(_) => Err(unreadable()),
            going => Ok(going),
        };
    };
    let audio = json!({ "source": "asset", "asset_id": asset });
    match perform(cx, task, audio, &resend::key(task)).await.map_err(about_submit) {
        Ok(avatar) => {
            cx.cache.put(&second, avatar.into(), cx.now() + CHAIN_LIFE);
            Ok(Progress::Running(None))
        }
        // Asked again, it would be refused again.
        Err(fault) if !fault.is_transient() => Ok(Progress::Failed(fault)),
        Err(fault) => Err(fault),
    }
}

/// Sends the work again under the same key: the service replays its first answer.
pub(super) async fn reconcile(cx: &Cx, task: &Task) -> Result<Reconciled, Fault> {
    if !resend::is_remembered(cx, task, KEY_LIFE) {
        return Ok(Reconciled::Unsupported);
    }
    let answer = submit(cx, task).await.map_err(about_submit);
    resend::reconciled(answer.map(|handle| Submitted::Accepted { handle, poll_after: None }))
}

pub(super) async fn check(cx: &Cx) -> Result<(), Fault> {
    read::<Value>(&keyed(cx, cx.get(&format!("{BASE}/balance"))?)?.send().await?).map(drop)
}

fn keyed(cx: &Cx, call: Call) -> Result<Call, Fault> {
    Ok(call.header("authorization", &format!("Key {}", cx.secret("HEDRA_API_KEY")?)))
}

fn read<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, Fault> {
    if reply.is_success() { reply.json() } else { Err(classify(reply)) }
}

async fn start(cx: &Cx, model: &str, input: Fields, key: &str) -> Result<String, Fault> {
    let call = keyed(cx, cx.post(&format!("{BASE}/models/{model}"))?)?.header("idempotency-key", key);
    let answer: Value = read(&call.json(&json!({ "input": Value::from(input) })).send().await?)?;
    answer.get("job_id").and_then(Value::as_str).map(str::to_owned).ok_or_else(unreadable)
}

async fn speak(cx: &Cx, task: &Task, model: &str, key: &str) -> Result<String, Fault> {
    let voice = voice(cx, task, model).await.map_err(preparing)?;
    start(cx, model, spoken(Fields::new(), task, &voice), key).await
}

async fn perform(cx: &Cx, task: &Task, audio: Value, key: &str) -> Result<String, Fault> {
    let image = upload(cx, task.input.image.as_deref().unwrap_or_default()).await.map_err(preparing)?;
    start(cx, &task.model, input(task, image, audio), key).await
}

fn input(task: &Task, image: Value, audio: Value) -> Fields {
    Fields::new()
        .set("start_image", image)
        .set("audio", audio)
        .maybe("prompt", prompt(task))
        .option("aspect_ratio", task, "aspectRatio")
        .option("resolution", task, "resolution")
        .option("quality", task, "mode")
}

async fn upload(cx: &Cx, input: &str) -> Result<Value, Fault> {
    let form = Form::new().part("file", files::part(files::bytes(cx, input).await?)?);
    let call = keyed(cx, cx.post(&format!("{BASE}/files"))?)?.form(form).timeout(UPLOAD_LIMIT);
    let answer: Value = read(&call.send().await?)?;
    let url = answer.get("url").and_then(Value::as_str).ok_or_else(unreadable)?;
    Ok(json!({ "source": "url", "url": url }))
}

async fn voice(cx: &Cx, task: &Task, model: &str) -> Result<String, Fault> {
    let asked = text(task, "voice");
    if let Some(id) = asked.filter(|asked| asked.starts_with("voice_")) {
        return Ok(id.to_owned());
    }
    let list = format!("v3 voices of {model}");
    if let Some(voices) = kept_voices(cx, &list) {
        return pick(&voices, asked);
    }
    let voices = voices(cx, model).await?;
    keep_voices(cx, &list, &voices);
    pick(&voices, asked)
}

async fn voices(cx: &Cx, model: &str) -> Result<Vec<Voice>, Fault> {
    #[derive(Deserialize)]
    struct Page {
        data: Vec<Row>,
        next_cursor: Option<String>,
    }
    #[derive(Deserialize)]
    struct Row {
        id: String,
        name: Option<String>,
        #[serde(default)]
        labels: Value,
    }
    let (mut voices, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..MAX_PAGES {
        let query: Vec<_> = cursor.as_deref().map(|cursor| ("cursor", cursor)).into_iter().collect();
        let call = keyed(cx, cx.get(&format!("{BASE}/models/{model}/voices"))?.query(&query))?;
        let page: Page = read(&call.send().await?)?;
        voices.extend(page.data.into_iter().map(|row| Voice {
            gender: row.labels.get("gender").and_then(Value::as_str).map(str::to_owned),
            name: row.name.unwrap_or_default(),
            id: row.id,
        }));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(voices)
}

#[derive(Deserialize)]
struct Job {
    status: String,
    progress: Option<f64>,
    #[serde(default)]
    outputs: Vec<JobOutput>,
    error: Option<JobError>,
}

#[derive(Deserialize)]
struct JobOutput {
    status: Option<String>,
    asset_id: Option<String>,
    url: Option<Url>,
    content_type: Option<String>,
    error: Option<JobError>,
}

#[derive(Clone, Default, Deserialize)]
struct JobError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// The state of a job; once it has ended, with what came of it.
async fn job(cx: &Cx, id: &str) -> Result<Job, Fault> {
    let state: Job = read(&keyed(cx, cx.get(&format!("{BASE}/jobs/{id}/status"))?)?.send().await?)?;
    if !matches!(state.status.as_str(), "COMPLETED" | "FAILED") {
        return Ok(state);
    }
    read(&keyed(cx, cx.get(&format!("{BASE}/jobs/{id}"))?)?.send().await?)
}

impl Job {
    fn progress(self) -> Progress {
        match self.status.as_str() {
            "IN_QUEUE" => Progress::Queued,
            "IN_PROGRESS" => Progress::Running(percent(self.progress)),
            "COMPLETED" => match self.outputs.into_iter().next() {
                Some(JobOutput { url: Some(url), content_type, .. }) => done(url, content_type),
                Some(output) => {
                    let error = output.error.unwrap_or_default();
                    failed(&error.code, &format!("{} {}", output.status.unwrap_or_default(), error.message))
                }
                None => failed("", "completed without an output"),
            },
            "FAILED" => {
                let error = self.error.unwrap_or_default();
                failed(&error.code, &error.message)
            }
            other => {
                tracing::warn!(status = other, "Hedra names a status we do not know");
                Progress::Running(None)
            }
        }
    }
}

/// Reads an error by its code, else by the HTTP status.
fn classify(reply: &Reply) -> Fault {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let error = body.get("error").unwrap_or(&Value::Null);
    let field = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let words = if error.is_null() { String::from_utf8_lossy(&reply.body).into_owned() } else { String::new() };
    let detail = excerpt(&format!("{} {}{words}", field("code"), field("message")));
    let mut fault = if field("code").is_empty() { reply.fault(detail) } else { reply.told_fault(detail) };
    if let Some(kind) = kind_of(field("code")) {
        fault.kind = kind;
    }
    if matches!(field("code"), "ALREADY_IN_PROGRESS" | "ALREADY_EXISTS" | "DEADLINE_EXCEEDED") {
        // A request under this key may well start the work.
        fault.verdict = Verdict::Unknown;
    }
    let told = error.get("retry_after").and_then(Value::as_u64).map(Duration::from_secs);
    fault.retry_after = fault.retry_after.or(told);
    fault
}

#[cfg(test)]
mod tests {
    use super::{super::tests::task, *};

    #[test]
    fn an_avatar_job_has_picture_sound_and_options() {
        let options = json!({ "prompt": "A person talks.", "aspectRatio": "1:1", "resolution": "720p", "voice": "x" });
        let sent = input(&task("hedra-character-3", json!({}), options), json!("i"), json!("a"));
        let expected = json!({
            "start_image": "i", "audio": "a", "prompt": "A person talks.", "aspect_ratio": "1:1", "resolution": "720p",
        });
        assert_eq!(Value::from(sent), expected);
        let sent = input(&task("omnihuman-15", json!({}), json!({ "voice": "x" })), json!("i"), json!("a"));
        assert_eq!(Value::from(sent), json!({ "start_image": "i", "audio": "a" }));
    }

    fn job(body: Value) -> Progress {
        serde_json::from_value::<Job>(body).unwrap().progress()
    }

    #[test]
    fn states_are_read() {
        assert!(matches!(job(json!({ "status": "IN_QUEUE", "progress": null })), Progress::Queued));
        assert!(matches!(job(json!({ "status": "IN_PROGRESS", "progress": 0.4 })), Progress::Running(Some(40))));
        assert!(matches!(job(json!({ "status": "DREAMING" })), Progress::Running(None)));
        let output = json!({ "status": "COMPLETED", "url": "https://a.test/v.mp4", "content_type": "video/mp4" });
        assert!(matches!(job(json!({ "status": "COMPLETED", "outputs": [output] })), Progress::Done(_)));
        let expired = json!({ "status": "EXPIRED", "url": null, "error": null });
        assert!(matches!(job(json!({ "status": "COMPLETED", "outputs": [expired] })), Progress::Failed(_)));
        let error = json!({ "code": "MODERATION_FAILED", "message": "no", "retryable": false });
        let Progress::Failed(fault) = job(json!({ "status": "FAILED", "error": error })) else { panic!() };
        assert_eq!(fault.kind, Kind::Moderated);
    }

    #[test]
    fn errors_are_read_by_their_codes() {
        let read_as = |status, code: &str| {
            let body = json!({ "error": { "code": code, "message": "no", "retry_after": 7 } }).to_string();
            classify(&Reply { status, headers: reqwest::header::HeaderMap::new(), body: body.into() })
        };
        let fault = read_as(422, "MODERATION_FAILED");
        assert_eq!((fault.kind, fault.verdict), (Kind::Moderated, Verdict::Refused));
        let fault = read_as(429, "RESOURCE_EXHAUSTED");
        assert_eq!((fault.kind, fault.retry_after), (Kind::Busy, Some(Duration::from_secs(7))));
        assert_eq!(read_as(410, "GONE").kind, Kind::Account);
        assert_eq!(read_as(500, "INTERNAL").verdict, Verdict::Refused);
        assert_eq!(read_as(504, "DEADLINE_EXCEEDED").verdict, Verdict::Unknown);
        assert_eq!(read_as(500, "").verdict, Verdict::Unknown);
        assert_eq!(read_as(409, "ALREADY_IN_PROGRESS").verdict, Verdict::Unknown);
    }
}
