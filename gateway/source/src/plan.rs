//! Points → requests. Pure: what is read together is decided once, when a bus starts.
//!
//! Points of one device that are due equally often and lie close together share one read. Points further apart, in other
//! tables, or with another period are read on their own.
//!
//! Deliberately absent: splitting a block that a device refuses. All its points are bad then, with the device's own code.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{ModbusDevice, Table};
use crate::query::{Query, Shape};

/// Bits between two points that are read along, for nothing: they cost an eighth of a character.
const MAX_GAP_BITS: u16 = 64;

/// One read request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ask {
    /// Modbus address of the device.
    pub(crate) unit: u8,
    pub(crate) table: Table,
    pub(crate) address: u16,
    /// Registers or bits; at least 1.
    pub(crate) quantity: u16,
}

impl Ask {
    /// Its function code.
    pub(crate) const fn function(self) -> u8 {
        match self.table {
            Table::Coil => 1,
            Table::Discrete => 2,
            Table::Holding => 3,
            Table::Input => 4,
        }
    }

    /// The request as the line sees it.
    pub(crate) fn query(self) -> Query {
        Query { unit: self.unit, function: self.function(), shape: Shape::Data(self.data_len()) }
    }

    /// Bytes of data in its answer: the byte count that stands there.
    pub(crate) fn data_len(self) -> u8 {
        let bytes = if self.table.is_bits() { self.quantity.div_ceil(8) } else { self.quantity * 2 };
        u8::try_from(bytes).expect("a plan asks for at most 125 registers or 2,000 bits: 250 bytes")
    }
}

/// A read, and the points that it brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) ask: Ask,
    pub(crate) points: Vec<Place>,
}

/// A point within a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which of the device's points.
    pub(crate) point: usize,
    /// Registers or bits from the block's start.
    pub(crate) offset: u16,
}

/// What one device is asked at one due time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) period: Duration,
    pub(crate) blocks: Vec<Block>,
}

/// The rounds of a device, most frequent first.
pub(crate) fn rounds(device: &ModbusDevice) -> Vec<Round> {
    let mut periods: BTreeMap<Duration, Vec<usize>> = BTreeMap::new();
    for (index, point) in device.points.iter().enumerate() {
        periods.entry(point.every.unwrap_or(device.every)).or_default().push(index);
    }
    periods.into_iter().map(|(period, points)| Round { period, blocks: blocks(device, points) }).collect()
}

fn blocks(device: &ModbusDevice, mut points: Vec<usize>) -> Vec<Block> {
    points.sort_by_key(|&index| (device.points[index].table, device.points[index].span()));
    let mut blocks: Vec<Block> = Vec::new();
    for index in points {
        let point = &device.points[index];
        let (address, span) = point.span();
        let wanted = Ask { unit: device.unit_id, table: point.table, address, quantity: span };
        match blocks.last_mut().and_then(|block| Some((joined(block.ask, wanted, device)?, block))) {
            Some((ask, block)) => {
                block.ask = ask;
                block.points.push(Place { point: index, offset: address - ask.address });
            }
            None => blocks.push(Block { ask: wanted, points: vec![Place { point: index, offset: 0 }] }),
        }
    }
    blocks
}

/// `ask`, widened to hold `wanted` too; `None` if that is too far away or too much. Points come by address, so that a block
/// only grows upwards.
fn joined(ask: Ask, wanted: Ask, device: &ModbusDevice) -> Option<Ask> {
    let (max, max_gap) =
        if ask.table.is_bits() { (device.max_bits, MAX_GAP_BITS) } else { (device.max_registers, device.max_hole) };
    let offset = wanted.address.checked_sub(ask.address)?;
    let quantity = ask.quantity.max(offset.checked_add(wanted.quantity)?);
    let fits = ask.table == wanted.table && offset <= ask.quantity.saturating_add(max_gap) && quantity <= max;
    fits.then_some(Ask { quantity, ..ask })
}

#[cfg(test)]
mod tests;
