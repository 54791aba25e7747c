//! Tells what a media file is from its bytes, never from its name, and measures it: size, length, frames a second.
//!
//! Files come from callers and upstreams, so nothing is believed: the demuxers read headers only, and one that panics
//! on a hostile file costs that file, not the worker.

use std::{
    io::{self, BufReader, Read, Seek, SeekFrom},
    panic::{AssertUnwindSafe, catch_unwind},
};

use mp4parse::{MediaContext, SampleEntry, Track, TrackType};
use symphonia::{
    core::{
        codecs::CodecParameters,
        formats::{FormatOptions, FormatReader},
        io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions},
    },
    default::formats::{AdtsReader, FlacReader, MkvReader, MpaReader, OggReader, WavReader},
};

/// How much of the head tells the kind.
const HEAD_BYTES: u64 = 64;

/// A file with more boxes than this before its `moov` is not one we read.
const MAX_TOP_BOXES: usize = 256;

/// The largest `moov` that is read: the index of many hours.
const MAX_MOOV_BYTES: u64 = 64 << 20;

/// What a media file is and measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// `video/mp4`.
    pub content_type: &'static str,
    /// The usual ending of the file's name, without a dot.
    pub extension: &'static str,
    /// Width in pixels, for pictures and clips.
    pub width: Option<u32>,
    /// Height in pixels, for pictures and clips.
    pub height: Option<u32>,
    /// Length in seconds, for clips and sound, where the file says it.
    pub duration: Option<f64>,
    /// Frames a second, for clips, where the file says it.
    pub fps: Option<f64>,
}

/// Reads the kind of a file and measures it. `None` for anything but PNG, JPEG, WebP, GIF, MP4, MOV, `WebM`, MP3, WAV,
/// OGG, FLAC, M4A and AAC, and for files of these kinds whose headers are broken.
pub fn probe<R: Read + Seek + Send + Sync>(mut reader: R) -> Option<Probe> {
    catch_unwind(AssertUnwindSafe(|| {
        let (kind, start) = recognise(&mut reader).ok()??;
        measure(kind, Section::new(reader, start).ok()?)
    }))
    .unwrap_or_default()
}

/// A container, as its first bytes tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Png,
    Jpeg,
    Webp,
    Gif,
    Mp4,
    Mov,
    Webm,
    Mp3,
    Wav,
    Ogg,
    Flac,
    Aac,
}

/// The kind of a file, and where it begins behind an ID3 tag.
fn recognise<R: Read + Seek>(reader: &mut R) -> io::Result<Option<(Kind, u64)>> {
    let first = head(reader, 0)?;
    let Some(start) = id3_length(&first) else { return Ok(Kind::of(&first).map(|kind| (kind, 0))) };
    let kind = Kind::of(&head(reader, start)?).filter(|kind| matches!(kind, Kind::Mp3 | Kind::Flac | Kind::Aac));
    Ok(kind.map(|kind| (kind, start)))
}

fn head<R: Read + Seek>(reader: &mut R, start: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.seek(SeekFrom::Start(start))?;
    reader.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head)
}

/// The length of an `ID3v2` tag with its header.
fn id3_length(head: &[u8]) -> Option<u64> {
    let [b'I', b'D', b'3', _, _, flags, size @ ..] = head else { return None };
    let size = size.first_chunk::<4>()?.iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f));
    let footer = if flags & 0x10 == 0 { 0 } else { 10 };
    Some(10 + size + footer)
}

impl Kind {
    fn of(head: &[u8]) -> Option<Self> {
        Some(match head {
            [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Self::Png,
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg,
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Self::Gif,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::Webp,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Self::Wav,
            [b'O', b'g', b'g', b'S', ..] => Self::Ogg,
            [b'f', b'L', b'a', b'C', ..] => Self::Flac,
            [0x1a, 0x45, 0xdf, 0xa3, ..] if head.windows(4).any(|word| word == b"webm") => Self::Webm,
            [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => return Self::of_brand(brand),
            [_, _, _, _, b'm', b'o', b'o', b'v', ..] | [_, _, _, _, b'w', b'i', b'd', b'e', ..] => Self::Mov,
            // The sync word, layer III, and neither a reserved rate nor a reserved version.
            [0xff, second, third, ..]
                if second & 0xe6 == 0xe2 && second & 0x18 != 0x08 && third & 0xf0 != 0xf0 && third & 0x0c != 0x0c =>
            {
                Self::Mp3
            }
            [0xff, second, ..] if second & 0xf6 == 0xf0 => Self::Aac,
            _ => return None,
        })
    }

    /// MP4 and `QuickTime` by the major brand. Still pictures of the family (HEIC, AVIF) are not taken.
    fn of_brand(brand: &[u8]) -> Option<Self> {
        match brand.first_chunk::<4>()? {
            b"qt  " => Some(Self::Mov),
            b"avif" | b"avis" | b"heic" | b"heix" | b"hevc" | b"hevx" | b"mif1" | b"msf1" | b"crx " => None,
            _ => Some(Self::Mp4),
        }
    }
}

fn measure<R: Read + Seek + Send + Sync>(kind: Kind, file: Section<R>) -> Option<Probe> {
    match kind {
        Kind::Png => picture("image/png", "png", file),
        Kind::Jpeg => picture("image/jpeg", "jpg", file),
        Kind::Webp => picture("image/webp", "webp", file),
        Kind::Gif => picture("image/gif", "gif", file),
        Kind::Mp4 => mp4("video/mp4", "mp4", file),
        Kind::Mov => mp4("video/quicktime", "mov", file),
        Kind::Webm => webm(&MkvReader::try_new(stream(file), FormatOptions::default()).ok()?),
        Kind::Mp3 => sound("audio/mpeg", "mp3", &MpaReader::try_new(stream(file), FormatOptions::default()).ok()?),
        Kind::Wav => sound("audio/wav", "wav", &WavReader::try_new(stream(file), FormatOptions::default()).ok()?),
        Kind::Ogg => sound("audio/ogg", "ogg", &OggReader::try_new(stream(file), FormatOptions::default()).ok()?),
        Kind::Flac => sound("audio/flac", "flac", &FlacReader::try_new(stream(file), FormatOptions::default()).ok()?),
        Kind::Aac => sound("audio/aac", "aac", &AdtsReader::try_new(stream(file), FormatOptions::default()).ok()?),
    }
}

fn picture<R: Read + Seek>(content_type: &'static str, extension: &'static str, file: R) -> Option<Probe> {
    let size = imagesize::reader_size(BufReader::new(file)).ok()?;
    let positive = |pixels: usize| u32::try_from(pixels).ok().filter(|pixels| *pixels > 0);
    let (width, height) = (positive(size.width)?, positive(size.height)?);
    Some(Probe { content_type, extension, width: Some(width), height: Some(height), duration: None, fps: None })
}

fn sound(content_type: &'static str, extension: &'static str, format: &dyn FormatReader) -> Option<Probe> {
    let track = format.tracks().first()?;
    let seconds = track.time_base.zip(track.duration).and_then(|(base, length)| base.calc_duration(length));
    let duration = seconds.map(|seconds| seconds.as_secs_f64());
    Some(Probe { content_type, extension, width: None, height: None, duration, fps: None })
}

fn webm(format: &dyn FormatReader) -> Option<Probe> {
    let info = format.media_info();
    let seconds = info.time_base.zip(info.duration).and_then(|(base, length)| base.calc_duration(length));
    let duration = seconds.map(|seconds| seconds.as_secs_f64());
    let video = format.tracks().iter().find_map(|track| match &track.codec_params {
        Some(CodecParameters::Video(video)) => Some(video),
        _ => None,
    });
    format.tracks().first()?;
    Some(Probe {
        content_type: if video.is_some() { "video/webm" } else { "audio/webm" },
        extension: "webm",
        width: video.and_then(|video| video.width).map(u32::from),
        height: video.and_then(|video| video.height).map(u32::from),
        duration,
        fps: None,
    })
}

/// MP4, MOV, or M4A when there is no picture in it.
fn mp4<R: Read + Seek>(content_type: &'static str, extension: &'static str, mut file: R) -> Option<Probe> {
    let length = find_moov(&mut file)?;
    let media = mp4parse::read_mp4(&mut BufReader::new(file.take(length))).ok()?;
    let of_type = |wanted| media.tracks.iter().find(|track| track.track_type == wanted);
    if let Some(track) = of_type(TrackType::Video) {
        let (width, height) = frame_size(track).unzip();
        let duration = seconds(track, &media);
        let fps = duration.and_then(|duration| frames_per_second(track, duration));
        return Some(Probe { content_type, extension, width, height, duration, fps });
    }
    let duration = seconds(of_type(TrackType::Audio)?, &media);
    Some(Probe { content_type: "audio/mp4", extension: "m4a", width: None, height: None, duration, fps: None })
}

/// Goes to the `moov` box and tells its length, passing by the media data without reading it.
fn find_moov<R: Read + Seek>(file: &mut R) -> Option<u64> {
    let mut start = file.seek(SeekFrom::Start(0)).ok()?;
    for _ in 0..MAX_TOP_BOXES {
        let mut header = [0; 8];
        file.read_exact(&mut header).ok()?;
        let [size @ .., _, _, _, _] = header;
        let mut size = u64::from(u32::from_be_bytes(size));
        if size == 1 {
            let mut large = [0; 8];
            file.read_exact(&mut large).ok()?;
            size = u64::from_be_bytes(large);
        }
        if header.ends_with(b"moov") {
            file.seek(SeekFrom::Start(start)).ok()?;
            return (8..=MAX_MOOV_BYTES).contains(&size).then_some(size);
        }
        start = start.checked_add(size.max(8))?;
        file.seek(SeekFrom::Start(start)).ok()?;
    }
    None
}

fn frame_size(track: &Track) -> Option<(u32, u32)> {
    let entry = track.stsd.as_ref().and_then(|stsd| stsd.descriptions.first());
    if let Some(SampleEntry::Video(video)) = entry
        && video.width > 0
        && video.height > 0
    {
        return Some((u32::from(video.width), u32::from(video.height)));
    }
    let header = track.tkhd.as_ref()?;
    Some((header.width >> 16, header.height >> 16))
}

/// The length of a track; a fragmented file says it for the whole, if at all.
#[expect(clippy::cast_precision_loss, reason = "a length of some seconds")]
fn seconds(track: &Track, media: &MediaContext) -> Option<f64> {
    let own = track.duration.map(|length| length.0).zip(track.timescale.map(|scale| scale.0));
    let fragments = media.mvex.as_ref().and_then(|mvex| mvex.fragment_duration).map(|length| length.0);
    let whole = fragments.zip(media.timescale.map(|scale| scale.0));
    let known = |(length, scale): &(u64, u64)| *length > 0 && *scale > 0;
    own.filter(known).or(whole.filter(known)).map(|(length, scale)| length as f64 / scale as f64)
}

fn frames_per_second(track: &Track, seconds: f64) -> Option<f64> {
    let frames: f64 = track.stts.as_ref()?.samples.iter().map(|run| f64::from(run.sample_count)).sum();
    (frames > 0.0 && seconds > 0.0).then(|| frames / seconds)
}

fn stream<'s, R: Read + Seek + Send + Sync + 's>(file: Section<R>) -> MediaSourceStream<'s> {
    MediaSourceStream::new(Box::new(file), MediaSourceStreamOptions::default())
}

/// A file from some place on.
struct Section<R> {
    file: R,
    start: u64,
    length: u64,
}

impl<R: Read + Seek> Section<R> {
    fn new(mut file: R, start: u64) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?.saturating_sub(start);
        file.seek(SeekFrom::Start(start))?;
        Ok(Self { file, start, length })
    }
}

impl<R: Read> Read for Section<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.file.read(to)
    }
}

impl<R: Seek> Seek for Section<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => SeekFrom::Start(self.start.saturating_add(at)),
            other => other,
        };
        let at = self.file.seek(to)?;
        at.checked_sub(self.start).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
    }
}

impl<R: Read + Seek + Send + Sync> MediaSource for Section<R> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.length)
    }
}

#[cfg(test)]
mod tests;
