//! Input files on their way to an upstream: by address, in the request, or as a part of a form.

use reqwest::multipart::Part;

use super::{Cx, http::preparing};
use crate::{
    domain::{Fault, fault::Kind},
    media::InputFile,
};

/// An address of the input that the upstream can fetch; `None` where it has to be sent as bytes: a `data:` input, or a
/// file of ours that nobody outside reaches.
pub async fn address(cx: &Cx, input: &str) -> Result<Option<String>, Fault> {
    if input.starts_with("data:") {
        return Ok(None);
    }
    match cx.input_url(input).await {
        Ok(url) => Ok(Some(url)),
        Err(fault) if fault.kind == Kind::Account => Ok(None),
        Err(fault) => Err(preparing(fault)),
    }
}

/// An address of the input that the upstream can fetch.
pub async fn link(cx: &Cx, input: &str) -> Result<String, Fault> {
    cx.input_url(input).await.map_err(preparing)
}

/// The input as an address where it can be one, else as `inline` writes the file.
pub async fn link_or_inline(cx: &Cx, input: &str, inline: fn(&InputFile) -> String) -> Result<String, Fault> {
    match address(cx, input).await? {
        Some(url) => Ok(url),
        None => Ok(inline(&bytes(cx, input).await?)),
    }
}

/// The bytes of the input.
pub async fn bytes(cx: &Cx, input: &str) -> Result<InputFile, Fault> {
    cx.input(input).await.map_err(preparing)
}

/// The file as a part of a form.
pub fn part(file: InputFile) -> Result<Part, Fault> {
    let name = file_name(&file);
    Part::stream(file.bytes)
        .file_name(name)
        .mime_str(&file.content_type)
        .map_err(|error| Fault::refused(Kind::InvalidInput, "the input has no proper content type").because(error))
}

/// A name with the extension that fits the content: some services go by that.
pub fn file_name(file: &InputFile) -> String {
    let kind = file.content_type.split(';').next().unwrap_or_default().trim();
    let extension = match kind {
        "image/jpeg" => "jpg",
        "audio/mpeg" => "mp3",
        "audio/x-wav" | "audio/wave" => "wav",
        "audio/mp4" | "audio/x-m4a" => "m4a",
        "video/quicktime" => "mov",
        other => other.rsplit_once('/').map_or("bin", |(_, extension)| extension.trim_start_matches("x-")),
    };
    format!("input.{extension}")
}
