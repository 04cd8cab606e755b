//! The rule: to which windows a reading belongs, and when a window is closed. Pure.
//!
//! Time is cut into parts of `every`; a window is the last `parts` of them, and one ends with each part. Readings are kept by
//! part, so that a reading is kept once however many windows it belongs to.

use curb_plugin::{Quality, Reason};

use crate::grid::Grid;
use crate::part::Part;

/// What a window says that is not as long as the others.
pub const ODD: Quality = Quality::uncertain(Reason::CLOCK);

/// What a window says whose time was not over.
pub const UNFINISHED: Quality = Quality::uncertain(Reason::ABSENT);

/// What becomes of a window without a good reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// It says nothing.
    Silent,
    /// It says that it is bad. Empty windows that are closed at once are told as one: a hub that was off for a week does
    /// not owe ten thousand of them.
    Bad,
}

/// What holds for all points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// From the end of a window to the end of the next, in nanoseconds.
    pub every: i64,
    /// How many of that a window is long.
    pub parts: u32,
    /// How long a window stays open behind its end, in nanoseconds.
    pub lateness: i64,
    /// Whether parts need a tail.
    pub with_tail: bool,
    /// What becomes of an empty window.
    pub empty: Empty,
    /// Parts of one point that there may be at a time; more is `Entry::Full`.
    pub most_parts: usize,
}

/// Whether there is room for another window in this answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Left,
    /// There is not: the windows behind this one wait for the next call.
    Full,
}

/// Takes the end of a window, and what was read in it; `None`: nothing was, and it is bad.
pub type Teller<'a> = dyn FnMut(i64, Option<&Part>) -> Room + 'a;

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It is in each of its windows that is not closed yet.
    Taken,
    /// All of its windows are closed.
    Late,
    /// There is no room: more windows wait to be told than an answer may tell.
    Full,
}

/// The open windows of one point.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Track {
    /// The end of the last window that was closed; `None` before the first call.
    pub closed: Option<i64>,
    /// What open windows need, by their ends.
    pub parts: Vec<Part>,
}

impl Track {
    /// Takes a reading of this time in. `doubt` is 0, or the quality code of an uncertain one.
    pub fn enter(&mut self, plan: &Plan, grid: &Grid, at: i64, value: f64, doubt: u8) -> Entry {
        let end = grid.end_of(at);
        if self.closed.is_some_and(|closed| end <= closed && end <= needed_behind(plan, grid, closed)) {
            return Entry::Late;
        }
        let place = self.parts.partition_point(|part| part.end < end);
        if self.parts.get(place).is_none_or(|part| part.end != end) {
            if self.parts.len() >= plan.most_parts {
                return Entry::Full;
            }
            self.parts.insert(place, Part::new(end, if grid.is_regular(end) { 0 } else { ODD.0 }));
        }
        self.parts[place].take(value, doubt, plan.with_tail);
        Entry::Taken
    }

    /// All of its times are so much later, in nanoseconds.
    pub fn shift(&mut self, nanos: i64) {
        self.closed = self.closed.map(|closed| closed + nanos);
        self.parts.iter_mut().for_each(|part| part.end += nanos);
    }

    /// What is open is not of quite the time that its windows will tell.
    pub fn doubt(&mut self) {
        self.parts.iter_mut().for_each(|part| part.doubt = part.doubt.max(ODD.0));
    }

    /// It is `time` for this point: closes the windows that ended more than `lateness` ago, in their order, and tells those that
    /// have something to say. There must be room for one.
    pub fn close(&mut self, plan: &Plan, grid: &Grid, time: i64, tell: &mut Teller<'_>) {
        let last = grid.before(time - plan.lateness);
        let mut closed = *self.closed.get_or_insert(last);
        if closed >= last {
            return;
        }
        while closed < last {
            let end = grid.end_of(closed + 1);
            let whole = self.window(grid.back(end, plan.parts), end);
            // Behind an empty window there is nothing before the next part, if there is one.
            let until = match (&whole, self.parts.iter().find(|part| part.end > end)) {
                (Some(_), _) => end,
                (None, Some(next)) => grid.before(next.end).min(last),
                (None, None) => last,
            };
            let has_say = whole.is_some() || plan.empty == Empty::Bad;
            closed = until;
            if has_say && tell(until, whole.as_ref()) == Room::Full {
                break;
            }
        }
        let needed_behind = needed_behind(plan, grid, closed);
        self.parts.retain(|part| part.end > needed_behind);
        self.closed = Some(closed);
    }

    /// Closes all windows, also the one that has not ended at `now`. There must be room for one; what is beyond an answer is lost.
    pub fn finish(&mut self, plan: &Plan, grid: &Grid, now: i64, tell: &mut Teller<'_>) {
        let mut room = Room::Left;
        self.close(plan, grid, now + plan.lateness + 1, &mut |end, part| {
            room = tell(end, part);
            room
        });
        let behind = grid.back(grid.end_of(now + 1), plan.parts);
        if let (Room::Left, Some(mut whole)) = (room, self.window(behind, i64::MAX)) {
            whole.doubt = whole.doubt.max(UNFINISHED.0);
            tell(now, Some(&whole));
        }
    }

    /// The readings of the parts that end there or before, but behind `behind`; `None`: there are none.
    fn window(&self, behind: i64, end: i64) -> Option<Part> {
        let mut parts = self.parts.iter().filter(|part| behind < part.end && part.end <= end);
        let mut whole = parts.next()?.clone();
        parts.for_each(|part| whole.join(part));
        Some(whole)
    }
}

/// Parts that end here or before belong to no window behind `closed`.
fn needed_behind(plan: &Plan, grid: &Grid, closed: i64) -> i64 {
    grid.back(grid.end_of(closed + 1), plan.parts)
}
