//! When what is read. Pure: the time since the bus started is passed in.
//!
//! Due times lie on a fixed grid, so that they do not drift; one that has passed while the line was busy is skipped and
//! counted, never queued.
//!
//! A unit that does not answer costs the others almost nothing. It is asked less and less often ([`unit`]), with one short
//! read, and all that are silent together get a fixed small share of the line: after a time-out of theirs the next one may
//! come only when it is [`SHARE`] of the time that has passed since. The one that has waited longest is next, so that each
//! has its turn however many there are. How long a unit is waited for is learnt ([`patience`]).
//!
//! There is no state that needs an operator to leave it: the first answer brings a unit back at once.
//!
//! State is kept by unit within one bus: the same address on another bus is another device.

use std::collections::BTreeMap;
use std::time::Duration;

mod patience;
mod unit;

use unit::Unit;
pub(crate) use unit::{Change, Outcome};

/// Of the line's time, what units that do not answer may take from those that do: one part in so many, 1.25 %. Chosen so
/// that the others keep 98 % of their polls in any five minutes: a time-out costs the polls that it makes late as well, whole
/// ones. With time-outs of 300 ms a silent unit is asked every 26 s.
const SHARE: u32 = 80;

/// What units may take beyond that, together, when they are asked for the first time: nobody can know which of them are
/// there. Three or two time-outs; on a line with time to spare as many as it takes.
const WELCOME: Duration = Duration::from_secs(1);

/// What finishing a round meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finished {
    /// Due times that had passed already, of a unit that had not failed.
    pub(crate) skipped: u64,
    pub(crate) change: Option<Change>,
}

/// The due times of one bus.
#[derive(Debug)]
pub(crate) struct Schedule {
    slots: Vec<Slot>,
    units: BTreeMap<u8, Unit>,
    /// When the silent units may take the line again.
    ration: Duration,
    /// What is left of [`WELCOME`].
    welcome: Duration,
}

#[derive(Debug)]
struct Slot {
    unit: u8,
    period: Duration,
    due: Duration,
    /// When its last round ended.
    last_turn: Duration,
    /// How long its last answered round took.
    took: Duration,
}

impl Schedule {
    /// One slot for each round: its unit, its period, and how long the unit may take to answer. All are due at once.
    pub(crate) fn new(rounds: impl IntoIterator<Item = (u8, Duration, Duration)>) -> Self {
        let mut slots = Vec::new();
        let mut units = BTreeMap::new();
        for (unit, period, timeout) in rounds {
            units.entry(unit).or_insert_with(|| Unit::new(timeout));
            let (due, last_turn, took) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
            slots.push(Slot { unit, period, due, last_turn, took });
        }
        Self { slots, units, ration: Duration::ZERO, welcome: WELCOME }
    }

    /// Which slot is next, and when; `None` if there is none at all. Of those whose time has come the one goes first that
    /// has waited longest since its last turn: on a line with more work than time, everybody gets one.
    pub(crate) fn next(&self, now: Duration) -> Option<(usize, Duration)> {
        let spare = self.spare(now);
        let turn = |(index, slot): (usize, &Slot)| {
            let unit = &self.units[&slot.unit];
            // A unit that answers has a turn for each slot, another one for all.
            let last_turn = if unit.is_answering() { slot.last_turn } else { unit.last_turn() };
            let ready = slot.due.max(unit.rests_until()).max(self.rationed(unit, spare));
            let order = if ready <= now { (Duration::ZERO, last_turn) } else { (ready, Duration::ZERO) };
            (order, slot.last_turn, index, ready)
        };
        let (_, _, index, ready) = self.slots.iter().enumerate().map(turn).min()?;
        Some((index, ready))
    }

    /// Whether the unit of this slot has failed twice or more and is asked only now and then.
    pub(crate) fn is_lost(&self, slot: usize) -> bool {
        self.unit(slot).is_lost()
    }

    /// Whether the unit of this slot failed when it was last asked: then it is asked with one short read at first.
    pub(crate) fn is_probed(&self, slot: usize) -> bool {
        self.unit(slot).is_failing()
    }

    /// How long the unit of this slot may take to answer.
    pub(crate) fn timeout(&self, slot: usize) -> Duration {
        self.unit(slot).patience.timeout()
    }

    /// The unit of this slot has answered a request after `delay`.
    pub(crate) fn heard(&mut self, slot: usize, delay: Duration) {
        if let Some(unit) = self.units.get_mut(&self.slots[slot].unit) {
            unit.patience.heard(delay);
        }
    }

    /// Notes the outcome of a round that took from `begun` until `now`, and sets the slot's next due time.
    pub(crate) fn finish(&mut self, slot: usize, begun: Duration, now: Duration, outcome: Outcome) -> Finished {
        let took = now.saturating_sub(begun);
        // What was harmless, or what nobody was there to be harmed by, is not counted.
        let spare = self.spare(begun);
        let slot = &mut self.slots[slot];
        let unit = self.units.get_mut(&slot.unit).expect("every slot's unit was entered in new");
        let (was_failing, was_new) = (unit.is_failing(), unit.is_new());
        let noted = unit.note(now, outcome);
        if noted.is_rationed && spare.is_some_and(|spare| !was_new || took > spare) {
            self.ration = self.ration.max(now + took * SHARE);
            if was_new {
                self.welcome = self.welcome.saturating_sub(took);
            }
        }
        if outcome == Outcome::Answered {
            slot.took = took;
        }
        slot.last_turn = now;
        let passed = now.saturating_sub(slot.due).as_nanos() / slot.period.as_nanos();
        let skipped = u64::try_from(passed).unwrap_or(u64::MAX);
        // Step by step in whole periods from the old due time: this is what keeps the grid.
        let periods = u32::try_from(passed).unwrap_or(u32::MAX - 1) + 1;
        slot.due = slot.due.saturating_add(slot.period.saturating_mul(periods));
        Finished { skipped: if was_failing { 0 } else { skipped }, change: noted.change }
    }

    fn unit(&self, slot: usize) -> &Unit {
        &self.units[&self.slots[slot].unit]
    }

    /// Before when this unit may not take the line from others.
    fn rationed(&self, unit: &Unit, spare: Option<Duration>) -> Duration {
        let is_free = match spare {
            // There is nobody to take it from.
            None => true,
            Some(spare) => {
                let is_welcome = !self.welcome.is_zero() || unit.patience.timeout() <= spare;
                unit.is_free() || unit.is_new() && is_welcome
            }
        };
        if is_free { Duration::ZERO } else { self.ration }
    }

    /// How long the line can be held from `now` on, so that no poll of a unit that answers is skipped; `None` if there is
    /// no such unit.
    fn spare(&self, now: Duration) -> Option<Duration> {
        let answering = || self.slots.iter().filter(|slot| self.units[&slot.unit].is_answering());
        let end = answering().map(|slot| slot.due + slot.period).min()?;
        let work: Duration = answering().map(|slot| slot.took).sum();
        Some(end.saturating_sub(now + work))
    }
}

#[cfg(test)]
mod tests;
