//! The database of the core: what every hub sent, each message once.
//!
//! One writer. Messages are applied inside a transaction that the [writer](super::writer) opens and commits; what they
//! make due (receipts) is handed out at the commit, so nothing is ever acknowledged that is not on disk.
//!
//! Deliberately absent: deleting old readings. Whoever does it may: `held` and the counters in `stream` do not need them.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;

use curb_model::{HubTime, Name, RunId, Sample, Stream, UtcOffset, Value};
use curb_wire::record::{ClockEvent, ClockRecord, GapRecord, RunEvent, RunRecord, StreamCounts};
use curb_wire::senml::{Record, Time};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

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

/// Where a message's readings go.
#[derive(Debug, Clone, Copy)]
struct Place {
    hub: i64,
    run: i64,
    stream: i64,
    seq: i64,
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
        db.busy_timeout(Duration::from_secs(10))
            .map_err(|source| Error::Database {
                act: "set a time-out",
                source,
            })?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(Self {
            db,
            streams: HashMap::new(),
            touched: BTreeSet::new(),
        })
    }

    /// Opens a transaction.
    pub(crate) fn begin(&mut self) -> Sqlite<()> {
        self.db
            .prepare_cached("BEGIN IMMEDIATE")?
            .execute([])
            .map(drop)
    }

    /// Makes everything since `begin` durable, and says which receipts that makes due.
    pub(crate) fn commit(&mut self) -> Sqlite<Vec<Due>> {
        self.db.prepare_cached("COMMIT")?.execute([])?;
        let mut due = Vec::new();
        for (site, hub, run, stream) in std::mem::take(&mut self.touched) {
            let key = StreamKey {
                site,
                hub,
                run,
                stream,
            };
            let seq = self.stream(&key)?.covered.contiguous();
            if seq > 0 {
                due.push(Due {
                    site: key.site,
                    hub: key.hub,
                    run: key.run,
                    stream: key.stream,
                    seq,
                });
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
            self.db
                .prepare_cached("UPDATE stream SET duplicates = duplicates + 1 WHERE id = ?1")?
                .execute([id])?;
            return Ok(Applied::Duplicate);
        };
        self.store_interval(id, &gone, now)?;
        match &message.body {
            Body::Readings { counts, records } => {
                let place = Place {
                    hub,
                    run,
                    stream: id,
                    seq: int(message.seq),
                };
                self.store_message(place, counts, records, now_ms)?;
                self.store_readings(place, records)?;
            }
            Body::Run(record) => {
                self.tell(
                    id,
                    &StreamCounts {
                        seq: message.seq,
                        ..StreamCounts::default()
                    },
                )?;
                self.apply_run(message, record, now_ms)?;
            }
            Body::Gap(record) => {
                self.tell(
                    id,
                    &StreamCounts {
                        seq: message.seq,
                        ..StreamCounts::default()
                    },
                )?;
                self.apply_gap(message, record, id, now_ms)?;
            }
            Body::Clock(record) => {
                self.tell(
                    id,
                    &StreamCounts {
                        seq: message.seq,
                        ..StreamCounts::default()
                    },
                )?;
                self.apply_clock(record, run)?;
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
            let rows = statement.query_map(
                params![site.as_str(), hub.as_str(), RUNS_REPEATED],
                two_texts,
            )?;
            rows.collect::<Sqlite<_>>()?
        };
        for (run, stream) in rows {
            if let (Ok(run), Ok(stream)) = (run.parse(), Stream::parse(&stream)) {
                self.touch(&StreamKey {
                    site: site.clone(),
                    hub: hub.clone(),
                    run,
                    stream,
                });
            }
        }
        Ok(())
    }

    /// Notes a publish that could not be read. Says whether it is the first of its kind.
    pub(crate) fn refuse(
        &mut self,
        topic: &str,
        payload: &[u8],
        reason: &str,
        now_ms: i64,
    ) -> Sqlite<bool> {
        let bytes = payload.len();
        let kept = &payload[..bytes.min(REFUSED_BYTES)];
        self.db
            .prepare_cached("UPDATE refused_total SET count = count + 1")?
            .execute([])?;
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
        self.touched.insert((
            key.site.clone(),
            key.hub.clone(),
            key.run,
            key.stream.clone(),
        ));
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
            let rows = statement.query_map([id], |row| {
                Ok(Interval {
                    first: count(row, 0)?,
                    last: count(row, 1)?,
                })
            })?;
            rows.collect()
        };
        let held: IntervalSet = intervals("SELECT first, last FROM held WHERE stream = ?1")?
            .into_iter()
            .collect();
        let mut covered = held.clone();
        for gap in intervals("SELECT first, last FROM gap WHERE stream = ?1 AND first IS NOT NULL")?
        {
            covered.insert_all(gap);
        }
        Ok(Held {
            id,
            run,
            hub,
            held,
            covered,
        })
    }

    fn id(&self, sql: &str, params: impl rusqlite::Params) -> Sqlite<i64> {
        self.db
            .prepare_cached(sql)?
            .query_row(params, |row| row.get(0))
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
            .prepare_cached(
                "INSERT INTO held VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET last = ?3",
            )?
            .execute([stream, int(now.first), int(now.last)])?;
        Ok(())
    }

    fn store_message(
        &self,
        place: Place,
        counts: &StreamCounts,
        records: &[Record],
        now_ms: i64,
    ) -> Sqlite<()> {
        let Place {
            run, stream, seq, ..
        } = place;
        let time_ms = records
            .first()
            .map(|record| self.date(run, record.time))
            .transpose()?
            .flatten();
        let StreamCounts {
            read,
            filtered,
            refused,
            ..
        } = *counts;
        let readings = int(records.len() as u64);
        self.db
            .prepare_cached("INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
            .execute(params![
                stream,
                seq,
                now_ms,
                time_ms,
                readings,
                int(read),
                int(filtered),
                int(refused)
            ])?;
        self.tell(stream, counts)?;
        self.db
            .prepare_cached("UPDATE stream SET delivered = delivered + ?2 WHERE id = ?1")?
            .execute([stream, readings])?;
        Ok(())
    }

    fn store_readings(&self, place: Place, records: &[Record]) -> Sqlite<()> {
        for (n, record) in records.iter().enumerate() {
            let ht = match record.time {
                Time::Utc(_) => None,
                Time::Hub(at) => Some(at.as_nanos()),
            };
            self.db
                .prepare_cached("INSERT INTO reading VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?
                .execute(params![
                    place.stream,
                    place.seq,
                    int(n as u64),
                    self.point(place.hub, record)?,
                    self.date(place.run, record.time)?,
                    ht,
                    record.sample.value().map(sql_value),
                    quality(&record.sample),
                ])?;
        }
        Ok(())
    }

    /// A bad reading has no unit on the wire: it belongs to the point as it is known, or to the point without a unit.
    fn point(&self, hub: i64, record: &Record) -> Sqlite<i64> {
        let name = record.point.to_string();
        let known = match &record.unit {
            Some(unit) => self
                .db
                .prepare_cached("SELECT id FROM point WHERE hub = ?1 AND name = ?2 AND unit = ?3")?
                .query_row(params![hub, name, unit], |row| row.get(0))
                .optional()?,
            None => self
                .db
                .prepare_cached(
                    "SELECT id FROM point WHERE hub = ?1 AND name = ?2 ORDER BY id DESC",
                )?
                .query_row(params![hub, name], |row| row.get(0))
                .optional()?,
        };
        if let Some(id) = known {
            return Ok(id);
        }
        let unit = record.unit.as_deref().unwrap_or_default();
        self.id(
            "INSERT INTO point (hub, name, unit) VALUES (?1, ?2, ?3) RETURNING id",
            params![hub, name, unit],
        )
    }

    /// UTC of a reading: its own, or by the first trusted clock record of its run after it. `None` until that has come.
    fn date(&self, run: i64, time: Time) -> Sqlite<Option<i64>> {
        let at = match time {
            Time::Utc(millis) => return Ok(Some(millis)),
            Time::Hub(at) => at,
        };
        let offset: Option<i64> = self
            .db
            .prepare_cached(
                "SELECT utc_offset FROM clock WHERE run = ?1 AND event = 'trusted' AND ht >= ?2 ORDER BY ht LIMIT 1",
            )?
            .query_row(params![run, at.as_nanos()], |row| row.get(0))
            .optional()?;
        Ok(offset.map(|nanos| at.utc_millis(UtcOffset::from_nanos(nanos))))
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

    fn apply_run(&mut self, message: &Accepted, record: &RunRecord, now_ms: i64) -> Sqlite<()> {
        for (name, counts) in &record.streams {
            self.tell_later(message, message.run, name, counts, now_ms)?;
        }
        if record.event == RunEvent::Closed {
            self.end(message, message.run, "clean")?;
        }
        if let Some(previous) = &record.previous {
            for (name, counts) in &previous.streams {
                self.tell_later(message, previous.run, name, counts, now_ms)?;
            }
            self.end(
                message,
                previous.run,
                if previous.clean { "clean" } else { "killed" },
            )?;
        }
        Ok(())
    }

    fn tell_later(
        &mut self,
        message: &Accepted,
        run: RunId,
        name: &str,
        counts: &StreamCounts,
        now_ms: i64,
    ) -> Sqlite<()> {
        let stream = Stream::parse(name).expect("checked when the record was accepted");
        let id = self.stream(&key(message, run, stream))?.id;
        self.tell(id, counts)?;
        self.db
            .prepare_cached(
                "INSERT INTO told VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
                 read = max(read, ?3), filtered = max(filtered, ?4), refused = max(refused, ?5)",
            )?
            .execute([
                id,
                schema::day(now_ms),
                int(counts.read),
                int(counts.filtered),
                int(counts.refused),
            ])?;
        Ok(())
    }

    fn end(&mut self, message: &Accepted, run: RunId, how: &str) -> Sqlite<()> {
        let hub = self
            .stream(&key(message, message.run, message.stream.clone()))?
            .hub;
        let id = self.run_id(hub, run)?;
        self.db
            .prepare_cached("UPDATE run SET ended = ?2 WHERE id = ?1")?
            .execute(params![id, how])?;
        Ok(())
    }

    fn apply_gap(
        &mut self,
        message: &Accepted,
        record: &GapRecord,
        told_by: i64,
        now_ms: i64,
    ) -> Sqlite<()> {
        let gap = &record.gap;
        let name = Stream::parse(&gap.stream).expect("checked when the record was accepted");
        let about = key(message, gap.run, name);
        let stream = self.stream(&about)?;
        let id = stream.id;
        if let (Some(first), Some(last)) = (gap.from, gap.to) {
            stream.covered.insert_all(Interval { first, last });
            self.tell(
                id,
                &StreamCounts {
                    seq: last,
                    ..StreamCounts::default()
                },
            )?;
        }
        self.db
            .prepare_cached("INSERT INTO gap VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?
            .execute(params![
                id,
                told_by,
                int(message.seq),
                now_ms,
                gap.reason.as_str(),
                gap.from.map(int),
                gap.to.map(int),
                gap.from_ht.as_nanos(),
                gap.to_ht.as_nanos(),
                int(gap.count),
            ])?;
        self.touch(&about);
        Ok(())
    }

    fn apply_clock(&self, record: &ClockRecord, run: i64) -> Sqlite<()> {
        let event = match record.event {
            ClockEvent::Trusted => "trusted",
            ClockEvent::Stepped => "stepped",
            ClockEvent::Lost => "lost",
        };
        let offset = record.offset.map(UtcOffset::as_nanos);
        self.db
            .prepare_cached("INSERT INTO clock VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![
                run,
                int(record.id.seq),
                event,
                record.ht.as_nanos(),
                offset,
                record.trust
            ])?;
        if let (ClockEvent::Trusted, Some(offset)) = (record.event, record.offset) {
            self.date_waiting(run, record.ht, offset)?;
        }
        Ok(())
    }

    /// Dates what waited for a clock record. Divisions are of positive numbers: no trusted clock shows a year before 1970.
    fn date_waiting(&self, run: i64, until: HubTime, offset: UtcOffset) -> Sqlite<()> {
        let values = params![run, until.as_nanos(), offset.as_nanos()];
        self.db
            .prepare_cached(
                "UPDATE message SET time_ms = (SELECT (ht + ?3) / 1000000 FROM reading
                                               WHERE reading.stream = message.stream AND reading.seq = message.seq AND n = 0)
                 WHERE time_ms IS NULL AND (stream, seq) IN
                       (SELECT stream, seq FROM reading WHERE time_ms IS NULL AND ht <= ?2 AND n = 0
                        AND stream IN (SELECT id FROM stream WHERE run = ?1))",
            )?
            .execute(values)?;
        self.db
            .prepare_cached(
                "UPDATE reading SET time_ms = (ht + ?3) / 1000000
                 WHERE time_ms IS NULL AND ht <= ?2 AND stream IN (SELECT id FROM stream WHERE run = ?1)",
            )?
            .execute(values)?;
        Ok(())
    }

    /// The connection, for the ledger's and the tests' own questions.
    #[cfg(test)]
    pub(crate) const fn connection(&self) -> &Connection {
        &self.db
    }
}

fn key(message: &Accepted, run: RunId, stream: Stream) -> StreamKey {
    StreamKey {
        site: message.site.clone(),
        hub: message.hub.clone(),
        run,
        stream,
    }
}

/// How good a reading is, in one word; the same in the database and in the JSON lines.
pub(super) fn quality(sample: &Sample) -> String {
    match sample {
        Sample::Good(_) => "good".to_owned(),
        Sample::Uncertain(_, reason) => format!("uncertain:{reason}"),
        Sample::Bad(reason) => format!("bad:{reason}"),
    }
}

/// SQLite has signed integers only: what does not fit is kept as its decimal digits.
fn sql_value(value: &Value) -> Sql {
    match value {
        Value::Bool(b) => Sql::Integer((*b).into()),
        Value::I64(i) => Sql::Integer(*i),
        Value::U64(u) => i64::try_from(*u).map_or_else(|_| Sql::Text(u.to_string()), Sql::Integer),
        Value::F64(x) => Sql::Real(x.get()),
        Value::Text(text) => Sql::Text(text.to_string()),
        Value::Bytes(bytes) => Sql::Blob(bytes.to_vec()),
    }
}

/// A count as SQLite holds it.
fn int(count: u64) -> i64 {
    i64::try_from(count).expect("counts above 2^63 are refused before they come here")
}

/// A count as SQLite gave it.
pub(crate) fn count(row: &Row<'_>, column: usize) -> Sqlite<u64> {
    let value: i64 = row.get(column)?;
    u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, value))
}

fn two_texts(row: &Row<'_>) -> Sqlite<(String, String)> {
    Ok((row.get(0)?, row.get(1)?))
}
