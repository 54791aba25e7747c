//! The worker pool: claims what is due and runs steps.
//!
//! Two loops of one shape: jobs and deliveries. A wake-up is a hint, the look at the table is the guarantee; interest is
//! registered before the look, so that nothing is missed in between.

mod deliver;
mod retry;
mod shares;
mod step;
mod stop;
mod store_result;
mod upkeep;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use shares::Shares;

use crate::{
    app::App,
    domain::{Timestamp, Upstream},
    jobs::Claimed,
};

/// How long the pool rests without a hint.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The least time between two claims. The first of a quiet moment waits for nothing; of many, fewer and larger ones cost
/// less.
const CLAIM_EVERY: Duration = Duration::from_millis(2);

/// The moments at which this process knows that something will be due.
#[derive(Default)]
struct Wakes(Mutex<BinaryHeap<Reverse<Timestamp>>>);

impl Wakes {
    fn push(&self, at: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Reverse(at));
    }

    /// How long to rest: until the next known moment after the last look, but not longer than `LOOK_EVERY`.
    fn rest(&self, now: Timestamp, looked_at: Timestamp) -> Duration {
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while moments.peek().is_some_and(|Reverse(at)| *at <= looked_at) {
            moments.pop();
        }
        let next = moments.peek().map(|Reverse(at)| (*at - now).to_std().unwrap_or_default());
        next.map_or(LOOK_EVERY, |wait| wait.min(LOOK_EVERY))
    }
}

/// Starts the pool and the upkeep. They end when `stop` is cancelled; steps under way (`App::work`) go on.
pub fn start(app: &Arc<App>, stop: &CancellationToken) {
    app.spawn("jobs", stop, claim_loop(app.clone(), stop.clone(), claim_jobs));
    app.spawn("deliveries", stop, claim_loop(app.clone(), stop.clone(), deliver::claim));
    app.spawn("upkeep", stop, upkeep::run(app.clone(), stop.clone()));
    app.spawn("statistics", stop, upkeep::keep_statistics(app.clone(), stop.clone()));
}

/// A step under way: what it does, and when it wants to be looked at again.
type Step = std::pin::Pin<Box<dyn Future<Output = Option<Timestamp>> + Send>>;

async fn claim_loop<K, C, F>(app: Arc<App>, stop: CancellationToken, claim: C)
where
    K: Send,
    C: Fn(Arc<App>, Arc<Shares<K>>, u32) -> F + Send,
    F: Future<Output = anyhow::Result<Vec<Step>>> + Send,
{
    let shares = Arc::new(Shares::default());
    let slots = Arc::new(Semaphore::new(app.config.worker.concurrency as usize));
    let (wakes, ended) = (Arc::new(Wakes::default()), Arc::new(Notify::new()));
    let mut looked_last = Instant::now();
    while !stop.is_cancelled() {
        let due = app.bus.due.notified();
        tokio::pin!(due);
        due.as_mut().enable();
        let Some(Ok(first)) = stop.run_until_cancelled(slots.acquire()).await else { return };
        let rested = stop.run_until_cancelled(tokio::time::sleep_until(looked_last + CLAIM_EVERY)).await;
        if rested.is_none() {
            return;
        }
        looked_last = Instant::now();
        let free = slots.available_permits() + 1;
        drop(first);
        let looked_at = app.clock.now();
        let claimed = claim(app.clone(), shares.clone(), u32::try_from(free).unwrap_or(u32::MAX)).await;
        let steps = claimed.unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "nothing could be claimed; trying again");
            Vec::new()
        });
        let is_all = steps.len() < free;
        for step in steps {
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let (wakes, ended) = (wakes.clone(), ended.clone());
            app.work.spawn(async move {
                if let Some(at) = step.await {
                    wakes.push(at);
                }
                drop(slot);
                ended.notify_one();
            });
        }
        if is_all {
            tokio::select! {
                () = stop.cancelled() => return,
                () = due => {}
                // A share of the pool is free again.
                () = ended.notified() => {}
                () = tokio::time::sleep(wakes.rest(app.clock.now(), looked_at)) => {}
            }
        }
    }
}

/// Claims of each upstream what it has calls free, and not more than its share of the pool, so that a slow one holds up
/// none of the others' jobs.
async fn claim_jobs(app: Arc<App>, shares: Arc<Shares<Upstream>>, limit: u32) -> anyhow::Result<Vec<Step>> {
    let share = share_of(&app);
    let mut free = app.registry.free_calls();
    for (upstream, calls) in &mut free {
        *calls = share.saturating_sub(shares.of(upstream)).min(*calls);
    }
    let (lease, jobs) = app.jobs.claim(limit, &free, lease_for(&app)).await?;
    let step = |job: Claimed| {
        let (app, share) = (app.clone(), shares.take(job.upstream.clone()));
        Box::pin(async move {
            let _share = share;
            step::run(app, lease, job).await
        }) as Step
    };
    Ok(jobs.into_iter().map(step).collect())
}

/// The steps that one upstream, or the receivers of one account, may have under way: a quarter of the pool.
fn share_of(app: &App) -> u32 {
    app.config.worker.concurrency.div_ceil(4)
}

fn lease_for(app: &App) -> Duration {
    Duration::from_secs(app.config.worker.lease_seconds)
}

/// Runs everything that is due now, and what becomes due by it, to its end. For tests, whose clock stands still.
pub async fn drain(app: &Arc<App>) -> anyhow::Result<()> {
    let (jobs, deliveries) = (Arc::default(), Arc::default());
    loop {
        let mut steps = claim_jobs(app.clone(), Arc::clone(&jobs), 64).await?;
        steps.extend(deliver::claim(app.clone(), Arc::clone(&deliveries), 64).await?);
        if steps.is_empty() {
            return Ok(());
        }
        futures_util::future::join_all(steps).await;
    }
}
