//! `generationUpdated`: the current state first, then every change, and the end with the terminal state.

use std::{sync::Arc, time::Duration};

use async_graphql::{Context, ID, Result, Subscription as GraphQlSubscription};
use futures_util::{Stream, stream};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{error::ApiError, query::shown, request::reader, types::Generation};
use crate::{
    accounts::Caller,
    app::App,
    domain::{GenerationId, Status},
    jobs,
};

/// A look without a hint, which also notices that the key was revoked.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What can be watched.
pub struct Subscription;

/// What can be watched: over the websocket `/graphql/ws` or as an event stream.
#[GraphQlSubscription]
impl Subscription {
    /// A generation as it changes. Begins with its state and ends with its end.
    async fn generation_updated(
        &self,
        ctx: &Context<'_>,
        id: ID,
    ) -> Result<impl Stream<Item = Result<Generation>> + use<>> {
        let (app, caller) = reader(ctx)?;
        let missing =
            || ApiError::not_found(format!("There is no generation {}. Check the id and the key.", shown(&id)));
        let id: GenerationId = id.parse().map_err(|_| missing())?;
        // Interest is registered before the first look, so that no change falls in between.
        let changes = app.bus.changes();
        app.jobs.find(caller, id).await.map_err(ApiError::from)?.ok_or_else(missing)?;
        let watch = Watch { app: app.clone(), caller: caller.clone(), id, changes, told: None, ended: false };
        Ok(stream::unfold(watch, Watch::next))
    }
}

/// What a subscriber was told last: status, progress, place in the queue, attempts, and by whom it is served.
type Told = (Status, u8, Option<i64>, usize, String);

struct Watch {
    app: Arc<App>,
    caller: Caller,
    id: GenerationId,
    changes: Receiver<GenerationId>,
    told: Option<Told>,
    ended: bool,
}

impl Watch {
    async fn next(mut self) -> Option<(Result<Generation>, Self)> {
        while !self.ended {
            if self.told.is_some() {
                self.wait().await;
            }
            match self.look().await {
                Ok(Some(generation)) => {
                    self.ended = generation.status.is_terminal();
                    self.told = Some(self.telling(&generation));
                    return Some((Ok(Generation(generation)), self));
                }
                Ok(None) => {}
                Err(error) => {
                    self.ended = true;
                    return Some((Err(error.into()), self));
                }
            }
        }
        None
    }

    /// Returns when the generation may have changed.
    async fn wait(&mut self) {
        let id = self.id;
        let hint = async {
            loop {
                match self.changes.recv().await {
                    Ok(changed) if changed != id => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        let _ = tokio::time::timeout(LOOK_EVERY, hint).await;
    }

    /// The generation, if it differs from what was told last.
    async fn look(&self) -> Result<Option<jobs::Generation>, ApiError> {
        if !self.app.accounts.is_valid(&self.caller).await? {
            return Err(ApiError::unauthenticated());
        }
        let Some(now) = self.app.jobs.find(&self.caller, self.id).await? else {
            return Err(ApiError::not_found("The generation is gone."));
        };
        let is_news = self.told.as_ref().is_none_or(|told| *told != self.telling(&now));
        Ok(Some(now).filter(|_| is_news))
    }

    fn telling(&self, generation: &jobs::Generation) -> Told {
        let progress = generation.progress(self.app.clock.now());
        let served_by = format!("{}/{}", generation.provider, generation.model);
        (generation.status, progress, generation.queue_position, generation.attempts.len(), served_by)
    }
}
