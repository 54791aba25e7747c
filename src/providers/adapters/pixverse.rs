//! `PixVerse` platform: `https://docs.platform.pixverse.ai`.
//!
//! Quirks:
//! - Every call needs an `Ai-trace-id` of its own: a repeated one is taken for the same request, whose task never ends.
//! - The envelope's `ErrCode` decides; HTTP is usually 200.
//! - Every picture and clip is uploaded first, by address or as a file. The path of a task is chosen by the inputs.
//! - Several subjects are named in the prompt as `@picture1` …; those the prompt does not name are added at its end.
//! - The status is a number. There is no cancel, and nothing to find a lost submit by.
//!
//! Route `params`: `path` where the inputs do not tell it (`mimic`, `extend`).
//!
//! Unconfirmed: statuses 2, 9 and 10 (read as waiting); which codes come with which HTTP status.

use async_trait::async_trait;
use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::{
    domain::{
        ContentInput, Fault, Upstream, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    providers::{
        Call, Cx, Handle, Progress, Provider, Reply, Submitted, Task,
        body::{Fields, id_text, param},
        http::{excerpt, preparing, unreadable},
    },
};

const BASE: &str = "https://app-api.pixverse.ai/openapi/v2";

/// The adapter for `PixVerse`.
pub struct PixVerse;

#[async_trait]
impl Provider for PixVerse {
    fn upstream(&self) -> Upstream {
        "pixverse".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let media = upload_all(cx, &task.input).await.map_err(preparing)?;
        let path = path(task);
        let call = headed(cx, cx.post(&format!("{BASE}/video/{path}/generate"))?)?;
        let answer: Value = read(&call.json(&body(path, task, &media)).send().await?).map_err(|mut fault| {
            // To a submit, "no such data" is about what it refers to.
            if fault.kind == Kind::Gone {
                fault.kind = Kind::InvalidInput;
            }
            fault
        })?;
        let id = answer.get("video_id").and_then(id_text).ok_or_else(unreadable)?;
        Ok(Submitted::Accepted { handle: Handle(id), poll_after: None })
    }

    async fn poll(&self, cx: &Cx, _task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let call = headed(cx, cx.get(&format!("{BASE}/video/result/{}", handle.0))?)?;
        progress(read(&call.send().await?)?)
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let call = headed(cx, cx.get(&format!("{BASE}/account/balance"))?)?;
        read::<Value>(&call.send().await?).map(drop)
    }
}

fn headed(cx: &Cx, call: Call) -> Result<Call, Fault> {
    let key = cx.secret("PIXVERSE_API_KEY")?;
    Ok(call.header("api-key", key).header("ai-trace-id", &Uuid::new_v4().to_string()))
}

/// The service's ids of what was uploaded.
#[derive(Default)]
struct Media {
    image: Option<i64>,
    last_image: Option<i64>,
    images: Vec<i64>,
    video: Option<i64>,
}

async fn upload_all(cx: &Cx, input: &ContentInput) -> Result<Media, Fault> {
    let mut media = Media::default();
    if let Some(image) = &input.image {
        media.image = Some(upload(cx, &PICTURE, image).await?);
    }
    if let Some(image) = &input.last_image {
        media.last_image = Some(upload(cx, &PICTURE, image).await?);
    }
    for image in input.images.iter().flatten() {
        media.images.push(upload(cx, &PICTURE, image).await?);
    }
    if let Some(video) = &input.video {
        media.video = Some(upload(cx, &CLIP, video).await?);
    }
    Ok(media)
}

/// How one kind of file is uploaded.
struct Upload {
    path: &'static str,
    by_url: &'static str,
    by_file: &'static str,
    media_type: Option<&'static str>,
    id: &'static str,
}

const PICTURE: Upload =
    Upload { path: "image/upload", by_url: "image_url", by_file: "image", media_type: None, id: "img_id" };
const CLIP: Upload =
    Upload { path: "media/upload", by_url: "file_url", by_file: "file", media_type: Some("video"), id: "media_id" };

async fn upload(cx: &Cx, kind: &Upload, input: &str) -> Result<i64, Fault> {
    let form = form(cx, kind, input).await?;
    let call = headed(cx, cx.post(&format!("{BASE}/{}", kind.path))?)?;
    let answer: Value = read(&call.form(form).send().await?)?;
    answer.get(kind.id).and_then(Value::as_i64).ok_or_else(unreadable)
}

/// By address where the service can fetch it, else the file itself.
async fn form(cx: &Cx, kind: &Upload, input: &str) -> Result<Form, Fault> {
    let mut form = Form::new();
    if !input.starts_with("data:") {
        match cx.input_url(input).await {
            Ok(url) => return Ok(form.text(kind.by_url, url)),
            Err(fault) if fault.kind == Kind::Account => {}
            Err(fault) => return Err(fault),
        }
    }
    let file = cx.input(input).await?;
    let name = format!("input.{}", file.content_type.rsplit_once('/').map_or("bin", |(_, kind)| kind));
    let part = Part::stream(file.bytes)
        .file_name(name)
        .mime_str(&file.content_type)
        .map_err(|error| Fault::refused(Kind::InvalidInput, "the file has no proper content type").because(error))?;
    // An address tells its kind itself.
    if let Some(media_type) = kind.media_type {
        form = form.text("media_type", media_type);
    }
    Ok(form.part(kind.by_file, part))
}

fn path(task: &Task) -> &str {
    let input = &task.input;
    match param(task, "path") {
        Some(path) => path,
        None if input.images.is_some() => "fusion",
        None if input.image.is_some() && input.last_image.is_some() => "transition",
        None if input.image.is_some() => "img",
        None => "text",
    }
}

fn body(path: &str, task: &Task, media: &Media) -> Value {
    let prompt = task.input.text.clone();
    let fields = match path {
        "mimic" => Fields::new()
            .maybe("video_media_id", media.video)
            .maybe("img_id", media.image)
            .option("quality", task, "resolution")
            .option("seed", task, "seed"),
        "fusion" => {
            let (prompt, references) = subjects(prompt.unwrap_or_default(), &media.images);
            clip(task).set("prompt", prompt).set("image_references", references).option(
                "aspect_ratio",
                task,
                "aspectRatio",
            )
        }
        "transition" => extras(clip(task), task)
            .maybe("prompt", prompt)
            .maybe("first_frame_img", media.image)
            .maybe("last_frame_img", media.last_image),
        "img" => extras(clip(task), task).maybe("prompt", prompt).maybe("img_id", media.image),
        "extend" => extras(clip(task), task).maybe("prompt", prompt).maybe("video_media_id", media.video),
        _ => extras(clip(task), task).maybe("prompt", prompt).option("aspect_ratio", task, "aspectRatio"),
    };
    fields.into()
}

fn clip(task: &Task) -> Fields {
    Fields::new()
        .set("model", task.model.as_str())
        .option("duration", task, "duration")
        .option("quality", task, "resolution")
        .option("seed", task, "seed")
        .option("negative_prompt", task, "negativePrompt")
}

fn extras(fields: Fields, task: &Task) -> Fields {
    let effects = task.options.get("soundEffects").cloned();
    fields
        .option("style", task, "look")
        .option("template_id", task, "templateId")
        .option("motion_mode", task, "motionMode")
        .option("camera_movement", task, "cameraMove")
        .option("generate_audio_switch", task, "sound")
        .option("generate_multi_clip_switch", task, "multiClip")
        .option("thinking_type", task, "thinking")
        .maybe("sound_effect_switch", effects.as_ref().map(|_| true))
        .maybe("sound_effect_content", effects)
}

/// The references with a name each, and the prompt in which all of them are named.
fn subjects(mut prompt: String, pictures: &[i64]) -> (String, Vec<Value>) {
    let mut references = Vec::new();
    for (number, picture) in (1..).zip(pictures) {
        let name = format!("picture{number}");
        let mention = format!("@{name}");
        if !prompt.contains(&mention) {
            prompt.push(' ');
            prompt.push_str(&mention);
        }
        references.push(json!({ "type": "subject", "img_id": picture, "ref_name": name }));
    }
    (prompt, references)
}

#[derive(Deserialize)]
struct Answer {
    status: i64,
    url: Option<String>,
    seed: Option<i64>,
}

fn progress(answer: Answer) -> Result<Progress, Fault> {
    Ok(match answer.status {
        1 => {
            let url = Url::parse(&answer.url.unwrap_or_default()).map_err(|error| unreadable().because(error))?;
            let file =
                Output { source: Source::Url { url, authorized: false }, content_type: Some("video/mp4".into()) };
            Progress::Done(Outputs { files: vec![file], seed: answer.seed, ..Outputs::default() })
        }
        2 | 9 | 10 => Progress::Queued,
        5 => Progress::Running(None),
        6 => Progress::Failed(Fault::refused(Kind::Failed, "the clip was deleted")),
        7 => Progress::Failed(Fault::refused(Kind::Moderated, "status 7: moderation")),
        8 => Progress::Failed(Fault::refused(Kind::Failed, "status 8: failed")),
        other => {
            tracing::warn!(status = other, "PixVerse names a status we do not know");
            Progress::Running(None)
        }
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    err_code: i64,
    #[serde(default)]
    err_msg: String,
    resp: Option<Value>,
}

fn read<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, Fault> {
    match reply.json::<Envelope>() {
        Ok(Envelope { err_code: 0, resp, .. }) if reply.is_success() => {
            serde_json::from_value(resp.unwrap_or(Value::Null)).map_err(|error| unreadable().because(error))
        }
        Err(fault) if reply.is_success() => Err(fault),
        _ => Err(classify(reply)),
    }
}

/// Reads an error: by its code, else by the HTTP status.
fn classify(reply: &Reply) -> Fault {
    let Ok(Envelope { err_code, err_msg, .. }) = reply.json() else {
        return reply.fault(excerpt(&String::from_utf8_lossy(&reply.body)));
    };
    let (kind, verdict) = match err_code {
        400_011 | 400_017..=400_019 | 400_032 | 500_030..=500_033 | 500_042 | 500_060 | 500_070 | 500_071 => {
            (Kind::InvalidInput, Verdict::Refused)
        }
        701_002 | 701_003 => (Kind::InvalidInput, Verdict::Refused),
        500_008 | 500_064 => (Kind::Gone, Verdict::Refused),
        500_054 | 500_063 => (Kind::Moderated, Verdict::Refused),
        500_044 | 500_069 => (Kind::Busy, Verdict::Refused),
        500_090 | 10_001..=10_005 | 400_012 | 400_013 | 500_020 => (Kind::Account, Verdict::Refused),
        // 500041: the upload of a picture failed on their side.
        500_041 | 500_100 | 99_999 => (Kind::Down, Verdict::Refused),
        // A code that no document has is a refusal all the same.
        _ if reply.is_success() => (Kind::Garbled, Verdict::Refused),
        _ => return reply.fault(excerpt(&format!("{err_code} {err_msg}"))),
    };
    Fault::new(kind, verdict, excerpt(&format!("{err_code} {err_msg}"))).retry_after(reply.retry_after())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use reqwest::header::HeaderMap;
    use serde_json::Map;

    use super::*;
    use crate::domain::{GenerationId, GenerationType};

    fn task(options: &Value, input: ContentInput) -> Task {
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Video,
            model: "v5".to_owned(),
            params: Map::new(),
            input,
            options: options.as_object().cloned().unwrap_or_default(),
            wire: BTreeMap::new(),
        }
    }

    fn reply(status: u16, body: &'static str) -> Reply {
        Reply { status, headers: HeaderMap::new(), body: body.into() }
    }

    #[test]
    fn subjects_the_prompt_does_not_name_are_added() {
        let (prompt, references) = subjects("@picture2 dances".to_owned(), &[11, 12]);
        assert_eq!(prompt, "@picture2 dances @picture1");
        assert_eq!(references[1], json!({ "type": "subject", "img_id": 12, "ref_name": "picture2" }));
    }

    #[test]
    fn a_clip_from_text_has_a_shape_and_one_from_a_picture_has_not() {
        let options = json!({ "duration": 5, "resolution": "540p", "aspectRatio": "16:9", "soundEffects": "rain" });
        let input = ContentInput { text: Some("a fox".to_owned()), ..ContentInput::default() };
        let task = task(&options, input);
        assert_eq!(
            body("text", &task, &Media::default()),
            json!({
                "prompt": "a fox", "model": "v5", "duration": 5, "quality": "540p", "aspect_ratio": "16:9",
                "sound_effect_switch": true, "sound_effect_content": "rain",
            })
        );
        let media = Media { image: Some(7), ..Media::default() };
        let body = body("img", &task, &media);
        assert_eq!((body.get("aspect_ratio"), &body["img_id"]), (None, &json!(7)));
    }

    #[test]
    fn the_code_decides_and_not_the_status() {
        let busy = read::<Value>(&reply(200, r#"{"ErrCode":500044,"ErrMsg":"reached the limit","Resp":null}"#));
        assert_eq!(busy.unwrap_err().kind, Kind::Busy);
        let odd = read::<Value>(&reply(200, r#"{"ErrCode":99999,"ErrMsg":"unknown","Resp":null}"#)).unwrap_err();
        assert_eq!((odd.kind, odd.verdict), (Kind::Down, Verdict::Refused));
        let new = read::<Value>(&reply(200, r#"{"ErrCode":31,"ErrMsg":"new","Resp":null}"#)).unwrap_err();
        assert_eq!((new.kind, new.verdict), (Kind::Garbled, Verdict::Refused));
        assert_eq!(read::<Value>(&reply(503, "busy")).unwrap_err().kind, Kind::Down);
        assert_eq!(read::<Value>(&reply(200, r#"{"ErrCode":0,"#)).unwrap_err().verdict, Verdict::Unknown);
    }
}
