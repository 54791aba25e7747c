//! `HeyGen`, API generation v3: `https://developers.heygen.com`.
//!
//! Quirks:
//! - Avatars ("looks") and voices go by id; names and genders are looked up in the lists ([`people`]).
//! - A gesture is acted by photo avatars, and by all looks on the engine `avatar_v`; anything else is refused there. Where
//!   the chosen look does not act it, it is not sent, and the result's `notes` say so.
//! - Every POST carries an `Idempotency-Key`: a lost submit is found by sending it again under the same key, which
//!   replays the first answer for 24 hours.
//! - Files go by address, or are uploaded first where nobody outside reaches ours.
//! - Output addresses expire and are fresh with every poll. There is no cancel.
//!
//! Route `params`: `kind`: `avatar`, `image`, `cinematic`, `lipsync` or `speech`. The route's model is the engine.
//!
//! Unconfirmed: the codes of failed tasks; moderation is read from their words.

mod body;
mod people;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use reqwest::multipart::Form;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use url::Url;

use self::body::Media;
use crate::{
    domain::{
        ContentInput, Fault, Upstream, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    providers::{
        Call, Cx, Handle, Progress, Provider, Reconciled, Reply, Submitted, Task,
        body::{param, text},
        files,
        http::{excerpt, preparing, unreadable},
        resend,
    },
};

const BASE: &str = "https://api.heygen.com/v3";

/// A create call may take half a minute on their side.
const CREATE_LIMIT: Duration = Duration::from_mins(2);

/// How long a key is remembered: 24 hours, less the time that a call takes.
const KEY_LIFE: Duration = Duration::from_hours(23);

/// The adapter for `HeyGen`.
pub struct HeyGen;

#[async_trait]
impl Provider for HeyGen {
    fn upstream(&self) -> Upstream {
        "heygen".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let person = people::choose(cx, task).await.map_err(preparing)?;
        let media = media(cx, task).await.map_err(preparing)?;
        let body = body::body(task, &person, media)?;
        let answer = create(cx, task, &body).await?;
        match kind(task) {
            "speech" => speech(answer, person.voice).map(Submitted::Done),
            _ => accepted(&answer, person.unacted),
        }
    }

    async fn poll(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let ours = Ours::read(handle);
        let folder = if kind(task) == "lipsync" { "lipsyncs" } else { "videos" };
        let video: Video = get(cx, &format!("/{folder}/{}", ours.id), &[]).await?.data;
        progress(video, &ours.unacted)
    }

    async fn reconcile(&self, cx: &Cx, task: &Task) -> Result<Reconciled, Fault> {
        if kind(task) == "speech" || !resend::is_remembered(cx, task, KEY_LIFE) {
            return Ok(Reconciled::Unsupported);
        }
        resend::reconciled(self.submit(cx, task).await)
    }

    fn resends(&self, _task: &Task) -> bool {
        true
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        get::<Value>(cx, "/users/me", &[]).await.map(drop)
    }
}

fn kind(task: &Task) -> &str {
    param(task, "kind").unwrap_or("avatar")
}

fn keyed(cx: &Cx, call: Call) -> Result<Call, Fault> {
    Ok(call.header("x-api-key", cx.secret("HEYGEN_API_KEY")?))
}

/// A successful answer; of lists, one page.
#[derive(Deserialize)]
struct Answer<T> {
    data: T,
    #[serde(default)]
    has_more: bool,
    next_token: Option<String>,
}

async fn get<T: DeserializeOwned>(cx: &Cx, path: &str, query: &[(&str, &str)]) -> Result<Answer<T>, Fault> {
    read(&keyed(cx, cx.get(&format!("{BASE}{path}"))?.query(query))?.send().await?)
}

fn read<T: DeserializeOwned>(reply: &Reply) -> Result<T, Fault> {
    if reply.is_success() { reply.json() } else { Err(classify(reply)) }
}

async fn create(cx: &Cx, task: &Task, body: &Value) -> Result<Value, Fault> {
    let path = match kind(task) {
        "lipsync" => "lipsyncs",
        "speech" => "voices/speech",
        _ => "videos",
    };
    let call = keyed(cx, cx.post(&format!("{BASE}/{path}"))?)?
        .header("idempotency-key", &resend::key(task))
        .timeout(CREATE_LIMIT);
    let answer: Answer<Value> = read(&call.json(body).send().await?).map_err(|mut fault| {
        // To a submit, "not found" is about the avatar, voice or file it names.
        if fault.kind == Kind::Gone {
            fault.kind = Kind::InvalidInput;
        }
        fault
    })?;
    Ok(answer.data)
}

async fn media(cx: &Cx, task: &Task) -> Result<Media, Fault> {
    let ContentInput { image, images, video, audio, .. } = &task.input;
    let mut references = Vec::new();
    for picture in images.iter().flatten() {
        references.push(asset(cx, picture).await?);
    }
    Ok(Media {
        image: maybe_asset(cx, image.as_deref()).await?,
        references,
        video: maybe_asset(cx, video.as_deref()).await?,
        audio: maybe_asset(cx, audio.as_deref()).await?,
        background: maybe_asset(cx, text(task, "background").filter(|it| body::is_address(it))).await?,
    })
}

async fn maybe_asset(cx: &Cx, input: Option<&str>) -> Result<Option<Value>, Fault> {
    match input {
        Some(input) => asset(cx, input).await.map(Some),
        None => Ok(None),
    }
}

/// A file as the protocol refers to it: by address, or by the id of its upload.
async fn asset(cx: &Cx, input: &str) -> Result<Value, Fault> {
    if let Some(url) = files::address(cx, input).await? {
        return Ok(json!({ "type": "url", "url": url }));
    }
    let form = Form::new().part("file", files::part(files::bytes(cx, input).await?)?);
    let call = keyed(cx, cx.post(&format!("{BASE}/assets"))?)?.form(form).timeout(CREATE_LIMIT);
    let answer: Answer<Value> = read(&call.send().await?)?;
    let id = answer.data.get("asset_id").and_then(Value::as_str).ok_or_else(unreadable)?;
    Ok(json!({ "type": "asset_id", "asset_id": id }))
}

/// Our handle: the id, and the options that the look does not act.
#[derive(Serialize, Deserialize)]
struct Ours {
    id: String,
    #[serde(default)]
    unacted: Vec<String>,
}

impl Ours {
    fn read(handle: &Handle) -> Self {
        serde_json::from_str(&handle.0).unwrap_or_else(|_| Self { id: handle.0.clone(), unacted: Vec::new() })
    }
}

fn accepted(answer: &Value, unacted: Vec<String>) -> Result<Submitted, Fault> {
    let id = answer.get("video_id").or_else(|| answer.get("lipsync_id")).and_then(Value::as_str);
    let id = id.ok_or_else(unreadable)?.to_owned();
    let handle = if unacted.is_empty() { id } else { json!(Ours { id, unacted }).to_string() };
    Ok(Submitted::Accepted { handle: Handle(handle), poll_after: None })
}

fn speech(answer: Value, voice: Option<String>) -> Result<Outputs, Fault> {
    #[derive(Deserialize)]
    struct Speech {
        audio_url: Url,
    }
    let Speech { audio_url } = serde_json::from_value(answer).map_err(|error| unreadable().because(error))?;
    let file = Output { source: Source::Url { url: audio_url, authorized: false }, content_type: None };
    let notes = voice.map(|voice| ("voice".to_owned(), voice.into())).into_iter().collect();
    Ok(Outputs { files: vec![file], seed: None, notes })
}

#[derive(Deserialize)]
struct Video {
    status: String,
    #[serde(rename = "video_url")]
    url: Option<Url>,
    failure_code: Option<String>,
    failure_message: Option<String>,
}

fn progress(video: Video, unacted: &[String]) -> Result<Progress, Fault> {
    Ok(match video.status.as_str() {
        "waiting" | "pending" | "queued" => Progress::Queued,
        "processing" | "running" => Progress::Running(None),
        "completed" => {
            let url = video.url.ok_or_else(unreadable)?;
            let file = Output { source: Source::Url { url, authorized: false }, content_type: None };
            Progress::Done(Outputs { files: vec![file], seed: None, notes: notes(unacted) })
        }
        "failed" => Progress::Failed(failed(
            video.failure_code.as_deref().unwrap_or_default(),
            video.failure_message.as_deref().unwrap_or_default(),
        )),
        other => {
            tracing::warn!(status = other, "HeyGen names a status we do not know");
            Progress::Running(None)
        }
    })
}

fn notes(unacted: &[String]) -> BTreeMap<String, Value> {
    if unacted.is_empty() {
        return BTreeMap::new();
    }
    let note = format!("{}: not acted by this avatar", unacted.join(", "));
    BTreeMap::from([("note".to_owned(), note.into())])
}

fn failed(code: &str, message: &str) -> Fault {
    let kind = if speaks_of_moderation(code) || speaks_of_moderation(message) { Kind::Moderated } else { Kind::Failed };
    Fault::refused(kind, excerpt(&format!("{code}: {message}")))
}

fn speaks_of_moderation(words: &str) -> bool {
    let words = words.to_lowercase();
    ["moderat", "policy", "inappropriate", "prohibited"].iter().any(|hint| words.contains(hint))
}

/// Reads an error by its code, else by the HTTP status.
fn classify(reply: &Reply) -> Fault {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let field = |name: &str| body.pointer(&format!("/error/{name}")).and_then(Value::as_str).unwrap_or_default();
    let code = field("code");
    let words = if code.is_empty() { String::from_utf8_lossy(&reply.body).into_owned() } else { String::new() };
    let mut fault = reply.fault(excerpt(&format!("{code} {}{words}", field("message"))));
    let told = match code {
        "resource_limit_reached" => Some((Kind::Account, Verdict::Refused)),
        "voice_not_usable" => Some((Kind::InvalidInput, Verdict::Refused)),
        // The first request under this key is under way: it may well start the work.
        "request_in_progress" | "conflict" => Some((Kind::Busy, Verdict::Unknown)),
        _ if reply.status < 500 && speaks_of_moderation(code) => Some((Kind::Moderated, Verdict::Refused)),
        _ => None,
    };
    if let Some((kind, verdict)) = told {
        (fault.kind, fault.verdict) = (kind, verdict);
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(status: u16, code: &str) -> (Kind, Verdict) {
        let body = json!({ "error": { "code": code, "message": "no" } }).to_string();
        let fault = classify(&Reply { status, headers: reqwest::header::HeaderMap::new(), body: body.into() });
        (fault.kind, fault.verdict)
    }

    #[test]
    fn errors_are_read_by_their_codes() {
        use Verdict::{Refused, Unknown};
        assert_eq!(read_as(400, "invalid_parameter"), (Kind::InvalidInput, Refused));
        assert_eq!(read_as(400, "resource_limit_reached"), (Kind::Account, Refused));
        assert_eq!(read_as(401, "unauthorized"), (Kind::Account, Refused));
        assert_eq!(read_as(402, "insufficient_credit"), (Kind::Account, Refused));
        assert_eq!(read_as(403, "voice_not_usable"), (Kind::InvalidInput, Refused));
        assert_eq!(read_as(404, "video_not_found"), (Kind::Gone, Refused));
        assert_eq!(read_as(409, "request_in_progress"), (Kind::Busy, Unknown));
        assert_eq!(read_as(429, "rate_limit_exceeded"), (Kind::Busy, Refused));
        assert_eq!(read_as(500, "internal_error"), (Kind::Down, Unknown));
    }

    fn video(status: &str) -> Video {
        let url = "https://files.heygen.test/v1.mp4";
        let body = json!({ "id": "v1", "status": status, "video_url": url, "failure_message": "content policy" });
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn status_words_are_read() {
        assert!(matches!(progress(video("waiting"), &[]), Ok(Progress::Queued)));
        assert!(matches!(progress(video("processing"), &[]), Ok(Progress::Running(None))));
        assert!(matches!(progress(video("dreaming"), &[]), Ok(Progress::Running(None))));
        assert!(matches!(progress(video("failed"), &[]), Ok(Progress::Failed(Fault { kind: Kind::Moderated, .. }))));
    }

    #[test]
    fn what_is_not_acted_is_told_with_the_result() {
        let answer = json!({ "video_id": "v1", "status": "waiting" });
        let Ok(Submitted::Accepted { handle, .. }) = accepted(&answer, vec!["gesture".into()]) else { panic!() };
        let ours = Ours::read(&handle);
        assert_eq!(ours.id, "v1");
        let Ok(Progress::Done(outputs)) = progress(video("completed"), &ours.unacted) else { panic!() };
        assert_eq!(outputs.notes["note"], json!("gesture: not acted by this avatar"));
        assert_eq!(Ours::read(&Handle("v1".into())).id, "v1");
    }
}
