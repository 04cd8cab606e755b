//! What editors are told of the settings is what the program takes, and `curb config show` what it took.

use std::collections::BTreeSet;

use boon::{Compiler, Schemas};
use serde_json::Value;

use super::example::{EXAMPLE, with_every_key};
use super::{Folder, LEAST, LINE};
use crate::config::{json_schema, load, typed};

/// What is wrong with a file, as an editor would tell it.
fn complaint(text: &str) -> Option<String> {
    const PLACE: &str = "https://example.net/curb.schema.json";
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler.add_resource(PLACE, json_schema()).unwrap();
    let schema = compiler.compile(PLACE, &mut schemas).unwrap();
    let file: toml::Table = toml::from_str(text).unwrap();
    let file = serde_json::to_value(file).unwrap();
    schemas.validate(&file, schema).err().map(|error| format!("{error:#}"))
}

/// The properties of every table in a schema.
fn properties<'a>(schema: &'a Value, found: &mut Vec<(&'a str, &'a Value)>) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        found.push((key, property));
        properties(property, found);
    }
    properties_below(schema, found);
}

fn properties_below<'a>(schema: &'a Value, found: &mut Vec<(&'a str, &'a Value)>) {
    for below in ["additionalProperties", "items"] {
        if schema[below].is_object() {
            properties(&schema[below], found);
        }
    }
}

#[test]
fn the_schema_has_every_key_and_no_other() {
    let schema = json_schema();
    let mut found = Vec::new();
    for section in schema["properties"].as_object().unwrap().values() {
        properties(section, &mut found);
    }
    let told: BTreeSet<&str> = found.iter().map(|(key, _)| *key).collect();
    let known: BTreeSet<&str> = typed::every_key().into_iter().collect();
    assert_eq!(told, known);
    let shapeless: Vec<_> =
        found.iter().filter(|(_, property)| property.get("type").or(property.get("enum")).is_none()).collect();
    assert!(shapeless.is_empty(), "{shapeless:#?}");
}

#[test]
fn what_curb_takes_has_no_complaint() {
    assert_eq!(complaint(EXAMPLE), None);
    assert_eq!(complaint(&with_every_key()), None);
    assert_eq!(complaint(&format!("{LEAST}{LINE}register = \"holding:0\"\ntype = \"u16\"\nrange = [0, 1.5]\n")), None);
    assert_eq!(complaint("[plugin.p]\nsettings = { any = [1, { thing = true }] }"), None);
}

#[test]
fn what_curb_would_refuse_is_marked() {
    let check = |text: &str, place: &str| {
        let complaint = complaint(text).unwrap_or_else(|| panic!("no complaint about {text}"));
        assert!(complaint.contains(place), "{complaint} should name {place}");
    };
    check("[core]\nretyr = \"1s\"", "/core");
    check("[cor]\nurl = \"mqtts://x\"", "cor");
    check("[core]\nretry = 30", "/core/retry");
    check("[core]\nack = \"nobody\"", "/core/ack");
    check("[core]\nencoding = \"json\"", "/core/encoding");
    check("[bus.b]\nbaud = \"9600\"", "/bus/b/baud");
    check("[bus.b]\nframe = { delimeter = \"x\" }", "/bus/b/frame");
    check("[bus.Cabinet]\nbaud = 9600", "Cabinet");
    check("[device.d]\nunit_id = 1.5", "/device/d/unit_id");
    check("[device.d]\nmask_write = \"yes\"", "/device/d/mask_write");
    check("[device.d.point.p]\nscale = \"0.1\"", "/device/d/point/p/scale");
    check("[device.d.point.p]\nabsent = [\"x\"]", "/device/d/point/p/absent/0");
    check("[device.d.point.p]\nenum = { 0 = 1 }", "/device/d/point/p/enum/0");
    check("[device.d]\nsettings = { a = [1] }", "/device/d/settings/a");
    check("[device.d]\nsetup = [{ value = 1, regster = \"holding:1\" }]", "/device/d/setup/0");
}

#[test]
fn keys_say_what_they_mean_and_what_they_are_by_default() {
    let schema = json_schema();
    let check = |path: &str, default: &str, description: &str| {
        let property = schema.pointer(path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(property["default"].as_str().unwrap_or_default(), default, "{path}");
        let text = property["description"].as_str().unwrap_or_else(|| panic!("{path} has no description"));
        assert!(text.contains(description), "{path}: {text}");
    };
    check("/properties/core/properties/retry", "30s", "1s to 1h");
    check("/properties/core/properties/encoding", "senml-json", "senml-cbor: shorter");
    check("/properties/store/properties/limit", "256 MiB", "");
    check("/properties/bus/additionalProperties/properties/latency", "", "0s to 255ms");
    let device = "/properties/device/additionalProperties/properties";
    check(&format!("{device}/unit_id"), "", "1 to 247");
    check(&format!("{device}/min_gap"), "", "only the 3.5 characters");
    check(&format!("{device}/point/additionalProperties/properties/scale"), "", "multiplied");
    let fixed = ["core", "identity", "paths", "clock", "log", "store", "plugins", "policy"];
    for section in fixed {
        for (key, property) in schema["properties"][section]["properties"].as_object().unwrap() {
            let told = property.get("default").is_some()
                || matches!((section, key.as_str()), ("core", "url" | "fallback" | "proxy") | ("plugins", "socket"));
            assert!(told && property.get("description").is_some(), "{section}.{key}: {property}");
        }
    }
}

#[test]
fn every_setting_is_shown_with_its_place() {
    let folder = Folder::new(&format!(
        "{LEAST}[bus.b]\nserial = \"/dev/rs485\"\nbaud = 9600\n[device.d]\nbus = \"b\"\nunit_id = 1\n\
         profile = \"eastron-sdm120\"\npoints = [\"voltage\"]\n"
    ))
    .with("conf.d/site.toml", "[core]\nretry = \"2s\"\n");
    let sources =
        folder.sources().environment([("CURB__CORE__GRACE".into(), "3s".into())]).sets(["core.ack=core".to_owned()]);
    let loaded = load(&sources);
    assert_eq!(folder.show(&loaded.problems), "");
    let (leaves, dir) = (loaded.merged.leaves(), format!("{}/", folder.path().display()));
    let check = |path: &str, expected: &str| {
        let leaf = leaves.iter().find(|leaf| leaf.path() == path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(format!("{} from {}", leaf.value, leaf.origin).replace(&dir, ""), expected, "{path}");
    };
    check("hub.site", "\"elm-street\" from curb.toml:2:1");
    check("core.retry", "\"2s\" from conf.d/site.toml:2:1");
    check("core.grace", "\"3s\" from environment CURB__CORE__GRACE");
    check("core.ack", "\"core\" from --set core.ack=core");
    check("core.keep_alive", "\"30s\" from default");
    let unit = leaves.iter().find(|leaf| leaf.path() == "device.d.point.voltage.unit").unwrap();
    assert!(unit.origin.place().0.is_some_and(|file| file == "built-in/eastron-sdm120.toml"), "{:?}", unit.origin);
    assert!(
        unit.is_below("device.d") && unit.is_below("device.d.point.voltage.unit") && !unit.is_below("device.d.point.v")
    );
}
