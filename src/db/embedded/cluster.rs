//! The files and the server process of the private cluster.
//!
//! The server gets its data directory as an open file descriptor and names it `/proc/self/fd/N`. PostgreSQL refuses to
//! run as root, and the user it then runs as may not be able to walk down to the directory (`/root/project/.doitong`);
//! through the descriptor nothing above the directory matters. The socket lies in the same directory, which only the
//! server's user (and root) may enter, so whoever reaches the socket may use the database.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::{
            fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::Pid,
};

use super::binaries::Binaries;

/// The superuser and the database.
pub(super) const NAME: &str = "doitong";
/// The port in the socket's file name.
pub(super) const PORT: u16 = 5432;
/// The longest socket path the kernel takes.
const MAX_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Settings of the server. What is not here is PostgreSQL's default or the cluster's `postgresql.conf`.
const SETTINGS: &[&str] = &[
    "port=5432",
    "listen_addresses=",
    "unix_socket_permissions=0700",
    "cluster_name=doitong",
    "max_connections=200",
    "shared_buffers=256MB",
    "fsync=on",
    "synchronous_commit=on",
    "wal_level=replica",
    "max_wal_size=2GB",
    "checkpoint_timeout=15min",
    "jit=off",
    // Short statements only; parallel workers would need more of /dev/shm than a container has.
    "max_parallel_workers_per_gather=0",
    "max_parallel_maintenance_workers=0",
    "timezone=UTC",
    "log_timezone=UTC",
    "logging_collector=off",
    "log_destination=stderr",
    "log_min_messages=warning",
    "log_checkpoints=off",
    "log_autovacuum_min_duration=-1",
];

/// The cluster's directory, held open.
pub(super) struct Cluster {
    dir: PathBuf,
    fd: OwnedFd,
    binaries: Binaries,
    log: PathBuf,
}

impl Cluster {
    /// The cluster below this data directory; made when there is none. The caller keeps others out meanwhile.
    pub(super) fn open_or_create(data_dir: &Path) -> anyhow::Result<Self> {
        let dir = data_dir.join("postgres");
        let log = data_dir.join("postgres.log");
        let version = match fs::read_to_string(dir.join("PG_VERSION")) {
            Ok(text) => Some(text.trim().parse().context("the private database's PG_VERSION is no number")?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error).with_context(|| {
                    format!("the private database in {} cannot be read (was it made by another user?)", dir.display())
                });
            }
        };
        let binaries = Binaries::find(version)?;
        if version.is_none() {
            create(&dir, &binaries)?;
        }
        let fd = open_dir(&dir)?;
        rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
        Ok(Self { dir, fd, binaries, log })
    }

    /// A folder name for the socket that is short enough, good in this process only when `mine`.
    pub(super) fn socket_dir(&self, mine: bool) -> PathBuf {
        let fits = self.dir.as_os_str().len() + format!("/.s.PGSQL.{PORT}").len() <= MAX_SOCKET_PATH;
        let fd = self.fd.as_raw_fd();
        match (fits, mine) {
            (true, _) => self.dir.clone(),
            (false, true) => format!("/proc/self/fd/{fd}").into(),
            (false, false) => format!("/proc/{}/fd/{fd}", std::process::id()).into(),
        }
    }

    /// Starts the server process. Its group is its own, so that Ctrl-C reaches us alone and we can drain first.
    pub(super) fn spawn(&self) -> anyhow::Result<Server> {
        let fd = open_dir(&self.dir)?;
        let dir = path_through(&fd, &self.dir);
        let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.log)?;
        let log_start = log.metadata()?.len();
        let mut command = as_user(&self.binaries.program("postgres"), ServerUser::of(&self.dir)?);
        command.arg("-D").arg(&dir).process_group(0);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command.arg("-c").arg(format!("unix_socket_directories={}", dir.display()));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("the PostgreSQL server process could not be started")?;
        Ok(Server { child, log: self.log.clone(), log_start })
    }

    /// The process id of the server that runs on this cluster, if one does.
    pub(super) fn postmaster(&self) -> Option<Pid> {
        self.pid_in_file().filter(|pid| self.is_served_by(*pid))
    }

    /// Removes the lock files of a server that is gone when their process id now belongs to something else: PostgreSQL
    /// would take that for a server. (Files of a process that is gone it removes itself, and memory still in use by
    /// lost sessions it notices by other means.)
    pub(super) fn forget_stale_pid(&self) -> io::Result<()> {
        let reused = self.postmaster().is_none()
            && self.pid_in_file().is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(Errno::SRCH));
        if !reused {
            return Ok(());
        }
        for file in [format!(".s.PGSQL.{PORT}.lock"), "postmaster.pid".to_owned()] {
            match fs::remove_file(self.dir.join(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn pid_in_file(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.dir.join("postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
    }

    /// Whether this process is a living server whose working directory is the cluster. Where the kernel does not let
    /// us see another user's working directory (containers), its name must do.
    fn is_served_by(&self, pid: Pid) -> bool {
        let proc = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
        if !Path::new("/proc/self").exists() {
            return rustix::process::test_kill_process(pid).is_ok();
        }
        let stat = fs::read_to_string(proc.join("stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if matches!(state, None | Some('Z' | 'X')) {
            return false;
        }
        match fs::metadata(proc.join("cwd")) {
            Ok(cwd) => fs::metadata(&self.dir).is_ok_and(|dir| (dir.dev(), dir.ino()) == (cwd.dev(), cwd.ino())),
            Err(_) => stat.contains("(postgres)"),
        }
    }
}

/// A server process that we started.
pub(super) struct Server {
    child: Child,
    log: PathBuf,
    log_start: u64,
}

impl Server {
    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process id, while it runs.
    pub(super) fn pid(&mut self) -> Option<Pid> {
        if self.has_ended() { None } else { Pid::from_raw(i32::try_from(self.child.id()).ok()?) }
    }

    /// What it wrote to the log since it was started, the last of it.
    pub(super) fn last_words(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut log) = File::open(&self.log) {
            let read =
                log.seek(SeekFrom::Start(self.log_start)).and_then(|_| log.take(64 << 10).read_to_end(&mut text));
            read.unwrap_or_default();
        }
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

/// Makes the cluster beside its place and moves it there when complete, so that an interrupted start leaves no half.
fn create(dir: &Path, binaries: &Binaries) -> anyhow::Result<()> {
    let new = dir.with_extension("new");
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    fs::create_dir(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o700))?;
    let user = ServerUser::choose()?;
    if let Some(user) = user {
        chown(&new, Some(user.uid), Some(user.gid))
            .with_context(|| format!("{} cannot be given to the server's user", new.display()))?;
    }
    let fd = open_dir(&new)?;
    let mut initdb = as_user(&binaries.program("initdb"), user);
    // Other systems than Linux may lack C.UTF-8; plain C sorts the same.
    let locale = if cfg!(target_os = "linux") { "--locale=C.UTF-8" } else { "--locale=C" };
    initdb.arg("-D").arg(path_through(&fd, &new)).args(["-U", NAME, "--encoding=UTF8", locale, "--data-checksums"]);
    // The socket's directory is the guard; TCP is off, and refused should someone switch it on.
    initdb.args(["--auth-local=trust", "--auth-host=reject", "--no-instructions"]);
    let out = initdb.stdin(Stdio::null()).output().context("initdb could not be run")?;
    ensure!(out.status.success(), "initdb failed: {}", String::from_utf8_lossy(&out.stderr).trim());
    match fs::rename(&new, dir) {
        Ok(()) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{} is in the way of the private database", dir.display())),
    }
}

/// Opens a directory in a way that a child process inherits.
fn open_dir(dir: &Path) -> anyhow::Result<OwnedFd> {
    rustix::fs::open(dir, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
        .with_context(|| format!("{} cannot be opened", dir.display()))
}

/// How a process that inherits the descriptor names the directory.
fn path_through(fd: &OwnedFd, dir: &Path) -> PathBuf {
    let through = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    if through.exists() { through } else { dir.to_owned() }
}

fn as_user(program: &Path, user: Option<ServerUser>) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("LC_ALL", "C");
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    command
}

/// Whom the server runs as when we are root, which PostgreSQL refuses to be.
#[derive(Clone, Copy, Debug)]
struct ServerUser {
    uid: u32,
    gid: u32,
}

impl ServerUser {
    /// The owner of an existing cluster.
    fn of(dir: &Path) -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let owner = fs::metadata(dir)?;
        if owner.uid() == 0 {
            bail!("{} belongs to root, as whom PostgreSQL does not run: `chown -R postgres` it", dir.display());
        }
        Ok(Some(Self { uid: owner.uid(), gid: owner.gid() }))
    }

    /// The user for a new cluster: `postgres`, else `nobody`.
    fn choose() -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").context("/etc/passwd cannot be read")?;
        let user = Self::named("postgres", &passwd).or_else(|| Self::named("nobody", &passwd));
        user.map(Some).context("no user `postgres` or `nobody` to run PostgreSQL as, and it refuses to run as root")
    }

    fn named(name: &str, passwd: &str) -> Option<Self> {
        let mut fields = passwd
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        (uid != 0).then_some(Self { uid, gid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_user_is_read_from_passwd() {
        let passwd = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
        assert!(ServerUser::named("postgres", passwd).is_none());
        let nobody = ServerUser::named("nobody", passwd).unwrap();
        assert_eq!((nobody.uid, nobody.gid), (65534, 65533));
        assert!(ServerUser::named("root", passwd).is_none());
    }
}
