//! The catalogue: providers, their models, options, routes and prices, all read from `config/catalog/*.toml`.
//!
//! [`spec`] is the shape of the files. Everything that is known of a request before an upstream sees it is
//! decided here, from this one source: validation, adjustments, price, choice.

pub mod spec;
