//! `Generation` and what belongs to it.

use async_graphql::{Context, ID, Json, Object, Result, SimpleObject, connection::CursorType as _};
use serde_json::Value;

use super::{GenerationStatus, GenerationType};
use crate::{
    domain::{self, Timestamp, output},
    graphql::request::app,
    jobs,
};

/// One piece of work: a video, one or more pictures, speech, or a talking avatar.
pub struct Generation(pub jobs::Generation);

/// One piece of work: a video, one or more pictures, speech, or a talking avatar. 1 credit is US$0.001; times are UTC.
#[Object]
impl Generation {
    /// `gen_` and a time-ordered uuid in 32 hex digits.
    async fn id(&self) -> ID {
        self.0.id.to_string().into()
    }

    /// Where it is in its life; COMPLETED, FAILED and CANCELLED are final.
    async fn status(&self) -> GenerationStatus {
        self.0.status.into()
    }

    /// `status` in lower case, for clients that select `error` as a plain value.
    async fn status_text(&self) -> String {
        self.0.status.as_str().to_lowercase()
    }

    /// What it makes.
    async fn r#type(&self) -> GenerationType {
        self.0.r#type.into()
    }

    /// The provider that serves it.
    async fn provider(&self) -> &str {
        self.0.provider.as_str()
    }

    /// The model that serves it.
    async fn model(&self) -> &str {
        self.0.model.as_str()
    }

    /// Percent done, 0 to 100; 100 only when completed.
    async fn progress(&self, ctx: &Context<'_>) -> Result<i32> {
        Ok(self.0.progress(app(ctx)?.clock.now()).into())
    }

    /// The first result file; null until completed. Needs no key, cannot be guessed, stays valid.
    async fn url(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.first_url(ctx)
    }

    /// `url`, when the type is VIDEO or AVATAR.
    async fn video_url(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.url_of(ctx, &[domain::GenerationType::Video, domain::GenerationType::Avatar])
    }

    /// `url`, when the type is IMAGE.
    async fn image_url(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.url_of(ctx, &[domain::GenerationType::Image])
    }

    /// `url`, when the type is AUDIO.
    async fn audio_url(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.url_of(ctx, &[domain::GenerationType::Audio])
    }

    /// All result files; empty until completed.
    async fn assets(&self, ctx: &Context<'_>) -> Result<Vec<Asset>> {
        let app = app(ctx)?;
        let url = |asset: &output::Asset| app.media_url(&asset.path).map(String::from).unwrap_or_default();
        Ok(self.0.assets.iter().map(|asset| Asset::new(asset, url(asset))).collect())
    }

    /// What is known of the first file; null until completed.
    async fn metadata(&self) -> Option<Metadata> {
        self.0.metadata.as_ref().map(Metadata::new)
    }

    /// `metadata` as a JSON object, for clients that select it without sub-fields.
    async fn metadata_json(&self) -> Option<Json<Value>> {
        self.0.metadata.clone().map(Json)
    }

    /// The caller's own, as given.
    async fn labels(&self) -> Option<Json<Value>> {
        self.0.labels.clone().map(Json)
    }

    /// What it costs, in credits: held at submit, charged when completed, else released.
    async fn credit_cost(&self) -> i64 {
        self.0.credit_cost.get()
    }

    /// How long the whole run takes, in seconds.
    async fn estimated_time(&self) -> u32 {
        self.0.estimated_seconds
    }

    /// When it is expected to end; null once it has, and while it waits for a place.
    async fn eta(&self, ctx: &Context<'_>) -> Result<Option<Timestamp>> {
        Ok(self.0.eta(app(ctx)?.clock.now()))
    }

    /// 1 for the next to run; null when it does not wait for one of the plan's places.
    async fn queue_position(&self) -> Option<i64> {
        self.0.queue_position
    }

    /// Why it failed; null unless it did.
    async fn error(&self) -> Option<GenerationError> {
        self.0.failure.as_ref().map(|failure| GenerationError {
            code: failure.code.clone(),
            message: failure.message.clone(),
            reason: failure.reason.clone(),
            retryable: failure.retryable,
        })
    }

    /// The message of `error`, for clients that select it without sub-fields.
    async fn error_text(&self) -> Option<&str> {
        self.0.failure.as_ref().map(|failure| failure.message.as_str())
    }

    /// The code of `error`.
    async fn error_code(&self) -> Option<&str> {
        self.0.failure.as_ref().map(|failure| failure.code.as_str())
    }

    /// The message of `error`.
    async fn error_message(&self) -> Option<&str> {
        self.0.failure.as_ref().map(|failure| failure.message.as_str())
    }

    /// Everything that was asked for and is served differently.
    async fn adjustments(&self) -> Vec<Adjustment> {
        self.0.adjustments.iter().map(Adjustment::from).collect()
    }

    /// What was tried to serve it.
    async fn attempts(&self) -> Vec<Attempt> {
        self.0.attempts.iter().map(Attempt::from).collect()
    }

    /// Its webhook; null when it has none.
    async fn webhook(&self) -> Option<Webhook> {
        self.0.webhook.as_ref().map(|webhook| Webhook {
            url: webhook.url.clone(),
            attempts: webhook.attempts,
            delivered: webhook.delivered,
            last_status: webhook.last_status,
            next_attempt_at: webhook.next_attempt_at,
        })
    }

    /// When it was accepted.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// When an upstream had it; null before.
    async fn started_at(&self) -> Option<Timestamp> {
        self.0.started_at
    }

    /// When it ended; null before.
    async fn completed_at(&self) -> Option<Timestamp> {
        self.0.completed_at
    }
}

impl Generation {
    fn first_url(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let app = app(ctx)?;
        Ok(self.0.assets.first().and_then(|asset| app.media_url(&asset.path)).map(String::from))
    }

    fn url_of(&self, ctx: &Context<'_>, types: &[domain::GenerationType]) -> Result<Option<String>> {
        if types.contains(&self.0.r#type) { self.first_url(ctx) } else { Ok(None) }
    }
}

/// A result file.
#[derive(SimpleObject)]
struct Asset {
    /// Where it is; needs no key.
    url: String,
    /// As in the header `Content-Type`.
    content_type: String,
    /// In pixels, for pictures and clips.
    width: Option<u32>,
    /// In pixels, for pictures and clips.
    height: Option<u32>,
    /// In seconds, for clips and sound.
    duration: Option<f64>,
    /// Of the file, in bytes.
    size_bytes: i64,
    /// Of the file, in hex.
    sha256: String,
}

impl Asset {
    fn new(asset: &output::Asset, url: String) -> Self {
        Self {
            url,
            content_type: asset.content_type.clone(),
            width: asset.width,
            height: asset.height,
            duration: asset.duration,
            size_bytes: asset.size_bytes,
            sha256: asset.sha256.clone(),
        }
    }
}

/// What is known of the first result file. A field that does not apply is null.
#[derive(SimpleObject)]
struct Metadata {
    /// In pixels.
    width: Option<i64>,
    /// In pixels.
    height: Option<i64>,
    /// In seconds.
    duration: Option<f64>,
    /// As asked for, or by the lines of the picture: `1080p`.
    resolution: Option<String>,
    /// The file's format: `mp4`, `png`, `mp3`.
    format: Option<String>,
    /// Frames a second.
    fps: Option<f64>,
    /// Of the file, in bytes.
    size_bytes: Option<i64>,
    /// As in the header `Content-Type`.
    content_type: Option<String>,
    /// The seed that was used, where the upstream tells.
    seed: Option<i64>,
    /// The voice that speaks.
    voice: Option<String>,
}

impl Metadata {
    fn new(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        let whole = |name: &str| value[name].as_i64();
        Self {
            width: whole("width"),
            height: whole("height"),
            duration: value["duration"].as_f64(),
            resolution: text("resolution"),
            format: text("format"),
            fps: value["fps"].as_f64(),
            size_bytes: whole("sizeBytes"),
            content_type: text("contentType"),
            seed: whole("seed"),
            voice: text("voice"),
        }
    }
}

/// Why a generation failed.
#[derive(SimpleObject)]
struct GenerationError {
    /// `GENERATION_FAILED`, `INVALID_INPUT` or `PROVIDER_UNAVAILABLE`.
    code: String,
    /// What happened and what to do.
    message: String,
    /// The kind of failure within the code: `CONTENT_REJECTED`, `SUBMISSION_UNKNOWN`, …
    reason: Option<String>,
    /// Whether the same request may well succeed later.
    retryable: bool,
}

/// One thing that was asked for and is served differently.
#[derive(SimpleObject)]
pub struct Adjustment {
    /// The option's name.
    option: String,
    /// What was asked for.
    requested: Json<Value>,
    /// What is used instead; null when the option has no effect.
    used: Option<Json<Value>>,
    /// Why.
    reason: String,
}

impl From<&domain::Adjustment> for Adjustment {
    fn from(adjustment: &domain::Adjustment) -> Self {
        Self {
            option: adjustment.option.clone(),
            requested: Json(adjustment.requested.clone()),
            used: Some(adjustment.used.clone()).filter(|used| !used.is_null()).map(Json),
            reason: adjustment.reason.clone(),
        }
    }
}

/// One thing that was tried to serve a generation.
#[derive(SimpleObject)]
struct Attempt {
    /// Whose model it was.
    provider: String,
    /// The model.
    model: String,
    /// The service behind them; `sandbox` in test mode.
    upstream: String,
    /// `ACCEPTED`, `COMPLETED`, `FAILED`, `REFUSED`, `NOT_REACHED`, `UNKNOWN` or `CANCELLED`.
    outcome: String,
    /// When it was tried.
    started_at: Timestamp,
    /// When its outcome was known; null while it runs.
    ended_at: Option<Timestamp>,
    /// What went wrong; null when nothing did.
    message: Option<String>,
}

impl From<&jobs::Attempt> for Attempt {
    fn from(attempt: &jobs::Attempt) -> Self {
        Self {
            provider: attempt.provider.clone(),
            model: attempt.model.clone(),
            upstream: attempt.upstream.clone(),
            outcome: attempt.outcome.as_str().to_owned(),
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
            message: attempt.message.clone(),
        }
    }
}

/// The state of a generation's webhook.
#[derive(SimpleObject)]
struct Webhook {
    /// Where it goes.
    url: String,
    /// How often it was tried.
    attempts: u32,
    /// Whether the receiver took it.
    delivered: bool,
    /// The receiver's last HTTP status; null when it did not answer.
    last_status: Option<u16>,
    /// When it is tried next; null when it is not.
    next_attempt_at: Option<Timestamp>,
}

/// A page of generations, newest first.
pub struct GenerationConnection(pub jobs::Page);

/// A page of generations, newest first.
#[Object]
impl GenerationConnection {
    /// The generations, each with its cursor.
    async fn edges(&self) -> Vec<GenerationEdge> {
        let edge = |generation: &jobs::Generation| GenerationEdge {
            cursor: cursor(generation),
            node: Generation(generation.clone()),
        };
        self.0.generations.iter().map(edge).collect()
    }

    /// The generations.
    async fn nodes(&self) -> Vec<Generation> {
        self.0.generations.iter().cloned().map(Generation).collect()
    }

    /// Where the page ends.
    async fn page_info(&self) -> PageInfo {
        PageInfo { has_next_page: self.0.has_next, end_cursor: self.0.generations.last().map(cursor) }
    }
}

fn cursor(generation: &jobs::Generation) -> String {
    generation.id.to_string().encode_cursor()
}

/// A generation in a page.
#[derive(SimpleObject)]
struct GenerationEdge {
    /// Where it is in the list, for `after`.
    cursor: String,
    /// The generation.
    node: Generation,
}

/// Where a page ends.
#[derive(SimpleObject)]
struct PageInfo {
    /// Whether there are older ones.
    has_next_page: bool,
    /// The last cursor of the page; null when it is empty.
    end_cursor: Option<String>,
}
