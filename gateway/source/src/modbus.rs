//! Asks a Modbus device, and is sure of the answer.
//!
//! `tokio-modbus` knows the protocol, but believes what it reads: a late or short answer passes for a value. So it speaks
//! into memory. At the far end a [`Line`] takes its request, does one exchange on the real wire, and hands back one frame
//! that is perfect for this request, or closes the memory.
//!
//! ```text
//! Client ── tokio-modbus ══ duplex in memory ══ Line ── serial port or connection
//! ```
//!
//! Deliberately absent: writing, broadcasts, retries.

use std::io;
use std::time::Duration;

use curb_model::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_modbus::client::{Client as _, Context};
use tokio_modbus::slave::{Slave, SlaveContext};
use tokio_modbus::{Request, Response};
use tokio_util::sync::CancellationToken;

use crate::config::Table;
use crate::health::LineCounters;
use crate::plan::Ask;
use crate::step::Step;

/// Bytes in memory between client and line. The longest frame of either framing has 260 bytes; twice that, so that neither
/// side ever waits for the other half way through a frame.
const MEMORY: usize = 520;

/// How long to wait, for one exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// From the end of the request to the first byte of the answer.
    pub(crate) timeout: Duration,
    /// Least silence before the request.
    pub(crate) min_gap: Duration,
}

/// The wire, with its framing.
pub(crate) trait Line {
    /// The longest rest between two tries to open it.
    const LONGEST_REST: Duration;

    /// Opens the port or connection, after letting go of the old one.
    async fn open(&mut self) -> io::Result<()>;

    /// Whether it is open.
    fn is_open(&self) -> bool;

    /// A client that speaks this framing.
    fn client(memory: DuplexStream) -> Context;

    /// What has to be done about `ask`.
    fn step(&mut self, ask: Ask, counters: &mut LineCounters) -> Step;

    /// Sends `request`, which is the frame of `ask`, and waits for its answer. The frame that is returned has a right check
    /// sum, and unit, function and length are those of `ask`.
    async fn exchange(
        &mut self,
        ask: Ask,
        request: &[u8],
        limits: Limits,
        counters: &mut LineCounters,
    ) -> Result<Vec<u8>, Failure>;

    /// Listens while nothing is asked. Returns when the wire is closed, after which [`Line::is_open`] is false: `Some` if
    /// that is a fault.
    ///
    /// # Cancel safety
    /// What was heard is not lost.
    async fn listen(&mut self, counters: &mut LineCounters) -> Option<io::Error>;
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing came in time.
    Timeout,
    /// The check sum did not fit.
    Crc,
    /// Something else came.
    Framing,
    /// Not asked, because of what went wrong just before.
    NotAsked(Reason),
    /// The port or connection is gone.
    Gone(io::Error),
}

impl Failure {
    /// What the readings say.
    pub(crate) const fn reason(&self) -> Reason {
        match self {
            Self::Timeout => Reason::Timeout,
            Self::Crc => Reason::Crc,
            Self::Framing => Reason::Framing,
            Self::NotAsked(reason) => *reason,
            Self::Gone(_) => Reason::Port,
        }
    }
}

/// What a device answered: exactly as many registers or bits as were asked for, or why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Registers(Vec<u16>),
    /// At least as many as were asked for: the last byte is padded.
    Bits(Vec<bool>),
    Exception(u8),
}

impl Answer {
    /// What `ask` wants of an answer that begins `skip` registers or bits before it.
    fn narrowed(self, skip: usize, ask: Ask) -> Self {
        let quantity = usize::from(ask.quantity);
        match self {
            Self::Registers(registers) => Self::Registers(registers.into_iter().skip(skip).take(quantity).collect()),
            Self::Bits(bits) => Self::Bits(bits.into_iter().skip(skip).take(quantity).collect()),
            Self::Exception(code) => Self::Exception(code),
        }
    }
}

/// A Modbus client on a line that it can trust.
#[derive(Debug)]
pub(crate) struct Client<L> {
    pub(crate) line: L,
    pub(crate) counters: LineCounters,
    stop: CancellationToken,
    /// The client and the far end of its memory; thrown away with every failure.
    session: Option<Session>,
}

struct Session {
    context: Context,
    far: DuplexStream,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl<L: Line> Client<L> {
    pub(crate) fn new(line: L, counters: LineCounters, stop: CancellationToken) -> Self {
        Self { line, counters, stop, session: None }
    }

    /// Reads `ask`. `None`: it is time to stop, and no answer is there; the line is not to be asked any more.
    ///
    /// # Cancel safety
    /// Not to be dropped half way: the request is on the wire.
    pub(crate) async fn read(&mut self, ask: Ask, limits: Limits) -> Result<Option<Answer>, Failure> {
        match self.line.step(ask, &mut self.counters) {
            Step::Now => self.call(ask, limits).await,
            Step::Wait(reason) => Err(Failure::NotAsked(reason)),
            Step::Wider(blocks, reason) => {
                for wider in blocks.into_iter().flatten() {
                    match self.call(wider, limits).await? {
                        // It says nothing about what is wanted: the unit may have no register beside it.
                        Some(Answer::Exception(_)) => {}
                        Some(answer @ (Answer::Registers(_) | Answer::Bits(_))) => {
                            return Ok(Some(answer.narrowed(usize::from(ask.address - wider.address), ask)));
                        }
                        None => return Ok(None),
                    }
                }
                Err(Failure::NotAsked(reason))
            }
        }
    }

    /// Listens while nothing is asked; see [`Line::listen`].
    pub(crate) async fn listen(&mut self) -> Option<io::Error> {
        self.line.listen(&mut self.counters).await
    }

    async fn call(&mut self, ask: Ask, limits: Limits) -> Result<Option<Answer>, Failure> {
        let Session { mut context, mut far } = self.session.take().unwrap_or_else(|| {
            let (near, far) = duplex(MEMORY);
            Session { context: L::client(near), far }
        });
        context.set_slave(Slave(ask.unit));
        let (line, counters, stop) = (&mut self.line, &mut self.counters, &self.stop);
        let stopped = async {
            stop.cancelled().await;
            // Lets the runtime look at the wire: an answer that has come is taken.
            tokio::task::yield_now().await;
        };
        let wire = async move {
            let mut request = [0; MEMORY];
            // The client writes a request in one piece, and memory does not part it.
            let len = far.read(&mut request).await.map_err(Failure::Gone)?;
            let frame = tokio::select! {
                biased;
                frame = line.exchange(ask, &request[..len], limits, counters) => frame?,
                () = stopped => return Ok(None),
            };
            far.write_all(&frame).await.map_err(Failure::Gone)?;
            Ok(Some(far))
        };
        // When the wire has failed or is given up, its end of the memory is dropped, and the client returns too.
        let (called, far) = tokio::join!(context.call(request_of(ask)), wire);
        let Some(far) = far? else { return Ok(None) };
        let answer = match called {
            Ok(Ok(Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words)))
                if words.len() == usize::from(ask.quantity) =>
            {
                Answer::Registers(words)
            }
            Ok(Ok(Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits)))
                if bits.len() >= usize::from(ask.quantity) =>
            {
                Answer::Bits(bits)
            }
            Ok(Err(exception)) => Answer::Exception(exception.into()),
            Ok(Ok(_)) | Err(_) => return Err(Failure::Framing),
        };
        match answer {
            Answer::Exception(_) => self.counters.exceptions += 1,
            Answer::Registers(_) | Answer::Bits(_) => self.counters.answers += 1,
        }
        self.session = Some(Session { context, far });
        Ok(Some(answer))
    }
}

fn request_of(ask: Ask) -> Request<'static> {
    match ask.table {
        Table::Coil => Request::ReadCoils(ask.address, ask.quantity),
        Table::Discrete => Request::ReadDiscreteInputs(ask.address, ask.quantity),
        Table::Holding => Request::ReadHoldingRegisters(ask.address, ask.quantity),
        Table::Input => Request::ReadInputRegisters(ask.address, ask.quantity),
    }
}
