//! A generation as it is read: the wide row, with what its job and its webhook add while they are under way.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    AccountId, Adjustment, Credits, GenerationId, GenerationType, Mode, ModelId, ProviderId, Status, Timestamp,
    output::Asset,
};

/// A generation.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Its id.
    pub id: GenerationId,
    /// Whose it is.
    pub account: AccountId,
    /// The mode it runs in.
    pub mode: Mode,
    /// What it makes.
    pub r#type: GenerationType,
    /// Where it is in its life.
    pub status: Status,
    /// The provider that serves it.
    pub provider: ProviderId,
    /// The model that serves it.
    pub model: ModelId,
    /// Percent done, as the upstream last told.
    pub reported_progress: u8,
    /// The options it runs with.
    pub options: Value,
    /// What was asked for and is served differently.
    pub adjustments: Vec<Adjustment>,
    /// What was tried.
    pub attempts: Vec<Attempt>,
    /// The caller's own.
    pub labels: Option<Value>,
    /// What it costs.
    pub credit_cost: Credits,
    /// How long the whole run takes, in seconds.
    pub estimated_seconds: u32,
    /// Its place among the waiting, 1 for the next; absent when it does not wait.
    pub queue_position: Option<i64>,
    /// The files, when completed.
    pub assets: Vec<Asset>,
    /// What is known of the first file.
    pub metadata: Option<Value>,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Its webhook, when it has one.
    pub webhook: Option<Webhook>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When the upstream had it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

impl Generation {
    /// Percent done: as told by the upstream, else by the clock, and never 100 before it is completed.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 95")]
    pub fn progress(&self, now: Timestamp) -> u8 {
        match (self.status, self.started_at) {
            (Status::Completed, _) => 100,
            (Status::Processing, Some(started)) => {
                let share = (now - started).as_seconds_f64() / f64::from(self.estimated_seconds.max(1));
                self.reported_progress.max((share * 95.0).clamp(0.0, 95.0) as u8).min(99)
            }
            _ => self.reported_progress,
        }
    }

    /// When it is expected to end; absent once it has, and while it waits for a place.
    pub fn eta(&self, now: Timestamp) -> Option<Timestamp> {
        if self.status.is_terminal() || self.queue_position.is_some() {
            return None;
        }
        let begin = self.started_at.unwrap_or(self.created_at);
        Some((begin + TimeDelta::seconds(self.estimated_seconds.into())).max(now))
    }
}

/// Why a generation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The code of the API: `GENERATION_FAILED`, `INVALID_INPUT`, `PROVIDER_UNAVAILABLE`.
    pub code: String,
    /// The reason of the API: `CONTENT_REJECTED`, `SUBMISSION_UNKNOWN`.
    pub reason: Option<String>,
    /// What happened and what to do.
    pub message: String,
    /// Whether the same request may well succeed later.
    pub retryable: bool,
}

/// One thing that was tried to serve a generation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The service behind them.
    pub upstream: String,
    /// The route, by its id.
    #[serde(default)]
    pub route: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// When it began.
    pub started_at: Timestamp,
    /// When that was known.
    pub ended_at: Option<Timestamp>,
    /// What happened, for people.
    pub message: Option<String>,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// The upstream took it and works on it.
    Accepted,
    /// The upstream made it.
    Completed,
    /// The upstream took it and failed.
    Failed,
    /// The upstream did not take it.
    Refused,
    /// The upstream could not be reached.
    NotReached,
    /// Nobody knows whether the upstream took it.
    Unknown,
    /// The caller ended it.
    Cancelled,
}

impl Outcome {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Refused => "REFUSED",
            Self::NotReached => "NOT_REACHED",
            Self::Unknown => "UNKNOWN",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// The state of a generation's webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where it goes.
    pub url: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Whether the receiver took it.
    pub delivered: bool,
    /// The receiver's last status.
    pub last_status: Option<u16>,
    /// When it is tried next.
    pub next_attempt_at: Option<Timestamp>,
}
