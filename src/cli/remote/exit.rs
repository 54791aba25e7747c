//! With which code a command ends; `docs/cli.md` has the table.

use std::process::ExitCode;

use crate::client::Refusal;

const INVALID: u8 = 2;
const UNAUTHENTICATED: u8 = 3;
const CREDITS: u8 = 4;
const LIMIT: u8 = 5;
const UNAVAILABLE: u8 = 6;
const NOT_SAVED: u8 = 7;
const INTERRUPTED: u8 = 130;

/// The generation is complete, and its result could not be saved.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotSaved(pub String);

/// Ended by a signal.
pub(super) fn interrupted() -> ExitCode {
    ExitCode::from(INTERRUPTED)
}

/// The code of what went wrong; 1 for what has none of its own, as a failed generation.
pub(in crate::cli) fn code_of(error: &anyhow::Error) -> ExitCode {
    if error.is::<NotSaved>() {
        return ExitCode::from(NOT_SAVED);
    }
    error.downcast_ref::<Refusal>().map_or(ExitCode::FAILURE, |refusal| ExitCode::from(of_refusal(&refusal.code)))
}

fn of_refusal(code: &str) -> u8 {
    match code {
        "UNAUTHENTICATED" => UNAUTHENTICATED,
        "INSUFFICIENT_CREDITS" => CREDITS,
        "RATE_LIMIT" => LIMIT,
        "PROVIDER_UNAVAILABLE" | "INTERNAL" | "UNREACHABLE" => UNAVAILABLE,
        // INVALID_INPUT, NOT_FOUND, and whatever else is said about the request itself.
        _ => INVALID,
    }
}
