//! Promises of `curb profiles`.

use super::profiles;
use crate::cli::ConfigArgs;

fn ask(folder: &std::path::Path, name: Option<&str>, json: bool) -> String {
    let sets = vec![format!("paths.profiles={folder:?}")];
    let args = ConfigArgs { config: folder.join("no-curb.toml"), conf_d: None, sets };
    let mut out = Vec::new();
    let _code = profiles(&args, name, json, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn every_profile_is_listed_and_can_be_shown() {
    let folder = tempfile::tempdir().unwrap();
    let list = ask(folder.path(), None, false);
    let document: serde_json::Value = serde_json::from_str(&ask(folder.path(), None, true)).unwrap();
    assert_eq!(document["profiles"].as_array().unwrap().len(), curb_profiles::embedded().count());
    for (name, text) in curb_profiles::embedded() {
        assert!(list.lines().any(|line| line.starts_with(&format!("{name} "))), "{name}");
        let profile = curb_profiles::Profile::parse(name, text).unwrap();
        let shown = ask(folder.path(), Some(name), false);
        for point in profile.device.points.keys() {
            assert!(shown.lines().any(|line| line.starts_with(point.as_str())), "{name}: {point}");
        }
        let document: serde_json::Value = serde_json::from_str(&ask(folder.path(), Some(name), true)).unwrap();
        assert_eq!(document["points"].as_array().unwrap().len(), profile.device.points.len());
    }
}

#[test]
fn a_profile_says_what_an_installer_wants_to_know() {
    let folder = tempfile::tempdir().unwrap();
    let shown = ask(folder.path(), Some("carlo-gavazzi-em24-e1"), false);
    for line in [
        "as delivered: TCP port 502, unit id 1",
        "at each connect holding:40960 is set to 7: application H: in the others export and the phases' own registers are not served",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    let depends = "if measuring-system is \"3p-n\" or \"3p-1\" or \"3p\"";
    assert!(shown.contains(depends) && shown.contains("as delivered \"3p-n\""), "{shown}");
    assert!(ask(folder.path(), Some("peacefair-pzem-016"), false).contains("9600 baud 8N1"));
}

#[test]
fn a_folder_adds_to_the_list_and_its_mistakes_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (_, text) = curb_profiles::embedded().next().unwrap();
    std::fs::write(folder.path().join("our-meter.toml"), text).unwrap();
    std::fs::write(folder.path().join("broken.toml"), "[profile]\nmaker = 5\n").unwrap();
    let list = ask(folder.path(), None, false);
    assert!(list.lines().any(|line| line.starts_with("our-meter ") && line.ends_with("our-meter.toml")), "{list}");
    assert!(list.contains("broken.toml: failed to read profile broken, line 2: profile.maker: found"), "{list}");
    let error = serde_json::json!({ "v": 1, "error": "no profile \"our-metre\"; did you mean \"our-meter\"?" });
    assert_eq!(ask(folder.path(), Some("our-metre"), true), format!("{error}\n"));
}
