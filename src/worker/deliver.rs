//! Delivers webhooks: signs the end of a generation with every live secret and posts it to the caller's address.

use std::{sync::Arc, time::Duration};

use reqwest::Method;
use serde_json::{Value, json};
use tracing::Instrument as _;
use url::Url;
use uuid::Uuid;

use super::{
    Step, lease_for, share_of,
    shares::Shares,
    step::{delta, jitter},
};
use crate::{
    app::App,
    domain::{AccountId, Status, Timestamp},
    egress::Egress,
    jobs::Generation,
    trace,
    webhooks::{Attempt, Attempted, Due, schedule, signature},
};

/// How long a receiver may take.
const LIMIT: Duration = Duration::from_secs(15);
/// How much of its answer is kept.
const EXCERPT: usize = 500;

pub(super) async fn claim(app: Arc<App>, shares: Arc<Shares<AccountId>>, limit: u32) -> anyhow::Result<Vec<Step>> {
    let most = share_of(&app);
    let (lease, deliveries) = app.webhooks.claim(limit, lease_for(&app), most, &shares.with(most)).await?;
    let step = |due: Due| {
        let (app, share) = (app.clone(), shares.take(due.account));
        Box::pin(async move {
            let _share = share;
            deliver(app, lease, due).await
        }) as Step
    };
    Ok(deliveries.into_iter().map(step).collect())
}

async fn deliver(app: Arc<App>, lease: Uuid, due: Due) -> Option<Timestamp> {
    let span = tracing::debug_span!("deliver", job.id = %due.id, attempt = due.attempts + 1);
    trace::follow(&span, due.traceparent.as_deref());
    match attempt(&app, lease, &due).instrument(span).await {
        Ok(next) => next,
        Err(error) => {
            tracing::warn!(job.id = %due.id, error = format!("{error:#}"), "a delivery was not recorded; its lease will run out");
            None
        }
    }
}

async fn attempt(app: &App, lease: Uuid, due: &Due) -> anyhow::Result<Option<Timestamp>> {
    let Some(generation) = app.jobs.find_of(due.account, due.mode, due.id).await? else {
        anyhow::bail!("the generation is gone");
    };
    let body = serde_json::to_vec(&payload(app, &generation))?;
    let begun = app.clock.now();
    let (status, outcome) = post(app, due, &body).await?;
    let took = (app.clock.now() - begun).to_std().unwrap_or_default();
    let next = verdict(app, due.round + 1, status);
    metrics::histogram!("doitong_webhook_seconds").record(took);
    metrics::counter!("doitong_webhook_attempts_total", "delivered" => (next == Attempted::Delivered).to_string())
        .increment(1);
    app.webhooks.record(due, lease, Attempt { at: begun, took, status, outcome }, next).await?;
    app.bus.tell_changed([due.id]);
    Ok(next.due_at())
}

/// What follows from the receiver's status after so many attempts.
fn verdict(app: &App, round: u32, status: Option<u16>) -> Attempted {
    match status {
        Some(200..=299) => Attempted::Delivered,
        Some(410) => Attempted::Exhausted,
        _ => schedule::delay(round, jitter()).map_or(Attempted::Exhausted, |wait| {
            Attempted::Rescheduled(app.clock.now() + delta(app.config.worker.scaled(wait)))
        }),
    }
}

async fn post(app: &App, due: &Due, body: &[u8]) -> anyhow::Result<(Option<u16>, String)> {
    let (id, now) = (format!("msg_{}", due.id.uuid().simple()), app.clock.now());
    let mut signatures = Vec::new();
    for secret in app.webhooks.secrets(due.account).await? {
        signatures.push(signature::sign(&secret.secret, &id, now, body)?);
    }
    anyhow::ensure!(!signatures.is_empty(), "the account has no webhook secret to sign with");
    let Ok(url) = Url::parse(&due.url) else { return Ok((None, "the address is no URL".to_owned())) };
    let request = match app.egress.request(Method::POST, url) {
        Ok(request) => request,
        Err(refused) => return Ok((None, format!("not sent: {refused}"))),
    };
    let sent = request
        .timeout(LIMIT)
        .header("content-type", "application/json")
        .header("user-agent", concat!("Doitong-Webhooks/", env!("CARGO_PKG_VERSION")))
        .header("webhook-id", id)
        .header("webhook-timestamp", now.timestamp().to_string())
        .header("webhook-signature", signatures.join(" "))
        .body(body.to_vec())
        .send()
        .await;
    Ok(match sent {
        Ok(answer) => (Some(answer.status().as_u16()), excerpt(answer).await),
        Err(error) => (None, unsent(&error)),
    })
}

fn unsent(error: &reqwest::Error) -> String {
    match Egress::refusal(error) {
        Some(refused) => format!("not sent: {refused}"),
        None if error.is_timeout() => "no answer in time".to_owned(),
        None if error.is_connect() => "no connection".to_owned(),
        None => "the connection broke".to_owned(),
    }
}

async fn excerpt(mut answer: reqwest::Response) -> String {
    let mut start = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        start.extend_from_slice(&chunk);
        if start.len() >= EXCERPT {
            break;
        }
    }
    start.truncate(EXCERPT);
    String::from_utf8_lossy(&start).replace('\0', "")
}

/// The body of a webhook.
fn payload(app: &App, generation: &Generation) -> Value {
    let kind = match generation.status {
        Status::Completed => "generation.completed",
        Status::Cancelled => "generation.cancelled",
        _ => "generation.failed",
    };
    let error = generation.failure.as_ref().map(|failure| {
        json!({
            "code": failure.code,
            "reason": failure.reason,
            "message": failure.message,
            "retryable": failure.retryable,
        })
    });
    let url = generation.assets.first().and_then(|asset| app.media_url(&asset.path));
    json!({
        "type": kind,
        "timestamp": rfc3339(generation.completed_at.unwrap_or(generation.created_at)),
        "data": {
            "id": generation.id.to_string(),
            "status": generation.status,
            "type": generation.r#type,
            "provider": generation.provider,
            "model": generation.model,
            "url": url,
            "metadata": generation.metadata,
            "creditCost": generation.credit_cost,
            "error": error,
            "labels": generation.labels,
            "createdAt": rfc3339(generation.created_at),
            "completedAt": generation.completed_at.map(rfc3339),
        }
    })
}

/// A moment in the form of the API.
fn rfc3339(moment: Timestamp) -> String {
    moment.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}
