//! The one feed of a process: who watches which generation, and the telling of changes.
//!
//! However many watch, a generation is read by one task, once for each change, together with others that changed; those
//! who watch it are woken with what was found, and nobody else is. Hints say where to look at once. Without any, each
//! watched generation is looked at every [`LOOK_EVERY`], many with one statement: a hint may be lost, and progress moves
//! with time alone. Since one task reads, no state is told after a later one.
//!
//! A database that is away ends nothing: those who watch are told what changed when it is back.

mod keys;
mod watched;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::{Notify, oneshot, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::{Accounts, Caller},
    db::{self, Bus},
    domain::{Clock, GenerationId},
    jobs::{Generation, Jobs},
};
pub use keys::KeyWatch;
use keys::Keys;
use watched::{Asked, Look, Subject, Watched};

/// How long a generation is left alone when nothing is heard of it.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Generations looked at together.
const TOGETHER: usize = 512;
/// How long one look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait after the database gave no answer.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a watch ends before the generation does.
#[derive(Clone, Debug)]
pub enum Ended {
    /// The key is not good any more.
    KeyRevoked,
    /// The generation is gone.
    Gone,
    /// It cannot be read.
    Broken(Arc<anyhow::Error>),
}

/// A state, or why there is none any more.
pub type News = Result<Arc<Generation>, Ended>;

/// The feed of this process.
pub struct Feed {
    clock: Clock,
    watched: Mutex<Watched>,
    keys: Keys,
    /// There is something to look at, or to be looked at earlier.
    stirred: Notify,
}

impl Feed {
    /// A feed that nobody watches yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, watched: Mutex::default(), keys: Keys::default(), stirred: Notify::new() }
    }

    /// Watches a generation of this caller. `None` when the caller has no such generation.
    pub async fn watch(&self, caller: &Caller, id: GenerationId) -> Result<Option<Watch>, Arc<anyhow::Error>> {
        let key = self.watch_key(caller);
        let (asker, answer) = oneshot::channel();
        self.watched().join(Subject { id, account: caller.account, mode: caller.mode }, asker);
        self.stirred.notify_one();
        let stopped = || Arc::new(anyhow::Error::msg("the feed has stopped"));
        let joined = answer.await.map_err(|_| stopped())??;
        Ok(joined.map(|(first, news)| Watch { first: Some(first), news, key, ended: false }))
    }

    /// Watches this caller's key, for as long as what is returned is kept.
    pub fn watch_key(&self, caller: &Caller) -> KeyWatch {
        self.keys.watch(caller.key)
    }

    /// Looks and tells until stopped.
    pub async fn run(&self, jobs: &Jobs, accounts: &Accounts, bus: &Bus, stop: &CancellationToken) {
        let all = async { tokio::join!(self.listen(bus), self.look(jobs), self.keys.check(accounts, bus)) };
        stop.run_until_cancelled(all).await;
    }

    async fn listen(&self, bus: &Bus) {
        loop {
            let changes = bus.changes().await;
            if self.watched().note(&changes) {
                self.stirred.notify_one();
            }
        }
    }

    async fn look(&self, jobs: &Jobs) {
        loop {
            let asked = self.next().await;
            let looks = join_all(asked.iter().map(|asked| read(jobs, asked.subject))).await;
            let is_away = looks.iter().any(|look| matches!(look, Look::Unanswered(_)));
            self.watched().tell(asked, looks, self.clock.now());
            if is_away {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Waits until there is something to look at.
    async fn next(&self) -> Vec<Asked> {
        loop {
            let stirred = self.stirred.notified();
            let (asked, next_look) = {
                let mut watched = self.watched();
                (watched.take(TOGETHER, Instant::now()), watched.next_look())
            };
            if !asked.is_empty() {
                return asked;
            }
            match next_look {
                Some(at) => drop(timeout_at(at, stirred).await),
                None => stirred.await,
            }
        }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(jobs: &Jobs, Subject { id, account, mode }: Subject) -> Look {
    match timeout(LOOK_LIMIT, jobs.find_of(account, mode, id)).await {
        Ok(Ok(Some(generation))) => Look::Found(Arc::new(generation)),
        Ok(Ok(None)) => Look::Gone,
        Ok(Err(error)) if db::is_passing(&error) => Look::Unanswered(Arc::new(error)),
        Ok(Err(error)) => Look::Broken(Arc::new(error)),
        Err(_) => Look::Unanswered(Arc::new(sqlx::Error::PoolTimedOut.into())),
    }
}

/// A generation as it changes: first its state, then every change, last its end.
pub struct Watch {
    first: Option<Arc<Generation>>,
    news: watch::Receiver<Option<News>>,
    key: KeyWatch,
    ended: bool,
}

impl Watch {
    /// Waits for the next state; `None` after the last.
    pub async fn next(&mut self) -> Option<News> {
        if self.ended {
            return None;
        }
        let news = match self.first.take() {
            Some(first) => Ok(first),
            None => self.changed().await,
        };
        self.ended = news.as_ref().map_or(true, |generation| generation.status.is_terminal());
        Some(news)
    }

    async fn changed(&mut self) -> News {
        tokio::select! {
            biased;
            () = self.key.revoked() => Err(Ended::KeyRevoked),
            news = next_news(&mut self.news) => news,
        }
    }
}

async fn next_news(news: &mut watch::Receiver<Option<News>>) -> News {
    loop {
        if news.changed().await.is_err() {
            // Only a process that stops leaves off telling before the end; it closes its connections itself.
            std::future::pending::<()>().await;
        }
        if let Some(news) = news.borrow_and_update().clone() {
            return news;
        }
    }
}
