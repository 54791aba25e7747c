//! Stability AI: Stable Image and Stable Diffusion 3.5, <https://platform.stability.ai/docs/api-reference>.
//!
//! Quirks: requests are forms, also without a file; the answer *is* the picture, so a submit ends done and nothing is
//! ever polled; a picture blurred by the filter is a success that must not be delivered. A lost answer may have been
//! charged and cannot be asked for again.
//!
//! Reads `params.path` (`ultra`, `core`, `sd3`); only `sd3` sends the model id.
//! Unconfirmed: the wording of field errors, the limits on input pictures.

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    domain::{
        Fault, Upstream, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    media::InputFile,
    providers::{
        Call, Cx, Handle, Progress, Provider, Reply, Submitted, Task,
        http::{excerpt, preparing},
    },
};

const API: &str = "https://api.stability.ai";

/// Ultra takes about ten seconds; a busy service several times that.
const PATIENCE: Duration = Duration::from_secs(150);

/// The lock-out after too many requests, which comes without `Retry-After`.
const LOCKED_OUT: Duration = Duration::from_mins(1);

/// The adapter.
pub struct Stability;

#[async_trait]
impl Provider for Stability {
    fn upstream(&self) -> Upstream {
        "stability".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        let image = match &task.input.image {
            Some(url) => Some(cx.input(url).await.map_err(preparing)?),
            None => None,
        };
        let path = task.params.get("path").and_then(Value::as_str).unwrap_or("sd3");
        let mut form = to_wire(task, path, image.is_some())
            .into_iter()
            .fold(Form::new(), |form, (name, value)| form.text(name, value));
        if let Some(file) = image {
            form = form.part("image", part(file)?);
        }
        let url = format!("/v2beta/stable-image/generate/{path}");
        let call = call(cx, Method::POST, &url)?.header("accept", "application/json").form(form).timeout(PATIENCE);
        let reply = call.send().await?;
        if !reply.is_success() {
            return Err(classify(&reply));
        }
        from_wire(&reply.json()?, format_of(task)).map(Submitted::Done)
    }

    async fn poll(&self, _cx: &Cx, _task: &Task, _handle: &Handle) -> Result<Progress, Fault> {
        Err(Fault::refused(Kind::Gone, "pictures come with the answer; there is nothing to ask for"))
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let reply = call(cx, Method::GET, "/v1/user/balance")?.send().await?;
        if reply.is_success() { Ok(()) } else { Err(classify(&reply)) }
    }
}

fn call(cx: &Cx, method: Method, path: &str) -> Result<Call, Fault> {
    let key = cx.secret("STABILITY_API_KEY")?;
    Ok(cx.call(method, &format!("{API}{path}"))?.bearer(key))
}

fn part(file: InputFile) -> Result<Part, Fault> {
    let extension = file.content_type.rsplit('/').next().unwrap_or("png").to_owned();
    Part::stream(file.bytes)
        .file_name(format!("image.{extension}"))
        .mime_str(&file.content_type)
        .map_err(|error| Fault::refused(Kind::InvalidInput, "not a content type").because(error))
}

/// The text fields of the form. The 3.5 models have two modes; made from a picture, a picture keeps its proportions.
fn to_wire(task: &Task, path: &str, with_image: bool) -> Vec<(&'static str, String)> {
    let mut fields = vec![("prompt", task.input.text.clone().unwrap_or_default())];
    let is_sd3 = path == "sd3";
    if is_sd3 {
        fields.push(("model", task.model.clone()));
        fields.push(("mode", if with_image { "image-to-image" } else { "text-to-image" }.to_owned()));
    }
    for (option, field) in [
        ("negativePrompt", "negative_prompt"),
        ("aspectRatio", "aspect_ratio"),
        ("seed", "seed"),
        ("format", "output_format"),
        ("style", "style_preset"),
        ("cfgScale", "cfg_scale"),
        ("strength", "strength"),
    ] {
        let unfit = match option {
            "aspectRatio" => is_sd3 && with_image,
            "strength" => !with_image,
            _ => false,
        };
        match task.options.get(option) {
            Some(value) if !unfit => fields.push((field, said(value))),
            _ => {}
        }
    }
    fields
}

fn said(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn format_of(task: &Task) -> &str {
    task.options.get("format").and_then(Value::as_str).unwrap_or("png")
}

fn from_wire(answer: &Picture, format: &str) -> Result<Outputs, Fault> {
    if answer.finish_reason.as_deref() == Some("CONTENT_FILTERED") {
        return Err(Fault::refused(Kind::Moderated, "CONTENT_FILTERED"));
    }
    let bytes = STANDARD
        .decode(&answer.image)
        .map_err(|error| Fault::new(Kind::Garbled, Verdict::Unknown, "the picture is not base64").because(error))?;
    let file = Output { source: Source::Bytes(Bytes::from(bytes)), content_type: Some(format!("image/{format}")) };
    Ok(Outputs { files: vec![file], seed: answer.seed, ..Outputs::default() })
}

fn classify(reply: &Reply) -> Fault {
    let trouble: Trouble = reply.json().unwrap_or_default();
    let mut fault = reply.fault(excerpt(&format!("{}: {}", trouble.name, trouble.errors.join("; "))));
    match (reply.status, trouble.name.as_str()) {
        (403, "content_moderation") => fault.kind = Kind::Moderated,
        (404, _) => fault.kind = Kind::Account,
        (429, _) => fault.retry_after = fault.retry_after.or(Some(LOCKED_OUT)),
        // The call is the whole work: an answered failure leaves nothing running, and is not charged.
        (500, "internal_error") => (fault.kind, fault.verdict) = (Kind::Internal, Verdict::Refused),
        _ => {}
    }
    fault
}

#[derive(Deserialize)]
struct Picture {
    image: String,
    finish_reason: Option<String>,
    seed: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Trouble {
    name: String,
    errors: Vec<String>,
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "json! literals read better without a borrow")]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{ContentInput, GenerationId, GenerationType};

    fn task(options: Value) -> Task {
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type: GenerationType::Image,
            model: "sd3.5-large".into(),
            params: serde_json::Map::new(),
            input: ContentInput { text: Some("a fox".into()), ..ContentInput::default() },
            options: options.as_object().cloned().unwrap(),
            wire: std::collections::BTreeMap::new(),
        }
    }

    fn names(fields: &[(&'static str, String)]) -> Vec<&'static str> {
        fields.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn a_picture_from_a_picture_has_strength_and_no_ratio() {
        let task = task(json!({ "aspectRatio": "16:9", "strength": 0.65, "seed": 7 }));
        assert_eq!(names(&to_wire(&task, "sd3", false)), ["prompt", "model", "mode", "aspect_ratio", "seed"]);
        assert_eq!(names(&to_wire(&task, "sd3", true)), ["prompt", "model", "mode", "seed", "strength"]);
        assert_eq!(names(&to_wire(&task, "ultra", true)), ["prompt", "aspect_ratio", "seed", "strength"]);
        assert_eq!(to_wire(&task, "ultra", false)[2], ("seed", "7".to_owned()));
    }

    #[test]
    fn a_filtered_picture_is_never_delivered() {
        let blurred = Picture { image: "AA==".into(), finish_reason: Some("CONTENT_FILTERED".into()), seed: Some(1) };
        assert_eq!(from_wire(&blurred, "png").unwrap_err().kind, Kind::Moderated);
        let good = Picture { image: "AA==".into(), finish_reason: Some("SUCCESS".into()), seed: Some(1) };
        let outputs = from_wire(&good, "webp").unwrap();
        assert_eq!((outputs.seed, outputs.files[0].content_type.as_deref()), (Some(1), Some("image/webp")));
    }

    #[test]
    fn errors_are_told_apart() {
        for (status, name, kind, verdict) in [
            (400, "bad_request", Kind::InvalidInput, Verdict::Refused),
            (401, "unauthorized", Kind::Account, Verdict::Refused),
            (402, "payment_required", Kind::Account, Verdict::Refused),
            (403, "content_moderation", Kind::Moderated, Verdict::Refused),
            (413, "payload_too_large", Kind::InvalidInput, Verdict::Refused),
            (422, "invalid_language", Kind::InvalidInput, Verdict::Refused),
            (429, "rate_limit_exceeded", Kind::Busy, Verdict::Refused),
            (500, "internal_error", Kind::Internal, Verdict::Refused),
            (502, "", Kind::Down, Verdict::Unknown),
            (503, "", Kind::Down, Verdict::Refused),
        ] {
            let body = json!({ "id": "1", "name": name, "errors": ["x"] }).to_string().into();
            let fault = classify(&Reply { status, headers: reqwest::header::HeaderMap::new(), body });
            assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{status}");
        }
    }
}
