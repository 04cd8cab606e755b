//! Promises of a bus whose line is made up.

use std::sync::Mutex;

use curb_model::{Batch, Class, HubClock, Point, PointName};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_modbus::client::Context as ClientContext;
use tokio_modbus::slave::Slave;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::command::mailbox;
use crate::config::{Encoding, SerialConfig, Table};
use crate::health::{Board, LineCounters};
use crate::query::Query;
use crate::rtu::crc16;
use crate::step::Step;
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
}

impl Unit {
    fn answer(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        let [unit, function, high, low, many, few, ..] = *request else { panic!("short request {request:02x?}") };
        let (first, quantity) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([many, few]));
        self.asked.push((first, quantity));
        let lacks = self.lacks.is_some_and(|lacks| (first..first + quantity).contains(&lacks));
        let body = if lacks || self.most.is_some_and(|most| quantity > most) {
            vec![unit, function | 0x80, 2]
        } else {
            [vec![unit, function, u8::try_from(quantity * 2).unwrap()], vec![7; usize::from(quantity) * 2]].concat()
        };
        (!self.away).then(|| [&body[..], &crc16(&body).to_le_bytes()].concat())
    }
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
        true
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
        _limits: Limits,
        _counters: &mut LineCounters,
    ) -> Result<Vec<u8>, Failure> {
        self.0.lock().unwrap().answer(request).ok_or(Failure::Timeout)
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
    let clock = HubClock::starting_at(HubTime::ZERO);
    let (out, mut received) = mpsc::channel(16);
    let context = Context {
        bus: Name::new("cabinet").unwrap(),
        clock: clock.clone(),
        board: Board::default(),
        stop: CancellationToken::new(),
        timeout: Duration::from_millis(300),
        min_gap: Duration::ZERO,
    };
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
