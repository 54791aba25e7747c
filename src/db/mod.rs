//! The database: where it is and how it is reached.

pub mod embedded;
