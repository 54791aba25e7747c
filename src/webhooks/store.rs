//! Every statement on deliveries and webhook secrets.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Attempt;
use crate::domain::{AccountId, GenerationId, Mode, Timestamp};

/// A delivery to be made.
#[derive(Clone, Debug)]
pub struct Due {
    /// The generation it tells of.
    pub id: GenerationId,
    /// Whose it is.
    pub account: AccountId,
    /// The mode it ran in.
    pub mode: Mode,
    /// Where it goes.
    pub url: String,
    /// Attempts so far.
    pub attempts: u32,
    /// Attempts since it was asked for last.
    pub round: u32,
    /// The trace of the generation's request.
    pub traceparent: Option<String>,
}

/// What follows from an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempted {
    /// The receiver took it.
    Delivered,
    /// It is tried again then.
    Rescheduled(Timestamp),
    /// It is given up.
    Exhausted,
}

/// A webhook secret.
#[derive(Clone)]
pub struct SecretRow {
    /// Its text.
    pub secret: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops signing; absent for the current one.
    pub expires_at: Option<Timestamp>,
}

/// What to take.
pub(super) struct Claim {
    pub lease: Uuid,
    pub now: Timestamp,
    pub until: Timestamp,
    pub limit: u32,
    /// Of one account at most.
    pub at_once: u32,
    /// Accounts that have their share.
    pub busy: Vec<i64>,
}

pub(super) async fn claim(pool: &PgPool, claim: &Claim) -> sqlx::Result<Vec<Due>> {
    let rows = sqlx::query!(
        r#"
        with candidate as (
            select generation_id, row_number() over (partition by account_id order by due_at) as place
            from (
                select generation_id, account_id, due_at from delivery
                where due_at <= $1 and account_id <> all ($5)
                order by due_at limit 4 * $4
            ) oldest
        ), due as (
            select d.generation_id from candidate c join delivery d on d.generation_id = c.generation_id
            where d.due_at <= $1 and c.place <= $6
            order by d.due_at limit $4 for update of d skip locked
        ), claimed as (
            update delivery set lease = $2, due_at = $3 from due
            where delivery.generation_id = due.generation_id returning delivery.*
        )
        select d.generation_id as "id!: GenerationId", d.account_id as "account_id!", d.url as "url!",
            d.attempts as "attempts!", d.round as "round!", g.mode as "mode: Mode", g.traceparent
        from claimed d join generation g on g.account_id = d.account_id and g.generation_id = d.generation_id
        "#,
        claim.now,
        claim.lease,
        claim.until,
        i32::try_from(claim.limit).unwrap_or(i32::MAX),
        &claim.busy,
        i64::from(claim.at_once)
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Due {
            id: row.id,
            account: AccountId::new(row.account_id),
            mode: row.mode,
            url: row.url,
            attempts: u32::try_from(row.attempts).unwrap_or_default(),
            round: u32::try_from(row.round).unwrap_or_default(),
            traceparent: row.traceparent,
        })
        .collect())
}

/// The moment since which the oldest due delivery waits for a worker.
pub(super) async fn oldest_due(pool: &PgPool) -> sqlx::Result<Option<Timestamp>> {
    sqlx::query_scalar!("select min(due_at) from delivery where due_at is not null").fetch_one(pool).await
}

pub(super) async fn record(
    pool: &PgPool,
    due: &Due,
    lease: Uuid,
    attempt: &Attempt,
    next: Attempted,
) -> sqlx::Result<()> {
    let due_at = if let Attempted::Rescheduled(at) = next { Some(at) } else { None };
    sqlx::query!(
        "
        with recorded as (
            -- Without the lease it was made due again meanwhile; what follows is then not this attempt's to say.
            update delivery set attempts = attempts + 1, last_status = $3, delivered = delivered or $4,
                round = case when lease = $2 then round + 1 else round end,
                due_at = case when lease = $2 then $5 else due_at end, lease = nullif(lease, $2)
            where generation_id = $1
            returning attempts
        )
        insert into delivery_attempt (generation_id, attempt, at, duration_ms, status, outcome)
        select $1, attempts, $6, $7, $3, $8 from recorded
        ",
        due.id.uuid(),
        lease,
        attempt.status.map(i32::from),
        next == Attempted::Delivered,
        due_at,
        attempt.at,
        i32::try_from(attempt.took.as_millis()).unwrap_or(i32::MAX),
        attempt.outcome
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn redeliver(
    pool: &PgPool,
    account: AccountId,
    id: GenerationId,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update delivery set due_at = $3, lease = null, round = 0 where generation_id = $1 and account_id = $2",
        id.uuid(),
        account.get(),
        now
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn live_secrets(pool: &PgPool, account: AccountId, now: Timestamp) -> sqlx::Result<Vec<SecretRow>> {
    sqlx::query_as!(
        SecretRow,
        "
        select secret, created_at, expires_at from webhook_secret
        where account_id = $1 and (expires_at is null or expires_at > $2)
        order by expires_at desc nulls first
        ",
        account.get(),
        now
    )
    .fetch_all(pool)
    .await
}

pub(super) async fn current_secret(conn: &mut PgConnection, account: AccountId) -> sqlx::Result<String> {
    sqlx::query_scalar!("select secret from webhook_secret where account_id = $1 and expires_at is null", account.get())
        .fetch_one(conn)
        .await
}

pub(super) async fn expire_secrets(conn: &mut PgConnection, account: AccountId, at: Timestamp) -> sqlx::Result<()> {
    // One rotation at a time: the next one must see the secret that this one makes.
    sqlx::query!("select account_id from account where account_id = $1 for no key update", account.get())
        .fetch_one(&mut *conn)
        .await?;
    sqlx::query!(
        "update webhook_secret set expires_at = $2 where account_id = $1 and expires_at is null",
        account.get(),
        at
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn insert_secret(
    conn: &mut PgConnection,
    account: AccountId,
    secret: &str,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into webhook_secret (account_id, secret, created_at) values ($1, $2, $3)",
        account.get(),
        secret,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}
