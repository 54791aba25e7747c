//! Random lives of an account against a model of what it should have.

use std::{collections::BTreeMap, time::Duration};

use doitong::{
    accounts::Agreed,
    domain::{Credits, GenerationId, Mode, Plan, output::Asset},
    jobs::{Change, Claimed, End, Ending, Failure, Lease},
    providers::Handle,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{IMAGE_COST, TestApp, image};

/// What happens to an account. Numbers choose among its unfinished generations.
#[derive(Clone, Debug)]
enum Event {
    Submit,
    Repeat(usize),
    Begin(usize),
    Complete(usize),
    Fail(usize),
    Cancel(usize),
    TopUp(i64),
    Places(u32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => Just(Event::Submit),
        1 => any::<usize>().prop_map(Event::Repeat),
        3 => any::<usize>().prop_map(Event::Begin),
        3 => any::<usize>().prop_map(Event::Complete),
        2 => any::<usize>().prop_map(Event::Fail),
        2 => any::<usize>().prop_map(Event::Cancel),
        1 => (1..100_i64).prop_map(Event::TopUp),
        1 => (1..5_u32).prop_map(Event::Places),
    ]
}

/// The most that may wait.
const QUEUED: u32 = 4;

/// What the account should have.
struct Model {
    available: i64,
    held: i64,
    places: usize,
    /// In the order in which they were accepted.
    running: Vec<GenerationId>,
    waiting: Vec<GenerationId>,
}

impl Model {
    /// Why a generation is refused.
    fn refusal(&self) -> Option<&'static str> {
        let is_full = self.running.len() >= self.places && self.waiting.len() >= QUEUED as usize;
        is_full.then_some("RATE_LIMIT").or((self.available < IMAGE_COST).then_some("INSUFFICIENT_CREDITS"))
    }

    fn admit(&mut self, id: GenerationId) {
        self.available -= IMAGE_COST;
        self.held += IMAGE_COST;
        self.waiting.push(id);
        self.promote();
    }

    fn promote(&mut self) {
        while self.running.len() < self.places && !self.waiting.is_empty() {
            self.running.push(self.waiting.remove(0));
        }
    }

    fn end(&mut self, id: GenerationId, paid: bool) {
        self.held -= IMAGE_COST;
        self.available += if paid { 0 } else { IMAGE_COST };
        self.running.retain(|other| *other != id);
        self.waiting.retain(|other| *other != id);
        self.promote();
    }
}

struct Life {
    app: TestApp,
    key: String,
    model: Model,
    /// The keys of accepted requests, and what they made.
    accepted: Vec<(String, Value)>,
    claimed: BTreeMap<GenerationId, (Lease, Claimed)>,
}

impl Life {
    async fn begin(credits: i64, places: u32) -> Self {
        let app = TestApp::start().await;
        let key = app.new_key("model", Plan::Enterprise, Mode::Test, Some(credits)).await.key;
        let model =
            Model { available: credits, held: 0, places: places as usize, running: Vec::new(), waiting: Vec::new() };
        let life = Self { app, key, model, accepted: Vec::new(), claimed: BTreeMap::new() };
        life.set_places(places).await;
        life
    }

    async fn set_places(&self, places: u32) {
        let agreed = Agreed { concurrent: Some(places), queued: Some(QUEUED), ..Agreed::default() };
        self.app.app.accounts.set_plan("model", Plan::Enterprise, &agreed).await.unwrap();
    }

    async fn claim(&mut self) {
        let (lease, claimed) = self.app.app.jobs.claim(100, &[], Duration::from_hours(1)).await.unwrap();
        self.claimed.extend(claimed.into_iter().map(|job| (job.id, (lease, job))));
    }

    fn pick(&self, n: usize) -> Option<(Lease, Claimed)> {
        let id = self.model.running.get(n.checked_rem(self.model.running.len())?)?;
        self.claimed.get(id).cloned()
    }

    async fn happen(&mut self, event: Event) {
        self.claim().await;
        match event {
            Event::Submit => self.submit().await,
            Event::Repeat(n) => self.repeat(n).await,
            Event::Begin(n) => self.start(n).await,
            Event::Complete(n) => self.end(n, true).await,
            Event::Fail(n) => self.end(n, false).await,
            Event::Cancel(n) => self.cancel(n).await,
            Event::TopUp(credits) => {
                self.app.app.accounts.credit("model", Mode::Test, Credits::new(credits)).await.unwrap();
                self.model.available += credits;
            }
            Event::Places(places) => {
                self.set_places(places).await;
                self.model.places = places as usize;
                self.model.promote();
            }
        }
    }

    async fn submit(&mut self) {
        let name = format!("k{}", self.accepted.len());
        let answer = self.app.ask_as(&self.key, Some(&name), image("a")).await;
        if let Some(code) = self.model.refusal() {
            assert_eq!(answer.refusal().0, code);
        } else {
            self.model.admit(answer.id().as_str().unwrap().parse().unwrap());
            self.accepted.push((name, answer.id()));
        }
    }

    async fn repeat(&mut self, n: usize) {
        let Some(at) = n.checked_rem(self.accepted.len()) else { return };
        let (name, id) = &self.accepted[at];
        let answer = self.app.ask_as(&self.key, Some(name), image("a")).await;
        assert_eq!((&answer.id(), answer.is_replay()), (id, true));
    }

    /// An upstream takes it.
    async fn start(&mut self, n: usize) {
        let Some((lease, job)) = self.pick(n) else { return };
        let (jobs, now) = (&self.app.app.jobs, self.app.clock.now());
        if jobs.intend(job.id, lease).await.unwrap().is_ok() {
            let handle = Handle("handle".to_owned());
            let change = Change::Accepted { handle, due_at: now, deadline_at: now };
            jobs.advance(&job, lease, &change, &[]).await.unwrap().unwrap();
            self.claimed.remove(&job.id);
        }
    }

    async fn end(&mut self, n: usize, paid: bool) {
        let Some((lease, job)) = self.pick(n) else { return };
        let asset = Asset {
            path: job.id.to_string(),
            content_type: "image/png".into(),
            width: None,
            height: None,
            duration: None,
            fps: None,
            size_bytes: 1,
            sha256: String::new(),
        };
        let failure = Failure { code: "GENERATION_FAILED".into(), reason: None, message: "a".into(), retryable: true };
        let completed = Ending::Completed { assets: vec![asset], metadata: json!({}) };
        let result = if paid { completed } else { Ending::Failed(failure) };
        let end = End { result, attempts: Vec::new(), stop_at: None };
        self.app.app.jobs.finish(&job, lease, end).await.unwrap().unwrap();
        self.model.end(job.id, paid);
    }

    async fn cancel(&mut self, n: usize) {
        let all: Vec<_> = self.model.running.iter().chain(&self.model.waiting).copied().collect();
        let Some(at) = n.checked_rem(all.len()) else { return };
        let cancelled = self.app.cancel_as(&self.key, &all[at].to_string().into()).await;
        assert_eq!(cancelled, true);
        self.model.end(all[at], false);
    }

    async fn check(&self) {
        let account = self.app.account(&self.key).await;
        let (available, held) = (self.model.available, self.model.held);
        assert_eq!(account["credits"], json!({"balance": available + held, "held": held, "available": available}));
        let usage = (&account["usage"]["running"], &account["usage"]["queued"]);
        assert_eq!(usage, (&self.model.running.len().into(), &self.model.waiting.len().into()));
        if let Some(next) = self.model.waiting.first() {
            let next = self.app.generation_as(&self.key, &next.to_string().into()).await;
            assert_eq!(next["queuePosition"], 1);
        }
        self.app.audit().await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_credits_places_and_books_agree_with_the_model(
        credits in 0..400_i64,
        places in 1..4_u32,
        events in prop::collection::vec(event(), 10..40),
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let mut life = Life::begin(credits, places).await;
            for event in events {
                life.happen(event).await;
                life.check().await;
            }
        });
    }
}
