//! The installer's tools, alone and beside the running daemon.

use std::path::Path;

use e2e::fault::{FaultyLine, framed};
use e2e::{Hub, Mosquitto, PATIENCE, Site, peers};
use street::{Behaviour, Device, Kind, Log, Parity, Process, Register, RtuLine, Signal, Table, binary, eventually};
use tempfile::TempDir;

/// Nobody answers there: these tests need no core.
const NO_CORE: &str = "mqtts://localhost:1";

/// Runs `curb` in `folder`: exit code and what it printed.
async fn curb(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let curb = binary("curb").unwrap();
    // Commands that run at the same time have outputs of their own.
    let name = format!("curb-{}", name_of(arguments));
    let (status, out) = Process::run_told(&name, &curb, arguments, folder, PATIENCE).await.unwrap();
    (status.code(), out)
}

fn name_of(arguments: &[&str]) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    arguments.hash(&mut hasher);
    hasher.finish()
}

/// A TCP device whose setpoint may be written.
fn meter(port: u16) -> String {
    format!(
        "[bus.lan]\ntcp = \"127.0.0.1:{port}\"\n\n[device.meter]\nbus = \"lan\"\nunit_id = 1\nevery = \"100ms\"\n\
         point.voltage = {{ register = \"holding:100\", type = \"f32\", unit = \"V\" }}\n\
         point.setpoint = {{ register = \"holding:105\", type = \"u16\", write = {{ min = 0, max = 100 }} }}\n\
         point.latch = {{ register = \"coil:9\", access = \"write\", write = {{}} }}\n"
    )
}

#[tokio::test]
async fn the_tools_work_alone_and_beside_the_daemon() {
    let site = Site::new().await;
    let server = peers::libmodbus_tcp(&site).await;
    let mut hub = Hub::with_core(&site, NO_CORE, &meter(server.port));
    // Alone, writes are recorded there.
    std::fs::create_dir_all(site.path().join("hub/state")).unwrap();
    let config = hub.config().display().to_string();
    let folder = site.path();
    let address = format!("127.0.0.1:{}", server.port);
    let check = async |words: &[&str], code: i32, expected: &str| {
        let words: Vec<&str> = words.iter().copied().chain(["--config", &config]).collect();
        let (status, out) = curb(folder, &words).await;
        assert_eq!(status, Some(code), "{words:?}: {out}");
        assert!(out.contains(expected), "{words:?}: {out}");
        out
    };
    let same = async || {
        check(&["read", "lan", "-r", "holding:100", "-t", "f32"], 0, "holding:100 = 40101  4366 199A  230.1").await;
        check(&["read", &address, "-a", "1", "-r", "holding:102", "-t", "f32", "-B", "CDAB"], 0, "230.1").await;
        check(&["read", "meter/voltage"], 0, "meter/voltage  holding:100 = 40101  4366 199A  230.1 V").await;
        check(&["read", "meter", "--json"], 0, "\"point\":\"meter/voltage\"").await;
        // The manual counts from 1.
        let out = check(&["read", "lan", "-r", "holding:101", "--guess", "230.1"], 0, "").await;
        let best = out.lines().find(|line| line.starts_with("230.1")).unwrap();
        assert_eq!(best, "230.1  register = \"holding:100\", type = \"f32\"");
        check(&["read", "lan", "-r", "holding:60000"], 1, "exception 2").await;
        check(&["read", "lan", "-r", "40101"], 2, "holding:100").await;
        check(&["ping", "meter", "-c", "3", "-i", "20ms"], 0, "3 sent, 3 answered, 0 % lost; min/avg/max").await;
        check(&["write", "meter/setpoint", "42"], 0, "meter/setpoint = 42  (read back)").await;
        check(&["read", "meter/setpoint"], 0, " 42").await;
        check(&["check"], 0, "only written, never read: meter/latch").await;
        check(&["write", "meter/latch", "on"], 0, "meter/latch = true  (the device said so; it cannot be read back)")
            .await;
        check(&["read", "meter/latch"], 2, "can only be written").await;
        let all = check(&["read", "meter"], 0, "meter/setpoint").await;
        assert!(!all.contains("latch"), "{all}");
        check(&["write", "meter/setpoint", "101"], 2, "not within 0 to 100").await;
        check(&["write", "meter/voltage", "1"], 4, "may not be written").await;
    };
    same().await;
    let raw = ["write", "lan", "-a", "1", "-r", "holding:105", "7", "--raw"];
    check(&raw, 0, "written").await;
    check(&["read", "meter/setpoint"], 0, " 7").await;
    // This server is everybody; on a serial line there is no such unit.
    check(&["write", "lan", "-a", "255", "-r", "holding:105", "8", "--raw"], 0, "written").await;
    check(&["ping", "/dev/null/x", "-a", "0"], 2, "1 to 247").await;
    check(&["read", "lan", "-a", "1", "-r", "holding:0", "-b", "9600"], 2, "no serial line").await;

    hub.start().await;
    same().await;
    check(&raw, 4, "daemon").await;
    let spelt = format!("localhost:{}", server.port);
    check(&["write", &spelt, "-a", "1", "-r", "holding:105", "7", "--raw"], 4, "daemon").await;
    check(&["read", &spelt, "-a", "1", "-r", "holding:105", "-b", "9600"], 2, "no serial line").await;
    let elsewhere = folder.display().to_string();
    check(&[&raw[..], &["--run-dir", &elsewhere]].concat(), 4, "daemon").await;
    check(&["read", "meter/setpoint"], 0, " 42").await;
    let dump = check(&["bus", "dump", "lan", "-C", "6"], 0, "beside the daemon").await;
    let file = folder.join("lan.dump");
    // It may have begun between a request and its answer.
    let from = dump.find('>').and_then(|first| dump[..first].rfind('\n')).unwrap();
    std::fs::write(&file, &dump[from..]).unwrap();
    let file = file.display().to_string();
    check(&["bus", "play", &file], 0, "meter/voltage = 230.1 V").await;
    check(&["bus", "play", "--raw", &file], 0, "holding:100").await;
    std::fs::write(&file, "(1.000000) lan < 0103 bad gap -\n").unwrap();
    check(&["bus", "play", &file], 1, "1 frames, 1 faults").await;
    assert_eq!(hub.stop().await, Some(0));
}

#[tokio::test]
async fn a_scan_finds_units_and_proposes_a_config_that_is_right() {
    let site = Site::new().await;
    let device =
        |low| Device::new("x").with(Register::new("value", Table::Holding, 0, Kind::U16, Signal::new(low, 1, 900)));
    let mut line = RtuLine::new(&site.path().join("tty-cabinet"), 19_200, Parity::Even, &Log::new())
        .unit(3, device(3_000), Behaviour::Alive)
        .unit(5, device(5_000), Behaviour::Alive);
    line.plug().unwrap();
    let port = line.path().display().to_string();
    let folder = site.path();
    let found = |out: &str| {
        let document: serde_json::Value = serde_json::from_str(out).unwrap_or_else(|e| panic!("{e}: {out}"));
        assert_eq!(document["verdicts"], serde_json::json!([]), "{out}");
        let units = document["units"].as_array().unwrap().iter();
        units.map(|unit| (unit["unit_id"].as_u64().unwrap(), unit["baud"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    let narrow = ["-b", "19200", "-P", "even", "-a", "1-6"];
    let (code, out) = curb(folder, &[&["scan", &port, "--json"], &narrow[..]].concat()).await;
    assert_eq!((code, found(&out)), (Some(0), vec![(3, 19_200), (5, 19_200)]), "{out}");
    let (code, proposed) = curb(folder, &[&["scan", &port, "--propose"], &narrow[..]].concat()).await;
    assert_eq!(code, Some(0), "{proposed}");

    // What it proposes is a config, and the daemon that runs it leaves gaps for the next scan.
    let mut hub = Hub::with_core(&site, NO_CORE, &proposed);
    let config = hub.config().display().to_string();
    let (code, out) = curb(folder, &["check", "--config", &config]).await;
    assert_eq!(code, Some(0), "{out}\n{proposed}");
    hub.start().await;
    let polls = |status: &serde_json::Value| status["buses"]["tty-cabinet"]["requests"].as_u64();
    let before = hub.shows("polls", |status| polls(status).filter(|&polls| polls > 2)).await;
    let (code, out) =
        curb(folder, &["scan", "tty-cabinet", "--json", "-a", "1-6", "-b", "19200", "-P", "even", "--config", &config])
            .await;
    assert_eq!((code, found(&out)), (Some(0), vec![(3, 19_200), (5, 19_200)]), "{out}");
    hub.shows("polls beside the scan", |status| polls(status).filter(|&polls| polls > before + 4)).await;
    assert_eq!(line.counters().gap_violations, 0);
    assert_eq!(hub.stop().await, Some(0));
}

#[tokio::test]
async fn a_scan_names_what_is_wrong_with_a_line() {
    let folder = TempDir::new().unwrap();
    // Only requests that are whole are understood.
    let asked = |request: &[u8], unit: u8| request.len() == 8 && request[0] == unit;
    let good = move |unit: u8| {
        move |_: u32, request: &[u8]| {
            if asked(request, unit) { framed(&[unit, 3, 2, 0, 7]) } else { Vec::new() }
        }
    };
    let check = async |name: &str, words: &[&str], expected: &[&str], line: FaultyLine| {
        let port = line.path().display().to_string();
        let most = ["scan", &port, "--json", "--budget", "30s", "-o", "400ms"];
        let (code, out) = curb(folder.path(), &[&most[..], words].concat()).await;
        let document: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{name}: {e}: {out}"));
        let verdicts = document["verdicts"].as_array().unwrap();
        let found: Vec<&str> = verdicts.iter().map(|verdict| verdict["word"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{name}: {out}");
        assert_eq!(code, Some(i32::from(!expected.is_empty())), "{name}: {out}");
        document
    };
    let line = |name: &str| folder.path().join(name);
    let few = &["-a", "2-4", "-b", "9600", "-P", "none"][..];
    let quiet = FaultyLine::new(&line("quiet"), |_, _| Vec::new());
    let echo = FaultyLine::new(&line("echo"), |_, request| request.to_vec());
    let with_echo = good(3);
    let heard_too =
        FaultyLine::new(&line("heard-too"), move |baud, request| [request, &with_echo(baud, request)].concat());
    let zeros = FaultyLine::new(&line("zeros"), |_, request| vec![0; request.len() / 2]);
    let noise = FaultyLine::new(&line("noise"), |_, request| request.iter().map(|byte| byte ^ 0x5A).collect());
    let two = FaultyLine::new(&line("two"), move |_, request| match request {
        request if asked(request, 3) => [&framed(&[3, 3, 2, 0, 7])[..4], &[0x13, 0x9C, 0x40][..]].concat(),
        request if asked(request, 4) => framed(&[4, 3, 2, 0, 7]),
        _ => Vec::new(),
    });
    let twice = FaultyLine::new(&line("twice"), move |_, request| {
        if asked(request, 3) { [framed(&[3, 3, 2, 0, 7]), framed(&[3, 3, 2, 0, 9])].concat() } else { Vec::new() }
    });
    // The second is slower: it answers when the first has long been heard.
    let mut rest = 0_u32;
    let apart = FaultyLine::new(&line("apart"), move |_, request| {
        if asked(request, 3) {
            rest = 20;
            return framed(&[3, 3, 2, 0, 7]);
        }
        rest = rest.saturating_sub(1);
        if rest == 1 { framed(&[3, 3, 2, 0, 9]) } else { Vec::new() }
    });
    let mut looks = 0_u32;
    let beside = good(3);
    let master = FaultyLine::new(&line("master"), move |baud, request| {
        looks += 1;
        if looks.is_multiple_of(150) { framed(&[9, 4, 0, 1, 0, 2]) } else { beside(baud, request) }
    });
    let fast = good(3);
    let rate = FaultyLine::new(&line("rate"), move |baud, request| {
        if baud == 19_200 { fast(baud, request) } else { request.iter().map(|byte| byte.rotate_left(3)).collect() }
    });
    // A meter code at its place: the profile knows whose.
    let meter = FaultyLine::new(&line("meter"), move |_, request| match request {
        [3, 3, 0xFC, 0x02, 0, 1, ..] => framed(&[3, 3, 2, 0, 0x20]),
        [3, 3, 0, 0, 0, 1, ..] => framed(&[3, 3, 2, 0, 7]),
        [3, function, ..] => framed(&[3, function | 0x80, 2]),
        _ => Vec::new(),
    });
    // Function 3 goes by in silence.
    let input_only = FaultyLine::new(&line("input-only"), move |_, request| match request {
        [3, 4, 0, 0, 0, 1, ..] => framed(&[3, 4, 2, 0, 7]),
        _ => Vec::new(),
    });
    let (.., right, known, input) = tokio::join!(
        check("quiet", few, &["silence"], quiet),
        check("echo", few, &["echo-only"], echo),
        check("heard too", few, &[], heard_too),
        check("zeros", few, &["swapped-or-floating"], zeros),
        check("noise", few, &["never-a-crc"], noise),
        check("two", few, &["two-on-one-id"], two),
        check("twice", few, &["two-on-one-id"], twice),
        check("apart", few, &["two-on-one-id"], apart),
        check("master", few, &["foreign-master"], master),
        check("rate", &["-a", "3", "-P", "even"], &[], rate),
        check("meter", few, &[], meter),
        check("input only", few, &[], input_only),
    );
    assert_eq!(known["units"][0]["profile"], "eastron-sdm120", "{known}");
    assert_eq!((&input["units"][0]["unit_id"], &input["units"][0]["readable"]), (&3.into(), &"input:0".into()));
    assert_eq!((&right["units"][0]["unit_id"], &right["units"][0]["baud"]), (&3.into(), &19_200.into()));
}

#[tokio::test]
async fn what_hangs_up_or_goes_is_not_called_silence() {
    let folder = TempDir::new().unwrap();
    let said = |out: &str| {
        let document: serde_json::Value = serde_json::from_str(out).unwrap_or_else(|e| panic!("{e}: {out}"));
        document["verdicts"][0]["word"].as_str().unwrap_or_default().to_owned()
    };
    // What went wrong is no part of a file that the output goes to.
    let curb_binary = binary("curb").unwrap();
    let refused = ["scan", "127.0.0.1:1", "--propose", "--config", "/nonexistent/c"];
    let (status, out) = Process::run("refused", &curb_binary, refused, folder.path(), PATIENCE).await.unwrap();
    assert_eq!((status.code(), out), (Some(3), Vec::new()));
    let none = ["--json", "--config", "/nonexistent/c"];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let web_server = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.ok();
        }
    };
    let scan = [&["scan", &address, "-a", "1-3"][..], &none].concat();
    let (code, out) = tokio::select! {
        scanned = curb(folder.path(), &scan) => scanned,
        () = web_server => unreachable!("it accepts for ever"),
    };
    assert_eq!((code, said(&out).as_str()), (Some(1), "not-modbus"), "{out}");

    let (tell, told) = std::sync::mpsc::channel();
    let line = FaultyLine::new(&folder.path().join("tty"), move |_, request| {
        if !request.is_empty() {
            tell.send(()).ok();
        }
        Vec::new()
    });
    let port = line.path().display().to_string();
    let unplugged = tokio::task::spawn_blocking(move || {
        told.recv_timeout(PATIENCE).ok();
        drop(line);
    });
    let scan = [&["scan", &port, "-b", "9600", "-P", "none"][..], &none].concat();
    let ((code, out), unplugged) = tokio::join!(curb(folder.path(), &scan), unplugged);
    unplugged.unwrap();
    assert_eq!((code, said(&out).as_str()), (Some(3), "port-gone"), "{out}");
}

#[tokio::test]
async fn ctrl_c_ends_a_tool_at_once_with_what_it_has_found() {
    let folder = TempDir::new().unwrap();
    // A unit that answers a read of its first register, and is silent to all else for longer than anybody waits.
    let ended_at = async |name: &str, words: &[&str], moment: fn(&[u8]) -> bool| {
        let (tell, told) = std::sync::mpsc::channel();
        let line = FaultyLine::new(&folder.path().join(format!("tty-{name}")), move |_, request| {
            if moment(request) {
                tell.send(()).ok();
            }
            let first = request.len() == 8 && request[0] == 3 && request[2..4] == [0, 0];
            if first { framed(&[3, 3, 2, 0, 7]) } else { Vec::new() }
        });
        let port = line.path().display().to_string();
        let most = [name, &port, "-a", "3", "-b", "9600", "-P", "none", "-o", "50s", "--config", "/nonexistent/c"];
        let words = [&most[..], words].concat();
        let mut tool = Process::start(name, &binary("curb").unwrap(), words, folder.path()).unwrap();
        tokio::task::spawn_blocking(move || told.recv_timeout(PATIENCE).unwrap()).await.unwrap();
        let id = tool.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let code = tool.wait(PATIENCE).await.unwrap().code();
        (code, std::fs::read_to_string(folder.path().join(format!("{name}.out"))).unwrap())
    };
    let identifies = |request: &[u8]| request.get(1) == Some(&43);
    let (code, out) = ended_at("scan", &["--budget", "600s"], identifies).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("unit 3  9600 8N1  not identified") && out.contains("not all was asked"), "{out}");
    let (code, out) = ended_at("read", &["-r", "holding:1", "-l", "1s"], |request| request.len() == 8).await;
    assert_eq!((code, out.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn a_tap_shows_what_leaves_the_hub_and_keeps_only_that() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let mut hub = Hub::new(&site, &broker, &meter(server.port));
    hub.start().await;
    let (code, out) = hub.curb(&["tap", "--at", "uplink", "--json", "-C", "3", "-W", "20s"]).await;
    assert_eq!(code, Some(0), "{out}");
    let topics: Vec<String> = out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["topic"].as_str().unwrap().to_owned())
        .collect();
    assert!(topics.contains(&format!("curb/v1/{}/{}/data/meter", e2e::SITE, e2e::HUB)), "{topics:?}");
    let file = site.path().join("capture.jsonl");
    let path = file.display().to_string();
    let (code, out) = hub.curb(&["tap", "-v", "-t", "meter/voltage", "-C", "2", "--capture", &path]).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("meter/voltage = 230.1 V good stream meter"), "{out}");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert_eq!(kept.lines().next(), Some("{\"capture\":\"pipeline\",\"v\":1}"));
    assert_eq!(kept.matches("\"point\":\"meter/voltage\"").count(), 2, "{kept}");
    let other = site.path().join("other.jsonl").display().to_string();
    let (code, out) = hub.curb(&["tap", "--at", "source", "--capture", &other]).await;
    assert_eq!(code, Some(2), "{out}");
    assert!(out.contains("refused"), "{out}");
    assert_eq!(hub.stop().await, Some(0));
}

#[tokio::test]
async fn a_dump_alone_only_listens() {
    let folder = TempDir::new().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let mut looks = 0_u32;
    let line = FaultyLine::new(&folder.path().join("tty"), move |_, request| {
        if !request.is_empty() {
            tell.send(request.to_vec()).ok();
        }
        looks += 1;
        match looks % 200 {
            50 => framed(&[3, 3, 0, 100, 0, 1]),
            100 => framed(&[3, 3, 2, 0x12, 0x34]),
            150 => vec![0x55, 0xAA, 1],
            _ => Vec::new(),
        }
    });
    let port = line.path().display().to_string();
    let dump = [&["bus", "dump", &port, "-b", "9600", "-C", "4", "-W", "20s"][..], &["--config", "/nonexistent/c"]];
    let (code, out) = curb(folder.path(), &dump.concat()).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("tty < 03 03 0064 0001") && out.contains("tty < 03 03 02 1234"), "{out}");
    assert!(out.contains("bad gap"), "{out}");
    assert!(told.try_recv().is_err(), "it sends nothing");
    eventually(PATIENCE, "the port is free again", &[], || Some(())).await.unwrap();
}

#[tokio::test]
async fn a_setting_that_wears_the_device_is_written_once_counted_and_read_back() {
    let site = Site::new().await;
    let server = peers::libmodbus_tcp(&site).await;
    let profiles = site.path().join("profiles");
    std::fs::create_dir(&profiles).unwrap();
    let profile = "[profile]\nmaker = \"Ours\"\nmodel = \"Box\"\nkind = \"io\"\nsource = \"own\"\nconfirmed = \"memory\"\n\
                   tcp_port = 502\nunit_id = 1\n[device.point.value]\nregister = \"holding:105\"\ntype = \"u16\"\n\
                   [setting.mode]\nregister = \"holding:105\"\ntype = \"u16\"\nenum = { 3 = \"low\", 4 = \"high\" }\neeprom = true\n\
                   [setting.rate]\nregister = \"holding:106\"\ntype = \"u16\"\nrange = [0, 9]\neeprom = true\n";
    std::fs::write(profiles.join("box.toml"), profile).unwrap();
    let device = format!(
        "[bus.lan]\ntcp = \"127.0.0.1:{}\"\n\n[device.box]\nbus = \"lan\"\nunit_id = 1\nprofile = \"box\"\n\
         settings.mode = \"high\"\n",
        server.port
    );
    let hub = Hub::with_core(&site, NO_CORE, &device);
    std::fs::create_dir_all(site.path().join("hub/state")).unwrap();
    let config = hub.config().display().to_string();
    let folder = format!("paths.profiles={:?}", profiles.display().to_string());
    let check = async |words: &[&str], code: i32, expected: &str| {
        let words: Vec<&str> = words.iter().copied().chain(["--config", &config, "--set", &folder]).collect();
        let (status, out) = curb(site.path(), &words).await;
        assert_eq!(status, Some(code), "{words:?}: {out}");
        assert!(out.contains(expected), "{words:?}: {out}");
    };
    let mode = |value| ["write", "box", "--setting", "mode", value];
    check(&mode("low"), 4, "another value").await;
    check(&mode("loud"), 2, "loud").await;
    check(&["write", "box", "--setting", "rate", "1"], 4, "no setting rate").await;
    check(&mode("high"), 0, "(read back; each write wears the device: 1 from this hub)").await;
    check(&["read", "box/value"], 0, " 4").await;
    check(&mode("high"), 0, "stands there already: not written").await;
    check(&["write", "lan", "-a", "1", "-r", "holding:105", "3", "--raw"], 0, "written").await;
    check(&[&mode("high")[..], &["--json"]].concat(), 0, "\"writes\":2").await;
    check(&["profiles", "box"], 0, "only by hand, curb write DEVICE --setting mode VALUE").await;
}

#[tokio::test]
async fn a_dump_shows_what_a_talker_says_alone_and_beside_the_daemon() {
    let site = Site::new().await;
    let (tell, told) = std::sync::mpsc::channel();
    let mut looks = 0_u32;
    let line = FaultyLine::new(&site.path().join("tty-weather"), move |_, request| {
        if !request.is_empty() {
            tell.send(request.to_vec()).ok();
        }
        looks += 1;
        if looks.is_multiple_of(150) { b"21.5,40\r\n".to_vec() } else { Vec::new() }
    });
    let config = format!(
        "[bus.weather]\nserial = \"{}\"\nbaud = 9600\nframe = {{ delimiter = \"\\r\\n\" }}\n\n\
         [device.mast]\nbus = \"weather\"\ndecode = \"csv\"\n[device.mast.point.temperature]\ncolumn = 1\ntype = \"f32\"\n",
        line.path().display()
    );
    let mut hub = Hub::with_core(&site, NO_CORE, &config);
    let config = hub.config().display().to_string();
    let dump = async |more: &[&str], expected: &str| {
        let words = [&["bus", "dump", "weather", "-C", "3", "-W", "20s", "--config", &config], more].concat();
        let (code, out) = curb(site.path(), &words).await;
        assert_eq!(code, Some(0), "{out}");
        assert!(out.contains(expected), "{out}");
        // It may have begun within a sentence.
        assert!(out.contains("32312E352C34300D0A"), "{out}");
        out
    };
    let out = dump(&[], "alone, listening only").await;
    assert!(out.contains("weather < 32312E352C34300D0A none gap"), "{out}");
    let file = site.path().join("weather.dump").display().to_string();
    std::fs::write(&file, &out).unwrap();
    let (code, played) = curb(site.path(), &["bus", "play", &file]).await;
    assert_eq!(code, Some(0), "what a talker says is no fault: {played}");
    hub.start().await;
    dump(&[], "beside the daemon").await;
    dump(&["--json"], "\"check\":\"none\"").await;
    assert!(told.try_recv().is_err(), "nothing is sent");
    assert_eq!(hub.stop().await, Some(0), "{}", hub.log());
}
