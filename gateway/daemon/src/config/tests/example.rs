//! The example that people copy is right, whole, and honest about its defaults.

use super::Folder;
use crate::config::load;

pub(super) const EXAMPLE: &str = include_str!("../../../curb.example.toml");

/// Takes the comment sign off settings that are shown with their default.
pub(super) fn with_every_key() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
            format!("{rest}\n")
        }
        _ => format!("{line}\n"),
    };
    EXAMPLE.lines().map(line).collect()
}

#[test]
fn the_example_is_right() {
    let folder = Folder::new(EXAMPLE);
    let loaded = folder.load();
    assert_eq!(folder.show(&loaded.problems) + &folder.show(&loaded.warnings), "");
    assert_eq!(loaded.settings.unwrap().points.len(), 21);
}

#[test]
fn the_example_shows_every_default_as_it_is() {
    let folder = Folder::new(&with_every_key()).with("deadband.wasm", "");
    let dir = format!("plugins.dir={:?}", folder.path());
    let loaded = load(&folder.sources().sets([dir]));
    assert_eq!(folder.show(&loaded.problems) + &folder.show(&loaded.warnings), "");
    let every_key = loaded.settings.unwrap();
    let mut defaults = Folder::new(EXAMPLE).load().settings.unwrap();

    let plugin = &every_key.pipeline.plugins[0];
    assert_eq!(plugin.limits, curb_pipeline::Limits::default());
    assert_eq!(plugin.on_failure, curb_pipeline::OnFailure::default());
    defaults.pipeline = every_key.pipeline.clone();
    // These have no default: they stand there as one may write them.
    assert_eq!(
        every_key.core.fallback.clone().map(|fallback| fallback.to_string()).unwrap(),
        "core2.city.example:8883"
    );
    assert_eq!(every_key.core.proxy.as_ref().unwrap().address.to_string(), "proxy.city.example:3128");
    defaults.core.fallback = every_key.core.fallback.clone();
    defaults.core.proxy = every_key.core.proxy.clone();
    assert_eq!(every_key, defaults);
}

#[test]
fn the_example_shows_every_key() {
    let text = with_every_key();
    let shown = |key: &str| text.lines().any(|line| line.split([' ', '{', ',', '.', '[', ']']).any(|word| word == key));
    let keys = crate::config::typed::every_key();
    let absent: Vec<_> = keys.into_iter().filter(|key| !shown(key)).collect();
    assert_eq!(absent, ["rubbish"; 0]);
}

/// The example of the design.
#[test]
fn the_design_loads() {
    let text = r#"
        [hub]
        site = "port-credit"                  # the hub's name comes from its certificate

        [core]
        url = "mqtts://core.city.example:8883"
        ack = "broker"

        [bus.cabinet]                         # RS-485
        serial = "/dev/serial/by-path/platform-usb-0:1.2:1.0"
        baud = 19200
        parity = "even"                       # data = 8, stop = 1

        [bus.charger]
        tcp = "192.0.2.10:502"

        [device.meter]
        bus = "cabinet"
        unit_id = 3
        profile = "eastron-sdm120"            # points come from provisioning/profiles

        [device.shelter-light]
        bus = "cabinet"
        unit_id = 7
        timeout = "300ms"
        [device.shelter-light.point.dim-level]
        register = "holding:100"
        type = "u16"
        scale = 0.1
        unit = "%"
        every = "5s"
        range = [0, 100]
        absent = [0xFFFF]
        write = { min = 0, max = 100 }

        [bus.air]                             # a sensor that talks by itself
        serial = "/dev/ttyUSB1"
        baud = 9600
        frame = { delimiter = "\n", max = 128 }
        [device.air]
        bus = "air"
        decode = "csv"
        point.pm25 = { column = 1, type = "f64", unit = "ug/m3" }
        point.pm10 = { column = 2, type = "f64", unit = "ug/m3" }

        [plugin.quiet]
        order = 10
        component = "deadband.wasm"
        points = ["meter/*", "air/*"]
        settings = { default = 0.5 }
        on_failure = "pass"

        [store]
        limit = "256 MiB"
        when_full = "drop-oldest"
        commit_every = "1s"
    "#;
    let folder = Folder::new(text).with("deadband.wasm", "");
    let dir = format!("plugins.dir={:?}", folder.path());
    let loaded = load(&folder.sources().sets([dir]));
    assert_eq!(folder.show(&loaded.problems), "");
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert_eq!(loaded.warnings[0].key, "bus.air.serial");
    let settings = loaded.settings.unwrap();
    assert!(settings.points.len() > 8, "{} points", settings.points.len());
    assert_eq!(settings.source.buses.len(), 3);
}
