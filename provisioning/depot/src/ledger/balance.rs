//! The arithmetic. Pure: no database, no clock.
//!
//! For every stream of a run: read = delivered + filtered + refused + gaps + unaccounted. The first three counters are
//! the hub's word (cumulative, so the greatest seen is the latest), delivered is what is held here, gaps are the hub's
//! word for what will never come. A stream closes if nothing is unaccounted *and* no message number is missing: the
//! numbers also show the loss of a message that carried no readings, and of a gap record itself.
//!
//! Data beats a gap record. A message that is both held and covered by a gap counts as delivered, and the gap shrinks by
//! its readings. The hub cannot know whether a message that it dropped had arrived, so the gap's count may or may not
//! have them in; the counters say which.

use std::collections::BTreeMap;

use curb_model::GapReason;

use crate::intervals::{Interval, IntervalSet};

/// What is known of one stream of one run.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    /// Greatest message number that anything told.
    pub(super) seq: u64,
    /// Greatest counters that anything told.
    pub(super) read: u64,
    pub(super) filtered: u64,
    pub(super) refused: u64,
    /// Readings held.
    pub(super) delivered: u64,
    /// Messages held or covered by gap records.
    pub(super) covered: IntervalSet,
    /// Gap records about this stream.
    pub(super) gaps: Vec<GapEntry>,
}

/// A gap record about a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct GapEntry {
    pub(super) reason: GapReason,
    /// Readings that the hub says will not come.
    pub(super) count: u64,
    /// Readings of messages in the gap's range that came all the same.
    pub(super) arrived: u64,
}

/// Sums of readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) read: u64,
    pub(super) delivered: u64,
    pub(super) filtered: u64,
    pub(super) refused: u64,
    pub(super) gaps: BTreeMap<GapReason, u64>,
    /// What is missing from the right side; below zero, the hub told less than is held here.
    pub(super) unaccounted: i128,
}

impl Sums {
    /// Adds what `other` counts.
    pub(super) fn add(&mut self, other: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.read, other.read);
        add(&mut self.delivered, other.delivered);
        add(&mut self.filtered, other.filtered);
        add(&mut self.refused, other.refused);
        for (reason, count) in &other.gaps {
            *self.gaps.entry(*reason).or_default() += count;
        }
        self.unaccounted += other.unaccounted;
    }

    /// All gaps together.
    pub(super) fn gap_total(&self) -> u64 {
        self.gaps.values().sum()
    }
}

/// A stream's line in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) sums: Sums,
    /// Message numbers that were given out, and are neither held nor in a gap.
    pub(super) missing: Vec<Interval>,
}

impl Line {
    /// Whether every reading is accounted for.
    pub(super) fn closes(&self) -> bool {
        self.sums.unaccounted == 0 && self.missing.is_empty()
    }

    /// What is missing, and on which side.
    pub(super) fn complaint(&self) -> Option<String> {
        let messages: u128 = self.missing.iter().map(|i| u128::from(i.last - i.first) + 1).sum();
        let first = self.missing.first().map(|i| i.first);
        match (self.sums.unaccounted, first) {
            (0, None) => None,
            (0, Some(first)) => {
                Some(format!("the core lacks {messages} message(s) from number {first} on, with no readings"))
            }
            (n, Some(first)) if n > 0 => {
                Some(format!("the core lacks {n} reading(s) in {messages} message(s) from number {first} on"))
            }
            (n, None) if n > 0 => {
                Some(format!("the hub read {n} more than it sent, filtered, refused or told a gap for"))
            }
            (n, _) => Some(format!("the core holds {} reading(s) that the hub never counted as read", -n)),
        }
    }
}

/// Balances one stream.
pub(super) fn balance(account: &Account) -> Line {
    let missing = account.covered.missing(account.seq);
    let told = i128::from(account.read) - i128::from(account.filtered) - i128::from(account.refused);
    let least: i128 = account.gaps.iter().map(|gap| i128::from(gap.count.saturating_sub(gap.arrived))).sum();
    let mut unaccounted = told - i128::from(account.delivered) - least;
    let mut gaps = BTreeMap::new();
    for gap in &account.gaps {
        let least = gap.count.saturating_sub(gap.arrived);
        // Nothing else is missing, and still readings are: the hub had left out of the gap's count what had arrived.
        let more = if missing.is_empty() { unaccounted.clamp(0, i128::from(gap.count - least)) } else { 0 };
        unaccounted -= more;
        *gaps.entry(gap.reason).or_default() += least + u64::try_from(more).expect("clamped to a u64");
    }
    let Account { read, filtered, refused, delivered, .. } = *account;
    Line { sums: Sums { read, delivered, filtered, refused, gaps, unaccounted }, missing }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It has not.
    Running,
    /// With its `closed` record.
    Clean,
    /// Without: its last durable counters came with the next run's `opened` record.
    Killed,
    /// A later run is known, and none tells this one's last counters: the hub's store was damaged or lost between them.
    Unknown,
}

impl Ended {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Clean => "clean",
            Self::Killed => "killed",
            Self::Unknown => "unknown",
        }
    }
}

/// A stream's counters as one message or record told them, for the sums by day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// Days since 1970, UTC.
    pub(super) day: i64,
    /// Readings in the message.
    pub(super) readings: u64,
    pub(super) read: u64,
    pub(super) filtered: u64,
    pub(super) refused: u64,
}

/// Adds one stream's counters to the sums by day. `told` comes in the order of its counters; what a counter grew by
/// belongs to the day of the message that told it.
pub(super) fn add_days(days: &mut BTreeMap<i64, Sums>, told: impl IntoIterator<Item = Told>) {
    let (mut read, mut filtered, mut refused) = (0, 0, 0);
    for told in told {
        let day = days.entry(told.day).or_default();
        day.delivered += told.readings;
        day.read += told.read.saturating_sub(read);
        day.filtered += told.filtered.saturating_sub(filtered);
        day.refused += told.refused.saturating_sub(refused);
        (read, filtered, refused) = (read.max(told.read), filtered.max(told.filtered), refused.max(told.refused));
    }
}

/// What is left unaccounted on each day, once gaps are in.
pub(super) fn close_days(days: &mut BTreeMap<i64, Sums>) {
    for day in days.values_mut() {
        let right = [day.delivered, day.filtered, day.refused, day.gap_total()];
        day.unaccounted = i128::from(day.read) - right.into_iter().map(i128::from).sum::<i128>();
    }
}
