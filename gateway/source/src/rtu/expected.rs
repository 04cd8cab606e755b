//! Frames that are known byte for byte before they are heard: the echo of our own request, and the answer to a write. Pure,
//! but for what it remembers.
//!
//! An echo comes with its exchange, as a rule. An adapter with a buffer of its own may hand it over after the answer was
//! given up, or in two pieces with a pause between; the answer to a write may be late like any other. Both are right
//! frames, and would else be taken for another master's.
//!
//! Deliberately absent: the echo of a request that was answered. Its line has shown that it has none, or it has come.

use tokio::time::Instant;

use super::frames::crc16;
use crate::health::LineCounters;
use crate::query::{Query, Shape};
use crate::step::LATE_LIMIT;

/// How many are kept: more than a line has requests that fail within [`LATE_LIMIT`], short of time-outs of a few
/// milliseconds; beyond it the oldest is forgotten.
const MOST: usize = 32;

/// The least piece that is taken for the beginning of one: unit and function. A single byte is noise more often.
const LEAST_PIECE: usize = 2;

/// What may still be heard.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Of the exchange that goes on.
    echo: Option<Known>,
    /// Of exchanges that failed, the oldest first.
    late: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    frame: Vec<u8>,
    what: What,
    /// Bytes of it that were heard before a pause.
    heard: usize,
    /// Another master may ask the very same: the line has not shown that it echoes.
    may_be_foreign: bool,
    since: Instant,
}

/// One that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heard {
    /// How many of the bytes it was.
    pub(super) len: usize,
    /// It was counted as our own, and is to be guarded against as another master's.
    pub(super) may_be_foreign: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Echo,
    /// To a write.
    Answer,
}

impl Expected {
    /// This request is on its way.
    pub(super) fn sent(&mut self, request: &[u8], now: Instant) {
        let frame = request.to_vec();
        self.echo = Some(Known { frame, what: What::Echo, heard: 0, may_be_foreign: false, since: now });
    }

    /// The exchange is over, and had its answer.
    pub(super) fn answered(&mut self) {
        self.echo = None;
    }

    /// The exchange is over, and had none. On a line that is known to have no echo none is waited for: a frame that looks
    /// like one is another master's.
    pub(super) fn failed(&mut self, query: Query, request: &[u8], echoes: Option<bool>, now: Instant) {
        if let Some(echo) = self.echo.take().filter(|_| echoes != Some(false)) {
            self.late.push(Known { may_be_foreign: echoes.is_none(), since: now, ..echo });
        }
        if let Shape::Echo(len) = query.shape {
            let body = request.get(..2 + len).unwrap_or_default();
            let frame = [body, &crc16(body).to_le_bytes()].concat();
            self.late.push(Known { frame, what: What::Answer, heard: 0, may_be_foreign: false, since: now });
        }
        let beyond = self.late.len().saturating_sub(MOST);
        self.late.drain(..beyond);
    }

    /// What `bytes` begin with, if that is one as a whole. It is counted.
    pub(super) fn whole(&mut self, bytes: &[u8], counters: &mut LineCounters) -> Option<Heard> {
        self.take(bytes, |known| &known.frame, counters)
    }

    /// The same of one whose beginning was heard before.
    pub(super) fn rest(&mut self, bytes: &[u8], counters: &mut LineCounters) -> Option<Heard> {
        self.take(bytes, |known| if known.heard > 0 { &known.frame[known.heard..] } else { &[] }, counters)
    }

    /// Whether `bytes`, behind which the line was silent, are a piece of one. If so they are kept in mind.
    pub(super) fn piece(&mut self, bytes: &[u8]) -> bool {
        let found = self.echo.iter_mut().chain(&mut self.late).find(|known| {
            let left = &known.frame[known.heard..];
            known.heard + bytes.len() >= LEAST_PIECE && left.len() > bytes.len() && left.starts_with(bytes)
        });
        found.map(|known| known.heard += bytes.len()).is_some()
    }

    /// Forgets what does not come any more. Pieces without their rest were noise.
    pub(super) fn expire(&mut self, now: Instant, counters: &mut LineCounters) {
        self.late.retain(|known| {
            let stands = now.duration_since(known.since) < LATE_LIMIT;
            counters.noise_bytes += if stands { 0 } else { known.heard as u64 };
            stands
        });
    }

    fn take(&mut self, bytes: &[u8], wanted: impl Fn(&Known) -> &[u8], counters: &mut LineCounters) -> Option<Heard> {
        let is_it = |known: &Known| !wanted(known).is_empty() && bytes.starts_with(wanted(known));
        let known = match self.late.iter().position(is_it) {
            Some(at) => self.late.remove(at),
            None => self.echo.take_if(|known| is_it(known))?,
        };
        match known.what {
            What::Echo => counters.echo += 1,
            What::Answer => counters.late += 1,
        }
        let len = wanted(&known).len();
        // A piece before the whole was none of it.
        counters.noise_bytes += if len == known.frame.len() { known.heard as u64 } else { 0 };
        Some(Heard { len, may_be_foreign: known.may_be_foreign })
    }
}

#[cfg(test)]
mod tests;
