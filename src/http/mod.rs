//! The HTTP edge: routes, authentication, GraphQL over HTTP, subscriptions over websockets and streams, files.

mod answer;
mod assets;
mod auth;
mod console;
mod graphiql;
mod graphql;
pub mod health;
mod json;
mod mcp;
pub mod media;
mod multipart;
mod operation;
pub mod server;
mod sse;
mod streams;
mod uploads;
mod ws;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{FromRequestParts as _, Request, State, ws::WebSocketUpgrade},
    http::{HeaderName, StatusCode, header::ACCEPT},
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::{any, get, post},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, Any, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    timeout::RequestBodyTimeoutLayer,
    trace::TraceLayer,
};

use crate::{
    app::App,
    graphql::{Api, api, document::Documents, error::ApiError, sdl},
    trace::{self, TRACEPARENT},
};
use answer::MediaType;

/// What handlers share.
#[derive(Clone)]
pub struct Edge(Arc<Shared>);

/// The parts of an [`Edge`].
pub struct Shared {
    app: Arc<App>,
    api: Api,
    documents: Arc<Documents>,
    /// Operations that may be under way at once.
    turns: Arc<Semaphore>,
    draining: CancellationToken,
}

impl std::ops::Deref for Edge {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The headers of ours that a browser's script may read.
const EXPOSED: [HeaderName; 9] = [
    HeaderName::from_static("x-ratelimit-limit"),
    HeaderName::from_static("x-ratelimit-remaining"),
    HeaderName::from_static("x-ratelimit-reset"),
    HeaderName::from_static("x-ratelimit-daily-limit"),
    HeaderName::from_static("x-ratelimit-daily-remaining"),
    HeaderName::from_static("x-credits-remaining"),
    HeaderName::from_static("retry-after"),
    HeaderName::from_static("idempotency-replayed"),
    REQUEST_ID,
];

/// Operations under way at once. Those beyond are refused at once, so that the others' answers do not get late.
const MAX_UNDER_WAY: usize = 256;

/// How long a browser may remember what it may send.
const PREFLIGHT_AGE: Duration = Duration::from_hours(2);

/// All routes. Once `draining` is cancelled, readiness is denied and streams end.
pub fn router(app: Arc<App>, metrics: Option<PrometheusHandle>, draining: CancellationToken) -> Router {
    let documents = Arc::new(Documents::new(app.config.graphql.clone()));
    let media = media::router(app.media.clone());
    let turns = Arc::new(Semaphore::new(MAX_UNDER_WAY));
    let shared = Shared { api: api(app.clone()), app: app.clone(), documents, turns, draining: draining.clone() };
    let edge = Edge(Arc::new(shared));
    let cors = CorsLayer::new().allow_origin(Any).allow_methods(Any);
    // A wildcard would not cover `Authorization`.
    let cors = cors.allow_headers(AllowHeaders::mirror_request()).expose_headers(EXPOSED).max_age(PREFLIGHT_AGE);
    let trace = TraceLayer::new_for_http().make_span_with(span).on_request(()).on_response(answered).on_failure(());
    Router::new()
        .route("/", get(console::page))
        .route("/console/assets/{name}", get(console::asset))
        .route("/graphql", get(get_graphql).post(graphql::post).fallback(graphql::other_method))
        .route("/mcp", any(mcp::any).layer(RequestBodyTimeoutLayer::new(uploads::STALL_LIMIT)))
        .route_layer(from_fn_with_state(edge.clone(), graphql::fail_fast))
        .route("/graphql/assets/{name}", get(graphiql::asset))
        .route("/graphql/ws", any(ws::upgrade))
        .route("/schema.graphql", get(schema))
        .route("/uploads", post(uploads::post).layer(RequestBodyTimeoutLayer::new(uploads::STALL_LIMIT)))
        .with_state(edge)
        .merge(media)
        .merge(health::router(app, metrics, draining))
        // One layer of them all, the outermost first: each layer for itself would be a box around every request.
        .layer((
            SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid),
            PropagateRequestIdLayer::new(REQUEST_ID),
            trace,
            cors,
            CatchPanicLayer::custom(panicked),
        ))
}

/// What log lines about a request have in common. The query string may hold a document, so it is left out.
fn span(request: &Request) -> tracing::Span {
    let id = answer::request_id(request.headers()).unwrap_or_default();
    let span = tracing::info_span!("request", request.id = id, http.method = %request.method(), http.path = request.uri().path());
    // A caller's own trace goes on here.
    trace::follow(&span, request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok()));
    span
}

fn answered<B>(response: &axum::http::Response<B>, _: Duration, span: &tracing::Span) {
    trace::answered(span, response.status().as_u16());
}

/// The panic itself is logged by the hook of the process.
fn panicked(_panic: Box<dyn std::any::Any + Send>) -> Response {
    let error = ApiError::internal(&anyhow::anyhow!("a handler panicked"));
    answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, MediaType::Json, error)
}

/// `GET /graphql`: an upgrade, a browser's page, or a query.
async fn get_graphql(State(edge): State<Edge>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let is_upgrade = parts.headers.contains_key("sec-websocket-key");
    if is_upgrade && let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &edge).await {
        return ws::upgrade(State(edge), parts.headers, upgrade).await;
    }
    let wants_page = parts
        .headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if wants_page && !parts.uri.query().is_some_and(|query| query.contains("query=")) {
        return graphiql::page();
    }
    let query = axum::extract::Query::try_from_uri(&parts.uri);
    graphql::get(State(edge), parts.headers, query).await
}

async fn schema() -> Response {
    ([("content-type", "text/plain; charset=utf-8")], sdl()).into_response()
}
