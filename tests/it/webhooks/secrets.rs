//! Signatures: by every live secret, as the stock verifier wants them.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use doitong::{
    config::{Config, Secrets},
    domain::{Mode, Plan},
    webhooks::SecretError,
};
use serde_json::{Value, json};

use super::end;
use crate::support::{Received, Receiver, TestApp, rng};

const ROTATE: &str = "mutation { rotateWebhookSecret { secret expiresAt } }";
const SECRETS: &str = "{ account { webhookSecrets { secret expiresAt } } }";

/// A folder with the stock verifier, made once. Needs Node and npm.
pub fn verifier() -> &'static Path {
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

const ONE: &str = "a key that is long enough, number one";
const TWO: &str = "a key that is long enough, number two";

async fn with_keys(current: Option<&str>, previous: Option<&str>) -> TestApp {
    TestApp::with(Plan::Pro, set(current, previous)).await
}

fn set(current: Option<&str>, previous: Option<&str>) -> impl FnOnce(&mut Config, &mut Secrets) + use<> {
    let (current, previous) = (current.map(Into::into), previous.map(Into::into));
    move |_, secrets| (secrets.secret_key, secrets.previous_secret_key) = (current, previous)
}

impl TestApp {
    /// What the database keeps for secrets.
    async fn kept(&self) -> Vec<String> {
        let rows = sqlx::query_scalar("select secret from webhook_secret order by webhook_secret_id");
        rows.fetch_all(&self.app.pool).await.unwrap()
    }

    async fn told(&self) -> Vec<String> {
        let told = self.data(SECRETS, json!({})).await["account"]["webhookSecrets"].clone();
        told.as_array().unwrap().iter().map(|one| one["secret"].as_str().unwrap().to_owned()).collect()
    }

    /// What a start does.
    async fn seal(&self) -> Result<(), SecretError> {
        self.app.webhooks.seal_secrets(&mut rng()).await
    }
}

#[tokio::test]
async fn with_a_key_the_database_has_no_secret_in_plain_text_and_the_stock_verifier_accepts_the_signature() {
    let (app, receiver) = (with_keys(Some(ONE), None).await, Receiver::start(&[]).await);
    app.data(ROTATE, json!({})).await;
    assert!(app.kept().await.iter().all(|kept| kept.starts_with("sealed:1:")), "{:?}", app.kept().await);
    let told = app.told().await;
    assert_eq!((told.len(), &told[1]), (2, &app.key.webhook_secret));
    end(&app, &receiver.url).await;
    app.advance(Duration::ZERO).await;
    let hook = receiver.received().remove(0);
    assert_eq!(verdicts(&[(&hook, &told[0]), (&hook, &told[1])]), ["ok", "ok"]);
}

#[tokio::test]
async fn plain_secrets_are_read_with_a_key_and_encrypted_at_the_next_start() {
    let plain = with_keys(None, None).await;
    let app = plain.beside_with(set(Some(ONE), None)).await;
    assert_eq!(app.told().await, [plain.key.webhook_secret.as_str()]);
    assert!(app.kept().await[0].starts_with("whsec_"));
    app.seal().await.unwrap();
    let kept = app.kept().await;
    assert!(kept.iter().all(|kept| kept.starts_with("sealed:1:")), "{kept:?}");
    assert_eq!(app.told().await, [plain.key.webhook_secret.as_str()]);
    app.seal().await.unwrap();
    assert_eq!(app.kept().await, kept, "what is sealed stays as it is");
}

#[tokio::test]
async fn a_key_is_changed_with_the_one_before_beside_it() {
    let old = with_keys(Some(ONE), None).await;
    let both = old.beside_with(set(Some(TWO), Some(ONE))).await;
    both.seal().await.unwrap();
    let new = old.beside_with(set(Some(TWO), None)).await;
    new.seal().await.unwrap();
    assert_eq!(new.told().await, [old.key.webhook_secret.as_str()]);
    assert!(matches!(old.seal().await, Err(SecretError::OtherKey(_))));
}

#[tokio::test]
async fn without_the_right_key_nothing_is_signed_and_the_delivery_waits_for_it() {
    let (app, receiver) = (with_keys(Some(ONE), None).await, Receiver::start(&[]).await);
    end(&app, &receiver.url).await;
    let (none, other) = (app.beside_with(|_, _| {}), app.beside_with(set(Some(TWO), None)));
    let (none, other) = tokio::join!(none, other);
    assert!(matches!(none.seal().await, Err(SecretError::NoKey)));
    assert!(matches!(other.seal().await, Err(SecretError::OtherKey(_))));
    for wrong in [&none, &other] {
        wrong.advance(Duration::from_secs(61)).await;
        assert_eq!(wrong.error(SECRETS, json!({})).await["code"], "INTERNAL");
    }
    assert_eq!((receiver.received().len(), app.count("select count(*) from delivery_attempt").await), (0, 0));
    app.advance(Duration::from_secs(61)).await;
    let hook = receiver.received().remove(0);
    assert_eq!(verdicts(&[(&hook, &app.key.webhook_secret)]), ["ok"]);
}

#[tokio::test]
async fn a_secret_that_was_moved_to_another_account_is_not_used() {
    let app = with_keys(Some(ONE), None).await;
    app.new_key("other", Plan::Free, Mode::Test, None).await;
    app.sql("update webhook_secret set secret = (select secret from webhook_secret order by account_id desc limit 1)")
        .await
        .unwrap();
    assert_eq!(app.error(SECRETS, json!({})).await["code"], "INTERNAL");
}
