//! Liveness, readiness and metrics: part of the API, and all that a process serves which only works.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{app::App, db};

/// What these handlers share.
#[derive(Clone)]
struct Health {
    app: Arc<App>,
    metrics: Option<PrometheusHandle>,
    draining: CancellationToken,
}

/// `/healthz`, `/readyz` and `/metrics`. Once `draining` is cancelled, readiness is denied.
pub fn router<S: Clone + Send + Sync + 'static>(
    app: Arc<App>,
    metrics: Option<PrometheusHandle>,
    draining: CancellationToken,
) -> Router<S> {
    Router::new()
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(self::metrics))
        .with_state(Health { app, metrics, draining })
}

/// `GET /healthz`: the process lives.
async fn live() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: requests can be served; 503 while the database is away or not migrated, and while stopping.
async fn ready(State(health): State<Health>) -> Response {
    let draining = health.draining.is_cancelled();
    health.app.probes.note(draining);
    let trouble = if draining {
        Some("draining")
    } else if health.app.database.is_away() {
        Some("the database does not answer")
    } else {
        match db::is_migrated(&health.app.pool).await {
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
async fn metrics(State(health): State<Health>) -> Response {
    measure(&health.app).await;
    let text = health.metrics.as_ref().map(PrometheusHandle::render).unwrap_or_default();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Sets what is read off when someone asks. With the database away, what comes from there stays as it was last.
async fn measure(app: &App) {
    if !app.database.is_away() {
        measure_work(app).await;
    }
    metrics::gauge!("doitong_pool_connections").set(f64::from(app.pool.size()));
    metrics::gauge!("doitong_pool_idle").set(number(app.pool.num_idle()));
    metrics::gauge!("doitong_pool_max").set(f64::from(app.config.database.max_connections));
    metrics::gauge!("doitong_steps").set(number(app.work.len()));
    metrics::gauge!("doitong_steps_max").set(f64::from(app.config.worker.concurrency));
    metrics::gauge!("doitong_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1);
}

async fn measure_work(app: &App) {
    if let Ok(counts) = app.jobs.counts().await {
        for stage in ["waiting", "ready", "submitting", "running", "storing", "stopping"] {
            let count = counts.iter().find(|(name, _)| name == stage).map_or(0, |(_, count)| *count);
            metrics::gauge!("doitong_jobs", "stage" => stage).set(number(count));
        }
    }
    if let Ok(lag) = app.jobs.lag().await {
        metrics::gauge!("doitong_job_lag_seconds").set(lag);
    }
    if let Ok(lag) = app.webhooks.lag().await {
        metrics::gauge!("doitong_webhook_lag_seconds").set(lag);
    }
}

fn number<N: TryInto<u32>>(count: N) -> f64 {
    f64::from(count.try_into().unwrap_or(u32::MAX))
}
