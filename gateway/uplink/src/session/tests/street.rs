//! A store, a connection and a broker in memory, on a clock that the test moves.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use curb_model::{Class, Lane, Message, Name, Page, RowId, RunId, Stream};
use curb_wire::topic::Topics;

use crate::session::{Broker, Kept, READ_ROWS, Report, Session};
use crate::{Ack, Address, Config, WINDOW};

pub(super) const RUN: RunId = RunId { counter: 1, nonce: 2 };
pub(super) const NOTHING: [i64; 0] = [];
pub(super) const S: Duration = Duration::from_secs(1);

pub(super) fn config(ack: Ack) -> Config {
    Config { ack, retry: 30 * S, receipt_wait: 60 * S, ..Config::new(Address::new("core.example", 8883)) }
}

pub(super) fn stream(number: u8) -> Stream {
    Stream::parse(["meter", "lamp", "air"][usize::from(number)]).unwrap()
}

pub(super) fn topics() -> Topics {
    Topics::new(&Name::new("pier").unwrap(), &Name::new("hub-7").unwrap())
}

/// A store, a connection and a broker, all in memory and all on one clock.
pub(super) struct Street {
    pub(super) config: Config,
    pub(super) now: Instant,
    pub(super) rows: BTreeMap<RowId, Message>,
    pub(super) appended: u64,
    pub(super) set_aside: BTreeSet<RowId>,
    pub(super) session: Session,
    pub(super) broker: Broker,
    /// What the broker will say, in order.
    pub(super) acks: VecDeque<(u16, u8)>,
    pub(super) next_id: u16,
    /// Streams that nobody subscribes to, and their code if the broker refuses them.
    pub(super) refused: HashMap<Stream, u8>,
    /// What arrived at the core, first arrivals only, in order.
    pub(super) arrived: Vec<(Stream, u64)>,
    pub(super) sent: usize,
    pub(super) repeated: usize,
    pub(super) receipts_flow: bool,
    /// How large the store was told to make packets.
    pub(super) packet_max: Option<usize>,
}

impl Street {
    pub(super) fn new(ack: Ack) -> Self {
        let (config, now) = (config(ack), Instant::now());
        let broker = Broker { receive_max: 20, packet_max: None };
        let session = Session::new(&config, broker, Kept::default(), now);
        Self {
            config,
            now,
            rows: BTreeMap::new(),
            appended: 0,
            set_aside: BTreeSet::new(),
            session,
            broker,
            acks: VecDeque::new(),
            next_id: 0,
            refused: HashMap::new(),
            arrived: Vec::new(),
            sent: 0,
            repeated: 0,
            receipts_flow: true,
            packet_max: None,
        }
    }

    pub(super) fn append(&mut self, number: u8) -> RowId {
        self.append_payload(number, b"{}")
    }

    pub(super) fn append_many(&mut self, count: usize) {
        for _ in 0..count {
            self.append(0);
        }
    }

    pub(super) fn append_alarm(&mut self) -> RowId {
        let row = self.append(2);
        self.rows.get_mut(&row).unwrap().lane = Lane::Alarm;
        row
    }

    pub(super) fn append_payload(&mut self, number: u8, payload: &[u8]) -> RowId {
        self.appended += 1;
        let row = RowId(i64::try_from(self.appended).unwrap());
        let stream = stream(number);
        let seq = 1 + self.appended; // Unique and growing in every stream is all that matters here.
        let payload = Arc::from(payload);
        let message = Message { row, lane: Lane::Data, stream, run: RUN, seq, readings: 1, payload };
        self.rows.insert(row, message);
        self.session.more();
        row
    }

    /// Reports and reads, as often as there is something.
    pub(super) fn store(&mut self) {
        loop {
            while let Some(report) = self.session.report() {
                match report {
                    Report::Delivered(rows) => self.rows.retain(|row, _| !rows.contains(row)),
                    Report::Receipt { stream, seq, .. } => {
                        self.rows.retain(|_, row| row.stream != stream || row.seq > seq);
                    }
                    Report::PacketMax(max) => self.packet_max = max,
                    Report::SetAside { row, .. } => {
                        self.rows.remove(&row);
                        self.set_aside.insert(row);
                    }
                }
            }
            let Some(read) = self.session.read(true) else { return };
            let after = read.after.map_or(i64::MIN, |row| row.0 + 1);
            let is_meant = |row: &&Message| (row.lane == Lane::Alarm) == (read.class == Class::Alarm);
            let found: Vec<&Message> = self.rows.range(RowId(after)..).map(|(_, row)| row).filter(is_meant).collect();
            let more = found.len() > READ_ROWS;
            let messages = found.into_iter().take(READ_ROWS).cloned().collect();
            self.session.rows(read, Page { more, messages });
        }
    }

    /// Sends all that may go; the rows.
    pub(super) fn send(&mut self) -> Vec<i64> {
        self.session.tick(self.now);
        let mut sent = Vec::new();
        loop {
            self.store();
            let Some((topic, message)) = self.session.send(&topics(), self.now) else { return sent };
            assert!(topic.ends_with(message.stream.as_str()));
            assert!(self.session.rows_in_flight() <= usize::from(WINDOW));
            sent.push(message.row.0);
            self.sent += 1;
            self.next_id = self.next_id % 32 + 1;
            self.session.numbered(self.next_id).unwrap();
            let code = self.refused.get(&message.stream).copied().unwrap_or(0);
            if code == 0 {
                let arrival = (message.stream, message.seq);
                if self.arrived.contains(&arrival) { self.repeated += 1 } else { self.arrived.push(arrival) }
            }
            self.acks.push_back((self.next_id, code));
        }
    }

    /// The broker answers `count` messages.
    pub(super) fn ack(&mut self, count: usize) {
        for (id, code) in self.acks.drain(..count.min(self.acks.len())) {
            self.session.acked(id, code, self.now).unwrap();
        }
    }

    /// The core says what it holds. Row order per stream makes that cumulative.
    pub(super) fn receipts(&mut self) {
        if !self.receipts_flow {
            return;
        }
        let mut held: BTreeMap<Stream, u64> = BTreeMap::new();
        for (stream, seq) in &self.arrived {
            let missing = self.rows.values().any(|row| {
                row.stream == *stream && row.seq < *seq && !self.arrived.contains(&(stream.clone(), row.seq))
            });
            if !missing {
                let to = held.entry(stream.clone()).or_default();
                *to = (*to).max(*seq);
            }
        }
        for (stream, seq) in held {
            self.session.receipt(RUN, stream, seq);
        }
    }

    pub(super) fn lose(&mut self) {
        self.store(); // Acknowledged rows reach the store before the next connection.
        self.acks.clear();
        let fresh = Session::new(&self.config, self.broker, Kept::default(), self.now);
        let kept = std::mem::replace(&mut self.session, fresh).into_kept();
        self.session = Session::new(&self.config, self.broker, kept, self.now);
    }

    /// Until nothing is left, or the deadline says that something never goes.
    pub(super) fn finish(&mut self) {
        self.refused.clear();
        self.receipts_flow = true;
        for _ in 0..2000 {
            self.send();
            self.ack(usize::MAX);
            self.receipts();
            self.store();
            if self.rows.is_empty() && self.session.is_idle() {
                return;
            }
            self.now += self.session.due().map_or(S, |due| due.saturating_duration_since(self.now));
        }
        panic!("never delivered: {:?}", self.rows.keys());
    }

    pub(super) fn word(&self) -> Vec<&'static str> {
        self.session.faults(self.now).iter().map(|fault| fault.word).collect()
    }
}
