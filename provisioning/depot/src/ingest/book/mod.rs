//! The database of the core: what every hub sent, each message once.
//!
//! One writer. Messages are applied inside a transaction that the [writer](super::writer) opens and commits; what they
//! make due (receipts) is handed out at the commit, so nothing is ever acknowledged that is not on disk.
//!
//! Deliberately absent: deleting old readings. Whoever does it may: `held` and the counters in `stream` do not need them.

mod readings;
mod records;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use curb_model::{Name, RunId, Stream};
use curb_wire::record::StreamCounts;
use rusqlite::{Connection, Row, params};

use self::readings::Place;
use super::accept::{Accepted, Body};
use super::schema;
use crate::error::Error;
use crate::intervals::{Change, Interval, IntervalSet};

/// Streams whose intervals are kept in memory, some 200 bytes each: the streams of ten thousand hubs fit. When full, all
/// are forgotten and read again from their rows as they are used.
const STREAMS_IN_MEMORY: usize = 100_000;

/// Receipts are repeated at a hub's birth for its latest runs. A row of an older run that is sent again gets its receipt
/// then, as every duplicate does.
const RUNS_REPEATED: u32 = 8;

/// Rows in `refused`, the newest kept. Each says what is wrong once; the total count is kept apart.
const REFUSED_ROWS: i64 = 10_000;

/// Bytes kept of a payload that was refused: enough to see what it was, too little to fill a disk.
const REFUSED_BYTES: usize = 4_096;

/// A receipt that is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    pub(crate) site: Name,
    pub(crate) hub: Name,
    pub(crate) run: RunId,
    pub(crate) stream: Stream,
    /// All up to this number is held here or covered by gap records.
    pub(crate) seq: u64,
}

/// Whether a message was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Applied {
    New,
    Duplicate,
}

pub(crate) use self::readings::quality;

/// Why a call failed inside SQLite; the caller says what it was about.
pub(super) type Sqlite<T> = Result<T, rusqlite::Error>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct StreamKey {
    site: Name,
    hub: Name,
    run: RunId,
    stream: Stream,
}

/// What deduplication needs of a stream, in memory.
#[derive(Debug)]
struct Held {
    id: i64,
    run: i64,
    hub: i64,
    /// Messages held.
    held: IntervalSet,
    /// Messages held or covered by gap records.
    covered: IntervalSet,
}

/// The open database.
#[derive(Debug)]
pub(crate) struct Book {
    db: Connection,
    streams: HashMap<StreamKey, Held>,
    /// Streams that the open transaction touched.
    touched: BTreeSet<StreamKeyOrd>,
}

/// A touched stream, in the order in which receipts are handed out.
type StreamKeyOrd = (Name, Name, RunId, Stream);

impl Book {
    /// Opens the database, and makes it if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let db = schema::open_for_writing(path)?;
        // Readers of the same file (`depot ledger`) hold it for moments at its very end and start.
        db.busy_timeout(Duration::from_secs(10)).map_err(|source| Error::Database { act: "set a time-out", source })?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(Self { db, streams: HashMap::new(), touched: BTreeSet::new() })
    }

    /// Opens a transaction.
    pub(crate) fn begin(&mut self) -> Sqlite<()> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
    }

    /// Makes everything since `begin` durable, and says which receipts that makes due.
    pub(crate) fn commit(&mut self) -> Sqlite<Vec<Due>> {
        self.db.prepare_cached("COMMIT")?.execute([])?;
        let mut due = Vec::new();
        for (site, hub, run, stream) in std::mem::take(&mut self.touched) {
            let key = StreamKey { site, hub, run, stream };
            let seq = self.stream(&key)?.covered.contiguous();
            if seq > 0 {
                due.push(Due { site: key.site, hub: key.hub, run: key.run, stream: key.stream, seq });
            }
        }
        if self.streams.len() > STREAMS_IN_MEMORY {
            self.streams.clear();
        }
        Ok(due)
    }

    /// Stores a message, or counts it if it is held already.
    pub(crate) fn apply(&mut self, message: &Accepted, now_ms: i64) -> Sqlite<Applied> {
        let key = key(message, message.run, message.stream.clone());
        let stream = self.stream(&key)?;
        let (id, run, hub) = (stream.id, stream.run, stream.hub);
        let change = stream.held.insert(message.seq);
        stream.covered.insert(message.seq);
        self.touch(&key);
        let Change::Merged { gone, now } = change else {
            self.db.prepare_cached("UPDATE stream SET duplicates = duplicates + 1 WHERE id = ?1")?.execute([id])?;
            return Ok(Applied::Duplicate);
        };
        self.store_interval(id, &gone, now)?;
        match &message.body {
            Body::Readings { counts, records } => {
                let place = Place { hub, run, stream: id, seq: int(message.seq) };
                self.store_message(place, counts, records, now_ms)?;
                self.store_readings(place, records)?;
            }
            Body::Run(record) => {
                self.tell(id, &StreamCounts { seq: message.seq, ..StreamCounts::default() })?;
                self.apply_run(message, record, now_ms)?;
            }
            Body::Gap(record) => {
                self.tell(id, &StreamCounts { seq: message.seq, ..StreamCounts::default() })?;
                self.apply_gap(message, record, id, now_ms)?;
            }
            Body::Clock(record) => {
                self.tell(id, &StreamCounts { seq: message.seq, ..StreamCounts::default() })?;
                self.apply_clock(record, run)?;
            }
            Body::Audit(record) => {
                self.tell(id, &StreamCounts { seq: message.seq, ..StreamCounts::default() })?;
                self.apply_audit(record, run)?;
            }
        }
        Ok(Applied::New)
    }

    /// Makes the receipts of a hub's latest runs due once more.
    pub(crate) fn repeat_receipts(&mut self, site: &Name, hub: &Name) -> Sqlite<()> {
        let rows: Vec<(String, String)> = {
            let mut statement = self.db.prepare_cached(
                "SELECT run.name, stream.name FROM stream JOIN run ON run.id = stream.run
                 WHERE run.id IN (SELECT run.id FROM run JOIN hub ON hub.id = run.hub
                                  WHERE hub.site = ?1 AND hub.name = ?2 ORDER BY run.counter DESC, run.id DESC LIMIT ?3)",
            )?;
            let rows = statement.query_map(params![site.as_str(), hub.as_str(), RUNS_REPEATED], two_texts)?;
            rows.collect::<Sqlite<_>>()?
        };
        for (run, stream) in rows {
            if let (Ok(run), Ok(stream)) = (run.parse(), Stream::parse(&stream)) {
                self.touch(&StreamKey { site: site.clone(), hub: hub.clone(), run, stream });
            }
        }
        Ok(())
    }

    /// Notes a publish that could not be read. Says whether it is the first of its kind.
    pub(crate) fn refuse(&mut self, topic: &str, payload: &[u8], reason: &str, now_ms: i64) -> Sqlite<bool> {
        let bytes = payload.len();
        let kept = &payload[..bytes.min(REFUSED_BYTES)];
        self.db.prepare_cached("UPDATE refused_total SET count = count + 1")?.execute([])?;
        let times: i64 = self
            .db
            .prepare_cached(
                "INSERT INTO refused (topic, payload, bytes, reason, first_ms, last_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?5)
                 ON CONFLICT DO UPDATE SET times = times + 1, last_ms = ?5 RETURNING times",
            )?
            .query_row(params![topic, kept, int(bytes as u64), reason, now_ms], |row| row.get(0))?;
        self.db
            .prepare_cached("DELETE FROM refused WHERE id <= (SELECT max(id) FROM refused) - ?1")?
            .execute([REFUSED_ROWS])?;
        Ok(times == 1)
    }

    fn touch(&mut self, key: &StreamKey) {
        self.touched.insert((key.site.clone(), key.hub.clone(), key.run, key.stream.clone()));
    }

    /// The stream's intervals, read from their rows if they are not in memory.
    fn stream(&mut self, key: &StreamKey) -> Sqlite<&mut Held> {
        if !self.streams.contains_key(key) {
            let loaded = self.load(key)?;
            self.streams.insert(key.clone(), loaded);
        }
        Ok(self.streams.get_mut(key).expect("inserted above"))
    }

    fn load(&self, key: &StreamKey) -> Sqlite<Held> {
        let hub = self.id(
            "INSERT INTO hub (site, name) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET name = name RETURNING id",
            params![key.site.as_str(), key.hub.as_str()],
        )?;
        let run = self.run_id(hub, key.run)?;
        let id = self.id(
            "INSERT INTO stream (run, name) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET name = name RETURNING id",
            params![run, key.stream.as_str()],
        )?;
        let intervals = |sql: &str| -> Sqlite<Vec<Interval>> {
            let mut statement = self.db.prepare_cached(sql)?;
            let rows = statement.query_map([id], |row| Ok(Interval { first: count(row, 0)?, last: count(row, 1)? }))?;
            rows.collect()
        };
        let held: IntervalSet = intervals("SELECT first, last FROM held WHERE stream = ?1")?.into_iter().collect();
        let mut covered = held.clone();
        for gap in intervals("SELECT first, last FROM gap WHERE stream = ?1 AND first IS NOT NULL")? {
            covered.insert_all(gap);
        }
        Ok(Held { id, run, hub, held, covered })
    }

    fn id(&self, sql: &str, params: impl rusqlite::Params) -> Sqlite<i64> {
        self.db.prepare_cached(sql)?.query_row(params, |row| row.get(0))
    }

    fn run_id(&self, hub: i64, run: RunId) -> Sqlite<i64> {
        self.id(
            "INSERT INTO run (hub, name, counter) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET name = name RETURNING id",
            params![hub, run.to_string(), int(run.counter)],
        )
    }

    fn store_interval(&self, stream: i64, gone: &[u64], now: Interval) -> Sqlite<()> {
        for first in gone {
            self.db
                .prepare_cached("DELETE FROM held WHERE stream = ?1 AND first = ?2")?
                .execute([stream, int(*first)])?;
        }
        self.db
            .prepare_cached("INSERT INTO held VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET last = ?3")?
            .execute([stream, int(now.first), int(now.last)])?;
        Ok(())
    }

    /// Raises a stream's counters to what was told. They only grow, so order does not matter.
    fn tell(&self, stream: i64, counts: &StreamCounts) -> Sqlite<()> {
        self.db
            .prepare_cached(
                "UPDATE stream SET seq = max(seq, ?2), read = max(read, ?3), filtered = max(filtered, ?4),
                                   refused = max(refused, ?5) WHERE id = ?1",
            )?
            .execute([stream, int(counts.seq), int(counts.read), int(counts.filtered), int(counts.refused)])?;
        Ok(())
    }

    /// The connection, for the ledger's and the tests' own questions.
    #[cfg(test)]
    pub(crate) const fn connection(&self) -> &Connection {
        &self.db
    }
}

fn key(message: &Accepted, run: RunId, stream: Stream) -> StreamKey {
    StreamKey { site: message.site.clone(), hub: message.hub.clone(), run, stream }
}

/// A count as SQLite holds it.
fn int(count: u64) -> i64 {
    i64::try_from(count).expect("counts above 2^53 are refused before they come here")
}

/// A count as SQLite gave it.
pub(crate) fn count(row: &Row<'_>, column: usize) -> Sqlite<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn two_texts(row: &Row<'_>) -> Sqlite<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}
