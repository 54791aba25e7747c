//! What a caller waits for: admission and reads, beside pgbench and the bare server.

use std::{fs, path::PathBuf, sync::Arc};

use super::{admissions, database, reads as reads_of};
use crate::{
    Bench,
    data::{self, ACCOUNTS},
    load::{Idempotency, Load, Random, Request},
    measure::{closed, measure, measure_only, open, quiet, warm_up},
    report::{Cost, Row, median},
    servers::Server,
};

/// The database of the ideal statements.
const LIMITS: &str = "limits";

/// The three that do the same work in turns.
struct Peers<'a> {
    bench: &'a Bench,
    gateway: Server,
    bare: Server,
}

impl<'a> Peers<'a> {
    async fn start(bench: &'a Bench, own: &str) -> Self {
        bench.cluster.create(LIMITS, None).await;
        let schema = write(bench, "schema", include_str!("../sql/schema.sql"));
        bench.cluster.psql(LIMITS, &[&format!("finished={}", finished(bench))], &schema).await;
        let (gateway, bare) = (Server::gateway(bench, "api", own).await, Server::bare(bench, LIMITS).await);
        Self { bench, gateway, bare }
    }

    /// Interleaved rounds; fills in what all of them did.
    async fn compare(&self, row: &mut Row, own: Load, bare: Load, ideal: Option<&PathBuf>) -> Cost {
        let bench = self.bench;
        warm_up(&bare).await;
        warm_up(&own).await;
        bench.cluster.checkpoint().await;
        let (mut limits, mut bares, mut owns) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..bench.args.rounds {
            quiet(bench).await;
            if let Some(ideal) = ideal {
                limits.push(bench.cluster.pgbench(LIMITS, ideal, 32, bench.args.lasts()).await);
            }
            bares.push(measure(bench, &[&self.bare], bare.clone(), row).await);
            owns.push(measure(bench, &[&self.gateway], own.clone(), row).await);
        }
        let (own, bare) = (Cost::median(&owns), Cost::median(&bares));
        (row.figure, row.cost, row.bare) = (own.per_second, Some(own), Some(bare.per_second));
        row.limit = ideal.map(|_| median(limits));
        row.compare();
        row.detail("bare server", format!("p99 {:.1} ms, {:.3} s CPU for 1,000", bare.p99_ms, bare.server_cpu));
        bare
    }

    /// The same with half of what the closed loop did.
    async fn half(&self, row: &mut Row, load: Load) -> f64 {
        let cost = half(self.bench, &self.gateway, row, load).await;
        row.half = Some(cost);
        cost.p99_ms
    }

    async fn end(self, own: &str) {
        self.gateway.kill().await;
        self.bare.kill().await;
        self.bench.cluster.drop(own).await;
        self.bench.cluster.drop(LIMITS).await;
    }
}

async fn half(bench: &Bench, gateway: &Server, row: &mut Row, load: Load) -> Cost {
    let rate = row.cost.unwrap_or_default().per_second / 2.0;
    let load = open(bench, &[gateway], &load.requests, rate);
    let mut rounds = Vec::new();
    for _ in 0..bench.args.rounds {
        quiet(bench).await;
        rounds.push(measure(bench, &[gateway], load.clone(), row).await);
    }
    Cost::median(&rounds)
}

/// Finished generations that reads are spread over.
fn finished(bench: &Bench) -> u64 {
    if bench.args.quick { 20_000 } else { 200_000 }
}

fn write(bench: &Bench, name: &str, text: &str) -> PathBuf {
    let path = bench.folder.join(format!("{name}.sql"));
    fs::write(&path, text).unwrap();
    path
}

/// The bare server's requests: `acct-N` names an account of its database.
fn bare_requests(accounts: usize, body: &str, idempotency: Idempotency) -> Arc<Vec<Request>> {
    Arc::new((1..=accounts).map(|n| Request::graphql(&format!("acct-{n}"), body, idempotency)).collect())
}

/// The ideal admission for pgbench, which makes literals where a client would bind values.
fn ideal_admission(accounts: usize) -> String {
    let id = "(lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 19))::uuid";
    let mut statement = include_str!("../sql/admit.sql").trim_end().to_owned();
    for (place, value) in [
        ("$1", ":account::bigint"),
        ("$2", "(:a::text || :b::text)"),
        ("$3", "(select id from new_id)"),
        ("$4", "5::bigint"),
        ("$5", "'VIDEO'"),
        ("$6", "'kling'"),
        ("$7", r#"'{"text": "a red boat on a lake at dawn"}'::jsonb"#),
        ("$8", r#"'{"duration": 5, "aspectRatio": "16:9"}'::jsonb"#),
        ("$9", "null"),
    ] {
        statement = statement.replace(place, value);
    }
    let statement =
        statement.replacen("with idem", &format!("with new_id as materialized (select {id} as id), idem"), 1);
    format!(
        "\\set account random(1, {accounts})\n\\set a random(1, 9000000000000000)\n\\set b random(1, 9000000000000000)\n{statement};\n"
    )
}

pub async fn admission(bench: &Bench) -> Row {
    let goal = "≥ 1.5 × the bare server, p99 at half load ≤ 15 ms";
    let mut row = Row::new("admission", "`generate`, 1,000 accounts, keyed, charged, durable", "/s", goal);
    let p99 = admit(bench, &mut row, ACCOUNTS).await;
    row.met = Some(row.of_bare.is_some_and(|ratio| ratio >= 1.5) && p99 <= 15.0);
    row
}

pub async fn hot(bench: &Bench) -> Row {
    let mut row = Row::new("hot", "`generate`, one hot account", "/s", "≥ 4 × the limit");
    admit(bench, &mut row, 1).await;
    row.met = Some(row.of_limit.is_some_and(|ratio| ratio >= 4.0));
    row
}

async fn admit(bench: &Bench, row: &mut Row, accounts: usize) -> f64 {
    let own = database(bench, "admission").await;
    let peers = Peers::start(bench, own).await;
    let load = closed(bench, &[&peers.gateway], &admissions(bench, accounts));
    let bare = closed(bench, &[&peers.bare], &bare_requests(accounts, data::GENERATE, Idempotency::Fresh));
    let ideal = write(bench, "admit", &ideal_admission(accounts));
    peers.compare(row, load.clone(), bare, Some(&ideal)).await;
    let with_8 = bench.cluster.pgbench(LIMITS, &ideal, 8, bench.args.lasts()).await;
    row.detail("limit with 8 connections", format!("{with_8:.0}/s"));
    let p99 = peers.half(row, load).await;
    check_admitted(bench, own, row).await;
    peers.end(own).await;
    p99
}

/// Every key made one generation, and the books balance.
async fn check_admitted(bench: &Bench, own: &str, row: &mut Row) {
    let pool = bench.cluster.pool(own).await;
    let off: i64 = sqlx::query_scalar(
        "select abs((select count(*) from generation) - (select count(*) from idempotency))
            + abs((select count(*) from generation) - (select count(*) from job))",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    row.fail(u64::try_from(off).unwrap(), || format!("{off} generations without a key or a job"));
    let books = doitong::ledger::audit(&pool).await.unwrap();
    row.fail(u64::from(books != doitong::ledger::Audit::default()), || format!("the books are off: {books:?}"));
    pool.close().await;
}

pub async fn reads(bench: &Bench) -> Row {
    let goal = "≥ 2 × the bare server, p99 at half load ≤ 5 ms";
    let mut row = Row::new("reads", "`generation(id)`, spread over finished ones", "/s", goal);
    let own = database(bench, "reads").await;
    let pool = bench.cluster.pool(own).await;
    data::add_finished(&pool, &bench.accounts, finished(bench)).await;
    let ids = data::sample(&pool, &bench.accounts, 20_000).await;
    pool.close().await;
    let peers = Peers::start(bench, own).await;
    let load = closed(bench, &[&peers.gateway], &reads_of(bench, &ids));
    let mut random = Random(1);
    let of_bare = (0..20_000).map(|_| {
        let n = random.next() % finished(bench) + 1;
        Request::graphql(&format!("acct-{}", n % 1000 + 1), &data::read(&format!("gen_{n:032x}")), Idempotency::None)
    });
    let bare = closed(bench, &[&peers.bare], &Arc::new(of_bare.collect()));
    let statement = include_str!("../sql/read.sql").trim_end();
    let statement =
        statement.replace("$1", "lpad(to_hex(:n::integer), 32, '0')::uuid").replace("$2", ":n::integer % 1000 + 1");
    let ideal = write(bench, "read", &format!("\\set n random(1, {})\n{statement};\n", finished(bench)));
    peers.compare(&mut row, load.clone(), bare, Some(&ideal)).await;
    let p99 = peers.half(&mut row, load).await;
    row.met = Some(row.of_bare.is_some_and(|ratio| ratio >= 2.0) && p99 <= 5.0);
    peers.end(own).await;
    row
}

pub async fn unchanging(bench: &Bench) -> Row {
    let goal = "key, limits and headers add ≤ 30 µs of CPU";
    let mut row = Row::new("static", "`{__typename}`: CPU added to the bare server's", "µs", goal);
    let own = database(bench, "static").await;
    let peers = Peers::start(bench, own).await;
    let query = r#"{"query":"{__typename}"}"#;
    let keyed = bench.accounts.iter().map(|account| Request::graphql(&account.test_key, query, Idempotency::None));
    let load = closed(bench, &[&peers.gateway], &Arc::new(keyed.collect()));
    let bare = closed(bench, &[&peers.bare], &bare_requests(ACCOUNTS, query, Idempotency::None));
    let bare = peers.compare(&mut row, load, bare, None).await;
    let own_cost = row.cost.unwrap_or_default();
    row.detail("gateway", format!("{:.0}/s, {:.1} µs of CPU each", own_cost.per_second, own_cost.server_cpu * 1e3));
    row.detail("bare server", format!("{:.0}/s, {:.1} µs of CPU each", bare.per_second, bare.server_cpu * 1e3));
    row.figure = (own_cost.server_cpu - bare.server_cpu) * 1e3;
    (row.bare, row.of_bare) = (None, None);
    row.met = Some(row.figure <= 30.0);
    peers.end(own).await;
    row
}

/// Connections of the overload: what a schedule at three times the rate needs when answers take their time.
const CROWD: usize = 2_000;

pub async fn overload(bench: &Bench) -> Row {
    let goal = "p99 of the accepted ≤ 4 × that at half load, the rest refused clearly";
    let mut row = Row::new("overload", "`generate` at three times the rate it can do: p99 of the accepted", "ms", goal);
    let own = database(bench, "overload").await;
    let gateway = Server::gateway(bench, "api", own).await;
    let load = closed(bench, &[&gateway], &admissions(bench, ACCOUNTS));
    warm_up(&load).await;
    let full = measure(bench, &[&gateway], load.clone(), &mut row).await;
    row.cost = Some(full);
    let half = half(bench, &gateway, &mut row, load.clone()).await;
    row.half = Some(half);
    let crowd = Load { connections: CROWD, ..open(bench, &[&gateway], &load.requests, 3.0 * full.per_second) };
    let mut rounds = Vec::new();
    for _ in 0..bench.args.rounds {
        quiet(bench).await;
        let (cost, outcome) = measure_only(bench, &[&gateway], crowd.clone()).await;
        row.detail("accepted", format!("{:.0}/s of {:.0}/s", cost.per_second, 3.0 * full.per_second));
        row.detail("refused", format!("{:?}", outcome.refused));
        row.detail("found no free connection", outcome.unsent.to_string());
        let is_clear = |kind: &&String| kind.starts_with("HTTP 503 ") || kind.starts_with("HTTP 429 ");
        let unclear: u64 = outcome.refused.iter().filter(|(kind, _)| !is_clear(kind)).map(|(_, count)| count).sum();
        row.fail(unclear, || outcome.first_refusal.unwrap_or_default());
        rounds.push(cost);
    }
    row.figure = Cost::median(&rounds).p99_ms;
    row.detail("p99 at half load", format!("{:.1} ms", half.p99_ms));
    row.met = Some(row.figure <= 4.0 * half.p99_ms);
    check_admitted(bench, own, &mut row).await;
    gateway.kill().await;
    bench.cluster.drop(own).await;
    row
}
