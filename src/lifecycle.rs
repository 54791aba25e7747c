//! How the process lives and ends: signals, and background tasks that must not end on their own.
//!
//! The first signal begins a drain: readiness is over, nothing new is claimed, what is under way goes on. The second
//! one, or the end of patience, leaves what is under way to the leases. A background task that panics or returns before
//! it was told to takes the process down: half a process is worse than none.

use std::{
    future::Future,
    io,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::{
    signal::unix::{Signal as Listener, SignalKind, signal},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, SIGTERM: end.
    Stop,
    /// SIGHUP: read catalogue and plans anew.
    Reload,
}

/// The signals this process gets. From its making on they do not end the process by themselves.
pub struct Signals {
    interrupt: Listener,
    terminate: Listener,
    hang_up: Listener,
}

impl Signals {
    /// Begins to listen.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }

    /// The next signal to stop.
    pub async fn stop(&mut self) {
        while self.next().await != Signal::Stop {}
    }
}

/// Who asks whether this process is ready: a balancer does so over and over, and sends callers until it heard a no, often
/// more than once. So a process that drains goes on serving until the balancer has moved.
#[derive(Debug, Default)]
pub struct Probes(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    last: Option<Instant>,
    /// The time between the last two questions.
    interval: Option<Duration>,
    /// How often the answer was that it drains.
    refused: u32,
}

/// How often a balancer must have heard that a process drains: as often as those ask by default that believe it last.
const REFUSALS: u32 = 3;
/// A balancer that asks less often is not waited for.
const LONGEST_INTERVAL: Duration = Duration::from_secs(15);

impl Probes {
    /// Notes a question, and whether it was answered that the process drains.
    pub fn note(&self, draining: bool) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        asked.interval = asked.last.map(|last| now - last);
        asked.last = Some(now);
        asked.refused += u32::from(draining);
    }

    /// Returns when no balancer sends callers here any more.
    pub async fn moved(&self) {
        let Some(interval) = self.interval() else { return };
        while !self.is_moved(interval) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How often a balancer asks, if there is one.
    fn interval(&self) -> Option<Duration> {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let interval = asked.interval.filter(|interval| *interval <= LONGEST_INTERVAL)?;
        asked.last.is_some_and(|last| last.elapsed() <= 3 * interval).then_some(interval)
    }

    fn is_moved(&self, interval: Duration) -> bool {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Moments after it heard the last no, and not when it has gone itself.
        let since = asked.last.map_or(Duration::MAX, |last| last.elapsed());
        asked.refused >= REFUSALS && since >= interval / 2 || since > 3 * interval + Duration::from_secs(1)
    }
}

/// Runs a task that must go on until `stop`; tells `crashed` when it ends before, by a panic or otherwise.
pub async fn supervised(
    name: &'static str,
    stop: CancellationToken,
    crashed: CancellationToken,
    task: impl Future<Output = ()>,
) {
    let _watch = Watch { name, stop, crashed };
    task.await;
}

struct Watch {
    name: &'static str,
    stop: CancellationToken,
    crashed: CancellationToken,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if thread::panicking() || !self.stop.is_cancelled() {
            tracing::error!(task = self.name, "a background task ended unasked");
            self.crashed.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;

    async fn crashes(stopped: bool, task: impl Future<Output = ()> + Send + 'static) -> bool {
        let (stop, crashed) = (CancellationToken::new(), CancellationToken::new());
        if stopped {
            stop.cancel();
        }
        let _ended = TaskTracker::new().spawn(supervised("test", stop, crashed.clone(), task)).await;
        crashed.is_cancelled()
    }

    #[tokio::test]
    async fn a_task_that_ends_unasked_is_a_crash() {
        assert!(crashes(false, async {}).await);
        assert!(!crashes(true, async {}).await);
    }

    #[tokio::test]
    async fn a_panic_is_a_crash_at_any_time() {
        assert!(crashes(true, async { panic!("on purpose") }).await);
    }
}
