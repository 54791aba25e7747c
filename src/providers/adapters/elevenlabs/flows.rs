//! Flows: clips, pictures and talking portraits, submitted and polled.

use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::{BASE, api, get, keyed, read};
use crate::{
    domain::{
        ContentInput, Fault, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    providers::{
        Cx, Handle, Progress, Submitted, Task,
        body::{Fields, text},
        files,
        http::excerpt,
    },
};

pub(super) async fn submit(cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
    let inline = Inline::read(cx, &task.input).await?;
    let call = keyed(cx, cx.post(&format!("{BASE}/v1/flows/{}", api(task)))?)?;
    let answer: Answer = read(call.json(&body(task, inline)).send().await?)?.json()?;
    Ok(Submitted::Accepted { handle: Handle(answer.id), poll_after: None })
}

pub(super) async fn poll(cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
    let reply = read(get(cx, &format!("/v1/flows/{}/{}", api(task), handle.0), &[]).await?)?;
    progress(reply.json()?)
}

/// The inputs as the protocol takes them.
#[derive(Default)]
struct Inline {
    image: Option<Value>,
    last_image: Option<Value>,
    images: Vec<Value>,
    video: Option<Value>,
    audio: Option<Value>,
}

impl Inline {
    async fn read(cx: &Cx, input: &ContentInput) -> Result<Self, Fault> {
        let mut images = Vec::new();
        for image in input.images.iter().flatten() {
            images.push(inline(cx, image).await?);
        }
        Ok(Self {
            image: maybe_inline(cx, input.image.as_deref()).await?,
            last_image: maybe_inline(cx, input.last_image.as_deref()).await?,
            images,
            video: maybe_inline(cx, input.video.as_deref()).await?,
            audio: maybe_inline(cx, input.audio.as_deref()).await?,
        })
    }
}

async fn maybe_inline(cx: &Cx, input: Option<&str>) -> Result<Option<Value>, Fault> {
    match input {
        Some(input) => inline(cx, input).await.map(Some),
        None => Ok(None),
    }
}

async fn inline(cx: &Cx, input: &str) -> Result<Value, Fault> {
    let file = files::bytes(cx, input).await?;
    Ok(json!({ "type": "inline_base64", "content_base64": file.base64(), "mime_type": file.content_type }))
}

fn body(task: &Task, inline: Inline) -> Value {
    let fields = Fields::new().set("model_id", task.model.as_str());
    if api(task) == "image" {
        picture(fields, task, inline)
    } else if task.input.text.is_none() {
        portrait(fields, task, inline)
    } else {
        clip(fields, task, inline)
    }
    .into()
}

fn picture(fields: Fields, task: &Task, inline: Inline) -> Fields {
    let images: Vec<_> = inline.image.into_iter().chain(inline.images).collect();
    fields
        .maybe("prompt", task.input.text.as_deref())
        .maybe("images", (!images.is_empty()).then_some(images))
        .option("aspect_ratio", task, "aspectRatio")
        .maybe("resolution", text(task, "resolution").map(str::to_uppercase))
        .option("quality", task, "quality")
        .option("background", task, "background")
        .option("seed", task, "seed")
}

fn portrait(fields: Fields, task: &Task, inline: Inline) -> Fields {
    fields
        .maybe("image", inline.image)
        .maybe("audio", inline.audio)
        .option("resolution", task, "resolution")
        .option("guidance_scale", task, "guidanceScale")
        .option("audio_guidance_scale", task, "audioGuidanceScale")
}

fn clip(fields: Fields, task: &Task, inline: Inline) -> Fields {
    let veo = task.model.starts_with("veo");
    // Veo writes "4K", Seedance "4k".
    let resolution = text(task, "resolution").map(|name| if veo { name.replace("4k", "4K") } else { name.to_owned() });
    let reference = |image: Value| if veo { json!({ "image": image, "role": "subject" }) } else { image };
    let images: Vec<_> = inline.images.into_iter().map(reference).collect();
    fields
        .maybe("prompt", task.input.text.as_deref())
        .maybe("start_frame", inline.image)
        .maybe("end_frame", inline.last_image)
        .maybe("images", (!images.is_empty()).then_some(images))
        .maybe("videos", inline.video.map(|video| vec![video]))
        .maybe("audios", inline.audio.map(|audio| vec![audio]))
        .option("duration_secs", task, "duration")
        .maybe("resolution", resolution)
        .option("aspect_ratio", task, "aspectRatio")
        .option("seed", task, "seed")
        .option("negative_prompt", task, "negativePrompt")
        .option("generate_audio", task, "sound")
        .option("enhance_prompt", task, "enhancePrompt")
}

#[derive(Deserialize)]
struct Answer {
    id: String,
    status: String,
    content_url: Option<Url>,
    content_mime_type: Option<String>,
    failure_reason: Option<String>,
    error_message: Option<String>,
}

fn progress(answer: Answer) -> Result<Progress, Fault> {
    Ok(match answer.status.as_str() {
        "pending" => Progress::Queued,
        "generating" => Progress::Running(None),
        "completed" => {
            let Some(url) = answer.content_url else {
                return Err(Fault::new(Kind::Garbled, Verdict::Unknown, "completed without content_url"));
            };
            let source = Source::Url { url, authorized: false };
            let file = Output { source, content_type: answer.content_mime_type };
            Progress::Done(Outputs { files: vec![file], ..Outputs::default() })
        }
        "failed" => Progress::Failed(failed(
            answer.failure_reason.as_deref().unwrap_or_default(),
            answer.error_message.as_deref().unwrap_or_default(),
        )),
        other => {
            tracing::warn!(status = other, "ElevenLabs names a status we do not know");
            Progress::Running(None)
        }
    })
}

fn failed(reason: &str, message: &str) -> Fault {
    let kind = match reason {
        "moderated" => Kind::Moderated,
        "invalid_parameters" => Kind::InvalidInput,
        "charging_failed" => Kind::Account,
        _ => Kind::Failed,
    };
    Fault::refused(kind, excerpt(&format!("{reason}: {message}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{GenerationId, GenerationType};

    fn task(api: &str, model: &str, prompt: Option<&str>, options: Value) -> Task {
        let (Value::Object(options), Value::Object(params)) = (options, json!({ "api": api })) else {
            panic!("options are an object")
        };
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Video,
            model: model.to_owned(),
            params,
            input: ContentInput { text: prompt.map(str::to_owned), ..ContentInput::default() },
            options,
            wire: BTreeMap::new(),
        }
    }

    #[test]
    fn each_family_writes_4k_and_references_its_own_way() {
        let options = json!({ "duration": 8, "resolution": "4k", "sound": false });
        let inline = || Inline { images: vec![json!("ref")], ..Inline::default() };
        let veo = body(&task("video", "veo-3.1-generate-001", Some("A cat"), options.clone()), inline());
        let expected = json!({
            "model_id": "veo-3.1-generate-001", "prompt": "A cat", "duration_secs": 8, "resolution": "4K",
            "generate_audio": false, "images": [{ "image": "ref", "role": "subject" }],
        });
        assert_eq!(veo, expected);
        let seedance = body(&task("video", "bytedance-seedance-v2", Some("A cat"), options), inline());
        assert_eq!((&seedance["resolution"], &seedance["images"]), (&json!("4k"), &json!(["ref"])));
    }

    #[test]
    fn a_talking_portrait_has_no_prompt() {
        let inline = Inline { image: Some(json!("i")), audio: Some(json!("a")), ..Inline::default() };
        let aurora = body(&task("video", "creatify-aurora", None, json!({ "resolution": "480p" })), inline);
        let expected = json!({ "model_id": "creatify-aurora", "image": "i", "audio": "a", "resolution": "480p" });
        assert_eq!(aurora, expected);
    }

    #[test]
    fn pictures_say_resolutions_in_capitals() {
        let inline = Inline { image: Some(json!("i")), ..Inline::default() };
        let picture = body(&task("image", "gpt-image-2", Some("A cat"), json!({ "resolution": "2k" })), inline);
        let expected = json!({ "model_id": "gpt-image-2", "prompt": "A cat", "images": ["i"], "resolution": "2K" });
        assert_eq!(picture, expected);
    }

    #[test]
    fn status_words_are_read() {
        let answer = |status: &str| -> Answer {
            serde_json::from_value(json!({ "id": "gen_1", "status": status, "failure_reason": "moderated" })).unwrap()
        };
        assert!(matches!(progress(answer("pending")), Ok(Progress::Queued)));
        assert!(matches!(progress(answer("generating")), Ok(Progress::Running(None))));
        assert!(matches!(progress(answer("dreaming")), Ok(Progress::Running(None))));
        assert!(matches!(progress(answer("failed")), Ok(Progress::Failed(Fault { kind: Kind::Moderated, .. }))));
        assert!(progress(answer("completed")).is_err());
    }
}
