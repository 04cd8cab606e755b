//! What the uplink tells: of the hub to the core, of itself to the daemon, of rows to the store.

use std::sync::Arc;

use curb_model::Fault;
use curb_wire::record::Document as _;
use curb_wire::status::{State as Presence, Status};

use super::Room;
use crate::health::State;
use crate::lost::Lost;
use crate::outbox::Outbox;
use crate::reason;
use crate::session::Report;
use crate::size::payload_max;
use crate::unreached::Addresses;

impl<O: Outbox> Room<O> {
    /// The status document of this connection.
    pub(super) fn presence(&self, state: Presence, goodbye: Goodbye) -> Vec<u8> {
        let status = self.status.value();
        let clean = goodbye == Goodbye::Said;
        let connection = self.now.connection;
        match state {
            Presence::Online => Status { state, connection, clean, ..Status::clone(&status) }.encode(),
            // What stood wrong or waited when it was written is not known to be so when it is read.
            Presence::Offline => {
                Status { state, connection, clean, faults: Vec::new(), queue: None, ..Status::clone(&status) }.encode()
            }
        }
    }

    /// Notes why the connection is over, or none came about.
    pub(super) fn lose(&mut self, lost: Lost) {
        let addresses = if self.config.fallback.is_some() { Addresses::Two } else { Addresses::One };
        let address = self.address().clone();
        self.unreached.note(self.route, &address, addresses, lost);
    }

    /// Publishes the health, and logs each fault when it comes and when it goes.
    pub(super) fn show(&mut self, state: State, faults: Vec<Fault>) {
        let faults: Vec<Fault> = self.unreached.faults().cloned().chain(faults).collect();
        let changed = state != self.now.state || faults != self.now.faults;
        if changed {
            for fault in faults.iter().filter(|fault| self.is_news(fault)) {
                tracing::warn!(word = fault.word, detail = fault.detail, "{}", fault.subject);
            }
            for fault in self.now.faults.iter().filter(|old| faults.iter().all(|fault| !is_same(fault, old))) {
                tracing::info!(word = fault.word, "{}: no longer", fault.subject);
            }
            self.now.state = state;
            self.now.faults = faults;
        }
        self.health.send_if_modified(|health| {
            health.clone_from(&self.now);
            changed
        });
    }

    /// A fault whose text changes while it stands is not told again.
    fn is_news(&self, fault: &Fault) -> bool {
        self.now.faults.iter().all(|old| !is_same(old, fault))
    }
}

fn is_same(one: &Fault, other: &Fault) -> bool {
    (&one.subject, one.word) == (&other.subject, other.word)
}

/// Whether the hub itself says that it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goodbye {
    None,
    Said,
}

pub(super) async fn tell<O: Outbox>(outbox: Arc<O>, report: Report) {
    match report {
        Report::Delivered(rows) => outbox.delivered(rows).await,
        Report::Receipt { run, stream, seq } => outbox.receipt(run, stream, seq).await,
        Report::SetAside { row, code } => {
            tracing::warn!(row = row.0, code, reason = reason::name(code), "set a message aside");
            outbox.set_aside(row, code).await;
        }
        Report::PacketMax(max) => outbox.payload_max(max.map(payload_max)).await,
    }
}
