//! What the gateway talks to: upstreams by two protocols, `openai` (answers the submit) and `kling` (a task that takes
//! its time), and the receiver of webhooks. All note when what came, by the number of the request.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::{
    http1::{self, Request, answer, header_of, number_after},
    load::Random,
};

const CLIP: &[u8] = include_bytes!("../../tests/fixtures/media/a.mp4");
const PICTURE: &[u8] = include_bytes!("../../tests/fixtures/media/a.png");

/// The first task's id.
const FIRST_TASK: usize = 800_000_000_000;

/// A webhook as it came.
pub struct Delivery {
    pub id: String,
    pub timestamp: i64,
    pub signature: String,
    pub body: Vec<u8>,
}

/// What was seen of a request.
#[derive(Clone, Copy, Default)]
pub struct Seen {
    pub accepted: Option<Instant>,
    pub submitted: Option<Instant>,
    /// When a task is done.
    pub done: Option<Instant>,
    pub polls: u32,
    pub delivered: Option<Instant>,
    pub deliveries: u32,
}

#[derive(Default)]
struct State {
    seen: BTreeMap<usize, Seen>,
    submitted: usize,
    delivered: usize,
    not_completed: usize,
    /// Some of the webhooks, to be looked at.
    kept: Vec<Delivery>,
    gate: Option<Arc<Semaphore>>,
    run: Duration,
}

/// The doubles.
#[derive(Clone)]
pub struct Doubles {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

/// Webhooks that are kept.
const KEPT: usize = 64;

impl Doubles {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        let picture = json!({"created": 1_790_000_000, "data": [{"b64_json": STANDARD.encode(PICTURE)}]}).to_string();
        let (picture, clip) = (answer("application/json", picture.as_bytes()), answer("video/mp4", CLIP));
        let address = http1::serve(move |request| match request.path {
            "/hook" => shared.lock().unwrap().deliver(&request),
            "/openai/v1/images/generations" => {
                shared.lock().unwrap().submit(&request);
                picture.clone()
            }
            "/kling/v1/videos/text2video" => shared.lock().unwrap().task(&request),
            path if path.starts_with("/kling/v1/videos/text2video/") => {
                let host = header_of(request.head, "host").unwrap_or_default();
                shared.lock().unwrap().poll(path, host)
            }
            "/clip.mp4" => clip.clone(),
            _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
        });
        Self { state, address }
    }

    /// The variables that lead a gateway here.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DOITONG__UPSTREAMS__KLING__BASE_URL", format!("http://{}/kling", self.address)),
            ("DOITONG__UPSTREAMS__OPENAI__BASE_URL", format!("http://{}/openai", self.address)),
            ("KLING_API_KEY", "bench".to_owned()),
            ("OPENAI_API_KEY", "bench".to_owned()),
        ]
    }

    pub fn hook(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Forgets what was; tasks take so long from now on, and each webhook gives a permit back.
    pub fn reset(&self, run: Duration, gate: Option<Arc<Semaphore>>) {
        *self.state.lock().unwrap() = State { gate, run, ..State::default() };
    }

    pub fn accepted(&self, number: u64, at: Instant) {
        self.state.lock().unwrap().of(usize::try_from(number).unwrap()).accepted = Some(at);
    }

    pub fn seen(&self) -> Vec<(usize, Seen)> {
        self.state.lock().unwrap().seen.iter().map(|(number, seen)| (*number, *seen)).collect()
    }

    /// How many were submitted, delivered for the first time, and told as anything but completed.
    pub fn counts(&self) -> (usize, usize, usize) {
        let state = self.state.lock().unwrap();
        (state.submitted, state.delivered, state.not_completed)
    }

    pub fn take_deliveries(&self) -> Vec<Delivery> {
        std::mem::take(&mut self.state.lock().unwrap().kept)
    }
}

impl State {
    fn of(&mut self, number: usize) -> &mut Seen {
        self.seen.entry(number).or_default()
    }

    fn submit(&mut self, request: &Request<'_>) -> usize {
        let number = number_after(request.body, b"bench ").unwrap_or_default();
        self.submitted += 1;
        self.of(number).submitted = Some(Instant::now());
        number
    }

    fn task(&mut self, request: &Request<'_>) -> Vec<u8> {
        let number = self.submit(request);
        // A tenth to either side, the same each time.
        let share = 0.9 + 0.2 * f64::from(u16::try_from(Random(number as u64).next() % 1_000).unwrap()) / 1e3;
        let done = Instant::now() + self.run.mul_f64(share);
        self.of(number).done = Some(done);
        told(number, "submitted", None)
    }

    fn poll(&mut self, path: &str, host: &str) -> Vec<u8> {
        let id: usize = path.rsplit('/').next().and_then(|id| id.parse().ok()).unwrap_or_default();
        let number = id.saturating_sub(FIRST_TASK);
        let seen = self.of(number);
        seen.polls += 1;
        if seen.done.is_some_and(|done| done <= Instant::now()) {
            told(number, "succeed", Some(&format!("http://{host}/clip.mp4")))
        } else {
            told(number, "processing", None)
        }
    }

    fn deliver(&mut self, request: &Request<'_>) -> Vec<u8> {
        let number = number_after(request.body, b"\"job\":\"").unwrap_or_default();
        let seen = self.of(number);
        seen.deliveries += 1;
        if seen.deliveries == 1 {
            seen.delivered = Some(Instant::now());
            self.delivered += 1;
            self.not_completed += usize::from(http1::find(request.body, b"generation.completed").is_none());
            if let Some(gate) = &self.gate {
                gate.add_permits(1);
            }
        }
        if self.kept.len() < KEPT {
            let header = |name: &str| header_of(request.head, name).unwrap_or_default().to_owned();
            self.kept.push(Delivery {
                id: header("webhook-id"),
                timestamp: header("webhook-timestamp").parse().unwrap_or_default(),
                signature: header("webhook-signature"),
                body: request.body.to_vec(),
            });
        }
        answer("text/plain", b"ok")
    }
}

fn told(number: usize, status: &str, clip: Option<&str>) -> Vec<u8> {
    let mut data = json!({"task_id": (FIRST_TASK + number).to_string(), "task_status": status, "task_status_msg": "",
        "created_at": 1_790_000_000_000_u64, "updated_at": 1_790_000_000_000_u64});
    if let Some(url) = clip {
        data["task_result"] = json!({"videos": [{"id": "v", "url": url, "duration": "5.0"}]});
    }
    let body = json!({"code": 0, "message": "SUCCEED", "request_id": "r", "data": data});
    answer("application/json", body.to_string().as_bytes())
}
