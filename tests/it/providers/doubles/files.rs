//! The files that the doubles hand out: small and real.

use axum::response::{IntoResponse, Response};
use base64::{Engine, engine::general_purpose::STANDARD};

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../../fixtures/media/", $name))
    };
}

/// The content type and the bytes of a file with this extension.
pub fn sample(extension: &str) -> Option<(&'static str, &'static [u8])> {
    Some(match extension {
        "png" => ("image/png", file!("a.png")),
        "jpg" | "jpeg" => ("image/jpeg", file!("a.jpg")),
        "webp" => ("image/webp", file!("a.webp")),
        "mp4" => ("video/mp4", file!("a.mp4")),
        "webm" => ("video/webm", file!("a.webm")),
        "mov" => ("video/quicktime", file!("a.mov")),
        "mp3" => ("audio/mpeg", file!("plain.mp3")),
        "wav" => ("audio/wav", file!("a.wav")),
        "flac" => ("audio/flac", file!("a.flac")),
        "aac" => ("audio/aac", file!("a.aac")),
        "opus" | "ogg" => ("audio/ogg", file!("opus.ogg")),
        // The bytes of no container: silence.
        "pcm" => ("audio/pcm", &[0; 512]),
        _ => return None,
    })
}

/// A file in base64.
pub fn base64(extension: &str) -> String {
    STANDARD.encode(sample(extension).unwrap().1)
}

/// The file at an address, by the extension of its path.
pub fn at(path: &str) -> Option<Response> {
    let (content_type, bytes) = sample(path.rsplit_once('.')?.1)?;
    Some(([("content-type", content_type)], bytes).into_response())
}
