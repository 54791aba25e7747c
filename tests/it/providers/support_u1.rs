//! Running an adapter against a double, and every route of a catalogue file with everything it says it takes.

use std::{collections::HashMap, path::Path, sync::Arc};

use axum::Router;
use doitong::{
    catalog::spec::{self, InputName, Need, OneOrMany},
    domain::{Clock, ContentInput, Fault, GenerationId, output::Outputs},
    egress::Egress,
    media::{Inputs, Store},
    providers::{Cx, Handle, Progress, Provider, Submitted, Task, http::Cache},
};
use serde_json::{Map, Value, json};
use url::Url;

/// A one-pixel picture.
pub const PNG: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// An input by address.
pub const LINK: &str = "https://example.com/input";

/// Serves a double on a free port.
#[expect(clippy::disallowed_methods, reason = "a double ends with the test's runtime")]
pub async fn serve(router: Router) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Url::parse(&format!("http://{address}/double")).unwrap()
}

/// A context that leads to a double.
pub fn cx(provider: &dyn Provider, base: &Url, secrets: &[(&str, &str)]) -> Cx {
    doitong::egress::use_ring();
    let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).into()));
    Cx {
        upstream: provider.upstream(),
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
        base: Some(base.clone()),
        secrets: Arc::new(secrets.collect::<HashMap<_, _>>()),
        inputs: Arc::new(inputs()),
        clock: Clock::default(),
        cache: Arc::new(Cache::default()),
    }
}

/// Input files kept in memory and served from a made-up address.
fn inputs() -> Inputs {
    let public = Url::parse("https://gateway.example.com").unwrap();
    let store = Store::open("memory:///", Path::new(env!("CARGO_TARGET_TMPDIR")), Some(public)).unwrap();
    Inputs::new(Arc::new(store), Egress::new(true).unwrap())
}

/// The catalogue file of a provider.
pub fn catalogue(provider: &str) -> spec::Provider {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/catalog/{provider}.toml"));
    toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A task of a catalogued model on the route that takes its inputs.
pub fn task(provider: &str, model: &str, input: &Value, options: &Value) -> Task {
    let provider = catalogue(provider);
    let model = provider.models.iter().find(|m| m.id.as_str() == model).unwrap();
    let input: ContentInput = serde_json::from_value(input.clone()).unwrap();
    let route = model.routes.iter().find(|route| takes(route, &input)).unwrap();
    build(model, route, input, options.as_object().unwrap())
}

/// Submits and polls to the end, at most 20 times.
pub async fn run(provider: &dyn Provider, cx: &Cx, task: &Task) -> Result<Outputs, Fault> {
    match provider.submit(cx, task).await? {
        Submitted::Done(outputs) => Ok(outputs),
        Submitted::Accepted { handle, .. } => finish(provider, cx, task, &handle).await,
    }
}

/// Polls to the end.
pub async fn finish(provider: &dyn Provider, cx: &Cx, task: &Task, handle: &Handle) -> Result<Outputs, Fault> {
    for _ in 0..20 {
        match provider.poll(cx, task, handle).await? {
            Progress::Done(outputs) => return Ok(outputs),
            Progress::Failed(fault) => return Err(fault),
            Progress::Queued | Progress::Running(_) => {}
        }
    }
    panic!("it never ends");
}

/// Runs every route of the upstream in a catalogue file with each of its inputs and option values; gives their number.
pub async fn run_every_route(provider: &dyn Provider, cx: &Cx, file: &str) -> usize {
    let mut runs = 0;
    for model in &catalogue(file).models {
        for route in model.routes.iter().filter(|route| route.upstream == cx.upstream) {
            for task in variations(model, route) {
                let outputs = run(provider, cx, &task).await.unwrap_or_else(|fault| {
                    panic!("{} {:?} {}: {fault}", model.id, task.input, Value::from(task.options.clone()))
                });
                assert!(!outputs.files.is_empty(), "{}", model.id);
                runs += 1;
            }
        }
    }
    runs
}

/// The tasks of a route: each set of inputs, with each value of each option.
pub fn variations(model: &spec::Model, route: &spec::Route) -> Vec<Task> {
    let required: Map<String, Value> = model
        .options
        .iter()
        .filter(|(_, option)| option.required)
        .map(|(name, option)| (name.clone(), candidates(option).remove(0)))
        .collect();
    let mut tasks = Vec::new();
    for input in input_sets(model, route) {
        tasks.push(build(model, route, input.clone(), &required));
        for (name, option) in &model.options {
            for value in candidates(option) {
                let mut given = required.clone();
                given.insert(name.clone(), value);
                tasks.push(build(model, route, input.clone(), &given));
            }
        }
    }
    tasks
}

/// The values an option can have; where they are not listed, what its aliases stand for, its bounds or some of its type.
fn candidates(option: &spec::OptionSpec) -> Vec<Value> {
    if !option.values.is_empty() {
        return option.values.clone();
    }
    if !option.aliases.is_empty() {
        return option.aliases.values().cloned().collect();
    }
    let bound = |bound: Option<f64>, other: f64| bound.unwrap_or(other);
    match option.r#type {
        spec::ValueType::String | spec::ValueType::Json => vec![json!("words")],
        spec::ValueType::Boolean => vec![json!(true), json!(false)],
        #[expect(clippy::cast_possible_truncation, reason = "the bounds of whole numbers are whole")]
        spec::ValueType::Integer => vec![json!(bound(option.min, 1.0) as i64), json!(bound(option.max, 9.0) as i64)],
        spec::ValueType::Number => vec![json!(bound(option.min, 0.0)), json!(bound(option.max, 1.0))],
    }
}

const NAMES: [InputName; 6] =
    [InputName::Text, InputName::Image, InputName::LastImage, InputName::Images, InputName::Video, InputName::Audio];

/// Every set of inputs that the model and this route take, each by address and, for pictures, inline.
fn input_sets(model: &spec::Model, route: &spec::Route) -> Vec<ContentInput> {
    let of = &model.inputs;
    let needs = [of.text, of.image, of.last_image, of.images, of.video, of.audio];
    let mut sets = Vec::new();
    for bits in 1..64_u32 {
        let has = |name: InputName| NAMES.iter().position(|n| *n == name).is_some_and(|at| bits & (1 << at) != 0);
        let fits = NAMES.iter().zip(needs).all(|(name, need)| match need {
            Some(Need::Required) => has(*name),
            Some(Need::Optional) => true,
            Some(Need::Unused) | None => !has(*name),
        });
        let grouped = of.any_of.iter().all(|group| group.iter().any(|name| has(*name)))
            && of.requires.iter().all(|(name, others)| !has(*name) || others.iter().all(|other| has(*other)))
            && of.one_of.iter().all(|group| group.iter().filter(|name| has(**name)).count() == 1);
        for picture in [LINK, PNG] {
            let one = |name: InputName, url: &str| has(name).then(|| url.to_owned());
            let input = ContentInput {
                text: one(InputName::Text, "a fox in the snow"),
                image: one(InputName::Image, picture),
                last_image: one(InputName::LastImage, picture),
                images: has(InputName::Images).then(|| vec![picture.to_owned(); of.images_max.unwrap_or(1)]),
                video: one(InputName::Video, LINK),
                audio: one(InputName::Audio, LINK),
                voice: None,
            };
            if fits && grouped && takes(route, &input) && !sets.contains(&input) {
                sets.push(input);
            }
        }
    }
    sets
}

fn given(input: &ContentInput, name: InputName) -> bool {
    match name {
        InputName::Text => input.text.is_some(),
        InputName::Image => input.image.is_some(),
        InputName::LastImage => input.last_image.is_some(),
        InputName::Images => input.images.is_some(),
        InputName::Video => input.video.is_some(),
        InputName::Audio => input.audio.is_some(),
    }
}

fn takes(route: &spec::Route, input: &ContentInput) -> bool {
    route.with.iter().all(|name| given(input, *name)) && !route.without.iter().any(|name| given(input, *name))
}

/// Options as the catalogue would settle them: defaults, then constraints in order.
fn build(model: &spec::Model, route: &spec::Route, input: ContentInput, options: &Map<String, Value>) -> Task {
    let mut settled: Map<String, Value> =
        model.options.iter().filter_map(|(name, option)| Some((name.clone(), option.default.clone()?))).collect();
    settled.extend(options.clone());
    for constraint in &model.constraints {
        let applies = constraint.with.iter().all(|name| given(&input, *name))
            && !constraint.without.iter().any(|name| given(&input, *name))
            && constraint.when.iter().all(|(name, values)| match values {
                OneOrMany::One(value) => settled.get(name) == Some(value),
                OneOrMany::Many(values) => settled.get(name).is_some_and(|value| values.contains(value)),
            });
        for (name, allowed) in constraint.allow.iter().filter(|_| applies) {
            if settled.get(name).is_some_and(|value| !allowed.contains(value)) {
                settled.remove(name);
                settled.extend(allowed.last().map(|value| (name.clone(), value.clone())));
            }
        }
    }
    Task {
        id: GenerationId::generate(),
        attempt: 1,
        r#type: model.r#type,
        model: route.model.clone(),
        params: route.params.clone(),
        input,
        options: settled,
        wire: route.wire.clone(),
    }
}
