//! Admission: one atomic statement decides on the key, the limits, the credits and the job.

use std::{sync::Arc, time::Instant};

use serde_json::Value;
use tracing::Instrument as _;
use url::Url;

use super::{
    Generation, Idempotency, Jobs,
    store::{self, Admission, AdmissionOutcome},
};
use crate::{
    accounts::Caller,
    catalog::{Asked, Choice},
    db::Overloaded,
    domain::{Credits, GenerationId, Status, Timestamp},
    limits::Allowance,
    trace,
};

/// A valid request.
#[derive(Clone, Debug)]
pub struct Submission {
    /// What was asked for.
    pub asked: Asked,
    /// What serves it.
    pub choice: Choice,
    /// The caller's own.
    pub labels: Option<Value>,
    /// Where its end is told.
    pub webhook_url: Option<Url>,
    /// The key that makes it safe to repeat.
    pub idempotency: Option<Idempotency>,
}

/// An admitted request.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// The generation.
    pub generation: Generation,
    /// What the caller has left.
    pub allowance: Allowance,
    /// It was made by an earlier request with the same key.
    pub replayed: bool,
}

/// Why a request is not admitted: what can the caller do about it?
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused(GenerationId),
    /// A limit of the plan.
    #[error("{reason}")]
    Limited {
        /// `REQUESTS_PER_MINUTE`, `DAILY_LIMIT` or `QUEUE_FULL`.
        reason: Limit,
        /// Seconds until there is room, where that is known.
        retry_after: Option<u64>,
        /// What the caller has left.
        allowance: Allowance,
    },
    /// Too little money.
    #[error("not enough credits")]
    NotEnoughCredits {
        /// What it costs.
        need: Credits,
        /// What the caller has left.
        allowance: Allowance,
    },
    /// Too much to do; later is fine.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// Something else.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl SubmitError {
    /// What the caller has left, where the refusal tells.
    pub const fn allowance(&self) -> Option<Allowance> {
        match self {
            Self::Limited { allowance, .. } | Self::NotEnoughCredits { allowance, .. } => Some(*allowance),
            Self::KeyReused(_) | Self::Overloaded(_) | Self::Internal(_) => None,
        }
    }
}

impl From<sqlx::Error> for SubmitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Internal(error.into())
    }
}

/// A limit of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Generations a minute.
    Minute,
    /// Generations a day.
    Day,
    /// Generations waiting.
    Queue,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Minute => "REQUESTS_PER_MINUTE",
            Self::Day => "DAILY_LIMIT",
            Self::Queue => "QUEUE_FULL",
        })
    }
}

impl Jobs {
    /// Admits a request, or says why not. A refused request changes nothing.
    pub async fn submit(&self, caller: &Caller, submission: Submission) -> Result<Submitted, SubmitError> {
        let now = self.clock.now();
        let need = submission.choice.credit_cost;
        let (id, traceparent) = (GenerationId::generate(), trace::current());
        let admission = Arc::new(Admission { id, caller: caller.clone(), now, submission, traceparent });
        let begun = Instant::now();
        let admitted = self.admissions.run(admission.clone()).instrument(tracing::debug_span!("admit")).await??;
        metrics::histogram!("doitong_admission_seconds", "outcome" => admitted.outcome.as_str())
            .record(begun.elapsed());
        let (allowance, retry_after) = (admitted.allowance, admitted.retry_after);
        let limited = |reason| Err(SubmitError::Limited { reason, retry_after, allowance });
        match admitted.outcome {
            AdmissionOutcome::Admitted => {
                let generation = fresh(Arc::unwrap_or_clone(admission), admitted.id, admitted.queue_position);
                if generation.queue_position.is_none() {
                    self.bus.tell_due();
                }
                Ok(Submitted { generation, allowance, replayed: false })
            }
            AdmissionOutcome::Replayed => {
                let generation = self.find(caller, admitted.id).await?;
                let generation = generation.ok_or_else(|| anyhow::anyhow!("the first request's generation is gone"))?;
                Ok(Submitted { generation, allowance, replayed: true })
            }
            AdmissionOutcome::IdempotencyMismatch => Err(SubmitError::KeyReused(admitted.id)),
            AdmissionOutcome::RequestsPerMinute => limited(Limit::Minute),
            AdmissionOutcome::DailyLimit => limited(Limit::Day),
            AdmissionOutcome::QueueFull => limited(Limit::Queue),
            AdmissionOutcome::InsufficientCredits => Err(SubmitError::NotEnoughCredits { need, allowance }),
        }
    }

    /// The generation an earlier request with this key made. A request that would be refused today is still replayed.
    pub async fn replay(&self, caller: &Caller, key: &Idempotency) -> Result<Option<Generation>, SubmitError> {
        let Some((id, fingerprint)) = store::find_key(&self.pool, caller, key, self.clock.now()).await? else {
            return Ok(None);
        };
        if fingerprint != key.fingerprint {
            return Err(SubmitError::KeyReused(id));
        }
        Ok(self.find(caller, id).await?)
    }
}

/// The generation that was just admitted, without reading it back.
fn fresh(admission: Admission, id: GenerationId, queue_position: Option<i64>) -> Generation {
    let Admission { caller, now, submission, .. } = admission;
    let created_at: Timestamp = now;
    let Submission { asked, choice, labels, webhook_url, .. } = submission;
    Generation {
        id,
        account: caller.account,
        mode: caller.mode,
        r#type: asked.r#type,
        status: Status::Pending,
        provider: choice.provider,
        model: choice.model,
        reported_progress: 0,
        options: Value::Object(choice.options),
        adjustments: choice.adjustments,
        attempts: Vec::new(),
        labels,
        credit_cost: choice.credit_cost,
        estimated_seconds: choice.estimated_seconds,
        queue_position,
        assets: Vec::new(),
        metadata: None,
        failure: None,
        webhook: webhook_url.map(|url| super::Webhook {
            url: url.into(),
            attempts: 0,
            delivered: false,
            last_status: None,
            next_attempt_at: None,
        }),
        created_at,
        started_at: None,
        completed_at: None,
    }
}
