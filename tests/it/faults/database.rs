//! The database goes away and comes back, stops answering, or has no connection left.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::{Database, completed, generate, new_key};
use crate::{
    cli::{Served, eventually},
    support::{GENERATE, TestApp, image},
};

/// What "at once" is: a process of `curl` comes on top.
const AT_ONCE: Duration = Duration::from_secs(1);

const ACCOUNT: &str = "{ account { name } }";
/// Asks the database each time.
const USAGE: &str = "{ account { usage { running } } }";

/// An answer, and how long it took.
fn timed<T>(ask: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    (ask(), begun.elapsed())
}

fn assert_refused_at_once(served: &Served, key: &str) {
    for query in [ACCOUNT, r#"mutation { generate(input: { type: AUDIO, input: { text: "A" } }) { id } }"#] {
        let ((status, answer), took) = timed(|| served.ask(key, query));
        let extensions = &answer["errors"][0]["extensions"];
        assert_eq!((status, &extensions["code"]), (503, &json!("INTERNAL")), "{answer}");
        assert_eq!((&extensions["retryable"], &extensions["retryAfter"]), (&json!(true), &json!(1)), "{answer}");
        assert!(took < AT_ONCE, "{query} took {took:?}");
    }
    // A key that nobody has seen yet needs the database to be known.
    let ((status, answer), took) = timed(|| served.ask("dt_test_unknown", ACCOUNT));
    assert!(status == 503 && took < AT_ONCE, "{status} {answer} in {took:?}");
    let ((status, answer), took) = timed(|| served.get("/readyz"));
    assert!(status == 503 && answer.contains("database") && took < AT_ONCE, "{status} {answer} in {took:?}");
    assert_eq!(served.get("/healthz").0, 200);
}

#[test]
fn with_the_database_down_calls_fail_at_once_and_all_goes_on_when_it_is_back() {
    let mut database = Database::start();
    let home = database.home();
    let key = new_key(&home);
    let served = home.serve(&["--listen", "127.0.0.1:0"]);
    // Nobody calls this one during the outage, so that its pool is full of connections from before.
    let quiet = home.serve(&["--role", "api", "--listen", "127.0.0.1:0"]);
    let id = generate(&served, &key);
    thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(|| quiet.ask(&key, USAGE)))));
    database.stop();
    eventually(|| (served.get("/readyz").0 == 503).then_some(()));
    for _ in 0..3 {
        assert_refused_at_once(&served, &key);
    }

    database.start_again();
    let ((), took) = timed(|| eventually(|| (served.ask(&key, ACCOUNT).0 == 200).then_some(())));
    assert!(took < AT_ONCE, "it took {took:?} to notice that the database is back");
    eventually(|| (quiet.get("/readyz").0 == 200).then_some(()));
    for _ in 0..20 {
        assert_eq!((served.ask(&key, USAGE).0, quiet.ask(&key, USAGE).0), (200, 200));
    }
    completed(&served, &key, &id);
    let next = generate(&served, &key);
    completed(&served, &key, &next);
    quiet.stop();
    served.stop();
}

#[test]
fn a_subscription_outlasts_an_outage() {
    let mut database = Database::start();
    let home = database.home();
    let key = new_key(&home);
    // No worker runs before the outage is over.
    let served = home.serve(&["--role", "api", "--listen", "127.0.0.1:0"]);
    let id = generate(&served, &key);
    let subscription = json!({"query": format!(r#"subscription {{ generationUpdated(id: "{id}") {{ status }} }}"#)});
    let mut watching = Command::new("curl");
    watching.args(["-sN", "--noproxy", "*", "--max-time", "60", &format!("{}/graphql", served.url)]);
    watching.args(["-H", &format!("Authorization: Bearer {key}"), "-H", "Content-Type: application/json"]);
    watching.args(["-H", "Accept: text/event-stream", "-d", &subscription.to_string()]);
    let mut watching = watching.stdout(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(watching.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut state = || told.find(|line| line.starts_with("data: ")).unwrap();
    assert!(state().contains("PENDING"));

    database.stop();
    eventually(|| (served.get("/readyz").0 == 503).then_some(()));
    database.start_again();
    let working = home.serve(&["--listen", "127.0.0.1:0"]);
    completed(&working, &key, &id);
    let last = loop {
        let state = state();
        assert!(!state.contains("errors"), "{state}");
        if !state.contains("PROCESSING") {
            break state;
        }
    };
    assert!(last.contains("COMPLETED"), "{last}");
    watching.wait().unwrap();
    working.stop();
    served.stop();
}

/// The processes of a server, its sessions too.
fn processes(postmaster: i32) -> Vec<Pid> {
    let parent = |stat: &str| stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<i32>().ok();
    let all =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<i32>().ok());
    let children = all.filter(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        parent(&stat) == Some(postmaster)
    });
    children.chain([postmaster]).filter_map(Pid::from_raw).collect()
}

#[test]
fn a_database_that_stops_answering_is_as_good_as_down() {
    let database = Database::start();
    let home = database.home();
    let key = new_key(&home);
    let served = home.serve(&["--listen", "127.0.0.1:0"]);
    let id = generate(&served, &key);
    let file = fs::read_to_string(database.folder.path().join("postgres/postmaster.pid")).unwrap();
    let frozen = processes(file.lines().next().unwrap().trim().parse().unwrap());
    assert!(frozen.len() > 2, "{frozen:?}");
    let signal = |signal| frozen.iter().try_for_each(|pid| kill_process(*pid, signal)).unwrap();
    signal(Signal::STOP);

    // A call that was under way is answered, too.
    let ((status, answer), took) = timed(|| served.ask(&key, ACCOUNT));
    assert!(status == 503 && took < Duration::from_secs(6), "{status} {answer} in {took:?}");
    assert_refused_at_once(&served, &key);

    signal(Signal::CONT);
    eventually(|| (served.ask(&key, ACCOUNT).0 == 200).then_some(()));
    completed(&served, &key, &id);
    served.stop();
}

#[tokio::test]
async fn with_no_connection_left_calls_end_in_time_and_lose_nothing() {
    let app = TestApp::start().await;
    app.data(ACCOUNT, json!({})).await;
    let mut taken = Vec::new();
    while let Ok(connection) = tokio::time::timeout(Duration::from_millis(500), app.app.pool.acquire()).await {
        taken.push(connection.unwrap());
    }
    assert!(taken.len() >= 4, "{}", taken.len());

    let ask = |n: usize| {
        let app = &app;
        async move {
            let begun = Instant::now();
            let answer =
                app.answer(&app.key.key, Some(&format!("key-{n}")), GENERATE, json!({"input": image("a")})).await;
            (answer, begun.elapsed())
        }
    };
    for (answer, took) in futures_util::future::join_all((0..8).map(ask)).await {
        let extensions = &answer.body["errors"][0]["extensions"];
        assert_eq!((answer.status, answer.refusal()), (503, ("INTERNAL", "UNAVAILABLE")), "{}", answer.body);
        assert_eq!(extensions["retryable"], Value::Bool(true));
        assert!(took < Duration::from_secs(10), "{took:?}");
    }

    drop(taken);
    for n in 0..8 {
        assert_eq!(ask(n).await.0.status, 200);
    }
    assert_eq!(app.count("select count(*) from generation").await, 8);
    app.advance(Duration::ZERO).await;
    app.audit().await;
}
