//! Very many who watch a generation each, of which nothing is heard for a while; and then of many at once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use sqlx::{PgPool, Row as _};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{admissions, database};
use crate::{
    Bench,
    load::{self, Load},
    measure::closed,
    proc,
    report::Row,
    servers::Server,
    subscriber::{Subscriber, Transport},
};

/// How long a process is left alone before its memory is read.
const REST: Duration = Duration::from_secs(3);
/// How long the changes may take to be told.
const PATIENCE: Duration = Duration::from_mins(1);
const GOAL_MB: f64 = 100.0;

/// A generation, and the key that may read it.
struct Watched {
    id: Uuid,
    key: String,
}

pub async fn measure(bench: &Bench) -> Row {
    let count = bench.args.subscribers;
    let work = format!("{count} idle subscribers, a generation and a connection each: RSS of the process");
    let mut row = Row::new("subscribers", &work, "MB", "< 100 MB over every transport");
    let own = database(bench, "subscribers").await;
    let gateway = Server::gateway(bench, "api", own).await;
    let submitted = load::run(submissions(bench, &gateway, count)).await;
    row.fail(submitted.fails(), || submitted.first_refusal.clone().unwrap_or_default());
    gateway.kill().await;
    let pool = bench.cluster.pool(own).await;
    let all = waiting(bench, &pool, count).await;
    for transport in Transport::ALL {
        over(bench, own, &pool, &all, transport, &mut row).await;
    }
    row.met = Some(row.figure < GOAL_MB);
    pool.close().await;
    bench.cluster.drop(own).await;
    row
}

/// Generations that stay what they are, since nobody works on them.
fn submissions(bench: &Bench, gateway: &Server, count: usize) -> Load {
    let load = closed(bench, &[gateway], &admissions(bench, bench.accounts.len()));
    Load { at_most: count as u64, lasts: Duration::from_hours(1), ..load }
}

async fn waiting(bench: &Bench, pool: &PgPool, count: usize) -> Vec<Watched> {
    let ids: Vec<i64> = bench.accounts.iter().map(|account| account.id).collect();
    let statement = "
        select a.place, g.generation_id from unnest($1::bigint[]) with ordinality a (id, place)
        join generation g on g.account_id = a.id and g.status = 'PENDING' limit $2
    ";
    let rows = sqlx::query(statement).bind(ids).bind(i64::try_from(count).unwrap()).fetch_all(pool).await.unwrap();
    let watched = |row: &sqlx::postgres::PgRow| {
        let place = usize::try_from(row.get::<i64, _>(0)).unwrap() - 1;
        Watched { id: row.get(1), key: bench.accounts[place].test_key.clone() }
    };
    rows.iter().map(watched).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a count")]
async fn over(bench: &Bench, own: &str, pool: &PgPool, all: &[Watched], transport: Transport, row: &mut Row) {
    let gateway = Server::gateway(bench, "api", own).await;
    tokio::time::sleep(REST).await;
    let (alone, begun) = (gateway.rss_mb(), Instant::now());
    let open = |watched: &Watched| {
        let (address, key, id) = (gateway.address, watched.key.clone(), watched.id.simple());
        async move {
            let id = format!("gen_{id}");
            tokio::time::timeout(PATIENCE, Subscriber::open(address, transport, &key, &id)).await?
        }
    };
    let opened = stream::iter(all).map(open).buffered(32).try_collect::<Vec<_>>().await;
    let subscribers = match opened {
        Ok(subscribers) => subscribers,
        Err(error) => return row.fail(1, || format!("{}: {error}", transport.name())),
    };
    let opening = begun.elapsed();
    let (telling, mut told) = mpsc::unbounded_channel();
    let telling = Arc::new(telling);
    let tasks: Vec<_> = subscribers.into_iter().map(|one| tokio::spawn(listen(one, telling.clone()))).collect();

    tokio::time::sleep(REST).await;
    let (watched, cpu, postgres) = (Instant::now(), proc::cpu(gateway.pid()), bench.cluster.cpu());
    tokio::time::sleep(bench.args.lasts().max(REST)).await;
    let share = |used: f64| used / watched.elapsed().as_secs_f64() * 100.0;
    let (cpu, postgres) = (share(proc::cpu(gateway.pid()) - cpu), share(bench.cluster.cpu() - postgres));
    let rss = gateway.rss_mb();
    row.figure = row.figure.max(rss);
    let unasked = told.len();
    row.fail(unasked as u64, || format!("{}: {unasked} states of generations that did not change", transport.name()));

    let changed = all.len().min(1_000);
    let took = change(pool, &all[..changed], &mut told).await;
    row.fail(u64::from(took.is_none()), || format!("{}: changes were not told", transport.name()));
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    gateway.kill().await;
    row.detail(
        transport.name(),
        format!(
            "{rss:.0} MB ({:.1} kB each, opened in {:.1} s), idle CPU {cpu:.1} % of a core and of PostgreSQL {postgres:.1} %, \
             {changed} changes at once told after {:.0} ms",
            (rss - alone) * 1024.0 / (all.len().max(1) as f64),
            opening.as_secs_f64(),
            took.unwrap_or_default().as_secs_f64() * 1e3
        ),
    );
}

async fn listen(mut subscriber: Subscriber, told: Arc<mpsc::UnboundedSender<Instant>>) {
    while subscriber.told().await.is_ok() {
        told.send(Instant::now()).ok();
    }
}

/// Changes these generations, as a worker in another process would; the time until each was told.
async fn change(pool: &PgPool, all: &[Watched], told: &mut mpsc::UnboundedReceiver<Instant>) -> Option<Duration> {
    let ids: Vec<Uuid> = all.iter().map(|watched| watched.id).collect();
    let mut tx = pool.begin().await.unwrap();
    let statement = "update job set progress = progress + 7 where generation_id = any($1)";
    sqlx::query(statement).bind(&ids).execute(&mut *tx).await.unwrap();
    for ids in ids.chunks(200) {
        let ids: Vec<String> = ids.iter().map(|id| id.simple().to_string()).collect();
        let message = format!("{} {}", Uuid::new_v4().simple(), ids.join(","));
        sqlx::query("select pg_notify('doitong_changed', $1)").bind(message).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    let committed = Instant::now();
    let mut last = committed;
    for _ in all {
        last = tokio::time::timeout(PATIENCE, told.recv()).await.ok()??;
    }
    Some(last - committed)
}
