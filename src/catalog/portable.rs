//! The portable options: those every provider of a type accepts, whatever its models can do with them.

use std::borrow::Cow;

use serde_json::Value;

use super::spec::ValueType::{self, Integer, Number, String};
use crate::domain::GenerationType;

const VIDEO: [(&str, ValueType); 8] = [
    ("duration", Integer),
    ("resolution", String),
    ("aspectRatio", String),
    ("style", String),
    ("seed", Integer),
    ("negativePrompt", String),
    ("mode", String),
    ("motionIntensity", String),
];
const IMAGE: [(&str, ValueType); 7] = [
    ("aspectRatio", String),
    ("resolution", String),
    ("quality", String),
    ("style", String),
    ("seed", Integer),
    ("n", Integer),
    ("format", String),
];
const AUDIO: [(&str, ValueType); 5] =
    [("voice", String), ("emotion", String), ("speed", Number), ("language", String), ("format", String)];
const AVATAR: [(&str, ValueType); 6] = [
    ("avatarId", String),
    ("voice", String),
    ("background", String),
    ("gesture", String),
    ("aspectRatio", String),
    ("resolution", String),
];

/// The portable options of a type.
pub(super) const fn of(of: GenerationType) -> &'static [(&'static str, ValueType)] {
    match of {
        GenerationType::Video => &VIDEO,
        GenerationType::Image => &IMAGE,
        GenerationType::Audio => &AUDIO,
        GenerationType::Avatar => &AVATAR,
    }
}

/// The type of a portable option; `None` where the option is not portable.
pub(super) fn value_type(of_type: GenerationType, name: &str) -> Option<ValueType> {
    of(of_type).iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// What a portable option means.
pub(super) fn description(name: &str) -> &'static str {
    match name {
        "duration" => "Length of the clip in seconds",
        "resolution" => "Size of the picture: 480p, 720p, 1080p, 4k, or width x height",
        "aspectRatio" => "Width to height: 16:9, 9:16, 1:1",
        "style" => "The look: cinematic, anime, photorealistic",
        "seed" => "The same seed and request give a similar result",
        "negativePrompt" => "What should not be seen",
        "mode" => "How much effort goes into it: std or pro",
        "motionIntensity" => "How much moves: low, medium, high",
        "quality" => "How much effort goes into the picture",
        "n" => "How many pictures",
        "format" => "The file format",
        "voice" => "The voice, by name or by the service's own id",
        "emotion" => "The feeling in the voice",
        "speed" => "How fast it is spoken; 1 is normal",
        "language" => "The language spoken, as a code such as en or de",
        "avatarId" => "The person, by name or by the service's own id",
        "background" => "What is behind the person",
        "gesture" => "How the person moves",
        _ => "",
    }
}

/// Words for a prompt.
#[derive(Debug, PartialEq)]
pub(super) enum Words {
    /// Go in front of it.
    Before(std::string::String),
    /// Go behind it.
    After(std::string::String),
}

/// An option said in words; `None` where words cannot say it.
pub(super) fn words(of: GenerationType, name: &str, value: &Value) -> Option<Words> {
    let value = match value {
        Value::String(text) => Cow::Owned(text.trim().replace('_', " ")),
        other => Cow::Owned(other.to_string()),
    };
    let spoken = matches!(of, GenerationType::Audio | GenerationType::Avatar);
    let after = match name {
        "style" => format!("{value} style"),
        "motionIntensity" => format!("with {} motion", amount(&value)),
        "negativePrompt" => format!("without {value}"),
        "quality" => format!("{value} quality"),
        "aspectRatio" => format!("in {value} format"),
        "duration" => format!("{value} seconds long"),
        "background" => format!("in front of this background: {value}"),
        "gesture" => format!("with {value} gestures"),
        // What is spoken cannot carry a remark behind it; the tag in front is what expressive voices read.
        "emotion" if spoken => return Some(Words::Before(format!("[{value}]"))),
        "emotion" => format!("{value} mood"),
        _ => return None,
    };
    Some(Words::After(after))
}

fn amount(value: &str) -> &str {
    match value.to_lowercase().as_str() {
        "low" | "subtle" | "small" => "little",
        "medium" | "normal" | "auto" => "moderate",
        "high" | "large" | "strong" => "a lot of",
        _ => value,
    }
}
