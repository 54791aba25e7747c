//! Nothing secret is told: a full run of the real binary in live mode, with everything logged, against upstreams that
//! work, upstreams that quote each request in their errors, and receivers that do the same; then all that was printed,
//! answered, counted and kept is searched for credentials, keys and webhook secrets.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use doitong::db::{self, embedded::Embedded};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use crate::{
    cli::{Home, Served},
    providers::{doubles, support},
};

/// Upstreams that work; the others quote.
const WORKING: [&str; 4] = ["vidu", "minimax", "bfl", "runway"];
/// The key that webhook secrets are sealed with.
const SECRET_KEY: &str = "canary of the secret key 0123456789abcdef";

/// Answers every request with an error, or noise, that quotes all of it.
#[derive(Clone, Default)]
struct Parrot {
    calls: Arc<AtomicUsize>,
    /// What came under the names of credentials: tokens are made anew.
    credentials: Arc<Mutex<Vec<String>>>,
}

async fn quote(State(parrot): State<Parrot>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let (mut quoted, mut credentials) = (uri.to_string(), Vec::new());
    for (name, value) in &headers {
        let value = value.to_str().unwrap_or_default();
        let _ = write!(quoted, " {name}: {value}");
        let name = name.as_str();
        if name == "authorization" || name.contains("key") && name != "idempotency-key" {
            credentials.push(value.split(' ').next_back().unwrap_or_default().to_owned());
        }
    }
    parrot.credentials.lock().unwrap().extend(credentials.iter().cloned());
    let body: String = String::from_utf8_lossy(&body).chars().take(200).collect();
    // Short of what is kept of an error, and so that a credential is cut in the middle.
    let text = match parrot.calls.fetch_add(1, Ordering::SeqCst) % 3 {
        0 => format!("{} is no good key", credentials.join(" ")),
        1 => format!("{}{}", "x".repeat(285), credentials.join(" ")),
        _ => format!("{quoted} {body}"),
    };
    let statuses = [401, 400, 403, 429, 500, 404, 422, 200, 503, 402];
    let status = statuses[parrot.calls.load(Ordering::SeqCst) % statuses.len()];
    let answer = json!({
        "error": { "message": text, "code": text, "status": text, "type": text }, "message": text, "detail": text, "code": text,
        "msg": text, "error_message": text, "request_id": text, "errors": [text], "title": text, "base_resp": { "status_msg": text, "status_code": 1004 },
    });
    let body = if status == 200 { text } else { answer.to_string() };
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/json")], body).into_response()
}

#[expect(clippy::disallowed_methods, reason = "the server ends with the test's runtime")]
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// The environment of the run, and what must not be told.
struct Plan {
    variables: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
}

impl Plan {
    async fn new(parrot: &str) -> Self {
        let mut plan = Self { variables: BTreeMap::new(), secrets: BTreeMap::new() };
        for (id, spec) in &support::CATALOG.upstreams().0 {
            let base = if WORKING.contains(&id.as_str()) {
                let double = doubles::of(id);
                for (name, value) in double.secrets {
                    plan.set(name, value.to_owned());
                }
                support::serve(double.router).await.to_string()
            } else {
                for name in spec.credentials.iter().flatten().filter(|name| !name.starts_with("GOOGLE_")) {
                    plan.set(name, canary(name, parrot));
                }
                format!("http://{parrot}/{id}")
            };
            if !id.ends_with("ui") {
                let id = id.to_uppercase().replace('-', "_");
                plan.variables.insert(format!("DOITONG__UPSTREAMS__{id}__BASE_URL"), base);
            }
        }
        plan.set("GOOGLE_TTS_API_KEY", canary("GOOGLE_TTS_API_KEY", parrot));
        plan.set("DOITONG_SECRET_KEY", SECRET_KEY.to_owned());
        for (name, value) in [
            ("DOITONG__LOG__FILTER", "trace"),
            ("RUST_LOG", "trace"),
            ("DOITONG__WORKER__TIME_SCALE", "0.001"),
            ("DOITONG__WORKER__PATIENCE_SECONDS", "1"),
        ] {
            plan.variables.insert(name.to_owned(), value.to_owned());
        }
        plan
    }

    fn set(&mut self, name: &str, value: String) {
        let secret = match value.split_once('@') {
            Some((address, _)) => address.trim_start_matches("http://").to_owned(),
            None => value.clone(),
        };
        if let Some((_, password)) = secret.split_once(':') {
            self.secrets.insert(format!("{name} in part"), password.to_owned());
        }
        self.secrets.insert(format!("{name} in base64"), STANDARD.encode(&secret));
        self.secrets.insert(name.to_owned(), secret);
        self.variables.insert(name.to_owned(), value);
    }

    fn home(&self) -> Home {
        let mut home = Home::new();
        for (name, value) in &self.variables {
            home = home.with(name.clone(), value.clone());
        }
        home
    }
}

/// A credential like no other text.
fn canary(name: &str, parrot: &str) -> String {
    match name {
        "SDWEBUI_URL" | "COMFYUI_URL" => format!("http://{name}-user:{name}-canary-word@{parrot}"),
        "DID_API_KEY" | "HEDRA_API_KEY" | "FAL_KEY" => format!("{name}-id:{name}-canary-secret"),
        name => format!("{name}-canary-0123456789"),
    }
}

/// Everything that was told, by where.
#[derive(Default)]
struct Told(BTreeMap<String, String>);

impl Told {
    fn add(&mut self, place: impl Into<String>, text: &str) {
        self.0.entry(place.into()).or_default().push_str(text);
    }

    /// Where a secret is told, with the words before it.
    fn find(&self, name: &str, secret: &str) -> Vec<String> {
        let found = self.0.iter().filter_map(|(place, text)| {
            let at = text.find(secret)?;
            let before: String = text[..at].chars().rev().take(160).collect::<Vec<_>>().into_iter().rev().collect();
            Some(format!("{name} in {place}: {before}…"))
        });
        found.collect()
    }
}

struct Caller<'a> {
    served: &'a Served,
    http: reqwest::Client,
    key: String,
    told: Told,
}

impl Caller<'_> {
    async fn post(&mut self, path: &str, accept: &str, body: String) -> Value {
        let request =
            self.http.post(format!("{}{path}", self.served.url())).bearer_auth(&self.key).header("accept", accept);
        let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
        self.told.add("headers", &format!("{:?}", answer.headers()));
        let text = answer.text().await.unwrap();
        self.told.add(format!("answers of {path}"), &text);
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn ask(&mut self, query: &str, variables: Value) -> Value {
        self.post("/graphql", "application/json", json!({ "query": query, "variables": variables }).to_string()).await
    }

    /// A generation by every provider that there is, with what it takes.
    async fn generate_everything(&mut self, hooks: &[String]) -> usize {
        let query = "{ providers(available: true) { id types models { id available } } }";
        let providers = self.ask(query, json!({})).await["data"]["providers"].clone();
        let mut taken = 0;
        for provider in providers.as_array().unwrap() {
            let models =
                provider["models"].as_array().unwrap().iter().filter(|model| model["available"] == true).take(1);
            for model in models {
                taken += usize::from(self.generate(provider, &model["id"], &hooks[taken % hooks.len()]).await);
            }
        }
        taken
    }

    async fn generate(&mut self, provider: &Value, model: &Value, hook: &str) -> bool {
        let (picture, clip, sound) = (support::PNG.to_owned(), support::mp4(), support::wav());
        for input in [
            json!({ "text": "a fox" }),
            json!({ "text": "a fox", "image": picture }),
            json!({ "text": "a fox", "video": clip }),
            json!({ "image": picture, "video": clip }),
            json!({ "video": clip, "audio": sound }),
            json!({ "audio": sound }),
        ] {
            let query = "mutation G($input: GenerateInput!) { generate(input: $input) { id } }";
            let input = json!({ "type": provider["types"][0], "provider": provider["id"], "model": model, "input": input, "webhookUrl": hook });
            if !self.ask(query, json!({ "input": input })).await["data"]["generate"]["id"].is_null() {
                return true;
            }
        }
        false
    }

    /// Everything that an account can read, until most have ended; the others, whose upstreams talk nonsense, are
    /// cancelled. How many completed and failed.
    async fn wait_for_most(&mut self, count: usize) -> (usize, usize) {
        let query = "{ generations(first: 100) { nodes { id status url errorMessage error { code message reason } attempts { upstream outcome message }
            adjustments { reason } webhook { url delivered attempts lastStatus } } } }";
        let deadline = Instant::now() + Duration::from_mins(2);
        loop {
            let nodes = self.ask(query, json!({})).await["data"]["generations"]["nodes"].clone();
            let nodes = nodes.as_array().unwrap();
            let of = |status: &str| nodes.iter().filter(|node| node["status"] == status).count();
            let (completed, failed) = (of("COMPLETED"), of("FAILED"));
            if completed >= 1 && completed + failed >= count * 4 / 5 {
                for node in nodes {
                    self.ask("mutation C($id: ID!) { cancelGeneration(id: $id) }", json!({ "id": node["id"] })).await;
                }
                return (completed, failed);
            }
            assert!(Instant::now() < deadline, "{completed} completed, {failed} failed of {count}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn watch(&mut self) {
        let url = format!("{}/graphql/ws", self.served.url().replace("http", "ws"));
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let mut socket = tokio_tungstenite::connect_async(request).await.unwrap().0;
        let init = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {}", self.key) } });
        let subscribe = json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ account { id } }" } });
        for message in [init, subscribe] {
            socket.send(Message::text(message.to_string())).await.unwrap();
        }
        while let Some(Ok(message)) = socket.next().await {
            let text = message.to_string();
            self.told.add("websocket", &text);
            if text.contains("complete") {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_run_tells_no_secret() {
    let parrot = Parrot::default();
    let parrots = serve(Router::new().fallback(quote).with_state(parrot.clone())).await;
    let fine = serve(Router::new().fallback(|| async { StatusCode::OK })).await;
    let mut plan = Plan::new(&parrots).await;
    let home = plan.home();
    let created = home.json(&[
        "keys",
        "create",
        "--account",
        "ada",
        "--plan",
        "enterprise",
        "--mode",
        "live",
        "--credits",
        "100000000",
        "--json",
    ]);
    let text = |name: &str| created[name].as_str().unwrap().to_owned();
    plan.secrets.insert("the API key".to_owned(), text("key"));
    plan.secrets.insert("the webhook secret".to_owned(), text("webhookSecret"));
    plan.secrets.insert(
        "the bytes of the webhook secret".to_owned(),
        text("webhookSecret").trim_start_matches("whsec_").to_owned(),
    );

    let served = home.serve(&["--listen", "127.0.0.1:0"]);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut caller = Caller { served: &served, http, key: text("key"), told: Told::default() };
    let taken = caller.generate_everything(&[format!("http://{fine}/hook"), format!("http://{parrots}/hook")]).await;
    let (completed, failed) = caller.wait_for_most(taken).await;
    assert!(taken > 20 && failed > 15, "{taken}: {completed}, {failed}");
    caller.watch().await;
    caller.post("/graphql", "text/event-stream", json!({ "query": "{ account { id name } }" }).to_string()).await;
    for body in ["{", "[]", "{\"query\": \"{ nothing }\"}"] {
        caller.post("/graphql", "application/json", body.to_owned()).await;
    }
    caller.post("/uploads", "application/json", "no file".to_owned()).await;
    let Caller { mut told, .. } = caller;
    for path in ["/metrics", "/readyz", "/healthz", "/schema.graphql", "/graphql/assets/x"] {
        told.add(path, &served.get(path).1);
    }
    for args in [
        &["doctor"][..],
        &["providers"],
        &["keys", "list", "--json"],
        &["accounts", "list"],
        &["keys", "revoke", "nobody"],
    ] {
        let ran = home.run(args);
        told.add(format!("{args:?}"), &(ran.stdout + &ran.stderr));
    }
    let tables = kept(&home, &mut told).await;
    told.add("the log", &served.log());
    served.stop();
    told.add("the database's log", &std::fs::read_to_string(home.file("data/postgres.log")).unwrap_or_default());

    // What was seen must have been looked at.
    assert!(
        tables > 10
            && told.0["the log"].contains("TRACE")
            && told.0["/metrics"].contains("doitong_upstream_calls_total")
    );
    assert!(told.0["[\"doctor\"]"].contains("[hidden]"), "{}", told.0["[\"doctor\"]"]);
    for (n, token) in parrot.credentials.lock().unwrap().iter().filter(|token| token.len() > 10).enumerate() {
        plan.secrets.insert(format!("the token {n}"), token.clone());
    }
    let found: Vec<_> = plan.secrets.iter().flat_map(|(name, secret)| told.find(name, secret)).collect();
    assert!(found.is_empty(), "{} times\n{}", found.len(), found[..found.len().min(40)].join("\n"));
}

/// All rows of all tables as text; how many tables.
async fn kept(home: &Home, told: &mut Told) -> usize {
    let server = Embedded::start(&home.file("data")).await.unwrap();
    let pool = db::open(server.connect_options(), 1).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public'")
        .fetch_all(&pool)
        .await
        .unwrap();
    for table in &tables {
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(format!("select t::text from {table} t"))).fetch_all(&pool).await.unwrap();
        told.add(format!("the table {table}"), &rows.join("\n"));
    }
    pool.close().await;
    server.stop().await;
    tables.len()
}
