//! What the core commands is done once or refused with its word, and recorded either way.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::{How, Hub, Ingest, Mosquitto, Operator, Site, now, peers};
use rusqlite::Connection;
use serde_json::{Value, json};
use street::eventually;

use crate::meter;

/// A meter on `port`, some of whose points may be written, one of them never read, and one with a register that the server does not have.
fn lamp(port: u16) -> String {
    format!(
        "{}[device.meter.point.dim]\nregister = \"holding:10\"\ntype = \"u16\"\nunit = \"%\"\nwrite = {{ min = 0, max = 100 }}\n\
         [device.meter.point.offset]\nregister = \"holding:12\"\ntype = \"i16\"\nscale = 0.5\nwrite = {{ min = -40, max = 40 }}\n\
         [device.meter.point.relay]\nregister = \"coil:7\"\ntype = \"bool\"\nwrite = {{}}\n\
         [device.meter.point.latch]\nregister = \"coil:9\"\naccess = \"write\"\nwrite = {{}}\n\
         [device.meter.point.beyond]\nregister = \"holding:4000\"\ntype = \"u16\"\nwrite = {{ min = 0, max = 9 }}\n\n",
        meter(port, "100ms")
    )
}

/// The core's records of commands: `ok word point value` of each, in order.
fn audit(site: &Site) -> Vec<String> {
    let Ok(db) = Connection::open(site.path().join("core.db")) else { return Vec::new() };
    db.busy_timeout(Duration::from_secs(10)).unwrap();
    let sql = "SELECT ok || ' ' || word || ' ' || coalesce(point, '-') || ' ' || coalesce(value, '-') FROM audit ORDER BY run, seq";
    let Ok(mut statement) = db.prepare(sql) else { return Vec::new() };
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Waits until the hub has subscribed, in its so-manieth life.
async fn listens(hub: &Hub, broker: &Mosquitto, life: usize) {
    let subscribed = || (broker.subscriptions(e2e::HUB) == life).then_some(());
    eventually(e2e::PATIENCE, "the hub listens", &[hub.process(), broker.process()], subscribed).await.unwrap();
}

#[tokio::test]
async fn the_core_writes_what_is_granted_and_each_refusal_has_its_word() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &lamp(server.port));
    hub.start().await;
    listens(&hub, &broker, 1).await;
    let operator = Operator::new(&site, &broker);

    for (id, point, value) in [("a1", "dim", json!(50)), ("a2", "offset", json!(-2.5)), ("a3", "relay", json!(false))] {
        let answer = operator.write(id, &format!("meter/{point}"), value.clone()).await;
        assert_eq!((&answer["ok"], &answer["proof"], &answer["value"]), (&json!(true), &json!("read-back"), &value));
        let name = format!("meter/{point}");
        let stands = || ingest.readings(&name).last().filter(|reading| reading["value"] == value).map(drop);
        eventually(e2e::PATIENCE, &name, &[hub.process(), &ingest.process], stands).await.unwrap();
    }

    let request = |point: &str, value: Value, deadline: f64| {
        json!({"v": 1, "point": point, "value": value, "deadline": deadline}).to_string()
    };
    let soon = now() + 60.0;
    let dim = |value: Value| request("meter/dim", value, soon);
    let check = async |how: How<'_>, payload: &str, word: &str| {
        let answer = operator.ask(how, payload).await;
        assert_eq!((&answer["ok"], &answer["word"]), (&json!(false), &json!(word)), "{answer}");
        assert!(answer["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{answer}");
    };
    check(How::Id("b1"), "nonsense", "bad-request").await;
    check(How::Other { command: "format", id: "b2" }, &dim(json!(1)), "unknown-command").await;
    check(How::NoId, &dim(json!(1)), "no-correlation").await;
    check(How::Id("a1"), &dim(json!(51)), "duplicate-id").await;
    check(How::Id("b3"), &request("meter/dim", json!(1), now() + 7200.0), "deadline-too-far").await;
    check(How::Id("b4"), &request("meter/dim", json!(1), now() - 1.0), "deadline").await;
    check(How::Id("b5"), &request("meter/nothing", json!(1), soon), "unknown-point").await;
    check(How::Id("b6"), &request("lamp/dim", json!(1), soon), "unknown-point").await;
    check(How::Id("b7"), &request("meter/voltage", json!(1), soon), "not-granted").await;
    check(How::Id("b8"), &dim(json!(101)), "out-of-bounds").await;
    check(How::Id("b9"), &dim(json!(1.5)), "not-representable").await;
    check(How::Id("b10"), &request("meter/beyond", json!(1), soon), "refused-by-device").await;
    let latch = operator.write("c1", "meter/latch", json!(true)).await;
    assert_eq!((&latch["ok"], &latch["proof"]), (&json!(true), &json!("echo")), "{latch}");
    assert_eq!(ingest.readings("meter/latch"), [] as [Value; 0], "it is never read");
    let still = ingest.readings("meter/dim").pop().unwrap();
    assert_eq!(still["value"], 50, "nothing refused has changed anything");

    assert_eq!(hub.stop().await, Some(0), "{}", hub.log());
    let recorded = || (audit(&site).len() == 16).then_some(());
    let told = eventually(e2e::PATIENCE, "16 records", &[&ingest.process], recorded).await;
    assert!(told.is_ok(), "{:#?}", audit(&site));
    let records = audit(&site);
    assert_eq!(
        records[..3],
        ["1 read-back meter/dim 50", "1 read-back meter/offset -2.5", "1 read-back meter/relay 0"]
    );
    assert_eq!(records[3], "0 bad-request - -");
    assert_eq!(records[12], "0 out-of-bounds meter/dim 101");
    assert_eq!(records[15], "1 echo meter/latch 1");
    let (closed, ledger) = site.ledger().await;
    assert!(closed, "{ledger:#}");
}

/// A Modbus TCP server of one's own: it keeps what is written, holds its answers back, and does not answer writes, as it is
/// told.
#[derive(Debug, Clone, Default)]
struct Moody(Arc<Moods>);

#[derive(Debug, Default)]
struct Moods {
    register: Mutex<[u8; 2]>,
    reads: AtomicUsize,
    writes: AtomicUsize,
    holds: AtomicBool,
    swallows_writes: AtomicBool,
}

impl Moody {
    fn start() -> (Self, u16) {
        let port = e2e::free_port();
        (Self::start_at(port), port)
    }

    fn start_at(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let moody = Self::default();
        let server = moody.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                std::thread::spawn(move || server.answer(stream));
            }
        });
        moody
    }

    /// Until the peer hangs up.
    fn answer(&self, mut stream: TcpStream) {
        let mut request = [0; 12];
        while stream.read_exact(&mut request).is_ok() {
            let mut answer = request.to_vec();
            if request[7] == 6 {
                self.0.writes.fetch_add(1, Ordering::SeqCst);
                if self.0.swallows_writes.load(Ordering::SeqCst) {
                    continue;
                }
                self.0.register.lock().unwrap().copy_from_slice(&request[10..12]);
            } else {
                self.0.reads.fetch_add(1, Ordering::SeqCst);
                while self.0.holds.load(Ordering::SeqCst) {
                    std::thread::park_timeout(Duration::from_millis(5));
                }
                answer.truncate(8);
                answer[4..6].copy_from_slice(&5_u16.to_be_bytes());
                answer.push(2);
                answer.extend(*self.0.register.lock().unwrap());
            }
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    }

    fn stands(&self) -> u16 {
        u16::from_be_bytes(*self.0.register.lock().unwrap())
    }

    fn reads(&self) -> usize {
        self.0.reads.load(Ordering::SeqCst)
    }

    fn writes(&self) -> usize {
        self.0.writes.load(Ordering::SeqCst)
    }
}

/// A lamp on `port` that may take three seconds to answer.
fn slow_lamp(port: u16) -> String {
    format!(
        "[bus.lan]\ntcp = \"127.0.0.1:{port}\"\n\n[device.lamp]\nbus = \"lan\"\nunit_id = 1\nevery = \"100ms\"\ntimeout = \"3s\"\n\
         [device.lamp.point.dim]\nregister = \"holding:0\"\ntype = \"u16\"\nwrite = {{ min = 0, max = 100 }}\n\n"
    )
}

#[tokio::test]
async fn a_command_is_carried_out_once_whatever_happens_to_the_hub() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let (lamp, port) = Moody::start();
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &slow_lamp(port));
    hub.start().await;
    listens(&hub, &broker, 1).await;
    let operator = Operator::new(&site, &broker);
    let first = operator.write("c1", "lamp/dim", json!(50)).await;
    assert_eq!((&first["ok"], lamp.stands()), (&json!(true), 50), "{first}");
    assert_eq!(operator.write("c2", "lamp/dim", json!(60)).await["ok"], true);
    assert_eq!(operator.write("c1", "lamp/dim", json!(50)).await, first, "the answer of the first");
    hub.kill().await;
    hub.start().await;
    listens(&hub, &broker, 2).await;
    assert_eq!(operator.write("c1", "lamp/dim", json!(50)).await, first, "and so in the next life");
    assert_eq!((lamp.stands(), lamp.writes()), (60, 2), "nothing was written again");

    // Cut off between the write and its answer.
    lamp.0.swallows_writes.store(true, Ordering::SeqCst);
    let asked = async {
        let deadline = now() + 20.0;
        let payload = json!({"v": 1, "point": "lamp/dim", "value": 70, "deadline": deadline}).to_string();
        operator.send("c3", &payload).await;
        let sent = || (lamp.writes() == 3).then_some(());
        eventually(e2e::PATIENCE, "the third write", &[hub.process()], sent).await.unwrap();
    };
    asked.await;
    hub.kill().await;
    lamp.0.swallows_writes.store(false, Ordering::SeqCst);
    hub.start().await;
    listens(&hub, &broker, 3).await;
    let answer = operator.write("c3", "lamp/dim", json!(70)).await;
    assert_eq!((&answer["ok"], &answer["word"]), (&json!(false), &json!("unconfirmed")), "{answer}");
    assert_eq!((lamp.stands(), lamp.writes()), (60, 3), "it was not sent again");

    // A bus that is busy past the deadline.
    let before = lamp.0.reads.load(Ordering::SeqCst);
    lamp.0.holds.store(true, Ordering::SeqCst);
    let polled = || (lamp.0.reads.load(Ordering::SeqCst) > before).then_some(());
    eventually(e2e::PATIENCE, "a poll", &[hub.process()], polled).await.unwrap();
    let deadline = now() + 0.7;
    let payload = json!({"v": 1, "point": "lamp/dim", "value": 80, "deadline": deadline}).to_string();
    let late = async {
        tokio::time::sleep(Duration::from_millis(1000)).await;
        lamp.0.holds.store(false, Ordering::SeqCst);
    };
    let (answer, ()) = tokio::join!(operator.ask(How::Id("c4"), &payload), late);
    assert_eq!(answer["word"], "deadline", "{answer}");
    assert_eq!((lamp.stands(), lamp.writes()), (60, 3), "it was not sent at all");

    assert_eq!(hub.stop().await, Some(0), "{}", hub.log());
    let recorded = || (audit(&site).len() == 4).then_some(());
    let told = eventually(e2e::PATIENCE, "four records", &[&ingest.process], recorded).await;
    assert!(told.is_ok(), "{:#?}", audit(&site));
    let expected =
        ["1 read-back lamp/dim 50", "1 read-back lamp/dim 60", "0 unconfirmed lamp/dim 70", "0 deadline lamp/dim 80"];
    assert_eq!(audit(&site), expected, "repeats are not recorded again");
    let (closed, ledger) = site.ledger().await;
    assert!(closed, "{ledger:#}");
}

/// A lamp that answers when it likes to, and one that is not there.
fn lamps(here: u16, away: u16, every: &str) -> String {
    let lamp = |name: &str, port: u16| {
        format!(
            "[bus.{name}]\ntcp = \"127.0.0.1:{port}\"\n\n[device.{name}]\nbus = \"{name}\"\nunit_id = 1\nevery = \"{every}\"\n\
             timeout = \"20s\"\n[device.{name}.point.dim]\nregister = \"holding:0\"\ntype = \"u16\"\nwrite = {{ min = 0, max = 100 }}\n\n"
        )
    };
    format!("{}{}", lamp("lamp", here), lamp("away", away))
}

#[tokio::test]
async fn what_cannot_be_done_now_has_its_word_and_is_not_done_later() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let (lamp, port) = Moody::start();
    let away_port = e2e::free_port();
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &lamps(port, away_port, "100ms"));
    let operator = Operator::new(&site, &broker);
    let dim = |point: &str| json!({"v": 1, "point": point, "value": 50, "deadline": now() + 60.0}).to_string();
    let refused = |answer: &Value, word: &str| {
        assert_eq!((&answer["ok"], &answer["word"]), (&json!(false), &json!(word)), "{answer}");
    };

    // Its first poll is the one that waits: no shorter time-out has been learnt yet.
    lamp.0.holds.store(true, Ordering::SeqCst);
    hub.start().await;
    listens(&hub, &broker, 1).await;

    // Of an unknown age: marked as such now, and not asked for in the next life.
    let reply = format!("curb/v1/{}/{}/reply/later", e2e::SITE, e2e::HUB);
    let answers = broker.subscriber(&site, &reply, 1);
    broker.hears(&answers).await;
    operator.leave("d1", &dim("lamp/dim"), &reply).await;
    let answers = answers.collect().await;
    refused(&serde_json::from_str(&answers[0].1).unwrap(), "retained");

    // On a bus that is stopped while it waits for its turn.
    let polled = || (lamp.reads() > 0).then_some(());
    eventually(e2e::PATIENCE, "a poll", &[hub.process()], polled).await.unwrap();
    let reload = async {
        let memory = site.path().join("hub/state/commands");
        // Its id, as it is stored there.
        let taken = || std::fs::read(&memory).ok().filter(|bytes| bytes.windows(3).any(|id| id == b"ZDI")).map(drop);
        eventually(e2e::PATIENCE, "the command is noted", &[hub.process()], taken).await.unwrap();
        let core = format!("mqtts://localhost:{}", broker.port());
        hub.configure(&site, &core, &lamps(port, away_port, "200ms"));
        let (code, out) = hub.curb(&["reload"]).await;
        assert_eq!(code, Some(0), "{out}");
    };
    let payload = dim("lamp/dim");
    let (answer, ()) = tokio::join!(operator.ask(How::Id("d2"), &payload), reload);
    refused(&answer, "stopped");
    lamp.0.holds.store(false, Ordering::SeqCst);

    // To a device that is not there, and comes.
    refused(&operator.write("d3", "away/dim", json!(50)).await, "not-sent");
    let came = Moody::start_at(away_port);
    let polled = || (came.reads() > 1).then_some(());
    eventually(e2e::PATIENCE, "a poll of the other", &[hub.process()], polled).await.unwrap();
    assert_eq!((came.stands(), came.writes()), (0, 0), "what was not sent is not sent later");

    // While the disk does not keep what is done.
    let memory = site.path().join("hub/state/commands");
    std::fs::remove_file(&memory).unwrap();
    std::fs::create_dir(&memory).unwrap();
    refused(&operator.write("d4", "lamp/dim", json!(50)).await, "not-recorded");
    std::fs::remove_dir(&memory).unwrap();
    assert_eq!((lamp.stands(), lamp.writes()), (0, 0), "nothing was written in all this");
    let answer = operator.write("d4", "lamp/dim", json!(50)).await;
    assert_eq!((&answer["ok"], lamp.stands(), lamp.writes()), (&json!(true), 50, 1), "{answer}");
    assert_eq!(hub.stop().await, Some(0), "{}", hub.log());

    // With a clock at 1970.
    let mut hub = hub.under(&[
        "env",
        "LD_PRELOAD=/usr/$LIB/faketime/libfaketime.so.1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "FAKETIME=@1970-01-01 00:01:00",
    ]);
    hub.start().await;
    listens(&hub, &broker, 2).await;
    let answer = operator.write("d5", "lamp/dim", json!(60)).await;
    assert_eq!((&answer["word"], &answer["time"]), (&json!("clock-not-trusted"), &Value::Null), "{answer}");
    assert_eq!((lamp.stands(), lamp.writes()), (50, 1));

    assert_eq!(hub.stop().await, Some(0), "{}", hub.log());
    let recorded = || (audit(&site).len() == 6).then_some(());
    let told = eventually(e2e::PATIENCE, "six records", &[&ingest.process], recorded).await;
    assert!(told.is_ok(), "{:#?}", audit(&site));
    let expected = [
        "0 retained - -",
        "0 stopped lamp/dim 50",
        "0 not-sent away/dim 50",
        "0 not-recorded lamp/dim 50",
        "1 read-back lamp/dim 50",
        "0 clock-not-trusted lamp/dim 60",
    ];
    assert_eq!(audit(&site), expected);
}

#[tokio::test]
async fn writes_of_the_tools_with_the_daemon_stopped_are_recorded_when_it_runs_again() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let (lamp, port) = Moody::start();
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &slow_lamp(port));
    let config = hub.config().display().to_string();
    let write = async |words: &[&str], code: i32| {
        let words: Vec<&str> = ["write"].iter().chain(words).chain(&["--config", &config]).copied().collect();
        let (status, out) = hub.curb(&words).await;
        assert_eq!(status, Some(code), "{words:?}: {out}");
        out
    };
    // Nobody has run there yet.
    let out = write(&["lamp/dim", "10"], 4).await;
    assert!(out.contains("not done") && out.contains("--unrecorded"), "{out}");
    assert_eq!(lamp.writes(), 0, "what cannot be recorded is not sent");
    write(&["lamp/dim", "11", "--unrecorded"], 0).await;
    assert_eq!((lamp.stands(), lamp.writes()), (11, 1));
    let state = site.path().join("hub/state");
    std::fs::create_dir(&state).unwrap();
    write(&["lamp/dim", "12"], 0).await;
    write(&["lamp/dim", "101"], 2).await;
    write(&["lan", "-a", "1", "-r", "holding:0", "13", "--raw"], 0).await;
    assert_eq!((lamp.stands(), lamp.writes()), (13, 3));
    let spool = state.join("tool-writes");
    assert!(spool.exists());

    hub.start().await;
    let recorded = async |expected: &[&str]| {
        let all = || (audit(&site).len() == expected.len()).then_some(());
        let told = eventually(e2e::PATIENCE, "the records", &[&ingest.process], all).await;
        assert!(told.is_ok() && audit(&site) == expected, "{:#?}", audit(&site));
        let taken = || (!spool.exists()).then_some(());
        eventually(e2e::PATIENCE, "the end of the file", &[&ingest.process], taken).await.unwrap();
    };
    let mut expected = vec!["1 read-back lamp/dim 12", "0 out-of-bounds lamp/dim 101", "1 echo - 000D"];
    recorded(&expected).await;
    assert_eq!(hub.stop().await, Some(0), "{}", hub.log());

    // A power cut has torn the file: what was there before the last save is still told.
    let curb = ["write", "lamp/dim", "14", "--config", &config];
    assert_eq!(hub.curb(&curb).await.0, Some(0));
    std::fs::write(&spool, b"CURBFIL1\x09").unwrap();
    hub.start().await;
    expected.extend(["0 records-lost - -", "0 unconfirmed lamp/dim 14"]);
    recorded(&expected).await;
    assert!(state.join("tool-writes.damaged").exists());
    assert_eq!(hub.stop().await, Some(0), "{}", hub.log());
    let db = Connection::open(site.path().join("core.db")).unwrap();
    let origins: String =
        db.query_row("SELECT group_concat(DISTINCT origin) FROM audit", [], |row| row.get(0)).unwrap();
    assert_eq!(origins, "tool");
}
