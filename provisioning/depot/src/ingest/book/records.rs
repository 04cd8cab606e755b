//! What run, gap, clock and audit records change.

use curb_model::{HubTime, RunId, Stream, UtcOffset};
use curb_wire::command::{AuditRecord, Origin, Proof};
use curb_wire::record::{ClockEvent, ClockRecord, GapRecord, RunEvent, RunRecord, StreamCounts};

use super::readings::value_cell;
use super::streams::Account;
use super::{Accepted, Book, StreamKey};
use crate::clock;
use crate::db::{Asked, cells};
use crate::intervals::Interval;

impl Book {
    pub(super) fn apply_run(&mut self, message: &Accepted, record: &RunRecord, now_ms: i64) -> Asked<()> {
        for (name, counts) in &record.streams {
            self.tell_later(message, message.run, name, counts, now_ms)?;
        }
        if record.event == RunEvent::Closed {
            self.end(message, message.run, "clean")?;
        }
        if let Some(previous) = &record.previous {
            for (name, counts) in &previous.streams {
                let account = self.tell_later(message, previous.run, name, counts, now_ms)?;
                if !previous.clean {
                    account.cut_off(counts.seq);
                }
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
    ) -> Asked<&mut Account> {
        let key = StreamKey::of(message, run, parsed(name));
        let id = self.locked(&key).id;
        self.db.run(
            "INSERT INTO told (stream, day, read, filtered, refused) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (stream, day) DO UPDATE SET
                 read = CASE WHEN excluded.read > told.read THEN excluded.read ELSE told.read END,
                 filtered = CASE WHEN excluded.filtered > told.filtered THEN excluded.filtered ELSE told.filtered END,
                 refused = CASE WHEN excluded.refused > told.refused THEN excluded.refused ELSE told.refused END",
            cells![id, clock::day(now_ms), counts.read, counts.filtered, counts.refused],
        )?;
        let account = self.locked(&key);
        account.tell(counts);
        Ok(account)
    }

    fn end(&mut self, message: &Accepted, run: RunId, how: &str) -> Asked<()> {
        let id = self.locked(&StreamKey::of(message, run, Stream::run())).run;
        self.db.run("UPDATE run SET ended = ?2 WHERE id = ?1", cells![id, how]).map(drop)
    }

    pub(super) fn apply_gap(&mut self, message: &Accepted, record: &GapRecord, told_by: i64, now_ms: i64) -> Asked<()> {
        let gap = &record.gap;
        let about = StreamKey::of(message, gap.run, parsed(&gap.stream));
        let account = self.locked(&about);
        let id = account.id;
        if let (Some(first), Some(last)) = (gap.from, gap.to) {
            account.cover(Interval { first, last });
        }
        let (from_ht, to_ht) = (gap.from_ht.as_nanos(), gap.to_ht.as_nanos());
        self.db.run(
            "INSERT INTO gap (stream, told_by, told_seq, received_ms, reason, first, last, from_ht, to_ht, count)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            cells![id, told_by, message.seq, now_ms, gap.reason.as_str(), gap.from, gap.to, from_ht, to_ht, gap.count],
        )?;
        self.touched.insert(about);
        Ok(())
    }

    pub(super) fn apply_audit(&mut self, record: &AuditRecord, run: i64) -> Asked<()> {
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
            Ok(Proof::Committed) => ("committed", ""),
            Err(refusal) => (refusal.word.as_str(), refusal.detail.as_str()),
        };
        let row = cells![
            run,
            record.id.seq,
            outcome.time_ms,
            audit.ht.as_nanos(),
            origin,
            audit.command.as_str(),
            audit.correlation.as_deref(),
            outcome.point.as_ref().map(ToString::to_string),
            outcome.value.as_ref().map(value_cell),
            outcome.result.is_ok(),
            word,
            detail,
        ];
        self.db.run("INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)", row).map(drop)
    }

    pub(super) fn apply_clock(&mut self, record: &ClockRecord, run: i64) -> Asked<()> {
        let event = match record.event {
            ClockEvent::Trusted => "trusted",
            ClockEvent::Stepped => "stepped",
            ClockEvent::Lost => "lost",
        };
        let offset = record.offset.map(UtcOffset::as_nanos);
        self.db.run(
            "INSERT INTO clock VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            cells![run, record.id.seq, event, record.ht.as_nanos(), offset, record.trust.as_str()],
        )?;
        if let (ClockEvent::Trusted, Some(offset)) = (record.event, record.offset) {
            self.date_waiting(run, record.ht, offset)?;
        }
        Ok(())
    }

    /// Dates what waited for a clock record. Divisions are of positive numbers: no trusted clock shows a year before 1970.
    fn date_waiting(&mut self, run: i64, until: HubTime, offset: UtcOffset) -> Asked<()> {
        self.flush_readings()?;
        let values = cells![run, until.as_nanos(), offset.as_nanos()];
        self.db.run(
            "UPDATE message SET time_ms = (SELECT (ht + ?3) / 1000000 FROM sample
                                           WHERE sample.stream = message.stream AND sample.seq = message.seq AND n = 0)
             WHERE time_ms IS NULL AND (stream, seq) IN
                   (SELECT stream, seq FROM sample WHERE time_ms IS NULL AND ht <= ?2 AND n = 0
                    AND stream IN (SELECT id FROM stream WHERE run = ?1))",
            values,
        )?;
        self.db.run(
            "UPDATE sample SET time_ms = (ht + ?3) / 1000000
             WHERE time_ms IS NULL AND ht <= ?2 AND stream IN (SELECT id FROM stream WHERE run = ?1)",
            values,
        )?;
        Ok(())
    }
}

fn parsed(name: &str) -> Stream {
    Stream::parse(name).expect("checked when the record was accepted")
}
