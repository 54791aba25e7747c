//! What a generation yields.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use url::Url;

/// A result file as an upstream hands it over, before it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Output {
    /// Where its bytes are.
    pub source: Source,
    /// The content type, where the upstream tells it; the file itself has the last word.
    pub content_type: Option<String>,
}

/// Where the bytes of an output are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// To be downloaded. `authorized` asks for the upstream's own credentials on the request.
    Url {
        /// The address.
        url: Url,
        /// Whether the upstream wants its credentials on the download.
        authorized: bool,
    },
    /// Came with the answer. Kept by the step that received it, never in the job row.
    #[serde(skip)]
    Bytes(Bytes),
}

/// What an upstream says about a finished task besides its files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outputs {
    /// The files, best first.
    pub files: Vec<Output>,
    /// The seed that was used, where the upstream tells.
    pub seed: Option<i64>,
    /// Anything else worth showing in `metadata`, by its name there (`voice`, `fps`).
    pub notes: BTreeMap<String, serde_json::Value>,
}

impl Outputs {
    /// Whether there is nothing to keep: no file, or one without bytes.
    pub fn is_empty(&self) -> bool {
        let has_bytes = |file: &Output| !matches!(&file.source, Source::Bytes(bytes) if bytes.is_empty());
        self.files.is_empty() || !self.files.iter().all(has_bytes)
    }
}

/// A result file in our media store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asset {
    /// The path below `/media/`.
    pub path: String,
    /// The content type, read from the file.
    pub content_type: String,
    /// Width in pixels, for pictures and clips.
    pub width: Option<u32>,
    /// Height in pixels, for pictures and clips.
    pub height: Option<u32>,
    /// Length in seconds, for clips and sound.
    pub duration: Option<f64>,
    /// Frames a second, for clips.
    pub fps: Option<f64>,
    /// Size in bytes.
    pub size_bytes: i64,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}
