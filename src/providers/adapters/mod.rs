//! One file an upstream.

pub mod kling;
pub mod minimax;
pub mod pixverse;
pub mod vidu;

use super::Provider;

/// Every adapter.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![Box::new(kling::Kling), Box::new(minimax::MiniMax), Box::new(pixverse::PixVerse), Box::new(vidu::Vidu)]
}
