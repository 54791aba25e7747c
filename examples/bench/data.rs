//! What is in the database before anything is measured: accounts with keys, finished generations, a full outbox.

use doitong::{
    accounts::{Accounts, NewKey},
    config::{Config, PlanLimits},
    db::Database,
    domain::{Clock, Credits, Mode, Plan},
    webhooks::Seal,
};
use futures_util::{StreamExt as _, stream};
use rand::{SeedableRng as _, rngs::StdRng};
use sqlx::{PgPool, Row as _};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::load::NUMBER;

/// Accounts that requests are spread over.
pub const ACCOUNTS: usize = 1_000;

/// The plan of all of them, so that no limit is in the way.
const PLAN: PlanLimits = PlanLimits { per_minute: 10_000_000, concurrent: 1_000_000, daily: 0, queued: 10_000_000 };
/// The same for a gateway.
pub const LIMITS: &[(&str, &str)] = &[
    ("DOITONG__PLANS__ENTERPRISE__PER_MINUTE", "10000000"),
    ("DOITONG__PLANS__ENTERPRISE__CONCURRENT", "1000000"),
    ("DOITONG__PLANS__ENTERPRISE__DAILY", "0"),
    ("DOITONG__PLANS__ENTERPRISE__QUEUED", "10000000"),
];

/// Months that finished generations are spread over, the current one included.
const MONTHS: i32 = 6;

/// An account and its keys.
pub struct Account {
    pub id: i64,
    pub test_key: String,
    pub live_key: String,
    pub webhook_secret: String,
}

/// Opens the accounts.
pub async fn open_accounts(pool: &PgPool) -> Vec<Account> {
    let mut plans = Config::load(None).unwrap().plans;
    plans.enterprise = PLAN;
    let database = Database::new(pool.clone(), &TaskTracker::new());
    let accounts = Accounts::new(&database, Clock::default(), plans, Seal::default());
    let open = async |n: usize| {
        let mut rng = StdRng::seed_from_u64(n as u64);
        let mut key = async |mode: Mode| {
            let (account, credits) = (format!("bench-{n:04}"), Some(Credits::new(1_000_000_000_000)));
            let new = NewKey { account, plan: Some(Plan::Enterprise), mode, credits };
            accounts.create_key(&new, &mut rng).await.unwrap()
        };
        let (test, live) = (key(Mode::Test).await, key(Mode::Live).await);
        let id = accounts.account(&test.account).await.unwrap().unwrap().account.get();
        Account { id, test_key: test.key, live_key: live.key, webhook_secret: live.webhook_secret }
    };
    stream::iter(0..ACCOUNTS).map(open).buffered(16).collect().await
}

/// What a finished generation is.
const FINISHED: &str = r#"
    insert into generation (account_id, generation_id, mode, type, status, provider, model, route, upstream, asked, prompt,
        options, adjustments, attempts, labels, webhook_url, credit_cost, estimated_seconds, assets, metadata, created_at,
        started_at, completed_at)
    select a.id, (lpad(to_hex((extract(epoch from m.at) * 1000)::bigint), 12, '0') || '7' || substr(h.hash, 1, 3) || '8'
            || substr(h.hash, 4, 15))::uuid,
        $4, 'IMAGE', 'COMPLETED', 'gpt-image', 'gpt-image-2', 'gpt-image/gpt-image-2@openai', 'openai',
        '{"type": "IMAGE", "provider": "gpt-image", "input": {"text": "a red boat on a lake at dawn"}, "options": {"quality": "low"}, "priority": "BALANCED"}',
        'a red boat on a lake at dawn', '{"n": 1, "format": "png", "quality": "low"}', '[]',
        json_build_array(json_build_object('provider', 'gpt-image', 'model', 'gpt-image-2', 'upstream', 'openai',
            'route', 'gpt-image/gpt-image-2@openai', 'outcome', 'COMPLETED', 'startedAt', m.at, 'endedAt', m.at, 'message', null)),
        json_build_object('job', lpad(((a.place - 1) * $2 + n)::text, 12, '0')), $5, 6, 40,
        json_build_array(json_build_object('path', substr(h.hash, 1, 2) || '/' || h.hash || '.png', 'contentType', 'image/png',
            'width', 64, 'height', 64, 'duration', null, 'fps', null, 'sizeBytes', 469, 'sha256', h.hash || h.hash)),
        '{"width": 64, "height": 64, "format": "png", "sizeBytes": 469, "contentType": "image/png", "seed": null}',
        m.at, m.at, m.at
    from unnest($1::bigint[]) with ordinality a (id, place)
    cross join generate_series(0, $2 - 1) n
    cross join lateral (select now() - (($2 - n)::float8 / $2) * $3 as at) m
    cross join lateral (select md5(a.id::text || '.' || n::text || '.' || $4) as hash) h
"#;

/// Puts in so many finished generations, with what the ledger has of them, spread over accounts and half a year.
pub async fn add_finished(pool: &PgPool, accounts: &[Account], rows: u64) {
    let each = i32::try_from(rows.div_ceil(accounts.len() as u64)).unwrap();
    sqlx::query("select make_generation_partitions(((now() at time zone 'UTC') - make_interval(months => $1 - 1))::date, $1 + 2)")
        .bind(MONTHS)
        .execute(pool)
        .await
        .unwrap();
    // Whole months before this one, so that what is dropped later is full.
    let span: sqlx::postgres::types::PgInterval = sqlx::query_scalar(
        "select now() - (date_trunc('month', now() at time zone 'UTC') - make_interval(months => $1 - 1)) at time zone 'UTC'",
    )
    .bind(MONTHS)
    .fetch_one(pool)
    .await
    .unwrap();
    let parts = accounts.chunks(20);
    stream::iter(parts)
        .for_each_concurrent(2, |part| {
            let ids: Vec<i64> = part.iter().map(|account| account.id).collect();
            async move {
                let mut tx = pool.begin().await.unwrap();
                // The rows are right by construction; looking each hold up would double the time.
                sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
                sqlx::query(FINISHED)
                    .bind(&ids)
                    .bind(each)
                    .bind(span)
                    .bind("test")
                    .bind(None::<String>)
                    .execute(&mut *tx)
                    .await
                    .unwrap();
                let statement = "
                    insert into ledger_transfer (account_id, mode, reference, kind, amount, at)
                    select g.account_id, g.mode, g.generation_id, k.kind, g.credit_cost, g.created_at
                    from generation g cross join (values ('hold'), ('capture')) k (kind)
                    where g.account_id = any ($1) and g.status = 'COMPLETED' and g.mode = 'test'
                ";
                sqlx::query(statement).bind(&ids).execute(&mut *tx).await.unwrap();
                tx.commit().await.unwrap();
            }
        })
        .await;
    tidy(pool).await;
}

/// Fills the outbox: so many finished generations whose webhooks are due.
pub async fn fill_outbox(pool: &PgPool, accounts: &[Account], rows: u64, url: &str) {
    let each = i32::try_from(rows / accounts.len() as u64).unwrap();
    let ids: Vec<i64> = accounts.iter().map(|account| account.id).collect();
    let mut tx = pool.begin().await.unwrap();
    let span = sqlx::postgres::types::PgInterval { months: 0, days: 0, microseconds: 60_000_000 };
    sqlx::query(FINISHED).bind(&ids).bind(each).bind(span).bind("live").bind(url).execute(&mut *tx).await.unwrap();
    let statement = "
        insert into delivery (generation_id, account_id, url, due_at, created_at)
        select generation_id, account_id, webhook_url, completed_at, completed_at from generation
        where webhook_url is not null
    ";
    sqlx::query(statement).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    tidy(pool).await;
}

/// What autovacuum would do in the middle of a measurement.
async fn tidy(pool: &PgPool) {
    sqlx::query("vacuum analyze").execute(pool).await.unwrap();
}

/// Finished generations here and there, each with its account's place in the list.
pub async fn sample(pool: &PgPool, accounts: &[Account], count: usize) -> Vec<(String, usize)> {
    let each = i64::try_from(count.div_ceil(accounts.len())).unwrap();
    let ids: Vec<i64> = accounts.iter().map(|account| account.id).collect();
    let statement = "
        select a.place, g.generation_id from unnest($1::bigint[]) with ordinality a (id, place)
        cross join lateral (
            select generation_id from generation where account_id = a.id and status = 'COMPLETED'
            order by random() limit $2
        ) g
    ";
    let rows = sqlx::query(statement).bind(&ids).bind(each).fetch_all(pool).await.unwrap();
    let place = |row: &sqlx::postgres::PgRow| usize::try_from(row.get::<i64, _>(0)).unwrap() - 1;
    rows.iter().map(|row| (format!("gen_{}", row.get::<Uuid, _>(1).simple()), place(row))).collect()
}

/// The call that is measured as admission.
pub const GENERATE: &str = r#"{"query":"mutation M($i:GenerateInput!){generate(input:$i){id status creditCost createdAt}}","variables":{"i":{"type":"VIDEO","provider":"kling","input":{"text":"a red boat on a lake at dawn"},"options":{"duration":5,"aspectRatio":"16:9"}}}}"#;

/// A call whose work the doubles do.
pub fn generate_live(kind: &str, provider: &str, model: &str, options: &str, webhook: Option<&str>) -> String {
    let webhook = webhook.map(|url| format!(r#","webhookUrl":"{url}""#)).unwrap_or_default();
    format!(
        r#"{{"query":"mutation M($i:GenerateInput!){{generate(input:$i){{id status}}}}","variables":{{"i":{{"type":"{kind}","provider":"{provider}","model":"{model}","input":{{"text":"bench {NUMBER}"}},"options":{options},"labels":{{"job":"{NUMBER}"}}{webhook}}}}}}}"#
    )
}

/// The call that is measured as a read.
pub fn read(id: &str) -> String {
    format!(
        r#"{{"query":"query G($id:ID!){{generation(id:$id){{id status type provider model progress url creditCost createdAt}}}}","variables":{{"id":"{id}"}}}}"#
    )
}

/// A page of an account's generations.
pub const LIST: &str =
    r#"{"query":"{generations(first:20){nodes{id status type provider model progress url creditCost createdAt}}}"}"#;
