//! The promises of the spine, each kept by the real binaries against parts that we did not write.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic that says why")]

mod air;
mod aside;
mod author;
mod bestiary;
mod cards;
mod clock;
mod commands;
mod config;
mod delivery;
mod devices;
mod disk;
mod plugins;
mod policy;
mod project;
mod reconnect;
mod refusals;
mod serial;
mod service;
mod soak;
mod tools;
mod wire;

use std::path::PathBuf;

/// One TCP device on `port`, unit 1, some points of the peers' register map.
fn meter(port: u16, every: &str) -> String {
    format!(
        "[bus.lan]\ntcp = \"127.0.0.1:{port}\"\n\n[device.meter]\nbus = \"lan\"\nunit_id = 1\nevery = \"{every}\"\n\
         [device.meter.point.voltage]\nregister = \"holding:100\"\ntype = \"f32\"\nunit = \"V\"\n\
         [device.meter.point.voltage-swapped]\nregister = \"holding:102\"\ntype = \"f32\"\norder = \"CDAB\"\nunit = \"V\"\n\
         [device.meter.point.celsius]\nregister = \"holding:104\"\ntype = \"i16\"\nunit = \"Cel\"\n\
         [device.meter.point.balance]\nregister = \"holding:105\"\ntype = \"i32\"\n\
         [device.meter.point.total]\nregister = \"holding:107\"\ntype = \"u32\"\norder = \"CDAB\"\nunit = \"J\"\n\
         [device.meter.point.level]\nregister = \"input:7\"\ntype = \"u16\"\nscale = 0.1\nunit = \"%\"\n\
         [device.meter.point.door]\nregister = \"coil:1\"\ntype = \"bool\"\n\
         [device.meter.point.lid]\nregister = \"discrete:2\"\ntype = \"bool\"\n\n"
    )
}

/// What [`meter`] reads from libmodbus and pymodbus alike.
const METER: [(&str, &str); 8] = [
    ("meter/voltage", "230.1"),
    ("meter/voltage-swapped", "230.1"),
    ("meter/celsius", "-5"),
    ("meter/balance", "-70000"),
    ("meter/total", "3000000000"),
    ("meter/level", "7"),
    ("meter/door", "true"),
    ("meter/lid", "false"),
];

/// The deadband component that `make plugins` builds.
fn component(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../plugins/target/components").join(name);
    assert!(path.exists(), "{} is missing: make plugins", path.display());
    path
}
