//! The media store: results and uploads, kept under unguessable paths; and the input files of requests.

mod inputs;
mod probe;

pub use inputs::{InputFile, Inputs};
pub use probe::{Probe, probe};
