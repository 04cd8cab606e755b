//! The books of the core: what every hub sent, each message once, in whatever database.
//!
//! Messages are applied inside a transaction that the [writer](super::writer) opens and commits; what they make due
//! (receipts) is handed out at the commit, so nothing is ever acknowledged that is not on disk.
//!
//! Any number of ingesters may write the same database. A transaction begins by locking the rows of all streams that its
//! messages change, in one order everywhere, so that two never wait for each other in a circle; from then on nobody else
//! changes those streams. What is remembered of a stream between transactions is taken for true only if its row still has
//! the count of `changes` that it had then.
//!
//! A transaction that failed is undone by [`roll_back`](Book::roll_back), which also forgets all that is remembered.
//!
//! Deliberately absent: deleting old readings, which is [`keep`](super::keep)'s. `held` and the counters in `stream` do
//! not need them.

mod hubs;
mod readings;
mod records;
mod streams;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use curb_model::{Name, RunId, Stream};

use self::hubs::Standing;
pub(crate) use self::readings::quality;
use self::readings::{Place, Staged};
use self::streams::Account;
use super::accept::{Accepted, Body};
use crate::db::{Access, Asked, Db, cells};
use crate::intervals::Change;

/// Streams whose intervals are kept in memory, some 300 bytes each: the streams of ten thousand hubs fit. When full, all
/// are forgotten and read again from their rows as they are used.
const STREAMS_IN_MEMORY: usize = 100_000;

/// Points whose row is remembered, some 100 bytes each.
const POINTS_IN_MEMORY: usize = 300_000;

/// Receipts are repeated at a hub's birth for its latest runs. A row of an older run that is sent again gets its receipt
/// then, as every duplicate does.
const RUNS_REPEATED: i64 = 8;

/// A receipt that is due: all up to `seq` is held here or covered by gap records.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    pub(crate) stream: StreamKey,
    pub(crate) seq: u64,
}

/// Whether a message was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    New,
    Duplicate,
}

/// A stream of a run of a hub. The order is that in which rows are made and locked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamKey {
    pub(crate) site: Name,
    pub(crate) hub: Name,
    pub(crate) run: RunId,
    pub(crate) stream: Stream,
}

impl StreamKey {
    fn of(message: &Accepted, run: RunId, stream: Stream) -> Self {
        Self { site: message.site.clone(), hub: message.hub.clone(), run, stream }
    }
}

/// What is locked for a transaction.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    /// Locked.
    streams: BTreeSet<StreamKey>,
    /// Made if they are not there.
    hubs: BTreeSet<(Name, Name)>,
}

impl Claim {
    /// Claims every stream that the message changes.
    pub(crate) fn message(&mut self, message: &Accepted) {
        self.hubs.insert((message.site.clone(), message.hub.clone()));
        self.streams.extend(changed_by(message));
    }

    /// Claims a hub that told its status.
    pub(crate) fn hub(&mut self, site: &Name, hub: &Name) {
        self.hubs.insert((site.clone(), hub.clone()));
    }
}

/// Every stream that a message changes, its own among them.
fn changed_by(message: &Accepted) -> Vec<StreamKey> {
    let key = |run, stream| StreamKey::of(message, run, stream);
    let named = |run, name: &str| key(run, Stream::parse(name).expect("checked when the record was accepted"));
    let mut keys = vec![key(message.run, message.stream.clone())];
    match &message.body {
        Body::Readings { records, .. } => {
            // The clock record of the run, which may be on its way to another ingester, dates what is not dated yet. Who
            // holds the lock of the run's clock stream sees the other's rows.
            if records.iter().any(readings::is_undated) {
                keys.push(key(message.run, Stream::clock()));
            }
        }
        Body::Run(record) => {
            keys.extend(record.streams.keys().map(|name| named(message.run, name)));
            if let Some(previous) = &record.previous {
                keys.push(key(previous.run, Stream::run()));
                keys.extend(previous.streams.keys().map(|name| named(previous.run, name)));
            }
        }
        Body::Gap(record) => keys.push(named(record.gap.run, &record.gap.stream)),
        Body::Clock(_) | Body::Audit(_) => {}
    }
    keys
}

/// The open books.
#[derive(Debug)]
pub(crate) struct Book {
    db: Db,
    hubs: HashMap<(Name, Name), i64>,
    streams: HashMap<StreamKey, Account>,
    /// Rows of points by hub, name and unit; without a unit, the row to which a bad reading belongs.
    points: HashMap<(i64, String, Option<String>), i64>,
    /// Streams that are locked by the open transaction.
    locked: BTreeSet<StreamKey>,
    /// Streams that are due a receipt at the commit.
    touched: BTreeSet<StreamKey>,
    /// Receipts that are handed out once more.
    repeated: Vec<Due>,
    /// What the hubs said of themselves last in this transaction.
    standings: BTreeMap<(Name, Name), Standing>,
    staged: Staged,
}

impl Book {
    /// The books in an open database.
    pub(crate) fn new(db: Db) -> Self {
        Self {
            db,
            hubs: HashMap::new(),
            streams: HashMap::new(),
            points: HashMap::new(),
            locked: BTreeSet::new(),
            touched: BTreeSet::new(),
            repeated: Vec::new(),
            standings: BTreeMap::new(),
            staged: Staged::default(),
        }
    }

    /// Opens a transaction, and locks what it will change.
    pub(crate) fn begin(&mut self, claim: Claim) -> Asked<()> {
        if self.streams.len() > STREAMS_IN_MEMORY {
            self.streams.clear();
        }
        if self.points.len() > POINTS_IN_MEMORY {
            self.points.clear();
        }
        self.db.begin(Access::Write)?;
        self.lock(claim)
    }

    /// Writes what was gathered since `begin`, and says which receipts the commit will make due. Only [`refuse`](Self::refuse)
    /// may come between this and the commit: one row counts the refused of all ingesters, so it is locked last.
    pub(crate) fn prepare(&mut self) -> Asked<Vec<Due>> {
        self.flush_readings()?;
        let mut due = std::mem::take(&mut self.repeated);
        due.retain(|due| !self.touched.contains(&due.stream));
        for key in std::mem::take(&mut self.touched) {
            let covered = self.known(&key)?.map_or(0, |account| account.covered.contiguous());
            if covered > 0 {
                due.push(Due { stream: key, seq: covered });
            }
        }
        self.flush_streams()?;
        self.flush_standings()?;
        Ok(due)
    }

    /// Makes everything since `begin` durable.
    pub(crate) fn commit(&mut self) -> Asked<()> {
        self.db.commit()
    }

    /// Whether the connection to the database is gone.
    pub(crate) fn is_lost(&self) -> bool {
        self.db.is_lost()
    }

    /// Undoes everything since `begin`, and forgets what is remembered.
    pub(crate) fn roll_back(&mut self) {
        self.db.roll_back();
        self.hubs.clear();
        self.streams.clear();
        self.points.clear();
        self.locked.clear();
        self.touched.clear();
        self.repeated.clear();
        self.standings.clear();
        self.staged = Staged::default();
    }

    /// Stores a message, or counts it if it is held already. Its streams are claimed.
    pub(crate) fn apply(&mut self, message: &Accepted, now_ms: i64) -> Asked<Applied> {
        let key = StreamKey::of(message, message.run, message.stream.clone());
        self.touched.insert(key.clone());
        let account = self.locked(&key);
        let (id, run, hub) = (account.id, account.run, account.hub);
        let change = account.hold(message.seq);
        if change == Change::Held {
            return Ok(Applied::Duplicate);
        }
        match &message.body {
            Body::Readings { counts, records } => {
                account.tell(counts);
                account.counts.delivered += records.len() as u64;
                let place = Place { hub, run, stream: id, seq: message.seq };
                self.stage_message(place, counts, records, now_ms)?;
            }
            Body::Run(record) => self.apply_run(message, record, now_ms)?,
            Body::Gap(record) => self.apply_gap(message, record, id, now_ms)?,
            Body::Clock(record) => self.apply_clock(record, run)?,
            Body::Audit(record) => self.apply_audit(record, run)?,
        }
        Ok(Applied::New)
    }

    /// Makes the receipts of a hub's latest runs due once more. What was receipted is committed, so no lock is needed.
    pub(crate) fn repeat_receipts(&mut self, site: &Name, hub: &Name) -> Asked<()> {
        let rows = self.db.rows(
            "SELECT run.name, stream.name, stream.receipted FROM stream JOIN run ON run.id = stream.run
             WHERE run.id IN (SELECT run.id FROM run JOIN hub ON hub.id = run.hub
                              WHERE hub.site = ?1 AND hub.name = ?2 ORDER BY run.counter DESC, run.id DESC LIMIT ?3)
             ORDER BY run.counter, run.id, stream.name",
            cells![site.as_str(), hub.as_str(), RUNS_REPEATED],
            |row| Ok((row.text(0)?, row.text(1)?, row.count(2)?)),
        )?;
        for (run, stream, seq) in rows {
            let (Ok(run), Ok(stream)) = (run.parse(), Stream::parse(&stream)) else { continue };
            let stream = StreamKey { site: site.clone(), hub: hub.clone(), run, stream };
            if seq > 0 {
                self.repeated.push(Due { stream, seq });
            } else {
                // None yet; or the row is older than its column, and the intervals say.
                self.touched.insert(stream);
            }
        }
        Ok(())
    }

    /// The database, for the ledger's and the tests' own questions.
    #[cfg(test)]
    pub(crate) const fn db(&mut self) -> &mut Db {
        &mut self.db
    }
}
