//! A request as a double sees it, and answers in a few shapes.

use axum::{
    Json,
    body::Bytes,
    extract::FromRequest,
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::Value;

/// A request, read whole.
pub struct Asked {
    pub method: Method,
    /// The path below the double's base, with the query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Asked {
    pub async fn read(request: axum::extract::Request) -> Self {
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let path = request.uri().path_and_query().unwrap().as_str().strip_prefix("/double").unwrap().to_owned();
        Self { method, path, headers, body: Bytes::from_request(request, &()).await.unwrap() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The bearer token.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// The body as JSON, sent as such.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok().filter(|_| self.header("content-type") == Some("application/json"))
    }

    /// Whether the prompt steers this way.
    pub fn says(&self, word: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(&format!("[[{word}]]"))
    }
}

/// An answer in JSON.
pub fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

/// An answer that breaks off.
pub fn garbled() -> Response {
    ([("content-type", "application/json")], "{\"id\":\"v1_").into_response()
}

/// A documented answer.
pub fn fixture(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
