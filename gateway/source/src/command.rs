//! What a bus is asked for besides its polls: writes, and the single requests of the tools.
//!
//! A [`BusHandle`] is a mailbox of a running bus. The bus looks into it at every gap between two frames: writes first, all
//! of them, then one request of a tool. Both queues are bounded; when one is full the caller is told so at once, and has
//! lost nothing.
//!
//! Deliberately absent: who may write what (the point's [`crate::Grant`] says so, and the bus looks at it), and the memory
//! of what has been written already (the daemon's, which outlives a bus).

use std::sync::Arc;
use std::time::Duration;

use curb_model::{HubTime, Point, PointName, Reason, Value};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;

use crate::codec::EncodeError;
use crate::config::{ModbusDevice, SerialConfig, Table};
use crate::trace::{Chunk, Trace};

/// Writes that wait for a gap. A gap comes after each frame, so that these are a second of a busy line; more are refused.
const WRITES: usize = 16;

/// Requests of tools that wait. A tool sends the next when it has the answer to the last.
const PROBES: usize = 4;

/// The longest that a tool may keep a bus from its polls with one request: a tool that has died must not silence a bus.
pub(crate) const LONGEST_HOLD: Duration = Duration::from_secs(2);

/// The longest that one answer is waited for: what the config allows a device, too.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// The slowest rate that a tool may set: at this one the longest frame takes 2.3 s.
const SLOWEST_BAUD: u32 = 1_200;

/// Registers in one write at most (Modbus Application Protocol 1.1b3, section 6.12).
const MOST_WRITTEN: usize = 123;

/// A running bus, for those who want something of it.
#[derive(Debug, Clone)]
pub struct BusHandle {
    writes: mpsc::Sender<WriteOrder>,
    probes: mpsc::Sender<ProbeOrder>,
    trace: Trace,
}

/// A write that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// What was written.
    pub point: Arc<Point>,
    /// The value that stands there now.
    pub value: Value,
    /// How it is known.
    pub proof: Proof,
    /// When that was known.
    pub at: HubTime,
}

/// How it is known that a value was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It was read back.
    ReadBack,
    /// The device said so; what was written there cannot be read.
    Echo,
}

/// Why a write was not done, or is not known to be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// No such point on this bus.
    #[error("no point {0} is read on any bus")]
    Unknown(PointName),
    /// The config does not allow it.
    #[error("{0} may not be written: its config has no `write`")]
    NotGranted(PointName),
    /// Outside the granted bounds.
    #[error("{value} is not within {least} to {most}, which is granted")]
    Bounds {
        /// What was to be written.
        value: f64,
        /// Least value that is granted.
        least: f64,
        /// Greatest value that is granted.
        most: f64,
    },
    /// The point cannot hold the value.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// It could not be sent in time; the device knows nothing of it.
    #[error("its deadline passed before it could be sent")]
    Deadline,
    /// What it depends on could not be read, or the port is gone; the device knows nothing of it.
    #[error("it could not be sent ({0})")]
    NotSent(Reason),
    /// The device refused it.
    #[error("the device refused it with exception {0}")]
    Refused(u8),
    /// The device did not answer as it should; whether it has written is not known.
    #[error("the device did not confirm it ({0}): it may or may not have taken effect")]
    Unconfirmed(Reason),
    /// Something else stands there afterwards.
    #[error("the device said yes, and holds {found} afterwards")]
    Differs {
        /// What was read back.
        found: String,
    },
    /// Too many wait already.
    #[error("too many writes wait for this bus already")]
    Full,
    /// The bus ended, or takes no writes.
    #[error("the bus takes no writes, or has just been stopped")]
    Stopped,
}

impl WriteError {
    /// One stable word, for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "unknown-point",
            Self::NotGranted(_) => "not-granted",
            Self::Bounds { .. } => "out-of-bounds",
            Self::Encode(_) => "not-representable",
            Self::Deadline => "deadline",
            Self::NotSent(_) => "not-sent",
            Self::Refused(_) => "refused-by-device",
            Self::Unconfirmed(_) => "unconfirmed",
            Self::Differs { .. } => "differs",
            Self::Full => "full",
            Self::Stopped => "stopped",
        }
    }
}

/// One request of a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// Whom to ask.
    pub unit: u8,
    /// What to ask.
    pub question: Question,
    /// At other settings of the line than its own; the next poll or write has its own again. Serial lines only.
    pub settings: Option<SerialConfig>,
    /// From the end of the request to the first byte of the answer, at most 60 s; `None`: as long as the config gives this
    /// unit, or else any on this bus.
    pub timeout: Option<Duration>,
    /// How long the bus waits for the tool's next request before it goes on polling; at most 2 s.
    pub hold: Duration,
}

/// What a tool asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Registers or bits: functions 1 to 4.
    Read {
        /// Which table.
        table: Table,
        /// First register or bit, from 0.
        address: u16,
        /// How many.
        quantity: u16,
    },
    /// Who it is: function 43 / 14, basic objects.
    Identify,
    /// Its own words about itself: function 17.
    ServerId,
    /// Nothing: opens the line and listens for the probe's time-out, at most 2 s.
    Listen,
    /// By the functions that the config says of this unit; else one register by 6, several by 16. For commissioning with the daemon stopped; see [`BusHandle::probe`].
    Write {
        /// First register, from 0.
        address: u16,
        /// What to write.
        registers: Vec<u16>,
    },
    /// One coil: function 5, or what the config says of this unit.
    WriteCoil {
        /// Which, from 0.
        address: u16,
        /// What to write.
        on: bool,
    },
}

/// What came of a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// The answer, or why there is none.
    pub outcome: Outcome,
    /// All bytes that came after the request, the answer's and others; empty over Modbus TCP.
    pub heard: Vec<u8>,
    /// From the moment that the request was sent to its outcome, without what the line had to rest before.
    pub took: Duration,
}

/// The answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As many as were asked for.
    Registers(Vec<u16>),
    /// As many as were asked for.
    Bits(Vec<bool>),
    /// Objects of a device identification: id and value.
    Identity(Vec<(u8, Vec<u8>)>),
    /// Server id, run indicator (0xFF runs), and what else the device says.
    ServerId(Vec<u8>),
    /// Written.
    Done,
    /// The device refuses, with this exception code.
    Exception(u8),
    /// No answer.
    Failed(Reason),
    /// The port or connection cannot be opened, or cannot be set so; why.
    Unusable(String),
}

/// A probe could not be handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// No bus should be asked this.
    #[error("such a request cannot be sent: {0}")]
    Unsound(&'static str),
    /// Another tool is at it.
    #[error("another tool has this bus: try again in a moment")]
    Full,
    /// The bus ended, or is a talker's.
    #[error("the bus takes no requests, or has just been stopped")]
    Stopped,
}

impl Orders {
    /// Takes no more writes, and tells those who wait that nothing of theirs was sent.
    pub(crate) fn end(&mut self) {
        self.writes.close();
        while let Ok(order) = self.writes.try_recv() {
            // A caller that hung up does not want it.
            drop(order.reply.send(Err(WriteError::Stopped)));
        }
    }
}

impl BusHandle {
    /// Writes a value, before the next poll. Answers when it was read back, or why not.
    ///
    /// # Errors
    /// It was refused, could not be done, or is not known to be done; see [`WriteError`].
    ///
    /// # Cancel safety
    /// Dropped while it waits, the write may still be done; nobody hears of it.
    pub async fn write(&self, point: PointName, value: Value, deadline: Instant) -> Result<Written, WriteError> {
        let (reply, written) = oneshot::channel();
        self.writes.try_send(WriteOrder { point, value, deadline, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => WriteError::Full,
            mpsc::error::TrySendError::Closed(_) => WriteError::Stopped,
        })?;
        // The bus ended or crashed with it, before or after it was sent.
        written.await.unwrap_or(Err(WriteError::Unconfirmed(Reason::Port)))
    }

    /// Asks one thing. A raw write is not looked at by any grant: whoever lets others ask through this decides that.
    ///
    /// # Errors
    /// The bus could not take it.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the request may still be sent.
    pub async fn probe(&self, probe: Probe) -> Result<Probed, ProbeError> {
        probe.check().map_err(ProbeError::Unsound)?;
        let (reply, probed) = oneshot::channel();
        let probe = Probe { hold: probe.hold.min(LONGEST_HOLD), ..probe };
        self.probes.try_send(ProbeOrder { probe, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => ProbeError::Full,
            mpsc::error::TrySendError::Closed(_) => ProbeError::Stopped,
        })?;
        probed.await.map_err(|_ended| ProbeError::Stopped)
    }

    /// The bytes on the bus from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Chunk> {
        self.trace.watch()
    }
}

impl Probe {
    /// What is wrong with it in itself. Callers are not trusted: this also comes from the control socket.
    fn check(&self) -> Result<(), &'static str> {
        let ends = |address: u16, len: usize| usize::from(address) + len <= usize::from(u16::MAX) + 1;
        match &self.question {
            Question::Read { table, address, quantity } => {
                let most = if table.is_bits() { ModbusDevice::MAX_BITS } else { ModbusDevice::MAX_REGISTERS };
                if !(1..=most).contains(quantity) {
                    return Err("one read has 1 to 125 registers, or 1 to 2,000 bits");
                }
                if !ends(*address, usize::from(*quantity)) {
                    return Err("it ends beyond the last address, 65535");
                }
            }
            Question::Write { address, registers } => {
                if !(1..=MOST_WRITTEN).contains(&registers.len()) {
                    return Err("one write has 1 to 123 registers");
                }
                if !ends(*address, registers.len()) {
                    return Err("it ends beyond the last address, 65535");
                }
            }
            Question::WriteCoil { .. } | Question::Identify | Question::ServerId | Question::Listen => {}
        }
        if self.timeout.is_some_and(|timeout| timeout > LONGEST_ANSWER) {
            return Err("no answer is waited for longer than 60 s");
        }
        if self.settings.as_ref().is_some_and(|settings| settings.baud < SLOWEST_BAUD) {
            return Err("rates below 1,200 bit/s would hold the bus for too long");
        }
        Ok(())
    }
}

/// A write on its way to a bus.
#[derive(Debug)]
pub(crate) struct WriteOrder {
    pub(crate) point: PointName,
    pub(crate) value: Value,
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Result<Written, WriteError>>,
}

/// A probe on its way to a bus.
#[derive(Debug)]
pub(crate) struct ProbeOrder {
    pub(crate) probe: Probe,
    pub(crate) reply: oneshot::Sender<Probed>,
}

/// The bus's end of its mailbox.
#[derive(Debug)]
pub(crate) struct Orders {
    pub(crate) writes: mpsc::Receiver<WriteOrder>,
    pub(crate) probes: mpsc::Receiver<ProbeOrder>,
}

/// A mailbox.
pub(crate) fn mailbox(trace: Trace) -> (BusHandle, Orders) {
    let (write_in, writes) = mpsc::channel(WRITES);
    let (probe_in, probes) = mpsc::channel(PROBES);
    (BusHandle { writes: write_in, probes: probe_in, trace }, Orders { writes, probes })
}
