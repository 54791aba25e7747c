//! Every statement on accounts, keys and purses, but for admission and settlement, which are functions in the database.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::{Agreed, Caller, Hash, Key};
use crate::{
    config::PlanLimits,
    db,
    domain::{AccountId, Credits, Mode, Plan, Timestamp},
    limits::Allowance,
};

/// An account in a list.
#[derive(Clone, Debug)]
pub struct AccountRow {
    /// Its number.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// Its plan.
    pub plan: Plan,
    /// Numbers agreed with it.
    pub agreed: Agreed,
    /// Credits that can be spent in test mode.
    pub test_credits: Credits,
    /// Credits that can be spent in live mode.
    pub live_credits: Credits,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A key in a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRow {
    /// The start of its text.
    pub prefix: String,
    /// The account's name.
    pub account: String,
    /// Its mode.
    pub mode: Mode,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// Limits, counters and credits of an account in one mode.
#[derive(Clone, Debug)]
pub struct Usage {
    /// The limits in force.
    pub limits: PlanLimits,
    /// What is left.
    pub allowance: Allowance,
    /// Jobs that hold a place.
    pub running: u32,
    /// Jobs that wait for one.
    pub waiting: u32,
    /// Credits held for jobs under way.
    pub held: Credits,
}

fn number(value: i32) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

fn column(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

pub(super) async fn find_caller(pool: &PgPool, hash: &Hash) -> sqlx::Result<Option<Caller>> {
    let row = sqlx::query!(
        r#"
        select a.account_id, a.name, a.plan as "plan: Plan", k.mode as "mode: Mode", p.per_minute
        from api_key k
        join account a using (account_id)
        join purse p on p.account_id = k.account_id and p.mode = k.mode
        where k.hash = $1 and k.revoked_at is null
        "#,
        hash.bytes()
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Caller {
        account: AccountId::new(row.account_id),
        name: row.name.into(),
        mode: row.mode,
        plan: row.plan,
        per_minute: number(row.per_minute),
        key: *hash,
    }))
}

/// Those of these keys that are not revoked.
pub(super) async fn good_keys(pool: &PgPool, keys: &[Hash]) -> sqlx::Result<HashSet<Hash>> {
    let hashes: Vec<_> = keys.iter().map(|key| key.bytes().to_vec()).collect();
    let good = sqlx::query_scalar!("select hash from api_key where hash = any($1) and revoked_at is null", &hashes)
        .fetch_all(pool)
        .await?;
    let good: HashSet<&[u8]> = good.iter().map(Vec::as_slice).collect();
    Ok(keys.iter().copied().filter(|key| good.contains(key.bytes())).collect())
}

/// Credits that can be spent.
pub(super) async fn available(conn: &mut PgConnection, account: AccountId, mode: Mode) -> sqlx::Result<Credits> {
    sqlx::query_scalar!(
        r#"select available as "available: Credits" from purse where account_id = $1 and mode = $2"#,
        account.get(),
        mode.as_str()
    )
    .fetch_one(conn)
    .await
}

/// Whose usage is asked for, and when.
pub(super) type Asked = (AccountId, Mode, Timestamp);

/// The usage of each of several accounts in a mode, in their order.
pub(super) async fn usages(pool: PgPool, batch: Vec<Asked>) -> sqlx::Result<Vec<Option<Usage>>> {
    let rows = sqlx::query!(
        r#"
        select asked.item as "item!", p.per_minute, p.concurrent, coalesce(p.daily, 0) as "daily!", p.queued, p.minute_level,
            p.minute_at, p.day_count, p.day, p.running, p.waiting, p.available as "available: Credits", p.held as "held: Credits"
        from unnest($1::bigint[], $2::text[]) with ordinality asked (account_id, mode, item)
        join purse p on p.account_id = asked.account_id and p.mode = asked.mode
        "#,
        &batch.iter().map(|(account, ..)| account.get()).collect::<Vec<_>>(),
        &batch.iter().map(|(_, mode, _)| mode.as_str().to_owned()).collect::<Vec<_>>()
    )
    .fetch_all(&pool)
    .await?;
    Ok(db::in_places(
        &batch,
        rows,
        |row| row.item,
        |&(_, _, now), row| {
            let limits = PlanLimits {
                per_minute: number(row.per_minute),
                concurrent: number(row.concurrent),
                daily: number(row.daily),
                queued: number(row.queued),
            };
            let allowance = Allowance {
                per_minute: limits.per_minute,
                minute_level: row.minute_level,
                daily: Some(limits.daily).filter(|daily| *daily > 0),
                day_count: number(row.day_count),
                available: row.available,
            };
            Usage {
                limits,
                allowance: allowance.drained(row.minute_at, row.day, now),
                running: number(row.running),
                waiting: number(row.waiting),
                held: row.held,
            }
        },
    ))
}

pub(super) async fn insert_account(
    conn: &mut PgConnection,
    name: &str,
    plan: Plan,
    now: Timestamp,
) -> sqlx::Result<AccountId> {
    sqlx::query_scalar!(
        "insert into account (name, plan, created_at) values ($1, $2, $3) returning account_id",
        name,
        plan.as_str(),
        now
    )
    .fetch_one(conn)
    .await
    .map(AccountId::new)
}

pub(super) async fn insert_purse(
    conn: &mut PgConnection,
    account: AccountId,
    mode: Mode,
    limits: &PlanLimits,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into purse (account_id, mode, minute_at, day, per_minute, concurrent, daily, queued)
        values ($1, $2, $3, ($3 at time zone 'UTC')::date, $4, $5, nullif($6, 0), $7)
        ",
        account.get(),
        mode.as_str(),
        now,
        column(limits.per_minute),
        column(limits.concurrent),
        column(limits.daily),
        column(limits.queued)
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn insert_key(
    conn: &mut PgConnection,
    account: AccountId,
    mode: Mode,
    key: &Key,
    now: Timestamp,
) -> sqlx::Result<()> {
    let hash = key.hash();
    sqlx::query!(
        "insert into api_key (account_id, mode, hash, prefix, created_at) values ($1, $2, $3, $4, $5)",
        account.get(),
        mode.as_str(),
        hash.bytes(),
        key.prefix(),
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn revoke_key(
    conn: &mut PgConnection,
    hash: &Hash,
    prefix: &str,
    now: Timestamp,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update api_key set revoked_at = $3 where (hash = $1 or prefix = $2) and revoked_at is null",
        hash.bytes(),
        prefix,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn list_keys(pool: &PgPool) -> sqlx::Result<Vec<KeyRow>> {
    sqlx::query_as!(
        KeyRow,
        r#"
        select k.prefix, a.name as account, k.mode as "mode: Mode", k.created_at, k.revoked_at
        from api_key k join account a using (account_id) order by k.api_key_id
        "#
    )
    .fetch_all(pool)
    .await
}

/// Accounts by name, or all of them.
async fn select_accounts(on: impl PgExecutor<'_>, name: Option<&str>) -> sqlx::Result<Vec<AccountRow>> {
    let rows = sqlx::query!(
        r#"
        select a.account_id, a.name, a.plan as "plan: Plan", a.per_minute, a.concurrent, a.daily, a.queued, a.created_at,
            t.available as "test_credits: Credits", l.available as "live_credits: Credits"
        from account a
        join purse t on t.account_id = a.account_id and t.mode = 'test'
        join purse l on l.account_id = a.account_id and l.mode = 'live'
        where $1::text is null or a.name = $1
        order by a.account_id
        "#,
        name
    )
    .fetch_all(on)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| AccountRow {
            account: AccountId::new(row.account_id),
            name: row.name,
            plan: row.plan,
            agreed: Agreed {
                per_minute: row.per_minute.map(number),
                concurrent: row.concurrent.map(number),
                daily: row.daily.map(number),
                queued: row.queued.map(number),
            },
            test_credits: row.test_credits,
            live_credits: row.live_credits,
            created_at: row.created_at,
        })
        .collect())
}

pub(super) async fn list_accounts(pool: &PgPool) -> sqlx::Result<Vec<AccountRow>> {
    select_accounts(pool, None).await
}

pub(super) async fn find_account(on: impl PgExecutor<'_>, name: &str) -> sqlx::Result<Option<AccountRow>> {
    Ok(select_accounts(on, Some(name)).await?.pop())
}

/// The account, with its row locked; a name that is new is locked too, against a twin that makes it now.
pub(super) async fn find_account_for_update(conn: &mut PgConnection, name: &str) -> sqlx::Result<Option<AccountRow>> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 0))::text as locked", name)
        .fetch_one(&mut *conn)
        .await?;
    find_account(conn, name).await
}

pub(super) async fn any_account(pool: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from account) as "any!""#).fetch_one(pool).await
}

pub(super) async fn set_plan(
    conn: &mut PgConnection,
    account: AccountId,
    plan: Plan,
    agreed: &Agreed,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update account set plan = $2, per_minute = $3, concurrent = $4, daily = $5, queued = $6 where account_id = $1",
        account.get(),
        plan.as_str(),
        agreed.per_minute.map(column),
        agreed.concurrent.map(column),
        agreed.daily.map(column),
        agreed.queued.map(column)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The accounts whose limits in force are not those of their plans and agreements.
pub(super) async fn out_of_line(pool: &PgPool, plans: &[(Plan, PlanLimits)]) -> sqlx::Result<Vec<String>> {
    let each =
        |value: fn(&PlanLimits) -> u32| plans.iter().map(|(_, limits)| column(value(limits))).collect::<Vec<_>>();
    sqlx::query_scalar!(
        "
        select distinct a.name from account a
        join purse p using (account_id)
        join unnest($1::text[], $2::integer[], $3::integer[], $4::integer[], $5::integer[])
            l (plan, per_minute, concurrent, daily, queued) on l.plan = a.plan
        where (p.per_minute, p.concurrent, coalesce(p.daily, 0), p.queued) is distinct from (
            coalesce(a.per_minute, l.per_minute), coalesce(a.concurrent, l.concurrent), coalesce(a.daily, l.daily),
            coalesce(a.queued, l.queued)
        )
        ",
        &plans.iter().map(|(plan, _)| plan.as_str().to_owned()).collect::<Vec<_>>(),
        &each(|limits| limits.per_minute),
        &each(|limits| limits.concurrent),
        &each(|limits| limits.daily),
        &each(|limits| limits.queued)
    )
    .fetch_all(pool)
    .await
}

/// Sets the limits in force; what drained at the old rate until now stays drained. Says whether anything changed.
pub(super) async fn set_limits(
    conn: &mut PgConnection,
    account: AccountId,
    limits: &PlanLimits,
    now: Timestamp,
) -> sqlx::Result<bool> {
    // In the order in which admission locks them.
    sqlx::query!("select mode from purse where account_id = $1 order by mode for update", account.get())
        .fetch_all(&mut *conn)
        .await?;
    let done = sqlx::query!(
        "
        update purse set
            minute_level = greatest(0, minute_level
                - greatest(0, extract(epoch from $2 - minute_at)::double precision) * per_minute / 60),
            minute_at = greatest(minute_at, $2),
            per_minute = $3, concurrent = $4, daily = nullif($5, 0), queued = $6
        where account_id = $1 and (per_minute, concurrent, coalesce(daily, 0), queued) is distinct from ($3, $4, $5, $6)
        ",
        account.get(),
        now,
        column(limits.per_minute),
        column(limits.concurrent),
        column(limits.daily),
        column(limits.queued)
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn promote_waiting(conn: &mut PgConnection, account: AccountId, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query!("select promote_waiting($1, $2)::text as done", now, account.get()).fetch_one(conn).await?;
    Ok(())
}
