//! ComfyUI behind a proxy with Basic authentication: prompts, queue, history, uploads, cancel. A job runs at the second
//! look and ends at the fourth. Words in the prompt steer it: `[[busy]]`, `[[down]]`, `[[broken]]`, `[[refused]]`,
//! `[[failed]]`, `[[odd]]`, `[[garbled]]`, `[[slow]]` (never ends), `[[part]]` (valid only in part).

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Multipart, Path, Query, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};

use super::files;

/// An address with user and password, where nobody listens.
pub const ADDRESS: &str = "http://user:pass%3Aword@127.0.0.1:1";
/// Both as the proxy wants them.
const LOGIN: &str = "Basic dXNlcjpwYXNzOndvcmQ=";

const ENDED: &str = include_str!("../../../fixtures/comfyui/ended.json");
const CRASHED: &str = include_str!("../../../fixtures/comfyui/crashed.json");
/// The last is what the tests say where any name will do.
const CHECKPOINTS: [&str; 5] = [
    "v1-5-pruned-emaonly.safetensors",
    "sd_xl_base_1.0.safetensors",
    "sd3.5_large.safetensors",
    "flux1-dev-fp8.safetensors",
    "words",
];
const SAMPLERS: [&str; 12] = [
    "euler",
    "euler_ancestral",
    "heun",
    "dpm_2",
    "lms",
    "dpmpp_2m",
    "dpmpp_2m_sde",
    "dpmpp_sde",
    "dpmpp_3m_sde",
    "lcm",
    "ddim",
    "uni_pc",
];
const SCHEDULERS: [&str; 9] = [
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
];

#[derive(Clone, Default)]
pub struct Double(Arc<Mutex<Server>>);

#[derive(Default)]
struct Server {
    jobs: Vec<Job>,
    files: Vec<String>,
}

struct Job {
    id: String,
    graph: Value,
    looks: u32,
    end: Option<&'static str>,
}

impl Job {
    fn says(&self, word: &str) -> bool {
        self.graph.to_string().contains(word)
    }
}

impl Double {
    pub fn router(&self) -> Router {
        Router::new()
            .route("/double/prompt", post(submit))
            .route("/double/history/{id}", get(history))
            .route("/double/queue", get(queue).post(delete))
            .route("/double/interrupt", post(interrupt))
            .route("/double/upload/image", post(upload))
            .route("/double/view", get(view))
            .route("/double/system_stats", get(async || Json(json!({ "system": {}, "devices": [] }))))
            .layer(middleware::from_fn(locked))
            .with_state(self.clone())
    }

    /// The graphs that were queued.
    pub fn graphs(&self) -> Vec<Value> {
        self.0.lock().unwrap().jobs.iter().map(|job| job.graph.clone()).collect()
    }
}

async fn locked(request: Request, next: Next) -> Response {
    match request.headers().get("authorization") {
        Some(login) if login == LOGIN => next.run(request).await,
        _ => (StatusCode::UNAUTHORIZED, "<h1>401 Authorization Required</h1>").into_response(),
    }
}

async fn submit(State(double): State<Double>, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "Server got itself in trouble").into_response();
    };
    let mut state = double.0.lock().unwrap();
    let job =
        Job { id: body["prompt_id"].as_str().unwrap().to_owned(), graph: body["prompt"].clone(), looks: 0, end: None };
    assert_eq!(body.as_object().unwrap().len(), 2, "only prompt and prompt_id");
    for (word, status) in [("[[busy]]", 429), ("[[down]]", 503), ("[[broken]]", 502)] {
        if job.says(word) {
            return (StatusCode::from_u16(status).unwrap(), "a proxy says no").into_response();
        }
    }
    let refused = job.says("[[refused]]").then(|| {
        let error = json!({ "type": "value_bigger_than_max", "message": "", "details": "steps",
            "extra_info": { "input_name": "steps" } });
        ("3".to_owned(), error)
    });
    if let Some((node, error)) = refused.or_else(|| invalid(&job.graph, &state.files)) {
        let body = json!({
            "error": { "type": "prompt_outputs_failed_validation", "message": "", "details": "", "extra_info": {} },
            "node_errors": { node: { "errors": [error], "dependent_outputs": ["9"], "class_type": "" } },
        });
        return (StatusCode::BAD_REQUEST, Json(body)).into_response();
    }
    let node_errors = if job.says("[[part]]") {
        json!({ "12": { "errors": [{ "type": "required_input_missing" }] } })
    } else {
        json!({})
    };
    let answer = json!({ "prompt_id": job.id, "number": state.jobs.len(), "node_errors": node_errors });
    let garbled = job.says("[[garbled]]");
    state.jobs.push(job);
    if garbled { answer.to_string()[..20].to_owned().into_response() } else { Json(answer).into_response() }
}

/// The first node that is not in order, with its error.
fn invalid(graph: &Value, files: &[String]) -> Option<(String, Value)> {
    graph.as_object().unwrap().iter().find_map(|(id, node)| {
        let inputs = node["inputs"].as_object().unwrap();
        let fault = inputs.iter().find_map(|(name, value)| Some((name, wrong(graph, files, name, value)?)));
        let (name, kind) = fault?;
        Some((
            id.clone(),
            json!({ "type": kind, "message": "", "details": name, "extra_info": { "input_name": name } }),
        ))
    })
}

fn wrong(graph: &Value, files: &[String], name: &str, value: &Value) -> Option<&'static str> {
    let number = |min: f64, max: f64| match value.as_f64() {
        None => Some("invalid_input_type"),
        Some(number) if number < min => Some("value_smaller_than_min"),
        Some(number) if number > max => Some("value_bigger_than_max"),
        Some(_) => None,
    };
    let word =
        |words: &[&str]| (!value.as_str().is_some_and(|word| words.contains(&word))).then_some("value_not_in_list");
    match name {
        "ckpt_name" => word(&CHECKPOINTS),
        "sampler_name" => word(&SAMPLERS),
        "scheduler" => word(&SCHEDULERS),
        "text" | "filename_prefix" => (!value.is_string()).then_some("invalid_input_type"),
        "image" => (!files.iter().any(|file| value == file)).then_some("custom_validation_failed"),
        "width" | "height" => number(16.0, 16384.0),
        "batch_size" => number(1.0, 4096.0),
        "steps" => number(1.0, 10_000.0),
        "cfg" => number(0.0, 100.0),
        "denoise" => number(0.0, 1.0),
        "seed" => number(0.0, 18_446_744_073_709_551_615.0),
        _ => value[0].as_str().is_none_or(|id| graph.get(id).is_none()).then_some("bad_linked_input"),
    }
}

async fn history(State(double): State<Double>, Path(id): Path<String>) -> Response {
    let mut state = double.0.lock().unwrap();
    let Some(job) = state.jobs.iter_mut().find(|job| job.id == id) else { return Json(json!({})).into_response() };
    job.looks += 1;
    if job.looks > 3 && job.end.is_none() && !job.says("[[slow]]") {
        job.end = Some(if job.says("[[failed]]") { CRASHED } else { ENDED });
    }
    match job.end {
        Some(end) if job.looks == 4 && job.says("[[odd]]") => {
            let mut entry = serde_json::from_str::<Value>(end).unwrap();
            entry["status"]["status_str"] = json!("cooling");
            Json(json!({ id: entry })).into_response()
        }
        Some(end) if !end.is_empty() => {
            Json(json!({ id: serde_json::from_str::<Value>(end).unwrap() })).into_response()
        }
        _ => Json(json!({})).into_response(),
    }
}

async fn queue(State(double): State<Double>) -> Response {
    let state = double.0.lock().unwrap();
    let of = |running: bool| -> Vec<Value> {
        let jobs = state.jobs.iter().filter(|job| job.end.is_none() && (job.looks > 1) == running);
        jobs.map(|job| json!([1, job.id, job.graph, {}, ["9"]])).collect()
    };
    Json(json!({ "queue_running": of(true), "queue_pending": of(false) })).into_response()
}

async fn delete(State(double): State<Double>, Json(body): Json<Value>) -> StatusCode {
    let mut state = double.0.lock().unwrap();
    state.jobs.retain(|job| !(body["delete"].as_array().unwrap().contains(&json!(job.id)) && job.looks < 2));
    StatusCode::OK
}

async fn interrupt(State(double): State<Double>, Json(body): Json<Value>) -> StatusCode {
    let mut state = double.0.lock().unwrap();
    let job = state.jobs.iter_mut().find(|job| job.id == body["prompt_id"] && job.looks > 1 && job.end.is_none());
    if let Some(job) = job {
        job.end = Some(CRASHED);
    }
    StatusCode::OK
}

async fn view(Query(file): Query<BTreeMap<String, String>>) -> Response {
    match file["type"].as_str() {
        "output" => files::at(&file["filename"]).unwrap(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn upload(State(double): State<Double>, mut form: Multipart) -> Response {
    let mut name = String::new();
    while let Some(field) = form.next_field().await.unwrap() {
        match field.name().unwrap() {
            "image" => name = format!("stored-{}", field.file_name().unwrap()),
            "type" => assert_eq!(field.text().await.unwrap(), "input"),
            "overwrite" => assert_eq!(field.text().await.unwrap(), "true"),
            other => panic!("unknown field {other}"),
        }
    }
    double.0.lock().unwrap().files.push(name.clone());
    Json(json!({ "name": name, "subfolder": "", "type": "input" })).into_response()
}
