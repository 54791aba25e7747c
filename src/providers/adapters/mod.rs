//! One file an upstream.

pub mod did;
pub mod elevenlabs;
pub mod hedra;
pub mod heygen;
pub mod sync;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![
        Box::new(did::Did),
        Box::new(elevenlabs::ElevenLabs),
        Box::new(hedra::Hedra),
        Box::new(heygen::HeyGen),
        Box::new(sync::Sync),
    ]
}
