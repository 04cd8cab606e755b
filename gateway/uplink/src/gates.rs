//! One gate per topic: a message that nobody subscribes to waits, with all later ones of its topic, and the other
//! topics go on. Pure.
//!
//! The first message of a topic goes alone, on each connection and after each wait. Only when it is known that somebody
//! takes it do others follow, so that the order of a stream holds although its first message has to be sent again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use curb_model::{Fault, Lane, RowId, Stream};

use crate::health;

/// A topic.
pub(crate) type Topic = (Lane, Stream);

/// Topics named in a fault's text at most.
const NAMED: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// One message is out and decides. `parked`: the row from which nobody took it before.
    Asking { parked: Option<RowId> },
    /// Nothing that decides is out, and nothing is known.
    Unknown { parked: Option<RowId> },
    /// Somebody takes this topic.
    Open,
    /// Nobody does. Nothing is sent until `until`, then again from row `from`.
    Parked { from: RowId, until: Instant },
}

/// What to do with the next message of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// Send it.
    Pass,
    /// Not before the first of its topic is answered.
    Wait,
    /// Leave it in the store; it comes up again.
    Skip,
}

/// All topics of a connection. Bounded by the streams of the hub.
#[derive(Debug, Default)]
pub(crate) struct Gates(HashMap<Topic, Gate>);

impl Gates {
    pub(crate) fn passage(&self, topic: &Topic) -> Passage {
        match self.0.get(topic) {
            None | Some(Gate::Unknown { .. } | Gate::Open) => Passage::Pass,
            Some(Gate::Asking { .. }) => Passage::Wait,
            Some(Gate::Parked { .. }) => Passage::Skip,
        }
    }

    /// A message goes out.
    pub(crate) fn sent(&mut self, topic: &Topic) {
        match self.0.get_mut(topic) {
            Some(gate) => {
                if let Gate::Unknown { parked } = *gate {
                    *gate = Gate::Asking { parked };
                }
            }
            None => {
                self.0.insert(topic.clone(), Gate::Asking { parked: None });
            }
        }
    }

    /// Somebody took a message. If the topic was parked since it went out, the row to go on from.
    pub(crate) fn taken(&mut self, topic: &Topic) -> Option<RowId> {
        let gate = self.0.get_mut(topic)?;
        let from = if let Gate::Parked { from, .. } = gate { Some(*from) } else { None };
        *gate = Gate::Open;
        from
    }

    /// Nobody took this row. Earlier rows of the topic may have met nobody before it, and not be sent again yet.
    pub(crate) fn nobody(&mut self, topic: &Topic, row: RowId, until: Instant) {
        let gate = self.0.entry(topic.clone()).or_insert(Gate::Open);
        let before = match *gate {
            Gate::Parked { from, .. } => Some(from),
            Gate::Asking { parked } | Gate::Unknown { parked } => parked,
            Gate::Open => None,
        };
        *gate = Gate::Parked { from: before.map_or(row, |before| before.min(row)), until };
    }

    /// The message that asked was set aside: the next one asks.
    pub(crate) fn undecided(&mut self, topic: &Topic) {
        if let Some(gate) = self.0.get_mut(topic)
            && let Gate::Asking { parked } = *gate
        {
            *gate = Gate::Unknown { parked };
        }
    }

    /// A message was refused although the topic may have been open: what follows asks again.
    pub(crate) fn refused(&mut self, topic: &Topic) {
        self.undecided(topic);
        if let Some(gate @ Gate::Open) = self.0.get_mut(topic) {
            *gate = Gate::Unknown { parked: None };
        }
    }

    /// When the next topic is tried again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.values().filter_map(|gate| if let Gate::Parked { until, .. } = gate { Some(*until) } else { None }).min()
    }

    /// Opens what is due; the row to go on from. One try for all that come due within `together`, so that the store is
    /// read once.
    pub(crate) fn retry(&mut self, now: Instant, together: Duration) -> Option<RowId> {
        if self.due()? > now {
            return None;
        }
        self.open(|until| until <= now + together)
    }

    /// Opens all that is parked, due or not; the row to go on from.
    pub(crate) fn retry_all(&mut self) -> Option<RowId> {
        self.open(|_until| true)
    }

    fn open(&mut self, is_due: impl Fn(Instant) -> bool) -> Option<RowId> {
        let mut oldest: Option<RowId> = None;
        for gate in self.0.values_mut() {
            if let Gate::Parked { from, until } = *gate
                && is_due(until)
            {
                oldest = Some(oldest.map_or(from, |oldest| oldest.min(from)));
                *gate = Gate::Unknown { parked: Some(from) };
            }
        }
        oldest
    }

    /// Stands until every topic that was parked has been taken.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let unwanted = |gate: &Gate| match gate {
            Gate::Parked { .. } => true,
            Gate::Asking { parked } | Gate::Unknown { parked } => parked.is_some(),
            Gate::Open => false,
        };
        let mut streams: Vec<&str> =
            self.0.iter().filter(|(_, gate)| unwanted(gate)).map(|((_, stream), _)| stream.as_str()).collect();
        if streams.is_empty() {
            return None;
        }
        streams.sort_unstable();
        let more = if streams.len() > NAMED { " and others" } else { "" };
        let count = streams.len();
        streams.truncate(NAMED);
        let named = streams.join(", ");
        let detail = format!("nobody at the core subscribes to {count} stream(s): {named}{more}; their rows are kept");
        Some(health::fault("no-subscriber", detail))
    }
}
