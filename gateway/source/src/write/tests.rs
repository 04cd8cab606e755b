//! Promises about the requests that a value becomes.

use std::sync::Arc;
use std::time::Duration;

use curb_model::{Class, Name, Point, PointName, Stream};

use super::*;
use crate::config::{Bits, Half, Order};

const GRANT: Grant = Grant { bounds: None, target: None, encoding: None };

fn point(table: Table, encoding: Encoding) -> ModbusPoint {
    let name = PointName::parse("lamp/dim").unwrap();
    let stream = Stream::device(&Name::new("lamp").unwrap());
    let value_type = encoding.value_type();
    let point = Point { name, stream, class: Class::Data, unit: None, value_type, range: None };
    ModbusPoint::new(Arc::new(point), table, 100, encoding)
}

fn device() -> ModbusDevice {
    ModbusDevice::new(7, Duration::from_secs(1))
}

fn check(device: &ModbusDevice, point: &ModbusPoint, value: Value, before: Option<&[u16]>, expected: &[Put]) {
    let plan = Plan::new(device, point, GRANT, &value, None).unwrap();
    assert_eq!(plan.needs_before(), before.is_some(), "{value}");
    assert_eq!(plan.puts(before), expected, "{value}");
}

#[test]
fn each_value_goes_by_the_function_that_its_device_knows() {
    let with = |write_with| ModbusDevice { write_with, ..device() };
    let [auto, single, multiple] = [WriteWith::Auto, WriteWith::Single, WriteWith::Multiple].map(with);
    let coil = point(Table::Coil, Encoding::Bool);
    check(&auto, &coil, Value::Bool(true), None, &[Put::Coil(100, true)]);
    check(&single, &coil, Value::Bool(false), None, &[Put::Coil(100, false)]);
    check(&multiple, &coil, Value::Bool(true), None, &[Put::Coils(100, vec![true])]);
    let word = point(Table::Holding, Encoding::U16);
    check(&auto, &word, Value::U64(7), None, &[Put::Register(100, 7)]);
    check(&single, &word, Value::U64(7), None, &[Put::Register(100, 7)]);
    check(&multiple, &word, Value::U64(7), None, &[Put::Registers(100, vec![7])]);
    let wide = ModbusPoint { order: Order::Cdab, ..point(Table::Holding, Encoding::U32) };
    check(&auto, &wide, Value::U64(0x1_0002), None, &[Put::Registers(100, vec![2, 1])]);
    check(&single, &wide, Value::U64(0x1_0002), None, &[Put::Register(100, 2), Put::Register(101, 1)]);
}

#[test]
fn bits_of_a_register_spare_the_others() {
    let masking = ModbusDevice { mask_write: true, ..device() };
    let bits = ModbusPoint { bits: Some(Bits { first: 4, width: 4 }), ..point(Table::Holding, Encoding::U16) };
    check(&masking, &bits, Value::U64(0xA), None, &[Put::Mask { address: 100, and: 0xFF0F, or: 0x00A0 }]);
    check(&device(), &bits, Value::U64(0xA), Some(&[0x1234]), &[Put::Register(100, 0x12A4)]);
    let high = point(Table::Holding, Encoding::U8(Half::High));
    check(&device(), &high, Value::U64(0xA), Some(&[0x1234]), &[Put::Register(100, 0x0A34)]);
    let wide = ModbusPoint { bits: Some(Bits { first: 15, width: 2 }), ..point(Table::Holding, Encoding::U32) };
    check(&masking, &wide, Value::U64(3), Some(&[0xFFFE, 0x7FFF]), &[Put::Registers(100, vec![0xFFFF, 0xFFFF])]);
}

#[test]
fn what_a_device_does_not_know_is_tried_by_its_other_function() {
    let check = |put: Put, other: Option<Put>| assert_eq!(put.other_function(), other, "{put:?}");
    check(Put::Coil(3, true), Some(Put::Coils(3, vec![true])));
    check(Put::Coils(3, vec![true]), Some(Put::Coil(3, true)));
    check(Put::Register(3, 7), Some(Put::Registers(3, vec![7])));
    check(Put::Registers(3, vec![7]), Some(Put::Register(3, 7)));
    check(Put::Registers(3, vec![7, 8]), None);
    check(Put::Mask { address: 3, and: 0, or: 1 }, None);
}

#[test]
fn only_what_was_granted_is_written() {
    let word = point(Table::Holding, Encoding::U16);
    assert!(matches!(permit(&word, &Value::U64(1)), Err(WriteError::NotGranted(_))));
    let granted = |bounds| ModbusPoint { write: Some(Grant { bounds, target: None, encoding: None }), ..word.clone() };
    assert!(permit(&granted(Some((0.0, 100.0))), &Value::U64(100)).is_ok());
    let beyond = permit(&granted(Some((0.0, 100.0))), &Value::U64(101)).unwrap_err();
    assert_eq!(beyond.to_string(), "101 is not within 0 to 100, which is granted");
    assert_eq!(beyond.word(), "out-of-bounds");
}

#[test]
fn what_is_read_back_counts_only_where_it_was_written() {
    let bits = ModbusPoint { bits: Some(Bits { first: 4, width: 4 }), ..point(Table::Holding, Encoding::U16) };
    let plan = Plan::new(&device(), &bits, GRANT, &Value::U64(0xA), None).unwrap();
    assert!(plan.is_in(&[0xFFAF]));
    assert!(!plan.is_in(&[0xFFBF]));
    assert!(!plan.is_in(&[0x00A0, 0]), "as many registers as were asked for");
    let elsewhere = Grant { bounds: None, target: Some(200), encoding: None };
    let plan = Plan::new(&device(), &bits, elsewhere, &Value::U64(0xA), None).unwrap();
    assert_eq!((plan.target.address, plan.target.quantity), (200, 1));
}

#[test]
fn bounds_are_kept_to_the_last_digit_of_a_whole_number() {
    let check = |value: Value, bounds: (f64, f64), expected: bool| {
        let grant = Grant { bounds: Some(bounds), ..GRANT };
        let point = ModbusPoint { write: Some(grant), ..point(Table::Holding, Encoding::U64) };
        assert_eq!(permit(&point, &value).is_ok(), expected, "{value} in {bounds:?}");
    };
    let most = 9_007_199_254_740_992.0;
    check(Value::U64(1 << 53), (0.0, most), true);
    check(Value::U64((1 << 53) + 1), (0.0, most), false);
    check(Value::I64(-(1 << 53) - 1), (-most, 0.0), false);
    check(Value::U64(u64::MAX), (0.0, 18_446_744_073_709_551_615.0), true);
    check(Value::U64(1), (0.5, 1.5), true);
    check(Value::U64(2), (0.5, 1.5), false);
}
