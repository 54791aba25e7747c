//! One file an upstream.

pub mod comfyui;
pub mod fal;
pub mod kling;
pub mod minimax;
pub mod pixverse;
pub mod replicate;
pub mod sdwebui;
pub mod stability;
pub mod vidu;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(comfyui::ComfyUi),
        Box::new(fal::Fal),
        Box::new(kling::Kling),
        Box::new(minimax::MiniMax),
        Box::new(pixverse::PixVerse),
        Box::new(replicate::Replicate),
        Box::new(sdwebui::SdWebui),
        Box::new(stability::Stability),
        Box::new(vidu::Vidu),
    ]
}
