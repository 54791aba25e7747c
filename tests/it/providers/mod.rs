//! Every adapter against a double that speaks its upstream's documented protocol, strictly.
#![expect(clippy::unwrap_used, clippy::panic, reason = "the code of tests, also outside of test functions")]

mod ark;
mod bfl;
mod comfyui;
mod creatify;
mod dashscope;
mod did;
pub mod doubles;
mod elevenlabs;
mod fal;
mod google_tts;
mod hedra;
mod heygen;
mod imagen;
mod kling;
mod luma;
mod minimax;
mod mutated;
mod openai;
mod pixverse;
mod replicate;
mod runway;
mod sdwebui;
mod stability;
pub mod support;
mod sync;
mod veo;
mod vidu;
