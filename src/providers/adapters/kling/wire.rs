//! Kling's messages: what is sent for each kind of task, and how a task's record reads. All of it pure.

use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::{
    domain::{
        ContentInput, Fault, GenerationType,
        fault::Kind,
        output::{Output, Source},
    },
    providers::{
        Task,
        body::{Fields, id_text, param, text},
    },
};

/// The kinds of task, each a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    TextToVideo,
    ImageToVideo,
    ImagesToVideo,
    Omni,
    Motion,
    Effects,
    Avatar,
    LipSync,
    Image,
    OmniImage,
    Subjects,
    TryOn,
    Speech,
    Sound,
    VideoSound,
    Tasks,
}

impl Endpoint {
    pub(super) fn of(task: &Task) -> Result<Self, Fault> {
        if param(task, "protocol") == Some("tasks") {
            return Ok(Self::Tasks);
        }
        let input = &task.input;
        Ok(match param(task, "path") {
            Some("omni-video") => Self::Omni,
            Some("motion-control") => Self::Motion,
            Some("effects") => Self::Effects,
            Some("avatar") => Self::Avatar,
            Some("lip-sync") => Self::LipSync,
            Some("omni-image") => Self::OmniImage,
            Some("kolors-virtual-try-on") => Self::TryOn,
            Some("tts") => Self::Speech,
            Some("text-to-audio") => Self::Sound,
            Some("video-to-audio") => Self::VideoSound,
            Some(other) => return Err(Fault::refused(Kind::Garbled, format!("the route names no path `{other}`"))),
            None if task.r#type == GenerationType::Image && input.images.is_some() => Self::Subjects,
            None if task.r#type == GenerationType::Image => Self::Image,
            None if input.images.is_some() => Self::ImagesToVideo,
            None if input.image.is_some() || input.last_image.is_some() => Self::ImageToVideo,
            None => Self::TextToVideo,
        })
    }

    /// Where it is submitted; the older protocol polls there too.
    pub(super) fn submit_path(self, task: &Task) -> String {
        match self {
            Self::TextToVideo => "/v1/videos/text2video",
            Self::ImageToVideo => "/v1/videos/image2video",
            Self::ImagesToVideo => "/v1/videos/multi-image2video",
            Self::Omni => "/v1/videos/omni-video",
            Self::Motion => "/v1/videos/motion-control",
            Self::Effects => "/v1/videos/effects",
            Self::Avatar => "/v1/videos/avatar/image2video",
            Self::LipSync => "/v1/videos/lip-sync",
            Self::Image => "/v1/images/generations",
            Self::OmniImage => "/v1/images/omni-image",
            Self::Subjects => "/v1/images/multi-image2image",
            Self::TryOn => "/v1/images/kolors-virtual-try-on",
            Self::Speech => "/v1/audio/tts",
            Self::Sound => "/v1/audio/text-to-audio",
            Self::VideoSound => "/v1/audio/video-to-audio",
            Self::Tasks if task.input.image.is_some() => return format!("/image-to-video/{}", task.model),
            Self::Tasks => return format!("/text-to-video/{}", task.model),
        }
        .to_owned()
    }
}

/// What is submitted. `input` holds addresses or base64; `speech` is the recording a portrait is to speak.
pub(super) fn body(
    endpoint: Endpoint,
    task: &Task,
    input: &ContentInput,
    speech: Option<&str>,
) -> Result<Value, Fault> {
    let fields = match endpoint {
        Endpoint::TextToVideo => clip(task, input)
            .option("cfg_scale", task, "cfgScale")
            .option("aspect_ratio", task, "aspectRatio")
            .maybe("camera_control", camera(task)),
        Endpoint::ImageToVideo => clip(task, input)
            .option("cfg_scale", task, "cfgScale")
            .maybe("image", input.image.clone())
            .maybe("image_tail", input.last_image.clone())
            .maybe("camera_control", camera(task)),
        Endpoint::ImagesToVideo => clip(task, input)
            .set("image_list", list("image", input.images.iter().flatten()))
            .option("aspect_ratio", task, "aspectRatio"),
        Endpoint::Omni => omni_video(task, input),
        Endpoint::Motion => motion(task, input),
        Endpoint::Effects => effects(task, input),
        Endpoint::Avatar => avatar(task, input, speech),
        Endpoint::LipSync => lip_sync(task, input),
        Endpoint::Image => image(task, input),
        Endpoint::OmniImage => omni_image(task, input),
        Endpoint::Subjects => {
            pictures(task, input).set("subject_image_list", list("subject_image", input.images.iter().flatten()))
        }
        Endpoint::TryOn => Fields::new()
            .set("model_name", task.model.as_str())
            .maybe("human_image", input.image.clone())
            .maybe("cloth_image", input.images.iter().flatten().next().cloned()),
        Endpoint::Speech => return speech_fields(task, input.text.as_deref()).map(Value::from),
        Endpoint::Sound => Fields::new()
            .maybe("prompt", input.text.clone())
            .maybe("duration", number(task, "duration").map(|seconds| (seconds * 10.0).round() / 10.0)),
        Endpoint::VideoSound => Fields::new()
            .maybe("video_url", input.video.clone())
            .maybe("sound_effect_prompt", input.text.clone())
            .option("bgm_prompt", task, "music")
            .option("asmr_mode", task, "asmr"),
        Endpoint::Tasks => return Ok(tasks(task, input).into()),
    };
    Ok(fields.set("external_task_id", task.id.to_string()).into())
}

/// The words as a speech task of their own.
pub(super) fn speech(task: &Task, words: &str) -> Result<Value, Fault> {
    speech_fields(task, Some(words)).map(Value::from)
}

fn speech_fields(task: &Task, words: Option<&str>) -> Result<Fields, Fault> {
    let words = words.ok_or_else(|| Fault::refused(Kind::InvalidInput, "there are no words to speak"))?;
    Ok(Fields::new()
        .set("text", words)
        .option("voice_id", task, "voice")
        .option("voice_language", task, "language")
        .option("voice_speed", task, "speed"))
}

/// What all tasks that make a clip have in common.
fn clip(task: &Task, input: &ContentInput) -> Fields {
    let shots = task.options.get("multiShot").and_then(Value::as_bool).filter(|on| *on);
    Fields::new()
        .set("model_name", task.model.as_str())
        .maybe("prompt", input.text.clone())
        .option("negative_prompt", task, "negativePrompt")
        .option("mode", task, "mode")
        .maybe("duration", seconds(task))
        .maybe("sound", flag(task, "sound", "on", "off"))
        .maybe("multi_shot", shots)
        .maybe("shot_type", shots.map(|_| "intelligence"))
}

/// A preset, or one axis of `simple` by some amount.
fn camera(task: &Task) -> Option<Value> {
    let name = text(task, "cameraMove")?;
    if !matches!(name, "horizontal" | "vertical" | "pan" | "tilt" | "roll" | "zoom") {
        return Some(json!({ "type": name }));
    }
    let amount = number(task, "cameraAmount").unwrap_or(5.0);
    let mut config = json!({ "horizontal": 0, "vertical": 0, "pan": 0, "tilt": 0, "roll": 0, "zoom": 0 });
    config[name] = amount.into();
    Some(json!({ "type": "simple", "config": config }))
}

fn omni_video(task: &Task, input: &ContentInput) -> Fields {
    let frame = |url: &String, kind: &str| json!({ "image_url": url, "type": kind });
    let mut images: Vec<Value> = input.image.iter().map(|url| frame(url, "first_frame")).collect();
    images.extend(input.last_image.iter().map(|url| frame(url, "end_frame")));
    images.extend(input.images.iter().flatten().map(|url| json!({ "image_url": url })));
    // A clip to be edited excludes frames: beside a frame it can only be an example.
    let unsaid = if input.image.is_some() { "feature" } else { "base" };
    let reference = text(task, "videoReference").unwrap_or(unsaid);
    let video = input.video.as_ref().map(|url| {
        Value::from(
            Fields::new()
                .set("video_url", url.as_str())
                .set("refer_type", reference)
                .maybe("keep_original_sound", flag(task, "keepOriginalSound", "yes", "no")),
        )
    });
    let shaped = input.image.is_some() || (video.is_some() && reference == "base");
    let fields = Fields::new()
        .set("model_name", task.model.as_str())
        .maybe("prompt", input.text.clone())
        .option("mode", task, "mode")
        .maybe("duration", seconds(task))
        .maybe("sound", flag(task, "sound", "on", "off"))
        .maybe("image_list", (!images.is_empty()).then_some(images))
        .maybe("video_list", video.map(|video| vec![video]));
    if shaped { fields } else { fields.option("aspect_ratio", task, "aspectRatio") }
}

fn motion(task: &Task, input: &ContentInput) -> Fields {
    Fields::new()
        .set("model_name", task.model.as_str())
        .maybe("prompt", input.text.clone())
        .maybe("image_url", input.image.clone())
        .maybe("video_url", input.video.clone())
        .option("character_orientation", task, "orientation")
        .option("mode", task, "mode")
        .maybe("keep_original_sound", flag(task, "keepOriginalSound", "yes", "no"))
}

fn effects(task: &Task, input: &ContentInput) -> Fields {
    let pictures = Fields::new()
        .maybe("image", input.image.clone())
        .maybe("images", input.images.clone())
        .maybe("duration", seconds(task));
    Fields::new().option("effect_scene", task, "effectScene").set("input", pictures)
}

fn avatar(task: &Task, input: &ContentInput, speech: Option<&str>) -> Fields {
    Fields::new()
        .maybe("image", input.image.clone())
        .maybe("audio_id", speech)
        .maybe("sound_file", input.audio.clone())
        .option("prompt", task, "prompt")
        .option("mode", task, "mode")
}

fn lip_sync(task: &Task, input: &ContentInput) -> Fields {
    let what = Fields::new().maybe("video_url", input.video.clone());
    let what = match &input.audio {
        Some(audio) if audio.starts_with("http") => {
            what.set("mode", "audio2video").set("audio_type", "url").set("audio_url", audio.as_str())
        }
        Some(audio) => what.set("mode", "audio2video").set("audio_type", "file").set("audio_file", audio.as_str()),
        None => what
            .set("mode", "text2video")
            .maybe("text", input.text.clone())
            .option("voice_id", task, "voice")
            .option("voice_language", task, "language")
            .option("voice_speed", task, "speed"),
    };
    Fields::new().set("input", what)
}

fn pictures(task: &Task, input: &ContentInput) -> Fields {
    Fields::new()
        .set("model_name", task.model.as_str())
        .maybe("prompt", input.text.clone())
        .option("n", task, "n")
        .option("aspect_ratio", task, "aspectRatio")
}

fn image(task: &Task, input: &ContentInput) -> Fields {
    let fields = pictures(task, input).option("resolution", task, "resolution");
    match &input.image {
        None => fields.option("negative_prompt", task, "negativePrompt"),
        Some(picture) => fields
            .set("image", picture.as_str())
            .option("image_reference", task, "imageReference")
            .option("image_fidelity", task, "imageFidelity")
            .option("human_fidelity", task, "humanFidelity"),
    }
}

fn omni_image(task: &Task, input: &ContentInput) -> Fields {
    let images = list("image", input.image.iter().chain(input.images.iter().flatten()));
    pictures(task, input)
        .option("resolution", task, "resolution")
        .maybe("image_list", (!images.is_empty()).then_some(images))
}

/// The newer protocol: contents, settings and options apart; `duration` a number.
fn tasks(task: &Task, input: &ContentInput) -> Fields {
    let settings = Fields::new().option("resolution", task, "resolution").option("duration", task, "duration");
    let options = json!({ "external_task_id": task.id.to_string() });
    let Some(picture) = &input.image else {
        return Fields::new()
            .maybe("prompt", input.text.clone())
            .set("settings", settings.option("aspect_ratio", task, "aspectRatio"))
            .set("options", options);
    };
    let mut contents: Vec<Value> = input.text.iter().map(|words| json!({ "type": "prompt", "text": words })).collect();
    contents.push(json!({ "type": "first_frame", "url": picture }));
    Fields::new().set("contents", contents).set("settings", settings).set("options", options)
}

fn list<'a>(field: &str, urls: impl Iterator<Item = &'a String>) -> Vec<Value> {
    urls.map(|url| json!({ field: url })).collect()
}

fn seconds(task: &Task) -> Option<String> {
    task.options.get("duration").map(ToString::to_string)
}

fn number(task: &Task, option: &str) -> Option<f64> {
    task.options.get(option).and_then(Value::as_f64)
}

fn flag(task: &Task, option: &str, on: &'static str, off: &'static str) -> Option<&'static str> {
    task.options.get(option).and_then(Value::as_bool).map(|set| if set { on } else { off })
}

/// A task as either protocol tells it.
#[derive(Deserialize)]
pub(super) struct Record {
    #[serde(alias = "id")]
    task_id: Option<Value>,
    #[serde(alias = "status")]
    task_status: Option<String>,
    #[serde(alias = "message")]
    task_status_msg: Option<String>,
    task_result: Option<Files>,
    outputs: Option<Vec<File>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Files {
    videos: Vec<File>,
    images: Vec<File>,
    series_images: Vec<File>,
    audios: Vec<File>,
}

#[derive(Deserialize)]
struct File {
    id: Option<Value>,
    url: Option<Url>,
    #[serde(alias = "mp3_url")]
    url_mp3: Option<Url>,
    #[serde(alias = "wav_url")]
    url_wav: Option<Url>,
}

impl Record {
    pub(super) fn id(&self) -> Option<String> {
        self.task_id.as_ref().and_then(id_text)
    }

    pub(super) fn status(&self) -> &str {
        self.task_status.as_deref().unwrap_or_default()
    }

    pub(super) fn message(&self) -> &str {
        self.task_status_msg.as_deref().unwrap_or_default()
    }

    /// The id of the recording a speech task made.
    pub(super) fn recording(&self) -> Option<String> {
        self.task_result.as_ref()?.audios.first()?.id.as_ref().and_then(id_text)
    }

    /// The files it made; of sound in two formats, the one asked for.
    pub(super) fn files(&self, format: Option<&str>) -> Vec<Output> {
        let results = self.task_result.iter().flat_map(|files| {
            files.videos.iter().chain(&files.images).chain(&files.series_images).chain(&files.audios)
        });
        let addresses = results.chain(self.outputs.iter().flatten()).filter_map(|file| {
            let sound = if format == Some("wav") { &file.url_wav } else { &file.url_mp3 };
            file.url.as_ref().or(sound.as_ref())
        });
        addresses
            .map(|url| Output { source: Source::Url { url: url.clone(), authorized: false }, content_type: None })
            .collect()
    }
}
