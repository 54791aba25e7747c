//! The GraphQL edge, over real HTTP.

mod catalogue;
pub mod clients;
mod dialect;
mod document;
mod errors;
mod feed;
mod foreign;
mod graphiql;
mod headers;
mod limits;
mod listing;
mod multipart;
mod ownership;
mod schema;
mod sse;
mod transport;
mod typed;
mod ws;

use reqwest::Response;
use serde_json::{Value, json};

/// A generation that the default models take.
pub fn picture() -> Value {
    json!({"type": "IMAGE", "provider": "flux-dev", "input": {"text": "A red fox in the snow"}})
}

/// The answer of a refusal, with its status.
pub async fn refusal(response: Response) -> Value {
    let status = response.status().as_u16();
    let mut body: Value = response.json().await.unwrap();
    body["status"] = json!(status);
    body
}

/// A document that counts twenty reads.
pub fn twenty_reads() -> String {
    let fields: Vec<_> = (0..20).map(|n| format!("a{n}: account {{ id }}")).collect();
    format!("{{ {} }}", fields.join(" "))
}
