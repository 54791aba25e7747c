//! Upstreams that lie, by three protocols: `kling` (asynchronous, the client's id finds a lost task), `minimax`
//! (asynchronous, nothing does) and `openai` (synchronous pictures). What they were paid for is counted by the prompt.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::stream;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::time::sleep;

const CLIP: &[u8] = include_bytes!("../../tests/fixtures/media/a.mp4");
const PICTURE: &[u8] = include_bytes!("../../tests/fixtures/media/a.png");

/// What an upstream does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lie {
    /// Does the work and says so.
    None,
    /// Does the work; the connection breaks before the answer.
    LostReply,
    /// Does the work; the answer breaks off in the middle.
    HalfReply,
    /// Does the work and answers nonsense.
    Garbage,
    /// Does the work and says 500.
    FalseError,
    /// Does nothing: too many requests.
    Busy,
    /// Does nothing: unavailable.
    Down,
    /// Takes a while.
    Slow,
}

struct Inner {
    rng: StdRng,
    url: String,
    /// Paid work by prompt.
    paid: HashMap<String, u32>,
    /// Tasks by their id here.
    tasks: HashMap<String, Task>,
    /// Tasks by the client's id.
    by_client: HashMap<String, String>,
    lies: BTreeMap<&'static str, u32>,
}

/// How a task is going.
#[derive(Clone, Copy)]
enum Going {
    On,
    Done,
    Wrong,
}

struct Task {
    looks_left: u32,
    fails: bool,
}

#[derive(Clone)]
pub struct Upstream(Arc<Mutex<Inner>>);

impl Upstream {
    pub async fn start(seed: u64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Inner {
            rng: StdRng::seed_from_u64(seed),
            url,
            paid: HashMap::new(),
            tasks: HashMap::new(),
            by_client: HashMap::new(),
            lies: BTreeMap::new(),
        };
        let upstream = Self(Arc::new(Mutex::new(inner)));
        let router = Router::new()
            .route("/kling/v1/videos/text2video", post(kling_submit))
            .route("/kling/v1/videos/text2video/{id}", get(kling_look))
            .route("/minimax/v1/video_generation", post(minimax_submit))
            .route("/minimax/v1/query/video_generation", get(minimax_look))
            .route("/minimax/v1/files/retrieve", get(minimax_file))
            .route("/openai/v1/images/generations", post(openai_submit))
            .route("/clip.mp4", get(clip))
            .with_state(upstream.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        upstream
    }

    /// The variables that lead the gateway here.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let url = self.0.lock().unwrap().url.clone();
        vec![
            ("DOITONG__UPSTREAMS__KLING__BASE_URL", format!("{url}/kling")),
            ("DOITONG__UPSTREAMS__MINIMAX__BASE_URL", format!("{url}/minimax")),
            ("DOITONG__UPSTREAMS__OPENAI__BASE_URL", format!("{url}/openai")),
            ("KLING_API_KEY", "chaos".to_owned()),
            ("MINIMAX_API_KEY", "chaos".to_owned()),
            ("OPENAI_API_KEY", "chaos".to_owned()),
        ]
    }

    /// Paid work by prompt.
    pub fn paid(&self) -> HashMap<String, u32> {
        self.0.lock().unwrap().paid.clone()
    }

    pub fn lies(&self) -> BTreeMap<&'static str, u32> {
        self.0.lock().unwrap().lies.clone()
    }

    fn lie(&self) -> Lie {
        let mut inner = self.0.lock().unwrap();
        let (lie, name) = match inner.rng.random_range(0..100) {
            0..2 => (Lie::LostReply, "lost reply"),
            2..4 => (Lie::HalfReply, "half a reply"),
            4..6 => (Lie::Garbage, "garbage"),
            6..8 => (Lie::FalseError, "false 500"),
            8..12 => (Lie::Busy, "429"),
            12..15 => (Lie::Down, "503"),
            15..20 => (Lie::Slow, "slow"),
            _ => return Lie::None,
        };
        *inner.lies.entry(name).or_default() += 1;
        lie
    }

    fn pay(&self, prompt: &str) {
        *self.0.lock().unwrap().paid.entry(prompt.to_owned()).or_default() += 1;
    }

    /// A task that was paid for; its id.
    fn task(&self, client: Option<&str>) -> String {
        let mut inner = self.0.lock().unwrap();
        let id = format!("{}", 800_000_000_000_u64 + inner.tasks.len() as u64);
        let (looks_left, fails) = (inner.rng.random_range(0..3), inner.rng.random_bool(0.05));
        inner.tasks.insert(id.clone(), Task { looks_left, fails });
        if let Some(client) = client {
            inner.by_client.insert(client.to_owned(), id.clone());
        }
        id
    }

    /// How a task is going.
    fn look(&self, id: &str) -> Option<Going> {
        let mut inner = self.0.lock().unwrap();
        let id = inner.by_client.get(id).cloned().unwrap_or_else(|| id.to_owned());
        let task = inner.tasks.get_mut(&id)?;
        if task.looks_left > 0 {
            task.looks_left -= 1;
            return Some(Going::On);
        }
        Some(if task.fails { Going::Wrong } else { Going::Done })
    }

    /// The id behind the client's or its own.
    fn id_of(&self, id: &str) -> String {
        self.0.lock().unwrap().by_client.get(id).cloned().unwrap_or_else(|| id.to_owned())
    }

    fn clip_url(&self) -> String {
        format!("{}/clip.mp4", self.0.lock().unwrap().url)
    }
}

/// Sends an answer as the lie has it. `busy` and `down` are the vendor's own way to say so.
async fn told(lie: Lie, answer: Value) -> Response {
    match lie {
        Lie::LostReply => broken(Vec::new()),
        Lie::HalfReply => broken(answer.to_string().into_bytes()[..answer.to_string().len() / 2].to_vec()),
        Lie::Garbage => (StatusCode::OK, "<html>gateway</html>").into_response(),
        Lie::FalseError => (StatusCode::INTERNAL_SERVER_ERROR, "oops").into_response(),
        Lie::Slow => {
            sleep(Duration::from_millis(400)).await;
            Json(answer).into_response()
        }
        Lie::None | Lie::Busy | Lie::Down => Json(answer).into_response(),
    }
}

/// A body that ends in a broken connection.
fn broken(start: Vec<u8>) -> Response {
    let parts = [Ok(Bytes::from(start)), Err(std::io::Error::other("gone"))];
    let mut response = Response::new(Body::from_stream(stream::iter(parts)));
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

fn kling_error(status: StatusCode, code: i64) -> Response {
    (status, Json(json!({"code": code, "message": "not now", "request_id": "r"}))).into_response()
}

async fn kling_submit(State(upstream): State<Upstream>, Json(body): Json<Value>) -> Response {
    let lie = upstream.lie();
    let client = body["external_task_id"].as_str().unwrap();
    match lie {
        Lie::Busy => return kling_error(StatusCode::TOO_MANY_REQUESTS, 1302),
        Lie::Down => return kling_error(StatusCode::SERVICE_UNAVAILABLE, 5001),
        _ => {}
    }
    if upstream.0.lock().unwrap().by_client.contains_key(client) {
        return kling_error(StatusCode::BAD_REQUEST, 1201);
    }
    upstream.pay(body["prompt"].as_str().unwrap());
    let id = upstream.task(Some(client));
    let data = json!({"task_id": id, "task_status": "submitted", "task_info": {"external_task_id": client},
        "created_at": 1_790_000_000_000_u64, "updated_at": 1_790_000_000_000_u64});
    told(lie, json!({"code": 0, "message": "SUCCEED", "request_id": "r", "data": data})).await
}

async fn kling_look(State(upstream): State<Upstream>, Path(id): Path<String>) -> Response {
    let lie = upstream.lie();
    let Some(state) = upstream.look(&id) else { return kling_error(StatusCode::NOT_FOUND, 1203) };
    let id = upstream.id_of(&id);
    let mut data = json!({"task_id": id, "task_status": "processing", "task_status_msg": "",
        "created_at": 1_790_000_000_000_u64, "updated_at": 1_790_000_000_000_u64});
    match state {
        Going::On => {}
        Going::Wrong => data["task_status"] = "failed".into(),
        Going::Done => {
            data["task_status"] = "succeed".into();
            data["task_result"] = json!({"videos": [{"id": "v", "url": upstream.clip_url(), "duration": "5.0"}]});
        }
    }
    match lie {
        Lie::Busy => kling_error(StatusCode::TOO_MANY_REQUESTS, 1302),
        Lie::Down => kling_error(StatusCode::SERVICE_UNAVAILABLE, 5001),
        lie => told(lie, json!({"code": 0, "message": "SUCCEED", "request_id": "r", "data": data})).await,
    }
}

fn minimax_status(code: i64) -> Value {
    json!({"status_code": code, "status_msg": if code == 0 { "success" } else { "not now" }})
}

async fn minimax_submit(State(upstream): State<Upstream>, Json(body): Json<Value>) -> Response {
    let lie = upstream.lie();
    match lie {
        Lie::Busy => return Json(json!({"base_resp": minimax_status(1002)})).into_response(),
        Lie::Down => return (StatusCode::SERVICE_UNAVAILABLE, "down").into_response(),
        _ => {}
    }
    upstream.pay(body["prompt"].as_str().unwrap());
    let id = upstream.task(None);
    told(lie, json!({"task_id": id, "base_resp": minimax_status(0)})).await
}

async fn minimax_look(State(upstream): State<Upstream>, Query(query): Query<HashMap<String, String>>) -> Response {
    let (lie, id) = (upstream.lie(), &query["task_id"]);
    let state = upstream.look(id).unwrap_or(Going::Wrong);
    let (status, file) = match state {
        Going::On => ("Processing", ""),
        Going::Wrong => ("Fail", ""),
        Going::Done => ("Success", id.as_str()),
    };
    let answer = json!({"task_id": id, "status": status, "file_id": file, "video_width": 0, "video_height": 0,
        "base_resp": minimax_status(0)});
    match lie {
        Lie::Busy => Json(json!({"base_resp": minimax_status(1002)})).into_response(),
        Lie::Down => (StatusCode::SERVICE_UNAVAILABLE, "down").into_response(),
        lie => told(lie, answer).await,
    }
}

async fn minimax_file(State(upstream): State<Upstream>, Query(query): Query<HashMap<String, String>>) -> Response {
    let id: u64 = query["file_id"].parse().unwrap();
    let file = json!({"file_id": id, "bytes": CLIP.len(), "created_at": 1_790_000_000, "filename": "output_aigc.mp4",
        "purpose": "video_generation", "download_url": upstream.clip_url()});
    told(upstream.lie(), json!({"file": file, "base_resp": minimax_status(0)})).await
}

async fn openai_submit(State(upstream): State<Upstream>, Json(body): Json<Value>) -> Response {
    let lie = upstream.lie();
    let error = |status: StatusCode, code: &str| {
        let error = json!({"error": {"message": "not now", "type": "server_error", "param": null, "code": code}});
        (status, Json(error)).into_response()
    };
    match lie {
        Lie::Busy => return error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded"),
        Lie::Down => return error(StatusCode::SERVICE_UNAVAILABLE, "server_overloaded"),
        _ => {}
    }
    upstream.pay(body["prompt"].as_str().unwrap());
    told(lie, json!({"created": 1_790_000_000, "data": [{"b64_json": STANDARD.encode(PICTURE)}]})).await
}

async fn clip(State(upstream): State<Upstream>) -> Response {
    match upstream.lie() {
        Lie::LostReply | Lie::HalfReply => broken(CLIP[..CLIP.len() / 2].to_vec()),
        Lie::FalseError | Lie::Down => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => ([("content-type", "video/mp4")], CLIP).into_response(),
    }
}
