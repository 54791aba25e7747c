//! The functions of the documents that verify webhooks, in the language of each.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use chrono::{DateTime, Utc};
use doitong::webhooks::signature::sign;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use super::{ROOT, blocks::Block};
use crate::{
    support::{Received, python},
    webhooks::secrets::verifier,
};

/// Of the Python of the documents.
pub const PACKAGES: &[&str] = &["pyyaml==6.0.3", "requests==2.32.5", "standardwebhooks==1.1.0"];

/// A webhook, the receiver's secret, and whether it is a true one.
pub struct Case {
    name: &'static str,
    given: Value,
    is_true: bool,
}

/// True and false ones, from a webhook that these secrets signed.
pub fn cases(hook: &Received, secrets: &[String]) -> Vec<Case> {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let headers: Map<_, _> = names.map(|name| (name.to_owned(), Value::from(hook.header(name)))).into_iter().collect();
    let body = String::from_utf8(hook.body.to_vec()).unwrap();
    let case = |name, secret: &str, headers: &Map<String, Value>, body: &str, is_true| Case {
        name,
        given: json!({"secret": secret, "headers": headers, "body": body}),
        is_true,
    };
    let with = |name: &str, value: &str| {
        let mut headers = headers.clone();
        headers.insert(name.to_owned(), value.into());
        headers
    };
    let without = |name: &str| {
        let mut headers = headers.clone();
        headers.remove(name);
        headers
    };
    let at: i64 = hook.header("webhook-timestamp").parse().unwrap();
    let signed_at = |at: i64| {
        let signature = sign(
            &secrets[0],
            hook.header("webhook-id"),
            DateTime::<Utc>::from_timestamp(at, 0).unwrap(),
            body.as_bytes(),
        );
        let mut headers = with("webhook-timestamp", &at.to_string());
        headers.insert("webhook-signature".to_owned(), signature.unwrap().into());
        headers
    };
    let mut cases: Vec<_> = secrets.iter().map(|secret| case("as it came", secret, &headers, &body, true)).collect();
    assert_eq!(cases.len(), hook.header("webhook-signature").split(' ').count());
    assert!(cases.len() >= 2);
    let secret = &secrets[0];
    cases.extend([
        case("signed anew", secret, &signed_at(at), &body, true),
        case("with another secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &headers, &body, false),
        case("with another body", secret, &headers, &body.replace("COMPLETED", "FAILED"), false),
        case("with another id", secret, &with("webhook-id", "msg_1"), &body, false),
        case("of an hour ago", secret, &signed_at(at - 3600), &body, false),
        case("of the next hour", secret, &signed_at(at + 3600), &body, false),
        case("at no time", secret, &with("webhook-timestamp", "now"), &body, false),
        case("with a broken signature", secret, &with("webhook-signature", "v1,ü v1 v1,"), &body, false),
        case("with no signature", secret, &without("webhook-signature"), &body, false),
        case("with no id", secret, &without("webhook-id"), &body, false),
    ]);
    cases
}

pub fn run(block: &Block, cases: &[Case]) {
    let mut command = match block.language.as_str() {
        "js" => javascript(block),
        "python" => of_python(block),
        _ => rust(block),
    };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let given: Vec<_> = cases.iter().map(|case| &case.given).collect();
    child.stdin.take().unwrap().write_all(json!(given).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{block}: {}", String::from_utf8_lossy(&output.stderr));
    let verdicts: Vec<bool> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdicts.len(), cases.len());
    for (case, verdict) in cases.iter().zip(verdicts) {
        assert_eq!(verdict, case.is_true, "{block}: {}: {}", case.name, case.given);
    }
}

/// A file of the block, and ours that calls its function.
fn program(folder: &Path, block: &Block, driver: &str) -> [PathBuf; 2] {
    let file = folder.join(format!("block-{}", driver.replace("verify", &block.to_string().replace(['/', ':'], "-"))));
    fs::write(&file, &block.text).unwrap();
    [Path::new(ROOT).join("tests/clients/docs").join(driver), file]
}

fn javascript(block: &Block) -> Command {
    // Where the library is.
    let mut node = Command::new("node");
    node.args(program(verifier(), block, "verify.mjs"));
    node
}

fn of_python(block: &Block) -> Command {
    let python = Runtime::new().unwrap().block_on(python("docs-python", PACKAGES));
    let mut command = Command::new(&python);
    command.args(program(&Path::new(ROOT).join("target/docs-python"), block, "verify.py"));
    command
}

fn rust(block: &Block) -> Command {
    let (from, to) = (Path::new(ROOT).join("tests/clients/docs/rust"), Path::new(ROOT).join("target/docs-rust"));
    fs::create_dir_all(to.join("src")).unwrap();
    for name in ["Cargo.toml", "Cargo.lock", "src/main.rs"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    fs::write(to.join("src/block.rs"), &block.text).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["run", "--locked", "--quiet"]).env("CARGO_TARGET_DIR", to.join("target")).current_dir(to);
    cargo
}
