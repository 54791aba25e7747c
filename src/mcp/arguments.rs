//! The arguments of tools: how they are read, and the idempotency key that follows from them.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    client::Refusal,
    domain::{GenerationType, Priority},
};

/// Of `list_providers`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Providers {
    pub(super) r#type: Option<GenerationType>,
    pub(super) provider: Option<String>,
}

/// Of `quote` and `generate`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    r#type: GenerationType,
    text: Option<String>,
    provider: Option<String>,
    model: Option<String>,
    options: Option<Map<String, Value>>,
    priority: Option<Priority>,
    image: Option<String>,
    images: Option<Vec<String>>,
    last_image: Option<String>,
    video: Option<String>,
    audio: Option<String>,
    voice: Option<String>,
    pub(super) max_credits: Option<u32>,
    /// Only `generate` has it.
    #[serde(rename = "key")]
    _key: Option<String>,
}

/// Of tools on one generation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct One {
    pub(super) id: String,
    pub(super) seconds: Option<u64>,
}

/// The arguments in their form.
pub(super) fn read<T: DeserializeOwned>(mut arguments: Map<String, Value>) -> Result<T, Refusal> {
    for value in arguments.values_mut() {
        *value = whole(value.take());
    }
    serde_json::from_value(Value::Object(arguments)).map_err(|error| Refusal::invalid(format!("{error}.")))
}

/// 5.0 as 5: to JSON Schema both are integers, and some hosts know only floating point.
fn whole(value: Value) -> Value {
    let integer =
        value.is_f64().then(|| value.to_string()).and_then(|text| text.strip_suffix(".0")?.parse::<i64>().ok());
    integer.map_or(value, Value::from)
}

impl Request {
    /// The `GenerateInput`.
    pub(super) fn input(self) -> Value {
        let content = json!({
            "text": self.text, "image": self.image, "images": self.images, "lastImage": self.last_image,
            "video": self.video, "audio": self.audio, "voice": self.voice,
        });
        json!({
            "type": self.r#type, "provider": self.provider, "model": self.model, "input": content,
            "options": self.options, "priority": self.priority, "maxCredits": self.max_credits,
        })
    }
}

/// The idempotency key of a call: a hash of its arguments, the caller's `key` among them. Member order, members that are
/// null, and 5 or 5.0 make no difference.
pub(super) fn idempotency_key(arguments: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_canonical(&mut text, arguments);
    format!("mcp-{}", hex::encode(Sha256::digest(text)))
}

fn write_canonical(text: &mut String, members: &Map<String, Value>) {
    let mut sorted: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
    sorted.sort_by_key(|(name, _)| *name);
    text.push('{');
    for (name, value) in sorted {
        text.push_str(&json!(name).to_string());
        text.push(':');
        write_value(text, value);
        text.push(',');
    }
    text.push('}');
}

fn write_value(text: &mut String, value: &Value) {
    match value {
        Value::Object(members) => write_canonical(text, members),
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_value(text, item);
                text.push(',');
            }
            text.push(']');
        }
        Value::Number(number) if number.is_f64() => {
            // Without a fraction it reads as the integer does.
            text.push_str(&number.as_f64().unwrap_or_default().to_string());
        }
        value => text.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(arguments: &str) -> String {
        idempotency_key(&serde_json::from_str(arguments).unwrap())
    }

    #[test]
    fn the_same_arguments_have_the_same_key() {
        let first = key(r#"{"type":"VIDEO","options":{"a":5,"b":[1,"x"]},"max_credits":10}"#);
        assert_eq!(first, key(r#"{"max_credits":10.0,"options":{"b":[1,"x"],"a":5.0},"type":"VIDEO","text":null}"#));
        assert_eq!(first.len(), 4 + 64);
        for other in [
            r#"{"type":"VIDEO","options":{"a":5,"b":[1,"x"]},"max_credits":10,"key":"2"}"#,
            r#"{"type":"VIDEO","options":{"a":5,"b":["x",1]},"max_credits":10}"#,
            r#"{"type":"VIDEO","options":{"a":"5","b":[1,"x"]},"max_credits":10}"#,
            r#"{"type":"VIDEO","options":{"a":5.5,"b":[1,"x"]},"max_credits":10}"#,
        ] {
            assert_ne!(first, key(other), "{other}");
        }
    }

    #[test]
    fn an_integer_may_be_written_as_a_fraction() {
        let read = |text: &str| read::<One>(serde_json::from_str(text).unwrap());
        assert_eq!(read(r#"{"id":"gen_1","seconds":5.0}"#).unwrap().seconds, Some(5));
        assert!(read(r#"{"id":"gen_1","seconds":5.5}"#).is_err());
    }

    #[test]
    fn an_argument_that_is_none_is_refused_by_name() {
        let wrong = serde_json::from_str(r#"{"type":"VIDEO","prompt":"x"}"#).unwrap();
        let refusal = read::<Request>(wrong).err().unwrap();
        assert!(refusal.message.contains("`prompt`") && refusal.message.contains("`text`"), "{refusal}");
    }
}
