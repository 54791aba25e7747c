//! `POST /uploads`: keeps an input file of the caller.

use std::time::Duration;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::{Edge, answer, auth, media};
use crate::graphql::error::ApiError;

/// How long an upload may rest between two pieces.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn post(State(edge): State<Edge>, request: Request) -> Response {
    let caller = match auth::caller(&edge.app, request.headers()).await {
        Ok(caller) => caller,
        Err(error) => return refused(answer::status_of(&error), error),
    };
    if let Err(wait) = edge.app.take_read(&caller) {
        return refused(StatusCode::TOO_MANY_REQUESTS, ApiError::too_many_reads(wait));
    }
    match media::receive(&edge.app.media, request).await {
        Ok(asset) => match edge.app.media_url(&asset.path) {
            Some(url) => Json(json!({"url": url, "contentType": asset.content_type, "sizeBytes": asset.size_bytes}))
                .into_response(),
            None => {
                refused(StatusCode::INTERNAL_SERVER_ERROR, ApiError::internal(&anyhow::anyhow!("no public address")))
            }
        },
        Err(error) => {
            let status = error.status();
            let answer = if status.is_server_error() {
                tracing::error!(%error, "an upload could not be kept");
                ApiError::internal(&sqlx::Error::PoolTimedOut.into())
            } else {
                ApiError::invalid("INPUT", "file", error.to_string())
            };
            refused(status, answer)
        }
    }
}

fn refused(status: StatusCode, error: ApiError) -> Response {
    let retry_after = error.retry_after;
    let body = json!({"errors": [answer::plain(error)]});
    let mut response = (status, Json(body)).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}
