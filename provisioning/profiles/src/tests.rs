//! Promises of the profiles as files. That every example decodes to what it says is tested where they are used, in the
//! daemon's configuration.

use std::collections::BTreeSet;

use crate::{Profile, Scalar, embedded};

#[test]
fn every_file_of_the_folder_is_compiled_in() {
    let folder = std::fs::read_dir(env!("CARGO_MANIFEST_DIR")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.filter_map(|name| name.strip_suffix(".toml").map(str::to_owned));
    let files: BTreeSet<String> = names.filter(|name| name != "Cargo").collect();
    let compiled: BTreeSet<String> = embedded().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(compiled, files);
    assert!(compiled.len() >= 20, "{} profiles", compiled.len());
}

#[test]
fn every_profile_is_whole() {
    for (name, text) in embedded() {
        let profile = Profile::parse(name, text).unwrap_or_else(|error| panic!("{error}"));
        let about = &profile.about;
        assert!(name.len() <= 32 && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{name}");
        assert!(about.serial.is_some() || about.tcp_port.is_some(), "{name} says how it is reached");
        assert!(!about.source.is_empty() && !profile.device.points.is_empty(), "{name}");
        assert!(profile.examples.len() >= 2, "{name} has two examples");

        let expected: BTreeSet<&String> = profile.examples.iter().flat_map(|example| example.expect.keys()).collect();
        let read = profile.device.points.iter().filter(|(_, point)| !point.is_only_written());
        let points: BTreeSet<&String> = read.map(|(point, _)| point).collect();
        assert_eq!(expected, points, "{name}: every point that is read is in an example, and nothing else");
        for (point, of) in &profile.device.points {
            assert!(!of.is_only_written() || of.write.is_some(), "{name}: nothing can be done with {point}");
        }

        for (setting, of) in &profile.settings {
            assert!(of.default.as_ref().is_none_or(|default| of.allows(default)), "{name}: default of {setting}");
        }
        for (point, of) in &profile.device.points {
            for (setting, values) in &of.when {
                let known = profile.settings.get(setting).is_some_and(|of| values.iter().all(|value| of.allows(value)));
                assert!(known && !values.is_empty(), "{name}: {point} depends on {setting}");
            }
        }
        for print in &profile.fingerprints {
            let tests =
                [print.equals.is_some(), print.range.is_some(), print.text.is_some(), print.identification.is_some()];
            assert_eq!(tests.iter().filter(|test| **test).count(), 1, "{name}: {print:?}");
            assert_eq!(print.register.is_none(), print.identification.is_some(), "{name}: {print:?}");
        }
    }
}

#[test]
fn a_mistake_is_told_with_file_line_and_key() {
    let right = "[profile]\nmaker = \"M\"\nmodel = \"X\"\nkind = \"io\"\nsource = \"s\"\nconfirmed = \"manual\"\nunit_id = 1\n\
        [device.point.p]\nregister = \"coil:0\"\n";
    assert!(Profile::parse("m-x", right).is_ok());
    let wrong = |text: &str, expected: &str| {
        assert_eq!(Profile::parse("m-x", text).unwrap_err().to_string(), expected, "{text}");
    };
    wrong(
        &right.replace("\"io\"", "\"lamp\""),
        "read profile m-x, line 4: profile.kind: found unknown variant `lamp`, expected one of `energy-meter`, `led-driver`, \
         `io`, `relay`, `air-quality`, `noise`, `weather`, `level`, `ev-charger`, `solar`, `people-counter`",
    );
    wrong(
        &right.replace("unit_id = 1\n", ""),
        "read profile m-x, line 1: profile: found nothing, expected the key `unit_id`",
    );
    wrong(
        &format!("{right}[settings.x]\nregister = \"holding:1\"\n"),
        "read profile m-x, line 10: settings: found unknown field `settings`, expected one of `profile`, `device`, `setting`, \
         `setup`, `fingerprint`, `example`",
    );
    wrong(
        &format!("{right}optional = 1\n"),
        "read profile m-x, line 10: device.point.p.optional: found invalid type: integer `1`, expected a boolean",
    );
    wrong(&right.replace("[profile]", "[profile"), "read profile m-x, line 1: : found unclosed table, expected `]`");
}

#[test]
fn a_setting_knows_what_it_can_be() {
    let text = "register = \"holding:1\"\ntype = \"u16\"\n";
    let setting = |more: &str| toml::from_str::<crate::Setting>(&format!("{text}{more}")).unwrap();
    let period = setting("choices = [0, 5, 60]");
    assert!(period.allows(&Scalar::Float(60.0)) && !period.allows(&Scalar::Int(6)));
    assert_eq!(period.allowed(), "one of 0, 5, 60");
    let limit = setting("range = [0, 0.5]");
    assert!(limit.allows(&Scalar::Int(0)) && !limit.allows(&Scalar::Float(0.6)) && !limit.allows(&Scalar::Bool(true)));
    assert_eq!(limit.allowed(), "0 to 0.5");
    let wiring = setting("enum = { 0 = \"1p\", 1 = \"3p\" }");
    assert!(wiring.allows(&Scalar::Text("3p".into())) && !wiring.allows(&Scalar::Int(1)));
    assert_eq!(wiring.allowed(), "one of \"1p\", \"3p\"");
}
