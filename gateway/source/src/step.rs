//! Which answers a serial line still owes. Pure.
//!
//! A frame on a serial line does not say which request it answers: an answer that comes after its time looks like the
//! answer to the next request, if that has the same function and length. So the line keeps a list of requests that were
//! never answered. As long as one of them could be mistaken, the same registers are read as part of a wider block, whose
//! answer has another length. Where the unit has no wider block, it is not asked until the old answer cannot come any
//! more.
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

/// How many lengths are tried at most. Two requests in a row may fail within [`LATE_LIMIT`]; after that a unit rests.
const MOST_WIDER: u16 = 3;

/// What to do about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask: no owed answer could be taken for this one's.
    Now,
    /// Ask for one of these wider blocks instead, the second if the unit refuses the first.
    Wider([Option<Ask>; 2], Reason),
    /// Do not ask now; this is what went wrong before.
    Wait(Reason),
}

/// Reads without an answer. Bounded: there is one entry at most for each unit, function and length that is asked for. A write
/// is not among them: its answer repeats it, and fits no other.
#[derive(Debug, Default)]
pub(crate) struct Owed(Vec<Debt>);

#[derive(Debug)]
struct Debt {
    query: Query,
    since: Instant,
    reason: Reason,
}

impl Owed {
    /// What has to be done about `ask`.
    pub(crate) fn step(&self, ask: Ask, now: Instant) -> Step {
        let Some(reason) = self.look_alike(ask, now).map(|debt| debt.reason) else { return Step::Now };
        let wider = (1..=MOST_WIDER)
            .map(|steps| widened(ask, steps))
            .find(|wider| wider.iter().flatten().any(|wider| self.look_alike(*wider, now).is_none()));
        wider.map_or(Step::Wait(reason), |wider| Step::Wider(wider, reason))
    }

    /// `query` got no answer.
    pub(crate) fn failed(&mut self, query: Query, reason: Reason, now: Instant) {
        self.0.retain(|debt| debt.query != query && now.duration_since(debt.since) < LATE_LIMIT);
        if let Shape::Data(_) = query.shape {
            self.0.push(Debt { query, since: now, reason });
        }
    }

    /// An exception came after `query`. It carries no length: if another answer of this function is owed, it may be that
    /// one's, and then the answer to `query` is still to come.
    pub(crate) fn refused(&mut self, query: Query, now: Instant) {
        let shared = |debt: &Debt| debt.query.unit == query.unit && debt.query.function == query.function;
        let debt = self.0.iter().find(|debt| shared(debt) && now.duration_since(debt.since) < LATE_LIMIT);
        if let Some(reason) = debt.map(|debt| debt.reason) {
            self.failed(query, reason, now);
        }
    }

    /// A frame with data came that nobody waits for. Says whether it was owed; if so, it is not any more.
    pub(crate) fn settle(&mut self, unit: u8, function: u8, data_len: u8) -> bool {
        let owed = Query { unit, function, shape: Shape::Data(data_len) };
        let before = self.0.len();
        self.0.retain(|debt| debt.query != owed);
        self.0.len() < before
    }

    fn look_alike(&self, ask: Ask, now: Instant) -> Option<&Debt> {
        self.0.iter().find(|debt| debt.query == ask.query() && now.duration_since(debt.since) < LATE_LIMIT)
    }
}

/// The blocks that hold `ask` and have an answer that is longer by `steps` registers or bytes: beginning with it, and
/// ending with it.
fn widened(ask: Ask, steps: u16) -> [Option<Ask>; 2] {
    let (quantity, max) = if ask.table.is_bits() {
        ((u16::from(ask.data_len()) + steps) * 8, ModbusDevice::MAX_BITS)
    } else {
        (ask.quantity + steps, ModbusDevice::MAX_REGISTERS)
    };
    let from = |address: Option<u16>| {
        let address = address?;
        let ends = address.checked_add(quantity - 1).is_some();
        (ends && quantity <= max).then_some(Ask { address, quantity, ..ask })
    };
    [from(Some(ask.address)), from(ask.address.checked_sub(quantity - ask.quantity))]
}

#[cfg(test)]
mod tests;
