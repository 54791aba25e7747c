//! What went wrong with an upstream: adapters make a [`Fault`], jobs decide on it.

use std::{fmt, time::Duration};

/// A failed call to an upstream, or a task the upstream gave up on.
#[derive(Debug)]
pub struct Fault {
    /// What we tell the caller.
    pub kind: Kind,
    /// Whether the upstream took the work: decides retry, fail-over and money.
    pub verdict: Verdict,
    /// How long the upstream asked us to wait.
    pub retry_after: Option<Duration>,
    /// For our logs: the upstream's own words, cut short and free of secrets. Never shown to a caller.
    pub detail: String,
    /// The cause below, for the log.
    pub source: Option<anyhow::Error>,
}

/// The nature of a fault, seen from the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The upstream refuses this input; another try would fare the same.
    InvalidInput,
    /// The upstream's moderation refused prompt, input or result.
    Moderated,
    /// The upstream took the task and failed at it.
    Failed,
    /// The upstream is at its limit for us; later is fine.
    Busy,
    /// The upstream is down, overloaded or unreachable.
    Down,
    /// The upstream broke on it, by its own account; one more try may fare better.
    Internal,
    /// Our account there is refused: bad key, no money, no access to the model.
    Account,
    /// The answer makes no sense to us.
    Garbled,
    /// The upstream does not know the task (any more).
    Gone,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::InvalidInput,
        Self::Moderated,
        Self::Failed,
        Self::Busy,
        Self::Down,
        Self::Internal,
        Self::Account,
        Self::Garbled,
        Self::Gone,
    ];

    /// What happened, in words a caller may see.
    pub const fn for_people(self) -> &'static str {
        match self {
            Self::InvalidInput => "the provider refused the input",
            Self::Moderated => "the provider's moderation refused it",
            Self::Failed => "the provider failed to make it",
            Self::Busy => "the provider is at its limit",
            Self::Down => "the provider could not be reached or is down",
            Self::Internal => "the provider had an internal error",
            Self::Account => "the provider refuses this gateway's account",
            Self::Garbled => "the provider's answer makes no sense",
            Self::Gone => "the provider does not know the task",
        }
    }
}

/// Did the upstream take the job?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It answered, and surely did not start the work.
    Refused,
    /// The request surely never arrived.
    NotReached,
    /// Nobody knows: sent, and no usable answer.
    Unknown,
}

impl Fault {
    /// A fault with its nature, verdict and the text for our logs.
    pub fn new(kind: Kind, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { kind, verdict, retry_after: None, detail: detail.into(), source: None }
    }

    /// An answer that refuses the work.
    pub fn refused(kind: Kind, detail: impl Into<String>) -> Self {
        Self::new(kind, Verdict::Refused, detail)
    }

    /// The same fault with the wait the upstream asked for.
    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The same fault with its cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<anyhow::Error>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the same upstream may well accept the same task later.
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Busy | Kind::Down | Kind::Internal | Kind::Garbled)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({:?}): {}", self.kind, self.verdict, self.detail)
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(AsRef::as_ref)
    }
}
