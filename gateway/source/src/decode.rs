//! Registers and text → samples. The one place that knows how a value lies in a device.
//!
//! A number keeps the digits that the device meant: an `f32` is widened through its shortest decimal text, so that
//! 230.1 stays 230.1, and a scale like 0.1 is applied as a division by 10, so that 2301 becomes 230.1 and not
//! 230.10000000000002.
//!
//! Deliberately absent: a value for what is not one. Everything else is *bad*, with its reason.

use curb_model::{Point, Reason, Sample, Value, ValueType};

use crate::config::{CsvPoint, ModbusPoint, Order};

/// Longest text that a column may hold: it travels in every message.
const MAX_TEXT: usize = 128;

/// A point's value in its registers.
pub(crate) fn from_registers(point: &ModbusPoint, registers: &[u16]) -> Sample {
    let raw = match (registers, point.order) {
        ([only], _) => u32::from(*only),
        ([high, low], Order::Abcd) | ([low, high], Order::Cdab) => u32::from(*high) << 16 | u32::from(*low),
        _ => return Sample::Bad(Reason::Decode),
    };
    if point.absent.contains(&u64::from(raw)) {
        return Sample::Bad(Reason::Absent);
    }
    let halves = || u16::try_from(raw).map_err(|_too_wide| Reason::Decode);
    let value = match point.point.value_type {
        ValueType::Bool => Ok(Value::Bool(raw != 0)),
        ValueType::U16 => halves().map(|half| Value::U64(half.into())),
        ValueType::I16 => halves().map(|half| Value::I64(half.cast_signed().into())),
        ValueType::U32 => Ok(Value::U64(raw.into())),
        ValueType::I32 => Ok(Value::I64(raw.cast_signed().into())),
        ValueType::F32 => widen(f32::from_bits(raw)),
        ValueType::F64 | ValueType::Text => Err(Reason::Decode),
    };
    finish(&point.point, value, point.scale)
}

/// A point's value in a coil or discrete input.
pub(crate) fn from_bit(point: &ModbusPoint, bit: bool) -> Sample {
    if point.absent.contains(&u64::from(bit)) {
        return Sample::Bad(Reason::Absent);
    }
    finish(&point.point, Ok(Value::Bool(bit)), point.scale)
}

/// A point's value in the columns of a line. An empty column is a device's way to say that it has none.
pub(crate) fn from_columns(point: &CsvPoint, line: &str, separator: char) -> Sample {
    let Some(text) = line.split(separator).nth(usize::from(point.column).saturating_sub(1)).map(str::trim) else {
        return Sample::Bad(Reason::Decode);
    };
    if text.is_empty() {
        return Sample::Bad(Reason::Absent);
    }
    let unsigned = |max: u64| text.parse().ok().filter(|&number: &u64| number <= max).map(Value::U64);
    let signed =
        |min: i64, max: i64| text.parse().ok().filter(|number: &i64| (min..=max).contains(number)).map(Value::I64);
    let value = match point.point.value_type {
        ValueType::Bool => match text {
            "0" | "false" => Some(Value::Bool(false)),
            "1" | "true" => Some(Value::Bool(true)),
            _ => None,
        },
        ValueType::U16 => unsigned(u16::MAX.into()),
        ValueType::U32 => unsigned(u32::MAX.into()),
        ValueType::I16 => signed(i16::MIN.into(), i16::MAX.into()),
        ValueType::I32 => signed(i32::MIN.into(), i32::MAX.into()),
        ValueType::F32 | ValueType::F64 => number(text),
        ValueType::Text => (text.len() <= MAX_TEXT).then(|| Value::Text(text.into())),
    };
    finish(&point.point, value.ok_or(Reason::Decode), point.scale)
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

fn finish(point: &Point, value: Result<Value, Reason>, scale: Option<f64>) -> Sample {
    let scaled = value.and_then(|value| match (scale, value.as_f64()) {
        (Some(scale), Some(number)) => scale_by(number, scale).ok_or(Reason::Decode),
        (None, _) | (_, None) => Ok(value),
    });
    match (scaled, point.range) {
        (Err(reason), _) => Sample::Bad(reason),
        (Ok(value), Some((least, most))) if value.as_f64().is_some_and(|number| number < least || number > most) => {
            Sample::Uncertain(value, Reason::Range)
        }
        (Ok(value), _) => Sample::Good(value),
    }
}

/// `number × scale`. A scale such as 0.01 is no binary fraction, but its inverse is a whole number: dividing by that rounds
/// once instead of twice. `None` where no `f64` holds it: too large, or so small that nothing would be left of it.
fn scale_by(number: f64, scale: f64) -> Option<Value> {
    let inverse = (1.0 / scale).round();
    let scaled = if scale.abs() < 1.0 && 1.0 / inverse == scale { number / inverse } else { number * scale };
    let vanished = scaled == 0.0 && number != 0.0;
    if vanished { None } else { Value::from_f64(scaled) }
}

#[cfg(test)]
mod tests;
