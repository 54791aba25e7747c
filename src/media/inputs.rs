//! Input files of a request: read for upstreams that want bytes, or made reachable for those that want a URL.

use bytes::Bytes;

use crate::domain::Fault;

/// An input file, read whole.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its content type, read from the bytes.
    pub content_type: String,
}

/// Reads input files and makes them reachable.
pub struct Inputs {}

impl Inputs {
    /// The bytes behind an input URL.
    pub async fn read(&self, _url: &str) -> Result<InputFile, Fault> {
        todo!()
    }

    /// An address of the input that an upstream can fetch; `local` when the upstream runs on this machine.
    pub async fn reachable(&self, _url: &str, _local: bool) -> Result<String, Fault> {
        todo!()
    }
}
