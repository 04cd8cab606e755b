//! Registers, bits, bytes and text ↔ values. The one place that knows how a value lies in a device, for reading and for
//! writing: what is decoded was encoded by the same rules.
//!
//! ```text
//! registers ──order, radix──► raw ──absent?, bits──► number ──exponent, scale, offset, names──► value ──range──► sample
//! ```
//!
//! A number keeps the digits that the device meant: an `f32` is widened through its shortest decimal text, so that
//! 230.1 stays 230.1, and a scale like 0.1 is applied as a division by 10, so that 2301 becomes 230.1 and not
//! 230.10000000000002.
//!
//! Deliberately absent: a value for what is not one. Everything else is *bad*, with its reason. And rounding on the way
//! out: a value that the device cannot hold is refused, with the nearest one that it can.

use curb_model::{Point, Reason, Sample, Value, ValueType};

use crate::config::{Bits, Conversion, Encoding, Half, ModbusPoint, Order, Place, TalkerPoint};

/// Longest text that a value may hold: it travels in every message.
pub(crate) const MAX_TEXT: usize = 128;

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
pub(crate) struct Encoded {
    /// As they stand on the wire.
    pub(crate) registers: Vec<u16>,
    /// The bits that the value takes, where it takes only some: the others must stay. All registers but one are whole.
    pub(crate) mask: Option<Vec<u16>>,
}

/// A point's value in the registers of [`ModbusPoint::span`].
pub(crate) fn from_registers(point: &ModbusPoint, registers: &[u16]) -> Sample {
    let (first, len) = point.span();
    let offset = usize::from(point.address - first);
    let own = registers.get(offset..offset + usize::from(point.width()));
    let (Some(own), true) = (own, registers.len() == usize::from(len)) else { return Sample::Bad(Reason::Decode) };
    let exponent = point.exponent.map(|address| registers[usize::from(address - first)].cast_signed());
    if let Encoding::Text(bytes) = point.encoding {
        let bytes = own.iter().flat_map(|&register| in_order(register, point.order).to_be_bytes()).take(bytes.into());
        return finish(&point.point, text(&bytes.collect::<Vec<u8>>()), &Conversion::default(), None);
    }
    let Some(raw) = assemble(own, point.order, point.radix) else { return Sample::Bad(Reason::Decode) };
    sample(&point.point, raw, point.encoding, point.bits, &point.conversion, exponent)
}

/// A point's value in a coil or discrete input.
pub(crate) fn from_bit(point: &ModbusPoint, bit: bool) -> Sample {
    sample(&point.point, u64::from(bit), Encoding::Bool, None, &point.conversion, None)
}

/// A point's value in a binary frame.
pub(crate) fn from_bytes(point: &TalkerPoint, frame: &[u8]) -> Sample {
    let Place::Bytes { at, encoding, order, bits } = point.place else { return Sample::Bad(Reason::Decode) };
    let Some(own) = frame.get(at..).and_then(|rest| rest.get(..encoding.bytes())) else {
        return Sample::Bad(Reason::Framing);
    };
    if let Encoding::Text(_) = encoding {
        return finish(&point.point, text(own), &Conversion::default(), None);
    }
    let mut bytes = own.to_vec();
    if order.swaps_bytes() && !order.reverses_registers() {
        bytes.chunks_exact_mut(2).for_each(<[u8]>::reverse);
    } else if order.reverses_registers() {
        bytes.reverse();
        if !order.swaps_bytes() {
            bytes.chunks_exact_mut(2).for_each(<[u8]>::reverse);
        }
    }
    let raw = bytes.iter().fold(0_u64, |raw, &byte| raw << 8 | u64::from(byte));
    // A byte of a frame is a whole one.
    let encoding = match encoding {
        Encoding::U8(_) => Encoding::U8(Half::Low),
        Encoding::I8(_) => Encoding::I8(Half::Low),
        other => other,
    };
    sample(&point.point, raw, encoding, bits, &point.conversion, None)
}

/// A value that stands in a frame as text. An empty one is a device's way to say that it has none.
pub(crate) fn from_text(point: &Point, conversion: &Conversion, text: &str) -> Sample {
    let text = text.trim();
    if text.is_empty() {
        return Sample::Bad(Reason::Absent);
    }
    let unsigned = |max: u64| text.parse().ok().filter(|&number: &u64| number <= max).map(Value::U64);
    let signed =
        |min: i64, max: i64| text.parse().ok().filter(|number: &i64| (min..=max).contains(number)).map(Value::I64);
    let raw = text.parse().ok();
    if raw.is_some_and(|raw| conversion.absent.contains(&raw)) {
        return Sample::Bad(Reason::Absent);
    }
    if !conversion.names.is_empty() {
        return raw.map_or(Sample::Bad(Reason::Decode), |raw| named(raw, conversion));
    }
    let value = match point.value_type {
        ValueType::Bool => match text {
            "0" | "false" => Some(Value::Bool(false)),
            "1" | "true" => Some(Value::Bool(true)),
            _ => None,
        },
        ValueType::U8 => unsigned(u8::MAX.into()),
        ValueType::U16 => unsigned(u16::MAX.into()),
        ValueType::U32 => unsigned(u32::MAX.into()),
        ValueType::U64 => unsigned(u64::MAX),
        ValueType::I8 => signed(i8::MIN.into(), i8::MAX.into()),
        ValueType::I16 => signed(i16::MIN.into(), i16::MAX.into()),
        ValueType::I32 => signed(i32::MIN.into(), i32::MAX.into()),
        ValueType::I64 => signed(i64::MIN, i64::MAX),
        ValueType::F32 | ValueType::F64 => number(text),
        ValueType::Text => (text.len() <= MAX_TEXT).then(|| Value::Text(text.into())),
    };
    finish(point, value.ok_or(Reason::Decode), conversion, None)
}

/// `value` as the registers or the bit of a point. `exponent` is the power of ten that stands beside it now.
///
/// # Errors
/// The point cannot hold the value.
pub(crate) fn encode(point: &ModbusPoint, value: &Value, exponent: Option<i16>) -> Result<Encoded, EncodeError> {
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

/// Registers → one number.
fn assemble(registers: &[u16], order: Order, radix: Option<u32>) -> Option<u64> {
    let radix = u64::from(radix.unwrap_or(0x1_0000));
    let add = |raw: u64, register: &u16| {
        let digit = u64::from(in_order(*register, order));
        // A digit beyond its base is no number that the device meant.
        if digit < radix { raw.checked_mul(radix)?.checked_add(digit) } else { None }
    };
    if order.reverses_registers() { registers.iter().rev().try_fold(0, add) } else { registers.iter().try_fold(0, add) }
}

/// One number → registers; `None` if they cannot hold it.
fn disassemble(mut raw: u64, len: usize, order: Order, radix: Option<u32>) -> Option<Vec<u16>> {
    let radix = u64::from(radix.unwrap_or(0x1_0000));
    let mut registers = Vec::with_capacity(len);
    for _ in 0..len {
        registers.push(in_order(u16::try_from(raw % radix).ok()?, order));
        raw /= radix;
    }
    if !order.reverses_registers() {
        registers.reverse();
    }
    (raw == 0).then_some(registers)
}

const fn in_order(register: u16, order: Order) -> u16 {
    if order.swaps_bytes() { register.swap_bytes() } else { register }
}

/// The sample of a raw number.
fn sample(
    point: &Point,
    raw: u64,
    encoding: Encoding,
    bits: Option<Bits>,
    conversion: &Conversion,
    exponent: Option<i16>,
) -> Sample {
    if conversion.absent.contains(&raw) {
        return Sample::Bad(Reason::Absent);
    }
    let half = |half: Half| if half == Half::High { raw >> 8 } else { raw & 0xFF };
    let raw = match encoding {
        Encoding::U8(which) | Encoding::I8(which) => half(which),
        _ => raw,
    };
    let raw = bits.map_or(raw, |bits| raw >> bits.first & ones(bits.width));
    if !conversion.names.is_empty() {
        return named(raw, conversion);
    }
    let value = match (bits, encoding) {
        (Some(Bits { width: 1, .. }), _) | (None, Encoding::Bool) => Ok(Value::Bool(raw != 0)),
        (Some(_), _) => Ok(Value::U64(raw)),
        (None, encoding) => number_of(raw, encoding),
    };
    finish(point, value, conversion, exponent)
}

/// The number that a raw one stands for.
fn number_of(raw: u64, encoding: Encoding) -> Result<Value, Reason> {
    let signed = |bits: u32| {
        // To the top and back: the sign is spread over what was not there.
        let shift = u64::BITS - bits;
        Value::I64((raw << shift).cast_signed() >> shift)
    };
    let narrow = || u32::try_from(raw).map_err(|_too_wide| Reason::Decode);
    match encoding {
        Encoding::Bool => Ok(Value::Bool(raw != 0)),
        Encoding::U8(_) | Encoding::U16 | Encoding::U32 | Encoding::U64 => Ok(Value::U64(raw)),
        Encoding::U24 => Ok(Value::U64(raw & ones(24))),
        Encoding::I8(_) => Ok(signed(8)),
        Encoding::I16 => Ok(signed(16)),
        Encoding::I24 => Ok(signed(24)),
        Encoding::I32 => Ok(signed(32)),
        Encoding::I64 => Ok(signed(64)),
        Encoding::F32 => widen(f32::from_bits(narrow()?)),
        Encoding::F64 => Value::from_f64(f64::from_bits(raw)).ok_or(Reason::Decode),
        Encoding::Bcd16 | Encoding::Bcd32 | Encoding::Bcd64 => from_bcd(raw).map(Value::U64).ok_or(Reason::Decode),
        Encoding::Text(_) => Err(Reason::Decode),
    }
}

/// The name of a raw number; its digits, in doubt, if it has none.
fn named(raw: u64, conversion: &Conversion) -> Sample {
    match conversion.names.get(&raw) {
        Some(name) => Sample::Good(Value::Text(name.as_ref().into())),
        None => Sample::Uncertain(Value::Text(raw.to_string().into()), Reason::Range),
    }
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
    let unscaled = match encoding {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is lost is looked at below, in the value's own digits"
        )]
        Encoding::F32 => f64::from(unscaled as f32),
        Encoding::F64 => unscaled,
        _ => unscaled.round(),
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
    Ok(match encoding {
        Encoding::I8(_) => raw & ones(8),
        Encoding::I16 => raw & ones(16),
        // All of the two registers, so that a device that reads 32 bits sees the same number.
        Encoding::I24 | Encoding::I32 => raw & ones(32),
        Encoding::Bcd16 | Encoding::Bcd32 | Encoding::Bcd64 if part.is_none() => to_bcd(raw),
        _ => raw,
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

/// The text up to its first NUL, without blanks at its end.
fn text(bytes: &[u8]) -> Result<Value, Reason> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let text = str::from_utf8(&bytes[..end]).map_err(|_not_text| Reason::Decode)?;
    let text = text.trim_end();
    if text.chars().any(char::is_control) { Err(Reason::Decode) } else { Ok(Value::Text(text.into())) }
}

fn from_bcd(raw: u64) -> Option<u64> {
    (0..16)
        .rev()
        .map(|digit| raw >> (digit * 4) & 0xF)
        .try_fold(0, |number: u64, digit| if digit < 10 { number.checked_mul(10)?.checked_add(digit) } else { None })
}

fn to_bcd(mut number: u64) -> u64 {
    let mut raw = 0;
    for digit in 0..16 {
        raw |= (number % 10) << (digit * 4);
        number /= 10;
    }
    raw
}

/// A number with the lowest `width` bits set.
const fn ones(width: u8) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

/// A decimal number. Rust also reads `inf` and `nan`, which are no measurements.
fn number(text: &str) -> Option<Value> {
    text.parse().ok().and_then(Value::from_f64)
}

/// The decimal number that an `f32` stands for.
fn widen(narrow: f32) -> Result<Value, Reason> {
    // `Display` writes the shortest text that reads back as the same f32.
    number(&narrow.to_string()).ok_or(Reason::Decode)
}

fn finish(point: &Point, value: Result<Value, Reason>, conversion: &Conversion, exponent: Option<i16>) -> Sample {
    let power = exponent.filter(|&exponent| exponent != 0);
    match (value.and_then(|value| convert(value, conversion, power)), point.range) {
        (Err(reason), _) => Sample::Bad(reason),
        (Ok(value), Some((least, most))) if value.as_f64().is_some_and(|number| number < least || number > most) => {
            Sample::Uncertain(value, Reason::Range)
        }
        (Ok(value), _) => Sample::Good(value),
    }
}

/// `value × 10^power × scale + offset`, where any of them is given.
fn convert(value: Value, conversion: &Conversion, power: Option<i16>) -> Result<Value, Reason> {
    let Conversion { scale, offset, .. } = conversion;
    let (Some(number), true) = (value.as_f64(), scale.is_some() || offset.is_some() || power.is_some()) else {
        return Ok(value);
    };
    if matches!(value, Value::Bool(_)) {
        return Ok(value);
    }
    let factor = [power.map(ten_to).transpose()?, *scale];
    let scaled = factor.into_iter().flatten().try_fold(number, scale_by).ok_or(Reason::Decode)?;
    let moved = match offset {
        Some(offset) => tidy(scaled + offset, scaled, *offset),
        None => scaled,
    };
    Value::from_f64(moved).ok_or(Reason::Decode)
}

/// The power of ten that a scale factor stands for. SunSpec's lie within ±10; anything far beyond is "not implemented".
fn ten_to(power: i16) -> Result<f64, Reason> {
    if (-15..=15).contains(&power) { Ok(10_f64.powi(power.into())) } else { Err(Reason::Absent) }
}

/// `number × scale`. A scale such as 0.01 is no binary fraction, but its inverse is a whole number: dividing by that rounds
/// once instead of twice. `None` where no `f64` holds it: too large, or so small that nothing would be left of it.
fn scale_by(number: f64, scale: f64) -> Option<f64> {
    let inverse = (1.0 / scale).round();
    let scaled = if scale.abs() < 1.0 && 1.0 / inverse == scale { number / inverse } else { number * scale };
    let vanished = scaled == 0.0 && number != 0.0;
    (scaled.is_finite() && !vanished).then_some(scaled)
}

/// A sum without the noise of binary fractions: 25.3 − 40 is −14.7, not −14.699999999999999. Rounded to one decimal place
/// more than either part could show in sixteen digits.
fn tidy(sum: f64, a: f64, b: f64) -> f64 {
    let largest = a.abs().max(b.abs());
    if largest == 0.0 || !sum.is_finite() {
        return sum;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the decimal logarithm of a finite number lies within ±324")]
    let places = 14 - largest.log10().floor() as i32;
    let text = format!("{sum:.*}", usize::try_from(places).unwrap_or(0));
    text.parse().unwrap_or(sum)
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

#[cfg(test)]
mod tests;
