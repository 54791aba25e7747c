//! Webhooks: what is sent, to whom, signed how, and again when.

mod delivery;
mod guard;
mod secrets;
