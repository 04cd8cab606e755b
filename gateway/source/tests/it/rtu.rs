//! A serial line with units that misbehave, and a port that comes and goes.

use std::collections::BTreeMap;
use std::time::Duration;

use curb_model::{Reading, Reason, Sample};
use curb_source::{DeviceConfig, DeviceState, Encoding, Link, MIN_GAP, ModbusDevice, Table};

use crate::peers::eventually;
use crate::street::{Behaviour, Hub, Line, PATIENCE, bus, name, number, register, serial, twin};

const EVERY: Duration = Duration::from_millis(50);

fn start(line: &Line, units: impl IntoIterator<Item = u8>) -> Hub {
    let devices = units.into_iter().map(|unit| twin(&format!("unit-{unit}"), unit, EVERY));
    Hub::start([bus("cabinet", Link::Rtu(serial(&line.link)), devices)])
}

fn unit_of(reading: &Reading) -> u8 {
    reading.point.stream.as_str().strip_prefix("unit-").unwrap().parse().unwrap()
}

#[tokio::test]
async fn each_misbehaviour_is_a_bad_reading_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path().join("port"), [(3, Behaviour::Answers)]);
    let mut hub = start(&line, [3]);
    let reading = hub.good("unit-3").await;
    assert!(line.is_true(3, number(&reading).unwrap()));
    let check = async |hub: &mut Hub, behaviour, reason| {
        line.behave(3, behaviour);
        hub.bad("unit-3", reason).await;
        line.behave(3, Behaviour::Answers);
        let reading = hub.good("unit-3").await;
        assert!(line.is_true(3, number(&reading).unwrap()), "{behaviour:?}: {reading:?}");
    };
    check(&mut hub, Behaviour::Garbled, Reason::Crc).await;
    check(&mut hub, Behaviour::WrongUnit, Reason::Framing).await;
    check(&mut hub, Behaviour::Refuses(6), Reason::Exception(6)).await;
    check(&mut hub, Behaviour::Dead, Reason::Timeout).await;
    line.behave(3, Behaviour::Split);
    let split = number(&hub.good("unit-3").await).unwrap();
    assert!(line.is_true(3, split));
    hub.stop().await;
}

#[tokio::test]
async fn a_register_that_the_device_lacks_is_the_only_one_that_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path().join("port"), [(3, Behaviour::Lacks(105))]);
    let at = |address| register("unit-3", &format!("r{address}"), Table::Holding, address, Encoding::U16);
    let device = ModbusDevice { points: (100..120).map(at).collect(), ..ModbusDevice::new(3, EVERY) };
    let devices = [(name("unit-3"), DeviceConfig::Modbus(device))];
    let mut hub = Hub::start([bus("cabinet", Link::Rtu(serial(&line.link)), devices)]);
    let mut asked = Vec::new();
    for round in 0..10 {
        let batch = tokio::time::timeout(PATIENCE, hub.received.recv()).await.unwrap().unwrap();
        asked.push(line.record.lock().unwrap().asked[&3]);
        assert!(batch.closes() && batch.readings.len() == 20, "{batch:?}");
        for reading in &batch.readings {
            match number(reading) {
                Some(number) => assert!(line.is_true(3, number), "{reading:?}"),
                None => {
                    assert_eq!(reading.point.name.point().as_str(), "r105", "in round {round}");
                    assert_eq!(reading.sample, Sample::Bad(Reason::Exception(2)));
                }
            }
        }
    }
    // Before it, behind it, and not it.
    assert!(asked[9] - asked[2] <= 2 * 8, "{asked:?}");
    hub.stop().await;
}

#[tokio::test]
async fn a_late_answer_is_never_another_requests_value() {
    // A line for each: a unit that is late again and again gets the share of the silent, and its return takes a while.
    let check = async |late_ms| {
        let dir = tempfile::tempdir().unwrap();
        let line = Line::new(dir.path().join("port"), [(3, Behaviour::Answers), (4, Behaviour::Answers)]);
        let mut hub = start(&line, [3, 4]);
        hub.good("unit-3").await;
        line.behave(3, Behaviour::Late(Duration::from_millis(late_ms)));
        hub.bad("unit-3", Reason::Timeout).await;
        line.behave(3, Behaviour::Answers);
        let mut seen = 0;
        for reading in hub.all_for(Duration::from_millis(1_500)).await {
            if let Some(number) = number(&reading) {
                assert!(line.is_true(unit_of(&reading), number), "late by {late_ms} ms: {reading:?}");
                seen += 1;
            }
        }
        let reading = hub.good("unit-3").await;
        assert!(line.is_true(3, number(&reading).unwrap()));
        assert!(seen > 15, "late by {late_ms} ms: {seen}");
        let late = hub.source.health().buses[&name("cabinet")].counters.late;
        hub.stop().await;
        late
    };
    let late = tokio::join!(check(120), check(200), check(400), check(600), check(640), check(700));
    assert!(late.0 + late.1 + late.2 + late.3 + late.4 + late.5 > 0);
}

/// Requests to units 1, 3 and 4 in some seconds, of a line on which unit 2 behaves like this.
async fn asked_beside(second: Behaviour) -> BTreeMap<u8, u64> {
    let dir = tempfile::tempdir().unwrap();
    let units = (1..=4).map(|unit| (unit, if unit == 2 { second } else { Behaviour::Answers }));
    let line = Line::new(dir.path().join("port"), units);
    let mut devices: Vec<_> = (1..=4).map(|unit| twin(&format!("unit-{unit}"), unit, EVERY)).collect();
    if let DeviceConfig::Modbus(second) = &mut devices[1].1 {
        // A silent unit is asked again when 80 times its time-out has passed: here within the time that is looked at.
        second.timeout = Some(Duration::from_millis(45));
    }
    let mut hub = Hub::start([bus("cabinet", Link::Rtu(serial(&line.link)), devices)]);
    hub.reading("unit-2", |_| true).await;
    let before = line.record.lock().unwrap().asked.clone();
    let readings = hub.all_for(Duration::from_secs(4)).await;
    let mut asked = line.record.lock().unwrap().asked.clone();
    let mut values = readings.iter().filter_map(|reading| Some((reading, number(reading)?)));
    assert!(values.all(|(reading, number)| line.is_true(unit_of(reading), number)));
    if second == Behaviour::Dead {
        hub.bad("unit-2", Reason::Timeout).await;
        let silent = || hub.source.health().devices[&name("unit-2")].state == DeviceState::Silent(Reason::Timeout);
        eventually("it is called silent", silent).await;
        assert_eq!(hub.fault_words(), ["unit-silent"]);
    }
    hub.stop().await;
    asked.iter_mut().for_each(|(unit, asked)| *asked -= before.get(unit).copied().unwrap_or_default());
    asked
}

/// Beside a line on which all are well, at the same time: a machine with much else to do is late on both.
#[tokio::test]
async fn a_dead_unit_costs_the_others_almost_nothing() {
    let (well, dead) = tokio::join!(asked_beside(Behaviour::Answers), asked_beside(Behaviour::Dead));
    for unit in [1, 3, 4] {
        // One poll, of two requests, may lie across either end.
        assert!(
            (dead[&unit] + 2) * 100 >= well[&unit] * 98,
            "unit {unit}: {} requests of {}",
            dead[&unit],
            well[&unit]
        );
    }
}

#[tokio::test]
async fn a_port_that_vanishes_is_bad_at_due_times_and_is_read_again_when_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    let mut line = Line::new(dir.path().join("port"), [(3, Behaviour::Answers)]);
    let mut hub = start(&line, [3]);
    hub.good("unit-3").await;
    for _ in 0..3 {
        line.unplug().await;
        hub.bad("unit-3", Reason::Port).await;
        let gone = hub.all_for(Duration::from_secs(1)).await;
        assert!(gone.len() > 30, "two points at each due time, not {}", gone.len());
        assert!(gone.iter().all(|reading| reading.sample == Sample::Bad(Reason::Port)), "{gone:?}");
        assert_eq!(hub.fault_words(), ["port-gone"]);
        line.plug();
        let reading = hub.good("unit-3").await;
        assert!(line.is_true(3, number(&reading).unwrap()));
        assert_eq!(hub.fault_words(), [""; 0]);
    }
    assert_eq!(hub.source.health().buses[&name("cabinet")].counters.reopened, 3);
    hub.stop().await;
}

#[tokio::test]
async fn the_same_unit_on_another_line_is_another_unit() {
    let dir = tempfile::tempdir().unwrap();
    let dead = Line::new(dir.path().join("dead"), [(3, Behaviour::Dead)]);
    let alive = Line::new(dir.path().join("alive"), [(3, Behaviour::Answers)]);
    let on = |name, device, line: &Line| bus(name, Link::Rtu(serial(&line.link)), [twin(device, 3, EVERY)]);
    let mut hub = Hub::start([on("one", "unit-3", &dead), on("two", "unit-33", &alive)]);
    hub.bad("unit-3", Reason::Timeout).await;
    hub.bad("unit-3", Reason::Timeout).await;
    let good = hub.all_for(Duration::from_secs(1)).await;
    assert!(good.iter().filter(|reading| reading.sample.is_good()).count() > 30);
    hub.stop().await;
}

/// Without it a unit takes its request for the end of another unit's answer.
#[tokio::test]
async fn the_silence_between_frames_is_kept_and_not_much_more() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path().join("port"), [(3, Behaviour::Answers), (4, Behaviour::Answers)]);
    let fast = |unit| twin(&format!("unit-{unit}"), unit, Duration::from_millis(1));
    let mut hub = Hub::start([bus("cabinet", Link::Rtu(serial(&line.link)), [fast(3), fast(4)])]);
    let readings = hub.all_for(Duration::from_secs(2)).await;
    hub.stop().await;
    let mut silences = std::mem::take(&mut line.record.lock().unwrap().silences);
    silences.sort();
    let (least, median) = (silences[0], silences[silences.len() / 2]);
    println!("{} readings, silence at least {least:?}, mostly {median:?}", readings.len());
    // 3.5 characters of 11 bits at 19,200 baud.
    assert!(least >= Duration::from_micros(2_005), "{least:?}");
    // The source reckons with the 4.6 ms that its request would take on a wire, during which this line is silent too.
    assert!(median < Duration::from_millis(8), "{median:?}");
}

#[tokio::test]
async fn a_unit_of_which_nothing_is_said_rests_for_20_ms_after_each_answer() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path().join("port"), [(3, Behaviour::Answers)]);
    let (name, device) = twin("unit-3", 3, Duration::from_millis(1));
    let DeviceConfig::Modbus(device) = device else { panic!("{device:?}") };
    let unknown = DeviceConfig::Modbus(ModbusDevice { min_gap: None, ..device });
    let mut hub = Hub::start([bus("cabinet", Link::Rtu(serial(&line.link)), [(name, unknown)])]);
    for _ in 0..10 {
        hub.good("unit-3").await;
    }
    hub.stop().await;
    let silences = std::mem::take(&mut line.record.lock().unwrap().silences);
    assert!(silences.len() >= 19 && silences.iter().all(|silence| *silence >= MIN_GAP), "{silences:?}");
}
