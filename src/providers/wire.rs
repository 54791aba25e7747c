//! Small parts that adapters build and read messages with. Nothing here knows a vendor.

use serde_json::{Map, Value};

use super::{Cx, Task};
use crate::domain::{Fault, Verdict, fault::Kind};

/// How much of an upstream's own words goes into a log line.
const MAX_DETAIL_CHARS: usize = 300;

/// A JSON object being built; what is absent leaves no field.
#[derive(Default)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// An empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a field.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a field if there is a value for it.
    #[must_use]
    pub fn maybe(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// Adds a field with the value of an option of the task, if that is set.
    #[must_use]
    pub fn option(self, name: &str, task: &Task, option: &str) -> Self {
        self.maybe(name, task.options.get(option).cloned())
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Fields> for Value {
    fn from(fields: Fields) -> Self {
        Self::Object(fields.0)
    }
}

/// An option of the task as text.
pub fn text<'a>(task: &'a Task, option: &str) -> Option<&'a str> {
    task.options.get(option).and_then(Value::as_str)
}

/// A setting of the route as text.
pub fn param<'a>(task: &'a Task, name: &str) -> Option<&'a str> {
    task.params.get(name).and_then(Value::as_str)
}

/// An upstream's words, cut short for a log line.
pub fn brief(words: &str) -> String {
    words.chars().take(MAX_DETAIL_CHARS).collect()
}

/// An id that some services write as a number and some as a string.
pub fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A fault of a call made before the one that starts the work: whatever became of it, the work was not started.
pub fn preparatory(mut fault: Fault) -> Fault {
    if fault.verdict == Verdict::Unknown {
        fault.verdict = Verdict::Refused;
    }
    fault
}

/// An input as an address the upstream can fetch.
pub async fn link(cx: &Cx, input: &str) -> Result<String, Fault> {
    cx.input_url(input).await.map_err(preparatory)
}

/// An input as an address where it can be one, else inline: `data:` inputs, and files of ours that no outsider reaches.
pub async fn link_or_inline(cx: &Cx, input: &str, inline: fn(&str, &[u8]) -> String) -> Result<String, Fault> {
    if !input.starts_with("data:") {
        match cx.input_url(input).await {
            Err(fault) if fault.kind == Kind::Account => {}
            done => return done.map_err(preparatory),
        }
    }
    let file = cx.input(input).await.map_err(preparatory)?;
    Ok(inline(&file.content_type, &file.bytes))
}
