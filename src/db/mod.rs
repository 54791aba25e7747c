//! The database: pool, migrations, the bus between processes, and the coalescing of statements.

mod batch;
mod bus;
pub mod embedded;
pub mod statistics;
mod watch;

use std::time::Duration;

use anyhow::Context as _;
use sqlx::{
    Connection as _, Executor as _, PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio_util::task::TaskTracker;

pub use batch::{Batcher, Overloaded};
pub use bus::{Bus, Changes, tell_keys_changed};
pub use watch::Watch;

/// Migrations, compiled in.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// A connection that rested for longer is asked whether it still stands.
const RESTED: Duration = Duration::from_secs(1);

/// The pool, and the tasks on which the statements of concurrent requests are gathered.
#[derive(Clone, Debug)]
pub struct Database {
    /// The pool.
    pub pool: PgPool,
    tracker: TaskTracker,
}

impl Database {
    /// A database whose gathering tasks run on this tracker.
    pub fn new(pool: PgPool, tracker: &TaskTracker) -> Self {
        Self { pool, tracker: tracker.clone() }
    }

    /// Gathers what arrives together into batches of at most `size`; `statement` answers item by item.
    pub fn gather<I, O, F, R>(&self, size: usize, statement: F) -> Batcher<I, O>
    where
        I: Clone + Send + Sync + 'static,
        O: Send + 'static,
        F: Fn(PgPool, Vec<I>) -> R + Send + Sync + 'static,
        R: Future<Output = sqlx::Result<Vec<O>>> + Send + 'static,
    {
        let pool = self.pool.clone();
        Batcher::start(&self.tracker, (lanes(), size), move |batch| statement(pool.clone(), batch))
    }
}

/// How many batches of a kind are under way at once: half as many as there are cores, since the other half serves them.
/// Fewer and larger batches cost less each, and commit once for many.
fn lanes() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).div_ceil(2)
}

/// The rows of a batch's answer, each in the place of the item that it belongs to: `item` tells which, from 1.
pub fn in_places<I, R, O>(
    batch: &[I],
    rows: Vec<R>,
    item: impl Fn(&R) -> i64,
    read: impl Fn(&I, R) -> O,
) -> Vec<Option<O>> {
    let mut places: Vec<Option<O>> = batch.iter().map(|_| None).collect();
    for row in rows {
        let index = usize::try_from(item(&row) - 1).unwrap_or(usize::MAX);
        if let (Some(asked), Some(place)) = (batch.get(index), places.get_mut(index)) {
            *place = Some(read(asked, row));
        }
    }
    places
}

/// Opens a pool. A request that gets no connection in time fails fast, with an error that may be retried.
pub async fn open(options: PgConnectOptions, max_connections: u32) -> anyhow::Result<PgPool> {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(3))
        // Asking each time would cost a round trip; asking the rested ones is enough to find those that the database left
        // behind when it went away.
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > RESTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options.application_name("doitong"))
        .await
        .context("cannot reach the database")
}

/// Every hot statement looks rows up by their whole keys, table by table in the order in which it is written. A planner
/// that has seen the tables empty would scan, hash or copy them, or begin with the part of a key that matches a whole
/// account, and keep that plan when they are full (see [`statistics`] for the rest of it). Planning anew for each batch costs more than running it, compiling it more still.
async fn prepare(connection: &mut PgConnection) -> sqlx::Result<()> {
    connection
        .execute(
            "set plan_cache_mode = force_generic_plan; set join_collapse_limit = 1; set enable_seqscan = off;
            set enable_hashjoin = off; set enable_mergejoin = off; set enable_material = off; set jit = off",
        )
        .await?;
    Ok(())
}

/// Applies the migrations that are missing. Those of a newer release do not matter: what they add leaves room for the
/// release before (`migrations/README.md`), so that it may still start beside the new one.
pub async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    migrator.set_ignore_missing(true);
    migrator.run(pool).await.context("the database could not be migrated")
}

/// Whether every migration of this binary is applied.
pub async fn is_migrated(pool: &PgPool) -> sqlx::Result<bool> {
    let applied = sqlx::query_scalar!("select count(*) from _sqlx_migrations where success")
        .fetch_one(pool)
        .await?
        .unwrap_or_default();
    Ok(usize::try_from(applied).unwrap_or_default() >= MIGRATIONS.iter().count())
}

/// Whether the same may well go right in a moment: the database is away, or more is asked of it than it can bear.
pub fn is_passing(error: &anyhow::Error) -> bool {
    let is_away = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref().is_some_and(is_away);
    error.chain().any(|cause| cause.is::<Overloaded>() || is_away(cause))
}

/// Whether the database is away, as opposed to an error in what we asked of it.
pub fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) => true,
        // Class 57: operator intervention (shutting down, crashed, starting); class 08: connection trouble.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08"))
        }
        _ => false,
    }
}
