//! What a scan found as a config: `curb check` accepts it beside the sections that every hub has.

use std::fmt::Write as _;
use std::io::Write;

use curb_model::Name;
use curb_source::Link;

use super::super::Error;
use super::fingerprint::Strength;
use super::{Report, Setting};

/// A device cannot be without a point; this one can be replaced by what its manual says.
const SOME_REGISTER: &str = "holding:0";

/// Prints the config, all else as comments.
pub(super) fn print(report: &Report, out: &mut impl Write) -> Result<(), Error> {
    super::report::print(report, "# ", out)?;
    out.write_all(blocks(report).as_bytes())?;
    Ok(())
}

/// `[bus]` and `[device]` tables.
fn blocks(report: &Report) -> String {
    let mut text = String::new();
    let bus = match &report.bus.name {
        Some(name) => name.to_string(),
        None => name(&report.bus.label, 32),
    };
    let setting = report.units.iter().find_map(|unit| unit.setting);
    let place = toml_text(&report.bus.link.place());
    let mut line = |arguments: std::fmt::Arguments<'_>| writeln!(text, "{arguments}").expect("a String takes all");
    line(format_args!("\n[bus.{bus}]"));
    match (&report.bus.link, setting) {
        (Link::Rtu(serial) | Link::Talker { serial, .. }, setting) => {
            let setting = setting.unwrap_or_else(|| Setting::of(serial));
            line(format_args!("serial = {place}"));
            line(format_args!("baud = {}", setting.baud));
            line(format_args!("parity = \"{}\"", setting.parity_word()));
            line(format_args!("stop = {}", setting.stop));
        }
        (Link::Tcp(_), _) => line(format_args!("tcp = {place}")),
        (Link::RtuOverTcp(_), _) => line(format_args!("rtu_over_tcp = {place}")),
    }
    for unit in &report.units {
        let (id, identity) = (&unit.id, unit.identity.clone().unwrap_or_default());
        if report.bus.name.is_some() && report.bus.units().contains(id) {
            line(format_args!("\n# unit {id} is configured already"));
            continue;
        }
        line(format_args!("\n# {}", unit.words()));
        line(format_args!("[device.{}-{id}]", name(&bus, 28)));
        line(format_args!("bus = \"{bus}\""));
        line(format_args!("unit_id = {id}"));
        if let (Some(profile), Some(Strength::Sure)) = (&identity.profile, identity.fit) {
            line(format_args!("profile = \"{profile}\""));
            continue;
        }
        let register = identity.readable.unwrap_or(SOME_REGISTER);
        let point = register.replace(':', "-");
        line(format_args!("point.{point} = {{ register = \"{register}\", type = \"u16\" }}"));
    }
    text
}

/// A name of at most `most` characters that the config takes.
fn name(label: &str, most: usize) -> String {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let lower = label.to_ascii_lowercase();
    let text: String = lower.chars().map(|c| if fits(c) { c } else { '-' }).take(most).collect();
    let text = text.trim_matches('-').to_owned();
    if Name::new(&text).is_ok() { text } else { "line".to_owned() }
}

/// A basic TOML string.
fn toml_text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use curb_source::SerialConfig;

    use super::super::identify::Identity;
    use super::super::sweep::Check;
    use super::super::{Bus, Report, Unit};
    use super::*;

    #[test]
    fn curb_check_accepts_what_is_proposed() {
        let check = |link: Link, label: &str, setting: Option<Setting>, words: &str, profile: Option<&str>| {
            let units = vec![1_u8, 3, 247].into_iter().map(|id| Unit {
                id,
                setting,
                identity: Some(Identity {
                    identification: vec![words.to_owned()],
                    profile: profile.map(str::to_owned),
                    fit: Some(Strength::Sure),
                    ..Identity::default()
                }),
            });
            let bus = Bus { label: label.to_owned(), name: None, link, settings: None, devices: [].into() };
            let units = units.collect();
            let took = Duration::from_secs(1);
            let report = Report { bus, units, verdicts: Vec::new(), requests: 9, took, complete: true };
            let mut text = b"[hub]\nsite = \"s\"\n[core]\nurl = \"mqtts://core.example\"\n".to_vec();
            print(&report, &mut text).unwrap();
            let folder = tempfile::TempDir::new().unwrap();
            let path = folder.path().join("curb.toml");
            std::fs::write(&path, &text).unwrap();
            let loaded = crate::config::load(&crate::config::Sources::new(&path));
            let text = String::from_utf8(text).unwrap();
            assert_eq!(loaded.problems, [], "{text}");
            let buses = loaded.settings.unwrap().source.buses;
            let bus = buses.values().next().unwrap();
            assert_eq!(bus.devices.len(), 3, "{text}");
        };
        let setting = Setting { baud: 4_800, parity: Check::Odd, stop: 2 };
        let serial = SerialConfig::new("/dev/serial/by-path/a \"b\"", 9_600);
        check(Link::Rtu(serial), "ttyUSB0", Some(setting), "Acme\" = EM", None);
        let serial = |path: &str| Link::Rtu(SerialConfig::new(path, 9_600));
        check(serial("/dev/x"), "x", Some(setting), "", Some("eastron-sdm120"));
        check(Link::Tcp("192.0.2.1:502".to_owned()), "192.0.2.1:502", None, "# ]", None);
    }
}
