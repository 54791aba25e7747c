//! Brings a private PostgreSQL that died under a running process back up. The data directory's socket stays the same,
//! so the pool finds the new server by itself.

use std::{path::PathBuf, time::Duration};

use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::Embedded;
use crate::db::is_away;

/// How often the server is asked whether it is there.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Sees to it that a data directory's server runs.
pub struct Keeper {
    data_dir: PathBuf,
    revived: Mutex<Option<Embedded>>,
}

impl Keeper {
    /// A keeper of this data directory's server, which runs already.
    pub fn new(data_dir: PathBuf) -> Self {
        Self { data_dir, revived: Mutex::default() }
    }

    /// Looks after the server until stopped.
    pub async fn run(&self, pool: &PgPool, stop: &CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            let Some(Err(error)) = stop.run_until_cancelled(sqlx::raw_sql("select 1").execute(pool)).await else {
                continue;
            };
            if is_away(&error) {
                tracing::warn!(%error, "the private PostgreSQL does not answer; making sure that it runs");
                stop.run_until_cancelled(self.revive()).await;
            }
        }
    }

    async fn revive(&self) {
        let mut revived = self.revived.lock().await;
        match Embedded::start(&self.data_dir).await {
            Ok(server) => {
                if let Some(dead) = revived.replace(server) {
                    dead.stop().await;
                }
            }
            Err(error) => tracing::error!(error = format!("{error:#}"), "the private PostgreSQL does not come up"),
        }
    }

    /// Leaves a server that was brought up, and being the last to do so stops it.
    pub async fn stop(&self) {
        if let Some(server) = self.revived.lock().await.take() {
            server.stop().await;
        }
    }
}
