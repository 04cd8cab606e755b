//! The reads behind `next`, acknowledgements and eviction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use curb_model::{Class, HubTime, Lane, RowId};
use rusqlite::{OptionalExtension as _, Row, Rows, params};

use crate::queue::Waiting;

use super::{Disk, Error, lane_number, signed, unsigned};

/// A row of `message` without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) row: i64,
    /// `stream.id`.
    pub(crate) stream: i64,
    pub(crate) seq: u64,
    pub(crate) lane: Lane,
    pub(crate) readings: u32,
    pub(crate) first: HubTime,
    pub(crate) last: HubTime,
    /// Length of the payload.
    pub(crate) len: u64,
}

impl Stored {
    /// Whether it was set aside and is put back: a gap record tells of its readings.
    pub(crate) const fn is_released(&self) -> bool {
        matches!(self.lane, Lane::Data | Lane::Alarm) && self.readings == 0
    }
}

/// A row of `message`.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) stored: Stored,
    pub(crate) payload: Arc<[u8]>,
    /// What [`sum`](super::sum) said when it was written. `None`: by a version without sums, or not written yet.
    pub(crate) sum: Option<i64>,
}

/// What a filter says about a row that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admit {
    Take,
    Skip,
    /// Nothing from here on.
    Stop,
}

impl Disk {
    /// Alarms, or all other rows of the queue, behind `after`, in order, as `admit` says.
    pub(crate) fn next(
        &self,
        class: Class,
        after: i64,
        mut admit: impl FnMut(&Stored) -> Admit,
    ) -> Result<Vec<Frozen>, Error> {
        // Alarms have an index: they are looked for in a long back-log each time that something is new.
        let sql = match class {
            Class::Alarm => {
                "select row, stream, seq, lane, readings, first, last, length(payload), payload, sum \
                 from message where row > ?1 and lane = 1 order by row"
            }
            Class::Data => {
                "select row, stream, seq, lane, readings, first, last, length(payload), payload, sum \
                 from message where row > ?1 and lane <> 1 order by row"
            }
        };
        let mut statement = self.connection()?.prepare_cached(sql)?;
        let mut rows = statement.query([after.max(0)])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let stored = stored(row)?;
            match admit(&stored) {
                Admit::Take => {
                    let payload = row.get_ref(8)?.as_blob().map_err(|_| Error::Nonsense { what: "payload" })?;
                    found.push(Frozen { stored, payload: payload.into(), sum: row.get(9)? });
                }
                Admit::Skip => {}
                Admit::Stop => break,
            }
        }
        Ok(found)
    }

    /// One row, if it is there.
    pub(crate) fn find(&self, row: RowId) -> Result<Option<Stored>, Error> {
        let sql = "select row, stream, seq, lane, readings, first, last, length(payload) from message where row = ?1";
        let mut statement = self.connection()?.prepare_cached(sql)?;
        let mut rows = statement.query([row.0])?;
        rows.next()?.map(stored).transpose()
    }

    /// Rows of a stream up to and with `seq`, except those in `gone` and those of which a gap record tells; at most `limit`.
    pub(crate) fn up_to(
        &self,
        stream: i64,
        seq: u64,
        gone: &BTreeSet<i64>,
        limit: usize,
    ) -> Result<Vec<Stored>, Error> {
        let sql = "select row, stream, seq, lane, readings, first, last, length(payload) \
                   from message where stream = ?1 and seq <= ?2 and (readings > 0 or lane > 1) order by seq";
        let mut statement = self.connection()?.prepare_cached(sql)?;
        let mut rows = statement.query([stream, signed(seq)])?;
        collect(&mut rows, gone, limit)
    }

    /// The oldest rows of a lane, except those in `gone`: first of the queue, then of those that wait for the clock.
    pub(crate) fn oldest(&self, lane: Lane, gone: &BTreeSet<i64>, limit: usize) -> Result<Vec<Stored>, Error> {
        let sql = "select row, stream, seq, lane, readings, first, last, length(payload) \
                   from message where row between ?1 and ?2 and lane = ?3 order by row";
        let mut statement = self.connection()?.prepare_cached(sql)?;
        let mut found = Vec::new();
        for (from, to) in [(0, i64::MAX), (i64::MIN, -1)] {
            let mut rows = statement.query(params![from, to, lane_number(lane)])?;
            found.append(&mut collect(&mut rows, gone, limit - found.len())?);
        }
        Ok(found)
    }

    /// What really waits, by stream. Reads every row.
    pub(crate) fn count(&self) -> Result<BTreeMap<i64, Waiting>, Error> {
        let sql =
            "select stream, lane, count(*), sum(length(payload)), sum(readings) from message group by stream, lane";
        let mut statement = self.connection()?.prepare(sql)?;
        let mut rows = statement.query([])?;
        let mut counted: BTreeMap<i64, Waiting> = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (count, len, readings) = (unsigned(row.get(2)?)?, unsigned(row.get(3)?)?, unsigned(row.get(4)?)?);
            counted.entry(row.get(0)?).or_default().add(Waiting::of(lane(row.get(1)?)?, count, len, readings));
        }
        Ok(counted)
    }

    /// Whether there is no message, those that wait for the clock among them.
    pub(crate) fn is_empty(&self) -> Result<bool, Error> {
        let sql = "select not exists (select 1 from message)";
        Ok(self.connection()?.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
    }

    /// Hub time of the oldest reading in the queue.
    pub(crate) fn oldest_reading(&self) -> Result<Option<HubTime>, Error> {
        let sql = "select first from message where row > ?1 and readings > 0 order by row limit 1";
        let mut statement = self.connection()?.prepare_cached(sql)?;
        let mut first = |after: i64| statement.query_row([after], |row| row.get(0)).optional();
        // What waits for the clock is newer than all else.
        let oldest = first(0)?.map_or_else(|| first(i64::MIN), |time| Ok(Some(time)))?;
        Ok(oldest.map(HubTime::from_nanos))
    }
}

fn collect(rows: &mut Rows<'_>, gone: &BTreeSet<i64>, limit: usize) -> Result<Vec<Stored>, Error> {
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let stored = stored(row)?;
        if !gone.contains(&stored.row) {
            found.push(stored);
        }
    }
    Ok(found)
}

fn stored(row: &Row<'_>) -> Result<Stored, Error> {
    Ok(Stored {
        row: row.get(0)?,
        stream: row.get(1)?,
        seq: unsigned(row.get(2)?)?,
        lane: lane(row.get(3)?)?,
        readings: row.get(4)?,
        first: HubTime::from_nanos(row.get(5)?),
        last: HubTime::from_nanos(row.get(6)?),
        len: unsigned(row.get(7)?)?,
    })
}

pub(super) fn lane(number: i64) -> Result<Lane, Error> {
    [Lane::Data, Lane::Alarm, Lane::Run, Lane::Gap, Lane::Clock, Lane::Audit]
        .into_iter()
        .find(|lane| lane_number(*lane) == number)
        .ok_or(Error::Nonsense { what: "lane" })
}
