//! A device that talks by itself.

use std::path::Path;
use std::time::Duration;

use curb_model::{GapReason, HubClock, HubTime, Reason, Sample, Value, ValueType};
use curb_source::{
    BusConfig, Config, Conversion, Decode, DeviceConfig, Framing, Link, Place, Source, TalkerDevice, TalkerPoint,
};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio_serial::SerialStream;

use crate::street::{Hub, PATIENCE, bus, name, point, point_to, serial};

fn air(link: &Path) -> (curb_model::Name, BusConfig) {
    let column = |at, column| TalkerPoint {
        point: point("air", at, ValueType::F64),
        place: Place::Column(column),
        conversion: Conversion::default(),
    };
    let points = vec![column("pm25", 1), column("pm10", 2)];
    let (decode, stale_after) = (Decode::Csv { separator: ',' }, Duration::from_millis(400));
    let device = DeviceConfig::Talker(TalkerDevice { decode, stale_after, request: None, points });
    let framing = Framing::Delimiter { delimiter: b"\n".to_vec(), max: 32 };
    let link = Link::Talker { serial: serial(link), framing };
    bus("air", link, [(name("air"), device)])
}

/// A port, and a hub that listens to it and has called it silent once: what comes next is a new frame.
async fn listening(link: &Path) -> (SerialStream, SerialStream, Hub) {
    let (master, slave) = SerialStream::pair().unwrap();
    point_to(link, &slave);
    let mut hub = Hub::start([air(link)]);
    hub.bad("air", Reason::Stale).await;
    (master, slave, hub)
}

#[tokio::test]
async fn lines_become_values_and_what_is_no_line_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let (mut master, _slave, mut hub) = listening(&dir.path().join("port")).await;
    let float = |number| Sample::Good(Value::from_f64(number).unwrap());
    let check = async |hub: &mut Hub, master: &mut SerialStream, line: &str, expected: [Sample; 2]| {
        master.write_all(line.as_bytes()).await.unwrap();
        let silence = [Sample::Bad(Reason::Stale), Sample::Bad(Reason::Stale)];
        let found = loop {
            let batch = tokio::time::timeout(PATIENCE, hub.received.recv()).await.unwrap().unwrap();
            assert!(batch.closes());
            let samples: Vec<_> = batch.readings.into_iter().map(|reading| reading.sample).collect();
            // While nobody talks it is called silent; that is not what is looked at here.
            if samples != silence {
                break samples;
            }
        };
        assert_eq!(found, expected, "{line:?}");
    };
    let bad = |reason| Sample::Bad(reason);
    check(&mut hub, &mut master, "12.5,30\r\n", [float(12.5), float(30.0)]).await;
    check(&mut hub, &mut master, "12.5\n", [float(12.5), bad(Reason::Decode)]).await;
    check(&mut hub, &mut master, ",x\n", [bad(Reason::Absent), bad(Reason::Decode)]).await;
    let long = "9".repeat(100) + "\n";
    check(&mut hub, &mut master, &long, [bad(Reason::Framing), bad(Reason::Framing)]).await;
    check(&mut hub, &mut master, "1,2\n", [float(1.0), float(2.0)]).await;
    hub.stop().await;
}

#[tokio::test]
async fn a_silent_talker_is_stale_and_one_that_is_unplugged_is_bad() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("port");
    let (mut master, slave, mut hub) = listening(&link).await;
    assert_eq!(hub.fault_words(), ["unit-silent"]);
    master.write_all(b"1,2\n").await.unwrap();
    hub.good("air").await;
    assert_eq!(hub.fault_words(), [""; 0]);
    hub.bad("air", Reason::Stale).await;

    std::fs::remove_file(&link).unwrap();
    drop((master, slave));
    hub.bad("air", Reason::Port).await;
    hub.bad("air", Reason::Port).await;
    assert_eq!(hub.fault_words(), ["port-gone"]);
    let (mut master, slave) = SerialStream::pair().unwrap();
    point_to(&link, &slave);
    hub.bad("air", Reason::Stale).await;
    master.write_all(b"3,4\n").await.unwrap();
    hub.good("air").await;
    assert_eq!(hub.fault_words(), [""; 0]);
    hub.stop().await;
}

#[tokio::test]
async fn what_finds_no_room_is_counted_as_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("port");
    let (mut master, slave) = SerialStream::pair().unwrap();
    point_to(&link, &slave);
    let (out, mut received) = mpsc::channel(1);
    let config = Config { buses: [air(&link)].into() };
    let source = Source::start(config, HubClock::starting_at(HubTime::ZERO), out).unwrap();
    let device = name("air");
    let told = async |readings: u64| {
        let told = async {
            while source.health().devices.get(&device).is_none_or(|health| health.good + health.bad < readings) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.unwrap();
    };
    // The one place is taken by the first word of silence; nobody reads.
    told(2).await;
    for line in 0..20 {
        master.write_all(format!("{line},1\n").as_bytes()).await.unwrap();
    }
    told(42).await;
    let (mut read, mut arrived, mut dropped) = (0, 0, 0);
    let count = async {
        while let Some(batch) = received.recv().await {
            assert!(batch.closes() && batch.dropped.iter().all(|dropped| dropped.reason == GapReason::Overload));
            read += batch.counts.read;
            arrived += batch.readings.len() as u64;
            dropped += batch.dropped.iter().map(|dropped| dropped.count).sum::<u64>();
        }
    };
    tokio::join!(source.stop(), count);
    assert!(read >= 42 && dropped >= 40, "{read} read, {dropped} dropped");
    assert_eq!(read, arrived + dropped);
}
