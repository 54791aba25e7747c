//! Every adapter against a double that speaks its upstream's documented protocol, strictly.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the code of tests, also outside of test functions")]

mod ark;
mod comfyui;
mod doubles;
mod fal;
mod google_tts;
mod imagen;
mod kling;
mod minimax;
mod openai;
mod pixverse;
mod replicate;
mod sdwebui;
mod stability;
mod support_u1;
mod support_u2;
mod support_u4;
mod veo;
mod vidu;
