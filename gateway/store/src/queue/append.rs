//! Batches become messages: numbered and frozen, here and for ever. Pure.
//!
//! A batch whose message would be longer than the core takes becomes several, each with its own number and bytes, in the order
//! of the readings. Counters go with them: each message tells those up to and with itself, so the ledger closes at every one.
//! A single reading that is too long alone is one message all the same: the uplink finds that no broker takes it, and it is
//! set aside with a gap record. So is what was frozen before the core told what it takes.

use std::borrow::Cow;
use std::ops::Range;

use curb_model::{Batch, Class, Counts, HubTime, Lane};
use curb_wire::record::StreamCounts;
use curb_wire::senml::{self, Header};

use super::{NewRow, Queue, Stored};

impl Queue {
    /// Numbers and freezes a batch that came in at `since`. One without readings only moves counters and gaps.
    pub(crate) fn append(&mut self, batch: &Batch, since: HubTime) {
        debug_assert!(batch.closes(), "a batch of {} does not close", batch.stream);
        let id = self.stream(&batch.stream);
        for dropped in &batch.dropped {
            self.gaps.unnumbered(self.run, &batch.stream, *dropped);
        }
        // Ahead of the message whose counters have it: while a disk refuses, both go out from memory, and a kill must not leave
        // the core with the second alone. (An alarm goes first all the same.)
        if !(batch.dropped.is_empty() || batch.readings.is_empty()) {
            self.settle();
        }
        let stream = self.streams.get_mut(&id).expect("it was looked up or made above");
        self.changes.streams.insert(id);
        let mut told = stream.counts;
        // What has no reading here is told with the first message.
        let Counts { read, filtered, refused } = batch.counts;
        told.read += read - batch.readings.len() as u64;
        told.filtered += filtered;
        told.refused += refused;
        if batch.readings.is_empty() {
            stream.counts = told;
            stream.untold = true;
            return;
        }
        stream.untold = false;
        stream.held |= !self.released && batch.offset.is_none();
        let held = stream.held;
        // From the last to the first, so that the next one is at hand.
        let mut left: Vec<Range<usize>> = std::iter::once(0..batch.readings.len()).collect();
        while let Some(readings) = left.pop() {
            let piece = piece(batch, &readings);
            let counts = StreamCounts { seq: told.seq + 1, read: told.read + piece.readings.len() as u64, ..told };
            let payload = self.encode(&piece, counts);
            if payload.len() > self.message_max && readings.len() > 1 {
                left.extend(parted(readings, payload.len() / self.message_max.max(1) + 1).into_iter().rev());
                continue;
            }
            told = counts;
            self.freeze(&piece, (id, told), held, since, payload);
        }
    }

    fn encode(&self, piece: &Batch, counts: StreamCounts) -> Vec<u8> {
        let StreamCounts { seq, read, filtered, refused } = counts;
        let (hub, run, stream) = (self.hub.clone(), self.run, piece.stream.clone());
        senml::encode(&Header { hub, run, stream, seq, read, filtered, refused }, piece, self.form)
    }

    fn freeze(
        &mut self,
        piece: &Batch,
        (id, counts): (i64, StreamCounts),
        held: bool,
        since: HubTime,
        payload: Vec<u8>,
    ) {
        let (Some(first), Some(last)) = (piece.readings.first(), piece.readings.last()) else { return };
        let (first, last) = (first.at, last.at);
        self.streams.get_mut(&id).expect("it was looked up or made before").counts = counts;
        let row = if held { self.take_held_row() } else { self.take_row() };
        let lane = match piece.class {
            Class::Data => Lane::Data,
            Class::Alarm => Lane::Alarm,
        };
        let readings = u32::try_from(piece.readings.len()).expect("a batch fits into memory many times over");
        let len = payload.len() as u64;
        let stored = Stored { row, stream: id, seq: counts.seq, lane, readings, first, last, len };
        self.push(NewRow { stored, since, payload: payload.into() });
    }
}

/// These readings of a batch.
fn piece<'a>(batch: &'a Batch, readings: &Range<usize>) -> Cow<'a, Batch> {
    if readings.len() == batch.readings.len() {
        return Cow::Borrowed(batch);
    }
    let Batch { stream, class, offset, .. } = batch;
    let readings = batch.readings[readings.clone()].to_vec();
    Cow::Owned(Batch::read(stream.clone(), *class, *offset, readings))
}

/// A range as `parts` ranges of about the same length, at least two and at most one for each number.
fn parted(range: Range<usize>, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(2, range.len());
    let end = |part: usize| range.start + range.len() * part / parts;
    (0..parts).map(|part| end(part)..end(part + 1)).collect()
}
