//! Kling AI open platform: `https://kling.ai/document-api`.
//!
//! One account, two protocols. The older one (`/v1/…`, model in the body, one path a task kind that also polls) serves
//! nearly everything; the newer one (model in the path, `/tasks` polls) only what the older lacks.
//!
//! Quirks:
//! - An API key works everywhere; an access and a secret key make a token that only the older protocol takes.
//! - Errors are told by `code` in the body: HTTP 429 covers billing as well as rate. Moderation of a running task shows
//!   only in its message.
//! - `duration` is a string in the older protocol, a number in the newer one. Base64 media have no `data:` prefix.
//! - `external_task_id` is unique per account and can be polled by: our generation's id, so that a lost submit is found
//!   again and a second one would be refused.
//! - Speech is synchronous; a speaking portrait with a text is speech first, then the portrait with its `audio_id`.
//! - There is no cancel and no progress.
//!
//! Route `params`: `path` names the kind of task where the inputs do not tell (`omni-video`, `motion-control`, `effects`,
//! `avatar`, `lip-sync`, `omni-image`, `kolors-virtual-try-on`, `tts`, `text-to-audio`, `video-to-audio`);
//! `protocol = "tasks"` chooses the newer protocol.
//!
//! Unconfirmed: the code for a repeated `external_task_id`; that of a token on a path of the newer protocol.

mod token;
mod wire;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    domain::{ContentInput, Fault, Upstream, Verdict, fault::Kind, output::Outputs},
    media::InputFile,
    providers::{
        Call, Cx, Handle, Progress, Provider, Reconciled, Reply, Submitted, Task,
        files::{link, link_or_inline},
        http::{excerpt, preparing, unreadable},
    },
};
use wire::{Endpoint, Record};

const HOST: &str = "https://api-singapore.klingai.com";

/// The adapter for Kling.
pub struct Kling;

#[async_trait]
impl Provider for Kling {
    fn upstream(&self) -> Upstream {
        "kling".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let endpoint = Endpoint::of(task)?;
        let input = resolve(cx, endpoint, &task.input).await?;
        let speech = match (endpoint, &task.input.text, &task.input.audio) {
            (Endpoint::Avatar, Some(words), None) => Some(speak(cx, task, words).await?),
            _ => None,
        };
        let body = wire::body(endpoint, task, &input, speech.as_deref())?;
        let call = authorized(cx, cx.post(&format!("{HOST}{}", endpoint.submit_path(task)))?, endpoint)?;
        let record = answer(cx, &call.json(&body).send().await?)?;
        accepted(task, &record)
    }

    async fn poll(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        progress(task, &look(cx, task, "task_ids", &handle.0).await?)
    }

    async fn reconcile(&self, cx: &Cx, task: &Task) -> Result<Reconciled, Fault> {
        if Endpoint::of(task)? == Endpoint::Speech {
            return Ok(Reconciled::Unsupported);
        }
        match look(cx, task, "external_task_ids", &task.id.to_string()).await {
            Ok(record) => record.id().map(Handle).map(Reconciled::Found).ok_or_else(unreadable),
            Err(fault) if fault.kind == Kind::Gone => Ok(Reconciled::Absent),
            Err(fault) => Err(fault),
        }
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let now = cx.now().timestamp_millis();
        let (from, to) = ((now - 3_600_000).to_string(), now.to_string());
        let call = cx.get(&format!("{HOST}/account/costs"))?.query(&[("start_time", &from), ("end_time", &to)]);
        data(cx, &authorized(cx, call, Endpoint::TextToVideo)?.send().await?).map(drop)
    }
}

/// The inputs as this service takes them: pictures and sound by address or in base64, clips by address.
async fn resolve(cx: &Cx, endpoint: Endpoint, input: &ContentInput) -> Result<ContentInput, Fault> {
    let mut resolved = input.clone();
    // The newer protocol takes addresses only.
    let inline = endpoint != Endpoint::Tasks;
    for picture in [&mut resolved.image, &mut resolved.last_image, &mut resolved.audio].into_iter().flatten() {
        *picture = file(cx, picture, inline).await?;
    }
    for picture in resolved.images.iter_mut().flatten() {
        *picture = file(cx, picture, inline).await?;
    }
    if let Some(video) = &mut resolved.video {
        *video = link(cx, video).await?;
    }
    Ok(resolved)
}

async fn file(cx: &Cx, input: &str, inline: bool) -> Result<String, Fault> {
    if inline { link_or_inline(cx, input, InputFile::base64).await } else { link(cx, input).await }
}

/// Has the words spoken, for a portrait to speak them; gives the id of the recording.
async fn speak(cx: &Cx, task: &Task, words: &str) -> Result<String, Fault> {
    let call = authorized(cx, cx.post(&format!("{HOST}/v1/audio/tts"))?, Endpoint::Speech).map_err(preparing)?;
    let reply = call.json(&wire::speech(task, words)?).send().await.map_err(preparing)?;
    let record = answer(cx, &reply).map_err(preparing)?;
    record.recording().ok_or_else(|| preparing(unreadable()))
}

fn authorized(cx: &Cx, call: Call, endpoint: Endpoint) -> Result<Call, Fault> {
    if let Some(key) = cx.try_secret("KLING_API_KEY") {
        return Ok(call.bearer(key));
    }
    if endpoint == Endpoint::Tasks {
        return Err(Fault::refused(Kind::Account, "KLING_API_KEY is not set; this model takes no other credential"));
    }
    Ok(call.bearer(&token::get(cx)?))
}

/// Asks for one task, by the upstream's id or by ours.
async fn look(cx: &Cx, task: &Task, ids: &str, id: &str) -> Result<Record, Fault> {
    let endpoint = Endpoint::of(task)?;
    let call = if endpoint == Endpoint::Tasks {
        cx.get(&format!("{HOST}/tasks"))?.query(&[(ids, id)])
    } else {
        cx.get(&format!("{HOST}{}/{id}", endpoint.submit_path(task)))?
    };
    let reply = authorized(cx, call, endpoint)?.send().await?;
    answer(cx, &reply).map_err(|mut fault| {
        // What a submit calls a bad model, a question calls a task that is not there.
        if matches!(code(&reply), Some(1202 | 1203)) {
            fault.kind = Kind::Gone;
        }
        fault
    })
}

fn accepted(task: &Task, record: &Record) -> Result<Submitted, Fault> {
    match progress(task, record)? {
        Progress::Done(outputs) => Ok(Submitted::Done(outputs)),
        Progress::Failed(fault) => Err(fault),
        Progress::Queued | Progress::Running(_) => {
            let id = record.id().ok_or_else(unreadable)?;
            Ok(Submitted::Accepted { handle: Handle(id), poll_after: None })
        }
    }
}

fn progress(task: &Task, record: &Record) -> Result<Progress, Fault> {
    Ok(match record.status() {
        "submitted" => Progress::Queued,
        "processing" => Progress::Running(None),
        "succeed" | "succeeded" => Progress::Done(done(task, record)?),
        "failed" => Progress::Failed(failed(record.message())),
        other => {
            tracing::warn!(status = other, "Kling names a status we do not know");
            Progress::Running(None)
        }
    })
}

fn done(task: &Task, record: &Record) -> Result<Outputs, Fault> {
    let files = record.files(crate::providers::body::text(task, "format"));
    if files.is_empty() {
        return Err(unreadable());
    }
    Ok(Outputs { files, ..Outputs::default() })
}

fn failed(message: &str) -> Fault {
    let kind = if message.to_lowercase().contains("risk control") { Kind::Moderated } else { Kind::Failed };
    Fault::refused(kind, excerpt(message))
}

#[derive(Deserialize)]
struct Envelope {
    code: i64,
    #[serde(default)]
    message: String,
    data: Option<Value>,
}

fn code(reply: &Reply) -> Option<i64> {
    reply.json::<Envelope>().ok().map(|envelope| envelope.code)
}

/// The record of one task; a question about several answers with a list of one.
fn answer(cx: &Cx, reply: &Reply) -> Result<Record, Fault> {
    let data = match data(cx, reply)? {
        Value::Array(list) => {
            list.into_iter().next().ok_or_else(|| Fault::refused(Kind::Gone, "no such task in the list"))?
        }
        other => other,
    };
    serde_json::from_value(data).map_err(|error| unreadable().because(error))
}

fn data(cx: &Cx, reply: &Reply) -> Result<Value, Fault> {
    if matches!(code(reply), Some(1003 | 1004)) {
        token::forget(cx);
    }
    if !reply.is_success() {
        return Err(classify(reply));
    }
    match reply.json::<Envelope>()? {
        Envelope { code: 0, data, .. } => Ok(data.unwrap_or(Value::Null)),
        _ => Err(classify(reply)),
    }
}

/// Reads an error. The code decides, not the HTTP status.
fn classify(reply: &Reply) -> Fault {
    let Ok(Envelope { code, message, .. }) = reply.json::<Envelope>() else {
        return reply.fault(excerpt(&String::from_utf8_lossy(&reply.body)));
    };
    let (kind, verdict) = match code {
        1000..=1002 | 1100..=1103 | 1304 => (Kind::Account, Verdict::Refused),
        // 1003, 1004: the clocks differ, or the token aged under way; the next step brings a fresh one.
        1003 | 1004 | 5000 | 5001 => (Kind::Down, Verdict::Refused),
        1200..=1203 => (Kind::InvalidInput, Verdict::Refused),
        1300 | 1301 => (Kind::Moderated, Verdict::Refused),
        1302 | 1303 => (Kind::Busy, Verdict::Refused),
        // A time-out within; whether the task is there can be asked by our id.
        5002 => (Kind::Down, Verdict::Unknown),
        _ => return reply.fault(excerpt(&format!("{code} {message}"))),
    };
    Fault::new(kind, verdict, excerpt(&format!("{code} {message}"))).retry_after(reply.retry_after())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::header::HeaderMap;

    use super::*;

    fn reply(status: u16, body: &'static str) -> Reply {
        Reply { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn the_code_decides_and_not_the_status() {
        for (status, code, kind, verdict) in [
            (401, 1002, Kind::Account, Verdict::Refused),
            (429, 1102, Kind::Account, Verdict::Refused),
            (429, 1303, Kind::Busy, Verdict::Refused),
            (400, 1201, Kind::InvalidInput, Verdict::Refused),
            (400, 1301, Kind::Moderated, Verdict::Refused),
            (500, 5000, Kind::Down, Verdict::Refused),
            (504, 5002, Kind::Down, Verdict::Unknown),
            (503, 5001, Kind::Down, Verdict::Refused),
        ] {
            let body = format!(r#"{{"code":{code},"message":"m","request_id":"r"}}"#);
            let reply = Reply { status, headers: HeaderMap::new(), body: body.into() };
            let fault = classify(&reply);
            assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{code}");
        }
    }

    #[test]
    fn an_error_without_a_body_goes_by_its_status() {
        assert_eq!(classify(&reply(503, "upstream connect error")).kind, Kind::Down);
        assert_eq!(classify(&reply(502, "<html>")).verdict, Verdict::Unknown);
    }

    #[test]
    fn moderation_of_a_running_task_is_read_from_its_message() {
        assert_eq!(failed("Failure to pass the risk control system").kind, Kind::Moderated);
        assert_eq!(failed("internal").kind, Kind::Failed);
    }
}
