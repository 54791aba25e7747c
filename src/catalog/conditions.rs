//! Conditions on options and inputs, as constraints, routes and price tiers use them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    inputs::Given,
    spec::{InputName, OneOrMany},
};

impl OneOrMany {
    /// The values, however they are written.
    pub(super) fn values(&self) -> &[Value] {
        match self {
            Self::Many(values) => values,
            Self::One(value) => std::slice::from_ref(value),
        }
    }

    pub(super) fn contains(&self, value: &Value) -> bool {
        self.values().iter().any(|known| same(known, value))
    }
}

/// Whether the options have these values and the inputs are there, or are not.
pub(super) fn hold(
    when: &BTreeMap<String, OneOrMany>,
    with: &[InputName],
    without: &[InputName],
    options: &Map<String, Value>,
    given: &Given,
) -> bool {
    when.iter().all(|(name, values)| match options.get(name) {
        Some(value) => values.contains(value),
        None => values.values().iter().any(is_absent),
    }) && inputs_hold(with, without, given)
}

/// Whether a value of a condition stands for an option that has none.
pub(super) fn is_absent(value: &Value) -> bool {
    value.as_str() == Some("")
}

/// Whether the inputs of `with` are there, and those of `without` are not.
pub(super) fn inputs_hold(with: &[InputName], without: &[InputName], given: &Given) -> bool {
    with.iter().all(|name| given.has(*name)) && !without.iter().any(|name| given.has(*name))
}

/// Whether two values mean the same: text without regard to case, numbers by value, also when written as text.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::String(one), Value::String(other)) => one.to_lowercase() == other.to_lowercase(),
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Number(number), Value::String(text)) | (Value::String(text), Value::Number(number)) => {
            text.trim().parse().ok() == number.as_f64()
        }
        _ => one == other,
    }
}
