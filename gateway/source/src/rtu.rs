//! Modbus RTU on the wire: one exchange at a time, with the silence that the standard asks for.
//!
//! ```text
//! request   unit  function  address (2)  quantity (2)   crc (2, low byte first)
//! answer    unit  function  n            n bytes        crc
//! refusal   unit  function + 0x80        code           crc
//! ```
//!
//! Bytes are read until the answer to *this* request is among them, with its check sum, or its time is over. What else
//! comes is told apart and counted: our own echo, a late answer, another master's frames, noise. After a failure the line
//! is listened to until it is silent, and the kernel's buffer is cleared; [`crate::step`] then keeps a late answer from
//! being taken for another's.
//!
//! Deliberately absent: the port is never flushed. That would block until all is sent; the time it takes is computed.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_modbus::client::Context;
use tokio_modbus::slave::Slave;

use crate::config::{RTU_TIMEOUT, SerialConfig};
use crate::health::LineCounters;
use crate::modbus::{Failure, Limits, Line};
use crate::plan::Ask;
use crate::port::{Port, Timing};
use crate::query::{Query, Shape};
use crate::reopen::PORT_REST;
use crate::step::{Owed, Step};
use crate::trace::{Direction, Trace};

mod frames;

pub(crate) use frames::crc16;
use frames::{AROUND_PDU, Head, Kind};

/// What is heard in one go at most. An exchange has 8 bytes of echo and 256 of answer; more than four frames is babble.
const MAX_HEARD: usize = 1024;

/// How long to wait for a line that is never silent, before or after an exchange. Longer than the longest frame at 9,600.
const BABBLE_LIMIT: Duration = Duration::from_millis(500);

/// Silence after opening. Another program, or a bus that was stopped or crashed, may have a request on the line whose
/// answer nobody could tell from ours. Chosen: what a unit may take to answer in, and little beside a start.
const REST_AFTER_OPEN: Duration = RTU_TIMEOUT;

/// The last part of a silence, for which the thread sleeps and not the runtime, whose timer counts whole milliseconds and
/// rounds up: that would make a silence of 2 ms one of 3.5 ms, and cost a busy line a twentieth of its polls. Nobody else
/// lives on this thread.
const FINE_WAIT: Duration = Duration::from_millis(4);

/// How long writing may be stuck. A port takes a request into its buffer at once, unless its driver hangs.
const WRITE_LIMIT: Duration = Duration::from_secs(1);

/// A serial line with Modbus units on it.
#[derive(Debug)]
pub(crate) struct RtuLine<P> {
    config: SerialConfig,
    trace: Trace,
    /// Of the settings that the line has now.
    timing: Timing,
    port: Option<P>,
    /// When the last byte passed, or will have passed.
    last_byte: Instant,
    /// Whether our own requests are heard on this line; `None` until something has come.
    echoes: Option<bool>,
    /// All that came after the last request.
    heard: Vec<u8>,
    /// Heard while nothing was asked, and not yet told apart.
    stray: Vec<u8>,
    owed: Owed,
}

impl<P: Port> RtuLine<P> {
    pub(crate) fn new(config: SerialConfig, trace: Trace) -> Self {
        let timing = Timing::of(&config);
        Self {
            config,
            trace,
            timing,
            heard: Vec::new(),
            port: None,
            last_byte: Instant::now(),
            stray: Vec::new(),
            echoes: None,
            owed: Owed::default(),
        }
    }

    /// Waits until the line has been silent for `gap`.
    async fn await_silence(&mut self, gap: Duration, counters: &mut LineCounters) -> Result<(), Failure> {
        let give_up = Instant::now() + gap + BABBLE_LIMIT;
        loop {
            let silent = self.last_byte + gap;
            let nearly = silent.checked_sub(FINE_WAIT).unwrap_or(silent);
            let mut heard = self.hears_until(nearly).await?;
            if !heard {
                park_until(silent);
                // Lets the runtime look at the port.
                tokio::task::yield_now().await;
                heard = self.hears_until(nearly).await?;
            }
            if !heard {
                self.sort_strays(counters);
                return Ok(());
            }
            if Instant::now() >= give_up || self.stray.len() > MAX_HEARD {
                self.sort_strays(counters);
                return Err(Failure::Framing);
            }
        }
    }

    /// Whether something comes before `deadline`.
    async fn hears_until(&mut self, deadline: Instant) -> Result<bool, Failure> {
        match timeout_at(deadline, self.hear()).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => Err(self.gone(error)),
            Err(_elapsed) => Ok(false),
        }
    }

    /// Reads what comes into `stray`. Cancel safe, because reading is.
    async fn hear(&mut self) -> io::Result<()> {
        let Some(port) = &mut self.port else { return Err(io::ErrorKind::NotConnected.into()) };
        let mut bytes = [0; 256];
        let len = port.read(&mut bytes).await?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.trace.show(Direction::Received, &bytes[..len]);
        self.stray.extend_from_slice(&bytes[..len]);
        if self.heard.len() < MAX_HEARD {
            self.heard.extend_from_slice(&bytes[..len]);
        }
        self.last_byte = self.last_byte.max(Instant::now());
        Ok(())
    }

    fn sort_strays(&mut self, counters: &mut LineCounters) {
        let stray = std::mem::take(&mut self.stray);
        self.sort(&stray, counters);
    }

    /// Tells apart bytes that are no answer. Says what there was.
    fn sort(&mut self, bytes: &[u8], counters: &mut LineCounters) -> Sorted {
        let mut sorted = Sorted::default();
        for kind in frames::kinds(bytes) {
            match kind {
                Kind::Noise => {
                    counters.noise_bytes += 1;
                    sorted.strange = true;
                }
                Kind::Answer { unit, function, data_len } if self.owed.settle(unit, function, data_len) => {
                    counters.late += 1;
                }
                Kind::Answer { .. } | Kind::Other => {
                    counters.foreign += 1;
                    sorted.strange = true;
                }
            }
        }
        sorted
    }

    /// The port is let go at once, so that the kernel can give its name again.
    fn gone(&mut self, error: io::Error) -> Failure {
        self.port = None;
        Failure::Gone(error)
    }

    async fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        let Some(port) = &mut self.port else { return Err(Failure::Gone(io::ErrorKind::NotConnected.into())) };
        match timeout(WRITE_LIMIT, port.write_all(request)).await {
            Ok(Ok(())) => {
                self.heard.clear();
                self.trace.show(Direction::Sent, request);
                self.last_byte = Instant::now() + self.timing.sending(request.len());
                Ok(())
            }
            Ok(Err(error)) => Err(self.gone(error)),
            Err(_elapsed) => Err(self.gone(io::ErrorKind::TimedOut.into())),
        }
    }

    /// What `heard` is that begins with the request. The answer to a write of one register repeats the request: on a line
    /// of which it is not known yet whether it echoes, only a second copy tells the two apart.
    fn copy(&self, heard: &[u8], query: Query, request: &[u8]) -> Copy {
        match (frames::head(heard, query, request), query.shape, self.echoes) {
            (Head::Whole(len), Shape::Echo(_), None) if len == request.len() && heard.len() == len => Copy::Unclear,
            (Head::Whole(len), Shape::Echo(_), None | Some(true)) if len == request.len() => Copy::Echo,
            (Head::Whole(_), ..) => Copy::Answer,
            (Head::Partial | Head::Garbled | Head::Other, ..) => Copy::Echo,
        }
    }

    /// Reads until the answer is there, or will not come.
    async fn receive(
        &mut self,
        query: Query,
        request: &[u8],
        limits: Limits,
        counters: &mut LineCounters,
    ) -> Result<Vec<u8>, Failure> {
        let answer_len = query.least_len() + AROUND_PDU;
        let deadline = self.last_byte + limits.timeout + self.timing.sending(query.most_len() + AROUND_PDU);
        let mut start = 0;
        loop {
            let heard = &self.stray[start..];
            if start == 0 && heard.starts_with(request) {
                match self.copy(heard, query, request) {
                    Copy::Answer => {}
                    Copy::Unclear if self.hears_until(deadline).await? => continue,
                    Copy::Unclear => {}
                    Copy::Echo => {
                        counters.echo += 1;
                        self.echoes = Some(true);
                        start = request.len();
                        continue;
                    }
                }
            }
            let heard = &self.stray[start..];
            if let Some((at, len)) = frames::find(heard, query, request) {
                self.echoes.get_or_insert(false);
                let heard = self.stray.split_off(start);
                self.stray.clear();
                self.sort(&heard[..at], counters);
                self.sort(&heard[at + len..], counters);
                return Ok(heard[at..at + len].to_vec());
            }
            // Enough for an answer has come, and it is none: the rest of it may end, but no answer begins after it.
            let until =
                if heard.len() < answer_len { deadline } else { deadline.min(self.last_byte + self.timing.settle) };
            if !self.hears_until(until).await? || self.stray.len() > MAX_HEARD {
                break;
            }
        }
        let heard = self.stray.split_off(start);
        self.stray.clear();
        let garbled = frames::head(&heard, query, request) == Head::Garbled;
        let sorted = self.sort(&heard, counters);
        Err(if garbled {
            Failure::Crc
        } else if sorted.strange {
            Failure::Framing
        } else {
            Failure::Timeout
        })
    }

    /// Listens until the line is silent, and throws away what the kernel still holds.
    async fn drain(&mut self, counters: &mut LineCounters) -> Result<(), Failure> {
        // Whoever babbles is met again before the next request.
        if let Err(Failure::Gone(error)) = self.await_silence(self.timing.settle, counters).await {
            return Err(Failure::Gone(error));
        }
        match self.port.as_mut().map_or(Ok(()), Port::clear_input) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.gone(error)),
        }
    }
}

/// Stops the thread until `moment`, which is no further away than [`FINE_WAIT`].
fn park_until(moment: Instant) {
    while let Some(left) = moment.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// What a copy of our request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copy {
    /// We hear ourselves.
    Echo,
    /// The unit repeats the request, as it should.
    Answer,
    /// One of both.
    Unclear,
}

/// What bytes that are no answer turned out to be.
#[derive(Debug, Default)]
struct Sorted {
    /// Something that is not merely late.
    strange: bool,
}

impl<P: Port> Line for RtuLine<P> {
    const LONGEST_REST: Duration = PORT_REST;

    async fn open(&mut self) -> io::Result<()> {
        self.port = None;
        self.stray.clear();
        self.echoes = None;
        self.port = Some(P::open(&self.config)?);
        self.timing = Timing::of(&self.config);
        self.last_byte = Instant::now() + REST_AFTER_OPEN;
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.port.is_some()
    }

    fn configure(&mut self, settings: Option<&SerialConfig>) -> io::Result<()> {
        let settings = settings.unwrap_or(&self.config);
        if let Some(port) = &mut self.port {
            port.set(settings)?;
        }
        self.timing = Timing::of(settings);
        Ok(())
    }

    fn heard(&self) -> &[u8] {
        &self.heard
    }

    fn client(memory: DuplexStream) -> Context {
        tokio_modbus::client::rtu::attach_slave(memory, Slave::broadcast())
    }

    fn step(&mut self, ask: Ask, counters: &mut LineCounters) -> Step {
        if self.last_byte.elapsed() > self.timing.settle {
            // What was heard since the last exchange is complete; a late answer among it is owed no more.
            self.sort_strays(counters);
        }
        self.owed.step(ask, Instant::now())
    }

    async fn exchange(
        &mut self,
        query: Query,
        request: &[u8],
        limits: Limits,
        counters: &mut LineCounters,
    ) -> Result<Vec<u8>, Failure> {
        self.await_silence(self.timing.silence.max(limits.min_gap), counters).await?;
        self.send(request).await?;
        counters.requests += 1;
        let failure = match self.receive(query, request, limits, counters).await {
            Ok(frame) => {
                if frames::is_refusal(&frame) {
                    self.owed.refused(query, Instant::now());
                }
                return Ok(frame);
            }
            Err(failure) => failure,
        };
        if !matches!(failure, Failure::Crc) {
            self.owed.failed(query, failure.reason(), Instant::now());
        }
        match failure {
            Failure::Timeout => counters.timeouts += 1,
            // It has been answered, though nobody can read it: nothing is owed.
            Failure::Crc => counters.crc += 1,
            Failure::Framing => counters.framing += 1,
            Failure::NotAsked(_) => {}
            Failure::Gone(_) => return Err(failure),
        }
        self.drain(counters).await?;
        Err(failure)
    }

    async fn listen(&mut self, counters: &mut LineCounters) -> Option<io::Error> {
        loop {
            match self.hear().await {
                Ok(()) if self.stray.len() > MAX_HEARD => self.sort_strays(counters),
                Ok(()) => {}
                Err(error) => {
                    self.port = None;
                    return Some(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
