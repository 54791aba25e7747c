//! Webhooks: what is sent, to whom, signed how, and again when.

mod delivery;
mod guard;
pub mod secrets;

use doitong::domain::Plan;
use serde_json::{Value, json};

use crate::support::{TestApp, image};

/// An app whose waits are those of a real service, so that none passes by itself.
async fn unhurried() -> TestApp {
    TestApp::with(Plan::Pro, |config, _| config.worker.time_scale = 1.0).await
}

fn hooked(text: &str, url: &str) -> Value {
    let mut input = image(text);
    input["webhookUrl"] = url.into();
    input["labels"] = json!({"order": 17});
    input
}

/// A cancelled generation with a webhook: the quickest end there is.
async fn end(app: &TestApp, url: &str) -> Value {
    let id = app.ask(hooked("a", url)).await.id();
    assert_eq!(app.cancel(&id).await, true);
    id
}
