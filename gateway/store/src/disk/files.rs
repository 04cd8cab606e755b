//! The files beside the database: the room that is kept for a full disk, and what is moved aside.

use std::fs;
use std::path::PathBuf;

use super::{Disk, Error, LOG};

/// A file that only holds room, and its bytes. A full disk can neither take a commit that deletes nor let the file grow by
/// what is in the log; with this room it can do both. As much as the log, and some more for its last commit.
const RESERVE: (&str, usize) = ("queue.reserve", 3 << 19);

/// Damaged databases that are kept. Each can be as large as the limit.
const DAMAGED_KEPT: u32 = 2;

/// What is moved aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The file and its log.
    All,
    /// The log: the file is good, and as it was before the log.
    Log,
}

impl Disk {
    /// Moves the file and its log aside, or the log alone, and leaves no database open; where what there was can be found.
    /// The oldest files aside are deleted: they could fill the disk.
    pub(crate) fn put_aside(&mut self, part: Part) -> Result<Option<PathBuf>, Error> {
        // Closed when the files have their new names: SQLite would write the log back, or delete it.
        let connection = self.connection.take();
        let named = |suffix: &str| {
            let mut name = self.path.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        let aside = |number: u32, log: &str| named(&format!(".damaged-{number}{log}"));
        let is_free = |number: &u32| ["", LOG].iter().all(|log| !aside(*number, log).exists());
        let number = (1..=u32::MAX).find(is_free).expect("the disk has fewer files");
        // Numbers are taken round: with two kept, the third damage replaces the first.
        let modified = |file: PathBuf| fs::metadata(file).and_then(|meta| meta.modified()).ok();
        let age = |number: &u32| modified(aside(*number, "")).max(modified(aside(*number, LOG)));
        let oldest = (1..=DAMAGED_KEPT).min_by_key(age).expect("at least one is kept");
        let number = if number > DAMAGED_KEPT { oldest } else { number };
        let mut moved = None;
        for file in [LOG, ""] {
            // A log beside the file of another damage would be worse than none.
            fs::remove_file(aside(number, file)).ok();
            let holds_something = fs::metadata(named(file)).is_ok_and(|meta| meta.len() > 0);
            if holds_something && (part == Part::All || file == LOG) {
                let io = |source| Error::Io { act: "move aside", path: named(file), source };
                fs::rename(named(file), aside(number, file)).map_err(io)?;
                moved = Some(aside(number, file));
            }
        }
        drop(connection);
        Ok(moved)
    }

    /// Takes the reserve, if there is room for it.
    pub(crate) fn keep_reserve(&self) {
        let reserve = self.path.with_file_name(RESERVE.0);
        if fs::metadata(&reserve).is_err() && fs::write(&reserve, vec![0; RESERVE.1]).is_err() {
            // Half of it would only be in the way.
            fs::remove_file(&reserve).ok();
        }
    }

    /// Gives the reserve to whoever is first; whether there was one.
    pub(crate) fn release_reserve(&self) -> bool {
        fs::remove_file(self.path.with_file_name(RESERVE.0)).is_ok()
    }
}
