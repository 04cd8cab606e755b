//! Waits for the answer to one request among what is heard, and says what went wrong if it does not come.

use tokio::time::Instant;

use super::frames::{self, AROUND_PDU, Head};
use super::wire::Wire;
use super::{MAX_HEARD, RtuLine};
use crate::health::LineCounters;
use crate::modbus::{Failure, Limits};
use crate::query::{Query, Shape};

/// Bytes that make a cut answer one, and not noise that begins like it: unit, function and byte count.
const LEAST_SHORT: usize = 3;

/// What a copy of our request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copy {
    /// We hear ourselves.
    Echo,
    /// The unit repeats the request, as it should.
    Answer,
    /// One of both.
    Unclear,
}

impl<W: Wire> RtuLine<W> {
    /// What `heard` is that begins with the request. The answer to a write of one register repeats the request: on a line
    /// of which it is not known yet whether it echoes, only a second copy tells the two apart.
    fn copy(&self, heard: &[u8], query: Query, request: &[u8]) -> Copy {
        match (frames::head(heard, query, request), query.shape, self.echoes) {
            (Head::Whole(len), Shape::Echo(_), None) if len == request.len() && heard.len() == len => Copy::Unclear,
            (Head::Whole(len), Shape::Echo(_), None | Some(true)) if len == request.len() => Copy::Echo,
            (Head::Whole(_), ..) => Copy::Answer,
            (Head::Partial | Head::Garbled | Head::Other, ..) => Copy::Echo,
        }
    }

    /// Reads until the answer is there, or will not come.
    pub(super) async fn receive(
        &mut self,
        query: Query,
        request: &[u8],
        limits: Limits,
        counters: &mut LineCounters,
    ) -> Result<Vec<u8>, Failure> {
        let answer_len = query.least_len() + AROUND_PDU;
        let sending = self.timing.sending(query.most_len() + AROUND_PDU);
        let deadline = self.last_byte + limits.timeout + self.timing.latency + sending;
        let mut start = 0;
        loop {
            let heard = &self.stray[start..];
            if start == 0 && heard.starts_with(request) {
                match self.copy(heard, query, request) {
                    Copy::Answer => {}
                    Copy::Unclear if self.hears_until(deadline).await? => continue,
                    Copy::Unclear => {}
                    Copy::Echo => {
                        self.echoes = Some(true);
                        start = request.len();
                        continue;
                    }
                }
            }
            let heard = &self.stray[start..];
            if let Some((at, len)) = frames::find(heard, query, request) {
                self.echoes.get_or_insert(false);
                return self.take(query, start + at, len, counters);
            }
            // Enough for an answer has come, and it is none: the rest of it may end, but no answer begins after it.
            let until =
                if heard.len() < answer_len { deadline } else { deadline.min(self.last_byte + self.timing.settle) };
            if !self.hears_until(until).await? {
                break;
            }
            if self.stray.len() > MAX_HEARD {
                counters.babble += 1;
                break;
            }
        }
        Err(self.name(query, request, start, counters))
    }

    /// Takes the answer that was found, if it is beyond doubt.
    fn take(&mut self, query: Query, at: usize, len: usize, counters: &mut LineCounters) -> Result<Vec<u8>, Failure> {
        let is_split = self.pauses.iter().any(|pause| (at + 1..at + len).contains(pause));
        self.pauses.clear();
        let rest = self.stray.split_off(at);
        self.sort_strays(0, Some(query), counters);
        // What comes after the answer may be the beginning of a frame.
        self.stray = rest;
        if self.sorter.owed.look_alike(query, Instant::now()).is_some() {
            // Another master has asked for the same since we did, and this may be its answer.
            return Err(Failure::Framing);
        }
        counters.split += u64::from(is_split);
        let after = self.stray.split_off(len);
        Ok(std::mem::replace(&mut self.stray, after))
    }

    /// What went wrong, if nothing comes any more. The echo of the request ends at `start`.
    fn name(&mut self, query: Query, request: &[u8], start: usize, counters: &mut LineCounters) -> Failure {
        let heard = &self.stray[start..];
        let head = frames::head(heard, query, request);
        let is_headless = frames::is_headless(heard, query);
        let is_short = !is_headless && head == Head::Partial && heard.len() >= LEAST_SHORT;
        let noise_bytes = counters.noise_bytes;
        let is_strange = if is_headless || is_short {
            self.sort_strays(0, Some(query), counters);
            counters.noise_bytes = noise_bytes;
            true
        } else {
            let sorted = self.sort_strays(frames::MAX_FRAME, Some(query), counters);
            sorted.is_strange || !self.stray.is_empty()
        };
        counters.headless += u64::from(is_headless);
        counters.short += u64::from(is_short);
        if head == Head::Garbled {
            Failure::Crc
        } else if is_strange {
            Failure::Framing
        } else {
            Failure::Timeout
        }
    }
}
