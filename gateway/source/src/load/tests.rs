//! Promises of the prediction, with figures reckoned by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use curb_model::{Access, Class, Point, Stream};

use super::*;
use crate::config::{Encoding, ModbusPoint, Table};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A device with `registers` in one block, named after its unit.
fn device(unit: u8, every: Duration, registers: u16) -> (Name, DeviceConfig) {
    let name = Name::new(&format!("unit-{unit}")).unwrap();
    let point = |address: u16| {
        let point = Point {
            name: PointName::new(name.clone(), Name::new(&format!("r{address}")).unwrap()),
            stream: Stream::device(&name),
            class: Class::Data,
            unit: None,
            value_type: Encoding::U16.value_type(),
            range: None,
        };
        ModbusPoint::new(Arc::new(point), Table::Holding, address, Encoding::U16)
    };
    let points = (0..registers).map(point).collect();
    let min_gap = Some(Duration::ZERO);
    (name.clone(), DeviceConfig::Modbus(ModbusDevice { min_gap, points, ..ModbusDevice::new(unit, every) }))
}

fn bus(baud: u32, devices: impl IntoIterator<Item = (Name, DeviceConfig)>) -> BusConfig {
    BusConfig { link: Link::Rtu(SerialConfig::new("/dev/line", baud)), devices: devices.into_iter().collect() }
}

fn line(bus: &BusConfig) -> LineLoad {
    load(bus, ms(10)).line.unwrap()
}

/// Checks two durations to a tenth of a millisecond.
fn same(found: Duration, expected_us: u64) {
    assert!(found.abs_diff(Duration::from_micros(expected_us)) < Duration::from_micros(100), "{found:?}");
}

#[test]
fn a_poll_takes_its_characters_its_silence_and_the_units_time() {
    // 8 + 5 + 2 × 20 characters of 11 bits and a silence of 3.5 of them at 9,600 baud, and 10 ms: 74.74 ms.
    let one = line(&bus(9_600, [device(1, ms(1000), 20)]));
    same(one.cycle, 74_740);
    assert!((one.share - 0.0747).abs() < 0.0001, "{}", one.share);
    // Above 19,200 baud the silence is 1.75 ms.
    same(line(&bus(115_200, [device(1, ms(1000), 20)])).cycle, 5_061 + 1_750 + 10_000);
    let (name, mut rests) = device(1, ms(1000), 20);
    if let DeviceConfig::Modbus(device) = &mut rests {
        device.min_gap = Some(ms(50));
    }
    same(line(&bus(9_600, [(name, rests)])).cycle, 60_729 + 50_000 + 10_000);
}

/// The same, and nothing is said of its rest.
fn unknown_device(unit: u8, every: Duration, registers: u16) -> (Name, DeviceConfig) {
    let (name, device) = device(unit, every, registers);
    let DeviceConfig::Modbus(device) = device else { unreachable!("it is one") };
    (name, DeviceConfig::Modbus(ModbusDevice { min_gap: None, ..device }))
}

#[test]
fn a_device_of_which_nothing_is_said_is_reckoned_with_its_rest_of_20_ms() {
    same(line(&bus(9_600, [unknown_device(1, ms(1000), 20)])).cycle, 60_729 + 20_000 + 10_000);
    // Eight registers: 29 characters of 11 bits at 19,200 baud, and 10 ms: 26.6 ms, or 46.6 ms with its rest.
    let full = line(&bus(19_200, (1..=24).map(|unit| unknown_device(unit, ms(1000), 8))));
    assert_eq!(full.remedies, [Remedy::Baud(57_600), Remedy::Slower(2), Remedy::NoRest]);
}

#[test]
fn a_point_that_is_only_written_takes_none_of_the_line() {
    let (name, with) = device(1, ms(1000), 20);
    let DeviceConfig::Modbus(mut with) = with else { unreachable!("it is one") };
    with.points[19].access = Access::Write;
    let without = line(&bus(9_600, [device(1, ms(1000), 19)]));
    assert_eq!(line(&bus(9_600, [(name, DeviceConfig::Modbus(with))])), without);
}

#[test]
fn the_worst_cycle_has_everything_due_and_the_most_expensive_unit_silent() {
    let (slow_name, mut slow) = device(3, ms(2000), 20);
    if let DeviceConfig::Modbus(device) = &mut slow {
        device.timeout = Some(ms(500));
    }
    let found = line(&bus(9_600, [device(1, ms(400), 20), device(2, ms(1000), 20), (slow_name, slow)]));
    same(found.cycle, 3 * 74_740);
    // The third takes 64.74 ms and its time-out instead of 74.74 ms.
    same(found.worst_cycle, 2 * 74_740 + 64_740 + 500_000);
    let tightest = found.tightest.unwrap();
    assert_eq!((tightest.point.to_string().split('/').next(), tightest.every), (Some("unit-1"), ms(400)));
    assert!((found.share - 0.07474 * (2.5 + 1.0 + 0.5)).abs() < 0.001, "{}", found.share);
    assert_eq!(found.remedies, []);
}

#[test]
fn a_line_that_cannot_carry_its_polls_is_told_what_would_fit() {
    // 32 × 74.74 ms each second.
    let full = line(&bus(9_600, (1..=32).map(|unit| device(unit, ms(1000), 20))));
    assert!((full.share - 2.39).abs() < 0.01, "{}", full.share);
    assert_eq!(full.remedies, [Remedy::Baud(38_400), Remedy::Slower(3)]);
    // One of three asks for too much: 0.15 + 1.50.
    let greedy = line(&bus(9_600, [device(1, ms(1000), 20), device(2, ms(50), 20), device(3, ms(1000), 20)]));
    let every = Remedy::Every { device: Name::new("unit-2").unwrap(), every: ms(100) };
    assert_eq!(greedy.remedies, [Remedy::Baud(38_400), every]);
    // What is proposed does fit.
    for (baud, times) in [(38_400, 1), (9_600, 3)] {
        let fits = line(&bus(baud, (1..=32).map(|unit| device(unit, ms(1000) * times, 20))));
        assert!(fits.share <= COMFORTABLE, "{baud}, {times}: {}", fits.share);
    }
}

#[test]
fn of_a_connection_only_requests_are_told() {
    let devices: BTreeMap<_, _> = [device(1, ms(100), 20), device(2, ms(1000), 126)].into_iter().collect();
    let found = load(&BusConfig { link: Link::Tcp("192.0.2.1:502".to_owned()), devices }, ANSWER);
    assert_eq!(found.line, None);
    assert!((found.requests_per_second - 12.0).abs() < 0.001, "{}", found.requests_per_second);
}

#[test]
fn a_line_without_devices_is_empty() {
    let empty = line(&bus(9_600, []));
    assert_eq!((empty.share, empty.cycle, empty.tightest), (0.0, Duration::ZERO, None));
}
