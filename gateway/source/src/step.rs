//! Which answers a serial line still owes. Pure.
//!
//! A frame on a serial line does not say which request it answers: an answer that comes after its time looks like the
//! answer to the next request, if that has the same function and length. So the line keeps a list of requests that were
//! never answered. As long as one of them could be mistaken, the unit is first asked for a different amount; a unit
//! answers in order, so that this answer, which cannot be mistaken, proves that nothing older is to come. Where no
//! different amount is to be had, the unit is not asked until the old answer cannot come any more.
//!
//! Deliberately absent: trust in timing alone. A guard time after each failure would have to be as long as the latest
//! answer there is, on a line that all the others share.

use std::time::Duration;

use curb_model::Reason;
use tokio::time::Instant;

use crate::plan::{Ask, MAX_BITS, MAX_REGISTERS};

/// After this long an answer does not come any more. Chosen: far above what any device on the wire takes (most give up
/// within one second), and shorter than the second back-off of a silent unit.
pub(crate) const LATE_LIMIT: Duration = Duration::from_secs(5);

/// What to do before a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask: no owed answer could be taken for this one's.
    Now,
    /// Ask this first, and throw its answer away.
    AskFirst(Ask),
    /// Do not ask now; this is what went wrong before.
    Wait(Reason),
}

/// Requests without an answer. Bounded: there is one entry at most for each unit, function and length that is asked for.
#[derive(Debug, Default)]
pub(crate) struct Owed(Vec<Debt>);

#[derive(Debug)]
struct Debt {
    ask: Ask,
    since: Instant,
    reason: Reason,
}

impl Owed {
    /// What has to be done before `ask`.
    pub(crate) fn step(&self, ask: Ask, now: Instant) -> Step {
        let Some(debt) = self.look_alike(ask, now) else { return Step::Now };
        let other_amounts = if ask.table.is_bits() {
            let bytes = u16::from(ask.data_len());
            [(bytes - 1) * 8, (bytes + 1) * 8]
        } else {
            [ask.quantity - 1, ask.quantity + 1]
        };
        let max = if ask.table.is_bits() { MAX_BITS } else { MAX_REGISTERS };
        let exists = |quantity: u16| (1..=max).contains(&quantity) && ask.address.checked_add(quantity - 1).is_some();
        other_amounts
            .into_iter()
            .filter(|&quantity| exists(quantity))
            .map(|quantity| Ask { quantity, ..ask })
            .find(|&other| self.look_alike(other, now).is_none())
            .map_or(Step::Wait(debt.reason), Step::AskFirst)
    }

    /// `ask` got no answer.
    pub(crate) fn failed(&mut self, ask: Ask, reason: Reason, now: Instant) {
        self.0.retain(|debt| !same_shape(debt.ask, ask) && now.duration_since(debt.since) < LATE_LIMIT);
        self.0.push(Debt { ask, since: now, reason });
    }

    /// The answer to `ask` came, with data: nothing older of this unit is to come.
    pub(crate) fn answered(&mut self, ask: Ask) {
        self.0.retain(|debt| debt.ask.unit != ask.unit);
    }

    /// An exception came after `ask`. It carries no length: if another answer of this function is owed, it may be that
    /// one's, and then the answer to `ask` is still to come.
    pub(crate) fn refused(&mut self, ask: Ask, now: Instant) {
        let shared = |debt: &Debt| debt.ask.unit == ask.unit && debt.ask.table == ask.table;
        match self.0.iter().find(|debt| shared(debt) && now.duration_since(debt.since) < LATE_LIMIT) {
            Some(debt) => self.failed(ask, debt.reason, now),
            None => self.answered(ask),
        }
    }

    /// A frame with data came that nobody waits for. Says whether it was owed; if so, it is not any more, nor is what is older.
    pub(crate) fn settle(&mut self, unit: u8, function: u8, data_len: u8) -> bool {
        let fits =
            |debt: &Debt| debt.ask.unit == unit && debt.ask.function() == function && debt.ask.data_len() == data_len;
        let Some(since) = self.0.iter().find(|debt| fits(debt)).map(|debt| debt.since) else { return false };
        self.0.retain(|debt| debt.ask.unit != unit || debt.since > since);
        true
    }

    fn look_alike(&self, ask: Ask, now: Instant) -> Option<&Debt> {
        self.0.iter().find(|debt| same_shape(debt.ask, ask) && now.duration_since(debt.since) < LATE_LIMIT)
    }
}

/// Whether the answers to both look alike.
fn same_shape(a: Ask, b: Ask) -> bool {
    a.unit == b.unit && a.table == b.table && a.data_len() == b.data_len()
}

#[cfg(test)]
mod tests;
