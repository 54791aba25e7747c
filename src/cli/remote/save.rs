//! Saves result files. A file is written beside its place and moved there when it is whole. A name of our own never
//! takes the place of a file; one that was asked for does, and that is said.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::StreamExt as _;
use tempfile::NamedTempFile;

use crate::{
    client::{Asset, Client, Generation, Refusal},
    media::extension,
};

/// How often a download that breaks is begun anew.
const TRIES: u32 = 4;
const WAIT: Duration = Duration::from_millis(500);

/// A file that was saved.
pub(super) struct Saved {
    pub(super) path: PathBuf,
    /// Whether another one was there.
    pub(super) replaced: bool,
}

/// Refuses a place where no file can be made.
pub(super) fn check(to: Option<&Path>) -> Result<(), Refusal> {
    let folder = to.map_or(Path::new("."), |to| if to.is_dir() { to } else { folder_of(to) });
    if !folder.is_dir() {
        return Err(Refusal::invalid(format!("there is no folder {}; make it first", folder.display())));
    }
    let refused = |error: io::Error| Refusal::invalid(format!("cannot save in {}: {}", folder.display(), error.kind()));
    private(folder).map(drop).map_err(refused)
}

/// Saves a result file: in the present folder, in the folder `to`, or as the file `to`.
pub(super) async fn save(
    client: &Client,
    generation: &Generation,
    at: usize,
    to: Option<&Path>,
) -> anyhow::Result<Saved> {
    let asset = &generation.assets[at];
    let named = to.filter(|to| !to.is_dir());
    if let Some(named) = named {
        let path = numbered(named, at, generation.assets.len());
        let file = download(client, asset, folder_of(&path)).await?;
        let replaced = path.exists();
        file.persist(&path)?;
        return Ok(Saved { path, replaced });
    }
    let folder = to.unwrap_or(Path::new(""));
    let mut file = download(client, asset, if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).await?;
    for path in names(generation, at).map(|name| folder.join(name)) {
        match file.persist_noclobber(&path) {
            Ok(_) => return Ok(Saved { path, replaced: false }),
            Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => file = taken.file,
            Err(error) => return Err(error.into()),
        }
    }
    anyhow::bail!("there is no free name for it in {}", folder.display())
}

/// Writes the first result file to standard output.
pub(super) async fn pipe(client: &Client, asset: &Asset) -> anyhow::Result<()> {
    // Whole before any of it is written: a download that breaks is begun anew.
    let mut file = download(client, asset, &tempfile::env::temp_dir()).await?.reopen()?;
    let mut stdout = io::stdout().lock();
    io::copy(&mut file, &mut stdout)?;
    Ok(stdout.flush()?)
}

async fn download(client: &Client, asset: &Asset, folder: &Path) -> anyhow::Result<NamedTempFile> {
    let mut tries = 1;
    loop {
        match download_once(client, asset, folder).await {
            Err(error) if tries < TRIES && !error.is::<io::Error>() => {
                tries += 1;
                tokio::time::sleep(WAIT * tries).await;
            }
            outcome => return outcome,
        }
    }
}

async fn download_once(client: &Client, asset: &Asset, folder: &Path) -> anyhow::Result<NamedTempFile> {
    let mut file = private(folder)?;
    let mut size = 0;
    let mut chunks = client.download(&asset.url).await?.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        size += chunk.len() as u64;
        file.write_all(&chunk)?;
    }
    anyhow::ensure!(size == asset.size_bytes, "{size} of {} bytes came", asset.size_bytes);
    Ok(file)
}

/// A file with the rights that any new file has, which a temporary one has not.
fn private(folder: &Path) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let rights = std::fs::Permissions::from_mode(0o666);
    tempfile::Builder::new().prefix(".doitong-").permissions(rights).tempfile_in(folder)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The name asked for, with the number of the file where there are several.
fn numbered(path: &Path, at: usize, of: usize) -> PathBuf {
    if of == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map(|extension| format!(".{}", extension.to_string_lossy())).unwrap_or_default();
    path.with_file_name(format!("{stem}-{}{extension}", at + 1))
}

/// Names for a file, from type, provider, id and content; the later ones for when the first is taken.
fn names(generation: &Generation, at: usize) -> impl Iterator<Item = String> {
    let asset = &generation.assets[at];
    let id = generation.id.as_str();
    let tail = id.char_indices().rev().nth(7).map_or(id, |(from, _)| &id[from..]);
    let mut stem = format!("{}-{}-{tail}", generation.r#type.as_str().to_lowercase(), generation.provider);
    if generation.assets.len() > 1 {
        stem = format!("{stem}-{}", at + 1);
    }
    // A gateway must not choose the folder.
    let stem = stem.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    let extension = extension(asset.content_type.split(';').next().unwrap_or_default().trim()).unwrap_or("bin");
    let more = stem.clone();
    let first = format!("{stem}.{extension}");
    std::iter::once(first).chain((2..1000).map(move |number| format!("{more}_{number}.{extension}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn generation(provider: &str, files: usize) -> Generation {
        let asset = json!({"url": "u", "contentType": "image/png", "sizeBytes": 1, "sha256": ""});
        let generation = json!({
            "id": "gen_0123456789abcdef", "status": "COMPLETED", "type": "IMAGE", "provider": provider, "model": "dev",
            "progress": 100, "estimatedTime": 5, "creditCost": 25, "assets": vec![asset; files], "adjustments": [],
            "createdAt": "2026-01-01T00:00:00Z",
        });
        serde_json::from_value(generation).unwrap()
    }

    fn name(provider: &str, at: usize, files: usize) -> String {
        names(&generation(provider, files), at).next().unwrap()
    }

    #[test]
    fn a_name_says_what_it_is_and_stays_in_its_folder() {
        assert_eq!(name("flux-dev", 0, 1), "image-flux-dev-89abcdef.png");
        assert_eq!(name("flux-dev", 1, 2), "image-flux-dev-89abcdef-2.png");
        assert_eq!(name("../a/b", 0, 1), "image-..-a-b-89abcdef.png");
        assert_eq!(names(&generation("x", 1), 0).nth(1).unwrap(), "image-x-89abcdef_2.png");
    }

    #[test]
    fn a_name_asked_for_is_numbered_where_there_are_several() {
        assert_eq!(numbered(Path::new("a/fox.png"), 0, 1), Path::new("a/fox.png"));
        assert_eq!(numbered(Path::new("a/fox.png"), 1, 2), Path::new("a/fox-2.png"));
        assert_eq!(numbered(Path::new("fox"), 0, 2), Path::new("fox-1"));
    }
}
