//! Choices over random fleets, compared with an oracle that knows the fleet only as it was drawn and the scoring only as
//! `catalog/choose.rs` documents it.

use std::{cmp::Ordering, fmt::Write as _};

use doitong::{
    catalog::{Asked, Catalog, Choice, Conditions, Health, RefusalKind, RouteId, spec::Route},
    domain::{ContentInput, Credits, GenerationType, Mode, Priority},
};
use proptest::prelude::*;
use serde_json::json;

const UPSTREAMS: usize = 6;

#[derive(Clone, Debug)]
struct Fleet {
    providers: Vec<Vec<ModelDrawn>>,
    configured: [bool; UPSTREAMS],
}

#[derive(Clone, Debug)]
struct ModelDrawn {
    quality: u8,
    has_seed: bool,
    routes: Vec<RouteDrawn>,
}

#[derive(Clone, Debug)]
struct RouteDrawn {
    upstream: usize,
    credits: u32,
    typical: u32,
    lacks_seed: bool,
    health: Health,
}

#[derive(Clone, Copy, Debug)]
struct Wish {
    priority: Priority,
    with_seed: bool,
    max_credits: Option<i64>,
}

fn route() -> impl Strategy<Value = RouteDrawn> {
    let health = (
        prop::bool::weighted(0.2),
        prop::sample::select(vec![1.0, 1.0, 0.9, 0.5, 0.0]),
        prop::option::of(prop::sample::select(vec![0.5, 4.0, 10.0, 19.5, 60.0, 600.0])),
    );
    let health = health.prop_map(|(open, success, seconds)| Health { open, success, seconds });
    let (credits, typical) = (vec![1_u32, 10, 20, 20, 35, 400], vec![2_u32, 10, 10, 20, 90]);
    let drawn = (0..UPSTREAMS, prop::sample::select(credits), prop::sample::select(typical), prop::bool::ANY, health);
    drawn.prop_map(|(upstream, credits, typical, lacks_seed, health)| RouteDrawn {
        upstream,
        credits,
        typical,
        lacks_seed,
        health,
    })
}

fn fleet() -> impl Strategy<Value = Fleet> {
    let quality = prop::sample::select(vec![40_u8, 70, 70, 85, 95]);
    let model = (quality, prop::bool::ANY, prop::collection::vec(route(), 1..4));
    let model = model.prop_map(|(quality, has_seed, mut routes)| {
        for route in &mut routes {
            route.lacks_seed &= has_seed;
        }
        ModelDrawn { quality, has_seed, routes }
    });
    let providers = prop::collection::vec(prop::collection::vec(model, 1..4), 1..6);
    let configured = prop::array::uniform6(prop::bool::weighted(0.85));
    (providers, configured).prop_map(|(providers, configured)| Fleet { providers, configured })
}

fn wish() -> impl Strategy<Value = Wish> {
    let priority = prop::sample::select(vec![Priority::Quality, Priority::Speed, Priority::Cost, Priority::Balanced]);
    let max_credits = prop::option::weighted(0.4, prop::sample::select(vec![0_i64, 1, 10, 20, 30, 1_000]));
    (priority, prop::bool::ANY, max_credits).prop_map(|(priority, with_seed, max_credits)| Wish {
        priority,
        with_seed,
        max_credits,
    })
}

/// A route as the oracle sees it.
#[derive(Clone, Debug)]
struct Seen {
    id: String,
    quality: u8,
    credits: u32,
    seconds: f64,
    success: f64,
    adjustments: u32,
    place: u32,
    upstream: usize,
    open: bool,
}

impl Fleet {
    fn each(&self) -> impl Iterator<Item = (String, &ModelDrawn, u32, &RouteDrawn)> {
        self.providers.iter().enumerate().flat_map(|(p, models)| {
            models.iter().enumerate().flat_map(move |(m, model)| {
                (0_u32..).zip(&model.routes).map(move |(place, route)| {
                    let before = &model.routes[..place as usize];
                    let twins = before.iter().filter(|other| other.upstream == route.upstream).count();
                    let twin = if twins == 0 { String::new() } else { format!("#{}", twins + 1) };
                    (format!("p{p}/m{m}@u{}{twin}", route.upstream), model, place, route)
                })
            })
        })
    }

    fn health(&self, id: &RouteId) -> Health {
        self.each().find(|(name, ..)| *name == id.0).unwrap().3.health
    }

    /// The catalogue's files for it.
    fn catalog(&self) -> Catalog {
        let folder = tempfile::tempdir().unwrap();
        let mut upstreams = String::new();
        for upstream in 0..UPSTREAMS {
            let keys = "concurrent_calls = 4\nsubmits_per_minute = 60";
            writeln!(upstreams, "[u{upstream}]\nname = \"U\"\ncredentials = [[\"U{upstream}\"]]\n{keys}").unwrap();
        }
        std::fs::write(folder.path().join("upstreams.toml"), upstreams).unwrap();
        for (p, models) in self.providers.iter().enumerate() {
            let mut text = format!("id = \"p{p}\"\nname = \"P\"\ndescription = \"P.\"\ndefault_model = \"m0\"\n");
            for (m, model) in models.iter().enumerate() {
                write_model(&mut text, p, m, model);
            }
            std::fs::write(folder.path().join(format!("p{p}.toml")), text).unwrap();
        }
        Catalog::load(Some(folder.path())).unwrap()
    }

    /// Those that can serve, in no order; or why none can.
    fn usable(&self, wish: Wish) -> Result<Vec<Seen>, RefusalKind> {
        let all = self.each().map(|(id, model, place, route)| {
            let lacks = wish.with_seed && route.lacks_seed;
            let seen = Seen {
                id,
                quality: model.quality,
                credits: route.credits,
                seconds: route.health.seconds.unwrap_or(f64::from(route.typical)),
                success: route.health.success,
                adjustments: u32::from(wish.with_seed && !model.has_seed || lacks),
                place,
                upstream: route.upstream,
                open: route.health.open,
            };
            (lacks, seen)
        });
        let (lacking, carrying): (Vec<_>, Vec<_>) = all.partition(|(lacks, _)| *lacks);
        if carrying.is_empty() {
            return Err(RefusalKind::Option);
        }
        let configured = |routes: Vec<(bool, Seen)>| -> Vec<Seen> {
            routes.into_iter().map(|(_, route)| route).filter(|route| self.configured[route.upstream]).collect()
        };
        let mut seen = configured(carrying);
        if seen.is_empty() {
            // Those that lack the option serve without it, and say so.
            seen = configured(lacking);
        }
        if seen.is_empty() {
            return Err(RefusalKind::Unavailable);
        }
        seen.retain(|route| !route.open);
        if seen.is_empty() {
            return Err(RefusalKind::Down);
        }
        seen.retain(|route| wish.max_credits.is_none_or(|max| i64::from(route.credits) <= max));
        if seen.is_empty() { Err(RefusalKind::MaxCredits) } else { Ok(seen) }
    }

    fn accept(&self, wish: Wish) -> Result<Choice, RefusalKind> {
        self.with(|catalog, cx| catalog.accept(&asked(wish), cx).map_err(|refusal| refusal.kind))
    }

    fn with<T>(&self, run: impl FnOnce(&Catalog, &Conditions<'_>) -> T) -> T {
        let configured = |route: &Route| {
            let number: usize = route.upstream.as_str()[1..].parse().unwrap();
            self.configured[number]
        };
        let health = |id: &RouteId| self.health(id);
        let today = "2026-06-01".parse().unwrap();
        run(&self.catalog(), &Conditions { mode: Mode::Live, today, configured: &configured, health: &health })
    }

    fn route_mut(&mut self, id: &str) -> &mut RouteDrawn {
        let (p, m, place) = self
            .each()
            .find(|(name, ..)| name == id)
            .map(|(name, _, place, _)| {
                let (p, rest) = name[1..].split_once("/m").unwrap();
                let m = rest.split_once('@').unwrap().0;
                (p.parse::<usize>().unwrap(), m.parse::<usize>().unwrap(), place as usize)
            })
            .unwrap();
        &mut self.providers[p][m].routes[place]
    }
}

fn write_model(text: &mut String, p: usize, m: usize, model: &ModelDrawn) {
    let quality = model.quality;
    write!(text, "[[models]]\nid = \"m{m}\"\nname = \"M\"\ntype = \"IMAGE\"\nquality = {quality}\n").unwrap();
    writeln!(text, "inputs = {{ text = \"required\" }}").unwrap();
    if model.has_seed {
        writeln!(text, "[models.options]\nseed = {{ type = \"integer\", min = 0, max = 100 }}").unwrap();
    }
    for (place, route) in model.routes.iter().enumerate() {
        let RouteDrawn { upstream, credits, typical, lacks_seed, .. } = route;
        let lacks = if *lacks_seed { "lacks = [\"seed\"]\n" } else { "" };
        let usd = f64::from(*credits) / 1000.0;
        writeln!(
            text,
            "[[models.routes]]\nupstream = \"u{upstream}\"\nmodel = \"p{p}-m{m}-{place}\"\n{lacks}typical_seconds = {typical}\n\
             price = {{ per = \"run\", usd = {usd:?}, source = \"test\", date = \"2026-01-01\" }}"
        )
        .unwrap();
    }
}

fn asked(wish: Wish) -> Asked {
    let options = if wish.with_seed { json!({ "seed": 7 }) } else { json!({}) };
    Asked {
        r#type: GenerationType::Image,
        provider: None,
        model: None,
        input: ContentInput { text: Some("A cat".to_owned()), ..ContentInput::default() },
        options: options.as_object().unwrap().clone(),
        priority: wish.priority,
        max_credits: wish.max_credits,
    }
}

/// Between 0 (the worst) and 1 (the best).
fn place(value: f64, all: &[f64]) -> f64 {
    let (low, high) = all.iter().fold((f64::MAX, f64::MIN), |(low, high), one| (low.min(*one), high.max(*one)));
    if high > low { (value - low) / (high - low) } else { 1.0 }
}

/// The score of each, as documented.
fn scores(routes: &[Seen], priority: Priority) -> Vec<f64> {
    let cheapness = |route: &Seen| -f64::from(route.credits.max(1)).ln();
    let quickness = |route: &Seen| -route.seconds.max(1.0).ln();
    let all = |measure: &dyn Fn(&Seen) -> f64| routes.iter().map(measure).collect::<Vec<_>>();
    let qualities = all(&|route| f64::from(route.quality));
    let (prices, times) = (all(&cheapness), all(&quickness));
    let score = |route: &Seen| {
        let quality = place(f64::from(route.quality), &qualities);
        let (price, time) = (place(cheapness(route), &prices), place(quickness(route), &times));
        let merit = match priority {
            Priority::Quality => quality,
            Priority::Speed => time,
            Priority::Cost => price,
            Priority::Balanced => {
                let lift = |share: f64| 0.9_f64.mul_add(share, 0.1);
                lift(quality).powf(0.5) * lift(price).powf(0.3) * lift(time).powf(0.2)
            }
        };
        merit * route.success - f64::from(route.adjustments) - 0.01 * f64::from(route.place)
    };
    routes.iter().map(score).collect()
}

fn ties(one: &Seen, other: &Seen) -> Ordering {
    let (quality, price) = (other.quality.cmp(&one.quality), one.credits.cmp(&other.credits));
    quality.then(price).then(one.seconds.total_cmp(&other.seconds)).then(one.id.cmp(&other.id))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_choice_is_the_oracles(fleet in fleet(), wish in wish()) {
        match (fleet.usable(wish), fleet.accept(wish)) {
            (Ok(routes), Ok(choice)) => {
                let scores = scores(&routes, wish.priority);
                let best = scores.iter().copied().fold(f64::MIN, f64::max);
                let first: Vec<_> = routes.iter().zip(&scores).filter(|(_, score)| best - **score < 1e-9).collect();
                let ids: Vec<_> = first.iter().map(|(route, _)| route.id.as_str()).collect();
                prop_assert!(ids.contains(&choice.route.0.as_str()), "{} is not among {ids:?}", choice.route);
                // What rounding can tell apart is no tie.
                if first.iter().all(|(_, score)| score.to_bits() == best.to_bits()) {
                    let mut tied: Vec<_> = first.iter().map(|(route, _)| *route).collect();
                    tied.sort_by(|one, other| ties(one, other));
                    prop_assert_eq!(&tied[0].id, &choice.route.0, "a tie of {:?}", ids);
                }
                let chosen = routes.iter().find(|route| route.id == choice.route.0).unwrap();
                prop_assert_eq!(i64::from(chosen.credits), choice.credit_cost.get());
                prop_assert!((chosen.seconds.ceil().max(1.0) - f64::from(choice.estimated_seconds)).abs() < 1e-9);
            }
            (routes, choice) => {
                prop_assert_eq!(routes.map(|_| ()).err(), choice.map(|_| ()).err());
            }
        }
    }

    #[test]
    fn cost_never_takes_the_dearer_of_two_that_are_alike(fleet in fleet(), wish in wish()) {
        let wish = Wish { priority: Priority::Cost, ..wish };
        let (Ok(routes), Ok(choice)) = (fleet.usable(wish), fleet.accept(wish)) else { return Ok(()) };
        let chosen = routes.iter().find(|route| route.id == choice.route.0).unwrap();
        let alike = |route: &&Seen| {
            (route.adjustments, route.place) == (chosen.adjustments, chosen.place) && route.success >= chosen.success
        };
        let cheapest = routes.iter().filter(alike).map(|route| route.credits).min().unwrap();
        // With a success of nothing the price says nothing either.
        prop_assert!(chosen.credits <= cheapest || chosen.success == 0.0, "{} is dearer than {cheapest}", chosen.id);
    }

    #[test]
    fn what_gets_faster_stays_chosen(fleet in fleet(), wish in wish(), share in 0.05_f64..1.0) {
        let wish = Wish { priority: Priority::Speed, ..wish };
        let (Ok(routes), Ok(choice)) = (fleet.usable(wish), fleet.accept(wish)) else { return Ok(()) };
        let seconds = routes.iter().find(|route| route.id == choice.route.0).unwrap().seconds;
        let mut faster = fleet.clone();
        faster.route_mut(&choice.route.0).health.seconds = Some(seconds * share);
        prop_assert_eq!(faster.accept(wish).unwrap().route, choice.route);
    }

    #[test]
    fn fail_over_tries_each_door_once_within_the_price(fleet in fleet(), wish in wish()) {
        let Ok(choice) = fleet.accept(wish) else { return Ok(()) };
        let frozen = Credits::new(choice.credit_cost.get());
        let mut tried = vec![choice.route.clone()];
        while let Some(next) = fleet.with(|catalog, cx| catalog.fail_over(&asked(wish), &tried, frozen, cx)) {
            prop_assert!(!tried.contains(&next.route), "{} was tried", next.route);
            prop_assert!(next.credit_cost <= frozen && !fleet.health(&next.route).open);
            tried.push(next.route);
        }
        let left = fleet.usable(wish).unwrap().into_iter().filter(|route| i64::from(route.credits) <= frozen.get());
        let left: Vec<_> = left.filter(|route| !tried.contains(&RouteId(route.id.clone()))).collect();
        prop_assert!(left.is_empty(), "not tried: {left:?}");
    }

    #[test]
    fn a_quote_shows_what_serves_and_every_other_model_once(fleet in fleet(), wish in wish()) {
        let Ok(quote) = fleet.with(|catalog, cx| catalog.quote(&asked(wish), cx)) else { return Ok(()) };
        prop_assert_eq!(&quote.choice, &fleet.accept(wish).unwrap());
        let model = |id: &str| id.split_once('@').unwrap().0.to_owned();
        let mut usable: Vec<_> = fleet.usable(wish).unwrap().iter().map(|route| model(&route.id)).collect();
        usable.sort();
        usable.dedup();
        let mut shown: Vec<_> = quote.alternatives.iter().chain([&quote.choice]).map(|one| model(&one.route.0)).collect();
        shown.sort();
        prop_assert_eq!(shown, usable);
        for one in &quote.alternatives {
            let drawn = fleet.each().find(|(id, ..)| *id == one.route.0).unwrap().3;
            prop_assert_eq!(one.credit_cost.get(), i64::from(drawn.credits));
            prop_assert!(!drawn.health.open && one.estimated_seconds >= 1);
        }
    }
}
