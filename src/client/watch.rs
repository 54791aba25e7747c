//! Follows a generation to its end: by an event stream, which is opened again when it breaks, and by polling where
//! streams do not come through.

use std::{pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt as _, stream};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::json;
use sse_stream::{Sse, SseStream};
use tokio::time::{Instant, sleep, timeout};

use super::{Client, Generation, Operation, Refusal, answer, generation};

/// How long the first event of a stream may take: some proxies hold streams back.
const FIRST_LIMIT: Duration = Duration::from_secs(15);
/// After so many streams without an event it is polled.
const MOST_SILENT: u32 = 2;
const POLL_EVERY: Duration = Duration::from_secs(2);
/// How long the gateway may be away before the watch is given up.
const PATIENCE: Duration = Duration::from_mins(5);
/// So many failures in a row are no slip.
const WORTH_TELLING: u32 = 3;
/// The longest wait before the gateway is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

type Events = Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>;

/// What a watch tells.
#[derive(Debug)]
pub enum Told {
    /// A state.
    State(Box<Generation>),
    /// The gateway does not answer; it is tried again.
    Lost,
}

struct Watcher<'a> {
    client: &'a Client,
    id: &'a str,
    events: Option<Events>,
    /// Streams in a row that brought nothing.
    silent: u32,
    /// What failed in a row.
    failures: u32,
    heard_at: Instant,
    /// To wait before the next try.
    pause: Option<Duration>,
    is_over: bool,
}

impl Client {
    /// The states of a generation: the present one, then every change, up to the end or to what makes watching useless.
    pub fn watch<'a>(&'a self, id: &'a str) -> impl Stream<Item = Result<Told, Refusal>> + Send + 'a {
        let (heard_at, events) = (Instant::now(), None);
        let watcher =
            Watcher { client: self, id, events, silent: 0, failures: 0, heard_at, pause: None, is_over: false };
        stream::unfold(watcher, |mut watcher| async move {
            let told = watcher.next().await?;
            Some((told, watcher))
        })
    }

    async fn subscribe(&self, id: &str) -> Result<Events, Refusal> {
        let query = format!("subscription($id: ID!) {{ generationUpdated(id: $id) {{ {} }} }}", generation::FIELDS);
        let operation = Operation::new(query, json!({ "id": id }));
        let request = self.post("graphql").header(ACCEPT, "text/event-stream").json(&operation.body());
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let is_stream =
            response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event"));
        if response.status().is_success() && is_stream {
            return Ok(Box::pin(SseStream::from_bytes_stream(response.bytes_stream())));
        }
        let status = response.status().as_u16();
        let body = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        match answer::read(status, &body) {
            Err(refusal) => Err(refusal),
            Ok(_) => Err(Refusal::unreachable("the gateway answered without a stream")),
        }
    }
}

impl Watcher<'_> {
    async fn next(&mut self) -> Option<Result<Told, Refusal>> {
        if self.is_over {
            return None;
        }
        let told = self.told().await;
        self.is_over = match &told {
            Ok(Told::State(generation)) => generation.status.is_terminal(),
            Ok(Told::Lost) => false,
            Err(_) => true,
        };
        Some(told)
    }

    /// The next state, through whatever breaks meanwhile, which is told when it lasts.
    async fn told(&mut self) -> Result<Told, Refusal> {
        loop {
            if let Some(pause) = self.pause.take() {
                sleep(pause).await;
            }
            let told = match &mut self.events {
                Some(events) => next_event(events).await,
                None if self.silent < MOST_SILENT => self.open().await,
                None => self.poll().await,
            };
            match told {
                Ok(generation) => {
                    (self.failures, self.heard_at) = (0, Instant::now());
                    return Ok(Told::State(Box::new(generation)));
                }
                Err(refusal) if !refusal.retryable || self.heard_at.elapsed() > PATIENCE => return Err(refusal),
                Err(refusal) => {
                    self.events = None;
                    self.pause = Some(self.wait(&refusal));
                    if self.failures == WORTH_TELLING {
                        return Ok(Told::Lost);
                    }
                }
            }
        }
    }

    /// Opens a stream; its first event is the present state.
    async fn open(&mut self) -> Result<Generation, Refusal> {
        self.silent += 1;
        let opened = async {
            let mut events = self.client.subscribe(self.id).await?;
            let first = next_event(&mut events).await?;
            Ok((first, events))
        };
        let late = || Refusal::unreachable("no event came in time");
        let (first, events) = timeout(FIRST_LIMIT, opened).await.unwrap_or_else(|_| Err(late()))?;
        (self.silent, self.events) = (0, Some(events));
        Ok(first)
    }

    async fn poll(&mut self) -> Result<Generation, Refusal> {
        sleep(POLL_EVERY).await;
        self.client.generation(self.id).await
    }

    fn wait(&mut self, refusal: &Refusal) -> Duration {
        self.failures += 1;
        let usual = Duration::from_millis(100) * 2_u32.pow(self.failures.min(6));
        refusal.retry_after.map_or_else(|| usual.min(LONGEST_WAIT), Duration::from_secs)
    }
}

async fn next_event(events: &mut Events) -> Result<Generation, Refusal> {
    while let Some(event) = events.next().await {
        let event = event.map_err(|_| Refusal::unreachable("the stream broke"))?;
        match event.event.as_deref() {
            Some("next") => {
                let data = answer::read(200, event.data.unwrap_or_default().as_bytes())?;
                return generation::read(&data["generationUpdated"]);
            }
            Some("complete") => break,
            _ => {}
        }
    }
    Err(Refusal::unreachable("the stream ended before the generation did"))
}
