//! The job table: generations from admission to their end.
//!
//! A job is a row and is moved in short leased steps. While a worker has it, its `due_at` is the end of the lease, so
//! that a step nobody finishes becomes due again by itself. Every change by a worker names its lease: a worker that lost
//! it changes nothing. What a step concludes is decided by [`state`], a pure function; [`Jobs`] turns it into rows.
//! State, ledger and webhook outbox change in one transaction.
//!
//! A plan's places are given out by admission and by the end of other jobs, under the lock on the purse. A job that
//! waits for a place is in no worker's sight, so that one account's backlog cannot delay another's.

mod cancel;
mod generation;
pub mod idempotency;
pub mod state;
mod store;
mod submit;

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    accounts::Caller,
    catalog::Choice,
    db::{Batcher, Bus, Database},
    domain::{
        AccountId, Clock, GenerationId, GenerationType, Mode, Status, Timestamp, Upstream,
        output::{Asset, Outputs},
    },
    limits::Allowance,
    providers::Handle,
};
pub use cancel::Cancel;
pub use generation::{Attempt, Failure, Generation, Outcome, Webhook};
pub use idempotency::Idempotency;
use store::advance::{self, Step};
pub use store::{Claimed, Stage};
pub use submit::{Limit, Submission, SubmitError, Submitted};

/// A worker's right to change the jobs it claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease(Uuid);

/// The change was not made: the job has ended, or another worker has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease was lost")]
pub struct LeaseLost;

/// The jobs of this service.
pub struct Jobs {
    pool: PgPool,
    clock: Clock,
    bus: Arc<Bus>,
    admissions: Batcher<Arc<store::Admission>, store::Admitted>,
    lookups: Batcher<store::Lookup, Option<store::Found>>,
    intents: Batcher<Step<advance::Intend>, bool>,
    returns: Batcher<Step<advance::PutBack>, bool>,
    acceptances: Batcher<Step<advance::Accept>, bool>,
    looks: Batcher<Step<advance::Look>, bool>,
    results: Batcher<Step<advance::Store>, bool>,
    settlements: Batcher<store::Settlement, store::Settled>,
}

/// How many items a batch has at most.
const BATCH: usize = 128;

/// Which generations a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this type.
    pub r#type: Option<GenerationType>,
    /// Only in this state.
    pub status: Option<Status>,
    /// Only by this provider.
    pub provider: Option<String>,
}

/// A part of a list, newest first.
pub struct Page {
    /// The generations.
    pub generations: Vec<Generation>,
    /// Whether there are more.
    pub has_next: bool,
}

/// What a step changes in a job that goes on.
#[derive(Clone, Debug)]
pub enum Change {
    /// The upstream took it.
    Accepted {
        /// What to poll by.
        handle: Handle,
        /// When to look.
        due_at: Timestamp,
        /// When it fails if it is still running.
        deadline_at: Timestamp,
    },
    /// It runs; look again.
    Look {
        /// When to look.
        due_at: Timestamp,
        /// Percent done, where the upstream told.
        progress: Option<u8>,
        /// Looks in a row that brought no answer.
        failures: u32,
    },
    /// The results are known; the worker keeps its lease and copies them.
    Store {
        /// Where they are.
        outputs: Outputs,
    },
    /// The upstream did not take it: try again later.
    Resubmit {
        /// When.
        due_at: Timestamp,
        /// Until when it is tried.
        patience_until: Timestamp,
    },
    /// The upstream did not take it: something else serves it.
    FailOver {
        /// What serves it now.
        to: Box<Choice>,
        /// When the upstreams' trouble began to try our patience.
        patience_until: Timestamp,
    },
}

/// How a generation ends.
#[derive(Clone, Debug)]
pub struct End {
    /// With what.
    pub result: Ending,
    /// What was tried.
    pub attempts: Vec<Attempt>,
    /// When the upstream is still to be told that it can stop.
    pub stop_at: Option<Timestamp>,
}

/// With what a generation ends.
#[derive(Clone, Debug)]
pub enum Ending {
    /// With files.
    Completed {
        /// The files.
        assets: Vec<Asset>,
        /// What is known of the first.
        metadata: Value,
    },
    /// Without.
    Failed(Failure),
}

impl Jobs {
    /// The jobs in this database.
    pub fn new(database: &Database, clock: Clock, bus: Arc<Bus>) -> Self {
        Self {
            admissions: database.gather(BATCH, store::admit),
            lookups: database.gather(BATCH, store::find_many),
            intents: database.gather(BATCH, advance::intend),
            returns: database.gather(BATCH, advance::put_back),
            acceptances: database.gather(BATCH, advance::accept),
            looks: database.gather(BATCH, advance::look),
            results: database.gather(BATCH, advance::store),
            settlements: database.gather(BATCH, store::settle),
            pool: database.pool.clone(),
            clock,
            bus,
        }
    }

    /// A generation of this caller, and what the caller has left.
    pub async fn find_with_allowance(
        &self,
        caller: &Caller,
        id: GenerationId,
    ) -> anyhow::Result<Option<(Generation, Allowance)>> {
        self.look_up(caller.account, caller.mode, id).await
    }

    /// A generation of this caller.
    pub async fn find(&self, caller: &Caller, id: GenerationId) -> anyhow::Result<Option<Generation>> {
        self.find_of(caller.account, caller.mode, id).await
    }

    /// A generation of this account, for those who are not calling: its webhook, and who watches it.
    pub async fn find_of(
        &self,
        account: AccountId,
        mode: Mode,
        id: GenerationId,
    ) -> anyhow::Result<Option<Generation>> {
        Ok(self.look_up(account, mode, id).await?.map(|(generation, _)| generation))
    }

    async fn look_up(&self, account: AccountId, mode: Mode, id: GenerationId) -> anyhow::Result<Option<store::Found>> {
        Ok(self.lookups.run(store::Lookup { account, mode, id, now: self.clock.now() }).await??)
    }

    /// This caller's generations, newest first, those older than `after`.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: &Filter,
        after: Option<GenerationId>,
        first: u32,
    ) -> sqlx::Result<Page> {
        let listing = store::Listing { caller, filter, after, limit: i64::from(first) + 1, now: self.clock.now() };
        let mut generations = store::list(&self.pool, &listing).await?;
        let has_next = generations.len() > first as usize;
        generations.truncate(first as usize);
        Ok(Page { generations, has_next })
    }

    /// Takes jobs that are due, oldest first; of the upstreams in `free` not more than so many.
    pub async fn claim(
        &self,
        limit: u32,
        free: &[(Upstream, u32)],
        lease_for: Duration,
    ) -> sqlx::Result<(Lease, Vec<Claimed>)> {
        let (lease, now) = (Lease(Uuid::new_v4()), self.clock.now());
        let claimed = store::claim(&self.pool, lease, now, now + time_delta(lease_for), limit, free).await?;
        Ok((lease, claimed))
    }

    /// Prolongs a lease, for steps that take long.
    pub async fn prolong(
        &self,
        id: GenerationId,
        lease: Lease,
        lease_for: Duration,
    ) -> sqlx::Result<Result<(), LeaseLost>> {
        let until = self.clock.now() + time_delta(lease_for);
        Ok(store::prolong(&self.pool, id, lease, until).await?.then_some(()).ok_or(LeaseLost))
    }

    /// Makes the intent to submit durable: from here on the work may be paid.
    pub async fn intend(&self, id: GenerationId, lease: Lease) -> anyhow::Result<Result<(), LeaseLost>> {
        let change = advance::Intend { now: self.clock.now() };
        let changed = self.intents.run(Step { id, lease, change }).await??;
        Ok(changed.then_some(()).ok_or(LeaseLost))
    }

    /// Gives a job back as it is, for later, with the number of times that the same went wrong.
    pub async fn put_back(
        &self,
        id: GenerationId,
        lease: Lease,
        due_at: Timestamp,
        failures: u32,
    ) -> anyhow::Result<Result<(), LeaseLost>> {
        let change = advance::PutBack { due_at, failures };
        let changed = self.returns.run(Step { id, lease, change }).await??;
        Ok(changed.then_some(()).ok_or(LeaseLost))
    }

    /// Makes a change in a job that goes on.
    pub async fn advance(
        &self,
        job: &Claimed,
        lease: Lease,
        change: &Change,
        attempts: &[Attempt],
    ) -> anyhow::Result<Result<(), LeaseLost>> {
        let (id, now) = (job.id, self.clock.now());
        let attempts = serde_json::to_string(attempts)?;
        let refused = |patience_until| advance::Refused {
            pool: &self.pool,
            job,
            lease,
            attempts: attempts.clone(),
            patience_until,
        };
        let changed = match change.clone() {
            Change::Accepted { handle, due_at, deadline_at } => {
                let change = advance::Accept { now, handle, due_at, deadline_at, attempts };
                self.acceptances.run(Step { id, lease, change }).await??
            }
            Change::Look { due_at, progress, failures } => {
                let change = advance::Look { due_at, progress, failures };
                self.looks.run(Step { id, lease, change }).await??
            }
            Change::Store { outputs } => {
                let change = advance::Store { outputs, attempts };
                self.results.run(Step { id, lease, change }).await??
            }
            Change::Resubmit { due_at, patience_until } => refused(patience_until).resubmit(due_at).await?,
            Change::FailOver { to, patience_until } => refused(patience_until).fail_over(&to, now).await?,
        };
        if changed {
            self.bus.tell_changed([id]);
        }
        Ok(changed.then_some(()).ok_or(LeaseLost))
    }

    /// Ends a job: state, credits, webhook and the next waiting job, all or nothing.
    pub async fn finish(&self, job: &Claimed, lease: Lease, end: End) -> anyhow::Result<Result<(), LeaseLost>> {
        let ours = if let Ending::Completed { assets, .. } = &end.result { assets.clone() } else { Vec::new() };
        let status = if let Ending::Completed { .. } = &end.result { Status::Completed } else { Status::Failed };
        let settlement = store::Settlement::of_worker(job, lease, end, self.clock.now());
        let settled = self.settlements.run(settlement).await??;
        if self.ended(job.id, settled) {
            count_end(status, job.provider.as_str());
            let took = (self.clock.now() - job.created_at).as_seconds_f64();
            metrics::histogram!("doitong_generation_seconds", "provider" => job.provider.to_string()).record(took);
            return Ok(Ok(()));
        }
        // It may have ended by an earlier try whose answer was lost; then these very files are its result.
        let found = self.find_of(job.account, job.mode, job.id).await?;
        let is_done = !ours.is_empty() && found.is_some_and(|generation| generation.assets == ours);
        Ok(is_done.then_some(()).ok_or(LeaseLost))
    }

    fn ended(&self, id: GenerationId, settled: store::Settled) -> bool {
        if settled.ended {
            self.bus.tell_changed([id]);
            self.bus.tell_due();
        }
        settled.ended
    }

    /// Forgets a job whose generation has ended, once the upstream was told.
    pub async fn forget(&self, id: GenerationId, lease: Lease) -> sqlx::Result<()> {
        store::delete_stopping(&self.pool, id, lease).await
    }

    /// Forgets a job whose upstream finished it after its generation had failed, and keeps that in the attempts.
    pub async fn note_late_success(&self, job: &Claimed, lease: Lease, attempts: &[Attempt]) -> sqlx::Result<()> {
        if store::note_late_success(&self.pool, job, lease, attempts).await? {
            self.bus.tell_changed([job.id]);
        }
        Ok(())
    }

    /// Notes what an upstream calls a job that ended while it was being submitted, so that it can be told to stop.
    pub async fn note_late_handle(&self, id: GenerationId, handle: &Handle) -> sqlx::Result<()> {
        store::note_late_handle(&self.pool, id, handle, self.clock.now()).await
    }

    /// How long the oldest due job has been waiting for a worker.
    pub async fn lag(&self) -> sqlx::Result<Duration> {
        let now = self.clock.now();
        let oldest = store::oldest_due(&self.pool, now).await?;
        Ok(oldest.and_then(|due_at| (now - due_at).to_std().ok()).unwrap_or_default())
    }

    /// How many jobs are in each stage.
    pub async fn counts(&self) -> sqlx::Result<Vec<(String, i64)>> {
        store::counts(&self.pool).await
    }

    /// Drops idempotency keys past their time and makes the partitions of the months ahead, forgets moments that a
    /// clock far ahead has left behind; drops months past retention.
    pub async fn keep_house(&self, retention_months: u32) -> sqlx::Result<()> {
        store::keep_house(&self.pool, self.clock.now(), retention_months).await
    }
}

/// Counts the end of a generation.
fn count_end(status: Status, provider: &str) {
    let status = status.as_str().to_ascii_lowercase();
    metrics::counter!("doitong_generations_total", "status" => status, "provider" => provider.to_owned()).increment(1);
}

fn time_delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
