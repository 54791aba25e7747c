//! The GraphQL edge: types, resolvers that translate and delegate, and what a document may be.
//!
//! A request passes [`document::Documents::prepare`] (parse, limits, the dialect of older clients) before the schema
//! sees it. Resolvers never call an upstream.

pub mod dialect;
pub mod document;
pub mod error;
mod generate;
mod limits;
mod mutation;
mod query;
pub mod request;
mod subscription;
mod types;

use std::sync::Arc;

use async_graphql::{Schema, SchemaBuilder};

use crate::app::App;
pub use mutation::Mutation;
pub use query::Query;
pub use subscription::Subscription;

/// The schema with its resolvers.
pub type Api = Schema<Query, Mutation, Subscription>;

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation, Subscription)
}

/// The schema on an app.
pub fn api(app: Arc<App>) -> Api {
    builder().data(app).finish()
}

/// The schema in SDL.
pub fn sdl() -> String {
    builder()
        .finish()
        .sdl_with_options(async_graphql::SDLExportOptions::new().sorted_enum_items().include_specified_by())
}
