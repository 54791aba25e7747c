//! Published clients, run unchanged as programs of their own against a server with live workers.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use doitong::worker;
use serde_json::{Value, json};
use tokio::{process::Command, sync::OnceCell};

use super::picture;
use crate::support::{self, TestApp};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The clients of the service's public page: those beside the repository when they are there, else our copies.
fn published(name: &str) -> PathBuf {
    let beside = Path::new(ROOT).join("../shared/clients").join(name);
    if beside.exists() { beside } else { Path::new(ROOT).join("tests/clients/published").join(name) }
}

/// Our programs, with what they are made of.
const PROGRAMS: [&str; 24] = [
    "package.json",
    "package-lock.json",
    "audits.mjs",
    "browser.mjs",
    "graphiql.mjs",
    "mcp.mjs",
    "multipart.mjs",
    "sse.mjs",
    "ws.mjs",
    "console/catalogue.mjs",
    "console/code.mjs",
    "console/form.mjs",
    "console/gallery.mjs",
    "console/keyboard.mjs",
    "console/malay.mjs",
    "console/newcomer.mjs",
    "console/page.mjs",
    "console/phone.mjs",
    "console/polling.mjs",
    "console/states.mjs",
    "console/troubles.mjs",
    "console/upload.mjs",
    "console/webhooks.mjs",
    "console/weight.mjs",
];

async fn run(mut command: Command) -> Output {
    let program = command.as_std().get_program().to_owned();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    output.unwrap_or_else(|error| {
        panic!(
            "{} does not run: {error}. These tests need Node 20, npm, Python 3, curl and Chromium.",
            program.display()
        )
    })
}

async fn must(command: Command) -> String {
    let output = run(command).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A folder with the pinned packages and our programs, made once.
async fn packages() -> &'static Path {
    static FOLDER: OnceCell<PathBuf> = OnceCell::const_new();
    FOLDER.get_or_init(install).await
}

async fn install() -> PathBuf {
    let (from, to) = (Path::new(ROOT).join("tests/clients"), Path::new(ROOT).join("target/clients"));
    fs::create_dir_all(&to).unwrap();
    let lock = fs::read(from.join("package-lock.json")).unwrap();
    let known = fs::read(to.join("installed-lock.json")).unwrap_or_default();
    fs::create_dir_all(to.join("console")).unwrap();
    for name in PROGRAMS {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    for name in ["doitong.mjs", "apollo.mjs"] {
        fs::write(to.join(name), fs::read(published(name)).unwrap()).unwrap();
    }
    if lock != known {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(&to);
        must(npm).await;
        fs::write(to.join("installed-lock.json"), lock).unwrap();
    }
    to
}

/// A Python with the one package that the published client needs, made once.
async fn python() -> &'static Path {
    static PYTHON: OnceCell<PathBuf> = OnceCell::const_new();
    let make = || support::python("clients-python", &["requests==2.32.5"]);
    PYTHON.get_or_init(make).await
}

/// A server with live workers.
pub async fn live() -> TestApp {
    let app = TestApp::start().await;
    worker::start(&app.app, &app.app.draining);
    app
}

fn told(mut command: Command, app: &TestApp) -> Command {
    command.env("DOITONG_URL", format!("{}/graphql", app.url)).env("DOITONG_API_KEY", &app.key.key);
    command.env("DOITONG_GATEWAY", &app.url);
    command.env_remove("http_proxy").env_remove("HTTP_PROXY");
    command
}

pub async fn node(app: &TestApp, arguments: &[&str]) -> String {
    let mut command = Command::new("node");
    command.args(arguments).current_dir(packages().await);
    must(told(command, app)).await
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| json!(line))).collect()
}

#[tokio::test]
async fn every_audit_of_graphql_over_http_passes() {
    let app = TestApp::start().await;
    let told = node(&app, &["audits.mjs"]).await;
    assert_eq!(told.trim(), "61 of 61 audits pass");
}

#[tokio::test]
async fn the_javascript_client_runs_unchanged() {
    let app = live().await;
    let told = lines(&node(&app, &["doitong.mjs"]).await);
    let last = told.last().unwrap();
    assert_eq!(last["first"]["status"], "PENDING");
    assert_eq!(last["video"]["provider"], "minimax");
    assert_eq!(last["result"]["status"], "COMPLETED");
    assert!(last["result"]["url"].as_str().unwrap().starts_with(&app.url));
}

#[tokio::test]
async fn the_python_client_runs_unchanged() {
    let app = live().await;
    let mut command = Command::new(python().await);
    command.arg(published("doitong.py"));
    let told = lines(&must(told(command, &app)).await);
    let last = told.last().unwrap();
    assert_eq!(last["video"]["status"], "pending");
    assert_eq!(last["result"]["status"], "completed");
    assert_eq!(last["result"]["metadata"]["contentType"], "video/mp4");
    assert_eq!(last["image"]["provider"], "flux-ultra");
    assert_eq!(last["audio"]["provider"], "elevenlabs");
}

#[tokio::test]
async fn apollo_client_runs_unchanged() {
    let app = live().await;
    let told = lines(&node(&app, &["apollo.mjs"]).await);
    assert_eq!(told[0]["videoCreate"]["status"], "PENDING");
    assert_eq!(told[0]["videoCreate"]["videoUrl"], Value::Null);
}

#[tokio::test]
async fn the_three_calls_with_curl_run_unchanged() {
    let app = live().await;
    let id = app.generate(picture()).await["id"].clone();
    let mut command = Command::new("bash");
    command.arg(published("curl.sh")).arg(id.as_str().unwrap());
    let told = lines(&must(told(command, &app)).await);
    assert_eq!(told[0]["data"]["generate"]["provider"], "minimax");
    assert_eq!(told[1]["data"]["generate"]["type"], Value::Null);
    assert!(told[1]["data"]["generate"]["creditCost"].as_i64().unwrap() > 0);
    assert_eq!(told[2]["data"]["generation"]["error"], Value::Null);
}

#[tokio::test]
async fn every_published_document_runs_with_every_published_variable() {
    let app = live().await;
    let page: Value = serde_json::from_slice(&fs::read(published("operations.json")).unwrap()).unwrap();
    let document = |name: &str| page["documents"][name].as_str().unwrap();
    for (name, variables) in page["generateVariables"].as_object().unwrap() {
        let made = app.data(document("Generate"), variables.clone()).await["generate"].clone();
        assert_eq!(made["status"], "pending", "{name}");
        let found = app.data(document("GetGeneration"), json!({"id": made["id"]})).await;
        assert_eq!(found["generation"]["id"], made["id"], "{name}");
        let cancelled = app.data(document("CancelGeneration"), json!({"id": made["id"]})).await;
        assert!(cancelled["cancelGeneration"].is_boolean(), "{name}");
    }
    for kind in ["VIDEO", "IMAGE", "AUDIO", "AVATAR"] {
        let found = app.data(document("GetProviders"), json!({"type": kind})).await;
        assert!(found["providers"].as_array().unwrap().len() >= 4, "{kind}");
    }
}

const WATCH: &str = "subscription W($id: ID!) { generationUpdated(id: $id) { status error metadata } }";

/// What a client prints of a watched generation: its states, and the end.
fn check_watched(told: &[Value]) {
    let states: Vec<_> = told.iter().filter_map(|one| one["data"]["generationUpdated"]["status"].as_str()).collect();
    assert_eq!(states.last(), Some(&"completed"), "{told:?}");
    assert!(told.contains(&json!("complete")), "{told:?}");
}

#[tokio::test]
async fn graphql_ws_watches_to_the_end_and_closes_in_order() {
    let app = live().await;
    for path in ["/graphql/ws", "/graphql"] {
        let variables = json!({"id": app.generate(picture()).await["id"]}).to_string();
        let told = lines(
            &node(&app, &["ws.mjs", &format!("{}{path}", app.url.replace("http", "ws")), WATCH, &variables]).await,
        );
        check_watched(&told);
        assert_eq!(told.last().unwrap()["closed"], 1000);
    }
}

#[tokio::test]
async fn graphql_sse_watches_to_the_end() {
    let app = live().await;
    let variables = json!({"id": app.generate(picture()).await["id"]}).to_string();
    let told = lines(&node(&app, &["sse.mjs", &format!("{}/graphql", app.url), WATCH, &variables]).await);
    check_watched(&told);
    let told = lines(&node(&app, &["sse.mjs", &format!("{}/graphql", app.url), "{ nothing }"]).await);
    assert_eq!(told[0]["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
}

#[tokio::test]
async fn apollo_client_watches_to_the_end() {
    let app = live().await;
    let variables = json!({"id": app.generate(picture()).await["id"]}).to_string();
    let told = lines(&node(&app, &["multipart.mjs", &format!("{}/graphql", app.url), WATCH, &variables]).await);
    check_watched(&told);
    let unknown = json!({"id": "gen_x"}).to_string();
    let told = lines(&node(&app, &["multipart.mjs", &format!("{}/graphql", app.url), WATCH, &unknown]).await);
    assert_eq!(told[0]["error"]["errors"][0]["extensions"]["code"], "NOT_FOUND", "{told:?}");
    assert_eq!(told[1], "complete");
}
