//! Credits: double entry, immutable rows, hold, capture, release.
//!
//! A hold is made by the statement that admits a generation, and closed (captured or released) by the statement that
//! ends it; both are functions in the database (`migrations/`). Here are top-ups and the audit.

mod store;

use sqlx::PgConnection;

use crate::domain::{AccountId, Credits, Mode, Timestamp};
pub use store::{Audit, audit};

/// Adds credits to a purse, in the caller's transaction. Nothing happens for an amount of zero.
pub async fn top_up(
    conn: &mut PgConnection,
    account: AccountId,
    mode: Mode,
    credits: Credits,
    now: Timestamp,
) -> sqlx::Result<()> {
    if credits > Credits::ZERO {
        store::top_up(conn, account, mode, credits, now).await?;
    }
    Ok(())
}
