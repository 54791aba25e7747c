//! ComfyUI on a server of one's own: a queue of node graphs, <https://docs.comfy.org/development/comfyui-server>.
//!
//! Quirks: a model is a workflow ([`graph`]) and a checkpoint file; the server knows our id of the job, so a submit whose
//! answer was lost can be looked up; a job is in the queue or in the history, with a short gap between the two; deleted
//! jobs leave no trace; results are files on the server, behind the same proxy as everything else. There is no
//! moderation and no limit in the server: 401, 429 and 503 come from a proxy.
//!
//! The model id is the checkpoint, unless the option `checkpoint` names another. Reads `params.workflow` (a graph in API
//! format as JSON text; absent, the stock text or picture graph), `params.values` (for placeholders that are no option)
//! and `params.sizes` (aspect ratio to `WIDTHxHEIGHT`).

mod graph;

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::TimeDelta;
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    domain::{
        Fault, Upstream,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    providers::{
        Call, Cancelled, Cx, Handle, Progress, Provider, Reconciled, Reply, Submitted, Task,
        http::{excerpt, preparing},
        own_server,
    },
};

const VARIABLE: &str = "COMFYUI_URL";

/// How long a poll remembers that the one before found nothing.
const MISSED_FOR: TimeDelta = TimeDelta::minutes(10);

/// The adapter.
pub struct ComfyUi;

#[async_trait]
impl Provider for ComfyUi {
    fn upstream(&self) -> Upstream {
        "comfyui".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let mut uploaded = HashMap::new();
        for (input, url) in [("image", &task.input.image), ("lastImage", &task.input.last_image)] {
            if let Some(url) = url {
                uploaded.insert(input, upload(cx, task, input, url).await.map_err(preparing)?);
            }
        }
        let body = json!({ "prompt": graph::filled(task, &uploaded)?, "prompt_id": job_id(task) });
        let reply = call(cx, Method::POST, "/prompt")?.json(&body).send().await?;
        if !reply.is_success() {
            return Err(classify(&reply, task));
        }
        let queued: Queued = reply.json()?;
        let handle = Handle(queued.prompt_id);
        if !errors_of(&queued.node_errors).is_empty() {
            // A part of the graph was queued: it is called back, since its result would not be what was asked for.
            self.cancel(cx, task, &handle).await?;
            return Err(Fault::refused(Kind::Account, "the workflow is valid only in part"));
        }
        Ok(Submitted::Accepted { handle, poll_after: None })
    }

    async fn poll(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        if let Some(entry) = history(cx, handle).await? {
            return from_wire(cx, task, &entry);
        }
        match place(cx, handle).await? {
            Place::Pending => return Ok(Progress::Queued),
            Place::Running => return Ok(Progress::Running(None)),
            Place::Nowhere => {}
        }
        // It may have ended between the two looks.
        match history(cx, handle).await? {
            Some(entry) => from_wire(cx, task, &entry),
            None => missing(cx, handle),
        }
    }

    /// A pending job is deleted; a running one is interrupted by its id, and only after a look, since an old server
    /// interrupts whatever runs.
    async fn cancel(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Cancelled, Fault> {
        let found = place(cx, handle).await?;
        if found == Place::Nowhere {
            return Ok(Cancelled::TooLate);
        }
        if found == Place::Pending {
            tell(cx, "/queue", &json!({ "delete": [handle.0] })).await?;
        }
        if found == Place::Running || place(cx, handle).await? == Place::Running {
            tell(cx, "/interrupt", &json!({ "prompt_id": handle.0 })).await?;
        }
        Ok(Cancelled::Stopped)
    }

    async fn reconcile(&self, cx: &Cx, task: &Task) -> Result<Reconciled, Fault> {
        let handle = Handle(job_id(task));
        let known = place(cx, &handle).await? != Place::Nowhere || history(cx, &handle).await?.is_some();
        Ok(if known { Reconciled::Found(handle) } else { Reconciled::Absent })
    }

    async fn authorize(&self, cx: &Cx, call: Call) -> Result<Call, Fault> {
        own_server::authorize(cx, VARIABLE, call)
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        read(cx, "/system_stats").await.map(|_| ())
    }
}

fn call(cx: &Cx, method: Method, path: &str) -> Result<Call, Fault> {
    own_server::call(cx, method, VARIABLE, path)
}

async fn read(cx: &Cx, path: &str) -> Result<Value, Fault> {
    let reply = call(cx, Method::GET, path)?.send().await?;
    if reply.is_success() { reply.json() } else { Err(trouble(&reply)) }
}

async fn tell(cx: &Cx, path: &str, body: &Value) -> Result<(), Fault> {
    let reply = call(cx, Method::POST, path)?.json(body).send().await?;
    if reply.is_success() { Ok(()) } else { Err(trouble(&reply)) }
}

/// A refused call about jobs. The server knows all these paths: 404 means that it is another server.
fn trouble(reply: &Reply) -> Fault {
    let mut fault = reply.fault("");
    if matches!(reply.status, 404 | 405) {
        fault.kind = Kind::Account;
    }
    fault
}

/// Our id of the job: the generation's own for the first submit, one of its neighbours for every further one.
fn job_id(task: &Task) -> String {
    let further = u128::from(task.attempt.saturating_sub(1));
    Uuid::from_u128(task.id.uuid().as_u128().wrapping_add(further)).to_string()
}

async fn upload(cx: &Cx, task: &Task, input: &str, url: &str) -> Result<String, Fault> {
    let file = cx.input(url).await?;
    let extension = file.content_type.rsplit('/').next().unwrap_or("png").to_owned();
    let part = Part::stream(file.bytes)
        .file_name(format!("{}-{input}.{extension}", task.id))
        .mime_str(&file.content_type)
        .map_err(|error| Fault::refused(Kind::InvalidInput, "not a content type").because(error))?;
    let form = Form::new().part("image", part).text("type", "input").text("overwrite", "true");
    let reply = call(cx, Method::POST, "/upload/image")?.form(form).send().await?;
    if !reply.is_success() {
        return Err(trouble(&reply));
    }
    let stored: Stored = reply.json()?;
    Ok(if stored.subfolder.is_empty() { stored.name } else { format!("{}/{}", stored.subfolder, stored.name) })
}

/// Where a job is before it has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Pending,
    Running,
    Nowhere,
}

async fn place(cx: &Cx, handle: &Handle) -> Result<Place, Fault> {
    let queue = read(cx, "/queue").await?;
    let holds = |list: &str| {
        let jobs = queue.get(list).and_then(Value::as_array);
        jobs.is_some_and(|jobs| jobs.iter().any(|job| job.get(1).and_then(Value::as_str) == Some(&handle.0)))
    };
    Ok(match (holds("queue_running"), holds("queue_pending")) {
        (true, _) => Place::Running,
        (false, true) => Place::Pending,
        (false, false) => Place::Nowhere,
    })
}

/// A job that is in neither place: on its way from the queue to the history, unless the poll before missed it too.
fn missing(cx: &Cx, handle: &Handle) -> Result<Progress, Fault> {
    let name = format!("missing {}", handle.0);
    if cx.cache.get(&name, cx.now()).is_some() {
        return Err(Fault::refused(Kind::Gone, "neither queued nor in the history"));
    }
    cx.cache.put(&name, Value::Bool(true), cx.now() + MISSED_FOR);
    Ok(Progress::Running(None))
}

async fn history(cx: &Cx, handle: &Handle) -> Result<Option<Ended>, Fault> {
    let found = read(cx, &format!("/history/{}", handle.0)).await?;
    let Some(entry) = found.get(&handle.0) else { return Ok(None) };
    serde_json::from_value(entry.clone()).map(Some).map_err(|error| {
        Fault::new(Kind::Garbled, crate::domain::Verdict::Unknown, "unreadable history").because(error)
    })
}

fn from_wire(cx: &Cx, task: &Task, ended: &Ended) -> Result<Progress, Fault> {
    match ended.status.status_str.as_str() {
        "success" => {
            let files = files(cx, &ended.outputs)?;
            if files.is_empty() {
                return Ok(Progress::Failed(Fault::refused(Kind::Failed, "no file in the result")));
            }
            Ok(Progress::Done(Outputs { files, seed: Some(graph::seed(task)), ..Outputs::default() }))
        }
        "error" => Ok(Progress::Failed(Fault::refused(Kind::Failed, excerpt(&ended.status.reason())))),
        word => {
            tracing::warn!(status = word, "comfyui: unknown status");
            Ok(Progress::Running(None))
        }
    }
}

/// The saved files of all nodes; previews only where nothing was saved.
fn files(cx: &Cx, outputs: &Map<String, Value>) -> Result<Vec<Output>, Fault> {
    let keys = ["images", "video", "videos", "gifs", "audio"];
    let all = outputs.values().flat_map(|node| keys.iter().filter_map(|key| node.get(*key)?.as_array())).flatten();
    let all: Vec<Saved> = all.filter_map(|file| serde_json::from_value(file.clone()).ok()).collect();
    let (saved, previews): (Vec<Saved>, Vec<Saved>) = all.into_iter().partition(|file| file.r#type == "output");
    let chosen = if saved.is_empty() { previews } else { saved };
    chosen.iter().map(|file| output(cx, file)).collect()
}

fn output(cx: &Cx, file: &Saved) -> Result<Output, Fault> {
    let mut url = own_server::address(cx, VARIABLE, "/view")?;
    url.query_pairs_mut()
        .append_pair("filename", &file.filename)
        .append_pair("subfolder", &file.subfolder)
        .append_pair("type", &file.r#type);
    Ok(Output { source: Source::Url { url, authorized: true }, content_type: None })
}

/// A graph that was refused: by its numbers (the caller's matter) or by what is installed there (ours).
fn classify(reply: &Reply, task: &Task) -> Fault {
    let refused: Refused = reply.json().unwrap_or_default();
    let errors = errors_of(&refused.node_errors);
    let words: Vec<String> = errors.iter().map(|error| format!("{} {}", error.r#type, error.details)).collect();
    let mut fault = reply.fault(excerpt(&format!("{} {}", refused.error.r#type, words.join("; "))));
    if reply.status == 400 {
        let callers = !errors.is_empty() && errors.iter().all(|error| error.is_callers(task));
        fault.kind = if callers { Kind::InvalidInput } else { Kind::Account };
    }
    if matches!(reply.status, 404 | 405) {
        fault.kind = Kind::Account;
    }
    fault
}

fn errors_of(nodes: &Value) -> Vec<NodeError> {
    let nodes = nodes.as_object().into_iter().flat_map(Map::values);
    let lists = nodes.filter_map(|node| node.get("errors")?.as_array()).flatten();
    lists.map(|error| serde_json::from_value(error.clone()).unwrap_or_default()).collect()
}

#[derive(Deserialize)]
struct Queued {
    prompt_id: String,
    #[serde(default)]
    node_errors: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused {
    error: RefusedError,
    node_errors: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RefusedError {
    r#type: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeError {
    r#type: String,
    details: String,
    extra_info: NodeErrorInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeErrorInfo {
    input_name: String,
}

impl NodeError {
    fn is_callers(&self, task: &Task) -> bool {
        match self.r#type.as_str() {
            "value_not_in_list" if matches!(self.extra_info.input_name.as_str(), "sampler_name" | "scheduler") => true,
            "value_not_in_list" if self.extra_info.input_name == "ckpt_name" => task.options.contains_key("checkpoint"),
            "value_smaller_than_min" | "value_bigger_than_max" | "invalid_input_type" | "custom_validation_failed" => {
                true
            }
            _ => false,
        }
    }
}

#[derive(Deserialize)]
struct Ended {
    #[serde(default)]
    outputs: Map<String, Value>,
    status: EndedStatus,
}

#[derive(Deserialize)]
struct EndedStatus {
    status_str: String,
    #[serde(default)]
    messages: Vec<(String, Value)>,
}

impl EndedStatus {
    fn reason(&self) -> String {
        let said = |(event, data): &(String, Value)| match event.as_str() {
            "execution_interrupted" => Some("interrupted".to_owned()),
            "execution_error" => {
                let field = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
                Some(format!("{}: {}", field("exception_type"), field("exception_message")))
            }
            _ => None,
        };
        self.messages.iter().rev().find_map(said).unwrap_or_else(|| "failed".to_owned())
    }
}

#[derive(Deserialize)]
struct Saved {
    filename: String,
    #[serde(default)]
    subfolder: String,
    r#type: String,
}

#[derive(Deserialize)]
struct Stored {
    name: String,
    #[serde(default)]
    subfolder: String,
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "json! literals read better without a borrow")]
mod tests {
    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    fn task(options: Value) -> Task {
        let values = json!({ "steps": 28, "cfgScale": 4.5, "sampler": "euler", "scheduler": "simple" });
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Image,
            model: "xl.safetensors".into(),
            params: Map::from_iter([("values".into(), values), ("sizes".into(), json!({ "16:9": "1344x768" }))]),
            input: ContentInput { text: Some("a fox".into()), ..ContentInput::default() },
            options: options.as_object().cloned().unwrap(),
            wire: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_workflow_is_filled_with_values_of_their_types() {
        let options = json!({ "aspectRatio": "16:9", "seed": 5, "steps": 20, "negativePrompt": "blur" });
        let graph = graph::filled(&task(options), &HashMap::new()).unwrap();
        assert_eq!(graph["5"]["inputs"], json!({ "width": 1344, "height": 768, "batch_size": 1 }));
        assert_eq!((&graph["3"]["inputs"]["seed"], &graph["3"]["inputs"]["steps"]), (&json!(5), &json!(20)));
        assert_eq!(graph["4"]["inputs"]["ckpt_name"], "xl.safetensors");
        assert_eq!((&graph["6"]["inputs"]["text"], &graph["7"]["inputs"]["text"]), (&json!("a fox"), &json!("blur")));
    }

    #[test]
    fn a_picture_given_brings_the_picture_graph() {
        let uploaded = HashMap::from([("image", "gen.png".to_owned())]);
        let graph = graph::filled(&task(json!({ "strength": 0.5 })), &uploaded).unwrap();
        assert_eq!(graph["10"]["inputs"]["image"], "gen.png");
        assert_eq!(graph["3"]["inputs"]["denoise"], 0.5);
    }

    #[test]
    fn a_workflow_with_an_unknown_placeholder_is_our_mistake() {
        let mut task = task(json!({}));
        task.params.insert("workflow".into(), json!(r#"{"1": {"inputs": {"x": "{{lora}}"}}}"#));
        assert_eq!(graph::filled(&task, &HashMap::new()).unwrap_err().kind, Kind::Account);
    }

    #[test]
    fn further_submits_have_ids_and_seeds_of_their_own() {
        let first = task(json!({}));
        let second = Task { attempt: 2, ..first.clone() };
        assert_eq!(job_id(&first), first.id.uuid().to_string());
        assert_ne!(job_id(&first), job_id(&second));
        assert_ne!(graph::seed(&first), graph::seed(&second));
    }

    #[test]
    fn what_is_not_installed_is_not_the_callers_fault() {
        let of = |kind: &str, input: &str, options: Value| {
            let errors = json!([{ "type": kind, "message": "", "details": "", "extra_info": { "input_name": input } }]);
            let body = json!({
                "error": { "type": "prompt_outputs_failed_validation", "message": "", "details": "", "extra_info": {} },
                "node_errors": { "4": { "errors": errors, "dependent_outputs": ["9"], "class_type": "X" } },
            });
            let headers = reqwest::header::HeaderMap::new();
            classify(&Reply { status: 400, headers, body: body.to_string().into() }, &task(options)).kind
        };
        assert_eq!(of("value_not_in_list", "ckpt_name", json!({})), Kind::Account);
        assert_eq!(of("value_not_in_list", "ckpt_name", json!({ "checkpoint": "mine" })), Kind::InvalidInput);
        assert_eq!(of("value_not_in_list", "sampler_name", json!({})), Kind::InvalidInput);
        assert_eq!(of("value_bigger_than_max", "width", json!({})), Kind::InvalidInput);
        assert_eq!(of("required_input_missing", "samples", json!({})), Kind::Account);
    }
}
