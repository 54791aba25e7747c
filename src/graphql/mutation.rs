//! The mutations: they translate and delegate.

use async_graphql::{Context, ID, Object, Result};
use rand::{SeedableRng as _, rngs::StdRng};

use super::{
    error::ApiError,
    generate,
    query::shown,
    request::{self, reader},
    types::{
        AudioCreateInput, AvatarCreateInput, GenerateInput, Generation, ImageCreateInput, VideoCreateInput,
        WebhookSecret,
    },
};
use crate::{domain::GenerationId, jobs::Cancel, webhooks::Redelivery};

/// What can be done.
pub struct Mutation;

/// What can be done. With the header `Idempotency-Key`, a repeated request starts nothing twice.
#[Object]
impl Mutation {
    /// Starts a generation of any type. Answers at once; watch it by polling, by `generationUpdated` or by webhook.
    async fn generate(&self, ctx: &Context<'_>, input: GenerateInput) -> Result<Generation> {
        Ok(generate::submit(ctx, input.coerced()?).await?)
    }

    /// Starts a video.
    async fn video_create(&self, ctx: &Context<'_>, input: VideoCreateInput) -> Result<Generation> {
        let coerced = input.coerced(&request::app(ctx)?.catalog())?;
        Ok(generate::submit(ctx, coerced).await?)
    }

    /// Starts one or more pictures.
    async fn image_create(&self, ctx: &Context<'_>, input: ImageCreateInput) -> Result<Generation> {
        let coerced = input.coerced(&request::app(ctx)?.catalog())?;
        Ok(generate::submit(ctx, coerced).await?)
    }

    /// Starts speech or other sound.
    async fn audio_create(&self, ctx: &Context<'_>, input: AudioCreateInput) -> Result<Generation> {
        let coerced = input.coerced(&request::app(ctx)?.catalog())?;
        Ok(generate::submit(ctx, coerced).await?)
    }

    /// Starts a video of a talking person.
    async fn avatar_create(&self, ctx: &Context<'_>, input: AvatarCreateInput) -> Result<Generation> {
        let coerced = input.coerced(&request::app(ctx)?.catalog())?;
        Ok(generate::submit(ctx, coerced).await?)
    }

    /// Cancels a generation and releases its credits. True: this call cancelled it; false: it had already ended.
    async fn cancel_generation(&self, ctx: &Context<'_>, id: ID) -> Result<bool> {
        let (app, caller) = reader(ctx)?;
        let cancel = match id.parse::<GenerationId>() {
            Ok(id) => app.jobs.cancel(caller, id).await.map_err(ApiError::from)?,
            Err(_) => Cancel::NotFound,
        };
        match cancel {
            Cancel::Cancelled => Ok(true),
            Cancel::TooLate => Ok(false),
            Cancel::NotFound => Err(missing(&id).into()),
        }
    }

    /// Sends the webhook of an ended generation again, with the same `webhook-id`. True: it is due now.
    async fn redeliver_webhook(&self, ctx: &Context<'_>, generation_id: ID) -> Result<bool> {
        let (app, caller) = reader(ctx)?;
        let found = match generation_id.parse::<GenerationId>() {
            Ok(id) => app.jobs.find(caller, id).await.map_err(ApiError::from)?,
            Err(_) => None,
        };
        let generation = found.ok_or_else(|| missing(&generation_id))?;
        if generation.webhook.is_none() {
            return Err(ApiError::invalid("INPUT", "generationId", "The generation has no `webhookUrl`.").into());
        }
        match app.webhooks.redeliver(caller.account, generation.id).await.map_err(ApiError::from)? {
            Redelivery::Scheduled => {
                app.bus.tell_due();
                Ok(true)
            }
            Redelivery::Nothing => {
                let message = "The generation has not ended; its webhook is sent when it has.";
                Err(ApiError::invalid("INPUT", "generationId", message).into())
            }
        }
    }

    /// Makes a new webhook secret. The old one goes on signing beside it for 24 hours.
    async fn rotate_webhook_secret(&self, ctx: &Context<'_>) -> Result<WebhookSecret> {
        let (app, caller) = reader(ctx)?;
        let secret = app.webhooks.rotate_secret(caller.account, &mut unforeseeable()).await.map_err(ApiError::from)?;
        Ok(WebhookSecret(secret))
    }
}

#[expect(clippy::disallowed_methods, reason = "a secret must not be foreseen")]
fn unforeseeable() -> StdRng {
    StdRng::from_rng(&mut rand::rng())
}

fn missing(id: &ID) -> ApiError {
    ApiError::not_found(format!("There is no generation {}. Check the id and the key.", shown(id)))
}
