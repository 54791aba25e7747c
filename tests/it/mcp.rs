//! The agents' tools, used by the stock client of the protocol over both transports.

use serde_json::{Value, json};

use crate::{
    graphql::clients::{live, node},
    support::{IMAGE_COST, TestApp},
};

/// What the steps of `mcp.mjs` printed.
struct Transcript(Vec<Value>);

impl Transcript {
    async fn of(app: &TestApp, transport: &[&str]) -> Self {
        let text = node(app, &[&["mcp.mjs"], transport].concat()).await;
        Self(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    fn step(&self, name: &str) -> &Value {
        let found = self.0.iter().find(|step| step["step"] == name);
        found.unwrap_or_else(|| panic!("no step {name}: {:#?}", self.0))
    }

    fn told(&self, name: &str) -> &Value {
        let step = self.step(name);
        assert!(step["told"].is_object(), "{step:#}");
        &step["told"]
    }

    fn code(&self, name: &str) -> String {
        let error = &self.step(name)["refused"];
        let (code, reason) = (error["code"].as_str(), error["reason"].as_str());
        assert!(error["advice"].as_str().is_some_and(|advice| !advice.is_empty()), "{error:#}");
        [code.unwrap_or_default(), reason.unwrap_or_default()].join("/")
    }
}

async fn generations(app: &TestApp) -> usize {
    let found = app.data("{ generations(first: 100) { nodes { id } } }", json!({})).await;
    found["generations"]["nodes"].as_array().unwrap().len()
}

async fn check(app: &TestApp, transcript: &Transcript) {
    assert_eq!(transcript.step("server")["info"]["name"], "doitong");
    let tools = transcript.step("tools");
    assert_eq!(tools["names"], json!(["list_providers", "quote", "generate", "get_generation", "wait", "cancel"]));
    assert!(tools["bytes"].as_u64().unwrap() < 8_000, "{tools}");
    check_looking(transcript);
    check_making(transcript);
    check_refusals(transcript);
    // The first, the one with another key, and the one that was cancelled: nothing else was started.
    assert_eq!(generations(app).await, 3);
}

fn check_looking(transcript: &Transcript) {
    let listed = transcript.told("providers")["providers"].as_array().unwrap();
    let listed = listed.iter().find(|provider| provider["id"] == "flux-dev").unwrap();
    assert_eq!(listed["models"][0]["creditCost"], IMAGE_COST, "{listed}");
    let all = transcript.told("all providers");
    assert!(all["providers"].as_array().unwrap().iter().any(|one| one["types"][0] == "VIDEO"), "{all}");
    assert!(all.to_string().len() < 8_000, "{all}");
    let provider = transcript.told("provider");
    assert!(provider["options"].as_array().unwrap().iter().any(|option| option["name"] == "n"), "{provider}");
    let quote = transcript.told("quote");
    assert_eq!((&quote["provider"], &quote["creditCost"]), (&json!("flux-dev"), &json!(IMAGE_COST)));
}

fn check_making(transcript: &Transcript) {
    let first = &transcript.told("generate")["id"];
    assert!(first.as_str().unwrap().starts_with("gen_"));
    assert_eq!(&transcript.told("again")["id"], first);
    assert_ne!(&transcript.told("another")["id"], first);
    let ended = transcript.told("wait");
    assert_eq!((&ended["id"], &ended["status"], &ended["done"]), (first, &json!("COMPLETED"), &json!(true)));
    let got = transcript.told("get");
    assert!(got["url"].as_str().unwrap().contains("/media/"), "{got}");
    assert_eq!(got["assets"][0]["contentType"], "image/png");
    assert_eq!(got.get("error"), None);

    assert_eq!(transcript.told("short")["done"], false);
    let took = transcript.step("short")["took"].as_u64().unwrap();
    assert!((1_000..25_000).contains(&took), "{took} ms");
    assert_eq!(transcript.told("cancel")["cancelled"], true);
    assert_eq!(transcript.told("cancelled")["cancelled"], false);
}

fn check_refusals(transcript: &Transcript) {
    assert_eq!(transcript.code("budget"), "INSUFFICIENT_CREDITS/MAX_CREDITS");
    assert_eq!(transcript.code("no budget"), "INVALID_INPUT/");
    assert_eq!(transcript.code("bad option"), "INVALID_INPUT/OPTION");
    assert_eq!(transcript.code("bad argument"), "INVALID_INPUT/");
    assert_eq!(transcript.code("no generation"), "NOT_FOUND/");
    let text = transcript.step("budget")["text"].as_str().unwrap();
    assert!(text.contains("Do not spend more"), "{text}");
    assert_eq!(transcript.step("no tool")["failed"], -32_602);
}

#[tokio::test]
async fn the_stock_client_uses_the_tools_over_http() {
    let app = live().await;
    let transcript = Transcript::of(&app, &[&format!("{}/mcp", app.url)]).await;
    check(&app, &transcript).await;
}

#[tokio::test]
async fn the_stock_client_uses_the_tools_over_standard_input_and_output() {
    let app = live().await;
    let transcript = Transcript::of(&app, &[env!("CARGO_BIN_EXE_doitong"), "mcp"]).await;
    check(&app, &transcript).await;
}

#[tokio::test]
async fn nobody_without_a_key_gets_as_far_as_the_protocol() {
    let app = TestApp::start().await;
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let post = |key: &str| {
        let request = app.http.post(format!("{}/mcp", app.url)).json(&hello);
        request.header("accept", "application/json, text/event-stream").bearer_auth(key).send()
    };
    for key in ["", "dt_test_none"] {
        let refused = post(key).await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["www-authenticate"]),
            (401, &"Bearer".parse().unwrap())
        );
        let body: Value = refused.json().await.unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }
    assert_eq!(post(&app.key.key).await.unwrap().status(), 200);
}

#[tokio::test]
async fn any_process_answers_a_call() {
    let (app, other) = {
        let app = live().await;
        let other = app.beside().await;
        (app, other)
    };
    let call = async |app: &TestApp| {
        let arguments = json!({"type": "IMAGE", "provider": "flux-dev", "text": "A fox", "max_credits": 100});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "generate", "arguments": arguments}});
        let request = app.http.post(format!("{}/mcp", app.url)).json(&call).bearer_auth(&app.key.key);
        let answer: Value =
            request.header("accept", "application/json, text/event-stream").send().await.unwrap().json().await.unwrap();
        let told: Value = serde_json::from_str(answer["result"]["content"][0]["text"].as_str().unwrap()).unwrap();
        told["id"].clone()
    };
    assert_eq!(call(&app).await, call(&other).await);
    assert_eq!(generations(&app).await, 1);
}
