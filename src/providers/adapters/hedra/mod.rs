//! Hedra: `https://www.hedra.com/docs`. Two protocols with separate keys and balances: v3 (`HEDRA_API_KEY`, [`v3`]) and
//! v2 (`HEDRA_V2_API_KEY`, [`v2`]).
//!
//! Quirks:
//! - Media are uploaded first on both; v3 uploads are good for an hour.
//! - v3 avatars take recordings only. A text is spoken by a speech job first; once that is done, a poll starts the
//!   avatar job on its output. The second job has an idempotency key of its own, so that starting it again yields the
//!   same job: that is why the handle stays that of the speech job.
//! - A lost submit is found on v3 by its `Idempotency-Key`, on v2 by the generation id, which is ours.
//! - Voices go by id; names are looked up in the lists and kept for an hour. There is no cancel.
//!
//! Route `params`: `api` (`v2`, `v3`); `kind` = `speech` for speech alone; `speech`: the v3 model that speaks a text
//! for an avatar. The route's model is the v3 id, the v2 slug or the v2 uuid.
//!
//! Unconfirmed: the shape of v2 errors besides 422.

mod v2;
mod v3;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    domain::{
        Fault, Upstream,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    providers::{
        Cx, Handle, Progress, Provider, Reconciled, Submitted, Task,
        body::{Fields, param, text},
        http::{excerpt, unreadable},
        names::{self, Entry},
    },
};

const LIST_LIFE: Duration = Duration::from_hours(1);
const UPLOAD_LIMIT: Duration = Duration::from_mins(3);

/// The adapter for Hedra.
pub struct Hedra;

#[async_trait]
impl Provider for Hedra {
    fn upstream(&self) -> Upstream {
        "hedra".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let handle = if is_v2(task) { v2::submit(cx, task).await } else { v3::submit(cx, task).await };
        let handle = handle.map_err(about_submit)?;
        Ok(Submitted::Accepted { handle, poll_after: None })
    }

    async fn poll(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        if is_v2(task) { v2::poll(cx, task, handle).await } else { v3::poll(cx, task, handle).await }
    }

    async fn reconcile(&self, cx: &Cx, task: &Task) -> Result<Reconciled, Fault> {
        if is_v2(task) { v2::reconcile(cx, task).await } else { v3::reconcile(cx, task).await }
    }

    fn resends(&self, task: &Task) -> bool {
        !is_v2(task)
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        if cx.try_secret("HEDRA_API_KEY").is_some() {
            v3::check(cx).await?;
        }
        if cx.try_secret("HEDRA_V2_API_KEY").is_some() {
            v2::check(cx).await?;
        }
        Ok(())
    }
}

fn is_v2(task: &Task) -> bool {
    param(task, "api") == Some("v2")
}

fn is_speech(task: &Task) -> bool {
    param(task, "kind") == Some("speech")
}

/// To a submit, "not found" is about the model or voice it names.
fn about_submit(mut fault: Fault) -> Fault {
    if fault.kind == Kind::Gone {
        fault.kind = Kind::InvalidInput;
    }
    fault
}

/// The nature of an error, by the code that both protocols share.
fn kind_of(code: &str) -> Option<Kind> {
    Some(match code {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" => Kind::InvalidInput,
        "MODERATION_FAILED" => Kind::Moderated,
        "UNAUTHORIZED" | "PERMISSION_DENIED" | "INSUFFICIENT_BALANCE" | "GONE" => Kind::Account,
        "NOT_FOUND" => Kind::Gone,
        "RESOURCE_EXHAUSTED" | "ALREADY_IN_PROGRESS" | "ALREADY_EXISTS" => Kind::Busy,
        "UNAVAILABLE" | "INTERNAL" | "UNKNOWN" | "DEADLINE_EXCEEDED" => Kind::Down,
        _ => return None,
    })
}

/// A task that failed: what was wrong with the input or the account, else the service's own failure.
fn failed(code: &str, words: &str) -> Progress {
    let kind = match kind_of(code) {
        Some(kind @ (Kind::InvalidInput | Kind::Moderated | Kind::Account)) => kind,
        _ if code.starts_with("MODERATION") => Kind::Moderated,
        _ => Kind::Failed,
    };
    Progress::Failed(Fault::refused(kind, excerpt(&format!("{code}: {words}"))))
}

fn done(url: Url, content_type: Option<String>) -> Progress {
    let file = Output { source: Source::Url { url, authorized: false }, content_type };
    Progress::Done(Outputs { files: vec![file], ..Outputs::default() })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a percentage")]
fn percent(progress: Option<f64>) -> Option<u8> {
    progress.map(|part| (part.clamp(0.0, 1.0) * 100.0) as u8)
}

/// What the person does: the prompt with the gesture added; absent where the model takes no prompt.
fn prompt(task: &Task) -> Option<String> {
    let prompt = text(task, "prompt")?;
    Some(match text(task, "gesture") {
        Some(gesture) => format!("{} {gesture}", prompt.trim_end()),
        None => prompt.to_owned(),
    })
}

/// The words and how they are spoken; the same on both protocols.
fn spoken(fields: Fields, task: &Task, voice: &str) -> Fields {
    fields
        .set("voice_id", voice)
        .maybe("text", task.input.text.as_deref())
        .option("stability", task, "stability")
        .option("speed", task, "speed")
        .option("language", task, "language")
}

/// A voice of a list.
#[derive(Debug, Serialize, Deserialize)]
struct Voice {
    id: String,
    name: String,
    gender: Option<String>,
}

/// The id of the voice that is meant; the first of the list where the task names none.
fn pick(voices: &[Voice], asked: Option<&str>) -> Result<String, Fault> {
    let found = match asked {
        Some(asked) => names::find(voices, asked, |voice| Entry {
            id: &voice.id,
            name: &voice.name,
            gender: voice.gender.as_deref(),
        }),
        None => voices.first(),
    };
    found.map(|voice| voice.id.clone()).ok_or_else(|| {
        Fault::refused(Kind::InvalidInput, excerpt(&format!("no voice is called {}", asked.unwrap_or_default())))
    })
}

fn kept_voices(cx: &Cx, list: &str) -> Option<Vec<Voice>> {
    serde_json::from_value(cx.cache.get(list, cx.now())?).ok()
}

fn keep_voices(cx: &Cx, list: &str, voices: &[Voice]) {
    if let Ok(kept) = serde_json::to_value(voices) {
        cx.cache.put(list, kept, cx.now() + LIST_LIFE);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    /// A task for the tests of both protocols.
    pub(super) fn task(model: &str, params: serde_json::Value, options: serde_json::Value) -> Task {
        let (serde_json::Value::Object(params), serde_json::Value::Object(options)) = (params, options) else {
            panic!("params and options are objects")
        };
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Avatar,
            model: model.to_owned(),
            params,
            input: ContentInput { text: Some("Hello".into()), ..ContentInput::default() },
            options,
            wire: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_gesture_is_added_to_the_prompt() {
        let options = json!({ "prompt": "A person talks.", "gesture": "waves" });
        assert_eq!(prompt(&task("hedra-avatar", json!({}), options)).as_deref(), Some("A person talks. waves"));
        assert_eq!(prompt(&task("omnihuman-15", json!({}), json!({ "gesture": "waves" }))), None);
    }

    #[test]
    fn failures_are_the_callers_ours_or_theirs() {
        let kind = |code| match failed(code, "") {
            Progress::Failed(fault) => fault.kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(kind("MODERATION_FAILED"), Kind::Moderated);
        assert_eq!(kind("MODERATION_LIKENESS"), Kind::Moderated);
        assert_eq!(kind("INVALID_ARGUMENT"), Kind::InvalidInput);
        assert_eq!(kind("INSUFFICIENT_BALANCE"), Kind::Account);
        assert_eq!(kind("INTERNAL"), Kind::Failed);
        assert_eq!(kind(""), Kind::Failed);
    }

    #[test]
    fn progress_is_a_percentage() {
        assert_eq!(percent(Some(0.4)), Some(40));
        assert_eq!(percent(Some(7.0)), Some(100));
        assert_eq!(percent(None), None);
    }
}
