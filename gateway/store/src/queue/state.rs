//! Runs, streams and rows, as the queue knows them and the disk keeps them; and what the next commit changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use curb_model::{HubTime, Lane, Name, RunId, Stream, UtcOffset};
use curb_wire::record::StreamCounts;

use super::window::{NewRow, Window};

/// What a row costs beside its payload, for the byte limit: its other columns, and its entry in the index. Chosen so
/// that the file of a full queue is about as large as the limit: `limit_is_about_what_the_disk_sees` in the tests.
const ROW_COST: u64 = 64;

/// What a record costs, whatever its length: it may be rewritten in place, and that must not change the sum.
const RECORD_COST: u64 = 512;

/// A run that this database knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunState {
    pub(crate) id: RunId,
    /// Whether it wrote its `closed` record.
    pub(crate) clean: bool,
    /// UTC minus hub time, by the last clock that was trusted; `None` if none was. It holds for all hub times of the run.
    pub(crate) offset: Option<UtcOffset>,
}

impl RunState {
    /// One whose clock nobody has vouched for.
    pub(crate) const fn new(id: RunId, clean: bool) -> Self {
        Self { id, clean, offset: None }
    }
}

/// What waits in the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) rows: u64,
    /// Payloads and [`ROW_COST`], or [`RECORD_COST`].
    pub(crate) bytes: u64,
    pub(crate) readings: u64,
}

impl Waiting {
    /// `rows` of a lane, with payloads of `len` bytes together.
    pub(crate) fn of(lane: Lane, rows: u64, len: u64, readings: u64) -> Self {
        let bytes = match lane {
            Lane::Data | Lane::Alarm => len + rows * ROW_COST,
            Lane::Run | Lane::Gap | Lane::Clock | Lane::Audit => rows * RECORD_COST,
        };
        Self { rows, bytes, readings }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.readings += other.readings;
    }

    pub(super) fn take(&mut self, other: Self) {
        *self = self.without(other);
    }

    /// Saturates: the numbers of a salvaged file may be off.
    pub(crate) fn without(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_sub(other.rows),
            bytes: self.bytes.saturating_sub(other.bytes),
            readings: self.readings.saturating_sub(other.readings),
        }
    }
}

/// A stream of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamState {
    pub(crate) id: i64,
    pub(crate) run: RunId,
    pub(crate) name: Stream,
    pub(crate) counts: StreamCounts,
    /// Hub time of the last thing that happened to it.
    pub(crate) at: HubTime,
    pub(crate) waiting: Waiting,
    /// Counters moved, and no message has told it.
    pub(super) untold: bool,
    /// Has messages that wait for the clock: later ones must wait behind them.
    pub(super) held: bool,
}

impl StreamState {
    pub(crate) fn new(id: i64, run: RunId, name: Stream) -> Self {
        let (counts, waiting) = (StreamCounts::default(), Waiting::default());
        Self { id, run, name, counts, at: HubTime::ZERO, waiting, untold: false, held: false }
    }
}

/// What a plugin must not forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PluginState {
    /// When it came in.
    pub(crate) since: HubTime,
    /// `None`: nothing any more.
    pub(crate) bytes: Option<Arc<[u8]>>,
}

/// What the next commit writes, in this order.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) runs: BTreeSet<RunId>,
    /// Messages that are in memory only.
    pub(crate) rows: Window,
    /// Whether one among them must be on disk before it is sent: anything but data.
    pub(crate) commit_first: bool,
    /// The newest state of plugins. Written with all rows or not at all, so that none is older than what was let out behind it.
    pub(crate) plugins: BTreeMap<Name, PluginState>,
    /// The first row that may have been let out with one of them: from there on all wait for this commit.
    pub(crate) behind_state: Option<i64>,
    /// Records that nobody has been given yet, rewritten in place.
    pub(crate) replaced: BTreeMap<i64, NewRow>,
    /// Rows to copy aside, with the broker's reason code.
    pub(crate) aside: BTreeMap<i64, u8>,
    /// Rows that are aside and go: they are put back, or thrown away.
    pub(crate) no_longer_aside: BTreeSet<i64>,
    pub(crate) gone: BTreeSet<i64>,
    /// What to add to row ids below zero.
    pub(crate) release: Option<i64>,
    pub(crate) streams: BTreeSet<i64>,
    /// Whether to delete runs and streams of which nothing waits.
    pub(crate) forget: bool,
}

impl Changes {
    /// Whether there is anything that a deadline was given.
    pub(crate) fn has_new(&self) -> bool {
        !(self.rows.is_empty() && self.plugins.is_empty())
    }

    /// When what is in memory longest came in.
    pub(crate) fn oldest(&self) -> Option<HubTime> {
        self.plugins.values().map(|state| state.since).chain(self.rows.oldest()).min()
    }

    /// Whether the uplink waits for this commit: records and alarms, rewritten records, or rows that may go now. Data has
    /// time until its deadline; deletions are written with the next commit, or when their time is up; counters with the
    /// next commit.
    pub(crate) fn is_urgent(&self) -> bool {
        self.commit_first || self.release.is_some() || !self.replaced.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        // Whatever else changes, changes a stream or a run as well.
        self.rows.is_empty()
            && self.release.is_none()
            && self.streams.is_empty()
            && self.runs.is_empty()
            && self.plugins.is_empty()
            && self.no_longer_aside.is_empty()
    }
}
