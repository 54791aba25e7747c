//! How a load is measured: a moment to warm up, then the load, with what the processes used meanwhile.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use crate::{
    Bench,
    load::{self, Load, Outcome, Pace, Request},
    proc,
    report::{Cost, Row},
    servers::Server,
};

/// Connections of a closed loop.
pub const CONNECTIONS: usize = 32;

/// What processes had used at a moment.
pub struct Meter {
    pids: Vec<u32>,
    servers: f64,
    postgres: f64,
    wal: f64,
    others: f64,
    begun: Instant,
}

/// Seconds of CPU of everything that is not measured.
fn others(ours: f64) -> f64 {
    proc::machine().0 - proc::cpu(std::process::id()) - ours
}

impl Meter {
    pub async fn start(bench: &Bench, servers: &[&Server]) -> Self {
        let pids: Vec<u32> = servers.iter().map(|server| server.pid()).collect();
        let (servers, wal) = (pids.iter().copied().map(proc::cpu).sum(), bench.cluster.wal().await);
        let postgres = bench.cluster.cpu();
        Self { pids, servers, postgres, wal, others: others(servers + postgres), begun: Instant::now() }
    }

    /// What so many pieces of work cost.
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    pub async fn stop(&self, bench: &Bench, count: usize) -> Cost {
        let (count, thousands) = (count.max(1) as f64, count.max(1) as f64 / 1e3);
        let (servers, postgres) = (self.pids.iter().copied().map(proc::cpu).sum::<f64>(), bench.cluster.cpu());
        Cost {
            others_cores: (others(servers + postgres) - self.others) / self.begun.elapsed().as_secs_f64(),
            rss_mb: self.pids.iter().copied().map(proc::rss_mb).sum(),
            server_cpu: (servers - self.servers) / thousands,
            postgres_cpu: (postgres - self.postgres) / thousands,
            wal_bytes: (bench.cluster.wal().await - self.wal) / count,
            ..Cost::default()
        }
    }
}

/// A load on one or more servers, all of the same kind.
pub fn closed(bench: &Bench, servers: &[&Server], requests: &Arc<Vec<Request>>) -> Load {
    Load {
        servers: servers.iter().map(|server| server.address).collect(),
        requests: requests.clone(),
        connections: CONNECTIONS,
        pace: Pace::Closed,
        lasts: bench.args.lasts(),
        at_most: u64::MAX,
        numbers: Arc::new(AtomicU64::new(0)),
        accepted: None,
    }
}

/// An open loop at a rate, with connections enough that the schedule waits for none of them.
pub fn open(bench: &Bench, servers: &[&Server], requests: &Arc<Vec<Request>>, rate: f64) -> Load {
    Load { pace: Pace::Open(rate.max(1.0)), connections: 256, ..closed(bench, servers, requests) }
}

/// Sends a load for a while without counting it.
pub async fn warm_up(load: &Load) {
    let lasts = (load.lasts / 4).min(Duration::from_secs(2));
    load::run(Load { lasts, accepted: None, ..load.clone() }).await;
}

/// Sends a load and says what it cost; what went wrong goes to the row.
pub async fn measure(bench: &Bench, servers: &[&Server], load: Load, row: &mut Row) -> Cost {
    let (cost, outcome) = measure_only(bench, servers, load).await;
    row.fail(outcome.fails() + outcome.unsent, || {
        let first = outcome.first_refusal.clone().unwrap_or_default();
        format!("{:?}, {} unsent; {first}", outcome.refused, outcome.unsent)
    });
    cost
}

/// Sends a load and says what it cost, whatever became of it.
#[expect(clippy::cast_precision_loss, reason = "a count")]
pub async fn measure_only(bench: &Bench, servers: &[&Server], load: Load) -> (Cost, Outcome) {
    let meter = Meter::start(bench, servers).await;
    let outcome = load::run(load).await;
    let cost = Cost {
        per_second: outcome.per_second(),
        p50_ms: outcome.percentile(0.5),
        p95_ms: outcome.percentile(0.95),
        p99_ms: outcome.percentile(0.99),
        load_cpu: outcome.cpu / (outcome.times.len().max(1) as f64 / 1e3),
        ..meter.stop(bench, outcome.times.len()).await
    };
    (cost, outcome)
}

/// Waits until the rest of the machine is quiet, or does not get so.
pub async fn quiet(bench: &Bench) {
    if bench.args.quick {
        return;
    }
    for _ in 0..10 {
        let (busy, all) = proc::machine();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (busy_now, all_now) = proc::machine();
        if (busy_now - busy) / (all_now - all).max(1.0) < 0.12 {
            return;
        }
    }
    eprintln!("the machine is not quiet; measuring anyway");
}
