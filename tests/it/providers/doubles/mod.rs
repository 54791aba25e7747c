//! Doubles of the upstreams: they check everything and take nothing that is not documented.

pub mod check;
pub mod comfyui;
pub mod fal;
pub mod kling;
pub mod minimax;
pub mod pixverse;
pub mod replicate;
pub mod sdwebui;
pub mod stability;
pub mod vidu;
