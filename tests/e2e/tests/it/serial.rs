//! One paced RS-485 line: a dead unit, a late unit, an adapter that is pulled out and put back. Every unit's values lie in
//! a range of their own, so that a value under a wrong name is seen.

use std::time::Duration;

use e2e::{Hub, Ingest, Mosquitto, Site};
use street::{Behaviour, Device, Kind, Log, Parity, Register, RtuLine, Signal, Table, eventually};

/// Units 1, 2 and 3 with one register each; their values start at 1,000, 2,000 and 3,000.
fn line(site: &Site, second: Behaviour) -> RtuLine {
    let device = |name: &str, low: i64| {
        Device::new(name).with(Register::new("value", Table::Holding, 0, Kind::U16, Signal::new(low, 1, 900)))
    };
    let mut line = RtuLine::new(&site.path().join("tty-cabinet"), 19_200, Parity::Even, &Log::new())
        .unit(1, device("meter", 1_000), Behaviour::Alive)
        .unit(2, device("lamp", 2_000), second)
        .unit(3, device("pump", 3_000), Behaviour::Alive);
    line.plug().unwrap();
    line
}

fn config(line: &RtuLine) -> String {
    let bus = format!("[bus.cabinet]\nserial = \"{}\"\nbaud = 19200\nparity = \"even\"\n\n", line.path().display());
    // The lamp's is short, because a silent unit is asked again only when its time-out is a small share of the time since.
    let device = |(unit, name, timeout): (u8, &str, &str)| {
        format!(
            "[device.{name}]\nbus = \"cabinet\"\nunit_id = {unit}\nevery = \"100ms\"\nmin_gap = \"0s\"\n{timeout}\
             point.value = {{ register = \"holding:0\", type = \"u16\" }}\n\n"
        )
    };
    let devices: String =
        [(1, "meter", ""), (2, "lamp", "timeout = \"100ms\"\n"), (3, "pump", "")].into_iter().map(device).collect();
    bus + &devices
}

/// Whether every good value lies in its own unit's range; how many there are of each.
fn good(ingest: &Ingest) -> [usize; 3] {
    [("meter/value", 1_000), ("lamp/value", 2_000), ("pump/value", 3_000)].map(|(point, low)| {
        let readings = ingest.readings(point);
        let values = readings.iter().filter(|reading| reading["quality"] == "good");
        let values: Vec<i64> = values.map(|reading| reading["value"].as_i64().unwrap()).collect();
        assert!(
            values.iter().all(|value| (low..low + 900).contains(value)),
            "another unit's value under {point}: {values:?}"
        );
        values.len()
    })
}

async fn closes(site: &Site, mut hub: Hub) {
    assert_eq!(hub.stop().await, Some(0), "{}", hub.log());
    let (closed, ledger) = site.ledger().await;
    assert!(closed, "{ledger:#}");
}

#[tokio::test]
async fn a_dead_unit_is_named_and_costs_the_others_almost_nothing() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let line = line(&site, Behaviour::Dead);
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &config(&line));
    hub.start().await;
    let (subject, _) = hub.fault("unit-silent").await;
    assert_eq!(subject, "device lamp");
    hub.logs("unit-silent").await;
    // Ten polls a second are due of each; the dead one's first time-outs are behind us.
    let before = good(&ingest);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let after = good(&ingest);
    let polls = [after[0] - before[0], after[2] - before[2]];
    assert!(polls.iter().all(|&polls| polls >= 45), "of some 50 polls each: {polls:?}");
    assert_eq!(after[1], 0);
    assert!(ingest.readings("lamp/value").iter().all(|reading| reading["quality"] == "bad:timeout"));

    line.behave(2, Behaviour::Alive);
    hub.no_fault("unit-silent").await;
    hub.logs("unit-back").await;
    closes(&site, hub).await;
}

#[tokio::test]
async fn a_late_answer_is_never_another_requests_value() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    // The hub waits 100 ms for it: this unit always answers when somebody else is being asked.
    let line = line(&site, Behaviour::Late(Duration::from_millis(350)));
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &config(&line));
    hub.start().await;
    let late = |status: &serde_json::Value| (status["buses"]["cabinet"]["late"].as_u64()? > 0).then_some(());
    hub.shows("late answers", late).await;
    let enough = || (good(&ingest)[0] > 20).then_some(());
    eventually(e2e::PATIENCE, "readings of the others", &[hub.process(), &ingest.process], enough).await.unwrap();
    hub.fault("unit-silent").await;
    assert_eq!(good(&ingest)[1], 0, "an answer after its time is no value");
    closes(&site, hub).await;
}

#[tokio::test]
async fn an_adapter_that_is_pulled_out_is_a_bad_reading_and_comes_back() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let mut line = line(&site, Behaviour::Alive);
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &config(&line));
    hub.start().await;
    let logs = [&ingest.process];
    let quality = |wanted: &'static str| {
        let ingest = &ingest;
        move || ingest.readings("pump/value").last().filter(|reading| reading["quality"] == wanted).map(drop)
    };
    eventually(e2e::PATIENCE, "a good reading", &logs, quality("good")).await.unwrap();
    line.unplug();
    let (subject, _) = hub.fault("port-gone").await;
    assert_eq!(subject, "bus cabinet");
    hub.logs("port-gone").await;
    eventually(e2e::PATIENCE, "a bad reading", &logs, quality("bad:port")).await.unwrap();
    line.plug().unwrap();
    hub.no_fault("port-gone").await;
    hub.logs("port-back").await;
    eventually(e2e::PATIENCE, "a good reading again", &logs, quality("good")).await.unwrap();
    good(&ingest);
    closes(&site, hub).await;
}
