//! [`App`]: every noun of the product, wired once from the settings. The only place that picks implementations.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context as _;
use sqlx::PgPool;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::{
    accounts::{Accounts, Caller},
    catalog::{Catalog, Choice, Conditions, RouteId},
    config::{Config, Secrets},
    db::{self, Bus, Database, embedded::Embedded},
    domain::{Clock, Mode},
    egress::Egress,
    feed::Feed,
    health::RouteHealth,
    jobs::{Claimed, Jobs},
    lifecycle::{Probes, supervised},
    limits::Reads,
    media::{Inputs, Store},
    providers::{Provider, Registry, adapters, registry, sandbox::Sandbox},
    webhooks::{Seal, SecretError, Webhooks},
};

/// The least time that a route's deadline leaves, and how many usual runs it leaves where the catalogue names none.
const LEAST_DEADLINE: Duration = Duration::from_mins(5);
const USUAL_RUNS: u32 = 10;

/// What lives as long as the process.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The database.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Whether the database is there.
    pub database: db::Watch,
    /// What processes tell each other.
    pub bus: Arc<Bus>,
    /// Accounts and keys.
    pub accounts: Accounts,
    /// Generations and their jobs.
    pub jobs: Jobs,
    /// Who watches which generation.
    pub feed: Feed,
    /// The webhook outbox.
    pub webhooks: Webhooks,
    /// Results and uploads.
    pub media: Arc<Store>,
    /// Upstreams.
    pub registry: Registry,
    /// What was measured of the routes.
    pub health: RouteHealth,
    /// Calls to addresses that strangers name.
    pub egress: Egress,
    /// The pacing of reads.
    pub reads: Reads,
    /// The tasks that live as long as the process.
    pub tracker: TaskTracker,
    /// What a stop waits for: steps under way.
    pub work: TaskTracker,
    /// Cancelled when the process was told to stop: nothing new is claimed, readiness is over, streams end.
    pub draining: CancellationToken,
    /// Who asks whether this process is ready.
    pub probes: Probes,
    /// Cancelled when a background task ended that must not.
    pub crashed: CancellationToken,
    catalog: RwLock<Arc<Catalog>>,
}

/// What an [`App`] is made from.
pub struct Parts {
    /// The settings.
    pub config: Config,
    /// Credentials.
    pub secrets: Secrets,
    /// The catalogue.
    pub catalog: Catalog,
    /// The database.
    pub pool: PgPool,
    /// The time.
    pub clock: Clock,
    /// Where files lie that are not in the database.
    pub data_dir: PathBuf,
    /// Whether private addresses may be called.
    pub allow_private: bool,
}

impl App {
    /// Wires everything. Nothing runs yet.
    pub fn new(parts: Parts) -> anyhow::Result<Arc<Self>> {
        let Parts { config, secrets, catalog, pool, clock, data_dir, allow_private } = parts;
        let (tracker, bus) = (TaskTracker::new(), Arc::new(Bus::default()));
        let (database, seal) = (Database::new(pool.clone(), &tracker), seal(&secrets)?);
        let media = Arc::new(open_media(&config, &secrets, &data_dir)?);
        let egress = Egress::new(allow_private)?;
        let registry = Registry::new(registry::Parts {
            upstreams: catalog.upstreams(),
            secrets: &secrets.upstreams,
            bases: config.upstreams.iter().map(|(id, upstream)| (id.clone(), upstream.base_url.clone())).collect(),
            inputs: Arc::new(Inputs::new(media.clone(), Egress::new(allow_private)?)),
            clock: clock.clone(),
            adapters: all_adapters(&config),
        })?;
        Ok(Arc::new(Self {
            accounts: Accounts::new(&database, clock.clone(), config.plans.clone(), seal.clone()),
            jobs: Jobs::new(&database, clock.clone(), bus.clone()),
            feed: Feed::new(clock.clone()),
            webhooks: Webhooks::new(&database, clock.clone(), seal),
            health: RouteHealth::new(&database, clock.clone(), bus.clone()),
            catalog: RwLock::new(Arc::new(catalog)),
            reads: Reads::default(),
            config,
            pool,
            clock,
            database: db::Watch::default(),
            bus,
            media,
            registry,
            egress,
            tracker,
            work: TaskTracker::new(),
            draining: CancellationToken::new(),
            probes: Probes::default(),
            crashed: CancellationToken::new(),
        }))
    }

    /// Starts what every role needs: the bus, the watch on the database, the forgetting of callers whose keys changed,
    /// the feed.
    pub fn start(self: &Arc<Self>, stop: &CancellationToken) {
        let (app, until) = (self.clone(), stop.clone());
        self.spawn("bus", stop, async move { app.bus.run(&app.pool, &until).await });
        let (app, until) = (self.clone(), stop.clone());
        self.spawn("database watch", stop, async move { app.database.run(&app.pool, &until).await });
        let (app, until) = (self.clone(), stop.clone());
        self.spawn("callers", stop, async move { app.accounts.follow(&app.bus, &until).await });
        let (app, until) = (self.clone(), stop.clone());
        self.spawn("feed", stop, async move { app.feed.run(&app.jobs, &app.accounts, &app.bus, &until).await });
        let (app, until) = (self.clone(), stop.clone());
        self.spawn("health", stop, async move { app.health.follow(&until).await });
    }

    /// Runs a background task that ends when `stop` is cancelled, and takes the process down when it ends before.
    pub fn spawn(&self, name: &'static str, stop: &CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(supervised(name, stop.clone(), self.crashed.clone(), task));
    }

    /// The catalogue in force.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another catalogue in force; requests under way keep the one they began with.
    pub fn replace_catalog(&self, catalog: Catalog) {
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
    }

    /// Runs `what` with the world as a request in this mode finds it.
    pub fn with_conditions<T>(&self, mode: Mode, what: impl FnOnce(&Catalog, &Conditions<'_>) -> T) -> T {
        let catalog = self.catalog();
        let is_set = |name: &str| self.registry.has(name);
        let configured = |route: &crate::catalog::spec::Route| {
            self.registry.serves(&route.upstream) && catalog.has_credentials(route, &is_set)
        };
        let conditions = Conditions {
            mode,
            today: self.clock.now().date_naive(),
            configured: &configured,
            health: &|route| self.health.of(route),
        };
        what(&catalog, &conditions)
    }

    /// What serves a job after its upstream did not start it.
    pub fn fail_over(&self, job: &Claimed) -> Option<Choice> {
        let mut tried: Vec<RouteId> =
            job.attempts.iter().filter_map(|attempt| attempt.route.clone()).map(RouteId).collect();
        tried.push(RouteId(job.route.clone()));
        self.with_conditions(job.mode, |catalog, conditions| {
            catalog.fail_over(&job.asked, &tried, job.credit_cost, conditions)
        })
    }

    /// After how long a run on this route fails.
    pub fn deadline_of(&self, route: &RouteId) -> Duration {
        let catalog = self.catalog();
        let Some(found) = catalog.route(route) else { return LEAST_DEADLINE };
        let usual = Duration::from_secs(found.route.typical_seconds.into()) * USUAL_RUNS;
        let named = found.route.deadline_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        named.unwrap_or_else(|| usual.max(LEAST_DEADLINE))
    }

    /// The address of a stored file.
    pub fn media_url(&self, path: &str) -> Option<Url> {
        self.media.links().url(path)
    }

    /// Reads a caller takes, with the wait when there is no room.
    pub fn take_read(&self, caller: &Caller) -> Result<(), Duration> {
        self.reads.take(caller.account, caller.mode, caller.per_minute)
    }
}

fn all_adapters(config: &Config) -> Vec<Box<dyn Provider>> {
    let mut all = adapters::all();
    all.push(Box::new(Sandbox::new(config.worker.time_scale)));
    all
}

/// How webhook secrets are kept.
pub fn seal(secrets: &Secrets) -> Result<Seal, SecretError> {
    Seal::new(secrets.secret_key.as_ref(), secrets.previous_secret_key.as_ref())
}

/// The media store of the settings.
pub fn open_media(config: &Config, secrets: &Secrets, data_dir: &Path) -> anyhow::Result<Store> {
    let place = config.media.store.clone().unwrap_or_else(|| data_dir.join("media").to_string_lossy().into_owned());
    Store::open(&place, &secrets.clouds, data_dir, config.server.public_url.clone())
}

/// A database to work on: the one named, or the private one of the data directory.
pub struct Connected {
    /// The pool.
    pub pool: PgPool,
    /// The private server, if that is what it is.
    pub embedded: Option<Embedded>,
}

impl Connected {
    /// Connects, and migrates.
    pub async fn open(config: &Config, secrets: &Secrets, data_dir: &Path) -> anyhow::Result<Self> {
        let connected = Self::join(config, secrets, data_dir).await?;
        db::migrate(&connected.pool).await?;
        Ok(connected)
    }

    /// Connects without migrating.
    pub async fn join(config: &Config, secrets: &Secrets, data_dir: &Path) -> anyhow::Result<Self> {
        use secrecy::ExposeSecret as _;
        let max = config.database.max_connections;
        if let Some(url) = &secrets.database_url {
            let options =
                url.expose_secret().parse().map_err(|_| anyhow::anyhow!("DATABASE_URL is no PostgreSQL URL"))?;
            let pool = db::open(options, max).await.context("DATABASE_URL (unset it for a private PostgreSQL)")?;
            return Ok(Self { pool, embedded: None });
        }
        let embedded = Embedded::start(data_dir).await?;
        let pool = db::open(embedded.connect_options(), max).await?;
        Ok(Self { pool, embedded: Some(embedded) })
    }

    /// Closes the pool and lets go of the private server.
    pub async fn close(self) {
        self.pool.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// The catalogue and the credentials that it names.
pub fn read_catalog(config: &Config) -> anyhow::Result<(Catalog, Secrets)> {
    let catalog = Catalog::load(config.catalog.folder.as_deref())?;
    let names = catalog.upstreams().0.values().flat_map(|spec| &spec.credentials).flatten();
    let secrets = Secrets::read(names.map(String::as_str));
    Ok((catalog, secrets))
}
