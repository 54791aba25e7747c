//! A webhook receiver that answers as it is told and keeps what it got.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::Value;

/// A webhook as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap().to_str().unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Clone, Default)]
pub struct Receiver {
    pub url: String,
    state: Arc<Mutex<(VecDeque<u16>, Vec<Received>)>>,
}

impl Receiver {
    /// Answers with these statuses in turn, then with 200.
    #[expect(clippy::disallowed_methods, reason = "the receiver ends with the test's runtime")]
    pub async fn start(statuses: &[u16]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Self { url, ..Self::default() };
        receiver.state.lock().unwrap().0.extend(statuses);
        let router = Router::new().route("/hook", post(receive)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.lock().unwrap().1.clone()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut state = receiver.state.lock().unwrap();
    state.1.push(Received { headers, body });
    let status = state.0.pop_front().unwrap_or(200);
    StatusCode::from_u16(status).unwrap()
}
