//! Which answers a serial line still owes. Pure.
//!
//! A frame on a serial line does not say which request it answers: an answer that comes after its time looks like the
//! answer to the next request, if that has the same function and length. So the line keeps a list of requests that were
//! never answered. As long as one of them could be mistaken, the same registers are read as part of a wider block, whose
//! answer has another length. Where the unit has no wider block, it is not asked until the old answer cannot come any
//! more. The requests of another master on the same line are owed answers too, which look no different.
//!
//! Deliberately absent: trust in timing (a guard time after each failure would have to be as long as the latest answer
//! there is, on a line that all the others share), and trust that a unit answers in order (a bridge in between may not).

use std::time::Duration;

use curb_model::Reason;
use tokio::time::Instant;

use crate::config::ModbusDevice;
use crate::plan::Ask;
use crate::query::{Query, Shape};

/// After this long an answer does not come any more. Chosen: far above what any device on the wire takes (most give up
/// within one second), and shorter than the second back-off of a silent unit.
pub(crate) const LATE_LIMIT: Duration = Duration::from_secs(5);

/// How many lengths are tried at most. Two requests in a row may fail within [`LATE_LIMIT`], the second of them in two
/// lengths; after that a unit rests.
const MOST_WIDER: u16 = 4;

/// How many requests of another master are kept. Chosen: more than a line carries in [`LATE_LIMIT`] to units that do not
/// answer; beyond it the oldest is forgotten.
const MOST_OVERHEARD: usize = 64;

/// Who is owed an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    /// Another master's, whose request was heard.
    Foreign,
}

/// What to do about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask: no owed answer could be taken for this one's.
    Now,
    /// Ask for one of these wider blocks instead, the second if the unit refuses the first. All are of different lengths.
    Wider([Option<Ask>; 2], Reason),
    /// Do not ask now; this is what went wrong before.
    Wait(Reason),
}

/// Reads without an answer, the oldest first. Bounded: of ours there is one entry at most for each unit, function and length
/// that is asked for, of another master's [`MOST_OVERHEARD`]. A write is not among them: its answer repeats it, and fits no
/// other.
#[derive(Debug, Default)]
pub(crate) struct Owed(Vec<Debt>);

#[derive(Debug)]
struct Debt {
    query: Query,
    whose: Whose,
    since: Instant,
    reason: Reason,
}

impl Owed {
    /// What has to be done about `ask`.
    pub(crate) fn step(&self, ask: Ask, now: Instant) -> Step {
        let Some(reason) = self.look_alike(ask.query(), now) else { return Step::Now };
        let free = |block: &Ask| self.look_alike(block.query(), now).is_none();
        let blocks =
            |side: fn(Ask, u16) -> Option<Ask>| (1..=MOST_WIDER).filter_map(move |steps| side(ask, steps)).filter(free);
        let after = blocks(widened_after).next();
        // Of another length than the first: a refusal of that one may have been meant for an older request.
        let before = blocks(widened_before).find(|before| after.is_none_or(|after| after.query() != before.query()));
        match (after, before) {
            (None, None) => Step::Wait(reason),
            some => Step::Wider(some.into(), reason),
        }
    }

    /// `query` got no answer.
    pub(crate) fn failed(&mut self, query: Query, reason: Reason, now: Instant) {
        self.0.retain(|debt| !(debt.whose == Whose::Ours && debt.query == query) && debt.stands(now));
        if let Shape::Data(_) = query.shape {
            self.0.push(Debt { query, whose: Whose::Ours, since: now, reason });
        }
    }

    /// Another master asked this.
    pub(crate) fn overheard(&mut self, query: Query, now: Instant) {
        self.0.retain(|debt| debt.stands(now));
        let is_foreign = |debt: &Debt| debt.whose == Whose::Foreign;
        if self.0.iter().filter(|debt| is_foreign(debt)).count() >= MOST_OVERHEARD
            && let Some(oldest) = self.0.iter().position(is_foreign)
        {
            self.0.remove(oldest);
        }
        self.0.push(Debt { query, whose: Whose::Foreign, since: now, reason: Reason::Framing });
    }

    /// An exception came after `query`. It carries no length: if another answer of this function is owed, it may be that
    /// one's, and then the answer to `query` is still to come.
    pub(crate) fn refused(&mut self, query: Query, now: Instant) {
        let Query { unit, function, .. } = query;
        let shared = |debt: &&Debt| debt.query.unit == unit && debt.query.function == function && debt.stands(now);
        if let Some(reason) = self.0.iter().find(shared).map(|debt| debt.reason) {
            self.failed(query, reason, now);
        }
    }

    /// The answer to `query` came, and nobody waits for it. Says who was owed it, if anybody was; one debt less then.
    pub(crate) fn settle(&mut self, query: Query) -> Option<Whose> {
        let at = self.0.iter().position(|debt| debt.query == query)?;
        Some(self.0.remove(at).whose)
    }

    /// Why an answer to `query` would not be believed now.
    pub(crate) fn look_alike(&self, query: Query, now: Instant) -> Option<Reason> {
        self.0.iter().find(|debt| debt.query == query && debt.stands(now)).map(|debt| debt.reason)
    }
}

impl Debt {
    fn stands(&self, now: Instant) -> bool {
        now.duration_since(self.since) < LATE_LIMIT
    }
}

/// The block that begins with `ask` and has an answer that is longer by `steps` registers or bytes.
fn widened_after(ask: Ask, steps: u16) -> Option<Ask> {
    let quantity = widened(ask, steps)?;
    ask.address.checked_add(quantity - 1)?;
    Some(Ask { quantity, ..ask })
}

/// The one that ends with it.
fn widened_before(ask: Ask, steps: u16) -> Option<Ask> {
    let quantity = widened(ask, steps)?;
    Some(Ask { address: ask.address.checked_sub(quantity - ask.quantity)?, quantity, ..ask })
}

fn widened(ask: Ask, steps: u16) -> Option<u16> {
    let (quantity, max) = if ask.table.is_bits() {
        ((u16::from(ask.data_len()) + steps) * 8, ModbusDevice::MAX_BITS)
    } else {
        (ask.quantity + steps, ModbusDevice::MAX_REGISTERS)
    };
    (quantity <= max).then_some(quantity)
}

#[cfg(test)]
mod tests;
