//! No version that was frozen changes, and none that follows breaks a plugin of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Broken, Version, is_upgrade, versions};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");
const FILE: &str = "curb-plugin.wit";
const DIGESTS: &str = "frozen.sha256";

fn text(version: Version) -> String {
    fs::read_to_string(format!("{FOLDER}/{version}/{FILE}")).unwrap()
}

fn newest() -> (Version, String) {
    let newest = *versions(Path::new(FOLDER)).unwrap().last().unwrap();
    (newest, text(newest))
}

/// The version behind it on its track.
fn bumped(text: &str, Version(major, minor, patch): Version) -> String {
    let package = |patch| format!("package curb:plugin@{major}.{minor}.{patch};");
    assert_eq!(text.matches(&package(patch)).count(), 1);
    text.replace(&package(patch), &package(patch + 1))
}

/// Whether the digests in `folder` are those of its files.
fn is_as_frozen(folder: &Path) -> bool {
    let check =
        Command::new("sha256sum").args(["--check", "--strict", "--status", DIGESTS]).current_dir(folder).status();
    check.unwrap().success()
}

#[test]
fn a_frozen_file_is_as_it_was_frozen_and_a_comma_more_is_found() {
    assert!(is_as_frozen(Path::new(FOLDER)), "a frozen file was changed: make a new version instead");
    let copy = tempfile::tempdir().unwrap();
    for line in fs::read_to_string(format!("{FOLDER}/{DIGESTS}")).unwrap().lines() {
        let (_, file) = line.split_once("  ").unwrap();
        fs::create_dir_all(copy.path().join(file).parent().unwrap()).unwrap();
        fs::copy(format!("{FOLDER}/{file}"), copy.path().join(file)).unwrap();
    }
    fs::copy(format!("{FOLDER}/{DIGESTS}"), copy.path().join(DIGESTS)).unwrap();
    assert!(is_as_frozen(copy.path()));
    let file = copy.path().join(format!("0.1.0/{FILE}"));
    fs::write(&file, fs::read_to_string(&file).unwrap().replacen("hub.", "hub,", 1)).unwrap();
    assert!(!is_as_frozen(copy.path()));
}

#[test]
fn only_the_newest_version_may_be_unfrozen() {
    let digests = fs::read_to_string(format!("{FOLDER}/{DIGESTS}")).unwrap();
    let versions = versions(Path::new(FOLDER)).unwrap();
    for version in &versions[..versions.len() - 1] {
        assert!(
            digests.contains(&format!("  {version}/{FILE}\n")),
            "{version} is older than the newest and not in {DIGESTS}"
        );
    }
    assert!(digests.contains(&format!("  0.1.0/{FILE}\n")));
}

#[test]
fn each_version_runs_the_plugins_of_the_one_before_it() {
    let versions = versions(Path::new(FOLDER)).unwrap();
    for version in &versions {
        assert!(text(*version).contains(&format!("package curb:plugin@{version};\n")), "{version}");
    }
    for pair in versions.windows(2).filter(|pair| pair[0].track() == pair[1].track()) {
        is_upgrade(&text(pair[0]), &text(pair[1]))
            .unwrap_or_else(|error| panic!("{} to {}: {error}", pair[0], pair[1]));
    }
}

/// What the bindings of the plugin host are tested with as a version that is newer than a component.
#[test]
fn what_the_host_is_tested_with_as_a_newer_version_is_an_upgrade() {
    let newer = fs::read_to_string(format!("{FOLDER}/../../gateway/pipeline/tests/it/newer.wit")).unwrap();
    is_upgrade(&text(Version(0, 1, 0)), &newer).unwrap();
    // And back it is none: a plugin that uses what is new does not run on an older hub.
    assert!(matches!(is_upgrade(&newer, &text(Version(0, 1, 0))), Err(Broken::Incompatible { .. })));
}

/// Puts `to` in the place of `from` in the newest version, as the version behind it.
fn change(from: &str, to: &str) -> Result<(), Broken> {
    let (version, old) = newest();
    assert_eq!(old.matches(from).count(), 1, "{from:?} stands once");
    is_upgrade(&old, &bumped(&old, version).replace(from, to))
}

#[test]
fn what_a_plugin_need_not_know_of_may_be_added() {
    for (from, to) in [
        ("interface log {", "/// Words.\ninterface log {"),
        ("  counter-add: func", "  timer-add: func(name: string, ns: u64);\n  counter-add: func"),
        ("world filter {", "interface labels { label: func(name: string); }\nworld filter {\n  import labels;"),
        ("world filter {", "world source { import log; export tick: func(); }\nworld filter {"),
        ("  record point {", "  record range { low: f64, high: f64 }\n  record point {"),
    ] {
        change(from, to).unwrap_or_else(|error| panic!("{to}: {error}"));
    }
}

#[test]
fn what_breaks_a_plugin_is_found() {
    for (from, to) in [
        // A record, an enum, a variant: each has the shape that it has.
        ("record plan { tick-ms: u32 }", "record plan { tick-ms: u32, jitter-ms: u32 }"),
        ("enum class { data, alarm }", "enum class { data, alarm, audit }"),
        ("enum level { debug, info, warn, error }", "enum level { debug, info, warn }"),
        ("text(string), raw(list<u8>) }", "text(string), raw(list<u8>), flag(bool) }"),
        ("record now { time: hub-time, utc-offset: option<s64> }", "record now { time: hub-time, utc-offset: s64 }"),
        // A function: what it takes, what it gives, that it is there.
        ("counter-add: func(name: string, n: u64);", "counter-add: func(name: string, n: u32);"),
        ("snapshot: func() -> result<saved, string>;", "snapshot: func() -> saved;"),
        ("  gauge-set: func(name: string, v: f64);", ""),
        ("  import log;\n", ""),
        // More is asked of a plugin than it was built to answer.
        ("  finish: func(now: now)", "  pause: func();\n  finish: func(now: now)"),
        ("  export transform;", "  export transform;\n  export ready: func();"),
        ("world stateful-filter {", "world keeping-filter {"),
    ] {
        assert!(matches!(change(from, to), Err(Broken::Incompatible { .. })), "{from:?} as {to:?} goes unnoticed");
    }
    assert!(matches!(change("interface log {", "interface {"), Err(Broken::Parse { .. })));
}

#[test]
fn versions_of_one_track_link_to_each_other() {
    let version = |text| Version::parse(text).unwrap();
    for (one, other, same) in
        [("0.1.0", "0.1.9", true), ("0.1.0", "0.2.0", false), ("1.0.0", "1.3.1", true), ("0.1.0", "1.1.0", false)]
    {
        assert_eq!(version(one).track() == version(other).track(), same, "{one} {other}");
    }
    for text in ["", "1", "0.1", "0.1.0.0", "0.1.x", "0.1.0-rc", "00.1.0", "src"] {
        assert_eq!(Version::parse(text), None, "{text}");
    }
    assert!(version("0.2.0") > version("0.1.9"));
}
