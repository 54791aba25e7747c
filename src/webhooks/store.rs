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

impl Attempted {
    /// When it is due again.
    pub const fn due_at(self) -> Option<Timestamp> {
        if let Self::Rescheduled(at) = self { Some(at) } else { None }
    }
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
pub(super) async fn oldest_due(pool: &PgPool, now: Timestamp) -> sqlx::Result<Option<Timestamp>> {
    let due = sqlx::query_scalar!("select due_at from delivery where due_at <= $1 order by due_at limit 1", now);
    Ok(due.fetch_optional(pool).await?.flatten())
}

/// An attempt on its way into the tables.
#[derive(Clone, Debug)]
pub(super) struct Recorded {
    pub id: GenerationId,
    pub lease: Uuid,
    pub attempt: Attempt,
    pub next: Attempted,
}

pub(super) async fn record(pool: PgPool, mut batch: Vec<Recorded>) -> sqlx::Result<Vec<()>> {
    // Rows are locked in one order, so that two batches never wait for each other.
    batch.sort_unstable_by_key(|recorded| recorded.id);
    let status: Vec<_> = batch.iter().map(|recorded| recorded.attempt.status.map(i32::from)).collect();
    let due_at: Vec<_> = batch.iter().map(|recorded| recorded.next.due_at()).collect();
    let took = |recorded: &Recorded| i32::try_from(recorded.attempt.took.as_millis()).unwrap_or(i32::MAX);
    sqlx::query!(
        "
        with attempt as (
            select d.generation_id, a.lease, a.status, a.delivered, a.due_at, a.at, a.duration_ms, a.outcome
            from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::boolean[], $5::timestamptz[], $6::timestamptz[],
                $7::integer[], $8::text[]) a (id, lease, status, delivered, due_at, at, duration_ms, outcome)
            join delivery d on d.generation_id = a.id
            order by d.generation_id for update of d
        ), recorded as (
            -- Without the lease it was made due again meanwhile; what follows is then not this attempt's to say.
            update delivery d set attempts = d.attempts + 1, last_status = a.status, delivered = d.delivered or a.delivered,
                round = case when d.lease = a.lease then d.round + 1 else d.round end,
                due_at = case when d.lease = a.lease then a.due_at else d.due_at end, lease = nullif(d.lease, a.lease)
            from attempt a where d.generation_id = a.generation_id
            returning d.generation_id, d.attempts, a.at, a.duration_ms, a.status, a.outcome
        )
        insert into delivery_attempt (generation_id, attempt, at, duration_ms, status, outcome)
        select generation_id, attempts, at, duration_ms, status, outcome from recorded
        ",
        &batch.iter().map(|recorded| recorded.id.uuid()).collect::<Vec<_>>(),
        &batch.iter().map(|recorded| recorded.lease).collect::<Vec<_>>(),
        &status as &[Option<i32>],
        &batch.iter().map(|recorded| recorded.next == Attempted::Delivered).collect::<Vec<_>>(),
        &due_at as &[Option<Timestamp>],
        &batch.iter().map(|recorded| recorded.attempt.at).collect::<Vec<_>>(),
        &batch.iter().map(took).collect::<Vec<_>>(),
        &batch.iter().map(|recorded| recorded.attempt.outcome.clone()).collect::<Vec<_>>()
    )
    .execute(&pool)
    .await?;
    Ok(vec![(); batch.len()])
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

/// The secrets of each of several accounts that sign at a moment, the current one first.
pub(super) async fn live_secrets(
    pool: PgPool,
    batch: Vec<(AccountId, Timestamp)>,
) -> sqlx::Result<Vec<Vec<SecretRow>>> {
    let rows = sqlx::query!(
        r#"
        select a.item as "item!", s.secret, s.created_at, s.expires_at
        from unnest($1::bigint[], $2::timestamptz[]) with ordinality a (account_id, at, item)
        join webhook_secret s on s.account_id = a.account_id and (s.expires_at is null or s.expires_at > a.at)
        order by s.expires_at desc nulls first
        "#,
        &batch.iter().map(|(account, _)| account.get()).collect::<Vec<_>>(),
        &batch.iter().map(|(_, at)| *at).collect::<Vec<_>>()
    )
    .fetch_all(&pool)
    .await?;
    let mut found: Vec<Vec<SecretRow>> = batch.iter().map(|_| Vec::new()).collect();
    for row in rows {
        let place = usize::try_from(row.item - 1).ok().and_then(|item| found.get_mut(item));
        if let Some(secrets) = place {
            secrets.push(SecretRow { secret: row.secret, created_at: row.created_at, expires_at: row.expires_at });
        }
    }
    Ok(found)
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

/// A secret as it is kept.
pub(super) struct Kept {
    pub id: i64,
    pub account: AccountId,
    pub secret: String,
}

/// One sealed secret of each key; `sealed` is what they begin with, then comes the id of the key.
pub(super) async fn secret_of_each_key(pool: &PgPool, sealed: &str) -> sqlx::Result<Vec<Kept>> {
    sqlx::query_as!(
        Kept,
        r#"
        select distinct on (split_part(substr(secret, length($1) + 1), ':', 1))
            webhook_secret_id as id, account_id as "account: AccountId", secret
        from webhook_secret where starts_with(secret, $1)
        "#,
        sealed
    )
    .fetch_all(pool)
    .await
}

/// Some secrets that begin otherwise; those that another process has in hand are left to it.
pub(super) async fn lock_secrets_not_like(conn: &mut PgConnection, prefix: &str) -> sqlx::Result<Vec<Kept>> {
    sqlx::query_as!(
        Kept,
        r#"
        select webhook_secret_id as id, account_id as "account: AccountId", secret
        from webhook_secret where not starts_with(secret, $1)
        limit 500 for update skip locked
        "#,
        prefix
    )
    .fetch_all(conn)
    .await
}

/// Puts another text in the place of a secret.
pub(super) async fn replace_secret(conn: &mut PgConnection, kept: &Kept, secret: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "update webhook_secret set secret = $3 where account_id = $1 and webhook_secret_id = $2",
        kept.account.get(),
        kept.id,
        secret
    )
    .execute(conn)
    .await?;
    Ok(())
}
