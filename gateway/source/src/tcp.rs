//! Modbus TCP on a connection: one exchange at a time.
//!
//! ```text
//! frame     transaction (2)  protocol = 0 (2)  length (2)  unit  function  …
//! ```
//!
//! Transaction numbers tell late answers from ours, but nothing says how long a device remembers, and some answer with
//! numbers of their own. So a connection lives only as long as every answer fits; after anything else it is dropped, and
//! the next request opens a new one, over which nothing late can come.
//!
//! Deliberately absent: more than one request in flight, which many devices cannot bear.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_modbus::client::Context;
use tokio_modbus::slave::Slave;

use crate::config::SerialConfig;
use crate::connect::{connect, is_tidying};
use crate::health::LineCounters;
use crate::modbus::{Failure, Limits, Line};
use crate::plan::Ask;
use crate::query::{Progress, Query};
use crate::reopen::CONNECTION_REST;
use crate::step::Step;
use crate::trace::{Direction, Trace};

/// Bytes before the function code.
const HEADER: usize = 7;

/// Longest frame (Modbus Messaging on TCP/IP 1.0b, section 4.1).
const MAX_FRAME: usize = 260;

/// A Modbus TCP device, or a gateway with several behind it.
#[derive(Debug)]
pub(crate) struct TcpLine {
    /// `host:port`.
    address: String,
    trace: Trace,
    stream: Option<TcpStream>,
    /// When the last frame passed.
    last_frame: Instant,
    /// When the last request was sent.
    asked: Option<Instant>,
}

impl TcpLine {
    pub(crate) fn new(address: String, trace: Trace) -> Self {
        Self { address, trace, stream: None, last_frame: Instant::now(), asked: None }
    }

    async fn send_and_receive(&mut self, query: Query, request: &[u8], wait: Duration) -> Result<Vec<u8>, Failure> {
        let Some(stream) = &mut self.stream else { return Err(Failure::Gone(io::ErrorKind::NotConnected.into())) };
        let deadline = Instant::now() + wait;
        let failure = |result: Result<io::Result<usize>, _>| match result {
            Ok(Ok(0)) => Err(Failure::Gone(io::ErrorKind::UnexpectedEof.into())),
            Ok(Ok(len)) => Ok(len),
            Ok(Err(error)) => Err(Failure::Gone(error)),
            Err(_elapsed) => Err(Failure::Timeout),
        };
        let write = async { stream.write_all(request).await.map(|()| request.len()) };
        failure(timeout_at(deadline, write).await)?;
        self.trace.show(Direction::Sent, request);
        let mut frame = [0; MAX_FRAME];
        let mut len = 0;
        loop {
            match judge(&frame[..len], query, request) {
                Verdict::Answer => return Ok(frame[..len].to_vec()),
                Verdict::Partial => {}
                Verdict::Foreign => return Err(Failure::Framing),
            }
            match failure(timeout_at(deadline, stream.read(&mut frame[len..])).await) {
                Ok(more) => {
                    self.trace.show(Direction::Received, &frame[len..len + more]);
                    len += more;
                }
                // Half an answer is not silence.
                Err(Failure::Timeout) if len > 0 => return Err(Failure::Framing),
                Err(failure) => return Err(failure),
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Answer,
    Partial,
    Foreign,
}

/// What has come so far after `request`.
fn judge(bytes: &[u8], query: Query, request: &[u8]) -> Verdict {
    let fits = |index: usize, expected: u8| bytes.get(index).is_none_or(|&byte| byte == expected);
    if !(fits(0, request[0]) && fits(1, request[1]) && fits(2, 0) && fits(3, 0) && fits(4, 0) && fits(6, query.unit)) {
        return Verdict::Foreign;
    }
    let pdu = bytes.get(HEADER..).unwrap_or_default();
    let len = match query.progress(pdu, request.get(HEADER..).unwrap_or_default()) {
        Progress::Length(len) => len,
        Progress::Open => return Verdict::Partial,
        Progress::Foreign => return Verdict::Foreign,
    };
    // The length in the header counts the unit, too. It is judged once the function code says which kind of answer comes.
    if !pdu.is_empty() && u8::try_from(len + 1).is_ok_and(|counted| !fits(5, counted)) {
        return Verdict::Foreign;
    }
    let len = HEADER + len;
    match bytes.len() {
        have if have < len => Verdict::Partial,
        have if have == len => Verdict::Answer,
        _ => Verdict::Foreign,
    }
}

impl Line for TcpLine {
    const LONGEST_REST: Duration = CONNECTION_REST;

    async fn open(&mut self) -> io::Result<()> {
        self.stream = None;
        self.stream = Some(connect(&self.address).await?);
        Ok(())
    }

    fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    fn configure(&mut self, settings: Option<&SerialConfig>) -> io::Result<()> {
        match settings {
            Some(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "a connection has no baud rate")),
            None => Ok(()),
        }
    }

    fn asked(&self) -> Option<Instant> {
        self.asked
    }

    /// A connection has none.
    fn knows_echo(&self) -> bool {
        true
    }

    fn heard(&self) -> &[u8] {
        &[]
    }

    fn latency(&self) -> Duration {
        Duration::ZERO
    }

    fn client(memory: DuplexStream) -> Context {
        tokio_modbus::client::tcp::attach_slave(memory, Slave::broadcast())
    }

    fn step(&mut self, _ask: Ask, _counters: &mut LineCounters) -> Step {
        Step::Now
    }

    async fn exchange(
        &mut self,
        query: Query,
        request: &[u8],
        limits: Limits,
        counters: &mut LineCounters,
    ) -> Result<Vec<u8>, Failure> {
        if !limits.min_gap.is_zero() {
            sleep_until(self.last_frame + limits.min_gap).await;
        }
        counters.requests += 1;
        self.asked = Some(Instant::now());
        let result = self.send_and_receive(query, request, limits.timeout).await;
        self.last_frame = Instant::now();
        match &result {
            Ok(_) => return result,
            Err(Failure::Timeout) => counters.timeouts += 1,
            Err(Failure::Framing) => counters.framing += 1,
            Err(Failure::Crc | Failure::NotAsked(_) | Failure::Gone(_)) => {}
        }
        self.stream = None;
        result
    }

    async fn listen(&mut self, counters: &mut LineCounters) -> Option<io::Error> {
        let mut byte = [0; 1];
        let read = match &mut self.stream {
            Some(stream) => stream.read(&mut byte).await,
            None => Ok(0),
        };
        self.stream = None;
        match read {
            Ok(0) => None,
            Ok(_) => {
                counters.foreign += 1;
                None
            }
            Err(error) if is_tidying(&error) => None,
            Err(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests;
