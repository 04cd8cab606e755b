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
    let ingest = Ingest::start(&site, &broker);
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
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let moody = Self::default();
        let server = moody.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = server.clone();
                std::thread::spawn(move || server.answer(stream));
            }
        });
        (moody, port)
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
    let ingest = Ingest::start(&site, &broker);
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
