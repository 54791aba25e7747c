//! The integration tests: one binary, real PostgreSQL, real HTTP.
mod providers;
