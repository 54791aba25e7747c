//! Pictures: a seeded gradient with discs and the prompt.

use anyhow::ensure;
use image::{
    ExtendedColorType, ImageEncoder, Rgb, RgbImage,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType, PngEncoder},
        webp::WebPEncoder,
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    lettering::{self, Area, blend},
    renderer::File,
    spec::{PictureFormat, Pictures, Size, Spec},
};

const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
const INK: Rgb<u8> = Rgb([14, 16, 28]);

/// The files of an IMAGE request; each has a seed of its own.
pub(super) fn render(spec: &Spec, wanted: &Pictures, stop: &CancellationToken) -> anyhow::Result<Vec<File>> {
    (0..wanted.count)
        .map(|index| {
            ensure!(!stop.is_cancelled(), "stopped");
            let picture = prompt_card(spec, wanted.size, spec.seed.wrapping_add(i64::from(index)))?;
            encode(&picture, wanted.format)
        })
        .collect()
}

fn prompt_card(spec: &Spec, size: Size, seed: i64) -> anyhow::Result<RgbImage> {
    let mut picture = background(size, seed);
    caption(&mut picture, spec, Share { top: 0.16, height: 0.68 })?;
    Ok(picture)
}

/// A vertical part of a picture, as shares of its height.
#[derive(Clone, Copy)]
pub(super) struct Share {
    pub(super) top: f32,
    pub(super) height: f32,
}

/// Writes the prompt on a dark panel, and below it what the work was made from.
pub(super) fn caption(picture: &mut RgbImage, spec: &Spec, share: Share) -> anyhow::Result<()> {
    let (width, height) = (pixels(picture.width()), pixels(picture.height()));
    let panel = Area {
        left: width * 0.06,
        top: height * share.top,
        width: width * 0.88,
        height: height * share.height,
        lines: 4.0,
    };
    darken(picture, panel);
    let note = spec.from.map(|from| format!("sandbox · {from} · seed {}", spec.seed));
    let note = note.unwrap_or_else(|| format!("sandbox · seed {}", spec.seed));
    let inner = Area { left: panel.left + width * 0.03, width: panel.width - width * 0.06, ..panel };
    let text = Area { height: panel.height * 0.82, ..inner };
    let footer = Area { top: panel.top + panel.height * 0.86, height: panel.height * 0.1, lines: 1.5, ..inner };
    lettering::draw(picture, &spec.text, text, WHITE)?;
    lettering::draw(picture, &note, footer, Rgb([200, 206, 220]))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pixels, and the casts saturate")]
fn darken(picture: &mut RgbImage, panel: Area) {
    let bottom = ((panel.top + panel.height) as u32).min(picture.height());
    let right = ((panel.left + panel.width) as u32).min(picture.width());
    for y in panel.top as u32..bottom {
        for x in panel.left as u32..right {
            blend(picture.get_pixel_mut(x, y), INK, 0.55);
        }
    }
}

/// A gradient between two neighbouring hues, with a few discs.
pub(super) fn background(size: Size, seed: i64) -> RgbImage {
    let mut random = Random::new(seed);
    let hue = random.share();
    let (from, to) = (colour(hue, 0.55), colour(hue + 0.12 + 0.2 * random.share(), 0.95));
    let (width, height) = (pixels(size.width), pixels(size.height));
    let lean = random.share();
    let mut picture = RgbImage::from_fn(size.width, size.height, |x, y| {
        let mut pixel = from;
        blend(&mut pixel, to, pixels(x) / width * lean + pixels(y) / height * (1.0 - lean));
        pixel
    });
    for _ in 0..5 {
        let radius = width.min(height) * (0.08 + 0.3 * random.share());
        let centre = (width * random.share(), height * random.share());
        disc(&mut picture, centre, radius, colour(hue + 0.4 * random.share(), 1.0));
    }
    picture
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "pixels, and the casts saturate")]
fn disc(picture: &mut RgbImage, (centre_x, centre_y): (f32, f32), radius: f32, colour: Rgb<u8>) {
    let bottom = ((centre_y + radius) as u32).min(picture.height());
    for y in (centre_y - radius) as u32..bottom {
        let rise = pixels(y) + 0.5 - centre_y;
        let half = (radius * radius - rise * rise).max(0.0).sqrt();
        let right = ((centre_x + half) as u32).min(picture.width());
        for x in (centre_x - half) as u32..right {
            blend(picture.get_pixel_mut(x, y), colour, 0.35);
        }
    }
}

/// A soft colour of a hue from 0 to 1 (and on, around the wheel).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a colour from 0 to 255")]
pub(super) fn colour(hue: f32, value: f32) -> Rgb<u8> {
    let channel = |turn: f32| {
        let wave = (((hue + turn).rem_euclid(1.0) * 6.0 - 3.0).abs() - 1.0).clamp(0.0, 1.0);
        ((0.35 + 0.65 * wave) * value * 255.0) as u8
    };
    Rgb([channel(0.0), channel(2.0 / 3.0), channel(1.0 / 3.0)])
}

#[expect(clippy::cast_precision_loss, reason = "a side has at most 4096 pixels")]
fn pixels(count: u32) -> f32 {
    count as f32
}

fn encode(picture: &RgbImage, format: PictureFormat) -> anyhow::Result<File> {
    let mut bytes = Vec::new();
    let (width, height, rgb) = (picture.width(), picture.height(), ExtendedColorType::Rgb8);
    let content_type = match format {
        PictureFormat::Png => {
            PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Sub)
                .write_image(picture, width, height, rgb)?;
            "image/png"
        }
        PictureFormat::Jpeg => {
            JpegEncoder::new_with_quality(&mut bytes, 88).write_image(picture, width, height, rgb)?;
            "image/jpeg"
        }
        PictureFormat::Webp => {
            WebPEncoder::new_lossless(&mut bytes).write_image(picture, width, height, rgb)?;
            "image/webp"
        }
    };
    Ok(File { bytes, content_type })
}

/// A stream of numbers that follows from a seed and never changes between releases (`SplitMix64`).
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: i64) -> Self {
        Self(seed.cast_unsigned())
    }

    /// A number from 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit")]
    pub(super) const fn share(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1_u32 << 24) as f32
    }
}
