//! PostgreSQL and the gateway processes: started, killed, started again.

use std::{
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
    time::sleep,
};

use crate::{migrated, upstream::Upstream};

/// The argument that makes this program the gateway.
pub const GATEWAY: &str = "doitong";
const APIS: usize = 2;
const WORKERS: usize = 2;

/// One gateway process.
struct Process {
    role: &'static str,
    listen: SocketAddr,
    child: Option<Child>,
}

/// All processes of a run.
pub struct Fleet {
    folder: PathBuf,
    upstream: Vec<(&'static str, String)>,
    server: Option<Embedded>,
    processes: Vec<Process>,
}

impl Fleet {
    pub async fn start(folder: &Path, upstream: &Upstream) -> Self {
        let server = Embedded::start(folder).await.unwrap();
        migrated(server.connect_options()).await;
        let roles = std::iter::repeat_n("api", APIS).chain(std::iter::repeat_n("worker", WORKERS));
        let processes = roles.map(|role| Process { role, listen: free_address(), child: None }).collect();
        let mut fleet =
            Self { folder: folder.to_owned(), upstream: upstream.settings(), server: Some(server), processes };
        fleet.revive().await;
        fleet
    }

    pub fn apis(&self) -> Vec<String> {
        self.processes.iter().filter(|one| one.role == "api").map(|one| format!("http://{}", one.listen)).collect()
    }

    pub async fn pool(&self) -> PgPool {
        db::open(self.server.as_ref().unwrap().connect_options(), 2).await.unwrap()
    }

    /// Kills a process without warning. Now and then several stay dead for a while.
    pub async fn kill_one(&mut self, rng: &mut impl Rng) {
        let victim = rng.random_range(0..self.processes.len());
        if let Some(mut child) = self.processes[victim].child.take() {
            child.kill().await.unwrap();
        }
        if rng.random_bool(0.7) {
            self.revive().await;
        }
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

    /// Crashes PostgreSQL and starts it again.
    pub async fn restart_database(&mut self) {
        let pid_file = self.folder.join("postgres/postmaster.pid");
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        let pid = pid.lines().next().unwrap().trim().to_owned();
        // SIGQUIT: stop at once, recover at the next start.
        Command::new("kill").args(["-QUIT", &pid]).status().await.unwrap();
        while Path::new(&format!("/proc/{pid}")).exists() && !is_zombie(&pid) {
            sleep(Duration::from_millis(20)).await;
        }
        drop(self.server.take());
        self.server = Some(Embedded::start(&self.folder).await.unwrap());
    }

    /// Starts every process that is dead.
    pub async fn revive(&mut self) {
        let url = self.server.as_ref().unwrap().url();
        for process in self.processes.iter_mut().filter(|process| process.child.is_none()) {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .args([GATEWAY, "serve", "--role", process.role, "--listen", &process.listen.to_string()])
                .env("DATABASE_URL", &url)
                .env("DOITONG_DATA_DIR", self.folder.join("data"))
                .env("DOITONG__NETWORK__ALLOW_PRIVATE", "true")
                .env("DOITONG__WORKER__TIME_SCALE", "0.05")
                .env("DOITONG__WORKER__LEASE_SECONDS", "10")
                .env("DOITONG__DATABASE__MAX_CONNECTIONS", "8")
                .env("DOITONG__SERVER__PUBLIC_URL", "http://127.0.0.1:9")
                .env("DOITONG__LOG__FILTER", "error")
                .envs(self.upstream.iter().map(|(name, value)| (name, value)))
                .stdout(Stdio::null())
                .stderr(log(&self.folder))
                .kill_on_drop(true);
            process.child = Some(command.spawn().unwrap());
        }
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

fn log(folder: &Path) -> Stdio {
    std::fs::OpenOptions::new().create(true).append(true).open(folder.join("gateway.log")).unwrap().into()
}

fn is_zombie(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
