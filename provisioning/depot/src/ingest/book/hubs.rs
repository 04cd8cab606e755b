//! What a hub says of itself, and what nobody could read.

use curb_model::{Name, RunId};
use curb_wire::status::{Points, State, Status};

use super::Book;
use crate::db::{Asked, cells};

/// Rows in `refused`, the newest kept. Each says what is wrong once; the total count is kept apart.
const REFUSED_ROWS: i64 = 10_000;

/// Bytes kept of a payload that was refused: enough to see what it was, too little to fill a disk.
const REFUSED_BYTES: usize = 4_096;

/// What a status says of a hub.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    received_ms: i64,
    /// Of the run, then the connection: brokers may deliver an old will after a new birth.
    age: (u64, u64),
    online: bool,
    /// Messages and readings that wait; a will cannot know them.
    queue: Option<(u64, u64)>,
}

impl Book {
    /// Notes what a hub said of itself. The hub is claimed; its `run` was checked.
    pub(crate) fn note_status(&mut self, site: &Name, hub: &Name, run: RunId, status: &Status, now_ms: i64) {
        let standing = Standing {
            received_ms: now_ms,
            age: (run.counter, status.connection),
            online: status.state == State::Online,
            queue: status.queue.map(|queue| (queue.rows, queue.readings)),
        };
        let key = (site.clone(), hub.clone());
        let last = self.standings.entry(key).or_insert(standing);
        // A will may come late; a hub that says that it is there is there. A wiped one counts from 1 again.
        if standing.online || last.age <= standing.age {
            *last = Standing { queue: standing.queue.or(last.queue), ..standing };
        }
    }

    /// Notes what a hub's points mean. The hub is claimed. Before the messages of the transaction, which it may explain.
    pub(crate) fn note_points(&mut self, site: &Name, hub: &Name, points: &Points) -> Asked<()> {
        let hub = self.hub(site, hub)?;
        for (name, entry) in &points.points {
            self.db.run(
                "INSERT INTO meaning (hub, name, unit) VALUES (?1, ?2, ?3)
                 ON CONFLICT (hub, name) DO UPDATE SET unit = excluded.unit WHERE meaning.unit <> excluded.unit",
                cells![hub, name.as_str(), entry.unit.as_deref().unwrap_or_default()],
            )?;
        }
        self.points.retain(|(of, _, unit), _| *of != hub || unit.is_some());
        Ok(())
    }

    pub(super) fn flush_standings(&mut self) -> Asked<()> {
        for ((site, hub), standing) in std::mem::take(&mut self.standings) {
            let hub = self.hub(&site, &hub)?;
            let Standing { received_ms, age: (counter, connection), online, queue } = standing;
            let (rows, readings) = queue.unzip();
            self.db.run(
                "INSERT INTO status (hub, received_ms, counter, connection, online, queue_rows, queue_readings)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (hub) DO UPDATE SET
                     received_ms = excluded.received_ms, counter = excluded.counter, connection = excluded.connection,
                     online = excluded.online, queue_rows = coalesce(excluded.queue_rows, status.queue_rows),
                     queue_readings = coalesce(excluded.queue_readings, status.queue_readings)
                 WHERE excluded.online <> 0 OR (status.counter, status.connection) <= (excluded.counter, excluded.connection)",
                cells![hub, received_ms, counter, connection, online, rows, readings],
            )?;
        }
        Ok(())
    }

    /// Notes a publish that could not be read. Says whether it is the first of its kind. Comes after
    /// [`prepare`](Self::prepare).
    pub(crate) fn refuse(&mut self, topic: &str, payload: &[u8], reason: &str, now_ms: i64) -> Asked<bool> {
        let bytes = payload.len() as u64;
        let kept = &payload[..payload.len().min(REFUSED_BYTES)];
        self.db.run("UPDATE refused_total SET count = count + 1", &[])?;
        let again = self.db.run(
            "UPDATE refused SET times = times + 1, last_ms = ?3 WHERE topic = ?1 AND payload = ?2",
            cells![topic, kept, now_ms],
        )?;
        if again > 0 {
            return Ok(false);
        }
        self.db.run(
            "INSERT INTO refused (topic, payload, bytes, reason, first_ms, last_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
            cells![topic, kept, bytes, reason, now_ms],
        )?;
        self.db.run("DELETE FROM refused WHERE id <= (SELECT max(id) FROM refused) - ?1", cells![REFUSED_ROWS])?;
        Ok(true)
    }
}
