//! The durable queue: what must not be lost, on disk, in order, until the core has it.
//!
//! Batches come from `pipeline`, are numbered and frozen to bytes ([`curb_wire::senml`]), and committed to SQLite. The
//! uplink reads messages in row order ([`Store::next`]), sends them, and says which are delivered
//! ([`Store::delivered`], [`Store::receipt`]). What will never arrive is told in gap records; what cannot be told in a
//! message's counters is told in run records. So for each stream, at any time:
//!
//! ```text
//! read = delivered + filtered + refused + gap(reason, …) + waiting
//! ```
//!
//! ```text
//! front ──entries──►┌ writer ─────────────────────────────┐      front: handles, channels
//!       ──requests─►│ queue (pure) ──changes──► disk ─────┼─►    queue: numbers, frozen bytes, counters; gaps beside it
//!       ◄─messages──│  runs ahead                SQLite   │      disk: the SQL
//!                   └─────────────────────────────────────┘      mark: a small file that outlives the database
//!                                                                check: after trouble, SQLite's own check of the file
//! ```
//!
//! Deliberately absent: sending, retrying to send, and any idea of a connection (`uplink`); what may leave the hub
//! (`pipeline`); UTC (readings come with their offset or without).

mod check;
mod disk;
mod front;
mod gaps;
mod health;
mod mark;
mod open;
mod queue;
mod shelf;
mod told;
mod workbench;
mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use curb_model::{Name, Stream};
use curb_wire::senml::Form;

pub use front::{Closed, Store};
pub use health::Health;
pub use open::Opened;
pub use shelf::{Kept, Shelf, StreamWaiting, Undone};
pub use workbench::Workbench;

#[cfg(test)]
mod tests;

/// Bytes of a message where nobody says otherwise: brokers and bridges with bounds of their own have more than this, and a slow
/// line carries it in seconds, so that an alarm behind it is not late. A guess.
const MESSAGE_BYTES: usize = 128 << 10;

/// What the store is to keep, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The folder of the queue; made if it is not there. One daemon at a time.
    pub dir: PathBuf,
    /// The hub's name, for payloads.
    pub hub: Name,
    /// How the readings of new messages are written. What is in the queue stays as it is.
    pub form: Form,
    /// Bytes that the queue may take; about what its file grows to, beside 3 MiB for SQLite's log and a reserve. The
    /// file does not shrink: its room is used again.
    pub limit_bytes: u64,
    /// What happens at the limit.
    pub when_full: WhenFull,
    /// How long data may be in memory only. What is delivered in this time is never written; the rest is committed, all of
    /// it at once. Zero: everything is committed before it is sent.
    pub commit_every: Duration,
    /// How many bytes may be in memory only, about.
    pub commit_bytes: usize,
    /// How long a message of several readings may be, in bytes; less, if the core takes less ([`Store::payload_max`]). What
    /// would be longer becomes several messages.
    pub message_bytes: usize,
    /// Streams of data whose readings are not worth sending when they are older than this.
    pub expire: BTreeMap<Stream, Duration>,
    /// How often counters that moved without a message are told in a run record, at most.
    pub counts_every: Duration,
}

impl Config {
    /// A queue of 256 MiB in `dir`, which writes plain JSON in messages of up to 128 KiB, commits after a second or 256 KiB, drops the oldest, and tells counters each
    /// minute.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, hub: Name) -> Self {
        Self {
            dir: dir.into(),
            hub,
            form: Form::default(),
            limit_bytes: 256 << 20,
            when_full: WhenFull::DropOldest,
            commit_every: Duration::from_secs(1),
            commit_bytes: 256 << 10,
            message_bytes: MESSAGE_BYTES,
            expire: BTreeMap::new(),
            counts_every: Duration::from_secs(60),
        }
    }
}

/// What happens when the queue is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The oldest data goes, before the oldest alarm, and gap records tell which. Records are never dropped.
    #[default]
    DropOldest,
}

/// Why the store could not be opened. A damaged database is none of these: it is moved aside.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder is not there and cannot be made, or the file in it is not for us.
    #[error("use {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// There is no queue.
    #[error("open {path}: there is no queue")]
    Absent {
        /// The database.
        path: PathBuf,
    },
    /// Another process has the queue open.
    #[error("open {path}: another process uses it")]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// The database cannot be opened, made, or moved aside.
    #[error("open {path}")]
    Open {
        /// The database.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The operating system gave no random number for the run's id.
    #[error("draw the run's nonce")]
    Nonce(#[source] getrandom::Error),
    /// The writer's thread could not be started.
    #[error("start the writer's thread")]
    Thread(#[source] io::Error),
}
