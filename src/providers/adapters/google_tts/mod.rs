//! Google Cloud Text-to-Speech by API key: `text:synthesize`, which answers with the sound in base64.
//!
//! A route's `model` is a voice family, or a Gemini model. `params.kind`: `family` (voices with letters, one of which
//! is chosen from the service's list when none is named; `params.voice` is that of en-US, `params.ssml` says whether
//! the family reads SSML), `named` (every name speaks every language), `gemini` (named voices plus `modelName`, and a
//! prompt for the delivery).
//!
//! A text beyond the service's limit in bytes is spoken in parts that end with a sentence; see [`parts`]. A part that
//! fails after others were made leaves a paid beginning behind, hence its verdict is never `Refused`.

mod parts;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    domain::{
        Fault, Upstream, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    providers::{Call, Cx, Handle, Progress, Provider, Reply, Submitted, Task, google, http::preparing},
};

const BASE: &str = "https://texttospeech.googleapis.com/v1";
const DEFAULT_LANGUAGE: &str = "en-US";
const MAX_BYTES: usize = 5000;
const MAX_BYTES_GEMINI: usize = 4000;

/// The adapter.
pub struct GoogleTts;

#[async_trait]
impl Provider for GoogleTts {
    fn upstream(&self) -> Upstream {
        "google-tts".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let voice = Voice::of(cx, task).await.map_err(preparing)?;
        let mut sounds = Vec::new();
        for words in words(task)? {
            let sound = synthesize(cx, &to_wire(task, &voice, words)).await;
            sounds.push(sound.map_err(|mut fault| {
                if !sounds.is_empty() {
                    fault.verdict = Verdict::Unknown;
                }
                fault
            })?);
        }
        let (_, content_type) = encoding(task);
        let bytes = if content_type == "audio/wav" { parts::join_wav(&sounds) } else { sounds.concat() };
        let file = Output { source: Source::Bytes(bytes.into()), content_type: Some(content_type.into()) };
        let notes = [("voice".to_owned(), json!(voice.name))].into();
        Ok(Submitted::Done(Outputs { files: vec![file], seed: None, notes }))
    }

    async fn poll(&self, _cx: &Cx, _task: &Task, _handle: &Handle) -> Result<Progress, Fault> {
        Err(Fault::refused(Kind::Gone, "text:synthesize answers at once and keeps no task"))
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        voices(cx, "en-US").await.map(drop)
    }
}

fn keyed(cx: &Cx, call: Call) -> Result<Call, Fault> {
    Ok(call.header("x-goog-api-key", cx.secret("GOOGLE_TTS_API_KEY")?))
}

async fn synthesize(cx: &Cx, body: &Value) -> Result<Vec<u8>, Fault> {
    let reply = keyed(cx, cx.post(&format!("{BASE}/text:synthesize"))?)?.json(body).send().await?;
    if !reply.is_success() {
        return Err(classify(&reply));
    }
    let answer: Answer = reply.json()?;
    let sound = STANDARD
        .decode(answer.audio_content)
        .map_err(|error| Fault::new(Kind::Garbled, Verdict::Unknown, "the sound is not base64").because(error))?;
    if sound.is_empty() {
        return Err(Fault::new(Kind::Garbled, Verdict::Unknown, "an answer without sound"));
    }
    Ok(sound)
}

/// The call is the whole work and keeps nothing: what it answers was refused, and an error inside may be over at once.
fn classify(reply: &Reply) -> Fault {
    let fault = google::classify(reply);
    match google::error_body(reply)["status"].as_str() {
        Some("INTERNAL" | "CANCELLED") => Fault { kind: Kind::Internal, verdict: Verdict::Refused, ..fault },
        _ => fault,
    }
}

/// The voices of a language, kept for a day.
async fn voices(cx: &Cx, language: &str) -> Result<Vec<Listed>, Fault> {
    let (name, now) = (format!("voices:{language}"), cx.now());
    if let Some(kept) = cx.cache.get(&name, now).and_then(|kept| serde_json::from_value(kept).ok()) {
        return Ok(kept);
    }
    let reply = keyed(cx, cx.get(&format!("{BASE}/voices"))?)?.query(&[("languageCode", language)]).send().await?;
    if !reply.is_success() {
        return Err(google::classify(&reply));
    }
    let list: Voices = reply.json()?;
    cx.cache.put(&name, json!(list.voices), now + TimeDelta::days(1));
    Ok(list.voices)
}

/// A voice as the service names it.
#[derive(Debug, PartialEq)]
struct Voice {
    language: String,
    name: String,
}

impl Voice {
    async fn of(cx: &Cx, task: &Task) -> Result<Self, Fault> {
        let language = language(task);
        if let Some(voice) = Self::named(task) {
            // The usual language is not told from one that was asked for.
            if voice.language != language && language != DEFAULT_LANGUAGE {
                let why = format!("the voice {} does not speak {language}", voice.name);
                return Err(Fault::refused(Kind::InvalidInput, why));
            }
            return Ok(voice);
        }
        let list = voices(cx, language).await?;
        Self::chosen(task, &list)
            .ok_or_else(|| Fault::refused(Kind::InvalidInput, format!("no {} voice speaks {language}", task.model)))
    }

    /// The voice, where the request or the route says enough.
    fn named(task: &Task) -> Option<Self> {
        let language = language(task).to_owned();
        let asked = task.options.get("voice").and_then(Value::as_str).filter(|voice| !is_gender(voice));
        let default = task.params.get("voice").and_then(Value::as_str);
        let voice = match (asked, gender(task)) {
            (Some(voice), _) => voice,
            (None, None) if language == DEFAULT_LANGUAGE => default?,
            _ => return None,
        };
        if kind(task) == "gemini" {
            return Some(Self { language, name: voice.to_owned() });
        }
        match voice.match_indices('-').nth(1) {
            // A whole name brings its language along; the two have to match.
            Some((end, _)) => {
                let language = locale(&voice[..end]);
                Some(Self { name: format!("{language}{}", &voice[end..]), language })
            }
            None => Some(Self { name: format!("{language}-{}-{voice}", task.model), language }),
        }
    }

    /// The first of the list that is of the family and of the gender that was asked for.
    fn chosen(task: &Task, list: &[Listed]) -> Option<Self> {
        let (language, gender) = (language(task), gender(task));
        let family = format!("{language}-{}-", task.model);
        let fits = |voice: &&Listed| {
            voice.name.starts_with(&family) && gender.is_none_or(|gender| voice.gender.eq_ignore_ascii_case(gender))
        };
        list.iter().find(fits).map(|voice| Self { language: language.to_owned(), name: voice.name.clone() })
    }
}

fn kind(task: &Task) -> &str {
    task.params.get("kind").and_then(Value::as_str).unwrap_or("family")
}

fn language(task: &Task) -> &str {
    task.options.get("language").and_then(Value::as_str).unwrap_or(DEFAULT_LANGUAGE)
}

/// A language and region as the service writes them: `th-th` is `th-TH`.
fn locale(asked: &str) -> String {
    match asked.split_once('-') {
        Some((language, region)) => format!("{}-{}", language.to_lowercase(), region.to_uppercase()),
        None => asked.to_owned(),
    }
}

fn gender(task: &Task) -> Option<&str> {
    task.options.get("voice").and_then(Value::as_str).filter(|voice| is_gender(voice))
}

fn is_gender(voice: &str) -> bool {
    matches!(voice, "female" | "male")
}

/// What is said: plain text in parts, or SSML as a whole.
#[derive(Clone, Copy)]
enum Words<'a> {
    Text(&'a str),
    Ssml(&'a str),
}

fn words(task: &Task) -> Result<Vec<Words<'_>>, Fault> {
    let text = task.input.text.as_deref().unwrap_or_default();
    let reads_ssml = task.params.get("ssml").and_then(Value::as_bool).unwrap_or(false);
    if reads_ssml && text.trim_start().starts_with("<speak") {
        if text.len() > MAX_BYTES {
            return Err(Fault::refused(Kind::InvalidInput, "SSML of more than 5,000 bytes"));
        }
        return Ok(vec![Words::Ssml(text)]);
    }
    let limit = if kind(task) == "gemini" { MAX_BYTES_GEMINI } else { MAX_BYTES };
    Ok(parts::split(text, limit).into_iter().map(Words::Text).collect())
}

/// The encoding on the wire, and the content type it gives.
fn encoding(task: &Task) -> (&'static str, &'static str) {
    match task.options.get("format").and_then(Value::as_str) {
        Some("wav") => ("LINEAR16", "audio/wav"),
        Some("ogg") => ("OGG_OPUS", "audio/ogg"),
        _ => ("MP3", "audio/mpeg"),
    }
}

fn to_wire(task: &Task, voice: &Voice, words: Words<'_>) -> Value {
    let mut input = match words {
        Words::Text(text) => json!({ "text": text }),
        Words::Ssml(ssml) => json!({ "ssml": ssml }),
    };
    let mut on_wire = json!({ "languageCode": voice.language, "name": voice.name });
    if kind(task) == "gemini" {
        on_wire["modelName"] = json!(task.model);
        let emotion =
            task.options.get("emotion").and_then(Value::as_str).map(|word| format!("Speak in a {word} tone."));
        let instructions = task.options.get("instructions").and_then(Value::as_str).map(str::to_owned);
        let manner: Vec<String> = instructions.into_iter().chain(emotion).filter(|text| !text.is_empty()).collect();
        if !manner.is_empty() {
            input["prompt"] = json!(manner.join(" "));
        }
    }
    let mut audio = Map::new();
    audio.insert("audioEncoding".into(), json!(encoding(task).0));
    for (option, field) in [("speed", "speakingRate"), ("pitch", "pitch"), ("volumeGainDb", "volumeGainDb")] {
        if let Some(value) = task.options.get(option) {
            audio.insert(field.into(), value.clone());
        }
    }
    json!({ "input": input, "voice": on_wire, "audioConfig": audio })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    audio_content: String,
}

#[derive(Deserialize)]
struct Voices {
    #[serde(default)]
    voices: Vec<Listed>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Listed {
    name: String,
    #[serde(default, rename = "ssmlGender")]
    gender: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    fn task(model: &str, kind: &str, options: &Value) -> Task {
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Audio,
            model: model.into(),
            params: json!({"kind": kind, "ssml": true, "voice": "C"}).as_object().cloned().unwrap(),
            input: ContentInput { text: Some("Hello".into()), ..ContentInput::default() },
            options: options.as_object().cloned().unwrap_or_default(),
            wire: BTreeMap::new(),
        }
    }

    fn named(model: &str, kind: &str, options: &Value) -> Option<String> {
        Voice::named(&task(model, kind, options)).map(|voice| format!("{} {}", voice.language, voice.name))
    }

    #[test]
    fn voices_are_named_from_language_family_and_part() {
        assert_eq!(named("Neural2", "family", &json!({})), Some("en-US en-US-Neural2-C".to_owned()));
        assert_eq!(named("Neural2", "family", &json!({"language": "th-TH"})), None);
        assert_eq!(named("Neural2", "family", &json!({"voice": "female"})), None);
        let letter = json!({"voice": "A", "language": "de-DE"});
        assert_eq!(named("Wavenet", "family", &letter), Some("de-DE de-DE-Wavenet-A".to_owned()));
        let whole = json!({"voice": "fr-FR-Studio-A", "language": "en-US"});
        assert_eq!(named("Studio", "family", &whole), Some("fr-FR fr-FR-Studio-A".to_owned()));
        let whole = json!({"voice": "th-th-Chirp3-HD-Leda"});
        assert_eq!(named("Chirp3-HD", "named", &whole), Some("th-TH th-TH-Chirp3-HD-Leda".to_owned()));
        let kore = json!({"voice": "Kore", "language": "th-TH"});
        assert_eq!(named("Chirp3-HD", "named", &kore), Some("th-TH th-TH-Chirp3-HD-Kore".to_owned()));
        assert_eq!(named("gemini-2.5-flash-tts", "gemini", &kore), Some("th-TH Kore".to_owned()));
    }

    #[test]
    fn a_voice_is_chosen_from_the_list_by_family_and_gender() {
        let list = [("th-TH-Standard-A", "FEMALE"), ("th-TH-Neural2-C", "FEMALE"), ("th-TH-Neural2-D", "MALE")]
            .map(|(name, gender)| Listed { name: name.into(), gender: gender.into() });
        let chosen =
            |options: Value| Voice::chosen(&task("Neural2", "family", &options), &list).map(|voice| voice.name);
        assert_eq!(chosen(json!({"language": "th-TH"})).as_deref(), Some("th-TH-Neural2-C"));
        assert_eq!(chosen(json!({"language": "th-TH", "voice": "male"})).as_deref(), Some("th-TH-Neural2-D"));
        assert_eq!(chosen(json!({"language": "xx-XX"})), None);
    }

    #[test]
    fn a_request_has_exactly_the_fields_that_were_asked_for() {
        let task = task("gemini-2.5-flash-tts", "gemini", &json!({"speed": 1.5, "emotion": "happy", "format": "wav"}));
        let voice = Voice { language: "en-US".into(), name: "Kore".into() };
        assert_eq!(
            to_wire(&task, &voice, Words::Text("Hello")),
            json!({"input": {"text": "Hello", "prompt": "Speak in a happy tone."},
                "voice": {"languageCode": "en-US", "name": "Kore", "modelName": "gemini-2.5-flash-tts"},
                "audioConfig": {"audioEncoding": "LINEAR16", "speakingRate": 1.5}})
        );
    }

    #[test]
    fn ssml_is_told_from_text_by_its_root() {
        let mut task = task("Neural2", "family", &json!({}));
        task.input.text = Some("<speak>Hello</speak>".into());
        assert!(matches!(words(&task).unwrap().as_slice(), [Words::Ssml(_)]));
        task.params.insert("ssml".into(), json!(false));
        assert!(matches!(words(&task).unwrap().as_slice(), [Words::Text(_)]));
    }
}
