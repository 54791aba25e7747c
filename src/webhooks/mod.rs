//! Webhooks: the outbox, the secrets and the signature, as Standard Webhooks 1.0 has them.
//!
//! The row of a delivery is written by the statement that ends the generation. Delivering is another kind of leased
//! step; what is sent is made from the generation, which no longer changes.

pub mod schedule;
mod seal;
pub mod signature;
mod store;

use std::time::Duration;

use chrono::TimeDelta;
use rand::CryptoRng;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    db::{Batcher, Database},
    domain::{AccountId, Clock, GenerationId, Timestamp},
};
pub use seal::{Seal, SecretError};
pub use store::{Attempted, Due, SecretRow};

/// How long the old secret signs beside the new one after a rotation.
const ROTATION: TimeDelta = TimeDelta::hours(24);

/// The outbox of this service.
pub struct Webhooks {
    pool: PgPool,
    clock: Clock,
    seal: Seal,
    keeps: Batcher<(AccountId, Timestamp), Vec<SecretRow>>,
    records: Batcher<store::Recorded, ()>,
}

/// How many items a batch has at most.
const BATCH: usize = 128;

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
    /// The outbox in this database, with secrets sealed so.
    pub fn new(database: &Database, clock: Clock, seal: Seal) -> Self {
        Self {
            keeps: database.gather(BATCH, store::live_secrets),
            records: database.gather(BATCH, store::record),
            pool: database.pool.clone(),
            clock,
            seal,
        }
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
        let now = self.clock.now();
        let oldest = store::oldest_due(&self.pool, now).await?;
        Ok(oldest.and_then(|due_at| (now - due_at).to_std().ok()).unwrap_or_default())
    }

    /// Records an attempt and what follows from it: delivered, or due again, or given up (`next` is `None`).
    pub async fn record(&self, due: &Due, lease: Uuid, attempt: Attempt, next: Attempted) -> anyhow::Result<()> {
        Ok(self.records.run(store::Recorded { id: due.id, lease, attempt, next }).await??)
    }

    /// Makes a delivery due again, from the start of the schedule.
    pub async fn redeliver(&self, account: AccountId, id: GenerationId) -> sqlx::Result<Redelivery> {
        let found = store::redeliver(&self.pool, account, id, self.clock.now()).await?;
        Ok(if found { Redelivery::Scheduled } else { Redelivery::Nothing })
    }

    /// The secrets that sign now, the current one first.
    pub async fn secrets(&self, account: AccountId) -> Result<Vec<SecretRow>, SecretError> {
        let mut secrets = self.keeps.run((account, self.clock.now())).await??;
        for row in &mut secrets {
            row.secret = self.seal.open(account, &row.secret)?;
        }
        Ok(secrets)
    }

    /// Makes a new secret; the old one goes on signing beside it for a day.
    pub async fn rotate_secret(&self, account: AccountId, rng: &mut impl CryptoRng) -> Result<SecretRow, SecretError> {
        let now = self.clock.now();
        let mut tx = self.pool.begin().await?;
        store::expire_secrets(&mut tx, account, now + ROTATION).await?;
        let secret = signature::new_secret(rng);
        store::insert_secret(&mut tx, account, &self.seal.seal(account, &secret, rng)?, now).await?;
        tx.commit().await?;
        Ok(SecretRow { secret, created_at: now, expires_at: None })
    }

    /// Whether the secrets in the database can be read with the keys that are set: one of each key is tried. Says
    /// whether those to come are sealed.
    pub async fn check_secrets(&self) -> Result<bool, SecretError> {
        for kept in store::secret_of_each_key(&self.pool, seal::SEALED).await? {
            self.seal.open(kept.account, &kept.secret)?;
        }
        Ok(self.seal.prefix().is_some())
    }

    /// Checks all secrets, and seals with the current key what is plain or sealed with the previous one. Run at start.
    pub async fn seal_secrets(&self, rng: &mut impl CryptoRng) -> Result<(), SecretError> {
        self.check_secrets().await?;
        let Some(prefix) = self.seal.prefix() else { return Ok(()) };
        loop {
            let mut tx = self.pool.begin().await?;
            let others = store::lock_secrets_not_like(&mut tx, &prefix).await?;
            for kept in &others {
                let secret = self.seal.open(kept.account, &kept.secret)?;
                store::replace_secret(&mut tx, kept.id, &self.seal.seal(kept.account, &secret, rng)?).await?;
            }
            tx.commit().await?;
            if others.is_empty() {
                return Ok(());
            }
        }
    }
}

/// Makes the first secret of a new account.
pub async fn make_secret(
    conn: &mut PgConnection,
    account: AccountId,
    seal: &Seal,
    now: Timestamp,
    rng: &mut impl CryptoRng,
) -> Result<(), SecretError> {
    let secret = seal.seal(account, &signature::new_secret(rng), rng)?;
    Ok(store::insert_secret(conn, account, &secret, now).await?)
}

/// The current secret of an account.
pub async fn current_secret(conn: &mut PgConnection, account: AccountId, seal: &Seal) -> Result<String, SecretError> {
    seal.open(account, &store::current_secret(conn, account).await?)
}
