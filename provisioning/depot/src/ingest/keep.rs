//! Deleting readings that are older than `--keep`, in the background.
//!
//! A message goes as a whole, when its first reading is old enough. What the ledger needs of it stays: its number in `held`,
//! its counters and readings in the sums of its day (`told`), and what it takes off a gap (`gap.arrived`). So the ledger's
//! totals are the same before and after.
//!
//! A batch is one short transaction on a connection of its own, and after each the keeper rests for as long as it took:
//! the writer waits for one batch at most, and has half of the time for itself. Several keepers of one database do no harm:
//! a batch locks its streams as the writer does, and folds only rows that it has deleted itself.
//!
//! Deliberately absent: giving space back to the system. The database uses it again.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::clock;
use crate::db::{Access, Asked, Db, Place, Row, cells};
use crate::error::chain;

/// Between two looks for what has become old. Guessed: often enough that each look has little to do.
const PASS: Duration = Duration::from_secs(60);

/// Messages in one batch: some ten milliseconds of work.
const BATCH: u64 = 500;

/// The keeper's rest after a batch.
const REST: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Deletes what is older than `keep` until `stop` is hung up. An error is told and tried again at the next pass: that
/// readings stay for too long is no reason to take none.
pub(super) fn run(place: &Place, keep: Duration, stop: &Receiver<()>) {
    let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let mut open = None;
    loop {
        let passed = pass(&mut open, place, keep_ms, stop);
        if let Err(error) = passed {
            warn!(why = %chain(&*error), "old readings are not deleted");
            open = None;
        }
        if !waited(stop, PASS) {
            return;
        }
    }
}

fn pass(
    open: &mut Option<Db>,
    place: &Place,
    keep_ms: i64,
    stop: &Receiver<()>,
) -> Result<(), Box<dyn std::error::Error>> {
    let db = match open {
        Some(db) => db,
        None => open.insert(Db::open_for_writing(place)?),
    };
    let before_ms = clock::now_ms().saturating_sub(keep_ms);
    let mut messages = 0;
    loop {
        let began = Instant::now();
        let deleted = delete(db, before_ms, BATCH)?;
        messages += deleted;
        if deleted == 0 || !waited(stop, began.elapsed().clamp(REST.0, REST.1)) {
            break;
        }
    }
    if messages > 0 {
        info!(messages, "deleted old readings");
    }
    Ok(())
}

/// Waits; says no when the keeper is asked to end.
fn waited(stop: &Receiver<()>, wait: Duration) -> bool {
    matches!(stop.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}

/// Deletes a batch of messages that begin before `before_ms`, and their readings. Returns how many; 0 when none is left.
pub(crate) fn delete(db: &mut Db, before_ms: i64, batch: u64) -> Asked<u64> {
    db.begin(Access::Write)?;
    let deleted = delete_in_transaction(db, before_ms, batch);
    match &deleted {
        Ok(_) => db.commit()?,
        Err(_) => db.roll_back(),
    }
    deleted
}

fn delete_in_transaction(db: &mut Db, before_ms: i64, batch: u64) -> Asked<u64> {
    // By stream, so that locks are taken in the order of ids, as everywhere.
    let ranges = db.rows(
        "SELECT stream, min(seq), max(seq) FROM
             (SELECT stream, seq FROM message WHERE coalesce(time_ms, received_ms) < ?1
              ORDER BY coalesce(time_ms, received_ms) LIMIT ?2) AS oldest
         GROUP BY stream ORDER BY stream",
        cells![before_ms, batch],
        |row| Ok((row.int(0)?, row.count(1)?, row.count(2)?)),
    )?;
    let lock = db.pick("SELECT id FROM stream WHERE id = ?1", "SELECT id FROM stream WHERE id = ?1 FOR UPDATE");
    for &(stream, ..) in &ranges {
        db.first(lock, cells![stream], |_| Ok(()))?;
    }
    let mut deleted = 0;
    for (stream, first, last) in ranges {
        let gone = db.rows(
            "DELETE FROM message WHERE stream = ?1 AND seq BETWEEN ?2 AND ?3 AND coalesce(time_ms, received_ms) < ?4
             RETURNING seq, coalesce(time_ms, received_ms), readings, read, filtered, refused",
            cells![stream, first, last, before_ms],
            gone,
        )?;
        db.run(
            "DELETE FROM sample WHERE stream = ?1 AND seq BETWEEN ?2 AND ?3 AND NOT EXISTS
                 (SELECT 1 FROM message WHERE message.stream = sample.stream AND message.seq = sample.seq)",
            cells![stream, first, last],
        )?;
        fold_days(db, stream, &gone)?;
        fold_gaps(db, stream, &gone)?;
        deleted += gone.len() as u64;
    }
    Ok(deleted)
}

/// What the ledger needs of a message that was deleted.
#[derive(Debug, Clone, Copy)]
struct Gone {
    seq: u64,
    day: i64,
    readings: u64,
    read: u64,
    filtered: u64,
    refused: u64,
}

fn gone(row: &Row) -> Asked<Gone> {
    Ok(Gone {
        seq: row.count(0)?,
        day: clock::day(row.int(1)?),
        readings: row.count(2)?,
        read: row.count(3)?,
        filtered: row.count(4)?,
        refused: row.count(5)?,
    })
}

/// Adds what was deleted to the sums of its days: the greatest counters, as run records tell them, and what was held.
fn fold_days(db: &mut Db, stream: i64, gone: &[Gone]) -> Asked<()> {
    let mut days: BTreeMap<i64, (u64, Gone)> = BTreeMap::new();
    for one in gone {
        let (messages, sum) = days.entry(one.day).or_insert((0, Gone { readings: 0, ..*one }));
        *messages += 1;
        sum.readings += one.readings;
        sum.read = sum.read.max(one.read);
        sum.filtered = sum.filtered.max(one.filtered);
        sum.refused = sum.refused.max(one.refused);
    }
    for (day, (messages, sum)) in days {
        db.run(
            "INSERT INTO told (stream, day, read, filtered, refused, messages, delivered)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (stream, day) DO UPDATE SET
                 read = CASE WHEN excluded.read > told.read THEN excluded.read ELSE told.read END,
                 filtered = CASE WHEN excluded.filtered > told.filtered THEN excluded.filtered ELSE told.filtered END,
                 refused = CASE WHEN excluded.refused > told.refused THEN excluded.refused ELSE told.refused END,
                 messages = told.messages + excluded.messages, delivered = told.delivered + excluded.delivered",
            cells![stream, day, sum.read, sum.filtered, sum.refused, messages, sum.readings],
        )?;
    }
    Ok(())
}

/// Keeps what messages that arrived all the same take off the gaps that have them in their range.
fn fold_gaps(db: &mut Db, stream: i64, gone: &[Gone]) -> Asked<()> {
    let gaps = db.rows(
        "SELECT told_by, told_seq, first, last FROM gap WHERE stream = ?1 AND first IS NOT NULL",
        cells![stream],
        |row| Ok((row.int(0)?, row.count(1)?, row.count(2)?, row.count(3)?)),
    )?;
    for (told_by, told_seq, first, last) in gaps {
        let arrived: u64 = gone.iter().filter(|one| (first..=last).contains(&one.seq)).map(|one| one.readings).sum();
        if arrived > 0 {
            db.run(
                "UPDATE gap SET arrived = arrived + ?4 WHERE stream = ?1 AND told_by = ?2 AND told_seq = ?3",
                cells![stream, told_by, told_seq, arrived],
            )?;
        }
    }
    Ok(())
}
