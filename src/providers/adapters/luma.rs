//! Luma: two services with keys of their own. The Dream Machine API, <https://docs.lumalabs.ai>, makes Ray 2 clips and
//! Photon pictures; the Agents API makes Ray 3 clips and Uni pictures.
//!
//! Quirks: Dream Machine takes files by URL only, Agents also inline; durations are texts such as `5s`. Neither has an
//! idempotency key or a client id, so a lost submit stays lost. Only Dream Machine can be told to stop, by deleting the
//! generation. Agents' result addresses live for an hour; asking again gives fresh ones.
//!
//! Reads `params.api` (`dream-machine` or `agents`) and, for Agents, `params.type` (`image`, `video`, `video_edit`,
//! `video_reframe`). Unconfirmed: the status of Dream Machine's refusals, and whether deleting stops running work.

use async_trait::async_trait;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    domain::{
        ContentInput, Fault, GenerationType, Upstream,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    providers::{
        Call, Cancelled, Cx, Handle, Progress, Provider, Reply, Submitted, Task, body,
        http::{excerpt, preparing},
    },
};

const DREAM_MACHINE: &str = "https://api.lumalabs.ai/dream-machine/v1";
const AGENTS: &str = "https://agents.lumalabs.ai/v1";
const DREAM_MACHINE_KEY: &str = "LUMAAI_API_KEY";
const AGENTS_KEY: &str = "LUMA_AGENTS_API_KEY";

/// The adapter.
pub struct Luma;

#[async_trait]
impl Provider for Luma {
    fn upstream(&self) -> Upstream {
        "luma".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let agents = is_agents(task);
        let (path, body) = if agents {
            ("generations", agents_to_wire(task, &references(cx, &task.input).await.map_err(preparing)?))
        } else {
            let input = links(cx, &task.input).await.map_err(preparing)?;
            match task.r#type {
                GenerationType::Image => ("generations/image", picture_to_wire(task, &input)),
                _ => ("generations/video", clip_to_wire(task, &input)),
            }
        };
        let reply = call(cx, Method::POST, agents, path)?.json(&body).send().await?;
        if !reply.is_success() {
            return Err(refusal(&reply));
        }
        let accepted: Accepted = reply.json()?;
        Ok(Submitted::Accepted { handle: Handle(accepted.id), poll_after: None })
    }

    async fn poll(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let reply = call(cx, Method::GET, is_agents(task), &format!("generations/{}", handle.0))?.send().await?;
        if !reply.is_success() {
            return Err(classify(&reply));
        }
        Ok(from_wire(&reply.json()?))
    }

    async fn cancel(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Cancelled, Fault> {
        if is_agents(task) {
            return Ok(Cancelled::Unsupported);
        }
        let reply = call(cx, Method::DELETE, false, &format!("generations/{}", handle.0))?.send().await?;
        match reply.status {
            404 => Ok(Cancelled::TooLate),
            _ if reply.is_success() => Ok(Cancelled::Stopped),
            _ => Err(classify(&reply)),
        }
    }

    /// Each service whose key is set is asked: Dream Machine for the balance, Agents for the list of files.
    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let keys = [(false, DREAM_MACHINE_KEY, "credits"), (true, AGENTS_KEY, "files")];
        let set: Vec<_> = keys.into_iter().filter(|(_, key, _)| cx.try_secret(key).is_some()).collect();
        if set.is_empty() {
            return Err(Fault::refused(Kind::Account, format!("{DREAM_MACHINE_KEY} is not set")));
        }
        for (agents, _, path) in set {
            let reply = call(cx, Method::GET, agents, path)?.send().await?;
            if !reply.is_success() {
                return Err(classify(&reply));
            }
        }
        Ok(())
    }
}

fn is_agents(task: &Task) -> bool {
    body::param(task, "api") == Some("agents")
}

fn call(cx: &Cx, method: Method, agents: bool, path: &str) -> Result<Call, Fault> {
    let (base, key) = if agents { (AGENTS, AGENTS_KEY) } else { (DREAM_MACHINE, DREAM_MACHINE_KEY) };
    Ok(cx.call(method, &format!("{base}/{path}"))?.bearer(cx.secret(key)?))
}

/// The inputs with every file under an address Luma can fetch.
async fn links(cx: &Cx, input: &ContentInput) -> Result<ContentInput, Fault> {
    let mut linked = input.clone();
    for url in [&mut linked.image, &mut linked.last_image].into_iter().flatten() {
        *url = cx.input_url(url).await?;
    }
    for url in linked.images.iter_mut().flatten() {
        *url = cx.input_url(url).await?;
    }
    Ok(linked)
}

/// The inputs as the Agents API refers to them.
#[derive(Default)]
struct References {
    image: Option<Value>,
    last_image: Option<Value>,
    images: Vec<Value>,
    video: Option<Value>,
}

async fn references(cx: &Cx, input: &ContentInput) -> Result<References, Fault> {
    let mut references = References::default();
    if let Some(url) = &input.image {
        references.image = Some(reference(cx, url, None).await?);
    }
    if let Some(url) = &input.last_image {
        references.last_image = Some(reference(cx, url, None).await?);
    }
    for url in input.images.iter().flatten() {
        references.images.push(reference(cx, url, None).await?);
    }
    if let Some(url) = &input.video {
        references.video = Some(reference(cx, url, Some(video_type(url))).await?);
    }
    Ok(references)
}

async fn reference(cx: &Cx, url: &str, media_type: Option<&str>) -> Result<Value, Fault> {
    if !url.starts_with("data:")
        && let Ok(link) = cx.input_url(url).await
    {
        return Ok(body::given(json!({ "url": link, "media_type": media_type })));
    }
    let file = cx.input(url).await?;
    Ok(json!({ "data": file.base64(), "media_type": file.content_type }))
}

/// The content type of a clip by its address; the service asks for one beside a URL.
fn video_type(url: &str) -> &'static str {
    let path = url.split(['?', '#']).next().unwrap_or(url).to_ascii_lowercase();
    match path.rsplit('.').next() {
        Some("mov") => "video/quicktime",
        Some("webm") => "video/webm",
        _ => "video/mp4",
    }
}

fn seconds(task: &Task) -> Option<String> {
    body::whole(task, "duration").map(|duration| format!("{duration}s"))
}

fn clip_to_wire(task: &Task, input: &ContentInput) -> Value {
    let frame = |url: &Option<String>| url.as_ref().map(|url| json!({ "type": "image", "url": url }));
    let framed = input.image.is_some() || input.last_image.is_some();
    body::given(json!({
        "model": task.model,
        "prompt": input.text,
        "aspect_ratio": body::option(task, "aspectRatio"),
        "duration": seconds(task),
        "resolution": body::option(task, "resolution"),
        "loop": body::option(task, "loop"),
        "keyframes": framed.then(|| json!({ "frame0": frame(&input.image), "frame1": frame(&input.last_image) })),
    }))
}

fn picture_to_wire(task: &Task, input: &ContentInput) -> Value {
    let references = input.images.as_ref().map(|urls| urls.iter().map(|url| json!({ "url": url })).collect::<Vec<_>>());
    body::given(json!({
        "model": task.model,
        "prompt": input.text,
        "aspect_ratio": body::option(task, "aspectRatio"),
        "format": body::option(task, "format"),
        "image_ref": references,
        "modify_image_ref": input.image.as_ref().map(|url| json!({ "url": url })),
    }))
}

fn agents_to_wire(task: &Task, given: &References) -> Value {
    let kind = match body::param(task, "type").unwrap_or("video") {
        "image" if given.image.is_some() => "image_edit",
        kind => kind,
    };
    let source = match kind {
        "image_edit" => &given.image,
        "video_edit" | "video_reframe" => &given.video,
        _ => &None,
    };
    body::given(json!({
        "model": task.model,
        "type": kind,
        "prompt": task.input.text,
        "aspect_ratio": body::option(task, "aspectRatio"),
        "output_format": body::option(task, "format"),
        "web_search": body::option(task, "webSearch"),
        "image_ref": (!given.images.is_empty()).then_some(&given.images),
        "source": source,
        "video": video_options(task, kind, given),
    }))
}

fn video_options(task: &Task, kind: &str, given: &References) -> Option<Value> {
    if !kind.starts_with("video") {
        return None;
    }
    let strength = body::text(task, "strength").map(|strength| json!({ "strength": strength }));
    let frames = kind == "video";
    let options = body::given(json!({
        "duration": seconds(task),
        "resolution": body::option(task, "resolution"),
        "loop": body::option(task, "loop"),
        "hdr": body::option(task, "hdr"),
        "start_frame": given.image.as_ref().filter(|_| frames),
        "end_frame": given.last_image.as_ref().filter(|_| frames),
        "edit": strength,
    }));
    (options != Value::Object(Map::new())).then_some(options)
}

/// Both services' generations in one: the words of their states do not clash.
fn from_wire(generation: &Generation) -> Progress {
    match generation.state.as_str() {
        "queued" => Progress::Queued,
        "dreaming" | "processing" => Progress::Running(None),
        "completed" => done(generation),
        "failed" => Progress::Failed(failure(generation)),
        unknown => {
            tracing::warn!(upstream.id = "luma", status = unknown, "a state that is not documented");
            Progress::Running(None)
        }
    }
}

fn done(generation: &Generation) -> Progress {
    let assets = generation.assets.iter().flat_map(|assets| assets.video.iter().chain(&assets.image));
    let files: Vec<Output> = (generation.output.iter().filter_map(|output| output.url.as_ref()))
        .chain(assets)
        .filter_map(|address| Url::parse(address).ok())
        .map(|url| Output { source: Source::Url { url, authorized: false }, content_type: None })
        .collect();
    if files.is_empty() {
        return Progress::Failed(Fault::refused(Kind::Failed, "completed without an output"));
    }
    Progress::Done(Outputs { files, ..Outputs::default() })
}

fn failure(generation: &Generation) -> Fault {
    let code = generation.failure_code.as_deref().unwrap_or_default();
    let reason = generation.failure_reason.as_deref().unwrap_or_default();
    let kind = match code {
        "content_moderated" => Kind::Moderated,
        "image_too_large" | "unsupported_format" | "corrupt_input" | "invalid_request" => Kind::InvalidInput,
        "budget_exhausted" => Kind::Account,
        "rate_limited" => Kind::Busy,
        _ if is_moderation(reason) => Kind::Moderated,
        _ if reason.contains("user input frames") => Kind::InvalidInput,
        _ => Kind::Failed,
    };
    Fault::refused(kind, excerpt(&format!("{code} {reason}")))
}

fn is_moderation(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("moderation") || text.contains("blacklisted")
}

/// What a refused submit means: an endpoint that is not there is a wrong entry of ours.
fn refusal(reply: &Reply) -> Fault {
    let mut fault = classify(reply);
    if fault.kind == Kind::Gone || reply.status == 405 {
        fault.kind = Kind::Account;
    }
    fault
}

fn classify(reply: &Reply) -> Fault {
    let detail = reply.json::<Refusal>().map(|refusal| refusal.text()).unwrap_or_default();
    let fault = if detail.is_empty() { reply.fault("") } else { reply.told_fault(excerpt(&detail)) };
    match reply.status {
        400 | 422 if is_moderation(&detail) => Fault { kind: Kind::Moderated, ..fault },
        400 if detail.to_ascii_lowercase().contains("insufficient credits") => Fault { kind: Kind::Account, ..fault },
        _ => fault,
    }
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

#[derive(Deserialize)]
struct Generation {
    state: String,
    failure_code: Option<String>,
    failure_reason: Option<String>,
    /// Dream Machine.
    assets: Option<Assets>,
    /// Agents.
    #[serde(default)]
    output: Vec<Item>,
}

#[derive(Deserialize)]
struct Assets {
    video: Option<String>,
    image: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    url: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    detail: Value,
}

impl Refusal {
    fn text(&self) -> String {
        self.detail.as_str().map_or_else(|| self.detail.to_string(), str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(generation: Value) -> Progress {
        from_wire(&serde_json::from_value(generation).unwrap())
    }

    #[test]
    fn both_services_generations_are_read() {
        let clip = json!({ "state": "completed", "assets": { "video": "https://cdn.example/a.mp4" } });
        assert!(matches!(read(clip), Progress::Done(outputs) if outputs.files.len() == 1));
        let picture =
            json!({ "state": "completed", "output": [{ "type": "image", "url": "https://cdn.example/a.png" }] });
        assert!(matches!(read(picture), Progress::Done(outputs) if outputs.files.len() == 1));
        assert!(matches!(read(json!({ "state": "dreaming", "assets": null })), Progress::Running(None)));
    }

    #[test]
    fn failures_say_whose_fault_they_are() {
        for (code, reason, kind) in [
            (None, "Advanced prompt moderation failed", Kind::Moderated),
            (None, "Contains blacklisted words", Kind::Moderated),
            (None, "Failed to read user input frames", Kind::InvalidInput),
            (None, "Prompt processing failed", Kind::Failed),
            (Some("content_moderated"), "", Kind::Moderated),
            (Some("generation_failed"), "", Kind::Failed),
            (Some("budget_exhausted"), "", Kind::Account),
        ] {
            let state = json!({ "state": "failed", "failure_code": code, "failure_reason": reason });
            let Progress::Failed(fault) = read(state) else { panic!() };
            assert_eq!(fault.kind, kind, "{code:?} {reason}");
        }
    }

    #[test]
    fn a_clip_has_its_content_type_by_its_name() {
        assert_eq!(video_type("https://a.example/x.MOV?y=1"), "video/quicktime");
        assert_eq!(video_type("https://a.example/x"), "video/mp4");
    }
}
