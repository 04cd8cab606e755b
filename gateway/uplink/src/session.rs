//! What one connection knows of the rows: read, in flight, waiting for a receipt, parked, held. Pure: rows, packet ids,
//! reason codes and time go in; what to read, what to send and what to report come out.
//!
//! A row that goes wrong is never remembered: the cursor goes back to it, and the store is read again from there. What
//! is in flight or waits for its receipt is left out on the way.

mod reader;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use curb_model::{Class, Fault, Message, Page, RowId, RunId, Stream};
use curb_wire::topic::Topics;

use crate::air::Air;
use crate::command::Answer;
use crate::config::{Ack, Config, WINDOW};
use crate::doubt::Doubt;
use crate::flight::{Flight, Mismatch};
use crate::gates::{Gates, Passage, Topic};
use crate::hold::Hold;
use crate::reason::{self, Verdict};
use crate::receipts::{Receipts, UNRECEIPTED_MAX};
use crate::retained::Retained;
use crate::size::{answer_size, packet_size};

use reader::Reader;

/// Rows read at once: some windows, so that the store is not asked for each message.
pub(crate) const READ_ROWS: usize = 64;
/// Bytes read at once. Bounds what the uplink holds of the store in memory.
pub(crate) const READ_BYTES: usize = 256 * 1024;
/// Rows are read when fewer than a window of them wait.
const READ_BELOW: usize = WINDOW as usize;
/// Parked topics that come due within this time are tried together.
const TOGETHER: Duration = Duration::from_millis(500);

/// Answers to commands in flight at most. With the window and the two documents that makes 20, which is what brokers take
/// where they are not told otherwise.
const ANSWERS_IN_FLIGHT: usize = 2;

/// Rows and receipts that the store has not heard of, at most; then nothing new is read, and further receipts are
/// forgotten (the core repeats them). A store that stands still must not make the uplink grow.
const REPORTS_MAX: usize = 1024;

/// How long an acknowledgement may wait for others before the store is told, and how many of them are enough to tell it
/// at once. Well below the time in which the store would write the message to disk.
const REPORT_AFTER: Duration = Duration::from_millis(100);
const REPORT_FROM: usize = 64;

/// What is told to the store, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    Delivered(Vec<RowId>),
    Receipt { run: RunId, stream: Stream, seq: u64 },
    SetAside { row: RowId, code: u8 },
}

/// A read of the store that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Read {
    /// Alarms, or all else.
    pub(crate) class: Class,
    pub(crate) after: Option<RowId>,
    /// Fits only the cursor it was made for.
    turn: u64,
}

/// One of the two retained documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Document {
    Status,
    Points,
}

/// What the broker said yes to, for the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acked {
    /// A row, with the time since it was sent.
    Row {
        taken: bool,
        after: Duration,
    },
    Document,
    /// The answer to a command.
    Answer,
}

#[derive(Debug)]
enum Sent {
    Row { row: RowId, topic: Topic, run: RunId, seq: u64, size: usize, ends: Ack, at: Instant },
    Document(Document),
    Answer,
}

/// What the broker can take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Broker {
    /// Publishes in flight at most.
    pub(crate) receive_max: u16,
    /// Bytes of a packet at most.
    pub(crate) packet_max: Option<u32>,
}

/// What outlives a connection.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    /// Some brokers close the connection with the refusal that led to the hold.
    pub(crate) hold: Hold,
    pub(crate) doubt: Doubt,
    pub(crate) air: Air,
}

#[derive(Debug)]
pub(crate) struct Session {
    ack: Ack,
    retry: Duration,
    stall: Duration,
    window: usize,
    packet_max: usize,
    /// Alarms pass everything that waits before them: a back-log of days must not delay one.
    alarms: Reader,
    data: Reader,
    turn: u64,
    /// The cursor went back: reports must have reached the store before it is read.
    settle: bool,
    flight: Flight<Sent>,
    /// Bytes of the packet that was sent last.
    last_size: usize,
    rows_in_flight: usize,
    answers_in_flight: usize,
    /// When the broker last moved, while something is in flight.
    progress: Instant,
    /// Receipts are overdue: the broker may have forgotten what we subscribed to.
    forgotten: bool,
    gates: Gates,
    hold: Hold,
    doubt: Doubt,
    pub(crate) air: Air,
    receipts: Receipts,
    status: Retained,
    points: Retained,
    reports: VecDeque<Report>,
    /// Rows and receipts in `reports`.
    unreported: usize,
    /// Since when the oldest of them waits.
    unreported_since: Instant,
}

impl Session {
    /// A connection that stands.
    pub(crate) fn new(config: &Config, broker: Broker, kept: Kept, now: Instant) -> Self {
        Self {
            ack: config.ack,
            retry: config.retry,
            stall: config.stall,
            window: usize::from(WINDOW.min(broker.receive_max)),
            packet_max: broker.packet_max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX),
            alarms: Reader::default(),
            data: Reader::default(),
            turn: 0,
            settle: false,
            flight: Flight::new(),
            last_size: 0,
            rows_in_flight: 0,
            answers_in_flight: 0,
            progress: now,
            forgotten: false,
            gates: Gates::default(),
            hold: kept.hold,
            doubt: kept.doubt,
            air: kept.air,
            receipts: Receipts::new(config.receipt_wait),
            status: Retained::new("status", config.retry),
            points: Retained::new("points", config.retry),
            reports: VecDeque::new(),
            unreported: 0,
            unreported_since: now,
        }
    }

    /// What the next connection has to know.
    pub(crate) fn into_kept(self) -> Kept {
        Kept { hold: self.hold, doubt: self.doubt, air: self.air }
    }

    // Reading.

    /// The read that is due, if any. `settled`: every report has reached the store.
    pub(crate) fn read(&mut self, settled: bool) -> Option<Read> {
        let is_due = |reader: &Reader| reader.more && reader.queue.len() < READ_BELOW;
        let class = match (is_due(&self.alarms), is_due(&self.data)) {
            (true, _) => Class::Alarm,
            (false, true) => Class::Data,
            (false, false) => return None,
        };
        if self.unreported >= REPORTS_MAX || self.hold.holds() || (self.settle && !settled) {
            return None;
        }
        self.settle = false;
        let turn = self.turn;
        let reader = self.reader(class);
        // What comes from here on is told anew; what this read leaves behind, by its answer.
        reader.more = false;
        Some(Read { class, after: reader.cursor, turn })
    }

    /// What the store had.
    pub(crate) fn rows(&mut self, read: Read, page: Page) {
        if read.turn != self.turn {
            return;
        }
        let reader = match read.class {
            Class::Alarm => &mut self.alarms,
            Class::Data => &mut self.data,
        };
        reader.more |= page.more;
        let rows = page.messages;
        let Some(last) = rows.last() else { return };
        reader.cursor = Some(last.row);
        // Nothing can be known of rows that were never reached: only a cursor that went back meets them again.
        if self.turn == 0 {
            reader.queue.extend(rows);
        } else {
            reader.queue.extend(rows.into_iter().filter(|message| {
                !self.receipts.contains(message.row)
                    && !self.flight.iter().any(|sent| matches!(sent, Sent::Row { row, .. } if *row == message.row))
            }));
        }
    }

    /// The store has new rows.
    pub(crate) const fn more(&mut self) {
        self.alarms.more = true;
        self.data.more = true;
    }

    const fn reader(&mut self, class: Class) -> &mut Reader {
        match class {
            Class::Alarm => &mut self.alarms,
            Class::Data => &mut self.data,
        }
    }

    fn go_back(&mut self, to: RowId) {
        let before = RowId(to.0.saturating_sub(1));
        let went = [self.alarms.go_back(before), self.data.go_back(before)];
        if went.contains(&true) {
            self.turn += 1;
            // A read under way belongs to the turn before.
            self.more();
            self.settle = true;
        }
    }

    // Sending.

    /// The next row to send, with its topic, if one may be sent now: an alarm, if there is one. It is in flight from here.
    pub(crate) fn send(&mut self, topics: &Topics, now: Instant) -> Option<(String, Message)> {
        self.send_of(Class::Alarm, topics, now).or_else(|| self.send_of(Class::Data, topics, now))
    }

    fn send_of(&mut self, class: Class, topics: &Topics, now: Instant) -> Option<(String, Message)> {
        if self.hold.holds() || !self.doubt.allows(self.flight.len()) {
            return None;
        }
        let packet_max = self.packet_max(now);
        loop {
            if self.rows_in_flight >= self.window || self.receipts.len() >= UNRECEIPTED_MAX {
                return None;
            }
            if class == Class::Data && self.data.queue.is_empty() {
                self.air.nothing_waits();
            }
            let message = self.reader(class).queue.front()?;
            let topic = (message.lane, message.stream.clone());
            let passage = self.gates.passage(&topic);
            if passage == Passage::Wait {
                return None;
            }
            if class == Class::Data && !self.air.allows(now) {
                return None;
            }
            let message = self.reader(class).queue.pop_front()?;
            // Its number is in a gap, and receipts cover gaps: of a released message only the broker tells.
            let ends = if message.is_released() { Ack::Broker } else { self.ack };
            let covered = ends == Ack::Core && self.receipts.covers(message.run, &message.stream, message.seq);
            if passage == Passage::Skip || covered {
                continue;
            }
            let address = topics.lane(message.lane, &message.stream);
            let size = packet_size(address.len(), &message.payload);
            if size > packet_max {
                self.set_aside(message.row, reason::PACKET_TOO_LARGE);
                continue;
            }
            self.air.published(size, now);
            self.gates.sent(&topic);
            self.rows_in_flight += 1;
            let (row, run, seq) = (message.row, message.run, message.seq);
            self.launch(Sent::Row { row, topic, run, seq, size, ends, at: now }, size, now);
            return Some((address, message));
        }
    }

    /// A retained document has changed.
    pub(crate) const fn document_changed(&mut self, document: Document) {
        self.retained(document).changed();
    }

    /// Renders this document, if it is to be sent now, and returns it with its topic. It is in flight from here.
    pub(crate) fn send_document(
        &mut self,
        document: Document,
        topics: &Topics,
        now: Instant,
        render: impl FnOnce() -> Vec<u8>,
    ) -> Option<(String, Vec<u8>)> {
        if !self.doubt.allows(self.flight.len()) || !self.retained(document).take(now) {
            return None;
        }
        let topic = match document {
            Document::Status => topics.status(),
            Document::Points => topics.points(),
        };
        let bytes = render();
        let size = packet_size(topic.len(), &bytes);
        if size > self.packet_max(now) {
            self.retained(document).too_large();
            return None;
        }
        self.air.published(size, now);
        self.launch(Sent::Document(document), size, now);
        Some((topic, bytes))
    }

    /// Whether one more answer may be sent.
    pub(crate) fn takes_answers(&self) -> bool {
        self.answers_in_flight < ANSWERS_IN_FLIGHT && self.doubt.allows(self.flight.len())
    }

    /// Whether this answer is to be sent: not one that is larger than the broker takes. It is in flight from here.
    pub(crate) fn send_answer(&mut self, answer: &Answer, now: Instant) -> bool {
        let correlation = answer.correlation.as_ref().map(|data| data.len());
        let size = answer_size(answer.topic.len(), correlation, answer.payload.len());
        let fits = size <= self.packet_max(now);
        if fits {
            self.air.published(size, now);
            self.answers_in_flight += 1;
            self.launch(Sent::Answer, size, now);
        }
        fits
    }

    /// The last status of a clean stop goes out, whatever the pace.
    pub(crate) fn farewell(&mut self, now: Instant) {
        self.launch(Sent::Document(Document::Status), 0, now);
    }

    /// The largest packet that may go out, if there is such a limit: what the broker told, or was learned the hard way.
    pub(crate) fn told_packet_max(&self, now: Instant) -> Option<usize> {
        Some(self.packet_max(now)).filter(|max| *max < usize::MAX)
    }

    fn packet_max(&self, now: Instant) -> usize {
        self.doubt.packet_max(now).map_or(self.packet_max, |learned| learned.min(self.packet_max))
    }

    fn launch(&mut self, sent: Sent, size: usize, now: Instant) {
        self.last_size = size;
        if self.flight.len() == 0 {
            self.progress = now;
        }
        self.flight.sent(sent);
    }

    const fn retained(&mut self, document: Document) -> &mut Retained {
        match document {
            Document::Status => &mut self.status,
            Document::Points => &mut self.points,
        }
    }

    // Hearing.

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
        if code == reason::PACKET_TOO_LARGE {
            self.doubt.too_large(size, now);
        } else {
            self.doubt.passed(size);
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

    fn set_aside(&mut self, row: RowId, code: u8) {
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

    // Time.

    /// When [`tick`](Self::tick) has something to do, or the broker is to be given up.
    pub(crate) fn due(&self) -> Option<Instant> {
        let stall = (self.flight.len() > 0).then(|| self.progress + self.stall);
        let report = (self.unreported > 0).then(|| self.unreported_since + REPORT_AFTER);
        [
            report,
            stall,
            self.hold.until(),
            self.air.due(),
            self.gates.due(),
            self.receipts.due(),
            self.status.due(),
            self.points.due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Ends holds and waits that are over.
    pub(crate) fn tick(&mut self, now: Instant) {
        let overdue = self.receipts.overdue(now);
        self.forgotten |= overdue.is_some();
        let back = [self.hold.end(now), self.gates.retry(now, TOGETHER), overdue];
        if let Some(oldest) = back.into_iter().flatten().min() {
            self.go_back(oldest);
        }
    }

    /// Whether to subscribe again before rows that had no receipt go again. Says so once.
    pub(crate) const fn subscribe_again(&mut self) -> bool {
        std::mem::replace(&mut self.forgotten, false)
    }

    /// A stop was asked for: topics that nobody took are tried once more now. What is left waits for the next start.
    pub(crate) fn stopping(&mut self) {
        if let Some(oldest) = self.gates.retry_all() {
            self.go_back(oldest);
        }
    }

    /// Whether the broker owes an acknowledgement for longer than it may.
    pub(crate) fn stalled(&self, now: Instant) -> bool {
        self.flight.len() > 0 && now >= self.progress + self.stall
    }

    // Knowing.

    /// Whether nothing can move now without something new from outside: all sent and answered, or held.
    pub(crate) fn is_idle(&self) -> bool {
        let nothing_to_send = self.hold.holds() || (self.alarms.is_idle() && self.data.is_idle());
        self.flight.len() == 0 && nothing_to_send && self.receipts.len() == 0
    }

    /// Whether everything sent is answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.flight.len() == 0
    }

    pub(crate) fn holds(&self) -> bool {
        self.hold.holds()
    }

    pub(crate) const fn rows_in_flight(&self) -> usize {
        self.rows_in_flight
    }

    pub(crate) fn unreceipted(&self) -> usize {
        self.receipts.len()
    }

    /// In a fixed order, so that two equal lists mean that nothing has changed.
    pub(crate) fn faults(&self, now: Instant) -> Vec<Fault> {
        [
            self.hold.fault(),
            self.air.fault(now),
            self.gates.fault(),
            self.receipts.fault(),
            self.status.fault(),
            self.points.fault(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests;
