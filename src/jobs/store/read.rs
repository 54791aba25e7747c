//! Generations as they are read.

use chrono::NaiveDate;
use serde_json::Value;
use sqlx::{PgPool, types::Json};

use super::number;
use crate::{
    accounts::Caller,
    db,
    domain::{
        AccountId, Adjustment, Credits, GenerationId, GenerationType, Mode, ModelId, ProviderId, Status, Timestamp,
        output::Asset,
    },
    jobs::{Attempt, Failure, Filter, Generation, Webhook},
    limits::Allowance,
};

/// A generation to look up.
#[derive(Clone, Copy, Debug)]
pub(in crate::jobs) struct Lookup {
    pub account: AccountId,
    pub mode: Mode,
    pub id: GenerationId,
    pub now: Timestamp,
}

/// A generation, and what its account has left: who reads is told both.
pub(in crate::jobs) type Found = (Generation, Allowance);

/// Looks generations up, each in its caller's account.
pub(in crate::jobs) async fn find_many(pool: PgPool, batch: Vec<Lookup>) -> sqlx::Result<Vec<Option<Found>>> {
    let rows = sqlx::query_as!(
        GenerationRow,
        r#"
        select l.item as "item!", g.account_id, g.generation_id as "generation_id: GenerationId", g.mode as "mode: Mode",
            g.type as "type: GenerationType", g.status as "status: Status", g.provider, g.model, g.options,
            g.adjustments as "adjustments: Json<Vec<Adjustment>>", g.attempts as "attempts: Json<Vec<Attempt>>", g.labels,
            g.credit_cost as "credit_cost: Credits", g.estimated_seconds, g.assets as "assets: Json<Vec<Asset>>",
            g.metadata, g.error_code, g.error_reason, g.error_message, g.error_retryable, g.webhook_url,
            g.created_at, g.started_at, g.completed_at, j.progress as "progress?",
            case when j.stage = 'waiting' then (
                select count(*) from job w where w.account_id = j.account_id and w.mode = j.mode and w.stage = 'waiting'
                    and w.generation_id <= j.generation_id
            ) end as queue_position,
            d.attempts as "delivery_attempts?", d.delivered as "delivered?", d.last_status, d.due_at,
            p.per_minute, p.minute_level, p.minute_at, p.daily, p.day, p.day_count, p.available as "available: Credits"
        from unnest($1::bigint[], $2::text[], $3::uuid[]) with ordinality l (account_id, mode, generation_id, item)
        join generation g on g.account_id = l.account_id and g.generation_id = l.generation_id and g.mode = l.mode
        join purse p on p.account_id = l.account_id and p.mode = l.mode
        left join job j on j.generation_id = g.generation_id and j.stage <> 'stopping'
        left join delivery d on d.generation_id = g.generation_id
        "#,
        &batch.iter().map(|lookup| lookup.account.get()).collect::<Vec<_>>(),
        &batch.iter().map(|lookup| lookup.mode.as_str().to_owned()).collect::<Vec<_>>(),
        &batch.iter().map(|lookup| lookup.id.uuid()).collect::<Vec<_>>()
    )
    .fetch_all(&pool)
    .await?;
    Ok(db::in_places(
        &batch,
        rows,
        |row| row.item,
        |lookup, row| {
            let allowance = row.allowance(lookup.now);
            (row.into(), allowance)
        },
    ))
}

struct GenerationRow {
    item: i64,
    account_id: i64,
    generation_id: GenerationId,
    mode: Mode,
    r#type: GenerationType,
    status: Status,
    provider: String,
    model: String,
    options: Value,
    adjustments: Json<Vec<Adjustment>>,
    attempts: Json<Vec<Attempt>>,
    labels: Option<Value>,
    credit_cost: Credits,
    estimated_seconds: i32,
    assets: Option<Json<Vec<Asset>>>,
    metadata: Option<Value>,
    error_code: Option<String>,
    error_reason: Option<String>,
    error_message: Option<String>,
    error_retryable: Option<bool>,
    webhook_url: Option<String>,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    progress: Option<i16>,
    queue_position: Option<i64>,
    delivery_attempts: Option<i32>,
    delivered: Option<bool>,
    last_status: Option<i32>,
    due_at: Option<Timestamp>,
    per_minute: i32,
    minute_level: f64,
    minute_at: Timestamp,
    daily: Option<i32>,
    day: NaiveDate,
    day_count: i32,
    available: Credits,
}

impl GenerationRow {
    fn allowance(&self, now: Timestamp) -> Allowance {
        let then = Allowance {
            per_minute: number(self.per_minute),
            minute_level: self.minute_level,
            daily: self.daily.map(number),
            day_count: number(self.day_count),
            available: self.available,
        };
        then.drained(self.minute_at, self.day, now)
    }
}

impl From<GenerationRow> for Generation {
    fn from(row: GenerationRow) -> Self {
        Self {
            id: row.generation_id,
            account: AccountId::new(row.account_id),
            mode: row.mode,
            r#type: row.r#type,
            status: row.status,
            provider: ProviderId::from(row.provider),
            model: ModelId::from(row.model),
            reported_progress: row.progress.and_then(|progress| u8::try_from(progress).ok()).unwrap_or_default(),
            options: row.options,
            adjustments: row.adjustments.0,
            attempts: row.attempts.0,
            labels: row.labels,
            credit_cost: row.credit_cost,
            estimated_seconds: number(row.estimated_seconds),
            queue_position: row.queue_position,
            assets: row.assets.map(|assets| assets.0).unwrap_or_default(),
            metadata: row.metadata,
            failure: row.error_code.map(|code| Failure {
                code,
                reason: row.error_reason,
                message: row.error_message.unwrap_or_default(),
                retryable: row.error_retryable.unwrap_or_default(),
            }),
            webhook: row.webhook_url.map(|url| Webhook {
                url,
                attempts: row.delivery_attempts.map_or(0, number),
                delivered: row.delivered.unwrap_or_default(),
                last_status: row.last_status.and_then(|status| u16::try_from(status).ok()),
                next_attempt_at: row.due_at,
            }),
            created_at: row.created_at,
            started_at: row.started_at,
            completed_at: row.completed_at,
        }
    }
}

/// A part of a list.
pub(in crate::jobs) struct Listing<'a> {
    pub caller: &'a Caller,
    pub filter: &'a Filter,
    pub after: Option<GenerationId>,
    pub limit: i64,
    pub now: Timestamp,
}

/// A caller's generations, newest first.
pub(in crate::jobs) async fn list(pool: &PgPool, listing: &Listing<'_>) -> sqlx::Result<Vec<Generation>> {
    let Listing { caller, filter, after, limit, now } = *listing;
    let ids = sqlx::query_scalar!(
        r#"
        select generation_id as "id: GenerationId" from generation
        where account_id = $1 and mode = $2
            and generation_id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
            and ($4::text is null or type = $4) and ($5::text is null or status = $5)
            and ($6::text is null or provider = $6)
        order by account_id desc, generation_id desc
        limit $7
        "#,
        caller.account.get(),
        caller.mode.as_str(),
        after.map(GenerationId::uuid),
        filter.r#type.map(GenerationType::as_str),
        filter.status.map(Status::as_str),
        filter.provider,
        limit
    )
    .fetch_all(pool)
    .await?;
    let lookups: Vec<_> =
        ids.into_iter().map(|id| Lookup { account: caller.account, mode: caller.mode, id, now }).collect();
    let found = find_many(pool.clone(), lookups).await?;
    Ok(found.into_iter().flatten().map(|(generation, _)| generation).collect())
}
