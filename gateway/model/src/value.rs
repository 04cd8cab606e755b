//! What a point can hold.

use std::fmt;

/// A number that is neither infinite nor NaN: JSON has no word for those, and no instrument measures them.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Finite(f64);

impl Finite {
    /// `None` for NaN and infinities.
    #[must_use]
    pub const fn new(number: f64) -> Option<Self> {
        if number.is_finite() { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// A measured value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A coil, a discrete input, a bit.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A finite number.
    F64(Finite),
    /// Text.
    Text(Box<str>),
    /// Raw bytes.
    Bytes(Box<[u8]>),
}

impl Value {
    /// A finite number, or `None`.
    #[must_use]
    pub fn from_f64(number: f64) -> Option<Self> {
        Finite::new(number).map(Self::F64)
    }

    /// The value as a number, where it is one: booleans count 0 and 1, wide integers are rounded.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "documented: wide integers are rounded")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Bool(b) => Some(f64::from(u8::from(*b))),
            Self::I64(i) => Some(*i as f64),
            Self::U64(u) => Some(*u as f64),
            Self::F64(f) => Some(f.get()),
            Self::Text(_) | Self::Bytes(_) => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => write!(f, "{b}"),
            Self::I64(i) => write!(f, "{i}"),
            Self::U64(u) => write!(f, "{u}"),
            Self::F64(x) => write!(f, "{}", x.get()),
            Self::Text(t) => write!(f, "{t:?}"),
            Self::Bytes(b) => {
                f.write_str("0x")?;
                b.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// The type that a point has on its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One bit.
    Bool,
    /// 8-bit unsigned.
    U8,
    /// 8-bit two's complement.
    I8,
    /// 16-bit unsigned.
    U16,
    /// 16-bit two's complement.
    I16,
    /// 32-bit unsigned.
    U32,
    /// 32-bit two's complement.
    I32,
    /// 64-bit unsigned.
    U64,
    /// 64-bit two's complement.
    I64,
    /// IEEE 754 single.
    F32,
    /// IEEE 754 double.
    F64,
    /// Text.
    Text,
}

impl ValueType {
    /// The word in config files and in the points table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Text => "text",
        }
    }
}
