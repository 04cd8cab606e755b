//! The hold: while the core refuses the session's messages, nothing is sent and nothing is thrown away. Pure.

use std::time::{Duration, Instant};

use curb_model::{Fault, Lane, RowId, Stream};
use curb_wire::topic::levels;

use crate::backoff::doubled;
use crate::{health, reason};

/// A hold grows to this: an operator who has put the fault right does not wait longer.
const HOLD_MAX: Duration = Duration::from_secs(300);

/// Nothing, or a refusal that stands until the topic that met it gets through.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    refusal: Option<Refusal>,
}

#[derive(Debug)]
struct Refusal {
    code: u8,
    topic: (Lane, Stream),
    /// Sends nothing until then. None: trying again.
    until: Option<Instant>,
    /// The oldest refused row: where to go on.
    from: RowId,
    tries: u32,
}

impl Hold {
    /// A row was refused. Rows in flight with it are refused too; they make one hold.
    pub(crate) fn refused(&mut self, code: u8, topic: (Lane, Stream), row: RowId, retry: Duration, now: Instant) {
        let refusal =
            self.refusal.get_or_insert(Refusal { code, topic: topic.clone(), until: None, from: row, tries: 0 });
        if refusal.until.is_some() {
            refusal.from = refusal.from.min(row);
            return;
        }
        let wait = doubled(retry, refusal.tries, HOLD_MAX.max(retry));
        *refusal = Refusal { code, topic, until: Some(now + wait), from: row, tries: refusal.tries.saturating_add(1) };
    }

    /// A row of this topic got through.
    pub(crate) fn passed(&mut self, topic: &(Lane, Stream)) {
        if self.refusal.as_ref().is_some_and(|refusal| refusal.until.is_none() && refusal.topic == *topic) {
            self.refusal = None;
        }
    }

    /// Whether nothing may be sent.
    pub(crate) fn holds(&self) -> bool {
        self.until().is_some()
    }

    /// When the hold ends.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.refusal.as_ref()?.until
    }

    /// Ends a hold that is over; the row to go on from.
    pub(crate) fn end(&mut self, now: Instant) -> Option<RowId> {
        let refusal = self.refusal.as_mut()?;
        if refusal.until? > now {
            return None;
        }
        refusal.until = None;
        Some(refusal.from)
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        let Refusal { code, topic: (lane, stream), .. } = self.refusal.as_ref()?;
        let name = reason::name(*code);
        let topic = levels(*lane, stream);
        Some(health::fault(
            reason::word(*code),
            format!(
                "the core refuses the topic …/{topic} with 0x{code:02x} ({name}); everything is held until it passes"
            ),
        ))
    }
}
