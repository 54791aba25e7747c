//! What a media file is, by its first bytes.

use std::io::{Read, Seek};

/// What a file says about itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// Its content type.
    pub content_type: &'static str,
    /// The usual extension of such files.
    pub extension: &'static str,
    /// Width in pixels.
    pub width: Option<u32>,
    /// Height in pixels.
    pub height: Option<u32>,
    /// Length in seconds.
    pub duration: Option<f64>,
    /// Frames a second.
    pub fps: Option<f64>,
}

/// Reads the file's signature; `None` for what is no media file we know.
pub fn probe<R: Read + Seek + Send + Sync>(mut file: R) -> Option<Probe> {
    let mut head = Vec::new();
    file.rewind().and_then(|()| file.by_ref().take(64).read_to_end(&mut head)).ok()?;
    let (content_type, extension) = match head.as_slice() {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => ("image/png", "png"),
        [0xff, 0xd8, 0xff, ..] => ("image/jpeg", "jpg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => ("image/gif", "gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => ("image/webp", "webp"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => ("audio/wav", "wav"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'q', b't', b' ', b' ', ..] => ("video/quicktime", "mov"),
        [_, _, _, _, b'f', b't', b'y', b'p', b'M', b'4', b'A', b' ', ..] => ("audio/mp4", "m4a"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => ("video/mp4", "mp4"),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => ("video/webm", "webm"),
        [b'O', b'g', b'g', b'S', ..] => ("audio/ogg", "ogg"),
        [b'f', b'L', b'a', b'C', ..] => ("audio/flac", "flac"),
        [b'I', b'D', b'3', ..] => ("audio/mpeg", "mp3"),
        [0xff, second, ..] if second & 0xe6 == 0xe2 => ("audio/mpeg", "mp3"),
        _ => return None,
    };
    Some(Probe { content_type, extension, width: None, height: None, duration: None, fps: None })
}
