//! Webhooks: the outbox, the secrets and the signature, as Standard Webhooks 1.0 has them.
//!
//! The row of a delivery is written by the statement that ends the generation. Delivering is another kind of leased
//! step; what is sent is made from the generation, which no longer changes.

pub mod schedule;
pub mod signature;
mod store;

use std::time::Duration;

use chrono::TimeDelta;
use rand::CryptoRng;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::domain::{AccountId, Clock, GenerationId, Timestamp};
pub use store::{Attempted, Due, SecretRow};

/// How long the old secret signs beside the new one after a rotation.
const ROTATION: TimeDelta = TimeDelta::hours(24);

/// The outbox of this service.
pub struct Webhooks {
    pool: PgPool,
    clock: Clock,
}

/// Why a webhook is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redelivery {
    /// It is due again.
    Scheduled,
    /// The generation has not ended, or has no webhook.
    Nothing,
}

/// How one delivery went.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// The receiver's status, if it answered.
    pub status: Option<u16>,
    /// The start of the receiver's answer, or why there is none.
    pub outcome: String,
}

impl Webhooks {
    /// The outbox in this database.
    pub fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock }
    }

    /// Takes deliveries that are due, under a lease: `at_once` of an account at most, and none of those in `busy`, so
    /// that a receiver that does not answer holds up only its own.
    pub async fn claim(
        &self,
        limit: u32,
        lease_for: Duration,
        at_once: u32,
        busy: &[AccountId],
    ) -> sqlx::Result<(Uuid, Vec<Due>)> {
        let (lease, now) = (Uuid::new_v4(), self.clock.now());
        let until = now + TimeDelta::from_std(lease_for).unwrap_or(TimeDelta::MAX);
        let busy = busy.iter().map(|account| account.get()).collect();
        Ok((lease, store::claim(&self.pool, &store::Claim { lease, now, until, limit, at_once, busy }).await?))
    }

    /// How long the oldest due delivery has been waiting for a worker.
    pub async fn lag(&self) -> sqlx::Result<Duration> {
        let oldest = store::oldest_due(&self.pool).await?;
        Ok(oldest.and_then(|due_at| (self.clock.now() - due_at).to_std().ok()).unwrap_or_default())
    }

    /// Records an attempt and what follows from it: delivered, or due again, or given up (`next` is `None`).
    pub async fn record(&self, due: &Due, lease: Uuid, attempt: &Attempt, next: Attempted) -> sqlx::Result<()> {
        store::record(&self.pool, due, lease, attempt, next).await
    }

    /// Makes a delivery due again, from the start of the schedule.
    pub async fn redeliver(&self, account: AccountId, id: GenerationId) -> sqlx::Result<Redelivery> {
        let found = store::redeliver(&self.pool, account, id, self.clock.now()).await?;
        Ok(if found { Redelivery::Scheduled } else { Redelivery::Nothing })
    }

    /// The secrets that sign now, the current one first.
    pub async fn secrets(&self, account: AccountId) -> sqlx::Result<Vec<SecretRow>> {
        store::live_secrets(&self.pool, account, self.clock.now()).await
    }

    /// Makes a new secret; the old one goes on signing beside it for a day.
    pub async fn rotate_secret(&self, account: AccountId, rng: &mut impl CryptoRng) -> sqlx::Result<SecretRow> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        store::expire_secrets(&mut tx, account, now + ROTATION).await?;
        let secret = signature::new_secret(rng);
        store::insert_secret(&mut tx, account, &secret, now).await?;
        tx.commit().await?;
        Ok(SecretRow { secret, created_at: now, expires_at: None })
    }
}

/// Makes the first secret of a new account.
pub async fn make_secret(
    conn: &mut PgConnection,
    account: AccountId,
    now: Timestamp,
    rng: &mut impl CryptoRng,
) -> sqlx::Result<()> {
    store::insert_secret(conn, account, &signature::new_secret(rng), now).await
}

/// The current secret of an account.
pub async fn current_secret(conn: &mut PgConnection, account: AccountId) -> sqlx::Result<String> {
    store::current_secret(conn, account).await
}
