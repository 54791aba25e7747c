//! What is asked for and what becomes of it, as the API has them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Refusal;
use crate::domain::{GenerationType, Priority, Status, Timestamp};

/// What is read of a generation.
pub(super) const FIELDS: &str = "id status type provider model progress queuePosition eta estimatedTime creditCost url \
    assets { url contentType width height duration sizeBytes sha256 } error { code reason message retryable } \
    adjustments { option requested used reason } createdAt completedAt";

/// A request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// What to make.
    pub r#type: GenerationType,
    /// By whom; the gateway chooses when absent.
    pub provider: Option<String>,
    /// With which model.
    pub model: Option<String>,
    /// From what, as `ContentInput` has it.
    pub input: Map<String, Value>,
    /// How.
    pub options: Map<String, Value>,
    /// What matters most when the gateway chooses.
    pub priority: Option<Priority>,
    /// Where the end is told.
    pub webhook_url: Option<String>,
    /// The most it may cost.
    pub max_credits: Option<i64>,
}

/// A generation as it was last told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// Its id.
    pub id: String,
    /// Where it is in its life.
    pub status: Status,
    /// What it makes.
    pub r#type: GenerationType,
    /// Who serves it.
    pub provider: String,
    /// With which model.
    pub model: String,
    /// Percent done.
    pub progress: u64,
    /// 1 for the next to run.
    pub queue_position: Option<u64>,
    /// When it is expected to end.
    pub eta: Option<Timestamp>,
    /// How long the whole run takes, in seconds.
    pub estimated_time: i64,
    /// What it costs.
    pub credit_cost: i64,
    /// The first result file.
    pub url: Option<String>,
    /// All result files.
    pub assets: Vec<Asset>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// What is served differently than asked for.
    pub adjustments: Vec<Adjustment>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

impl Generation {
    /// Who serves it, for people: the model too, where it has a name of its own.
    pub fn server(&self) -> String {
        if self.provider == self.model { self.provider.clone() } else { format!("{} {}", self.provider, self.model) }
    }
}

/// A result file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asset {
    /// Where it is.
    pub url: String,
    /// What it is.
    pub content_type: String,
    /// In pixels.
    pub width: Option<u64>,
    /// In pixels.
    pub height: Option<u64>,
    /// In seconds.
    pub duration: Option<f64>,
    /// In bytes.
    pub size_bytes: u64,
    /// Of the file, in hex.
    pub sha256: String,
}

/// Why a generation failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// The code.
    pub code: String,
    /// The reason within the code.
    pub reason: Option<String>,
    /// What happened and what to do.
    pub message: String,
    /// Whether the same request may well succeed later.
    pub retryable: bool,
}

/// What is served differently than asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adjustment {
    /// The option.
    pub option: String,
    /// What was asked for.
    pub requested: Value,
    /// What is used instead; null when it has no effect.
    pub used: Value,
    /// Why.
    pub reason: String,
}

/// A generation of an answer.
pub(super) fn read(value: &Value) -> Result<Generation, Refusal> {
    Generation::deserialize(value).map_err(|error| {
        Refusal::strange(format!(
            "the gateway tells of a generation in a form that this version does not know: {error}"
        ))
    })
}
