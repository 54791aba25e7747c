//! How fast it is, beside the limit of the database under it: `cargo run --release --example bench`.
//!
//! One run starts a PostgreSQL with the durability it ships with, gateways as processes of their own, a bare server on
//! the same libraries, doubles of upstreams and a receiver, and the load; pgbench runs the ideal statement in between. The
//! rounds of all of them are interleaved, so that whatever else the machine does hits all alike, and medians are told.
//! `docs/performance.md` explains the rows.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a harness stops at the first surprise, talks to its caller, and its tasks end with it"
)]

mod bare;
mod data;
mod doubles;
mod http1;
mod load;
mod measure;
mod plot;
mod postgres;
mod proc;
mod report;
mod rows;
mod servers;
mod subscriber;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use doitong::db;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{data::Account, doubles::Doubles, postgres::Cluster, report::Report};

/// What a run is made of.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Only these rows
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(rows::NAMES))]
    only: Vec<String>,
    /// How long each measurement lasts
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Measurements of each, of which the median counts
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Finished rows of the largest table
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// Generations in flight at once
    #[arg(long, default_value_t = 100_000)]
    in_flight: u64,
    /// How long each of those takes upstream, in seconds, give or take a tenth
    #[arg(long, default_value_t = 600)]
    run_seconds: u64,
    /// Subscribers at once
    #[arg(long, default_value_t = 5_000)]
    subscribers: usize,
    /// Shorter and smaller in everything: a look, not a measurement
    #[arg(long)]
    quick: bool,
    /// Write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the tables between the marks of this document
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Draw the figures
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Measure nothing: take the figures of an earlier run
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    from: Option<PathBuf>,
}

impl Args {
    fn lasts(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Writes the figures where they were asked for.
    fn keep(&self, report: &Report) {
        if let Some(file) = &self.json {
            fs::write(file, serde_json::to_string_pretty(report).unwrap() + "\n").unwrap();
        }
    }

    fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == row)
    }

    fn in_earnest_or_quick(mut self) -> Self {
        if self.quick {
            (self.seconds, self.rounds) = (self.seconds.min(2.0), 1);
            (self.rows, self.in_flight) = (self.rows.min(1_000_000), self.in_flight.min(2_000));
            self.run_seconds = self.run_seconds.min(30);
        }
        self
    }
}

/// What every row uses.
struct Bench {
    args: Args,
    folder: PathBuf,
    /// The catalogue, with upstreams that take any number of calls.
    catalog: PathBuf,
    cluster: Cluster,
    doubles: Doubles,
    accounts: Vec<Account>,
}

/// The database that others are copied from: migrated, with all accounts.
const TEMPLATE: &str = "template_bench";

fn main() -> ExitCode {
    // The harness is its own gateway, so that one build is enough: `bench doitong serve …`.
    let mut args = std::env::args_os().skip(1);
    let first = args.next().unwrap_or_default();
    if first == servers::GATEWAY {
        return doitong::cli::main(std::env::args_os().skip(1));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if first == servers::BARE {
        runtime.block_on(bare::serve());
        return ExitCode::SUCCESS;
    }
    let args = Args::parse().in_earnest_or_quick();
    let report = match &args.from {
        Some(file) => Some(serde_json::from_slice(&fs::read(file).unwrap()).unwrap()),
        None => runtime.block_on(async {
            tokio::select! {
                report = run(args.clone()) => Some(report),
                _ = tokio::signal::ctrl_c() => None,
            }
        }),
    };
    runtime.shutdown_background();
    let Some(report) = report else { return ExitCode::FAILURE };
    publish(&args, &report);
    ExitCode::from(u8::from(report.fails() > 0))
}

fn publish(args: &Args, report: &Report) {
    println!("{}", report.markdown());
    if let Some(file) = &args.write {
        report.write_into(file);
    }
    if let Some(file) = &args.plot {
        fs::write(file, plot::svg(report)).unwrap();
    }
}

async fn run(args: Args) -> Report {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("catalog");
    copy_catalog(&catalog, args.run_seconds);
    let cluster = Cluster::start(folder.path()).await;
    cluster.create(TEMPLATE, None).await;
    let pool = cluster.pool(TEMPLATE).await;
    db::migrate(&pool).await.unwrap();
    let accounts = data::open_accounts(&pool).await;
    pool.close().await;
    let doubles = Doubles::start();
    let bench = Bench { args, folder: folder.path().to_owned(), catalog, cluster, doubles, accounts };
    let Args { seconds, rounds, .. } = bench.args;
    let mut report = Report {
        machine: machine(),
        database: format!("PostgreSQL: {}", bench.cluster.describe().await),
        commit: commit(),
        settings: format!("{rounds} rounds of {seconds} s, medians"),
        rows: Vec::new(),
        curves: Vec::new(),
    };
    rows::measure_all(&bench, &mut report).await;
    bench.cluster.stop().await;
    report
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kind = if cfg!(debug_assertions) { "debug build, which measures nothing" } else { "release build" };
    format!("{} with {cores} cores shared by load, gateway and database, {kind}", proc::processor())
}

fn commit() -> String {
    let told = std::process::Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let told = told.ok().filter(|told| told.status.success());
    told.map_or_else(
        || "no commit".to_owned(),
        |told| format!("commit {}", String::from_utf8_lossy(&told.stdout).trim()),
    )
}

/// Copies the catalogue. What a service allows its customers does not hold for its double, and its tasks take as long as
/// the run says: intervals are then what they are once the speed of a service was learned.
fn copy_catalog(to: &Path, run_seconds: u64) {
    fs::create_dir(to).unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/catalog");
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        let is_kling = file.file_name() == "kling.toml";
        let text = fs::read_to_string(file.path()).unwrap();
        let line = |line: &str| match line.split_once(" = ") {
            Some(("submits_per_minute", _)) => "submits_per_minute = 100000000".to_owned(),
            Some(("concurrent_calls", _)) => "concurrent_calls = 1000".to_owned(),
            Some(("typical_seconds", _)) if is_kling => format!("typical_seconds = {run_seconds}"),
            Some(("deadline_seconds", _)) if is_kling => format!("deadline_seconds = {}", 6 * run_seconds),
            _ => line.to_owned(),
        };
        let lines: Vec<_> = text.lines().map(line).collect();
        fs::write(to.join(file.file_name()), lines.join("\n")).unwrap();
    }
}
