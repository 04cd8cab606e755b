//! Whose turn it is on a hub: a file in the state folder that the daemon holds while it runs.
//!
//! The queue's own lock keeps a second daemon away. This one tells tools that a daemon runs, whatever folder its socket is in.
//!
//! Deliberately absent: refusing anything. Who cannot look, as on a laptop without that folder, learns nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

/// The file's name in the state folder.
const FILE: &str = "daemon.lock";

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _held: File,
}

/// Takes it, for the daemon. Shared, so that a tool that looks just now is told apart from a daemon.
///
/// # Errors
/// The folder cannot be written to, or a tool looks at this moment.
pub(crate) fn take(state: &Path) -> io::Result<Turn> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(state.join(FILE))?;
    match file.try_lock_shared() {
        Ok(()) => Ok(Turn { _held: file }),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether a daemon has it, as far as we may look.
pub(crate) fn is_taken(state: &Path) -> bool {
    let file = File::open(state.join(FILE));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}
