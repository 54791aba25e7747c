//! `/graphql`: GraphQL over HTTP in both media types, one operation or a batch.

use std::{sync::Arc, time::Duration};

use async_graphql::{Request as GraphQlRequest, Response as GraphQlResponse, Variables, parser::types::OperationType};
use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header::ALLOW},
    middleware::Next,
    response::Response,
};
use futures_util::Stream;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::Instant;

use super::{
    Edge,
    answer::{self, Answer, MediaType, completed, failed},
    auth, json,
    operation::{self, NotGraphQl, Parameters, Posted},
    streams,
};
use crate::{
    accounts::Caller,
    graphql::{
        document::Prepared,
        error::ApiError,
        request::{HttpRequest, Operation},
        subscription,
    },
    jobs::idempotency,
};

/// The largest body.
pub const MAX_BODY: usize = 1 << 20;
/// How long a body may take to arrive.
const BODY_LIMIT: Duration = Duration::from_secs(20);
/// How much of a body that is too large is still read: a client that is cut off while it sends sees no answer.
const MAX_DRAIN: usize = 16 << 20;

/// A request whose caller is known.
pub(super) struct Exchange<'a> {
    pub edge: &'a Edge,
    pub media_type: MediaType,
    pub caller: Caller,
    pub headers: &'a HeaderMap,
}

/// `POST /graphql`.
pub(super) async fn post(State(edge): State<Edge>, headers: HeaderMap, body: Body) -> Response {
    if edge.turns.available_permits() == 0 {
        drain(body).await;
        return turn_away(&headers);
    }
    let exchange = match Exchange::begin(&edge, &headers).await {
        Ok(exchange) => exchange,
        Err(refused) => {
            drain(body).await;
            return refused;
        }
    };
    let body = read_body(body).await;
    let Ok(_turn) = edge.turns.try_acquire() else { return turn_away(&headers) };
    match body.and_then(|body| operation::posted(&headers, &body, edge.documents.max_batch())) {
        Ok(Posted::Single(parameters)) => exchange.single(parameters, false).await,
        Ok(Posted::Batch(batch)) => exchange.batch(batch).await,
        Err(refused) => exchange.refuse(refused).await,
    }
}

/// `GET /graphql`: a query in the query string. Mutations need POST.
pub(super) async fn get(
    State(edge): State<Edge>,
    headers: HeaderMap,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Response {
    let exchange = match Exchange::begin(&edge, &headers).await {
        Ok(exchange) => exchange,
        Err(refused) => return refused,
    };
    let Ok(_turn) = edge.turns.try_acquire() else { return turn_away(&headers) };
    let unreadable = |_| {
        let error = ApiError::invalid("REQUEST", "", "The query string cannot be read.");
        NotGraphQl(StatusCode::BAD_REQUEST, error)
    };
    match query.map_err(unreadable).and_then(|Query(pairs)| operation::in_query_string(pairs)) {
        Ok(parameters) => exchange.single(parameters, true).await,
        Err(refused) => exchange.refuse(refused).await,
    }
}

/// Too much is under way. That must cost next to nothing, so nothing is looked at: not even whose call it is.
fn turn_away(headers: &HeaderMap) -> Response {
    let media_type = MediaType::of(headers).unwrap_or(MediaType::Json);
    answer::refusal(StatusCode::SERVICE_UNAVAILABLE, media_type, ApiError::overloaded())
}

/// Answers at once while the database is away, also what waits for it already.
pub(super) async fn fail_fast(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let media_type = MediaType::of(request.headers()).unwrap_or(MediaType::Json);
    tokio::select! {
        biased;
        () = edge.app.database.away() => {
            let error = ApiError::database_away();
            answer::refusal(answer::status_of(&error), media_type, error)
        }
        response = next.run(request) => response,
    }
}

/// Any other method.
pub(super) async fn other_method(headers: HeaderMap) -> Response {
    let media_type = MediaType::of(&headers).unwrap_or(MediaType::Json);
    let error = ApiError::invalid("REQUEST", "", "Send queries by GET or POST, and mutations by POST.");
    let mut response = answer::refusal(StatusCode::METHOD_NOT_ALLOWED, media_type, error);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    response
}

async fn read_body(body: Body) -> Result<Bytes, NotGraphQl> {
    let refused = |status, message: &str| Err(NotGraphQl(status, ApiError::invalid("REQUEST", "", message)));
    let too_large = || {
        let message = "The body is over 1 MiB. Send files by POST /uploads and name their URLs.";
        refused(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    if body.size_hint().lower() > MAX_BODY as u64 {
        drain(body).await;
        return too_large();
    }
    match tokio::time::timeout(BODY_LIMIT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => too_large(),
        Ok(Err(_)) => refused(StatusCode::BAD_REQUEST, "The body did not arrive whole. Send it again."),
        Err(_) => refused(StatusCode::REQUEST_TIMEOUT, "The body took too long to arrive. Send it again."),
    }
}

/// Reads what a client is still sending, within reason, so that it then reads our answer.
async fn drain(mut body: Body) {
    let all = async {
        let mut left = MAX_DRAIN;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else { return };
            left = rest;
        }
    };
    let _ = tokio::time::timeout(BODY_LIMIT, all).await;
}

/// A parsed operation, or the error it is answered with.
pub(super) type Ready = Result<(Parameters, Arc<Prepared>), ApiError>;

impl<'a> Exchange<'a> {
    async fn begin(edge: &'a Edge, headers: &'a HeaderMap) -> Result<Self, Response> {
        let media_type = MediaType::of(headers).ok_or_else(not_acceptable)?;
        match auth::caller(&edge.app, headers).await {
            Ok(caller) => Ok(Self { edge, media_type, caller, headers }),
            Err(error) => Err(answer::refusal(answer::status_of(&error), media_type, error)),
        }
    }

    async fn single(mut self, parameters: Parameters, reads_only: bool) -> Response {
        let ready = prepare(self.edge, parameters);
        let is_subscription = ready.as_ref().is_ok_and(|(_, prepared)| prepared.kind == OperationType::Subscription);
        if self.media_type == MediaType::Multipart && !is_subscription {
            self.media_type = MediaType::of_whole(self.headers);
        }
        let generations = ready.as_ref().map_or(0, |(_, prepared)| prepared.generations);
        let http = match self.http_request(generations > 1) {
            Ok(http) => http,
            Err(error) => return self.send(None, failed(error).into()).await,
        };
        let kind = ready.as_ref().ok().map(|(_, prepared)| prepared.kind);
        if reads_only && kind == Some(OperationType::Mutation) {
            let error = ApiError::invalid("REQUEST", "", "Mutations need POST.");
            let mut response = self.refuse(NotGraphQl(StatusCode::METHOD_NOT_ALLOWED, error)).await;
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return response;
        }
        if matches!(self.media_type, MediaType::Events | MediaType::Multipart) {
            return streams::respond(&self, &http, ready).await;
        }
        if is_subscription {
            let message = "Subscriptions need a stream: send Accept: text/event-stream, or multipart/mixed;subscriptionSpec=1.0, or use the websocket /graphql/ws.";
            let error = ApiError::invalid("REQUEST", "", message);
            return self.refuse(NotGraphQl(StatusCode::BAD_REQUEST, error)).await;
        }
        let response = self.execute(&http, 0, ready, self.deadline()).await;
        self.send(Some(&http), response.into()).await
    }

    async fn batch(self, batch: Vec<Parameters>) -> Response {
        let ready: Vec<Ready> = batch.into_iter().map(|parameters| prepare(self.edge, parameters)).collect();
        let generations: usize = ready.iter().flatten().map(|(_, prepared)| prepared.generations).sum();
        let http = match self.http_request(generations > 1) {
            Ok(http) => http,
            Err(error) => return self.send(None, failed(error).into()).await,
        };
        let deadline = self.deadline();
        let mut responses = Vec::with_capacity(ready.len());
        for (index, ready) in ready.into_iter().enumerate() {
            responses.push(match ready {
                Ok((_, prepared)) if prepared.kind == OperationType::Subscription => {
                    failed(ApiError::invalid("REQUEST", "", "Subscriptions cannot be part of a batch."))
                }
                ready => self.execute(&http, index, ready, deadline).await,
            });
        }
        self.send(Some(&http), Answer::Batch(responses)).await
    }

    /// The request's context, with its `Idempotency-Key` checked.
    fn http_request(&self, several: bool) -> Result<Arc<HttpRequest>, ApiError> {
        let mut values = self.headers.get_all("idempotency-key").iter();
        let key = values.next().map(|value| value.to_str().unwrap_or_default().trim());
        if key.is_some_and(|key| !idempotency::is_key(key)) || values.next().is_some() {
            let message =
                "An Idempotency-Key is 1 to 255 visible ASCII characters, given once. Send such a key, or none.";
            return Err(ApiError::invalid("IDEMPOTENCY_KEY", "Idempotency-Key", message));
        }
        Ok(Arc::new(HttpRequest::new(self.caller.clone(), key.map(str::to_owned), several)))
    }

    /// When the request must be answered.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.edge.app.config.server.request_timeout_seconds)
    }

    async fn execute(&self, http: &Arc<HttpRequest>, index: usize, ready: Ready, deadline: Instant) -> GraphQlResponse {
        let (parameters, prepared) = match ready {
            Ok(ready) => ready,
            Err(error) => return answer::unread(error),
        };
        let request = graphql_request(http, index, parameters, &prepared);
        let begun = Instant::now();
        let response = tokio::time::timeout_at(deadline, self.edge.api.execute(request)).await;
        let response = self.completed(response.unwrap_or_else(|_| failed(ApiError::too_slow())));
        answer::measure(prepared.label, &response, begun.elapsed());
        response
    }

    /// A response with codes and the request's id in its errors.
    pub(super) fn completed(&self, response: GraphQlResponse) -> GraphQlResponse {
        completed(response, answer::request_id(self.headers))
    }

    /// The answer, with the headers that tell what is left.
    pub(super) async fn send(&self, http: Option<&HttpRequest>, answer: Answer) -> Response {
        answer::send(self.edge, self.media_type, &self.caller, http, answer).await
    }

    async fn refuse(&self, refused: NotGraphQl) -> Response {
        let NotGraphQl(status, error) = refused;
        let mut response = self.send(None, failed(error).into()).await;
        *response.status_mut() = status;
        response
    }
}

pub(super) fn prepare(edge: &Edge, parameters: Parameters) -> Ready {
    let query = match &parameters.persisted {
        Some(hash) => edge.documents.persisted(hash, parameters.query.as_deref())?,
        None => parameters.query.as_deref().unwrap_or_default().into(),
    };
    let operation_name = parameters.operation_name.as_deref();
    let prepared = edge.documents.prepare(&query, operation_name)?;
    prepared.check(operation_name, &parameters.variables)?;
    Ok((parameters, prepared))
}

/// The results of an operation: of a subscription as they come, of any other the one.
pub(super) fn results(
    edge: &Edge,
    http: Arc<HttpRequest>,
    parameters: Parameters,
    prepared: Arc<Prepared>,
) -> impl Stream<Item = GraphQlResponse> + Send + use<> {
    let operation_name = parameters.operation_name;
    // A subscription may rest for long: its variables take a tenth of the room as text, and the document is shared.
    let variables = serde_json::to_string(&parameters.variables).unwrap_or_default().into_boxed_str();
    subscription::results(edge.api.clone(), move || {
        let variables = Variables::from_json(json::read(variables.as_bytes()).unwrap_or_default());
        let parameters = Parameters { operation_name: operation_name.clone(), variables, ..Parameters::default() };
        graphql_request(&http, 0, parameters, &prepared)
    })
}

fn graphql_request(
    http: &Arc<HttpRequest>,
    index: usize,
    parameters: Parameters,
    prepared: &Prepared,
) -> GraphQlRequest {
    let mut request =
        GraphQlRequest::new("").variables(parameters.variables).data(http.clone()).data(Operation { index });
    request.operation_name = parameters.operation_name;
    request.set_parsed_query(prepared.document.clone());
    request
}

fn not_acceptable() -> Response {
    let message = "Accept application/json, application/graphql-response+json, text/event-stream or multipart/mixed;subscriptionSpec=1.0.";
    answer::refusal(StatusCode::NOT_ACCEPTABLE, MediaType::Json, ApiError::invalid("REQUEST", "", message))
}
