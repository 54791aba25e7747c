//! A webhook receiver that is down now and then, or takes a webhook and never says so. Keeps which ids told of which
//! generation.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::wire::{self, Answer, Request, Sent, Service};

/// No webhook is refused more often, so that the long waits late in the schedule do not decide how long a run takes.
const MOST_REFUSALS: u32 = 2;

struct Inner {
    rng: StdRng,
    /// By generation: the webhook ids it came with.
    taken: HashMap<String, HashSet<String>>,
    refused: HashMap<String, u32>,
    deliveries: u32,
}

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    inner: Arc<Mutex<Inner>>,
}

impl Receiver {
    pub async fn start(seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed ^ 0x0077_ebb0);
        let inner = Inner { rng, taken: HashMap::new(), refused: HashMap::new(), deliveries: 0 };
        let inner = Arc::new(Mutex::new(inner));
        let url = wire::serve(Arc::new(Ear(inner.clone()))).await;
        Self { url: format!("{url}/hook"), inner }
    }

    pub fn taken(&self) -> HashMap<String, HashSet<String>> {
        self.inner.lock().unwrap().taken.clone()
    }

    /// How many generations were told of.
    pub fn told(&self) -> u32 {
        u32::try_from(self.inner.lock().unwrap().taken.len()).unwrap()
    }

    pub fn deliveries(&self) -> u32 {
        self.inner.lock().unwrap().deliveries
    }
}

struct Ear(Arc<Mutex<Inner>>);

impl Service for Ear {
    fn answer(&self, request: &Request) -> (Answer, Sent) {
        let mut inner = self.0.lock().unwrap();
        let body = request.json();
        let generation = body["data"]["id"].as_str().unwrap_or_default().to_owned();
        let lot = inner.rng.random_range(0..100);
        let refused = inner.refused.entry(generation.clone()).or_default();
        let is_patient = *refused >= MOST_REFUSALS;
        *refused += u32::from(!is_patient && lot < 5);
        if !is_patient && lot < 3 {
            return (Answer::text(500, "down"), Sent::Whole);
        }
        inner.deliveries += 1;
        inner.taken.entry(generation).or_default().insert(request.header("webhook-id").to_owned());
        let sent = match lot {
            3 if !is_patient => Sent::Lost,
            4 if !is_patient => Sent::Hung(Duration::from_millis(700)),
            5..8 => Sent::Late(Duration::from_millis(200)),
            _ => Sent::Whole,
        };
        (Answer::text(200, "ok"), sent)
    }
}
