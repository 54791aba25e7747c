//! One value against one option: read without loss, taken as it is where the option has it, else brought to the
//! nearest value it has. What is no value of that kind at all is refused.
//!
//! Nearest means: numbers by difference, ties up; resolutions by the height of a picture of that many pixels in 16:9;
//! aspect ratios by the ratio of the ratios, ties away from square; any other text is the option's default, or its first value.

use serde_json::{Number, Value};

use super::{
    conditions::same,
    spec::{OptionSpec, ValueType},
};

/// How a value fits an option.
#[derive(Debug, PartialEq)]
pub(super) enum Fit {
    /// It is one of the option's own.
    Exact(Value),
    /// The option has not this value; that is the nearest.
    Nearest(Value),
}

/// Fits a value to an option. The error continues a sentence that begins with the field's name.
pub(super) fn fit(name: &str, spec: &OptionSpec, asked: &Value) -> Result<Fit, String> {
    if let Some(value) = by_alias(spec, asked) {
        return Ok(Fit::Exact(value));
    }
    match spec.r#type {
        ValueType::Json => Ok(Fit::Exact(asked.clone())),
        ValueType::Boolean => boolean(asked).map(Fit::Exact),
        ValueType::Integer | ValueType::Number => fit_number(spec, asked),
        ValueType::String => fit_text(name, spec, &text(asked)?),
    }
}

/// A value of a portable option that the model has no setting for: is it a value of that kind at all?
pub(super) fn plausible(name: &str, value_type: ValueType, asked: &Value) -> Result<Value, String> {
    match value_type {
        ValueType::Json => Ok(asked.clone()),
        ValueType::Boolean => boolean(asked),
        ValueType::Integer | ValueType::Number => {
            let number = number(asked, value_type)?;
            let positive = number.as_f64().is_some_and(|number| number > 0.0);
            if positive || !matches!(name, "duration" | "n" | "speed") {
                return Ok(number);
            }
            Err("must be greater than 0".to_owned())
        }
        ValueType::String => {
            let text = text(asked)?;
            Measure::of(name).map_or(Ok(()), |measure| measure.check(&text)).map(|()| Value::String(text))
        }
    }
}

/// Whether the option has exactly this value, without any coercion. For the catalogue's own values.
pub(super) fn has(name: &str, spec: &OptionSpec, value: &Value) -> bool {
    let typed = match spec.r#type {
        ValueType::String => value.is_string(),
        ValueType::Integer => value.is_i64() || value.is_u64(),
        ValueType::Number => value.is_number(),
        ValueType::Boolean => value.is_boolean(),
        ValueType::Json => true,
    };
    let by_alias = || by_alias(spec, value).is_some();
    by_alias() || (typed && matches!(fit(name, spec, value), Ok(Fit::Exact(exact)) if same(&exact, value)))
}

/// The nearest of some values to one.
pub(super) fn nearest(name: &str, list: &[Value], wanted: &Value, default: Option<&Value>) -> Option<Value> {
    let fallback = || default.filter(|default| list.iter().any(|value| same(value, default))).or(list.first()).cloned();
    let measure = Measure::of(name);
    let read = |value: &Value| measure.map_or_else(|| as_number(value), |measure| measure.read(&plain(value)));
    let Some(wanted) = read(wanted) else { return fallback() };
    // Of two equally near values: the larger number or picture, the ratio that stays upright or wide instead of square
    // (3:4 is as near to 9:16 as to 1:1). Where that is a tie too, the default.
    let size = |value: &Value| {
        let size = read(value).unwrap_or_default();
        if measure == Some(Measure::AspectRatio) { size.abs() } else { size }
    };
    let mut best: Option<(f64, &Value)> = None;
    for value in list {
        let Some(distance) = read(value).map(|value| (value - wanted).abs()) else { continue };
        let better = best.is_none_or(|(least, best)| {
            if (distance - least).abs() > 1e-9 {
                return distance < least;
            }
            let (value_size, best_size) = (size(value), size(best));
            let tie = (value_size - best_size).abs() < 1e-9;
            if tie { default.is_some_and(|default| same(default, value)) } else { value_size > best_size }
        });
        if better {
            best = Some((distance, value));
        }
    }
    best.map(|(_, value)| value.clone()).or_else(fallback)
}

/// The values an option takes, in words: `5 or 10`, `1 to 4`.
pub(super) fn in_words(spec: &OptionSpec) -> String {
    const SHOWN: usize = 12;
    if spec.values.is_empty() {
        return match (spec.min, spec.max) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("{min} or more"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => spec.aliases.keys().take(SHOWN).cloned().collect::<Vec<_>>().join(", "),
        };
    }
    list_in_words(&spec.values, SHOWN)
}

/// Some values in words: `5, 6 or 10`.
pub(super) fn list_in_words(values: &[Value], shown: usize) -> String {
    let words: Vec<_> = values.iter().take(shown).map(plain).collect();
    match words.split_last() {
        _ if values.len() > shown => format!("{} and {} more", words.join(", "), values.len() - shown),
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "nothing".to_owned(),
    }
}

/// A number, also one written as text.
pub(super) fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

/// A value as people write it: text without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl OptionSpec {
    /// The default as it is used: it may be written as an alias.
    pub(super) fn default_value(&self) -> Option<Value> {
        let default = self.default.as_ref()?;
        Some(by_alias(self, default).unwrap_or_else(|| default.clone()))
    }
}

fn by_alias(spec: &OptionSpec, asked: &Value) -> Option<Value> {
    let word = asked.as_str()?.trim().to_lowercase();
    spec.aliases.get(&word).cloned()
}

fn boolean(asked: &Value) -> Result<Value, String> {
    match asked {
        Value::Bool(_) => Ok(asked.clone()),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
        _ => Err("must be true or false".to_owned()),
    }
}

fn text(asked: &Value) -> Result<String, String> {
    match asked {
        Value::String(text) if !text.trim().is_empty() => Ok(text.clone()),
        Value::Number(number) => Ok(whole(number).map_or_else(|| number.to_string(), |whole| whole.to_string())),
        _ => Err("must be text".to_owned()),
    }
}

/// The number in its plainest form; a fraction stays one, also for a whole-number option.
fn number(asked: &Value, value_type: ValueType) -> Result<Value, String> {
    let kind = if value_type == ValueType::Integer { "must be a whole number" } else { "must be a number" };
    let parsed = match asked {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => {
            let text = text.trim();
            text.parse::<i64>().map(Number::from).ok().or_else(|| Number::from_f64(text.parse().ok()?))
        }
        _ => None,
    };
    let number = parsed.filter(|number| number.as_f64().is_some_and(f64::is_finite)).ok_or(kind)?;
    Ok(whole(&number).filter(|_| value_type == ValueType::Integer).map_or(Value::Number(number), Value::from))
}

/// The number as an integer, if it is one and small enough to be one exactly.
fn whole(number: &Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(whole) = number.as_i64() {
        return Some(whole);
    }
    let number = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    Some(number as i64)
}

fn fit_number(spec: &OptionSpec, asked: &Value) -> Result<Fit, String> {
    let number = number(asked, spec.r#type).map_err(|kind| with_values(&kind, spec))?;
    let Some(wanted) = number.as_f64() else { return Err("must be a number".to_owned()) };
    if let Some(known) = spec.values.iter().find(|known| same(known, &number)) {
        return Ok(Fit::Exact(known.clone()));
    }
    let smallest = spec.values.iter().filter_map(as_number).reduce(f64::min).or(spec.min);
    if wanted <= 0.0 && smallest.is_some_and(|smallest| smallest > 0.0) {
        return Err(with_values("must be greater than 0", spec));
    }
    if !spec.values.is_empty() && !spec.open {
        let nearest = nearest("", &spec.values, &number, spec.default_value().as_ref());
        return nearest.map(Fit::Nearest).ok_or_else(|| with_values("has no such value", spec));
    }
    let within = wanted.max(spec.min.unwrap_or(f64::MIN)).min(spec.max.unwrap_or(f64::MAX));
    let is_whole = number.is_i64() || number.is_u64();
    let integer = spec.r#type == ValueType::Integer;
    #[expect(clippy::float_cmp, reason = "clamping leaves a number inside the range exactly as it is")]
    if within == wanted && (is_whole || !integer) {
        return Ok(Fit::Exact(number));
    }
    let nearest = if integer { Number::from_f64((within + 0.5).floor()) } else { Number::from_f64(within) };
    let nearest = nearest.ok_or_else(|| with_values("has no such value", spec))?;
    let whole = whole(&nearest).filter(|_| integer);
    Ok(Fit::Nearest(whole.map_or(Value::Number(nearest), Value::from)))
}

fn fit_text(name: &str, spec: &OptionSpec, asked: &str) -> Result<Fit, String> {
    let wanted = Value::String(asked.trim().to_owned());
    if let Some(known) = spec.values.iter().find(|known| same(known, &wanted)) {
        return Ok(Fit::Exact(known.clone()));
    }
    let measure = Measure::of(name);
    if let Some(measure) = measure
        && let Some(known) = spec.values.iter().find(|known| measure.same(known, asked))
    {
        return Ok(Fit::Exact(known.clone()));
    }
    if spec.open {
        return Ok(Fit::Exact(Value::String(asked.to_owned())));
    }
    if let Some(formed) = spec.form.as_deref().and_then(|form| formed(form, asked.trim())) {
        return Ok(Fit::Exact(Value::String(formed)));
    }
    if let Some(measure) = measure {
        measure.check(asked).map_err(|kind| with_values(&kind, spec))?;
    }
    if spec.values.is_empty() {
        return Ok(Fit::Exact(Value::String(asked.to_owned())));
    }
    let default = spec.default.as_ref();
    nearest(name, &spec.values, &wanted, default)
        .map(Fit::Nearest)
        .ok_or_else(|| with_values("has no such value", spec))
}

/// A text of a form, its fixed parts written as the form has them.
fn formed(form: &str, text: &str) -> Option<String> {
    let (form, text): (Vec<_>, Vec<_>) = (form.split('-').collect(), text.split('-').collect());
    let fits = |(form, part): (&&str, &&str)| match *form {
        "*" => !part.is_empty() && part.chars().all(char::is_alphanumeric),
        fixed => fixed.eq_ignore_ascii_case(part),
    };
    let all = form.len() == text.len() && form.iter().zip(&text).all(fits);
    all.then(|| {
        form.iter()
            .zip(&text)
            .map(|(form, part)| if *form == "*" { *part } else { *form })
            .collect::<Vec<_>>()
            .join("-")
    })
}

fn with_values(kind: &str, spec: &OptionSpec) -> String {
    let values = in_words(spec);
    if values.is_empty() { kind.to_owned() } else { format!("{kind}; it can be {values}") }
}

/// Text that measures something.
#[derive(Clone, Copy, PartialEq)]
enum Measure {
    Resolution,
    AspectRatio,
}

impl Measure {
    fn of(name: &str) -> Option<Self> {
        match name {
            "resolution" => Some(Self::Resolution),
            "aspectRatio" => Some(Self::AspectRatio),
            _ => None,
        }
    }

    fn check(self, text: &str) -> Result<(), String> {
        let word = text.trim().to_lowercase();
        if self.read(text).is_some() || matches!(word.as_str(), "auto" | "adaptive" | "original") {
            return Ok(());
        }
        Err(match self {
            Self::Resolution => "must be a size such as 720p, 4k or 1024x1024",
            Self::AspectRatio => "must be a ratio such as 16:9",
        }
        .to_owned())
    }

    /// A resolution's height in pixels, or the logarithm of a ratio: what differences are taken of.
    fn read(self, text: &str) -> Option<f64> {
        let text = text.trim().to_lowercase();
        match self {
            Self::Resolution => height(&text),
            Self::AspectRatio => ratio(&text).map(f64::ln),
        }
    }

    /// The same measure in other words: `2160p` is `4k`, `1080` is `1080p`, `1920:1080` is `16:9`. Pixels are more than a height.
    fn same(self, known: &Value, asked: &str) -> bool {
        let Some(known) = known.as_str() else { return false };
        let pixels = self == Self::Resolution && (sides(known).is_some() || sides(asked).is_some());
        let (Some(known), Some(asked)) = (self.read(known), self.read(asked)) else { return false };
        !pixels && (known - asked).abs() < 1e-3
    }
}

fn height(text: &str) -> Option<f64> {
    let named = match text {
        "sd" => 480.0,
        "hd" => 720.0,
        "fhd" | "full hd" | "fullhd" => 1080.0,
        "uhd" | "4k" => 2160.0,
        // Those of pictures are square: the height of as many pixels in 16:9.
        "1k" => 768.0,
        "2k" => 1536.0,
        "3k" => 1848.0,
        _ => 0.0,
    };
    if named > 0.0 {
        return Some(named);
    }
    if let Some((width, height)) = sides(text) {
        return Some((width * height * 9.0 / 16.0).sqrt());
    }
    positive(text.strip_suffix('p').unwrap_or(text))
}

fn ratio(text: &str) -> Option<f64> {
    match text {
        "landscape" => Some(16.0 / 9.0),
        "portrait" => Some(9.0 / 16.0),
        "square" => Some(1.0),
        _ => {
            let (width, height) =
                text.split_once(':').or_else(|| text.split_once('/')).or_else(|| text.split_once('x'))?;
            Some(positive(width)? / positive(height)?).filter(|ratio| *ratio > 0.0 && ratio.is_finite())
        }
    }
}

fn sides(text: &str) -> Option<(f64, f64)> {
    let (width, height) = text.split_once(['x', '*', '×', 'X'])?;
    Some((positive(width)?, positive(height)?))
}

fn positive(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0 && *number < 1e6)
}
