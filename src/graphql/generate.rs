//! From the input of a call to an admitted generation.

use std::fmt::Display;

use async_graphql::Context;
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use super::{
    error::ApiError,
    request::{self, HttpRequest, Operation},
    types::{GenerateInput, Generation},
};
use crate::{
    accounts::Caller,
    app::App,
    catalog::{Asked, Choice, Quote},
    domain::ContentInput,
    jobs::{Idempotency, Submission},
};

/// The most that labels may take, as JSON.
const MAX_LABELS: usize = 4096;
/// The longest webhook URL.
const MAX_URL: usize = 2048;

/// A call's input, coerced: what the idempotency fingerprint is taken of.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Coerced {
    pub asked: Asked,
    pub webhook_url: Option<String>,
    pub labels: Option<Value>,
}

/// Admits a generation for the field that is being resolved.
pub(super) async fn submit(ctx: &Context<'_>, coerced: Coerced) -> Result<Generation, ApiError> {
    let (app, http) = (request::app(ctx)?, request::http(ctx)?);
    let idempotency = idempotency(ctx, http, &coerced);
    let submission = match check(app, &http.caller, coerced) {
        Ok(submission) => submission,
        Err(refused) => return replay_or(app, http, idempotency, refused).await,
    };
    let submission = Submission { idempotency, ..submission };
    match app.jobs.submit(&http.caller, submission).await {
        Ok(submitted) => {
            http.note(submitted.allowance);
            if submitted.replayed {
                http.note_replay();
            }
            Ok(Generation(submitted.generation))
        }
        Err(error) => {
            if let Some(allowance) = error.allowance() {
                http.note(allowance);
            }
            Err(error.into())
        }
    }
}

/// A request that was accepted once is replayed even when it would be refused today.
async fn replay_or(
    app: &App,
    http: &HttpRequest,
    idempotency: Option<Idempotency>,
    refused: ApiError,
) -> Result<Generation, ApiError> {
    let Some(key) = idempotency else { return Err(refused) };
    match app.jobs.replay(&http.caller, &key).await? {
        Some(generation) => {
            http.note_replay();
            Ok(Generation(generation))
        }
        None => Err(refused),
    }
}

fn idempotency(ctx: &Context<'_>, http: &HttpRequest, coerced: &Coerced) -> Option<Idempotency> {
    let key = http.idempotency_key.as_deref()?;
    let name = ctx.field().alias().unwrap_or_else(|| ctx.field().name());
    let index = ctx.data_opt::<Operation>().map_or(0, |operation| operation.index);
    let scope = match (http.several, index) {
        (false, _) => String::new(),
        (true, 0) => name.to_owned(),
        (true, index) => format!("{index}.{name}"),
    };
    Some(Idempotency::new(key, &scope, coerced))
}

/// The quote for a request; nothing is spent.
pub(super) fn quote(app: &App, caller: &Caller, coerced: &Coerced) -> Result<Quote, ApiError> {
    check_rest(app, coerced)?;
    Ok(app.with_conditions(caller.mode, |catalog, conditions| catalog.quote(&coerced.asked, conditions))?)
}

fn check(app: &App, caller: &Caller, coerced: Coerced) -> Result<Submission, ApiError> {
    let webhook_url = check_rest(app, &coerced)?;
    let choice: Choice =
        app.with_conditions(caller.mode, |catalog, conditions| catalog.accept(&coerced.asked, conditions))?;
    Ok(Submission { asked: coerced.asked, choice, labels: coerced.labels, webhook_url, idempotency: None })
}

/// Checks what is not the catalogue's: URLs and labels.
fn check_rest(app: &App, coerced: &Coerced) -> Result<Option<Url>, ApiError> {
    if coerced.asked.max_credits.is_some_and(|most| most < 0) {
        return Err(ApiError::invalid("INPUT", "maxCredits", "`maxCredits` must be 0 or more."));
    }
    if let Some(labels) = &coerced.labels {
        if !labels.is_object() {
            return Err(ApiError::invalid("INPUT", "labels", "`labels` must be a JSON object."));
        }
        let size = labels.to_string().len();
        if size > MAX_LABELS {
            let message = format!("`labels` may take {MAX_LABELS} bytes as JSON; these take {size}.");
            return Err(ApiError::invalid("INPUT", "labels", message));
        }
        if holds_nul(labels) {
            return Err(ApiError::invalid("INPUT", "labels", "`labels` must not hold the character U+0000."));
        }
    }
    let asked = serde_json::to_value(&coerced.asked).unwrap_or_default();
    if holds_nul(&asked) {
        return Err(ApiError::invalid("INPUT", "input", "The input must not hold the character U+0000."));
    }
    check_inputs(app, &coerced.asked.input)?;
    coerced.webhook_url.as_deref().map(|url| webhook_url(url, |url| app.egress.check(url))).transpose()
}

/// PostgreSQL keeps no such character.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

/// The address of a webhook; `guard` says whether it may be called.
fn webhook_url<E: Display>(text: &str, guard: impl Fn(&Url) -> Result<(), E>) -> Result<Url, ApiError> {
    let refused = |message: String| ApiError::invalid("URL", "webhookUrl", message);
    if text.len() > MAX_URL {
        return Err(refused(format!("`webhookUrl` may be {MAX_URL} characters long.")));
    }
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(|| refused("`webhookUrl` must be an absolute http or https URL.".to_owned()))?;
    guard(&url).map_err(|why| refused(format!("`webhookUrl` cannot be called: {why}")))?;
    Ok(url)
}

fn check_inputs(app: &App, input: &ContentInput) -> Result<(), ApiError> {
    let one =
        [("image", &input.image), ("lastImage", &input.last_image), ("video", &input.video), ("audio", &input.audio)];
    let one = one.into_iter().filter_map(|(name, url)| Some((name, url.as_deref()?)));
    let many = input.images.iter().flatten().map(|url| ("images", url.as_str()));
    for (name, text) in one.chain(many) {
        // The catalogue refuses what is no URL.
        let Ok(url) = Url::parse(text) else { continue };
        let is_remote = matches!(url.scheme(), "http" | "https") && app.media.links().path_of(&url).is_none();
        if is_remote && let Err(why) = app.egress.check(&url) {
            return Err(ApiError::invalid(
                "URL",
                &format!("input.{name}"),
                format!("`{name}` cannot be fetched: {why}"),
            ));
        }
    }
    Ok(())
}

impl GenerateInput {
    /// The input with its types resolved.
    pub(super) fn coerced(self) -> Result<Coerced, ApiError> {
        Ok(Coerced {
            asked: Asked {
                r#type: self.r#type.into(),
                provider: self.provider,
                model: self.model,
                input: self.input.into(),
                options: options(self.options.map(|options| options.0))?,
                priority: self.priority.map(Into::into).unwrap_or_default(),
                max_credits: self.max_credits,
            },
            webhook_url: self.webhook_url,
            labels: self.labels.map(|labels| labels.0).filter(|labels| !labels.is_null()),
        })
    }
}

/// Options as an object; members that are null count as not given.
pub(super) fn options(value: Option<Value>) -> Result<Map<String, Value>, ApiError> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        Some(_) => Err(ApiError::invalid("OPTION", "options", "`options` must be a JSON object: {\"duration\": 5}.")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use url::Host;

    use super::*;
    use crate::egress::{self, Egress};

    static GUARDED: LazyLock<Egress> = LazyLock::new(|| Egress::new(false).unwrap());

    fn check(text: &str) -> Result<(), TestCaseError> {
        match webhook_url(text, |url| GUARDED.check(url)) {
            Ok(url) => {
                prop_assert_eq!(Some(url.clone()), Url::parse(text).ok());
                prop_assert!(matches!(url.scheme(), "http" | "https"));
                prop_assert!(url.username().is_empty() && url.password().is_none());
                let is_public = match url.host() {
                    Some(Host::Ipv4(ip)) => egress::is_public(ip.into()),
                    Some(Host::Ipv6(ip)) => egress::is_public(ip.into()),
                    Some(Host::Domain(name)) => !name.trim_end_matches('.').is_empty(),
                    None => false,
                };
                prop_assert!(is_public, "{url}");
            }
            Err(refused) => {
                prop_assert_eq!((refused.reason, refused.field.as_deref()), (Some("URL"), Some("webhookUrl")));
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_refused_as_a_webhook_or_is_an_address_that_may_be_called(text in "\\PC{0,60}") {
            check(&text)?;
        }

        #[test]
        fn so_is_whatever_looks_like_an_address(
            text in "(https?|HTTP|ftp|file|ws)?:?(//|\\\\\\\\|/)?([a-z]{1,3}(:[a-z]{0,3})?@)?(\\[[0-9a-f:.%]{0,20}\\]|[0-9a-fx.]{1,16}|[a-zä。.-]{1,16}|localhost|%31%32%37\\.0\\.0\\.1)(:[0-9]{0,6})?(/[!-~]{0,12})?"
        ) {
            check(&text)?;
        }
    }
}
