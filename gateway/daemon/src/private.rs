//! Files for their own user only: what the hub has read is nobody else's business, whatever umask it was started with.
//!
//! Deliberately absent: folders, which whoever installs the hub may have opened to a group.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustix::fs::Mode;

/// What anybody else may do with a file.
const OTHERS: u32 = 0o077;

/// From here on what this process makes is for its own user, unless it says otherwise.
pub(crate) fn begin() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Takes what an older version made in the state folder from others.
pub(crate) fn take(state: &Path) {
    for folder in [state.to_owned(), state.join("queue")] {
        if let Err(error) = take_files(&folder) {
            tracing::warn!("failed to keep the files in {} for this user only: {error}", folder.display());
        }
    }
}

fn take_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Of the entry itself: a link leads elsewhere.
        let about = entry.metadata()?;
        let mode = about.permissions().mode();
        if about.is_file() && mode & OTHERS != 0 {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode & !OTHERS))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stood_open_to_others_is_taken_from_them_and_folders_are_left() {
        let state = tempfile::tempdir().unwrap();
        let open = |path: &str, mode| {
            fs::set_permissions(state.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
        };
        let mode = |path: &str| fs::metadata(state.path().join(path)).unwrap().permissions().mode() & 0o777;
        fs::create_dir(state.path().join("queue")).unwrap();
        open("queue", 0o750);
        for (path, before) in [("usage", 0o644), ("daemon.lock", 0o664), ("queue/queue.db", 0o640), ("names", 0o600)] {
            fs::write(state.path().join(path), b"x").unwrap();
            open(path, before);
        }
        take(state.path());
        assert_eq!(["usage", "daemon.lock", "queue/queue.db", "names"].map(mode), [0o600; 4]);
        assert_eq!(mode("queue"), 0o750);
    }
}
