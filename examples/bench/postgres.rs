//! A PostgreSQL of its own for the run, with the durability it ships with, and pgbench on it.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use doitong::db;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgConnectOptions};
use tokio::process::{Child, Command};

use crate::proc;

/// The superuser.
const NAME: &str = "postgres";

/// The server process and its databases.
pub struct Cluster {
    programs: PathBuf,
    socket: PathBuf,
    server: Child,
    user: Option<(u32, u32)>,
    admin: PgPool,
}

impl Cluster {
    pub async fn start(folder: &Path) -> Self {
        let (programs, user) = (programs(), server_user());
        let (data, socket) = (folder.join("postgres"), folder.join("socket"));
        // The server's user must be able to walk down to its own folders.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        for dir in [&data, &socket] {
            fs::create_dir(dir).unwrap();
            chown(dir, user.map(|(uid, _)| uid), user.map(|(_, gid)| gid)).unwrap();
        }
        let mut initdb = as_user(&programs.join("initdb"), user);
        initdb.arg("-D").arg(&data).args(["-U", NAME, "-A", "trust", "--encoding=UTF8", "--locale=C.UTF-8"]);
        let made = initdb.output().await.unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut server = as_user(&programs.join("postgres"), user);
        server.arg("-D").arg(&data).args(["-c", "listen_addresses=", "-c", "shared_buffers=1GB"]);
        server.args(["-c", "max_connections=200", "-c"]).arg(format!("unix_socket_directories={}", socket.display()));
        let log = fs::File::create(folder.join("postgres.log")).unwrap();
        let server = server.stdout(Stdio::null()).stderr(log).kill_on_drop(true).spawn().unwrap();
        let admin = connect(&socket, "postgres").await;
        Self { programs, socket, server, user, admin }
    }

    /// Version and durability, as the server tells them.
    pub async fn describe(&self) -> String {
        let mut told = Vec::new();
        for setting in ["server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers"] {
            let value: String =
                sqlx::query_scalar(AssertSqlSafe(format!("show {setting}"))).fetch_one(&self.admin).await.unwrap();
            told.push(format!("{setting} {value}"));
        }
        told.join(", ")
    }

    /// Makes a database; of a template, where one is named.
    pub async fn create(&self, name: &str, template: Option<&str>) {
        self.drop(name).await;
        let template = template.map(|template| format!(" template {template}")).unwrap_or_default();
        self.execute(format!("create database {name}{template}")).await;
    }

    pub async fn drop(&self, name: &str) {
        self.execute(format!("drop database if exists {name} with (force)")).await;
    }

    pub async fn checkpoint(&self) {
        self.execute("checkpoint".to_owned()).await;
    }

    async fn execute(&self, statement: String) {
        sqlx::query(AssertSqlSafe(statement)).execute(&self.admin).await.unwrap();
    }

    pub async fn pool(&self, database: &str) -> PgPool {
        db::open(options(&self.socket, database), 16).await.unwrap()
    }

    /// The address for `DATABASE_URL`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{NAME}@localhost/{database}?host={}", self.socket.display())
    }

    /// Seconds of CPU of all its processes.
    pub fn cpu(&self) -> f64 {
        self.server.id().map(proc::family_cpu).unwrap_or_default()
    }

    /// Bytes of write-ahead log so far.
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    pub async fn wal(&self) -> f64 {
        let statement = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";
        let bytes: i64 = sqlx::query_scalar(statement).fetch_one(&self.admin).await.unwrap();
        bytes as f64
    }

    /// Runs a script with the meta commands and variables of psql.
    pub async fn psql(&self, database: &str, variables: &[&str], script: &Path) {
        let mut psql = self.client("psql");
        psql.args(["-qX", "-v", "ON_ERROR_STOP=1", "-d", database, "-f"]).arg(script);
        for variable in variables {
            psql.args(["-v", variable]);
        }
        let done = psql.output().await.unwrap();
        assert!(done.status.success(), "psql: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Runs a statement as fast as the database does; statements a second.
    pub async fn pgbench(&self, database: &str, script: &Path, clients: u32, lasts: Duration) -> f64 {
        let mut pgbench = self.client("pgbench");
        pgbench.args(["-n", "-M", "prepared", "-j", "2", "-c", &clients.to_string()]);
        pgbench.args(["-T", &lasts.as_secs().max(1).to_string(), "-f"]).arg(script).arg(database);
        let done = pgbench.output().await.unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        let figure = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        let errors = String::from_utf8_lossy(&done.stderr);
        let is_clean = text.contains("failed transactions: 0") || !text.contains("failed transactions");
        assert!(done.status.success() && is_clean, "pgbench: {errors}");
        figure.unwrap_or_default()
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.env("PGHOST", &self.socket).env("PGUSER", NAME).env_remove("PGPORT").stdin(Stdio::null());
        command.kill_on_drop(true);
        command
    }

    pub async fn stop(mut self) {
        self.admin.close().await;
        let Some(pid) = self.server.id() else { return };
        let mut kill = as_user(Path::new("kill"), self.user);
        // SIGINT: end every session, write everything down.
        kill.args(["-INT", &pid.to_string()]).status().await.unwrap();
        self.server.wait().await.unwrap();
    }
}

fn options(socket: &Path, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass().socket(socket).port(5432).username(NAME).database(database)
}

async fn connect(socket: &Path, database: &str) -> PgPool {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        match db::open(options(socket, database), 2).await {
            Ok(pool) => return pool,
            Err(error) => assert!(Instant::now() < deadline, "PostgreSQL does not start: {error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Where the newest installed version has its programs.
fn programs() -> PathBuf {
    let told = std::process::Command::new("pg_config").arg("--bindir").output();
    let told = told.ok().map(|told| PathBuf::from(String::from_utf8_lossy(&told.stdout).trim()));
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = installed.map(|version| version.path().join("bin")).collect();
    folders.sort();
    let found =
        folders.into_iter().rev().chain(told).find(|folder| {
            ["initdb", "postgres", "pgbench", "psql"].iter().all(|program| folder.join(program).is_file())
        });
    found.expect("PostgreSQL with pgbench must be installed")
}

/// PostgreSQL refuses to run as root: its own user then.
fn server_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let line = passwd.lines().find(|line| line.starts_with("postgres:")).expect("a user `postgres`");
    let ids: Vec<u32> = line.split(':').skip(2).take(2).flat_map(str::parse).collect();
    Some((ids[0], ids[1]))
}

fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env("LC_ALL", "C").stdin(Stdio::null());
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}
