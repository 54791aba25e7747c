//! Workflows: graphs in ComfyUI's API format in which `"{{name}}"` stands for a value of the request.
//!
//! Names are those of options and inputs in the API (`text`, `image`, `lastImage`, `seed`, `cfgScale` …), further
//! `width`, `height` and `checkpoint`. A placeholder is a whole string, and its value keeps its type.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::{
    domain::{Fault, fault::Kind},
    providers::Task,
};

const TEXT_TO_IMAGE: &str = include_str!("text_to_image.json");
const IMAGE_TO_IMAGE: &str = include_str!("image_to_image.json");

/// The filled workflow of a task. `uploaded` names the input files on the server, by input.
pub fn filled(task: &Task, uploaded: &HashMap<&'static str, String>) -> Result<Value, Fault> {
    let text = match task.params.get("workflow").and_then(Value::as_str) {
        Some(own) => own,
        None if uploaded.contains_key("image") => IMAGE_TO_IMAGE,
        None => TEXT_TO_IMAGE,
    };
    let mut graph: Value = serde_json::from_str(text)
        .map_err(|error| Fault::refused(Kind::Account, "the route's workflow is not JSON").because(error))?;
    fill(&mut graph, &values(task, uploaded))?;
    Ok(graph)
}

/// The seed that was asked for, or one of this task's own: an identical graph would be answered with the old files.
pub fn seed(task: &Task) -> i64 {
    let [.., a, b, c, d] = *task.id.uuid().as_bytes();
    let own = u32::from_be_bytes([a, b, c, d]).wrapping_add(task.attempt);
    task.options.get("seed").and_then(Value::as_i64).unwrap_or(i64::from(own))
}

fn values(task: &Task, uploaded: &HashMap<&'static str, String>) -> Map<String, Value> {
    let mut values = Map::from_iter([("n".to_owned(), json!(1)), ("negativePrompt".to_owned(), json!(""))]);
    values.insert("checkpoint".into(), json!(task.model));
    values.extend(task.params.get("values").and_then(Value::as_object).cloned().unwrap_or_default());
    values.extend(task.options.clone());
    values.insert("text".into(), json!(task.input.text.as_deref().unwrap_or_default()));
    values.insert("seed".into(), json!(seed(task)));
    let ratio = task.options.get("aspectRatio").and_then(Value::as_str).unwrap_or("1:1");
    let size = task.params.get("sizes").and_then(|sizes| sizes.get(ratio)).and_then(Value::as_str);
    if let Some((width, height)) = size.and_then(|size| size.split_once('x')) {
        values.insert("width".into(), json!(width.parse::<u32>().unwrap_or(1024)));
        values.insert("height".into(), json!(height.parse::<u32>().unwrap_or(1024)));
    }
    values.extend(uploaded.iter().map(|(input, name)| ((*input).to_owned(), json!(name))));
    values
}

fn fill(part: &mut Value, values: &Map<String, Value>) -> Result<(), Fault> {
    match part {
        Value::Object(fields) => fields.values_mut().try_for_each(|field| fill(field, values)),
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill(item, values)),
        Value::String(text) => {
            let Some(name) = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) else { return Ok(()) };
            let missing = || Fault::refused(Kind::Account, format!("the workflow asks for {name}, which has no value"));
            let value = values.get(name).cloned().ok_or_else(missing)?;
            *part = value;
            Ok(())
        }
        _ => Ok(()),
    }
}
