//! Settings: the compiled-in `config/doitong.toml`, a file over it, variables `DOITONG__SECTION__KEY` over both.
//!
//! The environment is read here and nowhere else. Secrets ([`Secrets`]) are not settings: they have no default, no
//! file and no way to print.

mod sections;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

pub use sections::{
    Catalog, Database, GraphQl, Log, LogFormat, Media, Network, PlanLimits, Plans, Retention, Server, Upstream, Worker,
};

/// The base layer.
const DEFAULTS: &str = include_str!("../../config/doitong.toml");

/// All settings, checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The HTTP server.
    pub server: Server,
    /// The database.
    pub database: Database,
    /// The worker pool.
    pub worker: Worker,
    /// The media store.
    pub media: Media,
    /// What outgoing connections may reach.
    pub network: Network,
    /// The catalogue's place.
    pub catalog: Catalog,
    /// How long generations are kept.
    pub retention: Retention,
    /// Limits of GraphQL documents.
    pub graphql: GraphQl,
    /// Log output.
    pub log: Log,
    /// The numbers of the plans.
    pub plans: Plans,
    /// Other addresses of upstreams, by id.
    #[serde(default)]
    pub upstreams: HashMap<String, Upstream>,
}

impl Config {
    /// Reads and checks the settings. The error names file and key.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = file {
            anyhow::ensure!(file.is_file(), "there is no configuration file {}", file.display());
            figment = figment.merge(Toml::file_exact(file));
        }
        let mut config: Self = figment
            .merge(Env::prefixed("DOITONG__").split("__"))
            .extract()
            .map_err(|error| anyhow::anyhow!("configuration: {error}"))?;
        config.upstreams = config.upstreams.into_iter().map(|(id, value)| (id.replace('_', "-"), value)).collect();
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        let positive = [
            ("server.request_timeout_seconds", self.server.request_timeout_seconds),
            ("server.max_connections", self.server.max_connections.into()),
            ("database.max_connections", self.database.max_connections.into()),
            ("worker.concurrency", self.worker.concurrency.into()),
            ("worker.lease_seconds", self.worker.lease_seconds),
        ];
        for (key, value) in positive {
            anyhow::ensure!(value > 0, "configuration: {key} must be at least 1");
        }
        let scale = self.worker.time_scale;
        anyhow::ensure!(scale > 0.0 && scale.is_finite(), "configuration: worker.time_scale must be above 0");
        for (plan, limits) in self.plans.all() {
            anyhow::ensure!(
                limits.per_minute > 0 && limits.concurrent > 0,
                "configuration: plans.{}: per_minute and concurrent must be at least 1",
                plan.as_str()
            );
        }
        Ok(())
    }

    /// The base URL that replaces an upstream's own, if one is set.
    pub fn upstream_base(&self, id: &str) -> Option<&Url> {
        self.upstreams.get(id).map(|upstream| &upstream.base_url)
    }
}

/// The data directory: `DOITONG_DATA_DIR`, else `.doitong` in the working directory.
#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
pub fn data_dir() -> PathBuf {
    std::env::var("DOITONG_DATA_DIR").map_or_else(|_| PathBuf::from(".doitong"), PathBuf::from)
}

/// What comes from the environment only.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// The address of the database; absent: the embedded one.
    pub database_url: Option<SecretString>,
    /// The key that webhook secrets are encrypted with at rest.
    pub secret_key: Option<SecretString>,
    /// The key before that, while secrets move to the new one.
    pub previous_secret_key: Option<SecretString>,
    /// Credentials of upstreams by variable name.
    pub upstreams: HashMap<String, SecretString>,
    /// What the clouds' own tools read, for a media store in a bucket: keys, region, endpoint.
    pub clouds: HashMap<String, SecretString>,
}

/// How those variables begin.
const CLOUDS: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

impl Secrets {
    /// Reads the secrets, those of upstreams by the names given.
    pub fn read<'a>(upstream_variables: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            database_url: variable("DATABASE_URL"),
            secret_key: variable("DOITONG_SECRET_KEY"),
            previous_secret_key: variable("DOITONG_SECRET_KEY_PREVIOUS"),
            upstreams: upstream_variables
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), variable(name)?)))
                .collect(),
            clouds: cloud_variables(),
        }
    }
}

fn cloud_variables() -> HashMap<String, SecretString> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let of_clouds = names.filter(|name| CLOUDS.iter().any(|prefix| name.starts_with(prefix)));
    of_clouds.filter_map(|name| variable(&name).map(|value| (name, value))).collect()
}

/// Traces that are to be sent to a collector.
#[derive(Clone, Debug)]
pub struct Traces {
    /// What this service is called there.
    pub service: String,
}

impl Traces {
    /// By the variables of OpenTelemetry; `None` where they name no collector.
    pub fn from_environment() -> Option<Self> {
        let set = |name: &str| variable(name).map(|value| value.expose_secret().to_owned());
        let is_off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let collector = set("OTEL_EXPORTER_OTLP_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"));
        let service = || set("OTEL_SERVICE_NAME").unwrap_or_else(|| "doitong".to_owned());
        collector.filter(|_| !is_off).map(|_| Self { service: service() })
    }
}

/// How commands reach a gateway as its clients.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Its address: `DOITONG_URL`.
    pub url: Option<String>,
    /// The API key: `DOITONG_API_KEY`.
    pub key: Option<SecretString>,
}

impl Gateway {
    /// Reads the environment.
    pub fn read() -> Self {
        let url = variable("DOITONG_URL").map(|url| url.expose_secret().trim().to_owned());
        Self { url, key: variable("DOITONG_API_KEY") }
    }
}

#[expect(clippy::disallowed_methods, reason = "the environment is read here")]
fn variable(name: &str) -> Option<SecretString> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty()).map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_defaults_are_valid() {
        let config: Config = Figment::from(Toml::string(DEFAULTS)).extract().unwrap();
        config.check().unwrap();
        assert_eq!(config.plans.free.per_minute, 10);
    }

    #[test]
    fn an_unknown_key_is_refused_with_file_and_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[server]\nlisten_on = \"1.2.3.4:80\"\n").unwrap();
        let error = Config::load(Some(file.path())).unwrap_err().to_string();
        assert!(error.contains("listen_on"), "{error}");
        assert!(error.contains(&*file.path().file_name().unwrap().to_string_lossy()), "{error}");
    }
}
