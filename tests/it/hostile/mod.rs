//! Requests that mean harm: each is refused before anything runs, with its status and code, in bounded time and memory.
//!
//! The real binary is asked by bytes on a socket, so that a case can be as broken as it likes. That nothing ran shows in
//! what the account has used, not in how long it took: most cases would start a generation if they ran.

mod bodies;
mod documents;
mod inputs;
mod slow;
mod sockets;
mod transport;
mod uploads;
mod wire;

use std::{collections::BTreeSet, sync::Mutex, thread, time::Duration};

use serde_json::Value;

use crate::cli::{Home, Served};
use wire::Answer;

/// How long any refusal may take, on a busy machine and without optimisation.
const LONGEST: Duration = Duration::from_secs(20);
/// How much the process may grow while it is asked all of it; a request alone may be 1 MiB, and eight come at once.
const MOST_GROWTH: u64 = 300 << 20;

/// What each case would like to start.
const RUN: &str = r#"generate(input: {type: IMAGE, provider: "flux-dev", input: {text: "x"}}) { id }"#;

type Refusal = (&'static str, &'static str);
const TOO_COMPLEX: Refusal = ("INVALID_INPUT", "QUERY_TOO_COMPLEX");
const REQUEST: Refusal = ("INVALID_INPUT", "REQUEST");
const VALIDATION: Refusal = ("GRAPHQL_VALIDATION_FAILED", "");
const PARSE: Refusal = ("GRAPHQL_PARSE_FAILED", "");

/// A request as bytes, in which `KEY` stands for a good key, and how it must be answered.
struct Case {
    name: String,
    bytes: Vec<u8>,
    expected: Expected,
    hangs_up: bool,
}

enum Expected {
    /// A GraphQL error with this status.
    Refused(u16, Refusal),
    /// One of these statuses, by the layer below; 0: the connection is closed without an answer.
    Status(&'static [u16]),
}

impl Case {
    fn refused(name: impl Into<String>, bytes: Vec<u8>, status: u16, refusal: Refusal) -> Self {
        Self { name: name.into(), bytes, expected: Expected::Refused(status, refusal), hangs_up: false }
    }

    fn status(name: impl Into<String>, bytes: Vec<u8>, statuses: &'static [u16]) -> Self {
        Self { name: name.into(), bytes, expected: Expected::Status(statuses), hangs_up: false }
    }

    /// Half a request, after which the client hangs up.
    fn half(name: impl Into<String>, bytes: Vec<u8>, statuses: &'static [u16]) -> Self {
        Self { hangs_up: true, ..Self::status(name, bytes, statuses) }
    }

    /// What is wrong with the answer to it, if anything.
    fn wrong(&self, answer: &Answer) -> Option<String> {
        let said = answer.refusal();
        let is_right = match &self.expected {
            Expected::Refused(status, refusal) => {
                answer.status == *status && said == (refusal.0.to_owned(), refusal.1.to_owned())
            }
            Expected::Status(statuses) => statuses.contains(&answer.status),
        };
        if is_right && answer.took < LONGEST {
            return None;
        }
        let body: String = answer.body.chars().take(300).collect();
        Some(format!("{}: {} {said:?} after {:?}: {body}", self.name, answer.status, answer.took))
    }
}

/// A POST of this body as JSON.
fn post(body: &[u8]) -> Vec<u8> {
    post_with("Content-Type: application/json\r\nAccept: application/graphql-response+json\r\n", body)
}

/// A POST with headers of one's own beside the key.
fn post_with(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer KEY\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn corpus() -> Vec<Case> {
    [documents::all(), bodies::all(), transport::all(), uploads::all(), inputs::all()].into_iter().flatten().collect()
}

#[test]
fn every_hostile_request_is_refused_before_anything_runs() {
    let home = Home::new();
    let key = home.json(&["keys", "create", "--account", "victim", "--plan", "pro", "--json"])["key"]
        .as_str()
        .unwrap()
        .to_owned();
    let served = home.serve(&["--listen", "127.0.0.1:0"]);
    let before = used(&served, &key);
    let cases = corpus();
    let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
    assert!(cases.len() >= 500 && names.len() == cases.len(), "{} cases, {} names", cases.len(), names.len());

    let slow = slow::start(served.address(), &key);
    let peak = served.peak_memory();
    let wrong = ask_all(&served, &key, cases);
    assert!(wrong.is_empty(), "{} wrong answers\n{}", wrong.len(), wrong.join("\n"));
    let wrong = sockets::ask_all(served.address(), &key);
    assert!(wrong.is_empty(), "{} wrong closes\n{}", wrong.len(), wrong.join("\n"));
    slow.end();

    let grown = served.peak_memory() - peak;
    assert!(grown < MOST_GROWTH, "grown by {} MiB", grown >> 20);
    assert_eq!(used(&served, &key), before, "something ran");
    let (status, answer) = served.ask(&key, &format!("mutation {{ {RUN} }}"));
    assert_eq!((status, answer["errors"].is_null()), (200, true), "{answer}");
    assert!(!served.log().contains("ERROR"), "{}", served.log());
    served.stop();
}

/// Asks all cases, eight at a time; what was answered wrongly.
fn ask_all(served: &Served, key: &str, cases: Vec<Case>) -> Vec<String> {
    let (cases, wrong) = (Mutex::new(cases.into_iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let case = cases.lock().unwrap().next();
                    let Some(case) = case else { return };
                    let answer = wire::ask(served.address(), &wire::with_key(&case.bytes, key), case.hangs_up);
                    wrong.lock().unwrap().extend(case.wrong(&answer));
                }
            });
        }
    });
    wrong.into_inner().unwrap()
}

/// What shows that something ran: generations, limits, credits, secrets.
fn used(served: &Served, key: &str) -> Value {
    let query = "{ generations { nodes { id } } account { usage { minuteRemaining dailyUsed running queued }
        credits { balance held } webhookSecrets { createdAt } } }";
    served.ask(key, query).1
}
