//! A private PostgreSQL under the data directory, for running without a database of one's own.
//!
//! Every process that uses the data directory joins the same server: whoever comes first starts it, whoever leaves last
//! stops it. Two lock files hold that together. `postgres.starting` is held alone while a process starts or stops the
//! server; `postgres.users` is held in common by everyone who uses it, and being able to hold it alone means to be the
//! last. The kernel drops both when a process dies, however it dies; a server left behind is joined by the next start.

mod binaries;
mod cluster;
mod keeper;

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::{fs::FlockOperation, io::Errno, process::Signal};
use sqlx::{
    Connection as _, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use cluster::{Cluster, NAME, PORT, Server};
pub use keeper::Keeper;

/// How often a state is looked at again.
const TICK: Duration = Duration::from_millis(10);
/// How long a start may take, recovery after a crash included.
const START_LIMIT: Duration = Duration::from_mins(2);
/// How long an orderly stop may take before it becomes an immediate one (which loses nothing, but recovers at start).
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The private PostgreSQL, in use by this process. Dropping it is stopping it, if nobody else uses it.
pub struct Embedded {
    cluster: Cluster,
    /// The server, when this process started it.
    server: Option<Server>,
    /// Held while the server is being brought up.
    alone: Option<File>,
    starting: PathBuf,
    users: File,
}

impl Embedded {
    /// Joins the server of this data directory; starts it when it does not run, makes it when there is none.
    pub async fn start(data_dir: &Path) -> anyhow::Result<Self> {
        let made = fs::create_dir_all(data_dir).and_then(|()| fs::canonicalize(data_dir));
        let data_dir = made.with_context(|| format!("the data directory {} cannot be used", data_dir.display()))?;
        let starting = data_dir.join("postgres.starting");
        let alone = lock(&starting, FlockOperation::NonBlockingLockExclusive).await?;
        let users = lock(&data_dir.join("postgres.users"), FlockOperation::NonBlockingLockShared).await?;
        let cluster = tokio::task::spawn_blocking(move || Cluster::open_or_create(&data_dir)).await??;
        let mut embedded = Self { cluster, server: None, alone: Some(alone), starting, users };
        embedded.bring_up().await?;
        embedded.alone = None;
        Ok(embedded)
    }

    /// How to connect. Good while this value lives.
    pub fn connect_options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.cluster.socket_dir(true))
            .port(PORT)
            .username(NAME)
            .database(NAME)
            .ssl_mode(PgSslMode::Disable)
    }

    /// The same as an address that `psql` takes.
    pub fn url(&self) -> String {
        let dir = self.cluster.socket_dir(false);
        let dir: String = url::form_urlencoded::byte_serialize(dir.as_os_str().as_encoded_bytes()).collect();
        format!("postgresql://{NAME}@localhost/{NAME}?host={}", dir.replace('+', "%20"))
    }

    /// Leaves the server and, being the last to do so, stops it.
    pub async fn stop(self) {
        // Waiting for the server blocks the thread.
        let left = tokio::task::spawn_blocking(move || drop(self)).await;
        if let Err(error) = left {
            tracing::warn!(%error, "leaving the private PostgreSQL failed");
        }
    }

    /// Waits until the server accepts connections; starts it when none runs.
    async fn bring_up(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match self.look().await? {
                Look::Ready => return Ok(()),
                Look::NoDatabase => return self.create_database().await,
                Look::NotNow => self.tend().await?,
            }
            if Instant::now() > deadline {
                bail!("the private PostgreSQL did not come up in {} s; see postgres.log", START_LIMIT.as_secs());
            }
            tokio::time::sleep(TICK).await;
        }
    }

    async fn look(&self) -> anyhow::Result<Look> {
        match PgConnection::connect_with(&self.connect_options()).await {
            Ok(connection) => {
                connection.close().await.ok();
                Ok(Look::Ready)
            }
            Err(sqlx::Error::Database(error)) => match error.code().as_deref() {
                Some("3D000") => Ok(Look::NoDatabase),
                // Every connection is taken: it serves.
                Some("53300") => Ok(Look::Ready),
                Some("57P03") => Ok(Look::NotNow),
                _ => Err(error).context("the private PostgreSQL refuses us"),
            },
            Err(_) => Ok(Look::NotNow),
        }
    }

    /// Sees to it that a server process is there.
    async fn tend(&mut self) -> anyhow::Result<()> {
        if let Some(server) = &mut self.server {
            if !server.has_ended() {
                return Ok(());
            }
            let words = server.last_words();
            // Sessions of a server that was killed hold its memory a moment longer.
            if !words.contains("still in use") && !words.contains("lock file") {
                bail!("the private PostgreSQL ended at once:\n{words}");
            }
            self.server = None;
            tokio::time::sleep(10 * TICK).await;
        }
        // A server that is starting or stopping has this too; its end is seen at another look.
        if self.cluster.postmaster().is_none() {
            self.cluster.forget_stale_pid()?;
            self.server = Some(self.cluster.spawn()?);
        }
        Ok(())
    }

    async fn create_database(&self) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect_with(&self.connect_options().database("postgres")).await?;
        sqlx::query("create database doitong").execute(&mut connection).await?;
        connection.close().await.ok();
        Ok(())
    }

    fn has_ended(&mut self) -> bool {
        // Our own child must be waited for, or it stays as a zombie.
        self.server.as_mut().is_none_or(Server::has_ended) && self.cluster.postmaster().is_none()
    }

    fn shut_down(&mut self) {
        // First end every session and write everything down; failing that, end at once.
        for signal in [Signal::INT, Signal::QUIT] {
            let pid = self.server.as_mut().and_then(Server::pid).or_else(|| self.cluster.postmaster());
            if let Some(Err(error)) = pid.map(|pid| rustix::process::kill_process(pid, signal)) {
                tracing::warn!(%error, "the private PostgreSQL could not be told to stop");
            }
            let deadline = Instant::now() + STOP_LIMIT;
            while Instant::now() < deadline {
                if self.has_ended() {
                    return;
                }
                thread::sleep(TICK);
            }
        }
        tracing::warn!("the private PostgreSQL does not stop");
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // The lock is there already when a start failed or was given up.
        let Some(_alone) = self.alone.take().or_else(|| wait_for_lock(&self.starting).ok()) else { return };
        if rustix::fs::flock(&self.users, FlockOperation::NonBlockingLockExclusive).is_ok() {
            self.shut_down();
        }
        // Before the other lock: whoever starts next expects nobody to hold this one alone.
        rustix::fs::flock(&self.users, FlockOperation::Unlock).ok();
    }
}

enum Look {
    Ready,
    NoDatabase,
    NotNow,
}

async fn lock(path: &Path, how: FlockOperation) -> anyhow::Result<File> {
    let file = open_lock(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    loop {
        match rustix::fs::flock(&file, how) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK | Errno::INTR) => tokio::time::sleep(TICK).await,
            Err(error) => return Err(error).with_context(|| format!("{} cannot be locked", path.display())),
        }
    }
}

fn wait_for_lock(path: &Path) -> std::io::Result<File> {
    let file = open_lock(path)?;
    while let Err(error) = rustix::fs::flock(&file, FlockOperation::LockExclusive) {
        if error != Errno::INTR {
            return Err(error.into());
        }
    }
    Ok(file)
}

fn open_lock(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}
