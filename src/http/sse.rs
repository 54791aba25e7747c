//! Subscriptions over server-sent events, by the distinct-connections mode of graphql-sse: `next` events with results,
//! then one `complete`.

use std::{convert::Infallible, time::Duration};

use async_graphql::Request as GraphQlRequest;
use axum::response::{
    IntoResponse as _, Response, Sse,
    sse::{Event, KeepAlive},
};
use futures_util::{StreamExt as _, stream};

use super::{Edge, graphql::with_codes};

/// A sign of life on a quiet stream.
const KEEP_ALIVE: Duration = Duration::from_secs(12);

/// The results of a request as a stream of events.
pub(super) fn respond(edge: &Edge, request: Option<GraphQlRequest>) -> Response {
    let (api, stop) = (edge.api.clone(), edge.draining.clone());
    let results = stream::iter(request)
        .flat_map(move |request| api.execute_stream(request))
        .map(|result| Event::default().event("next").json_data(with_codes(result)).unwrap_or_default());
    let complete = stream::once(async { Event::default().event("complete").data("") });
    let events = results.chain(complete).map(Ok::<_, Infallible>).take_until(async move { stop.cancelled().await });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}
