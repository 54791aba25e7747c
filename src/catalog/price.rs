//! What a run costs, from the route's price and the final options.
//!
//! The length of speech is not known before it is spoken: it is estimated from the text at 15 characters a second. The
//! text of a clip is a prompt, not speech; where a clip's or a sound file's length decides, 30 seconds are charged.

use serde_json::{Map, Value};

use super::{
    conditions,
    inputs::Given,
    spec::{InputName, Model, OptionSpec, Price, Unit},
    values::as_number,
};
use crate::domain::{Credits, GenerationType};

const CHARACTERS_PER_SECOND: f64 = 15.0;
const UNKNOWN_SECONDS: f64 = 30.0;

/// The price of a run in whole credits, rounded up.
pub(super) fn credits(
    price: &Price,
    model: &Model,
    options: &Map<String, Value>,
    given: &Given,
    text: Option<&str>,
) -> Credits {
    let holds = |tier: &&super::spec::Tier| conditions::hold(&tier.when, &tier.with, &tier.without, options, given);
    let usd = price.tiers.iter().find(holds).map_or(price.usd, |tier| tier.usd);
    let micro_usd = (usd * units(price.per, model, options, given, text) * 1e6).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; a price is not negative")]
    Credits::from_micro_usd(micro_usd as u64)
}

fn units(per: Unit, model: &Model, options: &Map<String, Value>, given: &Given, text: Option<&str>) -> f64 {
    let option = |name: &str| options.get(name).and_then(as_number).filter(|number| *number > 0.0);
    match per {
        Unit::Run => 1.0,
        Unit::Image => option("n").unwrap_or(1.0),
        Unit::Second => match model.options.get("duration") {
            Some(spec) => option("duration").unwrap_or_else(|| longest(spec)),
            None => speech_seconds(model, given, text),
        },
        Unit::ThousandCharacters => characters(text) / 1_000.0,
        Unit::SpeechSecond => speech_seconds(model, given, text),
    }
}

/// Where the upstream decides on the length, the longest clip is charged.
fn longest(spec: &OptionSpec) -> f64 {
    let listed = spec.values.iter().filter_map(as_number).reduce(f64::max);
    listed.or(spec.max).filter(|seconds| *seconds > 0.0).unwrap_or(UNKNOWN_SECONDS)
}

fn speech_seconds(model: &Model, given: &Given, text: Option<&str>) -> f64 {
    let video_rules = model.r#type == GenerationType::Video && given.has(InputName::Video);
    if video_rules || given.has(InputName::Audio) || text.is_none() {
        return UNKNOWN_SECONDS;
    }
    (characters(text) / CHARACTERS_PER_SECOND).max(1.0)
}

fn characters(text: Option<&str>) -> f64 {
    u32::try_from(text.unwrap_or_default().chars().count()).map_or(f64::MAX, f64::from)
}
