//! Compresses what pages of the binary load, and rebuilds when a file is added to the catalogue: the embedding macro sees
//! only the files that were there before.

use std::{env, fs, io::Write as _, path::Path};

use flate2::{Compression, GzBuilder};

const ASSETS: [&str; 6] = [
    "assets/console/icon.svg",
    "assets/console/dist/console.css",
    "assets/console/dist/console.js",
    "assets/graphiql/page.css",
    "assets/graphiql/dist/graphiql.css",
    "assets/graphiql/dist/graphiql.js",
];

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script where to write by the environment")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=config/catalog");
    let folder = env::var("OUT_DIR")?;
    for asset in ASSETS {
        println!("cargo:rerun-if-changed={asset}");
        let name = Path::new(asset).file_name().ok_or("a folder among the assets")?;
        let file = Path::new(&folder).join(name).with_added_extension("gz");
        // Without a date, so that the same sources give the same binary.
        let mut file = GzBuilder::new().write(fs::File::create(file)?, Compression::best());
        file.write_all(&fs::read(asset)?)?;
        file.finish()?;
    }
    Ok(())
}
