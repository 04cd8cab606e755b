//! One open gap per run, stream and reason. Pure.
//!
//! What is dropped is collected here and frozen as a gap record before the next commit. While nobody has been given that
//! record it stays open, and what is dropped later widens it: gap records are never dropped, so an outage must not make
//! more of them than there are streams and reasons.
//!
//! A record with message numbers names exactly the messages that are missing, each of them: the core takes a message
//! that arrives after all out of the gap. So numbers are joined only where they follow one another.

use std::collections::{BTreeMap, BTreeSet};

use curb_model::{Dropped, GapReason, RunId, Stream};
use curb_wire::record::Gap;

use crate::disk::Stored;

type Key = (RunId, String, GapReason);

/// Where a gap's record is: row and number in `_gap`.
type Place = (i64, u64);

#[derive(Debug)]
struct Open {
    gap: Gap,
    /// `None` until the first record.
    place: Option<Place>,
    /// Whether the record does not say all yet.
    changed: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Gaps {
    open: BTreeMap<Key, Open>,
    /// Gaps that a later one of the same key could not be joined to.
    ended: Vec<Open>,
    /// Readings lost in this life of the daemon.
    readings: BTreeMap<GapReason, u64>,
}

impl Gaps {
    /// Readings that never had a message number.
    pub(crate) fn unnumbered(&mut self, run: RunId, stream: &Stream, dropped: Dropped) {
        let Dropped { reason, count, from: from_ht, to: to_ht } = dropped;
        self.add(Gap { run, stream: stream.to_string(), reason, from: None, to: None, from_ht, to_ht, count });
    }

    /// A message that leaves the queue for another reason than delivery.
    pub(crate) fn numbered(&mut self, run: RunId, stream: &Stream, reason: GapReason, row: &Stored) {
        let (from, to) = (Some(row.seq), Some(row.seq));
        let (from_ht, to_ht) = (row.first, row.last);
        let count = u64::from(row.readings);
        self.add(Gap { run, stream: stream.to_string(), reason, from, to, from_ht, to_ht, count });
    }

    pub(crate) fn add(&mut self, gap: Gap) {
        *self.readings.entry(gap.reason).or_default() += gap.count;
        self.join(gap);
    }

    fn join(&mut self, gap: Gap) {
        let key = (gap.run, gap.stream.clone(), gap.reason);
        if let Some(open) = self.open.get_mut(&key)
            && join(&mut open.gap, &gap)
        {
            open.changed = true;
            return;
        }
        let before = self.open.insert(key, Open { gap, place: None, changed: true });
        self.ended.extend(before.filter(|before| before.changed));
    }

    /// Freezes what has changed: `freeze` writes the record of a gap, anew at its place if it has one, and says where.
    pub(crate) fn settle(&mut self, mut freeze: impl FnMut(&Gap, Option<Place>) -> Place) {
        for ended in self.ended.drain(..) {
            freeze(&ended.gap, ended.place);
        }
        for open in self.open.values_mut().filter(|open| open.changed) {
            open.place = Some(freeze(&open.gap, open.place));
            open.changed = false;
        }
    }

    /// The record in this row is given to the uplink: what is dropped from now on goes into another.
    pub(crate) fn handed_out(&mut self, row: i64) {
        self.open.retain(|_, open| open.place.is_none_or(|(place, _)| place != row));
    }

    /// The records outside `kept` are lost, and nobody has been given them: they are told again.
    pub(crate) fn tell_again_except(&mut self, kept: &BTreeSet<i64>) {
        for open in self.open.values_mut() {
            if open.place.is_some_and(|(row, _)| !kept.contains(&row)) {
                open.place = None;
                open.changed = true;
            }
        }
    }

    /// The record in this row is lost; nobody has been given it whole.
    pub(crate) fn lost(&mut self, row: i64) {
        for open in self.open.values_mut().filter(|open| open.place.is_some_and(|(place, _)| place == row)) {
            open.place = None;
            open.changed = true;
        }
    }

    /// Readings lost in this life of the daemon, by reason.
    pub(crate) fn readings(&self) -> &BTreeMap<GapReason, u64> {
        &self.readings
    }
}

/// Joins `next` to `gap` if that says nothing wrong.
fn join(gap: &mut Gap, next: &Gap) -> bool {
    let follows = match (gap.to, next.from) {
        (None, None) => true,
        (Some(to), Some(from)) => from == to + 1,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if follows {
        gap.to = next.to;
        gap.from_ht = gap.from_ht.min(next.from_ht);
        gap.to_ht = gap.to_ht.max(next.to_ht);
        gap.count += next.count;
    }
    follows
}
