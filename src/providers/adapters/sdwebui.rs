//! Stable Diffusion WebUI (AUTOMATIC1111, Forge) on a server of one's own, started with `--api`.
//!
//! Quirks: the connection stays open until the picture is done, and there is no task to ask for: a submit ends done, and
//! what a lost connection carried is gone. A checkpoint the server does not have is silently replaced by the loaded
//! one, so the list is looked at first. The checkpoint of a request stays loaded (reloading the former one after each
//! picture would cost up to a minute). One job at a time: `concurrent_calls` is 1.
//!
//! The model id is the checkpoint, unless the option `checkpoint` names another. Reads `params.sizes` (aspect ratio to
//! `WIDTHxHEIGHT`).

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chrono::TimeDelta;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    domain::{
        Fault, Upstream, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    media::InputFile,
    providers::{
        Call, Cx, Handle, Progress, Provider, Reply, Submitted, Task,
        http::{excerpt, preparing},
        own_server,
    },
};

const VARIABLE: &str = "SDWEBUI_URL";

/// A large picture on a small card with a checkpoint to load; just below the limit of all calls.
const PATIENCE: Duration = Duration::from_secs(290);

/// How long the list of checkpoints is trusted.
const LIST_KEPT: TimeDelta = TimeDelta::seconds(60);

/// The adapter.
pub struct SdWebui;

#[async_trait]
impl Provider for SdWebui {
    fn upstream(&self) -> Upstream {
        "sdwebui".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let checkpoint = checkpoint(cx, task).await.map_err(preparing)?;
        let image = match &task.input.image {
            Some(url) => Some(cx.input(url).await.map_err(preparing)?),
            None => None,
        };
        let path = if image.is_some() { "/sdapi/v1/img2img" } else { "/sdapi/v1/txt2img" };
        let body = to_wire(task, &checkpoint, image.as_ref());
        let reply = call(cx, Method::POST, path)?.json(&body).timeout(PATIENCE).send().await?;
        if !reply.is_success() {
            return Err(classify(&reply));
        }
        from_wire(&reply.json()?).map(Submitted::Done)
    }

    async fn poll(&self, _cx: &Cx, _task: &Task, _handle: &Handle) -> Result<Progress, Fault> {
        Err(Fault::refused(Kind::Gone, "pictures come with the answer; there is nothing to ask for"))
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let reply = call(cx, Method::GET, "/sdapi/v1/progress?skip_current_image=true")?.send().await?;
        if reply.is_success() { Ok(()) } else { Err(classify(&reply)) }
    }
}

fn call(cx: &Cx, method: Method, path: &str) -> Result<Call, Fault> {
    own_server::call(cx, method, VARIABLE, path)
}

/// The server's title of the checkpoint that was asked for.
async fn checkpoint(cx: &Cx, task: &Task) -> Result<String, Fault> {
    let by_caller = task.options.get("checkpoint").and_then(Value::as_str);
    let name = by_caller.unwrap_or(&task.model);
    if let Some(title) = cx.cache.get("checkpoints", cx.now()).and_then(|list| title_of(&list, name)) {
        return Ok(title);
    }
    let reply = call(cx, Method::GET, "/sdapi/v1/sd-models")?.send().await?;
    if !reply.is_success() {
        return Err(classify(&reply));
    }
    let list: Value = reply.json()?;
    let found = title_of(&list, name);
    cx.cache.put("checkpoints", list, cx.now() + LIST_KEPT);
    let kind = if by_caller.is_some() { Kind::InvalidInput } else { Kind::Account };
    found.ok_or_else(|| Fault::refused(kind, format!("the server has no checkpoint {name}")))
}

/// Finds a checkpoint by title, name, hash or file name.
fn title_of(list: &Value, name: &str) -> Option<String> {
    let stem = |text: &str| {
        let text = text.to_lowercase();
        [".safetensors", ".ckpt"].iter().find_map(|end| text.strip_suffix(end)).unwrap_or(&text).to_owned()
    };
    let wanted = stem(name);
    let is_it = |model: &&Value| {
        let said = |key: &str| model.get(key).and_then(Value::as_str).map(stem);
        ["title", "model_name", "hash", "sha256"].iter().any(|key| said(key).is_some_and(|said| said == wanted))
            || said("title").is_some_and(|title| title.rsplit_once(" [").is_some_and(|(file, _)| stem(file) == wanted))
    };
    list.as_array()?.iter().find(is_it)?.get("title")?.as_str().map(str::to_owned)
}

fn to_wire(task: &Task, checkpoint: &str, image: Option<&InputFile>) -> Value {
    let mut body = Map::new();
    body.insert("prompt".into(), json!(task.input.text.as_deref().unwrap_or_default()));
    for (option, field) in [
        ("negativePrompt", "negative_prompt"),
        ("seed", "seed"),
        ("n", "batch_size"),
        ("steps", "steps"),
        ("cfgScale", "cfg_scale"),
        ("scheduler", "scheduler"),
    ] {
        if let Some(value) = task.options.get(option) {
            body.insert(field.into(), value.clone());
        }
    }
    if let Some(sampler) = task.options.get("sampler").and_then(Value::as_str) {
        body.insert("sampler_name".into(), json!(sampler_name(sampler)));
    }
    if let Some((width, height)) = size(task, image) {
        body.insert("width".into(), json!(width));
        body.insert("height".into(), json!(height));
    }
    if let Some(file) = image {
        body.insert("init_images".into(), json!([file.base64()]));
        // Cut to the size rather than stretched.
        body.insert("resize_mode".into(), json!(1));
        if let Some(strength) = task.options.get("strength") {
            body.insert("denoising_strength".into(), strength.clone());
        }
    }
    body.insert("override_settings".into(), json!({ "sd_model_checkpoint": checkpoint }));
    body.insert("override_settings_restore_afterwards".into(), json!(false));
    Value::Object(body)
}

/// The size for the asked ratio, for the ratio nearest to that of the picture given, or the square one.
fn size(task: &Task, image: Option<&InputFile>) -> Option<(u32, u32)> {
    let sizes = task.params.get("sizes")?.as_object()?;
    let parsed = |text: &Value| -> Option<(u32, u32)> {
        let (width, height) = text.as_str()?.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    };
    if let Some((width, height)) = image.and_then(dimensions) {
        let off =
            |(w, h): (u32, u32)| (f64::from(w) / f64::from(h) / (f64::from(width) / f64::from(height))).ln().abs();
        return sizes.values().filter_map(parsed).min_by(|a, b| off(*a).total_cmp(&off(*b)));
    }
    let ratio = task.options.get("aspectRatio").and_then(Value::as_str).unwrap_or("1:1");
    sizes.get(ratio).and_then(parsed)
}

fn dimensions(file: &InputFile) -> Option<(u32, u32)> {
    let reader = image::ImageReader::new(std::io::Cursor::new(&file.bytes)).with_guessed_format().ok()?;
    reader.into_dimensions().ok().filter(|(width, height)| *width > 0 && *height > 0)
}

/// The sampler's name in the WebUI; the catalogue uses the common short names.
fn sampler_name(name: &str) -> &str {
    match name {
        "euler" => "Euler",
        "euler_ancestral" => "Euler a",
        "heun" => "Heun",
        "dpmpp_2m" => "DPM++ 2M",
        "dpmpp_2m_sde" => "DPM++ 2M SDE",
        "dpmpp_sde" => "DPM++ SDE",
        "dpmpp_3m_sde" => "DPM++ 3M SDE",
        "ddim" => "DDIM",
        "uni_pc" => "UniPC",
        "lcm" => "LCM",
        other => other,
    }
}

fn from_wire(answer: &Pictures) -> Result<Outputs, Fault> {
    let garbled = |what: &str| Fault::new(Kind::Garbled, Verdict::Unknown, what);
    let mut files = Vec::new();
    for picture in &answer.images {
        let base64 = picture.rsplit_once("base64,").map_or(picture.as_str(), |(_, data)| data);
        let bytes = STANDARD.decode(base64).map_err(|error| garbled("a picture is not base64").because(error))?;
        files.push(Output { source: Source::Bytes(Bytes::from(bytes)), content_type: Some("image/png".into()) });
    }
    if files.is_empty() {
        return Err(garbled("no picture in the answer"));
    }
    let info: Info = serde_json::from_str(&answer.info).unwrap_or_default();
    Ok(Outputs { files, seed: info.seed, ..Outputs::default() })
}

fn classify(reply: &Reply) -> Fault {
    let trouble: Trouble = reply.json().unwrap_or_default();
    let words = trouble.words();
    let mut fault = reply.fault(excerpt(&words));
    let is = |sign: &str| words.contains(sign);
    match reply.status {
        // Every sampler of the catalogue is a stock one.
        400 if is("Sampler not found") => fault.kind = Kind::Account,
        404 if is("Init image not found") => fault.kind = Kind::InvalidInput,
        404 | 405 => fault.kind = Kind::Account,
        500 if is("Invalid encoded image") || is("Requests not allowed") || is("local resource not allowed") => {
            (fault.kind, fault.verdict) = (Kind::InvalidInput, Verdict::Refused);
        }
        // The call is the whole work: a described failure leaves nothing running.
        500 if trouble.error.is_some() || trouble.detail.is_some() => {
            (fault.kind, fault.verdict) = (Kind::Failed, Verdict::Refused);
        }
        _ => {}
    }
    fault
}

#[derive(Deserialize)]
struct Pictures {
    images: Vec<String>,
    #[serde(default)]
    info: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    seed: Option<i64>,
}

/// AUTOMATIC1111 says `error`, `detail` and `errors`; its forks only `detail`, a text or a list.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Trouble {
    error: Option<String>,
    detail: Option<Value>,
    errors: Option<String>,
}

impl Trouble {
    fn words(&self) -> String {
        let detail =
            self.detail.as_ref().map(|detail| detail.as_str().map_or_else(|| detail.to_string(), str::to_owned));
        [self.error.as_deref(), detail.as_deref(), self.errors.as_deref()]
            .into_iter()
            .flatten()
            .filter(|words| !words.is_empty())
            .collect::<Vec<_>>()
            .join(": ")
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "json! literals read better without a borrow")]
mod tests {
    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    fn task(options: Value) -> Task {
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Image,
            model: "sd_xl_base_1.0".into(),
            params: Map::from_iter([("sizes".into(), json!({ "1:1": "1024x1024", "16:9": "1344x768" }))]),
            input: ContentInput { text: Some("a fox".into()), ..ContentInput::default() },
            options: options.as_object().cloned().unwrap(),
            wire: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn options_are_said_in_the_servers_words() {
        let body = to_wire(
            &task(json!({ "aspectRatio": "16:9", "sampler": "dpmpp_2m", "n": 2, "strength": 0.5 })),
            "xl",
            None,
        );
        assert_eq!(
            body,
            json!({
                "prompt": "a fox", "batch_size": 2, "sampler_name": "DPM++ 2M", "width": 1344, "height": 768,
                "override_settings": { "sd_model_checkpoint": "xl" }, "override_settings_restore_afterwards": false,
            })
        );
    }

    #[test]
    fn a_picture_given_decides_the_size() {
        let mut png = std::io::Cursor::new(Vec::new());
        image::DynamicImage::new_rgb8(64, 36).write_to(&mut png, image::ImageFormat::Png).unwrap();
        let file = InputFile { bytes: png.into_inner().into(), content_type: "image/png".into() };
        let body = to_wire(&task(json!({ "strength": 0.5 })), "xl", Some(&file));
        assert_eq!(
            (&body["width"], &body["denoising_strength"], &body["resize_mode"]),
            (&json!(1344), &json!(0.5), &json!(1))
        );
    }

    #[test]
    fn checkpoints_are_found_by_any_of_their_names() {
        let list = json!([{ "title": "sd_xl_base_1.0.safetensors [31e35c80fc]", "model_name": "sd_xl_base_1.0", "hash": "31e35c80fc" }]);
        for name in
            ["sd_xl_base_1.0", "SD_XL_base_1.0.safetensors", "31e35c80fc", "sd_xl_base_1.0.safetensors [31e35c80fc]"]
        {
            assert_eq!(title_of(&list, name).as_deref(), Some("sd_xl_base_1.0.safetensors [31e35c80fc]"), "{name}");
        }
        assert_eq!(title_of(&list, "sd_xl"), None);
    }

    #[test]
    fn both_shapes_of_errors_are_read() {
        let of = |status, body: Value| {
            let reply = Reply { status, headers: reqwest::header::HeaderMap::new(), body: body.to_string().into() };
            let fault = classify(&reply);
            (fault.kind, fault.verdict)
        };
        let crash = json!({ "error": "OutOfMemoryError", "detail": "", "body": "", "errors": "CUDA out of memory." });
        assert_eq!(of(500, crash), (Kind::Failed, Verdict::Refused));
        assert_eq!(of(500, json!({ "detail": "Invalid encoded image" })), (Kind::InvalidInput, Verdict::Refused));
        assert_eq!(of(404, json!({ "detail": "Not Found" })), (Kind::Account, Verdict::Refused));
        assert_eq!(of(404, json!({ "detail": "Init image not found" })), (Kind::InvalidInput, Verdict::Refused));
        assert_eq!(of(401, json!({ "detail": "Not authenticated" })), (Kind::Account, Verdict::Refused));
        assert_eq!(of(422, json!({ "detail": [{ "msg": "value is not a valid integer" }] })).0, Kind::InvalidInput);
        assert_eq!(of(502, json!("bad gateway")), (Kind::Down, Verdict::Unknown));
    }

    #[test]
    fn the_seed_is_in_the_info_text() {
        let answer = Pictures { images: vec!["data:image/png;base64,AA==".into()], info: r#"{"seed": 42}"#.into() };
        assert_eq!(from_wire(&answer).unwrap().seed, Some(42));
        assert_eq!(from_wire(&Pictures { images: vec![], info: String::new() }).unwrap_err().verdict, Verdict::Unknown);
    }
}
