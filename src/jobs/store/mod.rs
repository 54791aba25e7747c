//! Every statement on generations and jobs. The caller owns the time; each guarded update names its lease.

mod admit;
pub(super) mod advance;
mod read;
mod settle;
mod work;

use serde::Serialize;
use sqlx::PgPool;

use crate::domain::{Mode, Timestamp, Upstream};
pub(super) use admit::{Admission, AdmissionOutcome, Admitted, admit, find_key};
pub(super) use read::{Found, Listing, Lookup, find_many, list};
pub(super) use settle::{Settled, Settlement, settle};
pub use work::Claimed;
pub(super) use work::{claim, delete_stopping, note_late_handle, note_late_success, prolong};

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, sqlx::Type)]
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

fn number(value: i32) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

fn column(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// A value for a column of JSON. What cannot be told is no JSON, which the database refuses.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Who is really asked: the sandbox in test mode.
fn served_by(mode: Mode, upstream: &Upstream) -> &str {
    match mode {
        Mode::Test => SANDBOX,
        Mode::Live => upstream.as_str(),
    }
}

pub(super) async fn counts(pool: &PgPool) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!(r#"select stage, count(*) as "count!" from job group by stage"#).fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| (row.stage, row.count)).collect())
}

/// The moment since which the oldest due job waits for a worker.
pub(super) async fn oldest_due(pool: &PgPool, now: Timestamp) -> sqlx::Result<Option<Timestamp>> {
    let due = sqlx::query_scalar!("
        select min(j.due_at) from upstreams_with_work() u (upstream)
        cross join lateral (select due_at from job where job.upstream = u.upstream and due_at <= $1 order by due_at limit 1) j
        ",
        now
    );
    due.fetch_one(pool).await
}

pub(super) async fn keep_house(pool: &PgPool, now: Timestamp, retention_months: u32) -> sqlx::Result<()> {
    // Keys that an admission is renewing are left to it: waiting for its locks could wait for each other.
    sqlx::query!(
        "
        delete from idempotency where (account_id, mode, key, scope) in (
            select account_id, mode, key, scope from idempotency where expires_at <= $1 for update skip locked
        )
        ",
        now
    )
    .execute(pool)
    .await?;
    sqlx::query!("select make_generation_partitions(($1::timestamptz at time zone 'UTC')::date, 3)::text as made", now)
        .fetch_one(pool)
        .await?;
    sqlx::query!("select forget_far_future($1)::text as forgotten", now).fetch_one(pool).await?;
    if retention_months > 0 {
        sqlx::query!("select drop_generation_partitions($1, $2)::text as dropped", now, column(retention_months))
            .fetch_one(pool)
            .await?;
    }
    Ok(())
}
