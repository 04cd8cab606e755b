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

mod due;
mod here;
mod tell;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use curb_model::{Batch, Class, Fault, HubClock, HubTime, Lane, Message, Page, RowId, RunId, Stream, UtcOffset};
use curb_wire::command::Audit;
use curb_wire::record::{ClockEvent, Previous};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::Health;
use crate::disk::{Admit, Disk, Error, Frozen, Kind, Part, Scope, Stored};
use crate::mark::{self, Mark, MarkFile};
use crate::queue::{Leaves, NewRow, Queue};

pub(crate) use due::Due;
pub(crate) use here::{Line, Taken, Ticket};
pub(crate) use tell::damage_detail;

use due::RETRY;
use tell::chain;

/// Entries of one commit at most. Bounds its memory and its time on a slow card; at this size SQLite writes some 300,000
/// rows a second, so that more would gain nothing.
const GROUP: usize = 256;

/// How long a delivery may wait for another commit to join. A kill in this time sends these messages once more.
const ACKS_WAIT: Duration = Duration::from_secs(2);

/// Deliveries that may wait for a commit. More come only while the disk refuses commits; they are forgotten, and the
/// messages sent once more. Some MiB of memory.
const ACKS_MAX: usize = 1 << 16;

/// Audit records may take one part in so many of the limit while there is data to keep: of 256 MiB, some 130,000 commands.
const AUDIT_SHARE: u64 = 4;

/// Rows looked up at once for a receipt or an eviction.
const CHUNK: usize = 1024;

/// What changes the queue.
#[derive(Debug)]
pub(crate) enum Entry {
    Batch(Batch),
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

/// What the uplink asks for.
#[derive(Debug)]
pub(crate) enum Request {
    Next { class: Class, after: Option<RowId>, rows: usize, bytes: usize, reply: oneshot::Sender<Page> },
    Delivered(Vec<RowId>),
    Receipt { run: RunId, stream: Stream, seq: u64 },
    SetAside { row: RowId, code: u8 },
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

#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) disk: Disk,
    pub(crate) queue: Queue,
    pub(crate) mark: MarkFile,
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
                (writer.due.first(), writer.has_room())
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
            || (self.commit_every.is_zero() && !changes.rows.is_empty());
        is_due && self.due.retry.is_none()
    }

    /// Leaves what is new in memory for its time, and says that it is there.
    fn keep(&mut self) {
        if !self.queue.changes.rows.is_empty() {
            self.due.window.get_or_insert_with(|| Instant::now() + self.commit_every);
            self.show();
            self.changed.send_modify(|count| *count += 1);
        }
    }

    fn apply(&mut self, entry: Entry, entries: &mut mpsc::Receiver<(Ticket, Entry)>) {
        match entry {
            Entry::Batch(batch) => self.queue.append(&batch, self.clock.now()),
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
        let acks = self.due.acks.is_some_and(|due| due <= now);
        let may_try = self.due.retry.is_none_or(|due| due <= now);
        let is_late = self.due.window.is_some_and(|due| due <= now) && self.is_late(now);
        let urgent = counts && self.queue.changes.is_urgent();
        if may_try && (urgent || is_late || self.due.retry.is_some()) {
            self.commit();
        } else if may_try && acks {
            self.commit_as(Scope::Deletions);
        }
    }

    /// Whether a message has been in memory for as long as it may. If none has, looks again when the next one will.
    fn is_late(&mut self, now: Instant) -> bool {
        let age = |since| self.clock.now().since(since);
        let left = self.queue.changes.rows.oldest().map(|since| self.commit_every.saturating_sub(age(since)));
        self.due.window = left.map(|left| now + left);
        left.is_some_and(|left| left.is_zero())
    }

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
        let on_disk = if self.drained {
            Vec::new()
        } else {
            self.disk.next(class, after, |stored| {
                if changes.gone.contains(&stored.row) {
                    return Admit::Skip;
                }
                is_whole = !changes.replaced.contains_key(&stored.row) && take.admits(stored.len);
                if is_whole { Admit::Take } else { Admit::Stop }
            })?
        };
        // A release that is not written yet puts rows of the disk before those in memory.
        let mut found = on_disk;
        let is_meant = |new: &&NewRow| (new.lane == Lane::Alarm) == (class == Class::Alarm);
        for new in changes.rows.behind(after).filter(|_| changes.release.is_none()).filter(is_meant) {
            is_whole = is_whole && take.admits(new.payload.len() as u64);
            if !is_whole {
                break;
            }
            found.push(Frozen { stored: new.stored(), payload: Arc::clone(&new.payload) });
        }

        let mut messages = Vec::with_capacity(found.len());
        for Frozen { stored, payload } in found {
            let Stored { row, seq, lane, readings, .. } = stored;
            let stream = self.queue.streams.get(&stored.stream).ok_or(Error::Nonsense { what: "message's stream" })?;
            let (run, stream) = (stream.run, stream.name.clone());
            self.queue.handed_out(row);
            messages.push(Message { row: RowId(row), lane, stream, run, seq, readings, payload });
        }
        // Without a message it would be asked again at once: what keeps the rest back ends with a commit.
        Ok(Page { more: !is_whole && !messages.is_empty(), messages })
    }

    fn find(&self, row: RowId) -> Result<Option<Stored>, Error> {
        match self.queue.changes.rows.get(row.0) {
            Some(new) => Ok(Some(new.stored())),
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
        let in_memory = self.queue.changes.rows.iter().filter(|new| new.stream == id && new.seq <= seq);
        let in_memory: Vec<Stored> = in_memory.map(NewRow::stored).collect();
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

    /// Writes what has changed; on success tells everybody who waits for it.
    pub(crate) fn commit(&mut self) {
        self.commit_as(Scope::All);
    }

    fn commit_as(&mut self, scope: Scope) {
        let mut result = self.try_commit(scope);
        if is_full(&result) && self.write_log_back().is_ok() {
            result = self.try_commit(scope);
        }
        // Not for what is new alone: that would only fill the disk further.
        if is_full(&result) && !self.queue.changes.gone.is_empty() && self.disk.release_reserve() {
            result = self.try_commit(scope);
            // If the log cannot be written back now, the next commit that finds the disk full tries again.
            self.write_log_back().ok();
            self.disk.keep_reserve();
        }
        match result {
            Ok(()) => self.committed(),
            Err(error) => self.failed(&error),
        }
    }

    /// What is long delivered may lie in the log, and its room be all that a commit needs. What the file grows by is less
    /// than what the log gives back, so that there is room for the reserve again.
    fn write_log_back(&self) -> Result<(), Error> {
        let mut result = self.disk.checkpoint();
        if is_full(&result) && self.disk.release_reserve() {
            result = self.disk.checkpoint();
            self.disk.keep_reserve();
        }
        result
    }

    fn try_commit(&mut self, scope: Scope) -> Result<(), Error> {
        if !self.disk.is_open() {
            self.disk.open(None)?;
        }
        loop {
            self.evict()?;
            self.queue.settle();
            let changes = &self.queue.changes;
            if changes.is_empty() {
                return Ok(());
            }
            // What is over the limit can be evicted only from the disk.
            let is_over = self.queue.waiting.bytes > self.limit_bytes;
            let is_all = changes.is_urgent() || !self.waiting.is_empty() || is_over;
            let scope = if is_all { Scope::All } else { scope };
            self.disk.commit(scope, changes, &self.queue.runs, &self.queue.streams)?;
            self.commits += 1;
            self.due.pause = RETRY.0;
            self.aside += changes.aside.len() as u64;
            let new_rows = scope == Scope::All && !changes.rows.is_empty();
            if new_rows {
                self.payload_bytes += changes.rows.iter().map(|row| row.payload.len() as u64).sum::<u64>();
                self.drained = false;
            }
            self.queue.committed(scope);
            if self.queue.waiting.bytes <= self.limit_bytes {
                return Ok(());
            }
            // Rows that are over the limit in their own commit can be evicted only from here on.
            if !new_rows {
                self.queue.recount(&self.disk.count()?);
                return Ok(());
            }
        }
    }

    /// Takes the oldest rows out until the limit is kept with some room: one commit for many rows. Audit records go first
    /// as far as they have more than their share, so that whoever commands a hub without end does not cost it its data;
    /// then data, alarms, and the other audit records last. Records of runs, gaps and the clock stay: they are few.
    fn evict(&mut self) -> Result<(), Error> {
        if self.queue.waiting.bytes <= self.limit_bytes {
            return Ok(());
        }
        let aim = self.limit_bytes - self.limit_bytes / 64;
        let share = self.limit_bytes / AUDIT_SHARE;
        for (lane, keeps) in [(Lane::Audit, share), (Lane::Data, 0), (Lane::Alarm, 0), (Lane::Audit, 0)] {
            while self.is_over(aim, lane, keeps) {
                let rows = self.disk.oldest(lane, &self.queue.changes.gone, CHUNK)?;
                if rows.is_empty() {
                    break;
                }
                let what = if lane == Lane::Audit { "records of commands are" } else { "data is" };
                let detail = format!("the limit of {} bytes is reached; the oldest {what} dropped", self.limit_bytes);
                self.raise("full", detail);
                for row in &rows {
                    if !self.is_over(aim, lane, keeps) {
                        break;
                    }
                    self.queue.remove(row, Leaves::Evicted);
                }
            }
        }
        Ok(())
    }

    /// Whether more than `aim` waits, and of a lane that keeps some room more than that.
    fn is_over(&self, aim: u64, lane: Lane, keeps: u64) -> bool {
        self.queue.waiting.bytes > aim && (lane != Lane::Audit || self.queue.audit_bytes() > keeps)
    }

    fn committed(&mut self) {
        let run = self.queue.run();
        if self.wrote.replace(run) != Some(run) {
            self.write_mark();
        }
        self.due.acks = None;
        // What the counters say is believed only when the file says it, too.
        let in_memory = self.queue.changes.rows.len() as u64;
        self.drained |= self.queue.waiting.rows == in_memory && self.disk.is_empty().is_ok_and(|is_empty| is_empty);
        if self.due.retry.take().is_some() {
            self.clear("disk-full");
            self.clear("disk-error");
            self.disk.keep_reserve();
        }
        if self.queue.waiting.bytes < self.limit_bytes / 4 * 3 {
            self.clear("full");
        }
        self.publish();
        // Who asked may have gone.
        self.waiting.drain(..).for_each(|reply| reply.send(()).unwrap_or_default());
        self.changed.send_modify(|count| *count += 1);
    }

    /// A damaged file is replaced at once; everything else is tried again after a pause.
    pub(crate) fn failed(&mut self, error: &Error) {
        match error.kind() {
            // It was told when the file was moved aside, and the next commit makes a new one.
            _ if matches!(error, Error::Missing) => {}
            Kind::Damaged => self.replace_disk(error),
            Kind::Full => self.pause("disk-full", error),
            Kind::Locked | Kind::Other => self.pause("disk-error", error),
        }
        self.publish();
    }

    fn pause(&mut self, word: &'static str, error: &Error) {
        self.raise(word, chain(error));
        self.due.retry_later();
    }

    fn replace_disk(&mut self, error: &Error) {
        match self.disk.put_aside(Part::All) {
            Ok(aside) => {
                self.raise("damaged", damage_detail(error, aside.as_deref()));
                self.queue.lose_disk();
                self.drained = true;
                // Not at once: a card that damages each new file must not keep this thread busy.
                self.due.retry_later();
            }
            Err(aside) => self.pause("disk-error", &aside),
        }
    }

    /// A mark that names a run says that the database knows it. Before the very first commit there is nothing to mark.
    fn write_mark(&mut self) {
        let Some(run) = self.wrote else { return };
        match self.mark.write(Mark { run, hub_time: self.clock.now() }) {
            Ok(()) => self.clear("mark-stale"),
            Err(error) => self.raise("mark-stale", chain(&error)),
        }
    }
}

fn is_full(result: &Result<(), Error>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == Kind::Full)
}
