//! One file an upstream.

pub mod ark;
pub mod comfyui;
pub mod fal;
pub mod google_tts;
pub mod imagen;
pub mod kling;
pub mod minimax;
pub mod openai;
pub mod pixverse;
pub mod replicate;
pub mod sdwebui;
pub mod stability;
pub mod veo;
pub mod vidu;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(ark::Ark),
        Box::new(comfyui::ComfyUi),
        Box::new(fal::Fal),
        Box::new(google_tts::GoogleTts),
        Box::new(imagen::Imagen),
        Box::new(kling::Kling),
        Box::new(minimax::MiniMax),
        Box::new(openai::OpenAi),
        Box::new(pixverse::PixVerse),
        Box::new(replicate::Replicate),
        Box::new(sdwebui::SdWebui),
        Box::new(stability::Stability),
        Box::new(veo::Veo),
        Box::new(vidu::Vidu),
    ]
}
