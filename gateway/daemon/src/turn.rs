//! Whose turn it is on a hub: a file in the state folder that the daemon holds while it runs.
//!
//! The queue's own lock keeps a second daemon away. This one tells tools that a daemon runs, whatever folder its socket is in.
//!
//! Deliberately absent: refusing anything. Who cannot look, as on a laptop without that folder, learns nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

/// The file's name in the state folder.
const FILE: &str = "daemon.lock";

/// Held until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _held: File,
}

/// How often, and how far apart, a daemon tries again while a tool looks: a look takes no time, so what lasts longer is
/// no tool of ours.
const TRIES: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(10);

/// Takes it, for the daemon. Shared, so that a tool that looks just now is told apart from a daemon. Waits for
/// [`TRIES`] × [`BETWEEN`] at most.
///
/// # Errors
/// The folder cannot be written to, or somebody else keeps the file.
pub(crate) async fn take(state: &Path) -> io::Result<Turn> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(state.join(FILE))?;
    for _ in 0..TRIES {
        match file.try_lock_shared() {
            Ok(()) => return Ok(Turn { _held: file }),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(BETWEEN).await,
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Whether a daemon has it, as far as we may look.
pub(crate) fn is_taken(state: &Path) -> bool {
    let file = File::open(state.join(FILE));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tool_that_looks_as_the_daemon_starts_does_not_leave_it_without_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let looks = File::create(folder.path().join(FILE)).unwrap();
        looks.try_lock().unwrap();
        let (turn, ()) = tokio::join!(take(folder.path()), async {
            tokio::time::sleep(BETWEEN * 3).await;
            drop(looks);
        });
        let turn = turn.unwrap();
        assert!(is_taken(folder.path()));
        drop(turn);
        assert!(!is_taken(folder.path()));
        let _kept = File::open(folder.path().join(FILE)).map(|file| (file.try_lock().unwrap(), file)).unwrap();
        assert!(take(folder.path()).await.is_err(), "somebody keeps it");
    }
}
