//! What the source is told: buses, their devices, and the points to read.
//!
//! The daemon parses text into these types; equality is what `reload` compares. What the types alone cannot rule out is
//! found by [`Config::check`], all of it at once, so that a person can mend a file in one go.
//!
//! Deliberately absent: text, files and defaults that depend on a file. The only defaults here are those that the field
//! buses themselves imply.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{Name, Point, PointName, ValueType};

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

/// Something that the source cannot do, found before it starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A Modbus device on a talker's line, or the other way round.
    #[error("device {device} cannot be on bus {bus}: one is Modbus, the other is not")]
    Kind {
        /// The bus.
        bus: Name,
        /// The device.
        device: Name,
    },
    /// Modbus RTU needs eight bits.
    #[error("bus {bus}: Modbus RTU needs 8 data bits, found 7")]
    SevenBits {
        /// The bus.
        bus: Name,
    },
    /// A rate of zero.
    #[error("bus {bus}: a baud rate of 0")]
    NoBaud {
        /// The bus.
        bus: Name,
    },
    /// An empty delimiter or frame size.
    #[error("bus {bus}: frames need a delimiter and a size of at least 1")]
    NoFrame {
        /// The bus.
        bus: Name,
    },
    /// Nobody could tell which of two talkers a line came from.
    #[error("bus {bus}: a line with a talker carries exactly one device, found {found}")]
    Talkers {
        /// The bus.
        bus: Name,
        /// How many devices it has.
        found: usize,
    },
    /// Address 0 is for everybody, and those above 247 are reserved.
    #[error("device {device}: unit_id {found} is not within 1 to 247")]
    UnitId {
        /// The device.
        device: Name,
        /// What was given.
        found: u8,
    },
    /// Two devices would answer at once, or one would be read twice.
    #[error("device {device}: unit_id {unit_id} on bus {bus} is also that of {other}")]
    UnitTaken {
        /// The bus.
        bus: Name,
        /// The device.
        device: Name,
        /// The device that has the address already.
        other: Name,
        /// The address.
        unit_id: u8,
    },
    /// A time of zero.
    #[error("device {device}: {what} must be longer than 0")]
    NoTime {
        /// The device.
        device: Name,
        /// Which setting.
        what: &'static str,
    },
    /// A type that this kind of device cannot hold.
    #[error("point {point}: type {value_type} cannot be read from {place}")]
    Type {
        /// The point.
        point: PointName,
        /// Its type.
        value_type: &'static str,
        /// Where it was to be read from.
        place: &'static str,
    },
    /// Beyond register 65,535.
    #[error("point {point}: ends beyond the last address, 65535")]
    Address {
        /// The point.
        point: PointName,
    },
    /// Columns count from 1.
    #[error("point {point}: columns count from 1")]
    Column {
        /// The point.
        point: PointName,
    },
    /// A scale of zero, or not a number.
    #[error("point {point}: the scale must be a number other than 0")]
    Scale {
        /// The point.
        point: PointName,
    },
}

impl Config {
    /// Everything that stands in the way of running this.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, bus) in &self.buses {
            check_link(name, bus, &mut problems);
            let mut units: BTreeMap<u8, &Name> = BTreeMap::new();
            for (device_name, device) in &bus.devices {
                match (&bus.link, device) {
                    (Link::Rtu(_) | Link::Tcp(_), DeviceConfig::Modbus(device)) => {
                        if let Some(other) = units.insert(device.unit_id, device_name) {
                            problems.push(Problem::UnitTaken {
                                bus: name.clone(),
                                device: device_name.clone(),
                                other: other.clone(),
                                unit_id: device.unit_id,
                            });
                        }
                        let serial = matches!(bus.link, Link::Rtu(_));
                        if serial && !(1..=247).contains(&device.unit_id) {
                            problems.push(Problem::UnitId { device: device_name.clone(), found: device.unit_id });
                        }
                        check_modbus(device_name, device, &mut problems);
                    }
                    (Link::Talker { .. }, DeviceConfig::Csv(device)) => {
                        check_csv(device_name, device, &mut problems);
                    }
                    (Link::Rtu(_) | Link::Tcp(_), DeviceConfig::Csv(_))
                    | (Link::Talker { .. }, DeviceConfig::Modbus(_)) => {
                        problems.push(Problem::Kind { bus: name.clone(), device: device_name.clone() });
                    }
                }
            }
        }
        problems
    }
}

fn check_link(name: &Name, bus: &BusConfig, problems: &mut Vec<Problem>) {
    match &bus.link {
        Link::Rtu(serial) | Link::Talker { serial, .. } if serial.baud == 0 => {
            problems.push(Problem::NoBaud { bus: name.clone() });
        }
        Link::Rtu(_) | Link::Tcp(_) | Link::Talker { .. } => {}
    }
    match &bus.link {
        Link::Rtu(serial) if serial.data_bits == DataBits::Seven => {
            problems.push(Problem::SevenBits { bus: name.clone() });
        }
        Link::Talker { delimiter, max_frame, .. } => {
            if delimiter.is_empty() || *max_frame == 0 {
                problems.push(Problem::NoFrame { bus: name.clone() });
            }
            if bus.devices.len() != 1 {
                problems.push(Problem::Talkers { bus: name.clone(), found: bus.devices.len() });
            }
        }
        Link::Rtu(_) | Link::Tcp(_) => {}
    }
}

fn check_modbus(name: &Name, device: &ModbusDevice, problems: &mut Vec<Problem>) {
    let mut no_time: BTreeSet<&'static str> = BTreeSet::new();
    if device.every.is_zero() || device.points.iter().any(|point| point.every.is_some_and(|every| every.is_zero())) {
        no_time.insert("every");
    }
    if device.timeout.is_some_and(|timeout| timeout.is_zero()) {
        no_time.insert("timeout");
    }
    problems.extend(no_time.into_iter().map(|what| Problem::NoTime { device: name.clone(), what }));
    for point in &device.points {
        let name = &point.point.name;
        match point.span() {
            None => problems.push(Problem::Type {
                point: name.clone(),
                value_type: point.point.value_type.as_str(),
                place: if point.table.is_bits() { "a bit" } else { "registers" },
            }),
            Some(span) if point.address.checked_add(span - 1).is_none() => {
                problems.push(Problem::Address { point: name.clone() });
            }
            Some(_) => {}
        }
        check_scale(name, point.scale, problems);
    }
}

fn check_csv(name: &Name, device: &CsvDevice, problems: &mut Vec<Problem>) {
    if device.stale_after.is_zero() {
        problems.push(Problem::NoTime { device: name.clone(), what: "stale_after" });
    }
    for point in &device.points {
        if point.column == 0 {
            problems.push(Problem::Column { point: point.point.name.clone() });
        }
        check_scale(&point.point.name, point.scale, problems);
    }
}

fn check_scale(point: &PointName, scale: Option<f64>, problems: &mut Vec<Problem>) {
    if scale.is_some_and(|scale| !scale.is_normal()) {
        problems.push(Problem::Scale { point: point.clone() });
    }
}
