//! The inputs: `GenerateInput`, and the typed conveniences over it.

use async_graphql::{InputObject, Json};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{GenerationType, Priority};
use crate::{
    catalog::{Asked, Catalog},
    domain,
    graphql::{
        error::ApiError,
        generate::{Coerced, options},
    },
};

/// A request: of what kind, from what, by whom, and how.
#[derive(InputObject)]
pub struct GenerateInput {
    /// What to make.
    pub r#type: GenerationType,
    /// One of `providers`; the gateway chooses when it is absent.
    pub provider: Option<String>,
    /// One of the provider's models; `options.model` is the same.
    pub model: Option<String>,
    /// What it is made from.
    pub input: ContentInput,
    /// Options by name, as `providers.options` lists them. `strict: true` refuses what cannot be served exactly.
    pub options: Option<Json<Value>>,
    /// What matters most when the gateway chooses; BALANCED when absent.
    pub priority: Option<Priority>,
    /// Where the end is told, as a signed webhook.
    pub webhook_url: Option<String>,
    /// The most it may cost: refuse rather than spend more.
    pub max_credits: Option<i64>,
    /// The caller's own, returned and sent in webhooks; an object of at most 4 KiB as JSON.
    pub labels: Option<Json<Value>>,
}

/// What it is made from. Media are https URLs, `data:` URIs, or what `POST /uploads` returned.
#[derive(Default, InputObject)]
pub struct ContentInput {
    /// The prompt, or the words to speak.
    pub text: Option<String>,
    /// The picture to start from.
    pub image: Option<String>,
    /// The picture to end with.
    pub last_image: Option<String>,
    /// Reference pictures.
    pub images: Option<Vec<String>>,
    /// A clip to work on or to take motion from.
    pub video: Option<String>,
    /// Sound to work on or to speak.
    pub audio: Option<String>,
    /// The voice; the same as `options.voice`.
    pub voice: Option<String>,
}

impl From<ContentInput> for domain::ContentInput {
    fn from(input: ContentInput) -> Self {
        Self {
            text: input.text,
            image: input.image,
            last_image: input.last_image,
            images: input.images,
            video: input.video,
            audio: input.audio,
            voice: input.voice,
        }
    }
}

/// What the typed inputs have in common.
struct Common {
    of: domain::GenerationType,
    model: Option<String>,
    input: domain::ContentInput,
    options: Option<Json<Value>>,
    priority: Option<Priority>,
    webhook_url: Option<String>,
    max_credits: Option<i64>,
    labels: Option<Json<Value>>,
}

impl Common {
    /// The general input: options by name go over those of `options`.
    fn coerced(self, catalog: &Catalog, named: Vec<(&str, Option<Value>)>) -> Result<Coerced, ApiError> {
        let mut options: Map<String, Value> = options(self.options.map(|options| options.0))?;
        for (name, value) in named {
            let Some(value) = value else { continue };
            if options.get(name).is_some_and(|other| *other != value) {
                let message = format!("`{name}` is given twice, with different values. Give it once.");
                return Err(ApiError::invalid("OPTION", &format!("options.{name}"), message));
            }
            options.insert(name.to_owned(), value);
        }
        let (provider, model) = match self.model {
            None => (None, None),
            Some(name) => {
                let (provider, model) = catalog.find_named(self.of, &name)?;
                (Some(provider.to_string()), model.map(|model| model.to_string()))
            }
        };
        Ok(Coerced {
            asked: Asked {
                r#type: self.of,
                provider,
                model,
                input: self.input,
                options,
                priority: self.priority.map(Into::into).unwrap_or_default(),
                max_credits: self.max_credits,
            },
            webhook_url: self.webhook_url,
            labels: self.labels.map(|labels| labels.0).filter(|labels| !labels.is_null()),
        })
    }
}

fn json(value: Option<impl Serialize>) -> Option<Value> {
    value.and_then(|value| serde_json::to_value(value).ok())
}

/// A number as JSON; a whole one without a fraction.
#[expect(clippy::cast_possible_truncation, reason = "whole and small")]
fn number(value: Option<f64>) -> Option<Value> {
    value.map(
        |value| if value.fract() == 0.0 && value.abs() < 9e15 { Value::from(value as i64) } else { Value::from(value) },
    )
}

/// A video from text, pictures or another video.
#[derive(InputObject)]
pub struct VideoCreateInput {
    /// What it shows.
    pub prompt: Option<String>,
    /// A provider, or one of its models; the gateway chooses when it is absent.
    pub model: Option<String>,
    /// In seconds.
    pub duration: Option<f64>,
    /// `480p`, `720p`, `1080p`, `4k`.
    pub resolution: Option<String>,
    /// `16:9`, `9:16`, `1:1`.
    pub aspect_ratio: Option<String>,
    /// The look: `cinematic`, `anime`.
    pub style: Option<String>,
    /// The same seed gives a similar result, where the model takes one.
    pub seed: Option<i64>,
    /// What it must not show.
    pub negative_prompt: Option<String>,
    /// The tier of the model: `std`, `pro`.
    pub mode: Option<String>,
    /// `low`, `medium`, `high`.
    pub motion_intensity: Option<String>,
    /// The picture to start from.
    pub image: Option<String>,
    /// The picture to end with.
    pub last_image: Option<String>,
    /// Reference pictures.
    pub images: Option<Vec<String>>,
    /// A clip to work on or to take motion from.
    pub video: Option<String>,
    /// Sound to go with it.
    pub audio: Option<String>,
    /// Further options by name.
    pub options: Option<Json<Value>>,
    /// What matters most when the gateway chooses; BALANCED when absent.
    pub priority: Option<Priority>,
    /// Where the end is told, as a signed webhook.
    pub webhook_url: Option<String>,
    /// The most it may cost: refuse rather than spend more.
    pub max_credits: Option<i64>,
    /// The caller's own, returned and sent in webhooks; an object of at most 4 KiB as JSON.
    pub labels: Option<Json<Value>>,
}

impl VideoCreateInput {
    pub(in crate::graphql) fn coerced(self, catalog: &Catalog) -> Result<Coerced, ApiError> {
        let input = domain::ContentInput {
            text: self.prompt,
            image: self.image,
            last_image: self.last_image,
            images: self.images,
            video: self.video,
            audio: self.audio,
            voice: None,
        };
        let named = vec![
            ("duration", number(self.duration)),
            ("resolution", json(self.resolution)),
            ("aspectRatio", json(self.aspect_ratio)),
            ("style", json(self.style)),
            ("seed", json(self.seed)),
            ("negativePrompt", json(self.negative_prompt)),
            ("mode", json(self.mode)),
            ("motionIntensity", json(self.motion_intensity)),
        ];
        Common {
            of: domain::GenerationType::Video,
            model: self.model,
            input,
            options: self.options,
            priority: self.priority,
            webhook_url: self.webhook_url,
            max_credits: self.max_credits,
            labels: self.labels,
        }
        .coerced(catalog, named)
    }
}

/// One or more pictures from text or other pictures.
#[derive(InputObject)]
pub struct ImageCreateInput {
    /// What it shows.
    pub prompt: Option<String>,
    /// A provider, or one of its models; the gateway chooses when it is absent.
    pub model: Option<String>,
    /// `16:9`, `1:1`.
    pub aspect_ratio: Option<String>,
    /// `1080p` or `1920x1080`, as `providers.options` lists them.
    pub resolution: Option<String>,
    /// `standard`, `high`, `ultra`.
    pub quality: Option<String>,
    /// The look: `cinematic`, `anime`.
    pub style: Option<String>,
    /// The same seed gives a similar result, where the model takes one.
    pub seed: Option<i64>,
    /// How many pictures.
    pub n: Option<i64>,
    /// `png`, `jpeg`, `webp`.
    pub format: Option<String>,
    /// The picture to work on.
    pub image: Option<String>,
    /// Reference pictures.
    pub images: Option<Vec<String>>,
    /// Further options by name.
    pub options: Option<Json<Value>>,
    /// What matters most when the gateway chooses; BALANCED when absent.
    pub priority: Option<Priority>,
    /// Where the end is told, as a signed webhook.
    pub webhook_url: Option<String>,
    /// The most it may cost: refuse rather than spend more.
    pub max_credits: Option<i64>,
    /// The caller's own, returned and sent in webhooks; an object of at most 4 KiB as JSON.
    pub labels: Option<Json<Value>>,
}

impl ImageCreateInput {
    pub(in crate::graphql) fn coerced(self, catalog: &Catalog) -> Result<Coerced, ApiError> {
        let input =
            domain::ContentInput { text: self.prompt, image: self.image, images: self.images, ..Default::default() };
        let named = vec![
            ("aspectRatio", json(self.aspect_ratio)),
            ("resolution", json(self.resolution)),
            ("quality", json(self.quality)),
            ("style", json(self.style)),
            ("seed", json(self.seed)),
            ("n", json(self.n)),
            ("format", json(self.format)),
        ];
        Common {
            of: domain::GenerationType::Image,
            model: self.model,
            input,
            options: self.options,
            priority: self.priority,
            webhook_url: self.webhook_url,
            max_credits: self.max_credits,
            labels: self.labels,
        }
        .coerced(catalog, named)
    }
}

/// Speech, or other sound.
#[derive(InputObject)]
pub struct AudioCreateInput {
    /// The words to speak; `prompt` is the same.
    pub text: Option<String>,
    /// The words to speak, or what it sounds like.
    pub prompt: Option<String>,
    /// A provider, or one of its models; the gateway chooses when it is absent.
    pub model: Option<String>,
    /// Who speaks: a name or id of the provider.
    pub voice: Option<String>,
    /// How it is spoken: `excited`, `calm`.
    pub emotion: Option<String>,
    /// 1.0 is the voice's own pace.
    pub speed: Option<f64>,
    /// The language spoken: `en`, `de`.
    pub language: Option<String>,
    /// `mp3`, `wav`.
    pub format: Option<String>,
    /// Sound to work on.
    pub audio: Option<String>,
    /// A clip to make sound for.
    pub video: Option<String>,
    /// Further options by name.
    pub options: Option<Json<Value>>,
    /// What matters most when the gateway chooses; BALANCED when absent.
    pub priority: Option<Priority>,
    /// Where the end is told, as a signed webhook.
    pub webhook_url: Option<String>,
    /// The most it may cost: refuse rather than spend more.
    pub max_credits: Option<i64>,
    /// The caller's own, returned and sent in webhooks; an object of at most 4 KiB as JSON.
    pub labels: Option<Json<Value>>,
}

impl AudioCreateInput {
    pub(in crate::graphql) fn coerced(self, catalog: &Catalog) -> Result<Coerced, ApiError> {
        let input = domain::ContentInput {
            text: words(self.text, self.prompt)?,
            audio: self.audio,
            video: self.video,
            ..Default::default()
        };
        let named = vec![
            ("voice", json(self.voice)),
            ("emotion", json(self.emotion)),
            ("speed", number(self.speed)),
            ("language", json(self.language)),
            ("format", json(self.format)),
        ];
        Common {
            of: domain::GenerationType::Audio,
            model: self.model,
            input,
            options: self.options,
            priority: self.priority,
            webhook_url: self.webhook_url,
            max_credits: self.max_credits,
            labels: self.labels,
        }
        .coerced(catalog, named)
    }
}

/// A video of a talking person.
#[derive(InputObject)]
pub struct AvatarCreateInput {
    /// The words to speak; `prompt` is the same.
    pub text: Option<String>,
    /// The words to speak.
    pub prompt: Option<String>,
    /// A provider, or one of its models; the gateway chooses when it is absent.
    pub model: Option<String>,
    /// Who is seen: an id of the provider.
    pub avatar_id: Option<String>,
    /// Who speaks: a name or id of the provider.
    pub voice: Option<String>,
    /// What is behind: a name, a colour or a URL.
    pub background: Option<String>,
    /// How the person moves: `friendly`.
    pub gesture: Option<String>,
    /// `16:9`, `9:16`, `1:1`.
    pub aspect_ratio: Option<String>,
    /// `1080p` or `1920x1080`, as `providers.options` lists them.
    pub resolution: Option<String>,
    /// A portrait to make speak.
    pub image: Option<String>,
    /// A clip whose lips are to move.
    pub video: Option<String>,
    /// Speech to use instead of a voice.
    pub audio: Option<String>,
    /// Further options by name.
    pub options: Option<Json<Value>>,
    /// What matters most when the gateway chooses; BALANCED when absent.
    pub priority: Option<Priority>,
    /// Where the end is told, as a signed webhook.
    pub webhook_url: Option<String>,
    /// The most it may cost: refuse rather than spend more.
    pub max_credits: Option<i64>,
    /// The caller's own, returned and sent in webhooks; an object of at most 4 KiB as JSON.
    pub labels: Option<Json<Value>>,
}

impl AvatarCreateInput {
    pub(in crate::graphql) fn coerced(self, catalog: &Catalog) -> Result<Coerced, ApiError> {
        let input = domain::ContentInput {
            text: words(self.text, self.prompt)?,
            image: self.image,
            video: self.video,
            audio: self.audio,
            ..Default::default()
        };
        let named = vec![
            ("avatarId", json(self.avatar_id)),
            ("voice", json(self.voice)),
            ("background", json(self.background)),
            ("gesture", json(self.gesture)),
            ("aspectRatio", json(self.aspect_ratio)),
            ("resolution", json(self.resolution)),
        ];
        Common {
            of: domain::GenerationType::Avatar,
            model: self.model,
            input,
            options: self.options,
            priority: self.priority,
            webhook_url: self.webhook_url,
            max_credits: self.max_credits,
            labels: self.labels,
        }
        .coerced(catalog, named)
    }
}

/// The words to speak, by either name.
fn words(text: Option<String>, prompt: Option<String>) -> Result<Option<String>, ApiError> {
    match (text, prompt) {
        (Some(text), Some(prompt)) if text != prompt => {
            Err(ApiError::invalid("INPUT", "text", "`text` and `prompt` are two names of the same. Give one."))
        }
        (text, prompt) => Ok(text.or(prompt)),
    }
}
