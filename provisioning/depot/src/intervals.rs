//! Which message numbers of a stream are held: a set of closed intervals, the reference code for deduplication.
//!
//! A stream that arrives in order is one interval however long it runs, so a set costs what the holes cost and not what
//! the messages cost. Pure: the ingester keeps the same intervals as rows, and applies each [`Change`] to them.

use std::collections::BTreeMap;

/// A run of numbers, both ends in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Interval {
    /// The first number.
    pub(crate) first: u64,
    /// The last number; never below `first`.
    pub(crate) last: u64,
}

/// Numbers, as disjoint intervals with at least one missing number between any two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IntervalSet(BTreeMap<u64, u64>);

/// What adding numbers did to the stored intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// All were in the set already.
    Held,
    /// The intervals that begin at `gone` are now parts of `now`.
    Merged {
        /// Firsts of intervals that are no longer there.
        gone: Vec<u64>,
        /// The interval that holds the new numbers.
        now: Interval,
    },
}

impl IntervalSet {
    /// Adds one number.
    pub(crate) fn insert(&mut self, number: u64) -> Change {
        self.insert_all(Interval { first: number, last: number })
    }

    /// Adds an interval.
    pub(crate) fn insert_all(&mut self, add: Interval) -> Change {
        let Interval { mut first, mut last } = add;
        let before = self.0.range(..=first).next_back().map(|(&first, &last)| Interval { first, last });
        if before.is_some_and(|before| before.last >= last) {
            return Change::Held;
        }
        // An interval that ends just before, or inside, is continued; its key stays.
        if let Some(before) = before.filter(|before| before.last.saturating_add(1) >= first) {
            first = before.first;
        }
        let reach = last.saturating_add(1);
        let gone: Vec<u64> = self.0.range(first..=reach).map(|(&start, _)| start).filter(|&s| s != first).collect();
        for start in &gone {
            let end = self.0.remove(start).expect("the key was listed from this map");
            last = last.max(end);
        }
        // Replacing the value of `first`, if it was there, is the growth itself.
        self.0.insert(first, last);
        Change::Merged { gone, now: Interval { first, last } }
    }

    /// Whether the number is in the set.
    #[cfg(test)]
    pub(crate) fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, &last)| last >= number)
    }

    /// The greatest `n` such that all of 1..=n are in the set; 0 if 1 is not.
    pub(crate) fn contiguous(&self) -> u64 {
        self.0.first_key_value().filter(|&(&first, _)| first <= 1).map_or(0, |(_, &last)| last)
    }

    /// The numbers of 1..=`upto` that are not in the set.
    pub(crate) fn missing(&self, upto: u64) -> Vec<Interval> {
        let mut holes = Vec::new();
        let mut next = 1;
        for (&first, &last) in &self.0 {
            if first > next {
                holes.push(Interval { first: next, last: upto.min(first - 1) });
            }
            if last >= upto {
                return holes;
            }
            next = last + 1;
        }
        if next <= upto {
            holes.push(Interval { first: next, last: upto });
        }
        holes
    }

    /// The intervals, in order.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = Interval> {
        self.0.iter().map(|(&first, &last)| Interval { first, last })
    }
}

impl FromIterator<Interval> for IntervalSet {
    fn from_iter<I: IntoIterator<Item = Interval>>(intervals: I) -> Self {
        let mut set = Self::default();
        for interval in intervals {
            set.insert_all(interval);
        }
        set
    }
}

#[cfg(test)]
mod tests;
