//! Promises of a bus whose line is made up.

use std::sync::Mutex;

use curb_model::{Access, Batch, Class, Point, PointName};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_modbus::client::Context as ClientContext;
use tokio_modbus::slave::Slave;

use super::*;
use crate::command::{Probe, Question, mailbox};
use crate::config::{Encoding, Grant, SerialConfig, Table, WriteWith};
use crate::health::LineCounters;
use crate::query::Query;
use crate::rtu::crc16;
use crate::step::Step;
use crate::thread::tests::context;
use crate::trace::Trace;

const EVERY: Duration = Duration::from_secs(1);

/// What answers at the far end.
#[derive(Debug, Default)]
struct Unit {
    away: bool,
    /// Every read that this register is part of is refused.
    lacks: Option<u16>,
    /// A longer read is refused.
    most: Option<u16>,
    /// First register and how many, of each read.
    asked: Vec<(u16, u16)>,
    /// Function and address of each request.
    calls: Vec<(u8, u16)>,
    /// How long each answer was waited for, and the rest before its request.
    limits: Vec<(Duration, Duration)>,
    /// It is not known yet whether its line echoes.
    is_new: bool,
}

impl Unit {
    fn answer(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let [unit, function, high, low, many, few, ..] = *[request, &[0; 6]].concat() else {
            panic!("short request {request:02x?}")
        };
        let (first, quantity) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([many, few]));
        self.calls.push((function, first));
        match function {
            1..=4 => self.asked.push((first, quantity)),
            17 => return Some(framed(&[unit, 0x91, 1])),
            _ => return Some(framed(&request[..6])),
        }
        let lacks = self.lacks.is_some_and(|lacks| (first..first + quantity).contains(&lacks));
        let body = if lacks || self.most.is_some_and(|most| quantity > most) {
            vec![unit, function | 0x80, 2]
        } else {
            [vec![unit, function, u8::try_from(quantity * 2).unwrap()], vec![7; usize::from(quantity) * 2]].concat()
        };
        (!self.away).then(|| framed(&body))
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    [body, &crc16(body).to_le_bytes()].concat()
}

/// A line that loses nothing and takes no time.
#[derive(Debug)]
struct Fake(Arc<Mutex<Unit>>);

impl Line for Fake {
    const LONGEST_REST: Duration = Duration::from_secs(1);

    async fn open(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn is_open(&self) -> bool {
        true
    }

    fn latency(&self) -> Duration {
        Duration::ZERO
    }

    fn client(memory: DuplexStream) -> ClientContext {
        tokio_modbus::client::rtu::attach_slave(memory, Slave::broadcast())
    }

    fn configure(&mut self, _settings: Option<&SerialConfig>) -> io::Result<()> {
        Ok(())
    }

    fn asked(&self) -> Option<Instant> {
        None
    }

    fn knows_echo(&self) -> bool {
        !self.0.lock().unwrap().is_new
    }

    fn heard(&self) -> &[u8] {
        &[]
    }

    fn step(&mut self, _ask: Ask, _counters: &mut LineCounters) -> Step {
        Step::Now
    }

    async fn exchange(
        &mut self,
        _query: Query,
        request: &[u8],
        limits: Limits,
        _counters: &mut LineCounters,
    ) -> Result<Vec<u8>, Failure> {
        let mut unit = self.0.lock().unwrap();
        unit.limits.push((limits.timeout, limits.min_gap));
        unit.answer(request).ok_or(Failure::Timeout)
    }

    async fn listen(&mut self, _counters: &mut LineCounters) -> Option<io::Error> {
        std::future::pending().await
    }
}

/// A device with registers 100 to 119 in one block.
fn device(name: &Name) -> DeviceConfig {
    let point = |address: u16| {
        let point = Point {
            name: PointName::new(name.clone(), Name::new(&format!("r{address}")).unwrap()),
            stream: Stream::device(name),
            class: Class::Data,
            unit: None,
            value_type: Encoding::U16.value_type(),
            range: None,
        };
        ModbusPoint::new(Arc::new(point), Table::Holding, address, Encoding::U16)
    };
    DeviceConfig::Modbus(ModbusDevice { points: (100..120).map(point).collect(), ..ModbusDevice::new(3, EVERY) })
}

fn good(batch: &Batch) -> usize {
    batch.readings.iter().filter(|reading| reading.sample.is_good()).count()
}

/// Teaches the bus `first`, takes the unit away until it is called lost, and puts another one in its place.
async fn is_read_in_full_after_it_was_replaced(first: Unit, learnt: usize) {
    let unit = Arc::new(Mutex::new(first));
    let (out, mut received) = mpsc::channel(16);
    let context = context(Polls::Due);
    let clock = context.clock.clone();
    let mut outbox = Outbox::new(clock.clone(), out.downgrade());
    let (_handle, mut orders) = mailbox(Trace::new(clock));
    let name = Name::new("meter").unwrap();
    let config = device(&name);
    let line = Fake(Arc::clone(&unit));
    let mut bus = Bus::new(line, None, [(&name, &config)].into_iter(), &context, &mut outbox, &mut orders);
    // What is due when is another matter: one round after the other.
    let mut round = async || {
        unit.lock().unwrap().asked.clear();
        bus.round(0).await.unwrap();
        good(&received.recv().await.unwrap())
    };
    let change = |to: Unit| *unit.lock().unwrap() = to;
    let asked = || unit.lock().unwrap().asked.clone();

    for _ in 0..5 {
        round().await;
    }
    assert_eq!(round().await, learnt);
    assert!(asked().iter().all(|read| *read != (100, 20)), "it has learnt where to part its block: {:?}", asked());

    change(Unit { away: true, ..Unit::default() });
    for _ in 0..2 {
        assert_eq!(round().await, 0);
    }
    let state = context.board.lock().devices[&name].state;
    assert_eq!(state, DeviceState::Silent(Reason::Timeout));
    change(Unit::default());
    // The round that finds it back goes by what was learnt of the other; the next one does not.
    assert!(round().await > 0);
    assert_eq!((round().await, asked()), (20, vec![(100, 20)]));
}

#[tokio::test]
async fn what_was_learnt_of_a_unit_is_forgotten_when_another_comes_back_in_its_place() {
    is_read_in_full_after_it_was_replaced(Unit { lacks: Some(105), ..Unit::default() }, 19).await;
    is_read_in_full_after_it_was_replaced(Unit { most: Some(8), ..Unit::default() }, 20).await;
}

/// What a unit is asked on a bus that does not poll: everything up to the moment when `wanted` has been done.
async fn unpolled(devices: &[(Name, DeviceConfig)], is_new: bool, wanted: Wanted) -> Unit {
    let unit = Arc::new(Mutex::new(Unit { is_new, ..Unit::default() }));
    let context = context(Polls::None);
    let (out, _received) = mpsc::channel(16);
    let mut outbox = Outbox::new(context.clock.clone(), out.downgrade());
    let (handle, mut orders) = mailbox(Trace::new(context.clock.clone()));
    let line = Fake(Arc::clone(&unit));
    let named = devices.iter().map(|(name, device)| (name, device));
    let bus = Bus::new(line, None, named, &context, &mut outbox, &mut orders);
    let asks = async {
        match wanted {
            Wanted::Probe(question) => {
                let probe = Probe { unit: 3, question, settings: None, timeout: None, hold: Duration::ZERO };
                drop(handle.probe(probe).await.unwrap());
            }
            Wanted::Write(point) => {
                let deadline = Instant::now() + Duration::from_secs(20);
                handle.write(point, curb_model::Value::U64(1), deadline).await.unwrap();
            }
        }
        context.stop.cancel();
    };
    tokio::join!(bus.run(), asks);
    std::mem::take(&mut *unit.lock().unwrap())
}

enum Wanted {
    Probe(Question),
    Write(PointName),
}

/// The device with other settings, and with its first point only written.
fn lamp(write_with: WriteWith, points: usize) -> (Name, DeviceConfig) {
    let name = Name::new("lamp").unwrap();
    let DeviceConfig::Modbus(mut device) = device(&name) else { unreachable!("it is made above") };
    device.points.truncate(points);
    device.points[0].access = Access::Write;
    device.points[0].write = Some(Grant { bounds: None, target: None, encoding: None });
    let (timeout, min_gap) = (Some(Duration::from_secs(2)), Some(Duration::from_millis(50)));
    (name, DeviceConfig::Modbus(ModbusDevice { write_with, timeout, min_gap, ..device }))
}

#[tokio::test]
async fn a_tools_write_uses_the_functions_that_its_device_is_written_with() {
    let check = async |devices: &[(Name, DeviceConfig)], registers: &[u16], expected: &[(u8, u16)]| {
        let question = Question::Write { address: 7, registers: registers.to_vec() };
        assert_eq!(unpolled(devices, false, Wanted::Probe(question)).await.calls, expected, "{devices:?}");
    };
    check(&[], &[1], &[(6, 7)]).await;
    check(&[], &[1, 2], &[(16, 7)]).await;
    check(&[lamp(WriteWith::Auto, 2)], &[1], &[(6, 7)]).await;
    check(&[lamp(WriteWith::Multiple, 2)], &[1], &[(16, 7)]).await;
    check(&[lamp(WriteWith::Single, 2)], &[1, 2], &[(6, 7), (6, 8)]).await;
    let coil = Question::WriteCoil { address: 7, on: true };
    assert_eq!(unpolled(&[lamp(WriteWith::Multiple, 2)], false, Wanted::Probe(coil)).await.calls, [(15, 7)]);
}

#[tokio::test]
async fn a_tools_request_has_the_time_and_the_rest_of_its_device() {
    let read = || Wanted::Probe(Question::Read { table: Table::Holding, address: 7, quantity: 1 });
    let usual = (Duration::from_millis(300), Duration::ZERO);
    assert_eq!(unpolled(&[], false, read()).await.limits, [usual]);
    let own = (Duration::from_secs(2), Duration::from_millis(50));
    assert_eq!(unpolled(&[lamp(WriteWith::Auto, 2)], false, read()).await.limits, [own]);
}

#[tokio::test]
async fn what_can_only_be_written_is_never_read_nor_anything_polled_before_a_tools_write() {
    let write = || Wanted::Write(PointName::parse("lamp/r100").unwrap());
    let raw = || Wanted::Probe(Question::Write { address: 100, registers: vec![1] });
    let check = async |devices: &[(Name, DeviceConfig)], is_new: bool, wanted: Wanted, expected: &[(u8, u16)]| {
        assert_eq!(unpolled(devices, is_new, wanted).await.calls, expected);
    };
    let with_another = [lamp(WriteWith::Auto, 2)];
    check(&with_another, true, write(), &[(3, 101), (6, 100)]).await;
    check(&with_another, true, raw(), &[(3, 101), (6, 100)]).await;
    check(&with_another, false, write(), &[(6, 100)]).await;
    let alone = [lamp(WriteWith::Auto, 1)];
    // Function 17 has no address.
    let [(first, _), second] = unpolled(&alone, true, write()).await.calls[..] else { unreachable!("two requests") };
    assert_eq!((first, second), (17, (6, 100)));
    check(&[], true, raw(), &[(3, 100), (6, 100)]).await;
}
