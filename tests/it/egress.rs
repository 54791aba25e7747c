//! The guard at work: names that resolve to private addresses, names that change their answer, redirects.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, response::Redirect, routing::get};
use doitong::{
    domain::{Plan, Verdict, fault::Kind},
    egress::{Egress, Refused},
    media::{Inputs, Store},
};
use reqwest::{
    Method,
    dns::{Addrs, Name, Resolve, Resolving},
};
use serde_json::{Value, json};

use crate::support::TestApp;

/// Answers each question with the next line of a script; stays at the last.
struct Script(Vec<&'static [&'static str]>, AtomicUsize);

impl Script {
    fn new(answers: &[&'static [&'static str]]) -> Arc<Self> {
        Arc::new(Self(answers.to_vec(), AtomicUsize::new(0)))
    }

    fn asked(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

impl Resolve for Script {
    fn resolve(&self, _: Name) -> Resolving {
        let at = self.1.fetch_add(1, Ordering::SeqCst);
        let answer = self.0[at.min(self.0.len() - 1)];
        let addresses: Vec<_> = answer.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
        Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) })
    }
}

async fn call(egress: &Egress, url: &str) -> Result<reqwest::Response, reqwest::Error> {
    let request = egress.request(Method::GET, url.parse().unwrap()).unwrap();
    request.timeout(std::time::Duration::from_millis(500)).send().await
}

async fn server() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new()
        .route("/", get(|| async { "reached" }))
        .route("/away", get(|| async { Redirect::temporary("http://127.0.0.1/") }));
    #[expect(clippy::disallowed_methods, reason = "the test's own server")]
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test]
async fn a_name_that_resolves_to_private_addresses_is_refused() {
    let port = server().await.port();
    let answers: [&[&str]; 4] = [&["127.0.0.1"], &["::1", "10.0.0.1"], &["::ffff:127.0.0.1"], &["169.254.169.254"]];
    for answer in answers {
        let egress = Egress::with_resolver(false, Script::new(&[answer])).unwrap();
        let error = call(&egress, &format!("http://hooks.example:{port}/")).await.unwrap_err();
        assert_eq!(Egress::refusal(&error), Some(Refused::NotPublic), "{answer:?}");
    }
}

#[tokio::test]
async fn a_name_that_changes_its_answer_is_refused_when_it_turns_private() {
    let port = server().await.port();
    // 192.0.1.0/24 is ordinary and routed nowhere: the first call fails for want of an answer.
    let script = Script::new(&[&["192.0.1.1"], &["127.0.0.1"]]);
    let egress = Egress::with_resolver(false, script.clone()).unwrap();
    let url = format!("http://rebind.example:{port}/");

    let first = call(&egress, &url).await.unwrap_err();
    assert_eq!(Egress::refusal(&first), None);
    assert_eq!(script.asked(), 1, "one question a connection: what was checked is what is called");

    let second = call(&egress, &url).await.unwrap_err();
    assert_eq!(Egress::refusal(&second), Some(Refused::NotPublic));
    assert_eq!(script.asked(), 2);
}

#[tokio::test]
async fn of_a_mixed_answer_only_public_addresses_are_called() {
    let port = server().await.port();
    let egress = Egress::with_resolver(false, Script::new(&[&["127.0.0.1", "192.0.1.1"]])).unwrap();
    let error = call(&egress, &format!("http://mixed.example:{port}/")).await.unwrap_err();
    assert_eq!(Egress::refusal(&error), None);
    assert!(error.is_timeout() || error.is_connect(), "{error:?}");
}

#[tokio::test]
async fn a_private_address_in_the_url_itself_never_becomes_a_request() {
    let egress = Egress::new(false).unwrap();
    for url in ["http://127.0.0.1/", "http://[::1]/", "http://2130706433/", "http://localhost/"] {
        assert_eq!(egress.request(Method::GET, url.parse().unwrap()).err(), Some(Refused::NotPublic), "{url}");
    }
}

#[tokio::test]
async fn one_may_allow_private_addresses() {
    let port = server().await.port();
    let egress = Egress::new(true).unwrap();
    for url in [format!("http://127.0.0.1:{port}/"), format!("http://localhost:{port}/")] {
        assert_eq!(call(&egress, &url).await.unwrap().text().await.unwrap(), "reached");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let address = server().await;
    let egress = Egress::new(true).unwrap();
    let answer = call(&egress, &format!("http://{address}/away")).await.unwrap();
    assert_eq!(answer.status(), 307);
}

const REFUSED: &str = include_str!("../fixtures/egress/refused.txt");
const PUBLIC: &str = include_str!("../fixtures/egress/public.txt");

fn urls(text: &'static str) -> Vec<&'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// What a quote says of a request with this address as its webhook, and as its input file.
async fn asked(app: &TestApp, url: &str) -> [Value; 2] {
    let picture =
        |image: &str| json!({ "type": "VIDEO", "provider": "kling", "input": { "text": "x", "image": image } });
    let mut hooked = picture("https://example.com/a.png");
    hooked["webhookUrl"] = url.into();
    let query = "query Q($input: GenerateInput!) { quote(input: $input) { creditCost } }";
    let ask = async |input: Value| app.graphql(query, json!({ "input": input })).await;
    [ask(hooked).await, ask(picture(url)).await]
}

#[tokio::test]
async fn the_whole_corpus_is_refused_for_webhooks_and_input_files_alike() {
    let app = TestApp::with(Plan::Pro, |config, _| config.network.allow_private = Some(false)).await;
    let refused = urls(REFUSED);
    assert!(refused.len() >= 200, "{}", refused.len());
    for url in refused {
        for (answer, field) in asked(&app, url).await.into_iter().zip(["webhookUrl", "input.image"]) {
            let error = &answer["errors"][0]["extensions"];
            let said = [&error["code"], &error["reason"], &error["field"]];
            assert_eq!(said, ["INVALID_INPUT", "URL", field], "{url}: {answer}");
        }
    }
}

#[tokio::test]
async fn no_public_address_is_refused_for_either() {
    let app = TestApp::with(Plan::Pro, |config, _| config.network.allow_private = Some(false)).await;
    for url in urls(PUBLIC) {
        for answer in asked(&app, url).await {
            assert!(answer["data"]["quote"]["creditCost"].is_number(), "{url}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_worker_reads_no_input_file_of_the_corpus() {
    let inputs = Inputs::new(
        Arc::new(Store::open("memory:///", Path::new(env!("CARGO_TARGET_TMPDIR")), None).unwrap()),
        Egress::new(false).unwrap(),
    );
    for url in urls(REFUSED) {
        for fault in [inputs.read(url).await.map(drop), inputs.reachable(url, true).await.map(drop)] {
            let fault = fault.unwrap_err();
            assert_eq!((fault.kind, fault.verdict), (Kind::InvalidInput, Verdict::Refused), "{url}: {fault}");
        }
    }
}
