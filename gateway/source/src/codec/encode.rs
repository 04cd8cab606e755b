//! Values → registers: the way back of `codec`, by the same rules.
//!
//! Deliberately absent: rounding. A value that the device cannot hold is refused, with the nearest one that it can.

use curb_model::Value;

use super::{convert, disassemble, in_order, number_of, ones, tidy, widen};
use crate::config::{Bits, Conversion, Encoding, Half, ModbusPoint, Order};

/// How far, in parts of itself, a value may be from what the device will hold. Decimal fractions are no binary ones: 4.74
/// is written as 474 although 4.74 / 0.01 is 474.00000000000006.
const TOLERANCE: f64 = 1e-9;

/// The same for what is held as `f32`, which has 24 bits.
const TOLERANCE_F32: f64 = 6e-8;

/// Why a value cannot be written to a point.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// A text for a number, or the other way round.
    #[error("{value} is not {expected}")]
    Type {
        /// What was to be written.
        value: String,
        /// What the point takes.
        expected: &'static str,
    },
    /// No raw number has this name.
    #[error("{name:?} is none of the point's names: {known}")]
    Name {
        /// What was to be written.
        name: String,
        /// Names that exist.
        known: String,
    },
    /// Beyond what the registers hold.
    #[error("{value} is beyond what {kind} holds")]
    Overflow {
        /// What was to be written.
        value: String,
        /// The encoding.
        kind: &'static str,
    },
    /// Between two steps of the device.
    #[error("{value} is between two steps of the device: the nearest it can hold is {nearest}")]
    Step {
        /// What was to be written.
        value: f64,
        /// What could be.
        nearest: f64,
    },
    /// It would read back as "no value".
    #[error("{value} is the number by which the device says that it has no value")]
    Absent {
        /// What was to be written.
        value: String,
    },
}

/// A value as it goes into registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// As they stand on the wire.
    pub registers: Vec<u16>,
    /// The bits that the value takes, where it takes only some: the others must stay. All registers but one are whole.
    pub mask: Option<Vec<u16>>,
}

/// `value` as the registers or the bit of a point. `exponent` is the power of ten that stands beside it now.
///
/// # Errors
/// The point cannot hold the value.
pub fn encode(point: &ModbusPoint, value: &Value, exponent: Option<i16>) -> Result<Encoded, EncodeError> {
    if let Encoding::Text(len) = point.encoding {
        return encode_text(value, len, point.order);
    }
    let encoding = if point.table.is_bits() { Encoding::Bool } else { point.encoding };
    let part = point.bits.filter(|_| !point.table.is_bits());
    let number = raw_of(value, encoding, part, &point.conversion, exponent)?;
    let (raw, mask) = match (encoding, part) {
        (Encoding::U8(half) | Encoding::I8(half), part) => {
            let shift = if half == Half::High { 8 } else { 0 };
            let (low, width) = part.map_or((0, 8), |bits| (bits.first, bits.width));
            (number << (shift + low), Some(ones(width) << (shift + low)))
        }
        (_, Some(bits)) => (number << bits.first, Some(ones(bits.width) << bits.first)),
        (_, None) => (number, None),
    };
    let registers = disassemble(raw, usize::from(point.width()), point.order, point.radix);
    let registers = registers.ok_or_else(|| overflow(value, encoding))?;
    if mask.is_none() && point.conversion.absent.contains(&raw) {
        return Err(EncodeError::Absent { value: value.to_string() });
    }
    let mask = mask.and_then(|mask| disassemble(mask, usize::from(point.width()), point.order, None));
    Ok(Encoded { registers, mask })
}

/// The raw number that a value is written as: the bits of its part, without what is beside it.
fn raw_of(
    value: &Value,
    encoding: Encoding,
    part: Option<Bits>,
    conversion: &Conversion,
    exponent: Option<i16>,
) -> Result<u64, EncodeError> {
    if !conversion.names.is_empty() {
        let Value::Text(name) = value else { return Err(misfit(value, "one of the point's names")) };
        let known = conversion.names.iter().find(|(_, known)| ***known == **name);
        return known.map(|(&raw, _)| raw).ok_or_else(|| EncodeError::Name {
            name: name.to_string(),
            known: conversion.names.values().map(AsRef::as_ref).collect::<Vec<&str>>().join(", "),
        });
    }
    let is_bool = encoding == Encoding::Bool || part.is_some_and(|bits| bits.width == 1);
    match (value, is_bool) {
        (Value::Bool(bit), true) => return Ok(u64::from(*bit)),
        (Value::U64(0 | 1) | Value::I64(0 | 1), true) => return Ok(u64::from(value.as_f64() == Some(1.0))),
        (_, true) => return Err(misfit(value, "true or false")),
        (Value::Bool(_) | Value::Text(_) | Value::Bytes(_), false) => return Err(misfit(value, "a number")),
        (Value::I64(_) | Value::U64(_) | Value::F64(_), false) => {}
    }
    let power = exponent.filter(|&exponent| exponent != 0);
    if conversion.scale.is_none() && conversion.offset.is_none() && power.is_none() {
        return raw_number(value, encoding, part);
    }
    let wanted = value.as_f64().ok_or_else(|| misfit(value, "a number"))?;
    let unscaled = unscale(wanted, conversion, power);
    let unscaled = if encoding == Encoding::F32 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is lost is looked at below, in the value's own digits"
        )]
        f64::from(unscaled as f32)
    } else if encoding == Encoding::F64 {
        unscaled
    } else {
        unscaled.round()
    };
    let raw = Value::from_f64(unscaled).and_then(|raw| raw_number(&raw, encoding, part).ok());
    let raw = raw.ok_or_else(|| overflow(value, encoding))?;
    // What it will read back as, by the very code that will read it.
    let back = match part {
        Some(_) => Ok(Value::U64(raw)),
        None => number_of(raw, encoding),
    };
    let back = back.and_then(|back| convert(back, conversion, power)).ok().and_then(|back| back.as_f64());
    let back = back.ok_or_else(|| overflow(value, encoding))?;
    if is_near(back, wanted, encoding) { Ok(raw) } else { Err(EncodeError::Step { value: wanted, nearest: back }) }
}

/// The raw number of a number that is neither scaled nor moved.
fn raw_number(value: &Value, encoding: Encoding, part: Option<Bits>) -> Result<u64, EncodeError> {
    let beyond = || overflow(value, encoding);
    let (least, most) = match (part, encoding) {
        (Some(bits), _) => (0, i128::from(ones(bits.width))),
        (None, Encoding::F32) => {
            let number = value.as_f64().ok_or_else(beyond)?;
            #[expect(clippy::cast_possible_truncation, reason = "the next line looks at what was lost")]
            let narrow = number as f32;
            let back = widen(narrow).ok().and_then(|back| back.as_f64()).ok_or_else(beyond)?;
            let near = is_near(back, number, encoding);
            return if near {
                Ok(narrow.to_bits().into())
            } else {
                Err(EncodeError::Step { value: number, nearest: back })
            };
        }
        (None, Encoding::F64) => return value.as_f64().map(f64::to_bits).ok_or_else(beyond),
        (None, Encoding::Bcd16 | Encoding::Bcd32 | Encoding::Bcd64) => {
            (0, 10_i128.pow(u32::from(encoding.registers()) * 4) - 1)
        }
        (None, Encoding::I8(_)) => (i8::MIN.into(), i8::MAX.into()),
        (None, Encoding::I16) => (i16::MIN.into(), i16::MAX.into()),
        (None, Encoding::I24) => (-0x80_0000, 0x7F_FFFF),
        (None, Encoding::I32) => (i32::MIN.into(), i32::MAX.into()),
        (None, Encoding::I64) => (i64::MIN.into(), i64::MAX.into()),
        (None, Encoding::Bool) => (0, 1),
        (None, Encoding::U8(_)) => (0, u8::MAX.into()),
        (None, Encoding::U16) => (0, u16::MAX.into()),
        (None, Encoding::U24) => (0, 0xFF_FFFF),
        (None, Encoding::U32) => (0, u32::MAX.into()),
        (None, Encoding::U64) => (0, u64::MAX.into()),
        (None, Encoding::Text(_)) => return Err(misfit(value, "a text")),
    };
    let number = match value {
        Value::U64(number) => i128::from(*number),
        Value::I64(number) => i128::from(*number),
        Value::F64(number) => whole(number.get())
            .ok_or_else(|| EncodeError::Step { value: number.get(), nearest: number.get().round() })?,
        Value::Bool(_) | Value::Text(_) | Value::Bytes(_) => return Err(misfit(value, "a number")),
    };
    if number < least || number > most {
        return Err(beyond());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the bounds were checked; a negative number keeps its low bits"
    )]
    #[expect(clippy::cast_sign_loss, reason = "the same")]
    let raw = number as u64;
    if part.is_some() {
        return Ok(raw);
    }
    Ok(match encoding {
        Encoding::I8(_) => raw & ones(8),
        Encoding::I16 => raw & ones(16),
        // All of the two registers, so that a device that reads 32 bits sees the same number.
        Encoding::I24 | Encoding::I32 => raw & ones(32),
        Encoding::Bcd16 | Encoding::Bcd32 | Encoding::Bcd64 => to_bcd(raw),
        Encoding::Bool
        | Encoding::U8(_)
        | Encoding::U16
        | Encoding::U24
        | Encoding::U32
        | Encoding::U64
        | Encoding::I64
        | Encoding::F32
        | Encoding::F64
        | Encoding::Text(_) => raw,
    })
}

/// A float that is a whole number.
fn whole(number: f64) -> Option<i128> {
    #[expect(clippy::cast_possible_truncation, reason = "only numbers within the bounds of i128 come here")]
    (number.fract() == 0.0 && number.abs() < 1e30).then_some(number as i128)
}

fn encode_text(value: &Value, len: u8, order: Order) -> Result<Encoded, EncodeError> {
    let Value::Text(text) = value else { return Err(misfit(value, "a text")) };
    let len = usize::from(len);
    if text.len() > len {
        return Err(EncodeError::Overflow { value: format!("{text:?}"), kind: "the text's registers" });
    }
    if text.contains('\0') || text.trim_end().len() != text.len() {
        return Err(misfit(value, "a text without blanks at its end"));
    }
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(len.next_multiple_of(2), 0);
    let register = |pair: &[u8]| in_order(u16::from_be_bytes([pair[0], pair[1]]), order);
    Ok(Encoded { registers: bytes.chunks_exact(2).map(register).collect(), mask: None })
}

fn to_bcd(mut number: u64) -> u64 {
    let mut raw = 0;
    for digit in 0..16 {
        raw |= (number % 10) << (digit * 4);
        number /= 10;
    }
    raw
}

/// `(value − offset) / scale / 10^power`.
fn unscale(value: f64, conversion: &Conversion, power: Option<i16>) -> f64 {
    let moved = conversion.offset.map_or(value, |offset| tidy(value - offset, value, offset));
    let unscaled = conversion.scale.map_or(moved, |scale| moved / scale);
    power.map_or(unscaled, |power| unscaled / 10_f64.powi(power.into()))
}

fn is_near(back: f64, wanted: f64, encoding: Encoding) -> bool {
    let tolerance = if encoding == Encoding::F32 { TOLERANCE_F32 } else { TOLERANCE };
    (back - wanted).abs() <= wanted.abs() * tolerance
}

fn misfit(value: &Value, expected: &'static str) -> EncodeError {
    EncodeError::Type { value: value.to_string(), expected }
}

fn overflow(value: &Value, encoding: Encoding) -> EncodeError {
    EncodeError::Overflow { value: value.to_string(), kind: encoding.value_type().as_str() }
}
