//! Points → requests. Pure: what is read together is decided when a bus starts, and again when a device has refused a block.
//!
//! Points of one device that are due equally often and lie close together share one read. Points further apart, in other
//! tables, or with another period are read on their own. What a device refuses is learnt in [`round`].

use std::collections::BTreeMap;
use std::ops::Range;

use curb_model::Access;

use crate::config::{ModbusDevice, Table};
use crate::query::{Query, Shape};

mod round;

pub(crate) use round::{Noted, Round, Verdict};

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
    /// Where its first point stands in the order of its round; the others follow it there.
    first: usize,
    /// It is part of a block that was refused, and has not been answered by itself.
    on_trial: bool,
}

impl Block {
    /// A read of its first point alone: says as well as the whole block whether the unit is there.
    pub(crate) fn probe(&self, device: &ModbusDevice) -> Ask {
        let point = &device.points[self.points[0].point];
        let (address, quantity) = point.span();
        Ask { address, quantity, ..self.ask }
    }

    fn range(&self) -> Range<usize> {
        self.first..self.first + self.points.len()
    }
}

/// A point within a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which of the device's points.
    pub(crate) point: usize,
    /// Registers or bits from the block's start.
    pub(crate) offset: u16,
}

/// The rounds of a device, most frequent first. A point that can only be written is in none.
pub(crate) fn rounds(device: &ModbusDevice) -> Vec<Round> {
    let mut periods: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    let read = device.points.iter().enumerate().filter(|(_, point)| point.access == Access::Read);
    for (index, point) in read {
        periods.entry(point.every.unwrap_or(device.every)).or_default().push(index);
    }
    periods.into_iter().map(|(period, points)| Round::new(device, period, points)).collect()
}

/// Blocks for the points that stand at `places` of `order`, which is by address. A block ends where `parted` says so of the
/// place before which it would go on.
fn blocks(
    device: &ModbusDevice,
    order: &[usize],
    places: impl Iterator<Item = usize>,
    parted: impl Fn(usize) -> bool,
) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for place in places {
        let index = order[place];
        let point = &device.points[index];
        let (address, span) = point.span();
        let wanted = Ask { unit: device.unit_id, table: point.table, address, quantity: span };
        let last = blocks.last_mut().filter(|block| block.range().end == place && !parted(place));
        match last.and_then(|block| Some((joined(block.ask, wanted, device)?, block))) {
            Some((ask, block)) => {
                block.ask = ask;
                block.points.push(Place { point: index, offset: address - ask.address });
            }
            None => {
                let points = vec![Place { point: index, offset: 0 }];
                blocks.push(Block { ask: wanted, points, first: place, on_trial: false });
            }
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
