//! Keeps result and input files under unguessable paths, in a local folder or a bucket.
//!
//! A file comes in as a stream, is held aside until it is whole, and is then put into the store in one piece: readers
//! never see a part of a file, and a failure leaves nothing behind. What it is, the file itself says.

use std::{
    collections::HashMap,
    error::Error as StdError,
    fs::File,
    io::{Cursor, Read as _, Seek as _},
    ops::Range,
    path::{Path as FsPath, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream, stream::BoxStream};
use object_store::{
    Attribute, Attributes, GetOptions, ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions,
    WriteMultipart, local::LocalFileSystem, path::Path,
};
use rand::{TryRng as _, rngs::SysRng};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{
    bucket,
    links::Links,
    probe::{self, Probe},
    spool::{Spool, Spooled},
    types,
};
use crate::domain::{Timestamp, output::Asset};

/// How much is read and sent at a time.
const PART_BYTES: usize = 5 << 20;
/// Random bytes of a path.
const PATH_BYTES: usize = 20;

/// The media store.
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// A bucket keeps the content type too, for whoever serves from it directly; a folder has no place for it.
    is_bucket: bool,
    spool: PathBuf,
    links: Links,
}

/// What a file must be to be kept.
#[derive(Clone, Copy, Debug)]
pub enum Expected<'a> {
    /// An input file: one of the types that requests may name.
    Input,
    /// A result, with the content type that the upstream told, which counts when the file itself says nothing.
    Result(Option<&'a str>),
}

/// Why a file was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It is larger than this many bytes.
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
    /// It has no bytes.
    #[error("the file is empty")]
    Empty,
    /// It is no media file of an expected type.
    #[error("the file is no picture, video or sound of a known type")]
    Unrecognised,
    /// The stream it came by broke.
    #[error("the file did not arrive whole")]
    Source(#[source] Box<dyn StdError + Send + Sync>),
    /// The store is full or down; later is fine.
    #[error("the media store does not take the file")]
    Store(#[source] anyhow::Error),
}

/// A stored file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// The path below `/media/`.
    pub path: String,
    /// Its content type.
    pub content_type: &'static str,
    /// Size in bytes.
    pub size_bytes: u64,
    /// When it was kept.
    pub modified: Timestamp,
}

impl Store {
    /// Opens the store at a folder or a URL (`file:`, or a bucket's, with the variables of its cloud). A relative folder
    /// lies below `base`, where files are also held while they come in.
    pub fn open(
        location: &str,
        variables: &HashMap<String, SecretString>,
        base: &FsPath,
        public_url: Option<Url>,
    ) -> anyhow::Result<Self> {
        let (objects, is_bucket) = match Url::parse(location) {
            Ok(url) if url.scheme() == "file" => {
                (local(&url.to_file_path().map_err(|()| anyhow!("{location} names no local folder"))?)?, false)
            }
            Ok(url) => {
                let opened = bucket::open(&url, variables);
                (opened.with_context(|| format!("the media store {location} cannot be used"))?, true)
            }
            Err(_) => (local(&base.join(location))?, false),
        };
        Ok(Self { objects, is_bucket, spool: base.join("spool"), links: Links::new(public_url) })
    }

    /// Where the files are served.
    pub const fn links(&self) -> &Links {
        &self.links
    }

    /// Keeps a file that comes as a stream.
    pub async fn keep<E>(
        &self,
        bytes: impl Stream<Item = Result<Bytes, E>>,
        expected: Expected<'_>,
        max_bytes: u64,
    ) -> Result<Asset, KeepError>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let mut bytes = std::pin::pin!(bytes);
        let (mut spool, mut hash, mut size) = (Spool::new(&self.spool), Sha256::new(), 0);
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(|error| KeepError::Source(error.into()))?;
            size += chunk.len() as u64;
            if size > max_bytes {
                return Err(KeepError::TooLarge(max_bytes));
            }
            hash.update(&chunk);
            spool.write(&chunk).await.map_err(held_up)?;
        }
        if size == 0 {
            return Err(KeepError::Empty);
        }
        let (probe, spooled) = probe_spooled(spool.finish().await.map_err(held_up)?).await?;
        let (probe, extension) = recognise(probe, expected)?;
        let path = new_path(extension)?;
        self.put(&path, spooled).await?;
        Ok(Asset {
            path,
            content_type: probe.content_type,
            width: probe.width,
            height: probe.height,
            duration: probe.duration,
            fps: probe.fps,
            size_bytes: i64::try_from(size).unwrap_or(i64::MAX),
            sha256: hex::encode(hash.finalize()),
        })
    }

    /// Keeps a file that is there already.
    pub async fn keep_bytes(&self, bytes: Bytes, expected: Expected<'_>) -> Result<Asset, KeepError> {
        self.keep(stream::iter([Ok::<_, std::convert::Infallible>(bytes)]), expected, u64::MAX).await
    }

    /// A stored file, if there is one of this path.
    pub async fn find(&self, path: &str) -> anyhow::Result<Option<StoredFile>> {
        let Some(location) = location(path) else { return Ok(None) };
        match self.objects.head(&location).await {
            Ok(meta) => Ok(Some(StoredFile {
                path: path.to_owned(),
                content_type: types::of_path(path),
                size_bytes: meta.size,
                modified: meta.last_modified,
            })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).context("the media store cannot be read"),
        }
    }

    /// The bytes of a stored file, or a range of them that lies within it.
    pub async fn read(
        &self,
        file: &StoredFile,
        range: Option<Range<u64>>,
    ) -> anyhow::Result<BoxStream<'static, object_store::Result<Bytes>>> {
        let location = location(&file.path).context("not the path of a stored file")?;
        let options = GetOptions { range: range.map(Into::into), ..GetOptions::default() };
        Ok(self.objects.get_opts(&location, options).await.context("the media store cannot be read")?.into_stream())
    }

    /// The bytes of a stored file, if there is one of this path and it is no larger.
    pub async fn read_whole(&self, path: &str, max_bytes: u64) -> anyhow::Result<Option<Bytes>> {
        let Some(file) = self.find(path).await? else { return Ok(None) };
        if file.size_bytes > max_bytes {
            return Ok(None);
        }
        let bytes: Vec<u8> = self
            .read(&file, None)
            .await?
            .try_fold(Vec::new(), |mut all, chunk| async move {
                all.extend_from_slice(&chunk);
                Ok(all)
            })
            .await?;
        Ok(Some(bytes.into()))
    }

    /// Removes a stored file; one that is not there is as good.
    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        let Some(location) = location(path) else { return Ok(()) };
        match self.objects.delete(&location).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error).context("the media store cannot delete"),
        }
    }

    /// Writes, reads and removes a small file, for `doitong doctor`.
    pub async fn check(&self) -> anyhow::Result<()> {
        let path = new_path("bin")?;
        self.put(&path, Spooled::Memory(Bytes::from_static(b"check"))).await?;
        let read = self.read_whole(&path, u64::MAX).await?;
        self.delete(&path).await?;
        anyhow::ensure!(read.as_deref() == Some(b"check"), "the media store returned another file than it was given");
        Ok(())
    }

    async fn put(&self, path: &str, spooled: Spooled) -> Result<(), KeepError> {
        let mut attributes = Attributes::new();
        if self.is_bucket {
            attributes.insert(Attribute::ContentType, types::of_path(path).into());
        }
        let path = Path::from(path);
        match spooled {
            Spooled::Memory(bytes) => {
                let options = PutOptions { attributes, ..PutOptions::default() };
                self.objects.put_opts(&path, bytes.into(), options).await.map(drop).map_err(refused)
            }
            Spooled::Disk(file) => {
                let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
                let upload = self.objects.put_multipart_opts(&path, options).await.map_err(refused)?;
                let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
                match copy(file, &mut upload).await {
                    Ok(()) => upload.finish().await.map(drop).map_err(refused),
                    Err(error) => {
                        upload.abort().await.ok();
                        Err(error)
                    }
                }
            }
        }
    }
}

impl KeepError {
    /// Whether the same file may well be kept at another try.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Source(_) | Self::Store(_))
    }
}

fn local(folder: &FsPath) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let made = std::fs::create_dir_all(folder)
        .with_context(|| format!("the media folder {} cannot be made", folder.display()));
    made.and_then(|()| Ok(Arc::new(LocalFileSystem::new_with_prefix(folder)?.with_fsync(true)) as Arc<dyn ObjectStore>))
}

async fn copy(mut file: File, upload: &mut WriteMultipart) -> Result<(), KeepError> {
    file.rewind().map_err(held_up)?;
    loop {
        let part = tokio::task::spawn_blocking(move || {
            let mut part = Vec::with_capacity(PART_BYTES);
            file.by_ref().take(PART_BYTES as u64).read_to_end(&mut part).map(|_| (file, part))
        });
        let (rest, part) = part.await.map_err(held_up)?.map_err(held_up)?;
        if part.is_empty() {
            return Ok(());
        }
        file = rest;
        upload.wait_for_capacity(2).await.map_err(refused)?;
        upload.put(part.into());
    }
}

/// What the file says it is. `Err` holds its first bytes when it says nothing.
type Probed = Result<Probe, Vec<u8>>;

async fn probe_spooled(spooled: Spooled) -> Result<(Probed, Spooled), KeepError> {
    let mut file = match spooled {
        Spooled::Memory(bytes) => return Ok((probe_bytes(&bytes), Spooled::Memory(bytes))),
        Spooled::Disk(file) => file,
    };
    let probed = tokio::task::spawn_blocking(move || {
        let mut head = Vec::new();
        file.rewind()?;
        file.by_ref().take(64).read_to_end(&mut head)?;
        file.rewind()?;
        Ok((probe::probe(&mut file).ok_or(head), Spooled::Disk(file)))
    });
    probed.await.map_err(held_up)?.map_err(|error: std::io::Error| held_up(error))
}

fn probe_bytes(bytes: &[u8]) -> Probed {
    probe::probe(Cursor::new(bytes)).ok_or_else(|| bytes[..bytes.len().min(64)].to_vec())
}

struct Recognised {
    content_type: String,
    width: Option<u32>,
    height: Option<u32>,
    duration: Option<f64>,
    fps: Option<f64>,
}

fn recognise(probed: Probed, expected: Expected<'_>) -> Result<(Recognised, &'static str), KeepError> {
    let told = match (probed, expected) {
        (Ok(probe), Expected::Input) if !types::is_input(probe.content_type) => return Err(KeepError::Unrecognised),
        (Ok(Probe { content_type, extension, width, height, duration, fps }), _) => {
            let known = Recognised { content_type: content_type.to_owned(), width, height, duration, fps };
            return Ok((known, extension));
        }
        // An upstream's error page is no result, whatever it is called.
        (Err(head), Expected::Result(Some(told))) if !looks_like_text(&head) => told,
        (Err(_), _) => return Err(KeepError::Unrecognised),
    };
    let content_type = told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let extension = types::extension(&content_type).ok_or(KeepError::Unrecognised)?;
    Ok((Recognised { content_type, width: None, height: None, duration: None, fps: None }, extension))
}

fn looks_like_text(head: &[u8]) -> bool {
    head.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

fn new_path(extension: &str) -> Result<String, KeepError> {
    let mut random = [0; PATH_BYTES];
    SysRng.try_fill_bytes(&mut random).map_err(|error| KeepError::Store(anyhow!("no random bytes: {error}")))?;
    let name = hex::encode(random);
    let (folder, name) = name.split_at(2);
    Ok(format!("{folder}/{name}.{extension}"))
}

/// Where a file of this path lies; `None` when no file of ours can have it.
fn location(path: &str) -> Option<Path> {
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let (folder, file) = path.split_once('/')?;
    let (name, extension) = file.split_once('.')?;
    let ours = folder.len() == 2
        && is_hex(folder)
        && name.len() >= 32
        && is_hex(name)
        && extension.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    ours.then(|| Path::from(path))
}

fn held_up(error: impl Into<anyhow::Error>) -> KeepError {
    KeepError::Store(error.into().context("holding the file while it comes in"))
}

fn refused(error: object_store::Error) -> KeepError {
    KeepError::Store(error.into())
}
