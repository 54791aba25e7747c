//! The shape of a catalogue file. One file describes one provider; `upstreams.toml` describes the services behind them.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::{GenerationType, ModelId, ProviderId, Upstream};

/// A provider: what a caller names.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its id; the file is named after it.
    pub id: ProviderId,
    /// Its name for people.
    pub name: String,
    /// One or two sentences on what it is good for.
    pub description: String,
    /// The model that serves a request which names none, if that model can take the inputs; else the first that can.
    pub default_model: ModelId,
    /// What it can do, in short phrases.
    #[serde(default)]
    pub features: Vec<String>,
    /// What it cannot do, in short phrases.
    #[serde(default)]
    pub limitations: Vec<String>,
    /// Its models, best known first.
    pub models: Vec<Model>,
}

/// One model of a provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its id, unique within the provider.
    pub id: ModelId,
    /// Its name for people.
    pub name: String,
    /// What it makes.
    pub r#type: GenerationType,
    /// Other names a caller may use for it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Quality rank from 0 to 100, comparable across providers of a type.
    pub quality: u8,
    /// What it can do beyond its provider's list.
    #[serde(default)]
    pub features: Vec<String>,
    /// The day from which it is retired. Before that day it is `ENDING`; absent, `LIVE`.
    pub ends_at: Option<NaiveDate>,
    /// What serves a request for it once it is retired: `model` or `provider/model`, the first that can take the inputs.
    #[serde(default)]
    pub replaced_by: Vec<String>,
    /// It makes something else than a plain request of the type expects (sound effects, a template, an advertisement):
    /// it serves requests that name it, or that no other model can serve.
    #[serde(default)]
    pub specialist: bool,
    /// Which inputs it takes.
    #[serde(default)]
    pub inputs: Inputs,
    /// Its options by their name in the API. A portable option of the type that is neither here nor in
    /// `prompt_options` is accepted and listed under `adjustments` as unused.
    #[serde(default)]
    pub options: BTreeMap<String, OptionSpec>,
    /// Portable options it serves by words added to the prompt.
    #[serde(default)]
    pub prompt_options: Vec<String>,
    /// Combinations it cannot serve.
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// What serves it, preferred first. Empty only for a retired model.
    #[serde(default)]
    pub routes: Vec<Route>,
}

/// Which inputs a model takes. An input that is absent here is refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// `input.text`.
    pub text: Option<Need>,
    /// The longest text, in characters.
    pub text_max: Option<usize>,
    /// `input.image`.
    pub image: Option<Need>,
    /// `input.lastImage`.
    pub last_image: Option<Need>,
    /// `input.images`.
    pub images: Option<Need>,
    /// The most reference pictures.
    pub images_max: Option<usize>,
    /// `input.video`.
    pub video: Option<Need>,
    /// `input.audio`.
    pub audio: Option<Need>,
    /// Groups of which exactly one must be given: `[["text", "audio"]]`.
    #[serde(default)]
    pub one_of: Vec<Vec<InputName>>,
    /// Groups of which at least one must be given: `[["text", "image"]]`.
    #[serde(default)]
    pub any_of: Vec<Vec<InputName>>,
    /// Inputs that are taken only together with others: `{ last_image = ["image"] }`.
    #[serde(default)]
    pub requires: BTreeMap<InputName, Vec<InputName>>,
}

/// Whether an input has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Without it the model cannot run.
    Required,
    /// Taken when given.
    Optional,
    /// Accepted but of no effect: when given, it is listed under `adjustments` as unused.
    Unused,
}

/// An input by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputName {
    /// `input.text`.
    Text,
    /// `input.image`.
    Image,
    /// `input.lastImage`.
    LastImage,
    /// `input.images`.
    Images,
    /// `input.video`.
    Video,
    /// `input.audio`.
    Audio,
}

/// One option of a model.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionSpec {
    /// The type of its value.
    pub r#type: ValueType,
    /// What it does; may be left out for a portable option, which has a description of its own.
    pub description: Option<String>,
    /// Whether it must be given.
    #[serde(default)]
    pub required: bool,
    /// The values it takes, in rising order where there is one. Empty: any of the type within `min` and `max`.
    #[serde(default)]
    pub values: Vec<Value>,
    /// Other words for its values: `{ rachel = "21m00Tcm4TlvDq8ikWAM" }`. Lower case; matched without regard to case.
    #[serde(default)]
    pub aliases: BTreeMap<String, Value>,
    /// Any value of the type is taken beside `values` and `aliases` (an upstream's own ids).
    #[serde(default)]
    pub open: bool,
    /// Text of this form is taken beside `values`: parts between dashes, of which `*` is any. `*-*-Wavenet-*`.
    pub form: Option<String>,
    /// The model reads it as a tag in the text, where it needs room.
    #[serde(default)]
    pub in_text: bool,
    /// The value used when none is given. Absent: nothing is sent and the upstream decides.
    pub default: Option<Value>,
    /// The smallest number.
    pub min: Option<f64>,
    /// The largest number.
    pub max: Option<f64>,
}

/// The type of an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// Any JSON the upstream takes; passed on as it is.
    Json,
}

/// A combination a model cannot serve: when all of `when` hold (and the inputs of `with` are given, those of `without`
/// are not), each option of `allow` is limited to the values listed, and the nearest of them is used.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Constraint {
    /// Option name to the values (one or several) for which this applies; an empty text stands for an option
    /// that has no value.
    #[serde(default)]
    pub when: BTreeMap<String, OneOrMany>,
    /// Inputs that are given.
    #[serde(default)]
    pub with: Vec<InputName>,
    /// Inputs that are not given.
    #[serde(default)]
    pub without: Vec<InputName>,
    /// Option name to the values that remain; an empty list means the option cannot be used here at all.
    pub allow: BTreeMap<String, Vec<Value>>,
    /// Why, for the adjustment: "10 s clips are made at up to 768p".
    pub reason: String,
}

/// One value or a list of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// Any of these.
    Many(Vec<Value>),
    /// Just this.
    One(Value),
}

/// A way to serve a model: an upstream, its model id, price, time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The service; a key of `upstreams.toml`.
    pub upstream: Upstream,
    /// The upstream's id of the model (for some services a path).
    pub model: String,
    /// The credentials this route needs, where those of its upstream are for different services and one set does not
    /// stand in for another: each of these variables must be set. Empty: any full set of the upstream will do.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Only for requests with all of these inputs.
    #[serde(default)]
    pub with: Vec<InputName>,
    /// Only for requests with none of these inputs.
    #[serde(default)]
    pub without: Vec<InputName>,
    /// Only for requests whose options have these values.
    #[serde(default)]
    pub when: BTreeMap<String, OneOrMany>,
    /// What it costs.
    pub price: Price,
    /// How long a run usually takes, in seconds, from submit to result.
    pub typical_seconds: u32,
    /// After so many seconds a job that is still running fails.
    pub deadline_seconds: Option<u32>,
    /// Options of the model that this route cannot carry; a request that gives one passes this route by.
    #[serde(default)]
    pub lacks: Vec<String>,
    /// How options and inputs are called on the wire, for upstreams that serve many vendors' models (fal, Replicate).
    #[serde(default)]
    pub wire: BTreeMap<String, Wire>,
    /// Settings for the adapter, and fixed fields of the request; the adapter's header says which it reads.
    #[serde(default)]
    pub params: Map<String, Value>,
}

/// How one option or input is said to an upstream.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wire {
    /// The field's name.
    pub field: String,
    /// Send the value as this type: `duration` 5 as `"5"`.
    pub r#as: Option<ValueType>,
    /// Our value to theirs: `{ "16:9" = "landscape_16_9" }`. A value that is not listed is sent as it is.
    #[serde(default)]
    pub values: BTreeMap<String, Value>,
    /// Put the value into a list.
    #[serde(default)]
    pub list: bool,
}

/// What a run costs: `usd` for each `per`, or that of the first tier whose conditions hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// The unit.
    pub per: Unit,
    /// US dollars for each unit.
    pub usd: f64,
    /// Other amounts under conditions, first match wins.
    #[serde(default)]
    pub tiers: Vec<Tier>,
    /// Where the price is published, or why this one was set.
    pub source: String,
    /// The day it was read.
    pub date: NaiveDate,
}

/// A price under conditions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Option name to the values (one or several) for which this applies.
    #[serde(default)]
    pub when: BTreeMap<String, OneOrMany>,
    /// Inputs that are given.
    #[serde(default)]
    pub with: Vec<InputName>,
    /// Inputs that are not given.
    #[serde(default)]
    pub without: Vec<InputName>,
    /// US dollars for each unit.
    pub usd: f64,
}

/// What a price is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A run, whatever its size.
    Run,
    /// A second of the clip (`options.duration`; a model without that option is charged for `speech-second`s).
    Second,
    /// A picture (`options.n`).
    Image,
    /// A thousand characters of text, begun ones in part.
    #[serde(rename = "1k-characters")]
    ThousandCharacters,
    /// A second of speech: estimated from the text at 15 characters a second, at least one second; 30 s where
    /// only a media file is given.
    SpeechSecond,
}

/// `upstreams.toml`: the services, by id.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Upstreams(pub BTreeMap<String, UpstreamSpec>);

/// A service behind the routes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamSpec {
    /// Its name for people.
    pub name: String,
    /// The environment variables it needs, as alternatives of which each is a full set:
    /// `[["KLING_ACCESS_KEY", "KLING_SECRET_KEY"], ["KLING_API_KEY"]]`.
    pub credentials: Vec<Vec<String>>,
    /// How many calls may be under way at once from one process.
    pub concurrent_calls: u32,
    /// How many submits a minute one process sends.
    pub submits_per_minute: u32,
    /// The shortest time between two looks at a task, as its documents ask for. 0 where nothing is polled.
    #[serde(default)]
    pub poll_seconds: f64,
}
