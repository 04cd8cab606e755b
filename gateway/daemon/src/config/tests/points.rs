//! Every mistake about how a value lies in a device, and about writing it, is told with what was probably meant.

use curb_model::{Access, ValueType};
use curb_source::{Bits, DeviceConfig, Encoding, Half, Link, ModbusDevice, ModbusPoint, Order, Rs485, WriteWith};

use super::{Folder, LEAST, LINE, check};

/// Problems of a point in holding register 1, whose keys begin in line 13.
fn point(text: &str, expected: &str) {
    check(&format!("{LINE}register = \"holding:1\"\n{text}"), &expected.replace("P.", "device.d.point.p."));
}

/// The device of a text that is right.
fn device(text: &str) -> ModbusDevice {
    let folder = Folder::new(&format!("{LEAST}{text}"));
    let loaded = folder.load();
    assert_eq!(folder.show(&loaded.problems), "", "problems of\n{text}");
    let bus = loaded.settings.unwrap().source.buses.into_values().next().unwrap();
    match bus.devices.into_values().next() {
        Some(DeviceConfig::Modbus(device)) => device,
        Some(DeviceConfig::Talker(_)) | None => panic!("no Modbus device"),
    }
}

fn right(text: &str) -> ModbusPoint {
    device(&format!("{LINE}register = \"holding:1\"\n{text}")).points.remove(0)
}

#[test]
fn every_type_is_known_and_other_names_of_it_are_explained() {
    let known = |word: &str, encoding: Encoding| {
        assert_eq!(right(&format!("type = {word:?}")).encoding, encoding, "{word}");
    };
    known("bool", Encoding::Bool);
    known("u8", Encoding::U8(Half::Low));
    known("i8", Encoding::I8(Half::Low));
    known("u16", Encoding::U16);
    known("i16", Encoding::I16);
    known("u24", Encoding::U24);
    known("i24", Encoding::I24);
    known("u32", Encoding::U32);
    known("i32", Encoding::I32);
    known("u64", Encoding::U64);
    known("i64", Encoding::I64);
    known("f32", Encoding::F32);
    known("f64", Encoding::F64);
    known("bcd16", Encoding::Bcd16);
    known("bcd32", Encoding::Bcd32);
    known("bcd64", Encoding::Bcd64);
    known("text:1", Encoding::Text(1));
    known("text:128", Encoding::Text(128));

    const TYPES: &str = "a type: bool, u8, i8, u16, i16, u24, i24, u32, i32, u64, i64, f32, f64, bcd16, bcd32, \
        bcd64 or text:N with N bytes";
    let unknown = |word: &str, help: &str| {
        let found = format!("curb.toml:13:1: error: P.type: found {word:?}, expected {TYPES}");
        point(&format!("type = {word:?}"), &format!("{found}{help}"));
    };
    let foreign = |word: &str, ours: &str| unknown(word, &format!("\n  help: did you mean {ours:?}?"));
    foreign("float", "f32");
    foreign("double", "f64");
    foreign("int16", "i16");
    foreign("s32", "i32");
    foreign("uint32", "u32");
    foreign("dword", "u32");
    foreign("WORD", "u16");
    foreign("qword", "u64");
    foreign("boolean", "bool");
    foreign("u_16", "u16");
    unknown("string", "\n  help: say how many bytes it has: text:20 lies in 10 registers");
    unknown("sunspec", "");
    point(
        "type = \"text:129\"",
        r#"curb.toml:13:1: error: P.type: found "text:129", expected a text of 1 to 128 bytes: text:1 to text:128"#,
    );
    point("type = 16", "curb.toml:13:1: error: P.type: found 16, expected text in quotes");
}

#[test]
fn parts_of_registers_are_taken_from_what_has_them() {
    assert_eq!(right("type = \"u8\"\nbyte = \"high\"").encoding, Encoding::U8(Half::High));
    let status = right("type = \"u16\"\nbits = \"4..7\"");
    assert_eq!((status.bits, status.point.value_type), (Some(Bits { first: 4, width: 4 }), ValueType::U8));
    let wide = right("type = \"u32\"\nbits = \"0..19\"");
    assert_eq!((wide.bits, wide.point.value_type), (Some(Bits { first: 0, width: 20 }), ValueType::U32));
    for alarm in ["type = \"u16\"\nbits = \"3\"", "type = \"bool\"\nbits = 3"] {
        let alarm = right(alarm);
        assert_eq!((alarm.bits, alarm.encoding), (Some(Bits { first: 3, width: 1 }), Encoding::U16));
        assert_eq!(alarm.point.value_type, ValueType::Bool);
    }
    point(
        "type = \"u16\"\nbyte = \"high\"",
        r#"curb.toml:14:1: error: P.byte: found "high", expected no byte: only u8 and i8 are half a register"#,
    );
    point(
        "type = \"u16\"\nbits = \"12..16\"",
        r#"curb.toml:14:1: error: P.bits: found "12..16", expected bits from 0 to 15: the number has 16"#,
    );
    point(
        "type = \"u16\"\nbits = \"7..4\"",
        r#"curb.toml:14:1: error: P.bits: found "7..4", expected a bit "3" or bits "4..7", counted from 0, the least significant
  help: did you mean "4..7"?"#,
    );
    point(
        "type = \"f32\"\nbits = \"3\"",
        r#"curb.toml:14:1: error: P.bits: found "3", expected no bits: they are taken from a u8, u16, u24, u32 or u64"#,
    );
    point(
        "type = \"bool\"\nbits = \"3..4\"",
        r#"curb.toml:14:1: error: P.bits: found "3..4", expected one bit, since the type is bool
  help: for a number: type = "u16""#,
    );
    point(
        "type = \"u16\"\nbits = \"3\"\nscale = 0.1",
        "curb.toml:15:1: error: P.scale: found 0.1, expected no scale: the type is not a number",
    );
    check(
        &format!("{LINE}register = \"coil:1\"\nbits = 3\norder = \"CDAB\""),
        r#"curb.toml:13:1: error: device.d.point.p.bits: found 3, expected no such key: a coil or discrete input is one bit
curb.toml:14:1: error: device.d.point.p.order: found "CDAB", expected no such key: a coil or discrete input is one bit"#,
    );
}

#[test]
fn several_registers_make_one_number() {
    for (word, order) in ["ABCD", "CDAB", "BADC", "DCBA"].into_iter().zip(Order::ALL) {
        assert_eq!(right(&format!("type = \"u32\"\norder = {word:?}")).order, order);
    }
    assert_eq!(right("type = \"u32\"\nradix = 10000").radix, Some(10_000));
    point(
        "type = \"u16\"\norder = \"CDAB\"",
        r#"curb.toml:14:1: warning: P.order: found "CDAB", expected no order of registers: the value takes one
  help: BADC swaps the two bytes of each register"#,
    );
    point("type = \"u16\"\norder = \"BADC\"", "");
    point(
        "type = \"text:8\"\norder = \"DCBA\"",
        r#"curb.toml:14:1: warning: P.order: found "DCBA", expected no order of registers: those of a text stand as they are
  help: BADC swaps the two bytes of each register"#,
    );
    point(
        "type = \"f32\"\nradix = 10000",
        "curb.toml:14:1: error: P.radix: found 10000, expected no radix: it makes one number of several registers, of type u32 or u64 and without bits",
    );
    point("type = \"u32\"\nradix = 1", "curb.toml:14:1: error: P.radix: found 1, expected a base from 2 to 65535");
}

#[test]
fn a_power_of_ten_comes_with_its_value() {
    let current = right("type = \"u16\"\nexponent = \"holding:5\"");
    assert_eq!((current.exponent, current.span()), (Some(5), (1, 5)));
    point(
        "type = \"u16\"\nexponent = \"input:5\"",
        r#"curb.toml:14:1: error: P.exponent: found "input:5", expected a register of the table that the value is in, such as holding:5"#,
    );
    point(
        "type = \"u16\"\nexponent = \"holding:126\"",
        r#"curb.toml:14:1: error: P.exponent: found "holding:126", expected a register near the value: both come in one read of at most 125, this takes 126"#,
    );
    point(
        "type = \"u32\"\nexponent = \"holding:2\"",
        r#"curb.toml:14:1: error: P.exponent: found "holding:2", expected a register that is not the value's own"#,
    );
    point(
        "type = \"text:4\"\nexponent = \"holding:9\"",
        r#"curb.toml:14:1: error: P.exponent: found "holding:9", expected no exponent: the value is not a number"#,
    );
    let small = LINE.replace("unit_id = 1", "unit_id = 1\nmax_registers = 2");
    check(
        &format!("{small}register = \"holding:1\"\ntype = \"u64\""),
        r#"curb.toml:14:1: error: device.d.point.p.type: found "u64", expected at most 2 registers, as max_registers says: the value takes 4"#,
    );
    check(
        &format!("{small}register = \"holding:1\"\ntype = \"u16\"\nexponent = \"holding:5\""),
        r#"curb.toml:15:1: error: device.d.point.p.exponent: found "holding:5", expected a register near the value: both come in one read of at most 2, this takes 5"#,
    );
}

#[test]
fn raw_numbers_have_meanings_of_their_own() {
    let mode = right("type = \"u16\"\nenum = { 0 = \"off\", 0x10 = \"on\" }");
    assert_eq!(mode.point.value_type, ValueType::Text);
    assert_eq!(
        mode.conversion.names.iter().map(|(raw, name)| (*raw, &**name)).collect::<Vec<_>>(),
        [(0, "off"), (16, "on")]
    );
    assert!(right("type = \"i16\"\nenum = { -1 = \"reverse\" }").conversion.names.contains_key(&0xFFFF));
    assert_eq!(right("type = \"u64\"\nabsent = [0xFFFFFFFFFFFFFFFF]").conversion.absent, [u64::MAX]);
    assert_eq!(right("type = \"i16\"\noffset = -40").conversion.offset, Some(-40.0));
    point(
        "type = \"u16\"\nenum = { 0 = \"off\", 1 = \"off\" }",
        r#"curb.toml:14:21: error: P.enum.1: found "off", expected a name of its own: 0 has this one"#,
    );
    point(
        "type = \"u16\"\nenum = { on = \"1\" }",
        r#"curb.toml:14:10: error: P.enum.on: found "1", expected a name for a number from 0 to 65535, decimal or 0x…"#,
    );
    point(
        "type = \"u16\"\nbits = \"0..1\"\nenum = { 4 = \"four\", 16 = 5 }",
        r#"curb.toml:15:10: error: P.enum.4: found "four", expected a name for a number from 0 to 3, decimal or 0x…
curb.toml:15:22: error: P.enum.16: found 5, expected text in quotes"#,
    );
    point(
        "type = \"u16\"\nenum = { 1 = \"one\", 0x1 = \"uno\", 2 = \"\" }",
        r#"curb.toml:14:21: error: P.enum.0x1: found "uno", expected one name for the number 1, which is called "one"
curb.toml:14:34: error: P.enum.2: found "", expected a name of 1 to 64 bytes"#,
    );
    point(
        "type = \"f32\"\nenum = { 0 = \"off\" }",
        "curb.toml:14:1: error: P.enum: found a table, expected no enum: only whole numbers have names",
    );
    point(
        "type = \"u16\"\nscale = 0.1\nrange = [0, 1]\nenum = { 0 = \"off\" }",
        "curb.toml:14:1: error: P.scale: found 0.1, expected no scale: the value is a name
curb.toml:15:1: error: P.range: found [0, 1], expected no range: the value is a name",
    );
    point(
        "type = \"text:8\"\nscale = 0.1\noffset = 1\nabsent = [0]",
        "curb.toml:14:1: error: P.scale: found 0.1, expected no scale: the type is not a number
curb.toml:15:1: error: P.offset: found 1, expected no offset: the type is not a number
curb.toml:16:1: error: P.absent: found [0], expected no absent: an empty text is a text",
    );
    assert_eq!(right("type = \"i16\"\nabsent = [-32768, 0x7FFF]").conversion.absent, [0x8000, 0x7FFF]);
    point(
        "type = \"u16\"\nabsent = [-1, 65536]",
        "curb.toml:14:11: error: P.absent.0: found -1, expected a raw number as the registers hold it, 0 to 0xFFFF
  help: -1 of a 16-bit type is 0xFFFF
curb.toml:14:15: error: P.absent.1: found 65536, expected a raw number as the registers hold it, 0 to 0xFFFF",
    );
    point(
        "type = \"i32\"\nabsent = [-2147483648, 0x1FFFFFFFF]",
        "curb.toml:14:24: error: P.absent.1: found 8589934591, expected a raw number as the registers hold it, 0 to 0xFFFFFFFF",
    );
}

#[test]
fn what_may_be_written_is_bounded() {
    let write = |text: &str| right(text).write.unwrap();
    let dim = write("type = \"u16\"\nscale = 0.1\nwrite = { min = 0, max = 100 }");
    assert_eq!((dim.bounds, dim.target), (Some((0.0, 100.0)), None));
    let elsewhere = write("type = \"u16\"\nwrite = { min = 0, max = 1, register = \"holding:200\" }");
    assert_eq!(elsewhere.target, Some(200));
    assert_eq!(write("type = \"u16\"\nenum = { 0 = \"off\" }\nwrite = {}").bounds, None);
    point(
        "type = \"u16\"\nwrite = {}",
        "curb.toml:14:1: error: P.write.max: found nothing, expected a bound, since the value is a number: max = 100
curb.toml:14:1: error: P.write.min: found nothing, expected a bound, since the value is a number: min = 0",
    );
    point(
        "type = \"u16\"\nwrite = true",
        "curb.toml:14:1: error: P.write: found true, expected a table: write = { min = 0, max = 100 }, or write = {} where the value is no number",
    );
    point(
        "type = \"u16\"\nwrite = { min = 10, max = 1, least = 0 }",
        "curb.toml:14:11: error: P.write.min: found 10, expected a least value that is smaller than the greatest
  help: did you mean { min = 1, max = 10 }?
curb.toml:14:30: error: P.write.least: found an unknown key, expected one of min, max, register, type",
    );
    point(
        "type = \"u8\"\nscale = 0.5\nwrite = { min = -1, max = 100 }",
        "curb.toml:15:11: error: P.write.min: found -1, expected what u8 can hold, after scale and offset",
    );
    point(
        "type = \"u8\"\nscale = 0.5\nwrite = { min = 0, max = 128 }",
        "curb.toml:15:20: error: P.write.max: found 128, expected what u8 can hold, after scale and offset",
    );
    point(
        "type = \"bool\"\nwrite = { min = 0 }",
        "curb.toml:14:11: error: P.write.min: found 0, expected no min: the value is not a number",
    );
    point(
        "type = \"u16\"\nwrite = { min = 0, max = 1, register = \"coil:200\" }",
        r#"curb.toml:14:29: error: P.write.register: found "coil:200", expected a register of the table that it is read from: holding:200"#,
    );
    check(
        &format!("{LINE}register = \"discrete:1\"\nwrite = {{}}"),
        "curb.toml:13:1: error: device.d.point.p.write: found a table, expected no write: only holding registers and coils can be written, not discrete",
    );
}

#[test]
fn a_point_that_cannot_be_read_says_so_and_is_written_whole() {
    let only = right("type = \"u16\"\naccess = \"write\"\nwrite = { min = 0, max = 1 }");
    assert_eq!((only.access, only.write.is_some()), (Access::Write, true));
    assert_eq!(right("type = \"u16\"\naccess = \"read\"").access, Access::Read);
    point(
        "type = \"u16\"\naccess = \"write\"",
        "curb.toml:14:1: warning: P.access: found \"write\", expected a write beside it: a point that is neither read nor written does nothing
  help: write = { min = 0, max = 100 }, or write = {} for a bool, a text or names",
    );
    point(
        "type = \"u16\"\naccess = \"write\"\nevery = \"5s\"\nabsent = [1]\nwrite = { min = 0, max = 1 }",
        "curb.toml:15:1: error: P.every: found \"5s\", expected no such key: the point is never read, as access says
curb.toml:16:1: error: P.absent: found [1], expected no such key: the point is never read, as access says",
    );
    point(
        "type = \"u16\"\nbits = \"3\"\naccess = \"write\"\nwrite = {}",
        "curb.toml:15:1: error: P.access: found \"write\", expected \"read\": the rest of its register cannot be left as it is without being read
  help: a device that knows function 22 has mask_write = true",
    );
    check(
        &format!("{LINE}register = \"input:1\"\ntype = \"u16\"\naccess = \"write\""),
        "curb.toml:14:1: error: device.d.point.p.access: found \"write\", expected \"read\": only holding registers and coils can be written, not input",
    );
    let told = "access = \"write\"\nwrite = {}\nregister = \"coil:0\"";
    check(
        &LINE.replace(
            "[device.d.point.p]\n",
            &format!("setup = [{{ register = \"coil:3\", value = true }}]\n[device.d.point.p]\n{told}\n"),
        ),
        "curb.toml:11:1: error: device.d.setup: found [a table], expected no setup: settings are told after a read was answered, and no point of this device is read",
    );
}

#[test]
fn a_device_has_limits_and_settings_that_it_forgets() {
    let text = |keys: &str| {
        let point = "[device.d.point.p]\nregister = \"coil:0\"";
        LINE.replace("[device.d.point.p]\n", &format!("{keys}\n{point}"))
    };
    let full = device(&text(
        "max_registers = 40\nmax_bits = 64\nmax_hole = 0\nmask_write = true\nwrite_with = \"multiple\"\n\
         setup = [{ register = \"holding:7\", type = \"f32\", order = \"CDAB\", value = 1.5, name = \"limit\" },\n\
         { register = \"coil:3\", value = true, why = \"the relay is locked without\" },\n\
         { register = \"holding:9\", type = \"u16\", enum = { 0 = \"off\", 5 = \"on\" }, value = \"on\" }]",
    ));
    assert_eq!((full.max_registers, full.max_bits, full.max_hole), (40, 64, 0));
    assert_eq!((full.mask_write, full.write_with), (true, WriteWith::Multiple));
    let setup: Vec<_> = full.setup.iter().map(|one| (one.name.as_str(), one.address, &one.registers[..])).collect();
    assert_eq!(setup, [("limit", 7, &[0, 0x3FC0][..]), ("setup-1", 3, &[1]), ("setup-2", 9, &[5])]);

    let wrong = |keys: &str, expected: &str| check(&text(keys), &expected.replace("D.", "device.d."));
    wrong(
        "max_registers = 126\nmax_bits = 0\nmax_hole = 125\nmask_write = 1\nwrite_with = \"multi\"",
        r#"curb.toml:11:1: error: D.max_registers: found 126, expected registers in one read from 1 to 125
curb.toml:12:1: error: D.max_bits: found 0, expected bits in one read from 1 to 2000
curb.toml:13:1: error: D.max_hole: found 125, expected registers between two points from 0 to 124
curb.toml:14:1: error: D.mask_write: found 1, expected true or false
curb.toml:15:1: error: D.write_with: found "multi", expected "auto", "single" or "multiple""#,
    );
    wrong(
        "setup = [{ register = \"input:7\", type = \"u16\", value = 1 }]",
        r#"curb.toml:11:12: error: D.setup.0.register: found "input:7", expected a holding register or a coil: others cannot be written"#,
    );
    wrong(
        "setup = [{ register = \"holding:7\", type = \"u16\", value = 70000 }]",
        "curb.toml:11:50: error: D.setup.0.value: found 70000, expected a value for u16
  help: 70000 is beyond what u16 holds",
    );
    wrong(
        "setup = [{ register = \"holding:7\", type = \"u8\", value = 7, vlaue = 8 }, 5]",
        r#"curb.toml:11:73: error: D.setup.1: found 5, expected a table: { register = "holding:10", type = "u16", value = 7 }"#,
    );
    wrong(
        "setup = [{ register = \"holding:7\", type = \"u8\", vlaue = 8 }, { register = \"holding:7\", type = \"u8\", value = 7 }]",
        r#"curb.toml:11:10: error: D.setup.0.value: found nothing, expected what is written: value = 7
curb.toml:11:49: error: D.setup.0.vlaue: found an unknown key, expected one of name, register, type, order, radix, scale, offset, enum, value, why, by_hand
  help: did you mean "value"?
curb.toml:11:88: error: D.setup.1.type: found "u8", expected a whole register: what is beside the value would be lost"#,
    );
}

#[test]
fn a_bus_says_how_its_bytes_travel() {
    let link = |text: &str| {
        let folder = Folder::new(&format!("{LEAST}[bus.b]\n{text}"));
        let loaded = folder.load();
        assert_eq!(folder.show(&loaded.problems), "", "problems of\n{text}");
        loaded.settings.unwrap().source.buses.into_values().next().unwrap().link
    };
    assert_eq!(link("rtu_over_tcp = \"192.0.2.7:4001\""), Link::RtuOverTcp("192.0.2.7:4001".to_owned()));
    let serial = |text: &str| match link(&format!("serial = \"/dev/rs485\"\nbaud = 9600\n{text}")) {
        Link::Rtu(serial) => (serial.rs485, serial.latency.map(|latency| latency.as_millis())),
        Link::RtuOverTcp(_) | Link::Tcp(_) | Link::Talker { .. } => panic!("another kind of bus"),
    };
    assert_eq!(serial(""), (Rs485::Auto, None));
    assert_eq!(serial("rs485 = \"on\"\nlatency = \"16ms\""), (Rs485::On, Some(16)));

    let bus = |text: &str, expected: &str| check(&format!("[bus.b]\n{text}"), &expected.replace("B.", "bus.b."));
    bus(
        "rtu_over_tcp = \"192.0.2.7\"\nbaud = 9600\nrs485 = \"on\"",
        r#"curb.toml:6:1: error: B.rtu_over_tcp: found "192.0.2.7", expected host:port
  help: the port is set in the serial server; many have 4001
curb.toml:7:1: error: B.baud: found 9600, expected no such key on a rtu_over_tcp bus
curb.toml:8:1: error: B.rs485: found "on", expected no such key on a rtu_over_tcp bus"#,
    );
    bus(
        "tcp = \"192.0.2.7\"\nrtu_over_tcp = \"192.0.2.7:4001\"",
        r#"curb.toml:7:1: error: B.rtu_over_tcp: found "192.0.2.7:4001", expected one of serial, tcp and rtu_over_tcp"#,
    );
    bus(
        "serial = \"/dev/rs485\"\nbaud = 9600\nrs485 = \"ON\"\nlatency = 16",
        r#"curb.toml:8:1: error: B.rs485: found "ON", expected "auto", "on" or "off"
curb.toml:9:1: error: B.latency: found 16, expected a duration from 0s to 255ms
  help: add a unit: "16ms""#,
    );
    bus(
        "rtu_over_tcp = \"192.0.2.7:4001\"\n[bus.c]\nrtu_over_tcp = \"192.0.2.7:4001\"",
        r#"curb.toml:8:1: error: bus.c.rtu_over_tcp: found "192.0.2.7:4001", expected a port of its own: bus b has this one"#,
    );
    let over_tcp = "[bus.b]\nrtu_over_tcp = \"192.0.2.7:4001\"\n[device.d]\nbus = \"b\"\nunit_id = 255\npoint.p.register = \"coil:0\"";
    check(over_tcp, "curb.toml:9:1: error: device.d.unit_id: found 255, expected a unit id from 1 to 247");
}

#[test]
fn the_table_of_points_tells_names_and_bounds() {
    let folder = Folder::new(&format!(
        "{LEAST}{LINE}register = \"holding:1\"\ntype = \"u16\"\nenum = {{ 1 = \"on\", 0 = \"off\" }}\nwrite = {{}}\n\
         [device.d.point.q]\nregister = \"holding:2\"\ntype = \"u16\"\nwrite = {{ min = 0, max = 100 }}\n\
         [device.d.point.r]\nregister = \"holding:3\"\ntype = \"u16\"\n"
    ));
    let points = folder.load().settings.unwrap().points;
    let usage = |name: &str| points.usage(&curb_model::PointName::parse(name).unwrap());
    let mode = usage("d/p").unwrap();
    assert_eq!(mode.names.iter().map(|name| &**name).collect::<Vec<_>>(), ["off", "on"]);
    assert_eq!(mode.write.unwrap().bounds, None);
    assert_eq!(usage("d/q").unwrap().write.unwrap().bounds, Some((0.0, 100.0)));
    assert_eq!(usage("d/r"), None);
}
