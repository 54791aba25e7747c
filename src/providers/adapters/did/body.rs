//! The bodies of the create calls.

use serde_json::{Value, json};

use super::{people::Person, user_data};
use crate::{
    domain::{Fault, fault::Kind},
    providers::{
        Task,
        body::{Fields, text},
        http::excerpt,
    },
};

/// The files of the request, by addresses the service takes.
#[derive(Default)]
pub(super) struct Media {
    pub(super) image: Option<String>,
    pub(super) audio: Option<String>,
    pub(super) background: Option<String>,
}

pub(super) fn body(task: &Task, person: &Person, media: Media) -> Result<Value, Fault> {
    let fields = Fields::new().set("user_data", user_data(task));
    Ok(match task.model.as_str() {
        "animations" => fields.maybe("source_url", media.image).maybe("config", filled(portrait(task))),
        "clips" => clip(fields, task, person, media)?,
        "expressives" => expressive(fields, task, person, media)?,
        _ => fields
            .set("script", script(task, person, media.audio))
            .maybe("source_url", media.image)
            .maybe("config", filled(portrait(task))),
    }
    .into())
}

fn filled(fields: Fields) -> Option<Value> {
    (!fields.is_empty()).then(|| fields.into())
}

fn script(task: &Task, person: &Person, audio: Option<String>) -> Fields {
    let fields = match audio {
        Some(audio) => Fields::new().set("type", "audio").set("audio_url", audio),
        None => Fields::new()
            .set("type", "text")
            .maybe("input", task.input.text.as_deref())
            .maybe("provider", person.voice.clone()),
    };
    fields.option("subtitles", task, "subtitles")
}

fn portrait(task: &Task) -> Fields {
    let expression = text(task, "gesture").map(|expression| {
        let intensity = task.options.get("expressionIntensity").cloned().unwrap_or_else(|| json!(1.0));
        json!({ "expressions": [{ "start_frame": 0, "expression": expression, "intensity": intensity }] })
    });
    Fields::new()
        .option("stitch", task, "stitch")
        .option("result_format", task, "format")
        .option("fluent", task, "fluent")
        .option("pad_audio", task, "padAudio")
        .maybe("driver_expressions", expression)
}

fn presented(task: &Task) -> Fields {
    let lines = text(task, "resolution").and_then(|name| name.trim_end_matches('p').parse::<u32>().ok());
    Fields::new().option("result_format", task, "format").maybe("output_resolution", lines)
}

fn clip(fields: Fields, task: &Task, person: &Person, media: Media) -> Result<Fields, Fault> {
    let background = background(task, media.background)?.map(|background| match background {
        Background::Colour(colour) => json!({ "color": colour }),
        Background::Picture(url) => json!({ "source_url": url }),
    });
    Ok(fields
        .maybe("presenter_id", person.avatar.as_deref())
        .set("script", script(task, person, media.audio))
        .maybe("background", background)
        .maybe("config", filled(presented(task))))
}

fn expressive(fields: Fields, task: &Task, person: &Person, media: Media) -> Result<Fields, Fault> {
    let background = background(task, media.background)?.map(|background| match background {
        Background::Colour(colour) => json!({ "type": "color", "value": colour }),
        Background::Picture(url) => json!({ "type": "image_url", "value": url }),
    });
    Ok(fields
        .maybe("avatar_id", person.avatar.as_deref())
        .maybe("sentiment_id", person.sentiment.as_deref())
        .set("script", script(task, person, media.audio))
        .maybe("background", background)
        .maybe("config", filled(presented(task))))
}

enum Background {
    Colour(String),
    Picture(String),
}

/// Whether a background is the address of a picture.
pub(super) fn is_address(background: &str) -> bool {
    ["https:", "http:", "data:"].iter().any(|scheme| background.starts_with(scheme))
}

fn background(task: &Task, picture: Option<String>) -> Result<Option<Background>, Fault> {
    let Some(asked) = text(task, "background") else { return Ok(None) };
    if let Some(url) = picture {
        return Ok(Some(Background::Picture(url)));
    }
    let is_colour = asked
        .strip_prefix('#')
        .is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    if is_colour {
        return Ok(Some(Background::Colour(asked.to_owned())));
    }
    Err(Fault::refused(Kind::InvalidInput, excerpt(&format!("the background {asked} is no colour and no address"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    fn task(model: &str, options: Value) -> Task {
        let Value::Object(options) = options else { panic!("options are an object") };
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Avatar,
            model: model.to_owned(),
            params: serde_json::Map::new(),
            input: ContentInput { text: Some("Hello".into()), ..ContentInput::default() },
            options,
            wire: std::collections::BTreeMap::new(),
        }
    }

    fn sent(task: &Task, person: &Person, media: Media) -> Value {
        let mut body = body(task, person, media).unwrap();
        assert_eq!(body["user_data"], json!(user_data(task)));
        body.as_object_mut().unwrap().remove("user_data");
        body
    }

    fn jenny() -> Person {
        let voice = json!({ "type": "microsoft", "voice_id": "en-US-JennyNeural" });
        Person { avatar: Some("p1".into()), sentiment: Some("s1".into()), voice: Some(voice) }
    }

    #[test]
    fn a_portrait_speaks_with_an_expression() {
        let media = Media { image: Some("https://a.test/face.png".into()), ..Media::default() };
        let task = task("talks", json!({ "gesture": "happy", "stitch": true }));
        let expected = json!({
            "source_url": "https://a.test/face.png",
            "script": { "type": "text", "input": "Hello", "provider": jenny().voice },
            "config": {
                "stitch": true,
                "driver_expressions": { "expressions": [{ "start_frame": 0, "expression": "happy", "intensity": 1.0 }] },
            },
        });
        assert_eq!(sent(&task, &jenny(), media), expected);
    }

    #[test]
    fn presenters_take_a_background_each_their_own_way() {
        let options = json!({ "background": "#FFFFFF", "resolution": "720p" });
        let clip = sent(&task("clips", options.clone()), &jenny(), Media::default());
        assert_eq!((&clip["presenter_id"], &clip["background"]), (&json!("p1"), &json!({ "color": "#FFFFFF" })));
        assert_eq!(clip["config"], json!({ "output_resolution": 720 }));
        let expressive = sent(&task("expressives", options), &jenny(), Media::default());
        assert_eq!(expressive["background"], json!({ "type": "color", "value": "#FFFFFF" }));
        assert_eq!((&expressive["avatar_id"], &expressive["sentiment_id"]), (&json!("p1"), &json!("s1")));
    }

    #[test]
    fn a_recording_needs_no_voice() {
        let media = Media { audio: Some("s3://bucket/speech.wav".into()), ..Media::default() };
        let talk = sent(&task("talks", json!({})), &jenny(), media);
        assert_eq!(talk, json!({ "script": { "type": "audio", "audio_url": "s3://bucket/speech.wav" } }));
    }
}
