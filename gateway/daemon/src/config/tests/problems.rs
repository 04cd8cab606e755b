//! Every mistake is told with its place, what was found, what was expected, and what to do.

use super::{Folder, LEAST};

/// Problems and warnings of `text` below the least configuration, so that its first line is line 5.
fn check(text: &str, expected: &str) {
    let folder = Folder::new(&format!("{LEAST}{text}"));
    let loaded = folder.load();
    let shown = folder.show(&loaded.problems) + &folder.show(&loaded.warnings);
    if std::env::var_os("SHOW").is_some() { println!("check(r#\"{text}\"#, r#\"{shown}\"#);"); return; }
    assert_eq!(shown, expected, "problems of\n{text}");
    assert_eq!(loaded.settings.is_some(), loaded.problems.is_empty(), "settings of\n{text}");
}

const LINE: &str = "[bus.b]\nserial = \"/dev/rs485\"\nbaud = 9600\n[device.d]\nbus = \"b\"\nunit_id = 1\n[device.d.point.p]\n";

#[test]
fn registers_are_refused_with_what_was_meant() {
    let point = |text: &str, expected: &str| check(&format!("{LINE}type = \"u16\"\n{text}"), expected);
    point("register = \"40110\"", "");
    point("register = 40110", "");
    point("register = \"30001\"", "");
    point("register = \"400101\"", "");
    point("register = 100", "");
    point("register = \"hodling:100\"", "");
    point("register = \"holding:70000\"", "");
    point("register = \"holding:0x64\"", "");
    point("register = true", "");
    point("", "");
    check(&format!("{LINE}register = \"holding:65535\"\ntype = \"u32\""), "");
    check(&format!("{LINE}register = \"coil:1\"\ntype = \"u16\""), "");
    check(&format!("{LINE}register = \"holding:1\"\ntype = \"f64\""), "");
    check(&format!("{LINE}register = \"holding:1\"\ntype = \"U16\""), "");
    check(&format!("{LINE}register = \"holding:1\""), "");
}

#[test]
fn quantities_need_their_unit() {
    let device = |text: &str, expected: &str| {
        let point = "[device.d.point]\np = { register = \"coil:0\" }\n";
        check(&LINE.replace("[device.d.point.p]\n", &format!("{text}\n{point}")), expected);
    };
    device("every = 5", "");
    device("every = \"5\"", "");
    device("every = \"5 parsecs\"", "");
    device("every = \"1ms\"", "");
    device("timeout = 0.3", "");
    check("[store]\nlimit = 256", "");
    check("[store]\nlimit = \"256\"", "");
    check("[store]\nlimit = \"1 KiB\"", "");
    check("[store]\nlimit = \"lots\"", "");
}

#[test]
fn the_core_is_spoken_to_over_tls_only() {
    let url = |url: &str, expected: &str| {
        let folder = Folder::new(&format!("[hub]\nsite = \"s\"\n[core]\nurl = \"{url}\"\n"));
        let loaded = folder.load();
        if std::env::var_os("SHOW").is_some() { println!("url({url:?}, r#\"{}\"#);", folder.show(&loaded.problems)); return; }
        assert_eq!(folder.show(&loaded.problems), expected);
    };
    url("mqtt://core.example:1883", "");
    url("core.example", "");
    url("mqtts://", "");
    url("mqtts://core.example:0", "");
    url("mqtts://core.example:99999", "");
    url("https://core.example", "");
    url("mqtts://[::1", "");
    url("mqtts://[::1]:8884", "");
    url("mqtts://core.example/", "");
}

#[test]
fn tables_are_checked_against_each_other() {
    let two = "[bus.b]\nserial = \"/dev/rs485\"\nbaud = 9600\n[device.d]\nbus = \"b\"\nunit_id = 1\npoint.p.register = \"coil:0\"\n";
    check(&format!("{two}[device.e]\nbus = \"b\"\nunit_id = 1\npoint.p.register = \"coil:0\""), "");
    check(&format!("{two}[device.e]\nbus = \"c\"\nunit_id = 2\npoint.p.register = \"coil:0\""), "");
    check(&two.replace("unit_id = 1", "unit_id = 300"), "");
    check(&two.replace("unit_id = 1", "unit_id = 0"), "");
    check(&two.replace("serial = \"/dev/rs485\"\nbaud = 9600", "tcp = \"192.0.2.1\"").replace("unit_id = 1", "unit_id = 255"), "");
    check(&two.replace("unit_id = 1\n", ""), "");
    check(&two.replace("baud = 9600", "tcp = \"192.0.2.1\""), "");
    check("[bus.b]\nbaud = 9600", "");
    check("[bus.b]\ntcp = \"192.0.2.1:502:503\"\nbaud = 9600", "");
    check(&format!("{two}[bus.c]\nserial = \"/dev/rs485\"\nbaud = 9600"), "");
    check(&two.replace("baud = 9600", "baud = 19800\ndata = 7\nstop = 3\nparity = \"evan\""), "");
    check(&two.replace("/dev/rs485", "/dev/ttyUSB0"), "");
    check(&two.replace("unit_id = 1", "unit_id = 1\ndecode = \"csv\""), "");
    check(&two.replace("baud = 9600", "baud = 9600\nframe = { delimeter = \"\\n\" }"), "");
    check(&two.replace("baud = 9600", "baud = 9600\nframe = 5"), "");
    check(&two.replace("point.p.register = \"coil:0\"\n", ""), "");
    check("[bus.b]\nserial = \"/dev/rs485\"\nbaud = 9600\nframe.delimiter = \"\\n\"", "");
}

#[test]
fn points_make_sense() {
    let point = |text: &str, expected: &str| check(&format!("{LINE}register = \"holding:1\"\ntype = \"i16\"\n{text}"), expected);
    point("range = [100, 0]", "");
    point("range = [1]", "");
    point("range = [1, \"x\"]", "");
    point("scale = 0", "");
    point("scale = \"0.1\"", "");
    point("absent = [-1, 0x1FFFF, 0xFFFF]", "");
    point("order = \"DCBA\"", "");
    point("unit = \"\"", "");
    point("column = 1", "");
    point("scale = nan", "");
    point("absent = [99999999999999999999]", "");
    check(&format!("{LINE}register = \"coil:1\"\nscale = 0.1\nrange = [0, 1]"), "");
}

#[test]
fn names_are_plain() {
    check("[bus.Cabinet_1]\ntcp = \"192.0.2.1\"", "");
    check("[bus.quality]\ntcp = \"192.0.2.1\"", "");
    check("[bus.\"\"]\ntcp = \"192.0.2.1\"\nbaud = 1", "");
    check(&LINE.replace("point.p", "point.P"), "");
    check("bus = 5", "");
    check("[device]\nd = 5", "");
    check("[hubs]\nsite = \"x\"\n[policy]\nallow = []", "");
    check("[log]\nlevl = \"info\"\nformat = \"xml\"", "");
}

#[test]
fn plugins_have_a_file_and_something_to_see() {
    let line = format!("{LINE}register = \"coil:1\"\n");
    let plugin = |text: &str, expected: &str| check(&format!("{line}[plugin.q]\n{text}"), expected);
    plugin("", "");
    plugin("component = \"/no/such.wasm\"\npoints = [\"d/*\"]", "");
    plugin("component = \"/bin/sh\"\npoints = [\"d\", \"e/*\", \"D/*\", \"q/*\"]", "");
    plugin("component = \"/bin/sh\"\npoints = []\nsettings = 5\non_failure = \"ignore\"\nmemory = 8", "");
    plugin("component = \"/bin/sh\"\npoints = [\"*\"]\nsettings = { since = 1979-05-27 }", "");
    check(&format!("{line}[plugin.d]\ncomponent = \"/bin/sh\"\npoints = [\"*\"]"), "");
}

#[test]
fn five_mistakes_are_told_at_once() {
    let folder = Folder::new(
        "[hub]\nsite = \"Elm Street\"\n\n[core]\nurl = \"mqtt://core.example\"\nretry = 30\n\n[bus.cabinet]\nserial = \"/dev/rs485\"\n\
         baud = \"fast\"\n\n[device.meter]\nbus = \"cabnet\"\nunit_id = 3\npoint.power = { register = \"40101\", type = \"f32\" }\n",
    );
    let loaded = folder.load();
    if std::env::var_os("SHOW").is_some() { println!("five r#\"{}\"#", folder.show(&loaded.problems)); return; }
    assert_eq!(folder.show(&loaded.problems), "");
    assert!(loaded.settings.is_none());
}

#[test]
fn what_cannot_be_read_hides_nothing_else() {
    let folder = Folder::new("[hub]\nsite = \"s\"\n[core]\nurl = mqtts\n[store]\nlimit = 5\n[bus.b]\nbaud = 96 00\n")
        .with("conf.d/10-latin.toml", b"# stra\xdfe\n")
        .with("conf.d/20-syntax.toml", "[log]\nlevel = \"loud\"\n[device.d\nbus = \"nowhere\"\n")
        .with("conf.d/30-empty.toml", "")
        .with("conf.d/.hidden.toml", "nonsense")
        .with("conf.d/notes.txt", "nonsense");
    let loaded = folder.load();
    if std::env::var_os("SHOW").is_some() { println!("torn r#\"{}\"#", folder.show(&loaded.problems)); } else {
    assert_eq!(folder.show(&loaded.problems), ""); }

    let folder = Folder::new("");
    std::fs::remove_file(folder.path().join("curb.toml")).unwrap();
    let shown = folder.show(&folder.load().problems);
    if std::env::var_os("SHOW").is_some() { println!("gone r#\"{shown}\"#"); return; }
    assert_eq!(shown, "");
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
