//! What an upstream is paid for, counted at the upstream, whatever becomes of the line to it, of the worker, and of the
//! client: at most one job a request.
//!
//! The other cases are elsewhere: crashes in `restart.rs`, a lost reply of every upstream in `live/troubles.rs`, fail-over
//! in `live/failover.rs`, every order of all of them in `model/`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use doitong::domain::Plan;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
};

use crate::support::{Double, TestApp, live_video};

/// Longer than a lease.
const LEASE: Duration = Duration::from_secs(61);

/// What becomes of the line once a request has arrived.
#[derive(Clone, Copy)]
enum Line {
    Resets,
    Closes,
    Hangs,
}

/// An upstream that takes every request, and is never heard of again. Counts what it took.
#[expect(clippy::disallowed_methods, reason = "the upstream ends with the test's runtime")]
async fn silent(line: Line) -> (url::Url, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let taken = Arc::new(AtomicUsize::default());
    let count = taken.clone();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            read_request(&mut stream).await;
            count.fetch_add(1, Ordering::SeqCst);
            match line {
                Line::Resets => stream.set_zero_linger().unwrap(),
                Line::Closes => {}
                Line::Hangs => kept.push(stream),
            }
        }
    });
    (url, taken)
}

/// Reads a request with its body.
async fn read_request(stream: &mut TcpStream) {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return;
            }
        }
        if stream.read_buf(&mut request).await.unwrap_or_default() == 0 {
            return;
        }
    }
}

async fn app_with(base_url: url::Url) -> (TestApp, String) {
    let app = TestApp::with(Plan::Pro, |config, secrets| {
        config.upstreams.insert("vidu".to_owned(), doitong::config::Upstream { base_url });
        secrets.upstreams.insert("VIDU_API_KEY".to_owned(), "secret".into());
    })
    .await;
    let key = app.live_key().await;
    (app, key)
}

/// Asks for a clip and runs it to its end.
async fn run(app: &TestApp, key: &str) -> Value {
    let id = app.ask_as(key, None, live_video("a")).await.id();
    for _ in 0..12 {
        app.advance(Duration::from_secs(30)).await;
    }
    let done = app.generation_as(key, &id).await;
    assert_eq!(done["status"], "FAILED", "{done:#}");
    assert_eq!(app.account(key).await["credits"], json!({"balance": 100_000, "held": 0, "available": 100_000}));
    app.audit().await;
    done
}

async fn is_not_sent_twice(line: Line) {
    let (url, taken) = silent(line).await;
    let (app, key) = app_with(url).await;
    let done = run(&app, &key).await;
    assert_eq!(done["error"]["reason"], "SUBMISSION_UNKNOWN", "{done:#}");
    assert_eq!(done["attempts"][0]["outcome"], "UNKNOWN", "{done:#}");
    assert_eq!(taken.load(Ordering::SeqCst), 1, "paid jobs");
}

#[tokio::test]
async fn a_submit_is_not_sent_twice_after_a_reset() {
    is_not_sent_twice(Line::Resets).await;
}

#[tokio::test]
async fn a_submit_is_not_sent_twice_after_the_line_was_closed() {
    is_not_sent_twice(Line::Closes).await;
}

/// Takes as long as a call may take: a minute.
#[tokio::test]
async fn a_submit_is_not_sent_twice_after_its_time_ran_out() {
    is_not_sent_twice(Line::Hangs).await;
}

#[tokio::test]
async fn what_cannot_be_reached_is_tried_again_and_costs_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let (app, key) = app_with(url).await;
    let done = run(&app, &key).await;
    assert_eq!(done["error"]["reason"], "UPSTREAM_DOWN", "{done:#}");
    let attempts = done["attempts"].as_array().unwrap();
    assert!(!attempts.is_empty() && attempts.iter().all(|it| it["outcome"] == "NOT_REACHED"), "{done:#}");
}

/// Between intent and submit the process stands still, until its lease has run out: by then another one may have asked
/// the upstream, heard that it has nothing, and sent the work itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stood_still_past_its_lease_does_not_send() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Pro, double.settings()).await;
    let key = app.live_key().await;
    app.sql(
        "create function stand_still() returns trigger language plpgsql as
        $$ begin perform pg_advisory_xact_lock(7); return new; end $$",
    )
    .await
    .unwrap();
    app.sql(
        "create trigger stand_still before update on job for each row
        when (new.stage = 'submitting' and old.stage = 'ready') execute function stand_still()",
    )
    .await
    .unwrap();
    let mut lock = app.app.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(7)").execute(&mut *lock).await.unwrap();
    let id = app.ask_as(&key, None, live_video("a")).await.id();
    let worker = app.drain_apart();
    while app.count("select count(*) from pg_locks where locktype = 'advisory' and objid = 7 and not granted").await
        == 0
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    app.clock.advance(LEASE);
    lock.commit().await.unwrap();
    worker.await.unwrap();
    // The first intent was given up unsent.
    assert_eq!((app.count("select submits::bigint from job").await, double.asked("submit")), (2, 1));
    app.advance(Duration::from_secs(2)).await;
    let done = app.generation_as(&key, &id).await;
    assert_eq!((&done["status"], done["attempts"].as_array().unwrap().len()), (&"COMPLETED".into(), 1), "{done:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_again_and_again_with_its_key_is_served_once() {
    let double = Double::start().await;
    let app = TestApp::with(Plan::Pro, double.settings()).await;
    let (key, other) = (app.live_key().await, app.beside_with(double.settings()).await);
    let again = |n: usize| [&app, &other][n % 2].ask_as(&key, Some("once"), live_video("a"));
    let mut ids: Vec<_> = join_all((0..6).map(again)).await.iter().map(crate::support::Answer::id).collect();
    for n in 0..4 {
        [&app, &other][n % 2].advance(Duration::from_secs(2)).await;
        ids.push(again(n).await.id());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(app.generation_as(&key, &ids[0]).await["status"], "COMPLETED");
    assert_eq!(double.asked("submit"), 1, "paid jobs");
    app.audit().await;
}
