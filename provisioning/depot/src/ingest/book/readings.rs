//! Rows of messages and their readings. They are gathered during a transaction and written at its end, or before a clock
//! record dates them.

use curb_model::{Sample, UtcOffset, Value};
use curb_wire::record::StreamCounts;
use curb_wire::senml::{Record, Time};

use super::Book;
use crate::db::{Asked, Cell, Db, Kind, cells};

/// Where a message's readings go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) hub: i64,
    pub(super) run: i64,
    pub(super) stream: i64,
    pub(super) seq: u64,
}

/// Rows that are not written yet.
#[derive(Debug, Default)]
pub(super) struct Staged {
    messages: Vec<Vec<Cell<'static>>>,
    samples: Vec<Vec<Cell<'static>>>,
}

/// Whether a reading waits for a clock record.
pub(super) const fn is_undated(record: &Record) -> bool {
    matches!(record.time, Time::Hub(_))
}

impl Book {
    pub(super) fn stage_message(
        &mut self,
        place: Place,
        counts: &StreamCounts,
        records: &[Record],
        now_ms: i64,
    ) -> Asked<()> {
        let Place { hub, run, stream, seq } = place;
        let time_ms = records.first().map(|record| self.date(run, record.time)).transpose()?.flatten();
        let StreamCounts { read, filtered, refused, .. } = *counts;
        let readings = records.len() as u64;
        let message = cells![stream, seq, now_ms, time_ms, readings, read, filtered, refused];
        self.staged.messages.push(message.to_vec());
        for (n, record) in records.iter().enumerate() {
            let ht = match record.time {
                Time::Utc(_) => None,
                Time::Hub(at) => Some(at.as_nanos()),
            };
            let point = self.point(hub, record)?;
            let time_ms = self.date(run, record.time)?;
            let quality = quality(&record.sample);
            let mut row = cells![stream, seq, n as u64, point, now_ms, time_ms, ht, quality].to_vec();
            match &self.db {
                Db::Sqlite(_) => row.push(record.sample.value().map_or(Cell::Null, value_cell)),
                Db::Postgres(_) => row.extend(typed_cells(record.sample.value())),
            }
            self.staged.samples.push(row);
        }
        Ok(())
    }

    /// Writes what was gathered.
    pub(super) fn flush_readings(&mut self) -> Asked<()> {
        let Staged { messages, samples } = std::mem::take(&mut self.staged);
        match &mut self.db {
            Db::Sqlite(_) => {
                self.db.run_each("INSERT INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", &messages)?;
                // ?5, the time of arrival, stands in the message's row only.
                self.db.run_each(
                    "INSERT INTO sample (stream, seq, n, point, time_ms, ht, quality, value)
                     VALUES (?1, ?2, ?3, ?4, ?6, ?7, ?8, ?9)",
                    &samples,
                )
            }
            Db::Postgres(_) if messages.is_empty() => Ok(()),
            Db::Postgres(db) => {
                use Kind::{Bytes, Int, Real, Text};
                db.copy("COPY message FROM STDIN BINARY", &[Int; 8], &messages)?;
                let kinds = [Int, Int, Int, Int, Int, Int, Int, Text, Int, Real, Text, Bytes];
                db.copy(
                    "COPY sample (stream, seq, n, point, received_ms, time_ms, ht, quality, whole, number, text, bytes)
                     FROM STDIN BINARY",
                    &kinds,
                    &samples,
                )
            }
        }
    }

    /// A bad reading has no unit on the wire, nor has anything in CBOR: it belongs to the point as the hub's table of points
    /// has it, else as it is known, else to the point without a unit.
    fn point(&mut self, hub: i64, record: &Record) -> Asked<i64> {
        let name = record.point.to_string();
        let unit = record.unit.as_deref();
        let key = (hub, name, unit.map(str::to_owned));
        if let Some(id) = self.points.get(&key) {
            return Ok(*id);
        }
        let name = key.1.as_str();
        let meant = match unit {
            Some(unit) => Some(unit.to_owned()),
            None => {
                self.db.first("SELECT unit FROM meaning WHERE hub = ?1 AND name = ?2", cells![hub, name], |row| {
                    row.text(0)
                })?
            }
        };
        let known = match meant {
            Some(_) => None,
            None => self.db.first(
                "SELECT id FROM point WHERE hub = ?1 AND name = ?2 ORDER BY id DESC LIMIT 1",
                cells![hub, name],
                |row| row.int(0),
            )?,
        };
        let id = match known {
            Some(id) => id,
            None => self.id(
                "SELECT id FROM point WHERE hub = ?1 AND name = ?2 AND unit = ?3",
                "INSERT INTO point (hub, name, unit) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                cells![hub, name, meant.as_deref().unwrap_or_default()],
            )?,
        };
        if unit.is_some() {
            // From now on the point's bad readings belong to this row.
            self.points.remove(&(hub, name.to_owned(), None));
        }
        self.points.insert(key, id);
        Ok(id)
    }

    /// UTC of a reading: its own, or by the first trusted clock record of its run after it. `None` until that has come.
    fn date(&mut self, run: i64, time: Time) -> Asked<Option<i64>> {
        let at = match time {
            Time::Utc(millis) => return Ok(Some(millis)),
            Time::Hub(at) => at,
        };
        let offset = self.db.first(
            "SELECT utc_offset FROM clock WHERE run = ?1 AND event = 'trusted' AND ht >= ?2 ORDER BY ht LIMIT 1",
            cells![run, at.as_nanos()],
            |row| row.maybe_int(0),
        )?;
        Ok(offset.flatten().map(|nanos| at.utc_millis(UtcOffset::from_nanos(nanos))))
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

/// Databases have signed integers only: what does not fit is kept as its decimal digits.
pub(super) fn value_cell(value: &Value) -> Cell<'static> {
    match value {
        Value::Bool(b) => Cell::from(*b),
        Value::I64(i) => Cell::Int(*i),
        Value::U64(u) => i64::try_from(*u).map_or_else(|_| Cell::from(u.to_string()), Cell::Int),
        Value::F64(x) => Cell::Real(x.get()),
        Value::Text(text) => Cell::from(text.to_string()),
        Value::Bytes(bytes) => Cell::Blob(bytes.to_vec().into()),
    }
}

/// The columns `whole`, `number`, `text` and `bytes`, of which a value fills one.
fn typed_cells(value: Option<&Value>) -> [Cell<'static>; 4] {
    let mut cells = [const { Cell::Null }; 4];
    let Some(cell) = value.map(value_cell) else { return cells };
    let column = match cell {
        Cell::Null | Cell::Int(_) => 0,
        Cell::Real(_) => 1,
        Cell::Text(_) => 2,
        Cell::Blob(_) => 3,
    };
    cells[column] = cell;
    cells
}
