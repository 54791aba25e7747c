//! The catalogue: providers, their models, options, routes and prices, all read from `config/catalog/*.toml`.
//!
//! [`spec`] is the shape of the files. Everything that is known of a request before an upstream sees it is
//! decided here, from this one source: validation, adjustments, price, choice.

pub mod request;
pub mod spec;

use std::path::Path;

use chrono::NaiveDate;

use crate::domain::{Credits, GenerationType};
pub use request::{Asked, Choice, Conditions, Health, Quote, Refusal, RouteId};

/// The catalogue, loaded and checked.
pub struct Catalog {
    _todo: (),
}

/// A route with the model and provider it belongs to.
#[derive(Clone, Copy)]
pub struct RouteRef<'a> {
    /// The provider.
    pub provider: &'a spec::Provider,
    /// The model.
    pub model: &'a spec::Model,
    /// The route.
    pub route: &'a spec::Route,
}

impl Catalog {
    /// The compiled-in catalogue, or that of a folder. The error names file and key.
    pub fn load(_folder: Option<&Path>) -> anyhow::Result<Self> {
        todo!()
    }

    /// The providers, in the order of their ids.
    pub fn providers(&self) -> impl Iterator<Item = &spec::Provider> {
        std::iter::empty()
    }

    /// The services behind the routes.
    pub fn upstreams(&self) -> &spec::Upstreams {
        todo!()
    }

    /// A route by its id.
    pub fn route(&self, _id: &RouteId) -> Option<RouteRef<'_>> {
        todo!()
    }

    /// Checks a request and chooses what serves it: the one place where requests become valid.
    pub fn accept(&self, _asked: &Asked, _cx: &Conditions<'_>) -> Result<Choice, Refusal> {
        todo!()
    }

    /// The choice with its alternatives, best first: the same provider's other models, other providers.
    pub fn quote(&self, _asked: &Asked, _cx: &Conditions<'_>) -> Result<Quote, Refusal> {
        todo!()
    }

    /// What serves the request after the routes of `tried` did not start it: another route of the same provider, or,
    /// when the choice was ours, another provider, never dearer than `frozen`.
    pub fn fail_over(
        &self,
        _asked: &Asked,
        _tried: &[RouteId],
        _frozen: Credits,
        _cx: &Conditions<'_>,
    ) -> Option<Choice> {
        todo!()
    }

    /// The life of a model on a day.
    pub fn life(&self, _model: &spec::Model, _today: NaiveDate) -> Life {
        todo!()
    }

    /// The portable options of a type with their types, for `providers.options` and the typed conveniences.
    pub fn portable(&self, _of: GenerationType) -> &'static [(&'static str, spec::ValueType)] {
        todo!()
    }
}

/// Where a model is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// In service.
    Live,
    /// In service until that day.
    Ending,
    /// Out of service.
    Retired,
}
