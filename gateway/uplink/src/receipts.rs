//! With `core.ack = "core"`: what the broker took and the core has not receipted. Pure.
//!
//! A receipt is cumulative per run and stream. A stream that gets none for too long is sent again, less and less often:
//! the broker may have lost it, or the ingester may be down behind a broker that queues for it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use curb_model::{Fault, RowId, RunId, Stream};

use crate::backoff::doubled;
use crate::health;

/// Rows without receipt at most; then sending waits. Bounds what one repeat costs, and memory (some 100 bytes each).
/// An ingester that commits once a second still takes a thousand messages a second.
pub(crate) const UNRECEIPTED_MAX: usize = 1024;

/// Between repeats of the same rows at most.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Streams remembered at most, over all runs. More than a hub has; stops a core that sends receipts for runs which
/// never were. A stream beyond it costs duplicates, nothing else.
const ACCOUNTS_MAX: usize = 4096;

type Key = (RunId, Stream);

#[derive(Debug)]
struct Waiting {
    row: RowId,
    key: Key,
    seq: u64,
    due: Instant,
}

/// What is known of a stream's receipts on this connection.
#[derive(Debug, Default)]
struct Account {
    held_to: u64,
    repeats: u32,
}

/// All streams.
#[derive(Debug)]
pub(crate) struct Receipts {
    wait: Duration,
    /// No row is due before this. May be too early, never too late: it is made exact when it is reached.
    due: Option<Instant>,
    waiting: VecDeque<Waiting>,
    rows: HashSet<RowId>,
    accounts: HashMap<Key, Account>,
}

impl Receipts {
    pub(crate) fn new(wait: Duration) -> Self {
        Self { wait, due: None, waiting: VecDeque::new(), rows: HashSet::new(), accounts: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether this row waits for its receipt.
    pub(crate) fn contains(&self, row: RowId) -> bool {
        self.rows.contains(&row)
    }

    /// Whether a receipt has covered this message.
    pub(crate) fn covers(&self, run: RunId, stream: &Stream, seq: u64) -> bool {
        self.accounts.get(&(run, stream.clone())).is_some_and(|account| seq <= account.held_to)
    }

    /// The broker took this row. Its receipt may have been quicker.
    pub(crate) fn taken(&mut self, row: RowId, run: RunId, stream: Stream, seq: u64, now: Instant) {
        if self.covers(run, &stream, seq) || !self.rows.insert(row) {
            return;
        }
        let key = (run, stream);
        let repeats = self.accounts.get(&key).map_or(0, |account| account.repeats);
        let due = now + doubled(self.wait, repeats, WAIT_MAX.max(self.wait));
        self.due = Some(self.due.map_or(due, |earliest| earliest.min(due)));
        self.waiting.push_back(Waiting { row, key, seq, due });
    }

    /// A receipt. How many rows it ends; they go to the store with it.
    pub(crate) fn receipt(&mut self, run: RunId, stream: Stream, seq: u64) -> usize {
        let key = (run, stream);
        let before = self.waiting.len();
        self.waiting.retain(|entry| {
            let stays = entry.key != key || entry.seq > seq;
            if !stays {
                self.rows.remove(&entry.row);
            }
            stays
        });
        if self.accounts.len() < ACCOUNTS_MAX || self.accounts.contains_key(&key) {
            let account = self.accounts.entry(key).or_default();
            if seq > account.held_to {
                *account = Account { held_to: seq, repeats: 0 };
            }
        }
        before - self.waiting.len()
    }

    /// When to look for rows that have waited too long.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Gives up on the rows of streams that have waited too long; the row to send again from.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<RowId> {
        if self.due? > now {
            return None;
        }
        let late: HashSet<Key> =
            self.waiting.iter().filter(|entry| entry.due <= now).map(|entry| entry.key.clone()).collect();
        for key in &late {
            let account = self.accounts.entry(key.clone()).or_default();
            account.repeats = account.repeats.saturating_add(1);
        }
        let given_up = self.waiting.iter().filter(|entry| late.contains(&entry.key)).map(|entry| entry.row).min();
        self.waiting.retain(|entry| {
            let stays = !late.contains(&entry.key);
            if !stays {
                self.rows.remove(&entry.row);
            }
            stays
        });
        self.due = self.waiting.iter().map(|entry| entry.due).min();
        given_up
    }

    /// Stands until every stream that was repeated has a newer receipt.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let silent = self.accounts.values().filter(|account| account.repeats > 0).count();
        (silent > 0).then(|| {
            let detail = format!(
                "no receipt for {silent} stream(s) although the broker took them; check that the ingester runs. Their \
                 rows are kept and sent again"
            );
            health::fault("no-receipt", detail)
        })
    }
}
