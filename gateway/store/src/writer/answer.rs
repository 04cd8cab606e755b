//! What the uplink asks for, and what it says: messages from disk and memory in the order of their rows, and which of them
//! are done.

use std::sync::Arc;
use std::time::Duration;

use curb_model::{Class, Lane, Message, Page, RowId, RunId, Stream};
use tokio::time::Instant;

use super::{CHUNK, Request, Writer};
use crate::disk::{Admit, Error, Frozen, Stored, sum};
use crate::queue::{Leaves, NewRow, Queue};
use crate::shelf;

/// How long a delivery may wait for another commit to join. A kill in this time sends these messages once more.
const ACKS_WAIT: Duration = Duration::from_secs(2);

/// Deliveries that may wait for a commit. More come only while the disk refuses commits; they are forgotten, and the
/// messages sent once more. Some MiB of memory.
const ACKS_MAX: usize = 1 << 16;

/// How much an answer to the uplink still takes. The first message goes in whatever its size.
#[derive(Debug)]
struct Take {
    rows: usize,
    bytes: usize,
    any: bool,
}

impl Take {
    fn admits(&mut self, len: u64) -> bool {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if self.rows == 0 || (self.any && len > self.bytes) {
            return false;
        }
        self.any = true;
        self.rows -= 1;
        self.bytes = self.bytes.saturating_sub(len);
        true
    }
}

impl Writer {
    pub(crate) fn answer(&mut self, request: Request) {
        let gone = self.queue.changes.gone.len();
        let result = match request {
            // The asker may have gone.
            Request::Next { class, after, rows, bytes, reply } => {
                self.next(class, after, rows, bytes).map(|page| drop(reply.send(page)))
            }
            Request::Delivered(rows) => self.delivered(&rows),
            Request::Receipt { run, stream, seq } => self.receipt(run, &stream, seq),
            Request::SetAside { row, code } => self.set_aside(row, code),
            Request::Expire(after) => {
                self.queue.expire_after(after);
                self.due.expire = Instant::now();
                Ok(())
            }
            Request::PayloadMax(bytes) => {
                self.payload_max(bytes);
                Ok(())
            }
            Request::Look { shelf, after, rows, bytes, reply } => {
                self.look(shelf, after, rows, bytes).map(|kept| drop(reply.send(kept)))
            }
            Request::Waiting(reply) => shelf::waiting(&self.queue, &self.disk).map(|waiting| drop(reply.send(waiting))),
            Request::PutBack { rows, reply } => self.put_back(&rows, reply),
            Request::ThrowAway { rows, reply } => self.throw_away(&rows, reply),
            Request::Close(_) => return,
        };
        if let Err(error) = result {
            self.failed(&error);
        }
        // Bounds what one commit needs in the log.
        if gone / CHUNK < self.queue.changes.gone.len() / CHUNK && self.may_delete() {
            self.commit();
        }
        if !self.queue.changes.gone.is_empty() {
            self.due.acks.get_or_insert_with(|| Instant::now() + ACKS_WAIT);
        }
        self.show();
    }

    pub(crate) fn next(
        &mut self,
        class: Class,
        after: Option<RowId>,
        rows: usize,
        bytes: usize,
    ) -> Result<Page, Error> {
        // A record that is handed out keeps its bytes, so what it does not say yet is written first.
        self.queue.settle();
        if self.must_commit() {
            self.commit();
        }
        let after = after.map_or(0, |row| row.0);
        let changes = &self.queue.changes;
        let mut take = Take { rows, bytes, any: false };
        let mut is_whole = true;
        let (now, mut expired, mut torn) = (self.clock.now(), Vec::new(), Vec::new());
        let on_disk = if self.drained {
            Vec::new()
        } else {
            self.disk.next(class, after, |stored| {
                if changes.gone.contains(&stored.row) {
                    return Admit::Skip;
                }
                if self.queue.is_expired(stored, now) {
                    expired.push(stored.clone());
                    // The rest behind the commit that takes these out.
                    is_whole = expired.len() < CHUNK;
                    return if is_whole { Admit::Skip } else { Admit::Stop };
                }
                is_whole = !changes.replaced.contains_key(&stored.row) && take.admits(stored.len);
                if is_whole { Admit::Take } else { Admit::Stop }
            })?
        };
        // A release that is not written yet puts rows of the disk before those in memory.
        let mut found = on_disk;
        let is_meant = |new: &&NewRow| (new.stored.lane == Lane::Alarm) == (class == Class::Alarm);
        // Rows behind a plugin's state wait, too: what is told before its state is kept could be told twice. But not for a disk that
        // refuses.
        let from = changes.behind_state.filter(|_| self.due.retry.is_none()).unwrap_or(i64::MAX);
        let may_go = |new: &&NewRow| new.stored.row < from;
        let in_memory = changes.rows.behind(after).filter(|_| changes.release.is_none()).take_while(may_go);
        for new in in_memory.filter(is_meant) {
            is_whole = is_whole && take.admits(new.stored.len);
            if !is_whole {
                break;
            }
            found.push(Frozen { stored: new.stored.clone(), payload: Arc::clone(&new.payload), sum: None });
        }

        let mut messages = Vec::with_capacity(found.len());
        for Frozen { stored, payload, sum: written } in found {
            let Stored { row, seq, lane, readings, .. } = stored;
            let stream = self.queue.streams.get(&stored.stream).ok_or(Error::Nonsense { what: "message's stream" })?;
            if written.is_some_and(|written| written != sum(stream, seq, &payload)) {
                torn.push(stored);
                continue;
            }
            let (run, stream) = (stream.run, stream.name.clone());
            self.queue.handed_out(row);
            messages.push(Message { row: RowId(row), lane, stream, run, seq, readings, payload });
        }
        self.expire(&expired);
        self.lose(&torn);
        if !(expired.is_empty() && torn.is_empty()) && self.due.retry.is_none() {
            self.commit();
        }
        // Without a message it would be asked again at once: what keeps the rest back ends with a commit.
        Ok(Page { more: !is_whole && !messages.is_empty(), messages })
    }

    fn find(&self, row: RowId) -> Result<Option<Stored>, Error> {
        match self.queue.changes.rows.get(row.0) {
            Some(new) => Ok(Some(new.stored.clone())),
            None if self.drained => Ok(None),
            None => self.disk.find(row),
        }
    }

    fn delivered(&mut self, rows: &[RowId]) -> Result<(), Error> {
        for row in rows {
            if self.queue.changes.gone.len() >= ACKS_MAX {
                break;
            }
            if let Some(stored) = self.find(*row)? {
                self.queue.remove(&stored, Leaves::Delivered);
            }
        }
        Ok(())
    }

    fn receipt(&mut self, run: RunId, stream: &Stream, seq: u64) -> Result<(), Error> {
        let Some(id) = self.queue.stream_of(run, stream) else { return Ok(()) };
        let is_meant = |row: &Stored| row.stream == id && row.seq <= seq && !row.is_released();
        let in_memory = self.queue.changes.rows.iter().filter(|new| is_meant(&new.stored));
        let in_memory: Vec<Stored> = in_memory.map(|new| new.stored.clone()).collect();
        in_memory.iter().for_each(|row| self.queue.remove(row, Leaves::Delivered));
        while !self.drained && self.queue.changes.gone.len() < ACKS_MAX {
            let rows = self.disk.up_to(id, seq, &self.queue.changes.gone, CHUNK)?;
            rows.iter().for_each(|row| self.queue.remove(row, Leaves::Delivered));
            if rows.len() < CHUNK {
                break;
            }
            // A receipt after a long outage covers more than one commit should hold.
            if self.may_delete() {
                self.commit();
            }
        }
        Ok(())
    }

    fn payload_max(&mut self, bytes: Option<usize>) {
        if let Err(error) = self.told.tell(bytes) {
            tracing::warn!(error = &error as &dyn std::error::Error, "store: what the core takes is not kept");
        }
        self.limit_messages();
    }

    pub(crate) fn limit_messages(&mut self) {
        let told = self.told.payload_max().unwrap_or(usize::MAX);
        self.queue.limit_messages(told.min(self.message_bytes));
    }

    /// On a full disk deletions are what makes room: they do not wait for the next try.
    fn may_delete(&self) -> bool {
        self.due.retry.is_none() || self.faults.contains_key("disk-full")
    }

    fn set_aside(&mut self, row: RowId, code: u8) -> Result<(), Error> {
        // It is copied aside on the disk. While the disk refuses it stays, and is refused once more.
        let is_in_memory = |queue: &Queue| queue.changes.rows.get(row.0).is_some();
        if is_in_memory(&self.queue) {
            self.commit();
        }
        if is_in_memory(&self.queue) {
            return Ok(());
        }
        let Some(stored) = self.find(row)? else { return Ok(()) };
        match stored.lane {
            Lane::Data | Lane::Alarm => {
                self.queue.remove(&stored, Leaves::SetAside(code));
                // At once: later messages of the stream go out from here on, and a kill must not put this one behind them.
                if self.due.retry.is_none() {
                    self.commit();
                }
            }
            // Without its records the core's ledger cannot close. It stays, and is tried again in the next session.
            Lane::Run | Lane::Gap | Lane::Clock | Lane::Audit => {
                let detail = format!("the core refused record {} with code 0x{code:02x}; it is kept", row.0);
                self.raise("record-refused", detail);
            }
        }
        Ok(())
    }
}
