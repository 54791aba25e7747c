//! `Provider`, its models and its options.

use async_graphql::{ID, Json, Object, SimpleObject};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde_json::Value;

use super::{GenerationType, ModelStatus};
use crate::{
    catalog::{ModelView, OptionView, ProviderView, spec::ValueType},
    domain::Credits,
};

/// What a caller names.
pub struct Provider(pub ProviderView);

/// What a caller names in `provider`: a family of models.
#[Object]
impl Provider {
    /// The name to use in `provider`.
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is good for.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// All types it makes.
    async fn types(&self) -> Vec<GenerationType> {
        self.0.types.iter().copied().map(Into::into).collect()
    }

    /// Its models of the type asked for, the default first; retired ones too.
    async fn models(&self) -> Vec<Model<'_>> {
        self.0.models.iter().map(Model).collect()
    }

    /// What it can do.
    async fn features(&self) -> &[String] {
        &self.0.features
    }

    /// What it cannot do.
    async fn limitations(&self) -> &[String] {
        &self.0.limitations
    }

    /// Whether a request would be served now.
    async fn available(&self) -> bool {
        self.0.available
    }

    /// The environment variables it waits for, when that is why it is not available.
    async fn waits_for(&self) -> Option<&str> {
        self.0.waits_for.as_deref()
    }

    /// What an ordinary request costs and how long it takes; `quote` tells it for a request.
    async fn pricing(&self) -> Pricing {
        Pricing::new(self.0.credit_cost, self.0.estimated_seconds)
    }

    /// The options of its models, merged.
    async fn options(&self) -> Vec<ProviderOption<'_>> {
        self.0.options.iter().map(ProviderOption).collect()
    }
}

/// One model of a provider.
pub struct Model<'a>(&'a ModelView);

/// One model of a provider.
#[Object]
impl Model<'_> {
    /// The name to use in `model`.
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// The name to show.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it makes.
    async fn r#type(&self) -> GenerationType {
        self.0.r#type.into()
    }

    /// Where it is in its life.
    async fn status(&self) -> ModelStatus {
        self.0.life.into()
    }

    /// `status` in lower case, for clients that select `error` as a plain value.
    async fn status_text(&self) -> &str {
        match self.0.life {
            crate::catalog::Life::Live => "live",
            crate::catalog::Life::Ending => "ending",
            crate::catalog::Life::Retired => "retired",
        }
    }

    /// The day from which it is retired; null for a live model.
    async fn ends_at(&self) -> Option<DateTime<Utc>> {
        self.0.ends_at.map(midnight)
    }

    /// What serves requests for it once it is retired.
    async fn replaced_by(&self) -> Option<&str> {
        self.0.replaced_by.first().map(String::as_str)
    }

    /// Whether a request would be served now.
    async fn available(&self) -> bool {
        self.0.available
    }

    /// The environment variables it waits for, when that is why it is not available.
    async fn waits_for(&self) -> Option<&str> {
        self.0.waits_for.as_deref()
    }

    /// 0 to 100, comparable across the providers of a type.
    async fn quality(&self) -> u8 {
        self.0.quality
    }

    /// What it can do beyond its provider's list.
    async fn features(&self) -> &[String] {
        &self.0.features
    }

    /// What an ordinary request costs and how long it takes.
    async fn pricing(&self) -> Pricing {
        Pricing::new(self.0.credit_cost, self.0.estimated_seconds)
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// What an ordinary request costs and how long it takes. Null where there is no way to run one.
#[derive(SimpleObject)]
struct Pricing {
    /// In credits.
    credit_cost: Option<i64>,
    /// In seconds.
    estimated_time: Option<u32>,
}

impl Pricing {
    fn new(cost: Option<Credits>, seconds: Option<u32>) -> Self {
        Self { credit_cost: cost.map(Credits::get), estimated_time: seconds }
    }
}

/// An option of a provider's models.
pub struct ProviderOption<'a>(&'a OptionView);

/// An option of a provider's models.
#[Object]
impl ProviderOption<'_> {
    /// The name to use in `options`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// `string`, `integer`, `number`, `boolean` or `json`.
    async fn r#type(&self) -> &str {
        match self.0.r#type {
            ValueType::String => "string",
            ValueType::Integer => "integer",
            ValueType::Number => "number",
            ValueType::Boolean => "boolean",
            ValueType::Json => "json",
        }
    }

    /// Whether every model needs it.
    async fn required(&self) -> bool {
        self.0.required
    }

    /// What it does.
    async fn description(&self) -> &str {
        &self.0.description
    }

    /// The values that any of the models takes; null where any of the type will do.
    async fn allowed_values(&self) -> Option<Vec<Json<Value>>> {
        Some(&self.0.allowed_values)
            .filter(|values| !values.is_empty())
            .map(|values| values.iter().cloned().map(Json).collect())
    }

    /// The value used when none is given; null: the upstream decides.
    async fn default(&self) -> Option<Json<Value>> {
        self.0.default.clone().map(Json)
    }

    /// The smallest number.
    async fn minimum(&self) -> Option<f64> {
        self.0.minimum
    }

    /// The largest number.
    async fn maximum(&self) -> Option<f64> {
        self.0.maximum
    }
}
