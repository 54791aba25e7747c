//! From what a caller asks to the models that could serve it, or to the refusal that helps most.

use chrono::NaiveDate;
use serde_json::{Map, Value};

use super::{
    Catalog, Life,
    inputs::{self, Given},
    life,
    names::{Named, fold, model_of},
    options::{self, Resolved},
    request::{Asked, Refusal, RefusalKind},
    spec::{Model, Provider},
};
use crate::domain::{Adjustment, Credits, GenerationType, Priority};

/// A request whose names are found and whose URLs are URLs.
pub(super) struct Request<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) of: GenerationType,
    pub(super) scope: Scope<'a>,
    pub(super) given: Given,
    /// The options asked for, without `model` and `strict`, with the voice of the inputs.
    pub(super) options: Map<String, Value>,
    pub(super) strict: bool,
    pub(super) priority: Priority,
    pub(super) max_credits: Option<Credits>,
    /// `input.voice`, when `options.voice` is there too and counts.
    pub(super) overruled_voice: Option<String>,
    voice_is_input: bool,
}

/// How much of the choice is the caller's.
#[derive(Clone)]
pub(super) enum Scope<'a> {
    /// None of it.
    Any,
    /// The provider.
    Provider(&'a Provider),
    /// The model, and how the caller calls it.
    Model(&'a Provider, &'a Model, String),
}

/// A model that can serve the request, and how.
pub(super) struct Served<'a> {
    pub(super) provider: &'a Provider,
    pub(super) model: &'a Model,
    pub(super) resolved: Resolved,
}

/// A model to try, perhaps in place of a retired one.
#[derive(Clone, Copy)]
struct Target<'a> {
    provider: &'a Provider,
    model: &'a Model,
    instead_of: Option<(&'a Provider, &'a Model)>,
}

/// How far a model got with the request; the refusal of the one that got furthest is told.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Progress {
    /// So many inputs are wrong, at this limit of text.
    Inputs {
        wrong: i64,
        text_max: usize,
    },
    UnknownOption,
    OptionValue,
}

impl<'a> Request<'a> {
    /// Reads a request; refuses names, URLs and options that mean nothing to anything in reach.
    pub(super) fn read(catalog: &'a Catalog, asked: &Asked) -> Result<Self, Refusal> {
        let mut options = asked.options.clone();
        options.retain(|_, value| !value.is_null());
        let strict = take_strict(&mut options)?;
        let model = take_model(&mut options)?;
        let scope = scope(catalog, asked, model.as_deref())?;
        let mut request = Self {
            catalog,
            of: asked.r#type,
            scope,
            given: Given::read(&asked.input)?,
            options,
            strict,
            priority: asked.priority,
            max_credits: asked.max_credits.map(Credits::new),
            overruled_voice: None,
            voice_is_input: false,
        };
        request.take_voice(asked.input.voice.as_deref());
        request.check_names()?;
        Ok(request)
    }

    /// The same request with the choice left to us.
    pub(super) fn open(mut self) -> Self {
        self.scope = Scope::Any;
        self
    }

    /// The models that can serve the request: in order of preference where a provider is named, else by quality.
    pub(super) fn served(&self, today: NaiveDate) -> Result<Vec<Served<'a>>, Refusal> {
        let mut served = Vec::new();
        let mut told: Option<(Progress, Refusal)> = None;
        for target in self.targets(today)? {
            match self.try_model(target, today) {
                Ok(one) => served.push(one),
                Err(next) if told.as_ref().is_none_or(|(best, _)| next.0 > *best) => told = Some(next),
                Err(_) => {}
            }
        }
        if served.iter().any(|one| !one.model.specialist) {
            served.retain(|one| !one.model.specialist);
        }
        match told {
            Some((_, refusal)) if served.is_empty() => Err(refusal),
            _ => Ok(served),
        }
    }

    /// The models that can serve the request, but for specialists, in the order of [`Self::served`], each tried when it is
    /// its turn.
    pub(super) fn served_in_turn(&self, today: NaiveDate) -> Option<impl Iterator<Item = Served<'a>>> {
        let targets = self.targets(today).ok()?.into_iter().filter(|target| !target.model.specialist);
        Some(targets.filter_map(move |target| self.try_model(target, today).ok()))
    }

    /// The API's name of an option: the voice may have come as an input.
    pub(super) fn option_field(&self, name: &str) -> String {
        let group = if self.voice_is_input && name == "voice" { "input" } else { "options" };
        format!("{group}.{name}")
    }

    /// The refusal of a requested option.
    pub(super) fn refuse_option(&self, name: &str, message: String) -> Refusal {
        let of_input = self.voice_is_input && name == "voice";
        let kind = if of_input { RefusalKind::Input } else { RefusalKind::Option };
        Refusal::about(kind, self.option_field(name), message)
    }

    fn take_voice(&mut self, voice: Option<&str>) {
        let Some(voice) = voice.filter(|voice| !voice.trim().is_empty()) else { return };
        match self.options.get("voice") {
            None => {
                self.options.insert("voice".to_owned(), Value::String(voice.to_owned()));
                self.voice_is_input = true;
            }
            Some(Value::String(option)) if option.trim().eq_ignore_ascii_case(voice.trim()) => {}
            Some(_) => self.overruled_voice = Some(voice.to_owned()),
        }
    }

    /// The models of the type in reach, retired ones too.
    fn in_reach(&self) -> Vec<&'a Model> {
        let of_type = |model: &&Model| model.r#type == self.of;
        match &self.scope {
            Scope::Any => self.catalog.providers.iter().flat_map(|one| &one.models).filter(of_type).collect(),
            Scope::Provider(provider) | Scope::Model(provider, ..) => provider.models.iter().filter(of_type).collect(),
        }
    }

    fn check_names(&self) -> Result<(), Refusal> {
        let models = self.in_reach();
        let unknown = |name: &&String| !models.iter().any(|model| options::knows(model, name));
        let Some(name) = self.options.keys().find(unknown) else { return Ok(()) };
        Err(options::unknown(self, name, &models))
    }

    fn targets(&self, today: NaiveDate) -> Result<Vec<Target<'a>>, Refusal> {
        match &self.scope {
            Scope::Any => Ok(self.all_live(today)),
            Scope::Provider(provider) => self.of_provider(provider, today),
            Scope::Model(provider, model, _) => self.of_model(provider, model, today),
        }
    }

    fn all_live(&self, today: NaiveDate) -> Vec<Target<'a>> {
        let providers = self.catalog.providers.iter();
        let all = providers.flat_map(|provider| provider.models.iter().map(move |model| (provider, model)));
        let mut targets: Vec<_> = all
            .filter(|(_, model)| model.r#type == self.of && life(model, today) != Life::Retired)
            .map(|(provider, model)| Target { provider, model, instead_of: None })
            .collect();
        targets.sort_by_key(|target| std::cmp::Reverse(target.model.quality));
        targets
    }

    fn of_provider(&self, provider: &'a Provider, today: NaiveDate) -> Result<Vec<Target<'a>>, Refusal> {
        let mut models = preferred(provider, self.of);
        let first = models.first().copied();
        models.retain(|model| life(model, today) != Life::Retired);
        match first {
            Some(retired) if models.is_empty() => self.of_model(provider, retired, today),
            _ => Ok(models.into_iter().map(|model| Target { provider, model, instead_of: None }).collect()),
        }
    }

    fn of_model(&self, provider: &'a Provider, model: &'a Model, today: NaiveDate) -> Result<Vec<Target<'a>>, Refusal> {
        if life(model, today) != Life::Retired {
            return Ok(vec![Target { provider, model, instead_of: None }]);
        }
        let since = model.ends_at.map(|day| format!(" on {day}")).unwrap_or_default();
        let mut targets = Vec::new();
        self.catalog.replacements(provider, model, today, &mut targets);
        let names = || targets.iter().map(|(_, model)| model.id.as_str()).collect::<Vec<_>>().join(" or ");
        if targets.is_empty() {
            let message = format!("{} was retired{since} and nothing replaces it", model.id);
            return Err(Refusal::about(RefusalKind::Unavailable, "model", message));
        }
        if self.strict {
            let message = format!("{} was retired{since}; ask for {}", model.id, names());
            return Err(Refusal::about(RefusalKind::ModelRetired, "model", message));
        }
        let instead_of = Some((provider, model));
        Ok(targets.into_iter().map(|(provider, model)| Target { provider, model, instead_of }).collect())
    }

    fn try_model(&self, target: Target<'a>, today: NaiveDate) -> Result<Served<'a>, (Progress, Refusal)> {
        let Target { provider, model, instead_of } = target;
        if let Some(failed) = self.check_inputs(target, today) {
            return Err(failed);
        }
        let retired = instead_of.map(|(_, retired)| retired);
        let known = |name: &str| options::knows(model, name) || retired.is_some_and(|one| options::knows(one, name));
        if let Some(name) = self.options.keys().find(|name| !known(name)) {
            return Err((Progress::UnknownOption, self.known_elsewhere(provider, model, name)));
        }
        let mut resolved =
            options::resolve(self, model, retired).map_err(|refusal| (Progress::OptionValue, refusal))?;
        resolved.adjustments.splice(0..0, self.replaced(target));
        Ok(Served { provider, model, resolved })
    }

    /// Why the model cannot take the inputs, with the models of the provider that can.
    fn check_inputs(&self, target: Target<'a>, today: NaiveDate) -> Option<(Progress, Refusal)> {
        let Target { provider, model, .. } = target;
        let problems = inputs::problems(&model.inputs, &self.given);
        let first = problems.first()?;
        let can =
            |one: &&&Model| life(one, today) != Life::Retired && inputs::problems(&one.inputs, &self.given).is_empty();
        let of_provider = preferred(provider, self.of);
        let able = of_provider.iter().filter(can).map(|one| one.id.as_str()).collect::<Vec<_>>().join(", ");
        let hint =
            if able.is_empty() { String::new() } else { format!("; these models of {} can: {able}", provider.id) };
        let message = format!("{} {} {}{hint}", provider.id, model.id, first.message);
        let wrong = i64::try_from(problems.len()).unwrap_or(i64::MAX);
        let progress = Progress::Inputs { wrong: -wrong, text_max: model.inputs.text_max.unwrap_or(usize::MAX) };
        Some((progress, Refusal::about(RefusalKind::Input, first.field, message)))
    }

    fn known_elsewhere(&self, provider: &Provider, model: &Model, name: &str) -> Refusal {
        let knowing = provider.models.iter().filter(|one| one.r#type == self.of && options::knows(one, name));
        let able = knowing.map(|one| one.id.as_str()).collect::<Vec<_>>().join(", ");
        let hint =
            if able.is_empty() { String::new() } else { format!("; these models of {} do: {able}", provider.id) };
        self.refuse_option(name, format!("{} {} has no option {name}{hint}", provider.id, model.id))
    }

    /// The adjustment that says which model runs in place of the retired one.
    fn replaced(&self, target: Target<'a>) -> Option<Adjustment> {
        let (provider, retired) = target.instead_of?;
        let requested = match &self.scope {
            Scope::Model(_, _, called) => called.clone(),
            _ => retired.id.to_string(),
        };
        let same = provider.id == target.provider.id;
        let used =
            if same { target.model.id.to_string() } else { format!("{}/{}", target.provider.id, target.model.id) };
        let since = retired.ends_at.map(|day| format!(" on {day}")).unwrap_or_default();
        let reason = format!("{} was retired{since}; {used} replaces it", retired.id);
        let (requested, used) = (Value::String(requested), Value::String(used));
        Some(Adjustment { option: "model".to_owned(), requested, used, reason })
    }
}

impl Catalog {
    /// The live models that replace a retired one, also through others that have been retired since.
    pub(super) fn replacements<'a>(
        &'a self,
        provider: &'a Provider,
        retired: &'a Model,
        today: NaiveDate,
        found: &mut Vec<(&'a Provider, &'a Model)>,
    ) {
        let mut open = vec![(provider, retired)];
        let mut seen = Vec::new();
        while let Some((provider, model)) = open.pop() {
            let id = (provider.id.as_str(), model.id.as_str());
            if seen.contains(&id) {
                continue;
            }
            seen.push(id);
            if life(model, today) == Life::Retired {
                let next = model.replaced_by.iter().filter_map(|name| self.replacement(provider, name));
                // The stack is read from its end: the first named is to be looked at first.
                open.extend(
                    next.filter(|(_, next)| next.r#type == retired.r#type).collect::<Vec<_>>().into_iter().rev(),
                );
            } else {
                found.push((provider, model));
            }
        }
    }

    /// `model` or `provider/model`, by id.
    pub(super) fn replacement<'a>(&'a self, provider: &'a Provider, name: &str) -> Option<(&'a Provider, &'a Model)> {
        let (provider, name) = match name.split_once('/') {
            Some((other, name)) => (self.find_provider(other)?, name),
            None => (provider, name),
        };
        provider.models.iter().find(|model| model.id.as_str() == name).map(|model| (provider, model))
    }
}

/// The models of a type, the provider's default first.
pub(super) fn preferred(provider: &Provider, of: GenerationType) -> Vec<&Model> {
    let mut models: Vec<_> = provider.models.iter().filter(|model| model.r#type == of).collect();
    models.sort_by_key(|model| model.id != provider.default_model);
    models
}

fn take_strict(options: &mut Map<String, Value>) -> Result<bool, Refusal> {
    match options.remove("strict") {
        None => Ok(false),
        Some(Value::Bool(strict)) => Ok(strict),
        Some(_) => Err(Refusal::about(RefusalKind::Option, "options.strict", "options.strict must be true or false")),
    }
}

fn take_model(options: &mut Map<String, Value>) -> Result<Option<String>, Refusal> {
    match options.remove("model") {
        None => Ok(None),
        Some(Value::String(model)) => Ok(Some(model)),
        Some(_) => {
            Err(Refusal::about(RefusalKind::Model, "options.model", "options.model must be the name of a model"))
        }
    }
}

fn scope<'a>(catalog: &'a Catalog, asked: &Asked, option: Option<&str>) -> Result<Scope<'a>, Refusal> {
    let of = asked.r#type;
    let provider = asked.provider.as_deref().map(|name| catalog.provider(of, name)).transpose()?;
    let find = |name: &str, field: &str| match provider {
        Some(provider) => model_of(provider, of, name, field).map(|model| Named { provider, model: Some(model) }),
        None => catalog.named(of, name, field),
    };
    let named = asked.model.as_deref().map(|name| find(name, "model")).transpose()?;
    let optional = option.map(|name| find_second(named, of, name, &find)).transpose()?;
    if let (Some(one), Some(other)) = (named, optional)
        && one
            .model
            .is_some_and(|model| other.model.is_some_and(|other| fold(model.id.as_str()) != fold(other.id.as_str())))
    {
        let message = "options.model names another model than model; give one of them";
        return Err(Refusal::about(RefusalKind::Model, "options.model", message));
    }
    let called = optional.and(option).or(asked.model.as_deref()).unwrap_or_default();
    Ok(match (optional.or(named), provider) {
        (Some(Named { provider, model: Some(model) }), _) => Scope::Model(provider, model, called.to_owned()),
        (Some(Named { provider, model: None }), _) | (None, Some(provider)) => Scope::Provider(provider),
        (None, None) => Scope::Any,
    })
}

/// `options.model` beside `model`: where that names a provider, it is one of its models.
fn find_second<'a>(
    named: Option<Named<'a>>,
    of: GenerationType,
    name: &str,
    find: &impl Fn(&str, &str) -> Result<Named<'a>, Refusal>,
) -> Result<Named<'a>, Refusal> {
    match named {
        Some(Named { provider, .. }) => {
            model_of(provider, of, name, "options.model").map(|model| Named { provider, model: Some(model) })
        }
        None => find(name, "options.model"),
    }
}
