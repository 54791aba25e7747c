//! What answers with the file itself: speech, sound effects, music.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use super::{BASE, keyed, read};
use crate::{
    domain::{
        Fault, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    providers::{
        Cx, Reply, Task,
        body::{Fields, text},
    },
};

/// The longest texts take minutes.
const SPEECH_LIMIT: Duration = Duration::from_secs(200);
const MUSIC_LIMIT: Duration = Duration::from_secs(280);

/// The models that act emotions by tags; the only ones whose stability has three steps.
const TAGGED: &str = "eleven_v3";
/// The only model that follows `style`.
const STYLED: &str = "eleven_multilingual_v2";

pub(super) async fn speak(cx: &Cx, task: &Task, voice: &str) -> Result<Outputs, Fault> {
    let path = format!("/v1/text-to-speech/{voice}");
    let mut outputs = ask(cx, &path, task, speech(task), SPEECH_LIMIT).await?;
    outputs.notes = BTreeMap::from([("voice".to_owned(), voice.into())]);
    Ok(outputs)
}

pub(super) async fn effect(cx: &Cx, task: &Task) -> Result<Outputs, Fault> {
    ask(cx, "/v1/sound-generation", task, sound_effect(task), SPEECH_LIMIT).await
}

pub(super) async fn music(cx: &Cx, task: &Task) -> Result<Outputs, Fault> {
    ask(cx, "/v1/music", task, song(task), MUSIC_LIMIT).await
}

async fn ask(cx: &Cx, path: &str, task: &Task, body: Fields, limit: Duration) -> Result<Outputs, Fault> {
    let mut call = keyed(cx, cx.post(&format!("{BASE}{path}"))?)?;
    if let Some(format) = text(task, "format") {
        call = call.query(&[("output_format", output_format(format))]);
    }
    outputs(&read(call.json(&body.into()).timeout(limit).send().await?)?)
}

fn outputs(reply: &Reply) -> Result<Outputs, Fault> {
    let kind = reply.header("content-type").unwrap_or_default();
    let sound = kind.starts_with("audio/") || kind.starts_with("application/octet-stream");
    if !sound || reply.body.is_empty() {
        return Err(Fault::new(Kind::Garbled, Verdict::Unknown, format!("a {kind} of {} bytes", reply.body.len())));
    }
    let content_type = kind.starts_with("audio/").then(|| kind.to_owned());
    let file = Output { source: Source::Bytes(reply.body.clone()), content_type };
    Ok(Outputs { files: vec![file], ..Outputs::default() })
}

/// Everyday names of formats to theirs; of each the best that every plan may use.
fn output_format(asked: &str) -> &str {
    match asked {
        "mp3" => "mp3_44100_128",
        "wav" => "wav_24000",
        "opus" => "opus_48000_128",
        exact => exact,
    }
}

fn speech(task: &Task) -> Fields {
    let emotion = text(task, "emotion").unwrap_or("neutral");
    let words = task.input.text.as_deref().unwrap_or_default();
    let tagged = task.model == TAGGED;
    let words = if tagged { with_tag(words, emotion) } else { words.to_owned() };
    let settings = if tagged { Fields::new() } else { acted(&task.model, emotion) };
    let settings = settings
        .option("stability", task, "stability")
        .option("similarity_boost", task, "similarityBoost")
        .option("style", task, "styleExaggeration")
        .option("use_speaker_boost", task, "speakerBoost")
        .option("speed", task, "speed");
    Fields::new()
        .set("text", words)
        .set("model_id", task.model.as_str())
        .maybe("language_code", text(task, "language").map(language_code))
        .option("seed", task, "seed")
        .option("apply_text_normalization", task, "textNormalization")
        .maybe("voice_settings", (!settings.is_empty()).then_some(Value::from(settings)))
}

/// Puts the emotion in front as an audio tag: `[excited] Welcome back!`.
fn with_tag(words: &str, emotion: &str) -> String {
    let tag: String = emotion.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | ',' | '\'')).collect();
    let tag = tag.trim();
    if tag.is_empty() || tag.eq_ignore_ascii_case("neutral") { words.to_owned() } else { format!("[{tag}] {words}") }
}

/// An emotion in voice settings: the livelier, the less stable and the more style.
fn acted(model: &str, emotion: &str) -> Fields {
    let (stability, style) = match emotion {
        "calm" => (0.7, 0.1),
        "serious" => (0.65, 0.2),
        "happy" => (0.4, 0.4),
        "cheerful" => (0.35, 0.5),
        "sad" => (0.4, 0.3),
        "fearful" => (0.3, 0.5),
        "excited" | "surprised" => (0.3, 0.6),
        "angry" => (0.25, 0.7),
        _ => return Fields::new(),
    };
    Fields::new().set("stability", stability).maybe("style", (model == STYLED).then_some(style))
}

/// ISO 639-1: `en-US` is `en` to them.
fn language_code(asked: &str) -> String {
    asked.split(['-', '_']).next().unwrap_or(asked).to_lowercase()
}

fn sound_effect(task: &Task) -> Fields {
    Fields::new()
        .set("text", task.input.text.as_deref().unwrap_or_default())
        .set("model_id", task.model.as_str())
        .option("duration_seconds", task, "duration")
        .option("loop", task, "loop")
        .option("prompt_influence", task, "promptInfluence")
}

fn song(task: &Task) -> Fields {
    let milliseconds = task.options.get("duration").and_then(Value::as_i64).map(|seconds| seconds * 1000);
    Fields::new()
        .set("prompt", task.input.text.as_deref().unwrap_or_default())
        .set("model_id", task.model.as_str())
        .maybe("music_length_ms", milliseconds)
        .option("force_instrumental", task, "instrumental")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    fn task(model: &str, options: Value) -> Task {
        let Value::Object(options) = options else { panic!("options are an object") };
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Audio,
            model: model.to_owned(),
            params: serde_json::Map::new(),
            input: ContentInput { text: Some("Welcome back!".into()), ..ContentInput::default() },
            options,
            wire: BTreeMap::new(),
        }
    }

    #[test]
    fn v3_speaks_an_emotion_by_a_tag() {
        let body = speech(&task("eleven_v3", json!({ "emotion": "excited", "speed": 1.0, "language": "en-US" })));
        let expected = json!({
            "text": "[excited] Welcome back!",
            "model_id": "eleven_v3",
            "language_code": "en",
            "voice_settings": { "speed": 1.0 },
        });
        assert_eq!(Value::from(body), expected);
    }

    #[test]
    fn older_models_take_an_emotion_as_voice_settings() {
        let body = speech(&task("eleven_multilingual_v2", json!({ "emotion": "excited", "stability": 0.2 })));
        let expected = json!({
            "text": "Welcome back!",
            "model_id": "eleven_multilingual_v2",
            "voice_settings": { "stability": 0.2, "style": 0.6 },
        });
        assert_eq!(Value::from(body), expected);
        let flash = Value::from(speech(&task("eleven_flash_v2_5", json!({ "emotion": "sad" }))));
        assert_eq!(flash["voice_settings"], json!({ "stability": 0.4 }));
        let plain = Value::from(speech(&task("eleven_flash_v2_5", json!({ "emotion": "neutral" }))));
        assert_eq!(plain.get("voice_settings"), None);
    }

    #[test]
    fn a_tag_cannot_break_out_of_its_brackets() {
        assert_eq!(with_tag("Hi", "] [shouts"), "[shouts] Hi");
        assert_eq!(with_tag("Hi", "neutral"), "Hi");
    }

    #[test]
    fn lengths_are_said_in_their_units() {
        assert_eq!(Value::from(song(&task("music_v2", json!({ "duration": 30 }))))["music_length_ms"], json!(30_000));
        let effect = Value::from(sound_effect(&task("eleven_text_to_sound_v2", json!({ "duration": 2.5 }))));
        assert_eq!(effect["duration_seconds"], json!(2.5));
    }

    #[test]
    fn an_answer_that_is_no_sound_is_unreadable() {
        let mut reply = Reply { status: 200, headers: reqwest::header::HeaderMap::new(), body: "{}".into() };
        reply.headers.insert("content-type", "application/json".parse().unwrap());
        assert_eq!(outputs(&reply).unwrap_err().kind, Kind::Garbled);
        reply.headers.insert("content-type", "audio/mpeg".parse().unwrap());
        assert_eq!(outputs(&reply).unwrap().files.len(), 1);
    }
}
