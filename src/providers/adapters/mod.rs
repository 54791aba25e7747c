//! One file an upstream.

pub mod elevenlabs;
pub mod hedra;
pub mod heygen;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![Box::new(elevenlabs::ElevenLabs), Box::new(hedra::Hedra), Box::new(heygen::HeyGen)]
}
