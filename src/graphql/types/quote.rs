//! `Quote`: the choice before it costs anything.

use async_graphql::{Object, SimpleObject};

use super::Adjustment;
use crate::catalog::{self, Choice};

/// What would serve a request.
pub struct Quote(pub catalog::Quote);

/// What would serve a request.
#[Object]
impl Quote {
    /// The provider that would be chosen.
    async fn provider(&self) -> &str {
        self.0.choice.provider.as_str()
    }

    /// Its model.
    async fn model(&self) -> &str {
        self.0.choice.model.as_str()
    }

    /// In credits; the price that `generate` freezes.
    async fn credit_cost(&self) -> i64 {
        self.0.choice.credit_cost.get()
    }

    /// How long the whole run takes, in seconds.
    async fn estimated_time(&self) -> u32 {
        self.0.choice.estimated_seconds
    }

    /// 0 to 100, comparable across the providers of a type.
    async fn quality(&self) -> u8 {
        self.0.choice.quality
    }

    /// Everything that was asked for and would be served differently.
    async fn adjustments(&self) -> Vec<Adjustment> {
        self.0.choice.adjustments.iter().map(Adjustment::from).collect()
    }

    /// What else could serve it, best first.
    async fn alternatives(&self) -> Vec<Alternative> {
        self.0.alternatives.iter().map(Alternative::from).collect()
    }
}

/// What else could serve a request.
#[derive(SimpleObject)]
struct Alternative {
    /// Another provider, or the same.
    provider: String,
    /// Its model.
    model: String,
    /// In credits.
    credit_cost: i64,
    /// In seconds.
    estimated_time: u32,
    /// 0 to 100.
    quality: u8,
}

impl From<&Choice> for Alternative {
    fn from(choice: &Choice) -> Self {
        Self {
            provider: choice.provider.to_string(),
            model: choice.model.to_string(),
            credit_cost: choice.credit_cost.get(),
            estimated_time: choice.estimated_seconds,
            quality: choice.quality,
        }
    }
}
