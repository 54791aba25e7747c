//! The content types that are kept, and what their files are called.

/// The largest input file.
pub const MAX_INPUT_BYTES: u64 = 100 << 20;

/// File extensions and content types. Nothing here can carry a script that a browser would run.
const TYPES: &[(&str, &str)] = &[
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("avif", "image/avif"),
    ("mp4", "video/mp4"),
    ("webm", "video/webm"),
    ("mov", "video/quicktime"),
    ("mkv", "video/x-matroska"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("m4a", "audio/mp4"),
    ("weba", "audio/webm"),
    ("aac", "audio/aac"),
    ("pcm", "audio/pcm"),
];

/// What an input file may be.
const INPUT_TYPES: &[&str] = &[
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/gif",
    "video/mp4",
    "video/webm",
    "video/quicktime",
    "audio/mpeg",
    "audio/wav",
    "audio/ogg",
    "audio/flac",
    "audio/mp4",
    "audio/webm",
];

/// Whether an input file may be of this type.
pub(super) fn is_input(content_type: &str) -> bool {
    INPUT_TYPES.contains(&content_type)
}

/// The extension of files of a type, for the types that are kept.
pub fn extension(content_type: &str) -> Option<&'static str> {
    TYPES.iter().find(|(_, known)| *known == content_type).map(|(extension, _)| *extension)
}

/// The content type of a stored file, by its path.
pub(super) fn of_path(path: &str) -> &'static str {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    TYPES.iter().find(|(known, _)| *known == extension).map_or("application/octet-stream", |(_, name)| name)
}
