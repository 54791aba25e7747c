//! What a document shows, beside what really comes.

use serde_json::Value;

/// Whether a text is as shown, where `…` stands for anything.
pub fn is_like(shown: &str, real: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|start| real.strip_prefix(start)) else { return false };
    let mut parts: Vec<_> = parts.collect();
    let Some(end) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(end)
}

/// Members whose numbers are others each time, or on another machine.
const VARYING: [&str; 2] = ["seed", "sizeBytes"];

/// Whether a value has the shown members and values, no more and no fewer.
pub fn is_same(shown: &Value, real: &Value) -> bool {
    match (shown, real) {
        (Value::Object(shown), Value::Object(real)) => {
            let held = |(name, shown): (&String, &Value)| {
                let varies = VARYING.contains(&name.as_str()) && shown.is_number();
                real.get(name).is_some_and(|real| (varies && real.is_number()) || is_same(shown, real))
            };
            shown.len() == real.len() && shown.iter().all(held)
        }
        (Value::Array(shown), Value::Array(real)) => {
            shown.len() == real.len() && shown.iter().zip(real).all(|(shown, real)| is_same(shown, real))
        }
        (Value::String(shown), Value::String(real)) => is_like(shown, real),
        _ => shown == real,
    }
}

#[test]
fn what_differs_is_seen() {
    assert!(is_like("gen_…: flux, … s", "gen_01: flux, 3 s") && is_like("a", "a") && is_like("…", ""));
    assert!(!is_like("a", "ab") && !is_like("…b", "ba") && !is_like("a…b", "ba"));
    let same = |shown: &str, real: &str| is_same(&shown.parse().unwrap(), &real.parse().unwrap());
    assert!(same(r#"{"a": [1, "…"], "seed": 3}"#, r#"{"seed": 4, "a": [1, "7"]}"#));
    assert!(
        !same(r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#)
            && !same("[1]", "[1, 2]")
            && !same(r#"{"seed": 3}"#, r#"{"seed": null}"#)
    );
}
