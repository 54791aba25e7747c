//! One struct for each section of `config/doitong.toml`, which explains the keys.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;
use url::Url;

use crate::domain::Plan;

/// `[server]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Where the API listens.
    pub listen: SocketAddr,
    /// The address the service is reached by.
    pub public_url: Option<Url>,
    /// The longest a request may take.
    pub request_timeout_seconds: u64,
    /// Connections at once.
    pub max_connections: u32,
    /// How long a stop waits for what is under way.
    pub drain_seconds: u64,
}

/// `[database]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Connections of this process.
    pub max_connections: u32,
}

/// `[worker]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Steps under way at once.
    pub concurrency: u32,
    /// Multiplies waits towards upstreams and receivers.
    pub time_scale: f64,
    /// How long a troubled upstream is tried.
    pub patience_seconds: u64,
    /// After how long a silent step is taken over.
    pub lease_seconds: u64,
    /// Where a process that only works serves its health and metrics.
    pub listen: Option<SocketAddr>,
}

impl Worker {
    /// A wait towards an upstream or receiver, scaled.
    pub fn scaled(&self, wait: Duration) -> Duration {
        Duration::try_from_secs_f64(wait.as_secs_f64() * self.time_scale).unwrap_or(Duration::MAX)
    }
}

/// `[media]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Media {
    /// A folder or the URL of a bucket.
    pub store: Option<String>,
    /// The largest result that is kept.
    pub max_result_bytes: u64,
}

/// `[network]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Whether webhooks and input URLs may point into private networks; absent: with the embedded database only.
    pub allow_private: Option<bool>,
}

/// `[catalog]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// A folder of catalogue files instead of the compiled-in ones.
    pub folder: Option<PathBuf>,
}

/// `[retention]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Months that generations are kept; 0 keeps all.
    pub months: u32,
}

/// `[graphql]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphQl {
    /// Nesting of fields.
    pub max_depth: usize,
    /// Fields in all, after fragments.
    pub max_complexity: usize,
    /// Aliased fields.
    pub max_aliases: usize,
    /// Fields at the root.
    pub max_root_fields: usize,
    /// Directives in all.
    pub max_directives: usize,
    /// Lexical tokens.
    pub max_tokens: usize,
    /// Operations of one array.
    pub max_batch: usize,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// What is logged.
    pub filter: String,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

/// `[plans]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plans {
    /// `[plans.free]`
    pub free: PlanLimits,
    /// `[plans.starter]`
    pub starter: PlanLimits,
    /// `[plans.pro]`
    pub pro: PlanLimits,
    /// `[plans.enterprise]`
    pub enterprise: PlanLimits,
}

impl Plans {
    /// The numbers of a plan.
    pub const fn of(&self, plan: Plan) -> &PlanLimits {
        match plan {
            Plan::Free => &self.free,
            Plan::Starter => &self.starter,
            Plan::Pro => &self.pro,
            Plan::Enterprise => &self.enterprise,
        }
    }

    /// All plans with their numbers.
    pub fn all(&self) -> [(Plan, &PlanLimits); 4] {
        [Plan::Free, Plan::Starter, Plan::Pro, Plan::Enterprise].map(|plan| (plan, self.of(plan)))
    }
}

/// The numbers of one plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanLimits {
    /// Generations a minute.
    pub per_minute: u32,
    /// Generations at once.
    pub concurrent: u32,
    /// Generations a day; 0: unlimited.
    pub daily: u32,
    /// Generations waiting for one of those places.
    pub queued: u32,
}

/// `[upstreams.<id>]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Replaces scheme and host of the upstream's addresses.
    pub base_url: Url,
}
