//! What tests run against: the real app on a database of its own, over real HTTP, with a clock that is wound by hand.

mod cluster;
mod collector;
mod python;
mod receiver;
mod upstream;

use std::{sync::Arc, time::Duration};

use doitong::{
    accounts::{Agreed, CreatedKey, NewKey},
    app::{App, Parts},
    catalog::Catalog,
    config::{Config, Secrets},
    domain::{Clock, Credits, Mode, Plan},
    http, ledger, worker,
};
use rand::{SeedableRng as _, rngs::StdRng};
use reqwest::Response;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub use collector::{Collected, Collector};
pub use python::python;
pub use receiver::{Received, Receiver};
pub use upstream::{Double, Said};

/// An app of its own for a test.
pub struct TestApp {
    pub app: Arc<App>,
    pub url: String,
    pub key: CreatedKey,
    pub http: reqwest::Client,
    pub clock: Clock,
    stop: CancellationToken,
    folder: Arc<TempDir>,
}

/// What several processes have in common.
struct Shared {
    pool: sqlx::PgPool,
    clock: Clock,
    folder: Arc<TempDir>,
}

/// A generation that is made in a moment.
pub fn image(text: &str) -> Value {
    json!({"type": "IMAGE", "provider": "flux-dev", "input": {"text": text}})
}

/// A live generation on the upstream that a [`Double`] plays.
pub fn live_video(text: &str) -> Value {
    json!({"type": "VIDEO", "provider": "vidu", "model": "q3-pro", "input": {"text": text}})
}

/// What [`image`] costs.
pub const IMAGE_COST: i64 = 25;

/// The answer to an operation, with its headers.
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// A header as a number.
    pub fn number(&self, header: &str) -> i64 {
        self.headers.get(header).unwrap_or_else(|| panic!("no {header}")).to_str().unwrap().parse().unwrap()
    }

    pub fn is_replay(&self) -> bool {
        self.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
    }

    /// The id of the generation that `generate` gave.
    pub fn id(&self) -> Value {
        assert!(self.body["data"]["generate"]["id"].is_string(), "{:#}", self.body);
        self.body["data"]["generate"]["id"].clone()
    }

    /// The code of the first error, with its reason.
    pub fn refusal(&self) -> (&str, &str) {
        let extensions = &self.body["errors"][0]["extensions"];
        assert!(extensions.is_object(), "{:#}", self.body);
        (extensions["code"].as_str().unwrap(), extensions["reason"].as_str().unwrap_or_default())
    }
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
        Self::by(Clock::default(), plan, change).await
    }

    /// With a clock that others go by, too.
    pub async fn by(clock: Clock, plan: Plan, change: impl FnOnce(&mut Config, &mut Secrets)) -> Self {
        let (pool, folder) = (cluster::database().await, Arc::new(tempfile::tempdir().unwrap()));
        Self::on_shared(Shared { pool, clock, folder }, plan, change).await
    }

    /// A second process on the same database, media store and clock, so to speak.
    pub async fn beside(&self) -> Self {
        self.beside_with(|_, _| {}).await
    }

    pub async fn beside_with(&self, change: impl FnOnce(&mut Config, &mut Secrets)) -> Self {
        let (pool, clock, folder) = (self.app.pool.clone(), self.clock.clone(), self.folder.clone());
        let mut other = Self::on_shared(Shared { pool, clock, folder }, Plan::Pro, change).await;
        other.key = self.key.clone();
        other
    }

    async fn on_shared(shared: Shared, plan: Plan, change: impl FnOnce(&mut Config, &mut Secrets)) -> Self {
        let Shared { pool, clock, folder } = shared;
        let mut config = Config::load(None).unwrap();
        let mut secrets = Secrets::default();
        config.worker.time_scale = 0.01;
        change(&mut config, &mut secrets);
        let catalog = Catalog::load(config.catalog.folder.as_deref()).unwrap();
        let allow_private = config.network.allow_private.unwrap_or(true);
        let app = App::new(Parts {
            config,
            secrets,
            catalog,
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
        Self { app, url, key, http, clock, stop, folder }
    }

    /// Starts the workers, which else run by [`Self::advance`] alone.
    pub fn work(&self) {
        worker::start(&self.app, &self.stop);
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

    /// Asks for a generation with this app's key.
    pub async fn ask(&self, input: Value) -> Answer {
        self.ask_as(&self.key.key, None, input).await
    }

    /// Asks for a generation.
    pub async fn ask_as(&self, key: &str, idempotency: Option<&str>, input: Value) -> Answer {
        self.answer(key, idempotency, GENERATE, json!({"input": input})).await
    }

    /// The answer to an operation, with its headers.
    pub async fn answer(&self, key: &str, idempotency: Option<&str>, query: &str, variables: Value) -> Answer {
        let response = self.post_as(key, idempotency, query, variables).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, body: response.json().await.unwrap() }
    }

    /// Changes the plan of this app's account.
    pub async fn set_plan(&self, plan: Plan, agreed: Agreed) {
        self.app.accounts.set_plan(&self.key.account, plan, &agreed).await.unwrap().unwrap();
    }

    /// Keeps the minute from refilling while the clock is within an hour, however slow this machine is.
    pub async fn hold_minute(&self) {
        let at = self.clock.now() + chrono::TimeDelta::hours(1);
        sqlx::query("update purse set minute_at = $1").bind(at).execute(&self.app.pool).await.unwrap();
    }

    /// `account { usage … credits … }` of a key.
    pub async fn account(&self, key: &str) -> Value {
        const ACCOUNT: &str =
            "{ account { plan { name perMinute concurrent daily queued } credits { balance held available }
            usage { minuteRemaining minuteReset dailyUsed dailyRemaining running queued } } }";
        self.answer(key, None, ACCOUNT, json!({})).await.body["data"]["account"].clone()
    }

    /// A live key of this account, with credits.
    pub async fn live_key(&self) -> String {
        self.new_key(&self.key.account, self.key.plan, Mode::Live, Some(100_000)).await.key
    }

    /// A generation as another key sees it.
    pub async fn generation_as(&self, key: &str, id: &Value) -> Value {
        self.answer(key, None, GENERATION, json!({"id": id})).await.body["data"]["generation"].clone()
    }

    /// What another key's cancel says.
    pub async fn cancel_as(&self, key: &str, id: &Value) -> Value {
        let query = "mutation C($id: ID!) { cancelGeneration(id: $id) }";
        self.answer(key, None, query, json!({"id": id})).await.body["data"]["cancelGeneration"].clone()
    }

    /// Runs what is due, on a task of its own that can be aborted: a process that may be killed.
    #[expect(clippy::disallowed_methods, reason = "the task is the process that is killed")]
    pub fn drain_apart(&self) -> tokio::task::JoinHandle<()> {
        let app = self.app.clone();
        tokio::spawn(async move { worker::drain(&app).await.unwrap() })
    }

    pub async fn cancel(&self, id: &Value) -> Value {
        self.data("mutation C($id: ID!) { cancelGeneration(id: $id) }", json!({"id": id})).await["cancelGeneration"]
            .clone()
    }

    /// Runs a statement on the database behind the app's back.
    pub async fn sql(&self, statement: &'static str) -> Result<u64, sqlx::Error> {
        sqlx::query(statement).execute(&self.app.pool).await.map(|done| done.rows_affected())
    }

    /// One number from the database.
    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.app.pool).await.unwrap()
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
