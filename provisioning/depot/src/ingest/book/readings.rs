//! Rows of messages and their readings.

use curb_model::{Sample, UtcOffset, Value};
use curb_wire::record::StreamCounts;
use curb_wire::senml::{Record, Time};
use rusqlite::types::Value as Sql;
use rusqlite::{OptionalExtension as _, params};

use super::{Book, Sqlite, int};

/// Where a message's readings go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) hub: i64,
    pub(super) run: i64,
    pub(super) stream: i64,
    pub(super) seq: i64,
}

impl Book {
    pub(super) fn store_message(
        &self,
        place: Place,
        counts: &StreamCounts,
        records: &[Record],
        now_ms: i64,
    ) -> Sqlite<()> {
        let Place { run, stream, seq, .. } = place;
        let time_ms = records.first().map(|record| self.date(run, record.time)).transpose()?.flatten();
        let StreamCounts { read, filtered, refused, .. } = *counts;
        let readings = int(records.len() as u64);
        self.db.prepare_cached("INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(params![
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

    pub(super) fn store_readings(&self, place: Place, records: &[Record]) -> Sqlite<()> {
        for (n, record) in records.iter().enumerate() {
            let ht = match record.time {
                Time::Utc(_) => None,
                Time::Hub(at) => Some(at.as_nanos()),
            };
            self.db.prepare_cached("INSERT INTO reading VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?.execute(params![
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
                .prepare_cached("SELECT id FROM point WHERE hub = ?1 AND name = ?2 ORDER BY id DESC")?
                .query_row(params![hub, name], |row| row.get(0))
                .optional()?,
        };
        if let Some(id) = known {
            return Ok(id);
        }
        let unit = record.unit.as_deref().unwrap_or_default();
        self.id("INSERT INTO point (hub, name, unit) VALUES (?1, ?2, ?3) RETURNING id", params![hub, name, unit])
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
}

/// How good a reading is, in one word; the same in the database and in the JSON lines.
pub(crate) fn quality(sample: &Sample) -> String {
    match sample {
        Sample::Good(_) => "good".to_owned(),
        Sample::Uncertain(_, reason) => format!("uncertain:{reason}"),
        Sample::Bad(reason) => format!("bad:{reason}"),
    }
}

/// SQLite has signed integers only: what does not fit is kept as its decimal digits.
pub(super) fn sql_value(value: &Value) -> Sql {
    match value {
        Value::Bool(b) => Sql::Integer((*b).into()),
        Value::I64(i) => Sql::Integer(*i),
        Value::U64(u) => i64::try_from(*u).map_or_else(|_| Sql::Text(u.to_string()), Sql::Integer),
        Value::F64(x) => Sql::Real(x.get()),
        Value::Text(text) => Sql::Text(text.to_string()),
        Value::Bytes(bytes) => Sql::Blob(bytes.to_vec()),
    }
}
