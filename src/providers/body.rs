//! Small parts of messages that adapters share. Nothing here knows a vendor.

use serde_json::{Map, Value};

use super::Task;

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

/// The body without what was not given: members that are null are left out, at every depth.
pub fn given(body: Value) -> Value {
    match body {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, given(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(given).collect()),
        other => other,
    }
}

/// An option of the task as it is, null when it is not set.
pub fn option(task: &Task, name: &str) -> Value {
    task.options.get(name).cloned().unwrap_or(Value::Null)
}

/// An option of the task as text.
pub fn text<'a>(task: &'a Task, name: &str) -> Option<&'a str> {
    task.options.get(name).and_then(Value::as_str)
}

/// An option of the task as a whole number.
pub fn whole(task: &Task, name: &str) -> Option<i64> {
    task.options.get(name).and_then(Value::as_i64)
}

/// A setting of the route as text.
pub fn param<'a>(task: &'a Task, name: &str) -> Option<&'a str> {
    task.params.get(name).and_then(Value::as_str)
}

/// A share from 0 to 1 in percent.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 100")]
pub fn percent(share: f64) -> u8 {
    (share * 100.0).clamp(0.0, 100.0) as u8
}

/// The field a route gives an option or input, else the usual one.
pub fn field<'a>(task: &'a Task, name: &str, usual: &'a str) -> &'a str {
    task.wire.get(name).map_or(usual, |wire| wire.field.as_str())
}

/// What the upstream calls the size that the options `resolution` and `aspectRatio` ask for, from the route's
/// `params.sizes`: a table by resolution of tables by aspect ratio. `aspect` is used when none was asked for.
pub fn size<'a>(task: &'a Task, aspect: Option<&str>) -> Option<&'a str> {
    let sizes: &Map<String, Value> = task.params.get("sizes")?.as_object()?;
    let of_resolution = match text(task, "resolution") {
        Some(resolution) => sizes.get(resolution)?,
        None => sizes.values().next()?,
    };
    of_resolution.get(text(task, "aspectRatio").or(aspect)?)?.as_str()
}

/// An id that some services write as a number and some as a string.
pub fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_not_given_leaves_no_member() {
        let body = given(json!({ "a": null, "b": { "c": null, "d": 0 }, "e": [{ "f": null }] }));
        assert_eq!(body, json!({ "b": { "d": 0 }, "e": [{}] }));
    }
}
