//! Stored files, input files, and how they are served and uploaded.

pub mod bucket;
mod inputs;
mod serving;
mod store;

use std::{collections::HashMap, io::Cursor, path::Path, sync::Arc};

use bytes::Bytes;
use doitong::media::Store;
use image::{ImageFormat, RgbImage};

/// A picture that does not compress: about three bytes a pixel.
fn png(side: u32) -> Bytes {
    let noise = RgbImage::from_fn(side, side, |x, y| {
        let hash = (x * 7919 + y * 104_729 + 1).wrapping_mul(2_654_435_761);
        let [red, green, blue, _] = hash.to_be_bytes();
        image::Rgb([red, green, blue])
    });
    let mut file = Cursor::new(Vec::new());
    noise.write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner().into()
}

fn store(dir: &Path, public_url: Option<&str>) -> Arc<Store> {
    Arc::new(Store::open("media", &HashMap::new(), dir, public_url.map(|url| url.parse().unwrap())).unwrap())
}

/// The names of all files below a folder.
fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    found
}
