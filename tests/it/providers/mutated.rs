//! Every adapter against answers that are not documented: those of its double with fields that are missing, of other
//! types or cut off, with other statuses, and plain noise. Nothing panics, and no such answer is taken for a refusal of
//! work that the double has taken, nor for a result.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_LENGTH},
    middleware::{self, Next},
    response::Response,
};
use doitong::{
    domain::{ContentInput, Fault, GenerationId, Verdict, fault::Kind},
    providers::{Cx, Handle, Progress, Provider, Submitted, Task, adapters},
};
use futures_util::FutureExt as _;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Map, Value, json};

use super::{
    doubles,
    support::{self, Samples},
};

/// Tampered answers for each call of each task.
const EACH: usize = 16;
/// Tasks of each adapter, over routes of different kinds.
const TASKS: usize = 3;

/// What becomes of one answer.
#[derive(Clone, Debug)]
enum Change {
    /// The answer of the double, tampered with by this seed.
    Tampered(u64),
    /// Noise with this status.
    Noise(u16, &'static str),
}

/// Noise that no protocol documents; with 200 it says nothing about whether the work was taken.
const NOISE: [&str; 16] = [
    "",
    " ",
    "{",
    "[]",
    "{}",
    "null",
    "1",
    "\"x\"",
    "true",
    "<html><body>502 Bad Gateway</body></html>",
    "[[[[[[[[",
    "{\"a\":{\"b\":[1,null]}}",
    "{\"id\":\"\"}",
    "{\"id\":null,\"status\":null,\"error\":null,\"message\":null,\"code\":null,\"data\":null}",
    "{\"data\":[],\"status\":7,\"code\":\"\"}",
    "\u{feff}{}",
];
const STATUSES: [u16; 14] = [200, 200, 200, 201, 202, 204, 206, 302, 400, 404, 429, 500, 502, 504];

/// Stands before a double and changes one answer.
#[derive(Clone, Default)]
struct Meddler(Arc<Mutex<Meddling>>);

#[derive(Default)]
struct Meddling {
    /// Answers so far.
    calls: usize,
    /// The answer that is changed, and how.
    change: Option<(usize, Change)>,
    /// What was answered instead.
    said: String,
}

impl Meddler {
    fn before(&self, double: Router) -> Router {
        double.layer(middleware::from_fn_with_state(self.clone(), meddle))
    }

    fn begin(&self, change: Option<(usize, Change)>) {
        *self.0.lock().unwrap() = Meddling { change, ..Meddling::default() };
    }

    fn calls(&self) -> usize {
        self.0.lock().unwrap().calls
    }

    fn said(&self) -> String {
        self.0.lock().unwrap().said.clone()
    }
}

async fn meddle(State(meddler): State<Meddler>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let change = {
        let mut state = meddler.0.lock().unwrap();
        state.calls += 1;
        let at = state.calls - 1;
        state.change.clone().filter(|(call, _)| *call == at)
    };
    let Some((_, change)) = change else { return response };
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let (status, body) = match change {
        Change::Noise(status, text) => (status, Bytes::from_static(text.as_bytes())),
        Change::Tampered(seed) => (parts.status.as_u16(), tampered(&body, seed)),
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.status = StatusCode::from_u16(status).unwrap();
    meddler.0.lock().unwrap().said = format!("{status} {:.300}", String::from_utf8_lossy(&body));
    Response::from_parts(parts, Body::from(body))
}

/// The answer with a member that is missing or something else; cut off where it is no JSON.
fn tampered(body: &Bytes, seed: u64) -> Bytes {
    let mut random = StdRng::seed_from_u64(seed);
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return body.slice(..random.random_range(0..=body.len() / 2));
    };
    let mut places = Vec::new();
    pointers(&value, String::new(), &mut places);
    match places.choose(&mut random) {
        Some(place) if random.random_bool(0.9) => tamper(&mut value, place, &mut random),
        _ => {
            let text = value.to_string();
            return Bytes::copy_from_slice(&text.as_bytes()[..random.random_range(0..text.len())]);
        }
    }
    value.to_string().into()
}

fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                pointers(inner, format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (n, inner) in items.iter().enumerate().take(3) {
                pointers(inner, format!("{at}/{n}"), found);
            }
        }
        _ => {}
    }
    if !at.is_empty() {
        found.push(at);
    }
}

fn tamper(value: &mut Value, place: &str, random: &mut StdRng) {
    let (parent, name) = place.rsplit_once('/').unwrap();
    if random.random_bool(0.3) {
        match value.pointer_mut(parent) {
            Some(Value::Object(members)) => drop(members.remove(&name.replace("~1", "/").replace("~0", "~"))),
            Some(Value::Array(items)) => drop(items.remove(name.parse().unwrap())),
            _ => {}
        }
        return;
    }
    let others = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("\0"),
        json!("../../x?y#z"),
        json!("ftp://x/"),
        json!("http://"),
        json!("é".repeat(2000)),
        json!([]),
        json!([null]),
        json!({}),
        json!({ "": 1 }),
        json!([[["x"]]]),
        json!("%%%"),
    ];
    *value.pointer_mut(place).unwrap() = others.choose(random).unwrap().clone();
}

/// An adapter with a double that is meddled with.
struct Bench {
    provider: Box<dyn Provider>,
    meddler: Meddler,
    cx: Cx,
    wrong: Vec<String>,
    runs: usize,
}

impl Bench {
    async fn of(provider: Box<dyn Provider>) -> Self {
        let upstream = provider.upstream();
        let double = doubles::of(upstream.as_str());
        let meddler = Meddler::default();
        let base = support::serve(meddler.before(double.router)).await;
        let mut cx = support::cx(provider.as_ref(), &base, &double.secrets);
        cx.client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { provider, meddler, cx, wrong: Vec::new(), runs: 0 }
    }

    /// Tasks on routes of different models, spread over all of the upstream's.
    fn tasks(&self) -> Vec<Task> {
        let files = Samples::inline();
        let tasks: Vec<_> = support::routes(self.cx.upstream.as_str())
            .into_iter()
            .filter_map(|at| {
                let options = support::least_options(at);
                let inputs: Vec<ContentInput> = support::input_sets(at.model, &files).collect();
                let taken = inputs.iter().find_map(|input| Some((input, support::accept(at, input, &options).ok()?)));
                taken.map(|(input, choice)| support::task_of(at, input, choice))
            })
            .collect();
        let step = tasks.len().div_ceil(TASKS).max(1);
        tasks.into_iter().step_by(step).collect()
    }

    async fn run(&mut self) {
        let tasks = self.tasks();
        assert!(!tasks.is_empty(), "{}", self.cx.upstream);
        for (n, task) in tasks.iter().enumerate() {
            let noise = n == 0;
            // Look-ups and tokens are remembered.
            self.cx.cache = Arc::default();
            self.meddler.begin(None);
            let submitted = self.provider.submit(&self.cx, task).await;
            let calls = self.meddler.calls();
            for call in 0..calls {
                for change in changes(EACH / calls.min(4), noise) {
                    let is_work = submitted.is_ok() && call + 1 == calls;
                    self.submit(task, call, is_work, change).await;
                }
            }
            if let Ok(Submitted::Accepted { handle, .. }) = submitted {
                self.look(task, &handle, noise).await;
            }
        }
        self.check().await;
    }

    /// A submit of which one answer is changed; the last one is that of the work itself.
    async fn submit(&mut self, task: &Task, call: usize, is_work: bool, change: Change) {
        self.begin(call, &change);
        // An upstream may know a request by our id.
        let task = Task { id: GenerationId::generate(), ..task.clone() };
        let submitted = AssertUnwindSafe(self.provider.submit(&self.cx, &task)).catch_unwind().await;
        let Ok(submitted) = submitted else { return self.wrong("submit panics") };
        match submitted.and_then(Submitted::checked) {
            Err(fault) if is_work && is_undocumented(&change, &fault) && fault.verdict != Verdict::Unknown => {
                self.wrong_fault(&fault);
            }
            Ok(_) | Err(_) => {}
        }
    }

    async fn look(&mut self, task: &Task, handle: &Handle, noise: bool) {
        for _ in 0..3 {
            self.meddler.begin(None);
            let before = self.provider.poll(&self.cx, task, handle).await;
            let calls = self.meddler.calls();
            for call in 0..calls {
                for change in changes(EACH / calls.min(4), noise) {
                    self.poll(task, handle, call, change).await;
                }
            }
            if !matches!(before, Ok(Progress::Queued | Progress::Running(_))) {
                break;
            }
        }
        for change in changes(EACH / 2, true) {
            self.begin(0, &change);
            let _ = self.provider.reconcile(&self.cx, task).await;
            self.begin(0, &change);
            let _ = self.provider.cancel(&self.cx, task, handle).await;
        }
        for handle in ["", "x", "{}", "[]", "{\"id\":1}", "../..", "\0", "é ?#"] {
            self.meddler.begin(None);
            let _ = self.provider.poll(&self.cx, task, &Handle(handle.into())).await;
            let _ = self.provider.cancel(&self.cx, task, &Handle(handle.into())).await;
        }
    }

    async fn poll(&mut self, task: &Task, handle: &Handle, call: usize, change: Change) {
        self.begin(call, &change);
        let polled = AssertUnwindSafe(self.provider.poll(&self.cx, task, handle)).catch_unwind().await;
        let Ok(polled) = polled else { return self.wrong("poll panics") };
        match polled.and_then(Progress::checked) {
            Ok(Progress::Failed(fault)) if is_nothing(&change) => self.wrong_fault(&fault),
            Ok(_) | Err(_) => {}
        }
    }

    async fn check(&mut self) {
        for change in changes(EACH / 2, true) {
            self.begin(0, &change);
            let _ = self.provider.check(&self.cx).await;
        }
    }

    fn begin(&mut self, call: usize, change: &Change) {
        self.runs += 1;
        // Look-ups and tokens are remembered.
        self.cx.cache = Arc::default();
        self.meddler.begin(Some((call, change.clone())));
    }

    fn wrong(&mut self, what: &str) {
        let text = format!("{}: {what}, of {}", self.cx.upstream, self.meddler.said());
        self.wrong.push(text);
    }

    fn wrong_fault(&mut self, fault: &Fault) {
        self.wrong(&fault.to_string());
    }
}

/// Whether the adapter heard no documented refusal.
fn is_undocumented(change: &Change, fault: &Fault) -> bool {
    match change {
        // What is left of an answer that was a result may say that there is none.
        Change::Tampered(_) => !matches!(fault.kind, Kind::Failed | Kind::Moderated),
        // An object of its own is a service's word, also for a failure of it.
        Change::Noise(500.., _) => is_nothing(change),
        Change::Noise(status, _) => !(400..=499).contains(status),
    }
}

/// Whether an answer about work under way says nothing at all.
fn is_nothing(change: &Change) -> bool {
    let says_something =
        |text: &str| serde_json::from_str::<Map<String, Value>>(text).is_ok_and(|body| !body.is_empty());
    matches!(change, Change::Noise(200..=399 | 500.., text) if !says_something(text))
}

fn changes(tampered: usize, noise: bool) -> impl Iterator<Item = Change> {
    let texts = if noise { &NOISE[..] } else { &[] };
    let noise = texts.iter().enumerate().map(|(n, text)| Change::Noise(STATUSES[n % STATUSES.len()], text));
    let plain = texts.iter().map(|text| Change::Noise(200, text));
    (0..tampered as u64).map(Change::Tampered).chain(noise).chain(plain)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_undocumented_answer_is_taken_for_a_refusal_or_a_result() {
    let benches = adapters::all().into_iter().map(async |provider| {
        let mut bench = Bench::of(provider).await;
        bench.run().await;
        bench
    });
    let benches = futures_util::future::join_all(benches).await;
    let wrong: Vec<_> = benches.iter().flat_map(|bench| &bench.wrong).map(String::as_str).collect();
    let runs: usize = benches.iter().map(|bench| bench.runs).sum();
    assert!(wrong.is_empty(), "{} of {runs}\n{}", wrong.len(), wrong.join("\n"));
    assert!(runs > 4_000, "{runs}");
}
