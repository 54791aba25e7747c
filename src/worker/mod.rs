//! The worker pool: claims what is due and runs steps.
//!
//! Two loops of one shape: jobs and deliveries. A wake-up is a hint, the look at the table is the guarantee; interest is
//! registered before the look, so that nothing is missed in between.

mod deliver;
mod retry;
mod step;
mod store_result;
mod upkeep;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{app::App, domain::Timestamp};

/// How long the pool rests without a hint.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// When this process knows that something will be due.
#[derive(Default)]
struct Wakes(Mutex<BinaryHeap<Reverse<Timestamp>>>);

impl Wakes {
    fn push(&self, at: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Reverse(at));
    }

    /// How long to rest: until the next known moment, but not longer than `LOOK_EVERY`.
    fn rest(&self, now: Timestamp) -> Duration {
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while moments.peek().is_some_and(|Reverse(at)| *at <= now) {
            moments.pop();
        }
        moments.peek().and_then(|Reverse(at)| (*at - now).to_std().ok()).map_or(LOOK_EVERY, |wait| wait.min(LOOK_EVERY))
    }
}

/// Starts the pool and the upkeep. They end when `stop` is cancelled; steps under way (`App::work`) go on.
pub fn start(app: &Arc<App>, stop: &CancellationToken) {
    let (jobs, deliveries) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
    app.spawn("jobs", stop, claim_loop(app.clone(), stop.clone(), jobs, claim_jobs));
    app.spawn("deliveries", stop, claim_loop(app.clone(), stop.clone(), deliveries, deliver::claim_deliveries));
    app.spawn("upkeep", stop, upkeep::run(app.clone(), stop.clone()));
}

/// A step under way: what it does, and when it wants to be looked at again.
type Step = std::pin::Pin<Box<dyn Future<Output = Option<Timestamp>> + Send>>;

async fn claim_loop<C, F>(app: Arc<App>, stop: CancellationToken, wakes: Arc<Wakes>, claim: C)
where
    C: Fn(Arc<App>, u32) -> F + Send,
    F: Future<Output = anyhow::Result<Vec<Step>>> + Send,
{
    let slots = Arc::new(Semaphore::new(app.config.worker.concurrency as usize));
    while !stop.is_cancelled() {
        let due = app.bus.due.notified();
        tokio::pin!(due);
        due.as_mut().enable();
        let Some(Ok(first)) = stop.run_until_cancelled(slots.clone().acquire_owned()).await else { return };
        let free = u32::try_from(slots.available_permits() + 1).unwrap_or(u32::MAX);
        drop(first);
        let steps = claim(app.clone(), free).await.unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "nothing could be claimed; trying again");
            Vec::new()
        });
        let found = !steps.is_empty();
        for step in steps {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let (wakes, app_bus) = (wakes.clone(), app.clone());
            app.work.spawn(async move {
                if let Some(at) = step.await {
                    wakes.push(at);
                }
                drop(slot);
                app_bus.bus.due.notify_waiters();
            });
        }
        if !found {
            let rest = tokio::time::timeout(wakes.rest(app.clock.now()), due);
            let _ = stop.run_until_cancelled(rest).await;
        }
    }
}

async fn claim_jobs(app: Arc<App>, limit: u32) -> anyhow::Result<Vec<Step>> {
    let (lease, jobs) = app.jobs.claim(limit, &app.registry.busy(), lease_for(&app)).await?;
    Ok(jobs.into_iter().map(|job| Box::pin(step::run(app.clone(), lease, job)) as Step).collect())
}

fn lease_for(app: &App) -> Duration {
    Duration::from_secs(app.config.worker.lease_seconds)
}

/// Runs everything that is due now, and what becomes due by it, to its end. For tests, whose clock stands still.
pub async fn drain(app: &Arc<App>) -> anyhow::Result<()> {
    loop {
        let mut steps = claim_jobs(app.clone(), 64).await?;
        steps.extend(deliver::claim_deliveries(app.clone(), 64).await?);
        if steps.is_empty() {
            return Ok(());
        }
        futures_util::future::join_all(steps).await;
    }
}
