//! The arithmetic. Pure: no database, no clock.
//!
//! For every stream of a run: read = delivered + filtered + refused + gaps + cut off + waiting + unaccounted. The counters
//! are the hub's word (cumulative, so the greatest seen is the latest), delivered is what is held here, gaps are the hub's
//! word for what will never come. A stream closes if nothing waits, nothing is unaccounted *and* no message number is
//! missing: the numbers also show the loss of a message that carried no readings, and of a gap record itself.
//!
//! Data beats a gap record. A message that is both held and covered by a gap counts as delivered, and the gap shrinks by
//! its readings. The hub cannot know whether a message that it dropped had arrived, so the gap's count may or may not
//! have them in; the counters say which.
//!
//! A hub may send what is not on its disk yet. When it is cut off, the next run tells what was: a message number above
//! that which never arrived is gone with the commit window, and no mistake of either side.
//!
//! Whose mistake the rest is, [`side`](super::side) says.

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
    /// Readings that were taken in, as the stream's counter has it.
    pub(super) delivered: u64,
    /// What was taken in and is no longer there, although nobody deleted it because of its age.
    pub(super) lost: Loss,
    /// The greatest receipt that was handed out.
    pub(super) receipted: u64,
    /// For a run that was cut off: the last message number that was on the hub's disk.
    pub(super) durable: Option<u64>,
    /// Messages held or covered by gap records.
    pub(super) covered: IntervalSet,
    /// Gap records about this stream.
    pub(super) gaps: Vec<GapEntry>,
}

/// Messages and the readings in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) messages: u64,
    pub(super) readings: u64,
}

/// A gap record about a stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct GapEntry {
    pub(super) reason: GapReason,
    /// Readings that the hub says will not come.
    pub(super) count: u64,
    /// Readings of messages in the gap's range that came all the same.
    pub(super) arrived: u64,
    /// When the record came, UTC in milliseconds since 1970.
    pub(super) received_ms: i64,
}

/// Sums of readings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) read: u64,
    pub(super) delivered: u64,
    pub(super) filtered: u64,
    pub(super) refused: u64,
    pub(super) gaps: BTreeMap<GapReason, u64>,
    /// In the hub's memory when it was cut off.
    pub(super) cut_off: u64,
    /// On the hub, by its own word.
    pub(super) waiting: u64,
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
        add(&mut self.cut_off, other.cut_off);
        add(&mut self.waiting, other.waiting);
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
    /// Message numbers that were given out, and are neither held nor in a gap nor cut off.
    pub(super) missing: Vec<Interval>,
    /// Message numbers that were in the hub's memory when it was cut off, and never arrived.
    pub(super) cut_off: Vec<Interval>,
    /// What was taken in and is no longer there.
    pub(super) lost: Loss,
    /// The greatest receipt that was handed out.
    pub(super) receipted: u64,
}

impl Line {
    /// Whether every reading is accounted for, and none waits.
    pub(super) fn closes(&self) -> bool {
        self.sums.unaccounted == 0 && self.sums.waiting == 0 && self.missing.is_empty() && self.lost == Loss::default()
    }

    /// How many message numbers are missing.
    pub(super) fn messages(&self) -> u64 {
        count(&self.missing)
    }

    /// Readings in missing messages, as far as anybody can tell.
    pub(super) fn readings(&self) -> u64 {
        let readings = self.sums.unaccounted - i128::from(self.lost.readings);
        if self.missing.is_empty() { 0 } else { u64::try_from(readings).unwrap_or(0) }
    }
}

/// How many numbers are in the intervals.
pub(super) fn count(intervals: &[Interval]) -> u64 {
    intervals.iter().fold(0, |sum, i| sum.saturating_add(i.last - i.first).saturating_add(1))
}

/// Balances one stream.
pub(super) fn balance(account: &Account) -> Line {
    let (missing, cut_off) = split(account.covered.missing(account.seq), account.durable);
    let Account { read, filtered, refused, lost, receipted, .. } = *account;
    let delivered = account.delivered.saturating_sub(lost.readings);
    let least = |gap: &GapEntry| gap.count.saturating_sub(gap.arrived);
    let told = i128::from(read) - i128::from(filtered) - i128::from(refused);
    let all_least: i128 = account.gaps.iter().map(|gap| i128::from(least(gap))).sum();
    // Beside what was lost here, which is known.
    let mut open = told - i128::from(account.delivered) - all_least;
    let mut sums = Sums { read, delivered, filtered, refused, ..Sums::default() };
    for gap in &account.gaps {
        let least = least(gap);
        // Nothing else is missing, and still readings are: the hub had left out of the gap's count what had arrived.
        let nothing_else = missing.is_empty() && cut_off.is_empty();
        let more = if nothing_else { open.clamp(0, i128::from(gap.count - least)) } else { 0 };
        open -= more;
        *sums.gaps.entry(gap.reason).or_default() += least + u64::try_from(more).expect("clamped to a u64");
    }
    if missing.is_empty() && !cut_off.is_empty() {
        sums.cut_off = u64::try_from(open.max(0)).unwrap_or(u64::MAX);
        open -= i128::from(sums.cut_off);
    }
    sums.unaccounted = open + i128::from(lost.readings);
    Line { sums, missing, cut_off, lost, receipted }
}

/// Parts what was on the hub's disk (or of a run that was not cut off) from what was not.
fn split(missing: Vec<Interval>, durable: Option<u64>) -> (Vec<Interval>, Vec<Interval>) {
    let Some(durable) = durable else { return (missing, Vec::new()) };
    let (mut kept, mut gone) = (Vec::new(), Vec::new());
    for Interval { first, last } in missing {
        if first <= durable {
            kept.push(Interval { first, last: last.min(durable) });
        }
        if last > durable {
            gone.push(Interval { first: first.max(durable + 1), last });
        }
    }
    (kept, gone)
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
    /// Messages of which this tells, and readings in them.
    pub(super) messages: u64,
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

/// What is left unaccounted on each day, once gaps are in. What was cut off, and what waits, has no day: it is taken from
/// the newest days that lack so much.
pub(super) fn close_days(days: &mut BTreeMap<i64, Sums>, total: &Sums) {
    let (mut cut_off, mut waiting) = (total.cut_off, total.waiting);
    for day in days.values_mut().rev() {
        let right = [day.delivered, day.filtered, day.refused, day.gap_total()];
        day.unaccounted = i128::from(day.read) - right.into_iter().map(i128::from).sum::<i128>();
        day.cut_off = take(&mut cut_off, &mut day.unaccounted);
        day.waiting = take(&mut waiting, &mut day.unaccounted);
    }
}

fn take(left: &mut u64, unaccounted: &mut i128) -> u64 {
    let taken = (*left).min(u64::try_from(*unaccounted).unwrap_or(0));
    *left -= taken;
    *unaccounted -= i128::from(taken);
    taken
}
