//! What the connection told, applied.

use std::time::{Duration, Instant};

use curb_wire::record::{Document as _, Receipt};

use super::Room;
use crate::client::Event;
use crate::command::Taken;
use crate::config::Ack;
use crate::flight::Mismatch;
use crate::health;
use crate::lost::Lost;
use crate::outbox::Outbox;
use crate::reason;
use crate::session::{Acked, Session};

impl<O: Outbox> Room<O> {
    /// Applies what the connection told. Says yes when the subscription is granted.
    pub(super) fn hear(&mut self, event: Event, session: &mut Session, now: Instant) -> Result<bool, Lost> {
        let mismatch = |Mismatch(id)| {
            Lost::new("core-protocol", format!("packet {id} is acknowledged and was not sent, or was sent twice"))
        };
        match &event {
            Event::Received(incoming) => session.air.received(incoming.topic.len() + incoming.payload.len(), now),
            Event::Alive => session.air.pinged(now),
            Event::Numbered { .. } | Event::Acked { .. } | Event::Subscribed { .. } => {}
        }
        match event {
            Event::Numbered { id } => session.numbered(id).map_err(mismatch)?,
            Event::Acked { id, code } => {
                if let Acked::Row { taken, after } = session.acked(id, code, now).map_err(mismatch)? {
                    self.now.acked += u64::from(taken);
                    let smooth = |delay: Duration| (delay * 7 + after) / 8;
                    self.now.delay = Some(self.now.delay.map_or(after, smooth));
                }
            }
            Event::Subscribed { codes } => return self.subscribed(&codes),
            Event::Received(incoming) if incoming.topic == self.topics.receipt() => {
                match Receipt::decode(&incoming.payload) {
                    Ok(Receipt { run, stream, seq, .. }) => {
                        let ended = session.receipt(run, stream, seq);
                        self.now.receipted += u64::try_from(ended).unwrap_or(u64::MAX);
                    }
                    Err(error) => tracing::warn!(%error, "ignored a receipt"),
                }
            }
            Event::Received(incoming) => match self.desk.take(*incoming, &self.topics, now) {
                Taken::HandedOver => self.now.commands += 1,
                Taken::Refused => self.now.commands_refused += 1,
                Taken::NotACommand => tracing::warn!("ignored a message that is no command"),
            },
            Event::Alive => {}
        }
        Ok(false)
    }

    /// Applies the answers to our filters, in their order: receipts where they are wanted, commands. Says yes when rows may
    /// go. Without commands a hub is still worth having; without receipts nothing would ever be delivered.
    fn subscribed(&mut self, codes: &[u8]) -> Result<bool, Lost> {
        let code = |at: usize| codes.get(at).copied().unwrap_or(0x80);
        let (receipt, commands) = match self.config.ack {
            Ack::Core => (code(0), code(1)),
            Ack::Broker => (0, code(0)),
        };
        self.deaf = (commands > 2).then(|| {
            let detail =
                format!("the core refuses the subscription to cmd/+ with 0x{commands:02x}: it cannot command this hub");
            health::fault("commands-refused", detail)
        });
        if receipt > 2 {
            let detail = format!("the core refuses the subscription to receipt with 0x{receipt:02x}");
            return Err(Lost::new(reason::word(receipt), detail));
        }
        Ok(true)
    }
}
