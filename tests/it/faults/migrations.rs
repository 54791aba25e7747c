//! Releases that meet on one database.

use std::process::Stdio;

use super::{Database, completed, generate, new_key};

/// What a later release adds, and how it is recorded.
const NEWER: &str = "
    alter table generation add column of_later text;
    alter table job add column of_later integer not null default 0;
    alter table purse add column of_later integer not null default 0;
    alter table delivery add column of_later text;
    create table later (id bigint primary key);
    insert into _sqlx_migrations (version, description, success, checksum, execution_time)
        values (20990101000001, 'later', true, '\\x00', 1);";

#[test]
fn a_release_serves_on_and_starts_on_a_newer_schema() {
    let database = Database::start();
    let home = database.home();
    let key = new_key(&home);
    let old = home.serve(&["--listen", "127.0.0.1:0"]);
    let first = generate(&old, &key);
    completed(&old, &key, &first);

    let under_way = generate(&old, &key);
    database.sql(NEWER);
    completed(&old, &key, &under_way);
    let next = generate(&old, &key);
    completed(&old, &key, &next);
    assert_eq!(old.get("/readyz").0, 200);

    let going_back = home.serve(&["--listen", "127.0.0.1:0"]);
    assert_eq!(going_back.get("/readyz").0, 200);
    let last = generate(&going_back, &key);
    completed(&going_back, &key, &last);
    going_back.stop();
    old.stop();
}

#[test]
fn processes_that_start_together_migrate_once() {
    let database = Database::start();
    let home = database.home();
    let migrate = |_| home.command(&["migrate"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let processes: Vec<_> = (0..5).map(migrate).collect();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let known = i64::try_from(doitong::db::MIGRATIONS.iter().count()).unwrap();
    assert_eq!(database.number("select count(*) from _sqlx_migrations where success"), known);
}
