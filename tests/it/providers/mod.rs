//! Every adapter against a double that speaks its upstream's documented protocol, strictly.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the code of tests, also outside of test functions")]

mod did;
mod doubles;
mod elevenlabs;
mod hedra;
mod heygen;
mod kling;
mod minimax;
mod pixverse;
mod support_u1;
mod support_u5;
mod sync;
mod vidu;
