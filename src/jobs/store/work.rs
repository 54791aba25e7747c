//! What workers do to jobs, under their leases.

use serde_json::Value;
use sqlx::{PgPool, types::Json};

use super::{Stage, column, json, number};
use crate::{
    catalog::Asked,
    domain::{AccountId, Credits, GenerationId, Mode, ModelId, ProviderId, Timestamp, Upstream, output::Outputs},
    jobs::{Attempt, Lease},
    providers::Handle,
};

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
    /// The trace of its request.
    pub traceparent: Option<String>,
    /// Until when nobody else can have it, unless the lease is prolonged.
    pub held_until: Timestamp,
}

/// Takes what is due, under a lease; of the upstreams in `free` not more than so many.
pub(in crate::jobs) async fn claim(
    pool: &PgPool,
    lease: Lease,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
    free: &[(Upstream, u32)],
) -> sqlx::Result<Vec<Claimed>> {
    let (upstreams, calls): (Vec<String>, Vec<i32>) =
        free.iter().map(|(upstream, calls)| (upstream.to_string(), column(*calls))).unzip();
    let rows = sqlx::query!(
        r#"
        with oldest as (
            select o.generation_id, o.due_at from upstreams_with_work() u (upstream)
            left join unnest($5::text[], $6::integer[]) f (upstream, calls) on f.upstream = u.upstream
            cross join lateral (
                select j.generation_id, j.due_at from job j where j.upstream = u.upstream and j.due_at <= $1
                order by j.due_at limit least(coalesce(f.calls, $4), 4 * $4)
            ) o
        ), due as (
            select j.generation_id from oldest o join job j on j.generation_id = o.generation_id
            where j.due_at <= $1 order by o.due_at limit $4 for update of j skip locked
        ), claimed as (
            update job set lease = $2, due_at = $3 from due where job.generation_id = due.generation_id returning job.*
        )
        select j.generation_id as "id!: GenerationId", j.account_id as "account_id!", j.mode as "mode!: Mode",
            j.stage as "stage!: Stage", j.upstream as "upstream!", j.handle, j.submits as "submits!",
            j.failures as "failures!", j.submitted_at, j.patience_until, j.deadline_at,
            j.outputs as "outputs: Json<Outputs>", g.asked as "asked: Json<Asked>", g.provider, g.model, g.route, g.prompt,
            g.options, g.attempts as "attempts: Json<Vec<Attempt>>", g.credit_cost as "credit_cost: Credits",
            g.estimated_seconds, g.created_at, g.traceparent
        from claimed j join generation g on g.account_id = j.account_id and g.generation_id = j.generation_id
        "#,
        now,
        lease.0,
        until,
        column(limit),
        &upstreams,
        &calls
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
            traceparent: row.traceparent,
            held_until: until,
        })
        .collect())
}

pub(in crate::jobs) async fn prolong(
    pool: &PgPool,
    id: GenerationId,
    lease: Lease,
    until: Timestamp,
) -> sqlx::Result<bool> {
    let done =
        sqlx::query!("update job set due_at = $3 where generation_id = $1 and lease = $2", id.uuid(), lease.0, until)
            .execute(pool)
            .await?;
    Ok(done.rows_affected() > 0)
}

pub(in crate::jobs) async fn delete_stopping(pool: &PgPool, id: GenerationId, lease: Lease) -> sqlx::Result<()> {
    sqlx::query!("delete from job where generation_id = $1 and lease = $2 and stage = 'stopping'", id.uuid(), lease.0)
        .execute(pool)
        .await?;
    Ok(())
}

pub(in crate::jobs) async fn note_late_handle(
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

/// The generation stays as it ended; only what its attempts tell changes.
pub(in crate::jobs) async fn note_late_success(
    pool: &PgPool,
    job: &Claimed,
    lease: Lease,
    attempts: &[Attempt],
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "
        with stopped as (
            delete from job where generation_id = $1 and lease = $3 and stage = 'stopping' returning generation_id
        )
        update generation g set attempts = $4::text::json from stopped
        where g.account_id = $2 and g.generation_id = $1 and g.status = 'FAILED'
        ",
        job.id.uuid(),
        job.account.get(),
        lease.0,
        json(&attempts)
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}
