//! Creatify: ads from a product's page or pictures, product shots in motion, talking presenters,
//! <https://docs.creatify.ai>.
//!
//! Quirks: every path ends with a slash; aspect ratios are written `16x9`; an ad is made from a stored link, which is
//! created first and free of charge; a product clip is two runs on one id, the second of which is started by the poll
//! that finds the picture ready. Files go by public URL only. No cancel and no idempotency key; ads and portraits carry
//! our id as their `name`, by which a lost submit is found again.
//!
//! Reads `params.path`: `link_to_videos`, `aurora`, `product_to_videos`, `product_images` (the first half of the
//! former), `lipsyncs`, `text_to_speech`. The route's model is the `model_version` or product `type`.
//! Unconfirmed: the bodies of refusals.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::{
    domain::{
        ContentInput, Fault, Upstream,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    providers::{
        Call, Cx, Handle, Progress, Provider, Reconciled, Reply, Submitted, Task, body,
        http::{excerpt, preparing},
    },
};

const BASE: &str = "https://api.creatify.ai/api";
/// Reading a product's page takes a while.
const LINK_TIMEOUT: Duration = Duration::from_mins(2);
const MAX_TITLE_CHARS: usize = 80;

/// The adapter.
pub struct Creatify;

#[async_trait]
impl Provider for Creatify {
    fn upstream(&self) -> Upstream {
        "creatify".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let input = links(cx, &task.input).await.map_err(preparing)?;
        let (path, wire) = match endpoint(task) {
            "aurora" => ("aurora", portrait_to_wire(task, &input)),
            "product_to_videos" => ("product_to_videos/gen_image", product_to_wire(task, &input)),
            "lipsyncs" => ("lipsyncs", lipsync_to_wire(task, &input)),
            "text_to_speech" => {
                ("text_to_speech", json!({ "script": input.text, "accent": body::option(task, "voice") }))
            }
            _ => {
                let link = store_link(cx, task, &input).await.map_err(preparing)?;
                ("link_to_videos", ad_to_wire(task, &link))
            }
        };
        let reply = call(cx, Method::POST, path)?.json(&wire).send().await?;
        if !reply.is_success() {
            return Err(refusal(&reply));
        }
        let stored: Stored = reply.json()?;
        Ok(Submitted::Accepted { handle: Handle(stored.id), poll_after: None })
    }

    async fn poll(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let stored = look(cx, task, handle).await?;
        if stored.status == "image_generated" && !stops_at_the_picture(task) {
            return animate(cx, task, handle).await;
        }
        Ok(from_wire(task, &stored))
    }

    async fn reconcile(&self, cx: &Cx, task: &Task) -> Result<Reconciled, Fault> {
        let endpoint = endpoint(task);
        if !matches!(endpoint, "link_to_videos" | "aurora") {
            return Ok(Reconciled::Unsupported);
        }
        let reply = call(cx, Method::GET, endpoint)?.send().await?;
        if matches!(reply.status, 404 | 405) {
            return Ok(Reconciled::Unsupported);
        }
        if !reply.is_success() {
            return Err(classify(&reply));
        }
        // Whether the list is complete is not documented: what is not in it may still be there.
        let found = listed(&reply.json()?, &task.id.to_string());
        Ok(found.map_or(Reconciled::Unsupported, |id| Reconciled::Found(Handle(id))))
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let reply = call(cx, Method::GET, "remaining_credits")?.send().await?;
        if reply.is_success() { Ok(()) } else { Err(classify(&reply)) }
    }
}

fn call(cx: &Cx, method: Method, path: &str) -> Result<Call, Fault> {
    let call = cx.call(method, &format!("{BASE}/{path}/"))?;
    Ok(call.header("X-API-ID", cx.secret("CREATIFY_API_ID")?).header("X-API-KEY", cx.secret("CREATIFY_API_KEY")?))
}

async fn look(cx: &Cx, task: &Task, handle: &Handle) -> Result<Stored, Fault> {
    let reply = call(cx, Method::GET, &format!("{}/{}", endpoint(task), handle.0))?.send().await?;
    if reply.is_success() { reply.json() } else { Err(classify(&reply)) }
}

fn endpoint(task: &Task) -> &str {
    match body::param(task, "path") {
        Some("product_images") => "product_to_videos",
        Some(path) => path,
        None => "link_to_videos",
    }
}

fn stops_at_the_picture(task: &Task) -> bool {
    body::param(task, "path") == Some("product_images")
}

/// The inputs with every file under an address Creatify can fetch.
async fn links(cx: &Cx, input: &ContentInput) -> Result<ContentInput, Fault> {
    let mut linked = input.clone();
    for url in [&mut linked.image, &mut linked.video, &mut linked.audio].into_iter().flatten() {
        *url = cx.input_url(url).await?;
    }
    for url in linked.images.iter_mut().flatten() {
        *url = cx.input_url(url).await?;
    }
    Ok(linked)
}

/// Stores what the ad is about and tells its id.
async fn store_link(cx: &Cx, task: &Task, input: &ContentInput) -> Result<String, Fault> {
    let (path, wire) = link_to_wire(task, input);
    let reply = call(cx, Method::POST, path)?.timeout(LINK_TIMEOUT).json(&wire).send().await?;
    if !reply.is_success() {
        return Err(refusal(&reply));
    }
    Ok(reply.json::<Stored>()?.id)
}

fn link_to_wire(task: &Task, input: &ContentInput) -> (&'static str, Value) {
    let text = input.text.as_deref().unwrap_or_default();
    if let Some(page) = body::text(task, "productUrl").or_else(|| address_in(text)) {
        return ("links", json!({ "url": page }));
    }
    let pictures: Vec<&String> = input.image.iter().chain(input.images.iter().flatten()).collect();
    let title: String = text.lines().next().unwrap_or_default().chars().take(MAX_TITLE_CHARS).collect();
    let wire = json!({
        "title": if title.is_empty() { "Product".to_owned() } else { title },
        "description": input.text,
        // Required, so that it stands here empty where there is no picture.
        "image_urls": pictures,
        "video_urls": input.video.as_ref().map(|url| vec![url]),
    });
    ("links/link_with_params", body::given(wire))
}

/// The first web address in a text.
fn address_in(text: &str) -> Option<&str> {
    text.split_whitespace()
        .map(|word| word.trim_matches(|c: char| "()[]<>\"',;.".contains(c)))
        .find(|word| (word.starts_with("https://") || word.starts_with("http://")) && Url::parse(word).is_ok())
}

/// The words of the prompt; the product's address is not one of them.
fn script(text: &str) -> Option<String> {
    let words = match address_in(text) {
        Some(address) => text.replacen(address, "", 1),
        None => text.to_owned(),
    };
    let words = words.trim();
    (!words.is_empty()).then(|| words.to_owned())
}

fn aspect(task: &Task) -> Option<String> {
    body::text(task, "aspectRatio").map(|ratio| ratio.replace(':', "x"))
}

fn ad_to_wire(task: &Task, link: &str) -> Value {
    let off = |option: &str| task.options.get(option).and_then(Value::as_bool).map(|on| !on);
    body::given(json!({
        "link": link,
        "name": task.id.to_string(),
        "target_platform": body::option(task, "targetPlatform"),
        "target_audience": body::option(task, "targetAudience"),
        "language": body::option(task, "language"),
        "video_length": body::option(task, "duration"),
        "aspect_ratio": aspect(task),
        "script_style": body::option(task, "scriptStyle"),
        "visual_style": body::option(task, "visualStyle"),
        "override_avatar": body::option(task, "avatarId"),
        "override_voice": body::option(task, "voice"),
        "override_script": task.input.text.as_deref().and_then(script),
        "caption_style": body::option(task, "captionStyle"),
        "no_caption": off("captions"),
        "no_background_music": off("music"),
        "model_version": task.model,
    }))
}

fn portrait_to_wire(task: &Task, input: &ContentInput) -> Value {
    body::given(json!({
        "name": task.id.to_string(),
        "image": input.image,
        "audio": input.audio,
        "text_prompt": input.text,
        "prompt_guidance_scale": body::option(task, "guidance"),
        "model_version": task.model,
    }))
}

fn product_to_wire(task: &Task, input: &ContentInput) -> Value {
    body::given(json!({
        "product_url": input.image,
        "type": task.model,
        "image_prompt": input.text,
        "aspect_ratio": aspect(task),
        "override_avatar": body::option(task, "avatarId"),
    }))
}

fn lipsync_to_wire(task: &Task, input: &ContentInput) -> Value {
    body::given(json!({
        "text": input.text,
        "audio": input.audio,
        "creator": body::option(task, "avatarId"),
        "accent": body::option(task, "voice"),
        "aspect_ratio": aspect(task),
    }))
}

/// Starts the second half of a product clip. A refusal may only say that an earlier poll did so: the task knows.
async fn animate(cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
    let wire = body::given(json!({
        "video_prompt": task.input.text,
        "motion_style": body::option(task, "motionStyle"),
    }));
    let reply =
        call(cx, Method::POST, &format!("product_to_videos/{}/gen_video", handle.0))?.json(&wire).send().await?;
    if reply.is_success() {
        return Ok(Progress::Running(None));
    }
    let fault = classify(&reply);
    match fault.kind {
        Kind::InvalidInput => {}
        // An account without money would hold the task until its deadline.
        Kind::Account => return Ok(Progress::Failed(fault)),
        _ => return Err(fault),
    }
    let stored = look(cx, task, handle).await?;
    Ok(if stored.status == "image_generated" { Progress::Failed(fault) } else { from_wire(task, &stored) })
}

fn from_wire(task: &Task, stored: &Stored) -> Progress {
    match stored.status.as_str() {
        "pending" | "in_queue" | "initializing" => Progress::Queued,
        "image_generated" if stops_at_the_picture(task) => done(stored.generated_photo_url.as_deref()),
        "running" | "processing" | "image_generating" | "image_generated" | "video_generating" => {
            Progress::Running(stored.percent())
        }
        "done" => done(stored.video_output.as_deref().or(stored.output.as_deref())),
        "video_generated" => done(stored.generated_video_url.as_deref()),
        "failed" | "error" => Progress::Failed(Fault::refused(Kind::Failed, stored.reason())),
        "rejected" => Progress::Failed(Fault::refused(Kind::Moderated, stored.reason())),
        unknown => {
            tracing::warn!(upstream.id = "creatify", status = unknown, "a status word that is not documented");
            Progress::Running(None)
        }
    }
}

fn done(address: Option<&str>) -> Progress {
    let Some(url) = address.and_then(|address| Url::parse(address).ok()) else {
        return Progress::Failed(Fault::refused(Kind::Failed, "done without an output"));
    };
    let file = Output { source: Source::Url { url, authorized: false }, content_type: None };
    Progress::Done(Outputs { files: vec![file], ..Outputs::default() })
}

/// The id of the object with this name, in a plain or a paged list.
fn listed(list: &Value, name: &str) -> Option<String> {
    let items = list.as_array().or_else(|| list.get("results")?.as_array())?;
    let item = items.iter().find(|item| item.get("name").and_then(Value::as_str) == Some(name))?;
    item.get("id")?.as_str().map(str::to_owned)
}

/// What a refused submit means: an endpoint that is not there is a wrong entry of ours.
fn refusal(reply: &Reply) -> Fault {
    let fault = classify(reply);
    if matches!(reply.status, 404 | 405) { Fault { kind: Kind::Account, ..fault } } else { fault }
}

fn classify(reply: &Reply) -> Fault {
    let words = excerpt(&String::from_utf8_lossy(&reply.body));
    // Failures come as HTML of whatever stands in front, or as JSON of the service.
    match reply.json::<Value>() {
        Ok(Value::Object(told)) if !told.is_empty() => reply.told_fault(words),
        _ => reply.fault(words),
    }
}

#[derive(Deserialize)]
struct Stored {
    id: String,
    #[serde(default)]
    status: String,
    /// A share as text.
    progress: Option<Value>,
    failed_reason: Option<String>,
    video_output: Option<String>,
    output: Option<String>,
    generated_photo_url: Option<String>,
    generated_video_url: Option<String>,
}

impl Stored {
    fn reason(&self) -> String {
        excerpt(self.failed_reason.as_deref().unwrap_or("no reason was given"))
    }

    fn percent(&self) -> Option<u8> {
        let progress = self.progress.as_ref()?;
        let share = progress.as_f64().or_else(|| progress.as_str()?.trim().parse().ok())?;
        Some(body::percent(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_in_the_text_is_what_the_ad_is_about() {
        assert_eq!(address_in("See (https://shop.example/shoe). Buy it"), Some("https://shop.example/shoe"));
        assert_eq!(address_in("no address"), None);
        assert_eq!(script("https://shop.example/shoe  Run faster"), Some("Run faster".into()));
        assert_eq!(script("https://shop.example/shoe"), None);
    }

    #[test]
    fn a_lost_submit_is_found_by_its_name() {
        let list = json!([{ "id": "a", "name": "x" }, { "id": "b", "name": "gen_1" }]);
        assert_eq!(listed(&list, "gen_1"), Some("b".into()));
        assert_eq!(listed(&json!({ "results": list }), "gen_1"), Some("b".into()));
        assert_eq!(listed(&json!([]), "gen_1"), None);
    }
}
