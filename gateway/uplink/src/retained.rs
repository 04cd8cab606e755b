//! The two retained documents, `status` and `points`: published at birth and whenever they change. Pure.

use std::time::{Duration, Instant};

use curb_model::Fault;

use crate::health;
use crate::reason::{self, Verdict};

/// A document that changes all the time is published once in this time: a flapping fault must not fill the line.
const PACE: Duration = Duration::from_secs(1);

/// One document of a connection.
#[derive(Debug)]
pub(crate) struct Retained {
    name: &'static str,
    retry: Duration,
    /// The newest text has not been sent.
    changed: bool,
    in_flight: bool,
    not_before: Option<Instant>,
    refused: Option<u8>,
}

impl Retained {
    /// To be published at birth.
    pub(crate) const fn new(name: &'static str, retry: Duration) -> Self {
        Self { name, retry, changed: true, in_flight: false, not_before: None, refused: None }
    }

    pub(crate) const fn changed(&mut self) {
        self.changed = true;
    }

    /// Takes the turn to publish, if it is due.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        if !self.changed || self.in_flight || self.not_before.is_some_and(|at| at > now) {
            return false;
        }
        self.changed = false;
        self.in_flight = true;
        self.not_before = Some(now + PACE);
        true
    }

    /// When the next publish is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.changed && !self.in_flight { self.not_before } else { None }
    }

    /// That nobody subscribes is no trouble here: the broker keeps the document for who comes.
    pub(crate) fn acked(&mut self, code: u8, now: Instant) {
        self.in_flight = false;
        self.refused = match reason::verdict(code) {
            Verdict::Taken | Verdict::Nobody => None,
            Verdict::Message => Some(code),
            Verdict::Session => {
                self.changed = true;
                self.not_before = Some(now + self.retry);
                Some(code)
            }
        };
    }

    /// Larger than the broker takes. Not sent; a later one may fit.
    pub(crate) const fn too_large(&mut self) {
        self.in_flight = false;
        self.refused = Some(reason::PACKET_TOO_LARGE);
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        let code = self.refused?;
        let detail = format!("the core refuses the topic {} with 0x{code:02x} ({})", self.name, reason::name(code));
        Some(health::fault(reason::word(code), detail))
    }
}
