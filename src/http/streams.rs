//! Operations that are answered by a stream of results, in one of two forms: events, or parts of a body.

use std::{sync::Arc, time::Duration};

use async_graphql::Response as GraphQlResponse;
use axum::{http::StatusCode, response::Response};
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{
    answer::{self, MediaType, code, completed, failed},
    graphql::{Exchange, Ready, results},
    multipart, sse,
};
use crate::graphql::{
    error::{self, ApiError},
    request::HttpRequest,
};

/// A sign of life on a quiet stream.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(12);

/// The results of an operation as a stream. The first is awaited, since status and headers follow from it.
pub(super) async fn respond(exchange: &Exchange<'_>, http: &Arc<HttpRequest>, ready: Ready) -> Response {
    let (first, rest) = match ready {
        Err(error) => (answer::unread(error), None),
        Ok((parameters, prepared)) => {
            let (label, begun) = (prepared.label, Instant::now());
            let mut results = results(exchange.edge, http.clone(), parameters, prepared).boxed();
            let (first, rest) = match tokio::time::timeout_at(exchange.deadline(), results.next()).await {
                Ok(Some(first)) => (first, Some(results)),
                Ok(None) => (GraphQlResponse::default(), None),
                Err(_) => (failed(ApiError::too_slow()), None),
            };
            let first = exchange.completed(first);
            answer::measure(label, &first, begun.elapsed());
            (first, rest)
        }
    };
    if answer::status(&first, exchange.media_type) != StatusCode::OK {
        return exchange.send(Some(http), first.into()).await;
    }
    let id = answer::request_id(exchange.headers).map(str::to_owned);
    let rest = stream::iter(rest).flatten().map(move |result| completed(result, id.as_deref()));
    let all = stream::iter([first]).chain(rest).inspect(|result| result.errors.iter().for_each(answer::count));
    let stop = exchange.edge.draining.clone();
    let mut response = match exchange.media_type {
        MediaType::Multipart => multipart::response(all, stop),
        _ => sse::response(all, stop),
    };
    answer::add_headers(exchange.edge, response.headers_mut(), &exchange.caller, Some(http)).await;
    response
}

/// Whether a running subscription ended because its key was revoked.
pub(super) fn was_revoked(result: &GraphQlResponse) -> bool {
    result.errors.iter().any(|error| code(error) == Some(error::UNAUTHENTICATED))
}
