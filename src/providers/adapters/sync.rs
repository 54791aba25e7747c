//! sync.: `https://sync.so/docs`.
//!
//! Quirks:
//! - One visual and one sound, in a list. Files go by address; where nobody outside reaches ours, the request is a form
//!   with the files in it (at most 20 MB each, no pictures).
//! - Text is spoken by an `ElevenLabs` voice, by its id.
//! - Every create carries an `Idempotency-Key`: a lost submit is found by sending it again under the same key.
//! - The error code of a failed job is called `error_code` or `errorCode`. There is no cancel.
//!
//! The route's model is the service's own id. No route `params`.
//!
//! Unconfirmed: the names of some idempotency errors; any 409 that names a generation is taken for ours.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::multipart::Form;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::{
    domain::{
        Fault, Upstream, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    media::InputFile,
    providers::{
        Call, Cx, Handle, Progress, Provider, Reconciled, Reply, Submitted, Task,
        body::{Fields, text},
        files,
        http::{excerpt, preparing, unreadable},
        resend,
    },
};

const BASE: &str = "https://api.sync.so/v2";
const UPLOAD_LIMIT: Duration = Duration::from_mins(3);

/// How long a key is remembered is not documented; so long it surely is.
const KEY_LIFE: Duration = Duration::from_hours(1);

/// The adapter for sync.
pub struct Sync;

#[async_trait]
impl Provider for Sync {
    fn upstream(&self) -> Upstream {
        "sync".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let input = Input::read(cx, task).await.map_err(preparing)?;
        let call = keyed(cx, cx.post(&format!("{BASE}/generate"))?)?.header("idempotency-key", &resend::key(task));
        let call = if input.files.is_empty() {
            call.json(&body(task, input.items))
        } else {
            call.form(form(task, input)?).timeout(UPLOAD_LIMIT)
        };
        accepted(&call.send().await?)
    }

    async fn poll(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let call = keyed(cx, cx.get(&format!("{BASE}/generate/{}", handle.0))?)?;
        progress(read(&call.send().await?)?)
    }

    async fn reconcile(&self, cx: &Cx, task: &Task) -> Result<Reconciled, Fault> {
        if !resend::is_remembered(cx, task, KEY_LIFE) {
            return Ok(Reconciled::Unsupported);
        }
        resend::reconciled(self.submit(cx, task).await)
    }

    fn resends(&self, _task: &Task) -> bool {
        true
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let call = keyed(cx, cx.get(&format!("{BASE}/generations"))?.query(&[("status", r#"["PENDING"]"#)]))?;
        read::<Value>(&call.send().await?).map(drop)
    }
}

fn keyed(cx: &Cx, call: Call) -> Result<Call, Fault> {
    Ok(call.header("x-api-key", cx.secret("SYNC_API_KEY")?))
}

fn read<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, Fault> {
    if reply.is_success() { reply.json() } else { Err(classify(reply)) }
}

fn accepted(reply: &Reply) -> Result<Submitted, Fault> {
    let answer: Value = match reply.status {
        // The key was used already, and by nobody but us: this is our generation.
        409 => serde_json::from_slice(&reply.body).unwrap_or_default(),
        _ => read(reply)?,
    };
    let field = if reply.status == 409 { "generationId" } else { "id" };
    match answer.get(field).and_then(Value::as_str) {
        Some(id) => Ok(Submitted::Accepted { handle: Handle(id.to_owned()), poll_after: None }),
        None if reply.status == 409 => Err(classify(reply)),
        None => Err(unreadable()),
    }
}

/// The items of the `input` list, and the files that have to go with the request.
#[derive(Default)]
struct Input {
    items: Vec<Value>,
    files: Vec<(&'static str, InputFile)>,
}

impl Input {
    async fn read(cx: &Cx, task: &Task) -> Result<Self, Fault> {
        let mut input = Self::default();
        let media = [("video", &task.input.video), ("image", &task.input.image), ("audio", &task.input.audio)];
        for (kind, file) in media {
            if let Some(file) = file.as_deref() {
                input.add(cx, kind, file).await?;
            }
        }
        if task.input.audio.is_none() {
            input.items.push(spoken(task)?);
        }
        Ok(input)
    }

    async fn add(&mut self, cx: &Cx, kind: &'static str, file: &str) -> Result<(), Fault> {
        match files::address(cx, file).await? {
            Some(url) => self.items.push(json!({ "type": kind, "url": url })),
            // Forms take no pictures: say why the address fails.
            None if kind == "image" => {
                let url = cx.input_url(file).await?;
                self.items.push(json!({ "type": kind, "url": url }));
            }
            None => self.files.push((kind, files::bytes(cx, file).await?)),
        }
        Ok(())
    }
}

fn spoken(task: &Task) -> Result<Value, Fault> {
    let voice = text(task, "voice").unwrap_or_default();
    if voice.len() != 20 || !voice.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let why = format!("{voice} is no premade voice and no ElevenLabs voice id");
        return Err(Fault::refused(Kind::InvalidInput, excerpt(&why)));
    }
    let provider = Fields::new()
        .set("name", "elevenlabs")
        .set("voiceId", voice)
        .set("script", task.input.text.as_deref().unwrap_or_default())
        .option("stability", task, "stability")
        .option("similarityBoost", task, "similarityBoost");
    Ok(Fields::new().set("type", "text").set("provider", provider).into())
}

fn options(task: &Task) -> Option<Value> {
    let detect = task.options.get("detectSpeaker").map(|on| json!({ "auto_detect": on }));
    let fields = Fields::new()
        .option("sync_mode", task, "syncMode")
        .option("temperature", task, "temperature")
        .option("model_mode", task, "modelMode")
        .option("prompt", task, "emotion")
        .option("occlusion_detection_enabled", task, "occlusionDetection")
        .maybe("active_speaker_detection", detect);
    (!fields.is_empty()).then(|| fields.into())
}

fn body(task: &Task, items: Vec<Value>) -> Value {
    Fields::new().set("model", task.model.as_str()).set("input", items).maybe("options", options(task)).into()
}

fn form(task: &Task, input: Input) -> Result<Form, Fault> {
    let mut form = Form::new().text("model", task.model.clone());
    for item in input.items {
        form = form.text("input", item.to_string());
    }
    if let Some(options) = options(task) {
        form = form.text("options", options.to_string());
    }
    for (kind, file) in input.files {
        form = form.part(kind, files::part(file)?);
    }
    Ok(form)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Generation {
    status: String,
    output_url: Option<Url>,
    error: Option<String>,
    /// The newer name of the code.
    error_code: Option<String>,
    #[serde(rename = "error_code")]
    older_error_code: Option<String>,
}

impl Generation {
    fn code(&self) -> &str {
        self.error_code.as_deref().or(self.older_error_code.as_deref()).unwrap_or_default()
    }
}

fn progress(generation: Generation) -> Result<Progress, Fault> {
    let words = || excerpt(&format!("{}: {}", generation.code(), generation.error.as_deref().unwrap_or_default()));
    Ok(match generation.status.as_str() {
        "PENDING" => Progress::Queued,
        "PROCESSING" => Progress::Running(None),
        "COMPLETED" => {
            let url = generation.output_url.ok_or_else(unreadable)?;
            let file =
                Output { source: Source::Url { url, authorized: false }, content_type: Some("video/mp4".into()) };
            Progress::Done(Outputs { files: vec![file], ..Outputs::default() })
        }
        "FAILED" => Progress::Failed(Fault::refused(failure(generation.code()), words())),
        "REJECTED" => {
            let words = words();
            let moderated = ["policy", "moderat"].iter().any(|hint| words.to_lowercase().contains(hint));
            Progress::Failed(Fault::refused(if moderated { Kind::Moderated } else { Kind::InvalidInput }, words))
        }
        other => {
            tracing::warn!(status = other, "sync names a status we do not know");
            Progress::Running(None)
        }
    })
}

/// Whose fault a failed job is, by its code.
fn failure(code: &str) -> Kind {
    match code {
        "generation_internal_auth" => Kind::Account,
        "generation_unsupported_model"
        | "generation_media_metadata_missing"
        | "generation_audio_length_exceeded"
        | "generation_text_length_exceeded"
        | "generation_audio_missing"
        | "generation_video_missing"
        | "generation_plan_duration_exceeded" => Kind::InvalidInput,
        _ if code.starts_with("generation_input_") => Kind::InvalidInput,
        _ => Kind::Failed,
    }
}

/// Reads an error by its code, else by the HTTP status.
fn classify(reply: &Reply) -> Fault {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let code = ["errorCode", "error_code"].iter().find_map(|name| body.get(name)?.as_str()).unwrap_or_default();
    let words = match body.get("message") {
        Some(Value::String(message)) => message.clone(),
        Some(list) => list.to_string(),
        None => String::from_utf8_lossy(&reply.body).into_owned(),
    };
    let mut fault = reply.fault(excerpt(&format!("{code} {words}")));
    if reply.status == 402 && code == "generation_plan_duration_exceeded" {
        fault.kind = Kind::InvalidInput;
    } else if reply.status == 409 {
        // The first request under this key may well start the work.
        (fault.kind, fault.verdict) = (Kind::Busy, Verdict::Unknown);
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    fn task(options: Value) -> Task {
        let Value::Object(options) = options else { panic!("options are an object") };
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Avatar,
            model: "lipsync-2".to_owned(),
            params: serde_json::Map::new(),
            input: ContentInput { text: Some("Hello".into()), ..ContentInput::default() },
            options,
            wire: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn text_is_spoken_by_an_elevenlabs_voice() {
        let task = task(json!({ "voice": "EXAVITQu4vr4xnSDxMaL", "stability": 0.5, "syncMode": "loop" }));
        let items = vec![json!({ "type": "video", "url": "https://a.test/v.mp4" }), spoken(&task).unwrap()];
        let expected = json!({
            "model": "lipsync-2",
            "input": [
                { "type": "video", "url": "https://a.test/v.mp4" },
                { "type": "text", "provider": {
                    "name": "elevenlabs", "voiceId": "EXAVITQu4vr4xnSDxMaL", "script": "Hello", "stability": 0.5,
                } },
            ],
            "options": { "sync_mode": "loop" },
        });
        assert_eq!(body(&task, items), expected);
    }

    #[test]
    fn a_voice_that_is_no_id_is_refused() {
        assert_eq!(spoken(&task(json!({ "voice": "zaphod" }))).unwrap_err().kind, Kind::InvalidInput);
    }

    #[test]
    fn states_are_read() {
        let read = |body: Value| progress(serde_json::from_value(body).unwrap()).unwrap();
        assert!(matches!(read(json!({ "status": "PENDING" })), Progress::Queued));
        assert!(matches!(read(json!({ "status": "DREAMING" })), Progress::Running(None)));
        let done = json!({ "status": "COMPLETED", "outputUrl": "https://a.test/o.mp4" });
        assert!(matches!(read(done), Progress::Done(_)));
        let kind = |body: Value| match read(body) {
            Progress::Failed(fault) => fault.kind,
            other => panic!("{other:?}"),
        };
        let inaccessible = "generation_input_video_inaccessible";
        assert_eq!(kind(json!({ "status": "FAILED", "error_code": inaccessible })), Kind::InvalidInput);
        assert_eq!(kind(json!({ "status": "FAILED", "errorCode": "generation_timeout" })), Kind::Failed);
        let both = json!({ "status": "FAILED", "errorCode": inaccessible, "error_code": inaccessible });
        assert_eq!(kind(both), Kind::InvalidInput);
        assert_eq!(kind(json!({ "status": "REJECTED", "error": "violates our policy" })), Kind::Moderated);
        assert_eq!(kind(json!({ "status": "REJECTED", "error": "too short" })), Kind::InvalidInput);
    }

    #[test]
    fn a_used_key_leads_to_our_generation() {
        let reply = |body: Value| Reply {
            status: 409,
            headers: reqwest::header::HeaderMap::new(),
            body: body.to_string().into(),
        };
        let known = json!({ "errorCode": "IDEMPOTENCY_OUTCOME_UNKNOWN", "generationId": "g1" });
        let Ok(Submitted::Accepted { handle, .. }) = accepted(&reply(known)) else { panic!() };
        assert_eq!(handle.0, "g1");
        let fault = accepted(&reply(json!({ "errorCode": "IDEMPOTENCY_IN_PROGRESS" }))).unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (Kind::Busy, Verdict::Unknown));
    }
}
