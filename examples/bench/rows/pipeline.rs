//! Whole lives of generations, from the call to the webhook.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::DateTime;
use doitong::{ledger, webhooks::signature};
use sqlx::PgPool;
use tokio::{sync::Semaphore, task::JoinSet};

use super::database;
use crate::{
    Bench, data,
    doubles::Seen,
    http1::{Connection, find, number_after, on_one_thread},
    load::{self, Idempotency, Load, Outcome, Pace, Random, Request, exchange, percentile},
    measure::{Meter, closed, quiet},
    report::{Cost, Row, median},
    servers::Server,
};

/// Generations under way at once in the closed loop.
const UNDER_WAY: usize = 256;
/// How long the last ones may take to end.
const PATIENCE: Duration = Duration::from_mins(2);
const PICTURE: (&str, &str, &str, &str) = ("IMAGE", "gpt-image", "gpt-image-2", r#"{"quality":"low"}"#);

fn picture(webhook: Option<&str>) -> String {
    let (kind, provider, model, options) = PICTURE;
    data::generate_live(kind, provider, model, options, webhook)
}

/// Calls whose work the doubles do at once, with webhooks.
pub fn pictures(bench: &Bench) -> Arc<Vec<Request>> {
    let body = picture(Some(&bench.doubles.hook()));
    let request = |account: &data::Account| Request::graphql(&account.live_key, &body, Idempotency::Fresh);
    Arc::new(bench.accounts.iter().map(request).collect())
}

pub async fn lifecycles(bench: &Bench) -> Row {
    let goal = "≥ 2,000/s; accept to submit p50 ≤ 5 ms, p95 ≤ 25 ms";
    let work = "whole lives: accepted, submitted, stored, charged, webhook delivered";
    let mut row = Row::new("lifecycles", work, "/s", goal);
    let own = database(bench, "lifecycles").await;
    let gateway = Server::gateway(bench, "all", own).await;
    let load = closed(bench, &[&gateway], &pictures(bench));
    lives(bench, &gateway, &load, &mut row).await;
    let mut rounds = Vec::new();
    for _ in 0..bench.args.rounds {
        quiet(bench).await;
        rounds.push(lives(bench, &gateway, &load, &mut row).await);
    }
    let cost = Cost::median(&rounds);
    (row.figure, row.cost) = (cost.per_second, Some(cost));
    let mut waits = Vec::new();
    let half = Load { pace: Pace::Open((cost.per_second / 2.0).max(1.0)), connections: 256, ..load };
    for _ in 0..bench.args.rounds {
        quiet(bench).await;
        let (cost, seen) = lives_at(bench, &gateway, half.clone(), &mut row).await;
        row.half = Some(cost);
        let waited = |until: fn(&Seen) -> Option<Instant>, share: f64| percentile(&waits_of(&seen, until), share) / 1e3;
        waits.push([
            waited(|seen| seen.submitted, 0.5),
            waited(|seen| seen.submitted, 0.95),
            waited(|seen| seen.delivered, 0.5),
            waited(|seen| seen.delivered, 0.95),
        ]);
    }
    let [p50, p95, told50, told95] = std::array::from_fn(|n| median(waits.iter().map(|waits| waits[n]).collect()));
    row.detail("accept to submit at half load", format!("p50 {p50:.1} ms, p95 {p95:.1} ms"));
    row.detail("accept to webhook at half load", format!("p50 {told50:.1} ms, p95 {told95:.1} ms"));
    row.met = Some(row.figure >= 2_000.0 && p50 <= 5.0 && p95 <= 25.0);
    check_ended(bench, own, &mut row).await;
    gateway.kill().await;
    bench.cluster.drop(own).await;
    row
}

/// As many lives at once as [`UNDER_WAY`]: the next is asked for when a webhook came. What one costs, and how many a second.
pub async fn lives(bench: &Bench, gateway: &Server, load: &Load, row: &mut Row) -> Cost {
    let gate = Arc::new(Semaphore::new(UNDER_WAY));
    lives_at(bench, gateway, Load { pace: Pace::Gated(gate), ..load.clone() }, row).await.0
}

async fn lives_at(bench: &Bench, gateway: &Server, load: Load, row: &mut Row) -> (Cost, Vec<(usize, Seen)>) {
    let gate = if let Pace::Gated(gate) = &load.pace { Some(gate.clone()) } else { None };
    bench.doubles.reset(Duration::ZERO, gate);
    let doubles = bench.doubles.clone();
    let load = Load { accepted: Some(Arc::new(move |number, at| doubles.accepted(number, at))), ..load };
    let meter = Meter::start(bench, &[gateway]).await;
    let outcome = load::run(load).await;
    let (_, delivered, _) = bench.doubles.counts();
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let per_second = delivered as f64 / outcome.seconds;
    let cost = Cost {
        per_second,
        p50_ms: outcome.percentile(0.5),
        p95_ms: outcome.percentile(0.95),
        p99_ms: outcome.percentile(0.99),
        ..meter.stop(bench, delivered).await
    };
    let accepted = outcome.times.len();
    let deadline = Instant::now() + PATIENCE;
    while bench.doubles.counts().1 < accepted && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_, delivered, not_completed) = bench.doubles.counts();
    let lost = accepted.abs_diff(delivered) + not_completed;
    row.fail(outcome.fails() + u64::try_from(lost).unwrap(), || {
        let first = outcome.first_refusal.clone().unwrap_or_default();
        format!(
            "{accepted} accepted, {delivered} told, {not_completed} of them not completed; {:?}; {first}",
            outcome.refused
        )
    });
    (cost, bench.doubles.seen())
}

/// How long after their acceptance something happened, sorted, in microseconds. What came before the caller had read the
/// answer took no time.
fn waits_of(seen: &[(usize, Seen)], until: impl Fn(&Seen) -> Option<Instant>) -> Vec<u32> {
    let wait = |(_, seen): &(usize, Seen)| Some(until(seen)?.saturating_duration_since(seen.accepted?).as_micros());
    let mut waits: Vec<u32> =
        seen.iter().filter_map(wait).map(|wait| u32::try_from(wait).unwrap_or(u32::MAX)).collect();
    waits.sort_unstable();
    waits
}

/// Nothing is under way any more, everything was charged once and told.
async fn check_ended(bench: &Bench, own: &str, row: &mut Row) {
    let pool = bench.cluster.pool(own).await;
    let left = wait_until_recorded(&pool).await;
    row.fail(left, || format!("{left} jobs, deliveries or generations did not end as they should"));
    let books = ledger::audit(&pool).await.unwrap();
    row.fail(u64::from(books != ledger::Audit::default()), || format!("the books are off: {books:?}"));
    pool.close().await;
}

/// Waits until every delivery is recorded; what is left after a while.
async fn wait_until_recorded(pool: &PgPool) -> u64 {
    let statement = "
        select (select count(*) from job) + (select count(*) from delivery where not delivered)
            + (select count(*) from generation where status <> 'COMPLETED')
    ";
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let left: i64 = sqlx::query_scalar(statement).fetch_one(pool).await.unwrap();
        if left == 0 || Instant::now() > deadline {
            return u64::try_from(left).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub async fn image(bench: &Bench) -> Row {
    let goal = "p50 ≤ 8 ms at one at a time, ≥ 600/s at 16";
    let work = "a picture, from the call to COMPLETED by subscription, upstream 0 ms, one at a time: p50";
    let mut row = Row::new("image", work, "ms", goal);
    let own = database(bench, "image").await;
    let gateway = Server::gateway(bench, "all", own).await;
    bench.doubles.reset(Duration::ZERO, None);
    watch(bench, &gateway, 4, &mut row).await;
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    for _ in 0..bench.args.rounds {
        quiet(bench).await;
        alone.push(watch(bench, &gateway, 1, &mut row).await);
        together.push(watch(bench, &gateway, 16, &mut row).await);
    }
    let (alone, together) = (Cost::median(&alone), Cost::median(&together));
    (row.figure, row.cost) = (alone.p50_ms, Some(alone));
    row.detail(
        "16 at a time",
        format!("{:.0}/s, p50 {:.1} ms, p99 {:.1} ms", together.per_second, together.p50_ms, together.p99_ms),
    );
    row.met = Some(alone.p50_ms <= 8.0 && together.per_second >= 600.0);
    check_ended(bench, own, &mut row).await;
    gateway.kill().await;
    bench.cluster.drop(own).await;
    row
}

/// Asks for pictures and waits for each by subscription.
async fn watch(bench: &Bench, gateway: &Server, at_once: usize, row: &mut Row) -> Cost {
    let keys: Arc<Vec<String>> = Arc::new(bench.accounts.iter().map(|account| account.live_key.clone()).collect());
    let (address, lasts) = (gateway.address, bench.args.lasts());
    let meter = Meter::start(bench, &[gateway]).await;
    let watching = move || {
        on_one_thread(async move {
            let (begun, outcome) = (Instant::now(), Arc::new(Mutex::new(Outcome::default())));
            let mut tasks = JoinSet::new();
            for n in 0..at_once {
                tasks.spawn(watch_some(address, keys.clone(), n, begun + lasts, outcome.clone()));
            }
            while tasks.join_next().await.is_some() {}
            let mut outcome = std::mem::take(&mut *outcome.lock().unwrap());
            outcome.seconds = begun.elapsed().as_secs_f64();
            outcome.times.sort_unstable();
            outcome
        })
    };
    let outcome = tokio::task::spawn_blocking(watching).await.unwrap();
    row.fail(outcome.fails(), || {
        format!("{:?}; {}", outcome.refused, outcome.first_refusal.clone().unwrap_or_default())
    });
    Cost {
        per_second: outcome.per_second(),
        p50_ms: outcome.percentile(0.5),
        p95_ms: outcome.percentile(0.95),
        p99_ms: outcome.percentile(0.99),
        ..meter.stop(bench, outcome.times.len()).await
    }
}

async fn watch_some(server: SocketAddr, keys: Arc<Vec<String>>, n: usize, end: Instant, outcome: Arc<Mutex<Outcome>>) {
    let (mut random, body) = (Random(n as u64), picture(None));
    let (mut calls, mut events, mut request) = (None, None, Vec::new());
    while Instant::now() < end {
        let key = &keys[usize::try_from(random.next() % keys.len() as u64).unwrap()];
        Request::graphql(key, &body, Idempotency::None).write(random.next() % 1_000_000, 0, &mut request);
        let begun = Instant::now();
        let watched = async {
            exchange(&mut calls, server, &request).await?;
            let answer = calls.as_ref().map(Connection::body).unwrap_or_default();
            let at = find(answer, b"gen_").unwrap_or_default();
            let id = String::from_utf8_lossy(answer.get(at..at + 36).unwrap_or_default()).into_owned();
            let body = format!(
                r#"{{"query":"subscription S($id:ID!){{generationUpdated(id:$id){{status}}}}","variables":{{"id":"{id}"}}}}"#
            );
            Request::with_accept(key, &body, Idempotency::None, "text/event-stream").write(0, 0, &mut request);
            exchange(&mut events, server, &request).await
        };
        let result = watched.await;
        let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
        let seen = events.as_ref().is_some_and(|connection| find(connection.body(), b"\"COMPLETED\"").is_some());
        let mut outcome = outcome.lock().unwrap();
        match result {
            Ok(()) if seen => outcome.times.push(took),
            Ok(()) => *outcome.refused.entry("not completed".to_owned()).or_default() += 1,
            Err(refusal) => {
                *outcome.refused.entry(refusal.kind).or_default() += 1;
                outcome.first_refusal.get_or_insert(refusal.text);
            }
        }
    }
}

pub async fn webhooks(bench: &Bench) -> Row {
    let work = "webhooks to a local receiver, signed and recorded, from a full outbox";
    let mut row = Row::new("webhooks", work, "/s", "≥ 2,000/s, none lost on a kill");
    let count = if bench.args.quick { 2_000 } else { 20_000 };
    let mut rounds = Vec::new();
    for _ in 0..bench.args.rounds {
        quiet(bench).await;
        rounds.push(deliver(bench, count, false, &mut row).await);
    }
    let cost = Cost::median(&rounds);
    (row.figure, row.cost) = (cost.per_second, Some(cost));
    deliver(bench, count / 2, true, &mut row).await;
    row.met = Some(row.figure >= 2_000.0 && row.fails == 0);
    row
}

/// Fills an outbox and lets a worker empty it; with a kill in the middle, and another worker after it, on demand.
async fn deliver(bench: &Bench, count: u64, with_kill: bool, row: &mut Row) -> Cost {
    let own = database(bench, "webhooks").await;
    let pool = bench.cluster.pool(own).await;
    bench.doubles.reset(Duration::ZERO, None);
    data::fill_outbox(&pool, &bench.accounts, count, &bench.doubles.hook()).await;
    let all = usize::try_from(count).unwrap();
    // Only how long what a killed worker held stays with it.
    let lease: &[(&str, &str)] = if with_kill { &[("DOITONG__WORKER__LEASE_SECONDS", "5")] } else { &[] };
    let mut worker = Server::gateway_with(bench, "worker", own, lease).await;
    let (meter, begun) = (Meter::start(bench, &[&worker]).await, Instant::now());
    if with_kill {
        arrived(bench, all / 2).await;
        worker.kill().await;
        worker = Server::gateway_with(bench, "worker", own, lease).await;
    }
    arrived(bench, all).await;
    let seconds = begun.elapsed().as_secs_f64();
    let cost = meter.stop(bench, all).await;
    let (missing, unrecorded) = (all.saturating_sub(bench.doubles.counts().1), wait_until_recorded(&pool).await);
    row.fail(u64::try_from(missing).unwrap() + unrecorded, || format!("{missing} missing, {unrecorded} not recorded"));
    let wrong = bench.doubles.take_deliveries().iter().filter(|delivery| !is_signed(bench, count, delivery)).count();
    row.fail(u64::try_from(wrong).unwrap(), || format!("{wrong} wrongly signed"));
    if with_kill {
        let twice = bench.doubles.seen().iter().filter(|(_, seen)| seen.deliveries > 1).count();
        row.detail("after a kill", format!("{missing} of {count} missing, {twice} delivered twice"));
    }
    worker.kill().await;
    pool.close().await;
    bench.cluster.drop(own).await;
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    Cost { per_second: all as f64 / seconds, ..cost }
}

async fn arrived(bench: &Bench, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while bench.doubles.counts().1 < count && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether the account's secret made the signature.
fn is_signed(bench: &Bench, count: u64, delivery: &crate::doubles::Delivery) -> bool {
    let each = usize::try_from(count).unwrap() / bench.accounts.len();
    let account = number_after(&delivery.body, b"\"job\":\"").and_then(|number| bench.accounts.get(number / each));
    let (Some(account), Some(at)) = (account, DateTime::from_timestamp(delivery.timestamp, 0)) else { return false };
    signature::sign(&account.webhook_secret, &delivery.id, at, &delivery.body)
        .is_ok_and(|signed| signed == delivery.signature)
}
