//! Copies the results of a finished task into the media store, and describes them.

use futures_util::TryStreamExt as _;
use serde_json::{Map, Value, json};

use super::step::{Work, notes};
use crate::{
    domain::output::{Asset, Output, Outputs, Source},
    media::{Expected, KeepError},
};

/// The files of a generation, kept.
pub(super) struct Kept {
    pub assets: Vec<Asset>,
    pub metadata: Value,
}

/// Why a result was not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    /// The upstream's link has expired.
    #[error("the link has expired")]
    Gone,
    /// The upstream does not hand it over now.
    #[error("the download failed: {0}")]
    Download(String),
    /// There is nothing to keep.
    #[error("there is no file")]
    Nothing,
    /// The store does not take it.
    #[error("{0}")]
    Store(#[from] KeepError),
}

/// Whether any file is still at the upstream.
pub(super) fn needs_download(outputs: &Outputs) -> bool {
    outputs.files.iter().any(|file| matches!(file.source, Source::Url { .. }))
}

/// Keeps all files, or none.
pub(super) async fn keep_all(work: &Work, outputs: &Outputs) -> Result<Kept, NotKept> {
    if outputs.files.is_empty() {
        return Err(NotKept::Nothing);
    }
    let mut assets = Vec::with_capacity(outputs.files.len());
    for file in &outputs.files {
        match keep(work, file).await {
            Ok(asset) => assets.push(asset),
            Err(error) => {
                discard(work, &assets).await;
                return Err(error);
            }
        }
    }
    let metadata = metadata(work, &assets, outputs);
    Ok(Kept { assets, metadata })
}

async fn keep(work: &Work, file: &Output) -> Result<Asset, NotKept> {
    let expected = Expected::Result(file.content_type.as_deref());
    match &file.source {
        Source::Bytes(bytes) => Ok(work.app.media.keep_bytes(bytes.clone(), expected).await?),
        Source::Url { url, authorized } => {
            let download = |what: String| NotKept::Download(what);
            let answer = work.app.registry.open(&work.job.upstream, url, *authorized).await;
            let answer = answer.map_err(|fault| download(fault.detail))?;
            match answer.status().as_u16() {
                200..=299 => {}
                401 | 403 | 404 | 410 => return Err(NotKept::Gone),
                status => return Err(download(format!("HTTP {status}"))),
            }
            let bytes = answer.bytes_stream().map_err(reqwest::Error::without_url);
            Ok(work.app.media.keep(bytes, expected, work.app.config.media.max_result_bytes).await?)
        }
    }
}

/// Takes back files whose generation has ended without them.
pub(super) async fn discard(work: &Work, assets: &[Asset]) {
    for asset in assets {
        if let Err(error) = work.app.media.delete(&asset.path).await {
            tracing::warn!(
                error = format!("{error:#}"),
                media.path = asset.path,
                "a file that nobody needs was left behind"
            );
        }
    }
}

fn metadata(work: &Work, assets: &[Asset], outputs: &Outputs) -> Value {
    let mut metadata: Map<String, Value> = notes(outputs).collect();
    let options = &work.task.options;
    if let Some(asset) = assets.first() {
        let format = asset.path.rsplit_once('.').map(|(_, extension)| extension);
        let measured = json!({
            "width": asset.width,
            "height": asset.height,
            "duration": asset.duration,
            "fps": asset.fps,
            "sizeBytes": asset.size_bytes,
            "contentType": asset.content_type,
            "format": format,
        });
        metadata.extend(measured.as_object().cloned().unwrap_or_default());
    }
    let resolution = options.get("resolution").cloned().or_else(|| {
        let asset = assets.first()?;
        let lines = asset.width.zip(asset.height).map(|(width, height)| width.min(height))?;
        Some(Value::from(format!("{lines}p")))
    });
    let told = |name: &str| metadata.get(name).cloned().or_else(|| options.get(name).cloned()).unwrap_or_default();
    let (seed, voice) = (outputs.seed.map_or_else(|| told("seed"), Value::from), told("voice"));
    metadata.insert("resolution".to_owned(), resolution.unwrap_or_default());
    metadata.insert("seed".to_owned(), seed);
    metadata.insert("voice".to_owned(), voice);
    Value::Object(metadata)
}
