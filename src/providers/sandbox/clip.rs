//! Clips: the prompt on a still background, a disc that wanders over it and a bar that fills with time; for an avatar
//! a face whose mouth follows the tune it speaks. Only small parts of a frame change, which keeps encoding cheap.

use std::ops::Range;

use anyhow::{Context, ensure};
use image::{Rgb, RgbImage};
use muxide::api::{AacProfile, AudioCodec, Muxer, MuxerBuilder, VideoCodec};
use openh264::{
    OpenH264API, Timestamp,
    encoder::{
        Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, QpRange, RateControlMode, VuiConfig,
    },
    formats::{RgbSliceU8, YUVBuffer, YUVSource},
};
use syom::EncodeOptions;
use tokio_util::sync::CancellationToken;

use super::{
    picture::{self, Share, background, colour},
    renderer::File,
    sound,
    spec::{Clip, Spec},
};

/// Samples a second of an avatar's voice.
const VOICE_RATE: u32 = 48_000;

/// Samples in an AAC frame.
const AAC_FRAME: u16 = 1024;

/// Seconds between pictures at which a player can begin.
const KEY_SECONDS: u32 = 2;

const BRIGHT: Tone = Tone { y: 225, u: 128, v: 128 };
const DARK: Tone = Tone { y: 50, u: 128, v: 128 };

/// The file of a VIDEO or AVATAR request.
pub(super) fn render(spec: &Spec, clip: &Clip, stop: &CancellationToken) -> anyhow::Result<File> {
    let voice = clip.speaks.then(|| Voice::new(spec, clip)).transpose()?;
    let mut scene = Scene::new(spec, clip)?;
    let mut encoder = encoder(clip)?;
    let mut bytes = Vec::new();
    let mut track =
        MuxerBuilder::new(&mut bytes).video(VideoCodec::H264, clip.size.width, clip.size.height, f64::from(clip.fps));
    if voice.is_some() {
        track = track.audio(AudioCodec::Aac(AacProfile::Lc), VOICE_RATE, 1);
    }
    let mut muxer = track.build()?;
    for index in 0..clip.frames {
        ensure!(!stop.is_cancelled(), "stopped");
        scene.draw(index, voice.as_ref());
        let at = f64::from(index) / f64::from(clip.fps);
        let timestamp = Timestamp::from_millis(u64::from(index) * 1000 / u64::from(clip.fps));
        let frame = encoder.encode_at(&scene.frame, timestamp)?;
        let is_key = frame.frame_type() == FrameType::IDR;
        muxer.write_video(at, &frame.to_vec(), is_key)?;
    }
    if let Some(voice) = voice {
        voice.write(&mut muxer)?;
    }
    muxer.finish()?;
    Ok(File { bytes, content_type: "video/mp4" })
}

/// One thread and a fixed quality, so that the same frames give the same bytes.
fn encoder(clip: &Clip) -> anyhow::Result<Encoder> {
    let config = EncoderConfig::new()
        .complexity(Complexity::Low)
        .rate_control_mode(RateControlMode::Off)
        .qp(QpRange::new(22, 30))
        .skip_frames(false)
        .num_threads(1)
        .scene_change_detect(false)
        .adaptive_quantization(false)
        .background_detection(true)
        .max_frame_rate(FrameRate::from_hz(24.0))
        .intra_frame_period(IntraFramePeriod::from_num_frames(KEY_SECONDS * clip.fps))
        .vui(VuiConfig::bt601());
    Encoder::with_api_config(OpenH264API::from_source(), config).context("H.264")
}

/// What an avatar says: the encoded sound and how loud each frame of the clip is.
struct Voice {
    packets: Vec<Vec<u8>>,
    loudness: Vec<f32>,
}

impl Voice {
    fn new(spec: &Spec, clip: &Clip) -> anyhow::Result<Self> {
        let seconds = f64::from(clip.frames) / f64::from(clip.fps);
        let samples = sound::tune(&spec.text, spec.seed, seconds, VOICE_RATE);
        let samples_a_frame = (VOICE_RATE / clip.fps) as usize;
        let loudness = samples.chunks(samples_a_frame).map(|chunk| chunk.iter().fold(0.0, |a: f32, b| a.max(b.abs())));
        let loudness = loudness.collect();
        let mut encoder = syom::Encoder::new(VOICE_RATE, 1, &EncodeOptions::adts().with_bitrate_bps(64_000))?;
        let mut packets = Vec::new();
        encoder.feed(&[samples.as_slice()], |frame| {
            packets.push(frame.au.to_vec());
            Ok(())
        })?;
        // Whole frames only: the sound must not outlast the pictures.
        packets.truncate(samples.len() / usize::from(AAC_FRAME));
        Ok(Self { packets, loudness })
    }

    fn write<W: std::io::Write>(&self, muxer: &mut Muxer<W>) -> anyhow::Result<()> {
        for (index, packet) in (0_u32..).zip(&self.packets) {
            let samples = f64::from(index) * f64::from(AAC_FRAME);
            muxer.write_audio(samples / f64::from(VOICE_RATE), packet)?;
        }
        Ok(())
    }
}

/// The frames: what stands still, and the frame being drawn.
struct Scene {
    still: Planes,
    frame: Planes,
    /// What was drawn over the last frame, to be taken back.
    drawn: Vec<Oval>,
    frames: u32,
    speaks: bool,
    tint: Tone,
}

impl Scene {
    fn new(spec: &Spec, clip: &Clip) -> anyhow::Result<Self> {
        let mut picture = background(clip.size, spec.seed);
        let share = if clip.speaks { Share { top: 0.66, height: 0.24 } } else { Share { top: 0.12, height: 0.7 } };
        picture::caption(&mut picture, spec, share)?;
        let still = Planes::of(&picture);
        let tint = Tone::of(colour(f32::from(spec.seed.to_le_bytes()[0]) / 256.0, 1.0));
        let mut scene =
            Self { frame: still.clone(), still, drawn: Vec::new(), frames: clip.frames, speaks: clip.speaks, tint };
        if clip.speaks {
            scene.draw_face();
        }
        Ok(scene)
    }

    fn draw_face(&mut self) {
        let unit = self.unit();
        let (x, y) = (self.still.width / 2, self.still.height * 36 / 100);
        self.still.oval(Oval { x, y, across: unit * 22 / 100, down: unit * 27 / 100 }, self.tint);
        for side in [x - unit * 8 / 100, x + unit * 8 / 100] {
            self.still
                .oval(Oval { x: side, y: y - unit * 6 / 100, across: unit * 3 / 100, down: unit * 4 / 100 }, DARK);
        }
        self.frame = self.still.clone();
    }

    fn unit(&self) -> usize {
        self.still.width.min(self.still.height)
    }

    fn draw(&mut self, index: u32, voice: Option<&Voice>) {
        for oval in std::mem::take(&mut self.drawn) {
            self.frame.restore(oval, &self.still);
        }
        let oval = match voice {
            Some(voice) => self.mouth(voice.loudness.get(index as usize).copied().unwrap_or_default()),
            None => self.wanderer(index),
        };
        self.frame.oval(oval, if self.speaks { DARK } else { self.tint });
        self.drawn.push(oval);
        let width = self.still.width * (index as usize + 1) / self.frames as usize;
        self.frame.bar(width, BRIGHT);
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "pixels")]
    fn mouth(&self, loudness: f32) -> Oval {
        let unit = self.unit();
        let open = (loudness.min(1.0) * 0.09 * unit as f32) as usize;
        let y = self.still.height * 36 / 100 + unit * 12 / 100;
        Oval { x: self.still.width / 2, y, across: unit * 7 / 100, down: open.max(1) }
    }

    /// The disc runs along a Lissajous figure.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "pixels")]
    fn wanderer(&self, index: u32) -> Oval {
        let radius = (self.unit() / 14).max(2);
        let turn = index as f32 / self.frames as f32 * std::f32::consts::TAU;
        let place = |side: usize, share: f32| ((side as f32 - 1.0) * (0.5 + 0.42 * share)) as usize;
        Oval {
            x: place(self.still.width, (2.0 * turn).cos()),
            y: place(self.still.height, (3.0 * turn + 0.5).sin()),
            across: radius,
            down: radius,
        }
    }
}

/// A colour as video has it.
#[derive(Clone, Copy)]
struct Tone {
    y: u8,
    u: u8,
    v: u8,
}

impl Tone {
    fn of(colour: Rgb<u8>) -> Self {
        let pixel = Planes::of(&RgbImage::from_pixel(2, 2, colour));
        let first = |plane: &[u8]| plane.first().copied().unwrap_or(128);
        Self { y: first(&pixel.y), u: first(&pixel.u), v: first(&pixel.v) }
    }
}

/// An ellipse by its centre and half axes.
#[derive(Clone, Copy)]
struct Oval {
    x: usize,
    y: usize,
    across: usize,
    down: usize,
}

/// A frame as video has it: brightness for each pixel, colour for each four.
#[derive(Clone)]
struct Planes {
    width: usize,
    height: usize,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Planes {
    fn of(picture: &RgbImage) -> Self {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let yuv = YUVBuffer::from_rgb8_source(RgbSliceU8::new(picture, (width, height)));
        Self { width, height, y: yuv.y().to_vec(), u: yuv.u().to_vec(), v: yuv.v().to_vec() }
    }

    /// Fills an ellipse.
    fn oval(&mut self, oval: Oval, tone: Tone) {
        self.each_row(oval, |planes, row, from, to| planes.fill(row, from, to, tone));
    }

    /// Puts back what stood where an ellipse was drawn.
    fn restore(&mut self, oval: Oval, still: &Self) {
        self.each_row(oval, |planes, row, from, to| planes.copy(row, from, to, still));
    }

    /// The bar along the lower edge that shows how far the clip is.
    fn bar(&mut self, width: usize, tone: Tone) {
        let thickness = (self.height / 60).max(2);
        for row in self.height - thickness..self.height {
            self.fill(row, 0, width, tone);
        }
    }

    /// Calls back with each row of an ellipse that lies within the frame, and its first and last column.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "pixels")]
    fn each_row(&mut self, oval: Oval, mut draw: impl FnMut(&mut Self, usize, usize, usize)) {
        let bottom = (oval.y + oval.down).min(self.height);
        for row in oval.y.saturating_sub(oval.down)..bottom {
            let rise = (row as f32 + 0.5 - oval.y as f32) / oval.down as f32;
            let half = ((1.0 - rise * rise).max(0.0).sqrt() * oval.across as f32) as usize;
            draw(self, row, oval.x.saturating_sub(half), (oval.x + half).min(self.width));
        }
    }

    /// A piece of a row in all planes: where it lies in the brightness plane and in the colour planes.
    fn spans(&self, row: usize, from: usize, to: usize) -> (Range<usize>, Range<usize>) {
        let (from, to) = (from.min(self.width), to.min(self.width));
        let (y, colours) = (row * self.width, row / 2 * (self.width / 2));
        (y + from..y + to.max(from), colours + from / 2..colours + to.max(from) / 2)
    }

    fn fill(&mut self, row: usize, from: usize, to: usize, tone: Tone) {
        let (y, colours) = self.spans(row, from, to);
        self.y.get_mut(y).unwrap_or_default().fill(tone.y);
        self.u.get_mut(colours.clone()).unwrap_or_default().fill(tone.u);
        self.v.get_mut(colours).unwrap_or_default().fill(tone.v);
    }

    fn copy(&mut self, row: usize, from: usize, to: usize, still: &Self) {
        let (y, colours) = self.spans(row, from, to);
        copy(&mut self.y, &still.y, y);
        copy(&mut self.u, &still.u, colours.clone());
        copy(&mut self.v, &still.v, colours);
    }
}

fn copy(to: &mut [u8], from: &[u8], span: Range<usize>) {
    if let (Some(to), Some(from)) = (to.get_mut(span.clone()), from.get(span)) {
        to.copy_from_slice(from);
    }
}

impl YUVSource for Planes {
    fn dimensions(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.width, self.width / 2, self.width / 2)
    }

    fn y(&self) -> &[u8] {
        &self.y
    }

    fn u(&self) -> &[u8] {
        &self.u
    }

    fn v(&self) -> &[u8] {
        &self.v
    }
}
