//! The health of routes, measured by all processes and shared by them: success, speed, and circuits.
//!
//! The database holds the truth; each process keeps a copy for its choices, brought up to date by the bus within
//! moments of a change. A circuit opens after [`TRIP`] refusals in a row of one kind of trouble and stays open for half
//! a minute, twice as long each further time within a while. When it has been open for long enough, one probe is let
//! through: its success closes the circuit, its refusal opens it again. A refusal of another kind closes the circuits
//! whose trouble it shows to be over (`Class::over_by`): an upstream that refuses our account is not down. Only live
//! runs count.

mod store;

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use sqlx::PgPool;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::{
    catalog::{self, RouteId},
    db::{Batcher, Bus, Database},
    domain::{Clock, Timestamp, fault::Kind},
};
pub use store::Class;

/// Refusals in a row that open a circuit.
pub const TRIP: i32 = 5;
/// How long it stays open at first; and how often that doubles.
const OPEN: TimeDelta = TimeDelta::seconds(30);
const DOUBLINGS: i32 = 5;
/// How long a probe may take before another one is sent.
const PROBE: TimeDelta = TimeDelta::seconds(30);
/// Refusals further apart are not in a row, and an opening longer ago does not count.
const FORGET: TimeDelta = TimeDelta::minutes(10);
/// In this time half of a bad record is forgiven.
const FORGIVE: TimeDelta = TimeDelta::minutes(30);
/// A look without a hint.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The routes' health.
pub struct RouteHealth {
    pool: PgPool,
    clock: Clock,
    bus: Arc<Bus>,
    known: RwLock<Known>,
    runs: Batcher<store::Run, ()>,
    /// Counts the readings asked for, and of these those that the last reading has served.
    asked: AtomicU64,
    read: tokio::sync::Mutex<u64>,
}

#[derive(Default)]
struct Known {
    routes: HashMap<RouteId, store::Measured>,
    circuits: HashMap<(RouteId, Class), store::Circuit>,
}

/// Whether work may be sent over a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Closed,
    /// Not before then, unless a probe succeeds.
    Open(Timestamp, Kind),
}

impl RouteHealth {
    /// The health in this database; empty until it is read.
    pub fn new(database: &Database, clock: Clock, bus: Arc<Bus>) -> Self {
        Self {
            runs: database.gather(1024, store::measure),
            pool: database.pool.clone(),
            clock,
            bus,
            known: RwLock::default(),
            asked: AtomicU64::default(),
            read: tokio::sync::Mutex::default(),
        }
    }

    /// What a choice should know of a route.
    pub fn of(&self, route: &RouteId) -> catalog::Health {
        let (known, now) = (self.known.read().unwrap_or_else(PoisonError::into_inner), self.clock.now());
        let measured = known.routes.get(route);
        let success = measured.map_or(1.0, |measured| forgiven(measured.success, now - measured.updated_at));
        let open = Class::ALL.iter().any(|class| {
            let circuit = known.circuits.get(&(route.clone(), *class));
            circuit.and_then(|circuit| circuit.open_until).is_some_and(|until| until > now)
        });
        catalog::Health { open, success, seconds: measured.and_then(|measured| measured.seconds) }
    }

    /// Whether work may be sent over a route now. After a circuit was open for long enough, one caller gets a yes and
    /// is the probe.
    pub async fn pass(&self, route: &RouteId) -> sqlx::Result<Gate> {
        let now = self.clock.now();
        let open = Class::ALL.into_iter().filter_map(|class| Some((self.open_until(route, class)?, class)));
        let open: Vec<_> = open.collect();
        if let Some((until, class)) = open.iter().max_by_key(|(until, _)| *until).filter(|(until, _)| *until > now) {
            return Ok(Gate::Open(*until, class.kind()));
        }
        for (_, class) in &open {
            let is_probe = store::take_probe(&self.pool, route, *class, now, now + PROBE).await?;
            self.reload().await?;
            if !is_probe && let Some(until) = self.open_until(route, *class) {
                return Ok(Gate::Open(until.max(now + TimeDelta::seconds(1)), class.kind()));
            }
        }
        Ok(Gate::Closed)
    }

    fn open_until(&self, route: &RouteId, class: Class) -> Option<Timestamp> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.circuits.get(&(route.clone(), class))?.open_until
    }

    /// The upstream took work over this route: its circuits close.
    pub async fn accepted(&self, route: &RouteId) -> sqlx::Result<()> {
        let is_troubled = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let circuit = |class: &Class| known.circuits.get(&(route.clone(), *class));
            Class::ALL.iter().filter_map(circuit).any(|circuit| circuit.is_troubled)
        };
        if is_troubled && store::close(&self.pool, route, &Class::ALL).await? {
            self.changed().await?;
        }
        Ok(())
    }

    /// The upstream did not take work over this route.
    pub async fn refused(&self, route: &RouteId, kind: Kind) -> sqlx::Result<()> {
        let Some(class) = Class::of(kind) else { return self.accepted(route).await };
        store::close(&self.pool, route, Class::over_by(kind)).await?;
        let refusal = store::Refusal { route, class, now: self.clock.now() };
        if store::refuse(&self.pool, &refusal).await? {
            tracing::warn!(route.id = %route, circuit.class = class.as_str(), "a circuit opened");
            metrics::counter!("doitong_circuit_opened_total", "route" => route.to_string(), "class" => class.as_str())
                .increment(1);
        }
        self.changed().await
    }

    /// A run ended; `took` where it succeeded.
    pub async fn ended(&self, route: &RouteId, took: Option<Duration>) -> anyhow::Result<()> {
        let seconds = took.map(|took| took.as_secs_f64());
        self.runs.run(store::Run { route: route.clone(), seconds, ended_at: self.clock.now() }).await??;
        Ok(self.changed().await?)
    }

    async fn changed(&self) -> sqlx::Result<()> {
        self.bus.tell_health();
        self.reload().await
    }

    /// Reads the truth: one reading at a time, so that an older one never replaces a newer one. Those who wait while
    /// another reading begins are served by it.
    pub async fn reload(&self) -> sqlx::Result<()> {
        let mine = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let mut read = self.read.lock().await;
        if *read >= mine {
            return Ok(());
        }
        let all = self.asked.load(Ordering::SeqCst);
        let (routes, circuits) = (store::measured(&self.pool).await?, store::circuits(&self.pool).await?);
        for (key, circuit) in &circuits {
            let is_open = circuit.open_until.is_some();
            metrics::gauge!("doitong_circuit_open", "route" => key.0.to_string(), "class" => key.1.as_str())
                .set(f64::from(u8::from(is_open)));
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Known { routes, circuits };
        *read = all;
        Ok(())
    }

    /// Keeps the copy up to date until stopped.
    pub async fn follow(&self, stop: &CancellationToken) {
        let mut changes = self.bus.health_changes();
        while !stop.is_cancelled() {
            if let Err(error) = self.reload().await {
                tracing::warn!(%error, "the health of routes cannot be read; choices use what was known");
            }
            let hint = async {
                match changes.recv().await {
                    Ok(()) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            };
            let _ = stop.run_until_cancelled(tokio::time::timeout(LOOK_EVERY, hint)).await;
        }
    }
}

/// A bad record fades, so that a route that nobody dares to use gets another chance.
fn forgiven(success: f64, age: TimeDelta) -> f64 {
    let halvings = age.as_seconds_f64().max(0.0) / FORGIVE.as_seconds_f64();
    1.0 - (1.0 - success) * 0.5_f64.powf(halvings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_record_fades() {
        assert!((forgiven(0.2, TimeDelta::zero()) - 0.2).abs() < 1e-9);
        assert!((forgiven(0.2, FORGIVE) - 0.6).abs() < 1e-9);
        assert!(forgiven(0.0, TimeDelta::hours(12)) > 0.999);
    }
}
