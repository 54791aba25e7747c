//! Faults of our own parts: the database away, a disk that is full, clocks that jump, processes that are replaced under
//! load, schemas of another release; and runs that do not end in time.

mod clock;
mod database;
mod deadline;
mod disk;
mod migrations;
mod reload;
mod rolling;

use doitong::db::embedded::Embedded;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::cli::{Home, Served, eventually};

/// A PostgreSQL of its own, as an operator's: the gateway knows its address and cannot start it.
struct Database {
    runtime: Runtime,
    folder: TempDir,
    server: Option<Embedded>,
    url: String,
}

impl Database {
    fn start() -> Self {
        let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let server = runtime.block_on(Embedded::start(folder.path())).unwrap();
        let url = server.url();
        Self { runtime, folder, server: Some(server), url }
    }

    /// A data directory whose gateways use this database.
    fn home(&self) -> Home {
        // What a step leaves behind that an outage cuts off is taken up again soon.
        Home::new().with("DATABASE_URL", &self.url).with("DOITONG__WORKER__LEASE_SECONDS", "3")
    }

    fn stop(&mut self) {
        self.runtime.block_on(self.server.take().unwrap().stop());
    }

    fn start_again(&mut self) {
        self.server = Some(self.runtime.block_on(Embedded::start(self.folder.path())).unwrap());
    }

    fn sql(&self, statements: &str) {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
        });
    }

    fn number(&self, query: &'static str) -> i64 {
        self.runtime.block_on(async {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(query).fetch_one(&mut connection).await.unwrap()
        })
    }
}

/// A key of an account whose limits are out of the way.
fn new_key(home: &Home) -> String {
    let args = ["keys", "create", "--account", "ada", "--plan", "enterprise", "--json"];
    home.json(&args)["key"].as_str().unwrap().to_owned()
}

fn generate(served: &Served, key: &str) -> String {
    let mutation = r#"mutation { generate(input: { type: AUDIO, input: { text: "A boat" } }) { id } }"#;
    let (status, answer) = served.ask(key, mutation);
    assert_eq!(status, 200, "{answer}");
    answer["data"]["generate"]["id"].as_str().unwrap().to_owned()
}

fn completed(served: &Served, key: &str, id: &str) -> Value {
    eventually(|| {
        let (_, answer) = served.ask(key, &format!(r#"{{ generation(id: "{id}") {{ status errorMessage }} }}"#));
        let generation = answer["data"]["generation"].clone();
        assert_ne!(generation["status"], "FAILED", "{answer}");
        (generation["status"] == "COMPLETED").then_some(generation)
    })
}
