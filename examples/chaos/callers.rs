//! Callers that do what a careful client does: one idempotency key a request, sent again until there is an answer.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::time::sleep;

/// Requests under way at once.
const AT_ONCE: usize = 32;

const GENERATE: &str = "mutation ($i: GenerateInput!) { generate(input: $i) { id } }";

pub struct Callers {
    apis: Vec<String>,
    key: String,
    hook: String,
    seed: u64,
    http: reqwest::Client,
    /// By logical request: every id that an answer gave.
    pub accepted: Mutex<HashMap<u32, Vec<String>>>,
    pub retries: AtomicU32,
}

impl Callers {
    pub fn new(apis: Vec<String>, key: String, hook: String, seed: u64) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Self { apis, key, hook, seed, http, accepted: Mutex::default(), retries: AtomicU32::new(0) }
    }

    pub async fn submit_all(&self, jobs: u32) {
        stream::iter(0..jobs).for_each_concurrent(AT_ONCE, |job| self.submit(job)).await;
    }

    async fn submit(&self, job: u32) {
        let mut rng = StdRng::seed_from_u64(self.seed ^ (u64::from(job) << 20));
        // Some send a second time although they had an answer.
        let mut answers_wanted = if rng.random_bool(0.05) { 2 } else { 1 };
        while answers_wanted > 0 {
            let api = &self.apis[rng.random_range(0..self.apis.len())];
            if let Some(id) = self.send(api, job).await {
                self.accepted.lock().unwrap().entry(job).or_default().push(id);
                answers_wanted -= 1;
            } else {
                self.retries.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(rng.random_range(20..300))).await;
            }
        }
    }

    async fn send(&self, api: &str, job: u32) -> Option<String> {
        let (kind, provider, model) = match job % 3 {
            0 => ("VIDEO", "kling", "v2-1-master"),
            1 => ("VIDEO", "minimax", "hailuo-02"),
            _ => ("IMAGE", "gpt-image", "gpt-image-2"),
        };
        let input = json!({"type": kind, "provider": provider, "model": model, "input": {"text": prompt(job)},
            "webhookUrl": self.hook, "labels": {"job": job}});
        let answer = self
            .http
            .post(format!("{api}/graphql"))
            .bearer_auth(&self.key)
            .header("idempotency-key", format!("job-{job}"))
            .json(&json!({"query": GENERATE, "variables": {"i": input}}))
            .send()
            .await
            .ok()?;
        let answer: Value = answer.json().await.ok()?;
        if let Some(error) = answer["errors"].get(0).filter(|error| error["extensions"]["retryable"] != true) {
            panic!("a request was refused for good: {error}");
        }
        answer["data"]["generate"]["id"].as_str().map(str::to_owned)
    }
}

/// The prompt of a logical request, by which upstreams count.
pub fn prompt(job: u32) -> String {
    format!("chaos job {job:06}")
}
