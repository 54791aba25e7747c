//! The media store: results and uploads, kept under unguessable paths; and the input files of requests.

mod inputs;

pub use inputs::{InputFile, Inputs};
