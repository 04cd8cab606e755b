//! A folder that appears whole or not at all: it is filled under another name beside its own, and renamed when done.
//! A rename onto a folder that has something in it fails, so nothing is ever overwritten.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The owner alone.
    Secret,
    /// Everybody.
    Public,
}

/// A folder in the making. Dropped unfinished, it is removed.
#[derive(Debug)]
pub(super) struct Draft {
    draft: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Draft {
    /// Starts the folder that will be `target`; its parent must exist.
    pub(super) fn of(target: &Path) -> Result<Self, Error> {
        // "ca/" and "ca" are one folder.
        let target: PathBuf = target.components().collect();
        let name = target.file_name().ok_or_else(|| Error::DirTaken(target.clone()))?;
        // A dot and the process make it a name that no hub has and no other run uses.
        let draft = target.with_file_name(format!(".{}.{}", name.display(), std::process::id()));
        make_folder(&draft)?;
        Ok(Self { draft, target, finished: false })
    }

    /// Makes a folder inside, for the owner alone.
    pub(super) fn folder(&self, name: &str) -> Result<(), Error> {
        make_folder(&self.draft.join(name))
    }

    /// Writes a file inside and syncs it.
    pub(super) fn file(&self, name: &str, access: Access, content: &str) -> Result<(), Error> {
        let path = self.draft.join(name);
        let mode = match access {
            Access::Secret => 0o600,
            Access::Public => 0o644,
        };
        let mut open = OpenOptions::new();
        open.write(true).create_new(true).mode(mode);
        let write = |mut file: File| {
            file.write_all(content.as_bytes())?;
            file.sync_all()
        };
        open.open(&path).and_then(write).map_err(|source| Error::Write { path, source })
    }

    /// Gives the folder its name; `taken` is the error if another has it.
    pub(super) fn finish(mut self, taken: Error) -> Result<(), Error> {
        let failed = |source| Error::Write { path: self.target.clone(), source };
        match fs::rename(&self.draft, &self.target) {
            Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
                return Err(taken);
            }
            renamed => renamed.map_err(failed)?,
        }
        self.finished = true;
        let parent = self.target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            // What cannot be removed is a hidden folder that nobody reads.
            drop(fs::remove_dir_all(&self.draft));
        }
    }
}

fn make_folder(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|source| Error::Write { path: path.to_owned(), source })
}
