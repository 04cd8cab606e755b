//! Writing, against libmodbus: what was written is there, what was not granted is not.

use std::path::Path;
use std::time::Duration;

use curb_model::{Access, Name, PointName, Reason, Sample, Value};
use curb_source::{
    Bits, Conversion, DeviceConfig, DeviceState, Encoding, Grant, Half, Link, ModbusDevice, ModbusPoint, Order,
    Outcome, Probe, ProbeError, Proof, Question, Setup, Table, WriteError, WriteWith, Written,
};
use tokio::time::Instant;

use crate::peers::{Peer, eventually, libmodbus};
use crate::street::{Behaviour, Hub, Line, bus, name, register, serial};

const DEVICE: &str = "lamp";

/// A libmodbus server, and a hub that reads and writes it.
struct Rig {
    _dir: tempfile::TempDir,
    _server: Peer,
    hub: Hub,
}

impl Rig {
    async fn new(device: ModbusDevice) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = libmodbus(dir.path());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let server = Peer::start(&program, ["tcp", "127.0.0.1", &port]);
        let address = format!("127.0.0.1:{port}");
        eventually("the server listens", || std::net::TcpStream::connect(&address).is_ok()).await;
        let devices: [(Name, DeviceConfig); 1] = [(name(DEVICE), DeviceConfig::Modbus(device))];
        Self { _dir: dir, _server: server, hub: Hub::start([bus("cabinet", Link::Tcp(address), devices)]) }
    }

    async fn write(&self, point: &str, value: Value) -> Result<Written, WriteError> {
        let deadline = Instant::now() + Duration::from_secs(10);
        self.write_until(point, value, deadline).await
    }

    async fn write_until(&self, point: &str, value: Value, deadline: Instant) -> Result<Written, WriteError> {
        let point = PointName::new(name(DEVICE), name(point));
        self.hub.source.bus(&name("cabinet")).unwrap().write(point, value, deadline).await
    }

    /// Registers, as another client sees them.
    async fn registers(&self, address: u16, quantity: u16) -> Outcome {
        let question = Question::Read { table: Table::Holding, address, quantity };
        let probe = Probe { unit: 1, question, settings: None, timeout: None, hold: Duration::ZERO };
        self.hub.source.bus(&name("cabinet")).unwrap().probe(probe).await.unwrap().outcome
    }
}

fn granted(at: &str, address: u16, encoding: Encoding) -> ModbusPoint {
    let bounds = Some((f64::MIN, f64::MAX));
    let point = register(DEVICE, at, Table::Holding, address, encoding);
    ModbusPoint { write: Some(Grant { bounds, target: None, encoding: None }), ..point }
}

fn device(points: Vec<ModbusPoint>) -> ModbusDevice {
    ModbusDevice { min_gap: Some(Duration::ZERO), points, ..ModbusDevice::new(1, Duration::from_millis(20)) }
}

fn float(number: f64) -> Value {
    Value::from_f64(number).unwrap()
}

#[tokio::test]
async fn every_kind_of_value_is_written_and_read_back() {
    let tenths = Conversion { scale: Some(0.1), ..Conversion::default() };
    let names = [(0, "off"), (1, "on")].map(|(raw, name)| (raw, name.into()));
    let named = Conversion { names: names.into_iter().collect(), ..Conversion::default() };
    let coil = register(DEVICE, "coil", Table::Coil, 3, Encoding::Bool);
    let written = [
        (granted("u16", 10, Encoding::U16), Value::U64(4_711)),
        (granted("i16", 11, Encoding::I16), Value::I64(-5)),
        (ModbusPoint { conversion: tenths, ..granted("tenths", 12, Encoding::U16) }, float(4.7)),
        (ModbusPoint { order: Order::Cdab, ..granted("f32", 13, Encoding::F32) }, float(4.74)),
        (granted("u32", 15, Encoding::U32), Value::U64(3_000_000_000)),
        (ModbusPoint { order: Order::Dcba, ..granted("i64", 17, Encoding::I64) }, Value::I64(-7)),
        (granted("high", 21, Encoding::U8(Half::High)), Value::U64(9)),
        (ModbusPoint { bits: Some(Bits { first: 2, width: 3 }), ..granted("bits", 22, Encoding::U16) }, Value::U64(5)),
        (granted("text", 23, Encoding::Text(6)), Value::Text("depot".into())),
        (ModbusPoint { conversion: named, ..granted("mode", 26, Encoding::U16) }, Value::Text("on".into())),
        (ModbusPoint { write: Some(Grant { bounds: None, target: None, encoding: None }), ..coil }, Value::Bool(false)),
    ];
    for (mask_write, write_with) in [(false, WriteWith::Auto), (true, WriteWith::Multiple), (false, WriteWith::Single)]
    {
        let points = written.iter().map(|(point, _)| point.clone()).collect();
        let mut rig = Rig::new(ModbusDevice { mask_write, write_with, ..device(points) }).await;
        for (point, value) in &written {
            let at = point.point.name.point().as_str();
            let result = rig.write(at, value.clone()).await;
            let Written { value: there, proof, .. } = result.unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_eq!((&there, proof), (value, Proof::ReadBack), "{at} {write_with:?}");
            let sample = Sample::Good(value.clone());
            let told = rig
                .hub
                .reading(DEVICE, |reading| reading.point.name.point().as_str() == at && reading.sample == sample);
            told.await;
        }
        // What lies beside a part of a register is as it was: 210 and 220 on this server.
        assert_eq!(rig.registers(21, 2).await, Outcome::Registers(vec![0x0900 | 210, 220 & !0b1_1100 | 0b1_0100]));
        rig.hub.stop().await;
    }
}

#[tokio::test]
async fn what_is_not_granted_or_cannot_be_is_refused_with_its_reason_and_nothing_is_sent() {
    let points = vec![
        ModbusPoint {
            write: Some(Grant { bounds: Some((0.0, 100.0)), target: None, encoding: None }),
            ..granted("dim", 10, Encoding::U16)
        },
        ModbusPoint { write: None, ..granted("power", 11, Encoding::U16) },
        ModbusPoint {
            write: Some(Grant { bounds: Some((0.0, 9.0)), target: Some(5_000), encoding: None }),
            ..granted("far", 12, Encoding::U16)
        },
    ];
    let mut rig = Rig::new(device(points)).await;
    rig.hub.good(DEVICE).await;
    let check = async |rig: &Rig, point: &str, value: Value, word: &str| {
        assert_eq!(rig.write(point, value).await.unwrap_err().word(), word, "{point}");
    };
    check(&rig, "dim", Value::U64(101), "out-of-bounds").await;
    check(&rig, "dim", float(-0.5), "out-of-bounds").await;
    check(&rig, "dim", float(0.5), "not-representable").await;
    check(&rig, "dim", Value::Bool(true), "not-representable").await;
    check(&rig, "power", Value::U64(1), "not-granted").await;
    check(&rig, "none", Value::U64(1), "unknown-point").await;
    check(&rig, "far", Value::U64(1), "refused-by-device").await;
    let past = rig.write_until("dim", Value::U64(1), Instant::now()).await;
    assert_eq!(past.unwrap_err(), WriteError::Deadline);
    assert_eq!(rig.registers(10, 2).await, Outcome::Registers(vec![100, 110]), "as the server has them");
    rig.hub.stop().await;
}

#[tokio::test]
async fn a_device_is_told_its_settings_at_each_connect_and_before_its_first_poll() {
    let setup =
        |at: &str, address, value| Setup { name: name(at), table: Table::Holding, address, registers: vec![value] };
    let points = vec![granted("u16", 10, Encoding::U16)];
    let setup = vec![setup("mode", 10, 4_711), setup("beyond", 9_000, 1)];
    let mut rig = Rig::new(ModbusDevice { setup, ..device(points) }).await;
    let first = rig.hub.reading(DEVICE, |_| true).await;
    assert_eq!(first.sample, Sample::Good(Value::U64(4_711)));
    assert_eq!(rig.hub.fault_words(), ["setup-refused"]);
    rig.hub.stop().await;
}

#[tokio::test]
async fn a_dead_unit_makes_a_write_not_known_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path().join("port"), [(3, Behaviour::Dead)]);
    let timeout = Some(Duration::from_millis(50));
    let dead = ModbusDevice { timeout, ..device(vec![granted("u16", 10, Encoding::U16)]) };
    let dead = ModbusDevice { unit_id: 3, ..dead };
    let mut hub =
        Hub::start([bus("cabinet", Link::Rtu(serial(&line.link)), [(name(DEVICE), DeviceConfig::Modbus(dead))])]);
    hub.bad(DEVICE, Reason::Timeout).await;
    let point = PointName::new(name(DEVICE), name("u16"));
    let deadline = Instant::now() + Duration::from_secs(10);
    let write = hub.source.bus_of(&name(DEVICE)).unwrap().write(point, Value::U64(1), deadline).await;
    assert_eq!(write.unwrap_err(), WriteError::Unconfirmed(Reason::Timeout));
    hub.stop().await;
}

#[tokio::test]
async fn a_device_that_ignores_its_settings_costs_its_neighbours_one_try_and_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let units = [(3, Behaviour::IgnoresWrites), (4, Behaviour::Answers)];
    let line = Line::new(dir.path().join("port"), units);
    let setup = vec![Setup { name: name("mode"), table: Table::Holding, address: 10, registers: vec![1] }];
    let deaf = ModbusDevice { unit_id: 3, setup, ..device(vec![granted("u16", 10, Encoding::U16)]) };
    let every = Duration::from_millis(20);
    let well = ModbusDevice {
        min_gap: Some(Duration::ZERO),
        points: vec![register("well", "u16", Table::Holding, 10, Encoding::U16)],
        ..ModbusDevice::new(4, every)
    };
    let devices = [(name(DEVICE), DeviceConfig::Modbus(deaf)), (name("well"), DeviceConfig::Modbus(well))];
    let mut hub = Hub::start([bus("cabinet", Link::Rtu(serial(&line.link)), devices)]);
    hub.good(DEVICE).await;
    eventually("its fault stands", || hub.fault_words() == ["setup-unanswered"]).await;
    // Some hundred polls: none of them waits for a setting.
    for _ in 0..100 {
        hub.good("well").await;
    }
    assert_eq!(hub.source.health().buses[&name("cabinet")].counters.timeouts, 1);
    hub.stop().await;
}

#[tokio::test]
async fn what_no_bus_should_be_asked_is_refused_before_it_is_sent() {
    let mut rig = Rig::new(device(vec![granted("u16", 10, Encoding::U16)])).await;
    rig.hub.good(DEVICE).await;
    let handle = rig.hub.source.bus(&name("cabinet")).unwrap();
    let check = async |question: Question| {
        let probe = Probe { unit: 1, question: question.clone(), settings: None, timeout: None, hold: Duration::ZERO };
        let refused = matches!(handle.probe(probe).await, Err(ProbeError::Unsound(_)));
        assert!(refused, "{question:?}");
    };
    for (table, address, quantity) in [
        (Table::Holding, 0, 0),
        (Table::Holding, 0, 126),
        (Table::Holding, 0, u16::MAX),
        (Table::Input, u16::MAX, 2),
        (Table::Coil, 0, 2001),
    ] {
        check(Question::Read { table, address, quantity }).await;
    }
    check(Question::Write { address: u16::MAX, registers: vec![1, 2] }).await;
    check(Question::Write { address: 0, registers: vec![0; 124] }).await;
    rig.hub.good(DEVICE).await;
    rig.hub.stop().await;
}

#[tokio::test]
async fn a_port_that_is_gone_sends_nothing_and_says_so() {
    let points = vec![granted("u16", 10, Encoding::U16)];
    let devices = [(name(DEVICE), DeviceConfig::Modbus(device(points)))];
    let mut hub = Hub::start([bus("cabinet", Link::Rtu(serial(Path::new("/none/such"))), devices)]);
    hub.bad(DEVICE, Reason::Port).await;
    let point = PointName::new(name(DEVICE), name("u16"));
    let deadline = Instant::now() + Duration::from_secs(10);
    let write = hub.source.bus_of(&name(DEVICE)).unwrap().write(point, Value::U64(1), deadline).await;
    assert_eq!(write.unwrap_err(), WriteError::NotSent(Reason::Port));
    hub.stop().await;
}

/// A unit that nobody reads, with one register that is written by function 6.
fn only_written(line: &Line) -> Hub {
    let timeout = Some(Duration::from_millis(100));
    let points = vec![ModbusPoint { access: Access::Write, ..granted("enable", 10, Encoding::U16) }];
    let device = ModbusDevice { unit_id: 3, timeout, ..device(points) };
    Hub::start([bus("cabinet", Link::Rtu(serial(&line.link)), [(name(DEVICE), DeviceConfig::Modbus(device))])])
}

async fn enable(hub: &Hub) -> Result<Proof, WriteError> {
    let point = PointName::new(name(DEVICE), name("enable"));
    let deadline = Instant::now() + Duration::from_secs(10);
    let written = hub.source.bus_of(&name(DEVICE)).unwrap().write(point, Value::U64(1), deadline).await;
    written.map(|written| written.proof)
}

#[tokio::test]
async fn a_unit_that_is_only_written_is_never_polled_and_comes_back_with_the_next_write() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path().join("port"), [(3, Behaviour::Answers)]);
    let hub = only_written(&line);
    let state = || hub.source.health().devices[&name(DEVICE)].state;
    assert_eq!(enable(&hub).await, Ok(Proof::Echo), "the device's own word, and nothing that was read back");
    assert_eq!(state(), DeviceState::Answering);
    line.behave(3, Behaviour::Dead);
    for _ in 0..4 {
        assert_eq!(enable(&hub).await, Err(WriteError::Unconfirmed(Reason::Timeout)));
        assert_eq!(state(), DeviceState::Failing(Reason::Timeout));
    }
    line.behave(3, Behaviour::Refuses(4));
    assert_eq!(enable(&hub).await, Err(WriteError::Refused(4)));
    line.behave(3, Behaviour::Answers);
    assert_eq!(enable(&hub).await, Ok(Proof::Echo));
    assert_eq!((state(), hub.fault_words()), (DeviceState::Answering, vec![]));
    // Each write was asked once, and one question before the first told whether the line echoes.
    assert_eq!(line.record.lock().unwrap().asked[&3], 1 + 7);
    hub.stop().await;
}

#[tokio::test]
async fn an_echo_is_no_proof_of_what_cannot_be_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path().join("port"), [(3, Behaviour::DeadBesideAnEcho)]);
    let hub = only_written(&line);
    for _ in 0..2 {
        assert_eq!(enable(&hub).await, Err(WriteError::Unconfirmed(Reason::Timeout)));
    }
    hub.stop().await;
}
