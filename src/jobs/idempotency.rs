//! `Idempotency-Key`: the same key and the same request give the same generation, for 24 hours.
//!
//! The same request means the same coerced input, so the fingerprint is taken of values, not of text: how the document
//! selects, orders or passes them makes no difference.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A caller's key with the request it was used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The key.
    pub key: String,
    /// Tells several generations of one HTTP request apart; empty when there is one.
    pub scope: String,
    /// What the request was.
    pub fingerprint: [u8; 32],
}

impl Idempotency {
    /// A key with the request it is used for.
    pub fn new(key: &str, scope: &str, request: &impl Serialize) -> Self {
        let request = serde_json::to_value(request).unwrap_or_default();
        Self { key: key.to_owned(), scope: scope.to_owned(), fingerprint: fingerprint(&request) }
    }
}

/// Whether the text of the header is a key: 1 to 255 visible ASCII characters.
pub fn is_key(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn fingerprint(value: &Value) -> [u8; 32] {
    let mut hash = Sha256::new();
    add(&mut hash, value);
    hash.finalize().into()
}

/// Members in the order of their names; numbers by value (1 and 1.0 are the same).
fn add(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Object(members) => {
            hash.update(b"{");
            let mut members: Vec<_> = members.iter().filter(|(_, value)| !value.is_null()).collect();
            members.sort_by_key(|(name, _)| *name);
            for (name, value) in members {
                add(hash, &Value::String(name.clone()));
                add(hash, value);
            }
            hash.update(b"}");
        }
        Value::Array(items) => {
            hash.update(b"[");
            for item in items {
                add(hash, item);
            }
            hash.update(b"]");
        }
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (None, None, Some(float)) if float.fract() == 0.0 && float.abs() < 9e15 => {
                hash.update(format!("#{float:.0};"));
            }
            _ => hash.update(format!("#{number};")),
        },
        Value::String(text) => {
            hash.update(format!("\"{}:", text.len()));
            hash.update(text);
        }
        Value::Bool(flag) => hash.update(if *flag { b"t" } else { b"f" }),
        Value::Null => hash.update(b"n"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_and_spelling_of_values_make_no_difference() {
        let one = json!({"type": "VIDEO", "options": {"duration": 10, "speed": 1.0}, "provider": null});
        let two = json!({"options": {"speed": 1, "duration": 10}, "type": "VIDEO"});
        assert_eq!(fingerprint(&one), fingerprint(&two));
    }

    #[test]
    fn another_value_makes_another_request() {
        let base = fingerprint(&json!({"a": "b", "c": ["d", "e"]}));
        for other in [json!({"a": "c", "c": ["d", "e"]}), json!({"a": "b", "c": ["de"]}), json!({"a": "b"})] {
            assert_ne!(base, fingerprint(&other), "{other}");
        }
    }

    #[test]
    fn a_key_is_visible_ascii() {
        assert!(is_key("unique-request-id-123") && is_key(&"k".repeat(255)));
        assert!(!is_key("") && !is_key(&"k".repeat(256)) && !is_key("with space") && !is_key("schlüssel"));
    }
}
