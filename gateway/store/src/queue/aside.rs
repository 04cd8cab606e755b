//! Messages that the core refused for what they are, and that somebody puts back. Pure.
//!
//! A message that is put back keeps its identity and its bytes, and gets a new row at the end of the queue. The core was told
//! in a gap record that it will not come; that record stands. So here it counts as a message without readings: it is in no
//! sum that the ledger adds to the gap, and if it is lost once more there is nothing new to tell.

use std::sync::Arc;

use curb_model::{HubTime, Lane, RowId, RunId, Stream};

use super::{NewRow, Queue, RunState, Stored};

/// A message that is aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) row: RowId,
    pub(crate) run: RunId,
    pub(crate) stream: Stream,
    pub(crate) seq: u64,
    pub(crate) lane: Lane,
    /// The broker's reason code.
    pub(crate) code: u8,
    pub(crate) payload: Arc<[u8]>,
}

impl Queue {
    /// Puts a message back, to be sent once more; whether it could be. Once for each message: it is aside until the commit.
    pub(crate) fn put_back(&mut self, aside: &Aside, at: HubTime) -> bool {
        let Aside { row, run, stream, seq, lane, code: _, payload } = aside;
        let same_counter = self.runs.iter().find(|known| known.id.counter == run.counter);
        if same_counter.is_some_and(|known| known.id != *run) || !self.changes.no_longer_aside.insert(row.0) {
            return false;
        }
        if same_counter.is_none() {
            // Forgotten, as nothing of it waited.
            self.runs.push(RunState::new(*run, true));
            self.changes.runs.insert(*run);
        }
        let id = self.stream_of(*run, stream).unwrap_or_else(|| self.add_stream(*run, stream));
        if let Some(state) = self.streams.get_mut(&id) {
            state.counts.seq = state.counts.seq.max(*seq);
        }
        let (lane, row, len) = (*lane, self.take_row(), payload.len() as u64);
        let stored = Stored { row, stream: id, seq: *seq, lane, readings: 0, first: at, last: at, len };
        self.push(NewRow { stored, since: at, payload: Arc::clone(payload) });
        // It is aside or in the queue, never both, and never neither.
        self.changes.commit_first = true;
        true
    }

    /// Throws a message away that is aside.
    pub(crate) fn throw_away(&mut self, row: RowId) -> bool {
        self.changes.no_longer_aside.insert(row.0)
    }
}
