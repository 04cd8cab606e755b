//! What one connection knows of the rows: read, in flight, waiting for a receipt, parked, held. Pure: rows, packet ids,
//! reason codes and time go in; what to read, what to send and what to report come out.
//!
//! A row that goes wrong is never remembered: the cursor goes back to it, and the store is read again from there. What
//! is in flight or waits for its receipt is left out on the way.

mod hear;
mod reader;
mod send;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use curb_model::{Class, Fault, Page, RowId, RunId, Stream};

use crate::air::Air;
use crate::config::{Ack, Config, WINDOW};
use crate::doubt::Doubt;
use crate::flight::Flight;
use crate::gates::{Gates, Topic};
use crate::hold::Hold;
use crate::receipts::Receipts;
use crate::retained::Retained;

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
    Receipt {
        run: RunId,
        stream: Stream,
        seq: u64,
    },
    SetAside {
        row: RowId,
        code: u8,
    },
    /// How large packets are to be made from here on.
    PacketMax(Option<usize>),
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
