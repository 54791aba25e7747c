//! The processes that are measured: gateways, and the bare server.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::{Bench, proc};

/// The argument that makes this program the gateway.
pub const GATEWAY: &str = "doitong";
/// The argument that makes it the bare server.
pub const BARE: &str = "bare";

/// A running process.
pub struct Server {
    child: Child,
    /// Where it listens; an API's and the bare server's.
    pub address: SocketAddr,
    pub ready_in: Duration,
}

impl Server {
    /// A gateway with its default settings, but for the addresses of the doubles.
    pub async fn gateway(bench: &Bench, role: &str, database: &str) -> Self {
        Self::gateway_with(bench, role, database, &[]).await
    }

    pub async fn gateway_with(bench: &Bench, role: &str, database: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([GATEWAY, "serve", "--role", role, "--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", bench.cluster.url(database))
            .env("DOITONG_DATA_DIR", bench.folder.join("data"))
            .env("DOITONG__NETWORK__ALLOW_PRIVATE", "true")
            .env("DOITONG__CATALOG__FOLDER", &bench.catalog)
            .envs(crate::data::LIMITS.iter().copied())
            .envs(bench.doubles.settings())
            .envs(settings.iter().copied());
        Self::start(bench, command).await
    }

    pub async fn bare(bench: &Bench, database: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(BARE).env("DATABASE_URL", bench.cluster.url(database));
        Self::start(bench, command).await
    }

    async fn start(bench: &Bench, mut command: Command) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(log_file(bench)).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).kill_on_drop(true);
        let begun = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            let address = line.strip_prefix("listening on http://").map(|address| address.parse().unwrap());
            if line == "worker ready" || address.is_some() {
                let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
                return Self { child, address: address.unwrap_or(nowhere), ready_in: begun.elapsed() };
            }
        }
        panic!("a server did not start: {}", fs::read_to_string(log_file(bench)).unwrap_or_default());
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    pub fn rss_mb(&self) -> f64 {
        proc::rss_mb(self.pid())
    }

    /// Ends it without warning.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

fn log_file(bench: &Bench) -> PathBuf {
    bench.folder.join("servers.log")
}
