//! The five protocols, as far as the drill's requests go.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::RngExt as _;
use serde_json::{Value, json};

use super::{Answer, Going, Inner, Mood, Request};

const CLIP: &[u8] = include_bytes!("../../../../tests/fixtures/media/a.mp4");
const PICTURE: &[u8] = include_bytes!("../../../../tests/fixtures/media/a.png");
const SOUND: &[u8] = include_bytes!("../../../../tests/fixtures/media/a.mp3");

/// Answers a call: the first part of the path names the service.
pub fn answer(inner: &mut Inner, request: &Request) -> Answer {
    let (service, path) = request.path[1..].split_once('/').unwrap_or(("", ""));
    let parts: Vec<&str> = path.split('/').collect();
    let submits = request.method == "POST" && !path.ends_with("cancel");
    let mood = inner.mood(service, submits);
    if let Mood::OddRefusal(status) = mood {
        return Answer::text(status, "odd");
    }
    let done = match (service, parts.as_slice()) {
        ("kling", ["v1", "videos", "text2video"]) => kling_submit(inner, mood, request),
        ("kling", ["v1", "videos", "text2video", id]) => kling_look(inner, mood, request, id),
        ("minimax", ["v1", "video_generation"]) => minimax_submit(inner, mood, request),
        ("minimax", ["v1", "query", "video_generation"]) => minimax_look(inner, mood, &request.query["task_id"]),
        ("minimax", ["v1", "files", "retrieve"]) => minimax_file(mood, request),
        ("vidu", ["ent", "v2", "text2video"]) => vidu_submit(inner, mood, request),
        ("vidu", ["ent", "v2", "tasks", id, "creations"]) => vidu_look(inner, mood, request, id),
        ("vidu", ["ent", "v2", "tasks", id, "cancel"]) => vidu_cancel(inner, mood, id),
        ("openai", ["v1", "images", "generations"]) => openai_submit(inner, mood, request),
        ("hedra", ["v3", "models", _]) => hedra_submit(inner, mood, request),
        ("hedra", ["v3", "jobs", id, "status"] | ["v3", "jobs", id]) => hedra_look(inner, mood, request, id),
        ("files", ["clip.mp4"]) => file(mood, "video/mp4", CLIP),
        ("files", ["sound.mp3"]) => file(mood, "audio/mpeg", SOUND),
        _ => panic!("nobody documents {} {}", request.method, request.path),
    };
    match mood {
        Mood::FalseError(status) => Answer::text(status, "oops"),
        _ => done,
    }
}

fn file(mood: Mood, content_type: &'static str, bytes: &[u8]) -> Answer {
    match mood {
        Mood::Busy => Answer::text(429, "busy"),
        Mood::Down => Answer::text(503, "down"),
        _ => Answer { status: 200, content_type, body: bytes.to_vec() },
    }
}

/// The address of a result.
fn result(request: &Request, name: &str) -> String {
    format!("http://{}/files/{name}", request.header("host"))
}

fn kling(status: u16, code: i64, data: &Value) -> Answer {
    Answer::json(status, &json!({"code": code, "message": "said", "request_id": "r", "data": data}))
}

fn kling_refusal(mood: Mood) -> Option<Answer> {
    match mood {
        Mood::Busy => Some(kling(429, 1302, &Value::Null)),
        Mood::Down => Some(kling(503, 5001, &Value::Null)),
        _ => None,
    }
}

fn kling_submit(inner: &mut Inner, mood: Mood, request: &Request) -> Answer {
    let body = request.json();
    let client = body["external_task_id"].as_str().unwrap();
    if let Some(refusal) = kling_refusal(mood) {
        return refusal;
    }
    if inner.by_client.contains_key(client) {
        return kling(400, 1201, &Value::Null);
    }
    let id = inner.task(body["prompt"].as_str().unwrap(), Some(client));
    kling(200, 0, &json!({"task_id": id, "task_status": "submitted", "task_info": {"external_task_id": client}}))
}

fn kling_look(inner: &mut Inner, mood: Mood, request: &Request, id: &str) -> Answer {
    let id = inner.id_of(id);
    if let Some(refusal) = kling_refusal(mood) {
        return refusal;
    }
    let Some(going) = inner.look(&id) else { return kling(404, 1203, &Value::Null) };
    let mut data = json!({"task_id": id, "task_status": "processing", "task_status_msg": ""});
    match going {
        Going::On => {}
        Going::Wrong => data["task_status"] = "failed".into(),
        Going::Done => {
            data["task_status"] = "succeed".into();
            let url = result(request, "clip.mp4");
            data["task_result"] = json!({"videos": [{"id": "v", "url": url, "duration": "5.0"}]});
        }
    }
    kling(200, 0, &data)
}

fn minimax(code: i64, mut answer: Value) -> Answer {
    answer["base_resp"] = json!({"status_code": code, "status_msg": if code == 0 { "success" } else { "not now" }});
    Answer::json(200, &answer)
}

fn minimax_refusal(mood: Mood) -> Option<Answer> {
    match mood {
        Mood::Busy => Some(minimax(1002, json!({}))),
        Mood::Down => Some(Answer::text(503, "down")),
        _ => None,
    }
}

fn minimax_submit(inner: &mut Inner, mood: Mood, request: &Request) -> Answer {
    if let Some(refusal) = minimax_refusal(mood) {
        return refusal;
    }
    let id = inner.task(request.json()["prompt"].as_str().unwrap(), None);
    minimax(0, json!({"task_id": id}))
}

fn minimax_look(inner: &mut Inner, mood: Mood, id: &str) -> Answer {
    if let Some(refusal) = minimax_refusal(mood) {
        return refusal;
    }
    let (status, file) = match inner.look(id) {
        None => return minimax(2013, json!({})),
        Some(Going::On) => ("Processing", ""),
        Some(Going::Wrong) => ("Fail", ""),
        Some(Going::Done) => ("Success", id),
    };
    minimax(0, json!({"task_id": id, "status": status, "file_id": file, "video_width": 0, "video_height": 0}))
}

fn minimax_file(mood: Mood, request: &Request) -> Answer {
    if let Some(refusal) = minimax_refusal(mood) {
        return refusal;
    }
    let id: u64 = request.query["file_id"].parse().unwrap();
    let file = json!({"file_id": id, "bytes": CLIP.len(), "created_at": 1_790_000_000, "filename": "output_aigc.mp4",
        "purpose": "video_generation", "download_url": result(request, "clip.mp4")});
    minimax(0, json!({"file": file}))
}

fn vidu_refusal(mood: Mood) -> Option<Answer> {
    let (status, reason) = match mood {
        Mood::Busy => (429, "QuotaExceeded"),
        Mood::Down => (503, "SystemThrottling"),
        _ => return None,
    };
    Some(Answer::json(status, &json!({"code": status, "reason": reason, "message": "not now"})))
}

fn vidu_submit(inner: &mut Inner, mood: Mood, request: &Request) -> Answer {
    if let Some(refusal) = vidu_refusal(mood) {
        return refusal;
    }
    let id = inner.task(request.json()["prompt"].as_str().unwrap(), None);
    Answer::json(200, &json!({"task_id": id, "state": "created"}))
}

fn vidu_look(inner: &mut Inner, mood: Mood, request: &Request, id: &str) -> Answer {
    if let Some(refusal) = vidu_refusal(mood) {
        return refusal;
    }
    let answer = match inner.look(id) {
        None => return Answer::json(404, &json!({"code": 404, "reason": "TaskNotFound", "message": "no"})),
        Some(Going::On) => json!({"state": "processing"}),
        Some(Going::Wrong) => json!({"state": "failed", "err_code": "InternalServiceFailure"}),
        Some(Going::Done) => {
            json!({"state": "success", "creations": [{"id": "c", "url": result(request, "clip.mp4")}]})
        }
    };
    Answer::json(200, &answer)
}

/// One half of the tasks can still be stopped.
fn vidu_cancel(inner: &mut Inner, mood: Mood, id: &str) -> Answer {
    if let Some(refusal) = vidu_refusal(mood) {
        return refusal;
    }
    let can_stop = inner.rng.random_bool(0.5);
    match inner.tasks.get_mut(id) {
        Some(task) if can_stop => {
            task.stopped = true;
            Answer::json(200, &json!({}))
        }
        _ => Answer::json(400, &json!({"code": 400, "reason": "TaskStateInvalid", "message": "can not cancel"})),
    }
}

fn openai_submit(inner: &mut Inner, mood: Mood, request: &Request) -> Answer {
    let (status, code) = match mood {
        Mood::Busy => (429, "rate_limit_exceeded"),
        Mood::Down => (503, "server_overloaded"),
        _ => {
            inner.pay(request.json()["prompt"].as_str().unwrap());
            let picture = json!({"created": 1_790_000_000, "data": [{"b64_json": STANDARD.encode(PICTURE)}]});
            return Answer::json(200, &picture);
        }
    };
    let error = json!({"message": "not now", "type": "server_error", "param": null, "code": code});
    Answer::json(status, &json!({"error": error}))
}

fn hedra_refusal(mood: Mood) -> Option<Answer> {
    let (status, code) = match mood {
        Mood::Busy => (429, "RESOURCE_EXHAUSTED"),
        Mood::Down => (503, "UNAVAILABLE"),
        _ => return None,
    };
    let error = json!({"code": code, "message": "not now", "retryable": true, "retry_after": 1});
    Some(Answer::json(status, &json!({"error": error, "trace_id": "t"})))
}

fn hedra_submit(inner: &mut Inner, mood: Mood, request: &Request) -> Answer {
    if let Some(refusal) = hedra_refusal(mood) {
        return refusal;
    }
    let key = request.header("idempotency-key");
    let known = inner.by_client.get(key).cloned();
    let id = known.unwrap_or_else(|| inner.task(request.json()["input"]["text"].as_str().unwrap(), Some(key)));
    Answer::json(200, &json!({"job_id": id, "status": "IN_QUEUE"}))
}

fn hedra_look(inner: &mut Inner, mood: Mood, request: &Request, id: &str) -> Answer {
    if let Some(refusal) = hedra_refusal(mood) {
        return refusal;
    }
    let (status, outputs) = match inner.look(id) {
        None => return Answer::json(404, &json!({"error": {"code": "NOT_FOUND", "message": "no"}})),
        Some(Going::On) => ("IN_PROGRESS", json!([])),
        Some(Going::Wrong) => ("FAILED", json!([])),
        Some(Going::Done) => {
            let url = result(request, "sound.mp3");
            ("COMPLETED", json!([{"status": "COMPLETED", "url": url, "content_type": "audio/mpeg"}]))
        }
    };
    let error = (status == "FAILED").then(|| json!({"code": "INTERNAL", "message": "no", "retryable": false}));
    Answer::json(200, &json!({"status": status, "progress": null, "outputs": outputs, "error": error}))
}
