//! The plans of the statements: each row is found by an index, however large the tables are.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, Postgres, Row as _, pool::PoolConnection};

use doitong::db::statistics;

use crate::support::TestApp;

/// Tables that grow with the work.
const GROWING: [&str; 9] = [
    "account",
    "api_key",
    "purse",
    "generation",
    "job",
    "idempotency",
    "delivery",
    "delivery_attempt",
    "ledger_transfer",
];
/// Statements that are about the whole of a table, by their beginning: lists and audits for operators, counts for metrics.
const WHOLE_TABLES: [&str; 6] = [
    "select (select coalesce(sum(amount), 0)",
    "select stage, count(*)",
    "select exists (select from account)",
    "select a.account_id, a.name",
    "select k.prefix",
    "select distinct a.name from account a",
];

/// The list of an account, newest first, which ends when a page is full.
const LIST: &str = "select generation_id as \"id: GenerationId\" from generation where account_id = $1";

/// Two thousand accounts with work in each stage, the past of forty thousand generations, and outboxes.
const BACKLOG: &str = "
    insert into account (name, plan, created_at) select 'a' || n, 'pro', now() from generate_series(1, 2000) n;
    insert into purse (account_id, mode, available, held, running, waiting, minute_at, day, per_minute, concurrent, daily, queued)
    select account_id, 'test', 1000000, 1000, 500, 500, now(), current_date, 1000, 1000, null, 1000 from account
    on conflict do nothing;
    create temporary table filling as
    select n, account_id,
        (lpad(to_hex((extract(epoch from now()) * 1000)::bigint - n), 12, '0') || '7' || substr(md5(n::text), 1, 19))::uuid as id
    from (select generate_series(1, 40000) n) s join (select account_id, row_number() over () as place from account) a
        on a.place = 1 + n % 2000;
    insert into generation (account_id, generation_id, mode, type, status, provider, model, route, upstream, asked, options,
        adjustments, credit_cost, estimated_seconds, assets, created_at, completed_at)
    select account_id, id, 'test', 'IMAGE', case when n > 5000 then 'COMPLETED' else 'PENDING' end, 'p', 'm', 'r', 'sandbox',
        '{}', '{}', '[]', 1, 1, case when n > 5000 then '[]'::json end, now(), case when n > 5000 then now() end from filling;
    insert into ledger_transfer (account_id, mode, reference, kind, amount, at)
    select account_id, 'test', id, 'hold', 1, now() from filling;
    insert into job (generation_id, account_id, mode, stage, due_at, upstream)
    select id, account_id, 'test', case when n > 2500 then 'waiting' else 'ready' end,
        case when n > 2500 then null else now() - interval '1 hour' end, 'sandbox' from filling where n <= 5000;
    insert into delivery (generation_id, account_id, url, due_at, created_at)
    select id, account_id, 'https://example.com', case when n < 10000 then now() end, now() from filling where n > 5000;
    insert into idempotency (account_id, mode, key, scope, fingerprint, generation_id, expires_at)
    select account_id, 'test', n, '', '', id, now() + interval '1 day' from filling;";

/// As autovacuum does: what is empty, like the months to come, is left alone.
const ANALYZE: &str = "
    do $$
    declare filled regclass;
    begin
        for filled in select oid from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace
            and pg_relation_size(oid) > 0 loop
            execute format('analyze %s', filled);
        end loop;
    end $$";

struct Plan(Value);

impl Plan {
    /// Scans of whole tables that grow, and sorts of what an index should have brought in order.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        walk(&self.0, &mut |node| {
            let kind = node["Node Type"].as_str().unwrap_or_default();
            let relation = node["Relation Name"].as_str().unwrap_or_default();
            let grows = GROWING.contains(&relation) || relation.starts_with("generation_");
            if kind == "Seq Scan" && grows {
                faults.push(format!("scans {relation}"));
            }
            let condition = node["Index Cond"].as_str().unwrap_or_default();
            if kind.starts_with("Index") && grows && condition.is_empty() {
                faults.push(format!("reads all of {relation}"));
            }
            if relation.starts_with("generation_") && !condition.is_empty() && !condition.contains("generation_id") {
                faults.push(format!("reads all of an account in {relation}"));
            }
            let of_all = &node["Plans"][0];
            let is_backlog = of_all["Node Type"] == "Index Scan"
                && of_all["Relation Name"].as_str().is_some_and(|name| name == "job" || name == "delivery");
            if kind == "Sort" && is_backlog {
                faults.push("sorts a backlog".to_owned());
            }
        });
        faults
    }
}

fn walk(node: &Value, visit: &mut impl FnMut(&Value)) {
    visit(node);
    for below in node["Plans"].as_array().into_iter().flatten() {
        walk(below, visit);
    }
}

/// Every statement of the product, as it was checked against the schema, with the number of its parameters.
fn statements() -> BTreeMap<String, usize> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let read = files.map(|file| serde_json::from_slice::<Value>(&std::fs::read(file).unwrap()).unwrap());
    read.map(|file| {
        let parameters = file["describe"]["parameters"]["Left"].as_array().map_or(0, Vec::len);
        (file["query"].as_str().unwrap().trim().to_owned(), parameters)
    })
    .collect()
}

/// A statement in one line.
fn words(statement: &str) -> String {
    statement.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An app whose tables are full and known to the planner, and a connection to look at plans by.
async fn filled() -> (TestApp, PoolConnection<Postgres>) {
    let test = TestApp::start().await;
    let mut connection = test.app.pool.acquire().await.unwrap();
    connection.execute(BACKLOG).await.unwrap();
    connection.execute(ANALYZE).await.unwrap();
    (test, connection)
}

/// A statement that the connection keeps, with its plan once it has one.
struct Prepared {
    name: String,
    arguments: String,
    /// In one line.
    words: String,
}

impl Prepared {
    async fn new(connection: &mut PgConnection, name: String, statement: &str, parameters: usize) -> Self {
        connection.execute(AssertSqlSafe(format!("prepare {name} as {statement}"))).await.unwrap();
        let nulls = vec!["null"; parameters].join(", ");
        let arguments = if parameters == 0 { String::new() } else { format!("({nulls})") };
        Self { name, arguments, words: words(statement) }
    }

    async fn plan(&self, connection: &mut PgConnection) -> Plan {
        let explain = format!("explain (format json) execute {}{}", self.name, self.arguments);
        let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.unwrap();
        let explained: Value = serde_json::from_str(&row.try_get_unchecked::<String, _>(0).unwrap()).unwrap();
        Plan(explained[0]["Plan"].clone())
    }
}

/// Prepares every statement that is about some rows.
async fn prepare_all(connection: &mut PgConnection) -> Vec<Prepared> {
    let mut all = Vec::new();
    for (statement, parameters) in statements() {
        let is_plain = ["select", "with", "insert", "update", "delete"].iter().any(|verb| statement.starts_with(verb));
        let words = words(&statement);
        if is_plain && !WHOLE_TABLES.iter().any(|start| words.starts_with(start)) {
            let name = format!("looked_at_{}", all.len());
            all.push(Prepared::new(connection, name, &statement, parameters).await);
        }
    }
    assert!(all.len() > 40, "only {} statements were found", all.len());
    all
}

/// What is wrong with the plans of these.
async fn faults_of(connection: &mut PgConnection, all: &[Prepared]) -> Vec<String> {
    let mut faults = Vec::new();
    for one in all {
        let mut found = one.plan(connection).await.faults();
        if one.words.starts_with(LIST) {
            found.retain(|fault| !fault.starts_with("reads all of an account"));
        }
        faults.extend(found.into_iter().map(|fault| format!("{fault}: {}", one.words)));
    }
    faults
}

#[tokio::test]
async fn no_statement_reads_a_whole_table_that_grows() {
    let (_test, mut connection) = filled().await;
    let all = prepare_all(&mut connection).await;
    let faults = faults_of(&mut connection, &all).await;
    assert!(faults.is_empty(), "{faults:#?}");
}

/// Of empty tables the planner thinks that reading them whole costs nothing, and it keeps its plans. Once they have grown,
/// it is told.
#[tokio::test]
async fn nor_does_one_that_was_planned_when_the_tables_were_empty() {
    let test = TestApp::start().await;
    let mut connection = test.app.pool.acquire().await.unwrap();
    let month: String = sqlx::query_scalar("select 'generation_' || to_char(now() at time zone 'UTC', 'YYYY_MM')")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let tables = GROWING.into_iter().filter(|table| *table != "generation").collect::<Vec<_>>().join(", ");
    connection.execute(AssertSqlSafe(format!("vacuum analyze {tables}, {month}"))).await.unwrap();
    let all = prepare_all(&mut connection).await;
    assert!(!faults_of(&mut connection, &all).await.is_empty(), "there was nothing to mend");
    connection.execute(BACKLOG).await.unwrap();
    connection.execute("select pg_stat_force_next_flush()").await.unwrap();
    statistics::refresh(&test.app.pool).await.unwrap();
    let faults = faults_of(&mut connection, &all).await;
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test]
async fn the_check_sees_a_scan_and_a_sorted_backlog() {
    let (_test, mut connection) = filled().await;
    for (statement, fault) in [
        ("select * from generation where provider = $1", "scans generation_other"),
        ("select * from job where upstream = 'x' and due_at < $1 order by account_id limit 1", "sorts a backlog"),
        ("select * from purse order by account_id, mode limit $1", "reads all of purse"),
        ("select * from generation where account_id = $1", "reads all of an account in generation_other"),
    ] {
        let prepared = Prepared::new(&mut connection, "looked_at".to_owned(), statement, 1).await;
        let found = prepared.plan(&mut connection).await.faults();
        connection.execute("deallocate looked_at").await.unwrap();
        assert!(found.iter().any(|found| found == fault), "{statement}: {found:?}");
    }
}

/// What the functions of the database read, which have no plan to show: their scans are counted as they run.
#[tokio::test]
async fn admission_and_settlement_read_rows_by_their_keys() {
    let (_test, mut connection) = filled().await;
    for call in [
        "select * from admit(now(), array(select account_id from filling where n <= 16), array_fill('test'::text, array[16]),
            array(select gen_random_uuid() from generate_series(1, 16)), array(select 'k' || n from generate_series(1, 16) n),
            array_fill(''::text, array[16]), array_fill(''::bytea, array[16]), array_fill(1::bigint, array[16]),
            array_fill('IMAGE'::text, array[16]), array_fill('p'::text, array[16]), array_fill('m'::text, array[16]),
            array_fill('r'::text, array[16]), array_fill('sandbox'::text, array[16]), array_fill('{}'::text, array[16]),
            array_fill('x'::text, array[16]), array_fill('{}'::text, array[16]), array_fill('[]'::text, array[16]),
            array_fill(null::text, array[16]), array_fill(null::text, array[16]), array_fill(1, array[16]),
            array_fill(null::text, array[16]))",
        "select * from settle(now(), array(select account_id from filling where n <= 16 order by n),
            array_fill('test'::text, array[16]), array(select id from filling where n <= 16 order by n),
            array_fill(null::uuid, array[16]), array_fill('COMPLETED'::text, array[16]), array_fill('[]'::text, array[16]),
            array_fill('{}'::text, array[16]), array_fill(null::text, array[16]), array_fill(null::text, array[16]),
            array_fill(null::text, array[16]), array_fill(null::boolean, array[16]), array_fill('[]'::text, array[16]),
            array_fill(null::timestamptz, array[16]))",
    ] {
        connection.execute("begin").await.unwrap();
        let answered = sqlx::raw_sql(call).fetch_all(&mut *connection).await.unwrap().len();
        let scanned: Vec<String> = sqlx::query_scalar(
            // Sixteen requests: what reads hundreds of rows does not go by their keys.
            "select relname::text from pg_stat_xact_user_tables
            where (seq_scan > 0 or idx_tup_fetch > 200) and relname <> 'filling' order by 1",
        )
        .fetch_all(&mut *connection)
        .await
        .unwrap();
        connection.execute("rollback").await.unwrap();
        assert_eq!((answered, scanned), (16, Vec::new()), "{call}");
    }
}
