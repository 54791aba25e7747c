//! The database: pool, migrations, the bus between processes, and the coalescing of statements.

mod batch;
mod bus;
pub mod embedded;
mod watch;

use std::time::Duration;

use anyhow::Context as _;
use sqlx::{
    Connection as _, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub use batch::{Batcher, Overloaded};
pub use bus::{Bus, tell_keys_changed};
pub use watch::Watch;

/// Migrations, compiled in.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// A connection that rested for longer is asked whether it still stands.
const RESTED: Duration = Duration::from_secs(1);

/// Opens a pool. A request that gets no connection in time fails fast, with an error that may be retried.
pub async fn open(options: PgConnectOptions, max_connections: u32) -> anyhow::Result<PgPool> {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(3))
        // Asking each time would cost a round trip; asking the rested ones is enough to find those that the database left
        // behind when it went away.
        .test_before_acquire(false)
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
