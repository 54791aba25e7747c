//! The catalogue: providers, their models, options, routes and prices, all read from `config/catalog/*.toml`.
//!
//! [`spec`] is the shape of the files. Everything that is known of a request before an upstream sees it is
//! decided here, from this one source: validation, adjustments, price, choice.

mod accept;
mod check;
mod choose;
mod conditions;
pub mod describe;
#[cfg(test)]
mod fixture;
mod inputs;
mod load;
mod names;
mod options;
mod portable;
mod price;
pub mod request;
pub mod spec;
#[cfg(test)]
mod tests;
mod values;

use std::{collections::BTreeMap, path::Path};

use chrono::NaiveDate;

use crate::domain::{Credits, GenerationType, Mode};
use accept::Request;
use choose::Candidate;
pub use describe::{ModelView, OptionView, ProviderView};
pub use request::{Asked, Choice, Conditions, Health, Quote, Refusal, RefusalKind, RouteId};

/// The most alternatives a quote lists.
const ALTERNATIVES: usize = 20;

/// The catalogue, loaded and checked.
pub struct Catalog {
    /// In the order of their ids.
    providers: Vec<spec::Provider>,
    upstreams: spec::Upstreams,
    /// Where each route is: the places of its provider, its model, itself.
    routes: BTreeMap<RouteId, (usize, usize, usize)>,
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
    pub fn load(folder: Option<&Path>) -> anyhow::Result<Self> {
        load::load(folder)
    }

    fn new(providers: Vec<spec::Provider>, upstreams: spec::Upstreams) -> Self {
        let mut routes = BTreeMap::new();
        for (at, provider) in providers.iter().enumerate() {
            for (model_at, model) in provider.models.iter().enumerate() {
                for (route_at, route) in model.routes.iter().enumerate() {
                    routes.insert(route_id(provider, model, route), (at, model_at, route_at));
                }
            }
        }
        Self { providers, upstreams, routes }
    }

    /// The providers, in the order of their ids.
    pub fn providers(&self) -> impl Iterator<Item = &spec::Provider> {
        self.providers.iter()
    }

    /// The services behind the routes.
    pub fn upstreams(&self) -> &spec::Upstreams {
        &self.upstreams
    }

    /// A route by its id.
    pub fn route(&self, id: &RouteId) -> Option<RouteRef<'_>> {
        let (provider, model, route) = *self.routes.get(id)?;
        let provider = self.providers.get(provider)?;
        let model = provider.models.get(model)?;
        Some(RouteRef { provider, model, route: model.routes.get(route)? })
    }

    /// Checks a request and chooses what serves it: the one place where requests become valid.
    pub fn accept(&self, asked: &Asked, cx: &Conditions<'_>) -> Result<Choice, Refusal> {
        let request = Request::read(self, asked)?;
        match choose::first_of_provider(&request, cx) {
            Some(candidate) => Ok(candidate.choice()),
            None => first(&choose::candidates(&request, cx)?),
        }
    }

    /// The choice with its alternatives, best first: the same provider's other models, other providers.
    pub fn quote(&self, asked: &Asked, cx: &Conditions<'_>) -> Result<Quote, Refusal> {
        let request = Request::read(self, asked)?;
        let choice = first(&choose::candidates(&request, cx)?)?;
        let others = choose::candidates(&request.open(), cx).unwrap_or_default();
        let mut alternatives: Vec<Choice> = Vec::new();
        for other in others.iter().map(Candidate::choice) {
            let known = |one: &Choice| one.provider == other.provider && one.model == other.model;
            if !known(&choice) && !alternatives.iter().any(known) {
                alternatives.push(other);
            }
        }
        alternatives.sort_by_key(|other| other.provider != choice.provider);
        alternatives.truncate(ALTERNATIVES);
        Ok(Quote { choice, alternatives })
    }

    /// What serves the request after the routes of `tried` did not start it: another route of the same provider, or,
    /// when the choice was ours, another provider, never dearer than `frozen`. Routes of services that were not tried
    /// come first.
    pub fn fail_over(&self, asked: &Asked, tried: &[RouteId], frozen: Credits, cx: &Conditions<'_>) -> Option<Choice> {
        let request = Request::read(self, asked).ok()?;
        let candidates = choose::candidates(&request, cx).ok()?;
        let tried: Vec<_> = tried.iter().filter_map(|id| self.route(id)).map(|at| at.route).collect();
        let is_tried = |route: &spec::Route| tried.iter().any(|other| same_door(route, other));
        let left = candidates.iter().filter(|one| !is_tried(one.at.route) && one.cost <= frozen);
        let knows = |one: &&Candidate<'_>| tried.iter().any(|other| other.upstream == one.at.route.upstream);
        left.min_by_key(knows).map(Candidate::choice)
    }

    /// The sets of environment variables of which a route needs one in full. Empty: it needs none.
    pub fn credentials<'a>(&'a self, route: &'a spec::Route) -> Vec<&'a [String]> {
        if !route.needs.is_empty() {
            return vec![&route.needs];
        }
        let spec = self.upstreams.0.get(route.upstream.as_str());
        spec.iter().flat_map(|spec| &spec.credentials).map(Vec::as_slice).filter(|set| !set.is_empty()).collect()
    }

    /// Whether a route has its credentials, given which environment variables are set.
    pub fn has_credentials(&self, route: &spec::Route, is_set: &dyn Fn(&str) -> bool) -> bool {
        let sets = self.credentials(route);
        sets.is_empty() || sets.iter().any(|set| set.iter().all(|variable| is_set(variable)))
    }

    /// The life of a model on a day.
    pub fn life(&self, model: &spec::Model, today: NaiveDate) -> Life {
        life(model, today)
    }

    /// The portable options of a type with their types, for `providers.options` and the typed conveniences.
    pub fn portable(&self, of: GenerationType) -> &'static [(&'static str, spec::ValueType)] {
        portable::of(of)
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

fn life(model: &spec::Model, today: NaiveDate) -> Life {
    match model.ends_at {
        None => Life::Live,
        Some(day) if today < day => Life::Ending,
        Some(_) => Life::Retired,
    }
}

fn first(candidates: &[Candidate<'_>]) -> Result<Choice, Refusal> {
    let none = || Refusal::plain(RefusalKind::Unavailable, "No provider can serve this");
    candidates.first().map(Candidate::choice).ok_or_else(none)
}

/// Whether a route can be used: in test mode the sandbox stands in for every upstream.
fn configured(cx: &Conditions<'_>, route: &spec::Route) -> bool {
    cx.mode == Mode::Test || (cx.configured)(route)
}

/// Whether two routes lead to the same model of a service by the same account: what refuses the one refuses the other.
fn same_door(one: &spec::Route, other: &spec::Route) -> bool {
    one.upstream == other.upstream && one.model == other.model && one.needs == other.needs
}

/// The id of one of the model's routes.
fn route_id(provider: &spec::Provider, model: &spec::Model, route: &spec::Route) -> RouteId {
    let before = model.routes.iter().take_while(|other| !std::ptr::eq(*other, route));
    let twins = before.filter(|other| other.upstream == route.upstream).count();
    let twin = if twins == 0 { String::new() } else { format!("#{}", twins + 1) };
    RouteId(format!("{}/{}@{}{twin}", provider.id, model.id, route.upstream))
}
