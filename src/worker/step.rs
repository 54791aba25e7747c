//! One step of a job: submit, reconcile, poll, copy the result, or tell the upstream to stop.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::TimeDelta;
use futures_util::{FutureExt as _, future::BoxFuture};
use rand::RngExt as _;
use serde_json::Value;

use super::{
    lease_for, retry,
    store_result::{self, Kept, NotKept},
};
use crate::{
    app::App,
    catalog::RouteId,
    domain::{Fault, Mode, Timestamp, Verdict, fault::Kind, output::Outputs},
    health::Gate,
    jobs::{
        Attempt, Change, Claimed, End, Ending, Failure, Lease, LeaseLost, Outcome, Stage,
        state::{self, Act, Detour, Next, Recopy, Time, Trouble, Uncopied},
    },
    media::KeepError,
    providers::{Handle, Submitted, Task},
};

/// Times that bytes in hand are offered to a media store that fails; about three minutes.
const IN_HAND_TRIES: u32 = 10;
/// The wait before an upstream is asked again for results that it has already told, as so many failures have it.
const ASK_AGAIN: u32 = 3;
/// Times that work is sent to an upstream which breaks on it.
const INTERNAL_TRIES: usize = 2;
/// How long a step may go on that has lost its lease.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a request whose answer was lost may still be on its way.
const SETTLE: Duration = Duration::from_secs(3);
/// What a run in the sandbox takes, for looking at it.
const SANDBOX_RUN: Duration = Duration::from_secs(1);
/// Why an attempt counts as not reached whose submit was sent, for people.
const NEVER_ARRIVED: &str = "the provider does not have it";
/// Patience in test mode, where a troubled upstream is part of the exercise.
const SANDBOX_PATIENCE: Duration = Duration::from_secs(3);

/// A job in the hands of this worker.
pub(super) struct Work {
    pub app: Arc<App>,
    pub lease: Lease,
    pub job: Claimed,
    pub task: Task,
    /// Until when nobody else can have the job.
    held_until: Mutex<Timestamp>,
}

/// Runs one step to its verdict; when the job wants to be looked at again.
pub(super) async fn run(app: Arc<App>, lease: Lease, job: Claimed) -> Option<Timestamp> {
    let task = task_of(&app, &job);
    let held_until = Mutex::new(job.held_until);
    let work = Work { app, lease, job, task, held_until };
    let result = tokio::select! {
        biased;
        result = work.step() => result,
        () = work.keep_lease() => Ok(None),
    };
    result.unwrap_or_else(|error| {
        tracing::warn!(job.id = %work.job.id, error = format!("{error:#}"), "a step was not recorded; its lease will run out");
        None
    })
}

fn task_of(app: &App, job: &Claimed) -> Task {
    let catalog = app.catalog();
    let route = catalog.route(&RouteId(job.route.clone())).map(|found| found.route);
    let mut input = job.asked.input.clone();
    input.text.clone_from(&job.prompt);
    Task {
        id: job.id,
        attempt: job.submits.max(1),
        r#type: job.asked.r#type,
        model: route.map(|route| route.model.clone()).unwrap_or_default(),
        params: route.map(|route| route.params.clone()).unwrap_or_default(),
        input,
        options: job.options.as_object().cloned().unwrap_or_default(),
        wire: route.map(|route| route.wire.clone()).unwrap_or_default(),
    }
}

impl Work {
    async fn step(&self) -> anyhow::Result<Option<Timestamp>> {
        match state::act(self.job.stage) {
            Act::Submit => self.submit().await,
            Act::Reconcile => self.reconcile().await,
            Act::Poll => self.poll().await,
            Act::Copy => match self.job.outputs.clone() {
                Some(outputs) => self.store(&outputs, self.job.failures, self.job.attempts.clone()).await,
                None => self.look(None, 0).await,
            },
            Act::Stop => self.stop().await,
            Act::Rest => Ok(None),
        }
    }

    /// Prolongs the lease, and returns when it is lost and the step is no longer worth its end.
    async fn keep_lease(&self) {
        let lease_for = lease_for(&self.app);
        loop {
            tokio::time::sleep(lease_for / 3).await;
            let held_until = self.now() + delta(lease_for);
            match self.app.jobs.prolong(self.job.id, self.lease, lease_for).await {
                Ok(Ok(())) => *self.held_until.lock().unwrap_or_else(PoisonError::into_inner) = held_until,
                Ok(Err(LeaseLost)) => break,
                Err(_) => {}
            }
        }
        if self.job.stage == Stage::Ready {
            // A submit goes on without its lease: what the upstream calls the job must not be lost.
            std::future::pending::<()>().await;
        }
        // A step that is just writing down its end has given up the lease itself.
        tokio::time::sleep(LAST_WORDS).await;
    }

    /// Whether nobody else can have the job for a while: long enough for a request that is sent now to arrive.
    fn surely_holds(&self) -> bool {
        let held_until = *self.held_until.lock().unwrap_or_else(PoisonError::into_inner);
        self.now() + delta(lease_for(&self.app) / 4) < held_until
    }

    async fn submit(&self) -> anyhow::Result<Option<Timestamp>> {
        if let Err(wait) = self.app.registry.take_turn(&self.job.upstream) {
            let due_at = self.now() + delta(wait);
            let _ = self.app.jobs.put_back(self.job.id, self.lease, due_at, self.job.failures).await?;
            return Ok(Some(due_at));
        }
        let route = RouteId(self.job.route.clone());
        if self.job.mode == Mode::Live
            && let Gate::Open(until, kind) = self.app.health.pass(&route).await?
        {
            let fault = Fault::new(kind, Verdict::NotReached, "the circuit is open");
            let wait = (until - self.now()).to_std().ok();
            return Ok(self.elsewhere(&fault.retry_after(wait), &self.job.attempts).await?.unwrap_or_default());
        }
        if self.app.jobs.intend(self.job.id, self.lease).await?.is_err() {
            return Ok(None);
        }
        if !self.surely_holds() {
            // This process stood still: another one may be asking what became of the submit, and sending it again.
            return Ok(self.conclude(Next::Submit, None).await?.unwrap_or_default());
        }
        let started_at = self.now();
        let mut task = self.task.clone();
        task.attempt = self.job.submits + 1;
        let answer = self.app.registry.submit(&self.job.upstream, &task).await;
        let attempt = self.attempt(started_at, &answer);
        let trouble = answer.as_ref().err().map(|fault| fault.kind);
        let handle = match &answer {
            Ok(Submitted::Accepted { handle, .. }) => Some(handle.clone()),
            _ => None,
        };
        let recorded = self.conclude(state::after_submit(answer), Some(attempt)).await?;
        if let (Err(LeaseLost), Some(handle)) = (&recorded, handle) {
            self.app.jobs.note_late_handle(self.job.id, &handle).await?;
        }
        self.measure_submit(&route, trouble).await;
        Ok(recorded.unwrap_or_default())
    }

    /// The answer was lost: the job stays as it is, and the next step asks the upstream. Not at once, so that a request
    /// that is still on its way has arrived.
    async fn reconcile_soon(&self) -> anyhow::Result<Option<Timestamp>> {
        let due_at = self.now() + delta(self.app.config.worker.scaled(SETTLE));
        let _ = self.app.jobs.put_back(self.job.id, self.lease, due_at, self.job.failures).await?;
        Ok(Some(due_at))
    }

    /// Counts the answer to a submit in the route's health. That is a help to later choices: it never holds up a verdict.
    async fn measure_submit(&self, route: &RouteId, trouble: Option<Kind>) {
        if self.job.mode == Mode::Test {
            return;
        }
        let counted = match trouble {
            None => self.app.health.accepted(route).await,
            Some(kind) => self.app.health.refused(route, kind).await,
        };
        if let Err(error) = counted {
            tracing::warn!(route.id = %route, %error, "the health of a route was not updated");
        }
    }

    /// Counts the end of a run in the route's health.
    async fn measure_run(&self, succeeded: bool) {
        let (Mode::Live, Some(submitted_at)) = (self.job.mode, self.job.submitted_at) else { return };
        let took = (self.now() - submitted_at).to_std().ok().filter(|_| succeeded);
        let route = RouteId(self.job.route.clone());
        if let Err(error) = self.app.health.ended(&route, took).await {
            tracing::warn!(route.id = %route, %error, "the health of a route was not updated");
        }
    }

    /// A submit was begun and nobody wrote down what came of it.
    async fn reconcile(&self) -> anyhow::Result<Option<Timestamp>> {
        if !self.surely_holds() {
            // To look for it may send it again, see `submit`.
            return Ok(None);
        }
        let answer = self.app.registry.reconcile(&self.job.upstream, &self.task).await;
        let begun = self.job.submitted_at.unwrap_or(self.job.created_at);
        let trouble = if self.job.patience_until.is_some() { Trouble::Some } else { Trouble::None };
        let next = state::after_reconcile(answer, trouble, self.left_until(begun + delta(self.deadline())));
        let outcome = match &next {
            Next::Accepted(..) => Some((Outcome::Accepted, None)),
            Next::Fail(_) => Some((Outcome::Unknown, None)),
            Next::Submit | Next::Elsewhere(_) => Some((Outcome::NotReached, Some(NEVER_ARRIVED.to_owned()))),
            _ => None,
        };
        let attempt = outcome.map(|(outcome, message)| self.attempt_with(begun, outcome, message));
        Ok(self.conclude(next, attempt).await?.unwrap_or_default())
    }

    async fn poll(&self) -> anyhow::Result<Option<Timestamp>> {
        let Some(handle) = &self.job.handle else { anyhow::bail!("a running job has no handle") };
        let answer = self.app.registry.poll(&self.job.upstream, &self.task, handle).await;
        Ok(self.conclude(state::after_poll(answer, self.deadline_left()), None).await?.unwrap_or_default())
    }

    /// Turns a conclusion into rows.
    async fn conclude(
        &self,
        next: Next,
        attempt: Option<Attempt>,
    ) -> anyhow::Result<Result<Option<Timestamp>, LeaseLost>> {
        let mut attempts = self.job.attempts.clone();
        attempts.extend(attempt);
        match next {
            Next::Accepted(handle, after) => self.accepted(handle, after, &attempts).await,
            Next::Wait(percent) => Ok(Ok(self.look(percent, 0).await?)),
            Next::AskAgain(fault) => Ok(Ok(self.ask_again(&fault).await?)),
            Next::Store(outputs) => self.keep(outputs, attempts).await.map(Ok),
            Next::Elsewhere(fault) => self.elsewhere(&fault, &attempts).await,
            Next::Reconcile => self.reconcile_soon().await.map(Ok),
            Next::Submit => {
                let until = self.job.patience_until.unwrap_or_else(|| self.patience_until());
                self.advance(Change::Resubmit { due_at: self.now(), patience_until: until }, &attempts).await
            }
            Next::Fail(failure) => self.fail(failure, attempts, None).await,
            Next::GiveUp(failure) => self.fail(failure, attempts, Some(self.now())).await,
        }
    }

    async fn accepted(
        &self,
        handle: Handle,
        after: Option<Duration>,
        attempts: &[Attempt],
    ) -> anyhow::Result<Result<Option<Timestamp>, LeaseLost>> {
        let look = || self.app.config.worker.scaled(retry::first_look(self.expected(), self.pause()));
        let wait = after.unwrap_or_else(look);
        let (due_at, deadline_at) = (self.now() + delta(wait), self.now() + delta(self.deadline()));
        self.advance(Change::Accepted { handle, due_at, deadline_at }, attempts).await
    }

    async fn look(&self, progress: Option<u8>, failures: u32) -> anyhow::Result<Option<Timestamp>> {
        let due_at = self.until_deadline(self.now() + delta(self.next_wait()));
        Ok(self.advance(Change::Look { due_at, progress, failures }, &[]).await?.unwrap_or_default())
    }

    async fn ask_again(&self, fault: &Fault) -> anyhow::Result<Option<Timestamp>> {
        let failures = self.job.failures + 1;
        let asked = fault.retry_after.unwrap_or_default().max(self.pause());
        let due_at = self.now() + delta(self.back_off(failures, Some(asked)));
        if self.job.stage == Stage::Submitting {
            let _ = self.app.jobs.put_back(self.job.id, self.lease, due_at, failures).await?;
            return Ok(Some(due_at));
        }
        let due_at = self.until_deadline(due_at);
        Ok(self.advance(Change::Look { due_at, progress: None, failures }, &[]).await?.unwrap_or_default())
    }

    /// Nothing was started: another route serves it, or the same one later, until patience is spent.
    async fn elsewhere(
        &self,
        fault: &Fault,
        attempts: &[Attempt],
    ) -> anyhow::Result<Result<Option<Timestamp>, LeaseLost>> {
        let patience_until = self.job.patience_until.unwrap_or_else(|| self.patience_until());
        let here = attempts.iter().filter(|attempt| attempt.route.as_deref() == Some(&*self.job.route)).count();
        let tries = u32::try_from(here).unwrap_or(u32::MAX);
        let due_at = self.now() + delta(self.back_off(tries, fault.retry_after));
        let spent = fault.kind == Kind::Internal && here >= INTERNAL_TRIES;
        let patience = if spent || due_at > patience_until { Time::Up } else { Time::Left };
        match state::detour(fault.kind, self.app.fail_over(&self.job), patience) {
            Detour::Over(choice) => {
                self.advance(Change::FailOver { to: Box::new(choice), patience_until }, attempts).await
            }
            Detour::Later => self.advance(Change::Resubmit { due_at, patience_until }, attempts).await,
            Detour::Fail(failure) => self.fail(failure, attempts.to_vec(), None).await,
        }
    }

    /// Results are known. What must be fetched is written down first, so that a crash does not lose it.
    async fn keep(&self, outputs: Outputs, attempts: Vec<Attempt>) -> anyhow::Result<Option<Timestamp>> {
        if store_result::needs_download(&outputs) {
            let change = Change::Store { outputs: outputs.clone() };
            if self.write(&change, &attempts).await?.is_err() {
                return Ok(None);
            }
        }
        self.store(&outputs, 0, attempts).await
    }

    async fn store(
        &self,
        outputs: &Outputs,
        failures: u32,
        attempts: Vec<Attempt>,
    ) -> anyhow::Result<Option<Timestamp>> {
        let kept = match self.keep_all(outputs).await {
            Ok(kept) => kept,
            Err(error) => return self.not_kept(outputs, failures + 1, attempts, &error).await,
        };
        let result = Ending::Completed { assets: kept.assets.clone(), metadata: kept.metadata };
        let attempts = self.ended(attempts, Outcome::Completed, None);
        if self.finish(End { result, attempts, stop_at: None }).await?.is_err() {
            store_result::discard(self, &kept.assets).await;
        }
        self.measure_run(true).await;
        Ok(None)
    }

    /// Bytes that came with the answer to a submit are nowhere else: the media store is tried again right here.
    async fn keep_all(&self, outputs: &Outputs) -> Result<Kept, NotKept> {
        let mut failures = 0;
        loop {
            match store_result::keep_all(self, outputs).await {
                Err(NotKept::Store(KeepError::Store(error)))
                    if self.is_only_copy(outputs) && failures < IN_HAND_TRIES =>
                {
                    failures += 1;
                    tracing::warn!(job.id = %self.job.id, failures, error = format!("{error:#}"), "the media store refuses a result");
                    tokio::time::sleep(self.back_off(failures, None)).await;
                }
                done => return done,
            }
        }
    }

    fn is_only_copy(&self, outputs: &Outputs) -> bool {
        self.job.handle.is_none() && !store_result::needs_download(outputs)
    }

    /// The copy failed: fetch again, or ask the upstream again for what it lies behind, or give up.
    async fn not_kept(
        &self,
        outputs: &Outputs,
        failures: u32,
        attempts: Vec<Attempt>,
        error: &NotKept,
    ) -> anyhow::Result<Option<Timestamp>> {
        tracing::warn!(job.id = %self.job.id, failures, %error, "a result could not be kept");
        let is_fetched = store_result::needs_download(outputs);
        let is_stale = !is_fetched || matches!(error, NotKept::Gone);
        let copy = if is_stale { Uncopied::Stale } else { Uncopied::Failed(failures) };
        match state::after_copy(copy, self.job.handle.as_ref(), self.deadline_left()) {
            Recopy::Ask => {
                let due_at = self.until_deadline(self.now() + delta(self.back_off(ASK_AGAIN, None)));
                let change = Change::Look { due_at, progress: None, failures: 0 };
                Ok(self.advance(change, &attempts).await?.unwrap_or_default())
            }
            Recopy::Later => {
                let due_at = self.now() + delta(self.back_off(failures, None));
                let _ = self.app.jobs.put_back(self.job.id, self.lease, due_at, failures).await?;
                Ok(Some(due_at))
            }
            Recopy::Fail(failure) => self.fail(failure, attempts, None).await.map(Result::unwrap_or_default),
        }
    }

    async fn fail(
        &self,
        failure: Failure,
        attempts: Vec<Attempt>,
        stop_at: Option<Timestamp>,
    ) -> anyhow::Result<Result<Option<Timestamp>, LeaseLost>> {
        let attempts = self.ended(attempts, Outcome::Failed, Some(failure.message.clone()));
        Ok(self.finish(End { result: Ending::Failed(failure), attempts, stop_at }).await?.map(|()| None))
    }

    /// Writes the end down; with the database away, again and again, for as long as the lease may hold.
    async fn finish(&self, end: End) -> anyhow::Result<Result<(), LeaseLost>> {
        insist(|| self.app.jobs.finish(&self.job, self.lease, end.clone()).boxed()).await
    }

    async fn advance(
        &self,
        change: Change,
        attempts: &[Attempt],
    ) -> anyhow::Result<Result<Option<Timestamp>, LeaseLost>> {
        let due_at = match &change {
            Change::Accepted { due_at, .. } | Change::Look { due_at, .. } | Change::Resubmit { due_at, .. } => *due_at,
            Change::Store { .. } | Change::FailOver { .. } => self.now(),
        };
        Ok(self.write(&change, attempts).await?.map(|()| Some(due_at)))
    }

    async fn write(&self, change: &Change, attempts: &[Attempt]) -> anyhow::Result<Result<(), LeaseLost>> {
        insist(|| self.app.jobs.advance(&self.job, self.lease, change, attempts).boxed()).await
    }

    fn attempt(&self, started_at: Timestamp, answer: &Result<Submitted, Fault>) -> Attempt {
        let (outcome, message) = match answer {
            Ok(_) => (Outcome::Accepted, None),
            Err(fault) => {
                let outcome = match fault.verdict {
                    Verdict::Refused => Outcome::Refused,
                    Verdict::NotReached => Outcome::NotReached,
                    Verdict::Unknown => Outcome::Unknown,
                };
                (outcome, Some(fault.kind.for_people().to_owned()))
            }
        };
        self.attempt_with(started_at, outcome, message)
    }

    fn attempt_with(&self, started_at: Timestamp, outcome: Outcome, message: Option<String>) -> Attempt {
        Attempt {
            provider: self.job.provider.to_string(),
            model: self.job.model.to_string(),
            upstream: self.job.upstream.to_string(),
            route: Some(self.job.route.clone()),
            outcome,
            started_at,
            ended_at: (outcome != Outcome::Accepted).then(|| self.now()),
            message,
        }
    }

    /// The attempts with the end of the last one written in.
    fn ended(&self, mut attempts: Vec<Attempt>, outcome: Outcome, message: Option<String>) -> Vec<Attempt> {
        if let Some(last) = attempts.last_mut().filter(|last| last.outcome == Outcome::Accepted) {
            last.outcome = outcome;
            last.ended_at = Some(self.now());
            last.message = message;
        }
        attempts
    }

    pub(super) fn now(&self) -> Timestamp {
        self.app.clock.now()
    }

    pub(super) fn is_late(&self) -> bool {
        self.job.deadline_at.is_some_and(|deadline| deadline <= self.now())
    }

    fn deadline_left(&self) -> Time {
        if self.is_late() { Time::Up } else { Time::Left }
    }

    fn left_until(&self, moment: Timestamp) -> Time {
        if moment <= self.now() { Time::Up } else { Time::Left }
    }

    fn until_deadline(&self, due_at: Timestamp) -> Timestamp {
        self.job.deadline_at.map_or(due_at, |deadline| due_at.min(deadline.max(self.now())))
    }

    fn expected(&self) -> Duration {
        match self.job.mode {
            Mode::Test => SANDBOX_RUN,
            Mode::Live => Duration::from_secs(self.job.estimated_seconds.into()),
        }
    }

    /// The wait before the next look at a run.
    pub(super) fn next_wait(&self) -> Duration {
        let elapsed = self.job.submitted_at.and_then(|at| (self.now() - at).to_std().ok()).unwrap_or_default();
        self.app.config.worker.scaled(retry::next_look(elapsed, self.expected(), self.pause()))
    }

    /// How long the upstream wants to be left alone between two looks.
    fn pause(&self) -> Duration {
        let catalog = self.app.catalog();
        let spec = catalog.upstreams().0.get(self.job.upstream.as_str()).filter(|_| self.job.mode == Mode::Live);
        spec.and_then(|spec| Duration::try_from_secs_f64(spec.poll_seconds).ok()).unwrap_or_default()
    }

    fn patience_until(&self) -> Timestamp {
        let patience = match self.job.mode {
            Mode::Test => SANDBOX_PATIENCE,
            Mode::Live => Duration::from_secs(self.app.config.worker.patience_seconds),
        };
        self.now() + delta(self.app.config.worker.scaled(patience))
    }

    pub(super) fn deadline(&self) -> Duration {
        self.app.deadline_of(&RouteId(self.job.route.clone()))
    }

    pub(super) fn back_off(&self, failures: u32, asked: Option<Duration>) -> Duration {
        self.app.config.worker.scaled(retry::back_off(failures, asked, jitter()))
    }
}

/// The metadata an upstream told, as JSON members.
pub(super) fn notes(outputs: &Outputs) -> impl Iterator<Item = (String, Value)> + '_ {
    outputs.notes.iter().map(|(name, value)| (name.clone(), value.clone()))
}

/// Tries a write again while the database is away: a verdict in memory is all there is of it.
async fn insist<'a, T>(write: impl Fn() -> BoxFuture<'a, anyhow::Result<T>> + Send) -> anyhow::Result<T> {
    let mut tries = 0;
    loop {
        match write().await {
            Err(error) if tries < 60 && is_away(&error) => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            done => return done,
        }
    }
}

fn is_away(error: &anyhow::Error) -> bool {
    error.downcast_ref::<sqlx::Error>().is_some_and(crate::db::is_away) || error.is::<crate::db::Overloaded>()
}

pub(super) fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[expect(clippy::disallowed_methods, reason = "jitter needs no seed")]
pub(super) fn jitter() -> f64 {
    rand::rng().random_range(0.0..1.0)
}
