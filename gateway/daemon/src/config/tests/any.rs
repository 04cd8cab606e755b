//! No text, however wrong, makes the configuration fail in another way than by its problems.

use proptest::prelude::*;

use super::{Folder, LEAST};
use crate::config::{load, load_last_good, save_last_good};

/// Keys that exist, so that values reach every reader.
const KEYS: [&str; 89] = [
    "hub",
    "hub.site",
    "core",
    "core.url",
    "core.fallback",
    "core.proxy",
    "core.ack",
    "core.retry",
    "core.keep_alive",
    "identity.key",
    "paths.state",
    "clock.trust",
    "clock.wait",
    "log.level",
    "store.limit",
    "plugins.dir",
    "bus",
    "bus.b",
    "bus.b.serial",
    "bus.b.baud",
    "bus.b.parity",
    "bus.b.data",
    "bus.b.stop",
    "bus.b.tcp",
    "bus.b.rtu_over_tcp",
    "bus.b.rs485",
    "bus.b.latency",
    "bus.b.frame",
    "bus.b.frame.delimiter",
    "bus.b.frame.max",
    "device.d",
    "device.d.bus",
    "device.d.unit_id",
    "device.d.every",
    "device.d.timeout",
    "device.d.max_registers",
    "device.d.max_bits",
    "device.d.max_hole",
    "device.d.mask_write",
    "device.d.write_with",
    "device.d.setup",
    "device.d.profile",
    "device.d.points",
    "device.d.settings",
    "device.d.settings.measuring-system",
    "device.d.decode",
    "bus.b.frame.start",
    "bus.b.frame.stop",
    "bus.b.frame.length",
    "bus.b.frame.length_at",
    "bus.b.frame.silence",
    "device.d.separator",
    "device.d.pattern",
    "device.d.checksum",
    "device.d.checksum.kind",
    "device.d.request",
    "device.d.request.send",
    "device.d.point.p.pointer",
    "device.d.point.p.group",
    "device.d.point.p.field",
    "device.d.point.p.at",
    "device.d.stale_after",
    "device.d.expire",
    "device.d.point",
    "device.d.point.p",
    "device.d.point.p.register",
    "device.d.point.p.type",
    "device.d.point.p.order",
    "device.d.point.p.byte",
    "device.d.point.p.bits",
    "device.d.point.p.radix",
    "device.d.point.p.exponent",
    "device.d.point.p.scale",
    "device.d.point.p.offset",
    "device.d.point.p.enum",
    "device.d.point.p.enum.0",
    "device.d.point.p.enum.0x10",
    "device.d.point.p.write",
    "device.d.point.p.write.min",
    "device.d.point.p.write.max",
    "device.d.point.p.write.register",
    "device.d.point.p.unit",
    "device.d.point.p.range",
    "device.d.point.p.absent",
    "device.d.point.p.column",
    "plugin.q",
    "plugin.q.points",
    "plugin.q.settings",
    "plugin.d.component",
];

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(|truth| truth.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}").replace("NaN", "nan")),
        ".{0,12}".prop_map(|text| toml::Value::String(text).to_string()),
        "(holding|coil|input)?:?[0-9]{1,6}".prop_map(|text| format!("{text:?}")),
        "[0-9]{1,20}(ms|s|h| MiB| TiB)".prop_map(|text| format!("{text:?}")),
        "(mqtts?://)?[a-z0-9.:\\[\\]/-]{0,20}".prop_map(|text| format!("{text:?}")),
        proptest::sample::select(vec![
            "\"b\"",
            "\"csv\"",
            "\"json\"",
            "\"binary\"",
            "\"(?<a>x)\"",
            "\"WIMWV:1\"",
            "\"0xAAC0\"",
            "\"sum8\"",
            "{ delimiter = \"\\n\" }",
            "{ send = \"?\" }",
            "\"u16\"",
            "\"f32\"",
            "\"even\"",
            "1979-05-27",
            "[1, 0]",
            "[0, 100.5]",
            "{}",
            "0xFFFFFFFFFFFFFFFF",
            "\"u8\"",
            "\"i32\"",
            "\"u64\"",
            "\"text:9\"",
            "\"bcd32\"",
            "\"DCBA\"",
            "\"high\"",
            "\"3\"",
            "\"4..7\"",
            "\"on\"",
            "\"single\"",
            "{ min = 0, max = 10 }",
            "[{ register = \"holding:7\", type = \"u16\", value = 3 }]",
            "[{ register = \"coil:7\", value = true, name = \"x\" }, { register = \"holding:0\", type = \"f32\", value = 1.5 }]",
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|list| format!("[{}]", list.join(", "))),
            prop::collection::btree_map("[a-z_]{1,6}", inner, 0..3).prop_map(|table| {
                let entries: Vec<_> = table.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                format!("{{ {} }}", entries.join(", "))
            }),
        ]
    })
}

/// Settings that fit the configuration below, alone or together with most others, so that many a case runs.
const FITTING: [(&str, &str); 34] = [
    ("bus.b.rs485", "\"off\""),
    ("bus.b.latency", "\"16ms\""),
    ("device.d.max_registers", "40"),
    ("device.d.max_bits", "64"),
    ("device.d.max_hole", "0"),
    ("device.d.mask_write", "true"),
    ("device.d.write_with", "\"single\""),
    ("device.d.setup", "[{ register = \"holding:7\", type = \"u64\", order = \"DCBA\", value = 0xFFFFFFFFFFFFFFFF }]"),
    ("device.d.setup", "[{ register = \"coil:7\", value = true, name = \"x\" }]"),
    ("device.d.point.p.type", "\"u64\""),
    ("device.d.point.p.type", "\"u8\""),
    ("device.d.point.p.type", "\"text:9\""),
    ("device.d.point.p.type", "\"f64\""),
    ("device.d.point.p.type", "\"bcd32\""),
    ("device.d.point.p.order", "\"BADC\""),
    ("device.d.point.p.byte", "\"high\""),
    ("device.d.point.p.bits", "\"4..7\""),
    ("device.d.point.p.bits", "3"),
    ("device.d.point.p.exponent", "\"holding:9\""),
    ("device.d.point.p.scale", "0.1"),
    ("device.d.point.p.offset", "-40"),
    ("device.d.point.p.absent", "[0xFFFFFFFFFFFFFFFF]"),
    ("device.d.point.p.absent", "[0, 0xFFFF]"),
    ("device.d.point.p.enum", "{ 0 = \"off\", 0x1 = \"on\" }"),
    ("device.d.point.p.enum.2", "\"two\""),
    ("device.d.point.p.range", "[-1, 1e3]"),
    ("device.d.point.p.write", "{}"),
    ("device.d.point.p.write", "{ min = 0, max = 6.5 }"),
    ("device.d.point.p.write", "{ min = 0, max = 1, register = \"holding:9\" }"),
    ("device.d.profile", "\"carlo-gavazzi-em24-e1\""),
    ("device.d.points", "[\"power\", \"phase-sequence\"]"),
    ("device.d.settings", "{ measuring-system = \"3p\" }"),
    ("device.f", "{ bus = \"b\", unit_id = 3, profile = \"abb-terra-ac\", settings.communication-timeout = 30 }"),
    ("device.e", "{ bus = \"b\", unit_id = 2, point.p = { register = \"holding:1\", type = \"u32\", radix = 10000 } }"),
];

const WHOLE: &str = "[bus.b]\nserial = \"/dev/rs485\"\nbaud = 9600\n[device.d]\nbus = \"b\"\nunit_id = 1\n\
    point.p = { register = \"holding:1\", type = \"u16\" }\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_value_at_any_key_is_taken_or_told(
        settings in prop::collection::vec(prop_oneof![
            (proptest::sample::select(KEYS.to_vec()), value()),
            proptest::sample::select(FITTING.to_vec()).prop_map(|(key, value)| (key, value.to_owned())),
        ], 1..6),
    ) {
        let folder = Folder::new(&format!("{LEAST}{WHOLE}"));
        let sets = settings.iter().map(|(key, value)| format!("{key}={value}"));
        let loaded = load(&folder.sources().sets(sets));
        prop_assert_eq!(loaded.settings.is_some(), loaded.problems.is_empty());
        prop_assert!(loaded.problems.iter().all(|problem| problem.expected != "what the source can run"));
        if let Some(settings) = &loaded.settings {
            save_last_good(folder.path(), &loaded.merged).unwrap();
            let last = load_last_good(folder.path()).unwrap().unwrap();
            prop_assert_eq!(last.settings.as_ref(), Some(settings));
        }
        prop_assert!(serde_json::to_string(&loaded.problems).is_ok() && serde_json::to_string(&loaded.merged).is_ok());
    }

    #[test]
    fn any_text_is_taken_or_told(text in "\\PC{0,80}", lines in prop::collection::vec("[a-z.\\[\\]={}\" 0-9]{0,20}", 0..6)) {
        let folder = Folder::new(&format!("{text}\n{}", lines.join("\n")));
        let loaded = folder.load();
        prop_assert_eq!(loaded.settings.is_some(), loaded.problems.is_empty());
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = |depth| format!("{LEAST}[plugin.q.settings]\n{} = 1\n", vec!["a"; depth].join("."));
    assert!(Folder::new(&deep(40)).load().problems.iter().any(|problem| problem.found == "a deeper one"));
    assert!(Folder::new(&deep(10_000)).load().settings.is_none());
    let brackets = format!("{LEAST}[plugin.q.settings]\na = {}{}\n", "[".repeat(5_000), "]".repeat(5_000));
    assert!(Folder::new(&brackets).load().settings.is_none());
    let long = "# x\n".repeat(2 << 20);
    let problems = Folder::new(&long).load().problems;
    assert_eq!(problems[0].found, "a larger file");
}
