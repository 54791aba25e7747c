//! The v2 protocol ("web-app/public"): assets, then a generation under an id that we choose.

use reqwest::multipart::Form;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::{
    UPLOAD_LIMIT, Voice, done, failed, is_speech, keep_voices, kept_voices, percent, pick, prompt, spoken, unreadable,
};
use crate::{
    domain::{Fault, Verdict, fault::Kind},
    providers::{
        Call, Cx, Handle, Progress, Reconciled, Reply, Task,
        body::{Fields, text},
        files,
        http::{excerpt, preparing},
    },
};

const BASE: &str = "https://api.hedra.com/web-app/public";

pub(super) async fn submit(cx: &Cx, task: &Task) -> Result<Handle, Fault> {
    let body = if is_speech(task) {
        let voice = voice(cx, task).await.map_err(preparing)?;
        spoken(Fields::new().set("type", "text_to_speech"), task, &voice)
    } else {
        let sound = sound(cx, task).await.map_err(preparing)?;
        let image = task.input.image.as_deref().unwrap_or_default();
        let image = upload(cx, "image", image).await.map_err(preparing)?;
        portrait(task, &image, sound)
    };
    let body = body.set("generation_id", generation_id(task).to_string());
    let call = keyed(cx, cx.post(&format!("{BASE}/generations"))?)?;
    let answer: Value = read(&call.json(&body.into()).send().await?)?;
    answer.get("id").and_then(Value::as_str).map(|id| Handle(id.to_owned())).ok_or_else(unreadable)
}

pub(super) async fn poll(cx: &Cx, task: &Task, handle: &Handle) -> Result<Progress, Fault> {
    let generation = state(cx, &handle.0).await?;
    if generation.status == "complete" && generation.address().is_none() {
        return asset(cx, task, generation.asset_id.as_deref().ok_or_else(unreadable)?).await;
    }
    Ok(generation.progress())
}

pub(super) async fn reconcile(cx: &Cx, task: &Task) -> Result<Reconciled, Fault> {
    let id = generation_id(task).to_string();
    match state(cx, &id).await {
        Ok(_) => Ok(Reconciled::Found(Handle(id))),
        Err(fault) if fault.kind == Kind::Gone => Ok(Reconciled::Absent),
        Err(fault) => Err(fault),
    }
}

pub(super) async fn check(cx: &Cx) -> Result<(), Fault> {
    read::<Value>(&keyed(cx, cx.get(&format!("{BASE}/billing/credits"))?)?.send().await?).map(drop)
}

/// The id we give the generation: ours, and a different one for each attempt.
fn generation_id(task: &Task) -> Uuid {
    Uuid::from_u128(task.id.uuid().as_u128() ^ u128::from(task.attempt.saturating_sub(1)))
}

fn keyed(cx: &Cx, call: Call) -> Result<Call, Fault> {
    Ok(call.header("x-api-key", cx.secret("HEDRA_V2_API_KEY")?))
}

fn read<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, Fault> {
    if reply.is_success() { reply.json() } else { Err(classify(reply)) }
}

/// What the portrait speaks.
enum Sound {
    Recording(String),
    Text { voice: String },
}

async fn sound(cx: &Cx, task: &Task) -> Result<Sound, Fault> {
    match task.input.audio.as_deref() {
        Some(audio) => upload(cx, "audio", audio).await.map(Sound::Recording),
        None => Ok(Sound::Text { voice: voice(cx, task).await? }),
    }
}

fn portrait(task: &Task, image: &str, sound: Sound) -> Fields {
    let by = if Uuid::try_parse(&task.model).is_ok() { "ai_model_id" } else { "model_slug" };
    let inputs = Fields::new()
        .set("text_prompt", prompt(task).unwrap_or_default())
        .option("resolution", task, "resolution")
        .option("aspect_ratio", task, "aspectRatio");
    let fields = Fields::new()
        .set("type", "video")
        .set(by, task.model.as_str())
        .set("start_keyframe_id", image)
        .set("generated_video_inputs", inputs);
    match sound {
        Sound::Recording(id) => fields.set("audio_id", id),
        Sound::Text { voice } => {
            fields.set("audio_generation", spoken(Fields::new().set("type", "text_to_speech"), task, &voice))
        }
    }
}

/// Makes an asset and fills it; its id.
async fn upload(cx: &Cx, kind: &str, input: &str) -> Result<String, Fault> {
    let file = files::bytes(cx, input).await?;
    let about = json!({ "name": files::file_name(&file), "type": kind });
    let asset: Value = read(&keyed(cx, cx.post(&format!("{BASE}/assets"))?)?.json(&about).send().await?)?;
    let id = asset.get("id").and_then(Value::as_str).ok_or_else(unreadable)?;
    let form = Form::new().part("file", files::part(file)?);
    let call = keyed(cx, cx.post(&format!("{BASE}/assets/{id}/upload"))?)?;
    read::<Value>(&call.form(form).timeout(UPLOAD_LIMIT).send().await?)?;
    Ok(id.to_owned())
}

async fn voice(cx: &Cx, task: &Task) -> Result<String, Fault> {
    let asked = text(task, "voice");
    if let Some(id) = asked.filter(|asked| Uuid::try_parse(asked).is_ok()) {
        return Ok(id.to_owned());
    }
    if let Some(voices) = kept_voices(cx, "v2 voices") {
        return pick(&voices, asked);
    }
    let rows: Vec<Value> = read(&keyed(cx, cx.get(&format!("{BASE}/voices"))?)?.send().await?)?;
    let voices: Vec<_> = rows.iter().filter_map(listed).collect();
    keep_voices(cx, "v2 voices", &voices);
    pick(&voices, asked)
}

fn listed(row: &Value) -> Option<Voice> {
    let labels = row.pointer("/asset/labels").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let is_gender = |label: &&Value| label["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("gender"));
    let gender = labels.iter().find(is_gender).and_then(|label| label["value"].as_str()).map(str::to_owned);
    Some(Voice { id: row["id"].as_str()?.to_owned(), name: row["name"].as_str()?.to_owned(), gender })
}

#[derive(Deserialize)]
struct Generation {
    status: String,
    asset_id: Option<String>,
    progress: Option<f64>,
    url: Option<Url>,
    download_url: Option<Url>,
    error: Option<Trouble>,
    error_message: Option<String>,
}

#[derive(Deserialize)]
struct Trouble {
    r#type: Option<String>,
    reason_code: Option<String>,
    message: Option<String>,
}

async fn state(cx: &Cx, id: &str) -> Result<Generation, Fault> {
    read(&keyed(cx, cx.get(&format!("{BASE}/generations/{id}/status"))?)?.send().await?)
}

impl Generation {
    fn address(&self) -> Option<&Url> {
        self.download_url.as_ref().or(self.url.as_ref())
    }

    fn progress(self) -> Progress {
        match self.status.as_str() {
            "queued" => Progress::Queued,
            "processing" | "finalizing" => Progress::Running(percent(self.progress)),
            "complete" => match self.address() {
                Some(url) => done(url.clone(), None),
                None => failed("", "complete without an address"),
            },
            "error" => self.failure(),
            other => {
                tracing::warn!(status = other, "Hedra names a status we do not know");
                Progress::Running(None)
            }
        }
    }

    fn failure(self) -> Progress {
        let Some(error) = self.error else { return failed("", &self.error_message.unwrap_or_default()) };
        let reason = error.reason_code.unwrap_or_default();
        let code = error.r#type.unwrap_or_default();
        let code = if reason.starts_with("MODERATION") { &reason } else { &code };
        failed(code, &error.message.or(self.error_message).unwrap_or_default())
    }
}

/// The result by way of its asset, for a status that names no address.
async fn asset(cx: &Cx, task: &Task, id: &str) -> Result<Progress, Fault> {
    let kind = if is_speech(task) { "audio" } else { "video" };
    let call = keyed(cx, cx.get(&format!("{BASE}/assets"))?.query(&[("type", kind), ("ids", id)]))?;
    let assets: Value = read(&call.send().await?)?;
    let field = |name: &str| assets.pointer(&format!("/0/asset/{name}")).and_then(Value::as_str);
    let url = field("download_url").or_else(|| field("url")).ok_or_else(unreadable)?;
    Ok(done(Url::parse(url).map_err(|error| unreadable().because(error))?, None))
}

/// Reads an error: by the HTTP status, since the bodies are not documented.
fn classify(reply: &Reply) -> Fault {
    let words = String::from_utf8_lossy(&reply.body);
    let mut fault = reply.fault(excerpt(&words));
    if reply.status < 500 && words.contains("MODERATION") {
        (fault.kind, fault.verdict) = (Kind::Moderated, Verdict::Refused);
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::{super::tests::task, *};

    #[test]
    fn models_go_by_slug_or_uuid() {
        let options = json!({ "prompt": "A person talks.", "resolution": "720p", "aspectRatio": "16:9", "speed": 1.1 });
        let uuid = "d1dd37a3-e39a-4854-a298-6510289f9cf2";
        let sent = Value::from(portrait(&task(uuid, json!({}), options.clone()), "i1", Sound::Recording("a1".into())));
        let expected = json!({
            "type": "video", "ai_model_id": uuid, "start_keyframe_id": "i1", "audio_id": "a1",
            "generated_video_inputs": {
                "text_prompt": "A person talks.", "resolution": "720p", "aspect_ratio": "16:9",
            },
        });
        assert_eq!(sent, expected);
        let slug = task("together/hedra-avatar", json!({}), options);
        let sent = Value::from(portrait(&slug, "i1", Sound::Text { voice: "v1".into() }));
        assert_eq!(sent["model_slug"], json!("together/hedra-avatar"));
        let speech = json!({ "type": "text_to_speech", "voice_id": "v1", "text": "Hello", "speed": 1.1 });
        assert_eq!(sent["audio_generation"], speech);
    }

    #[test]
    fn each_attempt_has_an_id_of_its_own() {
        let mut task = task("m", json!({}), json!({}));
        let first = generation_id(&task);
        assert_eq!(first, task.id.uuid());
        task.attempt = 2;
        assert_ne!(generation_id(&task), first);
    }

    #[test]
    fn states_are_read() {
        let read = |body: Value| serde_json::from_value::<Generation>(body).unwrap().progress();
        assert!(matches!(read(json!({ "status": "queued", "progress": 0 })), Progress::Queued));
        assert!(matches!(read(json!({ "status": "finalizing", "progress": 0.9 })), Progress::Running(Some(90))));
        let complete = json!({ "status": "complete", "download_url": "https://a.test/v.mp4" });
        assert!(matches!(read(complete), Progress::Done(_)));
        let error = json!({ "type": "INTERNAL", "reason_code": "MODERATION_LIKENESS", "message": "no" });
        let Progress::Failed(fault) = read(json!({ "status": "error", "error": error })) else { panic!() };
        assert_eq!(fault.kind, Kind::Moderated);
        assert!(matches!(read(json!({ "status": "error", "error_message": "boom" })), Progress::Failed(_)));
    }

    #[test]
    fn a_listed_voice_tells_its_gender_by_a_label() {
        let row =
            json!({ "id": "v1", "name": "Ann", "asset": { "labels": [{ "name": "Gender", "value": "female" }] } });
        assert_eq!(listed(&row).unwrap().gender.as_deref(), Some("female"));
    }
}
