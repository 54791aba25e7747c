//! The load: requests built beforehand, sent over kept connections from one thread, in a closed loop (each connection
//! sends when it has its answer) or an open one (a schedule that waits for nobody; a request's time runs from when it
//! was due, so that a server that stalls hides nothing).

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use crate::{
    http1::{Connection, find, on_one_thread},
    proc,
};

/// What a request has of its own each time.
#[derive(Clone, Copy)]
pub enum Patch {
    /// A key that nobody used before, in 32 letters.
    Key,
    /// The number of the request, in 12 digits.
    Number,
}

/// Stands in a request for a number of its own.
pub const NUMBER: &str = "NNNNNNNNNNNN";
const KEY: &str = "KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK";

/// A request, ready to be sent.
pub struct Request {
    bytes: Vec<u8>,
    patches: Vec<(usize, Patch)>,
}

impl Request {
    /// A GraphQL call, with an idempotency key of its own each time when `keyed`.
    pub fn graphql(api_key: &str, body: &str, idempotency: Idempotency) -> Self {
        Self::with_accept(api_key, body, idempotency, "application/json")
    }

    pub fn with_accept(api_key: &str, body: &str, idempotency: Idempotency, accept: &str) -> Self {
        let key = if idempotency == Idempotency::Fresh { format!("Idempotency-Key: {KEY}\r\n") } else { String::new() };
        let text = format!(
            "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAccept: {accept}\r\n\
             Authorization: Bearer {api_key}\r\n{key}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut patches = Vec::new();
        for (text_of, patch) in [(KEY, Patch::Key), (NUMBER, Patch::Number)] {
            patches.extend(text.match_indices(text_of).map(|(at, _)| (at, patch)));
        }
        Self { bytes: text.into_bytes(), patches }
    }

    /// Writes it for the number and the random value given.
    pub fn write(&self, number: u64, random: u64, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&self.bytes);
        for (at, patch) in &self.patches {
            let text = match patch {
                Patch::Key => format!("{random:016x}{number:016x}"),
                Patch::Number => format!("{number:012}"),
            };
            into[*at..*at + text.len()].copy_from_slice(text.as_bytes());
        }
    }
}

/// Whether requests carry a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    Fresh,
    None,
}

/// How requests follow each other.
#[derive(Clone)]
pub enum Pace {
    /// On each connection the next when the last was answered.
    Closed,
    /// So many a second.
    Open(f64),
    /// Each takes a permit, which somebody gives back when its work is done.
    Gated(Arc<Semaphore>),
}

/// Is told the number of each accepted request and when its answer was read.
pub type Accepted = Arc<dyn Fn(u64, Instant) + Send + Sync>;

/// How long requests of a schedule that are due may still be sent after its end.
const GRACE: Duration = Duration::from_millis(250);

/// What to send.
#[derive(Clone)]
pub struct Load {
    /// Connections are spread over these.
    pub servers: Vec<SocketAddr>,
    pub requests: Arc<Vec<Request>>,
    pub connections: usize,
    pub pace: Pace,
    pub lasts: Duration,
    /// Requests after which it is over.
    pub at_most: u64,
    /// The numbers of requests.
    pub numbers: Arc<AtomicU64>,
    pub accepted: Option<Accepted>,
}

impl Load {
    fn grace(&self) -> Duration {
        if matches!(self.pace, Pace::Open(_)) { GRACE } else { Duration::ZERO }
    }
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    pub seconds: f64,
    /// Times of the accepted, sorted, in microseconds.
    pub times: Vec<u32>,
    /// What was refused, and how often.
    pub refused: BTreeMap<String, u64>,
    pub first_refusal: Option<String>,
    /// Requests of the schedule that found no free connection.
    pub unsent: u64,
    /// Seconds of CPU of the load itself.
    pub cpu: f64,
}

impl Outcome {
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    pub fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.seconds.max(1e-9)
    }

    pub fn fails(&self) -> u64 {
        self.refused.values().sum()
    }

    /// A percentile in milliseconds.
    pub fn percentile(&self, share: f64) -> f64 {
        percentile(&self.times, share) / 1e3
    }
}

/// A percentile of sorted values.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an index")]
pub fn percentile(sorted: &[u32], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(index).map_or(0.0, |value| f64::from(*value))
}

/// Sends it, on a thread of its own.
pub async fn run(load: Load) -> Outcome {
    tokio::task::spawn_blocking(move || {
        let begun = proc::thread_cpu();
        let mut outcome = on_one_thread(send_all(load));
        outcome.cpu += proc::thread_cpu() - begun;
        outcome
    })
    .await
    .unwrap()
}

/// What the connections share.
struct Shared {
    load: Load,
    begun: Instant,
    turns: Arc<Semaphore>,
    /// Requests that were taken up.
    taken: AtomicU64,
    /// The next turn of the schedule.
    turn: AtomicU64,
    outcome: Mutex<Outcome>,
}

async fn send_all(load: Load) -> Outcome {
    let turns = match &load.pace {
        Pace::Gated(gate) => gate.clone(),
        Pace::Closed | Pace::Open(_) => Arc::new(Semaphore::new(0)),
    };
    let (begun, connections) = (Instant::now(), load.connections);
    let (taken, turn, outcome) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::default());
    let shared = Arc::new(Shared { load, begun, turns, taken, turn, outcome });
    let pacer = if let Pace::Open(rate) = shared.load.pace { Some(pace(rate, shared.clone())) } else { None };
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..connections {
        tasks.spawn(connection(shared.clone(), n));
    }
    while tasks.join_next().await.is_some() {}
    let schedule_cpu = pacer.map(|pacer| pacer.join().unwrap()).unwrap_or_default();
    let elapsed = begun.elapsed().saturating_sub(shared.load.grace());
    let unsent = u64::try_from(shared.turns.available_permits()).unwrap_or_default();
    let mut outcome = std::mem::take(&mut *shared.outcome.lock().unwrap());
    outcome.cpu = schedule_cpu;
    outcome.seconds = elapsed.as_secs_f64();
    outcome.unsent = if matches!(shared.load.pace, Pace::Open(_)) { unsent } else { 0 };
    outcome.times.sort_unstable();
    outcome
}

/// The least a schedule sleeps: what is due meanwhile goes out together, that much late at most.
const TICK: Duration = Duration::from_micros(200);

/// Gives out the turns of a schedule, on a thread, which sleeps more exactly than a timer of the runtime; the CPU it used.
fn pace(rate: f64, shared: Arc<Shared>) -> std::thread::JoinHandle<f64> {
    std::thread::spawn(move || {
        let mut given = 0_u32;
        loop {
            let due = shared.begun + Duration::from_secs_f64(f64::from(given) / rate);
            if due > shared.begun + shared.load.lasts {
                return proc::thread_cpu();
            }
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait.max(TICK));
            }
            shared.turns.add_permits(1);
            given += 1;
        }
    })
}

async fn connection(shared: Arc<Shared>, n: usize) {
    let server = shared.load.servers[n % shared.load.servers.len()];
    let mut random = Random(u64::try_from(n).unwrap() ^ u64::from(std::process::id()) << 32 ^ entropy());
    let (mut link, mut request, mut times) = (None, Vec::new(), Vec::new());
    while let Some(due) = shared.next().await {
        let number = shared.load.numbers.fetch_add(1, Ordering::Relaxed);
        let which = usize::try_from(random.next() % shared.load.requests.len() as u64).unwrap();
        shared.load.requests[which].write(number, random.next(), &mut request);
        match exchange(&mut link, server, &request).await {
            Ok(()) => {
                let now = Instant::now();
                times.push(u32::try_from((now - due).as_micros()).unwrap_or(u32::MAX));
                if let Some(accepted) = &shared.load.accepted {
                    accepted(number, now);
                }
            }
            Err(refusal) => shared.refused(refusal),
        }
    }
    shared.outcome.lock().unwrap().times.append(&mut times);
}

impl Shared {
    /// Waits for the next turn; when it was due, or nothing at the end.
    async fn next(&self) -> Option<Instant> {
        let end = self.begun + self.load.lasts + self.load.grace();
        let taken = self.taken.fetch_add(1, Ordering::Relaxed);
        if taken >= self.load.at_most {
            return None;
        }
        if let Pace::Closed = self.load.pace {
            return Some(Instant::now()).filter(|now| *now < end);
        }
        let turn = tokio::time::timeout_at(end.into(), self.turns.acquire()).await.ok()?.unwrap();
        if Instant::now() >= end {
            return None;
        }
        turn.forget();
        let Pace::Open(rate) = self.load.pace else { return Some(Instant::now()) };
        let turn = u32::try_from(self.turn.fetch_add(1, Ordering::Relaxed)).unwrap_or(u32::MAX);
        Some(self.begun + Duration::from_secs_f64(f64::from(turn) / rate))
    }

    fn refused(&self, refusal: Refusal) {
        if let Pace::Gated(gate) = &self.load.pace {
            gate.add_permits(1);
        }
        let mut outcome = self.outcome.lock().unwrap();
        *outcome.refused.entry(refusal.kind).or_default() += 1;
        outcome.first_refusal.get_or_insert(refusal.text);
    }
}

/// Why a request was not served.
pub struct Refusal {
    pub kind: String,
    pub text: String,
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self { kind: format!("connection: {}", error.kind()), text: error.to_string() }
    }
}

/// Sends a request over the connection, or a new one, and looks at its answer.
pub async fn exchange(link: &mut Option<Connection>, server: SocketAddr, request: &[u8]) -> Result<(), Refusal> {
    let mut connection = match link.take() {
        Some(connection) => connection,
        None => Connection::open(server).await?,
    };
    connection.write(request).await?;
    if !connection.read().await? {
        return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
    }
    let (status, is_error) = (connection.status(), find(connection.body(), b"\"errors\"").is_some());
    let refusal = (status != 200 || is_error).then(|| {
        let text = String::from_utf8_lossy(connection.body()).into_owned();
        let code = text.split_once("\"code\":\"").and_then(|(_, rest)| rest.split_once('"')).map(|(code, _)| code);
        Refusal { kind: format!("HTTP {status} {}", code.unwrap_or("without a code")), text }
    });
    *link = Some(connection);
    refusal.map_or(Ok(()), Err)
}

fn entropy() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

/// Numbers without any pattern that matters here (`SplitMix64`), for next to nothing.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
