//! Every mistake about buses, devices and points is told with what was probably meant.

use super::{LINE, check};

#[test]
fn registers_are_refused_with_what_was_meant() {
    let point = |text: &str, expected: &str| check(&format!("{LINE}type = \"u16\"\n{text}"), expected);
    point(
        "register = \"40110\"",
        r#"curb.toml:13:1: error: device.d.point.p.register: found "40110", expected a register as table:address, from holding:0 to holding:65535 (or input, coil, discrete)
  help: did you mean holding:109?"#,
    );
    point("register = 40110", "curb.toml:13:1: error: device.d.point.p.register: found 40110, expected a register as table:address, from holding:0 to holding:65535 (or input, coil, discrete)
  help: did you mean holding:109?");
    point(
        "register = \"30001\"",
        r#"curb.toml:13:1: error: device.d.point.p.register: found "30001", expected a register as table:address, from holding:0 to holding:65535 (or input, coil, discrete)
  help: did you mean input:0?"#,
    );
    point(
        "register = \"400101\"",
        r#"curb.toml:13:1: error: device.d.point.p.register: found "400101", expected a register as table:address, from holding:0 to holding:65535 (or input, coil, discrete)
  help: did you mean holding:100?"#,
    );
    point("register = 100", "curb.toml:13:1: error: device.d.point.p.register: found 100, expected a register as table:address, from holding:0 to holding:65535 (or input, coil, discrete)
  help: say which table: holding:100, input:100, coil:100 or discrete:100");
    point(
        "register = \"hodling:100\"",
        r#"curb.toml:13:1: error: device.d.point.p.register: found "hodling:100", expected a register as table:address, from holding:0 to holding:65535 (or input, coil, discrete)
  help: did you mean holding:100?"#,
    );
    point(
        "register = \"holding:70000\"",
        r#"curb.toml:13:1: error: device.d.point.p.register: found "holding:70000", expected a register as table:address, from holding:0 to holding:65535 (or input, coil, discrete)"#,
    );
    point(
        "register = \"holding:0x64\"",
        r#"curb.toml:13:1: error: device.d.point.p.register: found "holding:0x64", expected a register as table:address, from holding:0 to holding:65535 (or input, coil, discrete)
  help: addresses are decimal"#,
    );
    point("register = true", "curb.toml:13:1: error: device.d.point.p.register: found true, expected text in quotes");
    point(
        "",
        r#"curb.toml:11:17: error: device.d.point.p.register: found nothing, expected a register: register = "holding:100""#,
    );
    check(
        &format!("{LINE}register = \"holding:65535\"\ntype = \"u32\""),
        r#"curb.toml:12:1: error: device.d.point.p.register: found "holding:65535", expected an address of at most 65534: the value takes 2 registers"#,
    );
    check(
        &format!("{LINE}register = \"coil:1\"\ntype = \"u16\""),
        r#"curb.toml:13:1: error: device.d.point.p.type: found "u16", expected "bool", since coils and discrete inputs are bits"#,
    );
    check(&format!("{LINE}register = \"holding:1\"\ntype = \"f64\""), "");
    check(
        &format!("{LINE}register = \"holding:1\"\ntype = \"U16\""),
        r#"curb.toml:13:1: error: device.d.point.p.type: found "U16", expected a type: bool, u8, i8, u16, i16, u24, i24, u32, i32, u64, i64, f32, f64, bcd16, bcd32, bcd64 or text:N with N bytes
  help: did you mean "u16"?"#,
    );
    check(
        &format!("{LINE}register = \"holding:1\""),
        "curb.toml:11:17: error: device.d.point.p.type: found nothing, expected a type: bool, u8, i8, u16, i16, u24, i24, u32, i32, u64, i64, f32, f64, bcd16, bcd32, bcd64 or text:N with N bytes",
    );
}

#[test]
fn quantities_need_their_unit() {
    let device = |text: &str, expected: &str| {
        let point = "[device.d.point]\np = { register = \"coil:0\" }\n";
        check(&LINE.replace("[device.d.point.p]\n", &format!("{text}\n{point}")), expected);
    };
    device(
        "every = 5",
        r#"curb.toml:11:1: error: device.d.every: found 5, expected a duration from 10ms to 1day
  help: add a unit: "5s""#,
    );
    device(
        "every = \"5\"",
        r#"curb.toml:11:1: error: device.d.every: found "5", expected a duration from 10ms to 1day
  help: add a unit: "5s""#,
    );
    device(
        "every = \"5 parsecs\"",
        r#"curb.toml:11:1: error: device.d.every: found "5 parsecs", expected a duration from 10ms to 1day
  help: whole numbers of ms, s, m, h and days: "500ms", "1m 30s""#,
    );
    device(
        "every = \"1ms\"",
        r#"curb.toml:11:1: error: device.d.every: found "1ms", expected a duration from 10ms to 1day"#,
    );
    device(
        "timeout = 300",
        r#"curb.toml:11:1: error: device.d.timeout: found 300, expected a duration from 5ms to 1m
  help: add a unit: "300ms""#,
    );
    device(
        "timeout = 50",
        r#"curb.toml:11:1: error: device.d.timeout: found 50, expected a duration from 5ms to 1m
  help: add a unit: "50s" or "50ms""#,
    );
    device(
        "timeout = 0.3",
        r#"curb.toml:11:1: error: device.d.timeout: found 0.3, expected a duration from 5ms to 1m
  help: add a unit, without a fraction: "300ms" for 0.3 s"#,
    );
    check(
        "[store]\nlimit = 256",
        r#"curb.toml:6:1: error: store.limit: found 256, expected a size from 1 MiB to 1 TiB
  help: add a unit, as in "256 MiB"; units are KiB, MiB, GiB, kB, MB and GB"#,
    );
    check(
        "[store]\nlimit = \"256\"",
        r#"curb.toml:6:1: error: store.limit: found "256", expected a size from 1 MiB to 1 TiB
  help: add a unit, as in "256 MiB"; units are KiB, MiB, GiB, kB, MB and GB"#,
    );
    check(
        "[store]\nlimit = \"64\"\ncommit_bytes = \" 64 \"",
        r#"curb.toml:6:1: error: store.limit: found "64", expected a size from 1 MiB to 1 TiB
  help: add a unit, as in "64 MiB"; units are KiB, MiB, GiB, kB, MB and GB
curb.toml:7:1: error: store.commit_bytes: found " 64 ", expected a size from 16 KiB to 16 MiB
  help: add a unit, as in "64 KiB"; units are KiB, MiB, GiB, kB, MB and GB"#,
    );
    check(
        "[store]\nlimit = \"1 KiB\"",
        r#"curb.toml:6:1: error: store.limit: found "1 KiB", expected a size from 1 MiB to 1 TiB"#,
    );
    check(
        "[store]\nlimit = \"lots\"",
        r#"curb.toml:6:1: error: store.limit: found "lots", expected a size from 1 MiB to 1 TiB
  help: units are KiB, MiB, GiB, kB, MB and GB"#,
    );
}

#[test]
fn tables_are_checked_against_each_other() {
    let two = "[bus.b]\nserial = \"/dev/rs485\"\nbaud = 9600\n[device.d]\nbus = \"b\"\nunit_id = 1\npoint.p.register = \"coil:0\"\n";
    check(
        &format!("{two}[device.e]\nbus = \"b\"\nunit_id = 1\npoint.p.register = \"coil:0\""),
        "curb.toml:14:1: error: device.e.unit_id: found 1, expected a unit id of its own on bus b: device d has this one",
    );
    check(
        &format!("{two}[device.e]\nbus = \"c\"\nunit_id = 2\npoint.p.register = \"coil:0\""),
        r#"curb.toml:13:1: error: device.e.bus: found "c", expected the name of a bus: b"#,
    );
    check(
        &two.replace("unit_id = 1", "unit_id = 300"),
        "curb.toml:10:1: error: device.d.unit_id: found 300, expected a unit id from 1 to 247",
    );
    check(
        &two.replace("unit_id = 1", "unit_id = 0"),
        "curb.toml:10:1: error: device.d.unit_id: found 0, expected a unit id from 1 to 247",
    );
    check(
        &two.replace("serial = \"/dev/rs485\"\nbaud = 9600", "tcp = \"192.0.2.1\"")
            .replace("unit_id = 1", "unit_id = 255"),
        "",
    );
    check(
        &two.replace("unit_id = 1\n", ""),
        "curb.toml:8:9: error: device.d.unit_id: found nothing, expected the device's Modbus address, 1 to 247",
    );
    check(
        &two.replace("baud = 9600", "tcp = \"192.0.2.1\""),
        r#"curb.toml:7:1: error: bus.b.tcp: found "192.0.2.1", expected one of serial, tcp and rtu_over_tcp"#,
    );
    check(
        "[bus.b]\nbaud = 9600",
        r#"curb.toml:5:6: error: bus.b.serial: found nothing, expected serial = "/dev/serial/by-path/…", tcp = "host:port" or rtu_over_tcp = "host:port""#,
    );
    check(
        "[bus.b]\ntcp = \"192.0.2.1:502:503\"\nbaud = 9600",
        r#"curb.toml:6:1: error: bus.b.tcp: found "192.0.2.1:502:503", expected host:port
curb.toml:7:1: error: bus.b.baud: found 9600, expected no such key on a tcp bus"#,
    );
    check(
        "[bus.b]\ntcp = \"192.0.2.1:0\"",
        r#"curb.toml:6:1: error: bus.b.tcp: found "192.0.2.1:0", expected host:port
  help: a port is a number from 1 to 65535"#,
    );
    check(
        &format!("{two}[bus.c]\nserial = \"/dev/rs485\"\nbaud = 9600"),
        r#"curb.toml:13:1: error: bus.c.serial: found "/dev/rs485", expected a port of its own: bus b has this one"#,
    );
    check(
        &two.replace("baud = 9600", "baud = 19800\ndata = 7\nstop = 3\nparity = \"evan\""),
        r#"curb.toml:8:1: error: bus.b.data: found 7, expected 8 bits, which Modbus RTU needs
curb.toml:9:1: error: bus.b.stop: found 3, expected 1 or 2 bits
curb.toml:10:1: error: bus.b.parity: found "evan", expected "none", "even" or "odd"
  help: did you mean "even"?
curb.toml:7:1: warning: bus.b.baud: found 19800, expected a usual rate, such as 9600, 19200 or 115200
  help: did you mean "19200"?"#,
    );
    check(
        &two.replace("/dev/rs485", "/dev/ttyUSB0"),
        r#"curb.toml:6:1: warning: bus.b.serial: found "/dev/ttyUSB0", expected a name below /dev/serial/by-path
  help: see ls -l /dev/serial/by-path: that name stays with the socket, this one changes with the order of plugging"#,
    );
    check(
        &two.replace("unit_id = 1", "unit_id = 1\ndecode = \"csv\""),
        r#"curb.toml:11:1: error: device.d.decode: found "csv", expected no decode: devices on a bus without a frame are asked by Modbus
  help: for a device that talks by itself give the bus frame = { delimiter = "\n" }"#,
    );
    check(
        &two.replace("baud = 9600", "baud = 9600\nframe = { delimeter = \"\\n\" }"),
        r#"curb.toml:8:1: error: bus.b.frame.delimiter: found nothing, expected what parts frames: delimiter = "\n", or start and stop, length, length_at, silence
curb.toml:8:11: error: bus.b.frame.delimeter: found an unknown key, expected one of delimiter, start, stop, length, length_at, length_bytes, length_order, length_extra, silence, max
  help: did you mean "delimiter"?
curb.toml:9:9: error: device.d.decode: found nothing, expected decode, since the bus has a frame: "csv", "json", "regex", "nmea" or "binary""#,
    );
    check(
        &two.replace("baud = 9600", "baud = 9600\nframe = 5"),
        r#"curb.toml:8:1: error: bus.b.frame: found 5, expected a table
curb.toml:9:9: error: device.d.decode: found nothing, expected decode, since the bus has a frame: "csv", "json", "regex", "nmea" or "binary""#,
    );
    check(
        &two.replace("point.p.register = \"coil:0\"\n", ""),
        "curb.toml:8:9: error: device.d.point: found nothing, expected a point to read: [device.d.point.NAME]",
    );
    check(
        "[bus.b]\nserial = \"/dev/rs485\"\nbaud = 9600\nframe.delimiter = \"\\n\"",
        r#"curb.toml:5:6: error: bus.b: found no device, expected a device with decode on a bus with a frame"#,
    );
}

#[test]
fn points_make_sense() {
    let point = |text: &str, expected: &str| {
        check(&format!("{LINE}register = \"holding:1\"\ntype = \"i16\"\n{text}"), expected)
    };
    point("range = [100, 0]", "curb.toml:14:1: error: device.d.point.p.range: found [100, 0], expected the least value first, then a greater one
  help: did you mean [0, 100]?");
    point(
        "range = [1]",
        "curb.toml:14:1: error: device.d.point.p.range: found [1], expected two numbers: [least, greatest]",
    );
    point("range = [1, \"x\"]", r#"curb.toml:14:13: error: device.d.point.p.range.1: found "x", expected a number"#);
    point(
        "scale = 0",
        "curb.toml:14:1: error: device.d.point.p.scale: found 0, expected a number other than 0, such as 0.1",
    );
    point("scale = \"0.1\"", r#"curb.toml:14:1: error: device.d.point.p.scale: found "0.1", expected a number"#);
    point(
        "absent = [-1, 0x1FFFF, 0xFFFF]",
        "curb.toml:14:15: error: device.d.point.p.absent.1: found 131071, expected a raw number as the registers hold it, 0 to 0xFFFF",
    );
    point(
        "order = \"ACBD\"",
        r#"curb.toml:14:1: error: device.d.point.p.order: found "ACBD", expected "ABCD", "CDAB", "BADC" or "DCBA"
  help: did you mean "ABCD"?"#,
    );
    point(
        "unit = \"\"",
        r#"curb.toml:14:1: error: device.d.point.p.unit: found "", expected 1 to 24 characters, such as "W" or "ug/m3""#,
    );
    point(
        "column = 1",
        "curb.toml:14:1: error: device.d.point.p.column: found 1, expected no such key: only points of a device with decode have it",
    );
    point("scale = nan", "curb.toml:14:1: error: device.d.point.p.scale: found nan, expected a finite number");
    point(
        "absent = [99999999999999999999]",
        "curb.toml:14:11: error: device.d.point.p.absent.0: found 99999999999999999999, expected a whole number of at most 64 bits",
    );
    check(
        &format!("{LINE}register = \"coil:1\"\nscale = 0.1\nrange = [0, 1]"),
        "curb.toml:13:1: error: device.d.point.p.scale: found 0.1, expected no scale: the type is not a number
curb.toml:14:1: error: device.d.point.p.range: found [0, 1], expected no range: the type is not a number",
    );
}
