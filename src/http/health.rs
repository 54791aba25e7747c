//! Liveness, readiness and metrics.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use serde_json::json;

use super::Edge;
use crate::db;

/// `GET /healthz`: the process lives.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: requests can be served; 503 while the database is away or not migrated, and while stopping.
pub(super) async fn ready(State(edge): State<Edge>) -> Response {
    let draining = edge.draining.is_cancelled();
    edge.app.probes.note(draining);
    let trouble = if draining {
        Some("draining")
    } else if edge.app.database.is_away() {
        Some("the database does not answer")
    } else {
        match db::is_migrated(&edge.app.pool).await {
            Ok(true) => None,
            Ok(false) => Some("the database is not migrated"),
            Err(_) => Some("the database does not answer"),
        }
    };
    match trouble {
        None => Json(json!({"ready": true})).into_response(),
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"ready": false, "reason": reason}))).into_response()
        }
    }
}

/// `GET /metrics`: Prometheus text.
pub(super) async fn metrics(State(edge): State<Edge>) -> Response {
    if !edge.app.database.is_away()
        && let Ok(counts) = edge.app.jobs.counts().await
    {
        for stage in ["waiting", "ready", "submitting", "running", "storing", "stopping"] {
            let count = counts.iter().find(|(name, _)| name == stage).map_or(0, |(_, count)| *count);
            metrics::gauge!("doitong_jobs", "stage" => stage).set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        }
    }
    metrics::gauge!("doitong_pool_connections").set(f64::from(edge.app.pool.size()));
    metrics::gauge!("doitong_pool_idle").set(f64::from(u32::try_from(edge.app.pool.num_idle()).unwrap_or(u32::MAX)));
    let text = edge.metrics.as_ref().map(metrics_exporter_prometheus::PrometheusHandle::render).unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
