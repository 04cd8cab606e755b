//! What people at the hub see of the queue, and do with what was set aside.
//!
//! A message that the broker refuses for what it is goes aside, and a gap record tells the core. Somebody who has mended the
//! cause puts it back ([`Store::put_back`]): the same bytes under the same identity, at the end of the queue. The gap record
//! stands; a message in a gap that arrives all the same counts as delivered (`WIRE.md`). Receipts cover gaps, so that none
//! deletes such a message: the broker's acknowledgement does.
//!
//! With a daemon these go through its [`Store`]; without one through [`Workbench`](crate::Workbench), under the same lock.
//! Deliberately absent: what the message says (`curb_wire`), and whether it may leave the hub (the policy).

use std::collections::BTreeMap;
use std::sync::Arc;

use curb_model::{HubTime, Lane, RowId, RunId, Stream};
use tokio::sync::oneshot;

use crate::disk::{self, Disk};
use crate::front::Store;
use crate::queue::Queue;
use crate::writer::Request;

/// Where a message lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// It waits to be sent.
    Queue,
    /// The core refused it.
    Aside,
}

/// A message on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its row: its name for [`Store::put_back`] and [`Store::throw_away`]. Below zero: it waits for the clock.
    pub row: RowId,
    /// Which run numbered it.
    pub run: RunId,
    /// Its stream.
    pub stream: Stream,
    /// Its number there.
    pub seq: u64,
    /// Data, alarm, or which record.
    pub lane: Lane,
    /// Of what is aside, the reason code of the PUBACK that refused it.
    pub code: Option<u8>,
    /// The bytes as they were, or will be, sent.
    pub payload: Arc<[u8]>,
}

/// What waits of one stream of one run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamWaiting {
    /// The run that numbered the messages.
    pub run: RunId,
    /// The stream's name.
    pub stream: String,
    /// Messages.
    pub rows: u64,
    /// What they take of the limit.
    pub bytes: u64,
    /// Readings in them; without those of messages that were aside, of which a gap record tells.
    pub readings: u64,
    /// Messages among them that were aside and are put back.
    pub released: u64,
}

/// Why nothing was done, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// The store has been closed.
    #[error("use the queue: it is closed")]
    Closed,
    /// The disk refuses. A change is tried again, as every other; nothing could be read.
    #[error("use the queue's disk, which refuses now")]
    Disk,
}

impl Store {
    /// Messages behind the row `after`, in their order: at most `rows` of them and some `bytes` of payload, but at least
    /// one if there is one. None: there are no more.
    ///
    /// # Errors
    /// The store is closed, or the disk cannot be read.
    ///
    /// # Cancel safety
    /// Safe: nothing is changed.
    pub async fn look(
        &self,
        shelf: Shelf,
        after: Option<RowId>,
        rows: usize,
        bytes: usize,
    ) -> Result<Vec<Kept>, Undone> {
        self.ask(|reply| Request::Look { shelf, after, rows, bytes, reply }).await
    }

    /// What waits, by run and stream.
    ///
    /// # Errors
    /// The store is closed, or the disk cannot be read.
    ///
    /// # Cancel safety
    /// Safe: nothing is changed.
    pub async fn waiting(&self) -> Result<Vec<StreamWaiting>, Undone> {
        self.ask(Request::Waiting).await
    }

    /// Puts messages that are aside back to the end of the queue; those that were there. Durable when this returns.
    ///
    /// # Errors
    /// The store is closed, or the disk refuses.
    ///
    /// # Cancel safety
    /// Safe to call again: it may be done, and is done once.
    pub async fn put_back(&self, rows: Vec<RowId>) -> Result<Vec<RowId>, Undone> {
        self.ask(|reply| Request::PutBack { rows, reply }).await
    }

    /// Deletes messages that are aside; those that were there. Durable when this returns.
    ///
    /// # Errors
    /// The store is closed, or the disk refuses.
    ///
    /// # Cancel safety
    /// Safe to call again.
    pub async fn throw_away(&self, rows: Vec<RowId>) -> Result<Vec<RowId>, Undone> {
        self.ask(|reply| Request::ThrowAway { rows, reply }).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Undone> {
        let (reply, answer) = oneshot::channel();
        self.request(request(reply)).await.map_err(|_closed| Undone::Closed)?;
        // What cannot be done drops the reply.
        answer.await.map_err(|_no_answer| Undone::Disk)
    }
}

/// Puts back what is aside of `rows`; which it was. The next commit writes it.
pub(crate) fn put_back(disk: &Disk, queue: &mut Queue, rows: &[RowId], at: HubTime) -> Result<Vec<RowId>, disk::Error> {
    let mut done = Vec::new();
    for row in rows {
        if let Some(aside) = disk.find_aside(*row)?
            && queue.put_back(&aside, at)
        {
            done.push(*row);
        }
    }
    Ok(done)
}

/// Throws away what is aside of `rows`; which it was. The next commit writes it.
pub(crate) fn throw_away(disk: &Disk, queue: &mut Queue, rows: &[RowId]) -> Result<Vec<RowId>, disk::Error> {
    let mut done = Vec::new();
    for row in rows {
        if disk.is_aside(*row)? && queue.throw_away(*row) {
            done.push(*row);
        }
    }
    Ok(done)
}

/// What waits, by run and stream.
pub(crate) fn waiting(queue: &Queue, disk: &Disk) -> Result<Vec<StreamWaiting>, disk::Error> {
    // A file that was moved aside has none.
    let released = if disk.is_open() { disk.released()? } else { BTreeMap::new() };
    let streams = queue.streams.values().filter(|stream| stream.waiting.rows > 0);
    let line = |stream: &crate::queue::StreamState| StreamWaiting {
        run: stream.run,
        stream: stream.name.to_string(),
        rows: stream.waiting.rows,
        bytes: stream.waiting.bytes,
        readings: stream.waiting.readings,
        released: released.get(&stream.id).copied().unwrap_or(0).min(stream.waiting.rows),
    };
    let mut waiting: Vec<_> = streams.map(line).collect();
    waiting.sort();
    Ok(waiting)
}
