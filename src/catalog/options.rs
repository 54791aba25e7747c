//! Resolves the options of a request for one model: every requested option is used exactly, served by words in the
//! prompt, or listed as an adjustment; nothing is lost.
//!
//! In this order: requested values are fitted ([`super::values`]), defaults fill in, constraints are applied until
//! nothing changes, words are added to the prompt, and what came out is compared with what was asked for. A constraint
//! moves a default out of the way of a request, silently, before it changes what was requested.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    accept::Request,
    conditions,
    names::did_you_mean,
    portable::{self, Words},
    request::Refusal,
    spec::{Constraint, InputName, Model, Need, OptionSpec, Route},
    values::{self, Fit},
};
use crate::domain::Adjustment;

/// What a model makes of the options of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resolved {
    pub(super) text: Option<String>,
    pub(super) options: Map<String, Value>,
    pub(super) adjustments: Vec<Adjustment>,
}

/// Resolves the options for a model. `instead_of` is the retired model that was asked for: its options are known too.
pub(super) fn resolve(request: &Request<'_>, model: &Model, instead_of: Option<&Model>) -> Result<Resolved, Refusal> {
    let mut resolver = Resolver::new(request, model);
    for (name, value) in &request.options {
        resolver.take(name, value, instead_of)?;
    }
    resolver.fill_in();
    resolver.constrain()?;
    resolver.check_required()?;
    resolver.leave_room();
    resolver.say();
    resolver.finish()
}

/// Whether an option means anything to a model.
pub(super) fn knows(model: &Model, name: &str) -> bool {
    model.options.contains_key(name) || portable::value_type(model.r#type, name).is_some()
}

/// The names of the options that mean something to some models.
pub(super) fn known<'a>(models: &[&'a Model]) -> BTreeSet<&'a str> {
    let own = models.iter().flat_map(|model| model.options.keys().map(String::as_str));
    let portable = models.iter().flat_map(|model| portable::of(model.r#type).iter().map(|(name, _)| *name));
    own.chain(portable).chain(["model", "strict"]).collect()
}

/// The refusal of an option that means nothing to any of the models.
pub(super) fn unknown(request: &Request<'_>, name: &str, models: &[&Model]) -> Refusal {
    let hint = did_you_mean(name, known(models));
    request.refuse_option(name, format!("No option is called {name}{hint}"))
}

/// The options a model uses when none are given.
pub(super) fn defaults(model: &Model) -> Map<String, Value> {
    model.options.iter().filter_map(|(name, spec)| Some((name.clone(), spec.default_value()?))).collect()
}

struct Resolver<'a> {
    request: &'a Request<'a>,
    model: &'a Model,
    text: Option<String>,
    options: Map<String, Value>,
    /// What was requested, as this model writes it, where it has exactly that.
    exact: BTreeMap<&'a str, Value>,
    /// Why an option is not what was requested.
    reasons: BTreeMap<&'a str, String>,
    /// Requested options to be said in words.
    to_say: Vec<(&'a str, Value)>,
    said: BTreeSet<&'a str>,
}

impl<'a> Resolver<'a> {
    fn new(request: &'a Request<'a>, model: &'a Model) -> Self {
        let text = request.given.text.clone().filter(|_| takes_text(model));
        let (exact, reasons, to_say, said) = (BTreeMap::new(), BTreeMap::new(), Vec::new(), BTreeSet::new());
        Self { request, model, text, options: Map::new(), exact, reasons, to_say, said }
    }

    fn take(&mut self, name: &'a str, asked: &Value, instead_of: Option<&Model>) -> Result<(), Refusal> {
        let refuse = |problem: String| {
            self.request.refuse_option(name, format!("{} {problem}", self.request.option_field(name)))
        };
        if let Some(spec) = self.model.options.get(name) {
            match values::fit(name, spec, asked).map_err(refuse)? {
                Fit::Exact(value) => {
                    self.exact.insert(name, value.clone());
                    self.options.insert(name.to_owned(), value);
                }
                Fit::Nearest(value) => {
                    self.reasons.insert(name, format!("{} takes {}", self.model.name, values::in_words(spec)));
                    self.options.insert(name.to_owned(), value);
                }
            }
            return Ok(());
        }
        if let Some(value_type) = portable::value_type(self.model.r#type, name) {
            let value = values::plausible(name, value_type, asked).map_err(refuse)?;
            if self.model.prompt_options.iter().any(|option| option == name) {
                self.to_say.push((name, value));
            }
        } else if instead_of.is_none_or(|retired| !knows(retired, name)) {
            let message = format!("{} has no option {name}", self.model.id);
            return Err(self.request.refuse_option(name, message));
        }
        self.reasons.insert(name, format!("{} has no such setting", self.model.name));
        Ok(())
    }

    fn fill_in(&mut self) {
        for (name, value) in defaults(self.model) {
            self.options.entry(name).or_insert(value);
        }
    }

    fn constrain(&mut self) -> Result<(), Refusal> {
        // Each round repairs one violation; a catalogue whose constraints chase each other must not hang us.
        const ROUNDS: usize = 32;
        let mut moved = BTreeSet::new();
        for _ in 0..ROUNDS {
            let Some((index, name)) = self.violation() else { return Ok(()) };
            let Some(constraint) = self.model.constraints.get(index) else { return Ok(()) };
            let evade = self.request.options.contains_key(name) && moved.insert((index, name));
            if !(evade && self.move_default(constraint)) {
                self.limit(constraint, name);
            }
        }
        let message = format!("{} cannot serve this combination of options", self.model.id);
        Err(Refusal::about(super::RefusalKind::Option, "options", message))
    }

    /// The first constraint that is broken, and the option that breaks it.
    fn violation(&self) -> Option<(usize, &'a str)> {
        let breaks = |(name, allowed): &(&'a String, &Vec<Value>)| {
            let value = self.options.get(*name);
            value.is_some_and(|value| !allowed.iter().any(|allowed| conditions::same(allowed, value)))
        };
        self.model.constraints.iter().enumerate().find_map(|(index, constraint)| {
            let Constraint { when, with, without, allow, .. } = constraint;
            if !conditions::hold(when, with, without, &self.options, &self.request.given) {
                return None;
            }
            allow.iter().find(breaks).map(|(name, _)| (index, name.as_str()))
        })
    }

    /// Takes a default that makes the constraint apply out of its way.
    fn move_default(&mut self, constraint: &Constraint) -> bool {
        for (name, values) in &constraint.when {
            let (Some(spec), Some(current)) = (self.model.options.get(name), self.options.get(name)) else { continue };
            if self.request.options.contains_key(name) {
                continue;
            }
            let others: Vec<_> = spec.values.iter().filter(|value| !values.contains(value)).cloned().collect();
            if let Some(other) = values::nearest(name, &others, current, None) {
                self.options.insert(name.clone(), other);
                return true;
            }
        }
        false
    }

    fn limit(&mut self, constraint: &Constraint, name: &'a str) {
        let Some(current) = self.options.remove(name) else { return };
        let allowed = constraint.allow.get(name).map(Vec::as_slice).unwrap_or_default();
        let default = self.model.options.get(name).and_then(OptionSpec::default_value);
        if let Some(nearest) = values::nearest(name, allowed, &current, default.as_ref()) {
            self.options.insert(name.to_owned(), nearest);
        }
        self.reasons.insert(name, constraint.reason.clone());
    }

    fn check_required(&self) -> Result<(), Refusal> {
        let missing =
            |(name, spec): &(&String, &OptionSpec)| spec.required && !self.options.contains_key(name.as_str());
        let Some((name, _)) = self.model.options.iter().find(missing) else { return Ok(()) };
        let message = format!("{} needs options.{name}", self.model.id);
        Err(Refusal::about(super::RefusalKind::Option, format!("options.{name}"), message))
    }

    /// Options that go into the text go unused where the text has no room for them.
    fn leave_room(&mut self) {
        let (Some(max), Some(text)) = (self.model.inputs.text_max, self.text.as_deref()) else { return };
        for (name, _) in self.model.options.iter().filter(|(_, spec)| spec.in_text) {
            let words = self.options.get(name).and_then(|value| portable::words(self.model.r#type, name, value));
            if words.is_some_and(|words| add_words(Some(text), &words).chars().count() > max) {
                self.options.remove(name);
                self.reasons.insert(name, too_long(max));
            }
        }
    }

    fn say(&mut self) {
        for (name, value) in std::mem::take(&mut self.to_say) {
            let Some(words) = portable::words(self.model.r#type, name, &value) else { continue };
            if !takes_text(self.model) {
                continue;
            }
            let text = add_words(self.text.as_deref(), &words);
            match self.model.inputs.text_max {
                Some(max) if text.chars().count() > max => {
                    self.reasons.insert(name, too_long(max));
                }
                _ => {
                    self.text = Some(text);
                    self.said.insert(name);
                }
            }
        }
    }

    fn finish(self) -> Result<Resolved, Refusal> {
        let Self { request, model, text, options, exact, reasons, said, .. } = self;
        let differs = |name: &str| exact.get(name).is_none_or(|exact| options.get(name) != Some(exact));
        let changed = request.options.iter().filter(|(name, _)| !said.contains(name.as_str()) && differs(name));
        let mut adjustments: Vec<_> = changed
            .map(|(name, requested)| Adjustment {
                option: name.clone(),
                requested: requested.clone(),
                used: options.get(name).cloned().unwrap_or_default(),
                reason: reasons.get(name.as_str()).cloned().unwrap_or_default(),
            })
            .collect();
        adjustments.extend(unused_inputs(request, model));
        adjustments.extend(overruled_voice(request, model, &options));
        match adjustments.first() {
            Some(first) if request.strict => Err(refuse_strictly(request, first)),
            _ => Ok(Resolved { text, options, adjustments }),
        }
    }
}

/// What was resolved for a model, brought to the values that one of its routes takes: conditions of the route on
/// options are met at the nearest value, and portable options it cannot carry go unused. Nothing where the route cannot
/// serve the request at all.
pub(super) fn bend(
    request: &Request<'_>,
    model: &Model,
    route: &Route,
    resolved: &Resolved,
) -> Result<Option<Resolved>, Refusal> {
    if !conditions::inputs_hold(&route.with, &route.without, &request.given) {
        return Ok(None);
    }
    let mut bent = resolved.clone();
    for (name, allowed) in &route.when {
        let Some(current) = bent.options.get(name).filter(|value| !allowed.contains(value)).cloned() else { continue };
        let values: Vec<_> = allowed.values().iter().filter(|value| !conditions::is_absent(value)).cloned().collect();
        bent.change(request, model, name, values::nearest(name, &values, &current, None));
    }
    for name in route.lacks.iter().filter(|name| request.options.contains_key(*name)) {
        if bent.options.contains_key(name) {
            if portable::value_type(model.r#type, name).is_none() {
                return Ok(None);
            }
            bent.change(request, model, name, None);
        }
    }
    let fits = conditions::hold(&route.when, &[], &[], &bent.options, &request.given);
    let mut after = Resolver::new(request, model);
    after.options.clone_from(&bent.options);
    match bent.adjustments.first() {
        _ if !fits || after.violation().is_some() => Ok(None),
        Some(first) if request.strict => Err(refuse_strictly(request, first)),
        _ => Ok(Some(bent)),
    }
}

impl Resolved {
    /// Uses another value for an option, which is told where the option was asked for.
    fn change(&mut self, request: &Request<'_>, model: &Model, name: &str, used: Option<Value>) {
        match &used {
            Some(value) => self.options.insert(name.to_owned(), value.clone()),
            None => self.options.remove(name),
        };
        let Some(requested) = request.options.get(name) else { return };
        self.adjustments.retain(|adjustment| adjustment.option != name);
        self.adjustments.push(Adjustment {
            option: name.to_owned(),
            requested: requested.clone(),
            used: used.unwrap_or_default(),
            reason: format!("the service that makes {} here does not take it otherwise", model.name),
        });
    }
}

/// Inputs the model accepts but has no use for.
fn unused_inputs<'a>(request: &'a Request<'_>, model: &'a Model) -> impl Iterator<Item = Adjustment> + 'a {
    let unused = |(name, _): &(&InputName, &String)| model.inputs.need(**name) == Some(Need::Unused);
    request.given.shown.iter().filter(unused).map(|(name, shown)| Adjustment {
        option: name.field().to_owned(),
        requested: Value::String(shown.clone()),
        used: Value::Null,
        reason: format!("{} has no use for it", model.name),
    })
}

/// `input.voice` where `options.voice` says something else.
fn overruled_voice(request: &Request<'_>, model: &Model, options: &Map<String, Value>) -> Option<Adjustment> {
    let requested = Value::String(request.overruled_voice.clone()?);
    let used = options.get("voice").cloned().unwrap_or_default();
    let fit = model.options.get("voice").map(|spec| values::fit("voice", spec, &requested));
    if matches!(fit, Some(Ok(Fit::Exact(voice))) if voice == used) {
        return None;
    }
    let reason = "options.voice counts where input.voice says something else".to_owned();
    Some(Adjustment { option: "voice".to_owned(), requested, used, reason })
}

fn refuse_strictly(request: &Request<'_>, adjustment: &Adjustment) -> Refusal {
    let Adjustment { option, requested, reason, .. } = adjustment;
    if option.starts_with("input.") {
        return Refusal::about(super::RefusalKind::Input, option.clone(), format!("{option} cannot be used: {reason}"));
    }
    let field = request.option_field(option);
    request.refuse_option(option, format!("{field} cannot be {requested} exactly: {reason}"))
}

fn too_long(max: usize) -> String {
    format!("said in words it would make the text longer than {max} characters")
}

fn takes_text(model: &Model) -> bool {
    !matches!(model.inputs.text, None | Some(Need::Unused))
}

fn add_words(text: Option<&str>, words: &Words) -> String {
    let text = text.map(str::trim_end).filter(|text| !text.is_empty());
    match (text, words) {
        (None, Words::Before(words) | Words::After(words)) => words.clone(),
        (Some(text), Words::Before(words)) => format!("{words} {text}"),
        (Some(text), Words::After(words)) if text.ends_with(['.', '!', '?', ',', ';', ':']) => {
            format!("{text} {words}")
        }
        (Some(text), Words::After(words)) => format!("{text}, {words}"),
    }
}
