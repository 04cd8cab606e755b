//! A bus that cannot carry what it is asked for is a problem to whoever checks, and no reason not to run.

use super::{Folder, LEAST};

fn bus(every: &str) -> String {
    let device = |unit: u8| {
        format!(
            "[device.d{unit}]\nbus = \"b\"\nunit_id = {unit}\nevery = \"{every}\"\n\
             point.x = {{ register = \"holding:0\", type = \"u16\" }}\n"
        )
    };
    let devices: String = (1..=40).map(device).collect();
    format!("{LEAST}[bus.b]\nserial = \"/dev/serial/by-path/x\"\nbaud = 9600\n{devices}")
}

#[test]
fn a_bus_that_cannot_fit_is_told_with_its_place_and_what_would() {
    let folder = Folder::new(&bus("1s"));
    let loaded = folder.load();
    let expected = "curb.toml:5:6: error: bus.b: found devices that keep the line busy for 125 % of its time, expected at \
                    most 100 %, if each unit answers within 10ms\n  help: it fits at 19200 baud, or with all periods 2 \
                    times as long";
    assert_eq!(folder.show(&loaded.too_full), expected);
    assert!(loaded.settings.is_some() && loaded.problems.is_empty(), "a hub runs it");
}

#[test]
fn a_bus_that_fits_is_not_spoken_of() {
    assert_eq!(Folder::new(&bus("2s")).load().too_full, []);
}
