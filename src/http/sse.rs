//! Results as server-sent events, by the distinct-connections mode of graphql-sse: `next` events with results, then one
//! `complete`. Errors of the document are a result too.

use std::convert::Infallible;

use async_graphql::Response as GraphQlResponse;
use axum::response::{
    IntoResponse as _, Response, Sse,
    sse::{Event, KeepAlive},
};
use futures_util::{Stream, StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use super::{answer::Sent, streams::KEEP_ALIVE};

/// These results. When the process drains, the stream ends without `complete`, so that clients come again.
pub(super) fn response(
    results: impl Stream<Item = GraphQlResponse> + Send + 'static,
    draining: CancellationToken,
) -> Response {
    // A browser passes on no event without a data field, and of empty text axum makes none.
    let complete = stream::once(async { Event::default().event("complete").data("\n") });
    let events = results.map(|result| event(&result)).chain(complete).map(Ok::<_, Infallible>);
    let events = events.take_until(async move { draining.cancelled().await });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}

fn event(result: &GraphQlResponse) -> Event {
    Event::default().event("next").json_data(Sent::from(result)).unwrap_or_default()
}
