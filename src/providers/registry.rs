//! Which adapter serves an upstream, and what wraps every call to one: time limit, concurrency, pacing, tracing, metrics.

use std::{collections::HashMap, future::Future, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _, clock::DefaultClock};
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tracing::Instrument as _;
use url::Url;

use super::{Cancelled, Cx, Handle, Progress, Provider, Reconciled, Submitted, Task, http::Cache, redact::Redaction};
use crate::{
    catalog::spec::{UpstreamSpec, Upstreams},
    domain::{Clock, Fault, Upstream, Verdict, fault::Kind},
    media::Inputs,
};

/// The longest a call may take, with its uploads and its answer.
const LONGEST_CALL: Duration = Duration::from_mins(5);

/// How often a download may be sent on.
const MAX_REDIRECTS: usize = 5;

/// What the registry is made from.
pub struct Parts<'a> {
    /// The services, as catalogued.
    pub upstreams: &'a Upstreams,
    /// Credentials that are set.
    pub secrets: &'a HashMap<String, SecretString>,
    /// Base URLs that replace the documented ones, by id.
    pub bases: HashMap<String, Url>,
    /// Input files.
    pub inputs: Arc<Inputs>,
    /// The time.
    pub clock: Clock,
    /// The adapters.
    pub adapters: Vec<Box<dyn Provider>>,
}

struct Entry {
    provider: Box<dyn Provider>,
    cx: Cx,
    calls: Semaphore,
    submits: DefaultDirectRateLimiter,
    redaction: Arc<Redaction>,
}

/// The adapters of this process.
pub struct Registry {
    entries: HashMap<String, Entry>,
    secrets: Arc<HashMap<String, SecretString>>,
}

impl Registry {
    /// Wires the adapters.
    pub fn new(parts: Parts<'_>) -> anyhow::Result<Self> {
        let secrets = Arc::new(parts.secrets.clone());
        let client = super::http::client()?;
        let redaction = Arc::new(Redaction::of(&secrets));
        let free = UpstreamSpec {
            name: "sandbox".to_owned(),
            credentials: Vec::new(),
            concurrent_calls: 1_000,
            submits_per_minute: 1_000_000,
            poll_seconds: 0.0,
        };
        let entry = |provider: Box<dyn Provider>| {
            let upstream = provider.upstream();
            let spec = parts.upstreams.0.get(upstream.as_str()).unwrap_or(&free);
            let cx = Cx {
                upstream: upstream.clone(),
                client: client.clone(),
                base: parts.bases.get(upstream.as_str()).cloned(),
                secrets: secrets.clone(),
                inputs: parts.inputs.clone(),
                clock: parts.clock.clone(),
                cache: Arc::new(Cache::default()),
            };
            let rate = NonZeroU32::new(spec.submits_per_minute).unwrap_or(NonZeroU32::MIN);
            let entry = Entry {
                provider,
                cx,
                calls: Semaphore::new(spec.concurrent_calls.max(1) as usize),
                submits: RateLimiter::direct(Quota::per_minute(rate)),
                redaction: redaction.clone(),
            };
            (upstream.to_string(), entry)
        };
        Ok(Self { entries: parts.adapters.into_iter().map(entry).collect(), secrets })
    }

    /// Whether an upstream has an adapter.
    pub fn serves(&self, upstream: &Upstream) -> bool {
        self.entries.contains_key(upstream.as_str())
    }

    /// Whether a credential is set.
    pub fn has(&self, variable: &str) -> bool {
        self.secrets.contains_key(variable)
    }

    /// How many calls each upstream has free: no use to claim more of its jobs now.
    pub fn free_calls(&self) -> Vec<(Upstream, u32)> {
        let free = |entry: &Entry| u32::try_from(entry.calls.available_permits()).unwrap_or(u32::MAX);
        self.entries.values().map(|entry| (entry.cx.upstream.clone(), free(entry))).collect()
    }

    /// Takes a turn to submit; when there is none, says how long to wait.
    pub fn take_turn(&self, upstream: &Upstream) -> Result<(), Duration> {
        let Some(entry) = self.entries.get(upstream.as_str()) else { return Ok(()) };
        entry.submits.check().map_err(|refused| refused.wait_time_from(DefaultClock::default().now()))
    }

    /// Sends the work.
    pub async fn submit(&self, upstream: &Upstream, task: &Task) -> Result<Submitted, Fault> {
        let entry = self.entry(upstream)?;
        let submit = async { entry.provider.submit(&entry.cx, task).await?.checked() };
        bounded("submit", entry, submit).await
    }

    /// Asks how the work is going.
    pub async fn poll(&self, upstream: &Upstream, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
        let entry = self.entry(upstream)?;
        let poll = async { entry.provider.poll(&entry.cx, task, handle).await?.checked() };
        match bounded("poll", entry, poll).await? {
            Progress::Failed(fault) => Ok(Progress::Failed(entry.redaction.fault(fault))),
            progress => Ok(progress),
        }
    }

    /// Tells the upstream to stop.
    pub async fn cancel(&self, upstream: &Upstream, task: &Task, handle: &Handle) -> Result<Cancelled, Fault> {
        let entry = self.entry(upstream)?;
        bounded("cancel", entry, entry.provider.cancel(&entry.cx, task, handle)).await
    }

    /// Looks for a submit whose answer was lost.
    pub async fn reconcile(&self, upstream: &Upstream, task: &Task) -> Result<Reconciled, Fault> {
        let entry = self.entry(upstream)?;
        bounded("reconcile", entry, entry.provider.reconcile(&entry.cx, task)).await
    }

    /// Whether looking for a lost submit may start the work.
    pub fn resends(&self, upstream: &Upstream, task: &Task) -> bool {
        self.entry(upstream).is_ok_and(|entry| entry.provider.resends(task))
    }

    /// Opens the download of a result. A redirect is followed (Google's file links are some); the credentials go along
    /// only as far as the host that asked for them.
    pub async fn open(&self, upstream: &Upstream, url: &Url, authorized: bool) -> Result<reqwest::Response, Fault> {
        let entry = self.entry(upstream)?;
        open(entry, url, authorized).await.map_err(|fault| entry.redaction.fault(fault))
    }

    /// Proves the credentials of an upstream by its cheapest call.
    pub async fn check(&self, upstream: &Upstream) -> Result<(), Fault> {
        let entry = self.entry(upstream)?;
        bounded("check", entry, entry.provider.check(&entry.cx)).await
    }

    fn entry(&self, upstream: &Upstream) -> Result<&Entry, Fault> {
        let missing = || Fault::refused(Kind::Account, format!("there is no adapter for {upstream}"));
        self.entries.get(upstream.as_str()).ok_or_else(missing)
    }
}

async fn open(entry: &Entry, url: &Url, authorized: bool) -> Result<reqwest::Response, Fault> {
    let mut at = entry.cx.url(url.as_str())?;
    let home = at.origin();
    for _ in 0..=MAX_REDIRECTS {
        let mut call = entry.cx.get(at.as_str())?;
        if authorized && at.origin() == home {
            call = entry.provider.authorize(&entry.cx, call).await?;
        }
        let answer = call.timeout(Duration::from_hours(1)).open().await?;
        let Some(next) = redirect(&at, &answer) else { return Ok(answer) };
        at = entry.cx.url(next.as_str())?;
    }
    Err(Fault::refused(Kind::Garbled, "the result's address redirects without end"))
}

/// Where an answer sends its reader on.
fn redirect(from: &Url, answer: &reqwest::Response) -> Option<Url> {
    if !matches!(answer.status().as_u16(), 301..=303 | 307 | 308) {
        return None;
    }
    let location = answer.headers().get(reqwest::header::LOCATION)?.to_str().ok()?;
    from.join(location).ok().filter(|url| matches!(url.scheme(), "http" | "https"))
}

async fn bounded<T>(
    what: &'static str,
    entry: &Entry,
    call: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let upstream = &entry.cx.upstream;
    let Ok(_permit) = entry.calls.acquire().await else {
        return Err(Fault::new(Kind::Down, Verdict::NotReached, "stopping"));
    };
    let span = tracing::debug_span!("upstream", upstream.id = %upstream, upstream.call = what);
    let begun = entry.cx.clock.now();
    let answer = match tokio::time::timeout(LONGEST_CALL, call.instrument(span)).await {
        Ok(answer) => answer.map_err(|fault| entry.redaction.fault(fault)),
        Err(_) => Err(Fault::new(Kind::Down, Verdict::Unknown, "no answer in time")),
    };
    let took = (entry.cx.clock.now() - begun).as_seconds_f64();
    let outcome = if answer.is_ok() { "ok" } else { "fault" };
    metrics::histogram!("doitong_upstream_seconds", "upstream" => upstream.to_string(), "call" => what).record(took);
    metrics::counter!("doitong_upstream_calls_total", "upstream" => upstream.to_string(), "call" => what, "outcome" => outcome)
        .increment(1);
    if let Err(fault) = &answer {
        tracing::info!(upstream.id = %upstream, upstream.call = what, fault = %fault, "an upstream call went wrong");
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_sent_on_by_redirects_only() {
        let from = Url::parse("https://a.test/v1/files/x:download?alt=media").unwrap();
        let to = |status: u16, location: &str| {
            let answer = axum::http::Response::builder().status(status).header("location", location).body("").unwrap();
            redirect(&from, &answer.into()).map(String::from)
        };
        assert_eq!(to(302, "/download/x?alt=media").as_deref(), Some("https://a.test/download/x?alt=media"));
        assert_eq!(to(307, "https://b.test/x").as_deref(), Some("https://b.test/x"));
        assert_eq!(to(302, "file:///etc/passwd"), None);
        assert_eq!(to(200, "https://b.test/x"), None);
        assert_eq!(to(304, "https://b.test/x"), None);
    }
}
