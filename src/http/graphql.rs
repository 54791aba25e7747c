//! `/graphql`: GraphQL over HTTP in both media types, batches, and the headers of every answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_graphql::{Request as GraphQlRequest, Response as GraphQlResponse, ServerError, parser::types::OperationType};
use axum::{
    body::{Body, Bytes},
    extract::{Query, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT, ALLOW, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::{
    Edge, auth,
    operation::{self, NotGraphQl, Parameters, Posted},
    sse,
};
use crate::{
    accounts::Caller,
    graphql::{
        document::Prepared,
        error::{self, ApiError},
        request::{HttpRequest, Operation},
    },
    jobs::idempotency,
    limits::Allowance,
};

/// The largest body.
pub const MAX_BODY: usize = 1 << 20;
/// How long a body may take to arrive.
const BODY_LIMIT: Duration = Duration::from_secs(20);

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
}

impl MediaType {
    /// The first type of `Accept` that we can send, by weight; `None` when there is none.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let Some(accept) = headers.get(ACCEPT).and_then(|value| value.to_str().ok()) else { return Some(Self::Json) };
        let mut best: Option<(f32, Self)> = None;
        for part in accept.split(',') {
            let mut parameters = part.split(';').map(str::trim);
            let kind = match parameters.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "application/graphql-response+json" => Self::GraphQlJson,
                "application/json" | "application/*" | "*/*" => Self::Json,
                "text/event-stream" => Self::Events,
                _ => continue,
            };
            let weight = parameters.find_map(|one| one.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if weight > 0.0 && best.is_none_or(|(heaviest, _)| weight > heaviest) {
                best = Some((weight, kind));
            }
        }
        best.map(|(_, kind)| kind)
    }
}

/// `POST /graphql`.
pub(super) async fn post(State(edge): State<Edge>, headers: HeaderMap, body: Body) -> Response {
    let Some(media_type) = MediaType::of(&headers) else { return not_acceptable() };
    let caller = match auth::caller(&edge.app, &headers).await {
        Ok(caller) => caller,
        Err(error) => return refusal(media_type, error),
    };
    let answer = match read_body(body).await {
        Ok(body) => operation::posted(&headers, &body, edge.documents.max_batch()),
        Err(refused) => Err(refused),
    };
    match answer {
        Ok(Posted::Single(parameters)) => single(&edge, media_type, caller, &headers, parameters, false).await,
        Ok(Posted::Batch(batch)) => self::batch(&edge, media_type, caller, &headers, batch).await,
        Err(refused) => not_graphql(&edge, media_type, &caller, refused).await,
    }
}

/// `GET /graphql`: a query in the query string. Mutations need POST.
pub(super) async fn get(
    State(edge): State<Edge>,
    headers: HeaderMap,
    query: Result<Query<HashMap<String, String>>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Some(media_type) = MediaType::of(&headers) else { return not_acceptable() };
    let caller = match auth::caller(&edge.app, &headers).await {
        Ok(caller) => caller,
        Err(error) => return refusal(media_type, error),
    };
    let unreadable = |_| {
        let error = ApiError::invalid("REQUEST", "", "The query string cannot be read.");
        NotGraphQl(StatusCode::BAD_REQUEST, error)
    };
    match query.map_err(unreadable).and_then(|Query(pairs)| operation::in_query_string(pairs)) {
        Ok(parameters) => single(&edge, media_type, caller, &headers, parameters, true).await,
        Err(refused) => not_graphql(&edge, media_type, &caller, refused).await,
    }
}

async fn read_body(body: Body) -> Result<Bytes, NotGraphQl> {
    let refused = |status, message: &str| Err(NotGraphQl(status, ApiError::invalid("REQUEST", "", message)));
    match tokio::time::timeout(BODY_LIMIT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            refused(StatusCode::PAYLOAD_TOO_LARGE, "The body is over 1 MiB. Send files by POST /uploads and name their URLs.")
        }
        Ok(Err(_)) => refused(StatusCode::BAD_REQUEST, "The body did not arrive whole. Send it again."),
        Err(_) => refused(StatusCode::REQUEST_TIMEOUT, "The body took too long to arrive. Send it again."),
    }
}

/// A parsed operation, or the errors it is answered with.
type Ready = Result<(Parameters, Arc<Prepared>), ApiError>;

fn prepare(edge: &Edge, parameters: Parameters) -> Ready {
    let query = match &parameters.persisted {
        Some(hash) => edge.documents.persisted(hash, parameters.query.as_deref())?,
        None => parameters.query.as_deref().unwrap_or_default().into(),
    };
    let prepared = edge.documents.prepare(&query, parameters.operation_name.as_deref())?;
    Ok((parameters, prepared))
}

async fn single(
    edge: &Edge,
    media_type: MediaType,
    caller: Caller,
    headers: &HeaderMap,
    parameters: Parameters,
    reads_only: bool,
) -> Response {
    let ready = prepare(edge, parameters);
    let generations = ready.as_ref().map_or(0, |(_, prepared)| prepared.generations);
    let http = match http_request(caller.clone(), headers, generations > 1) {
        Ok(http) => http,
        Err(error) => return finish(edge, media_type, &caller, None, one(GraphQlResponse::from_errors(vec![plain(error)]))).await,
    };
    if let Ok((_, prepared)) = &ready {
        if reads_only && prepared.kind == OperationType::Mutation {
            let error = ApiError::invalid("REQUEST", "", "Mutations need POST.");
            let mut response = not_graphql(edge, media_type, &caller, NotGraphQl(StatusCode::METHOD_NOT_ALLOWED, error)).await;
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        if media_type == MediaType::Events {
            let request = ready.ok().map(|(parameters, prepared)| graphql_request(&http, 0, parameters, &prepared));
            return sse::respond(edge, request);
        }
        if prepared.kind == OperationType::Subscription {
            let error = ApiError::invalid(
                "REQUEST",
                "",
                "Subscriptions need a stream: send Accept: text/event-stream, or use the websocket /graphql/ws.",
            );
            return not_graphql(edge, media_type, &caller, NotGraphQl(StatusCode::BAD_REQUEST, error)).await;
        }
    }
    let response = execute(edge, &http, 0, ready).await;
    finish(edge, media_type, &caller, Some(&http), one(response)).await
}

async fn batch(
    edge: &Edge,
    media_type: MediaType,
    caller: Caller,
    headers: &HeaderMap,
    batch: Vec<Parameters>,
) -> Response {
    let ready: Vec<Ready> = batch.into_iter().map(|parameters| prepare(edge, parameters)).collect();
    let generations: usize = ready.iter().flatten().map(|(_, prepared)| prepared.generations).sum();
    let http = match http_request(caller.clone(), headers, generations > 1) {
        Ok(http) => http,
        Err(error) => return finish(edge, media_type, &caller, None, one(GraphQlResponse::from_errors(vec![plain(error)]))).await,
    };
    let mut responses = Vec::with_capacity(ready.len());
    for (index, ready) in ready.into_iter().enumerate() {
        responses.push(match ready {
            Ok((_, prepared)) if prepared.kind == OperationType::Subscription => {
                let error = ApiError::invalid("REQUEST", "", "Subscriptions cannot be part of a batch.");
                GraphQlResponse::from_errors(vec![plain(error)])
            }
            ready => execute(edge, &http, index, ready).await,
        });
    }
    finish(edge, media_type, &caller, Some(&http), Answer::Batch(responses)).await
}

/// The request's context, with its `Idempotency-Key` checked.
fn http_request(caller: Caller, headers: &HeaderMap, several: bool) -> Result<Arc<HttpRequest>, ApiError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let key = values.next().map(|value| value.to_str().unwrap_or_default().trim());
    if key.is_some_and(|key| !idempotency::is_key(key)) || values.next().is_some() {
        let message = "An Idempotency-Key is 1 to 255 visible ASCII characters, given once. Send such a key, or none.";
        return Err(ApiError::invalid("IDEMPOTENCY_KEY", "Idempotency-Key", message));
    }
    Ok(Arc::new(HttpRequest::new(caller, key.map(str::to_owned), several)))
}

pub(super) fn graphql_request(
    http: &Arc<HttpRequest>,
    index: usize,
    parameters: Parameters,
    prepared: &Prepared,
) -> GraphQlRequest {
    let mut request = GraphQlRequest::new("").variables(parameters.variables).data(http.clone()).data(Operation { index });
    request.operation_name = parameters.operation_name;
    request.set_parsed_query(prepared.document.clone());
    request
}

async fn execute(edge: &Edge, http: &Arc<HttpRequest>, index: usize, ready: Ready) -> GraphQlResponse {
    let (parameters, prepared) = match ready {
        Ok(ready) => ready,
        Err(error) => return GraphQlResponse::from_errors(vec![plain(error)]),
    };
    let request = graphql_request(http, index, parameters, &prepared);
    let limit = Duration::from_secs(edge.app.config.server.request_timeout_seconds);
    let response = match tokio::time::timeout(limit, edge.api.execute(request)).await {
        Ok(response) => response,
        Err(_) => {
            let error = anyhow::Error::from(sqlx::Error::PoolTimedOut).context("a request took too long");
            GraphQlResponse::from_errors(vec![plain(ApiError::internal(&error))])
        }
    };
    with_codes(response)
}

fn plain(error: ApiError) -> ServerError {
    error.at(Vec::new(), Vec::new())
}

/// Gives a code to errors that have none: those of the schema itself, about a document that does not fit it.
pub(super) fn with_codes(mut response: GraphQlResponse) -> GraphQlResponse {
    for error in &mut response.errors {
        if code(error).is_none() {
            let (message, locations, path) = (error.message.clone(), error.locations.clone(), error.path.clone());
            *error = ApiError::validation(message).at(locations, path);
        }
    }
    response
}

fn code(error: &ServerError) -> Option<&str> {
    extension(error, "code").and_then(|code| match code {
        async_graphql::Value::String(code) => Some(code.as_str()),
        _ => None,
    })
}

fn extension<'a>(error: &'a ServerError, name: &str) -> Option<&'a async_graphql::Value> {
    error.extensions.as_ref()?.get(name)
}

/// What is sent back.
enum Answer {
    Single(Box<GraphQlResponse>),
    Batch(Vec<GraphQlResponse>),
}

fn one(response: GraphQlResponse) -> Answer {
    Answer::Single(Box::new(response))
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
            Self::Single(response) => serde_json::to_vec(response),
            Self::Batch(responses) => serde_json::to_vec(responses),
        };
        body.unwrap_or_default()
    }

    /// The status: of the transport where the errors are about it, else as the media type has it.
    fn status(&self, media_type: MediaType) -> StatusCode {
        let ran = |response: &GraphQlResponse| response.data != async_graphql::Value::Null;
        let Self::Single(response) = self else { return StatusCode::OK };
        if ran(response) && !is_empty_object_of_nulls(&response.data) {
            return StatusCode::OK;
        }
        let with = |wanted: &str| response.errors.iter().any(|error| code(error) == Some(wanted));
        let retryable = |error: &ServerError| extension(error, "retryable") == Some(&async_graphql::Value::Boolean(true));
        if with(error::RATE_LIMIT) {
            StatusCode::TOO_MANY_REQUESTS
        } else if with(error::UNAUTHENTICATED) {
            StatusCode::UNAUTHORIZED
        } else if response.errors.iter().any(|error| code(error) == Some(error::INTERNAL) && retryable(error)) {
            StatusCode::SERVICE_UNAVAILABLE
        } else if media_type == MediaType::GraphQlJson && !ran(response) && response.errors.iter().all(|error| error.path.is_empty()) {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::OK
        }
    }

    fn retry_after(&self) -> Option<u64> {
        let errors = self.responses().iter().flat_map(|response| &response.errors);
        errors
            .filter_map(|error| match extension(error, "retryAfter")? {
                async_graphql::Value::Number(seconds) => seconds.as_u64(),
                _ => None,
            })
            .max()
    }
}

/// `{"generation": null}`: a nullable field that failed.
fn is_empty_object_of_nulls(data: &async_graphql::Value) -> bool {
    match data {
        async_graphql::Value::Object(members) => {
            !members.is_empty() && members.values().all(|value| *value == async_graphql::Value::Null)
        }
        _ => false,
    }
}

async fn finish(
    edge: &Edge,
    media_type: MediaType,
    caller: &Caller,
    http: Option<&HttpRequest>,
    answer: Answer,
) -> Response {
    let status = answer.status(media_type);
    for error in answer.responses().iter().flat_map(|response| &response.errors) {
        metrics::counter!("doitong_graphql_errors_total", "code" => code(error).unwrap_or_default().to_owned()).increment(1);
    }
    let mut response = (status, answer.body()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type(media_type));
    if let Some(seconds) = answer.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if http.is_some_and(HttpRequest::is_replay) {
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    add_allowance(edge, headers, caller, http.and_then(HttpRequest::allowance)).await;
    response
}

fn content_type(media_type: MediaType) -> HeaderValue {
    HeaderValue::from_static(if media_type == MediaType::GraphQlJson { GRAPHQL_JSON } else { JSON })
}

/// The limits' headers; left out when the database is away.
async fn add_allowance(edge: &Edge, headers: &mut HeaderMap, caller: &Caller, known: Option<Allowance>) {
    let allowance = match known {
        Some(known) => Ok(known),
        None => edge.app.accounts.allowance(caller).await,
    };
    let Ok(allowance) = allowance else { return };
    headers.insert("x-ratelimit-limit", allowance.per_minute.into());
    headers.insert("x-ratelimit-remaining", allowance.minute_remaining().into());
    headers.insert("x-ratelimit-reset", allowance.minute_reset().into());
    if let Some(daily) = allowance.daily {
        headers.insert("x-ratelimit-daily-limit", daily.into());
        headers.insert("x-ratelimit-daily-remaining", allowance.daily_remaining().unwrap_or_default().into());
    }
    headers.insert("x-credits-remaining", allowance.available.get().into());
}

/// A request without a good key, or with the database away before one was known.
fn refusal(media_type: MediaType, error: ApiError) -> Response {
    let status = if error.code == error::UNAUTHENTICATED { StatusCode::UNAUTHORIZED } else { StatusCode::SERVICE_UNAVAILABLE };
    let retry_after = error.retry_after;
    let answer = one(GraphQlResponse::from_errors(vec![plain(error)]));
    let mut response = (status, answer.body()).into_response();
    response.headers_mut().insert(CONTENT_TYPE, content_type(media_type));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert("www-authenticate", HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

async fn not_graphql(edge: &Edge, media_type: MediaType, caller: &Caller, refused: NotGraphQl) -> Response {
    let NotGraphQl(status, error) = refused;
    let answer = one(GraphQlResponse::from_errors(vec![plain(error)]));
    let mut response = finish(edge, media_type, caller, None, answer).await;
    *response.status_mut() = status;
    response
}

fn not_acceptable() -> Response {
    let message = "Accept application/json, application/graphql-response+json or text/event-stream.";
    (StatusCode::NOT_ACCEPTABLE, message).into_response()
}
