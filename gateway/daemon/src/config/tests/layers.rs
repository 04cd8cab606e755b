//! Later layers win, key by key, and every setting knows where it was written.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::{Folder, LEAST};
use crate::config::{Ack, Loaded, Sources, load};

fn variable(name: &str, value: &str) -> (OsString, OsString) {
    (name.into(), value.into())
}

/// Where a key was written, as it is shown.
fn origin(folder: &Folder, loaded: &Loaded, key: &[&str]) -> String {
    let node = loaded.merged.0.at(key.iter().copied()).unwrap();
    let folder = format!("{}/", folder.path().display());
    node.origin.to_string().replace(&folder, "")
}

#[test]
fn later_layers_win_and_are_known_by_name() {
    let folder = Folder::new(&format!("{LEAST}retry = \"1s\"\nkeep_alive = \"11s\"\nack = \"core\"\ngrace = \"1s\"\n"))
        .with("conf.d/20-b.toml", "log.level = \"warn\"\n\n[core]\nreconnect_spread = \"3s\"\n")
        .with(
            "conf.d/10-a.toml",
            "[core]\nretry = \"2s\"\nreconnect_spread = \"2s\"\nkeep_alive = \"22s\"\nack = \"core\"",
        );
    let sources = folder
        .sources()
        .environment([
            variable("CURB__CORE__KEEP_ALIVE", "33s"),
            variable("CURB__CORE__ACK", "core"),
            variable("CURB_RUN_DIR", "/x"),
        ])
        .sets(["core.ack=broker".to_owned()]);
    let loaded = load(&sources);
    assert_eq!(folder.show(&loaded.problems), "");
    let core = loaded.settings.as_ref().unwrap().core.clone();
    assert_eq!(core.retry.as_secs(), 2);
    assert_eq!(core.reconnect_spread.as_secs(), 3);
    assert_eq!(core.keep_alive.as_secs(), 33);
    assert_eq!(core.ack, Ack::Broker);
    assert_eq!(core.address.to_string(), "core.example:8883");
    let check = |key: &[&str], expected: &str| assert_eq!(origin(&folder, &loaded, key), expected, "{key:?}");
    check(&["core"], "curb.toml:3:2");
    check(&["core", "grace"], "curb.toml:8:1");
    check(&["core", "retry"], "conf.d/10-a.toml:2:1");
    check(&["core", "reconnect_spread"], "conf.d/20-b.toml:4:1");
    check(&["core", "keep_alive"], "environment CURB__CORE__KEEP_ALIVE");
    check(&["core", "ack"], "--set core.ack=broker");
    check(&["store", "limit"], "default");
}

#[test]
fn named_tables_merge_key_by_key() {
    let folder = Folder::new(&format!(
        "{LEAST}[bus.b]\ntcp = \"192.0.2.1\"\n[device.d]\nbus = \"b\"\nunit_id = 1\npoint.p.register = \"coil:0\"\n"
    ))
    .with("conf.d/site.toml", "[device.d]\nunit_id = 9\npoint.q.register = \"coil:1\"");
    let loaded =
        load(&folder.sources().sets(["device.d.timeout=2s".to_owned(), "device.d.point.q.range=[0,1]".to_owned()]));
    assert_eq!(
        folder.show(&loaded.problems),
        "--set device.d.point.q.range=[0,1]: error: device.d.point.q.range: found [0, 1], expected no range: the type is not a number"
    );
    let loaded = load(&folder.sources().sets(["device.d.timeout=2s".to_owned()]));
    let settings = loaded.settings.unwrap();
    assert_eq!(settings.points.len(), 2);
    let curb_source::DeviceConfig::Modbus(device) =
        settings.source.buses.values().next().unwrap().devices.values().next().unwrap()
    else {
        panic!("not a Modbus device")
    };
    assert_eq!((device.unit_id, device.timeout.unwrap().as_secs()), (9, 2));
}

#[test]
fn problems_name_the_variable_or_the_argument() {
    let check = |variables: Vec<(OsString, OsString)>, sets: &[&str], expected: &str| {
        let folder = Folder::new(LEAST);
        let sources = folder.sources().environment(variables).sets(sets.iter().map(|&set| set.to_owned()));
        assert_eq!(folder.show(&load(&sources).problems), expected);
    };
    check(
        vec![variable("CURB__CORE__RETRY", "30")],
        &[],
        "environment CURB__CORE__RETRY: error: core.retry: found \"30\", expected a duration from 1s to 1h\n  help: add a unit: \"30s\"",
    );
    check(
        vec![variable("CURB__CORE__RETYR", "30s")],
        &[],
        "environment CURB__CORE__RETYR: error: core.retyr: found an unknown key, expected one of url, fallback, proxy, ack, retry, reconnect_spread, keep_alive, grace, encoding, compress, linger, bytes_per_day, bytes_per_minute\n  help: did you mean \"retry\"?",
    );
    check(
        vec![variable("CURB__BUS__CABINET__BAUD", "9600")],
        &[],
        "environment CURB__BUS__CABINET__BAUD: error: bus.cabinet.baud: found a table of [bus], expected one of the sections that the environment can set: hub, core, identity, paths, clock, log, store, plugins, policy\n  help: write [bus.…] in a file, or use --set",
    );
    check(
        vec![variable("CURB__CROE__URL", "x")],
        &[],
        "environment CURB__CROE__URL: error: found the variable CURB__CROE__URL, expected CURB__SECTION__KEY, with a section of hub, core, identity, paths, clock, log, store, plugins, policy\n  help: did you mean \"core\"?",
    );
    check(
        vec![variable("CURB__CORE", "x")],
        &[],
        "environment CURB__CORE: error: found the variable CURB__CORE, expected CURB__SECTION__KEY, with a section of hub, core, identity, paths, clock, log, store, plugins, policy",
    );
    check(
        vec![("CURB__HUB__SITE".into(), OsString::from_vec(vec![0xff]))],
        &[],
        "environment CURB__HUB__SITE: error: hub.site: found bytes that are no text, expected UTF-8",
    );
    check(
        vec![],
        &["core.retry=30"],
        "--set core.retry=30: error: core.retry: found 30, expected a duration from 1s to 1h\n  help: add a unit: \"30s\"",
    );
    check(
        vec![],
        &["core.retry"],
        "--set core.retry: error: found \"core.retry\", expected key=value\n  help: for example --set core.ack=core",
    );
    check(vec![], &["hub.site=12"], "--set hub.site=12: error: hub.site: found 12, expected text in quotes");
    check(vec![], &["bus=5"], "--set bus=5: error: bus: found 5, expected a table for each bus: [bus.NAME]");
    check(vec![], &["log=5"], "--set log=5: error: log: found 5, expected a table");
    check(
        vec![],
        &["=5"],
        "--set =5: error: found \"=5\", expected key=value\n  help: for example --set core.ack=core",
    );
    check(
        vec![],
        &["x[999999999]=5"],
        "--set x[999999999]=5: error: found \"x[999999999]=5\", expected key=value\n  help: for example --set core.ack=core",
    );
}

#[test]
fn only_what_differs_is_different() {
    let folder = Folder::new(&format!("{LEAST}[bus.b]\ntcp = \"192.0.2.1\"\n"));
    let one = |set: &str| load(&folder.sources().sets([set.to_owned()])).settings.unwrap();
    let (a, b) = (one("log.level=info"), one("bus.b.tcp=192.0.2.2"));
    assert_eq!((&a.core, &a.store, &a.pipeline), (&b.core, &b.store, &b.pipeline));
    assert_ne!(a.source, b.source);
    assert_eq!(a, load(&Sources::new(folder.path().join("curb.toml"))).settings.unwrap());
}
