//! The writer thread: takes whatever waits, commits it as one transaction, then tells who may be told.
//!
//! A database that is down, or another ingester in the way, is waited for, with nothing acknowledged meanwhile: the queue
//! fills, the client takes nothing more, and the broker keeps the rest. Any other error ends the ingester, with nothing
//! acknowledged that is not committed: the broker sends it again to the next one. Trying on would only hide a full disk.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use curb_wire::status::State;
use tokio::sync::mpsc::{Receiver, Sender};
use tracing::{info, warn};

use super::accept::{Incoming, Refusal, accept};
use super::backoff::Backoff;
use super::book::{Applied, Book, Claim, Due};
use super::client::{Job, Ticket};
use super::feed::Feed;
use crate::clock;
use crate::db::{Asked, Db, Place};
use crate::error::{Error, chain};

/// Publishes waiting for the writer: twice what the broker may have on its way, because a new connection may begin while
/// those of the last are still here. When it is full the client takes nothing more off the connection.
pub(super) const JOBS: usize = 2 * super::client::RECEIVE_MAXIMUM as usize;

/// Commits waiting for the client. When full the writer waits, so that a slow broker slows the writing.
pub(super) const DONE: usize = 4;

/// Messages in one transaction at most: enough to make the fsync cheap, and not so many that a receipt waits for long.
const PER_COMMIT: usize = 500;

/// Bytes in one transaction, at which it is closed: bounds its memory, some ten times as much.
const PER_COMMIT_BYTES: usize = 4 << 20;

/// How often a waiting writer looks whether it is asked to end.
const LOOK: Duration = Duration::from_millis(100);

/// A commit: what may now be acknowledged.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) acks: Vec<Ticket>,
    pub(super) receipts: Vec<Due>,
}

/// A publish that was taken apart.
struct Taken {
    job: Job,
    incoming: Result<Incoming, Refusal>,
}

/// Opens the database. One that is down is waited for.
///
/// # Errors
/// It cannot be used, now or later.
pub(super) fn open(place: &Place) -> Result<Db, Error> {
    let mut backoff = Backoff::default();
    loop {
        match Db::open_for_writing(place) {
            Err(error) if error.is_transient() => {
                let wait = backoff.after(Duration::ZERO, fastrand::f64());
                warn!(why = %chain(&error), retry_in_ms = wait.as_millis(), "no database");
                // Not a sleep: a signal ends the process before its listener is there.
                thread::park_timeout(wait);
            }
            opened => return opened,
        }
    }
}

/// Runs until the jobs end.
pub(super) fn run(
    place: &Place,
    db: Db,
    mut feed: Feed,
    mut jobs: Receiver<Job>,
    done: &Sender<Done>,
) -> Result<(), Error> {
    let mut book = Book::new(db);
    while let Some(first) = jobs.blocking_recv() {
        let batch = gather(first, &mut jobs);
        let Some((receipts, applied)) = store_at_last(&mut book, place, &batch, &jobs)? else {
            return Ok(());
        };
        let now = clock::now_ms();
        for (taken, applied) in batch.iter().zip(&applied) {
            if let (Ok(Incoming::Message(message)), Some(applied)) = (&taken.incoming, applied) {
                feed.tell(message, *applied, now).map_err(Error::Output)?;
            }
        }
        feed.flush().map_err(Error::Output)?;
        let acks = batch.into_iter().map(|taken| taken.job.ticket).collect();
        // An error means that the client is gone: what was committed will come again and be counted as duplicate.
        drop(done.blocking_send(Done { acks, receipts }));
    }
    Ok(())
}

/// What waits, within the bounds of one transaction.
fn gather(first: Job, jobs: &mut Receiver<Job>) -> Vec<Taken> {
    let mut bytes = 0;
    let mut batch = Vec::with_capacity(PER_COMMIT);
    let mut next = Some(first);
    while let Some(job) = next {
        bytes += job.payload.len();
        let incoming = accept(&job.topic, &job.payload);
        batch.push(Taken { job, incoming });
        next = if batch.len() < PER_COMMIT && bytes < PER_COMMIT_BYTES { jobs.try_recv().ok() } else { None };
    }
    batch
}

type Stored = (Vec<Due>, Vec<Option<Applied>>);

/// Stores a batch, however long the database is away. `None` if the ingester is asked to end meanwhile.
fn store_at_last(
    book: &mut Book,
    place: &Place,
    batch: &[Taken],
    jobs: &Receiver<Job>,
) -> Result<Option<Stored>, Error> {
    let mut backoff = Backoff::default();
    loop {
        let error = match store(book, batch, clock::now_ms()) {
            Ok(stored) => return Ok(Some(stored)),
            Err(source) => Error::Database { act: "store messages", source },
        };
        book.roll_back();
        if !error.is_transient() {
            return Err(error);
        }
        let wait = backoff.after(Duration::ZERO, fastrand::f64());
        warn!(why = %chain(&error), retry_in_ms = wait.as_millis(), messages = batch.len(), "not stored yet");
        if !waited(wait, jobs) {
            return Ok(None);
        }
        if book.is_lost() {
            match Db::open_for_writing(place) {
                Ok(db) => {
                    info!("the database is back");
                    *book = Book::new(db);
                }
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Waits, unless nobody sends jobs any more: then the ingester is asked to end.
fn waited(wait: Duration, jobs: &Receiver<Job>) -> bool {
    let until = std::time::Instant::now() + wait;
    while let Some(left) = until.checked_duration_since(std::time::Instant::now()).filter(|left| !left.is_zero()) {
        if jobs.is_closed() {
            return false;
        }
        thread::park_timeout(left.min(LOOK));
    }
    !jobs.is_closed()
}

fn store(book: &mut Book, batch: &[Taken], now_ms: i64) -> Asked<Stored> {
    let mut claim = Claim::default();
    // By hub: two ingesters change the same rows in the same order.
    let mut tables = BTreeMap::new();
    for taken in batch {
        match &taken.incoming {
            Ok(Incoming::Message(message)) => claim.message(message),
            Ok(Incoming::Status { site, hub, .. }) => claim.hub(site, hub),
            Ok(Incoming::Points { site, hub, points }) => {
                claim.hub(site, hub);
                tables.insert((site, hub), points);
            }
            Ok(Incoming::NotForUs) | Err(_) => {}
        }
    }
    book.begin(claim)?;
    for ((site, hub), points) in tables {
        book.note_points(site, hub, points)?;
    }
    let mut applied = Vec::with_capacity(batch.len());
    for taken in batch {
        applied.push(match &taken.incoming {
            Ok(Incoming::Message(message)) => Some(book.apply(message, now_ms)?),
            Ok(Incoming::Status { site, hub, run, status }) => {
                book.note_status(site, hub, *run, status, now_ms);
                if status.state == State::Online && taken.job.answers_births {
                    info!(%site, %hub, "hub online");
                    book.repeat_receipts(site, hub)?;
                }
                None
            }
            Ok(Incoming::Points { .. } | Incoming::NotForUs) | Err(_) => None,
        });
    }
    let receipts = book.prepare()?;
    for Taken { job: Job { topic, payload, .. }, incoming } in batch {
        if let Err(refusal) = incoming {
            let reason = chain(refusal);
            if book.refuse(topic, payload, &reason, now_ms)? {
                warn!(%topic, %reason, "refused a message; it is kept in table refused");
            }
        }
    }
    book.commit()?;
    Ok((receipts, applied))
}
