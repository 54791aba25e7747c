//! Reads the arguments of `generate`: options as JSON or text, files that are uploaded first.

use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Map, Value};

use super::super::values;
use crate::{
    client::{Client, Refusal},
    domain::Priority,
    media::MAX_INPUT_BYTES,
};

/// One `--option`: a name, and a value that is JSON where it can be read as such.
pub(super) fn option(text: &str) -> Result<(String, Value), &'static str> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, as in duration=10")?;
    if name.trim().is_empty() {
        return Err("expected a name before =");
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((name.trim().to_owned(), value))
}

pub(super) fn priority() -> impl TypedValueParser<Value = Priority> {
    let names = PossibleValuesParser::new(["quality", "speed", "cost", "balanced"]);
    names.try_map(|name| values::word::<Priority>(name.to_uppercase()))
}

/// The URL of an input: a URL as it is, a file by uploading it.
pub(super) async fn url(client: &Client, given: &str) -> Result<String, Refusal> {
    if ["http://", "https://", "data:"].iter().any(|scheme| given.starts_with(scheme)) {
        return Ok(given.to_owned());
    }
    let file = Path::new(given);
    match tokio::fs::metadata(file).await {
        Ok(found) if found.len() > MAX_INPUT_BYTES => Err(Refusal::invalid(format!("{given} is over 100 MiB"))),
        Ok(found) if found.is_file() => client.upload(file).await,
        Ok(_) => Err(Refusal::invalid(format!("{given} is no file"))),
        Err(error) => Err(Refusal::invalid(format!("{given} is neither a URL nor a file that can be read: {error}"))),
    }
}

/// The input of a request; every file of it is uploaded.
pub(super) struct Inputs<'a> {
    pub(super) text: Option<&'a str>,
    pub(super) voice: Option<&'a str>,
    pub(super) images: &'a [String],
    pub(super) last_image: Option<&'a str>,
    pub(super) video: Option<&'a str>,
    pub(super) audio: Option<&'a str>,
}

impl Inputs<'_> {
    /// As `ContentInput` has it: one picture is `image`, several are `images`.
    pub(super) async fn uploaded(&self, client: &Client) -> Result<Map<String, Value>, Refusal> {
        let mut input = Map::new();
        for (name, text) in [("text", self.text), ("voice", self.voice)] {
            input.extend(text.map(|text| (name.to_owned(), text.into())));
        }
        for (name, given) in [("lastImage", self.last_image), ("video", self.video), ("audio", self.audio)] {
            if let Some(given) = given {
                input.insert(name.to_owned(), url(client, given).await?.into());
            }
        }
        let mut images = Vec::new();
        for given in self.images {
            images.push(Value::from(url(client, given).await?));
        }
        if images.len() > 1 {
            input.insert("images".to_owned(), images.into());
        } else if let Some(image) = images.pop() {
            input.insert("image".to_owned(), image);
        }
        Ok(input)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_json_where_it_can_be() {
        for (text, name, value) in [
            ("duration=10", "duration", json!(10)),
            ("strict=true", "strict", json!(true)),
            ("style=film noir", "style", json!("film noir")),
            ("style=\"10\"", "style", json!("10")),
            ("size=[1,2]", "size", json!([1, 2])),
            ("note=a=b", "note", json!("a=b")),
            ("seed=007", "seed", json!("007")),
            ("empty=", "empty", json!("")),
        ] {
            assert_eq!(option(text).unwrap(), (name.to_owned(), value), "{text}");
        }
        for bad in ["duration", "=10", " =10"] {
            option(bad).unwrap_err();
        }
    }
}
