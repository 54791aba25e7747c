//! The audit after the storm: what was promised, checked against the database, the upstreams' books and what the receiver
//! and the callers were told.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::{self, Display, Formatter},
    time::Duration,
};

use doitong::ledger;
use serde_json::Value;
use sqlx::{PgPool, Row as _};
use tokio::time::{Instant, sleep};

use super::{
    callers::{Callers, prompt},
    fleet::Fleet,
    receiver::Receiver,
    upstream::Upstream,
};

/// Violations that are printed.
const SHOWN: usize = 20;

/// What is waited for. An upstream that is told to stop once its answer may have come is told after minutes; the
/// generation has ended long before.
const UNDER_WAY: &str = "
    select (select count(*) from job where stage <> 'stopping' or due_at < now() + interval '20 seconds')
        + (select count(*) from delivery where not delivered and due_at is not null)";

/// Waits until nothing is under way any more: no job, no delivery that is due.
pub async fn wait_for_end(fleet: &mut Fleet, patience: Duration) -> bool {
    let pool = fleet.pool().await;
    let deadline = Instant::now() + patience;
    loop {
        fleet.revive(Instant::now());
        let left = count(&pool, UNDER_WAY).await;
        if left == 0 || Instant::now() > deadline {
            pool.close().await;
            return left == 0;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn count(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

/// What was found.
pub struct Report {
    lines: Vec<(String, String)>,
    checks: u32,
    pub violations: Vec<String>,
}

impl Report {
    pub const fn new() -> Self {
        Self { lines: Vec::new(), checks: 0, violations: Vec::new() }
    }

    pub fn line(&mut self, name: &str, value: impl Display) {
        self.lines.push((name.to_owned(), value.to_string()));
    }

    pub fn expect(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        self.checks += 1;
        if !holds {
            self.violations.push(violation());
        }
    }

    /// A number that must be zero.
    fn none(&mut self, number: i64, of: &str) {
        self.expect(number == 0, || format!("{number} {of}"));
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.lines {
            writeln!(f, "  {name:<36} {value:>10}")?;
        }
        for violation in self.violations.iter().take(SHOWN) {
            writeln!(f, "  VIOLATION: {violation}")?;
        }
        writeln!(f, "  {:<36} {:>10}", "checks", self.checks)?;
        write!(f, "  {:<36} {:>10}", "violations", self.violations.len())
    }
}

/// Who can tell what happened.
pub struct Seen<'a> {
    pub upstream: &'a Upstream,
    pub receiver: &'a Receiver,
    pub callers: &'a Callers,
}

/// A generation, as the database has it.
struct Row {
    id: String,
    job: u32,
    status: String,
    reason: Option<String>,
    attempts: Value,
}

/// Checks everything.
pub async fn audit(report: &mut Report, fleet: &Fleet, seen: &Seen<'_>, jobs: u32) {
    let pool = fleet.pool().await;
    let rows = sqlx::query(
        "select generation_id, (labels ->> 'job')::int as job, status, error_reason, attempts from generation order by 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let row = |row: &sqlx::postgres::PgRow| Row {
        id: format!("gen_{}", row.get::<uuid::Uuid, _>(0).simple()),
        job: u32::try_from(row.get::<i32, _>(1)).unwrap(),
        status: row.get(2),
        reason: row.get(3),
        attempts: row.get(4),
    };
    let rows: Vec<Row> = rows.iter().map(row).collect();
    report.line("logical requests", jobs);
    for (why, count) in seen.callers.retries.lock().unwrap().iter() {
        report.line(&format!("  asked again: {why}"), count);
    }
    report.line("generations", rows.len());
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for row in &rows {
        let end = row.reason.as_ref().map_or_else(|| row.status.clone(), |reason| format!("{} {reason}", row.status));
        *ends.entry(end).or_default() += 1;
    }
    for (end, count) in ends {
        report.line(&format!("  {end}"), count);
    }
    callers(report, seen.callers, &rows, jobs);
    books(report, &pool).await;
    upstreams(report, seen.upstream, &rows, jobs);
    webhooks(report, seen.receiver, &rows);
    late(report, &pool).await;
    let crashes = fleet.crashes();
    report.expect(crashes.is_empty(), || format!("the log tells of {} crashes: {}", crashes.len(), crashes[0]));
    pool.close().await;
}

/// Every accepted id ended, no key made two jobs, and a cancel says the truth.
fn callers(report: &mut Report, callers: &Callers, rows: &[Row], jobs: u32) {
    let states: HashMap<&str, &str> = rows.iter().map(|row| (row.id.as_str(), row.status.as_str())).collect();
    let accepted = callers.accepted.lock().unwrap();
    report.expect(accepted.len() == jobs as usize, || format!("{} of {jobs} requests were answered", accepted.len()));
    for (job, ids) in accepted.iter() {
        let distinct: HashSet<_> = ids.iter().collect();
        report.expect(distinct.len() == 1, || format!("the key of job {job} made {distinct:?}"));
        for id in distinct {
            let state = states.get(id.as_str());
            report.expect(matches!(state, Some(&("COMPLETED" | "FAILED" | "CANCELLED"))), || {
                format!("{id} is {state:?}")
            });
        }
    }
    let mut of_job: HashMap<u32, u32> = HashMap::new();
    for row in rows {
        *of_job.entry(row.job).or_default() += 1;
    }
    for (job, generations) in of_job {
        report.expect(generations == 1, || format!("job {job} has {generations} generations"));
    }
    let (cancelled, cancels) = (callers.cancelled.lock().unwrap(), callers.cancels.lock().unwrap());
    for id in cancelled.iter() {
        let state = states.get(id.as_str());
        report.expect(state == Some(&"CANCELLED"), || format!("{id} was called cancelled and is {state:?}"));
    }
    for row in rows.iter().filter(|row| row.status == "CANCELLED") {
        report.expect(cancels.contains(&row.id), || format!("{} was cancelled unasked", row.id));
    }
}

/// Money: by the gateway's own audit, and by statements that do not share its views.
async fn books(report: &mut Report, pool: &PgPool) {
    let books = ledger::audit(pool).await.unwrap();
    report.expect(books == ledger::Audit::default(), || format!("the books are off: {books:?}"));
    for (query, what) in [
        (
            "select count(*) from purse p where (available, held) <> (
                select coalesce(sum(case kind when 'top-up' then amount when 'hold' then -amount when 'release' then amount else 0 end), 0),
                    coalesce(sum(case kind when 'hold' then amount when 'top-up' then 0 else -amount end), 0)
                from ledger_transfer t where t.account_id = p.account_id and t.mode = p.mode)",
            "purses differ from their entries",
        ),
        (
            "select count(*) from (select from ledger_transfer where kind <> 'top-up' group by reference
                having count(*) filter (where kind = 'hold') <> 1
                    or count(*) filter (where kind in ('capture', 'release')) <> 1) bad",
            "jobs were not held once and captured or released once",
        ),
        (
            "select count(*) from generation g where (status = 'COMPLETED') <> exists (
                select from ledger_transfer t where t.reference = g.generation_id and t.kind = 'capture')",
            "jobs were charged without a result, or not charged for one",
        ),
        ("select coalesce(sum(held), 0)::bigint from purse", "credits are still held"),
        ("select coalesce(sum(running + waiting), 0)::bigint from purse", "places are still taken"),
        ("select count(*) from job where stage <> 'stopping'", "jobs are left"),
        (
            "select count(*) from (select from idempotency group by key having count(distinct generation_id) <> 1) bad",
            "keys made more than one job",
        ),
    ] {
        report.none(count(pool, query).await, what);
    }
}

/// Nothing was bought twice, and nothing is sold that was not made.
fn upstreams(report: &mut Report, upstream: &Upstream, rows: &[Row], jobs: u32) {
    let paid = upstream.paid();
    for (prompt, times) in &paid {
        report.expect(*times == 1, || {
            let row = rows.iter().find(|row| prompt.ends_with(&format!("{:06}", row.job)));
            let attempts = row.map(|row| &row.attempts);
            format!("{prompt} was bought {times} times; attempts: {}", attempts.unwrap_or(&Value::Null))
        });
    }
    let total: u32 = paid.values().sum();
    report.line("paid upstream jobs", total);
    report.line("  for each logical request", format!("{:.3}", f64::from(total) / f64::from(jobs)));
    report.expect(total <= jobs, || format!("{total} paid jobs for {jobs} requests"));
    for row in rows.iter().filter(|row| row.status == "COMPLETED") {
        report
            .expect(paid.contains_key(&prompt(row.job)), || format!("job {} is completed and was never made", row.job));
    }
}

/// Each end was told at least once, under one id of its own.
fn webhooks(report: &mut Report, receiver: &Receiver, rows: &[Row]) {
    let taken = receiver.taken();
    let mut owners: HashMap<&str, &str> = HashMap::new();
    for row in rows {
        let ids: Vec<&str> = taken.get(&row.id).into_iter().flatten().map(String::as_str).collect();
        report.expect(ids.len() == 1, || format!("{} was told under the webhook ids {ids:?}", row.id));
        for id in ids {
            let other = owners.insert(id, &row.id);
            report.expect(other.is_none(), || format!("the webhook id {id} told of {other:?} and {}", row.id));
        }
    }
    let known: HashSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    for id in taken.keys() {
        report.expect(known.contains(id.as_str()), || format!("a webhook told of {id}, which there is not"));
    }
    report.line("webhooks taken", receiver.deliveries());
}

/// What an upstream finished after the deadline is on record, without a charge.
async fn late(report: &mut Report, pool: &PgPool) {
    let recorded = "select count(*) from generation where error_reason = 'DEADLINE' and attempts -> -1 ->> 'outcome' = 'COMPLETED'";
    report.line("late successes, on record and free", count(pool, recorded).await);
}
