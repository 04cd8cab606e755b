//! What `curb write` did while no daemon ran: kept in the state folder until the next daemon takes it into its audit stream.
//!
//! ```text
//! curb write ──note──► (written) ──finish──► state/tool-writes ──next start──► audit stream ──► removed
//! ```
//!
//! The file is `{"v":1,"lost":0,"records":[…]}`, each record as on the wire (`WIRE.md`, `audit`); hub, run and number are
//! those of the run that takes it, so here they are empty. A write is noted as `unconfirmed` before it is sent, so that a
//! tool that is cut off has said so. A record may be told twice if the power goes between taking it and removing the file.
//!
//! Deliberately absent: writes beside the daemon, which it records itself.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use curb_durable::File;
use curb_model::{HubTime, PointName, RunId, Value};
use curb_wire::command::{Audit, AuditRecord, Origin, Outcome, Proof, Refusal};
use curb_wire::record::Identity;
use serde::{Deserialize, Serialize};

use crate::command::clip;

/// The file's name in the state folder.
const FILE: &str = "tool-writes";

/// Held by whoever reads and replaces the file.
const LOCK: &str = "tool-writes.lock";

/// Writes that wait for a daemon at most: more than a commissioning has, and some 80 KiB. A script that writes for ever is
/// told to start the daemon.
const MOST: usize = 256;

/// The version of the stored form.
const VERSION: u32 = 1;

/// Why a write cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no state folder here, or it is not for us: a laptop, or somebody who is not the daemon's user.
    #[error("use the state folder {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("take {}: another tool or the daemon has it", .0.display())]
    Busy(PathBuf),
    #[error("note one more write: {MOST} wait to be recorded; start curb once, which takes them")]
    Full,
    #[error(transparent)]
    Durable(#[from] curb_durable::Error),
    #[error("give {} to the daemon's user", path.display())]
    Give { path: PathBuf, source: io::Error },
}

/// The writes that wait, held against others.
#[derive(Debug)]
pub(crate) struct Spool {
    file: File,
    stored: Stored,
    /// Let go when it is dropped.
    _lock: fs::File,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stored {
    v: u32,
    /// How often what stood here was damaged.
    lost: u32,
    records: Vec<AuditRecord>,
}

impl Default for Stored {
    fn default() -> Self {
        Self { v: VERSION, lost: 0, records: Vec::new() }
    }
}

/// What was written, or tried.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Noted {
    /// `write`, or that and where to for registers.
    pub(crate) command: String,
    pub(crate) point: Option<PointName>,
    pub(crate) value: Option<Value>,
    /// UTC in milliseconds, while the clock is trusted.
    pub(crate) time_ms: Option<i64>,
}

impl Spool {
    /// Takes hold of it. What is damaged is put aside, and counted.
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) fn open(state: &Path) -> Result<Self, Error> {
        let path = state.join(LOCK);
        let opened = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = opened.map_err(|source| Error::Folder { path: state.to_owned(), source })?;
        give(&path, state)?;
        lock.try_lock().map_err(|_held| Error::Busy(path))?;
        let file = File::new(state.join(FILE));
        let stored = read(&file)?;
        Ok(Self { file, stored, _lock: lock })
    }

    /// The same, if there is anything to take.
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) fn open_if_there(state: &Path) -> Result<Option<Self>, Error> {
        let file = state.join(FILE);
        let previous = state.join(format!("{FILE}.previous"));
        if file.exists() || previous.exists() { Self::open(state).map(Some) } else { Ok(None) }
    }

    /// Notes a write that is about to be sent. Durable when this returns.
    ///
    /// # Errors
    /// See [`Error`]; then it must not be sent.
    pub(crate) fn note(&mut self, Noted { command, point, value, time_ms }: Noted) -> Result<(), Error> {
        if self.stored.records.len() >= MOST {
            return Err(Error::Full);
        }
        let detail = "the tool was cut off while it wrote: it may or may not have taken effect".to_owned();
        let refusal = Refusal { word: "unconfirmed".to_owned(), detail };
        let outcome = Outcome { point, value, result: Err(refusal), time_ms };
        self.stored.records.push(record(command, outcome));
        self.save()
    }

    /// What came of the write that was noted last.
    ///
    /// # Errors
    /// See [`Error`]; then it stays unconfirmed.
    pub(crate) fn finish(&mut self, result: Result<Proof, Refusal>) -> Result<(), Error> {
        if let Some(last) = self.stored.records.last_mut() {
            last.audit.outcome.result = result.map_err(|refusal| Refusal { detail: clip(&refusal.detail), ..refusal });
        }
        self.save()
    }

    /// What waits, in its order; where something was damaged, a record that says so comes first.
    pub(crate) fn audits(&self) -> Vec<Audit> {
        let lost = (self.stored.lost > 0).then(|| {
            let detail = format!(
                "the file of what curb write did while no daemon ran was damaged {} times: its records are not whole",
                self.stored.lost
            );
            let refusal = Refusal { word: "records-lost".to_owned(), detail };
            let outcome = Outcome { point: None, value: None, result: Err(refusal), time_ms: None };
            record("write".to_owned(), outcome).audit
        });
        lost.into_iter().chain(self.stored.records.iter().map(|record| record.audit.clone())).collect()
    }

    /// It is all recorded elsewhere.
    ///
    /// # Errors
    /// The system refuses; then it will be recorded again.
    pub(crate) fn remove(self) -> Result<(), Error> {
        Ok(self.file.remove()?)
    }

    fn save(&self) -> Result<(), Error> {
        let bytes = serde_json::to_vec(&self.stored).expect("text keys and finite numbers always serialize");
        self.file.write(&bytes)?;
        let folder = self.file.path().parent().unwrap_or(Path::new("."));
        give(self.file.path(), folder)
    }
}

fn record(command: String, outcome: Outcome) -> AuditRecord {
    let run = RunId { counter: 0, nonce: 0 };
    let id = Identity { hub: String::new(), run, stream: String::new(), seq: 0 };
    let command = clip(&command);
    AuditRecord { id, audit: Audit { ht: HubTime::ZERO, origin: Origin::Tool, command, correlation: None, outcome } }
}

fn read(file: &File) -> Result<Stored, Error> {
    let (bytes, lost) = match file.read() {
        Ok(None) => return Ok(Stored::default()),
        Ok(Some(read)) => (read.bytes, u32::from(read.damaged.is_some())),
        Err(curb_durable::Error::Damaged { .. }) => (Vec::new(), 1),
        Err(error) => return Err(error.into()),
    };
    let stored = serde_json::from_slice(&bytes).ok().filter(|stored: &Stored| stored.v == VERSION);
    Ok(match stored {
        Some(stored) => Stored { lost: stored.lost + lost, ..stored },
        None => {
            if lost == 0 {
                // Whole, and of another form: a person may want to see it.
                file.put_aside()?;
            }
            Stored { lost: 1, ..Stored::default() }
        }
    })
}

/// What root writes must be readable to the daemon's user, whose folder it is.
fn give(path: &Path, folder: &Path) -> Result<(), Error> {
    let error = |source| Error::Give { path: path.to_owned(), source };
    let (own, wanted) = (fs::metadata(path).map_err(error)?, fs::metadata(folder).map_err(error)?);
    if (own.uid(), own.gid()) == (wanted.uid(), wanted.gid()) || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    chown(path, Some(wanted.uid()), Some(wanted.gid())).map_err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(value: u64) -> Noted {
        let point = PointName::parse("lamp/dim").ok();
        Noted { command: "write".to_owned(), point, value: Some(Value::U64(value)), time_ms: Some(1_795_555_555_000) }
    }

    fn words(state: &Path) -> Vec<String> {
        let audits = Spool::open(state).unwrap().audits();
        audits.into_iter().map(|audit| audit.outcome.result.map_or_else(|no| no.word, |_| "done".to_owned())).collect()
    }

    #[test]
    fn a_write_is_noted_before_it_is_sent_and_kept_until_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path();
        assert!(Spool::open_if_there(state).unwrap().is_none());
        let mut spool = Spool::open(state).unwrap();
        assert!(matches!(Spool::open(state), Err(Error::Busy(_))), "one at a time");
        spool.note(noted(50)).unwrap();
        drop(spool);
        assert_eq!(words(state), ["unconfirmed"], "cut off");
        let mut spool = Spool::open(state).unwrap();
        spool.note(noted(60)).unwrap();
        spool.finish(Ok(Proof::ReadBack)).unwrap();
        drop(spool);
        assert_eq!(words(state), ["unconfirmed", "done"]);
        Spool::open_if_there(state).unwrap().unwrap().remove().unwrap();
        assert!(Spool::open_if_there(state).unwrap().is_none());
    }

    #[test]
    fn a_full_spool_takes_no_more_and_a_folder_that_is_not_there_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path()).unwrap();
        let one =
            record("write".to_owned(), Outcome { point: None, value: None, result: Ok(Proof::Echo), time_ms: None });
        spool.stored.records = vec![one; MOST];
        assert!(matches!(spool.note(noted(1)), Err(Error::Full)));
        assert!(matches!(Spool::open(&folder.path().join("none")), Err(Error::Folder { .. })));
    }

    #[test]
    fn what_is_damaged_is_put_aside_and_counted() {
        let check = |damage: &dyn Fn(&Path), expected: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            let mut spool = Spool::open(folder.path()).unwrap();
            spool.note(noted(50)).unwrap();
            spool.finish(Ok(Proof::ReadBack)).unwrap();
            drop(spool);
            damage(folder.path());
            assert_eq!(words(folder.path()), expected);
            let spool = Spool::open_if_there(folder.path()).unwrap();
            spool.into_iter().for_each(|spool| spool.remove().unwrap());
            assert!(folder.path().join("tool-writes.damaged").exists());
            assert!(!folder.path().join("tool-writes").exists());
        };
        let tear = |path: PathBuf| std::fs::write(path, b"CURBFIL1\x09").unwrap();
        check(&|state| tear(state.join("tool-writes")), &["records-lost", "unconfirmed"]);
        let both = |state: &Path| {
            tear(state.join("tool-writes"));
            tear(state.join("tool-writes.previous"));
        };
        check(&both, &["records-lost"]);
        check(&|state| File::new(state.join("tool-writes")).write(b"[]").unwrap(), &["records-lost"]);
    }
}
