//! Subscriptions over server-sent events, by the distinct-connections mode of graphql-sse: `next` events with results,
//! then one `complete`. Errors of the document are a result too.

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_graphql::{Request as GraphQlRequest, Response as GraphQlResponse};
use axum::{
    http::StatusCode,
    response::{
        IntoResponse as _, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::{StreamExt as _, stream};
use tokio::time::Instant;

use super::{
    answer::{self, MediaType, Sent, completed, failed},
    graphql::Exchange,
};
use crate::graphql::{error::ApiError, request::HttpRequest};

/// A sign of life on a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(12);

/// The results of a request as a stream of events. The first is awaited, since status and headers follow from it.
pub(super) async fn respond(
    exchange: &Exchange<'_>,
    http: &Arc<HttpRequest>,
    request: Result<(&'static str, GraphQlRequest), ApiError>,
) -> Response {
    let (first, rest) = match request {
        Err(error) => (answer::unread(error), None),
        Ok((label, request)) => {
            let begun = Instant::now();
            let mut results = exchange.edge.api.execute_stream(request).boxed();
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
    if answer::status(&first, MediaType::Events) != StatusCode::OK {
        return exchange.send(Some(http), first.into()).await;
    }
    let id = answer::request_id(exchange.headers).map(str::to_owned);
    let rest = stream::iter(rest).flatten().map(move |result| completed(result, id.as_deref()));
    // A browser passes on no event without a data field, and of empty text axum makes none.
    let complete = stream::once(async { Event::default().event("complete").data("\n") });
    let events =
        stream::iter([first]).chain(rest).map(|result| event(&result)).chain(complete).map(Ok::<_, Infallible>);
    let stop = exchange.edge.draining.clone();
    let events = events.take_until(async move { stop.cancelled().await });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    answer::add_headers(exchange.edge, response.headers_mut(), &exchange.caller, Some(http)).await;
    response
}

fn event(result: &GraphQlResponse) -> Event {
    result.errors.iter().for_each(answer::count);
    Event::default().event("next").json_data(Sent::from(result)).unwrap_or_default()
}
