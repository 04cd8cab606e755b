//! The only code that replaces a small file.
//!
//! On an SD card the ordinary failure is a file that is torn, or of zero length, after a power cut. So a [`File`] keeps
//! two generations, `name` and `name.previous`, each framed with length and checksum:
//!
//! ```text
//!  0         8            12        16            16 + length
//!  ┌─────────┬────────────┬─────────┬──────────────┐
//!  │ CURBFIL1│ length u32 │ crc u32 │ content      │   numbers little-endian; crc (CRC-32, IEEE) over length and content
//!  └─────────┴────────────┴─────────┴──────────────┘
//! ```
//!
//! [`File::write`] returns when the new content would survive a power cut: new file written and synced, the current one
//! renamed to previous, the new one renamed to current, folder synced. At each moment in between, one whole generation
//! stands under one of the two names. [`File::read`] takes the current one if it is whole, else the previous one, says
//! which, and puts a damaged file aside (`.damaged`) where a person can look at it.
//!
//! Deliberately absent: locks (each path has one owner), serialization (content is bytes), and anything large: queues
//! belong in `store`.

mod frame;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// Bytes of content at most. A guess at four times the largest merged configuration; it keeps a read from taking the
/// memory of a small hub when the length on disk is garbage or the wrong file stands under the name.
pub const MAX_LEN: usize = 4 << 20;

/// A small file in two generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    current: PathBuf,
}

/// What a [`File`] held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The content, exactly as it was written.
    pub bytes: Vec<u8>,
    /// Where it came from.
    pub generation: Generation,
    /// Where a current file that was not whole has been put.
    pub damaged: Option<PathBuf>,
}

/// Which of the two files was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The content of the last write that returned, or of one that was cut off after it.
    Current,
    /// The content of the write before. Without a damaged file this is no loss: a write was cut off between its two
    /// renames, and had not returned.
    Previous,
}

/// Why a small file could not be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{act} {path}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// There are files, and none is whole. They are left as they are until the next write, so that a lost content is
    /// never taken for one that never was.
    #[error("read {path}: neither generation is whole")]
    Damaged {
        /// The current file.
        path: PathBuf,
    },
    /// The content has more than [`MAX_LEN`] bytes.
    #[error("write {path}: {len} bytes are more than a small file holds")]
    TooLong {
        /// The current file.
        path: PathBuf,
        /// Bytes given.
        len: usize,
    },
}

/// A file under one of the two names, looked at.
enum Found {
    Nothing,
    Whole(Vec<u8>),
    Damaged,
}

impl File {
    /// The file at `path`. Nothing is touched. Each path has one owner: two writers would race for the temporary file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { current: path.into() }
    }

    /// Where the current generation stands.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.current
    }

    /// The newest whole generation; `None` if there has never been one.
    ///
    /// # Errors
    /// A file exists and cannot be read, or no generation is whole.
    pub fn read(&self) -> Result<Option<Read>, Error> {
        let current = look(&self.current)?;
        if let Found::Whole(bytes) = current {
            return Ok(Some(Read { bytes, generation: Generation::Current, damaged: None }));
        }
        match (look(&self.named("previous"))?, current) {
            (Found::Whole(bytes), Found::Damaged) => {
                let damaged = Some(self.put_aside()?);
                Ok(Some(Read { bytes, generation: Generation::Previous, damaged }))
            }
            (Found::Whole(bytes), _) => Ok(Some(Read { bytes, generation: Generation::Previous, damaged: None })),
            (Found::Nothing, Found::Nothing) => Ok(None),
            (Found::Nothing | Found::Damaged, _) => Err(Error::Damaged { path: self.current.clone() }),
        }
    }

    /// Replaces the content. When this returns, the new content survives a power cut; if it fails or is cut off, the old
    /// or the new content is there, never a mixture. The file is readable by its owner only.
    ///
    /// # Errors
    /// The content is too long, or the operating system refuses. Trying again is safe.
    pub fn write(&self, content: &[u8]) -> Result<(), Error> {
        let framed =
            frame::encode(content).ok_or_else(|| Error::TooLong { path: self.current.clone(), len: content.len() })?;
        let new = self.named("new");
        write_synced(&new, &framed)?;
        match look(&self.current)? {
            // A damaged file must not take the place of a whole previous generation.
            Found::Damaged => drop(self.put_aside()?),
            Found::Whole(_) => rename(&self.current, &self.named("previous"))?,
            Found::Nothing => {}
        }
        rename(&new, &self.current)?;
        self.sync_folder()
    }

    /// Removes the content: afterwards there has never been one. A current file that is not whole is put aside instead.
    ///
    /// # Errors
    /// The operating system refuses. Trying again is safe; cut off, the current content may still be there.
    pub fn remove(&self) -> Result<(), Error> {
        remove(&self.named("previous"))?;
        match look(&self.current)? {
            Found::Damaged => drop(self.put_aside()?),
            Found::Whole(_) => remove(&self.current)?,
            Found::Nothing => {}
        }
        self.sync_folder()
    }

    /// `name.suffix` beside the current file.
    fn named(&self, suffix: &str) -> PathBuf {
        let mut name = self.current.clone().into_os_string();
        name.push(".");
        name.push(suffix);
        name.into()
    }

    /// Puts the current file where a person can look at it (`.damaged`). Only the last one is kept: a card that tears often
    /// must not fill the disk.
    ///
    /// # Errors
    /// There is none, or the operating system refuses.
    pub fn put_aside(&self) -> Result<PathBuf, Error> {
        let damaged = self.named("damaged");
        rename(&self.current, &damaged)?;
        Ok(damaged)
    }

    fn sync_folder(&self) -> Result<(), Error> {
        let folder = match self.current.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let sync = || fs::File::open(folder)?.sync_all();
        sync().map_err(|source| Error::Io { act: "sync folder", path: folder.to_owned(), source })
    }
}

fn look(path: &Path) -> Result<Found, Error> {
    let io = |source| Error::Io { act: "read", path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(io(error)),
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(frame::HEADER + MAX_LEN + 1).expect("a few MiB fit");
    io::Read::read_to_end(&mut io::Read::take(file, limit), &mut bytes).map_err(io)?;
    Ok(frame::decode(bytes).map_or(Found::Damaged, Found::Whole))
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| Error::Io { act: "write", path: path.to_owned(), source })
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|source| Error::Io { act: "rename", path: from.to_owned(), source })
}

/// That there is nothing to remove is fine.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::Io { act: "remove", path: path.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
