//! Finding a lost submit by sending it again under its idempotency key: services that know such keys answer as they did
//! the first time. Work that never arrived is started by it, so [`Provider::resends`](super::Provider::resends) tells.

use std::time::Duration;

use chrono::DateTime;

use super::{Cx, Reconciled, Submitted, Task};
use crate::domain::{Fault, Verdict, fault::Kind};

/// The idempotency key of a submit.
pub fn key(task: &Task) -> String {
    format!("{}-{}", task.id, task.attempt)
}

/// Whether the service surely still remembers the key: no submit is older than the generation itself.
pub fn is_remembered(cx: &Cx, task: &Task, life: Duration) -> bool {
    let begun = task.id.uuid().get_timestamp().map(|time| time.to_unix());
    let begun = begun.and_then(|(seconds, nanos)| DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos));
    begun.is_some_and(|begun| cx.now() < begun + life)
}

/// What the answer to the second sending says of the first.
pub fn reconciled(answer: Result<Submitted, Fault>) -> Result<Reconciled, Fault> {
    match answer {
        Ok(Submitted::Accepted { handle, .. }) => Ok(Reconciled::Found(handle)),
        Ok(Submitted::Done(_)) => Ok(Reconciled::Unsupported),
        Err(Fault { kind: Kind::InvalidInput | Kind::Moderated, verdict: Verdict::Refused, .. }) => {
            Ok(Reconciled::Absent)
        }
        Err(fault) => Err(fault),
    }
}
