//! The chaos drill in small: the same fleet, lies, kills and audit as `cargo run --release --example chaos`.

use std::time::Duration;

#[path = "../../examples/chaos/harness/mod.rs"]
mod harness;

use harness::{Drill, Gateway};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_bought_twice_under_fire() {
    let drill = Drill {
        gateway: Gateway { program: env!("CARGO_BIN_EXE_doitong").into(), arguments: Vec::new() },
        jobs: 160,
        kills: 6,
        restarts: 1,
        seed: 7,
        patience: Duration::from_mins(2),
    };
    let report = harness::run(&drill).await;
    assert!(report.violations.is_empty(), "\n{report}");
}
