//! What it takes to do nothing.

use std::{fs, time::Duration};

use super::database;
use crate::{
    Bench,
    report::{Row, median},
    servers::{GATEWAY, Server},
};

/// How long a process is left alone before its memory is read.
const REST: Duration = Duration::from_secs(3);

pub async fn measure(bench: &Bench) -> Row {
    let goal = "RSS ≤ 40 MB, ready in ≤ 150 ms, binary ≤ 40 MB";
    let mut row = Row::new("idle", "idle, all roles, an existing database of 1,000 accounts: RSS", "MB", goal);
    let own = database(bench, "idle").await;
    let (mut ready, mut rss) = (Vec::new(), Vec::new());
    for _ in 0..bench.args.rounds.max(3) {
        let gateway = Server::gateway(bench, "all", own).await;
        ready.push(gateway.ready_in.as_secs_f64() * 1e3);
        tokio::time::sleep(REST).await;
        rss.push(gateway.rss_mb());
        gateway.kill().await;
    }
    let bare = Server::bare(bench, own).await;
    tokio::time::sleep(REST).await;
    row.bare = Some(bare.rss_mb());
    bare.kill().await;
    row.figure = median(rss);
    row.compare();
    let ready = median(ready);
    row.detail("start to ready", format!("{ready:.0} ms"));
    let binary = binary_mb(&mut row);
    row.met = Some(row.figure <= 40.0 && ready <= 150.0 && binary <= 40.0);
    bench.cluster.drop(own).await;
    row
}

/// The size of the gateway's binary where it was built beside this one; else of this one, which holds it.
#[expect(clippy::cast_precision_loss, reason = "a file size")]
fn binary_mb(row: &mut Row) -> f64 {
    let this = std::env::current_exe().unwrap();
    let gateway = this.parent().and_then(|examples| Some(examples.parent()?.join(GATEWAY)));
    let size = |path: &std::path::Path| fs::metadata(path).ok().map(|file| file.len() as f64 / 1024.0 / 1024.0);
    let own = gateway.as_deref().and_then(size);
    let (binary, what) = match own {
        Some(binary) => (binary, "binary"),
        None => (size(&this).unwrap_or_default(), "binary, this benchmark included"),
    };
    row.detail(what, format!("{binary:.1} MB"));
    binary
}
