//! What a new config changes, and what it leaves alone.

use std::time::Duration;

use curb_model::Reason;
use curb_source::{Config, DeviceConfig, Error, Framing, Link, Problem};

use crate::street::{Behaviour, Hub, Line, bus, name, serial, twin};

const EVERY: Duration = Duration::from_millis(20);

#[tokio::test]
async fn only_the_bus_that_differs_is_started_anew() {
    let dir = tempfile::tempdir().unwrap();
    let line = |name: &str| Line::new(dir.path().join(name), [(1, Behaviour::Answers), (2, Behaviour::Answers)]);
    let (left, right, extra) = (line("left"), line("right"), line("extra"));
    let on = |name, device, unit, line: &Line| bus(name, Link::Rtu(serial(&line.link)), [twin(device, unit, EVERY)]);
    let mut hub = Hub::start([on("left", "lamp", 1, &left), on("right", "sign", 1, &right)]);
    hub.good("lamp").await;
    hub.good("sign").await;
    let before = hub.source.health();

    let buses = [on("left", "lamp", 1, &left), on("right", "sign", 2, &right), on("extra", "door", 1, &extra)];
    hub.source.apply(Config { buses: buses.into() }).await.unwrap();
    hub.good("door").await;
    hub.good("sign").await;
    hub.good("lamp").await;
    let after = hub.source.health();
    assert!(after.buses[&name("left")].counters.requests > before.buses[&name("left")].counters.requests);
    assert!(right.record.lock().unwrap().asked.contains_key(&2));

    // A port that moves to another bus is let go first.
    let buses = [on("left", "lamp", 1, &left), on("middle", "sign", 1, &right)];
    hub.source.apply(Config { buses: buses.into() }).await.unwrap();
    hub.good("sign").await;
    assert_eq!(hub.source.health().buses.keys().map(ToString::to_string).collect::<Vec<_>>(), ["left", "middle"]);
    assert_eq!(hub.fault_words(), [""; 0]);

    hub.source.apply(Config::default()).await.unwrap();
    assert_eq!(hub.source.health().buses.len(), 0);
    hub.stop().await;
}

#[tokio::test]
async fn a_config_that_cannot_be_is_refused_with_all_that_is_wrong_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let line = Line::new(dir.path().join("port"), [(1, Behaviour::Answers)]);
    let mut hub = Hub::start([bus("cabinet", Link::Rtu(serial(&line.link)), [twin("lamp", 1, EVERY)])]);
    let mut zero = twin("zero", 0, EVERY);
    if let DeviceConfig::Modbus(device) = &mut zero.1 {
        device.points[0].address = 65_535;
        device.points[0].conversion.scale = Some(0.0);
        device.every = Duration::ZERO;
    }
    let devices = [twin("lamp", 1, EVERY), twin("sign", 1, EVERY), zero];
    let talker =
        Link::Talker { serial: serial(&line.link), framing: Framing::Delimiter { delimiter: Vec::new(), max: 1 } };
    let buses = [bus("cabinet", Link::Rtu(serial(&line.link)), devices), bus("air", talker, [])];
    let refused = hub.source.apply(Config { buses: buses.into() }).await;
    let Err(Error::Config(problems)) = refused else { panic!("{refused:?}") };
    let expected = [
        Problem::NoFrame { bus: name("air") },
        Problem::Talkers { bus: name("air"), found: 0 },
        Problem::UnitTaken { bus: name("cabinet"), device: name("sign"), other: name("lamp"), unit_id: 1 },
        Problem::UnitId { device: name("zero"), found: 0 },
        Problem::NoTime { device: name("zero"), what: "every" },
        Problem::Scale { point: curb_model::PointName::parse("zero/first").unwrap() },
    ];
    assert_eq!(problems, expected);
    hub.good("lamp").await;
    hub.stop().await;
}

#[tokio::test]
async fn a_bus_whose_port_was_never_there_starts_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("port");
    let mut hub = Hub::start([bus("cabinet", Link::Rtu(serial(&link)), [twin("lamp", 1, EVERY)])]);
    hub.bad("lamp", Reason::Port).await;
    assert_eq!(hub.fault_words(), ["port-gone"]);
    let _line = Line::new(link, [(1, Behaviour::Answers)]);
    hub.good("lamp").await;
    assert_eq!(hub.source.health().buses[&name("cabinet")].counters.reopened, 0, "opened for the first time");
    hub.stop().await;
}
