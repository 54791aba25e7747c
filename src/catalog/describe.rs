//! The catalogue as a client sees it: providers with their models, and the options of all of them merged.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde_json::Value;

use super::{
    Catalog, Life,
    accept::preferred,
    choose::whole_seconds,
    conditions, configured,
    inputs::Given,
    life,
    names::types_of,
    options, portable, price,
    request::Conditions,
    spec::{Model, OptionSpec, Provider, Route, ValueType},
    values::as_number,
};
use crate::domain::{Credits, GenerationType, Mode, ModelId, ProviderId};

/// About ten seconds of speech; an ordinary prompt.
const TYPICAL_TEXT: usize = 150;

/// A provider, seen for all of its types or for one.
#[derive(Clone, Debug, PartialEq)]
pub struct ProviderView {
    /// Its id.
    pub id: ProviderId,
    /// Its name for people.
    pub name: String,
    /// What it is good for.
    pub description: String,
    /// All types it makes, whatever was asked for.
    pub types: Vec<GenerationType>,
    /// Its models of the types asked for, the default first; retired ones too.
    pub models: Vec<ModelView>,
    /// What it can do.
    pub features: Vec<String>,
    /// What it cannot do.
    pub limitations: Vec<String>,
    /// Whether any of these models is available.
    pub available: bool,
    /// The variables any of which would make it available, where that is what it waits for.
    pub waits_for: Option<String>,
    /// What an ordinary request costs that names no model.
    pub credit_cost: Option<Credits>,
    /// How long that takes.
    pub estimated_seconds: Option<u32>,
    /// The options of its live models, merged, and the portable ones.
    pub options: Vec<OptionView>,
}

/// A model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelView {
    /// Its id.
    pub id: ModelId,
    /// Its name for people.
    pub name: String,
    /// What it makes.
    pub r#type: GenerationType,
    /// Where it is in its life.
    pub life: Life,
    /// The day from which it is retired.
    pub ends_at: Option<NaiveDate>,
    /// What replaces it, preferred first: `model` or `provider/model`.
    pub replaced_by: Vec<String>,
    /// Whether it would be served now.
    pub available: bool,
    /// The variables any of which would make it available, where that is what it waits for.
    pub waits_for: Option<String>,
    /// Its quality rank.
    pub quality: u8,
    /// What it can do beyond its provider's list.
    pub features: Vec<String>,
    /// What an ordinary request costs; absent for a model without a route.
    pub credit_cost: Option<Credits>,
    /// How long that takes.
    pub estimated_seconds: Option<u32>,
}

/// An option over the models of a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionView {
    /// Its name.
    pub name: String,
    /// The type of its value.
    pub r#type: ValueType,
    /// Whether every model needs it.
    pub required: bool,
    /// What it does, and what the models do with it that have no such setting.
    pub description: String,
    /// The values any of the models takes; empty where any of the type will do.
    pub allowed_values: Vec<Value>,
    /// The value used when none is given, by the default model.
    pub default: Option<Value>,
    /// The smallest number, of the default model.
    pub minimum: Option<f64>,
    /// The largest number, of the default model.
    pub maximum: Option<f64>,
}

impl Catalog {
    /// The providers that make a type, or all, as a client sees them.
    pub fn describe(&self, of: Option<GenerationType>, cx: &Conditions<'_>) -> Vec<ProviderView> {
        self.providers.iter().filter_map(|provider| self.view(provider, of, cx)).collect()
    }

    fn view(&self, provider: &Provider, of: Option<GenerationType>, cx: &Conditions<'_>) -> Option<ProviderView> {
        let types = types_of(provider);
        let wanted = types.iter().filter(|one| of.is_none_or(|of| **one == of));
        let mut models: Vec<_> = wanted.flat_map(|of| preferred(provider, *of)).collect();
        models.sort_by_key(|model| model.id != provider.default_model);
        models.first()?;
        let live: Vec<_> = models.iter().copied().filter(|model| life(model, cx.today) != Life::Retired).collect();
        let views: Vec<_> = models.iter().map(|model| self.model_view(provider, model, cx)).collect();
        let first = live.first().and_then(|live| views.iter().find(|view| view.id == live.id));
        let available = views.iter().any(|view| view.available);
        let routes: Vec<_> = live.iter().flat_map(|model| &model.routes).collect();
        Some(ProviderView {
            id: provider.id.clone(),
            name: provider.name.clone(),
            description: provider.description.clone(),
            types,
            features: provider.features.clone(),
            limitations: provider.limitations.clone(),
            available,
            waits_for: self.missing(&routes, cx),
            credit_cost: first.and_then(|view| view.credit_cost),
            estimated_seconds: first.and_then(|view| view.estimated_seconds),
            options: merged(&live),
            models: views,
        })
    }

    fn model_view(&self, provider: &Provider, model: &Model, cx: &Conditions<'_>) -> ModelView {
        let life = life(model, cx.today);
        let routes: Vec<_> = model.routes.iter().collect();
        let usable = |route: &&Route| {
            let open = || cx.mode == Mode::Live && (cx.health)(&super::route_id(provider, model, route)).open;
            configured(cx, route) && !open()
        };
        let ordinary = ordinary(provider, model, cx);
        ModelView {
            id: model.id.clone(),
            name: model.name.clone(),
            r#type: model.r#type,
            life,
            ends_at: model.ends_at,
            replaced_by: model.replaced_by.clone(),
            available: life != Life::Retired && model.routes.iter().any(|route| usable(&route)),
            waits_for: self.missing(&routes, cx).filter(|_| life != Life::Retired),
            quality: model.quality,
            features: model.features.clone(),
            credit_cost: ordinary.map(|(cost, _)| cost),
            estimated_seconds: ordinary.map(|(_, seconds)| seconds),
        }
    }

    /// The variables the routes wait for, where none of them is configured.
    fn missing(&self, routes: &[&Route], cx: &Conditions<'_>) -> Option<String> {
        if routes.iter().any(|route| configured(cx, route)) {
            return None;
        }
        self.waits_for(routes)
    }
}

/// Price and time of a request with nothing but what the model needs.
fn ordinary(provider: &Provider, model: &Model, cx: &Conditions<'_>) -> Option<(Credits, u32)> {
    let given = Given::least(&model.inputs, &"a".repeat(TYPICAL_TEXT));
    let options = options::defaults(model);
    let fits = |route: &&Route| conditions::hold(&route.when, &route.with, &route.without, &options, &given);
    let ready = |route: &&Route| fits(route) && configured(cx, route);
    let routes = || model.routes.iter();
    let route = routes().find(ready).or_else(|| routes().find(fits)).or_else(|| routes().next())?;
    let cost = price::credits(&route.price, model, &options, &given, given.text.as_deref());
    let measured = (cx.health)(&super::route_id(provider, model, route)).seconds;
    let seconds = measured.unwrap_or_else(|| f64::from(route.typical_seconds));
    Some((cost, whole_seconds(seconds)))
}

/// The options of some models as one list; the first model is the default. Portable ones come first.
fn merged(models: &[&Model]) -> Vec<OptionView> {
    let types: BTreeSet<_> = models.iter().map(|model| model.r#type).collect();
    let portable = types.iter().flat_map(|of| portable::of(*of).iter().map(|(name, _)| *name));
    let own = models.iter().flat_map(|model| model.options.keys().map(String::as_str));
    let mut seen = BTreeSet::new();
    portable.chain(own).filter(|name| seen.insert(*name)).filter_map(|name| merge(name, models)).collect()
}

fn merge(name: &str, models: &[&Model]) -> Option<OptionView> {
    let specs: Vec<_> = models.iter().filter_map(|model| model.options.get(name)).collect();
    let value_type = models.iter().find_map(|model| portable::value_type(model.r#type, name));
    let Some(first) = specs.first() else {
        let r#type = value_type?;
        let description = described(name, portable::description(name), models);
        return Some(OptionView {
            name: name.to_owned(),
            r#type,
            required: false,
            description,
            allowed_values: Vec::new(),
            default: None,
            minimum: None,
            maximum: None,
        });
    };
    let own = specs.iter().find_map(|spec| spec.description.as_deref());
    let any_goes = specs.iter().any(|spec| allowed(spec).is_empty() && spec.r#type != ValueType::Boolean);
    Some(OptionView {
        name: name.to_owned(),
        r#type: first.r#type,
        required: specs.len() == models.len() && specs.iter().all(|spec| spec.required && spec.default.is_none()),
        description: described(name, own.unwrap_or_else(|| portable::description(name)), models),
        allowed_values: if any_goes { Vec::new() } else { union(&specs) },
        default: first.default.clone(),
        minimum: first.min,
        maximum: first.max,
    })
}

/// Says what happens to a portable option on models that have no such setting.
fn described(name: &str, description: &str, models: &[&Model]) -> String {
    let without = |model: &&&Model| !model.options.contains_key(name);
    let lacking: Vec<_> = models.iter().filter(without).collect();
    let by_words = |model: &&&&Model| model.prompt_options.iter().any(|option| option == name);
    let said = lacking.iter().filter(by_words).count();
    let ids = lacking.iter().map(|model| model.id.as_str()).collect::<Vec<_>>().join(", ");
    let remark = match (lacking.len(), said) {
        (0, _) => return description.to_owned(),
        (all, said) if all == models.len() && said == all => "Said in words in the prompt.".to_owned(),
        (all, 0) if all == models.len() => "Accepted, without effect here.".to_owned(),
        (all, said) if said == all => format!("Said in words in the prompt by {ids}."),
        (_, 0) => format!("Without effect on {ids}."),
        _ => format!("Said in words in the prompt, or without effect, on {ids}."),
    };
    let description = description.trim_end_matches('.');
    if description.is_empty() { remark } else { format!("{description}. {remark}") }
}

/// The values an option lists. Where any other is taken too, they are ids nobody remembers: their names stand for them.
fn allowed(spec: &OptionSpec) -> Vec<Value> {
    let listed = |value: &Value| spec.values.iter().any(|known| conditions::same(known, value));
    let shown = |value: &&Value| spec.open || !listed(value);
    let names = spec.aliases.iter().filter(|(_, value)| shown(value)).map(|(name, _)| Value::from(name.as_str()));
    let has_name = |value: &&Value| spec.open && spec.aliases.values().any(|known| conditions::same(known, value));
    let values = spec.values.iter().filter(|value| !has_name(value)).cloned();
    names.chain(values).collect()
}

fn union(specs: &[&OptionSpec]) -> Vec<Value> {
    let mut union: Vec<Value> = Vec::new();
    for value in specs.iter().flat_map(|spec| allowed(spec)) {
        if !union.iter().any(|known| conditions::same(known, &value)) {
            union.push(value);
        }
    }
    if union.iter().all(Value::is_number) {
        union.sort_by(|one, other| as_number(one).partial_cmp(&as_number(other)).unwrap_or(std::cmp::Ordering::Equal));
    }
    union
}
