//! From the ingester's database to accounts.

use std::collections::BTreeMap;

use super::balance::{Account, Ended, GapEntry, Line, Loss, Sums, Told, add_days, balance, close_days, count};
use super::side::{Evidence, Finding, Side, Standing, heard_ms, judge, uncounted};
use crate::clock::day;
use crate::db::{Access, Asked, Db, Row, cells};
use crate::intervals::Interval;
use curb_model::GapReason;

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
    /// What it said of itself last.
    pub(super) standing: Option<Standing>,
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
    /// Of its row.
    id: i64,
    pub(super) stream: String,
    pub(super) line: Line,
    /// Readings in gap records whose counters may still be on the way.
    uncounted: u64,
    pub(super) duplicates: u64,
    /// Why it does not close.
    pub(super) finding: Option<Finding>,
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

    /// Where the worst mistake is; `None` if there is none to be found in a stream.
    pub(super) fn side(&self) -> Option<Side> {
        let streams = self.runs.iter().flat_map(|run| &run.streams);
        streams.filter_map(|stream| stream.finding.as_ref()).map(|finding| finding.side).max()
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
pub(super) fn read(db: &mut Db, hub: Option<&str>) -> Asked<Ledger> {
    db.begin(Access::Read)?;
    let ledger = read_all(db, hub);
    db.roll_back();
    ledger
}

fn read_all(db: &mut Db, hub: Option<&str>) -> Asked<Ledger> {
    let refused = db.first("SELECT count FROM refused_total", &[], |row| row.count(0))?;
    let names = |row: &Row| Ok((row.int(0)?, row.text(1)?, row.text(2)?));
    let hubs = match hub {
        None => db.rows("SELECT id, site, name FROM hub ORDER BY site, name", &[], names)?,
        Some(hub) => db.rows("SELECT id, site, name FROM hub WHERE name = ?1 ORDER BY site", cells![hub], names)?,
    };
    let hubs = hubs.into_iter().map(|(id, site, hub)| read_hub(db, id, site, hub)).collect::<Asked<_>>()?;
    Ok(Ledger { hubs, refused_messages: refused.unwrap_or_default() })
}

fn read_hub(db: &mut Db, id: i64, site: String, hub: String) -> Asked<HubBook> {
    let standing = read_standing(db, id)?;
    let mut left = standing.and_then(|standing| standing.queue).unwrap_or_default();
    let (runs, days) = (Vec::new(), BTreeMap::new());
    let mut book = HubBook { site, hub, total: Sums::default(), duplicates: 0, standing, runs, days };
    let runs: Vec<(i64, String, Option<String>)> =
        db.rows("SELECT id, name, ended FROM run WHERE hub = ?1 ORDER BY id", cells![id], |row| {
            Ok((row.int(0)?, row.text(1)?, row.maybe_text(2)?))
        })?;
    let newest = runs.last().map(|run| run.0);
    let heard_ms = heard_ms(standing, read_newest(db, newest)?);
    for (run_id, run, ended) in runs {
        let ended = match ended.as_deref() {
            Some("clean") => Ended::Clean,
            Some("killed") => Ended::Killed,
            Some(_) => Ended::Unknown,
            None if Some(run_id) == newest => Ended::Running,
            None => Ended::Unknown,
        };
        let mut streams = Vec::new();
        for mut stream in read_streams(db, run_id, ended, heard_ms, &mut book.days)? {
            let hole_ms = read_evidence(db, stream.id, &stream.line)?;
            let evidence = Evidence { hole_ms, uncounted: stream.uncounted };
            stream.finding = judge(&mut stream.line, standing, &mut left, evidence);
            book.total.add(&stream.line.sums);
            book.duplicates += stream.duplicates;
            streams.push(stream);
        }
        book.runs.push(RunBook { run, ended, streams });
    }
    close_days(&mut book.days, &book.total);
    Ok(book)
}

fn read_standing(db: &mut Db, hub: i64) -> Asked<Option<Standing>> {
    db.first("SELECT received_ms, online, queue_rows, queue_readings FROM status WHERE hub = ?1", cells![hub], |row| {
        let queue = row.maybe_count(2)?.zip(row.maybe_count(3)?);
        let queue = queue.map(|(messages, readings)| Loss { messages, readings });
        Ok(Standing { received_ms: row.int(0)?, online: row.int(1)? != 0, queue })
    })
}

/// When the newest reading was read whose message of this run has come, by the hub's clock while it was trusted. Without alarms,
/// which overtake what waits.
fn read_newest(db: &mut Db, run: Option<i64>) -> Asked<Option<i64>> {
    let Some(run) = run else { return Ok(None) };
    let sql = "SELECT max((SELECT time_ms FROM message WHERE message.stream = stream.id ORDER BY seq DESC LIMIT 1))
               FROM stream WHERE run = ?1 AND name NOT LIKE '%.alarm'";
    Ok(db.first(sql, cells![run], |row| row.maybe_int(0))?.flatten())
}

/// When the first message behind a stream's first hole came; 0 where none has.
fn read_evidence(db: &mut Db, stream: i64, line: &Line) -> Asked<i64> {
    let Some(hole) = line.missing.first() else { return Ok(0) };
    let sql = "SELECT min(received_ms) FROM message WHERE stream = ?1 AND seq > ?2";
    Ok(db.first(sql, cells![stream, hole.first], |row| row.maybe_int(0))?.flatten().unwrap_or(0))
}

fn read_streams(
    db: &mut Db,
    run: i64,
    ended: Ended,
    heard_ms: Option<i64>,
    days: &mut BTreeMap<i64, Sums>,
) -> Asked<Vec<StreamBook>> {
    let heads: Vec<(i64, String, u64, Account)> = db.rows(
        "SELECT id, name, duplicates, seq, read, filtered, refused, delivered, receipted, durable
         FROM stream WHERE run = ?1 ORDER BY name",
        cells![run],
        |row| {
            // What the next run did not list had nothing on the disk.
            let durable = if ended == Ended::Killed { Some(row.maybe_count(9)?.unwrap_or(0)) } else { None };
            let account = Account {
                seq: row.count(3)?,
                read: row.count(4)?,
                filtered: row.count(5)?,
                refused: row.count(6)?,
                delivered: row.count(7)?,
                receipted: row.count(8)?,
                durable,
                ..Account::default()
            };
            Ok((row.int(0)?, row.text(1)?, row.count(2)?, account))
        },
    )?;
    let mut streams = Vec::with_capacity(heads.len());
    for (id, stream, duplicates, mut account) in heads {
        let held = read_held(db, id)?;
        let told = read_told(db, id)?;
        // Records have no row in `message`.
        if !stream.starts_with('_') {
            let stored: u64 = told.iter().map(|told| told.messages).sum();
            let readings: u64 = told.iter().map(|told| told.readings).sum();
            let messages = count(&held).saturating_sub(stored);
            account.lost = Loss { messages, readings: account.delivered.saturating_sub(readings) };
        }
        account.covered = held.into_iter().collect();
        read_gaps(db, id, &mut account, days)?;
        add_days(days, told);
        let uncounted = uncounted(&account.gaps, ended, heard_ms);
        streams.push(StreamBook { id, stream, line: balance(&account), uncounted, duplicates, finding: None });
    }
    Ok(streams)
}

fn read_held(db: &mut Db, stream: i64) -> Asked<Vec<Interval>> {
    let interval = |row: &Row| Ok(Interval { first: row.count(0)?, last: row.count(1)? });
    db.rows("SELECT first, last FROM held WHERE stream = ?1", cells![stream], interval)
}

struct GapRow {
    entry: GapEntry,
    /// `None` for readings that never had a message.
    messages: Option<Interval>,
    at_ms: i64,
}

/// A gap's day is the day of its first missing reading where that can be known, else the day on which it was told.
fn read_gaps(db: &mut Db, stream: i64, account: &mut Account, days: &mut BTreeMap<i64, Sums>) -> Asked<()> {
    let gaps: Vec<GapRow> = db.rows(
        "SELECT reason, first, last, count,
                arrived + (SELECT CAST(coalesce(sum(readings), 0) AS BIGINT) FROM message
                           WHERE message.stream = gap.stream AND message.seq BETWEEN first AND last),
                coalesce((SELECT (gap.from_ht + utc_offset) / 1000000 FROM clock JOIN stream ON stream.run = clock.run
                          WHERE stream.id = gap.stream AND utc_offset IS NOT NULL ORDER BY clock.seq LIMIT 1),
                         received_ms),
                received_ms
         FROM gap WHERE stream = ?1",
        cells![stream],
        |row| {
            let messages = row.maybe_count(1)?.zip(row.maybe_count(2)?).map(|(first, last)| Interval { first, last });
            let reason: GapReason = row.text(0)?.parse().expect("the ingester stores reasons that it knows");
            let entry = GapEntry { reason, count: row.count(3)?, arrived: row.count(4)?, received_ms: row.int(6)? };
            Ok(GapRow { entry, messages, at_ms: row.int(5)? })
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
fn read_told(db: &mut Db, stream: i64) -> Asked<Vec<Told>> {
    db.rows(
        "SELECT coalesce(time_ms, received_ms) / 86400000, 1, readings, read, filtered, refused FROM message
         WHERE stream = ?1
         UNION ALL SELECT day, messages, delivered, read, filtered, refused FROM told WHERE stream = ?1
         ORDER BY 4, 5, 6",
        cells![stream],
        |row| {
            Ok(Told {
                day: row.int(0)?,
                messages: row.count(1)?,
                readings: row.count(2)?,
                read: row.count(3)?,
                filtered: row.count(4)?,
                refused: row.count(5)?,
            })
        },
    )
}
