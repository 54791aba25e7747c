//! Google pictures by `generateContent`: one picture a call, in base64, with the answer of the submit.
//!
//! `params.service` is `gemini` (API key) or `vertex` (service account); `params.sized = false` marks a model without
//! a size parameter. Input pictures go inline. A refusal of the content comes as a 200 without a picture. Drafts that a
//! thinking model shows on its way are skipped.

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    domain::{
        Fault, Upstream, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    media::InputFile,
    providers::{
        Cx, Handle, Progress, Provider, Submitted, Task, copies,
        google::{self, GEMINI, Service},
        http::{excerpt, preparing},
    },
};

/// Where Vertex AI serves the picture models, whatever the location for clips.
const LOCATION: &str = "global";
const TIMEOUT: Duration = Duration::from_secs(170);

/// The adapter.
pub struct Imagen;

#[async_trait]
impl Provider for Imagen {
    fn upstream(&self) -> Upstream {
        "imagen".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let mut pictures = Vec::new();
        for url in task.input.image.iter().chain(task.input.images.iter().flatten()) {
            pictures.push(cx.input(url).await.map_err(preparing)?);
        }
        let count = task.options.get("n").and_then(Value::as_i64).unwrap_or(1);
        let bodies: Vec<Value> = (0..count).map(|copy| to_wire(task, &pictures, copy)).collect();
        copies::gather(bodies.iter().map(|body| generate(cx, task, body))).await.map(Submitted::Done)
    }

    async fn poll(&self, _cx: &Cx, _task: &Task, _handle: &Handle) -> Result<Progress, Fault> {
        Err(Fault::refused(Kind::Gone, "generateContent answers at once and keeps no task"))
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        google::check(cx).await
    }
}

async fn generate(cx: &Cx, task: &Task, body: &Value) -> Result<Outputs, Fault> {
    let service = Service::of(task);
    let parent = match service {
        Service::Gemini => format!("{GEMINI}/v1beta"),
        Service::Vertex => format!("{}/publishers/google", google::vertex(cx, "v1", Some(LOCATION))?),
    };
    let call = cx.post(&format!("{parent}/models/{}:generateContent", task.model))?.json(body).timeout(TIMEOUT);
    let reply = google::sign(cx, call, service).await?.send().await?;
    if reply.status == 401 && service == Service::Vertex {
        google::forget_token(cx);
    }
    if !reply.is_success() {
        return Err(google::classify(&reply));
    }
    from_wire(reply.json()?)
}

/// The same seed gives the same picture, so that each further copy counts it up.
fn to_wire(task: &Task, pictures: &[InputFile], copy: i64) -> Value {
    let mut parts = vec![json!({ "text": task.input.text.as_deref().unwrap_or_default() })];
    parts.extend(
        pictures.iter().map(|file| json!({ "inlineData": { "mimeType": file.content_type, "data": file.base64() } })),
    );
    let mut image = Map::new();
    if let Some(ratio) = task.options.get("aspectRatio") {
        image.insert("aspectRatio".into(), ratio.clone());
    }
    let sized = task.params.get("sized").and_then(Value::as_bool).unwrap_or(true);
    if let Some(size) = task.options.get("resolution").and_then(Value::as_str).filter(|_| sized) {
        image.insert("imageSize".into(), json!(size.to_uppercase()));
    }
    let mut config = Map::new();
    config.insert("responseModalities".into(), json!(["IMAGE"]));
    if !image.is_empty() {
        config.insert("imageConfig".into(), Value::Object(image));
    }
    if let Some(seed) = task.options.get("seed").and_then(Value::as_i64) {
        config.insert("seed".into(), json!((seed + copy).rem_euclid(1 << 31)));
    }
    json!({ "contents": [{ "role": "user", "parts": parts }], "generationConfig": config })
}

fn from_wire(answer: Answer) -> Result<Outputs, Fault> {
    if let Some(reason) = answer.prompt_feedback.and_then(|feedback| feedback.block_reason) {
        return Err(Fault::refused(Kind::Moderated, format!("the prompt was blocked: {}", excerpt(&reason))));
    }
    let candidate = answer
        .candidates
        .into_iter()
        .next()
        .ok_or_else(|| Fault::new(Kind::Garbled, Verdict::Unknown, "an answer without candidates"))?;
    let (mut picture, mut words) = (None, String::new());
    for part in candidate.content.unwrap_or_default().parts {
        match part.inline_data {
            Some(data) if !part.thought => picture = Some(data),
            _ => words.push_str(part.text.as_deref().unwrap_or_default()),
        }
    }
    let Some(picture) = picture else {
        let reason = candidate.finish_reason.unwrap_or_default();
        return Err(without_picture(&reason, &format!("{} {words}", candidate.finish_message.unwrap_or_default())));
    };
    let bytes = STANDARD
        .decode(picture.data)
        .map_err(|error| Fault::new(Kind::Garbled, Verdict::Unknown, "a picture is not base64").because(error))?;
    let output = Output { source: Source::Bytes(bytes.into()), content_type: picture.mime_type };
    Ok(Outputs { files: vec![output], ..Outputs::default() })
}

/// Why a call that went through has no picture.
fn without_picture(reason: &str, words: &str) -> Fault {
    let kind = match reason {
        "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "SAFETY"
        | "PROHIBITED_CONTENT"
        | "BLOCKLIST"
        | "SPII"
        | "RECITATION" => Kind::Moderated,
        "STOP" | "NO_IMAGE" | "IMAGE_OTHER" | "OTHER" | "MALFORMED_RESPONSE" | "MAX_TOKENS" | "LANGUAGE" => {
            Kind::Failed
        }
        unknown => {
            tracing::warn!(upstream.reason = unknown, "unknown reason for a missing picture");
            Kind::Failed
        }
    };
    Fault::refused(kind, excerpt(&format!("no picture, {reason}: {words}")))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    #[serde(default)]
    candidates: Vec<Candidate>,
    prompt_feedback: Option<PromptFeedback>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Content>,
    finish_reason: Option<String>,
    finish_message: Option<String>,
}

#[derive(Default, Deserialize)]
struct Content {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    inline_data: Option<InlineData>,
    #[serde(default)]
    thought: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InlineData {
    mime_type: Option<String>,
    data: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    fn task(options: &Value, params: &Value) -> Task {
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Image,
            model: "gemini-3-pro-image".into(),
            params: params.as_object().cloned().unwrap_or_default(),
            input: ContentInput { text: Some("a red boat".into()), ..ContentInput::default() },
            options: options.as_object().cloned().unwrap_or_default(),
            wire: BTreeMap::new(),
        }
    }

    #[test]
    fn a_request_has_capital_sizes_and_inline_pictures() {
        let png = InputFile { bytes: "png".into(), content_type: "image/png".into() };
        let options = json!({"aspectRatio": "16:9", "resolution": "2k", "seed": 5, "n": 2});
        assert_eq!(
            to_wire(&task(&options, &json!({})), &[png], 1),
            json!({"contents": [{"role": "user", "parts": [{"text": "a red boat"},
                {"inlineData": {"mimeType": "image/png", "data": "cG5n"}}]}],
                "generationConfig": {"responseModalities": ["IMAGE"], "seed": 6,
                    "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"}}})
        );
        let bare = to_wire(&task(&json!({"resolution": "1k"}), &json!({"sized": false})), &[], 0);
        assert_eq!(bare["generationConfig"], json!({"responseModalities": ["IMAGE"]}));
    }

    #[test]
    fn the_last_picture_that_is_no_draft_counts() {
        let answer = json!({"candidates": [{"finishReason": "STOP", "content": {"parts": [
            {"inlineData": {"mimeType": "image/png", "data": "YQ=="}, "thought": true}, {"text": "here"},
            {"inlineData": {"mimeType": "image/jpeg", "data": "Yg=="}}]}}]});
        let outputs = from_wire(serde_json::from_value(answer).unwrap()).unwrap();
        assert_eq!(outputs.files[0].content_type.as_deref(), Some("image/jpeg"));
        assert_eq!(outputs.files.len(), 1);
    }

    #[test]
    fn answers_without_a_picture_say_why() {
        let read = |body: Value| from_wire(serde_json::from_value(body).unwrap()).unwrap_err().kind;
        assert_eq!(read(json!({"promptFeedback": {"blockReason": "SAFETY"}})), Kind::Moderated);
        assert_eq!(read(json!({"candidates": [{"finishReason": "IMAGE_SAFETY"}]})), Kind::Moderated);
        assert_eq!(read(json!({"candidates": [{"finishReason": "NO_IMAGE"}]})), Kind::Failed);
        assert_eq!(read(json!({})), Kind::Garbled);
    }
}
