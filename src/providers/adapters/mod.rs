//! One file an upstream.

pub mod ark;
pub mod google_tts;
pub mod imagen;
pub mod openai;
pub mod veo;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(ark::Ark),
        Box::new(google_tts::GoogleTts),
        Box::new(imagen::Imagen),
        Box::new(openai::OpenAi),
        Box::new(veo::Veo),
    ]
}
