//! Catalogue and plans are read anew while callers ask without a pause: no call fails, no stream ends.

use std::{
    fs,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Database, new_key, rolling::Load};
use crate::cli::{Home, Served, eventually};

const ROUNDS: u32 = 20;

/// A catalogue and settings of one's own.
fn furnish(home: &Home) {
    fs::create_dir(home.file("catalog")).unwrap();
    for file in Path::new(env!("CARGO_MANIFEST_DIR")).join("config/catalog").read_dir().unwrap().map(Result::unwrap) {
        fs::copy(file.path(), home.file("catalog").join(file.file_name())).unwrap();
    }
}

/// Writes what is to be read: another plan, another price.
fn write(home: &Home, per_minute: u32, thousandths: u32) {
    let settings = format!("[catalog]\nfolder = \"catalog\"\n[plans.pro]\nper_minute = {per_minute}\n");
    fs::write(home.file("settings.toml"), settings).unwrap();
    let catalogue = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/catalog/flux-dev.toml");
    let text = fs::read_to_string(catalogue).unwrap();
    let changed = text.replace("usd = 0.025", &format!("usd = 0.{thousandths:03}"));
    assert!(thousandths == 25 || changed != text);
    fs::write(home.file("catalog/flux-dev.toml"), changed).unwrap();
}

/// The plan and the price in force.
fn in_force(served: &Served, key: &str) -> (u64, u64) {
    let query = r#"{ account { plan { perMinute } }
        quote(input: { type: IMAGE, provider: "flux-dev", input: { text: "A" } }) { creditCost } }"#;
    let (_, answer) = served.ask(key, query);
    let number =
        |at: &str| answer.pointer(at).and_then(serde_json::Value::as_u64).unwrap_or_else(|| panic!("{answer}"));
    (number("/data/account/plan/perMinute"), number("/data/quote/creditCost"))
}

/// A subscription to what goes on until it is cancelled, and its id.
async fn watch(http: &reqwest::Client, served: &Served, key: &str) -> (String, reqwest::Response) {
    let mutation = r#"mutation { generate(input: { type: IMAGE, input: { text: "[[hang]] A" } }) { id } }"#;
    let (_, answer) = served.ask(key, mutation);
    let id = answer["data"]["generate"]["id"].as_str().unwrap().to_owned();
    let query = format!(r#"subscription {{ generationUpdated(id: "{id}") {{ status }} }}"#);
    let asked = http.post(format!("{}/graphql", served.url)).bearer_auth(key).header("accept", "text/event-stream");
    let stream = asked.json(&json!({ "query": query })).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    (id, stream)
}

#[test]
fn no_call_fails_and_no_stream_ends_while_catalogue_and_plans_are_read_anew() {
    doitong::egress::use_ring();
    let database = Database::start();
    let home = database.home();
    furnish(&home);
    write(&home, 60, 25);
    let (callers, key) = (new_key(&home), home.json(&["keys", "create", "--account", "bo", "--plan", "pro", "--json"]));
    let key = key["key"].as_str().unwrap();
    let settings = home.file("settings.toml");
    let served = home.serve(&["--listen", "127.0.0.1:0", "--config", settings.to_str().unwrap()]);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let (id, stream) = database.runtime.block_on(watch(&http, &served, key));

    let (load, mut tasks) = (Arc::new(Load::default()), JoinSet::new());
    for caller in 0..8 {
        tasks.spawn_on(load.clone().run(served.url.clone(), callers.clone(), caller), database.runtime.handle());
    }
    for round in 1..=ROUNDS {
        write(&home, 60 + round, 25 + round);
        served.signal(Signal::HUP);
        let wanted = (u64::from(60 + round), u64::from(25 + round));
        eventually(|| (in_force(&served, key) == wanted).then_some(()));
        load.go_on(20);
    }
    load.is_over.store(true, Ordering::SeqCst);
    let failures = load.failures.lock().unwrap().clone();
    assert!(failures.is_empty(), "{} of {:?} calls failed: {failures:#?}", failures.len(), load.answers);

    let (_, answer) = served.ask(key, &format!(r#"mutation {{ cancelGeneration(id: "{id}") }}"#));
    assert_eq!(answer["data"]["cancelGeneration"], true, "{answer}");
    let told = database.runtime.block_on(stream.text()).unwrap();
    assert!(told.contains("CANCELLED") && told.trim_end().contains("event: complete"), "{told}");
    assert_eq!(served.log().matches("catalogue and plans were read anew").count(), ROUNDS as usize);
    database.runtime.block_on(tasks.shutdown());
    served.stop();
}
