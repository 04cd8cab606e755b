//! What the source is told: buses, their devices, and the points to read.
//!
//! The daemon parses text into these types; equality is what `reload` compares. What the types alone cannot rule out is
//! found by [`Config::check`].
//!
//! Deliberately absent: text, files and defaults that depend on a file. The only defaults here are those that the field
//! buses themselves imply.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{Name, Point, ValueType};

/// How long a unit on a serial line may take to begin its answer, where the config says nothing. Slow meters need
/// 200 ms; twice that would let a dead unit hold the line for too long.
pub const RTU_TIMEOUT: Duration = Duration::from_millis(300);

/// How long a Modbus TCP device may take to answer, where the config says nothing: a gateway in between adds its own
/// serial line and the network.
pub const TCP_TIMEOUT: Duration = Duration::from_secs(1);

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
    /// Modbus TCP at `host:port`.
    Tcp(String),
    /// A device that talks by itself on a serial line.
    Talker {
        /// The port.
        serial: SerialConfig,
        /// What ends a frame. A carriage return before it is not part of the frame.
        delimiter: Vec<u8>,
        /// Bytes in a frame at most, without the delimiter: a line that loses its delimiters must not fill the memory.
        max_frame: usize,
    },
}

impl Link {
    /// The port or address, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::Rtu(serial) | Self::Talker { serial, .. } => serial.path.display().to_string(),
            Self::Tcp(address) => address.clone(),
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
    /// Asked by Modbus, on [`Link::Rtu`] and [`Link::Tcp`].
    Modbus(ModbusDevice),
    /// Talks by itself in lines of separated columns, on [`Link::Talker`].
    Csv(CsvDevice),
}

/// A Modbus device.
#[derive(Debug, Clone, PartialEq)]
pub struct ModbusDevice {
    /// Modbus address: 1 to 247 on a serial line, 0 to 255 over TCP.
    pub unit_id: u8,
    /// How often each point is read, unless the point says otherwise. Not zero.
    pub every: Duration,
    /// From the end of a request to the first byte of its answer; `None` is [`RTU_TIMEOUT`] or [`TCP_TIMEOUT`].
    pub timeout: Option<Duration>,
    /// Least silence before a request to this device; zero means only the 3.5 characters that the standard asks for.
    pub min_gap: Duration,
    /// What is read.
    pub points: Vec<ModbusPoint>,
}

/// A value in a Modbus device.
#[derive(Debug, Clone, PartialEq)]
pub struct ModbusPoint {
    /// Name, type, unit and range.
    pub point: Arc<Point>,
    /// Where it lies.
    pub table: Table,
    /// First register or bit, counted from 0.
    pub address: u16,
    /// Order of bytes in values of more than one register.
    pub order: Order,
    /// What the raw number is multiplied by. The value is then a float, whatever the type on the device.
    pub scale: Option<f64>,
    /// Raw numbers that mean "no value" on this device, as the registers hold them, after [`Order`].
    pub absent: Vec<u64>,
    /// How often this point is read; `None` is as often as its device. Not zero.
    pub every: Option<Duration>,
}

impl ModbusPoint {
    /// How many registers or bits it takes; `None` for types that Modbus points cannot have.
    #[must_use]
    pub fn span(&self) -> Option<u16> {
        match (self.table.is_bits(), self.point.value_type) {
            (_, ValueType::Bool) | (false, ValueType::U16 | ValueType::I16) => Some(1),
            (false, ValueType::U32 | ValueType::I32 | ValueType::F32) => Some(2),
            (false, ValueType::F64 | ValueType::Text) => None,
            (true, _) => None,
        }
    }
}

/// The four tables of a Modbus device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Bits that can be written; function 1.
    Coil,
    /// Bits that can only be read; function 2.
    Discrete,
    /// Registers that can be written; function 3.
    Holding,
    /// Registers that can only be read; function 4.
    Input,
}

impl Table {
    /// Whether it holds bits, not registers.
    #[must_use]
    pub const fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }
}

/// Order of the four bytes A (most significant) to D of a 32-bit value in two registers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// The register with the more significant half comes first: what the standard suggests.
    #[default]
    Abcd,
    /// The register with the less significant half comes first.
    Cdab,
}

/// A device that sends lines of columns.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvDevice {
    /// What parts the columns; usually a comma.
    pub separator: char,
    /// How long it may be silent before its points are told as *bad, stale*, and again after each such time. Not zero.
    pub stale_after: Duration,
    /// What is taken from a line.
    pub points: Vec<CsvPoint>,
}

/// A value in a line.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvPoint {
    /// Name, type, unit and range.
    pub point: Arc<Point>,
    /// Which column, counted from 1.
    pub column: u16,
    /// What the number is multiplied by; the value is then a float.
    pub scale: Option<f64>,
}
