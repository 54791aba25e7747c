//! The state machine, checked exhaustively: every order of steps, crashes, lapsed leases, lost and found answers, cancels
//! and passing times, with the very decisions that workers run (`jobs::state`).
//!
//! `record.rs` is what statements do, and `statements.rs` holds it to the database; `upstream.rs` is what upstreams may
//! do; `world.rs` puts them together; `explore.rs` visits every world. What is assumed: an upstream's verdict is true
//! (what it says it does not have does not arrive later), and a request that is sent under a lease arrives within it.

mod explore;
mod record;
mod statements;
mod upstream;
mod world;

use doitong::{
    domain::{Verdict, fault::Kind},
    jobs::state::{self, Next},
    providers::Reconciled,
};

use explore::explore;
use upstream::Protocol;
use world::{Luck, REAL, Rules, Setup};

const PROTOCOLS: [Protocol; 3] = [Protocol::Mute, Protocol::Tells, Protocol::Resends];

fn one(protocol: Protocol, rules: Rules) -> Setup {
    Setup { requests: 1, workers: 2, routes: 2, protocol, luck: Luck::Bad, rules }
}

#[test]
fn one_request_is_paid_once_and_ends_whatever_happens() {
    for protocol in PROTOCOLS {
        let explored = explore(&one(protocol, REAL)).unwrap_or_else(|violation| panic!("{protocol:?}: {violation}"));
        explored.can_always_end().unwrap_or_else(|violation| panic!("{protocol:?}: {violation}"));
        assert!(explored.len() > 1_000, "{protocol:?}: only {} worlds", explored.len());
    }
}

#[test]
fn two_requests_for_one_place_are_paid_once_each_and_both_end() {
    // With two workers and bad luck it is millions of worlds, and what workers do to each other shows with one request.
    let setup = Setup { requests: 2, workers: 1, routes: 1, luck: Luck::Good, ..one(Protocol::Tells, REAL) };
    let explored = explore(&setup).unwrap_or_else(|violation| panic!("{violation}"));
    explored.can_always_end().unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn with_all_time_gone_every_answer_leads_to_an_end() {
    for protocol in PROTOCOLS {
        let setup = Setup { luck: Luck::Late, ..one(protocol, REAL) };
        let explored = explore(&setup).unwrap_or_else(|violation| panic!("{protocol:?}: {violation}"));
        explored.must_end().unwrap_or_else(|violation| panic!("{protocol:?}: {violation}"));
    }
}

/// The violation that the wrong rules lead to, in its first line.
fn violation(setup: &Setup) -> String {
    let explored = explore(setup).and_then(|explored| {
        explored.can_always_end()?;
        if setup.luck == Luck::Late { explored.must_end() } else { Ok(()) }
    });
    let Err(violation) = explored else { panic!("the wrong rules are not found out") };
    violation.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_retry_after_an_unknown_submit_is_found_out() {
    let rules = || Rules {
        after_submit: |answer| match state::after_submit(answer) {
            Next::Reconcile => Next::Submit,
            next => next,
        },
        ..REAL
    };
    for protocol in PROTOCOLS {
        assert_eq!(violation(&one(protocol, rules())), "an upstream is paid twice");
    }
}

#[test]
fn a_fail_over_after_an_unknown_submit_is_found_out() {
    let rules = Rules {
        after_submit: |answer| match answer {
            Err(fault) if fault.verdict == Verdict::Unknown => Next::Elsewhere(fault),
            answer => state::after_submit(answer),
        },
        ..REAL
    };
    assert_eq!(violation(&one(Protocol::Tells, rules)), "an upstream is paid twice");
}

#[test]
fn a_submit_after_no_answer_about_the_last_is_found_out() {
    let mute = Rules {
        after_reconcile: |answer, trouble, time| match answer {
            Ok(Reconciled::Unsupported) => Next::Submit,
            answer => state::after_reconcile(answer, trouble, time),
        },
        ..REAL
    };
    assert_eq!(violation(&one(Protocol::Mute, mute)), "an upstream is paid twice");
    let gone = Rules {
        after_poll: |answer, time| match answer {
            Err(fault) if fault.kind == Kind::Gone => Next::Submit,
            answer => state::after_poll(answer, time),
        },
        ..REAL
    };
    // The statement itself refuses it: what runs is not made ready again.
    explore(&one(Protocol::Tells, gone)).unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn a_submit_by_a_worker_that_stood_still_is_found_out() {
    let rules = Rules { looks_before_it_sends: false, ..REAL };
    assert_eq!(violation(&one(Protocol::Tells, rules)), "an upstream is paid twice");
}

#[test]
fn changes_that_name_no_lease_are_found_out() {
    let rules = Rules { is_fenced: false, ..REAL };
    assert_eq!(violation(&one(Protocol::Tells, rules)), "an upstream is paid twice");
}

#[test]
fn tries_without_end_are_found_out() {
    let never_arrives = Rules {
        after_reconcile: |answer, trouble, time| match answer {
            Ok(Reconciled::Absent) => Next::Submit,
            answer => state::after_reconcile(answer, trouble, time),
        },
        ..REAL
    };
    let setup = Setup { luck: Luck::Late, ..one(Protocol::Tells, never_arrives) };
    assert_eq!(violation(&setup), "it may go on for ever");
    let no_deadline = Rules { after_poll: |answer, _| state::after_poll(answer, state::Time::Left), ..REAL };
    let setup = Setup { luck: Luck::Late, ..one(Protocol::Mute, no_deadline) };
    assert_eq!(violation(&setup), "it may go on for ever");
}
