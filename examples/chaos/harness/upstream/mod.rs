//! Upstreams that lie, by five protocols. What they were paid for is counted by the prompt.
//!
//! Whether a call is obeyed is decided first (`Mood`), how the answer travels after it (`wire::Sent`): an upstream that
//! says "not now" has done nothing, one whose answer is lost has done the work. That is what the gateway may rely on; the
//! rest it must bear.

mod protocols;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::Instant;

use super::wire::{self, Answer, Request, Sent, Service};

/// The service that 429 storms come over.
const STORMY: &str = "minimax";
/// Refusals of one storm: more than open a circuit.
const STORM: u32 = 12;
/// How long the latecomers run: past the deadline of the drill's routes.
const LATE: Duration = Duration::from_secs(11);

/// What an upstream does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Obeys.
    Obliging,
    /// Does nothing: too many requests.
    Busy,
    /// Does nothing: unavailable.
    Down,
    /// Does nothing, and says so with a status that its documents do not know.
    OddRefusal(u16),
    /// Does the work and says that something went wrong.
    FalseError(u16),
}

/// How a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Wrong,
    /// It runs on for ever.
    Hangs,
    /// It is done after its deadline.
    Late,
}

struct Task {
    begun: Instant,
    looks_left: u32,
    fate: Fate,
    stopped: bool,
}

/// How a task is going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    On,
    Done,
    Wrong,
}

impl Task {
    fn look(&mut self) -> Going {
        self.looks_left = self.looks_left.saturating_sub(1);
        match self.fate {
            _ if self.stopped => Going::Wrong,
            Fate::Hangs => Going::On,
            Fate::Late if self.begun.elapsed() < LATE => Going::On,
            _ if self.looks_left > 0 => Going::On,
            Fate::Wrong => Going::Wrong,
            Fate::Done | Fate::Late => Going::Done,
        }
    }
}

struct Inner {
    rng: StdRng,
    /// Paid work by prompt.
    paid: HashMap<String, u32>,
    /// Tasks by their id here.
    tasks: HashMap<String, Task>,
    /// Tasks by the client's id or idempotency key.
    by_client: HashMap<String, String>,
    /// Refusals that are left of a storm.
    storm: u32,
    lies: BTreeMap<&'static str, u32>,
}

impl Inner {
    fn note(&mut self, lie: &'static str) {
        *self.lies.entry(lie).or_default() += 1;
    }

    fn mood(&mut self, service: &str, submits: bool) -> Mood {
        if service == STORMY && submits && self.storm > 0 {
            self.storm -= 1;
            self.note("429 in a storm");
            return Mood::Busy;
        }
        let (mood, name) = match self.rng.random_range(0..200) {
            0..6 => (Mood::Busy, "429"),
            6..10 => (Mood::Down, "503"),
            10..12 => (Mood::OddRefusal([402, 418, 451][self.rng.random_range(0..3)]), "odd refusal"),
            12..15 => (Mood::FalseError([500, 502, 520, 599][self.rng.random_range(0..4)]), "false 5xx"),
            _ => return Mood::Obliging,
        };
        self.note(name);
        mood
    }

    fn sent(&mut self) -> Sent {
        let (sent, name) = match self.rng.random_range(0..200) {
            0..4 => (Sent::Lost, "lost reply"),
            4..8 => (Sent::Cut, "reset mid-body"),
            8..11 => (Sent::Noise, "garbage"),
            11..14 => (Sent::Twice, "duplicate answer"),
            14..16 => (Sent::Hung(Duration::from_millis(self.rng.random_range(500..5_000))), "hang"),
            16..24 => (Sent::Late(Duration::from_millis(self.rng.random_range(50..600))), "slow answer"),
            _ => return Sent::Whole,
        };
        self.note(name);
        sent
    }

    fn pay(&mut self, prompt: &str) {
        *self.paid.entry(prompt.to_owned()).or_default() += 1;
    }

    /// A task that was paid for; its id.
    fn task(&mut self, prompt: &str, client: Option<&str>) -> String {
        self.pay(prompt);
        let id = format!("{}", 800_000_000_000_u64 + self.tasks.len() as u64);
        let fate = match self.rng.random_range(0..100) {
            0..5 => Fate::Wrong,
            5..6 => Fate::Hangs,
            6..7 => Fate::Late,
            _ => Fate::Done,
        };
        match fate {
            Fate::Hangs => self.note("task that never ends"),
            Fate::Late => self.note("task that ends late"),
            Fate::Done | Fate::Wrong => {}
        }
        let task = Task { begun: Instant::now(), looks_left: self.rng.random_range(0..3), fate, stopped: false };
        self.tasks.insert(id.clone(), task);
        if let Some(client) = client {
            self.by_client.insert(client.to_owned(), id.clone());
        }
        id
    }

    /// The id of a task, by its own or by the client's.
    fn id_of(&self, id: &str) -> String {
        self.by_client.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }

    fn look(&mut self, id: &str) -> Option<Going> {
        Some(self.tasks.get_mut(id)?.look())
    }
}

#[derive(Clone)]
pub struct Upstream {
    url: String,
    inner: Arc<Mutex<Inner>>,
}

impl Upstream {
    pub async fn start(seed: u64) -> Self {
        let inner = Arc::new(Mutex::new(Inner {
            rng: StdRng::seed_from_u64(seed),
            paid: HashMap::new(),
            tasks: HashMap::new(),
            by_client: HashMap::new(),
            storm: 0,
            lies: BTreeMap::new(),
        }));
        let url = wire::serve(Arc::new(Desk(inner.clone()))).await;
        Self { url, inner }
    }

    /// The variables that lead the gateway here.
    pub fn settings(&self) -> Vec<(String, String)> {
        let services = ["kling", "minimax", "vidu", "openai", "hedra"];
        let each = services.into_iter().flat_map(|service| {
            let name = service.to_uppercase();
            [
                (format!("DOITONG__UPSTREAMS__{name}__BASE_URL"), format!("{}/{service}", self.url)),
                (format!("{name}_API_KEY"), "chaos".to_owned()),
            ]
        });
        each.collect()
    }

    /// Too many requests for a while, for every submit to one service.
    pub fn storm(&self) {
        self.inner.lock().unwrap().storm += STORM;
    }

    /// Paid work by prompt.
    pub fn paid(&self) -> HashMap<String, u32> {
        self.inner.lock().unwrap().paid.clone()
    }

    pub fn lies(&self) -> BTreeMap<&'static str, u32> {
        self.inner.lock().unwrap().lies.clone()
    }
}

struct Desk(Arc<Mutex<Inner>>);

impl Service for Desk {
    fn answer(&self, request: &Request) -> (Answer, Sent) {
        let inner = &mut *self.0.lock().unwrap();
        let answer = protocols::answer(inner, request);
        (answer, inner.sent())
    }
}
