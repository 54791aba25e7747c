//! Doubles of the upstreams: they check everything and take nothing that is not documented.

pub mod check;
pub mod kling;
pub mod minimax;
pub mod pixverse;
pub mod vidu;
