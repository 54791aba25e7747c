//! Admission, and the keys that make it repeatable.

use std::sync::Arc;

use sqlx::PgPool;

use super::{column, json, number, served_by};
use crate::{
    accounts::Caller,
    domain::{Credits, GenerationId, Timestamp},
    jobs::{Idempotency, Submission},
    limits::Allowance,
};

/// A request on its way into the table.
#[derive(Clone, Debug)]
pub(in crate::jobs) struct Admission {
    pub id: GenerationId,
    pub caller: Caller,
    pub now: Timestamp,
    pub submission: Submission,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "SCREAMING_SNAKE_CASE")]
pub(in crate::jobs) enum AdmissionOutcome {
    Admitted,
    Replayed,
    IdempotencyMismatch,
    RequestsPerMinute,
    DailyLimit,
    QueueFull,
    InsufficientCredits,
}

impl AdmissionOutcome {
    /// Its word where admissions are counted.
    pub(in crate::jobs) const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Replayed => "replayed",
            Self::IdempotencyMismatch => "idempotency_mismatch",
            Self::RequestsPerMinute => "requests_per_minute",
            Self::DailyLimit => "daily_limit",
            Self::QueueFull => "queue_full",
            Self::InsufficientCredits => "insufficient_credits",
        }
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub(in crate::jobs) struct Admitted {
    pub outcome: AdmissionOutcome,
    /// The new generation, or the one of an earlier request with the same key.
    pub id: GenerationId,
    pub allowance: Allowance,
    pub retry_after: Option<u64>,
    pub queue_position: Option<i64>,
}

/// Decides on a batch of requests, each for itself, in one statement.
pub(in crate::jobs) async fn admit(pool: PgPool, batch: Vec<Arc<Admission>>) -> sqlx::Result<Vec<Admitted>> {
    let Some(now) = batch.iter().map(|admission| admission.now).max() else { return Ok(Vec::new()) };
    let each = |value: fn(&Admission) -> String| batch.iter().map(|admission| value(admission)).collect::<Vec<_>>();
    let key = |value: fn(&Idempotency) -> String| -> Vec<Option<String>> {
        batch.iter().map(|admission| admission.submission.idempotency.as_ref().map(value)).collect()
    };
    let fingerprints: Vec<Option<Vec<u8>>> =
        batch.iter().map(|admission| Some(admission.submission.idempotency.as_ref()?.fingerprint.to_vec())).collect();
    let rows = sqlx::query!(
        r#"
        select o_item as "item!", o_outcome as "outcome!: AdmissionOutcome", o_generation as "generation!: GenerationId",
            o_per_minute as "per_minute!", o_level as "level!", o_daily as daily, o_day_count as "day_count!",
            o_available as "available!: Credits", o_waiting as "waiting!", o_retry_after as retry_after, o_waits as "waits!"
        from admit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
        order by o_item
        "#,
        now,
        &batch.iter().map(|admission| admission.caller.account.get()).collect::<Vec<_>>(),
        &each(|admission| admission.caller.mode.as_str().to_owned()),
        &batch.iter().map(|admission| admission.id.uuid()).collect::<Vec<_>>(),
        &key(|key| key.key.clone()) as &[Option<String>],
        &key(|key| key.scope.clone()) as &[Option<String>],
        &fingerprints as &[Option<Vec<u8>>],
        &batch.iter().map(|admission| admission.submission.choice.credit_cost.get()).collect::<Vec<_>>(),
        &each(|admission| admission.submission.asked.r#type.as_str().to_owned()),
        &each(|admission| admission.submission.choice.provider.to_string()),
        &each(|admission| admission.submission.choice.model.to_string()),
        &each(|admission| admission.submission.choice.route.to_string()),
        &each(|admission| served_by(admission.caller.mode, &admission.submission.choice.upstream).to_owned()),
        &each(|admission| json(&admission.submission.asked)),
        &batch.iter().map(|admission| admission.submission.choice.text.clone()).collect::<Vec<_>>() as &[Option<String>],
        &each(|admission| json(&admission.submission.choice.options)),
        &each(|admission| json(&admission.submission.choice.adjustments)),
        &batch.iter().map(|admission| admission.submission.labels.as_ref().map(json)).collect::<Vec<_>>() as &[Option<String>],
        &batch.iter().map(|admission| admission.submission.webhook_url.clone().map(String::from)).collect::<Vec<_>>()
            as &[Option<String>],
        &batch.iter().map(|admission| column(admission.submission.choice.estimated_seconds)).collect::<Vec<_>>(),
        &batch.iter().map(|admission| admission.traceparent.clone()).collect::<Vec<_>>() as &[Option<String>]
    )
    .fetch_all(&pool)
    .await?;
    if rows.len() != batch.len() {
        return Err(sqlx::Error::RowNotFound);
    }
    Ok(rows
        .into_iter()
        .map(|row| Admitted {
            outcome: row.outcome,
            id: row.generation,
            allowance: Allowance {
                per_minute: number(row.per_minute),
                minute_level: row.level,
                daily: row.daily.map(number),
                day_count: number(row.day_count),
                available: row.available,
            },
            retry_after: row.retry_after.map(whole_seconds),
            queue_position: row.waits.then(|| row.waiting.into()),
        })
        .collect())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
fn whole_seconds(seconds: f64) -> u64 {
    seconds.ceil().max(1.0) as u64
}

/// The generation a key made, with the fingerprint of its request.
pub(in crate::jobs) async fn find_key(
    pool: &PgPool,
    caller: &Caller,
    key: &Idempotency,
    now: Timestamp,
) -> sqlx::Result<Option<(GenerationId, [u8; 32])>> {
    let row = sqlx::query!(
        r#"
        select generation_id as "generation_id: GenerationId", fingerprint from idempotency
        where account_id = $1 and mode = $2 and key = $3 and scope = $4 and expires_at > $5
        "#,
        caller.account.get(),
        caller.mode.as_str(),
        key.key,
        key.scope,
        now
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.generation_id, row.fingerprint.try_into().unwrap_or_default())))
}
