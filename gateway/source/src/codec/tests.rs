//! Promises of the one codec.

use std::sync::Arc;

use curb_model::{Class, Name, Point, PointName, Reason, Sample, Stream, Value, ValueType};
use proptest::prelude::*;

use super::*;
use crate::config::Table;

fn named_point(value_type: ValueType, range: Option<(f64, f64)>) -> Arc<Point> {
    let name = PointName::parse("meter/power").unwrap();
    let stream = Stream::device(&Name::new("meter").unwrap());
    Arc::new(Point { name, stream, class: Class::Data, unit: None, value_type, range })
}

fn modbus(encoding: Encoding) -> ModbusPoint {
    ModbusPoint::new(named_point(encoding.value_type(), None), Table::Holding, 0, encoding)
}

fn scaled(encoding: Encoding, scale: f64) -> ModbusPoint {
    ModbusPoint { conversion: Conversion { scale: Some(scale), ..Conversion::default() }, ..modbus(encoding) }
}

fn absent(encoding: Encoding, absent: u64) -> ModbusPoint {
    ModbusPoint { conversion: Conversion { absent: vec![absent], ..Conversion::default() }, ..modbus(encoding) }
}

fn part(encoding: Encoding, first: u8, width: u8) -> ModbusPoint {
    ModbusPoint { bits: Some(Bits { first, width }), ..modbus(encoding) }
}

fn names() -> Conversion {
    let names = [(0, "off"), (1, "on"), (7, "fault")].map(|(raw, name)| (raw, Arc::from(name)));
    Conversion { names: names.into_iter().collect(), ..Conversion::default() }
}

fn float(number: f64) -> Value {
    Value::from_f64(number).unwrap()
}

fn text_value(text: &str) -> Value {
    Value::Text(text.into())
}

/// The registers of `bytes` in each order, by hand: A is the first byte.
fn in_every_order(bytes: &[u8]) -> [(Order, Vec<u16>); 4] {
    let registers = |swapped: bool| -> Vec<u16> {
        let pair = |pair: &[u8]| {
            if swapped { u16::from_le_bytes([pair[0], pair[1]]) } else { u16::from_be_bytes([pair[0], pair[1]]) }
        };
        bytes.chunks_exact(2).map(pair).collect()
    };
    let backwards = |swapped| registers(swapped).into_iter().rev().collect();
    [
        (Order::Abcd, registers(false)),
        (Order::Cdab, backwards(false)),
        (Order::Badc, registers(true)),
        (Order::Dcba, backwards(true)),
    ]
}

#[test]
fn every_type_is_read_and_written_in_every_order() {
    let check = |encoding, bytes: &[u8], value: Value| {
        for (order, registers) in in_every_order(bytes) {
            let point = ModbusPoint { order, ..modbus(encoding) };
            let sample = Sample::Good(value.clone());
            assert_eq!(from_registers(&point, &registers), sample, "{encoding:?} {order:?} {registers:04x?}");
            let mask = encode(&point, &value, None).unwrap().mask;
            assert_eq!(
                encode(&point, &value, None).unwrap(),
                Encoded { registers, mask },
                "{encoding:?} {order:?} back"
            );
        }
    };
    let bits = |number: u64| number.to_be_bytes();
    check(Encoding::Bool, &[0, 0], Value::Bool(false));
    check(Encoding::Bool, &[0, 1], Value::Bool(true));
    check(Encoding::U8(Half::Low), &[0, 254], Value::U64(254));
    check(Encoding::U8(Half::High), &[254, 0], Value::U64(254));
    check(Encoding::I8(Half::Low), &[0, 0xFE], Value::I64(-2));
    check(Encoding::I8(Half::High), &[0x80, 0], Value::I64(-128));
    check(Encoding::U16, &[0xFF, 0xFE], Value::U64(65_534));
    check(Encoding::I16, &[0xFF, 0xFE], Value::I64(-2));
    check(Encoding::U24, &[0, 0xFF, 0xFF, 0xFE], Value::U64(0xFF_FFFE));
    check(Encoding::I24, &[0xFF, 0xFF, 0xFF, 0xFE], Value::I64(-2));
    check(Encoding::U32, &[0xFF, 0xFF, 0xFF, 0xFE], Value::U64(4_294_967_294));
    check(Encoding::I32, &[0xFF, 0xFF, 0xFF, 0xFE], Value::I64(-2));
    check(Encoding::I32, &[0x80, 0, 0, 0], Value::I64(-2_147_483_648));
    check(Encoding::U64, &bits(0x0102_0304_0506_0708), Value::U64(0x0102_0304_0506_0708));
    check(Encoding::I64, &bits(u64::MAX - 1), Value::I64(-2));
    check(Encoding::F32, &[0x43, 0x66, 0x19, 0x9A], float(230.1));
    check(Encoding::F64, &bits(230.1_f64.to_bits()), float(230.1));
    check(Encoding::Bcd16, &[0x12, 0x34], Value::U64(1_234));
    check(Encoding::Bcd32, &[0x12, 0x34, 0x56, 0x78], Value::U64(12_345_678));
    check(Encoding::Bcd64, &bits(0x1234_5678_9012_3456), Value::U64(1_234_567_890_123_456));
}

#[test]
fn a_text_keeps_its_order_of_registers_and_ends_at_its_first_nul() {
    let check = |order, registers: &[u16], text: &str| {
        let point = ModbusPoint { order, ..modbus(Encoding::Text(6)) };
        assert_eq!(from_registers(&point, registers), Sample::Good(text_value(text)), "{order:?} {registers:04x?}");
    };
    check(Order::Abcd, &[0x4142, 0x4344, 0x4546], "ABCDEF");
    check(Order::Badc, &[0x4241, 0x4443, 0x4645], "ABCDEF");
    check(Order::Abcd, &[0x4142, 0x4300, 0x4546], "ABC");
    check(Order::Abcd, &[0x4142, 0x2020, 0x2020], "AB");
    check(Order::Abcd, &[0, 0, 0], "");
    let odd = modbus(Encoding::Text(5));
    assert_eq!(from_registers(&odd, &[0x4142, 0x4344, 0x4546]), Sample::Good(text_value("ABCDE")));
    assert_eq!(from_registers(&odd, &[0xFFFF, 0xFFFF, 0xFFFF]), Sample::Bad(Reason::Decode));
    assert_eq!(from_registers(&odd, &[0x0741, 0, 0]), Sample::Bad(Reason::Decode), "a bell is no text");
}

#[test]
fn bits_of_a_register_are_a_number_a_bool_or_a_name() {
    let check = |point: &ModbusPoint, register: u16, value: Value| {
        assert_eq!(from_registers(point, &[register]), Sample::Good(value), "{register:#06x}");
    };
    check(&part(Encoding::U16, 4, 4), 0xABCD, Value::U64(0xC));
    check(&part(Encoding::U16, 0, 16), 0xABCD, Value::U64(0xABCD));
    check(&part(Encoding::U16, 15, 1), 0x8000, Value::Bool(true));
    check(&part(Encoding::U16, 14, 1), 0x8000, Value::Bool(false));
    check(&part(Encoding::U8(Half::High), 1, 2), 0x0600, Value::U64(3));
    let mode = ModbusPoint { conversion: names(), ..part(Encoding::U16, 8, 3) };
    check(&mode, 0x0700, text_value("fault"));
    let unknown = Sample::Uncertain(text_value("3"), Reason::Range);
    assert_eq!(from_registers(&mode, &[0x0300]), unknown, "a number without a name is not lost");
}

#[test]
fn a_part_of_a_register_is_written_with_the_mask_that_spares_the_rest() {
    let check = |point: &ModbusPoint, value: Value, register: u16, mask: u16| {
        let encoded = encode(point, &value, None).unwrap();
        assert_eq!((encoded.registers[0], encoded.mask), (register, Some(vec![mask])), "{value}");
    };
    check(&part(Encoding::U16, 4, 4), Value::U64(0xC), 0x00C0, 0x00F0);
    check(&part(Encoding::U16, 3, 1), Value::Bool(true), 0x0008, 0x0008);
    check(&modbus(Encoding::U8(Half::High)), Value::U64(5), 0x0500, 0xFF00);
    check(&modbus(Encoding::I8(Half::Low)), Value::I64(-1), 0x00FF, 0x00FF);
    let swapped = ModbusPoint { order: Order::Badc, ..modbus(Encoding::U8(Half::High)) };
    check(&swapped, Value::U64(5), 0x0005, 0x00FF);
    check(&ModbusPoint { conversion: names(), ..part(Encoding::U16, 8, 3) }, text_value("on"), 0x0100, 0x0700);
    let high = encode(&part(Encoding::U32, 20, 4), &Value::U64(9), None).unwrap();
    assert_eq!(high, Encoded { registers: vec![0x0090, 0], mask: Some(vec![0x00F0, 0]) });
}

#[test]
fn registers_can_be_digits_of_another_base() {
    let point = |order| ModbusPoint { radix: Some(10_000), order, ..modbus(Encoding::U32) };
    assert_eq!(from_registers(&point(Order::Abcd), &[123, 4567]), Sample::Good(Value::U64(1_234_567)));
    assert_eq!(from_registers(&point(Order::Cdab), &[4567, 123]), Sample::Good(Value::U64(1_234_567)));
    assert_eq!(from_registers(&point(Order::Abcd), &[0, 10_000]), Sample::Bad(Reason::Decode), "no digit of this base");
    assert_eq!(encode(&point(Order::Cdab), &Value::U64(1_234_567), None).unwrap().registers, [4567, 123]);
    assert!(matches!(encode(&point(Order::Abcd), &Value::U64(100_000_000), None), Err(EncodeError::Overflow { .. })));
}

#[test]
fn a_power_of_ten_beside_the_value_comes_from_the_same_answer() {
    let behind = ModbusPoint { address: 10, exponent: Some(13), ..modbus(Encoding::U16) };
    assert_eq!(behind.span(), (10, 4));
    let check = |point: &ModbusPoint, registers: &[u16], sample: Sample| {
        assert_eq!(from_registers(point, registers), sample, "{registers:04x?}");
    };
    check(&behind, &[2301, 0, 0, 0xFFFF], Sample::Good(float(230.1)));
    check(&behind, &[2301, 0, 0, 1], Sample::Good(float(23_010.0)));
    check(&behind, &[2301, 0, 0, 0], Sample::Good(Value::U64(2301)));
    check(&behind, &[2301, 0, 0, 0x8000], Sample::Bad(Reason::Absent));
    let both = ModbusPoint { address: 10, exponent: Some(11), ..scaled(Encoding::U16, 0.01) };
    // 9985 by 10 to the -2 in percent, as a ratio: one division by 10,000, not two by 100.
    assert_eq!(decode(&both, &[9985, 0xFFFE]), Sample::Good(float(0.9985)));
    let before = ModbusPoint { address: 10, exponent: Some(8), ..modbus(Encoding::U32) };
    assert_eq!(before.span(), (8, 4));
    check(&before, &[0xFFFE, 0, 0, 1234], Sample::Good(float(12.34)));
    assert_eq!(encode(&before, &float(12.34), Some(-2)).unwrap().registers, [0, 1234]);
}

#[test]
fn a_scale_keeps_the_digits_that_were_meant() {
    let check = |raw: u16, scale: f64, value: f64| {
        assert_eq!(
            from_registers(&scaled(Encoding::I16, scale), &[raw]),
            Sample::Good(float(value)),
            "{raw} × {scale}"
        );
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
fn an_offset_keeps_them_too() {
    let check = |raw: u16, scale: f64, offset: f64, value: f64| {
        let conversion = Conversion { scale: Some(scale), offset: Some(offset), ..Conversion::default() };
        let point = ModbusPoint { conversion, ..modbus(Encoding::U16) };
        assert_eq!(from_registers(&point, &[raw]), Sample::Good(float(value)), "{raw} × {scale} + {offset}");
        let encoded = encode(&point, &float(value), None).unwrap();
        assert_eq!(encoded.registers, [raw], "{value} back");
    };
    check(253, 0.1, -40.0, -14.7);
    check(400, 0.1, -40.0, 0.0);
    check(647, 0.1, -40.0, 24.7);
    check(1, 1.0, 0.5, 1.5);
    check(30_000, 0.01, -273.15, 26.85);
}

#[test]
fn what_no_number_holds_after_scaling_is_bad() {
    let check = |raw: f32, scale: f64, sample: Sample| {
        let bits = raw.to_bits();
        let registers = [bits >> 16, bits & 0xFFFF].map(|half| u16::try_from(half).unwrap());
        assert_eq!(from_registers(&scaled(Encoding::F32, scale), &registers), sample, "{raw} × {scale}");
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
    check(&absent(Encoding::U16, 0xFFFF), &[0xFFFF], Reason::Absent);
    check(&absent(Encoding::I16, 0x8000), &[0x8000], Reason::Absent);
    check(&ModbusPoint { order: Order::Cdab, ..absent(Encoding::U32, 0x1_0002) }, &[2, 1], Reason::Absent);
    check(&absent(Encoding::F32, 0x7FC0_0000), &[0x7FC0, 0], Reason::Absent);
    check(&absent(Encoding::U64, u64::MAX), &[0xFFFF; 4], Reason::Absent);
    let part = ModbusPoint { bits: Some(Bits { first: 0, width: 4 }), ..absent(Encoding::U16, 0xFFFF) };
    check(&part, &[0xFFFF], Reason::Absent);
    assert_eq!(from_registers(&part, &[0x000F]), Sample::Good(Value::U64(15)), "absent is all of the register");
    check(&modbus(Encoding::F32), &[0x7FC0, 0], Reason::Decode);
    check(&modbus(Encoding::F32), &[0x7F80, 0], Reason::Decode);
    check(&modbus(Encoding::F64), &[0x7FF0, 0, 0, 0], Reason::Decode);
    check(&modbus(Encoding::Bcd16), &[0x12A4], Reason::Decode);
    check(&modbus(Encoding::U16), &[1, 2], Reason::Decode);
    check(&modbus(Encoding::U16), &[], Reason::Decode);
    check(&modbus(Encoding::U32), &[1, 2, 3], Reason::Decode);
    check(&modbus(Encoding::F64), &[1, 2], Reason::Decode);
}

#[test]
fn a_value_out_of_range_is_passed_on_with_a_doubt() {
    let check = |raw: u16, certain: bool| {
        let point =
            ModbusPoint { point: named_point(ValueType::U16, Some((0.0, 100.0))), ..scaled(Encoding::U16, 0.1) };
        let value = float(f64::from(raw) / 10.0);
        let sample = if certain { Sample::Good(value) } else { Sample::Uncertain(value, Reason::Range) };
        assert_eq!(from_registers(&point, &[raw]), sample, "{raw}");
    };
    check(0, true);
    check(1000, true);
    check(1001, false);
}

#[test]
fn bits_are_booleans() {
    let coil = ModbusPoint { table: Table::Coil, ..modbus(Encoding::Bool) };
    assert_eq!(from_bit(&coil, true), Sample::Good(Value::Bool(true)));
    let conversion = Conversion { absent: vec![1], ..Conversion::default() };
    assert_eq!(from_bit(&ModbusPoint { conversion, ..coil.clone() }, true), Sample::Bad(Reason::Absent));
    assert_eq!(encode(&coil, &Value::Bool(true), None).unwrap(), Encoded { registers: vec![1], mask: None });
    let named = ModbusPoint { conversion: names(), ..coil };
    assert_eq!(from_bit(&named, false), Sample::Good(text_value("off")));
    assert_eq!(encode(&named, &text_value("on"), None).unwrap().registers, [1]);
}

#[test]
fn what_a_point_cannot_hold_is_refused_and_says_why() {
    let check = |point: &ModbusPoint, value: Value, expected: &str| {
        assert_eq!(encode(point, &value, None).unwrap_err().to_string(), expected);
    };
    let tenths = scaled(Encoding::U16, 0.1);
    check(&tenths, float(12.34), "12.34 is between two steps of the device: the nearest it can hold is 12.3");
    check(&tenths, float(6553.6), "6553.6 is beyond what u16 holds");
    check(&tenths, float(-0.1), "-0.1 is beyond what u16 holds");
    check(&modbus(Encoding::U16), float(1.5), "1.5 is between two steps of the device: the nearest it can hold is 2");
    check(&modbus(Encoding::I16), Value::I64(32_768), "32768 is beyond what i16 holds");
    check(&modbus(Encoding::U16), Value::Bool(true), "true is not a number");
    check(&modbus(Encoding::Bool), Value::U64(2), "2 is not true or false");
    check(&modbus(Encoding::F32), float(1e39), "1000000000000000000000000000000000000000 is beyond what f32 holds");
    check(&modbus(Encoding::Bcd16), Value::U64(10_000), "10000 is beyond what u16 holds");
    check(
        &absent(Encoding::U16, 0xFFFF),
        Value::U64(65_535),
        "65535 is the number by which the device says that it has no value",
    );
    check(&modbus(Encoding::Text(4)), text_value("ABCDE"), "\"ABCDE\" is beyond what the text's registers holds");
    let named = ModbusPoint { conversion: names(), ..modbus(Encoding::U16) };
    check(&named, text_value("auto"), "\"auto\" is none of the point's names: off, on, fault");
    check(&named, Value::U64(1), "1 is not one of the point's names");
}

fn text_point(value_type: ValueType) -> Arc<Point> {
    named_point(value_type, None)
}

#[test]
fn text_in_a_frame_is_read_as_its_type_or_not_at_all() {
    let check = |value_type, text: &str, sample: Sample| {
        let found = from_text(&text_point(value_type), &Conversion::default(), text);
        assert_eq!(found, sample, "{value_type:?} {text:?}");
    };
    let bad = || Sample::Bad(Reason::Decode);
    check(ValueType::F64, "12.5", Sample::Good(float(12.5)));
    check(ValueType::F64, " -3 ", Sample::Good(float(-3.0)));
    check(ValueType::F64, "", Sample::Bad(Reason::Absent));
    check(ValueType::F64, "nan", bad());
    check(ValueType::F64, "1e999", bad());
    check(ValueType::F64, "12.5.1", bad());
    check(ValueType::U8, "256", bad());
    check(ValueType::U16, "65535", Sample::Good(Value::U64(65_535)));
    check(ValueType::U16, "65536", bad());
    check(ValueType::U16, "-1", bad());
    check(ValueType::I32, "-7", Sample::Good(Value::I64(-7)));
    check(ValueType::I16, "-32769", bad());
    check(ValueType::U64, "18446744073709551615", Sample::Good(Value::U64(u64::MAX)));
    check(ValueType::Bool, "1", Sample::Good(Value::Bool(true)));
    check(ValueType::Bool, "2", bad());
    check(ValueType::Text, "ok now", Sample::Good(text_value("ok now")));
    check(ValueType::Text, &"x".repeat(129), bad());
    let status = from_text(&text_point(ValueType::Text), &names(), "7");
    assert_eq!(status, Sample::Good(text_value("fault")));
    let none = Conversion { absent: vec![9999], ..Conversion::default() };
    assert_eq!(from_text(&text_point(ValueType::F64), &none, "9999"), Sample::Bad(Reason::Absent));
}

#[test]
fn bytes_of_a_frame_follow_the_same_rules_as_registers() {
    let check = |encoding: Encoding, order, frame: &[u8], at, sample: Sample| {
        let place = Place::Bytes { at, encoding, order, bits: None };
        let point = TalkerPoint { point: text_point(encoding.value_type()), place, conversion: Conversion::default() };
        assert_eq!(from_bytes(&point, frame), sample, "{encoding:?} {order:?} {frame:02x?}");
    };
    let good = |number| Sample::Good(Value::U64(number));
    check(Encoding::U8(Half::Low), Order::Abcd, &[1, 2, 3], 1, good(2));
    check(Encoding::U16, Order::Abcd, &[1, 2, 3], 1, good(0x0203));
    check(Encoding::U16, Order::Dcba, &[1, 2, 3], 1, good(0x0302));
    check(Encoding::U24, Order::Dcba, &[1, 2, 3], 0, good(0x03_0201));
    check(Encoding::I24, Order::Abcd, &[0xFF, 0xFF, 0xFE], 0, Sample::Good(Value::I64(-2)));
    check(Encoding::U32, Order::Cdab, &[3, 4, 1, 2], 0, good(0x0102_0304));
    check(Encoding::U32, Order::Badc, &[2, 1, 4, 3], 0, good(0x0102_0304));
    check(Encoding::F32, Order::Dcba, &[0x9A, 0x19, 0x66, 0x43], 0, Sample::Good(float(230.1)));
    check(Encoding::Text(3), Order::Abcd, b"xabc", 1, Sample::Good(text_value("abc")));
    check(Encoding::U16, Order::Abcd, &[1, 2, 3], 2, Sample::Bad(Reason::Framing));
}

/// Any encoding with a value that it can hold.
fn held() -> impl Strategy<Value = (Encoding, Value)> {
    let half = prop_oneof![Just(Half::High), Just(Half::Low)];
    let unsigned = |encoding: Encoding, most: u64| (0..=most).prop_map(move |n| (encoding, Value::U64(n)));
    let signed = |encoding: Encoding, bits: u32| {
        let most = i64::MAX >> (64 - bits);
        (-most - 1..=most).prop_map(move |n| (encoding, Value::I64(n)))
    };
    prop_oneof![
        any::<bool>().prop_map(|bit| (Encoding::Bool, Value::Bool(bit))),
        (half.clone(), any::<u8>()).prop_map(|(half, n)| (Encoding::U8(half), Value::U64(n.into()))),
        (half, any::<i8>()).prop_map(|(half, n)| (Encoding::I8(half), Value::I64(n.into()))),
        unsigned(Encoding::U16, u16::MAX.into()),
        unsigned(Encoding::U24, 0xFF_FFFF),
        unsigned(Encoding::U32, u32::MAX.into()),
        unsigned(Encoding::U64, u64::MAX),
        signed(Encoding::I16, 16),
        signed(Encoding::I24, 24),
        signed(Encoding::I32, 32),
        signed(Encoding::I64, 64),
        unsigned(Encoding::Bcd16, 9_999),
        unsigned(Encoding::Bcd32, 99_999_999),
        unsigned(Encoding::Bcd64, 9_999_999_999_999_999),
        any::<f32>().prop_filter_map("finite", |n| Some((Encoding::F32, widen(n).ok()?))),
        any::<f64>().prop_filter_map("finite", |n| Some((Encoding::F64, Value::from_f64(n)?))),
        "[ -~]{0,15}[!-~]".prop_map(|text| (Encoding::Text(16), Value::Text(text.into()))),
    ]
}

fn any_order() -> impl Strategy<Value = Order> {
    prop::sample::select(Order::ALL.to_vec())
}

proptest! {
    /// The property that two other gateways lack: words swapped for reading and not for writing.
    #[test]
    fn what_is_written_is_read_back(held in held(), order in any_order()) {
        let (encoding, value) = held;
        let point = ModbusPoint { order, ..modbus(encoding) };
        let registers = encode(&point, &value, None).unwrap().registers;
        prop_assert_eq!(from_registers(&point, &registers), Sample::Good(value));
    }

    #[test]
    fn a_scaled_value_is_read_back_to_its_last_digit(
        raw: i16, digits in 0_u32..=4, offset in -100_i32..100, power in -3_i16..=3, order in any_order(),
    ) {
        let scale = format!("1e-{digits}").parse().unwrap();
        let conversion = Conversion { scale: Some(scale), offset: Some(offset.into()), ..Conversion::default() };
        let point = ModbusPoint { conversion, order, exponent: Some(1), ..modbus(Encoding::I16) };
        let registers = [in_order(raw.cast_unsigned(), order), power.cast_unsigned()];
        let sample = from_registers(&point, &registers);
        let value = sample.value().unwrap();
        prop_assert_eq!(encode(&point, value, Some(power)).unwrap().registers, &registers[..1]);
    }

    #[test]
    fn a_part_of_a_number_is_read_back_and_spares_the_rest(
        others: u32, first in 0_u8..32, width in 1_u8..32, raw: u32, order in any_order(),
    ) {
        let width = width.min(32 - first);
        let point = ModbusPoint { order, ..part(Encoding::U32, first, width) };
        let raw = u64::from(raw) & ones(width);
        let value = if width == 1 { Value::Bool(raw == 1) } else { Value::U64(raw) };
        let Encoded { registers, mask } = encode(&point, &value, None).unwrap();
        let before = disassemble(others.into(), 2, order, None).unwrap();
        let after: Vec<u16> = before
            .iter()
            .zip(registers.iter().zip(mask.unwrap()))
            .map(|(before, (new, mask))| before & !mask | new)
            .collect();
        prop_assert_eq!(from_registers(&point, &after), Sample::Good(value));
        let whole = ModbusPoint { order, ..modbus(Encoding::U32) };
        let spared = |registers: &[u16]| {
            let number = from_registers(&whole, registers).value().cloned();
            if let Some(Value::U64(number)) = number { Some(number & !(ones(width) << first)) } else { None }
        };
        prop_assert_eq!(spared(&after), spared(&before));
    }

    #[test]
    fn tenths_and_hundredths_print_as_the_device_shows_them(raw: i16, digits in 1_u32..=4) {
        let point = scaled(Encoding::I16, format!("1e-{digits}").parse().unwrap());
        let shown: f64 = format!("{raw}e-{digits}").parse().unwrap();
        prop_assert_eq!(from_registers(&point, &[raw.cast_unsigned()]), Sample::Good(float(shown)));
    }

    #[test]
    fn only_zero_scales_to_zero(raw: u32, scale in any::<f64>().prop_filter("a scale is no zero", |scale| *scale != 0.0)) {
        let [high, low] = [raw >> 16, raw & 0xFFFF].map(|half| u16::try_from(half).unwrap());
        match from_registers(&scaled(Encoding::F32, scale), &[high, low]) {
            Sample::Good(value) => prop_assert_eq!(value.as_f64() == Some(0.0), f32::from_bits(raw) == 0.0),
            sample @ (Sample::Uncertain(..) | Sample::Bad(_)) => prop_assert_eq!(sample, Sample::Bad(Reason::Decode)),
        }
    }

    #[test]
    fn any_registers_are_a_value_or_bad(held in held(), order in any_order(), registers in prop::collection::vec(any::<u16>(), 0..10)) {
        let point = ModbusPoint { order, ..modbus(held.0) };
        let sample = from_registers(&point, &registers);
        prop_assert!(matches!(sample, Sample::Good(_) | Sample::Bad(Reason::Decode)));
    }

    #[test]
    fn any_text_is_a_value_or_bad(text: String) {
        for value_type in [ValueType::F64, ValueType::I32, ValueType::U16, ValueType::U64, ValueType::Bool, ValueType::Text] {
            let sample = from_text(&text_point(value_type), &Conversion::default(), &text);
            prop_assert!(matches!(sample, Sample::Good(_) | Sample::Bad(Reason::Decode | Reason::Absent)));
        }
    }

    /// Whatever is asked for, what is written reads back as just that, or nothing is written.
    #[test]
    fn no_value_is_ever_altered_on_its_way_out(wanted in -1e6_f64..1e6, digits in 0_u32..4, offset in -50_i32..50) {
        let scale = format!("1e-{digits}").parse().unwrap();
        let conversion = Conversion { scale: Some(scale), offset: Some(offset.into()), ..Conversion::default() };
        let point = ModbusPoint { conversion, ..modbus(Encoding::I32) };
        if let Ok(encoded) = encode(&point, &float(wanted), None) {
            let back = from_registers(&point, &encoded.registers).value().and_then(Value::as_f64).unwrap();
            prop_assert!((back - wanted).abs() <= wanted.abs() * 1e-9, "{} became {}", wanted, back);
        }
    }
}
