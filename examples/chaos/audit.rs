//! The audit after the storm.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::Ordering,
    time::Duration,
};

use doitong::ledger;
use sqlx::Row as _;
use tokio::time::{Instant, sleep};

use crate::{
    callers::{Callers, prompt},
    processes::Fleet,
    receiver::Receiver,
    upstream::Upstream,
};

/// Waits until nothing is under way any more: no job, no delivery that is due.
pub async fn wait_for_end(fleet: &Fleet, receiver: &Receiver, patience: Duration) -> bool {
    let pool = fleet.pool().await;
    let deadline = Instant::now() + patience;
    let mut is_over = false;
    while !is_over && Instant::now() < deadline {
        sleep(Duration::from_millis(500)).await;
        let left: i64 = sqlx::query_scalar(
            "select (select count(*) from job) + (select count(*) from delivery where not delivered and due_at is not null)",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        is_over = left == 0 && receiver.deliveries() > 0;
    }
    pool.close().await;
    is_over
}

/// What was found.
pub struct Report {
    lines: Vec<(&'static str, String)>,
    pub violations: Vec<String>,
}

impl Report {
    pub fn print(&self) {
        let write = |text: String| println!("{text}");
        for (name, value) in &self.lines {
            write(format!("  {name:<20} {value:>8}"));
        }
        for violation in &self.violations {
            write(format!("  VIOLATION: {violation}"));
        }
        write(format!("  violations           {:>8}", self.violations.len()));
    }

    fn check(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(violation());
        }
    }
}

pub async fn audit(fleet: &Fleet, upstream: &Upstream, receiver: &Receiver, callers: &Callers, jobs: u32) -> Report {
    let mut report = Report { lines: Vec::new(), violations: Vec::new() };
    let pool = fleet.pool().await;
    let rows =
        sqlx::query("select generation_id, status, error_reason, (labels ->> 'job')::int as job from generation")
            .fetch_all(&pool)
            .await
            .unwrap();
    let mut states: HashMap<String, String> = HashMap::new();
    let mut by_job: HashMap<i32, Vec<String>> = HashMap::new();
    let mut counts: HashMap<String, u32> = HashMap::new();
    for row in &rows {
        let id = format!("gen_{}", row.get::<uuid::Uuid, _>(0).simple());
        let (state, reason): (String, Option<String>) = (row.get(1), row.get(2));
        *counts.entry(reason.map_or_else(|| state.clone(), |reason| format!("{state} {reason}"))).or_default() += 1;
        states.insert(id.clone(), state);
        by_job.entry(row.get(3)).or_default().push(id);
    }

    let accepted = callers.accepted.lock().unwrap().clone();
    report.check(accepted.len() == jobs as usize, || format!("{} of {jobs} requests were answered", accepted.len()));
    for (job, ids) in &accepted {
        let distinct: HashSet<_> = ids.iter().collect();
        report.check(distinct.len() == 1, || format!("the key of job {job} made {} generations", distinct.len()));
        for id in distinct {
            let state = states.get(id).map(String::as_str);
            report.check(matches!(state, Some("COMPLETED" | "FAILED" | "CANCELLED")), || format!("{id} is {state:?}"));
        }
    }
    for (job, ids) in &by_job {
        report.check(ids.len() == 1, || format!("job {job} has {} generations", ids.len()));
    }

    let books = ledger::audit(&pool).await.unwrap();
    report.check(books == ledger::Audit::default(), || format!("the books are off: {books:?}"));
    let held: i64 =
        sqlx::query_scalar("select coalesce(sum(held), 0)::bigint from purse").fetch_one(&pool).await.unwrap();
    report.check(held == 0, || format!("{held} credits are still held"));
    let places: i64 = sqlx::query_scalar("select coalesce(sum(running + waiting), 0)::bigint from purse")
        .fetch_one(&pool)
        .await
        .unwrap();
    report.check(places == 0, || format!("{places} places are still taken"));

    let paid = upstream.paid();
    for job in accepted.keys() {
        let times = paid.get(&prompt(*job)).copied().unwrap_or_default();
        report.check(times <= 1, || format!("job {job} was bought {times} times"));
    }
    let total: u32 = paid.values().sum();
    report.check(total <= jobs, || format!("{total} paid jobs for {jobs} requests"));
    for row in &rows {
        let (state, job): (String, i32) = (row.get(1), row.get(3));
        let bought = paid.contains_key(&prompt(u32::try_from(job).unwrap()));
        report.check(state != "COMPLETED" || bought, || format!("job {job} is completed but was never made"));
    }

    let taken = receiver.taken();
    for id in states.keys() {
        let ids = taken.get(id).map_or(0, HashSet::len);
        report.check(ids == 1, || format!("{id} was told under {ids} webhook ids"));
    }
    pool.close().await;

    report.lines.push(("logical requests", jobs.to_string()));
    report.lines.push(("client retries", callers.retries.load(Ordering::Relaxed).to_string()));
    report.lines.push(("generations", rows.len().to_string()));
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort();
    for (state, count) in counts {
        report.lines.push((Box::leak(format!("  {state}").into_boxed_str()), count.to_string()));
    }
    report.lines.push(("paid upstream jobs", total.to_string()));
    report.lines.push(("webhooks taken", receiver.deliveries().to_string()));
    report
}
