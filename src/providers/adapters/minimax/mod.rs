//! `MiniMax` open platform (Hailuo clips, image-01, speech): `https://platform.minimax.io/docs/api-reference`.
//!
//! Quirks:
//! - Two protocols for clips. V1 tells errors inside HTTP 200 (`base_resp.status_code`); V2 by HTTP status, with the code
//!   in brackets at the end of the message.
//! - A finished V1 clip is a file id; its address, good for an hour, is a second question.
//! - Ids are strings here and numbers there: they stay text.
//! - Pictures and speech are synchronous. Speech comes as hex.
//! - V2 cancels only what waits; the same call on a finished task would delete it, so its answer says what it did.
//! - No idempotency key and no client id: a lost submit cannot be found again.
//!
//! Route `params`: `protocol = "v2"` for the models of V2.
//!
//! Unconfirmed: `base_resp` of a task that failed for no reason of moderation; the status of codes 2038, 2042 and 2056.

mod wire;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::{
    domain::{
        ContentInput, Fault, GenerationType, Upstream, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    media::InputFile,
    providers::{
        Call, Cancelled, Cx, Handle, Progress, Provider, Reply, Submitted, Task,
        body::{id_text, param, text},
        files::{link, link_or_inline},
        http::{excerpt, unreadable},
    },
};

const HOST: &str = "https://api.minimax.io";
/// Ten thousand characters of speech, or nine pictures, take their time in one call.
const SYNCHRONOUS: Duration = Duration::from_mins(3);

/// The adapter for `MiniMax`.
pub struct MiniMax;

#[async_trait]
impl Provider for MiniMax {
    fn upstream(&self) -> Upstream {
        "minimax".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let input = resolve(cx, &task.input).await?;
        match task.r#type {
            GenerationType::Image => {
                let body = wire::image(task, &input);
                let call = authorized(cx, cx.post(&format!("{HOST}/v1/image_generation"))?)?.timeout(SYNCHRONOUS);
                pictures(task, &read(&call.json(&body).send().await?)?).map(Submitted::Done)
            }
            GenerationType::Audio => {
                let body = wire::speech(task, &input);
                let call = authorized(cx, cx.post(&format!("{HOST}/v1/t2a_v2"))?)?.timeout(SYNCHRONOUS);
                sound(task, &read(&call.json(&body).send().await?)?).map(Submitted::Done)
            }
            GenerationType::Video | GenerationType::Avatar => {
                let (version, body) =
                    if is_v2(task) { ("v2", wire::clip_v2(task, &input)) } else { ("v1", wire::clip(task, &input)) };
                let call = authorized(cx, cx.post(&format!("{HOST}/{version}/video_generation"))?)?;
                let answer = read(&call.json(&body).send().await?)?;
                let id = answer.get("task_id").and_then(id_text).ok_or_else(unreadable)?;
                Ok(Submitted::Accepted { handle: Handle(id), poll_after: None })
            }
        }
    }

    async fn poll(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        if is_v2(task) { poll_v2(cx, handle).await } else { poll_v1(cx, handle).await }
    }

    async fn cancel(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Cancelled, Fault> {
        if !is_v2(task) {
            return Ok(Cancelled::Unsupported);
        }
        let call = cx.call(Method::DELETE, &format!("{HOST}/v2/video_generation/{}", handle.0))?;
        match read(&authorized(cx, call)?.send().await?) {
            Ok(answer) if answer.get("action").and_then(Value::as_str) == Some("cancelled") => Ok(Cancelled::Stopped),
            Ok(_) => Ok(Cancelled::TooLate),
            Err(fault) if matches!(fault.kind, Kind::InvalidInput | Kind::Gone) => Ok(Cancelled::TooLate),
            Err(fault) => Err(fault),
        }
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let call = authorized(cx, cx.post(&format!("{HOST}/v1/get_voice"))?)?;
        read(&call.json(&json!({ "voice_type": "system" })).send().await?).map(drop)
    }
}

fn is_v2(task: &Task) -> bool {
    param(task, "protocol") == Some("v2")
}

fn authorized(cx: &Cx, call: Call) -> Result<Call, Fault> {
    Ok(call.bearer(cx.secret("MINIMAX_API_KEY")?))
}

/// The inputs as this service takes them: pictures by address or as data URLs, clips and sound by address.
async fn resolve(cx: &Cx, input: &ContentInput) -> Result<ContentInput, Fault> {
    let mut resolved = input.clone();
    for picture in [&mut resolved.image, &mut resolved.last_image].into_iter().flatten() {
        *picture = link_or_inline(cx, picture, InputFile::data_url).await?;
    }
    for picture in resolved.images.iter_mut().flatten() {
        *picture = link_or_inline(cx, picture, InputFile::data_url).await?;
    }
    for media in [&mut resolved.video, &mut resolved.audio].into_iter().flatten() {
        *media = link(cx, media).await?;
    }
    Ok(resolved)
}

async fn poll_v1(cx: &Cx, handle: &Handle) -> Result<Progress, Fault> {
    let call = cx.get(&format!("{HOST}/v1/query/video_generation"))?.query(&[("task_id", &handle.0)]);
    let reply = authorized(cx, call)?.send().await?;
    let answer: Value = if reply.is_success() { reply.json()? } else { return Err(unknown_task(classify(&reply))) };
    // A failed task carries the code of its failure: the status is looked at before the code.
    Ok(match answer.get("status").and_then(Value::as_str) {
        None | Some("") => return Err(unknown_task(classify(&reply))),
        Some("Preparing" | "Queueing") => Progress::Queued,
        Some("Processing") => Progress::Running(None),
        Some("Success") => {
            let id = answer.get("file_id").and_then(id_text).ok_or_else(unreadable)?;
            Progress::Done(file(cx, &id).await?)
        }
        Some("Fail") => {
            let (code, message) = code_of(&answer);
            Progress::Failed(failed(code, &message))
        }
        Some(other) => {
            tracing::warn!(status = other, "MiniMax names a status we do not know");
            Progress::Running(None)
        }
    })
}

/// The address of a finished clip.
async fn file(cx: &Cx, id: &str) -> Result<Outputs, Fault> {
    let call = cx.get(&format!("{HOST}/v1/files/retrieve"))?.query(&[("file_id", id)]);
    let answer = read(&authorized(cx, call)?.send().await?)?;
    let url = answer.pointer("/file/download_url").and_then(Value::as_str).ok_or_else(unreadable)?;
    clip_at(url)
}

async fn poll_v2(cx: &Cx, handle: &Handle) -> Result<Progress, Fault> {
    let call = authorized(cx, cx.get(&format!("{HOST}/v2/query/video_generation/{}", handle.0))?)?;
    let answer = read(&call.send().await?).map_err(unknown_task)?;
    let task = answer.get("task").ok_or_else(unreadable)?;
    Ok(match task.get("status").and_then(Value::as_str).ok_or_else(unreadable)? {
        "queued" => Progress::Queued,
        "running" => Progress::Running(None),
        "succeeded" => {
            let url = task.pointer("/content/url").and_then(Value::as_str).ok_or_else(unreadable)?;
            Progress::Done(clip_at(url)?)
        }
        "failed" | "expired" | "cancelled" => {
            let message = task.pointer("/error/message").and_then(Value::as_str).unwrap_or("no reason given");
            let code = task.pointer("/error/code").and_then(id_text).and_then(|code| code.parse().ok());
            Progress::Failed(failed(code.or_else(|| bracketed(message)).unwrap_or(0), message))
        }
        other => {
            tracing::warn!(status = other, "MiniMax names a status we do not know");
            Progress::Running(None)
        }
    })
}

fn clip_at(url: &str) -> Result<Outputs, Fault> {
    Ok(Outputs { files: vec![at(url, Some("video/mp4"))?], ..Outputs::default() })
}

fn at(url: &str, content_type: Option<&str>) -> Result<Output, Fault> {
    let url = Url::parse(url).map_err(|error| unreadable().because(error))?;
    Ok(Output { source: Source::Url { url, authorized: false }, content_type: content_type.map(str::to_owned) })
}

/// The pictures of an answer; some of those asked for may be missing.
fn pictures(task: &Task, answer: &Value) -> Result<Outputs, Fault> {
    let urls = answer.pointer("/data/image_urls").and_then(Value::as_array);
    let files = urls.into_iter().flatten().filter_map(Value::as_str).map(|url| at(url, None));
    let mut outputs = Outputs { files: files.collect::<Result<_, _>>()?, ..Outputs::default() };
    if outputs.files.is_empty() {
        return Err(if answer.pointer("/metadata/failed_count").is_some() {
            Fault::refused(Kind::Failed, "none of the pictures came out")
        } else {
            unreadable()
        });
    }
    outputs.seed = task.options.get("seed").and_then(Value::as_i64);
    let missing =
        answer.pointer("/metadata/failed_count").and_then(id_text).and_then(|count| count.parse::<u32>().ok());
    if let Some(missing) = missing.filter(|count| *count > 0) {
        outputs.notes.insert("missing".to_owned(), missing.into());
    }
    Ok(outputs)
}

fn sound(task: &Task, answer: &Value) -> Result<Outputs, Fault> {
    let digits = answer.pointer("/data/audio").and_then(Value::as_str).filter(|digits| !digits.is_empty());
    let bytes = hex::decode(digits.ok_or_else(unreadable)?).map_err(|error| unreadable().because(error))?;
    let content_type = match text(task, "format") {
        Some("wav") => "audio/wav",
        Some("flac") => "audio/flac",
        Some("opus") => "audio/ogg",
        _ => "audio/mpeg",
    };
    let file = Output { source: Source::Bytes(Bytes::from(bytes)), content_type: Some(content_type.to_owned()) };
    Ok(Outputs { files: vec![file], ..Outputs::default() })
}

/// To a question about a task, "bad parameter" means that there is no such task.
fn unknown_task(mut fault: Fault) -> Fault {
    if fault.kind == Kind::InvalidInput {
        fault.kind = Kind::Gone;
    }
    fault
}

fn failed(code: i64, message: &str) -> Fault {
    let moderated = matches!(code, 1026 | 1027) || message.to_lowercase().contains("sensitive");
    let kind = if moderated { Kind::Moderated } else { Kind::Failed };
    Fault::refused(kind, excerpt(&format!("{code} {message}")))
}

/// An answer that says nothing of an error.
fn read(reply: &Reply) -> Result<Value, Fault> {
    if !reply.is_success() {
        return Err(classify(reply));
    }
    let answer: Value = reply.json()?;
    if code_of(&answer).0 == 0 { Ok(answer) } else { Err(classify(reply)) }
}

/// The code and words of V1, or of V2's error. 0 where there is none.
fn code_of(answer: &Value) -> (i64, String) {
    #[derive(Deserialize)]
    struct Status {
        status_code: i64,
        #[serde(default)]
        status_msg: String,
    }
    if let Some(Ok(status)) = answer.get("base_resp").map(Status::deserialize) {
        return (status.status_code, status.status_msg);
    }
    let message = answer.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
    (bracketed(message).unwrap_or(0), message.to_owned())
}

/// The code at the end of `… (2013)`.
fn bracketed(message: &str) -> Option<i64> {
    message.trim_end().strip_suffix(')')?.rsplit_once('(')?.1.parse().ok()
}

/// Reads an error: by its code, else by the HTTP status.
fn classify(reply: &Reply) -> Fault {
    let (code, message) = serde_json::from_slice(&reply.body).map(|answer| code_of(&answer)).unwrap_or_default();
    let words = if message.is_empty() { String::from_utf8_lossy(&reply.body).into_owned() } else { message };
    let detail = excerpt(&format!("{code} {words}"));
    let (kind, verdict) = match code {
        1002 | 1039 | 1041 | 2045 => (Kind::Busy, Verdict::Refused),
        1004 | 1008 | 2038 | 2049 | 2056 => (Kind::Account, Verdict::Refused),
        1026 | 1027 => (Kind::Moderated, Verdict::Refused),
        1042 | 2013 | 20132 | 2037 | 2039 | 2042 | 2048 => (Kind::InvalidInput, Verdict::Refused),
        1000 | 1001 | 1013 | 1024 | 1033 => (Kind::Down, Verdict::Refused),
        _ if reply.status == 422 => (Kind::Moderated, Verdict::Refused),
        _ if reply.status == 529 => (Kind::Down, Verdict::Refused),
        // A code that no document has is a refusal all the same.
        _ if code != 0 && reply.is_success() => (Kind::Garbled, Verdict::Refused),
        _ if code != 0 => return reply.told_fault(detail),
        _ => return reply.fault(detail),
    };
    Fault::new(kind, verdict, detail).retry_after(reply.retry_after())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;

    fn reply(status: u16, body: &'static str) -> Reply {
        Reply { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn v1_errors_hide_in_a_good_status() {
        let fault = read(&reply(200, r#"{"base_resp":{"status_code":1026,"status_msg":"input new_sensitive"}}"#));
        assert_eq!(fault.unwrap_err().kind, Kind::Moderated);
        let fault = read(&reply(200, r#"{"base_resp":{"status_code":1000,"status_msg":"unknown error"}}"#));
        assert_eq!(fault.unwrap_err().verdict, Verdict::Refused);
        let fault = read(&reply(200, r#"{"base_resp":{"status_code":3999,"status_msg":"new"}}"#)).unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (Kind::Garbled, Verdict::Refused));
    }

    #[test]
    fn v2_errors_carry_the_code_in_brackets() {
        let body =
            r#"{"type":"error","error":{"type":"bad_request_error","message":"bad ratio (2013)","http_code":"400"}}"#;
        assert_eq!(classify(&reply(400, body)).kind, Kind::InvalidInput);
        assert_eq!(classify(&reply(529, "{}")).kind, Kind::Down);
        assert_eq!(classify(&reply(402, "{}")).kind, Kind::Account);
    }

    #[test]
    fn counts_of_pictures_are_numbers_or_strings() {
        let task = wire::tests::task("image-01", GenerationType::Image, &json!({ "n": 2 }));
        for count in [json!("1"), json!(1)] {
            let answer = json!({
                "data": { "image_urls": ["https://example.com/1.png"] },
                "metadata": { "success_count": count, "failed_count": count },
            });
            let outputs = pictures(&task, &answer).unwrap();
            assert_eq!((outputs.files.len(), &outputs.notes["missing"]), (1, &json!(1)));
        }
    }

    #[test]
    fn speech_is_hex() {
        let task = wire::tests::task("speech-02-hd", GenerationType::Audio, &json!({ "format": "wav" }));
        let outputs = sound(&task, &json!({ "data": { "audio": "52494646" } })).unwrap();
        assert!(matches!(&outputs.files[0].source, Source::Bytes(bytes) if &bytes[..] == b"RIFF"));
        assert!(sound(&task, &json!({ "data": { "audio": "5" } })).is_err());
    }
}
