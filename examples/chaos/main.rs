//! The proof of the promise: `cargo run --release --example chaos -- --jobs 20000 --kills 200 --seed 7`.
//!
//! Starts PostgreSQL, several gateway processes (api and worker) and upstreams that lie, sends them
//! jobs, kills processes and database connections, restarts PostgreSQL, and then audits the books: nothing lost, nothing
//! bought twice, every webhook delivered. Prints a report with the seed; any violation ends it with status 1.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a harness stops at the first surprise, talks to its caller, and its tasks end with it"
)]

mod audit;
mod callers;
mod processes;
mod receiver;
mod upstream;

use std::{sync::Arc, time::Duration};

use clap::Parser;
use doitong::{
    accounts::{Accounts, NewKey},
    config::Config,
    db,
    db::Database,
    domain::{Clock, Credits, Mode, Plan},
    webhooks::Seal,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::{callers::Callers, processes::Fleet, receiver::Receiver, upstream::Upstream};

/// What a run is made of.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Logical requests
    #[arg(long, default_value_t = 2_000)]
    jobs: u32,
    /// Processes killed with SIGKILL
    #[arg(long, default_value_t = 40)]
    kills: u32,
    /// Restarts of PostgreSQL
    #[arg(long, default_value_t = 3)]
    restarts: u32,
    /// Decides every lie and every kill
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// The longest the jobs may take to end after the last fault, in seconds
    #[arg(long, default_value_t = 600)]
    patience: u64,
}

fn main() -> std::process::ExitCode {
    // The harness is its own gateway, so that one build is enough: `chaos doitong serve …`.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == processes::GATEWAY) {
        return doitong::cli::main(std::env::args_os().skip(1));
    }
    let args = Args::parse();
    doitong::egress::use_ring();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let is_sound = runtime.block_on(run(&args));
    std::process::ExitCode::from(u8::from(!is_sound))
}

async fn run(args: &Args) -> bool {
    let begun = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start(args.seed).await;
    let receiver = Receiver::start(args.seed).await;
    let mut fleet = Fleet::start(folder.path(), &upstream).await;
    let key = open_account(&fleet).await;
    let callers = Arc::new(Callers::new(fleet.apis(), key, receiver.url.clone(), args.seed));

    let submitting = tokio::spawn({
        let (callers, jobs) = (callers.clone(), args.jobs);
        async move { callers.submit_all(jobs).await }
    });
    let faults = inject(args, &mut fleet).await;
    submitting.await.unwrap();
    let settled = audit::wait_for_end(&fleet, &receiver, Duration::from_secs(args.patience)).await;
    let report = audit::audit(&fleet, &upstream, &receiver, &callers, args.jobs).await;
    fleet.stop().await;

    println!("chaos report, seed {}", args.seed);
    println!("  wall time            {:>8.1} s", begun.elapsed().as_secs_f64());
    println!("  processes killed     {:>8}", faults.kills);
    println!("  back ends killed     {:>8}", faults.backends);
    println!("  PostgreSQL restarts  {:>8}", faults.restarts);
    for (lie, count) in upstream.lies() {
        println!("  upstream: {lie:<14} {count:>5}");
    }
    report.print();
    if !settled {
        println!("  VIOLATION: not everything ended in time");
    }
    settled && report.violations.is_empty()
}

/// One account whose limits are out of the way.
async fn open_account(fleet: &Fleet) -> String {
    let pool = fleet.pool().await;
    let mut plans = Config::load(None).unwrap().plans;
    plans.enterprise =
        doitong::config::PlanLimits { per_minute: 10_000_000, concurrent: 400, daily: 0, queued: 10_000_000 };
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

#[derive(Default)]
struct Faults {
    kills: u32,
    backends: u32,
    restarts: u32,
}

/// Spreads kills, broken connections and restarts over the run.
async fn inject(args: &Args, fleet: &mut Fleet) -> Faults {
    let mut rng = StdRng::seed_from_u64(args.seed ^ 0xfa17);
    let mut faults = Faults::default();
    let restart_every = (args.kills / (args.restarts + 1)).max(1);
    while faults.kills < args.kills {
        sleep(Duration::from_millis(rng.random_range(100..900))).await;
        fleet.kill_one(&mut rng).await;
        faults.kills += 1;
        if rng.random_bool(0.3) {
            faults.backends += fleet.kill_backends(&mut rng).await;
        }
        if faults.kills % restart_every == 0 && faults.restarts < args.restarts {
            fleet.restart_database().await;
            faults.restarts += 1;
        }
    }
    fleet.revive().await;
    faults
}

/// Migrates a database that the harness made.
async fn migrated(options: sqlx::postgres::PgConnectOptions) {
    let pool = db::open(options, 2).await.unwrap();
    db::migrate(&pool).await.unwrap();
    pool.close().await;
}
