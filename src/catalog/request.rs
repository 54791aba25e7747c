//! A request before and after the catalogue has looked at it.

use std::fmt;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::spec::Route;
use crate::domain::{Adjustment, ContentInput, Credits, GenerationType, Mode, ModelId, Priority, ProviderId, Upstream};

/// What a caller asks for, coerced but not yet checked. Stored with the job, so that a fail-over can resolve it anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// What to make.
    pub r#type: GenerationType,
    /// The provider, when the caller names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The model, when the caller names one (also accepted as `options.model`; the two must agree).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it is made from.
    pub input: ContentInput,
    /// Options as given; may hold `model` and `strict`.
    #[serde(default)]
    pub options: Map<String, Value>,
    /// What matters most.
    #[serde(default)]
    pub priority: Priority,
    /// The most it may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_credits: Option<i64>,
}

/// Names a route: `provider/model@upstream`, with `#2`, `#3` … for further routes of the model by the same upstream.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RouteId(pub String);

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the world looks like when a request is checked.
pub struct Conditions<'a> {
    /// The mode of the key: in test mode the sandbox serves every route.
    pub mode: Mode,
    /// The day, for the life of models.
    pub today: NaiveDate,
    /// Whether a route has its credentials; see [`super::Catalog::has_credentials`].
    pub configured: &'a dyn Fn(&Route) -> bool,
    /// What was measured of a route.
    pub health: &'a dyn Fn(&RouteId) -> Health,
}

/// What was measured of a route, over all processes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// Its circuit is open: nothing is sent there now.
    pub open: bool,
    /// The share of runs that succeeded, recent ones counting more; 1.0 where nothing was measured.
    pub success: f64,
    /// The seconds a run took, recent ones counting more; absent where nothing was measured.
    pub seconds: Option<f64>,
}

impl Default for Health {
    fn default() -> Self {
        Self { open: false, success: 1.0, seconds: None }
    }
}

/// What will serve a request, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The provider.
    pub provider: ProviderId,
    /// The model.
    pub model: ModelId,
    /// The route.
    pub route: RouteId,
    /// The service of the route.
    pub upstream: Upstream,
    /// The prompt with the words of prompt options added; absent when there is none.
    pub text: Option<String>,
    /// The options by their API names, with the values that are used. `voice` is here also when it came as an input.
    pub options: Map<String, Value>,
    /// Everything that was asked for and is served differently.
    pub adjustments: Vec<Adjustment>,
    /// What it costs; frozen at submit.
    pub credit_cost: Credits,
    /// How long the whole run takes, in seconds, at least 1: measured where it was measured, else as catalogued.
    pub estimated_seconds: u32,
    /// The quality rank of the model.
    pub quality: u8,
}

/// The choice and what else could have served.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote {
    /// What would serve the request.
    pub choice: Choice,
    /// What else could, best first; at most 20.
    pub alternatives: Vec<Choice>,
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The nature of the refusal; decides the code.
    pub kind: RefusalKind,
    /// The field it is about: `provider`, `model`, `options.duration`, `input.image`.
    pub field: Option<String>,
    /// What the caller can do about it.
    pub message: String,
}

impl Refusal {
    pub(super) fn about(kind: RefusalKind, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, field: Some(field.into()), message: message.into() }
    }

    pub(super) fn plain(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self { kind, field: None, message: message.into() }
    }
}

/// The nature of a refusal, each with its code and reason in the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// `INVALID_INPUT` / `OPTION`: an unknown option or a value that cannot be served.
    Option,
    /// `INVALID_INPUT` / `INPUT`: an input is missing, not taken, too long.
    Input,
    /// `INVALID_INPUT` / `URL`: an input URL that is none.
    Url,
    /// `INVALID_INPUT` / `PROVIDER`: no such provider, or none of this type.
    Provider,
    /// `INVALID_INPUT` / `MODEL`: no such model.
    Model,
    /// `INVALID_INPUT` / `MODEL_RETIRED`: retired, and `strict`.
    ModelRetired,
    /// `PROVIDER_UNAVAILABLE`, for good: not configured, retired without replacement, or nothing can serve it.
    Unavailable,
    /// `PROVIDER_UNAVAILABLE`, for a while: every circuit is open.
    Down,
    /// `INSUFFICIENT_CREDITS` / `MAX_CREDITS`: dearer than `maxCredits`.
    MaxCredits,
}
