//! Modbus servers that we did not write: libmodbus, over a connection and over a serial line.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use curb_model::{Name, Reason, Sample, Value};
use curb_source::{Conversion, DeviceConfig, Encoding, Link, ModbusDevice, ModbusPoint, Order, Table};
use tokio::time::{Instant, sleep};

use crate::street::{Hub, PATIENCE, bus, name, register, serial};

/// A process that ends with its test.
#[derive(Debug)]
pub(crate) struct Peer(Child);

impl Peer {
    pub(crate) fn start<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Self {
        let child = Command::new(program).args(arguments).stdin(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{}: {error}", program.display())))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Compiles the server of the end-to-end tests.
pub(crate) fn libmodbus(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/peers/modbus_server.c");
    let program = dir.join("modbus_server");
    let compiled = Command::new("cc").arg("-O1").arg("-o").arg(&program).arg(source).arg("-lmodbus").status();
    assert!(compiled.is_ok_and(|status| status.success()), "no compiler, or no libmodbus-dev: make needs");
    program
}

/// A device that asks for all that the server's map knows. Every point is named after its value.
fn known(unit_id: u8, every: Duration) -> (Name, DeviceConfig) {
    let at = |point, table, address, encoding| register("meter", point, table, address, encoding);
    let swapped = |point| ModbusPoint { order: Order::Cdab, ..point };
    let scaled = |point| {
        let conversion = Conversion { scale: Some(0.1), ..Conversion::default() };
        ModbusPoint { conversion, ..point }
    };
    let absent = |point| {
        let conversion = Conversion { absent: vec![50], ..Conversion::default() };
        ModbusPoint { conversion, ..point }
    };
    let points = vec![
        at("u16-0", Table::Holding, 0, Encoding::U16),
        scaled(at("scaled-99", Table::Holding, 99, Encoding::U16)),
        at("f32", Table::Holding, 100, Encoding::F32),
        swapped(at("f32-cdab", Table::Holding, 102, Encoding::F32)),
        at("i16", Table::Holding, 104, Encoding::I16),
        at("i32", Table::Holding, 105, Encoding::I32),
        swapped(at("u32-cdab", Table::Holding, 107, Encoding::U32)),
        at("input-33", Table::Input, 33, Encoding::U16),
        at("coil-4", Table::Coil, 4, Encoding::Bool),
        at("coil-7", Table::Coil, 7, Encoding::Bool),
        at("discrete-99", Table::Discrete, 99, Encoding::Bool),
        absent(at("absent", Table::Holding, 5, Encoding::U16)),
        at("beyond", Table::Holding, 200, Encoding::U16),
    ];
    let device = ModbusDevice { points, ..ModbusDevice::new(unit_id, every) };
    (name("meter"), DeviceConfig::Modbus(device))
}

async fn is_read_to_the_last_bit(hub: &mut Hub) {
    let float = |number| Sample::Good(Value::from_f64(number).unwrap());
    let expected = [
        ("u16-0", Sample::Good(Value::U64(0))),
        ("scaled-99", float(99.0)),
        ("f32", float(230.1)),
        ("f32-cdab", float(230.1)),
        ("i16", Sample::Good(Value::I64(-5))),
        ("i32", Sample::Good(Value::I64(-70_000))),
        ("u32-cdab", Sample::Good(Value::U64(3_000_000_000))),
        ("input-33", Sample::Good(Value::U64(330))),
        ("coil-4", Sample::Good(Value::Bool(false))),
        ("coil-7", Sample::Good(Value::Bool(true))),
        ("discrete-99", Sample::Good(Value::Bool(true))),
        ("absent", Sample::Bad(Reason::Absent)),
        ("beyond", Sample::Bad(Reason::Exception(2))),
    ];
    for round in 0..20 {
        let batch = tokio::time::timeout(PATIENCE, hub.received.recv()).await.unwrap().unwrap();
        assert!(batch.closes());
        assert_eq!(batch.readings.len(), expected.len());
        for (point, sample) in &expected {
            let found = batch.readings.iter().find(|reading| reading.point.name.point().as_str() == *point).unwrap();
            assert_eq!(&found.sample, sample, "{point} in round {round}");
        }
    }
}

#[tokio::test]
async fn libmodbus_over_tcp_is_read_to_the_last_bit_and_again_after_it_was_away() {
    let dir = tempfile::tempdir().unwrap();
    let program = libmodbus(dir.path());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let address = format!("127.0.0.1:{port}");
    let serve = async || {
        let server = Peer::start(&program, ["tcp", "127.0.0.1", &port]);
        eventually("the server listens", || std::net::TcpStream::connect(&address).is_ok()).await;
        server
    };
    let server = serve().await;
    let mut hub = Hub::start([bus("charger", Link::Tcp(address.clone()), [known(1, Duration::from_millis(20))])]);
    is_read_to_the_last_bit(&mut hub).await;
    drop(server);
    hub.bad("meter", Reason::Port).await;
    assert_eq!(hub.fault_words(), ["port-gone"]);
    let _server = serve().await;
    hub.good("meter").await;
    while hub.received.try_recv().is_ok() {}
    is_read_to_the_last_bit(&mut hub).await;
    assert_eq!(hub.fault_words(), [""; 0]);
    hub.stop().await;
}

#[tokio::test]
async fn libmodbus_over_rtu_is_read_to_the_last_bit_and_again_after_the_cable_was_cut() {
    let dir = tempfile::tempdir().unwrap();
    let program = libmodbus(dir.path());
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    let end = |link: &Path| format!("pty,raw,echo=0,link={}", link.display());
    // The server is alone on its line: it takes the next request for the answer of a unit that does not answer.
    let plug = async || {
        let cable = Peer::start(Path::new("/usr/bin/socat"), [end(&ours), end(&theirs)]);
        eventually("the cable is there", || ours.exists() && theirs.exists()).await;
        (cable, Peer::start(&program, [OsStr::new("rtu"), theirs.as_os_str(), OsStr::new("17")]))
    };
    let cable = plug().await;
    let mut hub = Hub::start([bus("cabinet", Link::Rtu(serial(&ours)), [known(17, Duration::from_millis(100))])]);
    // Only its answer says that the server has opened its end.
    hub.good("meter").await;
    is_read_to_the_last_bit(&mut hub).await;
    drop(cable);
    hub.bad("meter", Reason::Port).await;
    for link in [&ours, &theirs] {
        std::fs::remove_file(link).unwrap();
    }
    let _cable = plug().await;
    hub.good("meter").await;
    is_read_to_the_last_bit(&mut hub).await;
    let counters = hub.source.health().buses[&name("cabinet")].counters;
    assert_eq!((counters.crc, counters.framing, counters.foreign, counters.noise_bytes), (0, 0, 0, 0));
    hub.stop().await;
}

#[tokio::test]
async fn libmodbus_behind_a_serial_server_is_read_to_the_last_bit_and_again_after_the_server_was_away() {
    let dir = tempfile::tempdir().unwrap();
    let program = libmodbus(dir.path());
    let theirs = dir.path().join("theirs");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // The line is a pair of pseudo-terminals; the server passes bytes on between its near end and a connection.
    let near = dir.path().join("near");
    let end = |link: &Path| format!("pty,raw,echo=0,link={}", link.display());
    let _cable = Peer::start(Path::new("/usr/bin/socat"), [end(&near), end(&theirs)]);
    eventually("the cable is there", || near.exists() && theirs.exists()).await;
    let _unit = Peer::start(&program, [OsStr::new("rtu"), theirs.as_os_str(), OsStr::new("17")]);
    let serve = || {
        let listen = format!("tcp-listen:{port},bind=127.0.0.1,reuseaddr");
        Peer::start(Path::new("/usr/bin/socat"), [listen, format!("file:{},raw,echo=0", near.display())])
    };
    let server = serve();
    let link = Link::RtuOverTcp(format!("127.0.0.1:{port}"));
    let mut hub = Hub::start([bus("cabinet", link, [known(17, Duration::from_millis(20))])]);
    hub.good("meter").await;
    is_read_to_the_last_bit(&mut hub).await;
    drop(server);
    hub.bad("meter", Reason::Port).await;
    assert_eq!(hub.fault_words(), ["port-gone"]);
    let _server = serve();
    hub.good("meter").await;
    while hub.received.try_recv().is_ok() {}
    is_read_to_the_last_bit(&mut hub).await;
    assert_eq!(hub.fault_words(), [""; 0]);
    let counters = hub.source.health().buses[&name("cabinet")].counters;
    assert_eq!((counters.crc, counters.foreign, counters.noise_bytes), (0, 0, 0));
    hub.stop().await;
}
