//! `OpenAI`: pictures by `/v1/images/generations` and `/v1/images/edits`, speech by `/v1/audio/speech`.
//!
//! Both answer the submit itself, pictures always in base64, so there is nothing to poll, to cancel or to reconcile.
//! Edits are sent as JSON, which takes input pictures as URL or `data:` URI. The header `x-should-retry` is not
//! followed: it says that a retry may work, not that it is free. `params`: none are read.

use std::time::Duration;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    domain::{
        Fault, GenerationType, Upstream, Verdict,
        fault::Kind,
        output::{Output, Outputs, Source},
    },
    media::InputFile,
    providers::{Cx, Handle, Progress, Provider, Reply, Submitted, Task, files::link_or_inline, http::excerpt},
};

const BASE: &str = "https://api.openai.com/v1";
/// Pictures of high quality take up to two minutes, several of them longer.
const IMAGE_TIMEOUT: Duration = Duration::from_mins(5);
const SPEECH_TIMEOUT: Duration = Duration::from_secs(100);

/// The adapter.
pub struct OpenAi;

#[async_trait]
impl Provider for OpenAi {
    fn upstream(&self) -> Upstream {
        "openai".into()
    }

    async fn submit(&self, cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
        match task.r#type {
            GenerationType::Image => submit_image(cx, task).await,
            GenerationType::Audio => submit_speech(cx, task).await,
            GenerationType::Video | GenerationType::Avatar => {
                Err(Fault::refused(Kind::InvalidInput, "OpenAI makes pictures and speech only"))
            }
        }
    }

    async fn poll(&self, _cx: &Cx, _task: &Task, _handle: &Handle) -> Result<Progress, Fault> {
        Err(Fault::refused(Kind::Gone, "OpenAI answers at once and keeps no task"))
    }

    async fn check(&self, cx: &Cx) -> Result<(), Fault> {
        let reply = cx.get(&format!("{BASE}/models"))?.bearer(cx.secret("OPENAI_API_KEY")?).send().await?;
        if reply.is_success() { Ok(()) } else { Err(classify(&reply)) }
    }
}

async fn submit_image(cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
    let mut pictures = Vec::new();
    for url in task.input.image.iter().chain(task.input.images.iter().flatten()) {
        pictures.push(link_or_inline(cx, url, InputFile::data_url).await?);
    }
    let path = if pictures.is_empty() { "images/generations" } else { "images/edits" };
    let reply = cx
        .post(&format!("{BASE}/{path}"))?
        .bearer(cx.secret("OPENAI_API_KEY")?)
        .timeout(IMAGE_TIMEOUT)
        .json(&image_to_wire(task, &pictures))
        .send()
        .await?;
    if !reply.is_success() {
        return Err(classify(&reply));
    }
    images_from_wire(reply.json()?).map(Submitted::Done)
}

async fn submit_speech(cx: &Cx, task: &Task) -> Result<Submitted, Fault> {
    let reply = cx
        .post(&format!("{BASE}/audio/speech"))?
        .bearer(cx.secret("OPENAI_API_KEY")?)
        .timeout(SPEECH_TIMEOUT)
        .json(&speech_to_wire(task))
        .send()
        .await?;
    if !reply.is_success() {
        return Err(classify(&reply));
    }
    speech_from_wire(task, reply).map(Submitted::Done)
}

fn image_to_wire(task: &Task, pictures: &[String]) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), json!(task.model));
    body.insert("prompt".into(), json!(task.input.text.as_deref().unwrap_or_default()));
    if !pictures.is_empty() {
        let images: Vec<Value> = pictures.iter().map(|url| json!({ "image_url": url })).collect();
        body.insert("images".into(), json!(images));
    }
    if let Some(size) = size(&task.options) {
        body.insert("size".into(), json!(size));
    }
    for (option, field) in [
        ("n", "n"),
        ("quality", "quality"),
        ("format", "output_format"),
        ("outputCompression", "output_compression"),
        ("background", "background"),
    ] {
        if let Some(value) = task.options.get(option) {
            body.insert(field.into(), value.clone());
        }
    }
    Value::Object(body)
}

/// The size in pixels, where one was asked for in any way. Sides are multiples of 16 and the pixels stay under the
/// service's 3840x2160.
fn size(options: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| options.get(name).and_then(Value::as_str);
    let (ratio, resolution) = (text("aspectRatio"), text("resolution"));
    if let Some(pixels) = resolution.filter(|resolution| resolution.contains('x')) {
        return Some(pixels.to_owned());
    }
    if ratio.is_none() && resolution.is_none() {
        return None;
    }
    let (wide, high, portrait) = match ratio.unwrap_or("1:1") {
        "2:3" => (3, 2, true),
        "3:4" => (4, 3, true),
        "4:5" => (5, 4, true),
        "9:16" => (16, 9, true),
        other => (split_ratio(other).0, split_ratio(other).1, false),
    };
    let (long, short) = match (resolution.unwrap_or("1k"), (wide, high)) {
        ("2k", (3, 2)) => (2304, 1536),
        ("2k", (4, 3)) => (2048, 1536),
        ("2k", (5, 4)) => (1920, 1536),
        ("2k", (16, 9)) => (2560, 1440),
        ("2k", (21, 9)) => (2688, 1152),
        ("2k", _) => (2048, 2048),
        ("4k", (3, 2)) => (3456, 2304),
        ("4k", (4, 3)) => (3264, 2448),
        ("4k", (5, 4)) => (3200, 2560),
        ("4k", (16, 9)) => (3840, 2160),
        ("4k", (21, 9)) => (3808, 1632),
        ("4k", _) => (2880, 2880),
        (_, (3, 2)) => (1536, 1024),
        (_, (4, 3)) => (1344, 1008),
        (_, (5, 4)) => (1280, 1024),
        (_, (16, 9)) => (1536, 864),
        (_, (21, 9)) => (1568, 672),
        _ => (1024, 1024),
    };
    Some(if portrait { format!("{short}x{long}") } else { format!("{long}x{short}") })
}

fn split_ratio(ratio: &str) -> (u32, u32) {
    let parts = ratio.split_once(':').and_then(|(wide, high)| Some((wide.parse().ok()?, high.parse().ok()?)));
    parts.unwrap_or((1, 1))
}

fn speech_to_wire(task: &Task) -> Value {
    let mut body = Map::new();
    body.insert("model".into(), json!(task.model));
    body.insert("input".into(), json!(task.input.text.as_deref().unwrap_or_default()));
    for (option, field) in [("voice", "voice"), ("format", "response_format"), ("speed", "speed")] {
        if let Some(value) = task.options.get(option) {
            body.insert(field.into(), value.clone());
        }
    }
    let emotion = task.options.get("emotion").and_then(Value::as_str).map(|word| format!("Speak in a {word} tone."));
    let instructions = task.options.get("instructions").and_then(Value::as_str).map(str::to_owned);
    let manner: Vec<String> = instructions.into_iter().chain(emotion).filter(|text| !text.is_empty()).collect();
    if !manner.is_empty() {
        body.insert("instructions".into(), json!(manner.join(" ")));
    }
    Value::Object(body)
}

fn images_from_wire(answer: ImagesAnswer) -> Result<Outputs, Fault> {
    let content_type = answer.output_format.map(|format| format!("image/{format}"));
    let files: Vec<Output> = answer
        .data
        .into_iter()
        .map(|image| {
            let bytes = STANDARD.decode(image.b64_json).map_err(|error| {
                Fault::new(Kind::Garbled, Verdict::Unknown, "a picture is not base64").because(error)
            })?;
            Ok(Output { source: Source::Bytes(bytes.into()), content_type: content_type.clone() })
        })
        .collect::<Result<_, Fault>>()?;
    if files.is_empty() {
        return Err(Fault::new(Kind::Garbled, Verdict::Unknown, "an answer without pictures"));
    }
    Ok(Outputs { files, ..Outputs::default() })
}

fn speech_from_wire(task: &Task, reply: Reply) -> Result<Outputs, Fault> {
    let content_type = reply.header("content-type").map(str::to_owned);
    let is_sound =
        content_type.as_deref().is_none_or(|kind| kind.starts_with("audio/") || kind.contains("octet-stream"));
    if reply.body.is_empty() || !is_sound {
        return Err(Fault::new(Kind::Garbled, Verdict::Unknown, "an answer without sound"));
    }
    let mut outputs = Outputs::default();
    outputs.files.push(Output { source: Source::Bytes(reply.body), content_type });
    if let Some(voice) = task.options.get("voice") {
        outputs.notes.insert("voice".into(), voice.clone());
    }
    Ok(outputs)
}

fn classify(reply: &Reply) -> Fault {
    let error = serde_json::from_slice::<ErrorAnswer>(&reply.body).map(|answer| answer.error).unwrap_or_default();
    let (code, r#type) = (error.code.as_deref().unwrap_or_default(), error.r#type.as_deref().unwrap_or_default());
    let detail = excerpt(&format!("{type} {code}: {}", error.message));
    let is_told = !(r#type.is_empty() && error.message.is_empty());
    let mut fault = if is_told { reply.told_fault(detail) } else { reply.fault(detail) };
    if fault.retry_after.is_none() {
        let ms = reply.header("retry-after-ms").and_then(|text| text.trim().parse().ok());
        fault.retry_after = ms.map(Duration::from_millis);
    }
    let kind = match (reply.status, code) {
        (400, "moderation_blocked" | "content_policy_violation") => Kind::Moderated,
        (400, _) if r#type == "image_generation_user_error" => Kind::Moderated,
        // 404: the model is unknown, retired or not open to us.
        (400, "billing_hard_limit_reached") | (404, _) => Kind::Account,
        (409, _) => Kind::Busy,
        (500, _) if is_told => Kind::Internal,
        (429, _) if code == "insufficient_quota" || r#type == "insufficient_quota" => Kind::Account,
        _ => return fault,
    };
    fault.kind = kind;
    fault
}

#[derive(Deserialize)]
struct ImagesAnswer {
    data: Vec<Image>,
    output_format: Option<String>,
}

#[derive(Deserialize)]
struct Image {
    b64_json: String,
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    message: String,
    r#type: Option<String>,
    code: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{ContentInput, GenerationId};

    fn task(r#type: GenerationType, model: &str, options: &Value) -> Task {
        Task {
            id: GenerationId::generate(),
            attempt: 1,
            r#type,
            model: model.into(),
            params: Map::new(),
            input: ContentInput { text: Some("a red boat".into()), ..ContentInput::default() },
            options: options.as_object().cloned().unwrap_or_default(),
            wire: BTreeMap::new(),
        }
    }

    fn reply(status: u16, body: &Value) -> Reply {
        Reply { status, headers: reqwest::header::HeaderMap::new(), body: body.to_string().into() }
    }

    #[test]
    fn a_picture_has_exactly_the_fields_that_were_asked_for() {
        let plain = task(GenerationType::Image, "gpt-image-2", &json!({"n": 1, "quality": "medium", "format": "png"}));
        assert_eq!(
            image_to_wire(&plain, &[]),
            json!({"model": "gpt-image-2", "prompt": "a red boat", "n": 1, "quality": "medium", "output_format": "png"})
        );
        let edit = task(GenerationType::Image, "gpt-image-2", &json!({"aspectRatio": "9:16", "resolution": "2k"}));
        assert_eq!(
            image_to_wire(&edit, &["https://a.example/b.png".into()]),
            json!({"model": "gpt-image-2", "prompt": "a red boat", "images": [{"image_url": "https://a.example/b.png"}],
                "size": "1440x2560"})
        );
    }

    #[test]
    fn every_size_fits_the_services_rules() {
        for ratio in ["1:1", "3:2", "2:3", "4:3", "3:4", "5:4", "4:5", "16:9", "9:16", "21:9"] {
            for resolution in ["1k", "2k", "4k"] {
                let options = json!({"aspectRatio": ratio, "resolution": resolution});
                let size = size(options.as_object().unwrap()).unwrap();
                let (width, height) = size.split_once('x').unwrap();
                let (width, height): (u32, u32) = (width.parse().unwrap(), height.parse().unwrap());
                assert_eq!((width % 16, height % 16), (0, 0), "{size}");
                assert!((655_360..=3840 * 2160).contains(&(width * height)), "{size}");
                let (w, h) = split_ratio(ratio);
                let off = f64::from(width) / f64::from(height) / (f64::from(w) / f64::from(h));
                assert!((0.99..1.01).contains(&off), "{ratio} {size}");
            }
        }
    }

    #[test]
    fn speech_says_its_manner_in_words() {
        let options =
            json!({"voice": "nova", "format": "mp3", "speed": 1.5, "emotion": "happy", "instructions": "Slowly."});
        assert_eq!(
            speech_to_wire(&task(GenerationType::Audio, "gpt-4o-mini-tts", &options)),
            json!({"model": "gpt-4o-mini-tts", "input": "a red boat", "voice": "nova", "response_format": "mp3",
                "speed": 1.5, "instructions": "Slowly. Speak in a happy tone."})
        );
    }

    #[test]
    fn refusals_are_told_apart() {
        let cases = [
            (400, "invalid_request_error", "invalid_value", Kind::InvalidInput, Verdict::Refused),
            (400, "image_generation_user_error", "moderation_blocked", Kind::Moderated, Verdict::Refused),
            (400, "billing_limit_user_error", "billing_hard_limit_reached", Kind::Account, Verdict::Refused),
            (401, "invalid_request_error", "invalid_api_key", Kind::Account, Verdict::Refused),
            (404, "invalid_request_error", "model_not_found", Kind::Account, Verdict::Refused),
            (429, "requests", "rate_limit_exceeded", Kind::Busy, Verdict::Refused),
            (429, "insufficient_quota", "insufficient_quota", Kind::Account, Verdict::Refused),
            (500, "server_error", "server_error", Kind::Internal, Verdict::Refused),
            (502, "server_error", "overloaded", Kind::Down, Verdict::Refused),
            (503, "server_error", "overloaded", Kind::Down, Verdict::Refused),
        ];
        for (status, r#type, code, kind, verdict) in cases {
            let body = json!({"error": {"message": "no", "type": r#type, "param": null, "code": code}});
            let fault = classify(&reply(status, &body));
            assert_eq!((fault.kind, fault.verdict), (kind, verdict), "{status} {code}");
        }
    }

    #[test]
    fn a_page_of_a_proxy_leaves_the_fate_open() {
        assert_eq!(classify(&reply(502, &json!("bad gateway"))).verdict, Verdict::Unknown);
    }

    #[test]
    fn an_answer_without_pictures_leaves_the_fate_open() {
        let answer = reply(200, &json!({"data": []})).json().and_then(images_from_wire);
        assert_eq!(answer.unwrap_err().verdict, Verdict::Unknown);
    }
}
