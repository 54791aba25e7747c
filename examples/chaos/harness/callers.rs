//! Callers that do what a careful client does: one idempotency key a request, sent again until there is an answer. Some
//! send it two times at once, some cancel.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Mutex,
    time::Duration,
};

use futures_util::{StreamExt as _, future::join, stream};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::receiver::Receiver;

/// Requests under way at once.
const AT_ONCE: usize = 48;
/// Generations under way at once; more wait here, so that faults find jobs in every stage during the whole run.
const OPEN_AT_ONCE: u32 = 300;

const GENERATE: &str = "mutation ($i: GenerateInput!) { generate(input: $i) { id } }";
const CANCEL: &str = "mutation ($id: ID!) { cancelGeneration(id: $id) }";

/// What is asked for, in turn: type, and provider unless the gateway shall choose.
const ASKED: [(&str, Option<&str>); 10] = [
    ("VIDEO", Some("kling")),
    ("VIDEO", Some("clips")),
    ("IMAGE", Some("gpt-image")),
    ("VIDEO", Some("vidu")),
    ("AUDIO", Some("hedra")),
    ("VIDEO", Some("kling")),
    ("VIDEO", Some("clips")),
    ("IMAGE", Some("gpt-image")),
    ("VIDEO", Some("vidu")),
    ("VIDEO", None),
];

pub struct Callers {
    apis: Vec<String>,
    key: String,
    receiver: Receiver,
    seed: u64,
    http: reqwest::Client,
    /// By logical request: every id that an answer gave.
    pub accepted: Mutex<HashMap<u32, Vec<String>>>,
    /// Generations that an answer called cancelled, and all that were to be.
    pub cancelled: Mutex<HashSet<String>>,
    pub cancels: Mutex<HashSet<String>>,
    /// Requests sent again, by what was the matter.
    pub retries: Mutex<BTreeMap<String, u32>>,
}

impl Callers {
    pub fn new(apis: Vec<String>, key: String, receiver: Receiver, seed: u64) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        Self {
            apis,
            key,
            receiver,
            seed,
            http,
            accepted: Mutex::default(),
            cancelled: Mutex::default(),
            cancels: Mutex::default(),
            retries: Mutex::default(),
        }
    }

    pub async fn submit_all(&self, jobs: u32) {
        stream::iter(0..jobs).for_each_concurrent(AT_ONCE, |job| self.submit(job)).await;
    }

    fn open(&self) -> u32 {
        let accepted = u32::try_from(self.accepted.lock().unwrap().len()).unwrap();
        accepted.saturating_sub(self.receiver.told())
    }

    async fn submit(&self, job: u32) {
        while self.open() > OPEN_AT_ONCE {
            sleep(Duration::from_millis(20)).await;
        }
        let mut rng = StdRng::seed_from_u64(self.seed ^ (u64::from(job) << 20));
        let mut other = StdRng::seed_from_u64(rng.random());
        match rng.random_range(0..100) {
            // A second time at once, at any api.
            0..4 => drop(join(self.insist(job, &mut rng), self.insist(job, &mut other)).await),
            // A second time although there was an answer.
            4..8 => {
                self.insist(job, &mut rng).await;
                self.insist(job, &mut rng).await;
            }
            8..13 => {
                let id = self.insist(job, &mut rng).await;
                sleep(Duration::from_millis(rng.random_range(0..1500))).await;
                self.cancel(&id, &mut rng).await;
            }
            _ => drop(self.insist(job, &mut rng).await),
        }
    }

    /// Sends it until there is an answer; the id in it.
    async fn insist(&self, job: u32, rng: &mut StdRng) -> String {
        let (kind, provider) = ASKED[job as usize % ASKED.len()];
        let mut input = json!({"type": kind, "input": {"text": prompt(job)}, "webhookUrl": self.receiver.url,
            "labels": {"job": job}});
        if let Some(provider) = provider {
            input["provider"] = provider.into();
        }
        loop {
            match self.send(rng, Some(job), GENERATE, json!({"i": input})).await {
                Ok(data) => {
                    let id = data["generate"]["id"].as_str().unwrap().to_owned();
                    self.accepted.lock().unwrap().entry(job).or_default().push(id.clone());
                    return id;
                }
                Err(why) => self.pause(why, rng).await,
            }
        }
    }

    async fn cancel(&self, id: &str, rng: &mut StdRng) {
        self.cancels.lock().unwrap().insert(id.to_owned());
        loop {
            match self.send(rng, None, CANCEL, json!({"id": id})).await {
                Ok(data) => {
                    if data["cancelGeneration"].as_bool().unwrap() {
                        self.cancelled.lock().unwrap().insert(id.to_owned());
                    }
                    return;
                }
                Err(why) => self.pause(why, rng).await,
            }
        }
    }

    async fn pause(&self, why: String, rng: &mut StdRng) {
        *self.retries.lock().unwrap().entry(why).or_default() += 1;
        sleep(Duration::from_millis(rng.random_range(20..300))).await;
    }

    /// The data of an answer, or why it is worth another try.
    async fn send(&self, rng: &mut StdRng, job: Option<u32>, query: &str, variables: Value) -> Result<Value, String> {
        let api = &self.apis[rng.random_range(0..self.apis.len())];
        let mut request = self.http.post(format!("{api}/graphql")).bearer_auth(&self.key);
        if let Some(job) = job {
            request = request.header("idempotency-key", format!("job-{job}"));
        }
        let no_answer = |_| "no answer".to_owned();
        let answer = request.json(&json!({"query": query, "variables": variables})).send().await.map_err(no_answer)?;
        let answer: Value = answer.json().await.map_err(no_answer)?;
        if let Some(error) = answer["errors"].get(0) {
            let extensions = &error["extensions"];
            assert_eq!(extensions["retryable"], true, "a request was refused for good: {error}");
            return Err(extensions["code"].as_str().unwrap().to_owned());
        }
        Ok(answer["data"].clone())
    }
}

/// The prompt of a logical request, by which upstreams count.
pub fn prompt(job: u32) -> String {
    format!("chaos job {job:06}")
}
