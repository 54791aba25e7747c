//! The media store: results and uploads, kept under unguessable paths; and the input files of requests.

mod bucket;
mod inputs;
mod links;
mod probe;
mod spool;
mod store;
mod types;

pub use inputs::{InputFile, Inputs};
pub use links::Links;
pub use probe::{Probe, probe};
pub use store::{Expected, KeepError, Store, StoredFile};
pub use types::{MAX_INPUT_BYTES, extension};
