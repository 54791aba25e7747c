//! GraphQL over HTTP: reads the parameters of a request, in a body or in a query string, one or a batch.

use async_graphql::Variables;
use axum::http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::json;
use crate::graphql::error::ApiError;

/// The parameters of one operation.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// The document.
    pub query: Option<String>,
    /// Which of its operations.
    pub operation_name: Option<String>,
    /// Its variables.
    pub variables: Variables,
    /// The hash of a persisted query.
    pub persisted: Option<String>,
}

/// One operation, or a JSON array of them.
#[derive(Debug)]
pub enum Posted {
    /// One.
    Single(Parameters),
    /// Several, answered in their order.
    Batch(Vec<Parameters>),
}

/// A request that is not GraphQL over HTTP: the status and what to do.
#[derive(Debug)]
pub struct NotGraphQl(pub StatusCode, pub ApiError);

fn bad(field: &str, message: impl Into<String>) -> NotGraphQl {
    NotGraphQl(StatusCode::BAD_REQUEST, ApiError::invalid("REQUEST", field, message))
}

/// The operations of a POST body.
pub fn posted(headers: &HeaderMap, body: &[u8], max_batch: usize) -> Result<Posted, NotGraphQl> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|part| match part.to_ascii_lowercase().strip_prefix("charset=") {
        Some(charset) => charset.trim_matches('"') == "utf-8",
        None => true,
    });
    if !is_json || !is_utf8 {
        let error = ApiError::invalid("REQUEST", "", "Send the body as Content-Type: application/json, in UTF-8.");
        return Err(NotGraphQl(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    match json::read(body) {
        Ok(Value::Object(members)) => read(members).map(Posted::Single),
        Ok(Value::Array(items)) if items.is_empty() => Err(bad("", "A batch needs at least one operation.")),
        Ok(Value::Array(items)) if items.len() > max_batch => {
            let message =
                format!("A batch may have {max_batch} operations; this one has {}. Send several.", items.len());
            Err(NotGraphQl(StatusCode::BAD_REQUEST, ApiError::too_complex(message)))
        }
        Ok(Value::Array(items)) => {
            let member = |item| match item {
                Value::Object(members) => read(members),
                _ => Err(bad("", "Each operation of a batch must be a JSON object with a `query`.")),
            };
            items.into_iter().map(member).collect::<Result<_, _>>().map(Posted::Batch)
        }
        Ok(_) => Err(bad("", "The body must be a JSON object with a `query`.")),
        Err(error) => Err(bad("", format!("The body is not JSON: {error}."))),
    }
}

/// The operation of a query string.
pub fn in_query_string(pairs: Vec<(String, String)>) -> Result<Parameters, NotGraphQl> {
    let mut members = Map::new();
    for (name, text) in pairs {
        let value = match name.as_str() {
            "variables" | "extensions" if !text.is_empty() => json::read(text.as_bytes())
                .map_err(|error| bad(&name, format!("`{name}` must be a JSON object: {error}.")))?,
            _ if text.is_empty() => Value::Null,
            _ => Value::String(text),
        };
        if members.contains_key(&name) {
            return Err(bad(&name, format!("`{name}` is given twice.")));
        }
        members.insert(name, value);
    }
    read(members)
}

#[derive(Deserialize)]
struct PersistedQuery {
    #[serde(rename = "sha256Hash")]
    hash: String,
}

/// The parameters of one operation, from its JSON members.
pub fn read(mut members: Map<String, Value>) -> Result<Parameters, NotGraphQl> {
    let mut text = |name: &str| match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad(name, format!("`{name}` must be a string."))),
    };
    let (query, operation_name) = (text("query")?, text("operationName")?);
    let mut object = |name: &str| match members.remove(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members),
        Some(_) => Err(bad(name, format!("`{name}` must be a JSON object."))),
    };
    let variables = Variables::from_json(Value::Object(object("variables")?));
    let persisted = object("extensions")?
        .remove("persistedQuery")
        .map(|persisted| {
            let refused = |_| bad("extensions.persistedQuery", "`persistedQuery` needs a `sha256Hash`.");
            serde_json::from_value::<PersistedQuery>(persisted).map_err(refused)
        })
        .transpose()?
        .map(|persisted| persisted.hash);
    if query.is_none() && persisted.is_none() {
        return Err(bad("query", "Send a GraphQL document in `query`."));
    }
    Ok(Parameters { query, operation_name: operation_name.filter(|name| !name.is_empty()), variables, persisted })
}
