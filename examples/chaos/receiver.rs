//! A webhook receiver that is down now and then. Keeps which ids told of which generation.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;

struct Inner {
    rng: StdRng,
    /// By generation: the webhook ids it came with.
    taken: HashMap<String, HashSet<String>>,
    deliveries: u32,
}

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    inner: Arc<Mutex<Inner>>,
}

impl Receiver {
    pub async fn start(seed: u64) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let rng = StdRng::seed_from_u64(seed ^ 0x0077_ebb0);
        let receiver = Self { url, inner: Arc::new(Mutex::new(Inner { rng, taken: HashMap::new(), deliveries: 0 })) };
        let router = Router::new().route("/hook", post(receive)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub fn taken(&self) -> HashMap<String, HashSet<String>> {
        self.inner.lock().unwrap().taken.clone()
    }

    pub fn deliveries(&self) -> u32 {
        self.inner.lock().unwrap().deliveries
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, Json(body): Json<Value>) -> StatusCode {
    let mut inner = receiver.inner.lock().unwrap();
    if inner.rng.random_bool(0.05) {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    inner.deliveries += 1;
    let (generation, id) = (body["data"]["id"].as_str().unwrap(), headers["webhook-id"].to_str().unwrap());
    inner.taken.entry(generation.to_owned()).or_default().insert(id.to_owned());
    StatusCode::OK
}
