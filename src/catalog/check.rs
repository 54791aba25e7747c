//! Whether the catalogue makes sense: what the shape of the files cannot say. Each finding names file and key.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Catalog, conditions,
    inputs::{self, Given},
    names::fold,
    portable,
    spec::{Constraint, InputName, Inputs, Model, Need, OneOrMany, OptionSpec, Provider, Route, Unit, ValueType},
    values,
};

/// Everything that is wrong with the catalogue.
pub(super) fn check(catalog: &Catalog) -> Vec<String> {
    let mut found = Vec::new();
    for provider in &catalog.providers {
        let mut report = Report { place: format!("{}.toml", provider.id), found: Vec::new() };
        check_provider(catalog, provider, &mut report);
        found.append(&mut report.found);
    }
    found
}

struct Report {
    place: String,
    found: Vec<String>,
}

impl Report {
    fn add(&mut self, key: &str, problem: impl AsRef<str>) {
        self.found.push(format!("{}: {key}: {}", self.place, problem.as_ref()));
    }

    fn expect(&mut self, right: bool, key: &str, problem: &str) {
        if !right {
            self.add(key, problem);
        }
    }
}

fn check_provider(catalog: &Catalog, provider: &Provider, report: &mut Report) {
    report.expect(fold(provider.id.as_str()) == provider.id.as_str(), "id", "must be lower case, words joined by -");
    let default = provider.models.iter().find(|model| model.id == provider.default_model);
    match default {
        None => report.add("default_model", format!("there is no model {}", provider.default_model)),
        Some(model) => check_default(provider, model, report),
    }
    check_names(provider, report);
    let file = report.place.clone();
    for model in &provider.models {
        report.place = format!("{file}: models.{}", model.id);
        check_model(catalog, provider, model, report);
    }
    report.place = file;
}

fn check_default(provider: &Provider, default: &Model, report: &mut Report) {
    let takes_text = |model: &&Model| {
        let text = Given { text: Some("a".to_owned()), names: [InputName::Text].into(), ..Given::default() };
        inputs::problems(&model.inputs, &text).is_empty()
    };
    report.expect(!default.routes.is_empty(), "default_model", "has no route");
    let other = provider.models.iter().filter(|model| model.r#type == default.r#type && !model.routes.is_empty());
    if !takes_text(&default)
        && let Some(better) = other.filter(|model| model.ends_at.is_none()).find(takes_text)
    {
        report.add("default_model", format!("cannot be asked with text alone; {} can", better.id));
    }
}

fn check_names(provider: &Provider, report: &mut Report) {
    let mut ids = BTreeSet::new();
    let mut names = BTreeMap::new();
    for model in &provider.models {
        report.expect(ids.insert(fold(model.id.as_str())), model.id.as_str(), "this id is given twice");
        for name in std::iter::once(model.id.as_str()).chain(model.aliases.iter().map(String::as_str)) {
            if let Some(other) = names.insert((model.r#type, fold(name)), &model.id)
                && other != &model.id
            {
                report.add(&format!("models.{}.aliases", model.id), format!("{name} also names {other}"));
            }
        }
    }
}

fn check_model(catalog: &Catalog, provider: &Provider, model: &Model, report: &mut Report) {
    report.expect(model.quality <= 100, "quality", "must be at most 100");
    report.expect(!model.routes.is_empty() || model.ends_at.is_some(), "routes", "a model in service needs one");
    for name in &model.replaced_by {
        match catalog.replacement(provider, name) {
            None => report.add("replaced_by", format!("there is no model {name}")),
            Some((_, other)) if other.r#type != model.r#type => {
                report.add("replaced_by", format!("{name} makes {}", other.r#type.as_str()));
            }
            Some((_, other)) => {
                report.expect(!std::ptr::eq(other, model), "replaced_by", "a model cannot replace itself");
            }
        }
    }
    check_inputs(&model.inputs, report);
    for (name, spec) in &model.options {
        check_option(name, spec, report);
    }
    for name in &model.prompt_options {
        check_prompt_option(model, name, report);
    }
    for (at, constraint) in model.constraints.iter().enumerate() {
        check_constraint(model, &format!("constraints[{at}]"), constraint, report);
    }
    for (at, route) in model.routes.iter().enumerate() {
        check_route(catalog, model, &format!("routes[{at}]"), route, report);
    }
}

fn check_inputs(inputs: &Inputs, report: &mut Report) {
    let any = inputs::ALL.into_iter().any(|name| inputs.need(name).is_some());
    report.expect(any, "inputs", "a model needs an input");
    report.expect(inputs.text_max != Some(0), "inputs.text_max", "must be positive");
    report.expect(inputs.text_max.is_none() || inputs.text.is_some(), "inputs.text_max", "text is not taken");
    report.expect(inputs.images_max.is_none() || inputs.images.is_some(), "inputs.images_max", "images is not taken");
    for (key, groups) in [("inputs.one_of", &inputs.one_of), ("inputs.any_of", &inputs.any_of)] {
        for group in groups {
            let optional = |name: &InputName| inputs.need(*name) == Some(Need::Optional);
            report.expect(
                !group.is_empty() && group.iter().all(optional),
                key,
                "each input of a group must be optional",
            );
        }
    }
}

fn check_option(name: &str, spec: &OptionSpec, report: &mut Report) {
    let key = format!("options.{name}");
    report.expect(!matches!(name, "model" | "strict"), &key, "this name is taken");
    let described = spec.description.is_some() || !portable::description(name).is_empty();
    report.expect(described, &key, "needs a description");
    let numeric = matches!(spec.r#type, ValueType::Integer | ValueType::Number);
    report.expect(numeric || (spec.min.is_none() && spec.max.is_none()), &key, "min and max are for numbers");
    let ordered = spec.min.zip(spec.max).is_none_or(|(min, max)| min <= max);
    report.expect(ordered, &key, "min must not be above max");
    // A value is compared with the type alone: within its own list it is allowed anyway.
    let bare = OptionSpec { values: Vec::new(), aliases: BTreeMap::new(), default: None, open: true, ..spec.clone() };
    for value in spec.values.iter().chain(spec.aliases.values()) {
        report.expect(values::has(name, &bare, value), &key, &format!("{value} is not of its type or out of range"));
    }
    for word in spec.aliases.keys() {
        report.expect(word.to_lowercase() == *word, &key, &format!("the alias {word} must be lower case"));
    }
    let closed = |value: &Value| spec.values.is_empty() || spec.open || spec.values.iter().any(|one| one == value);
    for value in spec.aliases.values() {
        report.expect(closed(value), &key, &format!("an alias stands for {value}, which is not listed"));
    }
    if let Some(default) = &spec.default {
        report.expect(values::has(name, spec, default), &key, &format!("the default {default} is not allowed"));
    }
}

fn check_prompt_option(model: &Model, name: &str, report: &mut Report) {
    let key = format!("prompt_options.{name}");
    report.expect(portable::value_type(model.r#type, name).is_some(), &key, "is not a portable option of the type");
    let sayable = portable::words(model.r#type, name, &Value::from("x")).is_some();
    report.expect(sayable, &key, "cannot be said in words");
    report.expect(!model.options.contains_key(name), &key, "is an option too");
    report.expect(model.inputs.text.is_some(), &key, "the model takes no text");
}

fn check_constraint(model: &Model, key: &str, constraint: &Constraint, report: &mut Report) {
    let Constraint { when, with, without, allow, reason } = constraint;
    report.expect(!reason.trim().is_empty(), &format!("{key}.reason"), "says nothing");
    report.expect(!allow.is_empty(), &format!("{key}.allow"), "limits nothing");
    check_when(model, &format!("{key}.when"), when, report);
    check_input_names(model, key, with.iter().chain(without), report);
    for (name, allowed) in allow {
        let key = format!("{key}.allow.{name}");
        check_values(model, &key, name, allowed, report);
        let required = model.options.get(name).is_some_and(|spec| spec.required);
        report.expect(!(required && allowed.is_empty()), &key, "a required option cannot be taken away");
    }
}

fn check_when(model: &Model, key: &str, when: &BTreeMap<String, OneOrMany>, report: &mut Report) {
    for (name, known) in when {
        let given: Vec<_> = known.values().iter().filter(|value| !conditions::is_absent(value)).cloned().collect();
        check_values(model, &format!("{key}.{name}"), name, &given, report);
        report.expect(!known.values().is_empty(), &format!("{key}.{name}"), "lists no value");
    }
}

fn check_values(model: &Model, key: &str, name: &str, listed: &[Value], report: &mut Report) {
    let Some(spec) = model.options.get(name) else {
        report.add(key, "the model has no such option");
        return;
    };
    for value in listed {
        let known = spec.values.iter().any(|known| conditions::same(known, value)) || values::has(name, spec, value);
        report.expect(known, key, &format!("{value} is not a value of the option"));
    }
}

fn check_input_names<'a>(model: &Model, key: &str, names: impl Iterator<Item = &'a InputName>, report: &mut Report) {
    for name in names {
        let taken = model.inputs.need(*name).is_some();
        report.expect(taken, key, &format!("the model does not take {}", name.field()));
    }
}

fn check_route(catalog: &Catalog, model: &Model, key: &str, route: &Route, report: &mut Report) {
    let spec = catalog.upstreams.0.get(route.upstream.as_str());
    match spec {
        None => report.add(&format!("{key}.upstream"), format!("upstreams.toml has no {}", route.upstream)),
        Some(spec) => {
            let known = |variable: &String| spec.credentials.iter().any(|set| set.contains(variable));
            report.expect(route.needs.iter().all(known), &format!("{key}.needs"), "is no credential of the upstream");
        }
    }
    report.expect(!route.model.trim().is_empty(), &format!("{key}.model"), "is empty");
    report.expect(route.typical_seconds > 0, &format!("{key}.typical_seconds"), "must be positive");
    let long_enough = route.deadline_seconds.is_none_or(|deadline| deadline >= route.typical_seconds);
    report.expect(long_enough, &format!("{key}.deadline_seconds"), "is shorter than a run usually takes");
    check_when(model, &format!("{key}.when"), &route.when, report);
    check_input_names(model, key, route.with.iter().chain(&route.without), report);
    for name in &route.lacks {
        let known = model.options.get(name);
        report.expect(known.is_some(), &format!("{key}.lacks"), &format!("the model has no option {name}"));
        let required = known.is_some_and(|spec| spec.required);
        report.expect(!required, &format!("{key}.lacks"), &format!("the model needs {name}"));
    }
    check_price(model, &format!("{key}.price"), route, report);
}

fn check_price(model: &Model, key: &str, route: &Route, report: &mut Report) {
    let price = &route.price;
    let positive = |usd: f64| usd.is_finite() && usd > 0.0;
    report.expect(positive(price.usd), &format!("{key}.usd"), "must be positive");
    report.expect(!price.source.trim().is_empty(), &format!("{key}.source"), "is empty");
    for (at, tier) in price.tiers.iter().enumerate() {
        let key = format!("{key}.tiers[{at}]");
        report.expect(positive(tier.usd), &format!("{key}.usd"), "must be positive");
        check_when(model, &format!("{key}.when"), &tier.when, report);
        check_input_names(model, &key, tier.with.iter().chain(&tier.without), report);
    }
    let duration = model.options.get("duration").filter(|_| price.per == Unit::Second);
    let known = duration.is_none_or(|spec| spec.required || spec.default.is_some());
    report.expect(known, &format!("{key}.per"), "priced by the second, so duration needs a default");
}
