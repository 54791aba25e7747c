//! Every statement in every state of a row, under every lease: the database does what the model says.

use std::time::Duration;

use doitong::{
    accounts::Agreed,
    domain::{Mode, Plan, Status, output::Outputs},
    jobs::{self, Claimed, End, Ending, Failure, Lease, Stage},
    providers::Handle,
};
use serde_json::json;
use sqlx::Row as _;

use super::record::{Change, Job, Record};
use crate::support::{TestApp, image};

const MINE: usize = 0;
const ANOTHERS: usize = 1;

/// The rows that can be.
fn records() -> Vec<Record> {
    let stages = [
        (Stage::Waiting, false),
        (Stage::Ready, false),
        (Stage::Submitting, false),
        (Stage::Running, true),
        (Stage::Storing, false),
        (Stage::Storing, true),
        (Stage::Stopping, false),
        (Stage::Stopping, true),
    ];
    let mut records = Vec::new();
    for (stage, has_handle) in stages {
        for lease in [None, Some(MINE), Some(ANOTHERS)] {
            if stage == Stage::Waiting && lease.is_some() {
                continue;
            }
            let status = match stage {
                Stage::Waiting | Stage::Ready | Stage::Submitting => Status::Pending,
                Stage::Running | Stage::Storing => Status::Processing,
                Stage::Stopping => Status::Cancelled,
            };
            let job = |is_troubled| Some(Job { stage, lease, has_handle, is_troubled });
            records.extend([true, false].map(|it| Record { status, job: job(it), captured: 0, released: 0 }));
        }
    }
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_does_what_the_model_says() {
    let app = TestApp::on(Plan::Enterprise).await;
    let plenty = Agreed { per_minute: Some(100_000), concurrent: Some(100_000), daily: None, queued: Some(100_000) };
    app.set_plan(Plan::Enterprise, plenty).await;
    // What runs without a handle is nobody's: the table itself refuses it.
    let can_be = |record: &Record, change: Change| {
        change != Change::Look || record.job.is_some_and(|job| job.has_handle || job.stage != Stage::Storing)
    };
    let cases: Vec<_> = records()
        .into_iter()
        .flat_map(|record| Change::ALL.map(|change| (record, change)))
        .filter(|(record, change)| can_be(record, *change))
        .collect();
    for _ in 0..cases.len() {
        app.ask(image("a")).await.id();
    }
    let (lease, claimed) = app.app.jobs.claim(10_000, &[], Duration::from_hours(1)).await.unwrap();
    assert_eq!(claimed.len(), cases.len());
    app.sql("update purse set running = 10000000, waiting = 10000000").await.unwrap();
    let mine: uuid::Uuid = sqlx::query_scalar("select lease from job limit 1").fetch_one(&app.app.pool).await.unwrap();
    for ((before, change), job) in cases.into_iter().zip(&claimed) {
        let row = TheRow { app: &app, job, lease, mine };
        row.set(&before).await;
        row.run(change).await;
        let mut after = before;
        after.apply(change, MINE);
        assert_eq!(row.read().await, after, "{change:?} of {before:?}");
    }
}

/// A generation in the database.
struct TheRow<'a> {
    app: &'a TestApp,
    job: &'a Claimed,
    lease: Lease,
    mine: uuid::Uuid,
}

impl TheRow<'_> {
    async fn set(&self, record: &Record) {
        let Some(job) = record.job else { return };
        let lease = job.lease.map(|lease| if lease == MINE { self.mine } else { uuid::Uuid::new_v4() });
        let (now, is_waiting) = (self.app.clock.now(), job.stage == Stage::Waiting);
        let query = "update job set stage = $2, lease = $3, handle = $4, patience_until = $5, due_at = $6,
            submitted_at = $7 where generation_id = $1";
        sqlx::query(query)
            .bind(self.job.id.uuid())
            .bind(job.stage)
            .bind(lease)
            .bind(job.has_handle.then_some("a"))
            .bind(job.is_troubled.then_some(now))
            .bind((!is_waiting).then_some(now))
            .bind(now)
            .execute(&self.app.app.pool)
            .await
            .unwrap();
        let query = "update generation set status = $2, completed_at = $3 where generation_id = $1";
        sqlx::query(query)
            .bind(self.job.id.uuid())
            .bind(record.status.as_str())
            .bind(record.status.is_terminal().then_some(now))
            .execute(&self.app.app.pool)
            .await
            .unwrap();
    }

    async fn run(&self, change: Change) {
        let (jobs, id, lease, now) = (&self.app.app.jobs, self.job.id, self.lease, self.app.clock.now());
        match change {
            Change::Intend => drop(jobs.intend(id, lease).await.unwrap()),
            Change::PutBack => drop(jobs.put_back(id, lease, now, 1).await.unwrap()),
            Change::Accept => {
                self.advance(jobs::Change::Accepted { handle: Handle("b".into()), due_at: now, deadline_at: now })
                    .await;
            }
            Change::Look => self.advance(jobs::Change::Look { due_at: now, progress: Some(50), failures: 0 }).await,
            Change::Store => self.advance(jobs::Change::Store { outputs: Outputs::default() }).await,
            Change::Resubmit => self.advance(jobs::Change::Resubmit { due_at: now, patience_until: now }).await,
            Change::FailOver => {
                let accept = |catalog: &doitong::catalog::Catalog, conditions: &doitong::catalog::Conditions<'_>| {
                    catalog.accept(&self.job.asked, conditions).unwrap()
                };
                let to = Box::new(self.app.app.with_conditions(Mode::Test, accept));
                self.advance(jobs::Change::FailOver { to, patience_until: now }).await;
            }
            Change::Complete => self.finish(Ending::Completed { assets: Vec::new(), metadata: json!({}) }, false).await,
            Change::Fail => self.finish(Self::failed(), false).await,
            Change::GiveUp => self.finish(Self::failed(), true).await,
            Change::Cancel => {
                let caller = self.app.app.accounts.caller(&self.app.key.key).await.unwrap().unwrap();
                jobs.cancel(&caller, id).await.unwrap();
            }
            Change::Forget => jobs.forget(id, lease).await.unwrap(),
            Change::NoteHandle => jobs.note_late_handle(id, &Handle("b".into())).await.unwrap(),
        }
    }

    async fn advance(&self, change: jobs::Change) {
        let _ = self.app.app.jobs.advance(self.job, self.lease, &change, &[]).await.unwrap();
    }

    fn failed() -> Ending {
        let message = "a".to_owned();
        Ending::Failed(Failure { code: "GENERATION_FAILED".into(), reason: None, message, retryable: true })
    }

    async fn finish(&self, result: Ending, tells: bool) {
        let end = End { result, attempts: Vec::new(), stop_at: tells.then(|| self.app.clock.now()) };
        let _ = self.app.app.jobs.finish(self.job, self.lease, end).await.unwrap();
    }

    async fn read(&self) -> Record {
        let query = "select g.status, j.stage, j.lease, j.handle is not null as handle,
                j.patience_until is not null as troubled,
                (select count(*) from ledger_transfer t where t.reference = $1 and kind = 'capture') as captured,
                (select count(*) from ledger_transfer t where t.reference = $1 and kind = 'release') as released
            from generation g left join job j using (generation_id) where g.generation_id = $1";
        let row = sqlx::query(query).bind(self.job.id.uuid()).fetch_one(&self.app.app.pool).await.unwrap();
        let lease: Option<uuid::Uuid> = row.get("lease");
        let job = row.get::<Option<Stage>, _>("stage").map(|stage| Job {
            stage,
            lease: lease.map(|lease| if lease == self.mine { MINE } else { ANOTHERS }),
            has_handle: row.get("handle"),
            is_troubled: row.get("troubled"),
        });
        let count = |name| u8::try_from(row.get::<i64, _>(name)).unwrap();
        Record { status: row.get("status"), job, captured: count("captured"), released: count("released") }
    }
}
