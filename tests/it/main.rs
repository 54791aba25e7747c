//! The integration tests: one binary, real PostgreSQL, real HTTP.
#![allow(clippy::unwrap_used, reason = "a test's helpers are test code")]

mod architecture;
mod choice;
mod cli;
mod console;
mod egress;
mod embedded;
mod graphql;
mod jobs;
mod ledger;
mod live;
mod mcp;
mod media;
mod providers;
mod published;
mod support;
mod webhooks;
