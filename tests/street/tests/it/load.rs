//! What `curb_source` predicts of a line is what its own source then takes on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use curb_model::{Batch, Class, HubClock, HubTime, Name, Point, PointName, Stream};
use curb_source::{
    BusConfig, Config, DeviceConfig, Encoding, Link, ModbusDevice, ModbusPoint, SerialConfig, Source, Table, load,
};
use street::{Behaviour, Device, Kind, Log, Parity, Register, RtuLine, Signal, Table as Registers};
use tokio::sync::mpsc;

/// Three that answer, and one that may not.
const UNITS: u8 = 4;
const REGISTERS: u16 = 20;

/// The street's units take 2 to 5 ms, evenly spread.
const ANSWER: Duration = Duration::from_micros(3_500);

/// Polls at once and again and again: every cycle follows the one before.
const EVERY: Duration = Duration::from_millis(10);
const TIMEOUT: Duration = Duration::from_millis(150);

/// How far a prediction may be off, in per cent.
const TOLERANCE: f64 = 5.0;

/// How long a busy machine may need for one undisturbed measurement.
const PATIENCE: Duration = Duration::from_secs(20);

fn device(unit: u8) -> Device {
    (0..REGISTERS).fold(Device::new(&format!("u{unit}")), |device, register| {
        let signal = Signal::new(i64::from(register) * 1000, 1, 1000);
        device.with(Register::new(&format!("r{register}"), Registers::Holding, register, Kind::U16, signal))
    })
}

fn bus(port: &Path, baud: u32) -> BusConfig {
    let device = |unit: u8| {
        let name = Name::new(&format!("u{unit}")).unwrap();
        let point = |address: u16| {
            let point = Point {
                name: PointName::new(name.clone(), Name::new(&format!("r{address}")).unwrap()),
                stream: Stream::device(&name),
                class: Class::Data,
                unit: None,
                value_type: Encoding::U16.value_type(),
                range: None,
            };
            ModbusPoint::new(Arc::new(point), Table::Holding, address, Encoding::U16)
        };
        let points = (0..REGISTERS).map(point).collect();
        // These units are known: they need no more than the 3.5 characters.
        let (timeout, min_gap) = (Some(TIMEOUT), Some(Duration::ZERO));
        let device = ModbusDevice { timeout, min_gap, points, ..ModbusDevice::new(unit, EVERY) };
        (name.clone(), DeviceConfig::Modbus(device))
    };
    let serial = SerialConfig { latency: Some(Duration::ZERO), ..SerialConfig::new(port, baud) };
    BusConfig { link: Link::Rtu(serial), devices: (1..=UNITS).map(device).collect() }
}

/// Polls for some `cycles`; the times between two polls of the first unit.
async fn cycles(bus: &BusConfig, cycles: usize) -> Vec<Duration> {
    let (out, mut received) = mpsc::channel::<Batch>(64);
    let buses: BTreeMap<_, _> = [(Name::new("cabinet").unwrap(), bus.clone())].into_iter().collect();
    let source = Source::start(Config { buses }, HubClock::starting_at(HubTime::ZERO), out).unwrap();
    let mut polled = Vec::new();
    while polled.len() <= cycles {
        let batch = tokio::time::timeout(PATIENCE, received.recv()).await.unwrap().unwrap();
        if batch.stream.as_str() == "u1" {
            assert!(batch.readings[0].sample.is_good(), "{batch:?}");
            polled.push(Instant::now());
        }
    }
    source.stop().await;
    polled.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// A loaded machine only makes a cycle longer: it is measured again until one measurement is near the prediction. None may
/// be shorter.
async fn check(what: &str, predicted: Duration, mut measure: impl AsyncFnMut() -> Duration) {
    let end = Instant::now() + PATIENCE;
    loop {
        let measured = measure().await;
        let off = (measured.as_secs_f64() / predicted.as_secs_f64() - 1.0) * 100.0;
        assert!(off > -TOLERANCE, "{what}: predicted {predicted:?}, measured {measured:?}");
        if off < TOLERANCE {
            return;
        }
        assert!(Instant::now() < end, "{what}: predicted {predicted:?}, measured {measured:?}");
    }
}

async fn check_line(baud: u32, polls: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut line = RtuLine::new(&folder.path().join("tty"), baud, Parity::Even, &Log::new());
    for unit in 1..=UNITS {
        line = line.unit(unit, device(unit), Behaviour::Alive);
    }
    line.plug().unwrap();
    let bus = bus(line.path(), baud);
    let predicted = load(&bus, ANSWER).line.unwrap();
    check(&format!("{baud}, all alive"), predicted.cycle, async || {
        let mut cycles = cycles(&bus, polls).await;
        cycles.sort();
        cycles[cycles.len() / 2]
    })
    .await;
    // The silent one is asked in the first cycle, and then rests.
    line.behave(UNITS, Behaviour::Dead);
    check(&format!("{baud}, one silent"), predicted.worst_cycle, async || cycles(&bus, 1).await[0]).await;
    assert_eq!(line.counters().gap_violations, 0);
}

#[tokio::test]
async fn the_prediction_holds_within_5_per_cent_at_9600_baud() {
    check_line(9_600, 5).await;
}

#[tokio::test]
async fn the_prediction_holds_within_5_per_cent_at_19200_baud() {
    check_line(19_200, 9).await;
}

#[tokio::test]
async fn the_prediction_holds_within_5_per_cent_at_115200_baud() {
    check_line(115_200, 25).await;
}
