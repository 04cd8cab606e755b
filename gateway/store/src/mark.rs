//! The mark that outlives a damaged queue: which run was the last, and how far hub time had come.
//!
//! 24 bytes in a [`curb_durable::File`] beside the database, little-endian: start counter, nonce, hub time in
//! nanoseconds. Written when a run begins, after its first commit, every [`EVERY`], and at its clean end. The next run
//! starts its clock [`MARGIN`] after the greatest time found here and in the database, so that hub time never goes back,
//! whatever the last run had read and shown without committing it.
//!
//! The run named here is one that has committed: a database that does not know it has lost what it held, however whole it
//! looks. A run that dies before its first commit leaves the name of the one before.

use std::path::Path;
use std::time::Duration;

use curb_model::{HubTime, RunId};

/// Often enough that hub time makes no great leaps at a restart, seldom enough that an idle hub hardly writes: about
/// 300 small files a day.
pub(crate) const EVERY: Duration = Duration::from_secs(300);

/// Twice [`EVERY`]: one write may have failed.
pub(crate) const MARGIN: Duration = Duration::from_secs(600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) run: RunId,
    pub(crate) hub_time: HubTime,
}

#[derive(Debug)]
pub(crate) struct MarkFile(curb_durable::File);

impl MarkFile {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(curb_durable::File::new(folder.join("mark")))
    }

    /// The mark; `None` if there is none, or none that can be read: the database then has to do.
    pub(crate) fn read(&self) -> Option<Mark> {
        let read = match self.0.read() {
            Ok(read) => read?,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "store: the mark is lost");
                return None;
            }
        };
        if let Some(damaged) = &read.damaged {
            tracing::warn!(damaged = %damaged.display(), "store: the mark was damaged, the one before is taken");
        }
        Mark::from_bytes(&read.bytes)
    }

    pub(crate) fn write(&self, mark: Mark) -> Result<(), curb_durable::Error> {
        self.0.write(&mark.to_bytes())
    }
}

impl Mark {
    fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.run.counter.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.run.nonce.to_le_bytes());
        bytes[16..].copy_from_slice(&self.hub_time.as_nanos().to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([counter, nonce, hub_time], []) = bytes.as_chunks::<8>() else { return None };
        let run = RunId { counter: u64::from_le_bytes(*counter), nonce: u64::from_le_bytes(*nonce) };
        Some(Self { run, hub_time: HubTime::from_nanos(i64::from_le_bytes(*hub_time)) })
    }
}
