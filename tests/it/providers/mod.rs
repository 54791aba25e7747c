//! Every adapter against a double that speaks its upstream's documented protocol, strictly.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the code of tests, also outside of test functions")]

mod ark;
mod doubles;
mod google_tts;
mod imagen;
mod openai;
mod support_u2;
mod veo;
