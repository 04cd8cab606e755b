//! What run, gap and clock records change.

use curb_model::{HubTime, RunId, Stream, UtcOffset};
use curb_wire::command::{AuditRecord, Origin, Proof};
use curb_wire::record::{ClockEvent, ClockRecord, GapRecord, RunEvent, RunRecord, StreamCounts};
use rusqlite::params;

use super::readings::sql_value;
use super::{Accepted, Book, Sqlite, int, key};
use crate::ingest::schema;
use crate::intervals::Interval;

impl Book {
    pub(super) fn apply_run(&mut self, message: &Accepted, record: &RunRecord, now_ms: i64) -> Sqlite<()> {
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
            // Every run has at least its `_run` stream: none at all means that only the run's name has outlived its store.
            let how = match (previous.clean, previous.streams.is_empty()) {
                (true, _) => "clean",
                (false, false) => "killed",
                (false, true) => "unknown",
            };
            self.end(message, previous.run, how)?;
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
            .execute([id, schema::day(now_ms), int(counts.read), int(counts.filtered), int(counts.refused)])?;
        Ok(())
    }

    fn end(&mut self, message: &Accepted, run: RunId, how: &str) -> Sqlite<()> {
        let hub = self.stream(&key(message, message.run, message.stream.clone()))?.hub;
        let id = self.run_id(hub, run)?;
        self.db.prepare_cached("UPDATE run SET ended = ?2 WHERE id = ?1")?.execute(params![id, how])?;
        Ok(())
    }

    pub(super) fn apply_gap(
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
            self.tell(id, &StreamCounts { seq: last, ..StreamCounts::default() })?;
        }
        self.db.prepare_cached("INSERT INTO gap VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?.execute(
            params![
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
            ],
        )?;
        self.touch(&about);
        Ok(())
    }

    pub(super) fn apply_audit(&self, record: &AuditRecord, run: i64) -> Sqlite<()> {
        let audit = &record.audit;
        let outcome = &audit.outcome;
        let origin = match audit.origin {
            Origin::Core => "core",
            Origin::Socket => "socket",
            Origin::Tool => "tool",
        };
        let (word, detail) = match &outcome.result {
            Ok(Proof::ReadBack) => ("read-back", ""),
            Ok(Proof::Echo) => ("echo", ""),
            Err(refusal) => (refusal.word.as_str(), refusal.detail.as_str()),
        };
        self.db
            .prepare_cached("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")?
            .execute(params![
                run,
                int(record.id.seq),
                outcome.time_ms,
                audit.ht.as_nanos(),
                origin,
                audit.command,
                audit.correlation,
                outcome.point.as_ref().map(ToString::to_string),
                outcome.value.as_ref().map(sql_value),
                outcome.result.is_ok(),
                word,
                detail,
            ])?;
        Ok(())
    }

    pub(super) fn apply_clock(&self, record: &ClockRecord, run: i64) -> Sqlite<()> {
        let event = match record.event {
            ClockEvent::Trusted => "trusted",
            ClockEvent::Stepped => "stepped",
            ClockEvent::Lost => "lost",
        };
        let offset = record.offset.map(UtcOffset::as_nanos);
        self.db.prepare_cached("INSERT INTO clock VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
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
}
