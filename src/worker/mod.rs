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

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    domain::{Clock, Timestamp},
};

/// How long the pool rests without a hint.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The moments at which this process knows that something will be due.
#[derive(Default)]
struct Wakes {
    moments: Mutex<BinaryHeap<Reverse<Timestamp>>>,
    added: Notify,
}

impl Wakes {
    fn push(&self, at: Timestamp) {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner).push(Reverse(at));
        self.added.notify_one();
    }

    /// Rests until the next known moment after the last look, but not longer than `LOOK_EVERY`.
    async fn rest(&self, clock: &Clock, looked_at: Timestamp) {
        let longest = tokio::time::sleep(LOOK_EVERY);
        tokio::pin!(longest);
        loop {
            let next = self.wait(clock.now(), looked_at);
            tokio::select! {
                () = &mut longest => return,
                () = tokio::time::sleep(next) => return,
                () = self.added.notified() => {}
            }
        }
    }

    fn wait(&self, now: Timestamp, looked_at: Timestamp) -> Duration {
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        while moments.peek().is_some_and(|Reverse(at)| *at <= looked_at) {
            moments.pop();
        }
        moments.peek().map_or(LOOK_EVERY, |Reverse(at)| (*at - now).to_std().unwrap_or_default())
    }
}

/// Starts the pool and the upkeep. They end when `stop` is cancelled; steps under way (`App::work`) go on.
pub fn start(app: &Arc<App>, stop: &CancellationToken) {
    app.spawn("jobs", stop, claim_loop(app.clone(), stop.clone(), claim_jobs));
    app.spawn("deliveries", stop, claim_loop(app.clone(), stop.clone(), deliver::claim_deliveries));
    app.spawn("upkeep", stop, upkeep::run(app.clone(), stop.clone()));
}

/// A step under way: what it does, and when it wants to be looked at again.
type Step = std::pin::Pin<Box<dyn Future<Output = Option<Timestamp>> + Send>>;

async fn claim_loop<C, F>(app: Arc<App>, stop: CancellationToken, claim: C)
where
    C: Fn(Arc<App>, u32) -> F + Send,
    F: Future<Output = anyhow::Result<Vec<Step>>> + Send,
{
    let (wakes, slots) = (Arc::new(Wakes::default()), Arc::new(Semaphore::new(app.config.worker.concurrency as usize)));
    while !stop.is_cancelled() {
        let due = app.bus.due.notified();
        tokio::pin!(due);
        due.as_mut().enable();
        let Some(Ok(first)) = stop.run_until_cancelled(slots.acquire()).await else { return };
        let free = slots.available_permits() + 1;
        drop(first);
        let looked_at = app.clock.now();
        let steps = claim(app.clone(), u32::try_from(free).unwrap_or(u32::MAX)).await.unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "nothing could be claimed; trying again");
            Vec::new()
        });
        let is_all = steps.len() < free;
        for step in steps {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let wakes = wakes.clone();
            app.work.spawn(async move {
                if let Some(at) = step.await {
                    wakes.push(at);
                }
                drop(slot);
            });
        }
        if is_all {
            tokio::select! {
                () = stop.cancelled() => return,
                () = due => {}
                () = wakes.rest(&app.clock, looked_at) => {}
            }
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
