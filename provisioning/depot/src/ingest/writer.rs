//! The writer thread: takes whatever waits, commits it as one transaction, then tells who may be told.
//!
//! It fails and ends at the first error of disk or output, with nothing acknowledged that is not committed: the broker
//! sends the rest again to the next ingester. Trying on would only hide a full disk.

use tokio::sync::mpsc::{Receiver, Sender};
use tracing::{info, warn};

use super::accept::{Accepted, Incoming, accept};
use super::book::{Applied, Book, Due, Sqlite};
use super::client::{Job, Ticket};
use super::feed::Feed;
use crate::clock;
use crate::error::{Error, chain};

/// Publishes waiting for the writer: twice what the broker may have on its way, because a new connection may begin while
/// those of the last are still here. When it is full the client takes nothing more off the connection.
pub(super) const JOBS: usize = 2 * super::client::RECEIVE_MAXIMUM as usize;

/// Commits waiting for the client. When full the writer waits, so that a slow broker slows the writing.
pub(super) const DONE: usize = 4;

/// Messages in one transaction at most: enough to make the fsync cheap, and not so many that a receipt waits for long.
const PER_COMMIT: usize = 500;

/// A commit: what may now be acknowledged.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) acks: Vec<Ticket>,
    pub(super) receipts: Vec<Due>,
}

/// Runs until the jobs end.
pub(super) fn run(mut book: Book, mut feed: Feed, mut jobs: Receiver<Job>, done: &Sender<Done>) -> Result<(), Error> {
    let mut waiting = Vec::with_capacity(PER_COMMIT);
    while let Some(first) = jobs.blocking_recv() {
        waiting.push(first);
        while waiting.len() < PER_COMMIT {
            let Ok(job) = jobs.try_recv() else { break };
            waiting.push(job);
        }
        let committed = commit(&mut book, waiting.drain(..), clock::now_ms());
        let (done_now, accepted) = committed.map_err(|source| Error::Database { act: "store messages", source })?;
        let now = clock::now_ms();
        for (message, applied) in &accepted {
            feed.tell(message, *applied, now).map_err(Error::Output)?;
        }
        feed.flush().map_err(Error::Output)?;
        // An error means that the client is gone: what was committed will come again and be counted as duplicate.
        drop(done.blocking_send(done_now));
    }
    Ok(())
}

type Told = Vec<(Box<Accepted>, Applied)>;

fn commit(book: &mut Book, jobs: impl Iterator<Item = Job>, now_ms: i64) -> Sqlite<(Done, Told)> {
    let (mut acks, mut accepted) = (Vec::new(), Vec::new());
    book.begin()?;
    for Job { topic, payload, ticket } in jobs {
        match accept(&topic, &payload) {
            Ok(Incoming::Message(message)) => {
                let applied = book.apply(&message, now_ms)?;
                accepted.push((message, applied));
            }
            Ok(Incoming::Birth { site, hub }) => {
                info!(%site, %hub, "hub online");
                book.repeat_receipts(&site, &hub)?;
            }
            Ok(Incoming::NotForUs) => {}
            Err(refusal) => {
                let reason = chain(&refusal);
                if book.refuse(&topic, &payload, &reason, now_ms)? {
                    warn!(%topic, %reason, "refused a message; it is kept in table refused");
                }
            }
        }
        acks.push(ticket);
    }
    let receipts = book.commit()?;
    Ok((Done { acks, receipts }, accepted))
}
