//! `doitong serve`: start, run until told to stop, drain, end.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use rand::{
    SeedableRng as _,
    rngs::{StdRng, SysRng},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Settings, output, values};
use crate::{
    accounts::NewKey,
    app::{App, Connected, Parts, read_catalog},
    catalog::Catalog,
    config::Config,
    db::embedded::Keeper,
    domain::{Clock, Mode},
    http::{self, server::Server},
    lifecycle::{Signal, Signals},
    telemetry, worker,
};

/// How long the end waits for connections of the pool that are in use.
const POOL_LIMIT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Args {
    /// What this process does [default: all]
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Where the API listens; port 0 picks a free one [default: 127.0.0.1:8080, as configured]
    #[arg(long, env = "DOITONG_LISTEN", value_name = "ADDR", value_parser = values::address)]
    listen: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    /// Serves the API and runs the workers
    #[default]
    All,
    /// Serves the API
    Api,
    /// Runs the workers
    Worker,
}

/// The process, up and running.
struct Service {
    app: Arc<App>,
    connected: Connected,
    server: Option<Arc<Server>>,
    keeper: Arc<Keeper>,
    /// Cancelled after the drain: ends what must outlive it.
    end: CancellationToken,
}

pub(super) async fn run(args: Args, mut settings: Settings) -> anyhow::Result<()> {
    telemetry::start(&settings.config.log)?;
    settings.config.server.listen = args.listen.unwrap_or(settings.config.server.listen);
    let mut signals = Signals::listen()?;
    let service = tokio::select! {
        service = Service::start(args.role.unwrap_or_default(), &settings) => service?,
        // Giving the start up lets go of the database.
        () = signals.stop() => return Ok(()),
    };
    let outcome = service.until_told(&mut signals, &settings).await;
    service.drain(&mut signals).await;
    service.end().await;
    outcome
}

impl Service {
    async fn start(role: Role, settings: &Settings) -> anyhow::Result<Self> {
        raise_file_limit();
        let config = &settings.config;
        // Before anything is counted.
        telemetry::metrics();
        let (catalog, secrets) = read_catalog(config)?;
        // First, since an address that is taken is the likeliest thing to be wrong.
        let listener = if role == Role::Worker { None } else { Some(listen(config.server.listen).await?) };
        let connected = Connected::open(config, &secrets, &settings.data_dir).await?;
        let app = App::new(Parts {
            config: config.clone(),
            secrets,
            catalog,
            pool: connected.pool.clone(),
            clock: Clock::default(),
            data_dir: settings.data_dir.clone(),
            allow_private: config.network.allow_private.unwrap_or(connected.embedded.is_some()),
        })?;
        app.accounts.apply_plans().await?;
        app.webhooks.seal_secrets(&mut StdRng::try_from_rng(&mut SysRng)?).await?;
        let keeper = Arc::new(Keeper::new(settings.data_dir.clone()));
        let mut service = Self { app, connected, server: None, keeper, end: CancellationToken::new() };
        if let Some(listener) = listener {
            service.open(listener, role).await?;
        } else {
            service.app.media.links().listening_on(config.server.listen);
            service.start_tasks(role);
            output::line("worker ready")?;
        }
        Ok(service)
    }

    /// Serves the API.
    async fn open(&mut self, listener: TcpListener, role: Role) -> anyhow::Result<()> {
        let app = &self.app;
        let address = listener.local_addr()?;
        app.media.links().listening_on(address);
        let router = http::router(app.clone(), Some(telemetry::metrics().clone()), app.draining.clone());
        let server = Arc::new(Server::new(router, app.config.server.max_connections, app.draining.clone()));
        let (accepting, end) = (server.clone(), self.end.clone());
        app.spawn("connections", &self.end, async move { accepting.run(listener, &end).await });
        self.server = Some(server);
        self.start_tasks(role);
        let first_key = self.first_key().await?;
        output::line(&format!("listening on http://{address}"))?;
        if let Some(key) = first_key {
            greet(&key, &self.app.config, address)?;
        }
        Ok(())
    }

    fn start_tasks(&self, role: Role) {
        let (app, end) = (&self.app, self.end.clone());
        app.start(&self.end);
        if role != Role::Api {
            worker::start(app, &app.draining);
        }
        if self.connected.embedded.is_some() {
            let (keeper, app, end) = (self.keeper.clone(), self.app.clone(), self.end.clone());
            app.clone().spawn("database", &self.end, async move { keeper.run(&app.pool, &end).await });
        }
        app.spawn("metrics", &self.end, async move {
            while end.run_until_cancelled(tokio::time::sleep(telemetry::UPKEEP_EVERY)).await.is_some() {
                telemetry::metrics().run_upkeep();
            }
        });
    }

    /// A key of a first account, where the database is our own and new.
    async fn first_key(&self) -> anyhow::Result<Option<String>> {
        if self.connected.embedded.is_none() || self.app.accounts.any().await? {
            return Ok(None);
        }
        let new = NewKey { account: "default".to_owned(), plan: None, mode: Mode::Test, credits: None };
        let mut rng = StdRng::try_from_rng(&mut SysRng)?;
        Ok(Some(self.app.accounts.create_key(&new, &mut rng).await?.key))
    }

    /// Runs until a signal says to stop, or something crashed.
    async fn until_told(&self, signals: &mut Signals, settings: &Settings) -> anyhow::Result<()> {
        loop {
            let signal = tokio::select! {
                signal = signals.next() => signal,
                () = self.app.crashed.cancelled() => bail!("a background task crashed; the log says which and why"),
            };
            if signal == Signal::Stop {
                return Ok(());
            }
            match reload(&self.app, settings.file.as_deref()).await {
                Ok(()) => tracing::info!("catalogue and plans were read anew"),
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "catalogue and plans stay as they were");
                }
            }
        }
    }

    /// Lets what is under way end: until it has, patience is over, or a second signal comes.
    async fn drain(&self, signals: &mut Signals) {
        let patience = Duration::from_secs(self.app.config.server.drain_seconds);
        tracing::info!("stopping; waiting up to {} s for what is under way", patience.as_secs());
        self.app.draining.cancel();
        self.app.work.close();
        let connections = async {
            if let Some(server) = &self.server {
                self.app.probes.moved().await;
                server.drained().await;
            }
        };
        let drained = async { tokio::join!(self.app.work.wait(), connections) };
        tokio::select! {
            waited = tokio::time::timeout(patience, drained) => {
                if waited.is_err() {
                    tracing::warn!("not everything ended in time; other processes or the next start take it over");
                }
            }
            () = signals.stop() => tracing::warn!("told twice: not waiting any longer"),
        }
    }

    /// Ends the rest, and the database if it is our own.
    async fn end(self) {
        self.end.cancel();
        let Connected { pool, embedded } = self.connected;
        let _ = tokio::time::timeout(POOL_LIMIT, pool.close()).await;
        if let Some(embedded) = embedded {
            embedded.stop().await;
            self.keeper.stop().await;
        }
    }
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address} (choose another address with --listen)"))
}

/// Tells a newcomer how to begin.
fn greet(key: &str, config: &Config, address: SocketAddr) -> std::io::Result<()> {
    let url = config.server.public_url.as_ref().map_or_else(|| local_url(address), ToString::to_string);
    let url = url.trim_end_matches('/');
    let query = r#"{"query":"mutation { generate(input: { type: IMAGE, input: { text: \"A red fox in the snow\" } }) { id status provider creditCost estimatedTime } }"}"#;
    output::line("")?;
    output::line("A test-mode account was made, named default. Its key, shown this once:")?;
    output::line(key)?;
    output::line("")?;
    output::line("Try it:")?;
    output::line(&format!(
        "curl -sS {url}/graphql -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{query}'"
    ))
}

/// How this machine calls the address listened on.
fn local_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// Puts catalogue and plans in force as the files say now; whatever is wrong, both stay as they were.
async fn reload(app: &App, file: Option<&Path>) -> anyhow::Result<()> {
    let file = file.map(Path::to_owned);
    let read = tokio::task::spawn_blocking(move || {
        let config = Config::load(file.as_deref())?;
        let catalog = Catalog::load(config.catalog.folder.as_deref())?;
        anyhow::Ok((config.plans, catalog))
    });
    let (plans, catalog) = read.await??;
    app.replace_catalog(catalog);
    app.accounts.replace_plans(plans);
    Ok(app.accounts.apply_plans().await?)
}

/// Every connection is a file, and the usual limit of those is a thousand.
fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
}
