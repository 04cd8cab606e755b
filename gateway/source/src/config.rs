//! What the source is told: buses, their devices, and the points to read.
//!
//! The daemon parses text into these types; equality is what `reload` compares. What the types alone cannot rule out is
//! found by [`Config::check`].
//!
//! Deliberately absent: text, files and defaults that depend on a file. The only defaults here are those that the field
//! buses themselves imply.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use curb_model::Name;

mod modbus;
mod pattern;
mod talker;

pub use modbus::{Bits, Conversion, Encoding, Grant, Half, ModbusDevice, ModbusPoint, Order, Setup, Table, WriteWith};
pub use pattern::{Pattern, PatternError};
pub use talker::{Checksum, ChecksumKind, Decode, Framing, LengthPrefix, Place, Request, TalkerDevice, TalkerPoint};

/// How long a unit on a serial line may take to begin its answer, where the config says nothing. Slow meters need
/// 200 ms; twice that would let a dead unit hold the line for too long.
pub const RTU_TIMEOUT: Duration = Duration::from_millis(300);

/// How long a Modbus TCP device may take to answer, where the config says nothing: a gateway in between adds its own
/// serial line and the network.
pub const TCP_TIMEOUT: Duration = Duration::from_secs(1);

/// Least silence before a request to a unit on a serial line, where the config says nothing: the device is unknown. Some take
/// a request that comes at once after an answer for part of it, and one meter restarts over it. 20 ms is what the makers of
/// most meters ask for.
pub const MIN_GAP: Duration = Duration::from_millis(20);

/// How long a talker may be silent, where the config says nothing. Air and weather sensors speak every 1 to 5 s.
pub const STALE_AFTER: Duration = Duration::from_secs(10);

/// Everything the source does.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// One thread each.
    pub buses: BTreeMap<Name, BusConfig>,
}

/// One serial port or one TCP address, with what hangs on it.
#[derive(Debug, Clone, PartialEq)]
pub struct BusConfig {
    /// The way to the devices.
    pub link: Link,
    /// The devices, by name.
    pub devices: BTreeMap<Name, DeviceConfig>,
}

/// The kind of bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Modbus RTU on a serial line.
    Rtu(SerialConfig),
    /// Modbus RTU frames over a TCP connection at `host:port`: a serial server that passes bytes on.
    RtuOverTcp(String),
    /// Modbus TCP at `host:port`.
    Tcp(String),
    /// A device that talks by itself, or on request, on a serial line.
    Talker {
        /// The port.
        serial: SerialConfig,
        /// What parts its frames.
        framing: Framing,
    },
}

impl Link {
    /// The port or address, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Rtu(serial) | Self::Talker { serial, .. } => serial.path.display().to_string(),
            Self::Tcp(address) | Self::RtuOverTcp(address) => address.clone(),
        }
    }

    /// How long a device may take to begin its answer, where the config does not say.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        match self {
            Self::Rtu(_) | Self::Talker { .. } => RTU_TIMEOUT,
            Self::Tcp(_) | Self::RtuOverTcp(_) => TCP_TIMEOUT,
        }
    }

    /// Least silence before a request to a device, where the config does not say. Behind a serial server is a serial line.
    #[must_use]
    pub const fn min_gap(&self) -> Duration {
        match self {
            Self::Rtu(_) | Self::RtuOverTcp(_) => MIN_GAP,
            Self::Tcp(_) | Self::Talker { .. } => Duration::ZERO,
        }
    }
}

/// A serial port and its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialConfig {
    /// Device file; best one below `/dev/serial/by-path`, which survives unplugging.
    pub path: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// Bits in a character.
    pub data_bits: DataBits,
    /// Check bit.
    pub parity: Parity,
    /// Bits of rest after a character.
    pub stop_bits: StopBits,
    /// Who switches an RS-485 transceiver between sending and receiving.
    pub rs485: Rs485,
    /// How long the adapter may hold back what it has received; added to time-outs. `None`: what the system says of this
    /// adapter, which is 16 ms for most USB ones and nothing for a built-in port.
    pub latency: Option<Duration>,
}

impl SerialConfig {
    /// A port as the Modbus standard asks for: eight bits, even parity, one stop bit.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, baud: u32) -> Self {
        Self {
            path: path.into(),
            baud,
            data_bits: DataBits::default(),
            parity: Parity::default(),
            stop_bits: StopBits::default(),
            rs485: Rs485::default(),
            latency: None,
        }
    }
}

/// Who switches an RS-485 transceiver between sending and receiving.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rs485 {
    /// The driver, if it can (TIOCSRS485); else the transceiver itself, as most USB adapters do.
    #[default]
    Auto,
    /// The driver; a port that cannot is not opened.
    On,
    /// Not the driver: RS-232, or a transceiver that must be left alone.
    Off,
}

/// Bits in a character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DataBits {
    /// Seven: some talkers. Never Modbus RTU.
    Seven,
    /// Eight.
    #[default]
    Eight,
}

/// Check bit of a character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Parity {
    /// No check bit.
    None,
    /// Even: what the Modbus standard asks for.
    #[default]
    Even,
    /// Odd.
    Odd,
}

/// Bits of rest after a character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StopBits {
    /// One.
    #[default]
    One,
    /// Two.
    Two,
}

/// What hangs on a bus.
#[derive(Debug, Clone, PartialEq)]
pub enum DeviceConfig {
    /// Asked by Modbus, on [`Link::Rtu`], [`Link::RtuOverTcp`] and [`Link::Tcp`].
    Modbus(ModbusDevice),
    /// Talks by itself or on request, on [`Link::Talker`].
    Talker(TalkerDevice),
}
