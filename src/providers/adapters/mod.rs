//! One file an upstream.

pub mod did;
pub mod elevenlabs;
pub mod hedra;
pub mod heygen;
pub mod kling;
pub mod minimax;
pub mod pixverse;
pub mod sync;
pub mod vidu;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(did::Did),
        Box::new(elevenlabs::ElevenLabs),
        Box::new(hedra::Hedra),
        Box::new(heygen::HeyGen),
        Box::new(kling::Kling),
        Box::new(minimax::MiniMax),
        Box::new(pixverse::PixVerse),
        Box::new(sync::Sync),
        Box::new(vidu::Vidu),
    ]
}
