//! A serial line in memory of the kernel, with scripted units on it, and short words for configs.
//!
//! A pseudo-terminal paces nothing: the silences kept here are those of the source alone.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use curb_model::{Batch, Class, HubClock, HubTime, Name, Point, PointName, Reading, Reason, Sample, Stream, ValueType};
use curb_source::{
    BusConfig, Config, DeviceConfig, Encoding, Link, ModbusDevice, ModbusPoint, SerialConfig, Source, Table,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_serial::{SerialPort as _, SerialStream};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The function that asks a unit who it is. No unit here knows it; its request is the only one that has not 8 bytes.
const WHO: u8 = 17;

/// What a unit does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Answers,
    Dead,
    /// Answers reads, and ignores writes.
    IgnoresWrites,
    /// Answers, but only after this time.
    Late(Duration),
    /// Does not answer, on a line that echoes.
    DeadBesideAnEcho,
    /// Answers under the next address.
    WrongUnit,
    /// Answers in single bytes.
    Split,
    /// Answers with a broken check sum.
    Garbled,
    /// Refuses with this code.
    Refuses(u8),
    /// Refuses every read that this register is part of, as an illegal address.
    Lacks(u16),
}

/// What the units have done: the judge of every value.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Numbers of requests per unit, counted over all units.
    pub(crate) requests: u16,
    /// What was served at once, by unit.
    pub(crate) served: BTreeSet<(u8, u16)>,
    /// By unit.
    pub(crate) asked: BTreeMap<u8, u64>,
    /// From the last byte of each answer to the request after it.
    pub(crate) silences: Vec<Duration>,
}

/// A line with units on it. Dropping it is pulling the plug.
#[derive(Debug)]
pub(crate) struct Line {
    behaviours: Arc<Mutex<BTreeMap<u8, Behaviour>>>,
    pub(crate) record: Arc<Mutex<Record>>,
    pub(crate) link: PathBuf,
    plugged: JoinSet<()>,
}

impl Line {
    pub(crate) fn new(link: PathBuf, units: impl IntoIterator<Item = (u8, Behaviour)>) -> Self {
        let behaviours = Arc::new(Mutex::new(units.into_iter().collect()));
        let mut line = Self { behaviours, record: Arc::default(), link, plugged: JoinSet::new() };
        line.plug();
        line
    }

    pub(crate) fn behave(&self, unit: u8, behaviour: Behaviour) {
        self.behaviours.lock().unwrap().insert(unit, behaviour);
    }

    pub(crate) fn plug(&mut self) {
        // The device's side, and the hub's: held too, so that the port outlives a hub that closes it.
        let (master, slave) = SerialStream::pair().unwrap();
        point_to(&self.link, &slave);
        self.plugged.spawn(serve(master, slave, Arc::clone(&self.behaviours), Arc::clone(&self.record)));
    }

    pub(crate) async fn unplug(&mut self) {
        std::fs::remove_file(&self.link).unwrap();
        self.plugged.shutdown().await;
    }

    /// Whether a reading of `unit` is what was served at once, for its own request.
    pub(crate) fn is_true(&self, unit: u8, value: u64) -> bool {
        self.record.lock().unwrap().served.contains(&(unit, u16::try_from(value).unwrap()))
    }
}

/// Makes `link` lead to a port.
pub(crate) fn point_to(link: &Path, port: &SerialStream) {
    symlink(port.name().unwrap(), link).unwrap();
}

async fn serve(
    mut master: SerialStream,
    _slave: SerialStream,
    behaviours: Arc<Mutex<BTreeMap<u8, Behaviour>>>,
    record: Arc<Mutex<Record>>,
) {
    let (later, mut due) = mpsc::channel::<Vec<u8>>(64);
    let mut waiting = JoinSet::new();
    let mut heard = Vec::new();
    let mut bytes = [0; 64];
    let mut last_answer = None;
    loop {
        tokio::select! {
            answer = due.recv() => master.write_all(&answer.unwrap()).await.unwrap(),
            read = master.read(&mut bytes) => heard.extend_from_slice(&bytes[..read.unwrap()]),
        }
        while let Some(len) = heard.get(1).map(|&function| if function == WHO { 4 } else { 8 })
            && heard.len() >= len
        {
            let request: Vec<u8> = heard.drain(..len).collect();
            record.lock().unwrap().silences.extend(last_answer.take().map(|answer: Instant| answer.elapsed()));
            let behaviour = *behaviours.lock().unwrap().get(&request[0]).unwrap_or(&Behaviour::Dead);
            let behaviour = match (behaviour, request[1]) {
                (Behaviour::IgnoresWrites, 1..=4) => Behaviour::Answers,
                (Behaviour::IgnoresWrites, _) => Behaviour::Dead,
                (behaviour, _) => behaviour,
            };
            let answer = answer_to(&request, behaviour, &mut record.lock().unwrap());
            match behaviour {
                Behaviour::Dead | Behaviour::IgnoresWrites => {}
                Behaviour::Late(after) => {
                    let later = later.clone();
                    waiting.spawn(async move {
                        sleep(after).await;
                        later.send(answer).await.unwrap();
                    });
                }
                Behaviour::Split => {
                    for byte in answer {
                        master.write_all(&[byte]).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                }
                Behaviour::Answers
                | Behaviour::DeadBesideAnEcho
                | Behaviour::WrongUnit
                | Behaviour::Garbled
                | Behaviour::Refuses(_)
                | Behaviour::Lacks(_) => {
                    last_answer = Some(Instant::now());
                    master.write_all(&answer).await.unwrap();
                }
            }
        }
    }
}

/// Every register of the answer holds the number of its request.
fn answer_to(request: &[u8], behaviour: Behaviour, record: &mut Record) -> Vec<u8> {
    let (unit, function, quantity) = (request[0], request[1], request.get(5).copied().unwrap_or_default());
    let address = u16::from_be_bytes([request[2], request[3]]);
    let lacks = |register| (address..address + u16::from(quantity)).contains(&register);
    let behaviour = if let Behaviour::Lacks(register) = behaviour {
        if lacks(register) { Behaviour::Refuses(2) } else { Behaviour::Answers }
    } else {
        behaviour
    };
    record.requests += 1;
    *record.asked.entry(unit).or_default() += 1;
    let number = record.requests;
    let mut body = match behaviour {
        Behaviour::Refuses(code) => vec![unit, function | 0x80, code],
        Behaviour::DeadBesideAnEcho => request[..request.len() - 2].to_vec(),
        Behaviour::Answers if function == WHO => vec![unit, function | 0x80, 1],
        // The answer to a write of one register repeats it.
        Behaviour::Answers if function == 6 => request[..6].to_vec(),
        Behaviour::Answers
        | Behaviour::Dead
        | Behaviour::IgnoresWrites
        | Behaviour::Late(_)
        | Behaviour::WrongUnit
        | Behaviour::Split
        | Behaviour::Lacks(_)
        | Behaviour::Garbled => {
            [vec![unit, function, quantity * 2], number.to_be_bytes().repeat(usize::from(quantity))].concat()
        }
    };
    match behaviour {
        Behaviour::WrongUnit => body[0] += 1,
        Behaviour::Answers | Behaviour::Split => {
            record.served.insert((unit, number));
        }
        Behaviour::Dead
        | Behaviour::DeadBesideAnEcho
        | Behaviour::IgnoresWrites
        | Behaviour::Late(_)
        | Behaviour::Garbled
        | Behaviour::Refuses(_)
        | Behaviour::Lacks(_) => {}
    }
    let mut crc = crc16(&body);
    if behaviour == Behaviour::Garbled {
        crc ^= 1;
    }
    body.extend(crc.to_le_bytes());
    body
}

/// Bit by bit, unlike the code that is tested.
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 })
    })
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn point(device: &str, point: &str, value_type: ValueType) -> Arc<Point> {
    let (device, point) = (name(device), name(point));
    let stream = Stream::device(&device);
    Arc::new(Point {
        name: PointName::new(device, point),
        stream,
        class: Class::Data,
        unit: None,
        value_type,
        range: None,
    })
}

pub(crate) fn register(device: &str, at: &str, table: Table, address: u16, encoding: Encoding) -> ModbusPoint {
    ModbusPoint::new(point(device, at, encoding.value_type()), table, address, encoding)
}

/// A device with two registers that are read apart and look the same.
pub(crate) fn twin(device: &str, unit_id: u8, every: Duration) -> (Name, DeviceConfig) {
    let at = |point, address| register(device, point, Table::Holding, address, Encoding::U16);
    let points = vec![at("first", 100), at("second", 200)];
    let timeout = Some(Duration::from_millis(100));
    let min_gap = Some(Duration::ZERO);
    (name(device), DeviceConfig::Modbus(ModbusDevice { timeout, min_gap, points, ..ModbusDevice::new(unit_id, every) }))
}

pub(crate) fn serial(link: &Path) -> SerialConfig {
    SerialConfig::new(link, 19_200)
}

pub(crate) fn bus(bus: &str, link: Link, devices: impl IntoIterator<Item = (Name, DeviceConfig)>) -> (Name, BusConfig) {
    (name(bus), BusConfig { link, devices: devices.into_iter().collect() })
}

/// A running source, and what has come out of it.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) source: Source,
    pub(crate) received: mpsc::Receiver<Batch>,
}

impl Hub {
    pub(crate) fn start(buses: impl IntoIterator<Item = (Name, BusConfig)>) -> Self {
        let (out, received) = mpsc::channel(1024);
        let config = Config { buses: buses.into_iter().collect() };
        let source = Source::start(config, HubClock::starting_at(HubTime::ZERO), out).unwrap();
        Self { source, received }
    }

    /// The next reading of this device that `fits`; all batches on the way must close.
    pub(crate) async fn reading(&mut self, device: &str, fits: impl Fn(&Reading) -> bool) -> Reading {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let batch = timeout_at(deadline, self.received.recv()).await;
            let batch = batch.unwrap_or_else(|_| panic!("{device}: waited in vain; {:#?}", self.source.health()));
            let batch = batch.expect("the source runs");
            assert!(batch.closes(), "{batch:?}");
            if batch.stream.as_str() == device
                && let Some(reading) = batch.readings.into_iter().find(|reading| fits(reading))
            {
                return reading;
            }
        }
    }

    pub(crate) async fn bad(&mut self, device: &str, reason: Reason) -> Reading {
        self.reading(device, |reading| reading.sample == Sample::Bad(reason)).await
    }

    pub(crate) async fn good(&mut self, device: &str) -> Reading {
        self.reading(device, |reading| reading.sample.is_good()).await
    }

    /// All readings of the next `time`.
    pub(crate) async fn all_for(&mut self, time: Duration) -> Vec<Reading> {
        let deadline = Instant::now() + time;
        let mut readings = Vec::new();
        while let Ok(batch) = timeout_at(deadline, self.received.recv()).await {
            readings.extend(batch.expect("the source runs").readings);
        }
        readings
    }

    pub(crate) fn fault_words(&self) -> Vec<&'static str> {
        self.source.health().faults.iter().map(|fault| fault.word).collect()
    }

    /// Stops it, and sees that every batch closes and nothing comes after the end.
    pub(crate) async fn stop(mut self) {
        self.source.stop().await;
        while let Some(batch) = self.received.recv().await {
            assert!(batch.closes(), "{batch:?}");
        }
    }
}

/// The number in a good reading.
pub(crate) fn number(reading: &Reading) -> Option<u64> {
    match reading.sample.value() {
        Some(curb_model::Value::U64(number)) => Some(*number),
        Some(_) | None => None,
    }
}
