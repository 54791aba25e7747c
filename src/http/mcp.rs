//! `/mcp`: the agents' tools over streamable HTTP, for the caller of the bearer key.
//!
//! There are no sessions: a call is one request, which any process can answer. A tool asks the same handler that
//! `POST /graphql` has, so limits, idempotency and errors are the API's own.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION, header::CONTENT_TYPE},
    response::Response,
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use serde_json::Value;

use super::{
    Edge, REQUEST_ID,
    answer::{self, MediaType},
    auth, graphql,
};
use crate::{
    client::{self, Gateway, Operation, Refusal},
    mcp::Tools,
};

/// More than any answer to what the tools ask.
const MAX_ANSWER: usize = 16 << 20;

pub(super) async fn any(State(edge): State<Edge>, request: Request) -> Response {
    if let Err(error) = auth::caller(&edge.app, request.headers()).await {
        return answer::refusal(answer::status_of(&error), MediaType::Json, error);
    }
    let gateway = InProcess::new(edge, request.headers());
    // The address guard against rebinding is for servers that ask for no key.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(graphql::MAX_BODY)
        .disable_allowed_hosts();
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(Tools::new(gateway.clone())), sessions, config);
    service.handle(request).await.map(Body::new)
}

/// The public API in this process, for the caller of a request.
#[derive(Clone)]
struct InProcess {
    edge: Edge,
    headers: HeaderMap,
}

impl InProcess {
    fn new(edge: Edge, from: &HeaderMap) -> Self {
        let kept = [AUTHORIZATION, REQUEST_ID];
        let mut headers: HeaderMap =
            kept.into_iter().filter_map(|name| Some((name.clone(), from.get(name)?.clone()))).collect();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { edge, headers }
    }
}

impl Gateway for InProcess {
    async fn ask(&self, operation: &Operation) -> Result<Value, Refusal> {
        let mut headers = self.headers.clone();
        if let Some(key) = operation.idempotency_key.as_deref().and_then(|key| key.parse().ok()) {
            headers.insert(HeaderName::from_static("idempotency-key"), key);
        }
        let body = Body::from(operation.body().to_string());
        let response = graphql::post(State(self.edge.clone()), headers, body).await;
        let status = response.status().as_u16();
        let unreadable = |_| Refusal::unreachable("the answer could not be read");
        let body = to_bytes(response.into_body(), MAX_ANSWER).await.map_err(unreadable)?;
        client::read(status, &body)
    }
}
