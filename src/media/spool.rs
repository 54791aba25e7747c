//! Holds a file while it streams in, until it is known whole and good: small ones in memory, others on disk without a
//! name, so that nothing is left of them whatever happens to the process.

use std::{fs, io, path::Path};

use bytes::{Bytes, BytesMut};
use tokio::{fs::File, io::AsyncWriteExt as _};

/// The largest file that is held in memory.
const IN_MEMORY: usize = 1 << 20;

/// A file that is coming in.
pub(super) enum Spool<'a> {
    Memory { bytes: BytesMut, folder: &'a Path },
    Disk(File),
}

/// A file that came in whole.
pub(super) enum Spooled {
    Memory(Bytes),
    Disk(fs::File),
}

impl<'a> Spool<'a> {
    /// An empty one that goes to a nameless file in this folder when it grows.
    pub(super) fn new(folder: &'a Path) -> Self {
        Self::Memory { bytes: BytesMut::new(), folder }
    }

    pub(super) async fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self {
            Self::Memory { bytes, .. } if bytes.len() + chunk.len() <= IN_MEMORY => bytes.extend_from_slice(chunk),
            Self::Memory { bytes, folder } => {
                let folder = folder.to_owned();
                let file = tokio::task::spawn_blocking(move || {
                    fs::create_dir_all(&folder)?;
                    tempfile::tempfile_in(folder)
                });
                let mut file = File::from_std(file.await??);
                file.write_all(bytes).await?;
                file.write_all(chunk).await?;
                *self = Self::Disk(file);
            }
            Self::Disk(file) => file.write_all(chunk).await?,
        }
        Ok(())
    }

    pub(super) async fn finish(self) -> io::Result<Spooled> {
        Ok(match self {
            Self::Memory { bytes, .. } => Spooled::Memory(bytes.freeze()),
            Self::Disk(mut file) => {
                // A write error shows here at the latest.
                file.flush().await?;
                Spooled::Disk(file.into_std().await)
            }
        })
    }
}
