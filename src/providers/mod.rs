//! Upstream services behind one trait. One file an upstream under `adapters/`; `sandbox/` serves test mode.
//!
//! An adapter never sees the database, the ledger or an account. It holds no timeout, retry, metric or HTTP client:
//! those wrap every adapter once ([`Cx`] and the registry). Nothing retries inside a call, since a second submit can
//! cost money: a second try is a new step of the job.

pub mod adapters;
pub mod body;
pub mod copies;
pub mod files;
pub mod google;
mod hosted;
pub mod http;
pub mod names;
mod own_server;
mod redact;
pub mod registry;
pub mod resend;
pub mod sandbox;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::domain::{ContentInput, Fault, GenerationId, GenerationType, Upstream, output::Outputs};
pub use http::{Call, Cx, Reply};
pub use registry::Registry;

/// What every adapter does.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The upstream it speaks to; the id in `upstreams.toml` and in base-URL variables.
    fn upstream(&self) -> Upstream;

    /// Sends the work. The fault's verdict must be true: `Refused` only for an answer that surely started nothing,
    /// `NotReached` only when no byte was sent, otherwise `Unknown`.
    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault>;

    /// Asks how the work is going. A status word the protocol does not list is [`Progress::Running`] plus a warning.
    /// A fault here is about the question, never about the task: a task that failed is [`Progress::Failed`].
    async fn poll(&self, cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault>;

    /// Tells the upstream to stop, where it can be told. May be repeated; an unknown task is [`Cancelled::TooLate`].
    async fn cancel(&self, _cx: &Cx, _task: &Task, _handle: &Handle) -> Result<Cancelled, Fault> {
        Ok(Cancelled::Unsupported)
    }

    /// Looks for work whose submit got no answer, by the client id or a list call. `Ok(None)`: the upstream surely has
    /// no such work. The default says that the protocol has no way to tell.
    async fn reconcile(&self, _cx: &Cx, _task: &Task) -> Result<Reconciled, Fault> {
        Ok(Reconciled::Unsupported)
    }

    /// Whether [`reconcile`](Self::reconcile) sends the work again under its idempotency key. That starts work which
    /// never arrived, so it must not be asked about work that nobody wants any more.
    fn resends(&self, _task: &Task) -> bool {
        false
    }

    /// Adds the upstream's credentials to the download of an output that asks for them (`authorized`).
    async fn authorize(&self, _cx: &Cx, call: Call) -> Result<Call, Fault> {
        Ok(call)
    }

    /// The cheapest call that proves the credentials, for `doitong doctor`.
    async fn check(&self, cx: &Cx) -> Result<(), Fault>;
}

/// The work, as an adapter sees it: valid, adjusted to what the route can serve.
#[derive(Clone, Debug)]
pub struct Task {
    /// Our id, for the upstream's client-id or idempotency field.
    pub id: GenerationId,
    /// Counts submits of this generation from 1; part of an idempotency key.
    pub attempt: u32,
    /// What is made.
    pub r#type: GenerationType,
    /// The upstream's id of the model.
    pub model: String,
    /// The route's settings for the adapter.
    pub params: Map<String, Value>,
    /// Inputs; `text` has the words of prompt options added, media URLs are reachable for the gateway.
    pub input: ContentInput,
    /// Options by their API names, with values this route serves. `options.get("duration")`.
    pub options: Map<String, Value>,
    /// The route's wire names, for adapters that serve many vendors' models.
    pub wire: BTreeMap<String, crate::catalog::spec::Wire>,
}

/// Names the task at the upstream: its id, or a small JSON text with what polling needs. Kept in the job row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle(pub String);

/// The upstream's answer to a submit.
#[derive(Debug)]
pub enum Submitted {
    /// It took the work; ask again.
    Accepted {
        /// What to poll by.
        handle: Handle,
        /// How long the upstream asks us to wait before the first look, where it says so.
        poll_after: Option<Duration>,
    },
    /// It took the work and here is the result.
    Done(Outputs),
}

impl Submitted {
    /// The answer, unless it lacks what makes it one: an id to ask by, or a file. Nobody knows what such an answer means.
    pub fn checked(self) -> Result<Self, Fault> {
        match self {
            Self::Accepted { handle: Handle(id), .. } if id.is_empty() => Err(http::unreadable()),
            Self::Done(outputs) if outputs.is_empty() => Err(http::unreadable()),
            answer => Ok(answer),
        }
    }
}

/// How the work is going.
#[derive(Debug)]
pub enum Progress {
    /// Accepted, not begun.
    Queued,
    /// Under way; percent done where the upstream tells.
    Running(Option<u8>),
    /// Finished.
    Done(Outputs),
    /// The upstream gave up on it; `kind` says whose fault it was.
    Failed(Fault),
}

impl Progress {
    /// The answer, unless it is an end without a file: then it is asked again.
    pub fn checked(self) -> Result<Self, Fault> {
        match self {
            Self::Done(outputs) if outputs.is_empty() => Err(http::unreadable()),
            answer => Ok(answer),
        }
    }
}

/// The upstream's answer to a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It stopped, or promised to.
    Stopped,
    /// The work had ended, or is unknown there.
    TooLate,
    /// The protocol has no cancel.
    Unsupported,
}

/// What became of a submit whose answer was lost.
#[derive(Debug)]
pub enum Reconciled {
    /// The upstream has it: go on polling.
    Found(Handle),
    /// The upstream surely does not have it: submitting again is safe.
    Absent,
    /// The protocol cannot tell.
    Unsupported,
}
