//! Requests and answers of upstreams that serve many vendors' models (fal, Replicate): fields under the names a route
//! gives them in its `wire` table, and files wherever a model puts them.
//!
//! `route.params.input` holds fixed fields of the model's input. Each entry of `route.wire` then carries one option or
//! input, by its name in the API (`lastImage` may be written `last_image`). A field with dots is nested:
//! `voice_setting.voice_id`. Entries that name the same list add to it. What is not in `wire` is not sent: a route
//! lists the options it cannot carry in `lacks`.

use std::collections::HashMap;

use serde_json::{Map, Value};
use url::Url;

use super::Task;
use crate::{
    catalog::spec::{ValueType, Wire},
    domain::output::{Output, Source},
};

/// Where models put their files, most telling first.
const FILE_KEYS: [&str; 9] =
    ["video", "videos", "audio", "audio_url", "audio_file", "images", "image", "output", "file"];

/// The media inputs that the route has a field for.
pub fn media(task: &Task) -> Vec<&str> {
    let named =
        |name: &&String| matches!(name.as_str(), "image" | "lastImage" | "last_image" | "images" | "video" | "audio");
    task.wire.keys().filter(named).flat_map(|name| media_of(task, name)).collect()
}

/// The input object of a model. `places` says under which address the upstream finds a media input.
pub fn body(task: &Task, places: &HashMap<String, String>) -> Map<String, Value> {
    let mut body = task.params.get("input").and_then(Value::as_object).cloned().unwrap_or_default();
    for (name, wire) in &task.wire {
        if let Some(value) = value_of(task, name, places) {
            put(&mut body, &wire.field, on_the_wire(wire, value));
        }
    }
    body
}

/// The files of an answer: a URL, a list, or objects with `url` and `content_type`, at the usual places first.
pub fn files(answer: &Value) -> Vec<Output> {
    match answer {
        Value::String(text) => file(text, None).into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(files).collect(),
        Value::Object(fields) => {
            if let Some(url) = fields.get("url").and_then(Value::as_str) {
                return file(url, fields.get("content_type").and_then(Value::as_str)).into_iter().collect();
            }
            let usual = FILE_KEYS.iter().filter_map(|key| fields.get(*key)).map(files).find(|found| !found.is_empty());
            usual.unwrap_or_else(|| fields.values().filter(|value| value.is_object()).flat_map(files).collect())
        }
        _ => Vec::new(),
    }
}

fn media_of<'a>(task: &'a Task, name: &str) -> Vec<&'a str> {
    let input = &task.input;
    let one = match name {
        "image" => &input.image,
        "lastImage" | "last_image" => &input.last_image,
        "video" => &input.video,
        "audio" => &input.audio,
        "images" => return input.images.iter().flatten().map(String::as_str).collect(),
        _ => return Vec::new(),
    };
    one.iter().map(String::as_str).collect()
}

fn value_of(task: &Task, name: &str, places: &HashMap<String, String>) -> Option<Value> {
    let place = |url: &str| Value::from(places.get(url).map_or(url, String::as_str));
    match name {
        "text" => task.input.text.clone().map(Value::from),
        "images" => {
            let all: Vec<Value> = media_of(task, name).into_iter().map(place).collect();
            (!all.is_empty()).then_some(Value::Array(all))
        }
        "image" | "lastImage" | "last_image" | "video" | "audio" => media_of(task, name).first().map(|url| place(url)),
        option => task.options.get(option).cloned(),
    }
}

fn on_the_wire(wire: &Wire, value: Value) -> Value {
    if let Value::Array(items) = value {
        return Value::Array(items.into_iter().map(|item| said(wire, item)).collect());
    }
    let value = said(wire, value);
    if wire.list { Value::Array(vec![value]) } else { value }
}

fn said(wire: &Wire, value: Value) -> Value {
    if let Some(theirs) = wire.values.get(&text_of(&value)) {
        return theirs.clone();
    }
    match wire.r#as {
        Some(kind) => converted(kind, value),
        None => value,
    }
}

fn converted(kind: ValueType, value: Value) -> Value {
    let text = text_of(&value);
    match kind {
        ValueType::String => Value::from(text),
        ValueType::Integer => text.parse::<i64>().map_or(value, Value::from),
        ValueType::Number => text.parse::<f64>().map_or(value, Value::from),
        ValueType::Boolean => text.parse::<bool>().map_or(value, Value::from),
        ValueType::Json => value,
    }
}

/// A value as a word: `5` for 5 and for 5.0.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            let text = number.to_string();
            text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
        }
        other => other.to_string(),
    }
}

fn put(into: &mut Map<String, Value>, field: &str, value: Value) {
    if let Some((outer, inner)) = field.split_once('.') {
        let nested = into.entry(outer).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(nested) = nested {
            put(nested, inner, value);
        }
        return;
    }
    match (into.get_mut(field), value) {
        (Some(Value::Array(present)), Value::Array(more)) => present.extend(more),
        (_, value) => {
            into.insert(field.to_owned(), value);
        }
    }
}

fn file(url: &str, content_type: Option<&str>) -> Option<Output> {
    let url = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some(Output { source: Source::Url { url, authorized: false }, content_type: content_type.map(str::to_owned) })
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "json! literals read better without a borrow")]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    fn task(wire: &str, options: Value, input: ContentInput) -> Task {
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Video,
            model: "vendor/model".into(),
            params: Map::from_iter([("input".into(), json!({ "enable": true }))]),
            input,
            options: options.as_object().cloned().unwrap(),
            wire: toml::from_str::<BTreeMap<String, Wire>>(wire).unwrap(),
        }
    }

    #[test]
    fn options_and_inputs_go_under_the_routes_names() {
        let wire = r#"
            text = { field = "prompt" }
            duration = { field = "duration", as = "string" }
            aspectRatio = { field = "image_size", values = { "16:9" = "landscape_16_9", "21:9" = { width = 1536, height = 640 } } }
            voice = { field = "voice_setting.voice_id" }
            speed = { field = "voice_setting.speed" }
            image = { field = "image_urls", list = true }
            images = { field = "image_urls" }
            last_image = { field = "tail_image_url" }
            seed = { field = "seed" }
        "#;
        let input = ContentInput {
            text: Some("a fox".into()),
            image: Some("https://a/1.png".into()),
            images: Some(vec!["https://a/2.png".into()]),
            last_image: Some("data:x".into()),
            ..ContentInput::default()
        };
        let options = json!({ "duration": 5, "aspectRatio": "21:9", "voice": "v", "speed": 1.5, "unnamed": 1 });
        let task = task(wire, options, input);
        assert_eq!(media(&task), ["https://a/1.png", "https://a/2.png", "data:x"]);
        let places = HashMap::from([("data:x".to_owned(), "https://here/x".to_owned())]);
        assert_eq!(
            Value::from(body(&task, &places)),
            json!({
                "enable": true, "prompt": "a fox", "duration": "5", "image_size": { "width": 1536, "height": 640 },
                "voice_setting": { "voice_id": "v", "speed": 1.5 },
                "image_urls": ["https://a/1.png", "https://a/2.png"], "tail_image_url": "https://here/x",
            })
        );
    }

    #[test]
    fn words_and_numbers_turn_into_each_other() {
        assert_eq!(converted(ValueType::String, json!(5.0)), json!("5"));
        assert_eq!(converted(ValueType::Integer, json!("8")), json!(8));
        assert_eq!(converted(ValueType::Integer, json!("auto")), json!("auto"));
        assert_eq!(converted(ValueType::Boolean, json!("true")), json!(true));
    }

    #[test]
    fn files_are_found_wherever_a_model_puts_them() {
        let count = |value: Value| files(&value).len();
        assert_eq!(count(json!("https://a/1.png")), 1);
        assert_eq!(count(json!(["https://a/1.png", "https://a/2.png"])), 2);
        assert_eq!(count(json!({ "images": [{ "url": "https://a/1" }, { "url": "https://a/2" }], "seed": 1 })), 2);
        assert_eq!(count(json!({ "video": { "url": "https://a/1" }, "thumbnail": { "url": "https://a/2" } })), 1);
        assert_eq!(count(json!({ "audio_url": { "url": "https://a/1" } })), 1);
        assert_eq!(count(json!({ "mesh": { "url": "https://a/1" } })), 1);
        assert_eq!(count(json!({ "output": "just words" })), 0);
        assert_eq!(count(json!(null)), 0);
    }
}
