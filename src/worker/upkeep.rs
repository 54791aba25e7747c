//! Upkeep: drops what is past its time, makes partitions ahead of theirs. Idempotent; every process may run it.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::app::App;

const EVERY: Duration = Duration::from_mins(10);

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
