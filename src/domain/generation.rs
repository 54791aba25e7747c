//! What a caller asks for and what becomes of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The kind of thing that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "UPPERCASE")]
#[sqlx(type_name = "text", rename_all = "UPPERCASE")]
pub enum GenerationType {
    /// A clip made from text, pictures or another clip.
    Video,
    /// One or more pictures.
    Image,
    /// Speech.
    Audio,
    /// A clip of a talking person.
    Avatar,
}

impl GenerationType {
    /// All of them, in the order of the API.
    pub const ALL: [Self; 4] = [Self::Video, Self::Image, Self::Audio, Self::Avatar];

    /// The name in the API and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "VIDEO",
            Self::Image => "IMAGE",
            Self::Audio => "AUDIO",
            Self::Avatar => "AVATAR",
        }
    }
}

/// Where a generation is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "UPPERCASE")]
#[sqlx(type_name = "text", rename_all = "UPPERCASE")]
pub enum Status {
    /// Accepted and durable; no upstream has it yet.
    Pending,
    /// An upstream works on it.
    Processing,
    /// Done, results kept, paid.
    Completed,
    /// Ended without a result; nothing is charged.
    Failed,
    /// Ended by the caller; nothing is charged.
    Cancelled,
}

impl Status {
    /// Whether nothing can change any more.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The name in the API and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Processing => "PROCESSING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// What matters most when the gateway chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Priority {
    /// The best result.
    Quality,
    /// The shortest wait.
    Speed,
    /// The lowest price.
    Cost,
    /// A bit of each.
    #[default]
    Balanced,
}

/// Whether a key runs against the sandbox or the real upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Mode {
    /// The sandbox, paid with test credits.
    Test,
    /// Real upstreams, paid with live credits.
    Live,
}

impl Mode {
    /// The name in the API and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }
}

/// What an account pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Plan {
    /// 10 a minute, 1 at a time, 100 a day.
    Free,
    /// 30 a minute, 3 at a time, 1,000 a day.
    Starter,
    /// 60 a minute, 10 at a time, 10,000 a day.
    Pro,
    /// Limits agreed per account.
    Enterprise,
}

impl Plan {
    /// The name in the API and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Starter => "starter",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }
}

/// What a generation is made from. Media are URLs (`https`, or `data:`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContentInput {
    /// The prompt, or the words to speak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The picture to start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The picture to end with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_image: Option<String>,
    /// Reference pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<String>>,
    /// A clip to work on or to take motion from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<String>,
    /// Sound to work on or to speak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<String>,
    /// The voice; the same as the option `voice`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
}

/// One thing that was asked for and served differently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adjustment {
    /// The option's name.
    pub option: String,
    /// What was asked for.
    pub requested: Value,
    /// What is used instead; null when the option has no effect.
    pub used: Value,
    /// Why, for people.
    pub reason: String,
}
