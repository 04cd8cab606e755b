//! What the rooms hand to each other: the readings of one stream, with the counts that keep the ledger closed.

use crate::{GapReason, HubTime, Reading, Stream, UtcOffset};

/// Whether a stream carries data or alarms. Alarms have a topic of their own and are sent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Ordinary readings.
    Data,
    /// What must not wait.
    Alarm,
}

/// What a batch adds to its stream's counters. The unit of every count is the reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Readings made.
    pub read: u64,
    /// Readings that a plugin left out.
    pub filtered: u64,
    /// Readings that the data policy refused.
    pub refused: u64,
}

impl Counts {
    /// Adds what `other` adds.
    pub const fn add(&mut self, other: Self) {
        self.read += other.read;
        self.filtered += other.filtered;
        self.refused += other.refused;
    }
}

/// Readings that were made and will never arrive, for the gap record that tells the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Why.
    pub reason: GapReason,
    /// How many readings.
    pub count: u64,
    /// When the first of them was made.
    pub from: HubTime,
    /// When the last of them was made.
    pub to: HubTime,
}

/// Readings of one stream, on their way. Source makes it, pipeline changes it, store freezes it.
///
/// Invariant: `counts.read` = `readings.len()` + `counts.filtered` + `counts.refused` + the sum over `dropped`
/// ([`Batch::closes`]). A batch whose readings were all filtered still travels, for its counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The device or plugin output.
    pub stream: Stream,
    /// Data or alarm.
    pub class: Class,
    /// UTC minus hub time when the readings were made; `None` while the clock is not trusted.
    pub offset: Option<UtcOffset>,
    /// The readings, oldest first.
    pub readings: Vec<Reading>,
    /// What this batch adds to the stream's counters.
    pub counts: Counts,
    /// What is missing from `readings`, and why.
    pub dropped: Vec<Dropped>,
}

impl Batch {
    /// Readings as they were made: all counted as read, none filtered, none lost.
    #[must_use]
    pub fn read(stream: Stream, class: Class, offset: Option<UtcOffset>, readings: Vec<Reading>) -> Self {
        let counts = Counts { read: readings.len() as u64, filtered: 0, refused: 0 };
        Self { stream, class, offset, readings, counts, dropped: Vec::new() }
    }

    /// Takes all readings out and notes them as dropped for `reason`. For a queue that is full and a plugin that is off.
    pub fn drop_readings(&mut self, reason: GapReason) {
        let (Some(first), Some(last)) = (self.readings.first(), self.readings.last()) else {
            return;
        };
        let count = self.readings.len() as u64;
        self.dropped.push(Dropped { reason, count, from: first.at, to: last.at });
        self.readings.clear();
    }

    /// Adds what came behind it in the same stream.
    pub fn append(&mut self, mut next: Self) {
        self.readings.append(&mut next.readings);
        self.counts.add(next.counts);
        self.dropped.append(&mut next.dropped);
    }

    /// Whether every reading that was made is here, filtered, refused or told of as dropped.
    #[must_use]
    pub fn closes(&self) -> bool {
        let dropped: u64 = self.dropped.iter().map(|d| d.count).sum();
        self.counts.read == self.readings.len() as u64 + self.counts.filtered + self.counts.refused + dropped
    }
}
