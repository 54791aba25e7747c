//! Rebuilds when a file is added to the catalogue: the embedding macro sees only the files that were there before.

fn main() {
    println!("cargo:rerun-if-changed=config/catalog");
}
