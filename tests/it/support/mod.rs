//! What tests run against: the real app on a database of its own, over real HTTP, with a clock that is wound by hand.

mod cluster;
mod receiver;

use std::{sync::Arc, time::Duration};

use doitong::{
    accounts::{CreatedKey, NewKey},
    app::{App, Parts},
    catalog::Catalog,
    config::{Config, Secrets},
    domain::{Clock, Credits, Mode, Plan},
    http, ledger, worker,
};
use rand::{SeedableRng as _, rngs::StdRng};
use reqwest::Response;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub use receiver::{Received, Receiver};

/// An app of its own for a test.
pub struct TestApp {
    pub app: Arc<App>,
    pub url: String,
    pub key: CreatedKey,
    pub http: reqwest::Client,
    pub clock: Clock,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl TestApp {
    /// On the plan `pro`, so that its limits are out of the way.
    pub async fn start() -> Self {
        Self::on(Plan::Pro).await
    }

    pub async fn on(plan: Plan) -> Self {
        Self::with(plan, |_, _| {}).await
    }

    /// With other settings or credentials.
    pub async fn with(plan: Plan, change: impl FnOnce(&mut Config, &mut Secrets)) -> Self {
        let pool = cluster::database().await;
        Self::on_database(pool, plan, change).await
    }

    /// A second process on the same database, so to speak.
    pub async fn beside(&self) -> Self {
        let mut other = Self::on_database(self.app.pool.clone(), Plan::Pro, |_, _| {}).await;
        other.key = self.key.clone();
        other
    }

    async fn on_database(pool: sqlx::PgPool, plan: Plan, change: impl FnOnce(&mut Config, &mut Secrets)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::load(None).unwrap();
        let mut secrets = Secrets::default();
        config.worker.time_scale = 0.01;
        change(&mut config, &mut secrets);
        let clock = Clock::default();
        let allow_private = config.network.allow_private.unwrap_or(true);
        let app = App::new(Parts {
            config,
            secrets,
            catalog: Catalog::load(None).unwrap(),
            pool,
            clock: clock.clone(),
            data_dir: folder.path().to_owned(),
            allow_private,
        })
        .unwrap();
        let stop = CancellationToken::new();
        app.start(&stop);
        let url = serve(&app, &stop).await;
        let name = format!("test-{}", uuid::Uuid::new_v4().simple());
        let new = NewKey { account: name, plan: Some(plan), mode: Mode::Test, credits: None };
        let key = app.accounts.create_key(&new, &mut rng()).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { app, url, key, http, clock, stop, _folder: folder }
    }

    /// Another key: of this account in another mode, or of another account.
    pub async fn new_key(&self, account: &str, plan: Plan, mode: Mode, credits: Option<i64>) -> CreatedKey {
        let credits = credits.map(Credits::new);
        let new = NewKey { account: account.to_owned(), plan: Some(plan), mode, credits };
        self.app.accounts.create_key(&new, &mut rng()).await.unwrap()
    }

    /// Posts an operation with this app's key.
    pub async fn post(&self, query: &str, variables: Value) -> Response {
        self.post_as(&self.key.key, None, query, variables).await
    }

    pub async fn post_as(&self, key: &str, idempotency: Option<&str>, query: &str, variables: Value) -> Response {
        let mut request = self.http.post(format!("{}/graphql", self.url)).bearer_auth(key);
        if let Some(idempotency) = idempotency {
            request = request.header("idempotency-key", idempotency);
        }
        request.json(&json!({"query": query, "variables": variables})).send().await.unwrap()
    }

    /// The answer to an operation.
    pub async fn graphql(&self, query: &str, variables: Value) -> Value {
        self.post(query, variables).await.json().await.unwrap()
    }

    /// The data of an operation that must succeed.
    pub async fn data(&self, query: &str, variables: Value) -> Value {
        let answer = self.graphql(query, variables).await;
        assert!(answer.get("errors").is_none(), "{answer:#}");
        answer["data"].clone()
    }

    /// The first error of an operation that must fail: its extensions, with the message.
    pub async fn error(&self, query: &str, variables: Value) -> Value {
        let answer = self.graphql(query, variables).await;
        let mut error = answer["errors"][0]["extensions"].clone();
        assert!(error.is_object(), "{answer:#}");
        error["message"] = answer["errors"][0]["message"].clone();
        error
    }

    /// Starts a generation; its `id`, `status`, `creditCost`, `queuePosition` …
    pub async fn generate(&self, input: Value) -> Value {
        self.data(GENERATE, json!({"input": input})).await["generate"].clone()
    }

    /// The error of a generation that is refused.
    pub async fn refused(&self, input: Value) -> Value {
        self.error(GENERATE, json!({"input": input})).await
    }

    pub async fn generation(&self, id: &Value) -> Value {
        self.data(GENERATION, json!({"id": id})).await["generation"].clone()
    }

    /// Winds the clock and runs what is due.
    pub async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        worker::drain(&self.app).await.unwrap();
    }

    /// Runs everything to its end, winding the clock as far as needed (at most about a day).
    pub async fn finish(&self, id: &Value) -> Value {
        for wait in [0, 1, 1, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 86_400] {
            self.advance(Duration::from_secs(wait)).await;
            let generation = self.generation(id).await;
            if !matches!(generation["status"].as_str(), Some("PENDING" | "PROCESSING")) {
                return generation;
            }
        }
        panic!("the generation does not end: {:#}", self.generation(id).await);
    }

    /// Asserts that the books are in order.
    pub async fn audit(&self) {
        let audit = ledger::audit(&self.app.pool).await.unwrap();
        assert_eq!(audit, ledger::Audit::default());
    }
}

/// A generator of keys for tests.
pub fn rng() -> StdRng {
    StdRng::from_seed(*uuid::Uuid::new_v4().as_bytes().repeat(2).first_chunk().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "the server ends with the test's runtime")]
async fn serve(app: &Arc<App>, stop: &CancellationToken) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    app.media.links().listening_on(address);
    let router = http::router(app.clone(), None, stop.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

pub const GENERATE: &str =
    "mutation G($input: GenerateInput!) { generate(input: $input) { id status type provider model url progress
    creditCost estimatedTime queuePosition labels adjustments { option requested used reason } } }";

pub const GENERATION: &str =
    "query G($id: ID!) { generation(id: $id) { id status type provider model progress url videoUrl imageUrl
    audioUrl creditCost estimatedTime eta queuePosition labels createdAt startedAt completedAt errorCode errorMessage
    assets { url contentType width height duration sizeBytes sha256 }
    metadata { width height duration resolution format fps sizeBytes contentType seed voice }
    error { code message reason retryable } adjustments { option requested used reason }
    attempts { provider model upstream outcome startedAt endedAt message }
    webhook { url attempts delivered lastStatus nextAttemptAt } } }";
