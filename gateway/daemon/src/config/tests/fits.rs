//! A bus that cannot carry what it is asked for is a problem to whoever checks, and no reason not to run.

use super::{Folder, LEAST};

fn bus(every: &str) -> String {
    bus_with(&format!("every = \"{every}\"\nmin_gap = \"0s\""))
}

/// Forty devices with these keys.
fn bus_with(keys: &str) -> String {
    let device = |unit: u8| {
        format!(
            "[device.d{unit}]\nbus = \"b\"\nunit_id = {unit}\n{keys}\n\
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
fn a_mistake_elsewhere_does_not_hide_it_and_one_of_its_own_does() {
    let loaded = |rest: &str| Folder::new(&format!("{}{rest}", bus("1s"))).load();
    let elsewhere = loaded("[log]\nlevel = 3\n");
    assert_eq!((elsewhere.problems.len(), elsewhere.too_full.len()), (1, 1));
    let own = loaded(
        "[device.e]\nbus = \"b\"\nunit_id = 41\nevery = 5\npoint.x = { register = \"holding:0\", type = \"u16\" }\n",
    );
    assert_eq!((own.problems.len(), own.too_full.len()), (1, 0), "what that device asks for is not known");
}

#[test]
fn a_bus_that_fits_is_not_spoken_of() {
    assert_eq!(Folder::new(&bus("2s")).load().too_full, []);
}

#[test]
fn the_rest_of_an_unknown_device_counts_and_leaving_it_out_is_proposed() {
    // 17.2 ms of characters, 20 ms of rest, 10 ms of the unit's own: 47.2 ms, forty times in 1.6 s.
    let loaded = Folder::new(&bus_with("every = \"1600ms\"")).load();
    let [problem] = loaded.too_full.as_slice() else { panic!("{:?}", loaded.too_full) };
    let text = problem.to_string();
    assert!(text.contains("118 %") && text.ends_with("or with min_gap = \"0s\" on devices that stand it"), "{text}");
}
