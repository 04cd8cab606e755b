//! Hearing: what an acknowledgement, a receipt or the end of the connection means, and what the store is told of it.

use std::time::Instant;

use curb_model::{RowId, RunId, Stream};

use super::{Acked, REPORT_AFTER, REPORT_FROM, REPORTS_MAX, Report, Sent, Session};
use crate::config::Ack;
use crate::flight::Mismatch;
use crate::reason::{self, Verdict};

impl Session {
    /// The client gave the oldest message without a number this packet id.
    pub(crate) fn numbered(&mut self, id: u16) -> Result<(), Mismatch> {
        self.flight.numbered(id)
    }

    /// A PUBACK.
    pub(crate) fn acked(&mut self, id: u16, code: u8, now: Instant) -> Result<Acked, Mismatch> {
        let sent = self.flight.acked(id)?;
        self.progress = now;
        self.doubt.answered();
        let (row, topic, run, seq, size, ends, at) = match sent {
            Sent::Row { row, topic, run, seq, size, ends, at } => (row, topic, run, seq, size, ends, at),
            Sent::Document(document) => {
                self.retained(document).acked(code, now);
                return Ok(Acked::Document);
            }
            Sent::Answer => {
                self.answers_in_flight -= 1;
                return Ok(Acked::Answer);
            }
        };
        self.rows_in_flight -= 1;
        let verdict = reason::verdict(code);
        if verdict != Verdict::Message {
            self.doubt.passed(size, now);
        }
        match verdict {
            Verdict::Taken => {
                self.hold.passed(&topic);
                if let Some(from) = self.gates.taken(&topic) {
                    self.go_back(from);
                }
                match ends {
                    Ack::Broker => self.delivered(row, now),
                    Ack::Core => self.receipts.taken(row, run, topic.1, seq, now),
                }
            }
            Verdict::Nobody => {
                self.hold.passed(&topic);
                self.gates.nobody(&topic, row, now + self.retry);
            }
            Verdict::Message => {
                self.gates.undecided(&topic);
                self.set_aside(row, code);
                if code == reason::PACKET_TOO_LARGE && self.doubt.named(size, now) {
                    self.unreported += 1;
                    self.reports.push_back(Report::PacketMax(self.told_packet_max(now)));
                }
            }
            Verdict::Session => {
                self.gates.refused(&topic);
                self.hold.refused(code, topic, row, self.retry, now);
            }
        }
        Ok(Acked::Row { taken: verdict == Verdict::Taken, after: now.saturating_duration_since(at) })
    }

    /// The connection ended, perhaps with a code that named no message.
    pub(crate) fn ended(&mut self, code: Option<u8>, now: Instant) {
        let Some(code) = code.filter(|code| reason::verdict(*code) == Verdict::Message) else {
            if let Some(oldest) = self.unanswered().min() {
                self.doubt.left(oldest);
            }
            return;
        };
        let meant = self.doubt.refused(code, self.flight.len(), self.last_size, now);
        let row = self.unanswered().next();
        if meant && let Some(row) = row {
            self.set_aside(row, code);
        }
    }

    /// Rows in flight.
    fn unanswered(&self) -> impl Iterator<Item = RowId> {
        self.flight.iter().filter_map(|sent| if let Sent::Row { row, .. } = sent { Some(*row) } else { None })
    }

    fn delivered(&mut self, row: RowId, now: Instant) {
        if self.unreported == 0 {
            self.unreported_since = now;
        }
        self.unreported += 1;
        if let Some(Report::Delivered(rows)) = self.reports.back_mut() {
            rows.push(row);
        } else {
            self.reports.push_back(Report::Delivered(vec![row]));
        }
    }

    pub(super) fn set_aside(&mut self, row: RowId, code: u8) {
        self.unreported += 1;
        self.reports.push_back(Report::SetAside { row, code });
    }

    /// A receipt; how many rows it ends.
    pub(crate) fn receipt(&mut self, run: RunId, stream: Stream, seq: u64) -> usize {
        if self.unreported >= REPORTS_MAX {
            return 0;
        }
        self.unreported += 1;
        let ended = self.receipts.receipt(run, stream.clone(), seq);
        self.reports.push_back(Report::Receipt { run, stream, seq });
        ended
    }

    /// The oldest report that the store has not heard, if it is time for one. Acknowledgements are told together.
    pub(crate) fn report_due(&mut self, now: Instant) -> Option<Report> {
        let waits = now < self.unreported_since + REPORT_AFTER;
        let few = self.unreported < REPORT_FROM && matches!(self.reports.front(), Some(Report::Delivered(_)));
        if waits && few && self.reports.len() == 1 && !self.settle { None } else { self.report() }
    }

    /// The oldest report that the store has not heard.
    pub(crate) fn report(&mut self) -> Option<Report> {
        let report = self.reports.pop_front()?;
        self.unreported -= if let Report::Delivered(rows) = &report { rows.len() } else { 1 };
        Some(report)
    }
}
