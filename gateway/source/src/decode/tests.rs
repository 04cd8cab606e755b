//! Promises of the one codec.

use std::sync::Arc;

use curb_model::{Class, Name, Point, PointName, Reason, Sample, Stream, Value, ValueType};
use proptest::prelude::*;

use super::*;
use crate::config::Table;

fn named(value_type: ValueType, range: Option<(f64, f64)>) -> Arc<Point> {
    let name = PointName::parse("meter/power").unwrap();
    let stream = Stream::device(&Name::new("meter").unwrap());
    Arc::new(Point { name, stream, class: Class::Data, unit: None, value_type, range })
}

fn modbus(value_type: ValueType) -> ModbusPoint {
    let point = named(value_type, None);
    let (table, order) = (Table::Holding, Order::Abcd);
    ModbusPoint { point, table, address: 0, order, scale: None, absent: Vec::new(), every: None }
}

fn csv(value_type: ValueType, column: u16) -> CsvPoint {
    CsvPoint { point: named(value_type, None), column, scale: None }
}

fn float(number: f64) -> Value {
    Value::from_f64(number).unwrap()
}

#[test]
fn every_type_is_read_in_both_orders() {
    let check = |value_type, registers: &[u16], value: Value| {
        let abcd = modbus(value_type);
        assert_eq!(from_registers(&abcd, registers), Sample::Good(value.clone()), "{value_type:?} {registers:04x?}");
        let cdab = ModbusPoint { order: Order::Cdab, ..abcd };
        let swapped: Vec<u16> = registers.iter().rev().copied().collect();
        assert_eq!(from_registers(&cdab, &swapped), Sample::Good(value), "{value_type:?} {swapped:04x?}");
    };
    check(ValueType::Bool, &[0], Value::Bool(false));
    check(ValueType::Bool, &[0xFF00], Value::Bool(true));
    check(ValueType::U16, &[0xFFFE], Value::U64(65_534));
    check(ValueType::I16, &[0xFFFE], Value::I64(-2));
    check(ValueType::U32, &[0xFFFF, 0xFFFE], Value::U64(4_294_967_294));
    check(ValueType::U32, &[0x0001, 0x0000], Value::U64(65_536));
    check(ValueType::I32, &[0xFFFF, 0xFFFE], Value::I64(-2));
    check(ValueType::I32, &[0x8000, 0x0000], Value::I64(-2_147_483_648));
    check(ValueType::F32, &[0x4366, 0x199A], float(230.1));
    check(ValueType::F32, &[0x8000, 0x0000], float(-0.0));
}

#[test]
fn a_scale_keeps_the_digits_that_were_meant() {
    let check = |raw: u16, scale: f64, value: f64| {
        let point = ModbusPoint { scale: Some(scale), ..modbus(ValueType::I16) };
        assert_eq!(from_registers(&point, &[raw]), Sample::Good(float(value)), "{raw} × {scale}");
    };
    check(2301, 0.1, 230.1);
    check(3, 0.1, 0.3);
    check(4999, 0.01, 49.99);
    check(1, 0.001, 0.001);
    check(7, 0.00001, 0.00007);
    check(0xFFFF, 0.1, -0.1);
    check(5, -0.1, -0.5);
    check(5, 10.0, 50.0);
    check(3, 2.5, 7.5);
    check(5, 1.0, 5.0);
}

#[test]
fn what_no_number_holds_after_scaling_is_bad() {
    let check = |raw: f32, scale: f64, sample: Sample| {
        let point = ModbusPoint { scale: Some(scale), ..modbus(ValueType::F32) };
        let bits = raw.to_bits();
        let registers = [bits >> 16, bits & 0xFFFF].map(|half| u16::try_from(half).unwrap());
        assert_eq!(from_registers(&point, &registers), sample, "{raw} × {scale}");
    };
    check(1e-45, 1e-300, Sample::Bad(Reason::Decode));
    check(-1e-45, 1e-300, Sample::Bad(Reason::Decode));
    check(1e-45, -1.5e-300, Sample::Bad(Reason::Decode));
    check(3e38, 1e300, Sample::Bad(Reason::Decode));
    check(-3e38, 1e300, Sample::Bad(Reason::Decode));
    check(1e-20, 1e-300, Sample::Good(float(1e-320)));
    check(0.0, 1e-300, Sample::Good(float(0.0)));
    check(-0.0, 1e300, Sample::Good(float(-0.0)));
}

#[test]
fn what_is_no_value_is_bad_and_says_why() {
    let check = |point: &ModbusPoint, registers: &[u16], reason: Reason| {
        assert_eq!(from_registers(point, registers), Sample::Bad(reason), "{point:?} {registers:04x?}");
    };
    let absent = |value_type, order, absent: u64| ModbusPoint { order, absent: vec![absent], ..modbus(value_type) };
    check(&absent(ValueType::U16, Order::Abcd, 0xFFFF), &[0xFFFF], Reason::Absent);
    check(&absent(ValueType::I16, Order::Abcd, 0x8000), &[0x8000], Reason::Absent);
    check(&absent(ValueType::U32, Order::Cdab, 0x1_0002), &[2, 1], Reason::Absent);
    check(&absent(ValueType::F32, Order::Abcd, 0x7FC0_0000), &[0x7FC0, 0], Reason::Absent);
    check(&modbus(ValueType::F32), &[0x7FC0, 0], Reason::Decode);
    check(&modbus(ValueType::F32), &[0x7F80, 0], Reason::Decode);
    check(&modbus(ValueType::U16), &[1, 2], Reason::Decode);
    check(&modbus(ValueType::U16), &[], Reason::Decode);
    check(&modbus(ValueType::U32), &[1, 2, 3], Reason::Decode);
    check(&modbus(ValueType::F64), &[1, 2], Reason::Decode);
}

#[test]
fn a_value_out_of_range_is_passed_on_with_a_doubt() {
    let check = |raw: u16, certain: bool| {
        let point = ModbusPoint {
            point: named(ValueType::U16, Some((0.0, 100.0))),
            scale: Some(0.1),
            ..modbus(ValueType::U16)
        };
        let value = float(f64::from(raw) / 10.0);
        let sample = if certain { Sample::Good(value) } else { Sample::Uncertain(value, Reason::Range) };
        assert_eq!(from_registers(&point, &[raw]), sample, "{raw}");
    };
    check(0, true);
    check(1000, true);
    check(1001, false);
    check(65_535, false);
}

#[test]
fn bits_are_values_too() {
    let coil = ModbusPoint { table: Table::Coil, ..modbus(ValueType::Bool) };
    assert_eq!(from_bit(&coil, true), Sample::Good(Value::Bool(true)));
    assert_eq!(from_bit(&ModbusPoint { absent: vec![1], ..coil }, true), Sample::Bad(Reason::Absent));
}

#[test]
fn columns_count_from_one_and_must_be_of_their_type() {
    let check = |value_type, column, line: &str, sample: Sample| {
        assert_eq!(from_columns(&csv(value_type, column), line, ','), sample, "{value_type:?} {column} of {line:?}");
    };
    let bad = || Sample::Bad(Reason::Decode);
    check(ValueType::F64, 1, "12.5,9", Sample::Good(float(12.5)));
    check(ValueType::F64, 2, "12.5, 9 ", Sample::Good(float(9.0)));
    check(ValueType::F64, 3, "12.5,9", bad());
    check(ValueType::F64, 1, ",9", Sample::Bad(Reason::Absent));
    check(ValueType::F64, 1, "nan,9", bad());
    check(ValueType::F64, 1, "1e999", bad());
    check(ValueType::F64, 1, "12.5.1", bad());
    check(ValueType::U16, 1, "65535", Sample::Good(Value::U64(65_535)));
    check(ValueType::U16, 1, "65536", bad());
    check(ValueType::U16, 1, "-1", bad());
    check(ValueType::I32, 1, "-7", Sample::Good(Value::I64(-7)));
    check(ValueType::I16, 1, "-32769", bad());
    check(ValueType::Bool, 1, "1", Sample::Good(Value::Bool(true)));
    check(ValueType::Bool, 1, "2", bad());
    check(ValueType::Text, 2, "a,ok now,b", Sample::Good(Value::Text("ok now".into())));
    check(ValueType::Text, 1, &"x".repeat(129), bad());
}

proptest! {
    #[test]
    fn thirty_two_bits_survive_both_orders(raw: u32) {
        let [a, b, c, d] = raw.to_be_bytes();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        for (order, registers) in [(Order::Abcd, [high, low]), (Order::Cdab, [low, high])] {
            let point = |value_type| ModbusPoint { order, ..modbus(value_type) };
            prop_assert_eq!(from_registers(&point(ValueType::U32), &registers), Sample::Good(Value::U64(raw.into())));
            let signed = Value::I64(raw.cast_signed().into());
            prop_assert_eq!(from_registers(&point(ValueType::I32), &registers), Sample::Good(signed));
            let narrow = f32::from_bits(raw);
            let sample = from_registers(&point(ValueType::F32), &registers);
            match sample.value().and_then(Value::as_f64) {
                Some(wide) => prop_assert_eq!(wide.to_string().parse::<f32>().unwrap().to_bits(), raw),
                None => {
                    prop_assert!(!narrow.is_finite());
                    prop_assert_eq!(sample, Sample::Bad(Reason::Decode));
                }
            }
        }
    }

    #[test]
    fn tenths_and_hundredths_print_as_the_device_shows_them(raw: i16, digits in 1_u32..=4) {
        let point = ModbusPoint { scale: Some(format!("1e-{digits}").parse().unwrap()), ..modbus(ValueType::I16) };
        let shown: f64 = format!("{raw}e-{digits}").parse().unwrap();
        prop_assert_eq!(from_registers(&point, &[raw.cast_unsigned()]), Sample::Good(float(shown)));
    }

    #[test]
    fn only_zero_scales_to_zero(raw: u32, scale in any::<f64>().prop_filter("a scale is no zero", |scale| *scale != 0.0)) {
        let point = ModbusPoint { scale: Some(scale), ..modbus(ValueType::F32) };
        let [high, low] = [raw >> 16, raw & 0xFFFF].map(|half| u16::try_from(half).unwrap());
        match from_registers(&point, &[high, low]) {
            Sample::Good(value) => prop_assert_eq!(value.as_f64() == Some(0.0), f32::from_bits(raw) == 0.0),
            sample @ (Sample::Uncertain(..) | Sample::Bad(_)) => prop_assert_eq!(sample, Sample::Bad(Reason::Decode)),
        }
    }

    #[test]
    fn any_line_is_a_value_or_bad(line: String, column in 1_u16..5) {
        for value_type in [ValueType::F64, ValueType::I32, ValueType::U16, ValueType::Bool, ValueType::Text] {
            let sample = from_columns(&csv(value_type, column), &line, ',');
            prop_assert!(matches!(sample, Sample::Good(_) | Sample::Bad(Reason::Decode | Reason::Absent)));
        }
    }
}
