//! Simulated devices: registers whose values move with every answer, so that a value tells which answer it came from.

use std::sync::Arc;
use std::time::Duration;

/// The four tables of Modbus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Bits that may be written; function 1.
    Coil,
    /// Bits; function 2.
    Discrete,
    /// Registers that may be written; function 3.
    Holding,
    /// Registers; function 4.
    Input,
}

impl Table {
    /// The word in a hub's settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::Discrete => "discrete",
            Self::Holding => "holding",
            Self::Input => "input",
        }
    }

    /// Whether the table holds bits.
    #[must_use]
    pub const fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }
}

/// How a value lies in its registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One bit.
    Bool,
    /// One register.
    U16,
    /// One register, two's complement.
    I16,
    /// Two registers.
    U32,
    /// Two registers, two's complement.
    I32,
    /// Two registers, IEEE 754.
    F32,
}

impl Kind {
    /// The word in a hub's settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
        }
    }

    /// How many registers it takes.
    #[must_use]
    pub const fn width(self) -> u16 {
        match self {
            Self::Bool | Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
        }
    }
}

/// Which half of a wide value comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The high half.
    Abcd,
    /// The low half.
    Cdab,
}

impl Order {
    /// The word in a hub's settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Abcd => "ABCD",
            Self::Cdab => "CDAB",
        }
    }
}

/// A raw value that moves: in answer `n` it is `low + (n × step) mod span`.
///
/// Give signals of one street ranges that do not overlap, and a span of more steps than there are answers between two
/// looks at the same value: then a value names its point and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signal {
    /// The least raw value.
    pub low: i64,
    /// How far it moves with each answer.
    pub step: i64,
    /// How many raw values there are from `low` on; 0 counts as 1.
    pub span: i64,
}

impl Signal {
    /// A signal from `low` on, in steps of `step`, back to `low` after `span`.
    #[must_use]
    pub const fn new(low: i64, step: i64, span: i64) -> Self {
        Self { low, step, span }
    }

    /// The raw value in answer `n`.
    #[must_use]
    pub fn at(self, n: u64) -> i64 {
        let n = i64::try_from(n).unwrap_or(i64::MAX);
        self.low + n.wrapping_mul(self.step).rem_euclid(self.span.max(1))
    }
}

/// One value of a device: its point, where it lies, and how it moves.
#[derive(Debug, Clone, PartialEq)]
pub struct Register {
    /// The point's own name.
    pub point: String,
    /// The table.
    pub table: Table,
    /// The first address, from 0.
    pub address: u16,
    /// Type.
    pub kind: Kind,
    /// Word order of wide types.
    pub order: Order,
    /// What one raw step is worth; `None`: the raw value is the value.
    pub scale: Option<f64>,
    /// Unit of measure.
    pub unit: Option<String>,
    /// How it moves. In an [`Kind::F32`] register stand hundredths of it.
    pub signal: Signal,
}

impl Register {
    /// A register without scale or unit, high word first.
    #[must_use]
    pub fn new(point: &str, table: Table, address: u16, kind: Kind, signal: Signal) -> Self {
        Self { point: point.to_owned(), table, address, kind, order: Order::Abcd, scale: None, unit: None, signal }
    }

    /// With the low word first.
    #[must_use]
    pub fn low_word_first(mut self) -> Self {
        self.order = Order::Cdab;
        self
    }

    /// With a scale.
    #[must_use]
    pub fn scale(mut self, scale: f64) -> Self {
        self.scale = Some(scale);
        self
    }

    /// With a unit of measure.
    #[must_use]
    pub fn unit(mut self, unit: &str) -> Self {
        self.unit = Some(unit.to_owned());
        self
    }

    /// The words in answer `n`; a raw value that the type cannot hold is cut to its low bits, as a device would.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "documented: cut to the low bits")]
    #[expect(clippy::cast_precision_loss, reason = "signals are far below 2^52")]
    fn words(&self, n: u64) -> Vec<u16> {
        let raw = self.signal.at(n);
        let wide = match self.kind {
            Kind::Bool => return vec![u16::from(raw != 0)],
            Kind::U16 | Kind::I16 => return vec![raw as u16],
            Kind::U32 | Kind::I32 => raw as u32,
            Kind::F32 => ((raw as f64 / 100.0) as f32).to_bits(),
        };
        let (high, low) = ((wide >> 16) as u16, wide as u16);
        match self.order {
            Order::Abcd => vec![high, low],
            Order::Cdab => vec![low, high],
        }
    }

    /// Addresses behind the last one.
    fn end(&self) -> u32 {
        u32::from(self.address) + u32::from(self.kind.width())
    }
}

/// A Modbus device: a name and its registers.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its name in the hub's settings.
    pub name: Arc<str>,
    /// What it holds. Addresses between registers of a table read as 0; outside it answers with exception 2.
    pub registers: Vec<Register>,
    /// What it says of itself (function 43 / 14): vendor, product code, revision. Empty: it does not know the function.
    pub identification: Vec<String>,
}

impl Device {
    /// A device that holds nothing yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), registers: Vec::new(), identification: Vec::new() }
    }

    /// With one more register.
    #[must_use]
    pub fn with(mut self, register: Register) -> Self {
        self.registers.push(register);
        self
    }

    /// With words about itself: vendor, product code, revision.
    #[must_use]
    pub fn identified(mut self, objects: &[&str]) -> Self {
        self.identification = objects.iter().map(|&text| text.to_owned()).collect();
        self
    }

    /// The words of answer `n` to a read of `count` from `address` on, or `None` if the device holds nothing there.
    pub(crate) fn read(&self, n: u64, table: Table, address: u16, count: u16) -> Option<Vec<u16>> {
        let of_table = || self.registers.iter().filter(|register| register.table == table);
        let first = of_table().map(|register| u32::from(register.address)).min()?;
        let last = of_table().map(Register::end).max()?;
        let (from, to) = (u32::from(address), u32::from(address) + u32::from(count));
        if from < first || to > last {
            return None;
        }
        let mut words = vec![0; usize::from(count)];
        for register in of_table() {
            for (position, word) in (u32::from(register.address)..).zip(register.words(n)) {
                let slot = position.checked_sub(from).and_then(|offset| words.get_mut(usize::try_from(offset).ok()?));
                if let Some(slot) = slot {
                    *slot = word;
                }
            }
        }
        Some(words)
    }
}

/// How a device treats requests. It can be changed while the street stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It answers like a real device, 2 to 5 ms after the request.
    Alive,
    /// It never answers.
    Dead,
    /// It answers correctly, this long after the request.
    Late(Duration),
    /// It answers under another unit id (RTU), or to another transaction (TCP).
    Stranger,
    /// One bit of its answer is wrong (RTU); over TCP, where nothing checks bits, the announced length is.
    Damaged,
    /// It answers with one register too few.
    Short,
    /// It answers with a Modbus exception.
    Exception(u8),
}
