//! Cancelling: it wins or loses against the end of the generation, atomically, and says which.

use std::time::Duration;

use super::{Jobs, count_end, store::Settlement, time_delta};
use crate::{
    accounts::Caller,
    domain::{GenerationId, Status},
};

/// What a cancel did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// This call cancelled it.
    Cancelled,
    /// It had ended.
    TooLate,
    /// The caller has no such generation.
    NotFound,
}

/// How long a submit that is under way may take to say what the upstream calls the job; more than the longest call.
const LATE_ANSWER: Duration = Duration::from_mins(6);

impl Jobs {
    /// Cancels a generation in whatever state it is; the credits are released, the upstream is told by a worker.
    pub async fn cancel(&self, caller: &Caller, id: GenerationId) -> anyhow::Result<Cancel> {
        let Some(generation) = self.find(caller, id).await? else { return Ok(Cancel::NotFound) };
        if generation.status.is_terminal() {
            return Ok(Cancel::TooLate);
        }
        let now = self.clock.now();
        let settlement = Settlement::of_caller(&generation, now, now + time_delta(LATE_ANSWER));
        let settled = self.settlements.run(settlement).await??;
        if !self.ended(id, settled) {
            return Ok(Cancel::TooLate);
        }
        count_end(Status::Cancelled, generation.provider.as_str());
        Ok(Cancel::Cancelled)
    }
}
