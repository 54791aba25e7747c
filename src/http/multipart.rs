//! Results as the parts of a body, by Apollo's multipart protocol for subscriptions: `{"payload": …}` a part, `{}` as a
//! sign of life, and `errors` beside a `payload` of null for what is no result but the end of the stream.
//! Source: "Multipart HTTP protocol for GraphQL Subscriptions" of Apollo Router's documentation.

use std::convert::Infallible;

use async_graphql::{Response as GraphQlResponse, ServerError};
use axum::{
    body::Body,
    http::{HeaderValue, header::CACHE_CONTROL, header::CONTENT_TYPE},
    response::Response,
};
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;
use tokio::time::{Interval, interval_at};
use tokio_util::sync::CancellationToken;

use super::{
    answer::Sent,
    streams::{KEEP_ALIVE, was_revoked},
};

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0");
/// What begins a body and ends each part: a client reads a part when it sees what comes after it.
const BOUNDARY: &str = "\r\n--graphql";
const LAST: &str = "--\r\n";

#[derive(Serialize)]
struct Part<'a> {
    payload: Option<Sent<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
}

/// These results. When the process drains, the body ends without its last boundary, so that clients come again.
pub(super) fn response(
    results: impl Stream<Item = GraphQlResponse> + Send + 'static,
    draining: CancellationToken,
) -> Response {
    let beats = interval_at(tokio::time::Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    let parts = stream::unfold((Box::pin(results), beats), async |(mut results, mut beats)| {
        Some((next(&mut results, &mut beats).await?, (results, beats)))
    });
    let first = stream::iter([BOUNDARY.to_owned()]);
    let all = first.chain(parts).chain(stream::iter([LAST.to_owned()]));
    let all = all.take_until(async move { draining.cancelled().await });
    let mut response = Response::new(Body::from_stream(all.map(Ok::<_, Infallible>)));
    response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The next part; a sign of life when nothing comes for a while.
async fn next(results: &mut (impl Stream<Item = GraphQlResponse> + Unpin), beats: &mut Interval) -> Option<String> {
    tokio::select! {
        biased;
        result = results.next() => {
            beats.reset();
            Some(part(&of(&result?)))
        }
        _ = beats.tick() => Some(part(&serde_json::json!({}))),
    }
}

fn of(result: &GraphQlResponse) -> Part<'_> {
    if was_revoked(result) {
        return Part { payload: None, errors: &result.errors };
    }
    Part { payload: Some(result.into()), errors: &[] }
}

fn part(content: &impl Serialize) -> String {
    let json = serde_json::to_string(content).unwrap_or_default();
    format!("\r\ncontent-type: application/json\r\n\r\n{json}{BOUNDARY}")
}
