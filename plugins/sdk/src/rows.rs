//! Rows, over the columns that cross the boundary.

use crate::PointId;
use crate::bindings::curb::plugin::types::{Columns, OtherValue};

/// How far a reading can be relied on, and why not further. The code of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality(pub u8);

impl Quality {
    /// A value that can be relied on.
    pub const GOOD: Self = Self(0);
    /// A value outside the range that makes sense.
    pub const OUT_OF_RANGE: Self = Self(5 << 2 | 1);
    /// A value that is older than it should be.
    pub const STALE: Self = Self(7 << 2 | 1);

    /// No value, for this reason.
    #[must_use]
    pub const fn bad(reason: Reason) -> Self {
        Self(reason.0 << 2 | 2)
    }

    /// A value that cannot quite be relied on, for this reason.
    #[must_use]
    pub const fn uncertain(reason: Reason) -> Self {
        Self(reason.0 << 2 | 1)
    }

    /// Why it is not good; [`Reason::NONE`] if it is.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason(self.0 >> 2)
    }

    /// Whether the value can be relied on.
    #[must_use]
    pub const fn is_good(self) -> bool {
        self.0 & 3 == 0
    }

    /// Whether there is no value.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        self.0 & 3 == 2
    }
}

/// Why a reading is not good. The code of the contract; 32 and more are exceptions of Modbus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reason(pub u8);

impl Reason {
    /// It is good.
    pub const NONE: Self = Self(0);
    /// No answer in time.
    pub const TIMEOUT: Self = Self(1);
    /// The check sum did not fit.
    pub const CRC: Self = Self(2);
    /// The frame had the wrong shape.
    pub const FRAMING: Self = Self(3);
    /// The bytes are no value of the point's type.
    pub const DECODE: Self = Self(4);
    /// The value lies outside the range that makes sense.
    pub const RANGE: Self = Self(5);
    /// There is no value.
    pub const ABSENT: Self = Self(6);
    /// The value is older than it should be.
    pub const STALE: Self = Self(7);
    /// The clock was not trusted.
    pub const CLOCK: Self = Self(8);
    /// The port or connection is gone.
    pub const PORT: Self = Self(9);
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A bit.
    Bool(bool),
    /// An integer up to 2⁵³, or a float.
    Number(f64),
    /// A wide signed integer.
    Signed(i64),
    /// A wide unsigned integer.
    Unsigned(u64),
    /// Text.
    Text(&'a str),
    /// Raw bytes.
    Bytes(&'a [u8]),
}

impl Value<'_> {
    /// Any number; wide integers beyond 2⁵³ are rounded to 16 digits. `None`: a bit, text or bytes.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "arithmetic on floats is what it is for")]
    pub const fn number(self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(n),
            Self::Signed(n) => Some(n as f64),
            Self::Unsigned(n) => Some(n as f64),
            Self::Bool(_) | Self::Text(_) | Self::Bytes(_) => None,
        }
    }
}

/// One reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    pub(crate) number: u32,
    /// The point.
    pub point: PointId,
    /// Hub time in nanoseconds.
    pub at: i64,
    /// The value; `None` if the reading is bad.
    pub value: Option<Value<'a>>,
    /// How far to rely on it.
    pub quality: Quality,
}

/// The readings of one batch, oldest first.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    columns: &'a Columns,
    next: usize,
    next_other: usize,
}

impl<'a> Rows<'a> {
    pub(crate) const fn new(columns: &'a Columns) -> Self {
        Self { columns, next: 0, next_other: 0 }
    }

    fn other(&mut self) -> Option<Value<'a>> {
        let other = self.columns.others.get(self.next_other)?;
        self.next_other += 1;
        Some(match &other.value {
            OtherValue::Signed(n) => Value::Signed(*n),
            OtherValue::Unsigned(n) => Value::Unsigned(*n),
            OtherValue::Text(text) => Value::Text(text),
            OtherValue::Raw(bytes) => Value::Bytes(bytes),
        })
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        let columns = self.columns;
        let i = self.next;
        let kind = *columns.kinds.get(i)?;
        let number = columns.values[i];
        self.next += 1;
        let value = match kind {
            0 => None,
            1 => Some(Value::Bool(number != 0.0)),
            2 | 3 => Some(Value::Number(number)),
            _ => self.other(),
        };
        Some(Row {
            number: u32::try_from(i).unwrap_or(u32::MAX),
            point: PointId(columns.points[i]),
            at: columns.times[i],
            value,
            quality: Quality(columns.quality[i]),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.columns.kinds.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Rows<'_> {}
