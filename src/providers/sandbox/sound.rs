//! Sound: a seeded tune, one note for a word, as long as the text takes to speak.

use std::{f32::consts::TAU, io::Cursor};

use anyhow::{Context, anyhow};
use flacenc::{component::BitRepr, error::Verify};
use hound::{SampleFormat, WavSpec, WavWriter};
use rusty_mp3::{Mp3Encoder, Mp3EncoderConfig};
use syom::EncodeOptions;

use super::{
    picture::Random,
    renderer::File,
    spec::{Sound, SoundFormat, Spec},
};

/// Samples a second of a sound file.
const RATE: u32 = 44_100;

/// The semitones of a major pentatonic scale over two octaves: any order of them is a tune.
const SCALE: [f32; 10] = [0.0, 2.0, 4.0, 7.0, 9.0, 12.0, 14.0, 16.0, 19.0, 21.0];

/// The file of an AUDIO request.
pub(super) fn render(spec: &Spec, wanted: &Sound) -> anyhow::Result<File> {
    let samples = tune(&spec.text, spec.seed, wanted.seconds, RATE);
    match wanted.format {
        SoundFormat::Mp3 => mp3(&samples),
        SoundFormat::Wav => wav(&samples),
        SoundFormat::Flac => flac(&samples),
        SoundFormat::Aac => aac(&samples),
    }
}

/// The tune of a text: mono samples from -1 to 1, exactly as many as fill the time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "sample counts of at most some minutes"
)]
pub(super) fn tune(text: &str, seed: i64, seconds: f64, rate: u32) -> Vec<f32> {
    let total = (seconds * f64::from(rate)).round() as usize;
    let words: Vec<usize> = text.split_whitespace().map(|word| word.chars().count().clamp(2, 12)).collect();
    let words = if words.is_empty() { vec![4; 8] } else { words };
    let beats: usize = words.iter().sum();
    let mut random = Random::new(seed);
    let mut samples = Vec::with_capacity(total);
    let mut sung = 0;
    for word in words {
        sung += word;
        let end = total * sung / beats;
        let step = SCALE[(random.share() * SCALE.len() as f32) as usize % SCALE.len()];
        note(&mut samples, end, 220.0 * (step / 12.0).exp2(), rate as f32);
    }
    samples
}

/// Appends a plucked note up to a sample.
#[expect(clippy::cast_precision_loss, reason = "sample counts of at most some minutes")]
fn note(samples: &mut Vec<f32>, end: usize, hertz: f32, rate: f32) {
    let length = end.saturating_sub(samples.len());
    for index in 0..length {
        let time = index as f32 / rate;
        let attack = (time / 0.01).min(1.0);
        let release = ((length - index) as f32 / (0.01 * rate)).min(1.0);
        let envelope = attack * release * (0.35 + 0.65 * (-3.0 * time).exp());
        let phase = (time * hertz).fract() * TAU;
        let tone = phase.sin() + 0.35 * (2.0 * phase).sin() + 0.15 * (3.0 * phase).sin();
        samples.push(0.4 * envelope * tone);
    }
}

fn mp3(samples: &[f32]) -> anyhow::Result<File> {
    let mut encoder = Mp3Encoder::new(Mp3EncoderConfig { bitrate_kbps: 96, vbr_quality: None });
    encoder.push_pcm_f32(samples, 1, RATE).map_err(|error| anyhow!("MP3: {error:?}"))?;
    encoder.finish();
    let mut bytes = Vec::new();
    while let Ok(packet) = encoder.next_packet() {
        bytes.extend_from_slice(&packet);
    }
    Ok(File { bytes, content_type: "audio/mpeg" })
}

fn wav(samples: &[f32]) -> anyhow::Result<File> {
    let spec = WavSpec { channels: 1, sample_rate: RATE, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut bytes = Vec::new();
    let mut writer = WavWriter::new(Cursor::new(&mut bytes), spec)?;
    for sample in samples {
        writer.write_sample(to_16_bits(*sample))?;
    }
    writer.finalize()?;
    Ok(File { bytes, content_type: "audio/wav" })
}

fn flac(samples: &[f32]) -> anyhow::Result<File> {
    let samples: Vec<i32> = samples.iter().map(|sample| i32::from(to_16_bits(*sample))).collect();
    let config = flacenc::config::Encoder::default().into_verified().map_err(|(_, error)| anyhow!("FLAC: {error}"))?;
    let source = flacenc::source::MemSource::from_samples(&samples, 1, 16, RATE as usize);
    let mut stream = flacenc::encode_with_fixed_block_size(&config, source, config.block_size)
        .map_err(|error| anyhow!("FLAC: {error}"))?;
    // The last block is shorter, but the header's least size is that of the others (RFC 9639, 8.2).
    stream
        .stream_info_mut()
        .set_block_sizes(config.block_size, config.block_size)
        .map_err(|error| anyhow!("FLAC: {error}"))?;
    let mut sink = flacenc::bitsink::ByteSink::new();
    stream.write(&mut sink).map_err(|error| anyhow!("FLAC: {error}"))?;
    Ok(File { bytes: sink.into_inner(), content_type: "audio/flac" })
}

fn aac(samples: &[f32]) -> anyhow::Result<File> {
    let bytes = syom::encode_with(&[samples], RATE, &EncodeOptions::adts()).context("AAC")?;
    Ok(File { bytes, content_type: "audio/aac" })
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
fn to_16_bits(sample: f32) -> i16 {
    (sample * f32::from(i16::MAX)) as i16
}
