//! An RS-485 line: one pseudo-terminal, several units, and the pace of a real wire.
//!
//! A pseudo-terminal hands bytes over at once whatever baud rate is set. Here a request takes the line for as long as its
//! characters would, the answer follows 2 to 5 ms later, character by character, and a master that does not keep the
//! silence of 3.5 characters before a request is counted. One task owns the line, so that whatever is sent while an
//! answer is on the wire is a collision and is lost, as it would be.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::device::{Behaviour, Device};
use crate::error::Error;
use crate::modbus;
use crate::pty::{Input, Listening, Port, send_paced};
use crate::record::{Log, Served};
use crate::unit::{self, Unit, WireFault};
use crate::worker::Worker;

/// A request whose rest does not come for this long is given up. Long, because a loaded machine may halt the master in
/// the middle of a write.
const REST_OF_REQUEST: Duration = Duration::from_millis(50);

/// A line's parity; with eight data bits and one stop bit a character has 10 or 11 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// No parity bit.
    None,
    /// An even parity bit.
    Even,
}

/// What has happened on a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineCounters {
    /// Requests with a correct check sum.
    pub requests: u64,
    /// Of those, requests for units that are not on this line.
    pub for_nobody: u64,
    /// Answers sent, good and bad.
    pub answers: u64,
    /// Requests that began before the line had been silent for 3.5 characters.
    pub gap_violations: u64,
    /// Bytes that the master sent into an answer.
    pub collided_bytes: u64,
    /// Frames that were no request.
    pub damaged: u64,
    /// Characters of requests and answers: their time is how much of the line was used.
    pub characters: u64,
}

#[derive(Debug)]
struct Shared {
    character: Duration,
    log: Log,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    units: BTreeMap<u8, Unit>,
    counters: LineCounters,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, count: impl FnOnce(&mut LineCounters)) {
        count(&mut self.state().counters);
    }
}

/// An RS-485 line with units on it, as a serial port for a master.
#[derive(Debug)]
pub struct RtuLine {
    shared: Arc<Shared>,
    link: PathBuf,
    worker: Option<Worker>,
}

impl RtuLine {
    /// A line behind the port `link`, with no unit yet and unplugged.
    #[must_use]
    pub fn new(link: &Path, baud: u32, parity: Parity, log: &Log) -> Self {
        let bits = match parity {
            Parity::None => 10,
            Parity::Even => 11,
        };
        let character = Duration::from_secs(bits) / baud.max(1);
        let shared = Arc::new(Shared { character, log: log.clone(), state: Mutex::default() });
        Self { shared, link: link.to_owned(), worker: None }
    }

    /// With a unit that treats requests like this.
    #[must_use]
    pub fn unit(self, id: u8, device: Device, behaviour: Behaviour) -> Self {
        self.shared.state().units.insert(id, Unit::new(device, behaviour));
        self
    }

    /// Plugs the line in: from now on the port is there.
    ///
    /// # Errors
    /// There is no pseudo-terminal or no thread to be had, or something else is at the port's path.
    pub fn plug(&mut self) -> Result<(), Error> {
        // The old port goes first: its link would be in the way.
        self.worker = None;
        let port = Port::plug(&self.link)?;
        let shared = Arc::clone(&self.shared);
        self.worker = Some(Worker::start("rtu-line", move |stop| serve(port, shared, stop))?);
        Ok(())
    }

    /// Pulls the plug: the port vanishes under whoever has it open.
    pub fn unplug(&mut self) {
        self.worker = None;
    }

    /// The port.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.link
    }

    /// Changes how a unit treats requests; without effect for a unit that is not there.
    pub fn behave(&self, id: u8, behaviour: Behaviour) {
        if let Some(unit) = self.shared.state().units.get_mut(&id) {
            unit.behaviour = behaviour;
        }
    }

    /// What has happened so far.
    #[must_use]
    pub fn counters(&self) -> LineCounters {
        self.shared.state().counters
    }
}

/// A frame that waits for its moment.
#[derive(Debug)]
struct Outgoing {
    begin: Instant,
    frame: Vec<u8>,
    /// What it is in the record, if it is a good answer.
    answer: Option<Served>,
}

#[derive(Debug)]
enum Event {
    Input(Input),
    Due,
    RestMissing,
    Stop,
}

async fn serve(port: Port, shared: Arc<Shared>, stop: CancellationToken) {
    let mut port = port.listen().expect("a new pseudo-terminal can be waited on");
    let mut line = Line { shared, received: Vec::new(), quiet_since: Instant::now(), outgoing: VecDeque::new() };
    let mut buffer = [0; 512];
    loop {
        let due = line.outgoing.front().map(|next| next.begin);
        let event = tokio::select! {
            () = stop.cancelled() => Event::Stop,
            input = port.read(&mut buffer) => Event::Input(input.unwrap_or(Input::Nobody)),
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => Event::Due,
            () = tokio::time::sleep(REST_OF_REQUEST), if !line.received.is_empty() => Event::RestMissing,
        };
        match event {
            Event::Stop => return,
            Event::Input(Input::Nobody) => line.received.clear(),
            Event::Input(Input::Bytes(count)) => line.receive(&buffer[..count], Instant::now()),
            Event::Due => line.send(&port),
            Event::RestMissing => {
                line.received.clear();
                line.shared.count(|counters| counters.damaged += 1);
            }
        }
    }
}

/// The line, owned by one task.
#[derive(Debug)]
struct Line {
    shared: Arc<Shared>,
    /// The beginning of a request.
    received: Vec<u8>,
    /// When the last character on the wire ended.
    quiet_since: Instant,
    /// In the order of their moments. One request at a time is waited for, so this is as long as units are late.
    outgoing: VecDeque<Outgoing>,
}

impl Line {
    /// Takes in what came at `now`.
    fn receive(&mut self, bytes: &[u8], now: Instant) {
        let character = self.shared.character;
        if self.received.is_empty() && now < self.quiet_since + character * 7 / 2 {
            self.shared.count(|counters| counters.gap_violations += 1);
        }
        self.received.extend(bytes);
        let Some(length) = modbus::request_length(&self.received).filter(|length| *length <= self.received.len())
        else {
            return;
        };
        let frame = std::mem::take(&mut self.received);
        let took = character * u32::try_from(frame.len()).unwrap_or(u32::MAX);
        self.quiet_since = now + took;
        self.shared.count(|counters| counters.characters += frame.len() as u64);
        if frame.len() == length && modbus::crc(&frame) == 0 {
            self.request(&frame, self.quiet_since);
        } else {
            self.shared.count(|counters| counters.damaged += 1);
        }
    }

    /// A whole request, whose last character ends at `end`.
    fn request(&mut self, frame: &[u8], end: Instant) {
        let mut state = self.shared.state();
        let State { units, counters } = &mut *state;
        counters.requests += 1;
        let Some(unit) = units.get_mut(&frame[0]) else {
            counters.for_nobody += 1;
            return;
        };
        let [id, pdu @ .., _, _] = frame else { return };
        let Some(reply) = unit.ask(pdu, &self.shared.log) else {
            return;
        };
        let id = if reply.fault == Some(WireFault::Stranger) { id.wrapping_add(1) } else { *id };
        let mut frame = modbus::with_crc([&[id][..], &reply.pdu].concat());
        if reply.fault == Some(WireFault::Damaged)
            && let Some(byte) = frame.get_mut(3)
        {
            *byte ^= 0x10;
        }
        let outgoing = Outgoing { begin: end + reply.delay, frame, answer: reply.answer };
        let place = self.outgoing.partition_point(|other| other.begin <= outgoing.begin);
        self.outgoing.insert(place, outgoing);
    }

    /// Sends the frame whose moment has come.
    fn send(&mut self, port: &Listening) {
        let Some(Outgoing { begin, frame, answer }) = self.outgoing.pop_front() else {
            return;
        };
        let character = self.shared.character;
        // A late answer that meets another one waits for it: two good frames in a row are harder on a master than the
        // noise that two drivers would make.
        let begin = begin.max(self.quiet_since);
        let sent = send_paced(port, &frame, begin, character);
        unit::record(answer, sent.heard, &self.shared.log);
        self.quiet_since = sent.ended;
        self.shared.count(|counters| {
            counters.answers += 1;
            counters.characters += frame.len() as u64;
            counters.collided_bytes += sent.collided;
        });
    }
}
