//! Compiled components, kept: loading one takes 0.05 ms and 8 MB less memory than compiling it.
//!
//! ```text
//! <folder, 0700>/<sha-256 of component, engine version and configuration>
//! ┌────────────────────┬──────────────────┐
//! │ sha-256 of code    │ code             │
//! └────────────────────┴──────────────────┘
//! ```
//!
//! Compiled code is native code: who can write it can run anything. So the folder must be ours alone, a file must be the
//! one that we wrote, and a component is only ever found by the digest of its own bytes. What does not fit is compiled
//! anew. Deliberately absent: fsync (a torn file does not match its digest), and a limit (an installer ships few plugins;
//! the folder may be emptied at any time).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::host::deserialize::deserialize;

const DIGEST: usize = 32;

/// Compiled code of a component of 4 MiB is some 16 MiB; a longer file is not ours.
const CODE_MAX: u64 = 64 << 20;

/// The folder, if it can be trusted.
#[derive(Debug, Clone)]
pub(super) struct Cache(Option<PathBuf>);

/// Code whose bytes are those that this user wrote. Only [`Cache::verified`] makes one.
#[derive(Debug)]
pub(super) struct Verified(Vec<u8>);

impl Verified {
    pub(super) fn code(&self) -> &[u8] {
        &self.0[DIGEST..]
    }
}

impl Cache {
    /// Nothing is kept.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// Uses the folder, and makes it if need be. If it is not ours alone, nothing is kept.
    pub(super) fn open(folder: &Path) -> Self {
        let made = DirBuilder::new().mode(0o700).recursive(true).create(folder);
        let ours = made.and_then(|()| fs::symlink_metadata(folder)).is_ok_and(|meta| {
            meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o077 == 0
        });
        Self(ours.then(|| folder.to_owned()))
    }

    /// The component, from the cache or compiled. A cache that cannot be read or written costs time, nothing else.
    pub(super) fn compile(&self, engine: &Engine, component: &[u8]) -> wasmtime::Result<Component> {
        let Some(path) = self.0.as_ref().map(|folder| folder.join(key(engine, component))) else {
            return Component::new(engine, component);
        };
        if let Some(code) = verified(&path)
            && let Ok(component) = deserialize(engine, &code)
        {
            return Ok(component);
        }
        let compiled = Component::new(engine, component)?;
        drop(keep(&path, &compiled.serialize()?));
        Ok(compiled)
    }
}

/// The file's name: everything that the code depends on.
fn key(engine: &Engine, component: &[u8]) -> String {
    let mut compatible = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut compatible);
    let mut digest = Sha256::new();
    digest.update(component);
    digest.update(compatible.finish().to_le_bytes());
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file's content, if it is whole and nobody else could have written it.
fn verified(path: &Path) -> Option<Verified> {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).ok()?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let meta = file.metadata().ok()?;
    let ours = meta.is_file() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o077 == 0;
    if !ours || meta.len() > CODE_MAX {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(CODE_MAX).read_to_end(&mut bytes).ok()?;
    let (digest, code) = bytes.split_at_checked(DIGEST)?;
    (Sha256::digest(code).as_slice() == digest).then_some(Verified(bytes))
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
