//! A profile reads what its kind of device holds, and grants nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use curb_model::{Access, Reason, Sample, Value};
use curb_profiles::{Profile, Scalar};
use curb_source::{DeviceConfig, Link, ModbusDevice, ModbusPoint, Table};

use super::{Folder, LEAST, check};
use crate::config::{load_last_good, notation, save_last_good};

const BUS: &str = "[bus.b]\ntcp = \"192.0.2.1\"\n[device.d]\nbus = \"b\"\nunit_id = 1\n";

/// The device of a text that is right.
fn device(folder: &Folder) -> ModbusDevice {
    let loaded = folder.load();
    assert_eq!(folder.show(&loaded.problems) + &folder.show(&loaded.warnings), "");
    let bus = loaded.settings.unwrap().source.buses.into_values().next().unwrap();
    match bus.devices.into_values().next() {
        Some(DeviceConfig::Modbus(device)) => device,
        Some(DeviceConfig::Talker(_)) | None => panic!("no Modbus device"),
    }
}

fn of(text: &str) -> ModbusDevice {
    device(&Folder::new(&format!("{LEAST}{BUS}{text}")))
}

fn names(device: &ModbusDevice) -> Vec<&str> {
    device.points.iter().map(|point| point.point.name.point().as_str()).collect()
}

fn read_by(profile: &Profile) -> impl Iterator<Item = &String> {
    profile.device.points.iter().filter(|(_, point)| !point.is_only_written()).map(|(name, _)| name)
}

/// A device with all that is read of its profile: every point, with the settings that each depends on.
fn with_everything(name: &str, profile: &Profile) -> ModbusDevice {
    let points: Vec<_> = read_by(profile).collect();
    let mut settings: BTreeMap<&String, &Scalar> = BTreeMap::new();
    for (setting, values) in profile.device.points.values().flat_map(|point| &point.when) {
        // Of the points that depend on a setting the strictest has its first value in the lists of all.
        settings.entry(setting).or_insert(&values[0]);
    }
    let mut text = format!("profile = {name:?}\npoints = {points:?}\n");
    for (setting, value) in settings {
        writeln!(text, "settings.{setting} = {value}").unwrap();
    }
    of(&text)
}

#[test]
fn every_example_of_every_profile_is_read_as_it_says() {
    for (name, text) in curb_profiles::embedded() {
        let profile = Profile::parse(name, text).unwrap();
        let device = with_everything(name, &profile);
        assert_eq!(device.points.len(), read_by(&profile).count(), "{name}");
        assert!(device.points.iter().all(|point| point.write.is_none()), "{name} grants nothing by itself");
        for example in &profile.examples {
            let mut image: BTreeMap<(Table, u16), u16> = BTreeMap::new();
            for (first, registers) in &example.registers {
                let (table, first) = notation::register(first).unwrap();
                image.extend((first..).zip(registers).map(|(address, register)| ((table, address), *register)));
            }
            for point in &device.points {
                let found = read(point, &image);
                let expected = example.expect.get(point.point.name.point().as_str());
                let (found, expected) = (found.map(|sample| shown(&sample)), expected.map(wanted));
                assert_eq!(found, expected, "{name}, example {:?}: {}", example.from, point.point.name);
            }
        }
    }
}

/// What a point is in these registers; `None` if not all of its own are there.
fn read(point: &ModbusPoint, image: &BTreeMap<(Table, u16), u16>) -> Option<Sample> {
    let (first, len) = point.span();
    let own = point.address..point.address + point.width();
    // What lies between a value and its power of ten is read along and means nothing.
    let needed = own.chain(point.exponent);
    if needed.into_iter().any(|address| !image.contains_key(&(point.table, address))) {
        return None;
    }
    let registers = (first..first + len).map(|address| image.get(&(point.table, address)).copied().unwrap_or(0));
    Some(curb_source::decode(point, &registers.collect::<Vec<_>>()))
}

fn shown(sample: &Sample) -> String {
    match sample {
        Sample::Good(value) => match value {
            Value::Bool(_) | Value::Text(_) | Value::Bytes(_) => value.to_string(),
            Value::I64(_) | Value::U64(_) | Value::F64(_) => value.as_f64().unwrap().to_string(),
        },
        Sample::Bad(Reason::Absent) => "\"bad:absent\"".to_owned(),
        Sample::Uncertain(_, Reason::Range) => "\"uncertain:range\"".to_owned(),
        Sample::Bad(reason) | Sample::Uncertain(_, reason) => format!("{reason:?}"),
    }
}

fn wanted(expected: &Scalar) -> String {
    expected.as_f64().map_or_else(|| expected.to_string(), |number| number.to_string())
}

#[test]
fn every_fingerprint_can_be_asked_for() {
    for (name, text) in curb_profiles::embedded() {
        for print in Profile::parse(name, text).unwrap().fingerprints {
            let Some(register) = &print.register else { continue };
            let mut point = format!("register = {register:?}\n");
            let keys = [("type", &print.r#type), ("order", &print.order), ("byte", &print.byte), ("bits", &print.bits)];
            for (key, value) in keys {
                value.iter().for_each(|value| writeln!(point, "{key} = {value:?}").unwrap());
            }
            assert_eq!(of(&format!("[device.d.point.p]\n{point}")).points.len(), 1, "{name}");
        }
    }
}

#[test]
fn the_devices_own_keys_win_one_by_one() {
    let usual = of("profile = \"eastron-sdm120\"");
    assert!(names(&usual).contains(&"voltage") && !names(&usual).contains(&"energy-total"), "{:?}", names(&usual));
    assert_eq!(usual.max_registers, 80);

    let own = of(
        "profile = \"eastron-sdm120\"\nmax_registers = 40\nevery = \"10s\"\npoints = [\"voltage\", \"energy-total\"]\n\
        [device.d.point]\nvoltage = { unit = \"kV\", scale = 0.001 }\nextra = { register = \"coil:7\" }\n",
    );
    assert_eq!(names(&own), ["energy-total", "extra", "voltage"]);
    assert_eq!((own.max_registers, own.every.as_secs(), own.min_gap), (40, 10, usual.min_gap));
    let [before, after] = [&usual, &own].map(|device| {
        device.points.iter().find(|point| point.point.name.point().as_str() == "voltage").unwrap().clone()
    });
    assert_eq!(
        (after.address, after.encoding, after.point.range),
        (before.address, before.encoding, before.point.range)
    );
    assert_eq!((after.point.unit.as_deref(), after.conversion.scale), (Some("kV"), Some(0.001)));
}

#[test]
fn a_rest_is_the_devices_own_else_the_profiles_else_the_lines() {
    let check = |text: &str, expected: Option<u64>| {
        assert_eq!(of(text).min_gap, expected.map(std::time::Duration::from_millis), "{text}");
    };
    check("profile = \"dfrobot-urm12\"", Some(50));
    check("profile = \"dfrobot-urm12\"\nmin_gap = \"0s\"", Some(0));
    check("[device.d.point]\nextra = { register = \"coil:7\" }\n", None);
    check("min_gap = \"0s\"\n[device.d.point]\nextra = { register = \"coil:7\" }\n", Some(0));
    let serial = curb_source::SerialConfig::new("/dev/x", 9_600);
    let address = "192.0.2.1:502".to_owned();
    let links = [Link::Rtu(serial), Link::RtuOverTcp(address.clone()), Link::Tcp(address)];
    assert_eq!(links.map(|link| link.min_gap().as_millis()), [20, 20, 0]);
}

#[test]
fn a_point_that_can_only_be_written_is_there_for_those_who_grant_it() {
    let usual = of("profile = \"keba-kecontact-p30\"");
    assert!(!names(&usual).contains(&"enable"), "{:?}", names(&usual));
    let granted = of("profile = \"keba-kecontact-p30\"\npoints = [\"power\"]\npoint.enable.write = {}\n");
    assert_eq!(names(&granted), ["enable", "power"]);
    let enable = &granted.points[0];
    assert_eq!((enable.access, enable.write.is_some()), (Access::Write, true));
}

#[test]
fn points_depend_on_settings() {
    let em24 = |settings: &str| of(&format!("profile = \"carlo-gavazzi-em24-e1\"\n{settings}"));
    let three = em24("");
    assert!(names(&three).contains(&"voltage-l3"));
    let one = em24("settings.measuring-system = \"1p\"");
    assert!(!names(&one).contains(&"voltage-l3") && names(&one).contains(&"voltage-l1"));

    // The profile's list is written first, then what the installer has set, by name.
    let written: Vec<_> =
        one.setup.iter().map(|one| (one.name.as_str(), one.address, one.registers.as_slice())).collect();
    assert_eq!(written, [("setup-0", 40_960, &[7][..]), ("measuring-system", 4_098, &[3])]);
    assert_eq!(three.setup.len(), 1);
    let own =
        em24("settings.measuring-system = \"3p\"\nsetup = [{ register = \"holding:1\", type = \"u16\", value = 2 }]");
    assert_eq!(own.setup.iter().map(|one| one.address).collect::<Vec<_>>(), [40_960, 4_098, 1]);

    // Written elsewhere than read, and not at all where writing wears the device.
    let terra = of("profile = \"abb-terra-ac\"\nsettings.communication-timeout = 30");
    assert_eq!(terra.setup.iter().map(|one| one.address).collect::<Vec<_>>(), [16_646]);
    assert_eq!(of("profile = \"epever-tracer\"\nsettings.battery-type = \"gel\"").setup, []);
}

#[test]
fn a_grant_lies_within_what_the_device_can_take() {
    let keba = of("profile = \"keba-kecontact-p30\"\npoint.current-limit.write = { min = 6, max = 32 }\n");
    let limit = keba.points.iter().find(|point| point.write.is_some()).unwrap();
    let written = limit.as_written(limit.write.unwrap());
    assert_eq!(limit.write.unwrap().bounds, Some((6.0, 32.0)));
    assert_eq!((limit.width(), written.width(), written.address), (2, 1, 5004));

    let text = |text: &str, expected: &str| check(&format!("{BUS}{text}"), expected);
    text(
        "profile = \"keba-kecontact-p30\"\npoint.current-limit.write = { min = 0, max = 64 }\n",
        "curb.toml:11:31: error: device.d.point.current-limit.write.min: found 0, expected a bound within 6 to 63, which the device can take
curb.toml:11:40: error: device.d.point.current-limit.write.max: found 64, expected a bound within 6 to 63, which the device can take",
    );
    text(
        "profile = \"victron-gx\"\npoints = [\"relay-1\"]\npoint.relay-1.write = { min = 0 }\n",
        "curb.toml:12:25: error: device.d.point.relay-1.write.min: found 0, expected no min: the value is not a number",
    );
    text(
        "profile = \"epever-tracer\"\npoint.night.write = {}\n",
        "curb.toml:11:13: error: device.d.point.night.write: found a table, expected no write: only holding registers and coils can be written, not discrete
curb.toml:11:13: warning: device.d.point.night.write: found a table, expected no write: the profile does not say that this point can be written",
    );
}

#[test]
fn mistakes_about_profiles_are_told_with_what_was_meant() {
    let wrong = |text: &str, expected: &str| check(&format!("{BUS}{text}"), expected);
    wrong(
        "profile = \"eastron-sdm-120\"",
        r#"curb.toml:10:1: error: device.d.profile: found "eastron-sdm-120", expected the name of a profile; curb profiles lists them
  help: did you mean "eastron-sdm120"?"#,
    );
    wrong("profile = 120", "curb.toml:10:1: error: device.d.profile: found 120, expected text in quotes");
    wrong(
        "profile = \"../../etc/passwd\"",
        r#"curb.toml:10:1: error: device.d.profile: found "../../etc/passwd", expected the name of a profile; curb profiles lists them"#,
    );
    wrong(
        "profile = \"waveshare-modbus-rtu-relay\"\npoints = [\"relay1\", \"relay-2\"]",
        r#"curb.toml:11:11: error: device.d.points.0: found "relay1", expected a point of the profile: firmware-version, relay-1, relay-2, relay-3, relay-4, relay-5, relay-6, relay-7, relay-8, unit-address
  help: did you mean "relay-1"?"#,
    );
    wrong(
        "profile = \"waveshare-modbus-rtu-relay\"\npoints = []\nsettings.x = 1",
        "curb.toml:11:1: error: device.d.points: found [], expected at least one of the profile's points
curb.toml:12:10: error: device.d.settings.x: found 1, expected no settings: the profile has none",
    );
    wrong(
        "profile = \"carlo-gavazzi-em24-e1\"\npoints = [\"voltage-l3\", \"power\"]\nsettings = { measuring-system = \"1p\", measuring = 1 }",
        r#"curb.toml:12:39: error: device.d.settings.measuring: found 1, expected a setting of the profile: measuring-system
curb.toml:11:11: warning: device.d.points.0: found "voltage-l3", expected a point that the device has: this one needs settings.measuring-system of "3p-n", "3p-1", "3p""#,
    );
    wrong(
        "profile = \"carlo-gavazzi-em24-e1\"\nsettings = { measuring-system = \"3pn\" }",
        r#"curb.toml:11:14: error: device.d.settings.measuring-system: found "3pn", expected one of "3p-n", "3p-1", "2p", "1p", "3p"
  help: did you mean "3p-n"?"#,
    );
    wrong(
        "profile = \"abb-terra-ac\"\nsettings.communication-timeout = 5",
        "curb.toml:11:10: error: device.d.settings.communication-timeout: found 5, expected 10 to 65535",
    );
    wrong(
        "points = [\"voltage\"]\nsettings.x = 1\npoint.p.register = \"coil:0\"",
        r#"curb.toml:10:1: error: device.d.points: found ["voltage"], expected no such key without a profile, which it chooses from
curb.toml:11:1: error: device.d.settings: found a table, expected no such key without a profile, which it chooses from"#,
    );
}

#[test]
fn a_folder_adds_profiles_and_their_mistakes_are_their_own() {
    let lamp = "[profile]\nmaker = \"M\"\nmodel = \"X\"\nkind = \"led-driver\"\nsource = \"s\"\nconfirmed = \"manual\"\nunit_id = 1\n\
        serial = { baud = 9600, parity = \"none\", data = 8, stop = 1 }\n[device.point]\nlevel = { register = \"holding:1\", type = \"u16\" }\n";
    let folder = |profile: &str, config: &str| {
        let folder = Folder::new("");
        let profiles = folder.path().join("profiles");
        std::fs::create_dir(&profiles).unwrap();
        std::fs::write(profiles.join("lamp.toml"), profile).unwrap();
        folder.with("curb.toml", format!("{LEAST}{BUS}{config}\n[paths]\nprofiles = {profiles:?}\n"))
    };
    assert_eq!(names(&device(&folder(lamp, "profile = \"lamp\""))), ["level"]);

    let wrong = |profile: &str, expected: &str| {
        let folder = folder(profile, "profile = \"lamp\"");
        assert_eq!(folder.show(&folder.load().problems), expected);
    };
    wrong(
        &lamp.replace("u16", "word"),
        r#"profiles/lamp.toml:10:35: error: device.d.point.level.type: found "word", expected a type: bool, u8, i8, u16, i16, u24, i24, u32, i32, u64, i64, f32, f64, bcd16, bcd32, bcd64 or text:N with N bytes
  help: did you mean "u16"?"#,
    );
    wrong(
        &lamp.replace("led-driver", "lamp"),
        "profiles/lamp.toml:4:8: error: profile.kind: found unknown variant `lamp`, expected one of `energy-meter`, `led-driver`, `io`, `relay`, `air-quality`, `noise`, `weather`, `level`, `ev-charger`, `solar`, `people-counter`",
    );
    wrong(&format!("{lamp}\"\n"), "profiles/lamp.toml:11:2: error: found key with no value, expected `=`");
    wrong(
        &format!("{lamp}[[setup]]\nregister = \"input:5\"\ntype = \"u16\"\nvalue = 1\nwhy = \"w\"\n"),
        r#"profiles/lamp.toml:12:1: error: device.d.setup.0.register: found "input:5", expected a holding register or a coil: others cannot be written"#,
    );
}

#[test]
fn the_last_good_configuration_needs_no_profile() {
    let folder = Folder::new("");
    let profiles = folder.path().join("profiles");
    std::fs::create_dir(&profiles).unwrap();
    let em24 = curb_profiles::embedded().find(|(name, _)| *name == "carlo-gavazzi-em24-e1").unwrap().1;
    std::fs::write(profiles.join("our-meter.toml"), em24).unwrap();
    let text = "profile = \"our-meter\"\npoints = [\"power\", \"voltage-l1\"]\nsettings.measuring-system = \"3p\"\n";
    let folder = folder.with("curb.toml", format!("{LEAST}{BUS}{text}\n[paths]\nprofiles = {profiles:?}\n"));
    let ran = folder.load();
    assert_eq!(folder.show(&ran.problems), "");
    save_last_good(folder.path(), &ran.merged).unwrap();

    std::fs::remove_dir_all(&profiles).unwrap();
    assert_eq!(folder.load().problems.len(), 1, "the profile has gone");
    let last = load_last_good(folder.path()).unwrap().unwrap();
    assert_eq!(folder.show(&last.problems), "");
    assert_eq!(last.settings, ran.settings);
}

#[test]
fn a_setting_that_wears_the_device_is_for_the_hand_and_bound_to_what_the_config_says() {
    let by_hand = |device: &str| {
        let bus = "[bus.b]\nserial = \"/dev/serial/by-path/x\"\nbaud = 9600\n";
        let device = format!("[device.d]\nbus = \"b\"\nunit_id = 1\n{device}");
        let loaded = Folder::new(&format!("{LEAST}{bus}{device}")).load();
        let settings = loaded.settings.unwrap_or_else(|| panic!("{:?}", loaded.problems));
        let one =
            |one: &crate::config::ByHand| (one.lies.point.name.to_string(), one.lies.address, one.registers.clone());
        settings.by_hand.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(
        by_hand("profile = \"epever-tracer\"\nsettings.battery-type = \"gel\""),
        [("d/battery-type".to_owned(), 36_864, vec![2])]
    );
    let own = "setup = [{ register = \"holding:9\", type = \"u16\", value = 4, name = \"x\", by_hand = true }]\n\
               point.p = { register = \"holding:0\", type = \"u16\" }";
    assert_eq!(by_hand(own), [("d/x".to_owned(), 9, vec![4])]);
}
