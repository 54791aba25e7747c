//! Every statement on the ledger outside admission and settlement.

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::domain::{AccountId, Credits, Mode, Timestamp};

pub(super) async fn top_up(
    conn: &mut PgConnection,
    account: AccountId,
    mode: Mode,
    credits: Credits,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        with purse as (
            update purse set available = available + $4 where account_id = $1 and mode = $2
        )
        insert into ledger_transfer (account_id, mode, reference, kind, amount, at) values ($1, $2, $3, 'top-up', $4, $5)
        ",
        account.get(),
        mode.as_str(),
        Uuid::now_v7(),
        credits.get(),
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What is wrong with the books; all zero when nothing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// The sum of all entries.
    pub sum: i64,
    /// Purses whose credits differ from their entries.
    pub purses_off: i64,
    /// Holds that were not closed though their generation has ended.
    pub holds_left: i64,
    /// Ended generations without exactly one closing transfer of their cost.
    pub unsettled: i64,
}

/// Checks the books against each other.
pub async fn audit(on: impl PgExecutor<'_>) -> sqlx::Result<Audit> {
    sqlx::query_as!(
        Audit,
        r#"
        select
            (select coalesce(sum(amount), 0)::bigint from ledger_entry) as "sum!",
            (select count(*) from purse p
                left join lateral (
                    select coalesce(sum(e.amount) filter (where e.book = 'available'), 0) as available,
                        coalesce(sum(e.amount) filter (where e.book = 'held'), 0) as held
                    from ledger_entry e where e.account_id = p.account_id and e.mode = p.mode
                ) l on true
                where p.available <> l.available or p.held <> l.held) as "purses_off!",
            (select count(*) from ledger_transfer h
                join generation g on g.account_id = h.account_id and g.generation_id = h.reference
                where h.kind = 'hold' and g.completed_at is not null and not exists (
                    select from ledger_transfer c where c.account_id = h.account_id and c.reference = h.reference and c.closes
                )) as "holds_left!",
            (select count(*) from generation g
                left join ledger_transfer c on c.account_id = g.account_id and c.reference = g.generation_id and c.closes
                where g.completed_at is not null and (c.amount is distinct from g.credit_cost
                    or (c.kind = 'capture') <> (g.status = 'COMPLETED'))) as "unsettled!"
        "#
    )
    .fetch_one(on)
    .await
}
