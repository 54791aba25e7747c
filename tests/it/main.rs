//! The integration tests: one binary, real PostgreSQL, real HTTP.
#![allow(clippy::unwrap_used, reason = "a test's helpers are test code")]

mod architecture;
mod chaos;
mod choice;
mod cli;
mod console;
mod docs;
mod egress;
mod embedded;
mod faults;
mod graphql;
mod hostile;
mod jobs;
mod ledger;
mod live;
mod mcp;
mod media;
mod plans;
mod properties;
mod providers;
mod published;
mod secrecy;
mod support;
mod webhooks;
