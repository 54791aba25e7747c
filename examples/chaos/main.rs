//! The proof of the promise: `cargo run --release --example chaos -- --jobs 20000 --kills 200 --seed 7`.
//!
//! Starts PostgreSQL, several gateway processes (api and worker) and upstreams that lie, sends them jobs, kills processes
//! and database connections, restarts PostgreSQL, and then audits the books: nothing lost, nothing bought twice, every
//! webhook delivered. Prints a report with the seed; any violation ends it with status 1.
//!
//! The seed decides which faults come in which order. Which job each of them meets is also the machine's doing.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a harness talks to its caller, and stops at a surprise")]

mod harness;

use std::{process::ExitCode, time::Duration};

use clap::Parser;

use crate::harness::{Drill, Gateway};

/// The argument that makes this program the gateway, so that one build is enough.
const GATEWAY: &str = "doitong";

/// What a run is made of.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Logical requests
    #[arg(long, default_value_t = 2_000)]
    jobs: u32,
    /// Processes killed with SIGKILL
    #[arg(long, default_value_t = 40)]
    kills: u32,
    /// Restarts of PostgreSQL [default: one for 40 kills, at least one]
    #[arg(long)]
    restarts: Option<u32>,
    /// Decides every lie and every kill
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// The longest the jobs may take to end after the last fault, in seconds
    #[arg(long, default_value_t = 300)]
    patience: u64,
}

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|first| first == GATEWAY) {
        return doitong::cli::main(std::env::args_os().skip(1));
    }
    let args = Args::parse();
    let program = std::env::current_exe().unwrap();
    let drill = Drill {
        gateway: Gateway { program, arguments: vec![GATEWAY.to_owned()] },
        jobs: args.jobs,
        kills: args.kills,
        restarts: args.restarts.unwrap_or((args.kills / 40).max(1)),
        seed: args.seed,
        patience: Duration::from_secs(args.patience),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(harness::run(&drill));
    println!("chaos report\n{report}");
    ExitCode::from(u8::from(!report.violations.is_empty()))
}
