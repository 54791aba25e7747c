//! Running an adapter against a double, and every catalogued route of an upstream with everything it says it takes.
//!
//! Requests become tasks as in the product: the catalogue accepts them. Input files come in the request, or lie in a
//! media store in memory whose addresses nobody resolves; nothing here reaches the outside.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, LazyLock},
};

use axum::Router;
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::NaiveDate;
use doitong::{
    catalog::{
        Asked, Catalog, Choice, Conditions, Health, Refusal, RouteRef,
        spec::{self, OneOrMany},
    },
    domain::{Clock, ContentInput, Fault, GenerationId, Mode, Priority, output::Outputs},
    egress::Egress,
    media::{Inputs, Store},
    providers::{Cx, Handle, Progress, Provider, Submitted, Task, http::Cache},
};
use serde_json::{Map, Value, json};
use url::Url;

/// A one-pixel picture.
pub const PNG: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
/// An input by an outsider's address, which leads nowhere.
pub const LINK: &str = "https://files.example/input";

/// The catalogue.
pub static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::load(None).unwrap());

/// A short recording in the request.
pub fn wav() -> String {
    inline("audio/wav", include_bytes!("../../fixtures/media/a.wav"))
}

/// A short clip in the request.
pub fn mp4() -> String {
    inline("video/mp4", include_bytes!("../../fixtures/media/a.mp4"))
}

fn inline(content_type: &str, bytes: &[u8]) -> String {
    format!("data:{content_type};base64,{}", STANDARD.encode(bytes))
}

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
        inputs: Arc::new(inputs(Some("https://gateway.example"))),
        clock: Clock::default(),
        cache: Arc::new(Cache::default()),
    }
}

/// Input files kept in memory and served from an address, if any.
pub fn inputs(public: Option<&str>) -> Inputs {
    let public = public.map(|url| Url::parse(url).unwrap());
    let store = Store::open("memory:///", &HashMap::new(), Path::new(env!("CARGO_TARGET_TMPDIR")), public).unwrap();
    Inputs::new(Arc::new(store), Egress::new(true).unwrap())
}

/// A task of a catalogued model on the first route by this upstream that serves the request.
pub fn task(upstream: &str, provider: &str, model: &str, input: &Value, options: &Value) -> Task {
    let input: ContentInput = serde_json::from_value(input.clone()).unwrap();
    let of_model = |at: &RouteRef<'_>| at.provider.id.as_str() == provider && at.model.id.as_str() == model;
    let accepted: Vec<_> = routes(upstream)
        .into_iter()
        .filter(of_model)
        .map(|at| accept(at, &input, options.as_object().unwrap()).map(|choice| task_of(at, &input, choice)))
        .collect();
    assert!(!accepted.is_empty(), "no route by {upstream} for {provider} {model}");
    match accepted.iter().find_map(|task| task.as_ref().ok()) {
        Some(task) => task.clone(),
        None => panic!("{accepted:?}"),
    }
}

/// The catalogued routes by an upstream, those of models that have been retired since, too.
pub fn routes(upstream: &str) -> Vec<RouteRef<'static>> {
    all_routes().filter(|at| at.route.upstream.as_str() == upstream).collect()
}

/// Every catalogued route.
pub fn all_routes() -> impl Iterator<Item = RouteRef<'static>> {
    let models = CATALOG.providers().flat_map(|provider| provider.models.iter().map(move |model| (provider, model)));
    models.flat_map(|(provider, model)| model.routes.iter().map(move |route| RouteRef { provider, model, route }))
}

/// How a route serves a request, on a day when its model is not retired; a refusal where it does not.
pub fn accept(at: RouteRef<'_>, input: &ContentInput, options: &Map<String, Value>) -> Result<Choice, Refusal> {
    let asked = Asked {
        r#type: at.model.r#type,
        provider: Some(at.provider.id.to_string()),
        model: Some(at.model.id.to_string()),
        input: input.clone(),
        options: options.clone(),
        priority: Priority::Balanced,
        max_credits: None,
    };
    let conditions = Conditions {
        mode: Mode::Live,
        today: NaiveDate::MIN,
        configured: &|route| std::ptr::eq(route, at.route),
        health: &|_| Health::default(),
    };
    CATALOG.accept(&asked, &conditions)
}

/// The task that the worker makes of a choice.
pub fn task_of(at: RouteRef<'_>, input: &ContentInput, choice: Choice) -> Task {
    Task {
        id: GenerationId::generate(),
        attempt: 1,
        r#type: at.model.r#type,
        model: at.route.model.clone(),
        params: at.route.params.clone(),
        input: ContentInput { text: choice.text, ..input.clone() },
        options: choice.options,
        wire: at.route.wire.clone(),
    }
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

/// Runs every catalogued route of the upstream with each set of inputs that it takes, by address and in the request, and
/// with each value of each option.
pub async fn run_every_route(provider: &dyn Provider, cx: &Cx) {
    let (linked, inline) = (Samples::linked(cx).await, Samples::inline());
    let routes = routes(cx.upstream.as_str());
    assert!(!routes.is_empty(), "no route by {}", cx.upstream);
    for at in routes {
        let mut tasks = variations(at, &linked, true);
        tasks.extend(variations(at, &inline, false));
        assert!(!tasks.is_empty(), "nothing can be asked of {} {} by {}", at.provider.id, at.model.id, cx.upstream);
        for task in tasks {
            let outputs = run(provider, cx, &task).await.unwrap_or_else(|fault| {
                let (input, options) = (json!(task.input).to_string(), Value::from(task.options.clone()));
                panic!("{fault}: {} {} {options} {input:.2000}", at.provider.id, at.model.id)
            });
            assert!(!outputs.files.is_empty(), "{}", at.model.id);
        }
    }
}

/// The tasks of a route: each set of inputs, also with each value of each option.
fn variations(at: RouteRef<'_>, files: &Samples, with_options: bool) -> Vec<Task> {
    let base = least_options(at);
    let mut tasks = Vec::new();
    for input in input_sets(at.model, files) {
        let mut add = |options: &Map<String, Value>| {
            tasks.extend(accept(at, &input, options).ok().map(|choice| task_of(at, &input, choice)));
        };
        add(&base);
        for (name, option) in at.model.options.iter().filter(|_| with_options) {
            for value in candidates(name, option) {
                let mut options = base.clone();
                options.insert(name.clone(), value);
                add(&options);
            }
        }
    }
    tasks
}

/// The options without which a request does not come over the route.
pub fn least_options(at: RouteRef<'_>) -> Map<String, Value> {
    let required = at.model.options.iter().filter(|(_, option)| option.required);
    let mut options: Map<String, Value> =
        required.map(|(name, option)| (name.clone(), candidates(name, option).remove(0))).collect();
    let demanded =
        at.route.when.iter().filter_map(|(name, values)| Some((name.clone(), listed(values).first()?.clone())));
    options.extend(demanded);
    options
}

fn listed(values: &OneOrMany) -> &[Value] {
    match values {
        OneOrMany::One(value) => std::slice::from_ref(value),
        OneOrMany::Many(values) => values,
    }
}

/// The values an option can have; where they are not listed, what its aliases stand for, its bounds or some of its type.
pub fn candidates(name: &str, option: &spec::OptionSpec) -> Vec<Value> {
    if !option.values.is_empty() {
        return option.values.clone();
    }
    if !option.aliases.is_empty() {
        return option.aliases.values().cloned().collect();
    }
    let bound = |bound: Option<f64>, other: f64| bound.unwrap_or(other);
    match option.r#type {
        spec::ValueType::String if name.ends_with("Url") => vec![json!(LINK)],
        spec::ValueType::String | spec::ValueType::Json => vec![json!("words")],
        spec::ValueType::Boolean => vec![json!(true), json!(false)],
        #[expect(clippy::cast_possible_truncation, reason = "the bounds of whole numbers are whole")]
        spec::ValueType::Integer => vec![json!(bound(option.min, 1.0) as i64), json!(bound(option.max, 9.0) as i64)],
        spec::ValueType::Number => vec![json!(bound(option.min, 0.0)), json!(bound(option.max, 1.0))],
    }
}

/// The files of requests.
pub struct Samples {
    picture: String,
    clip: String,
    recording: String,
}

impl Samples {
    /// In the request.
    pub fn inline() -> Self {
        Self { picture: PNG.to_owned(), clip: mp4(), recording: wav() }
    }

    /// At addresses of the gateway.
    pub async fn linked(cx: &Cx) -> Self {
        let place = async |file: &str| cx.input_url(file).await.unwrap();
        Self { picture: place(PNG).await, clip: place(&mp4()).await, recording: place(&wav()).await }
    }
}

/// Every set of inputs; the catalogue says which of them a model takes.
pub fn input_sets(model: &spec::Model, files: &Samples) -> impl Iterator<Item = ContentInput> {
    let pictures = model.inputs.images_max.unwrap_or(1);
    (1..64_u32).map(move |bits| {
        let has = |bit: u32, value: &str| (bits & (1 << bit) != 0).then(|| value.to_owned());
        ContentInput {
            text: has(0, "a fox in the snow"),
            image: has(1, &files.picture),
            last_image: has(2, &files.picture),
            images: has(3, &files.picture).map(|picture| vec![picture; pictures]),
            video: has(4, &files.clip),
            audio: has(5, &files.recording),
            voice: None,
        }
    })
}

/// The options that routes of an upstream neither have a field for nor say they lack; an option with one value is
/// carried by the model itself, and `resolution` by the mode a route is for.
pub fn uncarried(upstream: &str) -> Vec<String> {
    let mut found = Vec::new();
    for RouteRef { provider, model, route } in routes(upstream) {
        for (name, option) in &model.options {
            let fixed = option.values.len() == 1 || option.min.is_some() && option.min == option.max;
            let by_mode = name == "resolution" && route.when.contains_key("mode");
            let said = route.wire.contains_key(name) || route.lacks.contains(name) || route.when.contains_key(name);
            if !said && !fixed && !by_mode {
                found.push(format!("{} {} {}: {name}", provider.id, model.id, route.model));
            }
        }
    }
    found
}
