//! What known sensors say, and what it means.

use std::sync::Arc;
use std::time::Duration;

use curb_model::{Class, Name, Point, PointName, Stream, Value, ValueType};
use proptest::prelude::*;

use super::*;
use crate::config::{Bits, Conversion, Encoding, Half, Order};

fn device(decode: Decode, places: impl IntoIterator<Item = (ValueType, Place)>) -> TalkerDevice {
    let device = Name::new("d").unwrap();
    let point = |(index, (value_type, place)): (usize, (ValueType, Place))| {
        let name = PointName::new(device.clone(), Name::new(&format!("p{index}")).unwrap());
        let stream = Stream::device(&device);
        let point = Arc::new(Point { name, stream, class: Class::Data, unit: None, value_type, range: None });
        TalkerPoint { point, place, conversion: Conversion::default() }
    };
    let points = places.into_iter().enumerate().map(point).collect();
    TalkerDevice { decode, stale_after: Duration::from_secs(10), request: None, points }
}

fn check(device: &TalkerDevice, frame: impl AsRef<[u8]>, expected: &[(usize, Sample)]) {
    let frame = frame.as_ref();
    assert_eq!(read(device, frame), expected, "{:?}", String::from_utf8_lossy(frame));
}

fn float(number: f64) -> Sample {
    Sample::Good(Value::from_f64(number).unwrap())
}

fn text(text: &str) -> Sample {
    Sample::Good(Value::Text(text.into()))
}

const fn bad(reason: Reason) -> Sample {
    Sample::Bad(reason)
}

#[test]
fn columns_of_a_line_are_values() {
    let places = [(ValueType::F64, Place::Column(1)), (ValueType::F64, Place::Column(3))];
    let csv = |separator| device(Decode::Csv { separator }, places.clone());
    check(&csv(','), "1.5,x,-2", &[(0, float(1.5)), (1, float(-2.0))]);
    check(&csv(';'), "1.5;x,y;-2", &[(0, float(1.5)), (1, float(-2.0))]);
    check(&csv(' '), "  1.5   x  -2 ", &[(0, float(1.5)), (1, float(-2.0))]);
    check(&csv('\t'), "1.5\t\t-2", &[(0, float(1.5)), (1, float(-2.0))]);
    check(&csv(','), "1.5", &[(0, float(1.5)), (1, bad(Reason::Decode))]);
    check(&csv(','), ",,2", &[(0, bad(Reason::Absent)), (1, float(2.0))]);
    check(&csv(','), b"\xFF,,2", &[(0, bad(Reason::Decode)), (1, bad(Reason::Decode))]);
    let third = device(Decode::Csv { separator: ',' }, places[1..].to_vec());
    check(&third, "Air sensor v1.2, ready", &[]);
}

#[test]
fn pointers_lead_into_a_document() {
    let pointer = |value_type, pointer: &str| (value_type, Place::Pointer(pointer.to_owned()));
    let json = device(
        Decode::Json,
        [
            pointer(ValueType::F64, "/sensors/0/pm2.5"),
            pointer(ValueType::U64, "/a~1b"),
            pointer(ValueType::Bool, "/ok"),
            pointer(ValueType::Text, "/name"),
        ],
    );
    check(&json, r#"{"sensors":[{"pm2.5":12.1}]}"#, &[(0, float(12.1))]);
    let whole = r#" {"a/b":18446744073709551615,"ok":true,"name":"x","sensors":[{"pm2.5":"7"}],"more":{}}"#;
    let big = Sample::Good(Value::U64(u64::MAX));
    check(&json, whole, &[(0, float(7.0)), (1, big), (2, Sample::Good(Value::Bool(true))), (3, text("x"))]);
    check(
        &json,
        r#"{"a/b":-1,"ok":null,"name":{},"sensors":[]}"#,
        &[(1, bad(Reason::Decode)), (2, bad(Reason::Absent)), (3, bad(Reason::Decode))],
    );
    check(&json, r#"{"uptime":5}"#, &[]);
    check(&json, "rst cause:2, boot mode:(3,6)", &[]);
    let cut = r#"{"a/b":1,"na"#;
    check(&json, cut, &[0, 1, 2, 3].map(|index| (index, bad(Reason::Decode))));
    let deep = "[".repeat(10_000);
    check(&json, deep, &[0, 1, 2, 3].map(|index| (index, bad(Reason::Decode))));
}

fn regex(pattern: &str, groups: &[&str]) -> TalkerDevice {
    let groups = groups.iter().map(|&group| (ValueType::F64, Place::Group(group.to_owned())));
    device(Decode::Regex(Pattern::new(pattern).unwrap()), groups)
}

#[test]
fn named_groups_are_values() {
    let sdi = regex(r"^\d(?<temperature>[+-][\d.]+)(?<humidity>[+-][\d.]+)", &["temperature", "humidity"]);
    check(&sdi, "0+25.3+60.1", &[(0, float(25.3)), (1, float(60.1))]);
    check(&sdi, "0-5.25+99\r", &[(0, float(-5.25)), (1, float(99.0))]);
    check(&sdi, "0+25.3.1+60.1", &[(0, bad(Reason::Decode)), (1, float(60.1))]);
    check(&sdi, "0!", &[]);
    let maxbotix = regex(r"^R(?<range>\d{4})$", &["range"]);
    check(&maxbotix, "R1234", &[(0, float(1234.0))]);
    for banner in ["HRXL-MaxSonar-WR", "PN:MB7389", "RoHS 1.8b090  0713", "TempI"] {
        check(&maxbotix, banner, &[]);
    }
    let either = regex("T=(?<t>[^ ]*)|H=(?<h>[^ ]*)", &["t", "h"]);
    check(&either, "T=21.5", &[(0, float(21.5))]);
    check(&either, "H=", &[(1, bad(Reason::Absent))]);
    check(&either, b"\xB0C T=\xB0", &[(0, bad(Reason::Decode))]);
}

#[test]
fn a_hostile_pattern_is_refused_and_none_is_slow() {
    for refused in ["(a{100}){100}", r"\w{10000}", "(?<a>", "[", "(?<a>x)(?<a>y)"] {
        assert!(Pattern::new(refused).is_err(), "{refused}");
    }
    // Exponential where a pattern is tried by going back.
    let slow = regex("^(?<n>(a+)+)$", &["n"]);
    check(&slow, "a".repeat(60_000) + "!", &[]);
    let names = Pattern::new("(?<b>x)(y)(?P<a>z)").unwrap();
    assert_eq!(names.names().collect::<Vec<_>>(), ["b", "a"]);
}

#[test]
fn sentences_are_read_by_their_formatter() {
    let field = |sentence: &str, field| Place::Field { sentence: sentence.to_owned(), field };
    let weather = device(
        Decode::Nmea,
        [
            (ValueType::F64, field("RMC", 7)),
            (ValueType::Text, field("GPRMC", 2)),
            (ValueType::F64, field("MDA", 5)),
            (ValueType::F64, field("MWV", 1)),
            (ValueType::F64, field("MWV", 3)),
            (ValueType::U8, field("PSKY", 1)),
            (ValueType::U8, field("MWV", 9)),
        ],
    );
    let rmc = "$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A";
    check(&weather, rmc, &[(0, float(22.4)), (1, text("A"))]);
    check(&weather, rmc.replace("$GPRMC", "$GNRMC").replace("6A", "74"), &[(0, float(22.4))]);
    check(&weather, format!("noise{rmc}\r\n"), &[(0, float(22.4)), (1, text("A"))]);
    check(&weather, &rmc[1..], &[(0, float(22.4)), (1, text("A"))]);
    check(&weather, rmc.replace("*6A", "*6a"), &[(0, float(22.4)), (1, text("A"))]);
    let wrong = [(0, bad(Reason::Crc)), (1, bad(Reason::Crc))];
    check(&weather, rmc.replace("022.4", "122.4"), &wrong);
    check(&weather, rmc.replace("*6A", ""), &wrong);
    check(&weather, rmc.replace("*6A", "*6"), &wrong);
    check(&weather, rmc.replace("*6A", "*6AA"), &wrong);

    let mda = "$WIMDA,29.7544,I,1.0076,B,35.5,C,,,42.1,,20.6,C,116.4,T,107.7,M,1.2,N,0.6,M*66";
    check(&weather, mda, &[(2, float(35.5))]);
    let mwv = "$WIMWV,214.8,R,0.1,K,A*28";
    check(&weather, mwv, &[(3, float(214.8)), (4, float(0.1)), (6, bad(Reason::Absent))]);
    check(
        &weather,
        "$WIMWV,,R,,K,V*31",
        &[(3, bad(Reason::Absent)), (4, bad(Reason::Absent)), (6, bad(Reason::Absent))],
    );
    check(&weather, "$PSKY,7*0A", &[(5, Sample::Good(Value::U64(7)))]);
    for foreign in ["$GPGSV,3,1,11*7B", "!AIVDM,1,1,,A,13u?etPv2;0n:dDPwUM1U1Cb069D,0*24", "", "$", "$*00", "ready"] {
        check(&weather, foreign, &[]);
    }
    assert_eq!(read_broken(&weather, Reason::Framing), []);
}

#[test]
fn bytes_of_a_frame_are_values() {
    let binary = |places: &[(Encoding, usize, Order, Option<Bits>)]| {
        let place = |&(encoding, at, order, bits): &(Encoding, usize, Order, Option<Bits>)| {
            (encoding.value_type(), Place::Bytes { at, encoding, order, bits })
        };
        device(Decode::Binary { checksum: None }, places.iter().map(place))
    };
    let mut sds011 = binary(&[(Encoding::U16, 2, Order::Dcba, None), (Encoding::U16, 4, Order::Dcba, None)]);
    for point in &mut sds011.points {
        point.conversion.scale = Some(0.1);
    }
    let frame = [0xAA, 0xC0, 0xD4, 0x04, 0x3A, 0x0A, 0xA1, 0x60, 0x1D, 0xAB];
    check(&sds011, frame, &[(0, float(123.6)), (1, float(261.8))]);
    check(&sds011, &frame[..5], &[(0, float(123.6)), (1, bad(Reason::Framing))]);
    assert_eq!(read_broken(&sds011, Reason::Crc), [(0, bad(Reason::Crc)), (1, bad(Reason::Crc))]);

    let first = |half| Some(Bits { first: half, width: 4 });
    let mixed = binary(&[
        (Encoding::U16, 2, Order::Abcd, None),
        (Encoding::I8(Half::Low), 4, Order::Abcd, None),
        (Encoding::U8(Half::High), 5, Order::Abcd, first(4)),
        (Encoding::Text(3), 6, Order::Abcd, None),
    ]);
    let good = Sample::Good;
    check(
        &mixed,
        b"\xFF\x86\x02\x60\xFE\x5Aabc",
        &[(0, good(Value::U64(608))), (1, good(Value::I64(-2))), (2, good(Value::U64(5))), (3, text("abc"))],
    );
}

proptest! {
    #[test]
    fn no_frame_makes_a_reader_stumble(frame in prop::collection::vec(any::<u8>(), 0..200), sentence in r"[$!]?[A-Z]{0,6}[,*0-9A-F]{0,20}") {
        let devices = [
            device(Decode::Csv { separator: ',' }, [(ValueType::F64, Place::Column(2))]),
            device(Decode::Json, [(ValueType::F64, Place::Pointer("/a".to_owned()))]),
            regex("(?<a>.)", &["a"]),
            device(Decode::Nmea, [(ValueType::F64, Place::Field { sentence: "RMC".to_owned(), field: 1 })]),
        ];
        for device in &devices {
            for frame in [&frame, sentence.as_bytes()] {
                prop_assert!(read(device, frame).len() <= 1);
            }
        }
    }
}
