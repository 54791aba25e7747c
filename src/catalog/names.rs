//! Finding providers and models by the names callers use, and the nearest name where there is none.

use super::{
    Catalog,
    request::{Refusal, RefusalKind},
    spec::{Model, Provider},
};
use crate::domain::{GenerationType, ModelId, ProviderId};

/// A name without the differences nobody means: case, surrounding space, `_` or space for `-`.
pub(super) fn fold(name: &str) -> String {
    name.trim().to_lowercase().replace(['_', ' '], "-")
}

/// The known name most like this one.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let bare = |name: &str| fold(name).replace('-', "");
    let wanted = bare(name);
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&wanted, &bare(known)), known))
        .fold(None, |best: Option<(f64, &str)>, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => Some(next),
        })
        .map(|(_, known)| known)
}

/// `; did you mean kling?`, or nothing when nothing is known.
pub(super) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map(|known| format!("; did you mean {known}?")).unwrap_or_default()
}

/// What a name stands for: a provider, perhaps with one of its models.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) provider: &'a Provider,
    pub(super) model: Option<&'a Model>,
}

impl Catalog {
    /// What a name given as `model` in the typed conveniences stands for: a provider, a model, or `provider/model`.
    /// An ambiguous model name is that of the first provider, by id, whose model makes the type.
    pub fn find_named(&self, of: GenerationType, name: &str) -> Result<(ProviderId, Option<ModelId>), Refusal> {
        let named = self.named(of, name, "model")?;
        Ok((named.provider.id.clone(), named.model.map(|model| model.id.clone())))
    }

    pub(super) fn named(&self, of: GenerationType, name: &str, field: &str) -> Result<Named<'_>, Refusal> {
        if let Some(provider) = self.find_provider(name) {
            makes(provider, of, field)?;
            return Ok(Named { provider, model: None });
        }
        if let Some((provider, model)) = name.split_once('/')
            && let Some(provider) = self.find_provider(provider)
        {
            let model = model_of(provider, of, model, field)?;
            return Ok(Named { provider, model: Some(model) });
        }
        let of_type = self
            .providers
            .iter()
            .find_map(|provider| find_model(provider, of, name).map(|model| Named { provider, model: Some(model) }));
        of_type.ok_or_else(|| self.unknown_name(of, name, field))
    }

    pub(super) fn find_provider(&self, name: &str) -> Option<&Provider> {
        let name = fold(name);
        self.providers.iter().find(|provider| provider.id.as_str() == name)
    }

    /// The provider a caller names.
    pub(super) fn provider(&self, of: GenerationType, name: &str) -> Result<&Provider, Refusal> {
        let Some(provider) = self.find_provider(name) else {
            let owner = self.providers.iter().find(|provider| find_model(provider, of, name).is_some());
            let hint = owner.map_or_else(
                || did_you_mean(name, self.providers.iter().map(|provider| provider.id.as_str())),
                |owner| format!("; it is a model of {}", owner.id),
            );
            let message = format!("No provider is called {name}{hint}");
            return Err(Refusal::about(RefusalKind::Provider, "provider", message));
        };
        makes(provider, of, "provider").map(|()| provider)
    }

    fn unknown_name(&self, of: GenerationType, name: &str, field: &str) -> Refusal {
        if let Some(model) = self.providers.iter().find_map(|provider| find_any_model(provider, name)) {
            return wrong_type(model, of, field);
        }
        let of_type = |provider: &&Provider| provider.models.iter().any(|model| model.r#type == of);
        let known = self.providers.iter().filter(of_type).flat_map(|provider| {
            let models = provider.models.iter().filter(|model| model.r#type == of).flat_map(names_of);
            std::iter::once(provider.id.as_str()).chain(models)
        });
        let message = format!("No model or provider is called {name}{}", did_you_mean(name, known));
        Refusal::about(RefusalKind::Model, field, message)
    }
}

/// The model of a provider by id or alias.
pub(super) fn model_of<'a>(
    provider: &'a Provider,
    of: GenerationType,
    name: &str,
    field: &str,
) -> Result<&'a Model, Refusal> {
    let bare = strip_provider(provider, name);
    if let Some(model) = find_model(provider, of, bare) {
        return Ok(model);
    }
    if let Some(model) = find_any_model(provider, bare) {
        return Err(wrong_type(model, of, field));
    }
    let known = provider.models.iter().filter(|model| model.r#type == of).flat_map(names_of);
    let message = format!("{} has no model called {name}{}", provider.id, did_you_mean(bare, known));
    Err(Refusal::about(RefusalKind::Model, field, message))
}

/// A model of a type by id, else by alias.
pub(super) fn find_model<'a>(provider: &'a Provider, of: GenerationType, name: &str) -> Option<&'a Model> {
    find_in(provider.models.iter().filter(|model| model.r#type == of), name)
}

fn find_any_model<'a>(provider: &'a Provider, name: &str) -> Option<&'a Model> {
    find_in(provider.models.iter(), name)
}

fn find_in<'a>(mut models: impl Iterator<Item = &'a Model> + Clone, name: &str) -> Option<&'a Model> {
    let name = fold(name);
    let by_id = models.clone().find(|model| fold(model.id.as_str()) == name);
    by_id.or_else(|| models.find(|model| model.aliases.iter().any(|alias| fold(alias) == name)))
}

/// `kling/v2-1` is `v2-1` where kling is named anyway.
fn strip_provider<'n>(provider: &Provider, name: &'n str) -> &'n str {
    match name.split_once('/') {
        Some((before, after)) if fold(before) == provider.id.as_str() => after,
        _ => name,
    }
}

fn names_of(model: &Model) -> impl Iterator<Item = &str> {
    std::iter::once(model.id.as_str()).chain(model.aliases.iter().map(String::as_str))
}

fn makes(provider: &Provider, of: GenerationType, field: &str) -> Result<(), Refusal> {
    if provider.models.iter().any(|model| model.r#type == of) {
        return Ok(());
    }
    let types = types_of(provider).into_iter().map(GenerationType::as_str).collect::<Vec<_>>().join(", ");
    let message = format!("{} makes {types}, not {}", provider.id, of.as_str());
    Err(Refusal::about(RefusalKind::Provider, field, message))
}

/// The types a provider makes, in the order of the API.
pub(super) fn types_of(provider: &Provider) -> Vec<GenerationType> {
    let makes = |of: &GenerationType| provider.models.iter().any(|model| model.r#type == *of);
    GenerationType::ALL.into_iter().filter(makes).collect()
}

fn wrong_type(model: &Model, of: GenerationType, field: &str) -> Refusal {
    let message = format!("{} makes {}, not {}", model.id, model.r#type.as_str(), of.as_str());
    Refusal::about(RefusalKind::Model, field, message)
}
