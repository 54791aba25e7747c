//! Rebuilds when a file is added to the catalogue: the embedding macro sees only the files that were there before.
#![expect(clippy::print_stdout, reason = "this is how a build script speaks to cargo")]

fn main() {
    println!("cargo:rerun-if-changed=config/catalog");
}
