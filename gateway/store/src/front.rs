//! What the other rooms hold: a handle to the writer, and two bounded channels to its thread for what needs the disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use curb_model::{Batch, Class, HubTime, Name, Page, RowId, RunId, Stream, UtcOffset};
use curb_wire::command::Audit;
use curb_wire::record::{ClockEvent, Previous};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::writer::{Entry, Inbox, Line, Request, Taken, Ticket, Writer};
use crate::{Error, Health};

/// Entries that wait while a commit is under way. A bad card takes up to a second for one; at 200 messages a second this
/// is what comes meanwhile. When it is full, `append` waits: the pipeline and then the sources feel it.
const ENTRIES: usize = 256;

/// Requests that wait. The uplink asks one at a time; deliveries and receipts come at most as fast as messages go out,
/// 16 in flight. When it is full, the uplink waits.
const REQUESTS: usize = 64;

/// The store has been closed, or its run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store is closed")]
pub struct Closed;

/// The queue. Clones are handles to the same one. When the last is dropped, what was accepted is committed and the
/// writer's thread has ended.
#[derive(Debug, Clone)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    run: RunId,
    writer: Arc<Mutex<Writer>>,
    line: Line,
    wake: Arc<Notify>,
    entries: mpsc::Sender<(Ticket, Entry)>,
    requests: mpsc::Sender<(Ticket, Request)>,
    changed: watch::Receiver<u64>,
    health: Arc<Mutex<Health>>,
    /// Behind the senders: fields are dropped in their order, and the thread ends when the senders are gone.
    thread: Thread,
}

/// A thread that is joined when it goes out of use.
#[derive(Debug)]
struct Thread(Mutex<Option<JoinHandle<()>>>);

impl Thread {
    fn join(&self) {
        let thread = self.0.lock().expect("nobody panics while holding it").take();
        // A panic of the writer has been printed; all that can still be done is to end.
        thread.map(JoinHandle::join).map(Result::ok);
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.join();
    }
}

pub(crate) fn start(
    run: RunId,
    writer: Writer,
    previous: Option<Previous>,
    changed: watch::Receiver<u64>,
) -> Result<Store, Error> {
    let health = Arc::clone(&writer.health);
    let (entries, entries_out) = mpsc::channel(ENTRIES);
    let (requests, requests_out) = mpsc::channel(REQUESTS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(Error::Thread)?;
    let writer = Arc::new(Mutex::new(writer));
    let wake = Arc::new(Notify::new());
    let line = Line::default();
    let first = line.join();
    let inbox = Inbox { entries: entries_out, requests: requests_out, wake: Arc::clone(&wake) };
    let thread = {
        let writer = Arc::clone(&writer);
        let write = move || runtime.block_on(Writer::run(writer, first, previous, inbox));
        std::thread::Builder::new().name("store".to_owned()).spawn(write).map_err(Error::Thread)?
    };
    let thread = Thread(Mutex::new(Some(thread)));
    Ok(Store(Arc::new(Shared { run, writer, line, wake, entries, requests, changed, health, thread })))
}

impl Store {
    /// The run that this store numbers messages in.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.0.run
    }

    /// Accepts a batch: numbered and committed in the order of acceptance. Waits while the disk cannot keep up.
    ///
    /// # Errors
    /// The run has ended.
    ///
    /// # Cancel safety
    /// Not safe: a batch whose future is dropped while it waits is lost. Do not call it in a `select` branch.
    pub async fn append(&self, batch: Batch) -> Result<(), Closed> {
        self.enter(Entry::Batch(batch)).await
    }

    /// Keeps what a plugin must not forget, instead of what it said before, for [`Opened::states`](crate::Opened::states) of the
    /// next run. It is on disk within `commit_every`, and before anything accepted later is sent.
    ///
    /// # Errors
    /// The run has ended.
    ///
    /// # Cancel safety
    /// Not safe: it may or may not be kept.
    pub async fn keep_state(&self, plugin: Name, bytes: Arc<[u8]>) -> Result<(), Closed> {
        self.enter(Entry::State { plugin, bytes: Some(bytes) }).await
    }

    /// What a plugin remembered is kept no longer.
    ///
    /// # Errors
    /// The run has ended.
    ///
    /// # Cancel safety
    /// Not safe: it may or may not be kept.
    pub async fn forget_state(&self, plugin: Name) -> Result<(), Closed> {
        self.enter(Entry::State { plugin, bytes: None }).await
    }

    /// Writes a clock record.
    ///
    /// # Errors
    /// The run has ended.
    ///
    /// # Cancel safety
    /// Not safe: the record may or may not be written.
    pub async fn clock_record(
        &self,
        event: ClockEvent,
        at: HubTime,
        offset: Option<UtcOffset>,
        trust: &str,
    ) -> Result<(), Closed> {
        self.enter(Entry::Clock { event, at, offset, trust: trust.to_owned() }).await
    }

    /// Writes an audit record, and returns when it is durable. Waits for as long as the disk refuses: give it a deadline.
    ///
    /// # Errors
    /// The run has ended, or the store was closed before the record was durable.
    ///
    /// # Cancel safety
    /// Not safe: the record may or may not be written.
    pub async fn audit(&self, audit: Audit) -> Result<(), Closed> {
        self.enter(Entry::Audit(Box::new(audit))).await?;
        self.sync().await
    }

    /// Lets messages go that were made before the clock was trusted, and all to come: the clock is trusted now, or has
    /// been waited for long enough. Until then they wait, and with them what their streams have made since.
    ///
    /// # Errors
    /// The run has ended.
    ///
    /// # Cancel safety
    /// Safe to call again.
    pub async fn release_undated(&self) -> Result<(), Closed> {
        self.enter(Entry::ReleaseUndated).await
    }

    /// Returns when everything accepted before is durable.
    ///
    /// # Errors
    /// The store was closed first.
    ///
    /// # Cancel safety
    /// Safe: nothing is changed.
    pub async fn sync(&self) -> Result<(), Closed> {
        let (reply, done) = oneshot::channel();
        self.enter(Entry::Sync(reply)).await?;
        done.await.map_err(|_| Closed)
    }

    /// Alarms, or all other messages, behind `after` in row order, at most `rows` of them and `bytes` of payload, but at least one if one waits.
    /// Empty: none is there, or the disk cannot be read just now; wait for [`Store::changed`].
    ///
    /// # Errors
    /// The store is closed.
    ///
    /// # Cancel safety
    /// Safe: messages stay until they are delivered.
    pub async fn next(&self, class: Class, after: Option<RowId>, rows: usize, bytes: usize) -> Result<Page, Closed> {
        let (reply, page) = oneshot::channel();
        self.request(Request::Next { class, after, rows, bytes, reply }).await?;
        // A read that failed drops the reply.
        Ok(page.await.unwrap_or_default())
    }

    /// The core has these rows. They are deleted with the next commit; a kill before it sends them once more.
    ///
    /// # Errors
    /// The store is closed.
    ///
    /// # Cancel safety
    /// Safe: rows that are not deleted are sent once more.
    pub async fn delivered(&self, rows: Vec<RowId>) -> Result<(), Closed> {
        self.request(Request::Delivered(rows)).await
    }

    /// The core holds everything of this run and stream up to and with `seq`.
    ///
    /// # Errors
    /// The store is closed.
    ///
    /// # Cancel safety
    /// Safe, as for [`Store::delivered`].
    pub async fn receipt(&self, run: RunId, stream: Stream, seq: u64) -> Result<(), Closed> {
        self.request(Request::Receipt { run, stream, seq }).await
    }

    /// The broker refuses this row for what it is, with the reason code of its PUBACK. Data goes aside, and a gap record
    /// tells; a record stays in the queue and raises `record-refused`.
    ///
    /// # Errors
    /// The store is closed.
    ///
    /// # Cancel safety
    /// Safe: a row that stays is refused once more.
    pub async fn set_aside(&self, row: RowId, code: u8) -> Result<(), Closed> {
        self.request(Request::SetAside { row, code }).await
    }

    /// From here on readings of these streams are not sent, and told as a gap, when they are older than that; all others never
    /// grow too old.
    ///
    /// # Errors
    /// The store is closed.
    ///
    /// # Cancel safety
    /// Safe to call again.
    pub async fn expire(&self, after: BTreeMap<Stream, Duration>) -> Result<(), Closed> {
        self.request(Request::Expire(after)).await
    }

    /// What the core takes in one message, in bytes of payload; `None`: it has no bound. What is new from here on keeps to it,
    /// also after a restart.
    ///
    /// # Errors
    /// The store is closed.
    ///
    /// # Cancel safety
    /// Safe: longer messages are set aside when they meet the core.
    pub async fn payload_max(&self, bytes: Option<usize>) -> Result<(), Closed> {
        self.request(Request::PayloadMax(bytes)).await
    }

    /// Counts commits: changes when there may be new messages.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.clone()
    }

    /// The queue as it was after the last commit.
    ///
    /// # Panics
    /// If the writer panicked while it wrote this.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.health.lock().expect("nobody panics while holding it").clone()
    }

    /// Ends the run: commits what was accepted, and the `closed` record with the final counters. The uplink can still
    /// send; nothing can be appended. Waits for as long as the disk refuses: give it a deadline.
    ///
    /// # Errors
    /// The run has ended already, or the store was closed before the record was durable.
    ///
    /// # Cancel safety
    /// Safe: the run ends all the same.
    pub async fn end_run(&self) -> Result<(), Closed> {
        let (reply, done) = oneshot::channel();
        self.enter(Entry::EndRun(reply)).await?;
        done.await.map_err(|_| Closed)
    }

    /// Commits what was accepted, deliveries among it, writes SQLite's log back and ends the writer's thread. A run that
    /// was not ended is one that was cut off. Closing twice does nothing.
    ///
    /// # Cancel safety
    /// Safe: the writer ends all the same.
    pub async fn close(&self) {
        let (reply, done) = oneshot::channel();
        if self.request(Request::Close(reply)).await.is_ok() {
            done.await.ok();
        }
        // It has nothing left to do, so this does not block.
        self.0.thread.join();
    }

    async fn enter(&self, entry: Entry) -> Result<(), Closed> {
        if let Entry::Batch(batch) = &entry
            && self.take_here(batch)
        {
            return Ok(());
        }
        let ticket = self.0.line.join();
        self.0.entries.send((ticket, entry)).await.map_err(|_| Closed)
    }

    pub(crate) async fn request(&self, request: Request) -> Result<(), Closed> {
        let Some(request) = self.answer_here(request) else { return Ok(()) };
        let ticket = self.0.line.join();
        self.0.requests.send((ticket, request)).await.map_err(|_| Closed)
    }

    /// The writer, if it is not at work and nothing is on its way to it.
    fn idle_writer(&self) -> Option<MutexGuard<'_, Writer>> {
        let writer = self.0.writer.try_lock().ok()?;
        self.0.line.is_empty().then_some(writer)
    }

    fn take_here(&self, batch: &Batch) -> bool {
        let Some(mut writer) = self.idle_writer().filter(|_| !self.0.entries.is_closed()) else { return false };
        let taken = writer.take_here(batch);
        drop(writer);
        if taken == Taken::Wake {
            self.0.wake.notify_one();
        }
        taken != Taken::No
    }

    fn answer_here(&self, request: Request) -> Option<Request> {
        match self.idle_writer().filter(|_| !self.0.requests.is_closed()) {
            Some(mut writer) => writer.answer_here(request),
            None => Some(request),
        }
    }
}
