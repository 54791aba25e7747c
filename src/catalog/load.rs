//! Reads the catalogue's files, compiled in or from a folder. An unknown key or a wrong type is refused with file and key.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, bail};
use include_dir::{Dir, include_dir};

use super::{
    Catalog, check,
    spec::{Provider, Upstreams},
};

static COMPILED_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/config/catalog");

const UPSTREAMS: &str = "upstreams.toml";

/// The text of the files, by name.
type Files = BTreeMap<String, String>;

/// The compiled-in catalogue, or that of a folder.
pub(super) fn load(folder: Option<&Path>) -> anyhow::Result<Catalog> {
    let files = folder.map_or_else(compiled_in, read)?;
    parse(&files)
}

fn compiled_in() -> anyhow::Result<Files> {
    let files = COMPILED_IN.files().filter(|file| is_toml(file.path()));
    files
        .map(|file| {
            let text = file.contents_utf8().with_context(|| format!("{} is not UTF-8", file.path().display()))?;
            Ok((name_of(file.path()), text.to_owned()))
        })
        .collect()
}

fn read(folder: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    let entries = std::fs::read_dir(folder).with_context(|| format!("read the catalogue {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if is_toml(&path) {
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            files.insert(name_of(&path), text);
        }
    }
    Ok(files)
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Makes the catalogue of the text of its files.
pub(super) fn parse(files: &Files) -> anyhow::Result<Catalog> {
    let Some(upstreams) = files.get(UPSTREAMS) else { bail!("the catalogue has no {UPSTREAMS}") };
    let upstreams: Upstreams = toml::from_str(upstreams).with_context(|| UPSTREAMS.to_owned())?;
    let mut providers = Vec::new();
    for (file, text) in files.iter().filter(|(file, _)| *file != UPSTREAMS) {
        let provider: Provider = toml::from_str(text).with_context(|| file.clone())?;
        if file.strip_suffix(".toml") != Some(provider.id.as_str()) {
            bail!("{file}: id: {} must be the file's name", provider.id);
        }
        providers.push(provider);
    }
    providers.sort_by(|one, other| one.id.cmp(&other.id));
    let catalog = Catalog::new(providers, upstreams);
    let wrong = check::check(&catalog);
    if !wrong.is_empty() {
        bail!("the catalogue is wrong:\n{}", wrong.join("\n"));
    }
    Ok(catalog)
}
