//! Doitong: one GraphQL endpoint in front of AI video, image, speech and avatar models.

pub mod cli;

pub mod app;
pub mod config;
pub mod lifecycle;
pub mod telemetry;
pub mod trace;

pub mod worker;

pub mod client;
pub mod mcp;

pub mod graphql;
pub mod http;

pub mod accounts;
pub mod catalog;
pub mod db;
pub mod domain;
pub mod egress;
pub mod feed;
pub mod health;
pub mod jobs;
pub mod ledger;
pub mod limits;
pub mod media;
pub mod providers;
pub mod webhooks;

/// A fifth of the time of a request went into the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
