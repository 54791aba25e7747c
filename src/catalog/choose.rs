//! Which route serves a request.
//!
//! Where the provider is named, its models are tried in order (the default first) and their routes in order; what is
//! not configured, has an open circuit or costs too much is passed by. In test mode nothing is. Where the routes that
//! carry the request are not configured and others of the model are, it is served by these at the nearest values they
//! take.
//!
//! A specialist is tried only where its name is given or no other model can serve.
//!
//! Where the choice is ours, every usable route gets a score. Over the routes to choose from, quality is placed between
//! 0 (lowest rank) and 1 (highest), price and time between 0 (most) and 1 (least) on a logarithmic scale, since twice
//! as dear matters the same at any price. With these,
//!
//! - `QUALITY` = quality, `SPEED` = time, `COST` = price,
//! - `BALANCED` = quality^0.5 · price^0.3 · time^0.2, each lifted to 0.1 … 1: what is worst in one thing does not win
//!   by another,
//!
//! times the measured success, minus 1 for every adjustment (what serves a request exactly beats what does not), minus
//! 0.01 for every place down its model's list of routes. Ties go to the higher quality, the lower price, the shorter
//! time, then by name.

use std::{cmp::Ordering, rc::Rc};

use super::{
    Catalog, RouteRef,
    accept::{Request, Scope, Served},
    conditions, configured,
    options::{self, Resolved},
    price,
    request::{Choice, Conditions, Refusal, RefusalKind, RouteId},
    spec::{Provider, Route},
};
use crate::domain::{Credits, Mode, Priority};

/// A route that can serve the request, now and at this price.
pub(super) struct Candidate<'a> {
    pub(super) at: RouteRef<'a>,
    pub(super) id: RouteId,
    pub(super) cost: Credits,
    resolved: Rc<Resolved>,
    place: u32,
    seconds: f64,
    success: f64,
    open: bool,
}

impl Candidate<'_> {
    pub(super) fn choice(&self) -> Choice {
        let RouteRef { provider, model, route } = self.at;
        let mut options = self.resolved.options.clone();
        // Only defaults are left here of what the route lacks: a request for one passes the route by.
        options.retain(|name, _| !route.lacks.contains(name));
        Choice {
            provider: provider.id.clone(),
            model: model.id.clone(),
            route: self.id.clone(),
            upstream: route.upstream.clone(),
            text: self.resolved.text.clone(),
            options,
            adjustments: self.resolved.adjustments.clone(),
            credit_cost: self.cost,
            estimated_seconds: whole_seconds(self.seconds),
            quality: model.quality,
        }
    }
}

/// Whole seconds, at least one.
pub(super) fn whole_seconds(seconds: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; never below one")]
    let whole = seconds.ceil().max(1.0) as u32;
    whole
}

/// The first of [`candidates`] where a provider is named, found without a look at its other models: most requests name
/// one. `None` when there is none, or when it takes all of them to tell.
pub(super) fn first_of_provider<'a>(request: &Request<'a>, cx: &Conditions<'_>) -> Option<Candidate<'a>> {
    if matches!(request.scope, Scope::Any) {
        return None;
    }
    let affordable = |one: &Candidate<'_>| request.max_credits.is_none_or(|max| one.cost <= max);
    let usable = |one: &Candidate<'_>| configured(cx, one.at.route) && !one.open && affordable(one);
    request.served_in_turn(cx.today).into_iter().flatten().flat_map(|served| routes(request, served, cx)).find(usable)
}

/// The usable routes, best first; never empty.
pub(super) fn candidates<'a>(request: &Request<'a>, cx: &Conditions<'_>) -> Result<Vec<Candidate<'a>>, Refusal> {
    let served = request.served(cx.today)?;
    let fitting: Vec<_> = served.into_iter().flat_map(|one| routes(request, one, cx)).collect();
    if fitting.is_empty() {
        return Err(nothing_carries(request));
    }
    let waiting: Vec<_> = fitting.iter().map(|one| one.at.route).collect();
    let not_configured = not_configured(request.catalog, &request.scope, &waiting);
    let mut ready: Vec<_> = fitting.into_iter().filter(|one| configured(cx, one.at.route)).collect();
    if ready.is_empty() {
        ready = bent(request, cx)?;
    }
    if ready.is_empty() {
        return Err(Refusal::plain(RefusalKind::Unavailable, not_configured));
    }
    let closed: Vec<_> = ready.into_iter().filter(|one| !one.open).collect();
    if closed.is_empty() {
        return Err(all_open(&request.scope));
    }
    let mut usable = affordable(closed, request.max_credits)?;
    if matches!(request.scope, Scope::Any) {
        rank(&mut usable, request.priority);
    }
    Ok(usable)
}

fn routes<'a>(request: &Request<'a>, served: Served<'a>, cx: &Conditions<'_>) -> Vec<Candidate<'a>> {
    let Served { provider, model, resolved } = served;
    let resolved = Rc::new(resolved);
    let carries = |route: &Route| {
        let lacks =
            route.lacks.iter().any(|name| request.options.contains_key(name) && resolved.options.contains_key(name));
        !lacks && conditions::hold(&route.when, &route.with, &route.without, &resolved.options, &request.given)
    };
    let routes = (0_u32..).zip(&model.routes).filter(|(_, route)| carries(route));
    routes
        .map(|(place, route)| candidate(request, RouteRef { provider, model, route }, place, Rc::clone(&resolved), cx))
        .collect()
}

/// Where no route that carries the request is configured: the routes that are, at the nearest values they take.
fn bent<'a>(request: &Request<'a>, cx: &Conditions<'_>) -> Result<Vec<Candidate<'a>>, Refusal> {
    let (mut found, mut refused) = (Vec::new(), None);
    for Served { provider, model, resolved } in request.served(cx.today)? {
        let here = (0_u32..).zip(&model.routes).filter(|(_, route)| configured(cx, route));
        for (place, route) in here {
            match options::bend(request, model, route, &resolved) {
                Ok(Some(bent)) => {
                    let at = RouteRef { provider, model, route };
                    found.push(candidate(request, at, place, Rc::new(bent), cx));
                }
                Ok(None) => {}
                Err(refusal) => refused = refused.or(Some(refusal)),
            }
        }
    }
    match refused {
        Some(refusal) if found.is_empty() => Err(refusal),
        _ => Ok(found),
    }
}

fn candidate<'a>(
    request: &Request<'a>,
    at: RouteRef<'a>,
    place: u32,
    resolved: Rc<Resolved>,
    cx: &Conditions<'_>,
) -> Candidate<'a> {
    let RouteRef { provider, model, route } = at;
    let id = super::route_id(provider, model, route);
    let health = (cx.health)(&id);
    Candidate {
        at,
        cost: price::credits(&route.price, model, &resolved.options, &request.given, resolved.text.as_deref()),
        resolved,
        place,
        seconds: health.seconds.filter(|one| *one > 0.0).unwrap_or_else(|| f64::from(route.typical_seconds)),
        success: if health.success.is_finite() { health.success.clamp(0.0, 1.0) } else { 1.0 },
        open: health.open && cx.mode == Mode::Live,
        id,
    }
}

fn affordable(mut candidates: Vec<Candidate<'_>>, max: Option<Credits>) -> Result<Vec<Candidate<'_>>, Refusal> {
    let (Some(max), Some(least)) = (max, candidates.iter().map(|one| one.cost).min()) else { return Ok(candidates) };
    if least > max {
        let message = format!("This costs at least {least} credits, more than maxCredits {max}");
        return Err(Refusal::about(RefusalKind::MaxCredits, "maxCredits", message));
    }
    candidates.retain(|one| one.cost <= max);
    Ok(candidates)
}

/// The values of a measure over all candidates, so that one can be placed among them.
struct Span {
    low: f64,
    high: f64,
}

impl Span {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Self {
        Self { low: values.clone().fold(f64::INFINITY, f64::min), high: values.fold(f64::NEG_INFINITY, f64::max) }
    }

    /// 1 for the highest, 0 for the lowest; 1 where all are alike.
    fn place(&self, value: f64) -> f64 {
        let width = self.high - self.low;
        if width > 0.0 { (value - self.low) / width } else { 1.0 }
    }
}

fn rank(candidates: &mut Vec<Candidate<'_>>, priority: Priority) {
    let quality = |one: &Candidate<'_>| f64::from(one.at.model.quality);
    // Negated, so that 1 is the least of them.
    let price = |one: &Candidate<'_>| -(f64::from(u32::try_from(one.cost.get()).unwrap_or(u32::MAX)).max(1.0).ln());
    let time = |one: &Candidate<'_>| -(one.seconds.max(1.0).ln());
    let qualities = Span::over(candidates.iter().map(quality));
    let prices = Span::over(candidates.iter().map(price));
    let times = Span::over(candidates.iter().map(time));
    let score = |one: &Candidate<'_>| {
        let quality = qualities.place(quality(one));
        let (price, time) = (prices.place(price(one)), times.place(time(one)));
        let lifted = |place: f64| 0.1 + 0.9 * place;
        let merit = match priority {
            Priority::Quality => quality,
            Priority::Speed => time,
            Priority::Cost => price,
            Priority::Balanced => lifted(quality).powf(0.5) * lifted(price).powf(0.3) * lifted(time).powf(0.2),
        };
        let adjusted = u32::try_from(one.resolved.adjustments.len()).map_or(f64::MAX, f64::from);
        merit * one.success - adjusted - 0.01 * f64::from(one.place)
    };
    let mut scored: Vec<_> = candidates.drain(..).map(|one| (score(&one), one)).collect();
    scored.sort_by(|(score, one), (other_score, other)| other_score.total_cmp(score).then_with(|| tie(one, other)));
    candidates.extend(scored.into_iter().map(|(_, one)| one));
}

fn tie(one: &Candidate<'_>, other: &Candidate<'_>) -> Ordering {
    let quality = other.at.model.quality.cmp(&one.at.model.quality);
    quality
        .then_with(|| one.cost.cmp(&other.cost))
        .then_with(|| one.seconds.total_cmp(&other.seconds))
        .then_with(|| one.id.cmp(&other.id))
}

/// Every model that could serve has only routes for other inputs or options.
fn nothing_carries(request: &Request<'_>) -> Refusal {
    let lacking = |name: &&String| {
        let models = request.catalog.providers.iter().flat_map(|provider| &provider.models);
        let of_type = models.filter(|model| model.r#type == request.of);
        of_type.flat_map(|model| &model.routes).any(|route| route.lacks.contains(name))
    };
    let whose = whose(&request.scope);
    match request.options.keys().find(lacking) {
        Some(name) => request.refuse_option(name, format!("{whose} cannot take option {name} in this combination")),
        None => Refusal::about(
            RefusalKind::Input,
            "input",
            format!("{whose} cannot serve this combination of inputs and options"),
        ),
    }
}

fn whose(scope: &Scope<'_>) -> String {
    match scope {
        Scope::Any => "Any provider".to_owned(),
        Scope::Provider(provider) => provider.id.to_string(),
        Scope::Model(provider, model, _) => format!("{} {}", provider.id, model.id),
    }
}

fn all_open(scope: &Scope<'_>) -> Refusal {
    let message = match scope {
        Scope::Any => "No provider that can serve this is available at the moment; try again in a minute".to_owned(),
        Scope::Provider(provider) | Scope::Model(provider, ..) => {
            format!("{} is not available at the moment; try again in a minute, or let the gateway choose", provider.id)
        }
    };
    Refusal::plain(RefusalKind::Down, message)
}

fn not_configured(catalog: &Catalog, scope: &Scope<'_>, routes: &[&Route]) -> String {
    match scope {
        Scope::Any => "No provider that can serve this is configured here".to_owned(),
        Scope::Provider(provider) | Scope::Model(provider, ..) => {
            let Provider { id, .. } = provider;
            catalog.waits_for(routes).map_or_else(
                || format!("{id} is not configured here"),
                |variables| format!("{id} is not configured here: set {variables}"),
            )
        }
    }
}

impl Catalog {
    /// The variables any of which would bring one of the routes into service: `A and B, or C`.
    pub(super) fn waits_for(&self, routes: &[&Route]) -> Option<String> {
        let mut sets: Vec<String> = Vec::new();
        for set in routes.iter().flat_map(|route| self.credentials(route)) {
            let set = set.join(" and ");
            if !sets.contains(&set) {
                sets.push(set);
            }
        }
        (!sets.is_empty()).then(|| sets.join(", or "))
    }
}
