//! Requests that arrive together share one statement.
//!
//! A batch is what queued up while the last one ran: an idle gateway adds no wait, a busy one commits once for many.
//! Each request still gets its own answer. When a batch fails as a whole, its members are run one by one, so that a
//! poisoned request never fails its mates.

use std::{future::Future, sync::Arc};

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::yield_now,
};
use tokio_util::task::TaskTracker;

/// More requests wait than can be served soon.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("too many requests are waiting")]
pub struct Overloaded;

struct Waiting<I, O> {
    item: I,
    answer: oneshot::Sender<sqlx::Result<O>>,
}

/// Gathers items and runs them in batches.
pub struct Batcher<I, O> {
    queue: mpsc::Sender<Waiting<I, O>>,
}

impl<I, O> Clone for Batcher<I, O> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

/// How many items wait at most before new ones are turned away.
const MAX_WAITING: usize = 4096;

impl<I, O> Batcher<I, O>
where
    I: Clone + Send + Sync + 'static,
    O: Send + 'static,
{
    /// Starts it: at most `lanes` batches of at most `size` items are under way at once. `run` answers item by item.
    pub(super) fn start<F, R>(tracker: &TaskTracker, (lanes, size): (usize, usize), run: F) -> Self
    where
        F: Fn(Vec<I>) -> R + Send + Sync + 'static,
        R: Future<Output = sqlx::Result<Vec<O>>> + Send + 'static,
    {
        let (queue, mut waiting) = mpsc::channel(MAX_WAITING);
        let (run, lanes, spawner) = (Arc::new(run), Arc::new(Semaphore::new(lanes)), tracker.clone());
        tracker.spawn(async move {
            loop {
                let Ok(lane) = lanes.clone().acquire_owned().await else { return };
                let Some(first) = waiting.recv().await else { return };
                others_first(&waiting, size).await;
                let mut batch = vec![first];
                while batch.len() < size
                    && let Ok(next) = waiting.try_recv()
                {
                    batch.push(next);
                }
                let run = run.clone();
                spawner.spawn(async move {
                    serve(&*run, batch).await;
                    drop(lane);
                });
            }
        });
        Self { queue }
    }

    /// Runs one item, alone or with others.
    pub async fn run(&self, item: I) -> Result<sqlx::Result<O>, Overloaded> {
        let (answer, outcome) = oneshot::channel();
        self.queue.try_send(Waiting { item, answer }).map_err(|_| Overloaded)?;
        Ok(outcome.await.unwrap_or(Err(sqlx::Error::WorkerCrashed)))
    }
}

/// Lets those that are about to ask come along: while stepping back brings more, it pays to do so again. Where nothing
/// else is to be done, that takes no time.
async fn others_first<T>(waiting: &mpsc::Receiver<T>, size: usize) {
    let mut known = 0;
    loop {
        yield_now().await;
        let now = waiting.len();
        if now == known || now >= size {
            return;
        }
        known = now;
    }
}

async fn serve<I, O, F, R>(run: &F, batch: Vec<Waiting<I, O>>)
where
    I: Clone,
    F: Fn(Vec<I>) -> R,
    R: Future<Output = sqlx::Result<Vec<O>>>,
{
    match run(batch.iter().map(|waiting| waiting.item.clone()).collect()).await {
        Ok(outcomes) => {
            for (Waiting { item, answer }, outcome) in batch.into_iter().zip(outcomes) {
                // The caller's own from here on.
                drop(item);
                // A caller that is gone needs no answer; what it asked for stands.
                let _ = answer.send(Ok(outcome));
            }
        }
        Err(error) if batch.len() == 1 || super::is_away(&error) => {
            let mut error = Some(error);
            for waiting in batch {
                let _ = waiting.answer.send(Err(error.take().unwrap_or(sqlx::Error::PoolTimedOut)));
            }
        }
        Err(_) => {
            for waiting in batch {
                let outcome = run(vec![waiting.item]).await;
                let _ = waiting.answer.send(outcome.and_then(|mut all| all.pop().ok_or(sqlx::Error::RowNotFound)));
            }
        }
    }
}
