//! Every statement on generations and jobs. The caller owns the time; each guarded update names its lease.

use serde_json::Value;
use sqlx::{PgPool, types::Json};
use uuid::Uuid;

use super::{Attempt, Change, End, Ending, Filter, Generation, Idempotency, Lease, Submission};
use crate::{
    accounts::Caller,
    catalog::Asked,
    domain::{
        AccountId, Adjustment, Credits, GenerationId, GenerationType, Mode, ModelId, ProviderId, Status, Timestamp,
        Upstream,
        output::{Asset, Outputs},
    },
    limits::Allowance,
    providers::Handle,
};

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Stage {
    /// Waits for one of the plan's places.
    Waiting,
    /// To be submitted.
    Ready,
    /// The intent to submit is durable, the answer is not known.
    Submitting,
    /// The upstream has it.
    Running,
    /// The results are known and being copied.
    Storing,
    /// The generation has ended; the upstream is still to be told.
    Stopping,
}

/// The upstream that serves test mode.
const SANDBOX: &str = "sandbox";

/// A request on its way into the table.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    pub id: GenerationId,
    pub caller: Caller,
    pub now: Timestamp,
    pub submission: Submission,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum AdmissionOutcome {
    Admitted,
    Replayed,
    IdempotencyMismatch,
    RequestsPerMinute,
    DailyLimit,
    QueueFull,
    InsufficientCredits,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub(super) struct Admitted {
    pub outcome: AdmissionOutcome,
    /// The new generation, or the one of an earlier request with the same key.
    pub id: GenerationId,
    pub allowance: Allowance,
    pub retry_after: Option<u64>,
    pub queue_position: Option<i64>,
}

fn number(value: i32) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

fn column(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// Decides on a batch of requests, each for itself, in one statement.
pub(super) async fn admit(pool: &PgPool, batch: &[Admission]) -> sqlx::Result<Vec<Admitted>> {
    let Some(now) = batch.iter().map(|admission| admission.now).max() else { return Ok(Vec::new()) };
    let each = |value: fn(&Admission) -> String| batch.iter().map(value).collect::<Vec<_>>();
    let json = |value: fn(&Admission) -> Value| batch.iter().map(value).collect::<Vec<_>>();
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
        from admit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
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
        &json(|admission| serde_json::to_value(&admission.submission.asked).unwrap_or_default()),
        &batch.iter().map(|admission| admission.submission.choice.text.clone()).collect::<Vec<_>>() as &[Option<String>],
        &json(|admission| Value::Object(admission.submission.choice.options.clone())),
        &json(|admission| serde_json::to_value(&admission.submission.choice.adjustments).unwrap_or_default()),
        &batch.iter().map(|admission| admission.submission.labels.clone()).collect::<Vec<_>>() as &[Option<Value>],
        &batch.iter().map(|admission| admission.submission.webhook_url.clone().map(String::from)).collect::<Vec<_>>()
            as &[Option<String>],
        &batch.iter().map(|admission| column(admission.submission.choice.estimated_seconds)).collect::<Vec<_>>()
    )
    .fetch_all(pool)
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

/// Who is really asked: the sandbox in test mode.
fn served_by(mode: Mode, upstream: &Upstream) -> &str {
    match mode {
        Mode::Test => SANDBOX,
        Mode::Live => upstream.as_str(),
    }
}

/// The generation a key made, with the fingerprint of its request.
pub(super) async fn find_key(
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

/// A generation to look up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup {
    pub account: AccountId,
    pub mode: Mode,
    pub id: GenerationId,
}

/// Looks generations up, each in its caller's account.
pub(super) async fn find_many(pool: &PgPool, batch: &[Lookup]) -> sqlx::Result<Vec<Option<Generation>>> {
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
            d.attempts as "delivery_attempts?", d.delivered as "delivered?", d.last_status, d.due_at
        from unnest($1::bigint[], $2::text[], $3::uuid[]) with ordinality l (account_id, mode, generation_id, item)
        join generation g on g.account_id = l.account_id and g.generation_id = l.generation_id and g.mode = l.mode
        left join job j on j.generation_id = g.generation_id and j.stage <> 'stopping'
        left join delivery d on d.generation_id = g.generation_id
        "#,
        &batch.iter().map(|lookup| lookup.account.get()).collect::<Vec<_>>(),
        &batch.iter().map(|lookup| lookup.mode.as_str().to_owned()).collect::<Vec<_>>(),
        &batch.iter().map(|lookup| lookup.id.uuid()).collect::<Vec<_>>()
    )
    .fetch_all(pool)
    .await?;
    let mut found: Vec<Option<Generation>> = batch.iter().map(|_| None).collect();
    for row in rows {
        if let Some(place) = usize::try_from(row.item - 1).ok().and_then(|item| found.get_mut(item)) {
            *place = Some(row.into());
        }
    }
    Ok(found)
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
            failure: row.error_code.map(|code| super::Failure {
                code,
                reason: row.error_reason,
                message: row.error_message.unwrap_or_default(),
                retryable: row.error_retryable.unwrap_or_default(),
            }),
            webhook: row.webhook_url.map(|url| super::Webhook {
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

/// A caller's generations, newest first.
pub(super) async fn list(
    pool: &PgPool,
    caller: &Caller,
    filter: &Filter,
    after: Option<GenerationId>,
    limit: i64,
) -> sqlx::Result<Vec<Generation>> {
    let ids = sqlx::query_scalar!(
        r#"
        select generation_id as "id: GenerationId" from generation
        where account_id = $1 and mode = $2 and ($3::uuid is null or generation_id < $3)
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
    let lookups: Vec<_> = ids.into_iter().map(|id| Lookup { account: caller.account, mode: caller.mode, id }).collect();
    Ok(find_many(pool, &lookups).await?.into_iter().flatten().collect())
}

/// A job that this worker has, with what its steps need.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The generation.
    pub id: GenerationId,
    /// Whose it is.
    pub account: AccountId,
    /// The mode it runs in.
    pub mode: Mode,
    /// Where the job is.
    pub stage: Stage,
    /// The service that is asked; the sandbox in test mode.
    pub upstream: Upstream,
    /// What that service calls the job.
    pub handle: Option<Handle>,
    /// Submits so far.
    pub submits: u32,
    /// Looks or copies in a row that went wrong.
    pub failures: u32,
    /// When it was submitted last.
    pub submitted_at: Option<Timestamp>,
    /// Until when a troubled upstream is tried.
    pub patience_until: Option<Timestamp>,
    /// When it fails if it is still running.
    pub deadline_at: Option<Timestamp>,
    /// Where the results are.
    pub outputs: Option<Outputs>,
    /// What was asked for.
    pub asked: Asked,
    /// The provider.
    pub provider: ProviderId,
    /// The model.
    pub model: ModelId,
    /// The route, by its id.
    pub route: String,
    /// The prompt with the words of prompt options.
    pub prompt: Option<String>,
    /// The options it runs with.
    pub options: Value,
    /// What was tried.
    pub attempts: Vec<Attempt>,
    /// What it costs.
    pub credit_cost: Credits,
    /// How long the whole run takes, in seconds.
    pub estimated_seconds: u32,
    /// When it was accepted.
    pub created_at: Timestamp,
}

/// Takes what is due, under a lease.
pub(super) async fn claim(
    pool: &PgPool,
    lease: Lease,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
    busy: &[String],
) -> sqlx::Result<Vec<Claimed>> {
    let rows = sqlx::query!(
        r#"
        with due as (
            select generation_id from job where due_at <= $1 and upstream <> all ($5)
            order by due_at limit $4 for update skip locked
        ), claimed as (
            update job set lease = $2, due_at = $3 from due where job.generation_id = due.generation_id returning job.*
        )
        select j.generation_id as "id!: GenerationId", j.account_id as "account_id!", j.mode as "mode!: Mode",
            j.stage as "stage!: Stage", j.upstream as "upstream!", j.handle, j.submits as "submits!",
            j.failures as "failures!", j.submitted_at, j.patience_until, j.deadline_at,
            j.outputs as "outputs: Json<Outputs>", g.asked as "asked: Json<Asked>", g.provider, g.model, g.route, g.prompt,
            g.options, g.attempts as "attempts: Json<Vec<Attempt>>", g.credit_cost as "credit_cost: Credits",
            g.estimated_seconds, g.created_at
        from claimed j join generation g on g.account_id = j.account_id and g.generation_id = j.generation_id
        "#,
        now,
        lease.0,
        until,
        i64::from(limit),
        busy
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Claimed {
            id: row.id,
            account: AccountId::new(row.account_id),
            mode: row.mode,
            stage: row.stage,
            upstream: Upstream::from(row.upstream),
            handle: row.handle.map(Handle),
            submits: number(row.submits),
            failures: number(row.failures),
            submitted_at: row.submitted_at,
            patience_until: row.patience_until,
            deadline_at: row.deadline_at,
            outputs: row.outputs.map(|outputs| outputs.0),
            asked: row.asked.0,
            provider: ProviderId::from(row.provider),
            model: ModelId::from(row.model),
            route: row.route,
            prompt: row.prompt,
            options: row.options,
            attempts: row.attempts.0,
            credit_cost: row.credit_cost,
            estimated_seconds: number(row.estimated_seconds),
            created_at: row.created_at,
        })
        .collect())
}

pub(super) async fn prolong(pool: &PgPool, id: GenerationId, lease: Lease, until: Timestamp) -> sqlx::Result<bool> {
    let done =
        sqlx::query!("update job set due_at = $3 where generation_id = $1 and lease = $2", id.uuid(), lease.0, until)
            .execute(pool)
            .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn intend(pool: &PgPool, id: GenerationId, lease: Lease, now: Timestamp) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "
        update job set stage = 'submitting', submits = submits + 1, submitted_at = $3
        where generation_id = $1 and lease = $2 and stage = 'ready'
        ",
        id.uuid(),
        lease.0,
        now
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn put_back(pool: &PgPool, id: GenerationId, lease: Lease, due_at: Timestamp) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update job set due_at = $3, lease = null where generation_id = $1 and lease = $2",
        id.uuid(),
        lease.0,
        due_at
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Makes a change in a job that goes on, if the lease still holds.
pub(super) async fn advance(
    pool: &PgPool,
    job: &Claimed,
    lease: Lease,
    change: &Change,
    attempts: Option<&[Attempt]>,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let (id, account) = (job.id.uuid(), job.account.get());
    let attempts = attempts.map(|attempts| serde_json::to_value(attempts).unwrap_or_default());
    let done = match change {
        Change::Accepted { handle, due_at, deadline_at } => {
            sqlx::query!(
                "
                with changed as (
                    update job set stage = 'running', handle = $4, due_at = $5, deadline_at = $6, lease = null,
                        failures = 0, patience_until = null
                    where generation_id = $1 and lease = $3 and stage = 'submitting'
                    returning generation_id
                )
                update generation g set status = 'PROCESSING', started_at = coalesce(g.started_at, $7),
                    attempts = coalesce($8, g.attempts)
                from changed where g.account_id = $2 and g.generation_id = changed.generation_id
                ",
                id,
                account,
                lease.0,
                handle.0,
                due_at,
                deadline_at,
                now,
                attempts
            )
            .execute(pool)
            .await?
        }
        Change::Look { due_at, progress, failures } => {
            sqlx::query!(
                "
                update job set due_at = $3, lease = null, failures = $4, progress = greatest(progress, $5),
                    stage = 'running', outputs = null
                where generation_id = $1 and lease = $2 and stage in ('running', 'storing')
                ",
                id,
                lease.0,
                due_at,
                column(*failures),
                progress.map(i16::from)
            )
            .execute(pool)
            .await?
        }
        Change::Store { outputs, due_at, failures } => {
            sqlx::query!(
                "
                update job set stage = 'storing', outputs = $3, failures = $4,
                    due_at = greatest(due_at, $5), lease = case when $6 then lease end
                where generation_id = $1 and lease = $2
                ",
                id,
                lease.0,
                serde_json::to_value(outputs).unwrap_or_default(),
                column(*failures),
                due_at,
                *failures == 0
            )
            .execute(pool)
            .await?
        }
        Change::Resubmit { due_at, patience_until } => {
            sqlx::query!(
                "
                with changed as (
                    update job set stage = 'ready', due_at = $4, lease = null, patience_until = $5
                    where generation_id = $1 and lease = $3 and stage in ('ready', 'submitting')
                    returning generation_id
                )
                update generation g set attempts = coalesce($6, g.attempts)
                from changed where g.account_id = $2 and g.generation_id = changed.generation_id
                ",
                id,
                account,
                lease.0,
                due_at,
                patience_until,
                attempts
            )
            .execute(pool)
            .await?
        }
        Change::FailOver { to, patience_until } => {
            sqlx::query!(
                "
                with changed as (
                    update job set stage = 'ready', due_at = $4, lease = null, patience_until = $5, upstream = $6
                    where generation_id = $1 and lease = $3 and stage in ('ready', 'submitting')
                    returning generation_id
                )
                update generation g set attempts = coalesce($7, g.attempts), provider = $8, model = $9, route = $10,
                    upstream = $6, prompt = $11, options = $12, adjustments = $13, estimated_seconds = $14
                from changed where g.account_id = $2 and g.generation_id = changed.generation_id
                ",
                id,
                account,
                lease.0,
                now,
                patience_until,
                served_by(job.mode, &to.upstream),
                attempts,
                to.provider.as_str(),
                to.model.as_str(),
                to.route.0,
                to.text,
                Value::Object(to.options.clone()),
                serde_json::to_value(&to.adjustments).unwrap_or_default(),
                column(to.estimated_seconds)
            )
            .execute(pool)
            .await?
        }
    };
    Ok(done.rows_affected() > 0)
}

/// The end of a generation on its way into the tables.
#[derive(Clone, Debug)]
pub(super) struct Settlement {
    now: Timestamp,
    account: AccountId,
    mode: Mode,
    id: GenerationId,
    lease: Option<Lease>,
    status: Status,
    assets: Option<Value>,
    metadata: Option<Value>,
    failure: Option<super::Failure>,
    attempts: Option<Value>,
    stop_at: Option<Timestamp>,
}

/// Whether a settlement took effect.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    pub ended: bool,
}

impl Settlement {
    pub(super) fn of_worker(job: &Claimed, lease: Lease, end: End, now: Timestamp) -> Self {
        let (status, assets, metadata, failure) = match end.result {
            Ending::Completed { assets, metadata } => {
                (Status::Completed, Some(serde_json::to_value(assets).unwrap_or_default()), Some(metadata), None)
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
            attempts: Some(serde_json::to_value(end.attempts).unwrap_or_default()),
            stop_at: end.stop_at,
        }
    }

    pub(super) fn of_caller(generation: &Generation, now: Timestamp, stop_at: Timestamp) -> Self {
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
pub(super) async fn settle(pool: &PgPool, batch: &[Settlement]) -> sqlx::Result<Vec<Settled>> {
    let Some(now) = batch.iter().map(|settlement| settlement.now).max() else { return Ok(Vec::new()) };
    let failure = |value: fn(&super::Failure) -> Option<String>| -> Vec<Option<String>> {
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
        &batch.iter().map(|settlement| settlement.assets.clone()).collect::<Vec<_>>() as &[Option<Value>],
        &batch.iter().map(|settlement| settlement.metadata.clone()).collect::<Vec<_>>() as &[Option<Value>],
        &failure(|failure| Some(failure.code.clone())) as &[Option<String>],
        &failure(|failure| failure.reason.clone()) as &[Option<String>],
        &failure(|failure| Some(failure.message.clone())) as &[Option<String>],
        &batch.iter().map(|settlement| settlement.failure.as_ref().map(|failure| failure.retryable)).collect::<Vec<_>>()
            as &[Option<bool>],
        &batch.iter().map(|settlement| settlement.attempts.clone()).collect::<Vec<_>>() as &[Option<Value>],
        &batch.iter().map(|settlement| settlement.stop_at).collect::<Vec<_>>() as &[Option<Timestamp>]
    )
    .fetch_all(pool)
    .await?;
    let items = 1..=i32::try_from(batch.len()).unwrap_or(i32::MAX);
    Ok(items.map(|item| Settled { ended: ended.contains(&item) }).collect())
}

pub(super) async fn delete_stopping(pool: &PgPool, id: GenerationId, lease: Lease) -> sqlx::Result<()> {
    sqlx::query!("delete from job where generation_id = $1 and lease = $2 and stage = 'stopping'", id.uuid(), lease.0)
        .execute(pool)
        .await?;
    Ok(())
}

pub(super) async fn stop_later(
    pool: &PgPool,
    id: GenerationId,
    lease: Lease,
    due_at: Timestamp,
    failures: u32,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update job set due_at = $3, lease = null, failures = $4
        where generation_id = $1 and lease = $2 and stage = 'stopping'
        ",
        id.uuid(),
        lease.0,
        due_at,
        column(failures)
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn note_late_handle(
    pool: &PgPool,
    id: GenerationId,
    handle: &Handle,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update job set handle = $2, due_at = $3, lease = null
        where generation_id = $1 and stage = 'stopping' and handle is null
        ",
        id.uuid(),
        handle.0,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn counts(pool: &PgPool) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(r#"select stage, count(*) as "count!" from job group by stage"#).fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| (row.stage, row.count)).collect())
}

pub(super) async fn keep_house(pool: &PgPool, now: Timestamp, retention_months: u32) -> sqlx::Result<()> {
    sqlx::query!("delete from idempotency where expires_at <= $1", now).execute(pool).await?;
    sqlx::query!("select make_generation_partitions(($1::timestamptz at time zone 'UTC')::date, 3)::text as made", now)
        .fetch_one(pool)
        .await?;
    if retention_months > 0 {
        sqlx::query!("select drop_generation_partitions($1, $2)::text as dropped", now, column(retention_months))
            .fetch_one(pool)
            .await?;
    }
    Ok(())
}
