//! `doitong serve`: the first run, roles, signals, crashes.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use rustix::process::{Signal, kill_process};
use serde_json::Value;

use super::{Home, Served, eventually, write};

const ANY_PORT: &[&str] = &["--listen", "127.0.0.1:0"];

/// A key and the `curl` line of a first run.
fn greeting(served: &mut Served) -> (String, String) {
    let lines: Vec<_> = (0..6).map(|_| served.line()).collect();
    let starting = |start: &str| lines.iter().find(|line| line.starts_with(start)).unwrap().clone();
    (starting("dt_test_"), starting("curl "))
}

fn completed(served: &Served, key: &str, id: &str) -> Value {
    eventually(|| {
        let (_, answer) = served.ask(key, &format!(r#"{{ generation(id: "{id}") {{ status url errorMessage }} }}"#));
        let generation = answer["data"]["generation"].clone();
        assert_ne!(generation["status"], "FAILED", "{answer}");
        (generation["status"] == "COMPLETED").then_some(generation)
    })
}

fn generate(served: &Served, key: &str) -> String {
    let mutation = r#"mutation { generate(input: { type: IMAGE, input: { text: "A boat" } }) { id } }"#;
    let (status, answer) = served.ask(key, mutation);
    assert_eq!(status, 200, "{answer}");
    answer["data"]["generate"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_first_run_prints_a_key_and_a_curl_line_that_works_and_its_data_survive() {
    let home = Home::new();
    let mut served = home.serve(ANY_PORT);
    let (key, line) = greeting(&mut served);
    assert!(line.contains(&served.url) && line.contains(&key), "{line}");

    let output = Command::new("sh").args(["-c", &line]).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let id = answer["data"]["generate"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let url = completed(&served, &key, &id)["url"].as_str().unwrap().to_owned();
    assert!(url.starts_with(&served.url), "{url}");
    assert_eq!(served.get("/readyz").0, 200);
    assert!(served.get("/metrics").1.contains("doitong_upstream_seconds_bucket"), "{}", served.get("/metrics").1);
    served.stop();
    assert!(!home.has_server());

    let served = home.serve(ANY_PORT);
    let (_, answer) =
        served.ask(&key, &format!(r#"{{ generation(id: "{id}") {{ status }} account {{ name mode }} }}"#));
    assert_eq!(answer["data"]["generation"]["status"], "COMPLETED", "{answer}");
    assert_eq!(answer["data"]["account"]["name"], "default");
    served.stop();
    // The greeting was for the first time only, and what a key is stays out of the log.
    assert_eq!(home.json(&["keys", "list", "--json"]).as_array().unwrap().len(), 1);
    let log = std::fs::read_to_string(home.file("log")).unwrap();
    assert!(!log.contains("dt_test_"), "{log}");
}

#[test]
fn commands_join_a_running_server_and_a_revoked_key_ends_at_once() {
    let home = Home::new();
    home.json(&["keys", "create", "--account", "ada", "--json"]);
    let mut served = home.serve(ANY_PORT);
    let key = home.json(&["keys", "create", "--account", "ada", "--json"])["key"].as_str().unwrap().to_owned();
    assert_eq!(served.ask(&key, "{ account { name } }").1["data"]["account"]["name"], "ada");

    assert_eq!(home.run(&["keys", "revoke", &key[..16]]).code, 0);
    eventually(|| (served.ask(&key, "{ account { name } }").0 == 401).then_some(()));
    assert!(home.has_server());
    served.signal(Signal::INT);
    assert_eq!(served.ended().code(), Some(0));
    assert!(!home.has_server());
    assert_eq!(served.line(), "", "an account was there already");
}

#[test]
fn an_api_process_and_a_worker_share_the_work() {
    let home = Home::new();
    let key = home.json(&["keys", "create", "--account", "ada", "--json"])["key"].as_str().unwrap().to_owned();
    let api = home.serve(&["--role", "api", "--listen", "127.0.0.1:0"]);
    let id = generate(&api, &key);
    let pending = api.ask(&key, &format!(r#"{{ generation(id: "{id}") {{ status }} }}"#)).1;
    assert_eq!(pending["data"]["generation"]["status"], "PENDING");

    let worker = home.serve(&["--role", "worker"]);
    completed(&api, &key, &id);
    worker.stop();
    assert!(home.has_server());
    api.stop();
    assert!(!home.has_server());
}

#[test]
fn a_killed_process_loses_nothing() {
    let home = Home::new().with("DOITONG__WORKER__LEASE_SECONDS", "2");
    let mut served = home.serve(ANY_PORT);
    let (key, _) = greeting(&mut served);
    let id = generate(&served, &key);
    served.signal(Signal::KILL);
    served.ended();
    assert!(home.has_server());

    let served = home.serve(ANY_PORT);
    completed(&served, &key, &id);
    served.stop();
    assert!(!home.has_server());
}

#[test]
fn a_killed_database_is_brought_up_again() {
    let home = Home::new();
    let mut served = home.serve(ANY_PORT);
    let (key, _) = greeting(&mut served);
    let account = || served.ask(&key, "{ account { name } }").1["data"]["account"]["name"] == "default";
    assert!(account());
    let killed = home.server().unwrap();
    kill_process(killed, Signal::KILL).unwrap();
    // Its children answer for a moment longer.
    eventually(|| (home.server().is_some_and(|server| server != killed) && account()).then_some(()));
    let id = generate(&served, &key);
    completed(&served, &key, &id);
    served.stop();
    assert!(!home.has_server());
}

#[test]
fn a_draining_process_says_so_and_a_second_signal_ends_it() {
    let home = Home::new();
    let mut served = home.serve(ANY_PORT);
    let (key, _) = greeting(&mut served);
    let mut slow = TcpStream::connect(served.url.strip_prefix("http://").unwrap()).unwrap();
    let head =
        format!("POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 100\r\n\r\n");
    slow.write_all(head.as_bytes()).unwrap();
    assert_eq!(served.get("/readyz").0, 200);

    served.signal(Signal::TERM);
    eventually(|| (served.get("/readyz").0 == 503).then_some(()));
    assert_eq!(served.get("/healthz").0, 200);
    assert!(served.child.try_wait().unwrap().is_none());
    served.signal(Signal::TERM);
    assert_eq!(served.ended().code(), Some(0));
    assert!(!home.has_server());
}

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    let home = Home::new();
    let mut served = home.serve(ANY_PORT);
    let (key, _) = greeting(&mut served);
    let mut slow = TcpStream::connect(served.url.strip_prefix("http://").unwrap()).unwrap();
    let mut silent = TcpStream::connect(served.url.strip_prefix("http://").unwrap()).unwrap();
    let body = r#"{"query":"{ account { name } }"}"#;
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    slow.write_all(head.as_bytes()).unwrap();
    assert_eq!(served.get("/readyz").0, 200);
    served.signal(Signal::TERM);
    eventually(|| (served.get("/readyz").0 == 503).then_some(()));
    silent.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "a connection that never spoke is closed at once");

    slow.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("default"), "{answer}");
    assert_eq!(served.ended().code(), Some(0));
}

#[test]
fn connections_beyond_the_limit_wait() {
    let home = Home::new().with("DOITONG__SERVER__MAX_CONNECTIONS", "1");
    let served = home.serve(ANY_PORT);
    let address = served.url.strip_prefix("http://").unwrap();
    let ask = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    let (mut first, mut second) = (TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap());
    let mut answer = [0; 12];
    first.write_all(ask).unwrap();
    first.read_exact(&mut answer).unwrap();
    second.write_all(ask).unwrap();
    second.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    second.read_exact(&mut answer).unwrap_err();

    drop(first);
    second.set_read_timeout(None).unwrap();
    second.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[test]
fn a_hang_up_reads_plans_and_catalogue_anew_unless_they_are_broken() {
    let home = Home::new();
    let file = home.file("settings.toml");
    let settings = write(&file, "[plans.free]\nper_minute = 7\n");
    let served = home.serve(&["--listen", "127.0.0.1:0", "--config", &settings]);
    let key = home.json(&["keys", "create", "--account", "ada", "--json"])["key"].as_str().unwrap().to_owned();
    // Made by a process that does not know the file.
    let limit =
        || served.ask(&key, "{ account { plan { perMinute } } }").1["data"]["account"]["plan"]["perMinute"].as_u64();
    assert_eq!(limit(), Some(10));

    served.signal(Signal::HUP);
    eventually(|| (limit() == Some(7)).then_some(()));
    write(&file, "[plans.free]\nper_minute = 0\n");
    served.signal(Signal::HUP);
    eventually(|| served.log().contains("plans.free: per_minute and concurrent must be at least 1").then_some(()));
    write(&file, "[catalog]\nfolder = \"/nowhere\"\n[plans.free]\nper_minute = 9\n");
    served.signal(Signal::HUP);
    eventually(|| served.log().contains("/nowhere").then_some(()));
    assert_eq!(limit(), Some(7));
    write(&file, "[plans.free]\nper_minute = 9\n");
    served.signal(Signal::HUP);
    eventually(|| (limit() == Some(9)).then_some(()));
    served.stop();
}
