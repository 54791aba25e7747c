//! The GraphQL edge: types, resolvers that translate and delegate, and what a document may be.
//!
//! A request passes [`document::Documents::prepare`] (parse, limits, the dialect of older clients) before the schema
//! sees it. Resolvers never call an upstream.
#![expect(clippy::unused_async, reason = "the schema's macros take async functions only")]

pub mod dialect;
pub mod document;
pub mod error;
mod generate;
pub mod label;
mod lexer;
mod limits;
mod mutation;
mod query;
pub mod request;
pub mod subscription;
mod types;
mod values;

use std::sync::Arc;

use async_graphql::{SDLExportOptions, Schema, SchemaBuilder};

use crate::{app::App, domain::Timestamp};
pub use mutation::Mutation;
pub use query::Query;
pub use subscription::Subscription;

/// The schema with its resolvers.
pub type Api = Schema<Query, Mutation, Subscription>;

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation, Subscription)
        .override_output_type_description::<Timestamp>("A moment in RFC 3339: `2026-01-31T12:00:00.123456+00:00`.")
}

/// The schema on an app.
pub fn api(app: Arc<App>) -> Api {
    builder().data(app).finish()
}

/// The schema in SDL.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by().prefer_single_line_descriptions();
    builder().finish().sdl_with_options(options)
}
