//! A batch that a plugin cannot handle, taken apart until the readings are found that it cannot handle alone. Pure.
//!
//! Halves are tried in the order of the batch, so that the plugin sees what it would have seen. A reading is to blame only if the
//! plugin handles another part of the same batch: else it is the plugin that fails, and `on_failure` decides about the whole.

use std::ops::Range;

use crate::chain::Emission;
use crate::columns::Columns;
use crate::config::OnFailure;

/// Failures in one batch, before it is given up. One bad reading in a thousand costs ten, at most 250 ms each.
const FAILURES: u32 = 40;

/// How far the search has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bisect {
    /// Ranges of rows that have still to be tried: the next one is the last.
    todo: Vec<Range<usize>>,
    /// What the parts that were handled have answered, as one answer.
    merged: Emission,
    handled: bool,
    failures: u32,
    /// Rows that it cannot handle.
    poison: Vec<u32>,
    /// What it said of the last of them.
    why: Box<str>,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is another part to be tried.
    GoOn,
    /// Every part was tried.
    Done,
    /// It is the plugin that fails.
    GiveUp,
}

impl Bisect {
    /// A batch of so many rows has failed as a whole; `None`: there is nothing to take apart.
    pub(crate) fn of(rows: usize) -> Option<Self> {
        let mut search = Self {
            todo: Vec::new(),
            merged: Emission::default(),
            handled: false,
            failures: 0,
            poison: Vec::new(),
            why: Box::default(),
        };
        search.split(0..rows);
        (rows > 1).then_some(search)
    }

    /// The rows to be tried next.
    pub(crate) fn next(&self) -> Range<usize> {
        self.todo.last().cloned().unwrap_or_default()
    }

    /// The rows were handled, with this answer.
    pub(crate) fn handled(&mut self, emission: Emission) -> Verdict {
        let base = self.todo.pop().map_or(0, |range| range.start);
        let place = |row: u32| row.saturating_add(u32::try_from(base).unwrap_or(u32::MAX));
        let Emission { keep, add, remark, rejects } = emission;
        self.merged.keep.extend(keep.into_iter().map(place));
        self.merged.remark.extend(remark.into_iter().map(|(row, quality)| (place(row), quality)));
        self.merged.rejects.extend(rejects.into_iter().map(|(row, reason)| (place(row), reason)));
        self.merged.add.append(add);
        self.handled = true;
        self.verdict()
    }

    /// They were not.
    pub(crate) fn failed(&mut self, on_failure: OnFailure, why: &str) -> Verdict {
        self.failures += 1;
        let Some(range) = self.todo.pop() else { return self.verdict() };
        if range.len() > 1 {
            self.split(range);
        } else if let Ok(row) = u32::try_from(range.start) {
            self.poison.push(row);
            self.why = why.into();
            match on_failure {
                OnFailure::Pass => self.merged.keep.push(row),
                OnFailure::Drop | OnFailure::Hold => self.merged.rejects.push((row, why.into())),
            }
        }
        if self.failures >= FAILURES { Verdict::GiveUp } else { self.verdict() }
    }

    /// The answer to the whole batch, the rows that the plugin cannot handle, and what it said of the last of them. Readings that
    /// parts have added are in the order of their times, as those of one answer are.
    pub(crate) fn finish(mut self) -> (Emission, Vec<u32>, Box<str>) {
        self.merged.add.sort_by_time();
        (self.merged, self.poison, self.why)
    }

    fn split(&mut self, range: Range<usize>) {
        let middle = range.start + range.len() / 2;
        self.todo.extend([middle..range.end, range.start..middle]);
    }

    fn verdict(&self) -> Verdict {
        match (self.todo.is_empty(), self.handled) {
            (false, _) => Verdict::GoOn,
            (true, true) => Verdict::Done,
            (true, false) => Verdict::GiveUp,
        }
    }
}

/// These rows alone.
pub(crate) fn rows(columns: &Columns, range: &Range<usize>) -> Columns {
    let base = u32::try_from(range.start).unwrap_or(u32::MAX);
    let others = columns.others.iter().filter(|(row, _)| usize::try_from(*row).is_ok_and(|row| range.contains(&row)));
    Columns {
        points: columns.points[range.clone()].to_vec(),
        times: columns.times[range.clone()].to_vec(),
        values: columns.values[range.clone()].to_vec(),
        kinds: columns.kinds[range.clone()].to_vec(),
        quality: columns.quality[range.clone()].to_vec(),
        others: others.map(|(row, other)| (row - base, other.clone())).collect(),
    }
}
