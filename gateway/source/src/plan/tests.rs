//! Promises of the planner.

use std::sync::Arc;

use curb_model::{Class, Name, Point, PointName, Stream};
use proptest::prelude::*;

use super::*;
use crate::config::{Encoding, ModbusPoint};

fn point(table: Table, address: u16, encoding: Encoding, every_s: Option<u64>) -> ModbusPoint {
    let point = Arc::new(Point {
        name: PointName::parse("meter/power").unwrap(),
        stream: Stream::device(&Name::new("meter").unwrap()),
        class: Class::Data,
        unit: None,
        value_type: encoding.value_type(),
        range: None,
    });
    let every = every_s.map(Duration::from_secs);
    ModbusPoint { every, ..ModbusPoint::new(point, table, address, encoding) }
}

fn device(points: Vec<ModbusPoint>) -> ModbusDevice {
    ModbusDevice { points, ..ModbusDevice::new(3, Duration::from_secs(1)) }
}

/// Checks the blocks, written `table address quantity`, of a device whose points all have its own period.
fn check(points: Vec<ModbusPoint>, expected: &[(Table, u16, u16)]) {
    let rounds = rounds(&device(points));
    assert_eq!(rounds.len(), 1);
    let found: Vec<_> = rounds[0].blocks.iter().map(|b| (b.ask.table, b.ask.address, b.ask.quantity)).collect();
    assert_eq!(found, expected);
}

#[test]
fn neighbours_share_a_read() {
    use Encoding::{Bool, F32, U16, U32};
    use Table::{Coil, Discrete, Holding, Input};
    let at = |table, address, encoding| point(table, address, encoding, None);
    check(vec![at(Holding, 0, U16), at(Holding, 1, U32), at(Holding, 3, U16)], &[(Holding, 0, 4)]);
    check(vec![at(Holding, 3, U16), at(Holding, 0, U16)], &[(Holding, 0, 4)]);
    check(vec![at(Input, 0, F32), at(Input, 6, F32), at(Input, 12, F32)], &[(Input, 0, 14)]);
    check(vec![at(Input, 0, U16), at(Input, 6, U16)], &[(Input, 0, 1), (Input, 6, 1)]);
    check(vec![at(Holding, 0, U16), at(Input, 1, U16)], &[(Holding, 0, 1), (Input, 1, 1)]);
    check(vec![at(Holding, 5, U32), at(Holding, 5, U16)], &[(Holding, 5, 2)]);
    check(vec![at(Coil, 0, Bool), at(Coil, 64, Bool), at(Discrete, 65, Bool)], &[(Coil, 0, 65), (Discrete, 65, 1)]);
    check(vec![at(Holding, 65_535, U16)], &[(Holding, 65_535, 1)]);
}

#[test]
fn a_read_never_asks_for_more_than_the_protocol_carries() {
    let registers = (0..200).map(|address| point(Table::Holding, address, Encoding::U16, None)).collect();
    check(registers, &[(Table::Holding, 0, 125), (Table::Holding, 125, 75)]);
    let bits = (0..2100).map(|address| point(Table::Coil, address, Encoding::Bool, None)).collect();
    check(bits, &[(Table::Coil, 0, 2000), (Table::Coil, 2000, 100)]);
    let pairs = (0..63).map(|n| point(Table::Holding, n * 2, Encoding::U32, None)).collect();
    check(pairs, &[(Table::Holding, 0, 124), (Table::Holding, 124, 2)]);
}

#[test]
fn points_with_another_period_are_read_on_their_own() {
    let points = vec![
        point(Table::Holding, 0, Encoding::U16, None),
        point(Table::Holding, 1, Encoding::U16, Some(60)),
        point(Table::Holding, 2, Encoding::U16, None),
    ];
    let rounds = rounds(&device(points));
    let found: Vec<_> = rounds.iter().map(|r| (r.period.as_secs(), r.blocks[0].points.len())).collect();
    assert_eq!(found, [(1, 2), (60, 1)]);
}

proptest! {
    #[test]
    fn every_point_lies_in_exactly_one_block(
        points in prop::collection::vec((0_u8..4, 0_u16..400, any::<bool>(), prop::option::of(1_u64..4)), 1..60),
    ) {
        let tables = [Table::Coil, Table::Discrete, Table::Holding, Table::Input];
        let points: Vec<_> = points
            .into_iter()
            .map(|(table, address, wide, every)| {
                let table = tables[usize::from(table)];
                let value_type = match (table.is_bits(), wide) {
                    (true, _) => Encoding::Bool,
                    (false, true) => Encoding::U32,
                    (false, false) => Encoding::U16,
                };
                point(table, address, value_type, every)
            })
            .collect();
        let device = device(points);
        let mut seen = vec![0; device.points.len()];
        for round in rounds(&device) {
            for block in &round.blocks {
                let max = if block.ask.table.is_bits() { ModbusDevice::MAX_BITS } else { ModbusDevice::MAX_REGISTERS };
                prop_assert!(block.ask.quantity <= max);
                for place in &block.points {
                    let point = &device.points[place.point];
                    seen[place.point] += 1;
                    prop_assert_eq!(point.table, block.ask.table);
                    prop_assert_eq!(point.address, block.ask.address + place.offset);
                    prop_assert!(place.offset + point.span().1 <= block.ask.quantity);
                    prop_assert_eq!(point.every.unwrap_or(device.every), round.period);
                }
            }
        }
        prop_assert!(seen.iter().all(|&times| times == 1));
    }
}
