//! `ByteDance` `ModelArk`: Seedance clips as tasks, Seedream pictures with the answer of the submit.
//!
//! A clip starts either from frames (`image`, `lastImage`) or from reference material (`images`, `video`, `audio`),
//! never from both. One picture is one call. `params.sizes` of a Seedream route: `pixels` (the size is sent as
//! width x height only), `adaptive` (the model keeps the size of its input); else a size word goes out as it is unless a
//! ratio was asked for. No client id, so that a lost submit cannot be found again. Deleting a task stops it only while
//! it waits; the call is made once, since it removes the record of a finished task.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use crate::{
    domain::{
        Fault, GenerationType, Upstream,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    media::InputFile,
    providers::{
        Call, Cancelled, Cx, Handle, Progress, Provider, Reply, Submitted, Task, copies,
        files::link_or_inline,
        http::{excerpt, garbled, preparing},
    },
};

const BASE: &str = "https://ark.ap-southeast.bytepluses.com/api/v3";
const IMAGE_TIMEOUT: Duration = Duration::from_secs(170);

/// The adapter.
pub struct Ark;

#[async_trait]
impl Provider for Ark {
    fn upstream(&self) -> Upstream {
        "ark".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        match task.r#type {
            GenerationType::Video => submit_clip(cx, task).await,
            GenerationType::Image => submit_pictures(cx, task).await,
            GenerationType::Audio | GenerationType::Avatar => {
                Err(Fault::refused(Kind::InvalidInput, "ModelArk makes clips and pictures only"))
            }
        }
    }

    async fn poll(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let reply = call(cx, Method::GET, &format!("contents/generations/tasks/{}", handle.0))?.send().await?;
        if !reply.is_success() {
            return Err(classify(&reply));
        }
        clip_from_wire(reply.json()?)
    }

    async fn cancel(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Cancelled, Fault> {
        let reply = call(cx, Method::DELETE, &format!("contents/generations/tasks/{}", handle.0))?.send().await?;
        match reply.status {
            200..=299 => Ok(Cancelled::Stopped),
            // Running, or unknown.
            404 | 409 => Ok(Cancelled::TooLate),
            _ => Err(classify(&reply)),
        }
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let list = call(cx, Method::GET, "contents/generations/tasks")?;
        let reply = list.query(&[("page_num", "1"), ("page_size", "1")]).send().await?;
        if reply.is_success() { Ok(()) } else { Err(classify(&reply)) }
    }
}

fn call(cx: &Cx, method: Method, path: &str) -> Result<Call, Fault> {
    Ok(cx.call(method, &format!("{BASE}/{path}"))?.bearer(cx.secret("ARK_API_KEY")?))
}

async fn submit_clip(cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
    let media = Media::reach(cx, task).await.map_err(preparing)?;
    let body = clip_to_wire(task, &media)?;
    let reply = call(cx, Method::POST, "contents/generations/tasks")?.json(&body).send().await?;
    if !reply.is_success() {
        return Err(classify(&reply));
    }
    let taken: Taken = reply.json()?;
    Ok(Submitted::Accepted { handle: Handle(taken.id), poll_after: None })
}

async fn submit_pictures(cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
    let mut pictures = Vec::new();
    for url in task.input.image.iter().chain(task.input.images.iter().flatten()) {
        pictures.push(link_or_inline(cx, url, InputFile::data_url).await?);
    }
    let count = task.options.get("n").and_then(Value::as_i64).unwrap_or(1);
    let bodies: Vec<Value> = (0..count).map(|copy| picture_to_wire(task, &pictures, copy)).collect();
    copies::gather(bodies.iter().map(|body| generate(cx, body))).await.map(Submitted::Done)
}

async fn generate(cx: &Cx, body: &Value) -> Result<Outputs, Fault> {
    let reply = call(cx, Method::POST, "images/generations")?.timeout(IMAGE_TIMEOUT).json(body).send().await?;
    if !reply.is_success() {
        return Err(classify(&reply));
    }
    pictures_from_wire(reply.json()?)
}

/// The inputs of a clip as the service takes them. A clip has to be an address; the rest may come inline.
#[derive(Default)]
struct Media {
    first: Option<String>,
    last: Option<String>,
    pictures: Vec<String>,
    clip: Option<String>,
    sound: Option<String>,
}

impl Media {
    async fn reach(cx: &Cx, task: &Task) -> Result<Self, Fault> {
        let mut media = Self::default();
        if let Some(url) = &task.input.image {
            media.first = Some(link_or_inline(cx, url, InputFile::data_url).await?);
        }
        if let Some(url) = &task.input.last_image {
            media.last = Some(link_or_inline(cx, url, InputFile::data_url).await?);
        }
        for url in task.input.images.iter().flatten() {
            media.pictures.push(link_or_inline(cx, url, InputFile::data_url).await?);
        }
        if let Some(url) = &task.input.video {
            media.clip = Some(cx.input_url(url).await?);
        }
        if let Some(url) = &task.input.audio {
            media.sound = Some(link_or_inline(cx, url, InputFile::data_url).await?);
        }
        Ok(media)
    }
}

fn clip_to_wire(task: &Task, media: &Media) -> Result<Value, Fault> {
    if media.last.is_some() && media.first.is_none() {
        return Err(Fault::refused(Kind::InvalidInput, "a last picture needs a first one"));
    }
    let mut content = Vec::new();
    if let Some(text) = task.input.text.as_deref().filter(|text| !text.is_empty()) {
        content.push(json!({ "type": "text", "text": text }));
    }
    let mut part = |kind: &str, url: &String, role: &str| {
        content.push(json!({ "type": kind, kind: { "url": url }, "role": role }));
    };
    media.first.iter().for_each(|url| part("image_url", url, "first_frame"));
    media.last.iter().for_each(|url| part("image_url", url, "last_frame"));
    media.pictures.iter().for_each(|url| part("image_url", url, "reference_image"));
    media.clip.iter().for_each(|url| part("video_url", url, "reference_video"));
    media.sound.iter().for_each(|url| part("audio_url", url, "reference_audio"));
    let mut body = Map::new();
    body.insert("model".into(), json!(task.model));
    body.insert("content".into(), json!(content));
    let fields = [
        ("resolution", "resolution"),
        ("aspectRatio", "ratio"),
        ("duration", "duration"),
        ("seed", "seed"),
        ("watermark", "watermark"),
        ("cameraFixed", "camera_fixed"),
        ("sound", "generate_audio"),
        ("task", "omni_reference_task_type"),
    ];
    copy_options(task, &fields, &mut body);
    Ok(Value::Object(body))
}

/// The same seed gives the same picture, so that each further copy counts it up.
fn picture_to_wire(task: &Task, pictures: &[String], copy: i64) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), json!(task.model));
    body.insert("prompt".into(), json!(task.input.text.as_deref().unwrap_or_default()));
    match pictures {
        [] => {}
        [one] => drop(body.insert("image".into(), json!(one))),
        many => drop(body.insert("image".into(), json!(many))),
    }
    if let Some(size) = size(task) {
        body.insert("size".into(), json!(size));
    }
    body.insert("response_format".into(), json!("url"));
    let fields = [("watermark", "watermark"), ("guidanceScale", "guidance_scale"), ("format", "output_format")];
    copy_options(task, &fields, &mut body);
    match task.options.get("seed").and_then(Value::as_i64) {
        Some(seed) if seed >= 0 => drop(body.insert("seed".into(), json!((seed + copy).rem_euclid(1 << 31)))),
        Some(seed) => drop(body.insert("seed".into(), json!(seed))),
        None => {}
    }
    Value::Object(body)
}

fn copy_options(task: &Task, fields: &[(&str, &str)], body: &mut Map<String, Value>) {
    for (option, field) in fields {
        if let Some(value) = task.options.get(*option) {
            body.insert((*field).to_owned(), value.clone());
        }
    }
}

/// A word (`2K`) leaves the shape to the model; with a ratio the pixels are counted out, as the service recommends.
fn size(task: &Task) -> Option<String> {
    let text = |name: &str| task.options.get(name).and_then(Value::as_str);
    let sizes = task.params.get("sizes").and_then(Value::as_str);
    if sizes == Some("adaptive") {
        return Some("adaptive".into());
    }
    let (ratio, resolution) = (text("aspectRatio"), text("resolution"));
    if ratio.is_none() && sizes != Some("pixels") {
        return resolution.map(str::to_uppercase);
    }
    let row = match ratio.unwrap_or("1:1") {
        "4:3" | "3:4" => [(1152, 864), (2304, 1728), (3456, 2592), (4704, 3520)],
        "3:2" | "2:3" => [(1248, 832), (2496, 1664), (3744, 2496), (4992, 3328)],
        "16:9" | "9:16" => [(1312, 736), (2560, 1440), (4096, 2304), (5504, 3040)],
        "21:9" => [(1512, 648), (3024, 1296), (4704, 2016), (6240, 2656)],
        _ => [(1024, 1024), (2048, 2048), (3072, 3072), (4096, 4096)],
    };
    let (long, short) = match resolution.unwrap_or("2k") {
        "1k" => row[0],
        "3k" => row[2],
        "4k" => row[3],
        _ => row[1],
    };
    let portrait = matches!(ratio, Some("3:4" | "2:3" | "9:16"));
    Some(if portrait { format!("{short}x{long}") } else { format!("{long}x{short}") })
}

fn clip_from_wire(state: TaskState) -> Result<Progress, Fault> {
    match state.status.as_str() {
        "queued" => Ok(Progress::Queued),
        "running" => Ok(Progress::Running(None)),
        "succeeded" => {
            let url = state.content.and_then(|content| content.video_url);
            let file =
                remote(url.as_deref(), Some("video/mp4").filter(|_| state.output_format.as_deref() != Some("mov")))?;
            Ok(Progress::Done(Outputs { files: vec![file], seed: state.seed, ..Outputs::default() }))
        }
        "failed" => Ok(Progress::Failed(task_fault(&state.error.unwrap_or_default()))),
        "expired" | "cancelled" => {
            Ok(Progress::Failed(Fault::refused(Kind::Failed, format!("the task is {}", state.status))))
        }
        unknown => {
            tracing::warn!(upstream.status = unknown, "unknown status of a task");
            Ok(Progress::Running(None))
        }
    }
}

fn pictures_from_wire(answer: PicturesAnswer) -> Result<Outputs, Fault> {
    let mut files = Vec::new();
    for picture in answer.data {
        if let Some(error) = picture.error {
            return Err(task_fault(&error));
        }
        files.push(remote(picture.url.as_deref(), None)?);
    }
    if files.is_empty() {
        return Err(garbled("an answer without pictures"));
    }
    Ok(Outputs { files, ..Outputs::default() })
}

fn remote(url: Option<&str>, content_type: Option<&str>) -> Result<Output, Fault> {
    let url = url.ok_or_else(|| garbled("a result without an address"))?;
    let url = Url::parse(url).map_err(|error| garbled("the address of a result is no URL").because(error))?;
    Ok(Output { source: Source::Url { url, authorized: false }, content_type: content_type.map(str::to_owned) })
}

/// What a task failed of; the codes are those of refusals.
fn task_fault(error: &ErrorBody) -> Fault {
    let kind = if is_moderation(&error.code) {
        Kind::Moderated
    } else if error.code.starts_with("InvalidParameter") || error.code == "InvalidImageURL" {
        Kind::InvalidInput
    } else {
        Kind::Failed
    };
    Fault::refused(kind, excerpt(&format!("{}: {}", error.code, error.message)))
}

fn is_moderation(code: &str) -> bool {
    code.contains("SensitiveContentDetected")
}

fn classify(reply: &Reply) -> Fault {
    let error = serde_json::from_slice::<ErrorAnswer>(&reply.body).map(|answer| answer.error).unwrap_or_default();
    let code = error.code.as_str();
    let detail = excerpt(&format!("{code}: {}", error.message));
    let mut fault = if code.is_empty() { reply.fault(detail) } else { reply.told_fault(detail) };
    fault.kind = match reply.status {
        400 if is_moderation(code) => Kind::Moderated,
        400 if code == "InvalidEndpoint.ClosedEndpoint" => Kind::Account,
        // The model is not there or not open to our key; a task that is not there is `NotFound`.
        404 if code.starts_with("InvalidEndpointOrModel") || code == "ModelNotOpen" => Kind::Account,
        429 if code == "QuotaExceeded" || code == "SetLimitExceeded" => Kind::Account,
        _ => fault.kind,
    };
    fault
}

#[derive(Deserialize)]
struct Taken {
    id: String,
}

#[derive(Deserialize)]
struct TaskState {
    status: String,
    content: Option<TaskContent>,
    error: Option<ErrorBody>,
    seed: Option<i64>,
    output_format: Option<String>,
}

#[derive(Deserialize)]
struct TaskContent {
    video_url: Option<String>,
}

#[derive(Deserialize)]
struct PicturesAnswer {
    data: Vec<Picture>,
}

#[derive(Deserialize)]
struct Picture {
    url: Option<String>,
    error: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::Verdict;
    use crate::domain::{ContentInput, GenerationId};

    fn task(r#type: GenerationType, options: &Value, params: &Value) -> Task {
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type,
            model: "m".into(),
            params: params.as_object().cloned().unwrap_or_default(),
            input: ContentInput { text: Some("a red fox".into()), ..ContentInput::default() },
            options: options.as_object().cloned().unwrap_or_default(),
            wire: BTreeMap::new(),
        }
    }

    fn reply(status: u16, code: &str) -> Reply {
        let body = json!({"error": {"code": code, "message": "no", "param": "x", "type": "BadRequest"}});
        Reply { status, headers: reqwest::header::HeaderMap::new(), body: body.to_string().into() }
    }

    #[test]
    fn frames_and_references_have_their_roles() {
        let options = json!({"duration": 5, "resolution": "720p", "aspectRatio": "16:9", "sound": true});
        let media = Media { first: Some("https://a".into()), last: Some("https://b".into()), ..Media::default() };
        assert_eq!(
            clip_to_wire(&task(GenerationType::Video, &options, &json!({})), &media).unwrap(),
            json!({"model": "m", "content": [{"type": "text", "text": "a red fox"},
                {"type": "image_url", "image_url": {"url": "https://a"}, "role": "first_frame"},
                {"type": "image_url", "image_url": {"url": "https://b"}, "role": "last_frame"}],
                "duration": 5, "resolution": "720p", "ratio": "16:9", "generate_audio": true})
        );
        let media = Media { clip: Some("https://c".into()), sound: Some("https://d".into()), ..Media::default() };
        let wire = clip_to_wire(&task(GenerationType::Video, &json!({}), &json!({})), &media).unwrap();
        assert_eq!(
            wire["content"][1],
            json!({"type": "video_url", "video_url": {"url": "https://c"}, "role": "reference_video"})
        );
        assert_eq!(wire["content"][2]["role"], "reference_audio");
    }

    #[test]
    fn a_last_picture_alone_is_refused_before_it_costs() {
        let media = Media { last: Some("https://b".into()), ..Media::default() };
        let fault = clip_to_wire(&task(GenerationType::Video, &json!({}), &json!({})), &media).unwrap_err();
        assert_eq!((fault.kind, fault.verdict), (Kind::InvalidInput, Verdict::Refused));
    }

    #[test]
    fn picture_sizes_are_words_or_pixels() {
        let sized = |options: Value, params: Value| size(&task(GenerationType::Image, &options, &params));
        assert_eq!(sized(json!({"resolution": "2k"}), json!({})).as_deref(), Some("2K"));
        assert_eq!(sized(json!({"resolution": "2k", "aspectRatio": "9:16"}), json!({})).as_deref(), Some("1440x2560"));
        assert_eq!(sized(json!({"resolution": "1k"}), json!({"sizes": "pixels"})).as_deref(), Some("1024x1024"));
        assert_eq!(sized(json!({}), json!({"sizes": "adaptive"})).as_deref(), Some("adaptive"));
        for ratio in ["1:1", "4:3", "3:4", "3:2", "2:3", "16:9", "9:16", "21:9"] {
            for (resolution, least) in [("1k", 921_600), ("2k", 3_686_400), ("3k", 3_686_400), ("4k", 3_686_400)] {
                let size = sized(json!({"resolution": resolution, "aspectRatio": ratio}), json!({})).unwrap();
                let (width, height) = size.split_once('x').unwrap();
                let pixels = width.parse::<u32>().unwrap() * height.parse::<u32>().unwrap();
                assert!((least..=16_777_216).contains(&pixels), "{size}");
            }
        }
    }

    #[test]
    fn a_picture_has_its_watermark_decided() {
        let options = json!({"watermark": false, "resolution": "2k", "n": 1});
        assert_eq!(
            picture_to_wire(&task(GenerationType::Image, &options, &json!({})), &["https://a".into()], 0),
            json!({"model": "m", "prompt": "a red fox", "image": "https://a", "size": "2K", "response_format": "url",
                "watermark": false})
        );
    }

    #[test]
    fn refusals_are_told_apart() {
        let cases = [
            (400, "InvalidParameter.duration", Kind::InvalidInput, Verdict::Refused),
            (400, "InputTextSensitiveContentDetected", Kind::Moderated, Verdict::Refused),
            (400, "InvalidEndpoint.ClosedEndpoint", Kind::Account, Verdict::Refused),
            (401, "AuthenticationError", Kind::Account, Verdict::Refused),
            (403, "AccountOverdueError", Kind::Account, Verdict::Refused),
            (404, "ModelNotOpen", Kind::Account, Verdict::Refused),
            (404, "NotFound.Task", Kind::Gone, Verdict::Refused),
            (429, "ServerOverloaded", Kind::Busy, Verdict::Refused),
            (429, "QuotaExceeded", Kind::Account, Verdict::Refused),
            (500, "InternalServiceError", Kind::Down, Verdict::Refused),
            (500, "", Kind::Down, Verdict::Unknown),
            (503, "", Kind::Down, Verdict::Refused),
        ];
        for (status, code, kind, verdict) in cases {
            let fault = classify(&reply(status, code));
            assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{status} {code}");
        }
    }

    #[test]
    fn every_status_word_has_its_meaning() {
        let read = |body: Value| clip_from_wire(serde_json::from_value(body).unwrap()).unwrap();
        assert!(matches!(read(json!({"status": "queued"})), Progress::Queued));
        assert!(matches!(read(json!({"status": "running"})), Progress::Running(None)));
        assert!(matches!(read(json!({"status": "paused"})), Progress::Running(None)));
        assert!(matches!(
            read(json!({"status": "succeeded", "content": {"video_url": "https://a/b.mp4"}, "seed": 7})),
            Progress::Done(Outputs { seed: Some(7), .. })
        ));
        let failed =
            json!({"status": "failed", "error": {"code": "OutputVideoSensitiveContentDetected", "message": "x"}});
        assert!(matches!(read(failed), Progress::Failed(Fault { kind: Kind::Moderated, .. })));
        assert!(matches!(read(json!({"status": "expired"})), Progress::Failed(Fault { kind: Kind::Failed, .. })));
    }
}
