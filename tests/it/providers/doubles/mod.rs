//! Doubles of the upstreams: they check everything and take nothing that is not documented.

pub mod ark;
pub mod asked;
pub mod bfl;
pub mod board;
pub mod check;
pub mod comfyui;
pub mod creatify;
pub mod dashscope;
pub mod fal;
pub mod google;
pub mod google_tts;
pub mod imagen;
pub mod kling;
pub mod luma;
pub mod minimax;
pub mod openai;
pub mod pixverse;
pub mod replicate;
pub mod runway;
pub mod sdwebui;
pub mod stability;
pub mod veo;
pub mod vidu;
