//! Modbus RTU on the wire: one exchange at a time, with the silence that the standard asks for.
//!
//! ```text
//! request   unit  function  address (2)  quantity (2)   crc (2, low byte first)
//! answer    unit  function  n            n bytes        crc
//! refusal   unit  function + 0x80        code           crc
//! ```
//!
//! Bytes are read until the answer to *this* request is among them, with its check sum, or its time is over. What else
//! comes is told apart and counted, in `sort`: our own echo, a late answer, another master's frames, noise. After a failure
//! the line is listened to until it is silent, and the kernel's buffer is cleared, or a new connection is made (`wire` says
//! which); [`crate::step`] then keeps a late answer from being taken for another's.
//!
//! Deliberately absent: the port is never flushed. That would block until all is sent; the time it takes is computed.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_modbus::client::Context;
use tokio_modbus::slave::Slave;

use crate::config::SerialConfig;
use crate::health::LineCounters;
use crate::modbus::{Failure, Limits, Line};
use crate::plan::Ask;
use crate::port::Timing;
use crate::query::Query;
use crate::step::Step;
use crate::trace::{Direction, Trace};

mod expected;
mod frames;
mod receive;
mod sort;
mod wire;

pub(crate) use frames::crc16;
use sort::{Sorted, Sorter};
use wire::{AfterFailure, Wire};

pub(crate) use wire::{Serial, Server};

/// What is heard in one go at most. An exchange has 8 bytes of echo and 256 of answer; more than four frames is babble.
const MAX_HEARD: usize = 1024;

/// How long to wait for a line that is never silent, before or after an exchange. Longer than the longest frame at 9,600.
const BABBLE_LIMIT: Duration = Duration::from_millis(500);

/// How long writing may be stuck. A port takes a request into its buffer at once, unless its driver hangs.
const WRITE_LIMIT: Duration = Duration::from_secs(1);

/// A line with Modbus units on it.
#[derive(Debug)]
pub(crate) struct RtuLine<W: Wire> {
    wire: W,
    trace: Trace,
    /// Of the settings that the line has now.
    timing: Timing,
    port: Option<W::Port>,
    /// Silence after the next opening.
    rest: Duration,
    /// When the last byte passed, or will have passed.
    last_byte: Instant,
    /// When the last request was sent.
    asked: Option<Instant>,
    /// Whether our own requests are heard on this line; `None` until something has come.
    echoes: Option<bool>,
    /// All that came after the last request.
    heard: Vec<u8>,
    /// Heard, and not yet told apart.
    stray: Vec<u8>,
    /// Where in `stray` the line had paused.
    pauses: Vec<usize>,
    sorter: Sorter,
}

impl<W: Wire> RtuLine<W> {
    /// `rest` is the silence after it was opened for the first time. Another program, or a bus that was stopped or crashed,
    /// may have a request on the line whose answer nobody could tell from ours.
    pub(crate) fn new(wire: W, rest: Duration, trace: Trace) -> Self {
        Self {
            timing: wire.timing(),
            wire,
            trace,
            port: None,
            rest,
            last_byte: Instant::now(),
            asked: None,
            echoes: None,
            heard: Vec::new(),
            stray: Vec::new(),
            pauses: Vec::new(),
            sorter: Sorter::default(),
        }
    }

    /// Waits until the line has been silent for `gap`, or longer if what was heard last may be the beginning of a frame: a
    /// short silence does not tell that its rest is not held back on its way.
    async fn await_silence(&mut self, mut gap: Duration, counters: &mut LineCounters) -> Result<(), Failure> {
        let give_up = Instant::now() + gap + BABBLE_LIMIT;
        loop {
            let silent = self.last_byte + gap;
            let nearly = silent.checked_sub(W::FINE_WAIT).unwrap_or(silent);
            let mut heard = self.hears_until(nearly).await?;
            if !heard {
                park_until(silent);
                // Lets the runtime look at the port.
                tokio::task::yield_now().await;
                heard = self.hears_until(nearly).await?;
            }
            if !heard {
                let keep = if gap < self.timing.settle { frames::MAX_FRAME } else { 0 };
                self.sort_strays(keep, None, counters);
                if self.stray.is_empty() {
                    return Ok(());
                }
                gap = self.timing.settle;
            }
            if Instant::now() >= give_up || self.stray.len() > MAX_HEARD {
                self.sort_strays(0, None, counters);
                counters.babble += 1;
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
        let now = Instant::now();
        // When it is known that these bytes were there, they had been passing for as long as they take.
        let pause = now.duration_since(self.last_byte).saturating_sub(self.timing.sending(len));
        if pause > self.timing.character * 3 / 2 {
            self.pauses.push(self.stray.len());
        }
        self.trace.show(Direction::Received, &bytes[..len]);
        self.stray.extend_from_slice(&bytes[..len]);
        if self.heard.len() < MAX_HEARD {
            self.heard.extend_from_slice(&bytes[..len]);
        }
        self.last_byte = self.last_byte.max(now);
        Ok(())
    }

    /// Tells apart what was heard, while `asked` was waited for. What may be the beginning of a frame stays, if it is no
    /// longer than `keep`.
    fn sort_strays(&mut self, keep: usize, asked: Option<Query>, counters: &mut LineCounters) -> Sorted {
        let (sorted, done) = self.sorter.sort(&self.stray, keep, asked, counters);
        self.stray.drain(..done);
        self.pauses.clear();
        counters.noise_bytes += sorted.noise_bytes;
        sorted
    }

    /// The port is let go at once, so that the kernel can give its name again.
    fn gone(&mut self, error: io::Error) -> Failure {
        self.port = None;
        Failure::Gone(error)
    }

    async fn send(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.asked = Some(Instant::now());
        let Some(port) = &mut self.port else { return Err(Failure::Gone(io::ErrorKind::NotConnected.into())) };
        match timeout(WRITE_LIMIT, port.write_all(request)).await {
            Ok(Ok(())) => {
                self.heard.clear();
                self.trace.show(Direction::Sent, request);
                self.last_byte = Instant::now() + self.timing.sending(request.len());
                self.sorter.expected.sent(request, Instant::now());
                Ok(())
            }
            Ok(Err(error)) => Err(self.gone(error)),
            Err(_elapsed) => Err(self.gone(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Listens until the line is silent, and throws away what the kernel still holds.
    async fn drain(&mut self, counters: &mut LineCounters) -> Result<(), Failure> {
        // Whoever babbles is met again before the next request.
        if let Err(Failure::Gone(error)) = self.await_silence(self.timing.settle, counters).await {
            return Err(Failure::Gone(error));
        }
        match self.port.as_mut().map_or(Ok(()), W::clear_input) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.gone(error)),
        }
    }
}

/// Stops the thread until `moment`, which is no further away than [`Wire::FINE_WAIT`].
fn park_until(moment: Instant) {
    while let Some(left) = moment.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

impl<W: Wire> Line for RtuLine<W> {
    const LONGEST_REST: Duration = W::LONGEST_REST;

    async fn open(&mut self) -> io::Result<()> {
        self.port = None;
        self.stray.clear();
        self.pauses.clear();
        self.echoes = None;
        self.port = Some(self.wire.open().await?);
        // A stable path may lead to another adapter now.
        self.timing = self.wire.timing();
        self.last_byte = Instant::now() + std::mem::replace(&mut self.rest, W::REST_AFTER_REOPEN);
        Ok(())
    }

    fn latency(&self) -> Duration {
        self.timing.latency
    }

    fn is_open(&self) -> bool {
        self.port.is_some()
    }

    fn configure(&mut self, settings: Option<&SerialConfig>) -> io::Result<()> {
        self.timing = self.wire.configure(self.port.as_mut(), settings)?;
        Ok(())
    }

    fn asked(&self) -> Option<Instant> {
        self.asked
    }

    fn knows_echo(&self) -> bool {
        self.echoes.is_some()
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
            self.sort_strays(0, None, counters);
        }
        self.sorter.owed.step(ask, Instant::now())
    }

    async fn exchange(
        &mut self,
        query: Query,
        request: &[u8],
        limits: Limits,
        counters: &mut LineCounters,
    ) -> Result<Vec<u8>, Failure> {
        self.await_silence(self.timing.silence.max(limits.min_gap), counters).await?;
        if let Some(reason) = self.sorter.owed.look_alike(query, Instant::now()) {
            // Another master has just asked for the same.
            return Err(Failure::NotAsked(reason));
        }
        self.send(request).await?;
        counters.requests += 1;
        let received = self.receive(query, request, limits, counters).await;
        let failure = match received {
            Ok(frame) => {
                self.sorter.expected.answered();
                if frames::is_refusal(&frame) {
                    self.sorter.owed.refused(query, Instant::now());
                }
                return Ok(frame);
            }
            Err(failure) => failure,
        };
        self.sorter.expected.failed(query, request, self.echoes, Instant::now());
        if !matches!(failure, Failure::Crc) {
            self.sorter.owed.failed(query, failure.reason(), Instant::now());
        }
        match failure {
            Failure::Timeout => counters.timeouts += 1,
            // It has been answered, though nobody can read it: nothing is owed.
            Failure::Crc => counters.crc += 1,
            Failure::Framing => counters.framing += 1,
            Failure::NotAsked(_) => {}
            Failure::Gone(_) => return Err(failure),
        }
        match W::AFTER_FAILURE {
            AfterFailure::Drain => self.drain(counters).await?,
            AfterFailure::Reconnect => {
                self.sort_strays(0, None, counters);
                self.port = None;
            }
        }
        Err(failure)
    }

    async fn listen(&mut self, counters: &mut LineCounters) -> Option<io::Error> {
        loop {
            let heard = if self.stray.is_empty() {
                self.hear().await.map(|()| true)
            } else {
                timeout_at(self.last_byte + self.timing.settle, self.hear())
                    .await
                    .map_or(Ok(false), |heard| heard.map(|()| true))
            };
            match heard {
                Ok(true) if self.stray.len() > MAX_HEARD => drop(self.sort_strays(frames::MAX_FRAME, None, counters)),
                Ok(true) => {}
                Ok(false) => drop(self.sort_strays(0, None, counters)),
                Err(error) => {
                    self.port = None;
                    return Some(error).filter(W::is_fault);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
