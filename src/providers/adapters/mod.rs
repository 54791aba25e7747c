//! One file an upstream.

pub mod elevenlabs;
pub mod heygen;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![Box::new(elevenlabs::ElevenLabs), Box::new(heygen::HeyGen)]
}
