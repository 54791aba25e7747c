//! Signatures: by every live secret, as the stock verifier wants them.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use serde_json::{Value, json};

use super::end;
use crate::support::{Received, Receiver, TestApp};

const ROTATE: &str = "mutation { rotateWebhookSecret { secret expiresAt } }";
const SECRETS: &str = "{ account { webhookSecrets { secret expiresAt } } }";

/// A folder with the stock verifier, made once. Needs Node and npm.
fn verifier() -> &'static Path {
    static FOLDER: OnceLock<std::path::PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (from, to) = (root.join("tests/clients/webhooks"), root.join("target/clients-webhooks"));
        fs::create_dir_all(&to).unwrap();
        for file in ["package.json", "package-lock.json", "verify.mjs"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
        if !to.join("node_modules/standardwebhooks").exists() {
            let installed = Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&to).status();
            assert!(installed.unwrap().success());
        }
        to
    })
}

/// What the stock verifier says of each webhook with a secret.
fn verdicts(received: &[(&Received, &str)]) -> Vec<String> {
    let cases: Vec<Value> = received
        .iter()
        .map(|(received, secret)| {
            let headers: serde_json::Map<_, _> = ["webhook-id", "webhook-timestamp", "webhook-signature"]
                .map(|name| (name.to_owned(), Value::from(received.header(name))))
                .into_iter()
                .collect();
            json!({"secret": secret, "headers": headers, "body": String::from_utf8_lossy(&received.body)})
        })
        .collect();
    let mut node = Command::new("node");
    node.arg("verify.mjs").current_dir(verifier()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut node = node.spawn().unwrap();
    node.stdin.take().unwrap().write_all(Value::from(cases).to_string().as_bytes()).unwrap();
    serde_json::from_slice(&node.wait_with_output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn the_stock_verifier_accepts_what_is_sent_and_only_that() {
    let (app, receiver) = (TestApp::start().await, Receiver::start(&[500]).await);
    end(&app, &receiver.url).await;
    app.advance(Duration::ZERO).await;
    app.advance(Duration::from_secs(1)).await;
    let [first, second] = &receiver.received()[..] else { panic!("{:?}", receiver.received()) };
    let mut forged = second.clone();
    forged.body = b"{}".as_slice().into();
    let secret = app.key.webhook_secret.as_str();
    let said = verdicts(&[
        (first, secret),
        (second, secret),
        (&forged, secret),
        (first, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ]);
    assert_eq!(said[..2], ["ok", "ok"]);
    assert!(said[2..].iter().all(|said| said.contains("No matching signature")), "{said:?}");
}

#[tokio::test]
async fn after_a_rotation_both_secrets_sign_for_a_day() {
    let (app, receiver) = (TestApp::start().await, Receiver::start(&[]).await);
    let (old, fresh) =
        (app.key.webhook_secret.clone(), app.data(ROTATE, json!({})).await["rotateWebhookSecret"].clone());
    let fresh = fresh["secret"].as_str().unwrap();
    let listed = app.data(SECRETS, json!({})).await["account"]["webhookSecrets"].clone();
    assert_eq!((&listed[0]["secret"], &listed[1]["secret"]), (&fresh.into(), &old.as_str().into()));
    assert!(listed[0]["expiresAt"].is_null() && listed[1]["expiresAt"].is_string());
    end(&app, &receiver.url).await;
    app.advance(Duration::ZERO).await;
    let hook = receiver.received().remove(0);
    assert_eq!(hook.header("webhook-signature").split(' ').count(), 2);
    assert_eq!(verdicts(&[(&hook, &old), (&hook, fresh)]), ["ok", "ok"]);
    app.clock.advance(Duration::from_hours(24));
    end(&app, &receiver.url).await;
    app.advance(Duration::ZERO).await;
    assert_eq!(receiver.received()[1].header("webhook-signature").split(' ').count(), 1);
    assert_eq!(app.data(SECRETS, json!({})).await["account"]["webhookSecrets"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rotations_at_once_leave_one_current_secret() {
    let app = TestApp::start().await;
    let rotated = futures_util::future::join_all((0..5).map(|_| app.data(ROTATE, json!({})))).await;
    assert_eq!(rotated.len(), 5);
    let listed = app.data(SECRETS, json!({})).await["account"]["webhookSecrets"].clone();
    let current = listed.as_array().unwrap().iter().filter(|secret| secret["expiresAt"].is_null()).count();
    assert_eq!((current, listed.as_array().unwrap().len()), (1, 6));
}
