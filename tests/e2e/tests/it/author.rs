//! What an author does with a plugin, by the real binary: without a hub, and with what a hub says of it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use e2e::{Hub, Mosquitto, Site, peers};
use serde_json::Value;
use street::binary;

use crate::{component, meter};

/// `curb plugin <arguments>` with this on its standard input.
fn plugin(arguments: &[&str], input: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("in");
    fs::write(&file, input).unwrap();
    let mut curb = Command::new(binary("curb").unwrap());
    curb.arg("plugin").args(arguments).stdin(Stdio::from(fs::File::open(file).unwrap()));
    curb.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn path(name: &str) -> String {
    component(name).display().to_string()
}

/// Two points a round, a round each half second, with a hole of ten seconds.
fn readings() -> String {
    let round = |n: i64| {
        let ht = n * 500_000_000 + if n > 30 { 10_000_000_000 } else { 0 };
        let power = (n * 37 % 11) as f64 / 2.0;
        format!(
            "{{\"point\":\"meter/power\",\"stream\":\"meter\",\"value\":{power:?},\"unit\":\"W\",\"quality\":\"good\",\"ht\":{ht}}}\n\
             {{\"point\":\"meter/volts\",\"stream\":\"meter\",\"quality\":\"bad:timeout\",\"ht\":{ht}}}\n"
        )
    };
    (0..60).map(round).collect()
}

#[test]
fn the_same_readings_bring_the_same_bytes() {
    let (deadband, tally) = (path("deadband.wasm"), path("tally.wasm"));
    for arguments in [
        &["run", &deadband, "--settings", "{\"default\":1.5}"][..],
        &["run", &tally, "--settings", "{\"every\":9,\"tick_ms\":700}", "--points", "meter/power"],
    ] {
        let first = plugin(arguments, &readings());
        assert_eq!((first.status.code(), text(&first.stderr).contains("plugin-")), (Some(0), false), "{first:?}");
        assert!(first.stdout.len() > 1_000, "{}", text(&first.stdout));
        let again = plugin(arguments, &readings());
        let interpreted = plugin(&[arguments, &["--engine", "pulley"]].concat(), &readings());
        assert_eq!(text(&first.stdout), text(&again.stdout));
        assert_eq!(text(&first.stdout), text(&interpreted.stdout));
    }
    // A plugin that lets all pass changes not one byte.
    let all = plugin(&["run", &path("hostile.wasm")], &readings());
    assert_eq!(text(&all.stdout), readings());
}

#[test]
fn plugins_chain_in_a_shell() {
    let curb = binary("curb").unwrap().display().to_string();
    let line = "printf 'meter/power 230\\nmeter/power 230.1\\nmeter/power 240 @10\\nmeter/power 260\\n' \
                | \"$0\" plugin run \"$1\" --settings '{\"default\":5}' | \"$0\" plugin run \"$2\" --settings '{\"every\":2}'";
    let shell =
        Command::new("sh").args(["-c", line, &curb, &path("deadband.wasm"), &path("tally.wasm")]).output().unwrap();
    assert_eq!(
        text(&shell.stdout),
        "tally/total 2.0 @10\nmeter/power 240 @10\ntally/total 3.0 @11\n",
        "{}",
        text(&shell.stderr)
    );
}

/// The exit code, what stands on standard output, and what is said beside it.
fn check(arguments: &[&str], input: &str, code: i32, said: &[&str]) -> String {
    let output = plugin(arguments, input);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    assert!(said.iter().all(|said| told.contains(said)), "{arguments:?}: {told}");
    text(&output.stdout).to_owned()
}

#[test]
fn whoever_runs_a_plugin_learns_what_is_wrong() {
    let (hostile, deadband) = (path("hostile.wasm"), path("deadband.wasm"));
    let wrong = check(
        &["run", &deadband],
        "1\nx\n2\n3 @\n",
        2,
        &[
            "line 2: found \"x\", expected a number",
            "line 4: found \"@\", expected @ and seconds",
            "understand 2 lines",
        ],
    );
    assert_eq!(wrong, "", "nothing runs over half of it");
    check(&["run", "/nowhere.wasm"], "1", 3, &["failed to run the component", "/nowhere.wasm"]);
    check(&["run", &hostile, "--settings", "{\"attack\":\"bad-settings\"}"], "1", 2, &["expected mercy"]);
    check(&["run", &hostile, "--settings", "[]"], "1", 2, &["failed to use --settings"]);
    check(&["run", &hostile, "--settings", "{\"a\":}"], "1", 2, &["failed to use --settings", "column"]);
    check(&["run", &hostile, "--points", "Meter/*"], "1", 2, &["failed to use --points"]);
    let passed = check(
        &["run", &hostile, "--settings", "{\"attack\":\"trap-third\"}"],
        "1\n2\n3\n4\n",
        1,
        &["plugin-trapped: process: wasm trap"],
    );
    assert_eq!(passed.lines().count(), 4, "they pass, as on a hub");
    let flood = check(&["run", &hostile, "--settings", "{\"attack\":\"log-flood\"}"], "1\n", 0, &["ERROR: xxx"]);
    assert_eq!(flood, "in/value 1 @0\n");
    let own = check(&["run", &hostile, "--settings", "{\"attack\":\"add\"}", "--name", "mine"], "1", 0, &[]);
    assert_eq!(own, "mine/noise 1.5 @0\nmine/noise 1.5 @0\nin/value 1 @0\n");
    check(&["replay", "/nowhere.jsonl"], "", 3, &["failed to read /nowhere.jsonl"]);
}

#[test]
fn fuel_is_a_figure_for_a_test() {
    let deadband = path("deadband.wasm");
    let fuel = |input: &str| {
        let out = check(&["bench", &deadband, "--json"], input, 0, &[]);
        let document: Value = serde_json::from_str(&out).unwrap();
        document["rows"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["fuel_per_reading"].as_f64().unwrap())
            .collect::<Vec<_>>()
    };
    let once = fuel("");
    assert_eq!((once.len(), &once), (4, &fuel("")), "the same each time");
    assert_ne!(once, fuel(&readings()), "other readings take other ways");
    check(&["bench", &deadband, "--fuel-limit", "1"], "", 1, &["(limit 1)"]);
    check(&["bench", &deadband, "--fuel-limit", "1000000"], "", 0, &[]);
    check(&["bench", &path("hostile.wasm"), "--settings", "{\"attack\":\"decline\"}"], "", 1, &["not today"]);
}

/// A plugin that cannot handle the value 666, which one point of the meter has; it lets none of its points leave raw.
fn poisoned(port: u16) -> String {
    format!(
        "{}[device.meter.point.beast]\nregister = \"input:7\"\ntype = \"u16\"\noffset = 596\n\n\
         [plugin.tally]\ncomponent = \"{}\"\npoints = [\"meter/*\"]\non_failure = \"drop\"\n\
         settings = {{ every = 3, attack = \"poison-trap\" }}\n",
        meter(port, "100ms"),
        path("tally.wasm")
    )
}

fn bundle(of: &Path) -> (String, Value) {
    let text = fs::read_to_string(of).unwrap();
    let head = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    (text, head)
}

#[tokio::test]
async fn what_a_hub_could_not_handle_fails_on_a_laptop_in_the_same_words() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let mut hub = Hub::new(&site, &broker, &poisoned(server.port));
    hub.start().await;
    let (_, detail) = hub.fault("plugin-poison").await;
    let file = hub.shows("a bundle", |s| Some(s["plugins"]["tally"]["bundle"].as_str()?.to_owned())).await;
    assert!(detail.contains(&file), "{detail}");
    hub.shows("the file", |_| Path::new(&file).is_file().then_some(())).await;
    let (code, shown) = hub.curb(&["status"]).await;
    assert!(code == Some(1) && shown.contains(&format!("curb plugin replay {file}")), "{shown}");
    assert_eq!(hub.stop().await, Some(0));
    let (text_of, head) = bundle(Path::new(&file));
    assert!(text_of.contains("\"value\":666"), "{text_of}");
    // Only the component is needed beside it.
    let said = head["detail"].as_str().unwrap();
    assert!(detail.starts_with(said) && said.contains("meter/beast"), "{detail}: {said}");
    let told = check(&["replay", &file], "", 1, &[]);
    assert_eq!(told, format!("plugin-poison: {said}\nas on the hub\n"));
    let told = check(&["replay", &file, "--component", &path("tally.wasm"), "--json"], "", 1, &[]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["same"], &told["detail"]), (&Value::Bool(true), &head["detail"]));
    // Another component is another plugin.
    let other = check(&["replay", &file, "--component", &path("deadband.wasm")], "", 2, &["start with these settings"]);
    assert_eq!(other, "");
}

#[tokio::test]
async fn what_the_policy_denies_is_in_no_bundle_and_no_capture() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let policy = "[policy]\ndeny = [\"meter/voltage\", \"meter/celsius\"]\n";
    let mut hub = Hub::new(&site, &broker, &format!("{}{policy}", poisoned(server.port)));
    hub.start().await;
    let file = hub.shows("a bundle", |s| Some(s["plugins"]["tally"]["bundle"].as_str()?.to_owned())).await;
    hub.shows("the file", |_| Path::new(&file).is_file().then_some(())).await;
    let capture = site.path().join("readings.jsonl").display().to_string();
    let (code, said) = hub.curb(&["tap", "--capture", &capture, "-C", "20", "-W", "20s"]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = hub.curb(&["tap", "--at", "source", "--capture", "/nowhere", "-C", "1"]).await;
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(hub.stop().await, Some(0));
    let (kept, head) = bundle(Path::new(&file));
    assert!(head["left_out"]["readings"].as_u64() >= Some(2) && kept.contains("meter/beast"), "{kept}");
    let captured = fs::read_to_string(&capture).unwrap();
    for denied in ["meter/voltage\"", "meter/celsius\""] {
        let reading = format!("\"point\":\"{denied}");
        assert!(!kept.contains(&reading) && !captured.contains(&reading), "{kept}\n{captured}");
    }
    // It still fails: what it could not handle is not denied. And the other file is what replay takes as well.
    check(&["replay", &file], "", 1, &[]);
    let again = check(&["replay", &capture, "--component", &path("hostile.wasm")], "", 0, &[]);
    assert_eq!(again.lines().collect::<Vec<_>>(), captured.lines().skip(1).collect::<Vec<_>>());
    check(&["replay", &capture], "", 2, &["--component says which"]);
}
