//! One file an upstream.

pub mod elevenlabs;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![Box::new(elevenlabs::ElevenLabs)]
}
