//! Certificate, key and roots change on disk while the hub runs: when they are read again, and what becomes of it.
//!
//! Both decisions are pure; the daemon's loop looks and acts. The files are three and are replaced one after the other,
//! so what was found between two of them is not judged: a change is read when the files have been left alone from one
//! look to the next. What is no whole set, or not of this hub, changes nothing but the faults.
//!
//! Deliberately absent: asking for a certificate, and writing one; a way back to the set before, which is in no file any more:
//! a set that is whole and that the core refuses is tried until somebody changes the files again.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use curb_identity::Identity;
use curb_model::{Fault, Name, Room};

use crate::run::fault;

/// What the file system says of the three files. Differs when one was written, replaced, moved in or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp([Option<FileStamp>; 3]);

/// The time of the last change of content or owner has nanoseconds and cannot be set back, which `cp -p` does to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Looks at the files without reading them: three calls to the system, which cost nothing even at each tick.
pub(crate) fn stamp(files: &curb_identity::Config) -> Stamp {
    let of = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some(FileStamp {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    };
    Stamp([&files.key, &files.certificate, &files.roots].map(|path| of(path)))
}

/// Remembers what was looked at.
#[derive(Debug)]
pub(crate) struct Watch {
    /// When the files were read.
    read: Stamp,
    /// At the last look.
    seen: Stamp,
}

impl Watch {
    /// The files have just been read.
    pub(crate) const fn new(read: Stamp) -> Self {
        Self { read, seen: read }
    }

    /// Whether the files are to be read now.
    pub(crate) fn look(&mut self, now: Stamp) -> bool {
        let settled = now == self.seen;
        self.seen = now;
        let due = settled && now != self.read;
        if due {
            self.read = now;
        }
        due
    }
}

/// What becomes of what was read.
#[derive(Debug)]
pub(crate) enum Renewal {
    /// Nothing: it is what runs.
    Same,
    /// It runs from now on.
    Take(Box<Identity>),
    /// What runs stays, and this is told.
    Keep(Fault),
    /// Nothing runs, for this reason.
    Without(Fault),
}

/// Judges what was read against what runs. `differs`: the files have other bytes than those that run.
pub(crate) fn judge(
    runs: &Result<Identity, Fault>,
    read: Result<Identity, Fault>,
    differs: bool,
    hub: &Name,
) -> Renewal {
    match (runs, read) {
        (Ok(_), Ok(_)) if !differs => Renewal::Same,
        (Ok(runs), Ok(read)) if read.hub != *hub || read.site != runs.site => {
            let detail = format!(
                "the new certificate is for {} at {}, and this hub is {hub} at {}; the identity that works stays",
                read.hub, read.site, runs.site
            );
            Renewal::Keep(fault(Room::Identity, "certificate", "hub-renamed", detail))
        }
        (_, Ok(read)) => Renewal::Take(Box::new(read)),
        (Ok(_), Err(fault)) => {
            let detail = format!("{}; the identity that works stays", fault.detail);
            Renewal::Keep(Fault { detail, ..fault })
        }
        (Err(_), Err(fault)) => Renewal::Without(fault),
    }
}

#[cfg(test)]
mod tests;
