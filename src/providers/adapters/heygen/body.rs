//! The bodies of the create calls.

use serde_json::{Value, json};

use super::{kind, people::Person};
use crate::{
    domain::{Fault, fault::Kind},
    providers::{
        Task,
        body::{Fields, text},
        http::excerpt,
    },
};

/// The files of the request, each as the protocol refers to it.
#[derive(Default)]
pub(super) struct Media {
    pub(super) image: Option<Value>,
    pub(super) references: Vec<Value>,
    pub(super) video: Option<Value>,
    pub(super) audio: Option<Value>,
    pub(super) background: Option<Value>,
}

pub(super) fn body(task: &Task, person: &Person, media: Media) -> Result<Value, Fault> {
    Ok(match kind(task) {
        "lipsync" => lipsync(task, media),
        "cinematic" => cinematic(task, person, media),
        "speech" => speech(task, person),
        kind => speaking(kind, task, person, media)?,
    }
    .into())
}

fn speaking(kind: &str, task: &Task, person: &Person, media: Media) -> Result<Fields, Fault> {
    // `avatar_iv` is what they use by themselves; a photo knows no other.
    let engine = (kind == "avatar" && task.model != "avatar_iv").then(|| json!({ "type": task.model }));
    let acted = |option: &str| text(task, option).filter(|_| !person.unacted.iter().any(|name| name == option));
    let settings =
        Fields::new().option("speed", task, "speed").option("pitch", task, "pitch").option("volume", task, "volume");
    let background = background(text(task, "background"), media.background)?;
    Ok(spoken(Fields::new().set("type", kind), task, media.audio.as_ref())
        .maybe("avatar_id", person.avatar.as_deref())
        .maybe("image", media.image)
        .maybe("voice_id", person.voice.as_deref())
        .maybe("voice_settings", (media.audio.is_none() && !settings.is_empty()).then_some(Value::from(settings)))
        .maybe("engine", engine)
        .maybe("motion_prompt", acted("gesture"))
        .maybe("expressiveness", acted("expressiveness"))
        .maybe("background", background)
        .option("aspect_ratio", task, "aspectRatio")
        .option("resolution", task, "resolution")
        .option("fit", task, "fit")
        .option("output_format", task, "format")
        .option("remove_background", task, "removeBackground"))
}

/// Exactly one of the script and the recording.
fn spoken(fields: Fields, task: &Task, audio: Option<&Value>) -> Fields {
    let part = |name: &str| audio.and_then(|audio| audio.get(name)).cloned();
    let script = task.input.text.as_deref().filter(|_| audio.is_none());
    fields.maybe("script", script).maybe("audio_url", part("url")).maybe("audio_asset_id", part("asset_id"))
}

/// Whether a background is the address of a picture.
pub(super) fn is_address(background: &str) -> bool {
    ["https:", "http:", "data:"].iter().any(|scheme| background.starts_with(scheme))
}

fn background(asked: Option<&str>, picture: Option<Value>) -> Result<Option<Value>, Fault> {
    let Some(asked) = asked else { return Ok(None) };
    if let Some(Value::Object(mut picture)) = picture {
        picture.insert("type".to_owned(), "image".into());
        return Ok(Some(picture.into()));
    }
    let is_colour = asked
        .strip_prefix('#')
        .is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    if is_colour {
        return Ok(Some(json!({ "type": "color", "value": asked })));
    }
    Err(Fault::refused(Kind::InvalidInput, excerpt(&format!("the background {asked} is no colour and no address"))))
}

fn cinematic(task: &Task, person: &Person, media: Media) -> Fields {
    let references: Vec<_> =
        media.image.into_iter().chain(media.references).chain(media.video).chain(media.audio).collect();
    Fields::new()
        .set("type", "cinematic_avatar")
        .maybe("prompt", task.input.text.as_deref())
        .maybe("avatar_id", person.avatar.as_ref().map(|id| vec![id.clone()]))
        .maybe("references", (!references.is_empty()).then_some(references))
        .option("duration", task, "duration")
        .option("resolution", task, "resolution")
        .option("aspect_ratio", task, "aspectRatio")
        .option("enhance_prompt", task, "enhancePrompt")
}

fn lipsync(task: &Task, media: Media) -> Fields {
    Fields::new()
        .maybe("video", media.video)
        .maybe("audio", media.audio)
        .option("mode", task, "mode")
        .option("enable_caption", task, "captions")
        .option("enable_dynamic_duration", task, "dynamicDuration")
        .option("enable_speech_enhancement", task, "speechEnhancement")
        .option("disable_music_track", task, "disableMusicTrack")
}

fn speech(task: &Task, person: &Person) -> Fields {
    let language = text(task, "language").map(|tag| tag.split('-').next().unwrap_or(tag).to_lowercase());
    Fields::new()
        .maybe("text", task.input.text.as_deref())
        .maybe("voice_id", person.voice.as_deref())
        .option("speed", task, "speed")
        .maybe("language", language)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    fn task(kind: &str, model: &str, options: Value) -> Task {
        let (Value::Object(options), Value::Object(params)) = (options, json!({ "kind": kind })) else {
            panic!("options are an object")
        };
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Avatar,
            model: model.to_owned(),
            params,
            input: ContentInput { text: Some("Hello".into()), ..ContentInput::default() },
            options,
            wire: std::collections::BTreeMap::new(),
        }
    }

    fn kate() -> Person {
        Person { avatar: Some("look_1".into()), voice: Some("voice_1".into()), unacted: Vec::new() }
    }

    #[test]
    fn an_avatar_speaks_a_script() {
        let options = json!({ "background": "#E8ECF0", "gesture": "Warm.", "speed": 1.1, "resolution": "1080p" });
        let sent = body(&task("avatar", "avatar_iv", options.clone()), &kate(), Media::default()).unwrap();
        let expected = json!({
            "type": "avatar", "avatar_id": "look_1", "script": "Hello", "voice_id": "voice_1",
            "voice_settings": { "speed": 1.1 }, "background": { "type": "color", "value": "#E8ECF0" },
            "motion_prompt": "Warm.", "resolution": "1080p",
        });
        assert_eq!(sent, expected);
        let still = Person { unacted: vec!["gesture".into()], ..kate() };
        let sent = body(&task("avatar", "avatar_v", options), &still, Media::default()).unwrap();
        assert_eq!((sent.get("motion_prompt"), &sent["engine"]), (None, &json!({ "type": "avatar_v" })));
    }

    #[test]
    fn a_photo_speaks_a_recording() {
        let media = Media {
            image: Some(json!({ "type": "url", "url": "https://a.test/face.png" })),
            audio: Some(json!({ "type": "asset_id", "asset_id": "a1" })),
            background: Some(json!({ "type": "url", "url": "https://a.test/bg.png" })),
            ..Media::default()
        };
        let mut task = task("image", "avatar_iv", json!({ "background": "https://a.test/bg.png", "speed": 1.1 }));
        task.input.text = None;
        let expected = json!({
            "type": "image", "image": { "type": "url", "url": "https://a.test/face.png" }, "audio_asset_id": "a1",
            "background": { "type": "image", "url": "https://a.test/bg.png" },
        });
        assert_eq!(body(&task, &Person::default(), media).unwrap(), expected);
    }

    #[test]
    fn an_unknown_background_is_refused() {
        let task = task("avatar", "avatar_iv", json!({ "background": "the moon" }));
        assert_eq!(body(&task, &kate(), Media::default()).unwrap_err().kind, Kind::InvalidInput);
    }

    #[test]
    fn a_cinematic_clip_lists_looks_and_references() {
        let media = Media { image: Some(json!("i")), video: Some(json!("v")), ..Media::default() };
        let sent = body(&task("cinematic", "cinematic_avatar", json!({ "duration": 8 })), &kate(), media).unwrap();
        let expected = json!({
            "type": "cinematic_avatar", "prompt": "Hello", "avatar_id": ["look_1"], "references": ["i", "v"],
            "duration": 8,
        });
        assert_eq!(sent, expected);
    }
}
