//! Webhooks: telling the caller's server what became of a generation.

pub mod signature;
