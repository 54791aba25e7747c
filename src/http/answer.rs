//! Answers of `/graphql`: how they are sent, with which status, and the headers that every one has.

use std::time::Duration;

use async_graphql::{Response as GraphQlResponse, ServerError, Value};
use axum::{
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse as _, Response},
};

use serde::Serialize;

use super::{Edge, REQUEST_ID};
use crate::{
    accounts::Caller,
    graphql::{
        error::{self, ApiError},
        label,
        request::HttpRequest,
    },
    limits::Allowance,
};

const JSON: &str = "application/json; charset=utf-8";
const GRAPHQL_JSON: &str = "application/graphql-response+json; charset=utf-8";

/// How an answer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/json`: 200 whatever the errors of the document.
    Json,
    /// `application/graphql-response+json`: 400 when nothing ran.
    GraphQlJson,
    /// `text/event-stream`.
    Events,
    /// `multipart/mixed` with `subscriptionSpec=1.0`, for subscriptions only.
    Multipart,
}

impl MediaType {
    /// The heaviest type of `Accept` that we can send, of equals the first; `None` when there is none.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(ACCEPT) { Self::best(headers, |_| true) } else { Some(Self::Json) }
    }

    /// The same for an answer that is no stream.
    pub(super) fn of_whole(headers: &HeaderMap) -> Self {
        Self::best(headers, |kind| matches!(kind, Self::Json | Self::GraphQlJson)).unwrap_or(Self::Json)
    }

    fn best(headers: &HeaderMap, wanted: impl Fn(Self) -> bool) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for part in accepted.flat_map(|value| value.split(',')) {
            let mut parameters = part.split(';').map(str::trim);
            let is_subscription = || {
                let spec = |one: &str| Some(one.strip_prefix("subscriptionSpec=")?.trim_matches('"') == "1.0");
                part.split(';').map(str::trim).any(|one| spec(one) == Some(true))
            };
            let kind = match parameters.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/graphql-response+json" => Self::GraphQlJson,
                "application/json" | "application/*" | "*/*" => Self::Json,
                "text/event-stream" => Self::Events,
                "multipart/mixed" if is_subscription() => Self::Multipart,
                _ => continue,
            };
            let weight = parameters.find_map(|one| one.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if weight > 0.0 && wanted(kind) && best.is_none_or(|(heaviest, _)| weight > heaviest) {
                best = Some((weight, kind));
            }
        }
        best.map(|(_, kind)| kind)
    }

    /// An answer that is no stream is JSON also where a stream was asked for.
    fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(if self == Self::GraphQlJson { GRAPHQL_JSON } else { JSON })
    }
}

/// The id of a request, which `INTERNAL` errors name.
pub(super) fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(REQUEST_ID).and_then(|id| id.to_str().ok())
}

/// An error outside of any field.
pub(super) fn plain(error: ApiError) -> ServerError {
    error.at(Vec::new())
}

/// A response that is nothing but an error.
pub(super) fn failed(error: ApiError) -> GraphQlResponse {
    GraphQlResponse::from_errors(vec![plain(error)])
}

/// Gives a code to errors that have none, which are those of the schema itself about a document that does not fit it,
/// and names the request in those of ours.
pub(super) fn completed(mut response: GraphQlResponse, request_id: Option<&str>) -> GraphQlResponse {
    for error in &mut response.errors {
        match code(error) {
            None => {
                let coded = ApiError::validation(error.message.as_str()).at(Vec::new());
                error.extensions = coded.extensions;
            }
            Some(error::INTERNAL) => {
                if let Some(id) = request_id {
                    error.message = format!("{} (request id {id})", error.message);
                }
            }
            Some(_) => {}
        }
    }
    response
}

/// The code of an error.
pub(super) fn code(error: &ServerError) -> Option<&str> {
    match extension(error, "code") {
        Some(Value::String(code)) => Some(code),
        _ => None,
    }
}

fn extension<'a>(error: &'a ServerError, name: &str) -> Option<&'a Value> {
    error.extensions.as_ref()?.get(name)
}

/// A response as it is sent: `data` is absent, not null, when nothing ran.
#[derive(Serialize)]
pub(super) struct Sent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
}

impl<'a> From<&'a GraphQlResponse> for Sent<'a> {
    fn from(response: &'a GraphQlResponse) -> Self {
        Self { data: Some(&response.data).filter(|_| !never_ran(response)), errors: &response.errors }
    }
}

/// Whether the errors are about the request itself and not about any of its fields.
fn never_ran(response: &GraphQlResponse) -> bool {
    let about_fields = response.errors.iter().any(|error| !error.path.is_empty());
    response.data == Value::Null && !response.errors.is_empty() && !about_fields
}

/// What is sent back.
pub(super) enum Answer {
    Single(Box<GraphQlResponse>),
    Batch(Vec<GraphQlResponse>),
}

impl From<GraphQlResponse> for Answer {
    fn from(response: GraphQlResponse) -> Self {
        Self::Single(Box::new(response))
    }
}

impl Answer {
    fn responses(&self) -> &[GraphQlResponse] {
        match self {
            Self::Single(response) => std::slice::from_ref(response),
            Self::Batch(responses) => responses,
        }
    }

    fn body(&self) -> Vec<u8> {
        let body = match self {
            Self::Single(response) => serde_json::to_vec(&Sent::from(&**response)),
            Self::Batch(responses) => serde_json::to_vec(&responses.iter().map(Sent::from).collect::<Vec<_>>()),
        };
        body.unwrap_or_default()
    }

    fn status(&self, media_type: MediaType) -> StatusCode {
        match self {
            Self::Single(response) => status(response, media_type),
            // What all operations share is said of the request too: nothing but refusals for a limit, say.
            Self::Batch(responses) => {
                let mut all = responses.iter().map(|response| status(response, media_type));
                all.next().filter(|first| all.all(|next| next == *first)).unwrap_or(StatusCode::OK)
            }
        }
    }

    fn retry_after(&self) -> Option<u64> {
        let errors = self.responses().iter().flat_map(|response| &response.errors);
        errors
            .filter_map(|error| match extension(error, "retryAfter")? {
                Value::Number(seconds) => seconds.as_u64(),
                _ => None,
            })
            .max()
    }
}

/// The status of a response: of the transport where its errors are about that, else as the media type has it.
pub(super) fn status(response: &GraphQlResponse, media_type: MediaType) -> StatusCode {
    if response.errors.is_empty() || brought_something(&response.data) {
        return StatusCode::OK;
    }
    let with = |wanted: &str| response.errors.iter().any(|error| code(error) == Some(wanted));
    let is_away = |error: &ServerError| {
        code(error) == Some(error::INTERNAL) && extension(error, "retryable") == Some(&Value::Boolean(true))
    };
    if with(error::RATE_LIMIT) {
        StatusCode::TOO_MANY_REQUESTS
    } else if with(error::UNAUTHENTICATED) {
        StatusCode::UNAUTHORIZED
    } else if response.errors.iter().any(is_away) {
        StatusCode::SERVICE_UNAVAILABLE
    } else if media_type == MediaType::GraphQlJson && never_ran(response) {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    }
}

/// Whether any field at the root has a value: a nullable one that failed is null.
fn brought_something(data: &Value) -> bool {
    match data {
        Value::Object(members) => members.is_empty() || members.values().any(|value| *value != Value::Null),
        data => *data != Value::Null,
    }
}

/// The answer to a caller, with all headers.
pub(super) async fn send(
    edge: &Edge,
    media_type: MediaType,
    caller: &Caller,
    http: Option<&HttpRequest>,
    answer: Answer,
) -> Response {
    for error in answer.responses().iter().flat_map(|response| &response.errors) {
        count(error);
    }
    let mut response = (answer.status(media_type), answer.body()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type.content_type());
    if let Some(seconds) = answer.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    add_headers(edge, headers, caller, http).await;
    response
}

/// The answer to a request that cannot be read, counted as such.
pub(super) fn unread(error: ApiError) -> GraphQlResponse {
    let response = failed(error);
    measure(label::UNKNOWN, &response, Duration::ZERO);
    response
}

/// Counts an operation by its label and how it went, with the time that it took.
pub(super) fn measure(label: &'static str, response: &GraphQlResponse, took: Duration) {
    let code = response.errors.first().map_or("OK", |error| code(error).unwrap_or_default()).to_owned();
    metrics::counter!("doitong_graphql_requests_total", "operation" => label, "code" => code).increment(1);
    metrics::histogram!("doitong_graphql_seconds", "operation" => label).record(took);
}

/// Counts an error by its code.
pub(super) fn count(error: &ServerError) {
    metrics::counter!("doitong_graphql_errors_total", "code" => code(error).unwrap_or_default().to_owned())
        .increment(1);
}

/// The headers that tell a caller what is left; the limits' are left out when the database is away.
pub(super) async fn add_headers(edge: &Edge, headers: &mut HeaderMap, caller: &Caller, http: Option<&HttpRequest>) {
    if http.is_some_and(HttpRequest::is_replay) {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    let allowance = match http.and_then(HttpRequest::allowance) {
        Some(known) => Some(known),
        None => edge.app.accounts.allowance(caller).await.ok(),
    };
    if let Some(allowance) = allowance {
        add_allowance(headers, &allowance);
    }
}

fn add_allowance(headers: &mut HeaderMap, allowance: &Allowance) {
    headers.insert("x-ratelimit-limit", allowance.per_minute.into());
    headers.insert("x-ratelimit-remaining", allowance.minute_remaining().into());
    headers.insert("x-ratelimit-reset", allowance.minute_reset().into());
    if let Some(daily) = allowance.daily {
        headers.insert("x-ratelimit-daily-limit", daily.into());
        headers.insert("x-ratelimit-daily-remaining", allowance.daily_remaining().unwrap_or_default().into());
    }
    headers.insert("x-credits-remaining", allowance.available.get().into());
}

/// A refusal before the caller is known: no good key, or something that is no GraphQL request.
pub(super) fn refusal(status: StatusCode, media_type: MediaType, error: ApiError) -> Response {
    let answer = Answer::from(failed(error));
    answer.responses().iter().for_each(|response| measure(label::UNKNOWN, response, Duration::ZERO));
    answer.responses().iter().flat_map(|response| &response.errors).for_each(count);
    let mut response = (status, answer.body()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media_type.content_type());
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = answer.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The status of an error that ends a request before the document is read.
pub(super) fn status_of(error: &ApiError) -> StatusCode {
    match error.code {
        error::UNAUTHENTICATED => StatusCode::UNAUTHORIZED,
        error::RATE_LIMIT => StatusCode::TOO_MANY_REQUESTS,
        error::INTERNAL if error.retryable => StatusCode::SERVICE_UNAVAILABLE,
        error::INTERNAL => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())])
    }

    #[test]
    fn our_own_errors_name_the_request_and_nothing_else() {
        let error = plain(ApiError::internal(&anyhow::anyhow!("relation \"job\" does not exist")));
        let response = completed(GraphQlResponse::from_errors(vec![error]), Some("r-1"));
        let text = serde_json::to_string(&Sent::from(&response)).unwrap();
        assert!(text.contains("(request id r-1)") && !text.contains("job") && !text.contains("data"), "{text}");
        assert_eq!(status(&response, MediaType::Json), StatusCode::OK);
    }

    #[test]
    fn the_heaviest_type_is_sent_and_of_equals_the_first() {
        assert_eq!(MediaType::of(&HeaderMap::new()), Some(MediaType::Json));
        for (accept, kind) in [
            ("*/*", Some(MediaType::Json)),
            ("application/graphql-response+json, application/json;q=0.9", Some(MediaType::GraphQlJson)),
            ("application/graphql-response+json;q=0.5, application/json", Some(MediaType::Json)),
            ("application/json, text/event-stream", Some(MediaType::Json)),
            ("multipart/mixed;subscriptionSpec=1.0, application/json", Some(MediaType::Multipart)),
            (r#"multipart/mixed; boundary=graphql; subscriptionSpec="1.0""#, Some(MediaType::Multipart)),
            ("multipart/mixed;deferSpec=20220824,application/json", Some(MediaType::Json)),
            ("multipart/mixed;subscriptionSpec=1.0;q=0.5, application/json", Some(MediaType::Json)),
            ("text/event-stream", Some(MediaType::Events)),
            ("text/html, application/xml;q=0.9, */*;q=0.8", Some(MediaType::Json)),
            ("text/html", None),
            ("application/json;q=0", None),
        ] {
            assert_eq!(MediaType::of(&accepting(accept)), kind, "{accept}");
        }
    }

    #[test]
    fn what_is_no_stream_is_sent_as_the_heaviest_whole_type() {
        for (accept, kind) in [
            ("multipart/mixed;subscriptionSpec=1.0, application/graphql-response+json", MediaType::GraphQlJson),
            ("multipart/mixed;subscriptionSpec=1.0, application/json", MediaType::Json),
            ("multipart/mixed;subscriptionSpec=1.0", MediaType::Json),
        ] {
            assert_eq!(MediaType::of_whole(&accepting(accept)), kind, "{accept}");
        }
    }
}
