//! One PostgreSQL for the test run, and a database for each test, copied from a migrated one.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use doitong::db::{self, embedded::Embedded};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

struct Cluster {
    options: PgConnectOptions,
    _server: Embedded,
    _watch: Child,
    _folder: tempfile::TempDir,
}

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A database of its own.
pub async fn database() -> PgPool {
    let cluster = CLUSTER.get_or_init(start).await;
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    // Copies of one template are made one at a time.
    let admin = db::open(cluster.options.clone().database("postgres"), 1).await.unwrap();
    let mut conn = admin.acquire().await.unwrap();
    sqlx::query("select pg_advisory_lock(1)").execute(&mut *conn).await.unwrap();
    let create = format!("create database {name} template doitong");
    sqlx::query(AssertSqlSafe(create)).execute(&mut *conn).await.unwrap();
    drop(conn);
    admin.close().await;
    db::open(cluster.options.clone().database(&name), 8).await.unwrap()
}

async fn start() -> Cluster {
    let folder = tempfile::tempdir().unwrap();
    // On a thread with a runtime of its own: the first test's runtime ends before the others.
    let path = folder.path().to_owned();
    let server = std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let server = Embedded::start(&path).await.unwrap();
            let pool = db::open(server.connect_options(), 1).await.unwrap();
            db::migrate(&pool).await.unwrap();
            pool.close().await;
            server
        })
    });
    let server = server.join().unwrap();
    Cluster { options: server.connect_options(), _server: server, _watch: watch(folder.path().into()), _folder: folder }
}

/// Stops the server and removes its folder when this process has ended, however it did: statics are not dropped.
fn watch(folder: PathBuf) -> Child {
    let script = r#"read -r _; kill -INT "$(head -n 1 "$0/postgres/postmaster.pid")"; sleep 1; rm -rf "$0""#;
    Command::new("sh").arg("-c").arg(script).arg(folder).stdin(Stdio::piped()).spawn().unwrap()
}
