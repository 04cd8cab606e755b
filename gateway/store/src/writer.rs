//! The queue and its database in one hand, and the thread that commits: it waits for entries, requests and its own due
//! times. What needs no disk is done by whoever asks ([`here`]).
//!
//! Entries change the queue, in the order in which they were accepted. Records and alarms are committed at once, with
//! everything that is in memory then; data has [`Config::commit_every`](crate::Config::commit_every) to be delivered, and
//! is committed if it was not. Requests are the uplink's, and are answered while the disk refuses commits too: rows that
//! are delivered are what makes room again. When a commit fails, the same commit is tried again with growing pauses;
//! meanwhile entries are taken into memory up to its byte bound, then wait in their channel, then in front of it
//! (back-pressure).
//!
//! Deliberately absent: SQL (`disk`), and what a commit contains (`queue`).

mod answer;
mod commit;
mod due;
mod expire;
mod here;
mod shelf;
mod tell;
mod trouble;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use curb_model::{Batch, Class, Fault, HubClock, HubTime, Name, Page, RowId, RunId, Stream, UtcOffset};
use curb_wire::command::Audit;
use curb_wire::record::{ClockEvent, Previous};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::Health;
use crate::disk::{Disk, Scope};
use crate::mark::{self, MarkFile};
use crate::queue::Queue;
use crate::shelf::{Kept, Shelf, StreamWaiting};
use crate::told::ToldFile;

pub(crate) use due::Due;
pub(crate) use here::{Line, Taken, Ticket};
pub(crate) use tell::damage_detail;
pub(crate) use trouble::Trouble;

/// Entries of one commit at most. Bounds its memory and its time on a slow card; at this size SQLite writes some 300,000
/// rows a second, so that more would gain nothing.
const GROUP: usize = 256;

/// Rows looked up at once for a receipt or an eviction.
const CHUNK: usize = 1024;

/// What changes the queue.
#[derive(Debug)]
pub(crate) enum Entry {
    Batch(Batch),
    /// What a plugin must not forget.
    State {
        plugin: Name,
        /// `None`: nothing any more.
        bytes: Option<Arc<[u8]>>,
    },
    Clock {
        event: ClockEvent,
        at: HubTime,
        offset: Option<UtcOffset>,
        trust: String,
    },
    Audit(Box<Audit>),
    ReleaseUndated,
    /// Answered when all before it is durable.
    Sync(oneshot::Sender<()>),
    /// The run's last entry; answered when it is durable.
    EndRun(oneshot::Sender<()>),
}

/// What the uplink asks for, and people at the hub.
#[derive(Debug)]
pub(crate) enum Request {
    Next { class: Class, after: Option<RowId>, rows: usize, bytes: usize, reply: oneshot::Sender<Page> },
    Delivered(Vec<RowId>),
    Receipt { run: RunId, stream: Stream, seq: u64 },
    SetAside { row: RowId, code: u8 },
    PayloadMax(Option<usize>),
    Expire(BTreeMap<Stream, Duration>),
    Look { shelf: Shelf, after: Option<RowId>, rows: usize, bytes: usize, reply: oneshot::Sender<Vec<Kept>> },
    Waiting(oneshot::Sender<Vec<StreamWaiting>>),
    PutBack { rows: Vec<RowId>, reply: oneshot::Sender<Vec<RowId>> },
    ThrowAway { rows: Vec<RowId>, reply: oneshot::Sender<Vec<RowId>> },
    Close(oneshot::Sender<()>),
}

/// The thread's ends of its channels. What comes through them has a place in the line until it is done.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) entries: mpsc::Receiver<(Ticket, Entry)>,
    pub(crate) requests: mpsc::Receiver<(Ticket, Request)>,
    /// Something was done elsewhere that has to be committed, now or in time.
    pub(crate) wake: Arc<Notify>,
}

enum Event {
    Entry(Option<(Ticket, Entry)>),
    Request(Option<(Ticket, Request)>),
    Woken,
    Due,
}

#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) disk: Disk,
    pub(crate) queue: Queue,
    pub(crate) mark: MarkFile,
    pub(crate) told: ToldFile,
    pub(crate) trouble: Trouble,
    /// Bytes of a message at most, whatever the core takes.
    pub(crate) message_bytes: usize,
    /// The last run that has committed.
    pub(crate) wrote: Option<RunId>,
    pub(crate) clock: HubClock,
    pub(crate) limit_bytes: u64,
    pub(crate) commit_every: Duration,
    /// Bytes in memory from which on they are committed at once.
    pub(crate) commit_bytes: usize,
    pub(crate) counts_every: Duration,
    /// Whether the file is known to hold no message: it need not be asked then.
    pub(crate) drained: bool,
    /// Hub time of the oldest reading on disk.
    pub(crate) oldest: Option<HubTime>,
    pub(crate) changed: watch::Sender<u64>,
    pub(crate) health: Arc<Mutex<Health>>,
    pub(crate) due: Due,
    pub(crate) faults: BTreeMap<&'static str, Fault>,
    /// Who is told after the next commit.
    pub(crate) waiting: Vec<oneshot::Sender<()>>,
    pub(crate) aside: u64,
    pub(crate) commits: u64,
    pub(crate) payload_bytes: u64,
}

impl Writer {
    /// The thread: until all handles are gone or one asks to close. `first` holds everybody back until the run has begun.
    pub(crate) async fn run(writer: Arc<Mutex<Self>>, first: Ticket, previous: Option<Previous>, mut inbox: Inbox) {
        let lock = || writer.lock().expect("nobody panics while holding it");
        lock().begin(previous);
        drop(first);
        loop {
            let (due, has_room) = {
                let writer = lock();
                (writer.due.first().min(writer.trouble.due().unwrap_or(writer.due.first())), writer.has_room())
            };
            // Everything here can be dropped half-way: recv takes an item only when it is ready.
            let event = tokio::select! {
                request = inbox.requests.recv() => Event::Request(request),
                () = tokio::time::sleep_until(due) => Event::Due,
                () = inbox.wake.notified() => Event::Woken,
                entry = inbox.entries.recv(), if has_room && !inbox.entries.is_closed() => Event::Entry(entry),
            };
            let mut writer = lock();
            match event {
                Event::Due => writer.act(Instant::now()),
                Event::Woken if writer.must_commit() => writer.commit(),
                Event::Woken | Event::Entry(None) => {}
                Event::Entry(Some(entry)) => writer.group(entry, &mut inbox.entries),
                Event::Request(Some((_ticket, Request::Close(reply)))) => {
                    writer.finish(&mut inbox.entries);
                    // The asker may have gone.
                    reply.send(()).ok();
                    return;
                }
                Event::Request(None) => return writer.finish(&mut inbox.entries),
                Event::Request(Some((ticket, request))) => {
                    writer.answer(request);
                    drop(ticket);
                }
            }
        }
    }

    /// The run's first message.
    pub(crate) fn begin(&mut self, previous: Option<Previous>) {
        self.write_mark();
        self.tell_aside();
        self.queue.open(previous, self.clock.now());
        self.commit();
    }

    /// While the disk refuses, only as much is taken in as may be in memory anyway.
    fn has_room(&self) -> bool {
        self.due.retry.is_none() || self.queue.changes.rows.memory() < self.commit_bytes
    }

    fn group(&mut self, (ticket, first): (Ticket, Entry), entries: &mut mpsc::Receiver<(Ticket, Entry)>) {
        self.apply(first, entries);
        drop(ticket);
        for _ in 1..GROUP {
            let Ok((_ticket, entry)) = entries.try_recv() else { break };
            self.apply(entry, entries);
        }
        if self.must_commit() {
            self.commit();
        } else {
            self.keep();
        }
    }

    /// Whether something may wait no longer, and the disk is not known to refuse.
    fn must_commit(&self) -> bool {
        let changes = &self.queue.changes;
        let is_due = changes.is_urgent()
            || !self.waiting.is_empty()
            || changes.rows.memory() >= self.commit_bytes
            || (self.commit_every.is_zero() && changes.has_new());
        is_due && self.due.retry.is_none()
    }

    /// Leaves what is new in memory for its time, and says that it is there.
    fn keep(&mut self) {
        if self.queue.changes.has_new() {
            self.due.window.get_or_insert_with(|| Instant::now() + self.commit_every);
            self.show();
            self.changed.send_modify(|count| *count += 1);
        }
    }

    fn apply(&mut self, entry: Entry, entries: &mut mpsc::Receiver<(Ticket, Entry)>) {
        match entry {
            Entry::Batch(batch) => self.queue.append(&batch, self.clock.now()),
            Entry::State { plugin, bytes } => self.queue.keep_state(plugin, bytes, self.clock.now()),
            Entry::Clock { event, at, offset, trust } => self.queue.clock_record(event, at, offset, &trust),
            Entry::Audit(audit) => self.queue.audit(*audit),
            Entry::ReleaseUndated => self.queue.release_undated(),
            Entry::Sync(reply) => self.waiting.push(reply),
            Entry::EndRun(reply) => {
                // Whoever appends from here on is told that it is too late.
                entries.close();
                self.queue.close(self.clock.now());
                self.write_mark();
                self.waiting.push(reply);
            }
        }
    }

    /// Takes what is left in the channel and commits it, once; a disk that refuses now keeps what it has.
    fn finish(&mut self, entries: &mut mpsc::Receiver<(Ticket, Entry)>) {
        entries.close();
        while let Ok((_ticket, entry)) = entries.try_recv() {
            self.apply(entry, entries);
        }
        self.commit();
        self.trouble.pause();
        if let Err(error) = self.disk.close() {
            tracing::warn!(error = &error as &dyn std::error::Error, "store: the queue was not closed cleanly");
        }
    }

    pub(crate) fn act(&mut self, now: Instant) {
        if self.due.mark <= now {
            self.due.mark = now + mark::EVERY;
            self.write_mark();
        }
        let counts = self.due.counts <= now;
        if counts {
            self.due.counts = now + self.counts_every;
            self.queue.tell_counts(self.clock.now());
        }
        self.check_on_disk(now);
        let vanished = if counts && !self.drained { self.look_for_vanished() } else { Ok(()) };
        if let Err(error) = vanished {
            self.failed(&error);
        }
        let gone = self.queue.changes.gone.len();
        if let Err(error) = self.expire_on_disk(now) {
            self.failed(&error);
        }
        let has_expired = self.queue.changes.gone.len() > gone;
        let acks = self.due.acks.is_some_and(|due| due <= now);
        let may_try = self.due.retry.is_none_or(|due| due <= now);
        let is_late = self.due.window.is_some_and(|due| due <= now) && self.is_late(now);
        if is_late {
            self.expire_in_memory();
        }
        let urgent = has_expired || (counts && self.queue.changes.is_urgent());
        if may_try && (urgent || is_late || self.due.retry.is_some()) {
            self.commit();
        } else if may_try && acks {
            self.commit_as(Scope::Deletions);
        }
    }

    /// Whether a message has been in memory for as long as it may. If none has, looks again when the next one will.
    fn is_late(&mut self, now: Instant) -> bool {
        let age = |since| self.clock.now().since(since);
        let left = self.queue.changes.oldest().map(|since| self.commit_every.saturating_sub(age(since)));
        self.due.window = left.map(|left| now + left);
        left.is_some_and(|left| left.is_zero())
    }
}
