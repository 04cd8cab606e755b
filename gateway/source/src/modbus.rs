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
//! Deliberately absent: broadcasts (nobody would answer for what they did), retries.

use std::io;
use std::time::Duration;

use curb_model::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;
use tokio_modbus::client::{Client as _, Context};
use tokio_modbus::prelude::ReadCode;
use tokio_modbus::slave::{Slave, SlaveContext};
use tokio_modbus::{Request, Response};
use tokio_util::sync::CancellationToken;

use crate::config::{SerialConfig, Table};
use crate::health::LineCounters;
use crate::plan::Ask;
use crate::query::{Query, Shape};
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

    /// How long what is received may be held back on its way, which is added to time-outs.
    fn latency(&self) -> Duration;

    /// A client that speaks this framing.
    fn client(memory: DuplexStream) -> Context;

    /// Uses other settings of the line than its own, or its own again (`None`).
    fn configure(&mut self, settings: Option<&SerialConfig>) -> io::Result<()>;

    /// When the last request was sent: after the silence before it.
    fn asked(&self) -> Option<Instant>;

    /// Whether it is known that our own requests are heard back from it, or that they are not.
    fn knows_echo(&self) -> bool;

    /// All that came after the last request, as far as it is kept.
    fn heard(&self) -> &[u8];

    /// What has to be done about `ask`.
    fn step(&mut self, ask: Ask, counters: &mut LineCounters) -> Step;

    /// Sends `request`, which is the frame of `query`, and waits for its answer. The frame that is returned has a right
    /// check sum, and unit, function and shape are those of `query`.
    async fn exchange(
        &mut self,
        query: Query,
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
    /// It has written, and repeated what.
    Done,
    /// Objects of a device identification: id and value.
    Identity(Vec<(u8, Vec<u8>)>),
    /// Server id, run indicator, and what else there is.
    ServerId(Vec<u8>),
    Exception(u8),
}

/// What is written, with the function that writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Put {
    /// Function 5.
    Coil(u16, bool),
    /// Function 6.
    Register(u16, u16),
    /// Function 15.
    Coils(u16, Vec<bool>),
    /// Function 16.
    Registers(u16, Vec<u16>),
    /// Function 22: the register becomes `(register & and) | (or & !and)`.
    Mask { address: u16, and: u16, or: u16 },
}

impl Answer {
    /// What `ask` wants of an answer that begins `skip` registers or bits before it.
    fn narrowed(self, skip: usize, ask: Ask) -> Self {
        let quantity = usize::from(ask.quantity);
        match self {
            Self::Registers(registers) => Self::Registers(registers.into_iter().skip(skip).take(quantity).collect()),
            Self::Bits(bits) => Self::Bits(bits.into_iter().skip(skip).take(quantity).collect()),
            whole @ (Self::Done | Self::Identity(_) | Self::ServerId(_) | Self::Exception(_)) => whole,
        }
    }
}

impl Put {
    /// The same by the function for one, or for several: devices know the one, the other, or both.
    pub(crate) fn other_function(&self) -> Option<Self> {
        match self {
            Self::Coil(address, on) => Some(Self::Coils(*address, vec![*on])),
            Self::Register(address, word) => Some(Self::Registers(*address, vec![*word])),
            Self::Coils(address, bits) => {
                if let [on] = bits.as_slice() {
                    Some(Self::Coil(*address, *on))
                } else {
                    None
                }
            }
            Self::Registers(address, words) => {
                if let [word] = words.as_slice() {
                    Some(Self::Register(*address, *word))
                } else {
                    None
                }
            }
            Self::Mask { .. } => None,
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
            Step::Now => self.read_block(ask, limits).await,
            Step::Wait(reason) => Err(Failure::NotAsked(reason)),
            Step::Wider(blocks, reason) => {
                for wider in blocks.into_iter().flatten() {
                    match self.read_block(wider, limits).await? {
                        // It says nothing about what is wanted: the unit may have no register beside it.
                        Some(Answer::Exception(_)) => {}
                        Some(answer) => {
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

    /// Writes. `None`: it is time to stop, and nothing is known of the write. An exception is the unit's refusal.
    ///
    /// # Cancel safety
    /// Not to be dropped half way: the request is on the wire.
    pub(crate) async fn write(&mut self, unit: u8, put: &Put, limits: Limits) -> Result<Option<Answer>, Failure> {
        let (request, function, echo) = match put {
            Put::Coil(address, on) => (Request::WriteSingleCoil(*address, *on), 5, 4),
            Put::Register(address, word) => (Request::WriteSingleRegister(*address, *word), 6, 4),
            Put::Coils(address, bits) => (Request::WriteMultipleCoils(*address, bits.clone().into()), 15, 4),
            Put::Registers(address, words) => (Request::WriteMultipleRegisters(*address, words.clone().into()), 16, 4),
            Put::Mask { address, and, or } => (Request::MaskWriteRegister(*address, *and, *or), 22, 6),
        };
        let query = Query { unit, function, shape: Shape::Echo(echo) };
        self.call(query, request, limits, |response| {
            let done = matches!(
                response,
                Response::WriteSingleCoil(..)
                    | Response::WriteSingleRegister(..)
                    | Response::WriteMultipleCoils(..)
                    | Response::WriteMultipleRegisters(..)
                    | Response::MaskWriteRegister(..)
            );
            done.then_some(Answer::Done)
        })
        .await
    }

    /// Asks a unit who it is: maker, product code and revision (function 43 / 14, basic objects).
    ///
    /// # Cancel safety
    /// Not to be dropped half way: the request is on the wire.
    pub(crate) async fn identify(&mut self, unit: u8, limits: Limits) -> Result<Option<Answer>, Failure> {
        let request = Request::ReadDeviceIdentification(ReadCode::Basic, 0);
        let query = Query { unit, function: 43, shape: Shape::Identification };
        self.call(query, request, limits, |response| {
            let Response::ReadDeviceIdentification(answer) = response else { return None };
            let objects = answer.device_id_objects.into_iter();
            Some(Answer::Identity(objects.map(|object| (object.id, object.value.to_vec())).collect()))
        })
        .await
    }

    /// Asks a unit for its own words about itself (function 17).
    ///
    /// # Cancel safety
    /// Not to be dropped half way: the request is on the wire.
    pub(crate) async fn server_id(&mut self, unit: u8, limits: Limits) -> Result<Option<Answer>, Failure> {
        let query = Query { unit, function: 17, shape: Shape::Counted };
        self.call(query, Request::ReportServerId, limits, |response| {
            let Response::ReportServerId(id, running, more) = response else { return None };
            Some(Answer::ServerId([vec![id, if running { 0xFF } else { 0 }], more].concat()))
        })
        .await
    }

    async fn read_block(&mut self, ask: Ask, limits: Limits) -> Result<Option<Answer>, Failure> {
        let request = match ask.table {
            Table::Coil => Request::ReadCoils(ask.address, ask.quantity),
            Table::Discrete => Request::ReadDiscreteInputs(ask.address, ask.quantity),
            Table::Holding => Request::ReadHoldingRegisters(ask.address, ask.quantity),
            Table::Input => Request::ReadInputRegisters(ask.address, ask.quantity),
        };
        let quantity = usize::from(ask.quantity);
        self.call(ask.query(), request, limits, |response| {
            if let Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) = response {
                (words.len() == quantity).then_some(Answer::Registers(words))
            } else if let Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) = response {
                (bits.len() >= quantity).then_some(Answer::Bits(bits))
            } else {
                None
            }
        })
        .await
    }

    /// One exchange. `accept` takes a response for an answer.
    async fn call(
        &mut self,
        query: Query,
        request: Request<'static>,
        limits: Limits,
        accept: impl FnOnce(Response) -> Option<Answer>,
    ) -> Result<Option<Answer>, Failure> {
        let Session { mut context, mut far } = self.session.take().unwrap_or_else(|| {
            let (near, far) = duplex(MEMORY);
            Session { context: L::client(near), far }
        });
        context.set_slave(Slave(query.unit));
        let (line, counters, stop) = (&mut self.line, &mut self.counters, &self.stop);
        let stopped = async {
            stop.cancelled().await;
            // Lets the runtime look at the wire: an answer that has come is taken.
            tokio::task::yield_now().await;
        };
        let wire = async move {
            let mut frame = [0; MEMORY];
            // The client writes a request in one piece, and memory does not part it.
            let len = far.read(&mut frame).await.map_err(Failure::Gone)?;
            let frame = tokio::select! {
                biased;
                frame = line.exchange(query, &frame[..len], limits, counters) => frame?,
                () = stopped => return Ok(None),
            };
            far.write_all(&frame).await.map_err(Failure::Gone)?;
            Ok(Some(far))
        };
        // When the wire has failed or is given up, its end of the memory is dropped, and the client returns too.
        let (called, far) = tokio::join!(context.call(request), wire);
        let Some(far) = far? else { return Ok(None) };
        let answer = match called {
            Ok(Ok(response)) => accept(response).ok_or(Failure::Framing)?,
            Ok(Err(exception)) => Answer::Exception(exception.into()),
            Err(_) => return Err(Failure::Framing),
        };
        if let Answer::Exception(_) = answer {
            self.counters.exceptions += 1;
        } else {
            self.counters.answers += 1;
        }
        self.session = Some(Session { context, far });
        Ok(Some(answer))
    }
}
