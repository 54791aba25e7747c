//! Very many generations that an upstream takes its time for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::database;
use crate::{
    Bench, data,
    load::{self, Idempotency, Load, Request, percentile},
    measure::{CONNECTIONS, closed},
    proc,
    report::{Row, short},
    servers::Server,
};

/// How long the plateau is watched at most.
const PLATEAU: Duration = Duration::from_mins(2);

pub async fn measure(bench: &Bench) -> Row {
    let count = bench.args.in_flight;
    let run = Duration::from_secs(bench.args.run_seconds);
    let goal = "RSS < 300 MB, < 50 % of a core, seen within max(2 s, 3 % of the run) at p95, ≤ 8 polls";
    let work = format!("{} generations in flight, {} s each: RSS", short(as_float(count)), run.as_secs());
    let mut row = Row::new("flight", &work, "MB", goal);
    let own = database(bench, "flight").await;
    let gateway = Server::gateway(bench, "all", own).await;
    bench.doubles.reset(run, None);

    let begun = Instant::now();
    let sending = tokio::spawn(load::run(submits(bench, &gateway, count)));
    // All of them submitted, or the first ones done.
    let all = usize::try_from(count).unwrap();
    while bench.doubles.counts().0 < all && begun.elapsed() < run.mul_f64(0.9) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    row.detail("submitted", format!("{} after {:.0} s", bench.doubles.counts().0, begun.elapsed().as_secs_f64()));
    let (watched, cpu) = (Instant::now(), proc::cpu(gateway.pid()));
    let postgres = bench.cluster.cpu();
    while begun.elapsed() < run.mul_f64(0.9) && watched.elapsed() < PLATEAU {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let share = (proc::cpu(gateway.pid()) - cpu) / watched.elapsed().as_secs_f64();
    let postgres = (bench.cluster.cpu() - postgres) / watched.elapsed().as_secs_f64();
    row.figure = gateway.rss_mb();
    row.detail("CPU on the plateau", format!("{:.0} % of a core, PostgreSQL {:.0} %", share * 100.0, postgres * 100.0));

    let outcome = sending.await.unwrap();
    row.fail(outcome.fails(), || outcome.first_refusal.clone().unwrap_or_default());
    let pool = bench.cluster.pool(own).await;
    let left = wait_for_end(&pool, run * 3 + Duration::from_mins(2)).await;
    row.fail(left, || format!("{left} did not end"));
    row.detail("RSS at its peak", format!("{:.0} MB", proc::peak_mb(gateway.pid())));
    let late = judge(bench, &pool, &mut row).await;
    let polls = polls(bench);
    row.detail(
        "polls a job",
        format!(
            "p50 {:.0}, p95 {:.0}, most {:.0}",
            percentile(&polls, 0.5),
            percentile(&polls, 0.95),
            percentile(&polls, 1.0)
        ),
    );
    let allowed = (run.as_secs_f64() * 0.03).max(2.0);
    row.met = Some(row.figure < 300.0 && share < 0.5 && late <= allowed && percentile(&polls, 0.95) <= 8.0);
    pool.close().await;
    gateway.kill().await;
    bench.cluster.drop(own).await;
    row
}

fn submits(bench: &Bench, gateway: &Server, count: u64) -> Load {
    let body = data::generate_live("VIDEO", "kling", "v2-1-master", r#"{"duration":5,"aspectRatio":"16:9"}"#, None);
    let request = |account: &data::Account| Request::graphql(&account.live_key, &body, Idempotency::Fresh);
    let requests = Arc::new(bench.accounts.iter().map(request).collect());
    let load = closed(bench, &[gateway], &requests);
    Load { at_most: count, lasts: Duration::from_hours(1), connections: CONNECTIONS, ..load }
}

async fn wait_for_end(pool: &PgPool, patience: Duration) -> u64 {
    let deadline = Instant::now() + patience;
    loop {
        let left: i64 = sqlx::query_scalar("select count(*) from job").fetch_one(pool).await.unwrap();
        if left == 0 || Instant::now() > deadline {
            return u64::try_from(left).unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// How late ends were seen; the 95th percentile in seconds.
async fn judge(bench: &Bench, pool: &PgPool, row: &mut Row) -> f64 {
    let ended: Vec<(String, String, Option<DateTime<Utc>>)> =
        sqlx::query_as("select labels ->> 'job', status, completed_at from generation").fetch_all(pool).await.unwrap();
    let failed = ended.iter().filter(|(_, status, _)| status != "COMPLETED").count();
    row.fail(u64::try_from(failed).unwrap(), || format!("{failed} were not completed"));
    let (now, today) = (Instant::now(), Utc::now());
    let done: std::collections::HashMap<usize, Instant> =
        bench.doubles.seen().into_iter().filter_map(|(number, seen)| Some((number, seen.done?))).collect();
    let late = |(job, _, at): &(String, String, Option<DateTime<Utc>>)| {
        let done =
            today - chrono::TimeDelta::from_std(now.saturating_duration_since(*done.get(&job.parse().ok()?)?)).ok()?;
        u32::try_from(((*at)? - done).num_milliseconds().max(0)).ok()
    };
    let mut late: Vec<u32> = ended.iter().filter_map(late).collect();
    late.sort_unstable();
    let of = |share: f64| percentile(&late, share) / 1e3;
    row.detail("end seen after", format!("p50 {:.1} s, p95 {:.1} s, at most {:.1} s", of(0.5), of(0.95), of(1.0)));
    of(0.95)
}

fn polls(bench: &Bench) -> Vec<u32> {
    let mut polls: Vec<u32> = bench.doubles.seen().iter().map(|(_, seen)| seen.polls).collect();
    polls.sort_unstable();
    polls
}

#[expect(clippy::cast_precision_loss, reason = "a count")]
fn as_float(count: u64) -> f64 {
    count as f64
}
