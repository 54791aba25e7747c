//! `ElevenLabs`: `https://elevenlabs.io/docs/api-reference`.
//!
//! Speech, sound effects and music are synchronous: the answer of the submit is the file ([`sound`]). Clips, pictures
//! and talking portraits are "flows": submitted, then polled ([`flows`]).
//!
//! Quirks:
//! - Voices go by id. A name is looked up with `GET /v2/voices?search=` and kept for an hour.
//! - There is no emotion parameter: v3 acts audio tags in the text, the older models follow voice settings.
//! - Flows take files inline only; a finished one's address lives for an hour and is fresh with every poll.
//! - No idempotency key, no cancel, nothing to find a lost submit by.
//!
//! Route `params`: `api`: `speech`, `sound`, `music`, `video` or `image`.
//!
//! Unconfirmed: the code of a moderated text (`content_against_policy`, from third parties).

mod flows;
mod sound;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    domain::{Fault, Upstream, Verdict, fault::Kind},
    providers::{
        Call, Cx, Handle, Progress, Provider, Reply, Submitted, Task,
        body::{param, text},
        http::{excerpt, preparing},
        names::{self, Entry},
    },
};

const BASE: &str = "https://api.elevenlabs.io";

/// The voice where neither caller nor catalogue names one: Sarah.
const DEFAULT_VOICE: &str = "EXAVITQu4vr4xnSDxMaL";

/// How long a look-up of a voice is good.
const VOICE_LIFE: Duration = Duration::from_hours(1);

/// The adapter for `ElevenLabs`.
pub struct ElevenLabs;

#[async_trait]
impl Provider for ElevenLabs {
    fn upstream(&self) -> Upstream {
        "elevenlabs".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let done = match api(task) {
            "speech" => {
                let voice = voice(cx, text(task, "voice").unwrap_or(DEFAULT_VOICE)).await.map_err(preparing)?;
                sound::speak(cx, task, &voice).await.map(Submitted::Done)
            }
            "sound" => sound::effect(cx, task).await.map(Submitted::Done),
            "music" => sound::music(cx, task).await.map(Submitted::Done),
            _ => flows::submit(cx, task).await,
        };
        done.map_err(about_submit)
    }

    async fn poll(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        flows::poll(cx, task, handle).await
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        read(get(cx, "/v1/user/subscription", &[]).await?).map(drop)
    }
}

fn api(task: &Task) -> &str {
    param(task, "api").unwrap_or("speech")
}

fn keyed(cx: &Cx, call: Call) -> Result<Call, Fault> {
    Ok(call.header("xi-api-key", cx.secret("ELEVENLABS_API_KEY")?))
}

async fn get(cx: &Cx, path: &str, query: &[(&str, &str)]) -> Result<Reply, Fault> {
    keyed(cx, cx.get(&format!("{BASE}{path}"))?.query(query))?.send().await
}

fn read(reply: Reply) -> Result<Reply, Fault> {
    if reply.is_success() { Ok(reply) } else { Err(classify(&reply)) }
}

/// The id of a voice: itself, or what the account's voices call by that name.
async fn voice(cx: &Cx, asked: &str) -> Result<String, Fault> {
    if is_voice_id(asked) {
        return Ok(asked.to_owned());
    }
    let cached = format!("voice {}", asked.to_lowercase());
    if let Some(Value::String(id)) = cx.cache.get(&cached, cx.now()) {
        return Ok(id);
    }
    let reply = read(get(cx, "/v2/voices", &[("search", asked), ("page_size", "100")]).await?)?;
    let answer: Value = reply.json()?;
    let voices = answer.get("voices").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let known = |voice: &Value, name: &str| voice.get(name).and_then(Value::as_str).map(str::to_owned);
    let list: Vec<_> =
        voices.iter().filter_map(|voice| Some((known(voice, "voice_id")?, known(voice, "name")?))).collect();
    let found = names::find(&list, asked, |(id, name)| Entry { id, name, gender: None });
    let Some((id, _)) = found else {
        return Err(Fault::refused(Kind::InvalidInput, excerpt(&format!("no voice is called {asked}"))));
    };
    cx.cache.put(&cached, id.clone().into(), cx.now() + VOICE_LIFE);
    Ok(id.clone())
}

fn is_voice_id(text: &str) -> bool {
    text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// To a submit, "not found" is about the voice or the model it names.
fn about_submit(mut fault: Fault) -> Fault {
    if fault.kind == Kind::Gone {
        fault.kind = Kind::InvalidInput;
    }
    fault
}

/// Reads an error. Newer bodies have `detail.type` and `detail.code`, older ones `detail.status`, schema errors a list.
fn classify(reply: &Reply) -> Fault {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let detail = body.get("detail").unwrap_or(&Value::Null);
    let field = |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or_default();
    let words = match detail {
        Value::Object(_) => format!("{} {} {}", field("code"), field("status"), field("message")),
        Value::Null => String::from_utf8_lossy(&reply.body).into_owned(),
        other => other.to_string(),
    };
    let mut fault = reply.fault(excerpt(&words));
    let says = |word: &str| field("code") == word || field("status") == word;
    if says("content_against_policy") || says("moderated") {
        (fault.kind, fault.verdict) = (Kind::Moderated, Verdict::Refused);
    } else if says("system_busy") {
        (fault.kind, fault.verdict) = (Kind::Busy, Verdict::Refused);
    } else if reply.status == 500 && !(field("code").is_empty() && field("status").is_empty()) {
        (fault.kind, fault.verdict) = (Kind::Internal, Verdict::Refused);
    } else if says("quota_exceeded") || says("insufficient_credits") {
        (fault.kind, fault.verdict) = (Kind::Account, Verdict::Refused);
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &'static str) -> Reply {
        Reply { status, headers: reqwest::header::HeaderMap::new(), body: body.into() }
    }

    fn read_as(status: u16, body: &'static str) -> (Kind, Verdict) {
        let fault = classify(&reply(status, body));
        (fault.kind, fault.verdict)
    }

    #[test]
    fn errors_of_both_shapes_are_read() {
        use Verdict::{Refused, Unknown};
        let policy = r#"{"detail":{"status":"content_against_policy","message":"blocked"}}"#;
        assert_eq!(read_as(403, policy), (Kind::Moderated, Refused));
        let plan = r#"{"detail":{"type":"payment_required","code":"paid_plan_required","message":"no"}}"#;
        assert_eq!(read_as(402, plan), (Kind::Account, Refused));
        assert_eq!(read_as(401, r#"{"detail":{"status":"quota_exceeded"}}"#), (Kind::Account, Refused));
        let long = r#"{"detail":{"type":"validation_error","code":"text_too_long","message":"too long"}}"#;
        assert_eq!(read_as(400, long), (Kind::InvalidInput, Refused));
        let list = r#"{"detail":[{"type":"missing","loc":["body","text"],"msg":"Field required"}]}"#;
        assert_eq!(read_as(422, list), (Kind::InvalidInput, Refused));
        assert_eq!(read_as(429, r#"{"detail":{"code":"system_busy"}}"#), (Kind::Busy, Refused));
        assert_eq!(read_as(500, r#"{"detail":{"code":"internal_error"}}"#), (Kind::Internal, Refused));
        assert_eq!(read_as(500, "<html>"), (Kind::Down, Unknown));
        assert_eq!(read_as(503, "<html>"), (Kind::Down, Refused));
    }

    #[test]
    fn a_voice_id_is_known_by_its_form() {
        assert!(is_voice_id("21m00Tcm4TlvDq8ikWAM"));
        assert!(!is_voice_id("rachel"));
        assert!(!is_voice_id("twenty-letters-long!"));
    }
}
