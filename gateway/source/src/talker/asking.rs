//! When a device is asked, and what is taken for its answer. Pure: the time since the talker started is passed in.
//!
//! A device is asked on a fixed grid and, while it is silent, less and less often, as units on a Modbus line are. An
//! answer is a frame that speaks of a point and comes while one is waited for; one that comes later belongs to no
//! request, and is counted as late.

use std::time::Duration;

use curb_model::Reason;

use crate::config::Request;
use crate::poll::{Finished, Outcome, Schedule};

/// The only slot of the schedule, and the only unit on its line.
const SLOT: usize = 0;
const UNIT: u8 = 0;

/// The questions to one device.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    pub(super) request: &'a Request,
    schedule: Schedule,
    open: Option<Open>,
}

/// A request without an answer yet.
#[derive(Debug)]
struct Open {
    begun: Duration,
    deadline: Duration,
    /// How much of the request has been heard back from the line; `None` when what came is no echo, or is past it.
    echo: Option<usize>,
    /// What went wrong so far.
    trouble: Option<Reason>,
}

/// What it is time for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Nothing,
    Ask,
    GiveUp,
}

/// What bytes are, beside the beginning of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    /// What is not our own request.
    pub(super) bytes: Vec<u8>,
    /// Whether a whole echo has come.
    pub(super) echoed: bool,
}

impl<'a> Asking<'a> {
    pub(super) fn new(request: &'a Request) -> Self {
        Self { request, schedule: Schedule::new([(UNIT, request.every, request.timeout)]), open: None }
    }

    /// When something is to be done next.
    pub(super) fn next(&self, now: Duration) -> Duration {
        let due = || self.schedule.next(now).map_or(Duration::MAX, |(_, due)| due);
        self.open.as_ref().map_or_else(due, |open| open.deadline)
    }

    pub(super) fn turn(&self, now: Duration) -> Turn {
        match (self.next(now) <= now, &self.open) {
            (false, _) => Turn::Nothing,
            (true, None) => Turn::Ask,
            (true, Some(_)) => Turn::GiveUp,
        }
    }

    /// The request goes out `now`, and takes so long on the line.
    pub(super) fn asked(&mut self, now: Duration, sending: Duration) {
        let deadline = now + sending + self.request.timeout;
        self.open = Some(Open { begun: now, deadline, echo: Some(0), trouble: None });
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Takes our own request off what has been heard. An answer that begins as it does is not lost: what turns out to be
    /// no echo is given back.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Heard {
        let plain = |bytes: &[u8]| Heard { bytes: bytes.to_vec(), echoed: false };
        let request = self.request.bytes.as_slice();
        let Some(Open { echo, .. }) = &mut self.open else { return plain(bytes) };
        let Some(heard) = echo.take() else { return plain(bytes) };
        let own = bytes.iter().zip(&request[heard..]).take_while(|(byte, own)| byte == own).count();
        if heard + own == request.len() {
            Heard { bytes: bytes[own..].to_vec(), echoed: true }
        } else if own == bytes.len() {
            *echo = Some(heard + own);
            plain(&[])
        } else {
            plain(&[&request[..heard], bytes].concat())
        }
    }

    /// Something came that is no answer.
    pub(super) fn note(&mut self, reason: Reason) {
        if let Some(open) = &mut self.open {
            open.trouble.get_or_insert(reason);
        }
    }

    /// What was held back as the beginning of an echo, if no more of it comes.
    pub(super) fn held(&mut self) -> Vec<u8> {
        let heard = self.open.as_mut().and_then(|open| open.echo.take()).unwrap_or(0);
        self.request.bytes[..heard].to_vec()
    }

    /// An answer came, `now`.
    pub(super) fn answered(&mut self, now: Duration) -> Finished {
        let begun = self.open.take().map_or(now, |open| open.begun);
        self.schedule.finish(SLOT, begun, now, Outcome::Answered)
    }

    /// No answer came by the deadline; says why.
    pub(super) fn give_up(&mut self, now: Duration) -> (Finished, Reason) {
        let open = self.open.take();
        let begun = open.as_ref().map_or(now, |open| open.begun);
        let trouble = open.and_then(|open| open.trouble);
        let outcome = if trouble.is_some() { Outcome::Garbled } else { Outcome::Silent };
        (self.schedule.finish(SLOT, begun, now, outcome), trouble.unwrap_or(Reason::Timeout))
    }

    /// There is no port to ask through.
    pub(super) fn skip(&mut self, now: Duration) -> Finished {
        self.open = None;
        self.schedule.finish(SLOT, now, now, Outcome::NotAsked)
    }

    /// Whether it is asked only now and then, until it answers.
    pub(super) fn is_lost(&self) -> bool {
        self.schedule.is_lost(SLOT)
    }
}

#[cfg(test)]
mod tests;
