//! What `curb status` tells of the queue.

use std::collections::BTreeMap;

use curb_model::{Fault, GapReason, HubTime, RunId};

/// The queue as it was after the last commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The daemon's life.
    pub run: RunId,
    /// Messages that wait, records among them.
    pub rows: u64,
    /// What they take of the limit.
    pub bytes: u64,
    /// The limit.
    pub limit_bytes: u64,
    /// Readings in them.
    pub readings_waiting: u64,
    /// Hub time of the oldest reading that waits.
    pub oldest: Option<HubTime>,
    /// Messages set aside, kept for a person to look at.
    pub aside: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Payload bytes committed since the start. What the disk sees is more: whole pages, twice.
    pub payload_bytes: u64,
    /// Times since the start that the file was looked through after trouble with the disk, and nothing was wrong.
    pub checks: u64,
    /// Readings lost since the start, by reason.
    pub gaps: BTreeMap<GapReason, u64>,
    /// What stands wrong: `disk-full`, `disk-error`, `full`, `damaged`, `record-refused`, `set-aside`.
    pub faults: Vec<Fault>,
}
