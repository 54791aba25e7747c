//! The queries. Each counts one read.

use async_graphql::{Context, ID, Object, Result, connection::CursorType as _};

use super::{
    error::ApiError,
    generate,
    request::{http, reader},
    types::{
        Account, GenerateInput, Generation, GenerationConnection, GenerationStatus, GenerationType, Provider, Quote,
    },
};
use crate::{domain::GenerationId, jobs::Filter};

/// The most generations of one page, and how many it has when nothing is said.
const MAX_PAGE: i64 = 100;
const PAGE: i64 = 20;

/// What can be asked.
pub struct Query;

/// What can be asked. Every field at the root counts one read.
#[Object]
impl Query {
    /// One generation of this account. Null, with the error `NOT_FOUND`, when there is none with this id.
    async fn generation(&self, ctx: &Context<'_>, id: ID) -> Option<Result<Generation>> {
        // An error inside the option leaves the rest of the answer alone.
        Some(find(ctx, &id).await.map_err(Into::into))
    }

    /// Generations of this account and mode, newest first.
    async fn generations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, at most 100; 20 when absent.")] first: Option<i64>,
        #[graphql(desc = "A cursor: those older than it.")] after: Option<String>,
        #[graphql(desc = "Only those of this type.")] r#type: Option<GenerationType>,
        #[graphql(desc = "Only those in this state.")] status: Option<GenerationStatus>,
        #[graphql(desc = "Only those served by this provider.")] provider: Option<String>,
    ) -> Result<GenerationConnection> {
        let (app, caller) = reader(ctx)?;
        let first = first.unwrap_or(PAGE);
        if !(0..=MAX_PAGE).contains(&first) {
            return Err(
                ApiError::invalid("INPUT", "first", format!("`first` must be between 0 and {MAX_PAGE}.")).into()
            );
        }
        let after = after
            .map(|cursor| {
                let bad = |_| ApiError::invalid("INPUT", "after", "`after` must be a cursor of an earlier page.");
                String::decode_cursor(&cursor).unwrap_or(cursor).parse::<GenerationId>().map_err(bad)
            })
            .transpose()?;
        let filter = Filter { r#type: r#type.map(Into::into), status: status.map(Into::into), provider };
        let first = u32::try_from(first).unwrap_or_default();
        let page = app.jobs.list(caller, &filter, after, first).await.map_err(ApiError::from)?;
        Ok(GenerationConnection(page))
    }

    /// The providers with their models and options.
    async fn providers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those that make this.")] r#type: Option<GenerationType>,
        #[graphql(desc = "Only those that would (true) or would not (false) be served now.")] available: Option<bool>,
    ) -> Result<Vec<Provider>> {
        let (app, caller) = reader(ctx)?;
        let views = app
            .with_conditions(caller.mode, |catalog, conditions| catalog.describe(r#type.map(Into::into), conditions));
        let wanted = |provider: &Provider| available.is_none_or(|available| provider.0.available == available);
        Ok(views.into_iter().map(Provider).filter(wanted).collect())
    }

    /// What would serve a request, at what price and in what time. Spends nothing.
    async fn quote(&self, ctx: &Context<'_>, input: GenerateInput) -> Result<Quote> {
        let (app, caller) = reader(ctx)?;
        Ok(Quote(generate::quote(app, caller, &input.coerced()?)?))
    }

    /// The account of the key: plan, limits and what is left of each, credits, webhook secrets.
    async fn account(&self, ctx: &Context<'_>) -> Result<Account> {
        let (app, caller) = reader(ctx)?;
        let usage = app.accounts.usage(caller).await.map_err(ApiError::from)?;
        http(ctx)?.note_look(usage.allowance());
        let secrets = app.webhooks.secrets(caller.account).await.map_err(ApiError::from)?;
        Ok(Account { caller: caller.clone(), usage, secrets })
    }
}

async fn find(ctx: &Context<'_>, id: &ID) -> Result<Generation, ApiError> {
    let (app, caller) = reader(ctx)?;
    let found = match id.parse::<GenerationId>() {
        Ok(id) => app.jobs.find_with_allowance(caller, id).await?,
        Err(_) => None,
    };
    let missing = || ApiError::not_found(format!("There is no generation {}. Check the id and the key.", shown(id)));
    let (generation, allowance) = found.ok_or_else(missing)?;
    http(ctx)?.note_look(allowance);
    Ok(Generation(generation))
}

/// A caller's own text in a message, cut short.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}
