//! The steps of jobs that go on, each kind in one statement for all workers that take it at the moment.
//!
//! A batch is put in the order of its ids first, and its rows are locked in that order: so two batches never wait for each
//! other. Every row is guarded by its lease and its stage; a worker that lost the job changes nothing.

use std::collections::HashSet;

use sqlx::PgPool;
use uuid::Uuid;

use super::{column, json, served_by};
use crate::{
    catalog::Choice,
    domain::{GenerationId, Timestamp, output::Outputs},
    jobs::{Claimed, Lease},
    providers::Handle,
};

/// A step of one job, under a lease.
#[derive(Clone, Debug)]
pub(in crate::jobs) struct Step<T> {
    pub id: GenerationId,
    pub lease: Lease,
    pub change: T,
}

/// The intent to submit.
#[derive(Clone, Copy, Debug)]
pub(in crate::jobs) struct Intend {
    pub now: Timestamp,
}

/// A job that is given back as it is, for later.
#[derive(Clone, Copy, Debug)]
pub(in crate::jobs) struct PutBack {
    pub due_at: Timestamp,
    pub failures: u32,
}

/// The upstream took it. Attempts are told as JSON.
#[derive(Clone, Debug)]
pub(in crate::jobs) struct Accept {
    pub now: Timestamp,
    pub handle: Handle,
    pub due_at: Timestamp,
    pub deadline_at: Timestamp,
    pub attempts: String,
}

/// It runs on.
#[derive(Clone, Copy, Debug)]
pub(in crate::jobs) struct Look {
    pub due_at: Timestamp,
    pub progress: Option<u8>,
    pub failures: u32,
}

/// The results are known. The lease goes on: the copying begins at once.
#[derive(Clone, Debug)]
pub(in crate::jobs) struct Store {
    pub outputs: Outputs,
    pub attempts: String,
}

/// A batch in the order of its ids.
struct Ordered<'a, T> {
    steps: Vec<&'a Step<T>>,
    ids: Vec<Uuid>,
    leases: Vec<Uuid>,
}

impl<'a, T> Ordered<'a, T> {
    fn of(batch: &'a [Step<T>]) -> Self {
        let mut steps: Vec<&Step<T>> = batch.iter().collect();
        steps.sort_unstable_by_key(|step| step.id);
        let ids = steps.iter().map(|step| step.id.uuid()).collect();
        let leases = steps.iter().map(|step| step.lease.0).collect();
        Self { steps, ids, leases }
    }

    fn each<V>(&self, value: impl Fn(&T) -> V) -> Vec<V> {
        self.steps.iter().map(|step| value(&step.change)).collect()
    }
}

/// For each of a batch whether it is among those that changed.
fn changed<T>(batch: &[Step<T>], ids: Vec<Uuid>) -> Vec<bool> {
    let ids: HashSet<Uuid> = ids.into_iter().collect();
    batch.iter().map(|step| ids.contains(&step.id.uuid())).collect()
}

pub(in crate::jobs) async fn intend(pool: PgPool, batch: Vec<Step<Intend>>) -> sqlx::Result<Vec<bool>> {
    let ordered = Ordered::of(&batch);
    let ids = sqlx::query_scalar!(
        r#"
        with locked as (
            select j.generation_id, u.now
            from unnest($1::uuid[], $2::uuid[], $3::timestamptz[]) u (id, lease, now)
            join job j on j.generation_id = u.id and j.lease = u.lease and j.stage = 'ready'
            order by j.generation_id for update of j
        )
        update job j set stage = 'submitting', submits = submits + 1, submitted_at = locked.now
        from locked where j.generation_id = locked.generation_id
        returning j.generation_id
        "#,
        &ordered.ids,
        &ordered.leases,
        &ordered.each(|change| change.now)
    )
    .fetch_all(&pool)
    .await?;
    Ok(changed(&batch, ids))
}

pub(in crate::jobs) async fn put_back(pool: PgPool, batch: Vec<Step<PutBack>>) -> sqlx::Result<Vec<bool>> {
    let ordered = Ordered::of(&batch);
    let ids = sqlx::query_scalar!(
        r#"
        with locked as (
            select j.generation_id, u.due_at, u.failures
            from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::integer[]) u (id, lease, due_at, failures)
            join job j on j.generation_id = u.id and j.lease = u.lease
            order by j.generation_id for update of j
        )
        update job j set due_at = locked.due_at, lease = null, failures = locked.failures
        from locked where j.generation_id = locked.generation_id
        returning j.generation_id
        "#,
        &ordered.ids,
        &ordered.leases,
        &ordered.each(|change| change.due_at),
        &ordered.each(|change| column(change.failures))
    )
    .fetch_all(&pool)
    .await?;
    Ok(changed(&batch, ids))
}

pub(in crate::jobs) async fn accept(pool: PgPool, batch: Vec<Step<Accept>>) -> sqlx::Result<Vec<bool>> {
    let ordered = Ordered::of(&batch);
    let ids = sqlx::query_scalar!(
        r#"
        with locked as (
            select j.generation_id, u.now, u.handle, u.due_at, u.deadline_at, u.attempts
            from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::text[])
                u (id, lease, now, handle, due_at, deadline_at, attempts)
            join job j on j.generation_id = u.id and j.lease = u.lease and j.stage = 'submitting'
            order by j.generation_id for update of j
        ), moved as (
            update job j set stage = 'running', handle = locked.handle, due_at = locked.due_at,
                deadline_at = locked.deadline_at, lease = null, failures = 0, patience_until = null
            from locked where j.generation_id = locked.generation_id
            returning j.generation_id, j.account_id, locked.now, locked.attempts
        )
        update generation g set status = 'PROCESSING', started_at = coalesce(g.started_at, moved.now), attempts = moved.attempts::json
        from moved where g.account_id = moved.account_id and g.generation_id = moved.generation_id
        returning g.generation_id
        "#,
        &ordered.ids,
        &ordered.leases,
        &ordered.each(|change| change.now),
        &ordered.each(|change| change.handle.0.clone()),
        &ordered.each(|change| change.due_at),
        &ordered.each(|change| change.deadline_at),
        &ordered.each(|change| change.attempts.clone())
    )
    .fetch_all(&pool)
    .await?;
    Ok(changed(&batch, ids))
}

pub(in crate::jobs) async fn look(pool: PgPool, batch: Vec<Step<Look>>) -> sqlx::Result<Vec<bool>> {
    let ordered = Ordered::of(&batch);
    let ids = sqlx::query_scalar!(
        r#"
        with locked as (
            select j.generation_id, u.due_at, u.failures, u.progress
            from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::integer[], $5::smallint[])
                u (id, lease, due_at, failures, progress)
            join job j on j.generation_id = u.id and j.lease = u.lease and j.stage in ('running', 'storing')
            order by j.generation_id for update of j
        )
        update job j set due_at = locked.due_at, lease = null, failures = locked.failures,
            progress = greatest(j.progress, locked.progress), stage = 'running', outputs = null
        from locked where j.generation_id = locked.generation_id
        returning j.generation_id
        "#,
        &ordered.ids,
        &ordered.leases,
        &ordered.each(|change| change.due_at),
        &ordered.each(|change| column(change.failures)),
        &ordered.each(|change| change.progress.map(i16::from)) as &[Option<i16>]
    )
    .fetch_all(&pool)
    .await?;
    Ok(changed(&batch, ids))
}

pub(in crate::jobs) async fn store(pool: PgPool, batch: Vec<Step<Store>>) -> sqlx::Result<Vec<bool>> {
    let ordered = Ordered::of(&batch);
    let ids = sqlx::query_scalar!(
        r#"
        with locked as (
            select j.generation_id, u.outputs, u.attempts
            from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) u (id, lease, outputs, attempts)
            join job j on j.generation_id = u.id and j.lease = u.lease and j.stage in ('submitting', 'running')
            order by j.generation_id for update of j
        ), moved as (
            update job j set stage = 'storing', outputs = locked.outputs::json, failures = 0, patience_until = null
            from locked where j.generation_id = locked.generation_id
            returning j.generation_id, j.account_id, j.submitted_at, locked.attempts
        )
        update generation g set status = 'PROCESSING', started_at = coalesce(g.started_at, moved.submitted_at),
            attempts = moved.attempts::json
        from moved where g.account_id = moved.account_id and g.generation_id = moved.generation_id
        returning g.generation_id
        "#,
        &ordered.ids,
        &ordered.leases,
        &ordered.each(|change| json(&change.outputs)),
        &ordered.each(|change| change.attempts.clone())
    )
    .fetch_all(&pool)
    .await?;
    Ok(changed(&batch, ids))
}

/// A change in a job whose upstream did not take it. Those are few, and go one by one.
pub(in crate::jobs) struct Refused<'a> {
    pub pool: &'a PgPool,
    pub job: &'a Claimed,
    pub lease: Lease,
    pub attempts: String,
    pub patience_until: Timestamp,
}

impl Refused<'_> {
    /// The same upstream is asked again later.
    pub(in crate::jobs) async fn resubmit(&self, due_at: Timestamp) -> sqlx::Result<bool> {
        let done = sqlx::query!(
            "
            with changed as (
                update job set stage = 'ready', due_at = $4, lease = null, patience_until = $5
                where generation_id = $1 and lease = $3 and stage in ('ready', 'submitting')
                returning generation_id
            )
            update generation g set attempts = $6::text::json
            from changed where g.account_id = $2 and g.generation_id = $1
            ",
            self.job.id.uuid(),
            self.job.account.get(),
            self.lease.0,
            due_at,
            self.patience_until,
            self.attempts
        )
        .execute(self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Something else serves it, at once.
    pub(in crate::jobs) async fn fail_over(&self, to: &Choice, now: Timestamp) -> sqlx::Result<bool> {
        let done = sqlx::query!(
            "
            with changed as (
                update job set stage = 'ready', due_at = $4, lease = null, patience_until = $5, upstream = $6
                where generation_id = $1 and lease = $3 and stage in ('ready', 'submitting')
                returning generation_id
            )
            update generation g set attempts = $7::text::json, provider = $8, model = $9, route = $10, upstream = $6, prompt = $11,
                options = $12::text::json, adjustments = $13::text::json, estimated_seconds = $14
            from changed where g.account_id = $2 and g.generation_id = $1
            ",
            self.job.id.uuid(),
            self.job.account.get(),
            self.lease.0,
            now,
            self.patience_until,
            served_by(self.job.mode, &to.upstream),
            self.attempts,
            to.provider.as_str(),
            to.model.as_str(),
            to.route.0,
            to.text,
            json(&to.options),
            json(&to.adjustments),
            column(to.estimated_seconds)
        )
        .execute(self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}
