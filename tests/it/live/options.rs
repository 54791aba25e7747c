//! No option is lost: with each model it goes over the wire, adds words to the prompt, or is listed under `adjustments`.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use axum::http::Method;
use doitong::{
    catalog::{Asked, Choice, Conditions, Health, RouteRef},
    domain::{Clock, ContentInput, Mode, Priority, output::Source},
    providers::{Cx, Provider, Task, adapters},
};
use serde_json::{Map, Value, json};

use super::tap::Tap;
use crate::providers::{
    doubles,
    support::{self, CATALOG, Samples},
};

/// Values that any model must bear, and others where those are what it does anyway.
fn plausible(name: &str) -> [Value; 2] {
    match name {
        "duration" => [json!(5), json!(6)],
        "resolution" => [json!("720p"), json!("1080p")],
        "aspectRatio" => [json!("16:9"), json!("9:16")],
        "style" => [json!("anime"), json!("cinematic")],
        "seed" => [json!(7), json!(8)],
        "negativePrompt" => [json!("blur"), json!("rain")],
        "mode" => [json!("std"), json!("pro")],
        "motionIntensity" | "quality" => [json!("high"), json!("low")],
        "n" => [json!(1), json!(2)],
        "format" => [json!("png"), json!("mp3")],
        "voice" => [json!("female"), json!("Rachel")],
        "emotion" => [json!("happy"), json!("calm")],
        "speed" => [json!(1.1), json!(0.9)],
        "language" => [json!("en"), json!("de")],
        "avatarId" => [json!("anna"), json!("male")],
        "background" => [json!("office"), json!("#ffffff")],
        "gesture" => [json!("wave"), json!("calm")],
        other => unreachable!("{other} is new"),
    }
}

/// The requests with one option each: its name, and the options. Portable ones have values of no model in particular, too.
fn requests(at: RouteRef<'_>) -> Vec<(&str, Map<String, Value>)> {
    let portable = CATALOG.portable(at.model.r#type).iter().map(|(name, _)| *name);
    let names: BTreeSet<&str> = portable.clone().chain(at.model.options.keys().map(String::as_str)).collect();
    let mut requests = Vec::new();
    for name in names {
        let option = at.model.options.get(name);
        let known = option.map(|option| support::candidates(name, option)).unwrap_or_default();
        let mut values: Vec<_> = known.first().into_iter().chain(known.last()).cloned().collect();
        if portable.clone().any(|portable| portable == name) {
            values.extend(plausible(name));
        }
        for value in values {
            let mut options = support::least_options(at);
            options.insert(name.to_owned(), value);
            requests.push((name, options));
        }
    }
    requests
}

/// The smallest inputs that come over a route with the least options: any, one with each kind of file.
fn smallest(at: RouteRef<'_>) -> Vec<ContentInput> {
    let files = Samples::inline();
    let options = support::least_options(at);
    let fits = |input: &ContentInput| support::accept(at, input, &options).is_ok();
    let mut all: Vec<_> = support::input_sets(at.model, &files).filter(fits).collect();
    all.sort_by_key(|input| json!(input).as_object().unwrap().len());
    let kinds: [fn(&ContentInput) -> bool; 6] = [
        |_| true,
        |input| input.image.is_some(),
        |input| input.last_image.is_some(),
        |input| input.images.is_some(),
        |input| input.video.is_some(),
        |input| input.audio.is_some(),
    ];
    let mut smallest: Vec<ContentInput> = Vec::new();
    for one in kinds.iter().filter_map(|kind| all.iter().find(|input| kind(input))) {
        if !smallest.contains(one) {
            smallest.push(one.clone());
        }
    }
    smallest
}

/// How the catalogue serves a request for the model, whatever route it takes.
fn accept(at: RouteRef<'_>, input: &ContentInput, options: &Map<String, Value>) -> Choice {
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
        today: chrono::NaiveDate::MIN,
        configured: &|_| true,
        health: &|_| Health::default(),
    };
    let choice = CATALOG.accept(&asked, &conditions);
    assert!(choice.is_ok(), "{} {} {options:?}: {choice:?}", at.provider.id, at.model.id);
    choice.unwrap()
}

#[test]
fn every_model_takes_every_portable_option_of_its_type() {
    let mut asked = 0;
    for at in support::all_routes() {
        let input = smallest(at).remove(0);
        let plain = accept(at, &input, &support::least_options(at));
        let is_portable = |(name, _): &(&str, _)| CATALOG.portable(at.model.r#type).iter().any(|(one, _)| one == name);
        for (name, options) in requests(at).into_iter().filter(is_portable) {
            let choice = accept(at, &input, &options);
            let used = choice.options.get(name).is_some_and(|used| same(used, &options[name], at, name));
            let said = choice.text != plain.text;
            let listed = choice.adjustments.iter().any(|adjustment| adjustment.option == name);
            assert!(used || said || listed, "{} {} loses {name}: {choice:?}", at.provider.id, at.model.id);
            assert!(!(used && listed), "{} {} lists {name}: {choice:?}", at.provider.id, at.model.id);
            asked += 1;
        }
    }
    assert!(asked > 3_000, "{asked}");
}

/// Whether a value is what was asked for, by its own name or by an alias.
fn same(used: &Value, asked: &Value, at: RouteRef<'_>, name: &str) -> bool {
    let alias = |text: &str| at.model.options[name].aliases.get(&text.to_lowercase());
    let folded = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_lowercase);
    folded(used) == folded(asked)
        || used.as_f64().is_some() && used.as_f64() == asked.as_f64()
        || asked.as_str().and_then(alias) == Some(used)
}

macro_rules! wires_of {
    ($($name:ident: $upstream:literal),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            wires($upstream).await;
        })+
    };
}

wires_of! {
    ark: "ark",
    bfl: "bfl",
    comfyui: "comfyui",
    creatify: "creatify",
    dashscope: "dashscope",
    did: "did",
    elevenlabs: "elevenlabs",
    fal: "fal",
    google_tts: "google-tts",
    hedra: "hedra",
    heygen: "heygen",
    imagen: "imagen",
    kling: "kling",
    luma: "luma",
    minimax: "minimax",
    openai: "openai",
    pixverse: "pixverse",
    replicate: "replicate",
    runway: "runway",
    sdwebui: "sdwebui",
    stability: "stability",
    sync: "sync",
    veo: "veo",
    vidu: "vidu",
}

/// Over every route, what is sent differs with the value of an option. One of its values may be what the upstream does
/// by itself; names of voices and avatars may mean the same one.
async fn wires(upstream: &str) {
    let adapter = adapters::all().into_iter().find(|adapter| adapter.upstream().as_str() == upstream).unwrap();
    let nowhere = "http://127.0.0.1:1".parse().unwrap();
    let cx = support::cx(&*adapter, &nowhere, &doubles::of(upstream).secrets);
    let mut lost = Vec::new();
    for at in support::routes(upstream) {
        for input in smallest(at) {
            lost.extend(losses(&*adapter, &cx, at, &input).await);
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

/// The options of a route that do not show in what is sent, with their values.
async fn losses(adapter: &dyn Provider, cx: &Cx, at: RouteRef<'_>, input: &ContentInput) -> Vec<String> {
    let plain = support::accept(at, input, &support::least_options(at)).unwrap();
    let plain_task = support::task_of(at, input, plain.clone());
    let plain_wire = sent(adapter, cx, &plain_task).await;
    let mut seen: BTreeMap<&str, Wires> = BTreeMap::new();
    let has_setting = |(name, _): &(&str, _)| at.model.options.contains_key(*name);
    for (name, options) in requests(at).into_iter().filter(has_setting) {
        // Another route takes it, or it changes nothing here: what then is told, the test above sees.
        let Ok(choice) = support::accept(at, input, &options) else { continue };
        let (before, after) = (plain.options.get(name), choice.options.get(name).cloned().unwrap_or_default());
        let wires = seen.entry(name).or_default();
        if let Some(before) = before {
            wires.insert(before.to_string(), plain_wire.clone());
        }
        if let Entry::Vacant(place) = wires.entry(after.to_string()) {
            let task = Task { id: plain_task.id, ..support::task_of(at, input, choice) };
            place.insert(sent(adapter, cx, &task).await);
        }
    }
    let given: Vec<_> = json!(input).as_object().unwrap().keys().cloned().collect();
    let lost = seen.iter().filter(|(name, wires)| loses(name, wires, &plain_wire));
    lost.map(|(name, wires)| {
        format!("{} {} by {} with {given:?}: {name} {:?}", at.provider.id, at.model.id, at.route.model, wires.keys())
    })
    .collect()
}

/// What is sent, by the value of an option.
type Wires = BTreeMap<String, Vec<String>>;

fn loses(name: &str, wires: &Wires, plain: &[String]) -> bool {
    let different: BTreeSet<_> = wires.values().collect();
    match name {
        "voice" | "avatarId" => different.len() == 1 && different.iter().all(|wire| **wire == plain) && wires.len() > 1,
        _ => different.len() < wires.len(),
    }
}

/// What a fresh double is sent for a task, and what kind of files come of it.
async fn sent(adapter: &dyn Provider, cx: &Cx, task: &Task) -> Vec<String> {
    let double = doubles::of(cx.upstream.as_str());
    let tap = Tap::new(Clock::default());
    let base = support::serve(tap.before(double.router)).await;
    let cx = Cx { base: Some(base), cache: Arc::default(), ..cx.clone() };
    let outputs = support::run(adapter, &cx, task).await;
    let calls = tap.calls().into_iter().filter(|call| call.method != Method::GET && !call.path.ends_with("/token"));
    let mut sent: Vec<_> = calls.map(|call| format!("{} {}", call.path, bare(&call.body))).collect();
    match outputs {
        Ok(outputs) => sent.extend(outputs.files.iter().map(|file| match &file.source {
            Source::Url { url, .. } => format!("{:?} {:?}", file.content_type, url.path().rsplit_once('.')),
            Source::Bytes(bytes) => format!("{:?} {}", file.content_type, bytes.len()),
        })),
        // What a made-up voice or avatar leads to is the upstream's word, too.
        Err(fault) => sent.push(fault.to_string()),
    }
    sent
}

/// A body without what is made up anew each time: the boundary of a form, the paths of stored files.
fn bare(body: &str) -> String {
    let body = match body.split_once("\r\n") {
        Some((boundary, _)) if boundary.starts_with("--") => body.replace(boundary, "--"),
        _ => body.to_owned(),
    };
    let mut parts = body.split("/media/");
    let mut bare = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        bare.push_str(part.trim_start_matches(|letter: char| letter.is_ascii_hexdigit() || letter == '/'));
    }
    bare
}
