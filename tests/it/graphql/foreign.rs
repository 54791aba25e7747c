//! No field tells or touches what is another account's: every field of the schema is asked, with another's ids wherever
//! it takes one and with everything selected that it can give, over each transport.

use std::{collections::BTreeMap, time::Duration};

use doitong::domain::{Mode, Plan};
use serde_json::{Value, json};

use super::{picture, ws::Socket};
use crate::support::TestApp;

const SCHEMA: &str = "{ __schema {
    queryType { name } mutationType { name } subscriptionType { name }
    types { name kind fields { name args { name type { ...T } } type { ...T } } }
} } fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// Deep enough for everything that a generation or an account has.
const DEPTH: usize = 5;

struct Schema {
    types: BTreeMap<String, Vec<Value>>,
    roots: [String; 3],
}

/// What a type is without lists and non-null.
fn named(of: &Value) -> &Value {
    let mut of = of;
    while !of["ofType"].is_null() {
        of = &of["ofType"];
    }
    of
}

impl Schema {
    async fn of(app: &TestApp) -> Self {
        let schema = app.data(SCHEMA, json!({})).await["__schema"].clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let types = schema["types"].as_array().unwrap().iter().filter(|of| of["kind"] == "OBJECT");
        Self {
            types: types.map(|of| (text(&of["name"]), of["fields"].as_array().unwrap().clone())).collect(),
            roots: ["queryType", "mutationType", "subscriptionType"].map(|root| text(&schema[root]["name"])),
        }
    }

    /// Everything that a type can give.
    fn everything(&self, of: &str, depth: usize) -> String {
        let Some(fields) = self.types.get(of) else { return String::new() };
        let free = fields.iter().filter(|field| field["args"].as_array().unwrap().is_empty());
        let selections: Vec<_> = free
            .filter_map(|field| {
                let (name, of) = (field["name"].as_str().unwrap(), named(&field["type"]));
                match of["kind"].as_str().unwrap() {
                    "OBJECT" if depth == 0 => None,
                    "OBJECT" => Some(format!("{name} {}", self.everything(of["name"].as_str().unwrap(), depth - 1))),
                    _ => Some(name.to_owned()),
                }
            })
            .collect();
        format!("{{ {} }}", selections.join(" "))
    }
}

/// Everything of the owner's that nobody else may see.
struct Owner {
    app: TestApp,
    id: Value,
    marks: Vec<String>,
}

impl Owner {
    async fn new() -> Self {
        let app = TestApp::start().await;
        let input = json!({
            "type": "IMAGE", "provider": "flux-dev", "input": { "text": "mark-of-the-prompt" }, "labels": { "mark": "mark-of-the-labels" },
            "webhookUrl": "http://127.0.0.1:9/mark-of-the-webhook",
        });
        let answer = app.ask_as(&app.key.key, Some("mark-of-the-key"), input).await;
        let id = answer.id();
        let done = app.finish(&id).await;
        app.data("mutation { rotateWebhookSecret { secret } }", json!({})).await;
        let account = app.data("{ account { id name webhookSecrets { secret } } }", json!({})).await["account"].clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let mut marks: Vec<String> =
            ["mark-of-the-prompt", "mark-of-the-labels", "mark-of-the-webhook", "mark-of-the-key"]
                .map(str::to_owned)
                .into();
        marks.extend([text(&done["url"]), text(&account["name"]), text(&done["assets"][0]["sha256"])]);
        marks.extend(account["webhookSecrets"].as_array().unwrap().iter().map(|one| text(&one["secret"])));
        assert_eq!(marks.len(), 9);
        Self { app, id, marks }
    }

    /// The state that no foreign call may change.
    async fn state(&self) -> Value {
        let account = self
            .app
            .data("{ account { credits { balance held } usage { dailyUsed } webhookSecrets { secret } } }", json!({}))
            .await;
        json!([self.app.generation(&self.id).await, account])
    }

    /// Values for an argument, by its name; the owner's where it names something.
    fn arguments(&self, name: &str) -> Option<Vec<Value>> {
        let text = self.id.as_str().unwrap();
        let cursor = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text);
        Some(match name {
            "id" | "generationId" => vec![self.id.clone()],
            "after" => vec![self.id.clone(), json!(cursor)],
            "first" => vec![json!(100)],
            "type" => vec![json!("IMAGE")],
            "status" => vec![json!("COMPLETED")],
            "provider" => vec![json!("flux-dev")],
            "available" => vec![json!(true)],
            _ => return None,
        })
    }
}

/// A document that asks one field, and its variables.
struct Ask {
    field: String,
    document: String,
    variables: Value,
    names_ids: bool,
}

fn asks(owner: &Owner, schema: &Schema) -> Vec<Ask> {
    let mut all = Vec::new();
    for (root, kind) in schema.roots.iter().zip(["query", "mutation", "subscription"]) {
        for field in &schema.types[root] {
            let name = field["name"].as_str().unwrap();
            let selection = schema.everything(named(&field["type"])["name"].as_str().unwrap(), DEPTH);
            let arguments = field["args"].as_array().unwrap();
            let mut add = |given: Vec<(&str, &str, Value)>| {
                let declared: Vec<_> = given.iter().map(|(name, of, _)| format!("${name}: {of}")).collect();
                let passed: Vec<_> = given.iter().map(|(name, _, _)| format!("{name}: ${name}")).collect();
                let wrap = |parts: Vec<String>| {
                    if parts.is_empty() { String::new() } else { format!("({})", parts.join(", ")) }
                };
                all.push(Ask {
                    field: name.to_owned(),
                    document: format!("{kind} Q{} {{ {name}{} {selection} }}", wrap(declared), wrap(passed)),
                    names_ids: given.iter().any(|(name, ..)| name.to_lowercase().ends_with("id")),
                    variables: given.into_iter().map(|(name, _, value)| (name.to_owned(), value)).collect(),
                });
            };
            match arguments.iter().find(|one| one["name"] == "input") {
                Some(input) => {
                    let of = format!("{}!", named(&input["type"])["name"].as_str().unwrap());
                    let input = if of.starts_with("Generate") { picture() } else { json!({ "prompt": "x" }) };
                    add(vec![("input", &of, input)]);
                }
                None if arguments.is_empty() => add(Vec::new()),
                None => {
                    for argument in arguments {
                        let (argument, of) = (argument["name"].as_str().unwrap(), &argument["type"]);
                        let of = format!(
                            "{}{}",
                            named(of)["name"].as_str().unwrap(),
                            if of["kind"] == "NON_NULL" { "!" } else { "" }
                        );
                        let values = owner.arguments(argument);
                        for value in values.unwrap_or_else(|| panic!("{name} takes {argument}: whose is it?")) {
                            add(vec![(argument, &of, value)]);
                        }
                    }
                }
            }
        }
    }
    all
}

#[tokio::test]
async fn no_field_tells_or_touches_what_is_anothers() {
    let owner = Owner::new().await;
    let app = &owner.app;
    let schema = Schema::of(app).await;
    let asks = asks(&owner, &schema);
    assert!(asks.len() >= 18 && asks.iter().filter(|ask| ask.names_ids).count() == 4, "{}", asks.len());
    let before = owner.state().await;
    let other = app.new_key("other", Plan::Enterprise, Mode::Live, Some(1_000_000)).await;
    let test = app.new_key("other", Plan::Enterprise, Mode::Test, None).await;
    for key in [&other.key, &test.key] {
        for ask in &asks {
            for accept in ["application/json", "text/event-stream"] {
                if ask.document.starts_with("subscription") && accept == "application/json" {
                    continue;
                }
                let body = json!({ "query": ask.document, "variables": ask.variables });
                let request = app.http.post(format!("{}/graphql", app.url)).bearer_auth(key).header("accept", accept);
                // The owner's Idempotency-Key means nothing to another account.
                let answer = request.header("idempotency-key", "mark-of-the-key").json(&body).send().await.unwrap();
                assert!(
                    answer.headers().get("idempotency-replayed").is_none() || accept != "application/json",
                    "{}",
                    ask.field
                );
                check(&owner, ask, &answer.text().await.unwrap());
            }
        }
    }
    over_a_websocket(&owner, &test.key, &asks).await;
    assert_eq!(owner.state().await, before);
}

async fn over_a_websocket(owner: &Owner, key: &str, asks: &[Ask]) {
    let mut socket = Socket::open(&owner.app, "/graphql/ws").await;
    socket.init(key).await;
    assert_eq!(socket.next().await["type"], "connection_ack");
    for ask in asks {
        socket.subscribe("1", &ask.document, ask.variables.clone()).await;
        let message = socket.next().await;
        check(owner, ask, &message.to_string());
        if message["type"] == "next" {
            assert_eq!(socket.next().await["type"], "complete", "{}", ask.field);
        }
    }
}

fn check(owner: &Owner, ask: &Ask, answer: &str) {
    for mark in &owner.marks {
        assert!(!answer.contains(mark), "{} tells {mark}: {answer}", ask.field);
    }
    if ask.names_ids {
        let is_refused = answer.contains("NOT_FOUND") && !answer.contains("sizeBytes");
        assert!(is_refused, "{}: {answer}", ask.field);
    } else {
        // The one who asked sees the id that was sent only in the message about it.
        assert!(!answer.contains(owner.id.as_str().unwrap()), "{} tells the id: {answer}", ask.field);
        assert!(!answer.contains("GRAPHQL_"), "{}: {answer}", ask.field);
    }
}

#[tokio::test]
async fn the_same_account_in_its_other_mode_sees_no_generation_of_this_one() {
    let owner = Owner::new().await;
    let live = owner.app.live_key().await;
    for ask in asks(&owner, &Schema::of(&owner.app).await)
        .iter()
        .filter(|ask| ask.names_ids && !ask.document.starts_with("sub"))
    {
        let answer = owner.app.answer(&live, None, &ask.document, ask.variables.clone()).await;
        assert_eq!(answer.refusal().0, "NOT_FOUND", "{}", ask.field);
    }
    let listed = owner.app.answer(&live, None, "{ generations { nodes { id } } }", json!({})).await;
    assert_eq!(listed.body["data"]["generations"]["nodes"], json!([]));
}

#[tokio::test]
async fn a_stopped_watch_tells_nothing_after_the_key_is_gone() {
    let app = TestApp::start().await;
    let key = app.new_key("gone", Plan::Pro, Mode::Test, None).await.key;
    let id = app.answer(&key, None, "mutation { imageCreate(input: { prompt: \"x\" }) { id } }", json!({})).await.body
        ["data"]["imageCreate"]["id"]
        .clone();
    let mut socket = Socket::open(&app, "/graphql/ws").await;
    socket.init(&key).await;
    socket.next().await;
    socket
        .subscribe("1", "subscription W($id: ID!) { generationUpdated(id: $id) { status url } }", json!({ "id": id }))
        .await;
    assert_eq!(socket.next().await["payload"]["data"]["generationUpdated"]["status"], "PENDING");
    assert!(app.app.accounts.revoke_key(&key).await.unwrap());
    app.advance(Duration::from_secs(5)).await;
    assert_eq!(socket.next().await, 4403);
}
