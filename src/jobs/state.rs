//! What a step concludes: a pure function of the job and the upstream's answer.
//!
//! The worker runs it, the model check explores it. Money follows from three rules: work is submitted again only when the
//! last submit surely started nothing; a submit whose fate is unknown ends the generation unless the upstream can tell;
//! and only a result ends it with a charge.

use std::time::Duration;

use super::Failure;
use crate::{
    domain::{Fault, Verdict, fault::Kind},
    providers::{Progress, Reconciled, Submitted},
};

/// What a step can conclude.
#[derive(Debug)]
pub enum Next {
    /// The upstream has it: look after so long, where it said so.
    Accepted(crate::providers::Handle, Option<Duration>),
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

/// What follows from the answer to a look for a submit whose answer was lost.
pub fn after_reconcile(answer: Result<Reconciled, Fault>) -> Next {
    match answer {
        Ok(Reconciled::Found(handle)) => Next::Accepted(handle, Some(Duration::ZERO)),
        Ok(Reconciled::Absent) => Next::Submit,
        Ok(Reconciled::Unsupported) => Next::Fail(submission_unknown()),
        Err(fault) => Next::AskAgain(fault),
    }
}

/// What follows from the answer to a poll.
pub fn after_poll(answer: Result<Progress, Fault>) -> Next {
    match answer {
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
pub fn submission_unknown() -> Failure {
    let message = "The provider's answer was lost, so it is unknown whether it took the work. It is not sent twice; \
                   nothing was charged. Try again.";
    failure(FAILED, "SUBMISSION_UNKNOWN", message, true)
}

/// The route's deadline passed.
pub fn deadline() -> Failure {
    let message = "The provider did not finish in time. Nothing was charged; try again or choose another provider.";
    failure(FAILED, "DEADLINE", message, true)
}

/// The results could not be copied.
pub fn result_lost() -> Failure {
    let message = "The result could not be fetched from the provider. Nothing was charged; try again.";
    failure(FAILED, "RESULT_LOST", message, true)
}

/// Patience is spent. An account that is refused will be refused again.
pub fn unavailable(kind: Kind) -> Failure {
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
    use proptest::prelude::*;

    use super::*;
    use crate::providers::Handle;

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
        assert!(matches!(after_reconcile(Ok(Reconciled::Unsupported)), Next::Fail(_)));
        assert!(matches!(after_reconcile(Ok(Reconciled::Absent)), Next::Submit));
    }

    /// An upstream that does what it says, seen over a line that loses answers.
    #[derive(Clone, Copy, Debug)]
    enum Line {
        Takes,
        TakesUnheard,
        Loses,
        Refuses(usize),
        TellsNothing,
    }

    fn line() -> impl Strategy<Value = Line> {
        let kind = 0..KINDS.len();
        prop_oneof![
            Just(Line::Takes),
            Just(Line::TakesUnheard),
            Just(Line::Loses),
            kind.prop_map(Line::Refuses),
            Just(Line::TellsNothing)
        ]
    }

    proptest! {
        /// The steps of a job with whatever happens on the line to an upstream that can tell what it has.
        #[test]
        fn no_history_makes_an_upstream_work_twice(lines in prop::collection::vec(line(), 1..40)) {
            let (mut works, mut asking) = (0, false);
            let handle = || Handle("a".to_owned());
            for line in lines {
                let unheard = || fault(Kind::Down, Verdict::Unknown);
                let next = if asking {
                    after_reconcile(match line {
                        Line::TellsNothing => Err(unheard()),
                        _ if works > 0 => Ok(Reconciled::Found(handle())),
                        _ => Ok(Reconciled::Absent),
                    })
                } else {
                    works += i32::from(matches!(line, Line::Takes | Line::TakesUnheard));
                    after_submit(match line {
                        Line::Takes => Ok(Submitted::Accepted { handle: handle(), poll_after: None }),
                        Line::Refuses(kind) => Err(fault(KINDS[kind], Verdict::Refused)),
                        Line::TakesUnheard | Line::Loses | Line::TellsNothing => Err(unheard()),
                    })
                };
                prop_assert!(works <= 1, "it works on {works} at once");
                match next {
                    Next::Reconcile | Next::AskAgain(_) => asking = true,
                    Next::Submit | Next::Elsewhere(_) => asking = false,
                    Next::Accepted(..) => {
                        prop_assert_eq!(works, 1);
                        break;
                    }
                    Next::Fail(_) => {
                        prop_assert_eq!(works, 0, "work was thrown away");
                        break;
                    }
                    Next::Wait(_) | Next::Store(_) => unreachable!("nobody polled"),
                }
            }
        }
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
            assert!(matches!(after_poll(Err(fault(kind, Verdict::Unknown))), Next::AskAgain(_)), "{kind:?}");
        }
    }
}
