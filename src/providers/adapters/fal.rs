//! fal: a queue in front of about a thousand hosted models, <https://docs.fal.ai/model-apis/model-endpoints/queue>.
//!
//! Quirks: the key is announced by the word `Key`; the input is validated by the model and not by the queue, so a wrong
//! field or a moderated prompt comes with the result; `COMPLETED` only says that there is a result to fetch, which may
//! be an error; status, result and cancel live under `owner/alias` and are reached by the addresses the submit
//! returned. The queue itself tries lost runners again. There is no idempotency key and no way to find a lost submit.
//!
//! Reads `params.input` (fixed fields) and `route.wire`; the model id is the path.
//! Unconfirmed: the status codes of a poll before the end (any 2xx is taken).

use std::collections::HashMap;

use async_trait::async_trait;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::{
    domain::{
        Fault, Upstream, Verdict,
        fault::Kind,
        output::{Output, Outputs},
    },
    providers::{
        Call, Cancelled, Cx, Handle, Progress, Provider, Reply, Submitted, Task, hosted,
        http::{excerpt, preparing, unreadable},
    },
};

const QUEUE: &str = "https://queue.fal.run";

/// Failures of the queue before a model ran.
const NO_RUNNER: [&str; 4] =
    ["runner_scheduling_failure", "runner_connection_timeout", "runner_connection_refused", "startup_timeout"];

/// The adapter.
pub struct Fal;

#[async_trait]
impl Provider for Fal {
    fn upstream(&self) -> Upstream {
        "fal".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let mut places = HashMap::new();
        for url in hosted::media(task) {
            places.insert(url.to_owned(), place(cx, url).await.map_err(preparing)?);
        }
        let body = Value::Object(hosted::body(task, &places));
        let reply = call(cx, Method::POST, &format!("{QUEUE}/{}", task.model))?.json(&body).send().await?;
        if !reply.is_success() {
            return Err(refusal(&reply));
        }
        let queued: Queued = reply.json()?;
        Ok(Submitted::Accepted { handle: handle(cx, &task.model, &queued), poll_after: None })
    }

    async fn poll(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let links = links(handle)?;
        let reply = call(cx, Method::GET, &links.status)?.send().await?;
        if !reply.is_success() {
            return Err(classify(&reply));
        }
        match reply.json::<Status>()?.status.as_str() {
            "IN_QUEUE" => Ok(Progress::Queued),
            "IN_PROGRESS" => Ok(Progress::Running(None)),
            "COMPLETED" => outcome(&call(cx, Method::GET, &links.response)?.send().await?),
            word => {
                tracing::warn!(status = word, "fal: unknown status");
                Ok(Progress::Running(None))
            }
        }
    }

    async fn cancel(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Cancelled, Fault> {
        let reply = call(cx, Method::PUT, &links(handle)?.cancel)?.send().await?;
        match reply.status {
            200..=299 => Ok(Cancelled::Stopped),
            400 | 404 => Ok(Cancelled::TooLate),
            _ => Err(classify(&reply)),
        }
    }

    /// Asks for a request that does not exist: a good key is answered 404.
    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let nothing = format!("{QUEUE}/fal-ai/flux/requests/{}/status", uuid::Uuid::nil());
        let reply = call(cx, Method::GET, &nothing)?.send().await?;
        match reply.status {
            200..=299 | 400 | 404 | 422 => Ok(()),
            _ => Err(classify(&reply)),
        }
    }
}

fn call(cx: &Cx, method: Method, url: &str) -> Result<Call, Fault> {
    let key = cx.secret("FAL_KEY")?;
    Ok(cx.call(method, url)?.header("authorization", &format!("Key {key}")))
}

/// An address fal can fetch, or the file itself where we have no public address.
async fn place(cx: &Cx, url: &str) -> Result<String, Fault> {
    if let Ok(reachable) = cx.input_url(url).await {
        return Ok(reachable);
    }
    let file = cx.input(url).await?;
    Ok(file.data_url())
}

/// The addresses of the request: as returned where they lead to fal (the key goes with every call), else as documented.
fn handle(cx: &Cx, model: &str, queued: &Queued) -> Handle {
    let kept = if model.starts_with("workflows/") || model.starts_with("comfy/") { 3 } else { 2 };
    let app: Vec<&str> = model.split('/').take(kept).collect();
    let root = format!("{QUEUE}/{}/requests/{}", app.join("/"), queued.request_id);
    let link = |returned: &Option<String>, documented: String| {
        returned.clone().filter(|url| is_fal(cx.base.as_ref(), url)).unwrap_or(documented)
    };
    let links = Links {
        status: link(&queued.status_url, format!("{root}/status")),
        response: link(&queued.response_url, root.clone()),
        cancel: link(&queued.cancel_url, format!("{root}/cancel")),
    };
    Handle(serde_json::to_string(&links).unwrap_or_default())
}

fn is_fal(base: Option<&Url>, url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    if base.is_some_and(|base| base.origin() == url.origin()) {
        return true;
    }
    let of = |domain: &str| {
        url.host_str()
            .is_some_and(|host| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    };
    url.scheme() == "https" && (of("fal.run") || of("falrun.com"))
}

fn links(handle: &Handle) -> Result<Links, Fault> {
    serde_json::from_str(&handle.0).map_err(|error| Fault::refused(Kind::Gone, "not a handle of fal").because(error))
}

/// What the result says: files, the model's own refusal, or that it is not there yet.
fn outcome(reply: &Reply) -> Result<Progress, Fault> {
    if reply.is_success() {
        let answer: Value = reply.json()?;
        let is_answer = answer.as_object().is_some_and(|fields| !fields.is_empty());
        return if is_answer { Ok(from_wire(&answer)) } else { Err(unreadable()) };
    }
    let Some(trouble) = reply.json::<Trouble>().ok().filter(|trouble| trouble.detail.is_some()) else {
        return Err(classify(reply));
    };
    match reply.status {
        401 | 403 | 429 => Err(classify(reply)),
        400 if trouble.words().contains("in progress") => Ok(Progress::Running(None)),
        _ => Ok(Progress::Failed(failure(reply, &trouble))),
    }
}

fn from_wire(answer: &Value) -> Progress {
    let flags = answer.get("has_nsfw_concepts").and_then(Value::as_array);
    let flagged = |index: usize| flags.and_then(|flags| flags.get(index)).and_then(Value::as_bool).unwrap_or(false);
    let found = hosted::files(answer);
    let any = !found.is_empty();
    let files: Vec<Output> =
        found.into_iter().enumerate().filter(|(index, _)| !flagged(*index)).map(|(_, file)| file).collect();
    match (files.is_empty(), any) {
        (true, true) => Progress::Failed(Fault::refused(Kind::Moderated, "has_nsfw_concepts")),
        (true, false) => Progress::Failed(Fault::refused(Kind::Failed, "no file in the result")),
        _ => {
            let seed = answer.get("seed").and_then(Value::as_i64);
            Progress::Done(Outputs { files, seed, ..Outputs::default() })
        }
    }
}

/// A model that gave up. Its 404 and 405 say that the path in our catalogue is wrong.
fn failure(reply: &Reply, trouble: &Trouble) -> Fault {
    let kind = match reply.status {
        _ if trouble.is("content_policy_violation") => Kind::Moderated,
        404 | 405 => Kind::Account,
        400 if trouble.is("downstream_service_error") => Kind::Failed,
        400 | 413 | 415 | 422 => Kind::InvalidInput,
        _ if NO_RUNNER.iter().any(|word| trouble.is(word)) || trouble.is("runner_disconnected") => Kind::Down,
        _ => Kind::Failed,
    };
    Fault::refused(kind, excerpt(&format!("HTTP {}: {}", reply.status, trouble.words())))
}

/// A submit that was refused: an unknown model there means a wrong catalogue entry.
fn refusal(reply: &Reply) -> Fault {
    let mut fault = classify(reply);
    if fault.kind == Kind::Gone || reply.status == 405 {
        fault.kind = Kind::Account;
    }
    fault
}

fn classify(reply: &Reply) -> Fault {
    let trouble: Trouble = reply.json().unwrap_or_default();
    let words = excerpt(&trouble.words());
    // Of a run that was broken off or came too late nobody knows how far it got.
    let lost = ["runner_disconnected", "request_timeout"].iter().any(|word| trouble.is(word));
    let mut fault = if trouble.detail.is_none() || lost { reply.fault(words) } else { reply.told_fault(words) };
    if trouble.is("content_policy_violation") {
        fault.kind = Kind::Moderated;
    }
    if NO_RUNNER.iter().any(|word| trouble.is(word)) {
        fault.kind = Kind::Down;
        fault.verdict = Verdict::Refused;
    }
    fault
}

#[derive(Deserialize)]
struct Queued {
    request_id: String,
    status_url: Option<String>,
    response_url: Option<String>,
    cancel_url: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

/// Where to ask about a request: the handle.
#[derive(Serialize, Deserialize)]
struct Links {
    status: String,
    response: String,
    cancel: String,
}

/// Both families of errors: `detail` is a text with an `error_type`, or the model's list.
#[derive(Default, Deserialize)]
struct Trouble {
    detail: Option<Value>,
    error_type: Option<String>,
}

impl Trouble {
    fn is(&self, word: &str) -> bool {
        let listed = || self.items().any(|item| item.get("type").and_then(Value::as_str) == Some(word));
        self.error_type.as_deref() == Some(word) || listed()
    }

    fn words(&self) -> String {
        if let Some(Value::String(text)) = &self.detail {
            return text.clone();
        }
        let said = |item: &Value| {
            let field = item.get("loc").and_then(Value::as_array).and_then(|path| path.last()?.as_str()).unwrap_or("");
            let message = item.get("msg").and_then(Value::as_str).unwrap_or("");
            format!("{field}: {message}")
        };
        self.items().map(said).collect::<Vec<_>>().join("; ")
    }

    fn items(&self) -> impl Iterator<Item = &Value> {
        self.detail.as_ref().and_then(Value::as_array).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(status: u16, body: &Value) -> Reply {
        Reply { status, headers: reqwest::header::HeaderMap::new(), body: body.to_string().into() }
    }

    fn failed(status: u16, body: &Value) -> Kind {
        match outcome(&reply(status, body)) {
            Ok(Progress::Failed(fault)) => fault.kind,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_addresses_of_fal_get_the_key() {
        assert!(is_fal(None, "https://queue.fal.run/fal-ai/flux/requests/1"));
        assert!(is_fal(None, "https://queue.falrun.com/x"));
        assert!(!is_fal(None, "http://queue.fal.run/x"));
        assert!(!is_fal(None, "https://evilfal.run/x"));
        let base = Url::parse("http://127.0.0.1:9/fal").unwrap();
        assert!(is_fal(Some(&base), "http://127.0.0.1:9/fal/fal-ai/flux/requests/1"));
        assert!(!is_fal(Some(&base), "http://127.0.0.1:10/x"));
    }

    #[test]
    fn a_result_may_be_a_refusal() {
        let list = |word: &str| json!({ "detail": [{ "loc": ["body", "prompt"], "msg": "no", "type": word }] });
        assert_eq!(failed(422, &list("missing")), Kind::InvalidInput);
        assert_eq!(failed(422, &list("content_policy_violation")), Kind::Moderated);
        assert_eq!(failed(500, &list("internal_server_error")), Kind::Failed);
        assert_eq!(failed(400, &list("downstream_service_error")), Kind::Failed);
        assert_eq!(failed(504, &json!({ "detail": "late", "error_type": "request_timeout" })), Kind::Failed);
        assert_eq!(failed(503, &json!({ "detail": "none", "error_type": "runner_scheduling_failure" })), Kind::Down);
        assert_eq!(failed(499, &json!({ "detail": "cancelled" })), Kind::Failed);
    }

    #[test]
    fn a_result_that_is_not_there_is_no_failure() {
        let early = reply(400, &json!({ "detail": "Request is still in progress" }));
        assert!(matches!(outcome(&early), Ok(Progress::Running(None))));
        assert_eq!(outcome(&reply(502, &json!("bad gateway"))).unwrap_err().kind, Kind::Down);
        assert_eq!(outcome(&reply(429, &json!({ "detail": "slow down" }))).unwrap_err().kind, Kind::Busy);
    }

    #[test]
    fn black_pictures_are_moderation() {
        let images = json!([{ "url": "https://v3.fal.media/1.png" }, { "url": "https://v3.fal.media/2.png" }]);
        let all = from_wire(&json!({ "images": images, "has_nsfw_concepts": [true, true] }));
        assert!(matches!(all, Progress::Failed(fault) if fault.kind == Kind::Moderated));
        let one = from_wire(&json!({ "images": images, "has_nsfw_concepts": [true, false], "seed": 7 }));
        assert!(matches!(one, Progress::Done(out) if out.files.len() == 1 && out.seed == Some(7)));
    }

    #[test]
    fn a_refused_submit_says_why() {
        let locked = reply(403, &json!({ "detail": "User is locked. Reason: Exhausted balance." }));
        assert_eq!((refusal(&locked).kind, refusal(&locked).verdict), (Kind::Account, Verdict::Refused));
        assert_eq!(refusal(&reply(404, &json!({ "detail": "Application not found" }))).kind, Kind::Account);
        assert_eq!(refusal(&reply(502, &json!({}))).verdict, Verdict::Unknown);
        assert_eq!(refusal(&reply(502, &json!({ "detail": "Bad gateway" }))).verdict, Verdict::Refused);
        let late = json!({ "detail": "late", "error_type": "request_timeout" });
        assert_eq!(refusal(&reply(504, &late)).verdict, Verdict::Unknown);
        let starting = reply(504, &json!({ "detail": "late", "error_type": "startup_timeout" }));
        assert_eq!(refusal(&starting).verdict, Verdict::Refused);
    }
}
