//! A request as a double sees it.

use std::collections::HashMap;

use axum::{
    Json,
    body::Bytes,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::Value;

/// A request, taken apart.
pub struct Asked {
    pub method: Method,
    /// The path below the double's base.
    pub path: String,
    pub query: HashMap<String, String>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Asked {
    pub fn new(method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Self {
        let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        Self {
            method,
            path: uri.path().strip_prefix("/double").unwrap_or_default().to_owned(),
            query: query.into_owned().collect(),
            headers,
            body,
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The JSON body; null when it is none or is not declared as such.
    pub fn json(&self) -> Value {
        if self.header("content-type") != "application/json" {
            return Value::Null;
        }
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether the body is a form with a file under this name.
    pub fn has_file(&self, name: &str) -> bool {
        let body = String::from_utf8_lossy(&self.body);
        self.header("content-type").starts_with("multipart/form-data; boundary=")
            && body.contains(&format!("name=\"{name}\"; filename=\""))
    }

    /// Whether the body holds these words.
    pub fn says(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(words)
    }

    /// Whether there are no query parameters but these.
    pub fn queries_only(&self, names: &[&str]) -> bool {
        self.query.keys().all(|name| names.contains(&name.as_str()))
    }
}

/// The word in a prompt that steers a double, with its brackets; nothing where there is none.
pub fn steering(prompt: &str) -> &str {
    let end = prompt.find("]]").map_or(0, |at| at + 2);
    prompt.get(prompt.find("[[").unwrap_or_default()..end).unwrap_or_default()
}

/// An answer.
pub fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

/// An answer that breaks off.
pub fn garbled() -> Response {
    ([("content-type", "application/json")], "{\"id\": \"x").into_response()
}

/// A documented answer with some of its fields replaced.
pub fn fixture(text: &str, with: &[(&str, Value)]) -> Value {
    let mut body: Value = serde_json::from_str(text).unwrap();
    for (pointer, value) in with {
        *body.pointer_mut(pointer).unwrap() = value.clone();
    }
    body
}
