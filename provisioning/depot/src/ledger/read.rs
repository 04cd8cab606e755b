//! From the ingester's database to accounts.

use std::collections::BTreeMap;

use curb_model::GapReason;
use rusqlite::{Connection, Row, params};

use super::balance::{Account, Ended, GapEntry, Line, Sums, Told, add_days, balance, close_days};
use crate::ingest::count;
use crate::ingest::schema::day;
use crate::intervals::{Interval, IntervalSet};

type Sqlite<T> = Result<T, rusqlite::Error>;

/// The books of all hubs asked for.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) hubs: Vec<HubBook>,
    /// Publishes that could not be read, of all hubs.
    pub(super) refused_messages: u64,
}

/// One hub.
#[derive(Debug)]
pub(super) struct HubBook {
    pub(super) site: String,
    pub(super) hub: String,
    pub(super) total: Sums,
    pub(super) duplicates: u64,
    pub(super) runs: Vec<RunBook>,
    /// By day, in days since 1970 (UTC).
    pub(super) days: BTreeMap<i64, Sums>,
}

/// One run.
#[derive(Debug)]
pub(super) struct RunBook {
    pub(super) run: String,
    pub(super) ended: Ended,
    pub(super) streams: Vec<StreamBook>,
}

/// One stream of a run.
#[derive(Debug)]
pub(super) struct StreamBook {
    pub(super) stream: String,
    pub(super) line: Line,
    pub(super) duplicates: u64,
}

impl Ledger {
    pub(super) fn closes(&self) -> bool {
        self.hubs.iter().all(HubBook::closes)
    }
}

impl HubBook {
    pub(super) fn closes(&self) -> bool {
        self.runs.iter().all(RunBook::closes)
    }
}

impl RunBook {
    /// A run of which nobody told the end may have read more than anybody knows.
    pub(super) fn closes(&self) -> bool {
        self.ended != Ended::Unknown && self.streams.iter().all(|stream| stream.line.closes())
    }
}

/// Reads the books of one hub (by name, at whatever site), or of all. One read transaction, so that the sums fit
/// together while the ingester writes.
pub(super) fn read(db: &Connection, hub: Option<&str>) -> Sqlite<Ledger> {
    let db = &db.unchecked_transaction()?;
    let refused_messages = db.query_row("SELECT count FROM refused_total", [], |row| count(row, 0))?;
    let hubs: Vec<(i64, String, String)> = rows(
        db,
        "SELECT id, site, name FROM hub WHERE ?1 IS NULL OR name = ?1 ORDER BY site, name",
        params![hub],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let hubs = hubs.into_iter().map(|(id, site, hub)| read_hub(db, id, site, hub)).collect::<Sqlite<_>>()?;
    Ok(Ledger { hubs, refused_messages })
}

fn rows<T>(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    map: impl FnMut(&Row<'_>) -> Sqlite<T>,
) -> Sqlite<Vec<T>> {
    db.prepare_cached(sql)?.query_map(params, map)?.collect()
}

fn read_hub(db: &Connection, id: i64, site: String, hub: String) -> Sqlite<HubBook> {
    let mut book =
        HubBook { site, hub, total: Sums::default(), duplicates: 0, runs: Vec::new(), days: BTreeMap::new() };
    let runs: Vec<(i64, String, Option<String>)> =
        rows(db, "SELECT id, name, ended FROM run WHERE hub = ?1 ORDER BY counter, id", [id], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let newest = runs.last().map(|run| run.0);
    for (run_id, run, ended) in runs {
        let ended = match ended.as_deref() {
            Some("clean") => Ended::Clean,
            Some("killed") => Ended::Killed,
            Some(_) => Ended::Unknown,
            None if Some(run_id) == newest => Ended::Running,
            None => Ended::Unknown,
        };
        let mut streams = Vec::new();
        for stream in read_streams(db, run_id, &mut book.days)? {
            book.total.add(&stream.line.sums);
            book.duplicates += stream.duplicates;
            streams.push(stream);
        }
        book.runs.push(RunBook { run, ended, streams });
    }
    close_days(&mut book.days);
    Ok(book)
}

fn read_streams(db: &Connection, run: i64, days: &mut BTreeMap<i64, Sums>) -> Sqlite<Vec<StreamBook>> {
    let heads: Vec<(i64, String, u64, Account)> = rows(
        db,
        "SELECT id, name, duplicates, seq, read, filtered, refused, delivered FROM stream WHERE run = ?1 ORDER BY name",
        [run],
        |row| {
            let account = Account {
                seq: count(row, 3)?,
                read: count(row, 4)?,
                filtered: count(row, 5)?,
                refused: count(row, 6)?,
                delivered: count(row, 7)?,
                ..Account::default()
            };
            Ok((row.get(0)?, row.get(1)?, count(row, 2)?, account))
        },
    )?;
    let mut streams = Vec::with_capacity(heads.len());
    for (id, stream, duplicates, mut account) in heads {
        account.covered = read_held(db, id)?;
        read_gaps(db, id, &mut account, days)?;
        add_days(days, read_told(db, id)?);
        streams.push(StreamBook { stream, line: balance(&account), duplicates });
    }
    Ok(streams)
}

fn read_held(db: &Connection, stream: i64) -> Sqlite<IntervalSet> {
    let interval = |row: &Row<'_>| Ok(Interval { first: count(row, 0)?, last: count(row, 1)? });
    Ok(rows(db, "SELECT first, last FROM held WHERE stream = ?1", [stream], interval)?.into_iter().collect())
}

struct GapRow {
    entry: GapEntry,
    /// `None` for readings that never had a message.
    messages: Option<Interval>,
    at_ms: i64,
}

/// A gap's day is the day of its first missing reading where that can be known, else the day on which it was told.
fn read_gaps(db: &Connection, stream: i64, account: &mut Account, days: &mut BTreeMap<i64, Sums>) -> Sqlite<()> {
    let gaps: Vec<GapRow> = rows(
        db,
        "SELECT reason, first, last, count,
                (SELECT coalesce(sum(readings), 0) FROM message
                 WHERE message.stream = gap.stream AND seq BETWEEN first AND last),
                coalesce((SELECT (gap.from_ht + utc_offset) / 1000000 FROM clock JOIN stream ON stream.run = clock.run
                          WHERE stream.id = gap.stream AND utc_offset IS NOT NULL ORDER BY clock.seq LIMIT 1),
                         received_ms)
         FROM gap WHERE stream = ?1",
        [stream],
        |row| {
            let number = |column| row.get::<_, Option<i64>>(column)?.map(|_| count(row, column)).transpose();
            let messages = number(1)?.zip(number(2)?).map(|(first, last)| Interval { first, last });
            let reason: String = row.get(0)?;
            let reason: GapReason = reason.parse().expect("the ingester stores reasons that it knows");
            let entry = GapEntry { reason, count: count(row, 3)?, arrived: count(row, 4)? };
            Ok(GapRow { entry, messages, at_ms: row.get(5)? })
        },
    )?;
    for GapRow { entry, messages, at_ms } in gaps {
        messages.into_iter().for_each(|interval| drop(account.covered.insert_all(interval)));
        account.gaps.push(entry);
        let day = days.entry(day(at_ms)).or_default();
        *day.gaps.entry(entry.reason).or_default() += entry.count.saturating_sub(entry.arrived);
    }
    Ok(())
}

/// In the order of the counters, which only grow.
fn read_told(db: &Connection, stream: i64) -> Sqlite<Vec<Told>> {
    rows(
        db,
        "SELECT coalesce(time_ms, received_ms) / 86400000, readings, read, filtered, refused FROM message WHERE stream = ?1
         UNION ALL SELECT day, 0, read, filtered, refused FROM told WHERE stream = ?1
         ORDER BY read, filtered, refused",
        [stream],
        |row| {
            Ok(Told {
                day: row.get(0)?,
                readings: count(row, 1)?,
                read: count(row, 2)?,
                filtered: count(row, 3)?,
                refused: count(row, 4)?,
            })
        },
    )
}
