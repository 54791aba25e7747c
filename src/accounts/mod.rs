//! Accounts, their plans and API keys, and who is calling.
//!
//! A key's text is shown once; the database keeps its SHA-256. Keys are random and long, so a plain hash is enough and
//! its look-up by index leaks nothing about the text. Callers are cached for a while; a revoked key is forgotten at once
//! in every process by way of the bus.

mod key;
mod store;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context as _;
use serde::Serialize;
use sqlx::{PgConnection, PgPool};

use crate::{
    config::{PlanLimits, Plans},
    db::{self, Batcher, Bus, Database},
    domain::{AccountId, Clock, Credits, Mode, Plan, Timestamp},
    ledger,
    limits::Allowance,
    webhooks,
};
pub use key::{Hash, Key};
pub use store::{AccountRow, KeyRow, Usage};

/// How long a caller is remembered without a look at the database.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Callers remembered at once.
const MAX_REMEMBERED: usize = 50_000;

/// Who is calling.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account.
    pub account: AccountId,
    /// Its name.
    pub name: Arc<str>,
    /// The mode of the key.
    pub mode: Mode,
    /// Its plan.
    pub plan: Plan,
    /// Generations a minute in force, for the pacing of reads.
    pub per_minute: u32,
    /// The hash of the key, to notice that it was revoked.
    pub key: Hash,
}

/// The accounts of this service.
pub struct Accounts {
    pool: PgPool,
    clock: Clock,
    plans: RwLock<Plans>,
    seal: webhooks::Seal,
    remembered: RwLock<HashMap<Hash, (Caller, Timestamp)>>,
    usages: Batcher<store::Asked, Option<Usage>>,
}

/// Why a key could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The account has another plan.
    #[error("account {name} is on the plan {}; change it with: doitong accounts set-plan {name} {}", .has.as_str(), .asked.as_str())]
    OtherPlan {
        /// The account.
        name: String,
        /// Its plan.
        has: Plan,
        /// The plan asked for.
        asked: Plan,
    },
    /// The amount makes no sense.
    #[error("credits must not be negative")]
    NegativeCredits,
    /// The account's webhook secret cannot be read or kept.
    #[error(transparent)]
    Secret(#[from] webhooks::SecretError),
    /// Something else.
    #[error(transparent)]
    Internal(#[from] sqlx::Error),
}

/// What `doitong keys create` asks for.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The account's name; made when it is new.
    pub account: String,
    /// Its plan; absent: free for a new account, whatever it is for another.
    pub plan: Option<Plan>,
    /// The mode of the key.
    pub mode: Mode,
    /// Credits: what a new account starts with in this mode, or the top-up of an existing one.
    pub credits: Option<Credits>,
}

/// A key that was just made; its text is not kept.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedKey {
    /// The account's name.
    pub account: String,
    /// The key.
    pub key: String,
    /// The account's plan.
    pub plan: Plan,
    /// The key's mode.
    pub mode: Mode,
    /// Credits that can be spent in this mode.
    pub credits: Credits,
    /// The secret that webhooks are signed with.
    pub webhook_secret: String,
}

impl fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedKey").field("account", &self.account).finish_non_exhaustive()
    }
}

/// Test credits of a new account.
const TEST_CREDITS: Credits = Credits::new(100_000);

impl Accounts {
    /// The accounts in this database, with webhook secrets sealed so.
    pub fn new(database: &Database, clock: Clock, plans: Plans, seal: webhooks::Seal) -> Self {
        Self {
            usages: database.gather(256, store::usages),
            pool: database.pool.clone(),
            clock,
            plans: RwLock::new(plans),
            seal,
            remembered: RwLock::default(),
        }
    }

    /// Puts other numbers of the plans in force, for accounts made from now on; [`Self::apply_plans`] does it for the rest.
    pub fn replace_plans(&self, plans: Plans) {
        *self.plans.write().unwrap_or_else(PoisonError::into_inner) = plans;
    }

    fn limits_of(&self, plan: Plan) -> PlanLimits {
        *self.plans.read().unwrap_or_else(PoisonError::into_inner).of(plan)
    }

    /// Who holds this key; `None` for a key that is unknown or revoked.
    pub async fn caller(&self, key: &str) -> sqlx::Result<Option<Caller>> {
        let (hash, now) = (Hash::of(key), self.clock.now());
        let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        if let Some((caller, _)) = remembered.filter(|(_, until)| *until > now) {
            return Ok(Some(caller));
        }
        let found = store::find_caller(&self.pool, &hash).await?;
        if let Some(caller) = &found {
            let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
            if remembered.len() >= MAX_REMEMBERED {
                remembered.clear();
            }
            remembered.insert(hash, (caller.clone(), now + REMEMBERED));
        }
        Ok(found)
    }

    /// Forgets every caller, so that the next request looks again.
    pub fn forget(&self) {
        self.remembered.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Those of these keys that are still good, by a fresh look.
    pub async fn good_keys(&self, keys: &[Hash]) -> sqlx::Result<HashSet<Hash>> {
        store::good_keys(&self.pool, keys).await
    }

    /// Forgets callers whenever the bus says that keys changed, until stopped.
    pub async fn follow(&self, bus: &Bus, stop: &tokio_util::sync::CancellationToken) {
        let mut changes = bus.key_changes();
        while let Some(change) = stop.run_until_cancelled(changes.recv()).await {
            if matches!(change, Err(tokio::sync::broadcast::error::RecvError::Closed)) {
                return;
            }
            self.forget();
        }
    }

    /// Makes a key, and the account when it is new.
    pub async fn create_key(&self, new: &NewKey, rng: &mut impl rand::CryptoRng) -> Result<CreatedKey, CreateError> {
        if new.credits.is_some_and(|credits| credits < Credits::ZERO) {
            return Err(CreateError::NegativeCredits);
        }
        let (now, key) = (self.clock.now(), Key::generate(new.mode, rng));
        let mut tx = self.pool.begin().await?;
        let (account, plan) = match store::find_account_for_update(&mut tx, &new.account).await? {
            Some(existing) => self.join(&mut tx, new, &existing, now).await?,
            None => self.open(&mut tx, new, now, rng).await?,
        };
        store::insert_key(&mut tx, account, new.mode, &key, now).await?;
        let credits = store::available(&mut tx, account, new.mode).await?;
        let webhook_secret = webhooks::current_secret(&mut tx, account, &self.seal).await?;
        tx.commit().await?;
        Ok(CreatedKey {
            account: new.account.clone(),
            key: key.text().to_owned(),
            plan,
            mode: new.mode,
            credits,
            webhook_secret,
        })
    }

    async fn open(
        &self,
        tx: &mut PgConnection,
        new: &NewKey,
        now: Timestamp,
        rng: &mut impl rand::CryptoRng,
    ) -> Result<(AccountId, Plan), CreateError> {
        let plan = new.plan.unwrap_or(Plan::Free);
        let account = store::insert_account(tx, &new.account, plan, now).await?;
        for mode in [Mode::Test, Mode::Live] {
            store::insert_purse(tx, account, mode, &self.limits_of(plan), now).await?;
            let standard = if mode == Mode::Test { TEST_CREDITS } else { Credits::ZERO };
            let credits = new.credits.filter(|_| mode == new.mode).unwrap_or(standard);
            ledger::top_up(tx, account, mode, credits, now).await?;
        }
        webhooks::make_secret(tx, account, &self.seal, now, rng).await?;
        Ok((account, plan))
    }

    async fn join(
        &self,
        tx: &mut PgConnection,
        new: &NewKey,
        existing: &AccountRow,
        now: Timestamp,
    ) -> Result<(AccountId, Plan), CreateError> {
        if let Some(asked) = new.plan.filter(|plan| *plan != existing.plan) {
            return Err(CreateError::OtherPlan { name: new.account.clone(), has: existing.plan, asked });
        }
        ledger::top_up(tx, existing.account, new.mode, new.credits.unwrap_or(Credits::ZERO), now).await?;
        Ok((existing.account, existing.plan))
    }

    /// Revokes the key with this text or prefix. `false` when there is none.
    pub async fn revoke_key(&self, key_or_prefix: &str) -> sqlx::Result<bool> {
        let mut tx = self.pool.begin().await?;
        let revoked = store::revoke_key(&mut tx, &Hash::of(key_or_prefix), key_or_prefix, self.clock.now()).await?;
        db::tell_keys_changed(&mut tx).await?;
        tx.commit().await?;
        self.forget();
        Ok(revoked)
    }

    /// All keys, oldest first.
    pub async fn keys(&self) -> sqlx::Result<Vec<KeyRow>> {
        store::list_keys(&self.pool).await
    }

    /// All accounts, oldest first.
    pub async fn accounts(&self) -> sqlx::Result<Vec<AccountRow>> {
        store::list_accounts(&self.pool).await
    }

    /// An account by its name.
    pub async fn account(&self, name: &str) -> sqlx::Result<Option<AccountRow>> {
        store::find_account(&self.pool, name).await
    }

    /// Whether there is any account.
    pub async fn any(&self) -> sqlx::Result<bool> {
        store::any_account(&self.pool).await
    }

    /// Adds credits to an account; what it has then. `None` when there is no such account.
    pub async fn credit(&self, name: &str, mode: Mode, credits: Credits) -> sqlx::Result<Option<Credits>> {
        let mut tx = self.pool.begin().await?;
        let Some(found) = store::find_account_for_update(&mut tx, name).await? else { return Ok(None) };
        ledger::top_up(&mut tx, found.account, mode, credits, self.clock.now()).await?;
        let available = store::available(&mut tx, found.account, mode).await?;
        tx.commit().await?;
        Ok(Some(available))
    }

    /// Changes the plan, at once: what was used stays used, waiting jobs get the places that became free.
    /// `None` when there is no such account.
    pub async fn set_plan(&self, name: &str, plan: Plan, agreed: &Agreed) -> sqlx::Result<Option<PlanLimits>> {
        let (now, limits) = (self.clock.now(), agreed.over(&self.limits_of(plan)));
        let mut tx = self.pool.begin().await?;
        let Some(found) = store::find_account_for_update(&mut tx, name).await? else { return Ok(None) };
        store::set_plan(&mut tx, found.account, plan, agreed).await?;
        store::set_limits(&mut tx, found.account, &limits, now).await?;
        store::promote_waiting(&mut tx, found.account, now).await?;
        db::tell_keys_changed(&mut tx).await?;
        tx.commit().await?;
        self.forget();
        Ok(Some(limits))
    }

    /// Brings the limits of all accounts in line with the configured plans. Run at start and when they are read anew.
    pub async fn apply_plans(&self) -> sqlx::Result<()> {
        let plans =
            self.plans.read().unwrap_or_else(PoisonError::into_inner).all().map(|(plan, limits)| (plan, *limits));
        for name in store::out_of_line(&self.pool, &plans).await? {
            let mut tx = self.pool.begin().await?;
            let Some(account) = store::find_account_for_update(&mut tx, &name).await? else { continue };
            let limits = account.agreed.over(&self.limits_of(account.plan));
            if store::set_limits(&mut tx, account.account, &limits, self.clock.now()).await? {
                store::promote_waiting(&mut tx, account.account, self.clock.now()).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }

    /// Limits, counters and credits of a caller.
    pub async fn usage(&self, caller: &Caller) -> anyhow::Result<Usage> {
        let usage = self.usages.run((caller.account, caller.mode, self.clock.now())).await??;
        usage.context("the caller has no purse")
    }

    /// What a caller has left, for the headers.
    pub async fn allowance(&self, caller: &Caller) -> anyhow::Result<Allowance> {
        Ok(self.usage(caller).await?.allowance)
    }
}

/// Numbers agreed with an account instead of its plan's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    /// Generations a minute.
    pub per_minute: Option<u32>,
    /// Generations at once.
    pub concurrent: Option<u32>,
    /// Generations a day.
    pub daily: Option<u32>,
    /// Generations waiting.
    pub queued: Option<u32>,
}

impl Agreed {
    /// The numbers in force: those agreed, over those of the plan.
    pub fn over(&self, plan: &PlanLimits) -> PlanLimits {
        PlanLimits {
            per_minute: self.per_minute.unwrap_or(plan.per_minute),
            concurrent: self.concurrent.unwrap_or(plan.concurrent),
            daily: self.daily.unwrap_or(plan.daily),
            queued: self.queued.unwrap_or(plan.queued),
        }
    }
}
