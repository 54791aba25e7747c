//! `generationUpdated`: the current state first, then every change, and the end with the terminal state.
//!
//! Most subscriptions rest most of the time, so one that rests keeps no execution, only what it takes to begin another:
//! each state is the one result of an execution of its own.

use std::sync::{Arc, Mutex, PoisonError};

use async_graphql::{Context, ID, Request, Response, Result, Subscription as GraphQlSubscription};
use futures_util::{Stream, StreamExt as _, stream};

use super::{Api, error::ApiError, query::shown, request::reader, types::Generation};
use crate::{
    domain::GenerationId,
    feed::{Ended, News, Watch},
};

/// What can be watched.
pub struct Subscription;

/// What can be watched: over the websocket `/graphql/ws`, as an event stream, or as `multipart/mixed`.
#[GraphQlSubscription]
impl Subscription {
    /// A generation as it changes. Begins with its state and ends with its end.
    async fn generation_updated(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<impl Stream<Item = Result<Generation>> + use<>> {
        let turn: &Arc<Turn> = ctx.data()?;
        let news = match turn.take_news() {
            Some(news) => Some(news),
            None => begin(ctx, &id, turn).await?,
        };
        Ok(stream::iter(news.map(|news| match news {
            Ok(generation) => Ok(Generation(Arc::unwrap_or_clone(generation))),
            Err(ended) => Err(ApiError::from(ended).into()),
        })))
    }
}

/// The first state; the rest is left with the turn.
async fn begin(ctx: &Context<'_>, id: &ID, turn: &Turn) -> Result<Option<News>, ApiError> {
    let (app, caller) = reader(ctx)?;
    let missing = || ApiError::not_found(format!("There is no generation {}. Check the id and the key.", shown(id)));
    let id: GenerationId = id.parse().map_err(|_| missing())?;
    let watched = app.feed.watch(caller, id).await.map_err(|error| ApiError::internal(&error))?;
    let mut watch = watched.ok_or_else(missing)?;
    let first = watch.next().await;
    turn.leave(watch);
    Ok(first)
}

impl From<Ended> for ApiError {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::KeyRevoked => Self::unauthenticated(),
            Ended::Gone => Self::not_found("The generation is gone."),
            Ended::Broken(error) => Self::internal(&error),
        }
    }
}

/// One execution of a subscription: the first, which leaves a watch, or one that tells news.
#[derive(Default)]
struct Turn {
    news: Mutex<Option<News>>,
    watch: Mutex<Option<Watch>>,
}

impl Turn {
    fn telling(news: News) -> Self {
        Self { news: Mutex::new(Some(news)), watch: Mutex::default() }
    }

    fn take_news(&self) -> Option<News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn leave(&self, watch: Watch) {
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
    }

    fn take_watch(&self) -> Option<Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The results of an operation: of a subscription as they come, of any other the one. `request` makes a request for each.
pub fn results<F>(api: Api, request: F) -> impl Stream<Item = Response> + Send
where
    F: Fn() -> Request + Send + Sync,
{
    let begin = Results { api, request, stage: Stage::Begin };
    stream::unfold(begin, async |mut results| Some((results.next().await?, results)))
}

struct Results<F> {
    api: Api,
    request: F,
    stage: Stage,
}

enum Stage {
    Begin,
    Resting(Watch),
    Ended,
}

impl<F: Fn() -> Request> Results<F> {
    async fn next(&mut self) -> Option<Response> {
        let turn = match &mut self.stage {
            Stage::Begin => Turn::default(),
            Stage::Resting(watch) => Turn::telling(watch.next().await?),
            Stage::Ended => return None,
        };
        let turn = Arc::new(turn);
        let result = self.api.execute_stream((self.request)().data(turn.clone())).next().await;
        if let Stage::Begin = self.stage {
            self.stage = turn.take_watch().map_or(Stage::Ended, Stage::Resting);
        }
        result
    }
}
