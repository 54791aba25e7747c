//! The chaos harness: a fleet under fire, and the audit after it. The example runs it in full, the tests in small.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a harness stops at the first surprise, and its tasks end with it"
)]

mod audit;
mod callers;
mod fleet;
mod receiver;
mod upstream;
mod wire;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use doitong::{
    accounts::{Accounts, NewKey},
    config::{Config, PlanLimits},
    db::Database,
    domain::{Clock, Credits, Mode, Plan},
    webhooks::Seal,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

pub use audit::Report;
use callers::Callers;
use fleet::Fleet;
pub use fleet::Gateway;
use receiver::Receiver;
use upstream::Upstream;

/// The plan of the drill's account: nothing is refused for it, and a backlog waits in the queue.
const PLAN: PlanLimits = PlanLimits { per_minute: 10_000_000, concurrent: 200, daily: 0, queued: 10_000_000 };

/// How often the fleet is looked after.
const TICK: Duration = Duration::from_millis(50);

/// What a run is made of.
#[derive(Clone, Debug)]
pub struct Drill {
    pub gateway: Gateway,
    /// Logical requests.
    pub jobs: u32,
    /// Processes killed with SIGKILL.
    pub kills: u32,
    /// Restarts of PostgreSQL.
    pub restarts: u32,
    /// Decides every lie and every kill.
    pub seed: u64,
    /// The longest that the jobs may take to end after the last fault.
    pub patience: Duration,
}

/// The faults of our own parts so far.
#[derive(Default)]
struct Faults {
    kills: u32,
    backends: u32,
    restarts: u32,
    storms: u32,
}

/// Runs a drill, and audits what is left.
pub async fn run(drill: &Drill) -> Report {
    doitong::egress::use_ring();
    let begun = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(drill.seed).await;
    let receiver = Receiver::start(drill.seed).await;
    let mut fleet = Fleet::start(drill.gateway.clone(), folder.path(), &upstream).await;
    let key = open_account(&fleet).await;
    let callers = Arc::new(Callers::new(fleet.apis(), key, receiver.clone(), drill.seed));
    let submitting = tokio::spawn({
        let (callers, jobs) = (callers.clone(), drill.jobs);
        async move { callers.submit_all(jobs).await }
    });
    let faults = inject(drill, &mut fleet, &upstream, &receiver).await;
    let mut submitting = Box::pin(submitting);
    while tokio::time::timeout(TICK, &mut submitting).await.map(Result::unwrap).is_err() {
        fleet.revive(Instant::now());
    }
    let quiet = Instant::now();
    let has_ended = audit::wait_for_end(&mut fleet, drill.patience).await;

    let mut report = Report::new();
    report.line("seed", drill.seed);
    report.line("wall time, s", begun.elapsed().as_secs());
    report.line("  of it after the last fault, s", quiet.elapsed().as_secs());
    report.line("processes killed", faults.kills);
    report.line("back ends killed", faults.backends);
    report.line("PostgreSQL restarts", faults.restarts);
    report.line("429 storms", faults.storms);
    let lies: BTreeMap<_, _> = upstream.lies();
    report.line("upstream lies", lies.values().sum::<u32>());
    for (lie, count) in lies {
        report.line(&format!("  {lie}"), count);
    }
    report.expect(has_ended, || "not everything ended in time".to_owned());
    audit::audit(
        &mut report,
        &fleet,
        &audit::Seen { upstream: &upstream, receiver: &receiver, callers: &callers },
        drill.jobs,
    )
    .await;
    fleet.stop().await;
    report
}

/// One account whose limits are out of the way.
async fn open_account(fleet: &Fleet) -> String {
    let pool = fleet.pool().await;
    let mut plans = Config::load(None).unwrap().plans;
    plans.enterprise = PLAN;
    let database = Database::new(pool.clone(), &TaskTracker::new());
    let accounts = Accounts::new(&database, Clock::default(), plans, Seal::default());
    let new = NewKey {
        account: "chaos".to_owned(),
        plan: Some(Plan::Enterprise),
        mode: Mode::Live,
        credits: Some(Credits::new(1_000_000_000_000)),
    };
    let key = accounts.create_key(&new, &mut StdRng::seed_from_u64(1)).await.unwrap().key;
    pool.close().await;
    key
}

/// Spreads kills, broken connections, restarts and storms over the run: each comes when its share of the generations has
/// ended.
async fn inject(drill: &Drill, fleet: &mut Fleet, upstream: &Upstream, receiver: &Receiver) -> Faults {
    let mut rng = StdRng::seed_from_u64(drill.seed ^ 0xfa17);
    let mut faults = Faults::default();
    let storms = 1 + drill.jobs / 4_000;
    let is_due =
        |done: u32, all: u32, progress: f64| done < all && progress >= f64::from(done + 1) / f64::from(all + 1);
    while faults.kills < drill.kills || faults.restarts < drill.restarts || faults.storms < storms {
        sleep(TICK).await;
        fleet.revive(Instant::now());
        let progress = f64::from(receiver.told()) / f64::from(drill.jobs);
        if is_due(faults.storms, storms, progress) {
            upstream.storm();
            faults.storms += 1;
        }
        if is_due(faults.kills, drill.kills, progress) {
            fleet.kill_one(&mut rng).await;
            faults.kills += 1;
            if rng.random_bool(0.5) {
                faults.backends += fleet.kill_backends(&mut rng).await;
            }
        }
        if is_due(faults.restarts, drill.restarts, progress) {
            fleet.restart_database(faults.restarts.is_multiple_of(2)).await;
            faults.restarts += 1;
        }
    }
    faults
}
