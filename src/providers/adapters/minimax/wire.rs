//! `MiniMax`'s messages. All of it pure; `input` holds addresses or data URLs.

use serde_json::{Value, json};

use crate::{
    domain::ContentInput,
    providers::{
        Task,
        body::{Fields, text},
    },
};

/// `768p` is `768P` there, and `2k` `2K`.
fn resolution(task: &Task) -> Option<String> {
    text(task, "resolution").map(str::to_uppercase)
}

/// A clip of V1. S2V-01 takes the picture as its subject, not as a frame.
pub(super) fn clip(task: &Task, input: &ContentInput) -> Value {
    let fields = Fields::new().set("model", task.model.as_str()).maybe("prompt", input.text.clone());
    let fields = match &input.image {
        Some(image) if task.model == "S2V-01" => {
            fields.set("subject_reference", json!([{ "type": "character", "image": [image] }]))
        }
        image => fields.maybe("first_frame_image", image.clone()),
    };
    fields
        .maybe("last_frame_image", input.last_image.clone())
        .option("duration", task, "duration")
        .maybe("resolution", resolution(task))
        .option("prompt_optimizer", task, "promptOptimizer")
        .option("fast_pretreatment", task, "fastPretreatment")
        .into()
}

/// A clip of V2: the prompt and every medium in one list, each with its role.
pub(super) fn clip_v2(task: &Task, input: &ContentInput) -> Value {
    let medium = |kind: &str, url: &String, role: &str| json!({ "type": kind, kind: { "url": url }, "role": role });
    let mut media: Vec<Value> = Vec::new();
    media.extend(input.image.iter().map(|url| medium("image_url", url, "first_frame")));
    media.extend(input.last_image.iter().map(|url| medium("image_url", url, "last_frame")));
    media.extend(input.images.iter().flatten().map(|url| medium("image_url", url, "reference_image")));
    media.extend(input.video.iter().map(|url| medium("video_url", url, "reference_video")));
    media.extend(input.audio.iter().map(|url| medium("audio_url", url, "reference_audio")));
    // The service wants a ratio where there is nothing it could follow.
    let ratio = text(task, "aspectRatio").or(media.is_empty().then_some("16:9"));
    let mut content: Vec<Value> = input.text.iter().map(|words| json!({ "type": "text", "text": words })).collect();
    content.append(&mut media);
    let expansion = text(task, "promptExpansion").map(|mode| json!({ "prompt_expansion_mode": mode }));
    Fields::new()
        .set("model", task.model.as_str())
        .set("content", content)
        .option("duration", task, "duration")
        .maybe("resolution", resolution(task))
        .maybe("ratio", ratio)
        .maybe("extra", expansion)
        .into()
}

pub(super) fn image(task: &Task, input: &ContentInput) -> Value {
    let style = text(task, "drawingStyle")
        .map(|style| Fields::new().set("style_type", style).option("style_weight", task, "styleWeight"));
    let subject = input.image.as_ref().map(|image| json!([{ "type": "character", "image_file": image }]));
    Fields::new()
        .set("model", task.model.as_str())
        .maybe("prompt", input.text.clone())
        .option("aspect_ratio", task, "aspectRatio")
        .option("n", task, "n")
        .option("seed", task, "seed")
        .option("prompt_optimizer", task, "promptOptimizer")
        .maybe("style", style)
        .maybe("subject_reference", subject)
        .into()
}

pub(super) fn speech(task: &Task, input: &ContentInput) -> Value {
    let voice = Fields::new()
        .option("voice_id", task, "voice")
        .option("speed", task, "speed")
        .option("vol", task, "volume")
        .option("pitch", task, "pitch")
        .option("emotion", task, "emotion");
    let format = text(task, "format");
    let bitrate = task.options.get("bitrate").filter(|_| format.is_none_or(|format| format == "mp3"));
    let audio = Fields::new()
        .maybe("format", format)
        .option("sample_rate", task, "sampleRate")
        .maybe("bitrate", bitrate.cloned())
        .option("channel", task, "channels");
    Fields::new()
        .set("model", task.model.as_str())
        .maybe("text", input.text.clone())
        .set("voice_setting", voice)
        .maybe("audio_setting", (!audio.is_empty()).then_some(audio))
        .option("language_boost", task, "language")
        .into()
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use serde_json::Map;

    use super::*;
    use crate::domain::{GenerationId, GenerationType};

    pub(in super::super) fn task(model: &str, r#type: GenerationType, options: &Value) -> Task {
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type,
            model: model.to_owned(),
            params: Map::new(),
            input: ContentInput::default(),
            options: options.as_object().cloned().unwrap_or_default(),
            wire: BTreeMap::new(),
        }
    }

    #[test]
    fn a_clip_from_text_says_its_size_in_capitals() {
        let task = task("MiniMax-Hailuo-02", GenerationType::Video, &json!({ "duration": 10, "resolution": "768p" }));
        let input = ContentInput { text: Some("a fox".to_owned()), ..ContentInput::default() };
        let body = json!({ "model": "MiniMax-Hailuo-02", "prompt": "a fox", "duration": 10, "resolution": "768P" });
        assert_eq!(clip(&task, &input), body);
    }

    #[test]
    fn a_subject_is_not_a_frame() {
        let task = task("S2V-01", GenerationType::Video, &json!({}));
        let input = ContentInput { image: Some("https://example.com/a.png".to_owned()), ..ContentInput::default() };
        assert_eq!(
            clip(&task, &input)["subject_reference"],
            json!([{ "type": "character", "image": ["https://example.com/a.png"] }])
        );
    }

    #[test]
    fn only_a_clip_from_text_alone_gets_a_ratio_by_itself() {
        let task = task("MiniMax-H3", GenerationType::Video, &json!({ "duration": 5, "resolution": "2k" }));
        let mut input = ContentInput { text: Some("a fox".to_owned()), ..ContentInput::default() };
        let body = clip_v2(&task, &input);
        assert_eq!((&body["ratio"], &body["resolution"]), (&json!("16:9"), &json!("2K")));
        input.image = Some("https://example.com/a.png".to_owned());
        let body = clip_v2(&task, &input);
        assert_eq!(body.get("ratio"), None);
        assert_eq!(body["content"][1]["role"], "first_frame");
    }

    #[test]
    fn speech_keeps_voice_and_sound_apart() {
        let options = json!({ "voice": "v", "speed": 1.5, "format": "wav", "bitrate": 32000, "language": "Malay" });
        let task = task("speech-02-hd", GenerationType::Audio, &options);
        let input = ContentInput { text: Some("Selamat".to_owned()), ..ContentInput::default() };
        let body = json!({
            "model": "speech-02-hd", "text": "Selamat", "language_boost": "Malay",
            "voice_setting": { "voice_id": "v", "speed": 1.5 }, "audio_setting": { "format": "wav" },
        });
        assert_eq!(speech(&task, &input), body);
    }
}
