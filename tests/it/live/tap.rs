//! Stands before a double: keeps what comes by, hands out files, and plays tricks on both sides.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_LENGTH},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use doitong::domain::{Clock, Timestamp};
use futures_util::stream;

use crate::providers::doubles::files;

/// Words of every prompt here: a call whose body has them asks for work.
pub const WORDS: &str = "a fox in the snow";
/// How long a refusal for too many calls asks to wait.
pub const WAIT_SECONDS: i64 = 7;

#[derive(Clone)]
pub struct Tap {
    clock: Clock,
    state: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    calls: Vec<Call>,
    trick: Option<Trick>,
}

/// A call as it came by.
#[derive(Clone, Debug)]
pub struct Call {
    pub at: Timestamp,
    pub method: Method,
    pub path: String,
    pub key: Option<String>,
    pub body: String,
    pub status: u16,
}

impl Call {
    /// Whether it asks for work: not for a page to be read first, nor how the work is going.
    pub fn asks_for_work(&self) -> bool {
        self.method == Method::POST && self.body.contains(WORDS) && !self.path.contains("/links")
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trick {
    /// Words in the prompt steer the double for so many calls; then it is well.
    Heals(usize),
    /// The gateway's credentials are wrong.
    WrongKey,
    /// The body has a field that the protocol does not know.
    Spoils,
    /// The answer to the first call for work breaks off.
    CutsAnswer,
    /// Calls for work break off before they arrive.
    LosesCalls,
    /// The answer to the first call for work is a success without anything in it.
    HollowAnswer,
    /// Something in front of the service answers calls for work with a page of its own.
    BadGateway,
    /// The service is down.
    Down,
}

impl Tap {
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Arc::default() }
    }

    /// The double behind this tap.
    pub fn before(&self, double: Router) -> Router {
        double.layer(middleware::from_fn_with_state(self.clone(), pass))
    }

    /// Forgets what came by, and plays a trick from now on.
    pub fn play(&self, trick: Option<Trick>) {
        *self.state.lock().unwrap() = Seen { calls: Vec::new(), trick };
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    /// The calls that asked for work, in their order.
    pub fn work(&self) -> Vec<Call> {
        self.calls().into_iter().filter(Call::asks_for_work).collect()
    }

    /// How much work was started at most: calls under one idempotency key start it once.
    pub fn started(&self) -> usize {
        let (keyed, bare): (Vec<_>, Vec<_>) = self.work().into_iter().partition(|call| call.key.is_some());
        let mut keys: Vec<_> = keyed.into_iter().map(|call| call.key).collect();
        keys.sort();
        keys.dedup();
        keys.len() + bare.len()
    }
}

async fn pass(State(tap): State<Tap>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    if parts.method == Method::GET
        && let Some(file) = files::at(parts.uri.path())
    {
        return file;
    }
    let mut call = Call {
        at: tap.clock.now(),
        method: parts.method.clone(),
        path: parts.uri.path_and_query().unwrap().to_string(),
        key: parts.headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned()),
        body: String::from_utf8_lossy(&body).into_owned(),
        status: 0,
    };
    let (trick, earlier) = {
        let seen = tap.state.lock().unwrap();
        (seen.trick, seen.calls.iter().filter(|call| call.asks_for_work()).count())
    };
    let work = call.asks_for_work();
    let body = match trick {
        Some(Trick::Heals(after)) if work && earlier >= after => replaced(&body, b"[[", b"(("),
        Some(Trick::Spoils) if work => spoilt(&body),
        _ => body,
    };
    if trick == Some(Trick::WrongKey) {
        forget_credentials(&mut parts.headers);
    }
    parts.headers.remove(CONTENT_LENGTH);
    let mut response = match trick {
        Some(Trick::Down) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(Trick::LosesCalls) if work => return cut("lost".into_response()).await,
        Some(Trick::BadGateway) if work => {
            (StatusCode::BAD_GATEWAY, [("content-type", "text/html")], "<h1>502 Bad Gateway</h1>").into_response()
        }
        _ => next.run(Request::from_parts(parts, Body::from(body))).await,
    };
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        response.headers_mut().insert("retry-after", HeaderValue::from(WAIT_SECONDS));
    }
    match trick {
        Some(Trick::CutsAnswer) if work && earlier == 0 => response = cut(response).await,
        Some(Trick::HollowAnswer) if work && earlier == 0 => {
            response = ([("content-type", "application/json")], "{}").into_response();
        }
        _ => {}
    }
    call.status = response.status().as_u16();
    tap.state.lock().unwrap().calls.push(call);
    response
}

fn forget_credentials(headers: &mut HeaderMap) {
    for name in ["authorization", "x-key", "x-api-key", "x-api-id", "xi-api-key", "api-key", "x-goog-api-key"] {
        if let Some(value) = headers.get_mut(name) {
            *value = HeaderValue::from_static("wrong");
        }
    }
}

/// Another member of the object, or of a graph's first node; or another name for the first part of a form.
fn spoilt(body: &Bytes) -> Bytes {
    match body.first() {
        Some(b'{') if body.windows(9).any(|window| window == b"prompt_id") => {
            replaced(body, br#""inputs":{"#, br#""inputs":{"unheardOf":1,"#)
        }
        Some(b'{') => replaced(body, b"{", br#"{"unheardOf":1,"#),
        _ => replaced(body, b"; name=\"", b"; name=\"unheardOf"),
    }
}

/// The body with the first of these, or of two brackets all, replaced.
fn replaced(body: &Bytes, from: &[u8], to: &[u8]) -> Bytes {
    let all = from == b"[[";
    let (mut rest, mut out) = (&body[..], Vec::with_capacity(body.len() + to.len()));
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
        if !all {
            break;
        }
    }
    out.extend_from_slice(rest);
    out.into()
}

/// The connection breaks in the middle of the answer.
async fn cut(response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let half = Ok(body.slice(..body.len() / 2));
    let broken = stream::iter([half, Err(io::Error::from(io::ErrorKind::ConnectionReset))]);
    Response::from_parts(parts, Body::from_stream(broken))
}
