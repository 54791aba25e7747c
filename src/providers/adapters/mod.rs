//! One file an upstream.

pub mod comfyui;
pub mod fal;
pub mod replicate;
pub mod sdwebui;
pub mod stability;

use super::Provider;

/// All adapters.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(comfyui::ComfyUi),
        Box::new(fal::Fal),
        Box::new(replicate::Replicate),
        Box::new(sdwebui::SdWebui),
        Box::new(stability::Stability),
    ]
}
