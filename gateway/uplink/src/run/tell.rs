//! What the uplink tells: of the hub to the core, of itself to the daemon, of rows to the store.

use std::sync::Arc;

use curb_model::Fault;
use curb_wire::record::Document as _;
use curb_wire::status::{State as Presence, Status};

use super::Room;
use crate::health::{self, State};
use crate::lost::Lost;
use crate::outbox::Outbox;
use crate::reason;
use crate::session::Report;
use crate::size::payload_max;

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

    /// Why the connection is over, as a fault. Of two addresses it has to be said which one it was.
    pub(super) fn told(&self, lost: Lost) -> Fault {
        let Lost { word, detail, .. } = lost;
        let at = self.address().to_string();
        if self.config.fallback.is_none() || detail.contains(&at) {
            return health::fault(word, detail);
        }
        health::fault(word, format!("{at}: {detail}"))
    }

    /// Publishes the health, and logs each fault when it comes and when it goes.
    pub(super) fn show(&mut self, state: State, faults: Vec<Fault>) {
        let faults: Vec<Fault> = self.lost.iter().cloned().chain(faults).collect();
        let changed = state != self.now.state || faults != self.now.faults;
        if changed {
            for fault in faults.iter().filter(|fault| self.is_news(fault)) {
                tracing::warn!(word = fault.word, detail = fault.detail, "core");
            }
            for fault in self.now.faults.iter().filter(|old| faults.iter().all(|fault| fault.word != old.word)) {
                tracing::info!(word = fault.word, "core: no longer");
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
        self.now.faults.iter().all(|old| old.word != fault.word)
    }
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
