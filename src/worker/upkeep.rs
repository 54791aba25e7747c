//! Upkeep: drops what is past its time, makes partitions ahead of theirs. Idempotent; every process may run it.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{app::App, db::statistics};

const EVERY: Duration = Duration::from_mins(10);
const STATISTICS_EVERY: Duration = Duration::from_secs(5);

pub(super) async fn run(app: Arc<App>, stop: CancellationToken) {
    loop {
        app.reads.prune();
        if let Err(error) = app.jobs.keep_house(app.config.retention.months).await {
            tracing::warn!(%error, "upkeep failed; trying again later");
        }
        if stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

/// Keeps plans good while tables grow.
pub(super) async fn keep_statistics(app: Arc<App>, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(STATISTICS_EVERY)).await.is_some() {
        if let Err(error) = statistics::refresh(&app.pool).await {
            tracing::warn!(%error, "the planner's statistics were not refreshed; trying again");
        }
    }
}
