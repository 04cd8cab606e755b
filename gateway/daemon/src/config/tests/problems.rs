//! Every mistake is told with its place, what was found, what was expected, and what to do.

use super::{Folder, LEAST, LINE, check};

#[test]
fn the_core_is_spoken_to_over_tls_only() {
    let url = |url: &str, expected: &str| {
        let folder = Folder::new(&format!("[hub]\nsite = \"s\"\n[core]\nurl = \"{url}\"\n"));
        let loaded = folder.load();
        assert_eq!(folder.show(&loaded.problems), expected);
    };
    url(
        "mqtt://core.example:1883",
        r#"curb.toml:4:1: error: core.url: found "mqtt://core.example:1883", expected mqtts://host[:port]
  help: Curb speaks to the core over TLS only: mqtts://, usually port 8883"#,
    );
    url(
        "core.example",
        r#"curb.toml:4:1: error: core.url: found "core.example", expected mqtts://host[:port]
  help: did you mean "mqtts://core.example"?"#,
    );
    url("mqtts://", r#"curb.toml:4:1: error: core.url: found "mqtts://", expected mqtts://host[:port]"#);
    url(
        "mqtts://core.example:0",
        r#"curb.toml:4:1: error: core.url: found "mqtts://core.example:0", expected mqtts://host[:port]"#,
    );
    url(
        "mqtts://core.example:99999",
        r#"curb.toml:4:1: error: core.url: found "mqtts://core.example:99999", expected mqtts://host[:port]"#,
    );
    url(
        "https://core.example",
        r#"curb.toml:4:1: error: core.url: found "https://core.example", expected mqtts://host[:port]"#,
    );
    url("mqtts://[::1", r#"curb.toml:4:1: error: core.url: found "mqtts://[::1", expected mqtts://host[:port]"#);
    url("mqtts://[::1]:8884", "");
    url("mqtts://core.example/", "");
}

#[test]
fn names_are_plain() {
    check(
        "[bus.Cabinet_1]\ntcp = \"192.0.2.1\"",
        r#"curb.toml:5:6: error: bus.Cabinet_1: found the name "Cabinet_1", expected a name: 1 to 32 of a-z, 0-9 and -
  help: for example "cabinet-1""#,
    );
    check(
        "[bus.quality]\ntcp = \"192.0.2.1\"",
        r#"curb.toml:5:6: error: bus.quality: found the name "quality", expected a name: 1 to 32 of a-z, 0-9 and -
  help: "quality" is a word that Curb keeps for itself"#,
    );
    check(
        "[bus.\"\"]\ntcp = \"192.0.2.1\"\nbaud = 1",
        r#"curb.toml:5:6: error: bus."": found the name "", expected a name: 1 to 32 of a-z, 0-9 and -"#,
    );
    check(
        &LINE.replace("point.p", "point.P"),
        r#"curb.toml:11:17: error: device.d.point.P: found the name "P", expected a name: 1 to 32 of a-z, 0-9 and -
  help: for example "p""#,
    );
    check("[device]\nd = 5", "curb.toml:6:1: error: device.d: found 5, expected a table");
    check(
        "[hubs]\nsite = \"x\"\n[polic]\nallow = []",
        r#"curb.toml:5:2: error: hubs: found an unknown section, expected one of hub, core, identity, paths, clock, log, store, plugins, policy, bus, device, plugin
  help: did you mean "hub"?
curb.toml:7:2: error: polic: found an unknown section, expected one of hub, core, identity, paths, clock, log, store, plugins, policy, bus, device, plugin
  help: did you mean "policy"?"#,
    );
    check(
        "[log]\nlevl = \"info\"\nformat = \"xml\"",
        r#"curb.toml:6:1: error: log.levl: found an unknown key, expected one of level, format
  help: did you mean "level"?
curb.toml:7:1: error: log.format: found "xml", expected "text" or "json""#,
    );
}

#[test]
fn plugins_have_a_file_and_something_to_see() {
    let line = format!("{LINE}register = \"coil:1\"\n");
    let plugin = |text: &str, expected: &str| check(&format!("{line}[plugin.q]\n{text}"), expected);
    plugin(
        "",
        r#"curb.toml:13:9: error: plugin.q.component: found nothing, expected the plugin's file: component = "deadband.wasm"
curb.toml:13:9: error: plugin.q.points: found nothing, expected what it sees: points = ["meter/*"]"#,
    );
    plugin(
        "component = \"/no/such.wasm\"\npoints = [\"d/*\"]",
        r#"curb.toml:14:1: error: plugin.q.component: found "/no/such.wasm", expected a file: there is none at /no/such.wasm
  help: a path that is not absolute is looked up in [plugins] dir"#,
    );
    plugin(
        "component = \"/bin/sh\"\npoints = [\"d\", \"e/*\", \"D/*\", \"q/*\"]",
        r#"curb.toml:15:11: error: plugin.q.points.0: found "d", expected a glob over device/point, such as "meter/*" or "*/power"
  help: did you mean "d/*"?
curb.toml:15:23: error: plugin.q.points.2: found "D/*", expected a glob over device/point, such as "meter/*" or "*/power"
curb.toml:15:16: warning: plugin.q.points.1: found "e/*", expected a glob that some point matches
curb.toml:15:30: warning: plugin.q.points.3: found "q/*", expected points of devices: no plugin sees what another one makes"#,
    );
    plugin(
        "component = \"/bin/sh\"\npoints = []\nsettings = 5\non_failure = \"ignore\"\nmemory = 8\ncomponent_size = \"1 GiB\"",
        r#"curb.toml:15:1: error: plugin.q.points: found [], expected at least one glob, such as "meter/*"
curb.toml:16:1: error: plugin.q.settings: found 5, expected a table
curb.toml:17:1: error: plugin.q.on_failure: found "ignore", expected "pass", "drop" or "hold"
curb.toml:18:1: error: plugin.q.memory: found 8, expected a size from 64 KiB to 256 MiB
  help: add a unit, as in "8 MiB"; units are KiB, MiB, GiB, kB, MB and GB
curb.toml:19:1: error: plugin.q.component_size: found "1 GiB", expected a size from 64 KiB to 20 MiB"#,
    );
    plugin(
        "component = \"/bin/sh\"\npoints = [\"*\"]\nsettings = { since = 1979-05-27 }",
        "curb.toml:16:14: error: plugin.q.settings.since: found the date 1979-05-27, expected text, a number, true, false, a list or a table
  help: put dates in quotes",
    );
    check(
        &format!("{line}[plugin.d]\ncomponent = \"/bin/sh\"\npoints = [\"*\"]"),
        r#"curb.toml:13:9: error: plugin.d: found the name "d", expected a name that no device has: both own points and streams by their names"#,
    );
}

#[test]
fn five_mistakes_are_told_at_once() {
    let folder = Folder::new(
        "[hub]\nsite = \"Elm Street\"\n\n[core]\nurl = \"mqtt://core.example\"\nack = \"core\"\n\n[bus.cabinet]\nserial = \"/dev/rs485\"\n\
         baud = \"fast\"\n\n[device.meter]\nbus = \"cabnet\"\nunit_id = 3\npoint.power = { register = \"40101\", type = \"f32\" }\n",
    );
    let loaded = folder.load();
    assert_eq!(
        folder.show(&loaded.problems),
        r#"curb.toml:2:1: error: hub.site: found "Elm Street", expected a name: 1 to 32 of a-z, 0-9 and -
  help: for example "elm-street"
curb.toml:5:1: error: core.url: found "mqtt://core.example", expected mqtts://host[:port]
  help: Curb speaks to the core over TLS only: mqtts://, usually port 8883
curb.toml:10:1: error: bus.cabinet.baud: found "fast", expected a whole number
curb.toml:13:1: error: device.meter.bus: found "cabnet", expected the name of a bus: cabinet
  help: did you mean "cabinet"?
curb.toml:15:17: error: device.meter.point.power.register: found "40101", expected a register as table:address, from holding:0 to holding:65535 (or input, coil, discrete)
  help: did you mean holding:100?"#
    );
    assert!(loaded.settings.is_none());
}

#[test]
fn a_wrong_type_in_one_table_hides_nothing_in_another() {
    check(
        "[bus.b]\nserial = \"/dev/rs485\"\nbaud = 9600\npartiy = \"none\"\n\
         [device.d]\nbus = \"b\"\nunit_id = 1\npoint.p = { register = \"holding:1\", type = 7 }\n\
         [device.e]\nbus = \"b\"\nunit_id = 2\nevry = \"1s\"\npoint.p = { register = \"holding:1\", type = \"u16\" }\n\
         [device.f]\nbus = \"b\"\nunit_id = 300\npoint.p = { register = \"holding:1\", type = \"u16\" }\n\
         [plugin.q]\norder = \"first\"\ncomponent = \"/bin/sh\"\npoints = [\"*\"]",
        r#"curb.toml:8:1: error: bus.b.partiy: found an unknown key, expected one of serial, baud, parity, data, stop, rs485, latency, tcp, rtu_over_tcp, frame
  help: did you mean "parity"?
curb.toml:12:37: error: device.d.point.p.type: found 7, expected text in quotes
curb.toml:16:1: error: device.e.evry: found an unknown key, expected one of bus, unit_id, every, timeout, min_gap, max_registers, max_bits, max_hole, mask_write, write_with, setup, profile, points, settings, decode, separator, pattern, checksum, request, stale_after, expire, point
  help: did you mean "every"?
curb.toml:20:1: error: device.f.unit_id: found 300, expected a unit id from 1 to 247
curb.toml:23:1: error: plugin.q.order: found "first", expected a whole number"#,
    );
}

#[test]
fn a_wrong_type_in_one_setup_entry_hides_nothing_in_the_next() {
    check(
        &format!(
            "{LINE}register = \"coil:1\"\n[[device.d.setup]]\nregister = \"holding:3\"\ntype = \"u16\"\nvalue = []\n\
             [[device.d.setup]]\nregister = \"holding:70000\"\ntype = 5\nvalue = 3"
        ),
        r#"curb.toml:16:1: error: device.d.setup.0.value: found [], expected true, false, a number, or text in quotes
curb.toml:18:1: error: device.d.setup.1.register: found "holding:70000", expected a register as table:address, from holding:0 to holding:65535 (or input, coil, discrete)
curb.toml:19:1: error: device.d.setup.1.type: found 5, expected text in quotes"#,
    );
}

#[test]
fn what_cannot_be_read_hides_nothing_else() {
    let folder = Folder::new("[hub]\nsite = \"s\"\n[core]\nurl = mqtts\n[store]\nlimit = 5\n[bus.b]\nbaud = 96 00\n")
        .with("conf.d/10-latin.toml", b"# stra\xdfe\n")
        .with("conf.d/20-syntax.toml", "[log]\nlevel = \"loud\"\n[device.d\nbus = \"nowhere\"\n")
        .with("conf.d/30-empty.toml", "")
        .with("conf.d/.hidden.toml", "nonsense")
        .with("conf.d/notes.txt", "nonsense");
    assert_eq!(
        folder.show(&folder.load().problems),
        r#"conf.d/10-latin.toml: error: found bytes that are no text in line 1, expected UTF-8
conf.d/20-syntax.toml:2:1: error: log.level: found "loud", expected "error", "warn", "info", "debug" or "trace"
conf.d/20-syntax.toml:3:10: error: found a syntax error (unclosed table), expected `]`
curb.toml:4:7: error: found a syntax error (string values must be quoted), expected literal string
curb.toml:6:1: error: store.limit: found 5, expected a size from 1 MiB to 1 TiB
  help: add a unit, as in "5 MiB"; units are KiB, MiB, GiB, kB, MB and GB
curb.toml:8:8: error: found a syntax error (string values must be quoted), expected literal string"#
    );

    let folder = Folder::new("");
    std::fs::remove_file(folder.path().join("curb.toml")).unwrap();
    assert_eq!(
        folder.show(&folder.load().problems),
        "curb.toml: error: found no such file, expected a readable file
  help: begin with a copy of curb.example.toml, or name another file with --config"
    );
    // A pipe would be waited for.
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("curb.toml")).unwrap();
    assert_eq!(
        folder.show(&folder.load().problems),
        "curb.toml: error: found a pipe or device, expected a regular file"
    );
}

#[test]
fn programs_get_the_same_as_people() {
    let folder = Folder::new(&format!("{LEAST}[log]\nlevel = \"inof\"\n"));
    let problem = &folder.load().problems[0];
    let json = serde_json::to_value(problem).unwrap();
    assert_eq!(json["key"], "log.level");
    assert_eq!(json["severity"], "error");
    assert_eq!(json["found"], "\"inof\"");
    assert_eq!(json["help"], "did you mean \"info\"?");
    assert!(problem.at.to_string().ends_with("/curb.toml:6:1"));
}
