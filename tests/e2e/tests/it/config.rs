//! A config with five mistakes, and a bad config on a hub that has run before.

use e2e::{Hub, Ingest, Mosquitto, PATIENCE, Site, peers};
use serde_json::Value;
use street::{Process, eventually};

use crate::{component, meter};

const FIVE_MISTAKES: &str = r#"
[bus.cabinet]
serial = "/dev/ttyS0"
baud = "fast"

[device.lamp]
bus = "cabnet"
unit_id = 300
every = 5

[device.lamp.point.dim]
register = "40101"
type = "u16"
"#;

#[tokio::test]
async fn five_mistakes_are_reported_at_once_each_with_its_line() {
    let site = Site::new().await;
    let hub = Hub::with_core(&site, "mqtts://localhost:8883", FIVE_MISTAKES);
    let (code, out) = hub.curb(&["check", "--json", "--config", &hub.config().display().to_string()]).await;
    assert_eq!(code, Some(2));
    let report: Value = serde_json::from_str(&out).unwrap();
    let problems = report["problems"].as_array().unwrap();
    let text = std::fs::read_to_string(hub.config()).unwrap();
    let line_of = |needle: &str| text.lines().position(|line| line.starts_with(needle)).unwrap() + 1;
    let check = |key: &str, needle: &str, hint: &str| {
        let found =
            problems.iter().find(|problem| problem["key"] == key).unwrap_or_else(|| panic!("{key}: {report:#}"));
        assert_eq!(found["line"], line_of(needle), "{key}: {found:#}");
        assert!(found.to_string().contains(hint), "{key} should say {hint}: {found:#}");
    };
    check("bus.cabinet.baud", "baud", "fast");
    check("device.lamp.bus", "bus =", "cabinet");
    check("device.lamp.unit_id", "unit_id", "247");
    check("device.lamp.every", "every", "unit");
    check("device.lamp.point.dim.register", "register", "holding:100");
    assert_eq!(problems.len(), 5, "{report:#}");
}

#[tokio::test]
async fn every_setting_is_shown_with_where_it_comes_from() {
    let site = Site::new().await;
    let hub = Hub::with_core(&site, "mqtts://localhost:8883", FIVE_MISTAKES);
    let file = hub.config().display().to_string();
    let (code, out) = hub.curb(&["config", "show", "--config", &file, "--set", "core.grace=7s"]).await;
    assert_eq!(code, Some(2), "there are five mistakes: {out}");
    let line = |key: &str| {
        let found =
            out.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap_or_else(|| panic!("{key}: {out}"));
        found.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let at =
        std::fs::read_to_string(hub.config()).unwrap().lines().position(|line| line.starts_with("unit_id")).unwrap();
    assert_eq!(line("device.lamp.unit_id"), format!("device.lamp.unit_id = 300 # {file}:{}:1", at + 1));
    assert_eq!(line("core.grace"), "core.grace = \"7s\" # --set core.grace=7s");
    assert_eq!(line("core.keep_alive"), "core.keep_alive = \"30s\" # default");
    assert!(out.ends_with("`curb check` tells why\n"), "{out}");

    // What is shown is a config of the same settings.
    std::fs::write(site.path().join("shown.toml"), &out).unwrap();
    let shown = site.path().join("shown.toml").display().to_string();
    let settings = async |file: &str, more: &[&str]| {
        let (_, out) = hub.curb(&[&["config", "show", "--json", "--config", file], more].concat()).await;
        let document: Value = serde_json::from_str(&out).unwrap();
        let settings = document["settings"].as_array().unwrap().iter();
        settings.map(|setting| format!("{} {}", setting["key"], setting["value"])).collect::<Vec<_>>()
    };
    assert_eq!(settings(&shown, &[]).await, settings(&file, &["--set", "core.grace=7s"]).await);

    hub.configure(&site, "mqtts://localhost:8883", "");
    let (code, out) = hub.curb(&["config", "show", "core", "--config", &file]).await;
    assert_eq!((code, out.lines().count()), (Some(0), 11), "{out}");
    let (code, out) = hub.curb(&["config", "show", "cor", "--config", &file]).await;
    assert_eq!((code, out.contains("did you mean \"core\"")), (Some(1), true), "{out}");

    let (code, out) = hub.curb(&["schema"]).await;
    let schema: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &schema["$schema"]), (Some(0), &"https://json-schema.org/draft/2020-12/schema".into()));
}

/// Standard output may go to a file that somebody wants figures, values or a config in.
#[tokio::test]
async fn what_went_wrong_is_told_beside_the_output_or_in_one_document() {
    let folder = tempfile::tempdir().unwrap();
    let curb = street::binary("curb").unwrap();
    let check = async |code: i32, words: &[&str]| {
        let name = words.join("-").replace('/', "_");
        let (status, out) = Process::run(&name, &curb, words, folder.path(), PATIENCE).await.unwrap();
        let told = std::fs::read_to_string(folder.path().join(format!("{name}.log"))).unwrap();
        assert_eq!((status.code(), out.len(), told.lines().count()), (Some(code), 0, 1), "{words:?}: {told}");

        let words = [words, &["--json"]].concat();
        let (status, out) = Process::run("json", &curb, &words, folder.path(), PATIENCE).await.unwrap();
        let document: Value = serde_json::from_slice(&out).unwrap_or_else(|e| panic!("{words:?}: {e}: {out:?}"));
        let log = std::fs::read(folder.path().join("json.log")).unwrap();
        assert_eq!((status.code(), log.len()), (Some(code), 0), "{words:?}");
        assert_eq!(document, serde_json::json!({ "v": 1, "error": told.trim_end() }), "{words:?}");
    };
    let (run_dir, config) = (["--run-dir", "/nonexistent"], ["--config", "/nonexistent/c"]);
    check(3, &[&["status"], &run_dir[..]].concat()).await;
    check(3, &[&["reload"], &run_dir[..]].concat()).await;
    check(3, &[&["tap"], &run_dir[..]].concat()).await;
    check(2, &["tap", "--at", "uplink", "-t", "meter/*"]).await;
    check(3, &["tap", "--capture", "/nonexistent/c"]).await;
    check(2, &["check", "--hub", "no name"]).await;
    check(2, &[&["profiles", "no-such"], &config[..]].concat()).await;
    check(2, &[&["read", "meter/voltage"], &config[..]].concat()).await;
    check(2, &[&["store", "show"], &config[..], &["--set", "paths.state=/nonexistent"]].concat()).await;
}

#[tokio::test]
async fn a_collector_gets_figures_or_nothing() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let mut hub = Hub::new(&site, &broker, &meter(server.port, "100ms"));
    let collect = ["status", "--prometheus"];
    assert_eq!(hub.prints(&collect).await, (Some(3), String::new()), "nothing on standard output without a daemon");
    hub.start().await;
    hub.shows("readings", |status| (status["devices"]["meter"]["good"].as_u64()? > 0).then_some(())).await;
    let (_, out) = hub.curb(&collect).await;
    let value = |series: &str| {
        let line = out.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("{series}: {out}"));
        line.trim().parse::<f64>().unwrap()
    };
    assert!(value("curb_device_readings_total{device=\"meter\",quality=\"good\"}") > 0.0);
    assert!(value("curb_bus_requests_total{bus=\"lan\"}") > 0.0);
    assert!(value("curb_uptime_seconds") < 60.0);
    assert_eq!(hub.stop().await, Some(0));
}

#[tokio::test]
async fn a_bad_config_stops_only_a_hub_that_has_never_run() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let url = format!("mqtts://localhost:{}", broker.port());
    let mut hub = Hub::with_core(&site, &url, FIVE_MISTAKES);
    let (code, _) = hub.curb(&["run", "--config", &hub.config().display().to_string()]).await;
    assert_eq!(code, Some(2), "never run, nothing to fall back on");

    hub.configure(&site, &url, &meter(server.port, "100ms"));
    hub.start().await;
    let reading = || ingest.readings("meter/voltage").last().cloned();
    eventually(e2e::PATIENCE, "a reading", &[hub.process()], reading).await.unwrap();

    // A reload with mistakes changes nothing and says so.
    hub.configure(&site, &url, FIVE_MISTAKES);
    let (code, out) = hub.curb(&["reload", "--json"]).await;
    assert_eq!(code, Some(2), "{out}");
    assert_eq!(hub.stop().await, Some(0));

    // Booting with them runs the last good one.
    hub.start().await;
    let (_, detail) = hub.fault("config-refused").await;
    assert!(detail.contains("last good"), "{detail}");
    let before = ingest.readings("meter/voltage").len();
    let more = || (ingest.readings("meter/voltage").len() > before + 3).then_some(());
    eventually(e2e::PATIENCE, "readings under the last good config", &[hub.process()], more).await.unwrap();

    // Mended, a reload takes it: the new period counts, and the fault is gone.
    hub.configure(&site, &url, &meter(server.port, "50ms"));
    let (code, out) = hub.curb(&["reload", "--json"]).await;
    assert_eq!(code, Some(0), "{out}");
    hub.no_fault("config-refused").await;
    assert_eq!(hub.stop().await, Some(0));
}

#[tokio::test]
async fn a_reload_connects_anew_for_nothing_less_than_new_settings_and_refuses_a_broken_certificate() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let _ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &meter(server.port, "200ms"));
    hub.start().await;
    let connections = |status: &Value| {
        (status["core"]["state"] == "connected").then(|| status["core"]["acked"].as_u64())?.filter(|&acked| acked > 3)
    };
    hub.shows("a connection", connections).await;
    let (code, out) = hub.curb(&["reload", "--json"]).await;
    assert_eq!((code, out.contains("uplink")), (Some(0), false), "nothing differs: {out}");

    let settings = std::fs::read_to_string(hub.config()).unwrap();
    std::fs::write(hub.config(), settings.replace("[core]\n", "[core]\nkeep_alive = \"20s\"\n")).unwrap();
    let (code, out) = hub.curb(&["reload", "--json"]).await;
    assert_eq!((code, out.contains("uplink")), (Some(0), true), "{out}");
    hub.shows("a connection", connections).await;

    let certificate = std::fs::read_to_string(site.hub("hub.crt")).unwrap();
    std::fs::write(site.hub("hub.crt"), "garbage").unwrap();
    let (code, out) = hub.curb(&["reload", "--json"]).await;
    assert_eq!(code, Some(2), "{out}");
    hub.fault("not-pem").await;
    hub.shows("the old connection", connections).await;
    std::fs::write(site.hub("hub.crt"), certificate).unwrap();
    assert_eq!(hub.curb(&["reload"]).await.0, Some(0));
    hub.no_fault("not-pem").await;
    assert_eq!(hub.stop().await, Some(0));
}

/// Two buses, one of them there now and then; devices, points and periods that come and go with the round.
fn changing(ports: [u16; 2], round: usize) -> String {
    let every = ["50ms", "100ms", "200ms"][round % 3];
    let device = |bus: &str, name: &str, points: usize| {
        let points: String = (0..points)
            .map(|n| format!("[device.{name}.point.r{n}]\nregister = \"holding:{}\"\ntype = \"u16\"\n", n * 7))
            .collect();
        format!("[device.{name}]\nbus = \"{bus}\"\nunit_id = 1\nevery = \"{every}\"\n{points}\n")
    };
    let bus = |bus: &str, port: u16| format!("[bus.{bus}]\ntcp = \"127.0.0.1:{port}\"\n\n");
    let mut text = bus("lan", ports[0]) + &device("lan", ["meter", "lamp"][round / 2 % 2], 1 + round % 4);
    if round % 3 != 1 {
        let name = ["yard", "gate"][round % 2];
        text += &(bus(name, ports[1]) + &device(name, "pump", 1 + round % 2));
    }
    text
}

/// A process's threads of buses, and its sockets to these ports.
fn left(process: u32, ports: [u16; 2]) -> (Vec<String>, usize) {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    // One may end while it is looked at.
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    let mut buses: Vec<String> = names.filter_map(|name| Some(name.trim().strip_prefix("bus-")?.to_owned())).collect();
    buses.sort();
    let sockets = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let sockets: Vec<String> = sockets
        .filter_map(|file| Some(std::fs::read_link(file.unwrap().path()).ok()?.to_str()?.to_owned()))
        .filter_map(|target| Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    // Local and remote address, of which the second ends with the port in hexadecimal digits; further on the inode.
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ours = connections.lines().skip(1).filter(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        ports.iter().any(|port| words[2].ends_with(&format!(":{port:04X}")))
            && sockets.iter().any(|own| own == words[9])
    });
    (buses, ours.count())
}

#[tokio::test]
async fn after_thirty_reloads_every_point_is_fresh_and_nothing_of_before_is_left() {
    let site = Site::new().await;
    let servers = [peers::libmodbus_tcp(&site).await, peers::libmodbus_tcp(&site).await];
    let ports = servers.each_ref().map(|server| server.port);
    let url = "mqtts://localhost:1";
    let mut hub = Hub::with_core(&site, url, &changing(ports, 0));
    hub.start().await;
    for round in 1..=30 {
        hub.configure(&site, url, &changing(ports, round));
        let (code, out) = hub.curb(&["reload", "--json"]).await;
        assert_eq!(code, Some(0), "round {round}: {out}");
    }
    let good = |status: &Value| {
        let devices = status["devices"].as_object()?;
        assert_eq!(devices.keys().collect::<Vec<_>>(), ["lamp", "pump"], "{status:#}");
        devices.values().map(|device| device["good"].as_u64()).collect::<Option<Vec<_>>>()
    };
    let before = hub.shows("readings", |status| good(status).filter(|good| good.iter().all(|&good| good > 0))).await;
    let more = |status: &Value| good(status)?.iter().zip(&before).all(|(now, before)| *now >= before + 6).then_some(());
    hub.shows("fresh readings of all", more).await;
    let process = hub.process().id().unwrap();
    let expected = (vec!["lan".to_owned(), "yard".to_owned()], 2);
    let alone = || (left(process, ports) == expected).then_some(());
    eventually(e2e::PATIENCE, "only what the last config has", &[hub.process()], alone).await.unwrap();
    let status = hub.status().await;
    assert!(status["devices"].as_object().unwrap().values().all(|device| device["bad"] == 0), "{status:#}");
    assert_eq!(hub.stop().await, Some(0));
}

#[tokio::test]
async fn settings_that_a_plugin_does_not_take_are_told_with_their_lines_without_running_it() {
    let site = Site::new().await;
    let settings = r#"
[bus.roof]
tcp = "127.0.0.1:502"

[device.meter]
bus = "roof"
unit_id = 1
every = "1s"

[device.meter.point.power]
register = "holding:0"
type = "u16"

[plugin.quiet]
component = "COMPONENT"
points = ["meter/*"]

[plugin.quiet.settings]
default = -1
max_silence = "60 s"
defautl = 0.5

[plugin.quiet.settings.points]
"meter/power" = "much"

[plugin.people]
component = "CROWD"
points = ["meter/power"]
on_failure = "pass"
settings = { kind = "sum", mode = "round" }
"#;
    let settings = settings.replace("COMPONENT", &component("deadband.wasm").display().to_string());
    let settings = settings.replace("CROWD", &component("crowd.wasm").display().to_string());
    let hub = Hub::with_core(&site, "mqtts://localhost:8883", &settings);
    let (code, out) = hub.curb(&["check", "--json", "--config", &hub.config().display().to_string()]).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    let text = std::fs::read_to_string(hub.config()).unwrap();
    let mut told: Vec<(&str, u64)> = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (problem["key"].as_str().unwrap(), problem["line"].as_u64().unwrap()))
        .collect();
    told.sort_unstable();
    let line = |needle: &str| text.lines().position(|line| line.starts_with(needle)).unwrap() as u64 + 1;
    assert_eq!(
        (code, told),
        (
            Some(2),
            vec![
                ("plugin.people.on_failure", line("on_failure")),
                ("plugin.quiet.settings.default", line("default")),
                ("plugin.quiet.settings.defautl", line("defautl")),
                ("plugin.quiet.settings.max_silence", line("max_silence")),
                ("plugin.quiet.settings.points.\"meter/power\"", line("\"meter/power\"")),
            ]
        ),
        "{report:#}"
    );
}
