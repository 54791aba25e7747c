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
        // Whoever refuses the second sending need not have seen the first: a guard in front of the service refuses what it
        // let pass before. To send it once more, under another key, could buy it twice.
        Ok(Submitted::Done(_))
        | Err(Fault { kind: Kind::InvalidInput | Kind::Moderated, verdict: Verdict::Refused, .. }) => {
            Ok(Reconciled::Unsupported)
        }
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_second_sending_says_nothing_about_the_first() {
        for kind in [Kind::InvalidInput, Kind::Moderated] {
            let answer = reconciled(Err(Fault::refused(kind, "no")));
            assert!(matches!(answer, Ok(Reconciled::Unsupported)), "{answer:?}");
        }
        assert!(matches!(reconciled(Err(Fault::refused(Kind::Busy, "later"))), Err(fault) if fault.kind == Kind::Busy));
    }
}
