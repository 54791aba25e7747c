//! The real binary, as an operator runs it: each test in a data directory of its own, on the embedded PostgreSQL.

mod commands;
pub mod operating;
mod remote;
mod serving;

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A data directory, and the folder around it for files of a test.
pub struct Home {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

/// What a command said.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Home {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        self.program(env!("CARGO_BIN_EXE_doitong"), args)
    }

    /// Nothing of the environment but where programs are: neither a database nor credentials.
    pub fn program(&self, name: &str, args: &[&str]) -> Command {
        let mut command = Command::new(name);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("DOITONG_DATA_DIR", self.file("data")).envs(self.variables.iter().cloned());
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// The JSON that a command prints.
    pub fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{args:?}");
        assert_eq!(ran.stdout.lines().count(), 1, "{}", ran.stdout);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// The one line that a command fails with.
    pub fn error(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{args:?}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        ran.stderr
    }

    pub fn serve(&self, args: &[&str]) -> Served {
        self.serve_by(self.command(&[&["serve"], args].concat()))
    }

    /// Starts a command that becomes a gateway.
    pub fn serve_by(&self, mut command: Command) -> Served {
        let log = self.file("log");
        command.stdout(Stdio::piped()).stderr(File::options().create(true).append(true).open(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut served = Served { child, lines, log, url: String::new() };
        let ready = served.line();
        ready.strip_prefix("listening on ").unwrap_or_default().clone_into(&mut served.url);
        assert!(served.url.starts_with("http://127.0.0.1:") || ready == "worker ready", "{ready:?}: {}", served.log());
        served
    }

    /// The process of the private PostgreSQL, if it runs.
    pub fn server(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.file("data/postgres/postmaster.pid")).ok()?;
        let pid = Pid::from_raw(text.lines().next()?.parse().ok()?)?;
        test_kill_process(pid).is_ok().then_some(pid)
    }

    pub fn has_server(&self) -> bool {
        self.server().is_some()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // A test that killed its process leaves the database behind; whoever comes and goes next stops it.
        if self.has_server() {
            self.command(&["keys", "list"]).output().ok();
        }
    }
}

/// A process that serves.
pub struct Served {
    pub child: Child,
    lines: BufReader<ChildStdout>,
    log: PathBuf,
    pub url: String,
}

impl Served {
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn ended(&mut self) -> ExitStatus {
        eventually(|| self.child.try_wait().unwrap())
    }

    pub fn stop(mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.ended().code(), Some(0), "{}", self.log());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens: host and port.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// The most memory that the process has had, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// The status and the body of an answer.
    pub fn get(&self, path: &str) -> (u16, String) {
        curl(&[&format!("{}{path}", self.url)])
    }

    pub fn ask(&self, key: &str, query: &str) -> (u16, Value) {
        let (authorization, body) = (format!("Authorization: Bearer {key}"), serde_json::json!({ "query": query }));
        let json = "Content-Type: application/json";
        let url = format!("{}/graphql", self.url);
        let (status, body) = curl(&[&url, "-H", &authorization, "-H", json, "-d", &body.to_string()]);
        (status, serde_json::from_str(&body).unwrap_or_default())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.signal(Signal::TERM);
            self.signal(Signal::INT);
            self.child.wait().unwrap();
        }
    }
}

fn curl(args: &[&str]) -> (u16, String) {
    let output =
        Command::new("curl").args(["-sS", "--max-time", "10", "-w", "\n%{http_code}"]).args(args).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

pub fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not come about");
        thread::sleep(Duration::from_millis(20));
    }
}

fn write(path: &Path, text: &str) -> String {
    fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}
