//! What a step does and concludes: pure functions of the job and the upstream's answer.
//!
//! The worker runs them, the model check (`tests/it/jobs/model/`) explores all that can follow from them. Money follows
//! from three rules: work is submitted again only when the last submit surely started nothing; a submit whose fate is
//! unknown ends the generation unless the upstream can tell; and only a result ends it with a charge. That it ends at all
//! follows from a fourth: whatever is tried again is bounded by a time or a number of tries.

use std::time::Duration;

use super::{Failure, Stage};
use crate::{
    domain::{Fault, Verdict, fault::Kind},
    providers::{Handle, Progress, Reconciled, Submitted},
};

/// Times that a download of results is tried.
const COPIES: u32 = 12;

/// What a step does with a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Writes the intent down, then sends the work.
    Submit,
    /// Asks what became of a submit.
    Reconcile,
    /// Asks how the work is going.
    Poll,
    /// Copies the results.
    Copy,
    /// Tells the upstream to stop.
    Stop,
    /// Nothing: the job waits for a place.
    Rest,
}

/// What a step does with a job in this stage.
pub const fn act(stage: Stage) -> Act {
    match stage {
        Stage::Waiting => Act::Rest,
        Stage::Ready => Act::Submit,
        Stage::Submitting => Act::Reconcile,
        Stage::Running => Act::Poll,
        Stage::Storing => Act::Copy,
        Stage::Stopping => Act::Stop,
    }
}

/// What is left of a time that something may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Time {
    /// Some of it.
    Left,
    /// Nothing.
    Up,
}

/// Whether the job had trouble since an upstream last took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// None.
    None,
    /// Some: patience is running out.
    Some,
}

/// What a step can conclude.
#[derive(Debug)]
pub enum Next {
    /// The upstream has it: look after so long, where it said so.
    Accepted(Handle, Option<Duration>),
    /// It runs; percent done, where known.
    Wait(Option<u8>),
    /// Here are the results.
    Store(crate::domain::output::Outputs),
    /// Nothing was started, and the trouble is not the request's: another route, or the same one later.
    Elsewhere(Fault),
    /// Nothing was started: submit it (again) now.
    Submit,
    /// Nobody knows whether it was started: ask the upstream, where it can tell.
    Reconcile,
    /// The question brought no answer: ask again later.
    AskAgain(Fault),
    /// It ends here.
    Fail(Failure),
    /// It ends here, and the upstream is to be told.
    GiveUp(Failure),
}

/// Where work goes that was not started.
#[derive(Debug)]
pub enum Detour<R> {
    /// Over another route.
    Over(R),
    /// Over the same one, later.
    Later,
    /// Nowhere: it ends here.
    Fail(Failure),
}

/// What follows from a copy of the results that failed.
#[derive(Debug)]
pub enum Recopy {
    /// The upstream is asked again for what it made.
    Ask,
    /// The copy is tried again later.
    Later,
    /// It ends here.
    Fail(Failure),
}

/// A copy of the results that failed.
#[derive(Clone, Copy, Debug)]
pub enum Uncopied {
    /// What was fetched is there no more, or what was in hand is lost.
    Stale,
    /// The upstream or the media store may do better later; so many times it went wrong by now.
    Failed(u32),
}

/// What follows from the answer to a submit.
pub fn after_submit(answer: Result<Submitted, Fault>) -> Next {
    match answer {
        Ok(Submitted::Accepted { handle, poll_after }) => Next::Accepted(handle, poll_after),
        Ok(Submitted::Done(outputs)) => Next::Store(outputs),
        Err(fault) => match (fault.verdict, fault.kind) {
            (Verdict::Unknown, Kind::Moderated) => Next::Fail(rejected()),
            (Verdict::Unknown, _) => Next::Reconcile,
            (_, Kind::InvalidInput) => Next::Fail(refused()),
            (_, Kind::Moderated) => Next::Fail(rejected()),
            (_, Kind::Failed) => Next::Fail(failed()),
            (_, Kind::Busy | Kind::Down | Kind::Internal | Kind::Account | Kind::Garbled | Kind::Gone) => {
                Next::Elsewhere(fault)
            }
        },
    }
}

/// What follows from the answer to a look for a submit whose answer was lost. What is surely not there is sent again at
/// once, as it may have been our own process that died; the second time it is the upstream's trouble.
pub fn after_reconcile(answer: Result<Reconciled, Fault>, trouble: Trouble, deadline: Time) -> Next {
    match answer {
        Ok(Reconciled::Found(handle)) => Next::Accepted(handle, Some(Duration::ZERO)),
        Ok(Reconciled::Absent) => match trouble {
            Trouble::None => Next::Submit,
            Trouble::Some => Next::Elsewhere(Fault::new(Kind::Down, Verdict::NotReached, "a submit never arrived")),
        },
        Ok(Reconciled::Unsupported) => Next::Fail(submission_unknown()),
        Err(fault) => match deadline {
            Time::Left => Next::AskAgain(fault),
            Time::Up => Next::Fail(submission_unknown()),
        },
    }
}

/// What follows from the answer to a poll.
pub fn after_poll(answer: Result<Progress, Fault>, time: Time) -> Next {
    let next = match answer {
        Ok(Progress::Queued) => Next::Wait(None),
        Ok(Progress::Running(percent)) => Next::Wait(percent),
        Ok(Progress::Done(outputs)) => Next::Store(outputs),
        Ok(Progress::Failed(fault)) => Next::Fail(match fault.kind {
            Kind::Moderated => rejected(),
            Kind::InvalidInput => refused(),
            _ => failed(),
        }),
        Err(fault) if fault.kind == Kind::Gone => Next::Fail(lost()),
        Err(fault) => Next::AskAgain(fault),
    };
    match (next, time) {
        (Next::Wait(_) | Next::AskAgain(_), Time::Up) => Next::GiveUp(deadline()),
        (next, _) => next,
    }
}

/// Where work goes that was not started, given another route for it, if there is one.
pub fn detour<R>(kind: Kind, other: Option<R>, patience: Time) -> Detour<R> {
    match (other, patience) {
        (Some(other), _) => Detour::Over(other),
        (None, Time::Left) => Detour::Later,
        (None, Time::Up) => Detour::Fail(unavailable(kind)),
    }
}

/// What follows from a copy that failed; `known` where the upstream can be asked again.
pub fn after_copy(copy: Uncopied, known: Option<&Handle>, deadline: Time) -> Recopy {
    match (copy, known, deadline) {
        (Uncopied::Stale, Some(_), Time::Left) => Recopy::Ask,
        (Uncopied::Failed(failures), ..) if failures < COPIES => Recopy::Later,
        _ => Recopy::Fail(result_lost()),
    }
}

/// What a look shows at work whose generation has failed by its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It may yet finish, or nobody can tell now.
    On,
    /// It was finished after all.
    Finished,
    /// It never will be.
    Ended,
}

/// What follows from such a look. Nothing is ever charged by it.
pub fn after_late_look(answer: &Result<Progress, Fault>) -> Late {
    match answer {
        Ok(Progress::Done(_)) => Late::Finished,
        Ok(Progress::Failed(_)) => Late::Ended,
        Err(fault) if fault.kind == Kind::Gone => Late::Ended,
        Ok(Progress::Queued | Progress::Running(_)) | Err(_) => Late::On,
    }
}

/// What an attempt says of work that was finished after its deadline.
pub const FINISHED_LATE: &str = "the provider finished after the deadline; nothing was charged";

/// The code of a task that was taken and failed.
pub const FAILED: &str = "GENERATION_FAILED";

fn failure(code: &str, reason: &str, message: &str, retryable: bool) -> Failure {
    Failure { code: code.into(), reason: Some(reason.into()), message: message.into(), retryable }
}

fn rejected() -> Failure {
    let message =
        "The provider's moderation refused the prompt, an input or the result. Change the request and try again.";
    failure("INVALID_INPUT", "CONTENT_REJECTED", message, false)
}

fn refused() -> Failure {
    let message =
        "The provider refused the input. Check prompt, input files and options against its limits, then try again.";
    failure("INVALID_INPUT", "UPSTREAM_REFUSED", message, false)
}

fn failed() -> Failure {
    let message = "The provider failed to make it. Try again, or with other parameters or another provider.";
    failure(FAILED, "UPSTREAM_FAILED", message, true)
}

fn lost() -> Failure {
    let message = "The provider no longer knows the task. Nothing was charged; try again.";
    failure(FAILED, "UPSTREAM_LOST", message, true)
}

/// A submit whose fate nobody knows.
fn submission_unknown() -> Failure {
    let message = "The provider's answer was lost, so it is unknown whether it took the work. It is not sent twice; \
                   nothing was charged. Try again.";
    failure(FAILED, "SUBMISSION_UNKNOWN", message, true)
}

/// The route's deadline passed.
fn deadline() -> Failure {
    let message = "The provider did not finish in time. Nothing was charged; try again or choose another provider.";
    failure(FAILED, "DEADLINE", message, true)
}

/// The results could not be copied.
fn result_lost() -> Failure {
    let message = "The result could not be fetched from the provider. Nothing was charged; try again.";
    failure(FAILED, "RESULT_LOST", message, true)
}

/// Patience is spent. An account that is refused will be refused again.
fn unavailable(kind: Kind) -> Failure {
    let (reason, message) = match kind {
        Kind::Internal => return failed(),
        Kind::Account => (
            "UPSTREAM_ACCOUNT",
            "The provider refuses this gateway's account. Nothing was charged; use another provider, or let the gateway choose.",
        ),
        Kind::Busy => (
            "UPSTREAM_BUSY",
            "The provider is at its limit. Nothing was charged; try again later, or let the gateway choose.",
        ),
        _ => (
            "UPSTREAM_DOWN",
            "The provider cannot be reached. Nothing was charged; try again later, or let the gateway choose.",
        ),
    };
    failure("PROVIDER_UNAVAILABLE", reason, message, kind != Kind::Account)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(kind: Kind, verdict: Verdict) -> Fault {
        Fault::new(kind, verdict, "")
    }

    const KINDS: [Kind; 9] = [
        Kind::InvalidInput,
        Kind::Moderated,
        Kind::Failed,
        Kind::Busy,
        Kind::Down,
        Kind::Internal,
        Kind::Account,
        Kind::Garbled,
        Kind::Gone,
    ];

    #[test]
    fn an_unknown_submit_is_not_sent_again_before_the_upstream_was_asked() {
        for kind in KINDS {
            let next = after_submit(Err(fault(kind, Verdict::Unknown)));
            assert!(matches!(next, Next::Fail(_) | Next::Reconcile), "{kind:?} gave {next:?}");
        }
        let answers = |answer, trouble| after_reconcile(Ok(answer), trouble, Time::Left);
        assert!(matches!(answers(Reconciled::Unsupported, Trouble::None), Next::Fail(_)));
        assert!(matches!(answers(Reconciled::Absent, Trouble::None), Next::Submit));
    }

    #[test]
    fn what_never_arrives_is_the_upstreams_trouble_the_second_time() {
        assert!(matches!(
            after_reconcile(Ok(Reconciled::Absent), Trouble::Some, Time::Left),
            Next::Elsewhere(Fault { verdict: Verdict::NotReached, .. })
        ));
    }

    #[test]
    fn trouble_of_the_upstream_is_tried_elsewhere_and_trouble_of_the_request_is_not() {
        for kind in KINDS {
            for verdict in [Verdict::Refused, Verdict::NotReached] {
                let elsewhere = matches!(after_submit(Err(fault(kind, verdict))), Next::Elsewhere(_));
                let its_own = !matches!(kind, Kind::InvalidInput | Kind::Moderated | Kind::Failed);
                assert_eq!(elsewhere, its_own, "{kind:?}");
            }
        }
    }

    #[test]
    fn a_failed_look_says_nothing_about_the_task() {
        for kind in KINDS.into_iter().filter(|kind| *kind != Kind::Gone) {
            let after = |time| after_poll(Err(fault(kind, Verdict::Unknown)), time);
            assert!(matches!(after(Time::Left), Next::AskAgain(_)), "{kind:?}");
            assert!(matches!(after(Time::Up), Next::GiveUp(_)), "{kind:?}");
        }
    }
}
