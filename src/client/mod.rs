//! A client of the public API, which the command line and the agents' tools speak through. It knows what any client
//! knows: an address and a key.
//!
//! An answer can be lost after its request did something. Whatever is asked here may be asked again for that reason: it
//! reads, or it has an idempotency key, or doing it twice is doing it once. [`Client`] therefore repeats what got no
//! answer, for a few seconds.

mod answer;
mod generation;
mod watch;

use std::{path::Path, time::Duration};

use reqwest::{Response, header::CONTENT_LENGTH};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::fs::File;
use url::{Host, Url};

pub use answer::{Refusal, read};
pub use generation::{Adjustment, Asset, Failure, Generation, Wanted};
pub use watch::Told;

/// How long a connection may take to stand, and how long a peer may say nothing: event streams have a sign of life
/// every 12 s.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const SILENCE_LIMIT: Duration = Duration::from_secs(40);
/// How long an answer may take; the gateway itself gives up after 30 s.
const ANSWER_LIMIT: Duration = Duration::from_secs(35);
/// How long an upload may take.
const UPLOAD_LIMIT: Duration = Duration::from_mins(10);
/// The waits before something is asked again.
const WAITS: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// One operation, which may be repeated when its answer is lost.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The document.
    pub query: String,
    /// Its variables.
    pub variables: Value,
    /// What makes a repeated `generate` start nothing twice.
    pub idempotency_key: Option<String>,
}

impl Operation {
    /// An operation that starts nothing.
    pub fn new(query: impl Into<String>, variables: Value) -> Self {
        Self { query: query.into(), variables, idempotency_key: None }
    }

    /// The body of its request.
    pub fn body(&self) -> Value {
        json!({ "query": self.query, "variables": self.variables })
    }
}

/// A way to the public API, for one caller.
pub trait Gateway: Send + Sync + 'static {
    /// The `data` of the answer, or the first of its errors.
    fn ask(&self, operation: &Operation) -> impl Future<Output = Result<Value, Refusal>> + Send;
}

/// The way over the network.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    key: SecretString,
}

impl Client {
    /// A client of the gateway at this address, which may end in `/graphql`.
    pub fn of(address: &str, key: SecretString) -> Result<Self, Refusal> {
        let text = address.trim_end_matches('/').trim_end_matches("/graphql");
        let base = Url::parse(&format!("{text}/")).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        let base = base.ok_or_else(|| Refusal::invalid(format!("{address} is no http: or https: address")))?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            .user_agent(concat!("doitong/", env!("CARGO_PKG_VERSION")));
        if is_this_machine(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| Refusal::invalid(format!("no HTTP client: {error}")))?;
        Ok(Self { http, base, key })
    }

    /// Keeps an input file; gives its URL.
    pub async fn upload(&self, file: &Path) -> Result<String, Refusal> {
        let mut patience = Patience::default();
        loop {
            let outcome = self.upload_once(file).await;
            if !patience.repeats(&outcome).await {
                return outcome;
            }
        }
    }

    async fn upload_once(&self, file: &Path) -> Result<String, Refusal> {
        let unreadable = |error| Refusal::invalid(format!("cannot read {}: {error}", file.display()));
        let content = File::open(file).await.map_err(unreadable)?;
        let size = content.metadata().await.map_err(unreadable)?.len();
        let request = self.post("uploads").header(CONTENT_LENGTH, size).body(content).timeout(UPLOAD_LIMIT);
        let (status, body) = self.exchange(request).await?;
        answer::uploaded(status, &body)
    }

    /// Starts a generation. The key makes it safe to ask again.
    pub async fn generate(&self, wanted: &Wanted, idempotency_key: String) -> Result<Generation, Refusal> {
        let query =
            format!("mutation($input: GenerateInput!) {{ generate(input: $input) {{ {} }} }}", generation::FIELDS);
        let mut operation = Operation::new(query, json!({ "input": wanted }));
        operation.idempotency_key = Some(idempotency_key);
        generation::read(&self.ask(&operation).await?["generate"])
    }

    /// A generation as it is now.
    pub async fn generation(&self, id: &str) -> Result<Generation, Refusal> {
        let query = format!("query($id: ID!) {{ generation(id: $id) {{ {} }} }}", generation::FIELDS);
        generation::read(&self.ask(&Operation::new(query, json!({ "id": id }))).await?["generation"])
    }

    /// The newest generations that fit.
    pub async fn generations(&self, filter: &Value) -> Result<Vec<Generation>, Refusal> {
        let query = format!(
            "query($first: Int, $type: GenerationType, $status: GenerationStatus, $provider: String) {{ \
             generations(first: $first, type: $type, status: $status, provider: $provider) {{ nodes {{ {} }} }} }}",
            generation::FIELDS
        );
        let answer = self.ask(&Operation::new(query, filter.clone())).await?;
        let nodes = answer["generations"]["nodes"].as_array();
        nodes.into_iter().flatten().map(generation::read).collect()
    }

    /// Cancels a generation; false when it had ended before.
    pub async fn cancel(&self, id: &str) -> Result<bool, Refusal> {
        let query = "mutation($id: ID!) { cancelGeneration(id: $id) }";
        let answer = self.ask(&Operation::new(query, json!({ "id": id }))).await?;
        Ok(answer["cancelGeneration"] == true)
    }

    /// A result file. It needs no key, and gets none.
    pub async fn download(&self, url: &str) -> Result<Response, Refusal> {
        let response = self.http.get(url).send().await.map_err(|error| self.unreachable(&error))?;
        response.error_for_status().map_err(|error| self.unreachable(&error))
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        // A relative path of our own always joins.
        let url = self.base.join(path).unwrap_or_else(|_| self.base.clone());
        self.http.post(url).bearer_auth(self.key.expose_secret())
    }

    async fn ask_once(&self, operation: &Operation) -> Result<Value, Refusal> {
        let mut request = self.post("graphql").json(&operation.body()).timeout(ANSWER_LIMIT);
        if let Some(key) = &operation.idempotency_key {
            request = request.header("idempotency-key", key);
        }
        let (status, body) = self.exchange(request).await?;
        answer::read(status, &body)
    }

    /// The status and the body of an answer.
    async fn exchange(&self, request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), Refusal> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        Ok((status, body.into()))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Refusal {
        if error.is_builder() {
            return Refusal::invalid(format!("no request can be made of this address or key: {error}"));
        }
        let why = match error {
            error if error.is_timeout() => "it did not answer in time",
            error if error.is_connect() => "nothing answers there; is it running, and is DOITONG_URL right?",
            error if error.is_status() => "it refused to hand the file over",
            _ => "the connection broke",
        };
        let address = error.url().unwrap_or(&self.base);
        Refusal::unreachable(format!("{}: {why}", address.origin().ascii_serialization()))
    }
}

impl Gateway for Client {
    async fn ask(&self, operation: &Operation) -> Result<Value, Refusal> {
        let mut patience = Patience::default();
        loop {
            let outcome = self.ask_once(operation).await;
            if !patience.repeats(&outcome).await {
                return outcome;
            }
        }
    }
}

/// How often something may still be asked again.
#[derive(Default)]
struct Patience {
    repeats: usize,
}

impl Patience {
    /// Whether to ask again, which is after a wait, since there was no answer.
    async fn repeats<T: Sync>(&mut self, outcome: &Result<T, Refusal>) -> bool {
        let is_lost = outcome.as_ref().is_err_and(Refusal::is_lost);
        let Some(wait) = WAITS.get(self.repeats).filter(|_| is_lost) else { return false };
        self.repeats += 1;
        tokio::time::sleep(*wait).await;
        true
    }
}

/// Whether a proxy of the environment has no business with this address.
fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
