//! Tells apart what is heard on a line beside the answers that are waited for. Pure, but for what it remembers.
//!
//! ```text
//! our own request            echo        an adapter that hears itself, also late or in two pieces
//! an answer that was owed    late        a slow unit; also the answer to a write
//! the same from another unit wrong_unit  two units with one address, or a wrong one in the config
//! a master's request         foreign     a second master, and the answers to it
//! another right frame        foreign
//! a byte of no frame         noise
//! ```

use tokio::time::Instant;

use super::expected::Expected;
use super::frames::{self, Kind};
use crate::health::LineCounters;
use crate::query::Query;
use crate::step::{Owed, Whose};

/// What a line remembers to tell apart what it hears.
#[derive(Debug, Default)]
pub(super) struct Sorter {
    pub(super) owed: Owed,
    pub(super) expected: Expected,
}

/// What bytes that are no answer turned out to be.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// Bytes of no frame. Not counted yet: the caller may know what they are.
    pub(super) noise_bytes: u64,
    /// Something that is not merely late, or our own.
    pub(super) is_strange: bool,
}

impl Sorter {
    /// Sorts `bytes`, heard while `asked` was waited for, or nothing. Of bytes at the end that belong to no frame, the last
    /// `keep` are left: they may be the beginning of one. Says also how many bytes were sorted.
    pub(super) fn sort(
        &mut self,
        bytes: &[u8],
        keep: usize,
        asked: Option<Query>,
        counters: &mut LineCounters,
    ) -> (Sorted, usize) {
        let now = Instant::now();
        self.expected.expire(now, counters);
        let mut sorted = Sorted::default();
        let mut at = 0;
        // Bytes of no frame, up to here.
        let mut run = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if let Some(heard) = self.expected.whole(rest, counters) {
                if let (true, (Kind::Request(Some(query)), _)) = (heard.may_be_foreign, frames::first(rest)) {
                    self.owed.overheard(query, now);
                }
                at += heard.len;
                sorted.end_run(&mut run);
                continue;
            }
            let (kind, len) = frames::first(rest);
            if kind == Kind::Noise {
                // A right frame comes before what a piece might be: another master's must not be missed.
                let len = match self.expected.rest(rest, counters) {
                    Some(heard) => Some(heard.len),
                    None => (keep == 0 && self.expected.piece(rest)).then_some(rest.len()),
                };
                if len.is_some() {
                    sorted.end_run(&mut run);
                } else {
                    run += 1;
                }
                at += len.unwrap_or(1);
                continue;
            }
            at += len;
            sorted.end_run(&mut run);
            match kind {
                Kind::Noise => {}
                Kind::Answer(answer, request) => {
                    match self.owed.settle(answer) {
                        Some(Whose::Ours) => counters.late += 1,
                        None if asked.is_some_and(|asked| is_twin(answer, asked)) => {
                            counters.wrong_unit += 1;
                            sorted.is_strange = true;
                        }
                        Some(Whose::Foreign) | None => {
                            counters.foreign += 1;
                            sorted.is_strange = true;
                        }
                    }
                    if let Some(query) = request {
                        self.owed.overheard(query, now);
                    }
                }
                Kind::Request(wanted) => {
                    counters.foreign += 1;
                    counters.foreign_requests += 1;
                    if let Some(query) = wanted {
                        self.owed.overheard(query, now);
                    }
                    sorted.is_strange = true;
                }
                Kind::Other => {
                    counters.foreign += 1;
                    sorted.is_strange = true;
                }
            }
        }
        let kept = run.min(keep);
        run -= kept;
        sorted.end_run(&mut run);
        (sorted, bytes.len() - kept)
    }
}

impl Sorted {
    fn end_run(&mut self, run: &mut usize) {
        let bytes = std::mem::take(run);
        self.noise_bytes += bytes as u64;
        self.is_strange |= bytes > 0;
    }
}

/// Whether an answer is that to `asked` but for the unit.
fn is_twin(answer: Query, asked: Query) -> bool {
    answer.unit != asked.unit && Query { unit: asked.unit, ..answer } == asked
}
