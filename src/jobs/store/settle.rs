//! The end of generations.

use sqlx::PgPool;
use uuid::Uuid;

use super::json;
use crate::{
    domain::{AccountId, GenerationId, Mode, Status, Timestamp},
    jobs::{Claimed, End, Ending, Failure, Generation, Lease},
};

/// The end of a generation on its way into the tables; assets, metadata and attempts as JSON.
#[derive(Clone, Debug)]
pub(in crate::jobs) struct Settlement {
    now: Timestamp,
    account: AccountId,
    mode: Mode,
    id: GenerationId,
    lease: Option<Lease>,
    status: Status,
    assets: Option<String>,
    metadata: Option<String>,
    failure: Option<Failure>,
    attempts: Option<String>,
    stop_at: Option<Timestamp>,
}

/// Whether a settlement took effect.
#[derive(Clone, Copy, Debug)]
pub(in crate::jobs) struct Settled {
    pub ended: bool,
}

impl Settlement {
    pub(in crate::jobs) fn of_worker(job: &Claimed, lease: Lease, end: End, now: Timestamp) -> Self {
        let (status, assets, metadata, failure) = match end.result {
            Ending::Completed { assets, metadata } => {
                (Status::Completed, Some(json(&assets)), Some(json(&metadata)), None)
            }
            Ending::Failed(failure) => (Status::Failed, None, None, Some(failure)),
        };
        Self {
            now,
            account: job.account,
            mode: job.mode,
            id: job.id,
            lease: Some(lease),
            status,
            assets,
            metadata,
            failure,
            attempts: Some(json(&end.attempts)),
            stop_at: end.stop_at,
        }
    }

    pub(in crate::jobs) fn of_caller(generation: &Generation, now: Timestamp, stop_at: Timestamp) -> Self {
        Self {
            now,
            account: generation.account,
            mode: generation.mode,
            id: generation.id,
            lease: None,
            status: Status::Cancelled,
            assets: None,
            metadata: None,
            failure: None,
            attempts: None,
            stop_at: Some(stop_at),
        }
    }
}

/// Ends a batch of generations, each all or nothing.
pub(in crate::jobs) async fn settle(pool: PgPool, batch: Vec<Settlement>) -> sqlx::Result<Vec<Settled>> {
    let Some(now) = batch.iter().map(|settlement| settlement.now).max() else { return Ok(Vec::new()) };
    let failure = |value: fn(&Failure) -> Option<String>| -> Vec<Option<String>> {
        batch.iter().map(|settlement| settlement.failure.as_ref().and_then(value)).collect()
    };
    let ended = sqlx::query_scalar!(
        r#"
        select o_item as "item!" from settle($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        "#,
        now,
        &batch.iter().map(|settlement| settlement.account.get()).collect::<Vec<_>>(),
        &batch.iter().map(|settlement| settlement.mode.as_str().to_owned()).collect::<Vec<_>>(),
        &batch.iter().map(|settlement| settlement.id.uuid()).collect::<Vec<_>>(),
        &batch.iter().map(|settlement| settlement.lease.map(|lease| lease.0)).collect::<Vec<_>>() as &[Option<Uuid>],
        &batch.iter().map(|settlement| settlement.status.as_str().to_owned()).collect::<Vec<_>>(),
        &batch.iter().map(|settlement| settlement.assets.clone()).collect::<Vec<_>>() as &[Option<String>],
        &batch.iter().map(|settlement| settlement.metadata.clone()).collect::<Vec<_>>() as &[Option<String>],
        &failure(|failure| Some(failure.code.clone())) as &[Option<String>],
        &failure(|failure| failure.reason.clone()) as &[Option<String>],
        &failure(|failure| Some(failure.message.clone())) as &[Option<String>],
        &batch.iter().map(|settlement| settlement.failure.as_ref().map(|failure| failure.retryable)).collect::<Vec<_>>()
            as &[Option<bool>],
        &batch.iter().map(|settlement| settlement.attempts.clone()).collect::<Vec<_>>() as &[Option<String>],
        &batch.iter().map(|settlement| settlement.stop_at).collect::<Vec<_>>() as &[Option<Timestamp>]
    )
    .fetch_all(&pool)
    .await?;
    let items = 1..=i32::try_from(batch.len()).unwrap_or(i32::MAX);
    Ok(items.map(|item| Settled { ended: ended.contains(&item) }).collect())
}
