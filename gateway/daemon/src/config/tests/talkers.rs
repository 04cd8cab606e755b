//! Talkers: what frames are, what stands in them, and every mistake about either.

use std::time::Duration;

use curb_source::{
    Bits, Checksum, ChecksumKind, Decode, DeviceConfig, Encoding, Framing, Half, LengthPrefix, Link, Order, Place,
    TalkerDevice,
};

use super::{Folder, LEAST, check};

/// A talker's bus in lines 5 to 8, its device from line 9; the keys of its point come last.
fn talker(frame: &str, device: &str, point: &str) -> String {
    format!(
        "[bus.b]\nserial = \"/dev/rs232\"\nbaud = 9600\nframe = {frame}\n[device.d]\nbus = \"b\"\n{device}\npoint.p = {point}\n"
    )
}

fn settings(text: &str) -> (Framing, TalkerDevice) {
    let folder = Folder::new(&format!("{LEAST}{text}"));
    let loaded = folder.load();
    assert_eq!(folder.show(&loaded.problems), "", "{text}");
    let bus = loaded.settings.unwrap().source.buses.pop_first().unwrap().1;
    let Link::Talker { framing, .. } = bus.link else { panic!("a talker") };
    let DeviceConfig::Talker(device) = bus.devices.into_values().next().unwrap() else { panic!("a talker") };
    (framing, device)
}

const LINES: &str = r#"{ delimiter = "\n" }"#;
const COLUMN: &str = r#"{ column = 1, type = "f64" }"#;

#[test]
fn frames_are_parted_as_the_bus_says() {
    let frame = |frame: &str, expected: Framing| {
        assert_eq!(settings(&talker(frame, "decode = \"csv\"", COLUMN)).0, expected, "{frame}");
    };
    frame(r#"{ delimiter = "0x0D0A", max = 65535 }"#, Framing::Delimiter { delimiter: b"\r\n".to_vec(), max: 65_535 });
    frame(
        r#"{ start = "<", stop = "\u0003", max = 9 }"#,
        Framing::Marks { start: b"<".to_vec(), stop: vec![3], max: 9 },
    );
    frame(r#"{ length = 10, start = "0xAA C0" }"#, Framing::Fixed { start: vec![0xAA, 0xC0], len: 10 });
    frame("{ length = 9 }", Framing::Fixed { start: Vec::new(), len: 9 });
    let prefix = LengthPrefix { start: b"BM".to_vec(), at: 2, width: 2, order: Order::Dcba, extra: 4, max: 32 };
    frame(
        r#"{ start = "BM", length_at = 2, length_bytes = 2, length_order = "DCBA", length_extra = 4, max = 32 }"#,
        Framing::Length(prefix),
    );
    let prefix = LengthPrefix { start: Vec::new(), at: 0, width: 1, order: Order::Abcd, extra: 0, max: 256 };
    frame("{ length_at = 0 }", Framing::Length(prefix));
    frame(r#"{ silence = "20ms" }"#, Framing::Silence { gap: Duration::from_millis(20), max: 256 });
}

#[test]
fn values_are_taken_from_where_the_points_say() {
    let place = |device: &str, point: &str, expected: Place| {
        let (_, found) = settings(&talker(LINES, device, point));
        assert_eq!(found.points[0].place, expected, "{point}");
        found
    };
    let found = place("decode = \"csv\"\nseparator = \";\"", COLUMN, Place::Column(1));
    assert_eq!(found.decode, Decode::Csv { separator: ';' });
    place("decode = \"json\"", r#"{ pointer = "/a/0/b~1c", type = "bool" }"#, Place::Pointer("/a/0/b~1c".to_owned()));
    place(
        "decode = \"regex\"\npattern = '^R(?<range>\\d+)$'",
        r#"{ group = "range", type = "u16", enum = { 0 = "none" } }"#,
        Place::Group("range".to_owned()),
    );
    let field = Place::Field { sentence: "WIMWV".to_owned(), field: 3 };
    place("decode = \"nmea\"", r#"{ field = "WIMWV:3", type = "f64", scale = 0.5, range = [0, 60] }"#, field);
    let bytes = |encoding, bits| Place::Bytes { at: 2, encoding, order: Order::Dcba, bits };
    let found = place(
        "decode = \"binary\"\nchecksum = { kind = \"sum8\", skip = 2, behind = 1 }\n\
        request = { send = \"0xFF0186\", every = \"5s\", timeout = \"200ms\" }",
        r#"{ at = 2, type = "i24", order = "DCBA", absent = [-1], offset = -40 }"#,
        bytes(Encoding::I24, None),
    );
    let checksum = Checksum { kind: ChecksumKind::Sum8, skip: 2, behind: 1, order: Order::Abcd };
    assert_eq!(found.decode, Decode::Binary { checksum: Some(checksum) });
    assert_eq!(found.points[0].conversion.absent, [0xFF_FFFF]);
    let request = found.request.unwrap();
    assert_eq!(request.bytes, [0xFF, 0x01, 0x86]);
    assert_eq!((request.every, request.timeout), (Duration::from_secs(5), Duration::from_millis(200)));
    let bit = Some(Bits { first: 7, width: 1 });
    let point = r#"{ at = 2, type = "bool", bits = "7", order = "DCBA" }"#;
    place("decode = \"binary\"", point, bytes(Encoding::U8(Half::Low), bit));
}

#[test]
fn frames_that_cannot_be_are_refused() {
    let frame = |frame: &str, expected: &str| check(&talker(frame, "decode = \"csv\"", COLUMN), expected);
    frame(
        "{ max = 9 }",
        r#"curb.toml:8:1: error: bus.b.frame.delimiter: found nothing, expected what parts frames: delimiter = "\n", or start and stop, length, length_at, silence"#,
    );
    frame(
        r#"{ delimiter = "\n", silence = "20ms" }"#,
        r#"curb.toml:8:29: error: bus.b.frame.silence: found "20ms", expected one of delimiter, stop, length, length_at and silence: delimiter is there already"#,
    );
    frame(
        r#"{ delimiter = "\n", start = "<" }"#,
        r#"curb.toml:8:29: error: bus.b.frame.start: found "<", expected no such key in a frame with delimiter"#,
    );
    frame(
        r#"{ delimiter = "0x0D0" }"#,
        r#"curb.toml:8:11: error: bus.b.frame.delimiter: found "0x0D0", expected 1 to 8 bytes, as text or in hexadecimal: "\n", "0x0D0A"
  help: two hexadecimal digits are a byte"#,
    );
    frame(
        r#"{ start = "~", stop = "~" }"#,
        r#"curb.toml:8:24: error: bus.b.frame.stop: found "~", expected a mark that differs from start
  help: where one mark parts frames, it is the delimiter"#,
    );
    frame(
        r#"{ stop = ">" }"#,
        r#"curb.toml:8:1: error: bus.b.frame.start: found nothing, expected the mark before a frame: start = "<""#,
    );
    frame(
        r#"{ length = 2, start = "AB" }"#,
        "curb.toml:8:11: error: bus.b.frame.length: found 2, expected bytes in a frame, its mark included, from 3 to 4096",
    );
    frame(
        r#"{ length_at = 0, start = "AB", length_order = "CDAB" }"#,
        r#"curb.toml:8:40: error: bus.b.frame.length_order: found "CDAB", expected "ABCD", most significant byte first, or "DCBA""#,
    );
    frame(
        r#"{ length_at = 2, max = 2 }"#,
        "curb.toml:8:26: error: bus.b.frame.max: found 2, expected room for the length, which ends at byte 3",
    );
    frame(
        r#"{ silence = 20 }"#,
        r#"curb.toml:8:11: error: bus.b.frame.silence: found 20, expected a duration from 2ms to 5s
  help: add a unit: "20ms""#,
    );
}

#[test]
fn devices_that_cannot_be_read_are_refused() {
    let device = |device: &str, expected: &str| check(&talker(LINES, device, COLUMN), expected);
    device(
        "decode = \"csv\"\nseparator = \",,\"\npattern = \"x\"",
        r#"curb.toml:12:1: error: device.d.separator: found ",,", expected one character, such as ";"; " " is any run of blanks
curb.toml:13:1: error: device.d.pattern: found "x", expected no such key: it goes with decode = "regex""#,
    );
    device(
        "decode = \"csv\"\nstale_after = \"5s\"\nrequest = { every = \"5\" }",
        r#"curb.toml:12:1: error: device.d.stale_after: found "5s", expected no such key: a device that is asked is bad when it does not answer
curb.toml:13:1: error: device.d.request.send: found nothing, expected what is sent: send = "R?\r" or "0xFF0186"
curb.toml:13:13: error: device.d.request.every: found "5", expected a duration from 10ms to 1day
  help: add a unit: "5s""#,
    );
    device(
        "decode = \"csv\"\nevery = \"5s\"",
        r#"curb.toml:12:1: error: device.d.every: found "5s", expected no such key: a device with decode talks by itself, or when it is asked by request = { send, every, timeout }"#,
    );
    let kind = |device: &str, point: &str, expected: &str| check(&talker(LINES, device, point), expected);
    let group = r#"{ group = "rnage", type = "u16" }"#;
    kind(
        "decode = \"regex\"",
        group,
        r#"curb.toml:9:9: error: device.d.pattern: found nothing, expected a regular expression with named groups: pattern = '^R(?<range>\d{4})$'"#,
    );
    kind(
        "decode = \"regex\"\npattern = \"(\"",
        group,
        r#"curb.toml:12:1: error: device.d.pattern: found "(", expected a regular expression
  help: unclosed group"#,
    );
    kind(
        "decode = \"regex\"\npattern = 'R(?<range>\\d+)'",
        group,
        r#"curb.toml:13:13: error: device.d.point.p.group: found "rnage", expected a named group of the pattern: range
  help: did you mean "range"?"#,
    );
    kind(
        "decode = \"binary\"\nchecksum = { skip = -1 }",
        r#"{ at = 1, type = "u16", order = "BADC", byte = "high" }"#,
        r#"curb.toml:12:1: error: device.d.checksum.kind: found nothing, expected how it is computed: kind = "sum8", "sum16", "xor8", "lrc8" or "crc16-modbus"
curb.toml:12:14: error: device.d.checksum.skip: found -1, expected bytes before those that are covered from 0 to 4096
curb.toml:13:35: error: device.d.point.p.order: found "BADC", expected "ABCD", most significant byte first, or "DCBA"
  help: the mixed orders are for values of 4 and 8 bytes
curb.toml:13:51: error: device.d.point.p.byte: found "high", expected no such key: only points in registers have it"#,
    );
}

#[test]
fn points_stand_where_their_device_has_them() {
    let point = |decode: &str, point: &str, expected: &str| {
        check(&talker(LINES, &format!("decode = \"{decode}\""), point), expected);
    };
    point(
        "json",
        r#"{ column = 1, type = "f64" }"#,
        r#"curb.toml:12:7: error: device.d.point.p.pointer: found nothing, expected where the value stands: pointer = "/sensors/0/pm25"
curb.toml:12:13: error: device.d.point.p.column: found 1, expected no such key: with decode = "json" a point has pointer"#,
    );
    point(
        "json",
        r#"{ pointer = "sensors[0].pm25", type = "f64" }"#,
        r#"curb.toml:12:13: error: device.d.point.p.pointer: found "sensors[0].pm25", expected a JSON pointer, such as "/sensors/0/pm25"
  help: did you mean "/sensors/0/pm25"?"#,
    );
    point(
        "nmea",
        r#"{ field = "wimwv:1", type = "f64" }"#,
        r#"curb.toml:12:13: error: device.d.point.p.field: found "wimwv:1", expected a sentence and a field of it, from 1, such as "WIMWV:1" or "RMC:7"
  help: did you mean "WIMWV:1"?"#,
    );
    point(
        "nmea",
        r#"{ field = "RMC:0", type = "f64", order = "DCBA" }"#,
        r#"curb.toml:12:13: error: device.d.point.p.field: found "RMC:0", expected a sentence and a field of it, from 1, such as "WIMWV:1" or "RMC:7"
curb.toml:12:44: error: device.d.point.p.order: found "DCBA", expected no such key: the value stands there as text"#,
    );
    point(
        "binary",
        r#"{ at = 4096, type = "u16" }"#,
        "curb.toml:12:13: error: device.d.point.p.at: found 4096, expected a byte of the frame, counted from 0, from 0 to 4095",
    );
    point(
        "binary",
        r#"{ at = 4, type = "u8", bits = "8" }"#,
        r#"curb.toml:12:34: error: device.d.point.p.bits: found "8", expected bits from 0 to 7: the number has 8"#,
    );
}
