//! When what is read. Pure: the time since the bus started is passed in.
//!
//! Due times lie on a fixed grid, so that they do not drift; one that has passed while the line was busy is skipped and
//! counted, never queued. A unit that does not answer is asked less and less often, so that its time-outs take a small
//! share of a line that it shares with others; each such try is an ordinary poll whose turn it was, and the first answer
//! brings the unit back at once. There is no state that needs an operator to leave it.
//!
//! State is kept by unit within one bus: the same address on another bus is another device.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long a unit is left alone after its first, second and every further failure in a row. The first is short because a
/// single lost answer is ordinary; with the last, a time-out of 300 ms takes half a per cent of the line, and a lamp that
/// gets its power back is read within a minute.
const BACK_OFF: [Duration; 3] = [Duration::from_millis(500), Duration::from_secs(10), Duration::from_secs(60)];

/// Garbled answers in a row after which a unit is treated as one that does not answer: they cost the line as much. Single
/// ones are noise, and the next poll is the retry.
const GARBLED_LIMIT: u32 = 3;

/// What came of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The unit answered, be it with an exception.
    Answered,
    /// Something came, but no answer.
    Garbled,
    /// Nothing came in time.
    Silent,
    /// The unit could not be asked: says nothing about it.
    NotAsked,
}

/// What a person should hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It has failed twice in a row, and is asked less often from now on.
    Lost,
    /// It answers again.
    Back,
}

/// What finishing a round meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Due times of an answering unit that had passed already.
    pub(crate) skipped: u64,
    pub(crate) change: Option<Change>,
}

/// The due times of one bus.
#[derive(Debug)]
pub(crate) struct Schedule {
    slots: Vec<Slot>,
    units: BTreeMap<u8, Unit>,
}

#[derive(Debug)]
struct Slot {
    unit: u8,
    period: Duration,
    due: Duration,
    /// When its last round ended.
    last_turn: Duration,
}

#[derive(Debug, Default)]
struct Unit {
    /// Failed rounds in a row.
    failures: usize,
    /// Garbled rounds in a row.
    garbled: u32,
    /// Not asked before.
    rests_until: Duration,
}

impl Schedule {
    /// One slot for each round: its unit and its period. All are due at once.
    pub(crate) fn new(rounds: impl IntoIterator<Item = (u8, Duration)>) -> Self {
        let slot = |(unit, period)| Slot { unit, period, due: Duration::ZERO, last_turn: Duration::ZERO };
        let slots: Vec<Slot> = rounds.into_iter().map(slot).collect();
        let units = slots.iter().map(|slot| (slot.unit, Unit::default())).collect();
        Self { slots, units }
    }

    /// Which slot is next, and when; `None` if there is none at all. Of those whose time has come the one goes first that
    /// has waited longest since its last turn: on a line with more work than time, everybody gets one.
    pub(crate) fn next(&self, now: Duration) -> Option<(usize, Duration)> {
        let turn = |(index, slot): (usize, &Slot)| {
            let ready = slot.due.max(self.units[&slot.unit].rests_until);
            let order = if ready <= now { (Duration::ZERO, slot.last_turn) } else { (ready, Duration::ZERO) };
            (order, index, ready)
        };
        let (_, index, ready) = self.slots.iter().enumerate().map(turn).min()?;
        Some((index, ready))
    }

    /// Whether the unit of this slot has failed twice or more and is asked only now and then.
    pub(crate) fn is_lost(&self, slot: usize) -> bool {
        self.units[&self.slots[slot].unit].failures > 1
    }

    /// Notes the outcome of a round that ended `now`, and sets the slot's next due time.
    pub(crate) fn finish(&mut self, slot: usize, now: Duration, outcome: Outcome) -> Finished {
        let slot = &mut self.slots[slot];
        let unit = self.units.get_mut(&slot.unit).expect("every slot's unit was entered in new");
        let was_answering = unit.failures == 0;
        let change = unit.note(now, outcome);
        slot.last_turn = now;
        let passed = now.saturating_sub(slot.due).as_nanos() / slot.period.as_nanos();
        let skipped = u64::try_from(passed).unwrap_or(u64::MAX);
        // Step by step in whole periods from the old due time: this is what keeps the grid.
        let periods = u32::try_from(passed).unwrap_or(u32::MAX - 1) + 1;
        slot.due = slot.due.saturating_add(slot.period.saturating_mul(periods));
        Finished { skipped: if was_answering { skipped } else { 0 }, change }
    }
}

impl Unit {
    fn note(&mut self, now: Duration, outcome: Outcome) -> Option<Change> {
        let failed = match outcome {
            Outcome::NotAsked => return None,
            Outcome::Answered => {
                let was_lost = self.failures > 1;
                *self = Self::default();
                return was_lost.then_some(Change::Back);
            }
            Outcome::Silent => true,
            Outcome::Garbled => {
                self.garbled += 1;
                self.garbled >= GARBLED_LIMIT || self.failures > 0
            }
        };
        if !failed {
            return None;
        }
        self.rests_until = now + BACK_OFF[self.failures.min(BACK_OFF.len() - 1)];
        self.failures += 1;
        (self.failures == 2).then_some(Change::Lost)
    }
}

#[cfg(test)]
mod tests;
