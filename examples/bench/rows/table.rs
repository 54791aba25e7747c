//! What grows with the table, and with the number of processes.

use std::{sync::Arc, time::Instant};

use super::{admissions, database, pipeline, reads};
use crate::{
    Bench,
    data::{self, ACCOUNTS},
    load::{Idempotency, Load, Request},
    measure::{closed, measure, quiet, warm_up},
    report::{Cost, Curve, Row, median, short},
    servers::Server,
};

/// What is measured at each size.
const WORKS: [&str; 4] = ["lifecycles", "reads", "lists", "admission"];
/// The table that others are compared with: one page of the list for each account.
const SMALL: u64 = 20 * ACCOUNTS as u64;

pub async fn rows(bench: &Bench, curves: &mut Vec<Curve>) -> Row {
    let most = bench.args.rows;
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    let work =
        format!("{} finished rows: the dearest of admission, life, read and list, small table = 1", short(most as f64));
    let mut row = Row::new("rows", &work, "×", "≤ 1.15, retention drops partitions");
    let mut sizes: Vec<u64> = [1_000, 100_000, 1_000_000].into_iter().filter(|size| *size < most).collect();
    sizes.push(most);
    let mut own: Vec<Curve> = WORKS
        .iter()
        .map(|work| Curve { name: (*work).to_owned(), over: "finished rows".to_owned(), ..Curve::default() })
        .collect();
    for size in sizes {
        let pairs = at_size(bench, size, &mut row).await;
        for (curve, (beside, large)) in own.iter_mut().zip(pairs) {
            #[expect(clippy::cast_precision_loss, reason = "a count")]
            curve.points.push((short(size as f64), large));
            curve.beside.push(beside);
        }
    }
    row.figure = own.iter().filter_map(|curve| curve.costs().last()).fold(0.0, f64::max);
    row.detail("small table", format!("{SMALL} rows, a page of the list for each account"));
    row.met = Some(row.figure <= 1.15);
    curves.extend(own);
    row
}

/// Each work on a small table and on one of this size, in turns.
async fn at_size(bench: &Bench, size: u64, row: &mut Row) -> Vec<(f64, f64)> {
    let databases = [database(bench, "small").await, database(bench, "large").await];
    let begun = Instant::now();
    let mut ids = Vec::new();
    for (name, rows) in databases.into_iter().zip([SMALL, size]) {
        let pool = bench.cluster.pool(name).await;
        data::add_finished(&pool, &bench.accounts, rows).await;
        ids.push(data::sample(&pool, &bench.accounts, 20_000).await);
        pool.close().await;
    }
    eprintln!("  {size} rows after {:.0} s", begun.elapsed().as_secs_f64());
    bench.cluster.checkpoint().await;
    let mut pairs = vec![lives(bench, databases, row).await];
    let servers =
        [Server::gateway(bench, "api", databases[0]).await, Server::gateway(bench, "api", databases[1]).await];
    let [small, large] = &servers;
    let list = bench.accounts.iter().map(|account| Request::graphql(&account.test_key, data::LIST, Idempotency::None));
    let lists = Arc::new(list.collect());
    let works = [
        [closed(bench, &[small], &reads(bench, &ids[0])), closed(bench, &[large], &reads(bench, &ids[1]))],
        [closed(bench, &[small], &lists), closed(bench, &[large], &lists)],
        [&servers[0], &servers[1]].map(|server| closed(bench, &[server], &admissions(bench, ACCOUNTS))),
    ];
    for loads in works {
        pairs.push(in_turns(bench, &servers, loads, row).await);
    }
    for server in servers {
        server.kill().await;
    }
    if size == bench.args.rows {
        retention(bench, databases[1], row).await;
    }
    for name in databases {
        bench.cluster.drop(name).await;
    }
    pairs
}

/// Whole lives, which claim, on both; with no other jobs in the table.
async fn lives(bench: &Bench, databases: [&str; 2], row: &mut Row) -> (f64, f64) {
    let mut results = [Vec::new(), Vec::new()];
    let servers =
        [Server::gateway(bench, "all", databases[0]).await, Server::gateway(bench, "all", databases[1]).await];
    for round in 0..=bench.args.rounds {
        quiet(bench).await;
        for turn in turns(round) {
            let (server, results) = (&servers[turn], &mut results[turn]);
            let load = closed(bench, &[server], &pipeline::pictures(bench));
            let cost = pipeline::lives(bench, server, &load, row).await;
            // The first warms up.
            if round > 0 {
                results.push(cost.per_second);
            }
        }
    }
    for server in servers {
        server.kill().await;
    }
    let [small, large] = results.map(median);
    (small, large)
}

async fn in_turns(bench: &Bench, servers: &[Server; 2], loads: [Load; 2], row: &mut Row) -> (f64, f64) {
    for load in &loads {
        warm_up(load).await;
    }
    let mut results = [Vec::new(), Vec::new()];
    for round in 0..bench.args.rounds {
        quiet(bench).await;
        for turn in turns(round) {
            let cost = measure(bench, &[&servers[turn]], loads[turn].clone(), row).await;
            results[turn].push(cost.per_second);
        }
    }
    let [small, large] = results.map(median);
    (small, large)
}

/// Who goes first changes from round to round.
fn turns(round: u32) -> [usize; 2] {
    if round.is_multiple_of(2) { [0, 1] } else { [1, 0] }
}

/// How long half of the months take to go.
async fn retention(bench: &Bench, own: &str, row: &mut Row) {
    let pool = bench.cluster.pool(own).await;
    let size: String = sqlx::query_scalar("select pg_size_pretty(pg_database_size(current_database()))")
        .fetch_one(&pool)
        .await
        .unwrap();
    row.detail("size of the database", size);
    let count = "select count(*) from generation";
    let before: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
    let begun = Instant::now();
    sqlx::query("select drop_generation_partitions(now(), 2)").execute(&pool).await.unwrap();
    let took = begun.elapsed().as_secs_f64();
    let after: i64 = sqlx::query_scalar(count).fetch_one(&pool).await.unwrap();
    row.detail("retention", format!("{} rows gone in {took:.2} s", before - after));
    row.fail(u64::from(after >= before), || "retention dropped nothing".to_owned());
    pool.close().await;
}

/// Gateway processes side by side on one database.
const PROCESSES: [usize; 3] = [1, 2, 4];

pub async fn processes(bench: &Bench, curves: &mut Vec<Curve>) -> Row {
    let mut row =
        Row::new("processes", "`generate` with four gateway processes on the same cores", "/s", "what it costs");
    let own = database(bench, "processes").await;
    let pool = bench.cluster.pool(own).await;
    data::add_finished(&pool, &bench.accounts, SMALL).await;
    let ids = data::sample(&pool, &bench.accounts, 20_000).await;
    pool.close().await;
    let mut servers = Vec::new();
    for _ in 0..PROCESSES.into_iter().max().unwrap_or_default() {
        servers.push(Server::gateway(bench, "api", own).await);
    }
    let servers: Vec<&Server> = servers.iter().collect();
    let works = [("reads", reads(bench, &ids)), ("admission", admissions(bench, ACCOUNTS))];
    for (name, requests) in works {
        let mut results = PROCESSES.map(|_| Vec::new());
        warm_up(&closed(bench, &servers, &requests)).await;
        for _ in 0..bench.args.rounds {
            quiet(bench).await;
            for (count, results) in PROCESSES.into_iter().zip(&mut results) {
                let some = &servers[..count];
                results.push(measure(bench, some, closed(bench, some, &requests), &mut row).await);
            }
        }
        let results = results.map(|results| Cost::median(&results));
        let points = PROCESSES.iter().zip(&results).map(|(count, cost)| (count.to_string(), cost.per_second)).collect();
        curves.push(Curve { name: name.to_owned(), over: "gateway processes".to_owned(), points, beside: Vec::new() });
        row.cost = results.last().copied();
        row.figure = results.last().copied().unwrap_or_default().per_second;
    }
    bench.cluster.drop(own).await;
    row
}
