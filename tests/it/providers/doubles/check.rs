//! What a strict upstream checks in a body: required fields, types, ranges, words, and no field it does not know.

use serde_json::Value;

/// What a field has to be.
#[derive(Clone, Copy)]
pub enum Is {
    /// Text, not empty, of at most so many characters.
    Text(usize),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number within these bounds.
    Int(i64, i64),
    /// One of these whole numbers.
    IntOf(&'static [i64]),
    /// A number within these bounds.
    Num(f64, f64),
    Bool,
    /// Anything this finds good.
    Like(fn(&Value) -> bool),
    /// A list of so many, each of which this finds good.
    List(usize, usize, fn(&Value) -> bool),
}

impl Is {
    fn holds(self, value: &Value) -> bool {
        match self {
            Self::Text(longest) => {
                value.as_str().is_some_and(|text| !text.is_empty() && text.chars().count() <= longest)
            }
            Self::Word(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Self::Int(min, max) => value.as_i64().is_some_and(|number| (min..=max).contains(&number)),
            Self::IntOf(numbers) => value.as_i64().is_some_and(|number| numbers.contains(&number)),
            Self::Num(min, max) => value.as_f64().is_some_and(|number| (min..=max).contains(&number)),
            Self::Bool => value.is_boolean(),
            Self::Like(good) => good(value),
            Self::List(min, max, good) => {
                value.as_array().is_some_and(|list| (min..=max).contains(&list.len()) && list.iter().all(good))
            }
        }
    }
}

/// A field: its name, whether it must be there, and what it has to be.
pub type Field = (&'static str, bool, Is);

/// Checks an object; the error names the field.
pub fn object(body: &Value, fields: &[&[Field]]) -> Result<(), String> {
    let object = body.as_object().ok_or("not an object")?;
    let known = || fields.iter().copied().flatten();
    for (name, value) in object {
        let Some((_, _, is)) = known().find(|field| field.0 == name) else {
            return Err(format!("unknown field {name}"));
        };
        if !is.holds(value) {
            return Err(format!("bad value of {name}: {value}"));
        }
    }
    match known().find(|(name, required, _)| *required && !object.contains_key(*name)) {
        Some((name, ..)) => Err(format!("{name} is missing")),
        None => Ok(()),
    }
}

/// Whether an object is good, for use inside lists.
pub fn is_object(body: &Value, fields: &[Field]) -> bool {
    object(body, &[fields]).is_ok()
}

/// An address.
pub fn link(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with("http://") || text.starts_with("https://"))
}

/// An address or a picture as a data URL.
pub fn link_or_data_url(value: &Value) -> bool {
    link(value) || value.as_str().is_some_and(|text| text.starts_with("data:image/png;base64,") && text.len() > 30)
}
