//! PostgreSQL and the gateway processes: started, killed, started again.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use doitong::db::{self, embedded::Embedded};
use rand::{Rng, RngExt as _, seq::IndexedRandom as _};
use sqlx::PgPool;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::{PLAN, upstream::Upstream};

/// A request must arrive within a quarter of the lease: with six processes on two cores, seconds are not long.
const LEASE_SECONDS: &str = "3";

const APIS: usize = 2;
const WORKERS: usize = 2;

/// The catalogue of the drill: five protocols, short runs and short deadlines.
const CATALOGUE: [(&str, &str); 6] = [
    ("upstreams.toml", include_str!("catalog/upstreams.toml")),
    ("kling.toml", include_str!("catalog/kling.toml")),
    ("clips.toml", include_str!("catalog/clips.toml")),
    ("vidu.toml", include_str!("catalog/vidu.toml")),
    ("gpt-image.toml", include_str!("catalog/gpt-image.toml")),
    ("hedra.toml", include_str!("catalog/hedra.toml")),
];

/// How the gateway is called: the program, and the arguments before its own.
#[derive(Clone, Debug)]
pub struct Gateway {
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

/// One gateway process.
struct Process {
    role: &'static str,
    listen: SocketAddr,
    child: Option<Child>,
    /// Until when it stays dead.
    back_at: Instant,
}

/// All processes of a run.
pub struct Fleet {
    gateway: Gateway,
    folder: PathBuf,
    upstream: Vec<(String, String)>,
    server: Option<Embedded>,
    processes: Vec<Process>,
}

impl Fleet {
    pub async fn start(gateway: Gateway, folder: &Path, upstream: &Upstream) -> Self {
        let catalogue = folder.join("catalog");
        fs::create_dir(&catalogue).unwrap();
        for (name, text) in CATALOGUE {
            fs::write(catalogue.join(name), text).unwrap();
        }
        let server = Embedded::start(folder).await.unwrap();
        let pool = db::open(server.connect_options(), 2).await.unwrap();
        db::migrate(&pool).await.unwrap();
        pool.close().await;
        let roles = std::iter::repeat_n("api", APIS).chain(std::iter::repeat_n("worker", WORKERS));
        let back_at = Instant::now();
        let processes = roles.map(|role| Process { role, listen: free_address(), child: None, back_at }).collect();
        let mut fleet =
            Self { gateway, folder: folder.to_owned(), upstream: upstream.settings(), server: Some(server), processes };
        fleet.revive(Instant::now());
        fleet
    }

    pub fn apis(&self) -> Vec<String> {
        self.processes.iter().filter(|one| one.role == "api").map(|one| format!("http://{}", one.listen)).collect()
    }

    pub async fn pool(&self) -> PgPool {
        db::open(self.server.as_ref().unwrap().connect_options(), 2).await.unwrap()
    }

    /// Kills a process without warning, one that lives if there is one. It stays dead for a moment, now and then longer.
    pub async fn kill_one(&mut self, rng: &mut impl Rng) {
        let alive: Vec<usize> = (0..self.processes.len()).filter(|at| self.processes[*at].child.is_some()).collect();
        let victim = &mut self.processes[*alive.choose(rng).unwrap_or(&0)];
        if let Some(mut child) = victim.child.take() {
            child.kill().await.unwrap();
        }
        let dead_for = if rng.random_bool(0.2) { 1_000..4_000 } else { 50..500 };
        victim.back_at = Instant::now() + Duration::from_millis(rng.random_range(dead_for));
    }

    /// Breaks some of the connections to the database.
    pub async fn kill_backends(&mut self, rng: &mut impl Rng) -> u32 {
        let pool = self.pool().await;
        let backends: Vec<i32> = sqlx::query_scalar(
            "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        let victims: Vec<i32> = backends.sample(rng, 3).copied().collect();
        for pid in &victims {
            sqlx::query("select pg_terminate_backend($1)").bind(pid).execute(&pool).await.unwrap();
        }
        pool.close().await;
        u32::try_from(victims.len()).unwrap()
    }

    /// Stops PostgreSQL and starts it again: by a crash (SIGQUIT, recovery at the start), or in order, with every session
    /// ended at once (SIGINT).
    pub async fn restart_database(&mut self, crash: bool) {
        let pid = fs::read_to_string(self.folder.join("postgres/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap().trim().to_owned();
        let signal = if crash { "-QUIT" } else { "-INT" };
        Command::new("kill").args([signal, &pid]).status().await.unwrap();
        while Path::new(&format!("/proc/{pid}")).exists() && !is_zombie(&pid) {
            sleep(Duration::from_millis(20)).await;
        }
        drop(self.server.take());
        self.server = Some(Embedded::start(&self.folder).await.unwrap());
    }

    /// Starts the dead whose time has come, and those that gave up because the database was away at their start.
    pub fn revive(&mut self, now: Instant) {
        for process in &mut self.processes {
            if process.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some()) {
                (process.child, process.back_at) = (None, now + Duration::from_millis(100));
            }
        }
        let url = self.server.as_ref().unwrap().url();
        let due = self.processes.iter().enumerate().filter(|(_, one)| one.child.is_none() && one.back_at <= now);
        for at in due.map(|(at, _)| at).collect::<Vec<_>>() {
            let child = self.command(&self.processes[at], &url).spawn().unwrap();
            self.processes[at].child = Some(child);
        }
    }

    fn command(&self, process: &Process, url: &str) -> Command {
        let mut command = Command::new(&self.gateway.program);
        command
            .args(&self.gateway.arguments)
            .args(["serve", "--role", process.role, "--listen", &process.listen.to_string()])
            .env("DATABASE_URL", url)
            .env("DOITONG_DATA_DIR", self.folder.join("data"))
            .env("DOITONG__CATALOG__FOLDER", self.folder.join("catalog"))
            .env("DOITONG__NETWORK__ALLOW_PRIVATE", "true")
            .env("DOITONG__WORKER__TIME_SCALE", "0.02")
            .env("DOITONG__WORKER__LEASE_SECONDS", LEASE_SECONDS)
            .env("DOITONG__DATABASE__MAX_CONNECTIONS", "8")
            .env("DOITONG__PLANS__ENTERPRISE__PER_MINUTE", PLAN.per_minute.to_string())
            .env("DOITONG__PLANS__ENTERPRISE__CONCURRENT", PLAN.concurrent.to_string())
            .env("DOITONG__PLANS__ENTERPRISE__QUEUED", PLAN.queued.to_string())
            .env("DOITONG__SERVER__PUBLIC_URL", "http://127.0.0.1:9")
            .env("DOITONG__LOG__FILTER", "error")
            .envs(self.upstream.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap())
            .kill_on_drop(true);
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.join("gateway.log")
    }

    /// Lines of the gateways' log that tell of a panic or of a task that ended unasked.
    pub fn crashes(&self) -> Vec<String> {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().filter(|line| line.contains("panicked") || line.contains("unasked")).map(str::to_owned).collect()
    }

    pub async fn stop(&mut self) {
        for process in &mut self.processes {
            if let Some(mut child) = process.child.take() {
                child.kill().await.unwrap();
            }
        }
        self.server.take().unwrap().stop().await;
    }
}

fn is_zombie(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
