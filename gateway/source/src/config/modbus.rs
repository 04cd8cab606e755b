//! Devices that are asked by Modbus.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use curb_model::{Access, Name, Point, ValueType};

/// A Modbus device.
#[derive(Debug, Clone, PartialEq)]
pub struct ModbusDevice {
    /// Modbus address: 1 to 247 on a serial line, 0 to 255 over TCP.
    pub unit_id: u8,
    /// How often each point is read, unless the point says otherwise. Not zero.
    pub every: Duration,
    /// From the end of a request to the first byte of its answer; `None` is [`super::Link::timeout`].
    pub timeout: Option<Duration>,
    /// Least silence on the line before a request to this device, so also between its answer and the next request to it; zero
    /// means only the 3.5 characters that the standard asks for. `None` is [`super::Link::min_gap`].
    pub min_gap: Option<Duration>,
    /// Registers in one read at most: 1 to [`Self::MAX_REGISTERS`].
    pub max_registers: u16,
    /// Bits in one read at most: 1 to [`Self::MAX_BITS`].
    pub max_bits: u16,
    /// Registers between two points that may be read along with them, for nothing.
    pub max_hole: u16,
    /// Whether it knows function 22, which changes some bits of a register and leaves the others.
    pub mask_write: bool,
    /// With which functions it is written.
    pub write_with: WriteWith,
    /// What is written at each connect, in this order: settings that the device forgets.
    pub setup: Vec<Setup>,
    /// What is read, and what is only written.
    pub points: Vec<ModbusPoint>,
}

impl ModbusDevice {
    /// Registers in one read at most (Modbus Application Protocol 1.1b3, section 6.3).
    pub const MAX_REGISTERS: u16 = 125;

    /// Bits in one read at most (section 6.1).
    pub const MAX_BITS: u16 = 2000;

    /// Registers between two points that are read along, where nothing else is said. A register more costs two characters
    /// on the line; a request more costs 13, two silences and the device's time to think. Kept well below that break-even
    /// (about 10), because a device may refuse a block with a hole in it.
    pub const MAX_HOLE: u16 = 4;

    /// A device with the settings that most devices are content with, and no points.
    #[must_use]
    pub const fn new(unit_id: u8, every: Duration) -> Self {
        Self {
            unit_id,
            every,
            timeout: None,
            min_gap: None,
            max_registers: Self::MAX_REGISTERS,
            max_bits: Self::MAX_BITS,
            max_hole: Self::MAX_HOLE,
            mask_write: false,
            write_with: WriteWith::Auto,
            setup: Vec::new(),
            points: Vec::new(),
        }
    }
}

/// With which functions a device is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WriteWith {
    /// One register or coil by functions 6 and 5, more by 16 and 15.
    #[default]
    Auto,
    /// Functions 6 and 5 only: a value of several registers is written one by one, and may be seen half written.
    Single,
    /// Functions 16 and 15 only, also for one register or coil.
    Multiple,
}

/// Something that a device is told at each connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// For people.
    pub name: Name,
    /// [`Table::Holding`] or [`Table::Coil`].
    pub table: Table,
    /// First register or coil, counted from 0.
    pub address: u16,
    /// The registers as they stand on the wire; 0 or 1 for a coil.
    pub registers: Vec<u16>,
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
    /// How it lies there.
    pub encoding: Encoding,
    /// Order of bytes and registers.
    pub order: Order,
    /// Only these bits of an unsigned number.
    pub bits: Option<Bits>,
    /// Several registers are digits of this base; `None` is 65,536. At least 2.
    pub radix: Option<u32>,
    /// A register of the same table that holds a power of ten (i16) to multiply by, as SunSpec's scale factors.
    pub exponent: Option<u16>,
    /// From the raw number to the value.
    pub conversion: Conversion,
    /// How often this point is read; `None` is as often as its device. Not zero.
    pub every: Option<Duration>,
    /// Whether it can be read at all.
    pub access: Access,
    /// Whether and how it may be written; `None`: not at all.
    pub write: Option<Grant>,
}

impl ModbusPoint {
    /// A point whose raw number is its value.
    #[must_use]
    pub fn new(point: Arc<Point>, table: Table, address: u16, encoding: Encoding) -> Self {
        Self {
            point,
            table,
            address,
            encoding,
            order: Order::Abcd,
            bits: None,
            radix: None,
            exponent: None,
            conversion: Conversion::default(),
            every: None,
            access: Access::Read,
            write: None,
        }
    }

    /// The point as it is written under this grant: where, and how the value lies there.
    #[must_use]
    pub fn as_written(&self, grant: Grant) -> Self {
        let address = grant.target.unwrap_or(self.address);
        Self { address, encoding: grant.encoding.unwrap_or(self.encoding), ..self.clone() }
    }

    /// How many registers or bits the value takes.
    #[must_use]
    pub const fn width(&self) -> u16 {
        if self.table.is_bits() { 1 } else { self.encoding.registers() }
    }

    /// What must be read for it: first address, and how many registers or bits. Wider than the value where its power of
    /// ten lies elsewhere, so that both come from one answer.
    #[must_use]
    pub fn span(&self) -> (u16, u16) {
        let last = self.address.saturating_add(self.width() - 1);
        let (first, last) = match self.exponent {
            Some(exponent) => (self.address.min(exponent), last.max(exponent)),
            None => (self.address, last),
        };
        (first, (last - first).saturating_add(1))
    }
}

/// The four tables of a Modbus device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Bits that can be written; read by function 1.
    Coil,
    /// Bits that can only be read; function 2.
    Discrete,
    /// Registers that can be written; read by function 3.
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

    /// Whether it can be written.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::Coil | Self::Holding)
    }

    /// The word in config files and tools.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }
}

/// How a value lies in registers, or in the bytes of a binary frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Not zero is true.
    Bool,
    /// One byte, unsigned.
    U8(Half),
    /// One byte, two's complement.
    I8(Half),
    /// 16 bits, unsigned.
    U16,
    /// 16 bits, two's complement.
    I16,
    /// The lower 24 of 32 bits, unsigned; three bytes in a binary frame.
    U24,
    /// The lower 24 of 32 bits, two's complement; three bytes in a binary frame.
    I24,
    /// 32 bits, unsigned.
    U32,
    /// 32 bits, two's complement.
    I32,
    /// 64 bits, unsigned.
    U64,
    /// 64 bits, two's complement.
    I64,
    /// IEEE 754 single.
    F32,
    /// IEEE 754 double.
    F64,
    /// Four decimal digits, one in each half byte.
    Bcd16,
    /// Eight decimal digits.
    Bcd32,
    /// Sixteen decimal digits.
    Bcd64,
    /// UTF-8 text of so many bytes at most, 1 to 128, two in a register; ends at the first NUL, trailing blanks are not part
    /// of it.
    Text(u8),
}

impl Encoding {
    /// How many registers it takes.
    #[must_use]
    pub const fn registers(self) -> u16 {
        match self {
            Self::Bool | Self::U8(_) | Self::I8(_) | Self::U16 | Self::I16 | Self::Bcd16 => 1,
            Self::U24 | Self::I24 | Self::U32 | Self::I32 | Self::F32 | Self::Bcd32 => 2,
            Self::U64 | Self::I64 | Self::F64 | Self::Bcd64 => 4,
            Self::Text(bytes) => (bytes as u16).div_ceil(2),
        }
    }

    /// How many bytes it takes in a binary frame.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::U8(_) | Self::I8(_) => 1,
            Self::U24 | Self::I24 => 3,
            Self::Text(bytes) => bytes as usize,
            Self::U16
            | Self::I16
            | Self::Bcd16
            | Self::U32
            | Self::I32
            | Self::F32
            | Self::Bcd32
            | Self::U64
            | Self::I64
            | Self::F64
            | Self::Bcd64 => self.registers() as usize * 2,
        }
    }

    /// How many bits the number has.
    #[must_use]
    pub const fn bit_width(self) -> u8 {
        match self {
            Self::U24 | Self::I24 => 24,
            Self::U8(_) | Self::I8(_) => 8,
            Self::Bool => 1,
            Self::U16 | Self::I16 | Self::Bcd16 => 16,
            Self::U32 | Self::I32 | Self::F32 | Self::Bcd32 => 32,
            Self::U64 | Self::I64 | Self::F64 | Self::Bcd64 => 64,
            Self::Text(_) => 0,
        }
    }

    /// Whether it is an unsigned number, from which bits can be taken and which can have a radix.
    #[must_use]
    pub const fn is_unsigned(self) -> bool {
        matches!(self, Self::U8(_) | Self::U16 | Self::U24 | Self::U32 | Self::U64)
    }

    /// The type of its values.
    #[must_use]
    pub const fn value_type(self) -> ValueType {
        match self {
            Self::Bool => ValueType::Bool,
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16 | Self::Bcd16 => ValueType::U16,
            Self::I16 => ValueType::I16,
            Self::U24 | Self::U32 | Self::Bcd32 => ValueType::U32,
            Self::I24 | Self::I32 => ValueType::I32,
            Self::U64 | Self::Bcd64 => ValueType::U64,
            Self::I64 => ValueType::I64,
            Self::F32 => ValueType::F32,
            Self::F64 => ValueType::F64,
            Self::Text(_) => ValueType::Text,
        }
    }
}

/// Which half of a register.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Half {
    /// The first byte on the wire, where [`Order`] does not swap them.
    High,
    /// The second.
    #[default]
    Low,
}

/// Some bits of an unsigned number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bits {
    /// The lowest; 0 is the least significant bit.
    pub first: u8,
    /// How many, at least 1. One bit is a bool.
    pub width: u8,
}

/// Order of the bytes A (most significant) to D of a value in two registers; for four registers in the same manner. In a
/// single register only the order of its two bytes counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Most significant register first, most significant byte first: what the standard suggests.
    #[default]
    Abcd,
    /// Least significant register first.
    Cdab,
    /// Most significant register first, the bytes within each swapped.
    Badc,
    /// Least significant byte first throughout.
    Dcba,
}

impl Order {
    /// Every order.
    pub const ALL: [Self; 4] = [Self::Abcd, Self::Cdab, Self::Badc, Self::Dcba];

    /// Whether the least significant register comes first.
    #[must_use]
    pub const fn reverses_registers(self) -> bool {
        matches!(self, Self::Cdab | Self::Dcba)
    }

    /// Whether the bytes of each register are swapped.
    #[must_use]
    pub const fn swaps_bytes(self) -> bool {
        matches!(self, Self::Badc | Self::Dcba)
    }

    /// The word in config files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Abcd => "ABCD",
            Self::Cdab => "CDAB",
            Self::Badc => "BADC",
            Self::Dcba => "DCBA",
        }
    }
}

/// From a raw number to a value, and back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversion {
    /// What the raw number is multiplied by. The value is then a float, whatever the type on the device. Not zero.
    pub scale: Option<f64>,
    /// What is added after that.
    pub offset: Option<f64>,
    /// Raw numbers that mean "no value" on this device, as the registers hold them, after [`Order`] and before [`Bits`].
    pub absent: Vec<u64>,
    /// Raw numbers with names, after [`Bits`]: the value is then the name. A number without one is passed on in digits, as
    /// *uncertain*.
    pub names: BTreeMap<u64, Arc<str>>,
}

/// That a point may be written, and within which bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grant {
    /// Least and greatest value, as it is sent and shown; `None` only where the type bounds it: bool and names.
    pub bounds: Option<(f64, f64)>,
    /// Where it is written, if not where it is read.
    pub target: Option<u16>,
    /// How it lies there, if not as it is read.
    pub encoding: Option<Encoding>,
}
