//! The integration tests: one binary, real PostgreSQL, real HTTP.
mod egress;
mod embedded;
mod providers;
