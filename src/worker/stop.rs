//! What is left to do when a generation has ended before its upstream: tell it to stop, and, after a deadline, see what
//! became of the work all the same.
//!
//! An upstream that cannot stop, or was too late to, may yet finish. That is written into the generation's attempts and
//! never charged: the generation stays as it ended.

use super::step::{Work, delta};
use crate::{
    domain::Timestamp,
    jobs::{
        Attempt, Outcome,
        state::{self, Late},
    },
    providers::{Cancelled, Reconciled},
};

/// Times that telling an upstream to stop is tried. A job with so many failures is only looked at.
const TRIES: u32 = 5;

impl Work {
    /// Tells the upstream, where it can be told; then, after a deadline, looks at the work for as long as it had been given.
    pub(super) async fn stop(&self) -> anyhow::Result<Option<Timestamp>> {
        if self.job.failures >= TRIES {
            return self.watch().await;
        }
        let failures = self.job.failures + 1;
        match self.tell().await {
            Err(fault) if failures < TRIES => {
                let due_at = self.now() + delta(self.back_off(failures, fault.retry_after));
                let _ = self.app.jobs.put_back(self.job.id, self.lease, due_at, failures).await?;
                Ok(Some(due_at))
            }
            Ok(Cancelled::Stopped) => self.forget().await,
            _ => self.watch_on().await,
        }
    }

    async fn tell(&self) -> Result<Cancelled, crate::domain::Fault> {
        let (registry, upstream) = (&self.app.registry, &self.job.upstream);
        let handle = match &self.job.handle {
            Some(handle) => Some(handle.clone()),
            // To look for it would start it.
            None if registry.resends(upstream, &self.task) => None,
            None => match registry.reconcile(upstream, &self.task).await? {
                Reconciled::Found(handle) => Some(handle),
                Reconciled::Absent | Reconciled::Unsupported => None,
            },
        };
        match handle {
            Some(handle) => registry.cancel(upstream, &self.task, &handle).await,
            None => Ok(Cancelled::Unsupported),
        }
    }

    /// A look at work whose generation has failed by its deadline.
    async fn watch(&self) -> anyhow::Result<Option<Timestamp>> {
        let Some(handle) = &self.job.handle else { return self.forget().await };
        let answer = self.app.registry.poll(&self.job.upstream, &self.task, handle).await;
        match state::after_late_look(&answer) {
            Late::On => self.watch_on().await,
            Late::Ended => self.forget().await,
            Late::Finished => {
                self.app.jobs.note_late_success(&self.job, self.lease, &self.finished_late()).await?;
                Ok(None)
            }
        }
    }

    /// Looks again later, if a deadline ended the generation and the time for it is not over.
    async fn watch_on(&self) -> anyhow::Result<Option<Timestamp>> {
        let over = self.job.deadline_at.filter(|_| self.is_late()).map(|deadline| deadline + delta(self.deadline()));
        match over {
            Some(over) if self.now() < over && self.job.handle.is_some() => {
                let due_at = self.now() + delta(self.next_wait());
                let _ = self.app.jobs.put_back(self.job.id, self.lease, due_at, TRIES).await?;
                Ok(Some(due_at))
            }
            _ => self.forget().await,
        }
    }

    async fn forget(&self) -> anyhow::Result<Option<Timestamp>> {
        self.app.jobs.forget(self.job.id, self.lease).await?;
        Ok(None)
    }

    fn finished_late(&self) -> Vec<Attempt> {
        let mut attempts = self.job.attempts.clone();
        if let Some(last) = attempts.last_mut() {
            last.outcome = Outcome::Completed;
            last.ended_at = Some(self.now());
            last.message = Some(state::FINISHED_LATE.to_owned());
        }
        attempts
    }
}
