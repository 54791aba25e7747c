//! D-ID: `https://docs.d-id.com`.
//!
//! Quirks:
//! - The key goes behind `Basic` exactly as it was issued; it is encoded already.
//! - Pictures and recordings by address need https and a known file extension; anything else is uploaded first.
//! - Voices belong to several speech services ([`people`]); without a prefix or a known form they are found by name.
//! - There is no idempotency key and no cancel. `user_data` carries our id; a lost submit is looked for in the list of
//!   the newest jobs, and where it is not found there nobody knows.
//! - The API gateway in front answers some failures as `{"message"}`; behind its time-out the job may exist.
//!
//! The route's model is the path: `talks`, `clips`, `expressives`, `animations`. No route `params`.
//!
//! Unconfirmed: the shape of 429; whether lists echo `user_data` (from the vendor's API description).

mod body;
mod people;

use std::time::Duration;

use async_trait::async_trait;
use reqwest::multipart::Form;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

use self::body::Media;
use crate::{
    domain::{
        Fault, Upstream, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    providers::{
        Call, Cx, Handle, Progress, Provider, Reconciled, Reply, Submitted, Task,
        body::text,
        files,
        http::{excerpt, preparing, unreadable},
    },
};

const BASE: &str = "https://api.d-id.com";
const UPLOAD_LIMIT: Duration = Duration::from_mins(3);

/// The adapter for D-ID.
pub struct Did;

#[async_trait]
impl Provider for Did {
    fn upstream(&self) -> Upstream {
        "did".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let person = people::choose(cx, task).await.map_err(preparing)?;
        let media = media(cx, task).await.map_err(preparing)?;
        let body = body::body(task, &person, media)?;
        let call = keyed(cx, cx.post(&format!("{BASE}/{}", task.model))?)?;
        let answer: Value = read(&call.json(&body).send().await?).map_err(|mut fault| {
            // To a submit, "not found" is about the presenter it names.
            if fault.kind == Kind::Gone {
                fault.kind = Kind::InvalidInput;
            }
            fault
        })?;
        let id = answer.get("id").and_then(Value::as_str).ok_or_else(unreadable)?;
        Ok(Submitted::Accepted { handle: Handle(id.to_owned()), poll_after: None })
    }

    async fn poll(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        progress(get(cx, &format!("/{}/{}", task.model, handle.0), &[]).await?)
    }

    async fn reconcile(&self, cx: &Cx, task: &Task) -> Result<Reconciled, Fault> {
        let jobs: Value = match get(cx, &format!("/{}", task.model), &[("limit", "100")]).await {
            Ok(jobs) => jobs,
            // Without a list for us, nobody can tell. The gateway in front answers 403 to paths it does not know.
            Err(fault) if matches!(fault.kind, Kind::Gone | Kind::InvalidInput | Kind::Account) => {
                return Ok(Reconciled::Unsupported);
            }
            Err(fault) => return Err(fault),
        };
        let jobs = jobs.get(&task.model).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let ours = user_data(task);
        let found = jobs.iter().find(|job| job["user_data"].as_str() == Some(&ours)).and_then(|job| job["id"].as_str());
        Ok(found.map_or(Reconciled::Unsupported, |id| Reconciled::Found(Handle(id.to_owned()))))
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        get::<Value>(cx, "/credits", &[]).await.map(drop)
    }
}

/// Names the submit in the job, for the list.
fn user_data(task: &Task) -> String {
    format!("{}-{}", task.id, task.attempt)
}

fn keyed(cx: &Cx, call: Call) -> Result<Call, Fault> {
    Ok(call.header("authorization", &format!("Basic {}", cx.secret("DID_API_KEY")?)))
}

async fn get<T: DeserializeOwned>(cx: &Cx, path: &str, query: &[(&str, &str)]) -> Result<T, Fault> {
    read(&keyed(cx, cx.get(&format!("{BASE}{path}"))?.query(query))?.send().await?)
}

fn read<T: DeserializeOwned>(reply: &Reply) -> Result<T, Fault> {
    if reply.is_success() { reply.json() } else { Err(classify(reply)) }
}

async fn media(cx: &Cx, task: &Task) -> Result<Media, Fault> {
    let mut media = Media::default();
    if let Some(image) = task.input.image.as_deref() {
        media.image = Some(file(cx, image, &PICTURE).await?);
    }
    if let Some(audio) = task.input.audio.as_deref() {
        media.audio = Some(file(cx, audio, &RECORDING).await?);
    }
    if let Some(picture) = text(task, "background").filter(|it| body::is_address(it)) {
        media.background = Some(file(cx, picture, &PICTURE).await?);
    }
    Ok(media)
}

/// How one kind of file is taken.
struct Taken {
    extensions: &'static [&'static str],
    path: &'static str,
    part: &'static str,
}

const PICTURE: Taken = Taken { extensions: &["jpg", "jpeg", "png"], path: "/images", part: "image" };
const RECORDING: Taken = Taken { extensions: &["m4a", "flac", "mp3", "mp4", "wav"], path: "/audios", part: "audio" };

async fn file(cx: &Cx, input: &str, taken: &Taken) -> Result<String, Fault> {
    if let Some(url) = files::address(cx, input).await?.filter(|url| is_taken(url, taken)) {
        return Ok(url);
    }
    let form = Form::new().part(taken.part, files::part(files::bytes(cx, input).await?)?);
    let call = keyed(cx, cx.post(&format!("{BASE}{}", taken.path))?)?.form(form).timeout(UPLOAD_LIMIT);
    let answer: Value = read(&call.send().await?)?;
    answer.get("url").and_then(Value::as_str).map(str::to_owned).ok_or_else(unreadable)
}

/// Whether an address passes their pattern: https, and a path that ends in a known extension.
fn is_taken(address: &str, taken: &Taken) -> bool {
    Url::parse(address).is_ok_and(|url| {
        let extension = url.path().rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
        url.scheme() == "https" && extension.is_some_and(|found| taken.extensions.contains(&found.as_str()))
    })
}

#[derive(Deserialize)]
struct Job {
    status: String,
    result_url: Option<Url>,
    error: Option<Trouble>,
}

#[derive(Default, Deserialize)]
struct Trouble {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    description: String,
}

fn progress(job: Job) -> Result<Progress, Fault> {
    Ok(match job.status.as_str() {
        "created" => Progress::Queued,
        "started" => Progress::Running(None),
        "done" => {
            let url = job.result_url.ok_or_else(unreadable)?;
            let file = Output { source: Source::Url { url, authorized: false }, content_type: None };
            Progress::Done(Outputs { files: vec![file], ..Outputs::default() })
        }
        "error" => {
            let Trouble { kind, description } = job.error.unwrap_or_default();
            Progress::Failed(Fault::refused(failure(&kind), excerpt(&format!("{kind}: {description}"))))
        }
        "rejected" => {
            let Trouble { kind, description } = job.error.unwrap_or_default();
            Progress::Failed(Fault::refused(Kind::Moderated, excerpt(&format!("rejected {kind}: {description}"))))
        }
        other => {
            tracing::warn!(status = other, "D-ID names a status we do not know");
            Progress::Running(None)
        }
    })
}

fn failure(kind: &str) -> Kind {
    match kind {
        _ if is_moderation(kind) => Kind::Moderated,
        "FaceError" | "ValidationError" | "BadRequestError" | "UnsupportedMimeTypeError" => Kind::InvalidInput,
        _ if kind.starts_with("Invalid") => Kind::InvalidInput,
        "InsufficientCreditsError" => Kind::Account,
        _ => Kind::Failed,
    }
}

fn is_moderation(kind: &str) -> bool {
    kind.ends_with("ModerationError") || kind == "CelebrityRecognizedError"
}

/// Reads an error: `{kind, description}` of the service, or `{message}` of the gateway in front of it.
fn classify(reply: &Reply) -> Fault {
    let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let field = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = field("kind");
    let words = if body.is_object() { field("message").into() } else { String::from_utf8_lossy(&reply.body) };
    let mut fault = reply.fault(excerpt(&format!("{kind} {}{words}", field("description"))));
    if reply.status == 451 || is_moderation(kind) {
        (fault.kind, fault.verdict) = (Kind::Moderated, Verdict::Refused);
    } else if reply.status == 500 && !kind.is_empty() {
        (fault.kind, fault.verdict) = (Kind::Internal, Verdict::Refused);
    } else if reply.status == 503 && words.contains("timed out") {
        // The gateway gave up waiting; the service behind it may have begun.
        fault.verdict = Verdict::Unknown;
    }
    fault
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_as(status: u16, body: &Value) -> (Kind, Verdict) {
        let fault =
            classify(&Reply { status, headers: reqwest::header::HeaderMap::new(), body: body.to_string().into() });
        (fault.kind, fault.verdict)
    }

    #[test]
    fn errors_are_read_by_kind_and_status() {
        use Verdict::{Refused, Unknown};
        let kind = |kind: &str| json!({ "kind": kind, "description": "no" });
        assert_eq!(read_as(400, &kind("BadRequestError")), (Kind::InvalidInput, Refused));
        assert_eq!(read_as(401, &json!({ "message": "Unauthorized" })), (Kind::Account, Refused));
        assert_eq!(read_as(402, &kind("InsufficientCreditsError")), (Kind::Account, Refused));
        assert_eq!(read_as(415, &kind("UnsupportedMimeTypeError")), (Kind::InvalidInput, Refused));
        assert_eq!(read_as(429, &json!({ "message": "Too Many Requests" })), (Kind::Busy, Refused));
        assert_eq!(read_as(451, &kind("CelebrityRecognizedError")), (Kind::Moderated, Refused));
        assert_eq!(read_as(500, &kind("InternalServerError")), (Kind::Internal, Refused));
        assert_eq!(read_as(500, &json!({ "message": "Internal server error" })), (Kind::Down, Unknown));
        assert_eq!(read_as(503, &json!({ "message": "Endpoint request timed out" })), (Kind::Down, Unknown));
        assert_eq!(read_as(504, &json!({ "message": "Endpoint request timed out" })), (Kind::Down, Unknown));
    }

    #[test]
    fn status_words_are_read() {
        let job = |status: &str, kind: &str| -> Progress {
            let body = json!({ "status": status, "error": { "kind": kind, "description": "no" } });
            progress(serde_json::from_value(body).unwrap()).unwrap()
        };
        assert!(matches!(job("created", ""), Progress::Queued));
        assert!(matches!(job("started", ""), Progress::Running(None)));
        assert!(matches!(job("dreaming", ""), Progress::Running(None)));
        assert!(matches!(job("error", "FaceError"), Progress::Failed(Fault { kind: Kind::InvalidInput, .. })));
        assert!(matches!(job("error", "RenderError"), Progress::Failed(Fault { kind: Kind::Failed, .. })));
        assert!(matches!(job("rejected", ""), Progress::Failed(Fault { kind: Kind::Moderated, .. })));
    }

    #[test]
    fn only_addresses_of_their_pattern_are_passed_on() {
        assert!(is_taken("https://a.test/face.PNG?size=1", &PICTURE));
        assert!(!is_taken("http://a.test/face.png", &PICTURE));
        assert!(!is_taken("https://a.test/face.webp", &PICTURE));
        assert!(!is_taken("https://a.test/face", &PICTURE));
        assert!(is_taken("https://a.test/speech.mp3", &RECORDING));
    }
}
