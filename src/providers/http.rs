//! How adapters call out: one client, one base-URL override, one reading of transport errors.
//!
//! An adapter builds a [`Call`] from the *documented* URL; the override of `[upstreams.<id>] base_url` is applied here.
//! Transport errors become faults with a true verdict: a connection that never stood is `NotReached`, everything
//! later is `Unknown`. What a status and a body mean is the adapter's `classify`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use chrono::DateTime;
use reqwest::{Method, header::HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::{
    domain::{
        Clock, Fault, Timestamp, Upstream, Verdict,
        fault::{Kind, Verdict::Refused},
    },
    media::{InputFile, Inputs},
};

/// The largest answer that is read into memory: a batch of pictures in base64.
const MAX_ANSWER_BYTES: usize = 128 << 20;

/// What a call may use: the HTTP client, base URL, credentials and caches of one upstream.
#[derive(Clone)]
pub struct Cx {
    /// The upstream this is for.
    pub upstream: Upstream,
    /// The shared client: no redirects, bounded connect time.
    pub client: reqwest::Client,
    /// Replaces scheme and host of every documented URL.
    pub base: Option<Url>,
    /// The upstream's secrets by variable name, those that are set.
    pub secrets: Arc<HashMap<String, SecretString>>,
    /// Input files: reads them, or makes them reachable.
    pub inputs: Arc<Inputs>,
    /// The time.
    pub clock: Clock,
    /// Tokens and look-ups of this upstream.
    pub cache: Arc<Cache>,
}

impl Cx {
    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A credential by its variable name; a fault of kind `Account` when it is not set.
    pub fn secret(&self, name: &str) -> Result<&str, Fault> {
        self.try_secret(name).ok_or_else(|| Fault::refused(Kind::Account, format!("{name} is not set")))
    }

    /// A credential by its variable name, if it is set.
    pub fn try_secret(&self, name: &str) -> Option<&str> {
        self.secrets.get(name).map(ExposeSecret::expose_secret)
    }

    /// The address behind a documented URL: itself, or the same path under the override.
    /// An address that lies under the override already (an upstream's own link) stays as it is, and so does one on this
    /// machine where the override is there too: no service has it for its host.
    pub fn url(&self, documented: &str) -> Result<Url, Fault> {
        let url =
            Url::parse(documented).map_err(|error| Fault::new(Kind::Garbled, Refused, "not a URL").because(error))?;
        Ok(match &self.base {
            Some(base) => moved(base, url),
            None => url,
        })
    }

    /// A call to a documented URL.
    pub fn call(&self, method: Method, documented: &str) -> Result<Call, Fault> {
        Ok(Call(self.client.request(method, self.url(documented)?)))
    }

    /// A GET.
    pub fn get(&self, documented: &str) -> Result<Call, Fault> {
        self.call(Method::GET, documented)
    }

    /// A POST.
    pub fn post(&self, documented: &str) -> Result<Call, Fault> {
        self.call(Method::POST, documented)
    }

    /// The bytes of an input (`https:`, `data:` or a file uploaded to us), for services that want them in the request.
    pub async fn input(&self, url: &str) -> Result<InputFile, Fault> {
        self.inputs.read(url).await
    }

    /// An address of this input that the upstream can fetch: a public URL as it is, anything else by way of our
    /// media store. A fault of kind `Account` where the store has no public address.
    pub async fn input_url(&self, url: &str) -> Result<String, Fault> {
        self.inputs.reachable(url, self.on_this_machine()).await
    }

    fn on_this_machine(&self) -> bool {
        self.base.as_ref().is_some_and(is_on_this_machine)
    }
}

/// An address of an upstream under the override of its base.
fn moved(base: &Url, url: Url) -> Url {
    if url.origin() == base.origin() || (is_on_this_machine(base) && is_on_this_machine(&url)) {
        return url;
    }
    let mut moved = base.clone();
    moved.set_path(&format!("{}{}", base.path().trim_end_matches('/'), url.path()));
    moved.set_query(url.query());
    moved
}

fn is_on_this_machine(url: &Url) -> bool {
    url.host().is_some_and(|host| match host {
        url::Host::Domain(name) => name == "localhost",
        url::Host::Ipv4(ip) => ip.is_loopback(),
        url::Host::Ipv6(ip) => ip.is_loopback(),
    })
}

/// A request being built.
#[must_use]
pub struct Call(reqwest::RequestBuilder);

impl Call {
    /// Adds a header.
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// `Authorization: Bearer`.
    pub fn bearer(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    /// `Authorization: Basic`.
    pub fn basic(self, user: &str, password: Option<&str>) -> Self {
        Self(self.0.basic_auth(user, password))
    }

    /// Adds query parameters.
    pub fn query(self, pairs: &[(&str, &str)]) -> Self {
        Self(self.0.query(pairs))
    }

    /// A JSON body.
    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// A multipart form.
    pub fn form(self, form: reqwest::multipart::Form) -> Self {
        Self(self.0.multipart(form))
    }

    /// A body of bytes.
    pub fn body(self, content_type: &str, bytes: impl Into<Bytes>) -> Self {
        Self(self.0.header(reqwest::header::CONTENT_TYPE, content_type).body(bytes.into()))
    }

    /// Bounds the whole exchange; 60 s when not set.
    pub fn timeout(self, limit: Duration) -> Self {
        Self(self.0.timeout(limit))
    }

    /// Sends it and reads the answer whole, whatever its status.
    pub async fn send(self) -> Result<Reply, Fault> {
        let mut response = self.0.send().await.map_err(|error| transport(&error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Fault::new(Kind::Garbled, Verdict::Unknown, "the answer is too large"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, headers, body: body.freeze() })
    }

    /// Sends it and hands the body over as a stream, for downloads.
    pub async fn open(self) -> Result<reqwest::Response, Fault> {
        self.0.send().await.map_err(|error| transport(&error))
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as a value of `T`; a fault of kind `Garbled` and verdict `Unknown` when it is none.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Fault::new(Kind::Garbled, Verdict::Unknown, format!("HTTP {}, unreadable body", self.status)).because(error)
        })
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Retry-After`: seconds, or a moment, which is read by the clock of the service that named it.
    pub fn retry_after(&self) -> Option<Duration> {
        let asked = self.header("retry-after")?.trim();
        if let Ok(seconds) = asked.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let moment = |text| DateTime::parse_from_rfc2822(text).ok();
        let wait = moment(asked)? - moment(self.header("date")?.trim())?;
        Some(wait.to_std().unwrap_or_default())
    }

    /// What a status says when the body says no more: the base that `classify` refines.
    /// 4xx and 503 surely started nothing; of the other 5xx nobody knows.
    pub fn fault(&self, detail: impl Into<String>) -> Fault {
        let (kind, verdict) = match self.status {
            401..=403 => (Kind::Account, Refused),
            429 => (Kind::Busy, Refused),
            404 | 410 => (Kind::Gone, Refused),
            408 => (Kind::Down, Verdict::Unknown),
            400..=499 => (Kind::InvalidInput, Refused),
            503 => (Kind::Down, Refused),
            500..=599 => (Kind::Down, Verdict::Unknown),
            _ => (Kind::Garbled, Verdict::Unknown),
        };
        Fault::new(kind, verdict, format!("HTTP {}: {}", self.status, detail.into())).retry_after(self.retry_after())
    }

    /// The same for a body that is an error as the service documents it: its own word that the call came to nothing, so
    /// that a 5xx, too, started nothing. Not for services that say such an answer may leave work behind.
    pub fn told_fault(&self, detail: impl Into<String>) -> Fault {
        let mut fault = self.fault(detail);
        if self.status >= 500 {
            fault.verdict = Refused;
        }
        fault
    }
}

/// The fault of a call that only prepares a submit (a token, an input, a voice list): the work surely did not start.
pub fn preparing(mut fault: Fault) -> Fault {
    if fault.verdict == Verdict::Unknown {
        fault.verdict = Refused;
    }
    fault
}

/// An answer that makes no sense: nobody knows whether it started anything.
pub fn garbled(detail: impl Into<String>) -> Fault {
    Fault::new(Kind::Garbled, Verdict::Unknown, detail)
}

/// An answer without the members it is read for.
pub fn unreadable() -> Fault {
    garbled("the answer lacks what it should hold")
}

/// An upstream's words, short enough for a fault's detail.
pub fn excerpt(text: &str) -> String {
    text.chars().take(300).collect()
}

fn transport(error: &reqwest::Error) -> Fault {
    let (verdict, what) = if error.is_connect() {
        (Verdict::NotReached, "no connection")
    } else if error.is_builder() {
        (Verdict::NotReached, "the request could not be built")
    } else if error.is_timeout() {
        (Verdict::Unknown, "no answer in time")
    } else {
        (Verdict::Unknown, "the connection broke")
    };
    // The error's own text may carry a signed URL; only its innermost cause is kept.
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    let detail =
        if std::ptr::eq(cause, error as &dyn std::error::Error) { String::new() } else { format!(": {cause}") };
    Fault::new(Kind::Down, verdict, format!("{what}{detail}"))
}

/// Values that live for a while: access tokens, voice lists. Shared by all calls to one upstream of this process.
#[derive(Default)]
pub struct Cache(Mutex<HashMap<String, (Timestamp, Value)>>);

impl Cache {
    /// The value kept under this name, if it is still good.
    pub fn get(&self, name: &str, now: Timestamp) -> Option<Value> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(name).filter(|(until, _)| *until > now).map(|(_, value)| value.clone())
    }

    /// Keeps a value until then.
    pub fn put(&self, name: &str, value: Value, until: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), (until, value));
    }
}

/// The client for all upstreams: no redirects (a redirect could carry credentials elsewhere), bounded waits.
pub fn client() -> anyhow::Result<reqwest::Client> {
    crate::egress::use_ring();
    Ok(reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_mins(1))
        .pool_idle_timeout(Duration::from_secs(50))
        .user_agent(concat!("doitong/", env!("CARGO_PKG_VERSION")))
        .build()?)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn addresses_of_the_service_are_moved_and_those_of_its_double_are_not() {
        let moved = |base: &str, url: &str| moved(&Url::parse(base).unwrap(), Url::parse(url).unwrap()).to_string();
        let base = "http://127.0.0.1:9100/bfl";
        assert_eq!(moved(base, "https://api.bfl.ai/v1/flux-dev"), "http://127.0.0.1:9100/bfl/v1/flux-dev");
        assert_eq!(moved(base, "https://api.eu4.bfl.ai/v1/get?id=1"), "http://127.0.0.1:9100/bfl/v1/get?id=1");
        assert_eq!(moved(base, "http://127.0.0.1:9100/files/a.png"), "http://127.0.0.1:9100/files/a.png");
        assert_eq!(moved(base, "http://localhost:9200/a.png"), "http://localhost:9200/a.png");
        let elsewhere = "https://proxy.example/bfl/";
        assert_eq!(moved(elsewhere, "http://127.0.0.1:1/a.png"), "https://proxy.example/bfl/a.png");
    }

    #[test]
    fn a_pause_is_told_in_seconds_or_as_a_moment() {
        let asked = |headers: &[(&'static str, &'static str)]| {
            let pairs =
                headers.iter().map(|(name, text)| (HeaderName::from_static(name), HeaderValue::from_static(text)));
            Reply { status: 429, headers: pairs.collect(), body: Bytes::new() }.retry_after()
        };
        assert_eq!(asked(&[("retry-after", " 7 ")]), Some(Duration::from_secs(7)));
        let at = ("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT");
        assert_eq!(asked(&[at, ("date", "Wed, 21 Oct 2026 07:28:00 GMT")]), Some(Duration::from_secs(30)));
        assert_eq!(asked(&[at, ("date", "Wed, 21 Oct 2026 07:29:00 GMT")]), Some(Duration::ZERO));
        assert_eq!((asked(&[at]), asked(&[("retry-after", "soon")])), (None, None));
    }

    #[test]
    fn a_told_failure_started_nothing_and_a_page_leaves_it_open() {
        let reply = |status| Reply { status, headers: HeaderMap::new(), body: Bytes::new() };
        for status in [500, 502, 504] {
            assert_eq!(reply(status).told_fault("x").verdict, Refused);
            assert_eq!(reply(status).fault("x").verdict, Verdict::Unknown);
        }
        assert_eq!((reply(408).told_fault("x").verdict, reply(503).fault("x").verdict), (Verdict::Unknown, Refused));
    }
}
