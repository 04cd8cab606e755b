//! A value → the requests that write it. Pure.
//!
//! ```text
//! a coil                       5 (or 15)                     where the device refuses the one as unknown, the other
//! one register                 6 (or 16)                     the same
//! several registers            16 (or 6 for each, by address, where the device knows no 16)
//! some bits of a register      22, where the device knows it; else read, change, write
//! ```
//!
//! Deliberately absent: sending. `bus` does, and reads back.

use curb_model::Value;

use crate::codec::{self, EncodeError, Encoded};
use crate::command::WriteError;
use crate::config::{Encoding, Grant, ModbusDevice, ModbusPoint, Table, WriteWith};
use crate::modbus::Put;
use crate::plan::Ask;

/// How a value is written and read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Where it goes; also what is read back.
    pub(crate) target: Ask,
    encoded: Encoded,
    with: WriteWith,
    mask_write: bool,
}

/// What has to be known before a value can be encoded.
pub(crate) fn exponent_ask(device: &ModbusDevice, point: &ModbusPoint) -> Option<Ask> {
    let address = point.exponent?;
    Some(Ask { unit: device.unit_id, table: point.table, address, quantity: 1 })
}

/// Whether this value may be written to this point.
///
/// # Errors
/// It is not granted, or out of the granted bounds.
pub(crate) fn permit(point: &ModbusPoint, value: &Value) -> Result<Grant, WriteError> {
    let grant = point.write.ok_or_else(|| WriteError::NotGranted(point.point.name.clone()))?;
    if let (Some((least, most)), Some(number)) = (grant.bounds, value.as_f64())
        && !is_within(value, number, least, most)
    {
        return Err(WriteError::Bounds { value: number, least, most });
    }
    Ok(grant)
}

/// Whole numbers are compared as such: beyond 2⁵³ their nearest `f64` may lie on the other side of the bound.
fn is_within(value: &Value, number: f64, least: f64, most: f64) -> bool {
    let whole = match value {
        Value::U64(whole) => i128::from(*whole),
        Value::I64(whole) => i128::from(*whole),
        Value::Bool(_) | Value::F64(_) | Value::Text(_) | Value::Bytes(_) => return (least..=most).contains(&number),
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole numbers of f64 are exact in i128, or saturate beyond u64"
    )]
    let (least, most) = (least.ceil() as i128, most.floor() as i128);
    (least..=most).contains(&whole)
}

impl Plan {
    /// `exponent` is what stands at [`exponent_ask`] now.
    ///
    /// # Errors
    /// The point cannot hold the value.
    pub(crate) fn new(
        device: &ModbusDevice,
        point: &ModbusPoint,
        grant: Grant,
        value: &Value,
        exponent: Option<i16>,
    ) -> Result<Self, EncodeError> {
        let point = point.as_written(grant);
        let encoded = codec::encode(&point, value, exponent)?;
        let target = Ask { unit: device.unit_id, table: point.table, address: point.address, quantity: point.width() };
        Ok(Self { target, encoded, with: device.write_with, mask_write: device.mask_write })
    }

    /// Whether what stands there now must be read first.
    pub(crate) fn needs_before(&self) -> bool {
        self.encoded.mask.is_some() && !self.masks()
    }

    /// The requests. `before` is what stood there, where [`Plan::needs_before`].
    pub(crate) fn puts(&self, before: Option<&[u16]>) -> Vec<Put> {
        let Ask { table, address, .. } = self.target;
        let new = &self.encoded.registers;
        if let (true, Some([mask]), [word]) = (self.mask_write, self.encoded.mask.as_deref(), new.as_slice()) {
            return vec![Put::Mask { address, and: !mask, or: *word }];
        }
        let words = match (&self.encoded.mask, before) {
            (Some(mask), Some(before)) => {
                new.iter().zip(mask).zip(before).map(|((new, mask), before)| before & !mask | new).collect()
            }
            (Some(_) | None, _) => new.clone(),
        };
        puts(table, address, &words, self.with)
    }

    /// Whether `found`, read from where it was written, holds the value.
    pub(crate) fn is_in(&self, found: &[u16]) -> bool {
        let new = &self.encoded.registers;
        let mask = |at: usize| self.encoded.mask.as_ref().map_or(u16::MAX, |mask| mask[at]);
        found.len() == new.len() && found.iter().zip(new).enumerate().all(|(at, (a, b))| (a ^ b) & mask(at) == 0)
    }

    fn masks(&self) -> bool {
        self.mask_write && self.encoded.registers.len() == 1
    }
}

/// The requests that write whole registers, or one coil.
pub(crate) fn puts(table: Table, address: u16, words: &[u16], with: WriteWith) -> Vec<Put> {
    if table == Table::Coil {
        let on = words.first().is_some_and(|&word| word != 0);
        return match with {
            WriteWith::Auto | WriteWith::Single => vec![Put::Coil(address, on)],
            WriteWith::Multiple => vec![Put::Coils(address, vec![on])],
        };
    }
    match (with, words) {
        (WriteWith::Auto, [word]) => vec![Put::Register(address, *word)],
        (WriteWith::Auto | WriteWith::Multiple, words) => vec![Put::Registers(address, words.to_vec())],
        (WriteWith::Single, words) => {
            words.iter().zip(address..=u16::MAX).map(|(&word, address)| Put::Register(address, word)).collect()
        }
    }
}

/// What a device says it holds, for people.
pub(crate) fn in_words(point: &ModbusPoint, found: &[u16]) -> String {
    let raw = || found.iter().map(|word| format!("0x{word:04X}")).collect::<Vec<_>>().join(" ");
    // Without its power of ten the number would be another one.
    let readable = point.exponent.is_none() && point.encoding != Encoding::Bool;
    let sample = readable.then(|| codec::from_registers(point, found));
    match sample.as_ref().and_then(|sample| sample.value()) {
        Some(value) => value.to_string(),
        None => raw(),
    }
}

#[cfg(test)]
mod tests;
