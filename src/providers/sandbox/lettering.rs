//! Text drawn into pictures: wrapped, as large as fits, unprintable characters as boxes.

use ab_glyph::{Font, FontRef, Glyph, PxScale, PxScaleFont, ScaleFont, point};
use anyhow::Context;
use image::{Rgb, RgbImage};

/// `DejaVu` Sans, cut down; see the README beside it.
const FONT: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");

/// The part of a picture that text may fill.
#[derive(Clone, Copy)]
pub(super) struct Area {
    pub(super) left: f32,
    pub(super) top: f32,
    pub(super) width: f32,
    pub(super) height: f32,
    /// How many lines of the largest lettering fill it.
    pub(super) lines: f32,
}

/// Draws text, centred, as large as it fits; what does not fit at the smallest size is cut with an ellipsis.
pub(super) fn draw(picture: &mut RgbImage, text: &str, area: Area, colour: Rgb<u8>) -> anyhow::Result<()> {
    let font = FontRef::try_from_slice(FONT).context("the font of the sandbox")?;
    let largest = (area.width.min(area.height) / area.lines).max(8.0);
    let smallest = (area.width.min(area.height) / 18.0).max(7.0);
    let mut size = largest;
    let block = loop {
        let block = Block::wrap(font.as_scaled(PxScale::from(size)), text, area);
        if block.fits || size <= smallest {
            break block;
        }
        size = (size * 0.85).max(smallest);
    };
    block.draw(picture, area, colour);
    Ok(())
}

/// Text broken into lines at one size.
struct Block<'a> {
    font: PxScaleFont<&'a FontRef<'static>>,
    lines: Vec<String>,
    fits: bool,
}

impl<'a> Block<'a> {
    fn wrap(font: PxScaleFont<&'a FontRef<'static>>, text: &str, area: Area) -> Self {
        let mut block = Self { font, lines: Vec::new(), fits: true };
        let line_height = font.height() + font.line_gap();
        let mut line = String::new();
        for word in text.split_whitespace() {
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if block.width(&longer) <= area.width {
                line = longer;
                continue;
            }
            if !line.is_empty() {
                block.lines.push(std::mem::take(&mut line));
            }
            line = block.break_word(word, area.width);
            if block.height(line_height) > area.height {
                break;
            }
        }
        if !line.is_empty() {
            block.lines.push(line);
        }
        while block.height(line_height) > area.height && block.lines.len() > 1 {
            block.fits = false;
            block.lines.pop();
        }
        if !block.fits
            && let Some(last) = block.lines.last_mut()
        {
            last.push('…');
        }
        block
    }

    /// Breaks a word that is longer than a line; gives back its last part.
    fn break_word(&mut self, word: &str, width: f32) -> String {
        let mut part = String::new();
        for letter in word.chars() {
            part.push(letter);
            if self.width(&part) > width && part.chars().count() > 1 {
                part.pop();
                self.lines.push(std::mem::replace(&mut part, letter.to_string()));
            }
        }
        part
    }

    fn width(&self, text: &str) -> f32 {
        text.chars().map(|letter| self.font.h_advance(self.font.glyph_id(letter))).sum()
    }

    fn height(&self, line_height: f32) -> f32 {
        self.lines.iter().map(|_| line_height).sum()
    }

    fn draw(&self, picture: &mut RgbImage, area: Area, colour: Rgb<u8>) {
        let line_height = self.font.height() + self.font.line_gap();
        let mut baseline = area.top + (area.height - self.height(line_height)) / 2.0 + self.font.ascent();
        for line in &self.lines {
            let mut x = area.left + (area.width - self.width(line)) / 2.0;
            for letter in line.chars() {
                let mut glyph: Glyph = self.font.scaled_glyph(letter);
                glyph.position = point(x, baseline);
                x += self.font.h_advance(glyph.id);
                self.draw_glyph(picture, glyph, colour);
            }
            baseline += line_height;
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "pixels, and the casts saturate")]
    fn draw_glyph(&self, picture: &mut RgbImage, glyph: Glyph, colour: Rgb<u8>) {
        let Some(outline) = self.font.outline_glyph(glyph) else { return };
        let bounds = outline.px_bounds();
        outline.draw(|x, y, coverage| {
            let (x, y) = (bounds.min.x as i64 + i64::from(x), bounds.min.y as i64 + i64::from(y));
            let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
            if let Some(pixel) = picture.get_pixel_mut_checked(x, y) {
                blend(pixel, colour, coverage);
            }
        });
    }
}

/// Mixes a colour into a pixel.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are colours from 0 to 255")]
pub(super) fn blend(pixel: &mut Rgb<u8>, colour: Rgb<u8>, share: f32) {
    for (channel, new) in pixel.0.iter_mut().zip(colour.0) {
        let old = f32::from(*channel);
        *channel = (f32::from(new) - old).mul_add(share, old) as u8;
    }
}
