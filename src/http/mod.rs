//! The HTTP edge: routes, authentication, GraphQL over HTTP, websockets and event streams, files.

mod auth;
mod graphql;
mod health;
pub mod media;
mod operation;
pub mod server;
mod sse;
mod uploads;
mod ws;

use std::sync::Arc;

use async_graphql::http::GraphiQLSource;
use axum::{
    Router,
    extract::{FromRequestParts as _, Request, State, ws::WebSocketUpgrade},
    http::{HeaderName, header::ACCEPT},
    response::{Html, IntoResponse as _, Response},
    routing::{any, get, post},
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{Any, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
};

use crate::{
    app::App,
    graphql::{Api, api, document::Documents, sdl},
};

/// What handlers share.
#[derive(Clone)]
pub struct Edge {
    app: Arc<App>,
    api: Api,
    documents: Arc<Documents>,
    metrics: Option<PrometheusHandle>,
    draining: CancellationToken,
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

/// All routes. Once `draining` is cancelled, readiness is denied and streams end.
pub fn router(app: Arc<App>, metrics: Option<PrometheusHandle>, draining: CancellationToken) -> Router {
    let documents = Arc::new(Documents::new(app.config.graphql.clone()));
    let media = media::router(app.media.clone());
    let edge = Edge { api: api(app.clone()), app, documents, metrics, draining };
    let cors = CorsLayer::new().allow_origin(Any).allow_methods(Any).allow_headers(Any).expose_headers(EXPOSED);
    Router::new()
        .route("/graphql", get(get_graphql).post(graphql::post))
        .route("/graphql/ws", any(ws::upgrade))
        .route("/schema.graphql", get(schema))
        .route("/uploads", post(uploads::post))
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .with_state(edge)
        .merge(media)
        .layer(CatchPanicLayer::new())
        .layer(cors)
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
}

/// `GET /graphql`: an upgrade, a browser's page, or a query.
async fn get_graphql(State(edge): State<Edge>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let is_upgrade = parts.headers.contains_key("sec-websocket-key");
    if is_upgrade && let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &edge).await {
        return ws::upgrade(State(edge), parts.headers, upgrade).await;
    }
    let wants_page = parts.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/html"));
    if wants_page && !parts.uri.query().is_some_and(|query| query.contains("query=")) {
        return Html(GraphiQLSource::build().endpoint("/graphql").subscription_endpoint("/graphql/ws").finish()).into_response();
    }
    let query = axum::extract::Query::try_from_uri(&parts.uri);
    graphql::get(State(edge), parts.headers, query).await
}

async fn schema() -> Response {
    ([("content-type", "text/plain; charset=utf-8")], sdl()).into_response()
}
