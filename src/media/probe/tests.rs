use std::{io::Cursor, path::PathBuf};

use proptest::prelude::*;

use super::*;

const FIXTURES: [&str; 16] = [
    "a.aac",
    "a.flac",
    "a.gif",
    "a.jpg",
    "a.m4a",
    "a.mov",
    "a.mp3",
    "a.mp4",
    "a.png",
    "a.wav",
    "a.webm",
    "a.webp",
    "fragmented.mp4",
    "opus.ogg",
    "plain.mp3",
    "vorbis.ogg",
];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/media").join(name)
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn near_one_second(found: Option<f64>) -> bool {
    found.is_some_and(|seconds| (seconds - 1.0).abs() < 0.09)
}

#[test]
fn pictures_are_told_and_measured() {
    for (name, content_type) in
        [("a.png", "image/png"), ("a.jpg", "image/jpeg"), ("a.webp", "image/webp"), ("a.gif", "image/gif")]
    {
        let found = probe(Cursor::new(fixture(name))).unwrap();
        assert_eq!((found.content_type, found.width, found.height), (content_type, Some(64), Some(48)));
        assert!(name.ends_with(found.extension), "{name}");
    }
}

#[test]
fn clips_are_told_and_measured() {
    for (name, content_type, fps) in
        [("a.mp4", "video/mp4", Some(10.0)), ("a.mov", "video/quicktime", Some(10.0)), ("a.webm", "video/webm", None)]
    {
        let found = probe(Cursor::new(fixture(name))).unwrap();
        assert_eq!((found.content_type, found.width, found.height), (content_type, Some(64), Some(48)));
        assert!(near_one_second(found.duration), "{name}: {found:?}");
        assert_eq!(found.fps, fps, "{name}");
    }
}

#[test]
fn a_fragmented_clip_has_a_size_at_least() {
    let found = probe(Cursor::new(fixture("fragmented.mp4"))).unwrap();
    assert_eq!((found.content_type, found.width, found.height), ("video/mp4", Some(64), Some(48)));
}

#[test]
fn sounds_are_told_and_measured() {
    for (name, content_type) in [
        ("a.mp3", "audio/mpeg"),
        ("plain.mp3", "audio/mpeg"),
        ("a.wav", "audio/wav"),
        ("vorbis.ogg", "audio/ogg"),
        ("opus.ogg", "audio/ogg"),
        ("a.flac", "audio/flac"),
        ("a.m4a", "audio/mp4"),
        ("a.aac", "audio/aac"),
    ] {
        let found = probe(std::fs::File::open(path(name)).unwrap()).unwrap();
        assert_eq!(found.content_type, content_type, "{name}");
        assert!(near_one_second(found.duration), "{name}: {found:?}");
        assert_eq!((found.width, found.height, found.fps), (None, None, None), "{name}");
    }
}

#[test]
fn other_files_are_not_taken() {
    for bytes in [&b""[..], b"\x89PNG", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"MZ", b"ID3", b"BM"]
    {
        assert_eq!(probe(Cursor::new(bytes)), None);
    }
    let mut heic = fixture("a.mp4");
    heic[8..12].copy_from_slice(b"heic");
    assert_eq!(probe(Cursor::new(heic)), None);
}

#[test]
fn a_box_that_claims_to_be_huge_costs_nothing() {
    for size in [[0xff; 4], [0; 4], [0, 0, 0, 1]] {
        let file = [&b"\0\0\0\x10ftypisom\0\0\0\0"[..], &size, b"moov", &[0xff; 64]].concat();
        assert_eq!(probe(Cursor::new(file)), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn cut_and_corrupted_files_do_no_harm(
        which in 0..FIXTURES.len(),
        keep in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        early in any::<bool>(),
    ) {
        let mut bytes = fixture(FIXTURES[which]);
        if flips.is_empty() {
            bytes.truncate(keep.index(bytes.len()));
        }
        let reach = if early { bytes.len().min(200) } else { bytes.len() };
        for (at, value) in flips {
            bytes[at.index(reach)] = value;
        }
        let _ = probe(Cursor::new(bytes));
    }

    #[test]
    fn random_bytes_do_no_harm(which in 0..FIXTURES.len(), bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let head = &fixture(FIXTURES[which])[..12];
        let _ = probe(Cursor::new(&bytes));
        let _ = probe(Cursor::new([head, bytes.as_slice()].concat()));
    }
}
