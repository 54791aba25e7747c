//! The private PostgreSQL: its data, its lock files, its recovery. As root these run below a folder that only root may
//! enter, since that is what a temporary directory is.

use std::{
    fs::{self, File},
    path::Path,
    time::Duration,
};

use doitong::db::embedded::Embedded;
use futures_util::future::join_all;
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, Signal, kill_process},
};
use sqlx::{Connection as _, PgConnection};

async fn run(server: &Embedded, sql: &'static str) {
    let mut connection = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}

async fn value(server: &Embedded, sql: &'static str) -> String {
    let mut connection = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

fn postmaster(data_dir: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data_dir.join("postgres/postmaster.pid")).ok()?;
    Pid::from_raw(text.lines().next()?.parse().ok()?)
}

#[tokio::test]
async fn data_survives_a_stop_and_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let server = Embedded::start(dir.path()).await.unwrap();
    run(&server, "create table note (text text); insert into note values ('kept')").await;
    server.stop().await;
    assert_eq!(postmaster(dir.path()), None);

    let server = Embedded::start(dir.path()).await.unwrap();
    assert_eq!(value(&server, "select text from note").await, "kept");
    assert_eq!(value(&server, "show server_encoding").await, "UTF8");
    assert_eq!(value(&server, "show listen_addresses").await, "");
    server.stop().await;
}

#[tokio::test]
async fn the_server_stops_when_the_last_of_its_users_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let first = Embedded::start(dir.path()).await.unwrap();
    let second = Embedded::start(dir.path()).await.unwrap();
    let pid = postmaster(dir.path());
    first.stop().await;
    assert_eq!(postmaster(dir.path()), pid);
    run(&second, "create table note ()").await;
    second.stop().await;
    assert_eq!(postmaster(dir.path()), None);
}

#[tokio::test]
async fn processes_that_start_at_once_share_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let servers = join_all((0..6).map(|_| Embedded::start(dir.path()))).await;
    let pid = postmaster(dir.path());
    for server in servers {
        let server = server.unwrap();
        assert_eq!(value(&server, "select current_database()::text").await, "doitong");
        assert_eq!(postmaster(dir.path()), pid);
        server.stop().await;
    }
    assert_eq!(postmaster(dir.path()), None);
}

#[tokio::test]
async fn a_server_left_behind_by_killed_processes_is_joined_and_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let server = Embedded::start(dir.path()).await.unwrap();
    let pid = postmaster(dir.path());
    let users = File::open(dir.path().join("postgres.users")).unwrap();
    flock(&users, FlockOperation::LockShared).unwrap();
    server.stop().await;
    drop(users);
    assert_eq!(postmaster(dir.path()), pid);

    let server = Embedded::start(dir.path()).await.unwrap();
    run(&server, "create table note ()").await;
    assert_eq!(postmaster(dir.path()), pid);
    server.stop().await;
    assert_eq!(postmaster(dir.path()), None);
}

#[tokio::test]
async fn a_killed_server_is_replaced_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let first = Embedded::start(dir.path()).await.unwrap();
    run(&first, "create table note (text text); insert into note values ('kept')").await;
    let pid = postmaster(dir.path()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();

    let second = Embedded::start(dir.path()).await.unwrap();
    assert_ne!(postmaster(dir.path()), Some(pid));
    assert_eq!(value(&second, "select text from note").await, "kept");
    // The first one's connect options still lead to the server of its directory.
    assert_eq!(value(&first, "select text from note").await, "kept");
    first.stop().await;
    second.stop().await;
    assert_eq!(postmaster(dir.path()), None);
}

#[tokio::test]
async fn a_process_that_got_a_dead_servers_id_is_not_taken_for_it() {
    let dir = tempfile::tempdir().unwrap();
    Embedded::start(dir.path()).await.unwrap().stop().await;
    let me = std::process::id();
    let cluster = dir.path().join("postgres");
    fs::write(cluster.join("postmaster.pid"), format!("{me}\n{}\n1795564904\n5432\n", cluster.display())).unwrap();

    let server = Embedded::start(dir.path()).await.unwrap();
    run(&server, "create table note ()").await;
    server.stop().await;
}

#[tokio::test]
async fn the_path_may_be_long_and_odd() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join(format!("a folder, 'quoted', {}", "long".repeat(30)));
    let server = Embedded::start(&data_dir).await.unwrap();
    run(&server, "create table note ()").await;
    let psql = |url: String| std::process::Command::new("psql").arg(url).args(["-tAc", "select 'seen'"]).output();
    assert_eq!(psql(server.url()).unwrap().stdout, b"seen\n");
    server.stop().await;
}

#[tokio::test]
async fn a_half_made_cluster_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("postgres.new/base")).unwrap();
    let server = Embedded::start(dir.path()).await.unwrap();
    run(&server, "create table note ()").await;
    server.stop().await;
}

#[tokio::test]
async fn a_start_that_cannot_succeed_says_why() {
    let dir = tempfile::tempdir().unwrap();
    Embedded::start(dir.path()).await.unwrap().stop().await;
    fs::write(dir.path().join("postgres/postgresql.conf"), "no_such_setting = 1\n").unwrap();
    let start = tokio::time::timeout(Duration::from_secs(20), Embedded::start(dir.path())).await.unwrap();
    let error = start.err().unwrap().to_string();
    assert!(error.contains("no_such_setting"), "{error}");
}
