//! What to render, read from a task: options arrive with the values of any catalogued model (`1k`, `720p`, `1024x1024`,
//! `mp3_44100_128`), so they are read leniently and bounded.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{domain::GenerationType, providers::Task};

/// Words are spoken at this speed.
const CHARACTERS_PER_SECOND: f64 = 15.0;

/// The longest clip, in seconds.
const MAX_CLIP_SECONDS: f64 = 120.0;

/// The longest sound, in seconds.
const MAX_SOUND_SECONDS: f64 = 300.0;

/// The longest side of a picture.
const MAX_SIDE: u32 = 4096;

/// The most pixels of a frame: what H.264 level 5.2 allows, a little more than 4K.
const MAX_FRAME_PIXELS: f64 = 3840.0 * 2304.0;

/// The most pixels a clip may cost to encode: 10 s of 1080p at 24 frames a second. Longer or larger clips get fewer
/// frames a second.
const PIXEL_BUDGET: f64 = 1920.0 * 1080.0 * 240.0;

/// A file to render. The same spec gives the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spec {
    /// The prompt.
    pub(super) text: String,
    /// Media it is made from, for the caption.
    pub(super) from: Option<&'static str>,
    /// The voice asked for.
    pub(super) voice: Option<String>,
    pub(super) seed: i64,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Pictures(Pictures),
    Sound(Sound),
    Clip(Clip),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pictures {
    pub(super) size: Size,
    pub(super) count: u32,
    pub(super) format: PictureFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PictureFormat {
    Png,
    Jpeg,
    Webp,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sound {
    pub(super) seconds: f64,
    pub(super) format: SoundFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SoundFormat {
    Mp3,
    Wav,
    Flac,
    Aac,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clip {
    pub(super) size: Size,
    pub(super) frames: u32,
    pub(super) fps: u32,
    /// Whether a face speaks the text.
    pub(super) speaks: bool,
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Spec {
    pub(super) fn of(task: &Task) -> Self {
        let options = &task.options;
        let text = task.input.text.clone().unwrap_or_default();
        let kind = match task.r#type {
            GenerationType::Image => Kind::Pictures(Pictures {
                size: picture_size(options),
                count: number(options, "n").map_or(1, |n| whole(n.clamp(1.0, 10.0))),
                format: picture_format(options),
            }),
            GenerationType::Audio => Kind::Sound(Sound {
                seconds: (speech_seconds(&text) / number(options, "speed").unwrap_or(1.0).clamp(0.25, 4.0))
                    .clamp(1.0, MAX_SOUND_SECONDS),
                format: sound_format(options),
            }),
            GenerationType::Video => Kind::Clip(clip(options, number(options, "duration").unwrap_or(5.0), false)),
            GenerationType::Avatar => Kind::Clip(clip(options, speech_seconds(&text).clamp(2.0, 60.0), true)),
        };
        let voice = options.get("voice").and_then(Value::as_str).or(task.input.voice.as_deref()).map(str::to_owned);
        Self { from: source(task), voice, seed: seed(task), text, kind }
    }
}

impl Kind {
    /// The file format, as it is called in `metadata.format`.
    pub(super) const fn format(&self) -> &'static str {
        match self {
            Self::Pictures(Pictures { format: PictureFormat::Png, .. }) => "png",
            Self::Pictures(Pictures { format: PictureFormat::Jpeg, .. }) => "jpeg",
            Self::Pictures(Pictures { format: PictureFormat::Webp, .. }) => "webp",
            Self::Sound(Sound { format: SoundFormat::Mp3, .. }) => "mp3",
            Self::Sound(Sound { format: SoundFormat::Wav, .. }) => "wav",
            Self::Sound(Sound { format: SoundFormat::Flac, .. }) => "flac",
            Self::Sound(Sound { format: SoundFormat::Aac, .. }) => "aac",
            Self::Clip(_) => "mp4",
        }
    }
}

fn source(task: &Task) -> Option<&'static str> {
    let input = &task.input;
    let pictures = input.image.is_some() || input.last_image.is_some() || input.images.is_some();
    match (pictures, input.video.is_some(), input.audio.is_some()) {
        (true, ..) => Some("from image"),
        (_, true, _) => Some("from video"),
        (.., true) => Some("from audio"),
        _ => None,
    }
}

/// The seed asked for, or one that follows from the request.
fn seed(task: &Task) -> i64 {
    match number(&task.options, "seed") {
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
        Some(seed) if seed >= 0.0 => seed as i64,
        _ => {
            let request = serde_json::json!([task.r#type, task.model, task.input, task.options]).to_string();
            let digest = Sha256::digest(request);
            digest.iter().take(4).fold(0, |seed, byte| seed << 8 | i64::from(*byte)) >> 1
        }
    }
}

fn speech_seconds(text: &str) -> f64 {
    f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX)) / CHARACTERS_PER_SECOND
}

fn picture_format(options: &Map<String, Value>) -> PictureFormat {
    let format = word(options, "format").unwrap_or_default();
    match format.as_str() {
        _ if format.contains("jp") => PictureFormat::Jpeg,
        _ if format.contains("webp") => PictureFormat::Webp,
        _ => PictureFormat::Png,
    }
}

fn sound_format(options: &Map<String, Value>) -> SoundFormat {
    let format = word(options, "format").unwrap_or_default();
    let any = |names: &[&str]| names.iter().any(|name| format.contains(name));
    match () {
        () if any(&["wav", "pcm", "linear"]) => SoundFormat::Wav,
        () if any(&["flac"]) => SoundFormat::Flac,
        () if any(&["aac"]) => SoundFormat::Aac,
        () => SoundFormat::Mp3,
    }
}

fn clip(options: &Map<String, Value>, seconds: f64, speaks: bool) -> Clip {
    let size = frame_size(options);
    let seconds = seconds.clamp(0.5, MAX_CLIP_SECONDS);
    let pixels = f64::from(size.width) * f64::from(size.height) * seconds;
    let fps = [24, 12, 8, 6, 4, 2].into_iter().find(|fps| pixels * f64::from(*fps) <= PIXEL_BUDGET).unwrap_or(1);
    Clip { size, frames: whole(seconds * f64::from(fps)).max(1), fps, speaks }
}

/// How large, as an option says it.
#[derive(Clone, Copy)]
enum Scale {
    /// `1024x1536`.
    Exact(f64, f64),
    /// `720p`: the shorter side.
    Short(f64),
    /// `2k`: in thousands (of 1024) pixels a side, of a square.
    Thousands(f64),
}

fn picture_size(options: &Map<String, Value>) -> Size {
    let (across, down) = ratio(options).unwrap_or((1.0, 1.0));
    let (width, height) = match scale(options).unwrap_or(Scale::Thousands(1.0)) {
        Scale::Exact(width, height) => (width, height),
        Scale::Short(short) => (short * (across / down).max(1.0), short * (down / across).max(1.0)),
        Scale::Thousands(k) => {
            // Whole multiples of the ratio's terms keep it exact.
            let unit = k * 1024.0 / (across * down).sqrt();
            let unit = if unit >= 16.0 { unit.round() } else { unit };
            (across * unit, down * unit)
        }
    };
    let shrink = (f64::from(MAX_SIDE) / width.max(height)).min(1.0);
    let side = |pixels: f64| whole(pixels * shrink).clamp(16, MAX_SIDE);
    Size { width: side(width), height: side(height) }
}

/// As for a picture, in even numbers; `1k` to `4k` are the names of film formats here.
fn frame_size(options: &Map<String, Value>) -> Size {
    let (across, down) = ratio(options).unwrap_or((16.0, 9.0));
    let short = match scale(options) {
        Some(Scale::Short(short)) => short,
        Some(Scale::Thousands(k)) if k < 2.0 => 1080.0,
        Some(Scale::Thousands(k)) if k < 4.0 => 1440.0,
        Some(Scale::Thousands(_)) => 2160.0,
        Some(Scale::Exact(..)) | None => 720.0,
    };
    let (width, height) = match scale(options) {
        Some(Scale::Exact(width, height)) => (width, height),
        _ => (short * (across / down).max(1.0), short * (down / across).max(1.0)),
    };
    let shrink = (MAX_FRAME_PIXELS / (width * height)).sqrt().min(1.0);
    let side = |pixels: f64| (whole(pixels * shrink / 2.0) * 2).clamp(32, MAX_SIDE);
    Size { width: side(width), height: side(height) }
}

fn scale(options: &Map<String, Value>) -> Option<Scale> {
    ["resolution", "size", "aspectRatio"].into_iter().find_map(|name| {
        let text = word(options, name)?;
        match pair(&text) {
            Some((width, height)) => (width.min(height) >= 64.0).then_some(Scale::Exact(width, height)),
            None if name == "aspectRatio" => None,
            None => named_scale(&text),
        }
    })
}

fn named_scale(text: &str) -> Option<Scale> {
    let positive = |digits: &str| digits.trim().parse().ok().filter(|number| *number > 0.0);
    match text {
        "sd" => return Some(Scale::Short(480.0)),
        "hd" => return Some(Scale::Short(720.0)),
        "fhd" | "full_hd" | "fullhd" => return Some(Scale::Short(1080.0)),
        "uhd" => return Some(Scale::Short(2160.0)),
        _ => {}
    }
    if let Some(digits) = text.strip_suffix("mp") {
        return positive(digits).map(|megapixels: f64| Scale::Thousands(megapixels.sqrt()));
    }
    if let Some(digits) = text.strip_suffix('k') {
        return positive(digits).map(Scale::Thousands);
    }
    positive(text.trim_end_matches('p')).filter(|short| *short >= 64.0).map(Scale::Short)
}

/// The aspect ratio in its lowest terms, at most 8 to 1.
fn ratio(options: &Map<String, Value>) -> Option<(f64, f64)> {
    let text = word(options, "aspectRatio")?;
    let (across, down) = match text.as_str() {
        _ if text.starts_with("landscape") || text.starts_with("horizontal") => (16.0, 9.0),
        _ if text.starts_with("portrait") || text.starts_with("vertical") => (9.0, 16.0),
        _ if text.starts_with("square") => (1.0, 1.0),
        _ => pair(&text)?,
    };
    (0.125..=8.0).contains(&(across / down)).then_some((across, down))
}

/// Two numbers: `16:9`, `1024x1536`, `1280*720`.
fn pair(text: &str) -> Option<(f64, f64)> {
    let (left, right) = text.split_once([':', 'x', '*', '×', '/'])?;
    let side = |text: &str| text.trim().parse::<f64>().ok().filter(|side| side.is_finite() && *side > 0.0);
    side(left).zip(side(right))
}

/// An option as a number; `"5"` and `"5s"` are numbers too.
fn number(options: &Map<String, Value>, name: &str) -> Option<f64> {
    let number = match options.get(name)? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().trim_end_matches('s').parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// An option as a lower-case word.
fn word(options: &Map<String, Value>, name: &str) -> Option<String> {
    match options.get(name)? {
        Value::String(text) => Some(text.trim().to_lowercase()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The nearest whole number of something.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn whole(number: f64) -> u32 {
    number.round() as u32
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn sizes_of_pictures() {
        for (given, width, height) in [
            (json!({}), 1024, 1024),
            (json!({"aspectRatio": "16:9"}), 1360, 765),
            (json!({"aspectRatio": "9:16", "resolution": "2k"}), 1539, 2736),
            (json!({"resolution": "4k"}), 4096, 4096),
            (json!({"resolution": "1024x1536"}), 1024, 1536),
            (json!({"aspectRatio": "1536x1024"}), 1536, 1024),
            (json!({"aspectRatio": "16:9", "resolution": "720p"}), 1280, 720),
            (json!({"resolution": "1 MP"}), 1024, 1024),
            (json!({"resolution": "99999x10"}), 1024, 1024),
            (json!({"resolution": "99999x128"}), 4096, 16),
        ] {
            assert_eq!(picture_size(&options(&given)), Size { width, height }, "{given}");
        }
    }

    #[test]
    fn sizes_of_frames_are_even() {
        for (given, width, height) in [
            (json!({}), 1280, 720),
            (json!({"resolution": "1080p"}), 1920, 1080),
            (json!({"resolution": "1080p", "aspectRatio": "9:16"}), 1080, 1920),
            (json!({"resolution": "1080p", "aspectRatio": "1:1"}), 1080, 1080),
            (json!({"resolution": "768P", "aspectRatio": "4:3"}), 1024, 768),
            (json!({"resolution": "480p"}), 854, 480),
            (json!({"resolution": "4k"}), 3840, 2160),
            (json!({"resolution": "1281x721"}), 1282, 722),
            (json!({"resolution": "720", "aspectRatio": "adaptive"}), 1280, 720),
        ] {
            assert_eq!(frame_size(&options(&given)), Size { width, height }, "{given}");
        }
    }

    #[test]
    fn long_and_large_clips_get_fewer_frames() {
        let fps = |given: Value, seconds| clip(&options(&given), seconds, false).fps;
        assert_eq!(fps(json!({"resolution": "1080p"}), 10.0), 24);
        assert_eq!(fps(json!({"resolution": "1080p"}), 20.0), 12);
        assert_eq!(fps(json!({"resolution": "4k"}), 8.0), 6);
    }

    #[test]
    fn durations_may_be_text() {
        assert_eq!(number(&options(&json!({"duration": "8s"})), "duration"), Some(8.0));
        assert_eq!(number(&options(&json!({"duration": "auto"})), "duration"), None);
    }
}
