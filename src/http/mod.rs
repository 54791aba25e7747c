//! The HTTP edge.

pub mod media;
