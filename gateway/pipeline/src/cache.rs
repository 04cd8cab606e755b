//! Compiled components, kept: loading one takes 0.05 ms where compiling takes tens, and needs a process of its own.
//!
//! ```text
//! <folder, 0700>/<sha-256 of component, engine version and configuration>
//! ┌────────────────────┬──────────────────┐
//! │ sha-256 of code    │ code             │
//! └────────────────────┴──────────────────┘
//! ```
//!
//! Compiled code is native code: who can write it can run anything in the plugin host. So the folder must be ours alone, a file
//! must be the one that we wrote, and a component is only ever found by the digest of its own bytes. What does not fit is compiled
//! anew. It is the parent's, and not the host's, so that the host needs no file at all. Deliberately absent: fsync (a torn file
//! does not match its digest), and a limit (an installer ships few plugins; the folder may be emptied at any time).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::config::Engine;
use crate::host::fingerprint;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

const DIGEST: usize = 32;

/// Compiled code of a component of 4 MiB is some 16 MiB; a longer file is not ours.
pub(crate) const CODE_MAX: usize = 64 << 20;

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Cache(PathBuf);

impl Cache {
    pub(crate) const fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The place of a component's code. Makes the folder if need be; `None` if it is not ours alone: then nothing is kept.
    pub(crate) fn place(&self, engine: Engine, memory: u64, component: &[u8]) -> Option<Place> {
        let Self(folder) = self;
        DirBuilder::new().mode(0o700).recursive(true).create(folder).ok()?;
        let meta = fs::symlink_metadata(folder).ok()?;
        let ours = meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o077 == 0;
        if !ours {
            return None;
        }
        Some(Place(folder.join(key(engine, memory, component)?)))
    }
}

/// Where the code of one component is, or is to be.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// The code, if it is there, whole, and nobody else could have written it.
    pub(crate) fn code(&self) -> Option<Vec<u8>> {
        verified(&self.0)
    }

    /// Keeps it. That it cannot be kept costs time at the next start, nothing else.
    pub(crate) fn keep(&self, code: &[u8]) {
        keep(&self.0, code).ok();
    }
}

/// The file's name: everything that the code depends on. `None` if this machine has no such engine.
fn key(engine: Engine, memory: u64, component: &[u8]) -> Option<String> {
    let mut digest = Sha256::new();
    digest.update(component);
    digest.update(fingerprint(engine, memory).ok()?.to_le_bytes());
    Some(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The file's content, if it is whole and nobody else could have written it.
fn verified(path: &Path) -> Option<Vec<u8>> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).ok()?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let meta = file.metadata().ok()?;
    let ours = meta.is_file() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o077 == 0;
    let most = (DIGEST + CODE_MAX) as u64;
    if !ours || meta.len() > most {
        return None;
    }
    let (mut file, mut digest, mut code) = (file.take(most), [0; DIGEST], Vec::new());
    file.read_exact(&mut digest).ok()?;
    file.read_to_end(&mut code).ok()?;
    (Sha256::digest(&code).as_slice() == digest).then_some(code)
}

fn keep(path: &Path, code: &[u8]) -> io::Result<()> {
    // Plugins of one digest may be compiled at the same moment; each writes its own file, and the last name wins.
    let temporary = path.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
    drop(fs::remove_file(&temporary));
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)?;
    drop(file);
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests;
