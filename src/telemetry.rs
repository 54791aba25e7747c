//! Logs to standard error, metrics as Prometheus text. Neither holds secrets, prompts or signed addresses.

use std::{
    io::{self, IsTerminal as _},
    panic,
    sync::OnceLock,
    time::Duration,
};

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// The recorder of the `metrics` macros is one for the process, and so is this.
static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Libraries that write down what they carry, which may be keys, whatever the filter says.
const CAPPED: [&str; 3] = ["tungstenite=info", "tokio_tungstenite=info", "h2=info"];

/// From a look-up in memory to a long render.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0];

/// How often samples are gathered, so that they do not pile up where nobody asks for `/metrics`.
pub const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Starts the log.
pub fn start(log: &Log) -> anyhow::Result<()> {
    let mut filter = EnvFilter::try_new(&log.filter).context("configuration: log.filter")?;
    for cap in CAPPED {
        filter = filter.add_directive(cap.parse().context("the log's caps")?);
    }
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match log.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Pretty => lines.with_ansi(io::stderr().is_terminal()).try_init(),
    }
    .map_err(|error| anyhow::anyhow!("the log could not be started: {error}"))?;
    // A panic is a log line like any other, in the log's format.
    panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a panic")));
    Ok(())
}

/// The metrics of this process; the first call begins to record them.
pub fn metrics() -> &'static PrometheusHandle {
    METRICS.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        let builder = builder
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
            .unwrap_or_else(|_| PrometheusBuilder::new());
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another recorder has the metrics; /metrics stays empty");
        }
        handle
    })
}
