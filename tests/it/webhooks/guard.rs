//! Addresses that are not on the public internet are refused: at submit where the URL shows it, and at connect time.

use std::time::Duration;

use doitong::domain::Plan;
use serde_json::Value;

use super::{end, hooked};
use crate::support::{Receiver, TestApp};

#[tokio::test]
async fn a_private_address_is_refused_at_submit() {
    let app = TestApp::with(Plan::Pro, |config, _| config.network.allow_private = Some(false)).await;
    for url in [
        "http://127.0.0.1/",
        "http://localhost/",
        "http://169.254.169.254/latest",
        "http://[::1]/",
        "http://0x7f.1/",
        "http://10.0.0.1/",
        "http://metadata.google.internal/",
        "https://user:word@example.com/",
        "ftp://example.com/",
        "hook",
    ] {
        let refused = app.refused(hooked("a", url)).await;
        assert_eq!((&refused["code"], &refused["field"]), (&"INVALID_INPUT".into(), &"webhookUrl".into()), "{url}");
    }
    assert_eq!(app.count("select count(*) from generation").await, 0);
    app.ask(hooked("a", "https://example.com/hook")).await.id();
}

#[tokio::test]
async fn a_private_address_that_slipped_in_is_refused_when_it_is_called() {
    let (lenient, receiver) = (TestApp::start().await, Receiver::start(&[]).await);
    let id = end(&lenient, &receiver.url).await;
    let strict = lenient.beside_with(|config, _| config.network.allow_private = Some(false)).await;
    strict.advance(Duration::ZERO).await;
    assert_eq!(receiver.received().len(), 0);
    let webhook = strict.generation(&id).await["webhook"].clone();
    assert_eq!((&webhook["lastStatus"], &webhook["delivered"]), (&Value::Null, &false.into()));
    assert_eq!(strict.count("select count(*) from delivery_attempt where outcome like 'not sent:%public%'").await, 1);
}

/// This machine's name: it resolves to an address of this machine, which only shows at connect time.
fn machine() -> Option<String> {
    let name = std::fs::read_to_string("/etc/hostname").ok()?.trim().to_owned();
    std::net::ToSocketAddrs::to_socket_addrs(&(name.as_str(), 0)).ok()?.next()?;
    Some(name)
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_refused_when_it_is_called() {
    let Some(name) = machine() else { return };
    let app = TestApp::with(Plan::Pro, |config, _| config.network.allow_private = Some(false)).await;
    end(&app, &format!("http://{name}:9/")).await;
    app.advance(Duration::ZERO).await;
    assert_eq!(app.count("select count(*) from delivery_attempt where outcome like 'not sent:%public%'").await, 1);
}
