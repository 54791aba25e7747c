//! Doubles of the upstreams: they check everything and take nothing that is not documented.

pub mod asked;
pub mod check;
pub mod did;
pub mod elevenlabs;
pub mod hedra;
pub mod heygen;
pub mod kling;
pub mod minimax;
pub mod pixverse;
pub mod sync;
pub mod vidu;
