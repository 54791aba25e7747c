//! The GraphQL edge, over real HTTP.

mod schema;
