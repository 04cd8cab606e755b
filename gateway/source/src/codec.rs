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
//! Deliberately absent: a value for what is not one. Everything else is *bad*, with its reason.

use curb_model::{Point, Reason, Sample, Value, ValueType};

use crate::config::{Bits, Conversion, Encoding, Half, ModbusPoint, Order, Place, TalkerPoint};

mod encode;

pub use encode::{EncodeError, Encoded, encode};

/// Longest text that a value may hold: it travels in every message.
pub(crate) const MAX_TEXT: usize = 128;

/// A point's value in what was read for it: the registers of [`ModbusPoint::span`], or the state of a coil or discrete
/// input, of which anything but 0 is on.
#[must_use]
pub fn decode(point: &ModbusPoint, registers: &[u16]) -> Sample {
    match registers {
        [bit] if point.table.is_bits() => from_bit(point, *bit != 0),
        _ => from_registers(point, registers),
    }
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
    let encoding = if let Encoding::U8(_) = encoding { Encoding::U8(Half::Low) } else { encoding };
    let encoding = if let Encoding::I8(_) = encoding { Encoding::I8(Half::Low) } else { encoding };
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
        ValueType::Text => {
            let fits = text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
            fits.then(|| Value::Text(text.into()))
        }
    };
    finish(point, value.ok_or(Reason::Decode), conversion, None)
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
    let raw = if let Encoding::U8(half) | Encoding::I8(half) = encoding {
        if half == Half::High { raw >> 8 } else { raw & 0xFF }
    } else {
        raw
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
    let (mut times, mut by) = power.map_or(Ok((1.0, 1.0)), ten_to)?;
    // A scale such as 0.01 is no binary fraction, but its inverse is a whole number: dividing by that, and by the power of
    // ten along with it, rounds once instead of twice.
    if let Some(scale) = *scale {
        let inverse = (1.0 / scale).round();
        if scale.abs() < 1.0 && 1.0 / inverse == scale { by *= inverse } else { times *= scale }
    }
    let scaled = number * times / by;
    // Too large for a float, or so small that nothing is left of it.
    if !scaled.is_finite() || scaled == 0.0 && number != 0.0 {
        return Err(Reason::Decode);
    }
    let moved = match offset {
        Some(offset) => tidy(scaled + offset, scaled, *offset),
        None => scaled,
    };
    Value::from_f64(moved).ok_or(Reason::Decode)
}

/// The power of ten that a scale factor stands for, as what is multiplied and what is divided by, both whole. SunSpec's lie
/// within ±10; anything far beyond is "not implemented".
fn ten_to(power: i16) -> Result<(f64, f64), Reason> {
    match power {
        0..=15 => Ok((10_f64.powi(power.into()), 1.0)),
        -15..0 => Ok((1.0, 10_f64.powi((-power).into()))),
        _ => Err(Reason::Absent),
    }
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

#[cfg(test)]
mod tests;
