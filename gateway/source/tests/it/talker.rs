//! A device that talks by itself, or when it is asked.

use std::path::Path;
use std::time::Duration;

use curb_model::{GapReason, HubClock, HubTime, Reason, Sample, Value, ValueType};
use curb_source::{
    BusConfig, Checksum, ChecksumKind, Config, Conversion, Decode, DeviceConfig, DeviceState, Encoding, Framing,
    LineCounters, Link, Order, Pattern, Place, Request, SerialConfig, Source, TalkerDevice, TalkerPoint,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_serial::SerialStream;

use crate::street::{Hub, PATIENCE, bus, name, point, point_to, serial};

pub(crate) fn air(link: &Path) -> (curb_model::Name, BusConfig) {
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

/// A device named as its bus.
fn talker(
    link: &Path,
    framing: Framing,
    decode: Decode,
    request: Option<Request>,
    points: impl IntoIterator<Item = (&'static str, ValueType, Place)>,
) -> (curb_model::Name, BusConfig) {
    let point = |(at, value_type, place)| TalkerPoint {
        point: point("talker", at, value_type),
        place,
        conversion: Conversion::default(),
    };
    let points = points.into_iter().map(point).collect();
    let device = TalkerDevice { decode, stale_after: Duration::from_millis(400), request, points };
    let link = Link::Talker { serial: serial(link), framing };
    bus("talker", link, [(name("talker"), DeviceConfig::Talker(device))])
}

fn counters(hub: &Hub) -> LineCounters {
    hub.source.health().buses[&name("talker")].counters
}

/// Waits until the counters are as they should be.
async fn counted(hub: &Hub, fits: impl Fn(LineCounters) -> bool) {
    let fits = async {
        while !fits(counters(hub)) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, fits).await.is_ok(), "{:?}", counters(hub));
}

#[tokio::test]
async fn sentences_of_a_weather_station_speak_each_of_its_own_points() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("port");
    let (mut master, slave) = SerialStream::pair().unwrap();
    point_to(&link, &slave);
    let field = |sentence: &str, field| Place::Field { sentence: sentence.to_owned(), field };
    let points = [("wind", ValueType::F64, field("WIMWV", 3)), ("temperature", ValueType::F64, field("MDA", 5))];
    let framing = Framing::Delimiter { delimiter: b"\n".to_vec(), max: 100 };
    let mut hub = Hub::start([talker(&link, framing, Decode::Nmea, None, points)]);
    hub.bad("talker", Reason::Stale).await;

    let float = |number| Sample::Good(Value::from_f64(number).unwrap());
    let wind = "$WIMWV,214.8,R,0.1,K,A*28\r\n";
    let temperature = "$WIMDA,29.7544,I,1.0076,B,35.5,C,,,42.1,,20.6,C,116.4,T,107.7,M,1.2,N,0.6,M*66\r\n";
    let lines = ["LUFFT ready\r\n", "$GPGSV,3,1,11*7B\r\n", wind, &wind.replace("0.1", "9.1"), temperature];
    master.write_all(lines.concat().as_bytes()).await.unwrap();
    let mut said = Vec::new();
    while said.len() < 3 {
        let batch = tokio::time::timeout(PATIENCE, hub.received.recv()).await.unwrap().unwrap();
        assert!(batch.closes());
        let readings = batch.readings.into_iter().filter(|reading| reading.sample != Sample::Bad(Reason::Stale));
        said.extend(readings.map(|reading| (reading.point.name.point().to_string(), reading.sample)));
    }
    let expected = [("wind", float(0.1)), ("wind", Sample::Bad(Reason::Crc)), ("temperature", float(35.5))];
    assert_eq!(said, expected.map(|(point, sample)| (point.to_owned(), sample)));
    let LineCounters { answers, crc, foreign, .. } = counters(&hub);
    assert_eq!((answers, crc, foreign), (2, 1, 2));

    // While only one kind is sent, the points of the other grow stale, and the device is not called silent.
    let mut stale = 0;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while stale < 2 {
        assert!(tokio::time::Instant::now() < deadline);
        master.write_all(wind.as_bytes()).await.unwrap();
        let batch = tokio::time::timeout(PATIENCE, hub.received.recv()).await.unwrap().unwrap();
        let temperature = batch.readings.iter().filter(|reading| reading.point.name.point().as_str() == "temperature");
        let is_stale = temperature.filter(|reading| reading.sample == Sample::Bad(Reason::Stale)).count();
        if is_stale > 0 && batch.readings.len() == 1 {
            let state = hub.source.health().devices[&name("talker")].state;
            assert!(!matches!(state, DeviceState::Silent(_)), "{state:?}");
            stale += 1;
        }
    }
    hub.stop().await;
}

/// A range finder that is asked with `R?` and a carriage return.
const RANGE_REQUEST: &[u8] = b"R?\r";

fn range_finder(link: &Path, timeout: Duration) -> (curb_model::Name, BusConfig) {
    let framing = Framing::Delimiter { delimiter: b"\r".to_vec(), max: 32 };
    let pattern = Pattern::new(r"^R(?<range>\d{4})$").unwrap();
    let request = Request { bytes: RANGE_REQUEST.to_vec(), every: Duration::from_millis(50), timeout };
    let points = [("range", ValueType::U16, Place::Group("range".to_owned()))];
    talker(link, framing, Decode::Regex(pattern), Some(request), points)
}

/// Waits for a request.
async fn asked(master: &mut SerialStream, request: &[u8]) {
    let mut bytes = vec![0; request.len()];
    tokio::time::timeout(PATIENCE, master.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(bytes, request);
}

#[tokio::test]
async fn an_answer_belongs_to_its_request_and_no_answer_is_a_time_out() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("port");
    let (mut master, slave) = SerialStream::pair().unwrap();
    point_to(&link, &slave);
    let mut hub = Hub::start([range_finder(&link, Duration::from_millis(500))]);
    let range = |range| Sample::Good(Value::U64(range));
    let next = async |hub: &mut Hub| hub.reading("talker", |_| true).await.sample;

    for number in 1000..1010 {
        asked(&mut master, RANGE_REQUEST).await;
        master.write_all(format!("R{number}\r").as_bytes()).await.unwrap();
        assert_eq!(next(&mut hub).await, range(number));
    }
    // Its own echo, a banner, and pieces.
    asked(&mut master, RANGE_REQUEST).await;
    for piece in ["R?\rMaxSonar\rR", "20", "00\r"] {
        master.write_all(piece.as_bytes()).await.unwrap();
    }
    assert_eq!(next(&mut hub).await, range(2000));
    let LineCounters { echo, foreign, .. } = counters(&hub);
    assert_eq!((echo, foreign), (1, 1));

    // No answer; it comes when nobody waits for it any more, and is nobody's.
    asked(&mut master, RANGE_REQUEST).await;
    assert_eq!(next(&mut hub).await, Sample::Bad(Reason::Timeout));
    master.write_all(b"R3000\r").await.unwrap();
    counted(&hub, |counters| counters.late == 1 && counters.timeouts == 1).await;
    asked(&mut master, RANGE_REQUEST).await;
    master.write_all(b"R4000\r").await.unwrap();
    assert_eq!(next(&mut hub).await, range(4000));
    // Two answers to one request: the second is nobody's.
    asked(&mut master, RANGE_REQUEST).await;
    master.write_all(b"R5000\rR5001\r").await.unwrap();
    assert_eq!(next(&mut hub).await, range(5000));
    asked(&mut master, RANGE_REQUEST).await;
    master.write_all(b"R6000\r").await.unwrap();
    assert_eq!(next(&mut hub).await, range(6000));
    assert_eq!(counters(&hub).late, 2);
    hub.stop().await;
}

#[tokio::test]
async fn a_device_that_is_asked_is_bad_while_its_port_is_gone_and_is_asked_again_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("port");
    let (mut master, slave) = SerialStream::pair().unwrap();
    point_to(&link, &slave);
    let mut hub = Hub::start([range_finder(&link, Duration::from_secs(10))]);
    asked(&mut master, RANGE_REQUEST).await;
    std::fs::remove_file(&link).unwrap();
    drop((master, slave));
    hub.bad("talker", Reason::Port).await;
    hub.bad("talker", Reason::Port).await;
    assert_eq!(hub.fault_words(), ["port-gone"]);
    let (mut master, slave) = SerialStream::pair().unwrap();
    point_to(&link, &slave);
    asked(&mut master, RANGE_REQUEST).await;
    master.write_all(b"R0007\r").await.unwrap();
    hub.good("talker").await;
    assert_eq!(hub.fault_words(), [""; 0]);
    hub.stop().await;
}

#[tokio::test]
async fn binary_sensors_are_read_at_any_rate_and_out_of_garbage() {
    let dir = tempfile::tempdir().unwrap();
    // 31,250 and 250,000 are no rates of POSIX.
    for (number, baud) in [1200, 31_250, 115_200, 250_000, 3_000_000].into_iter().enumerate() {
        let link = dir.path().join(number.to_string());
        let (mut master, slave) = SerialStream::pair().unwrap();
        point_to(&link, &slave);
        let framing = Framing::Fixed { start: vec![0xFF, 0x86], len: 9 };
        let checksum = Some(Checksum { kind: ChecksumKind::Lrc8, skip: 1, behind: 0, order: Order::Abcd });
        let request = [0xFF, 0x01, 0x86, 0, 0, 0, 0, 0, 0x79];
        let place = Place::Bytes { at: 2, encoding: Encoding::U16, order: Order::Abcd, bits: None };
        let asked_with =
            Request { bytes: request.to_vec(), every: Duration::from_millis(50), timeout: Duration::from_secs(10) };
        let points = [("co2", ValueType::U16, place)];
        let (bus, config) = talker(&link, framing, Decode::Binary { checksum }, Some(asked_with), points);
        let Link::Talker { framing, .. } = config.link else { panic!("a talker") };
        let serial = SerialConfig { baud, ..serial(&link) };
        let config = BusConfig { link: Link::Talker { serial, framing }, ..config };
        let mut hub = Hub::start([(bus, config)]);
        asked(&mut master, &request).await;
        // Winsen MH-Z19: 608 ppm, behind a frame with a wrong check sum and noise that begins as one.
        let answer = [0xFF, 0x86, 0x02, 0x60, 0x47, 0, 0, 0, 0xD1];
        let garbled = [0xFF, 0x86, 0x02, 0x61, 0x47, 0, 0, 0, 0xD1];
        master.write_all(&[&garbled[..], &[1, 2, 0xFF, 0x86], &answer].concat()).await.unwrap();
        let reading = hub.reading("talker", |_| true).await;
        assert_eq!(reading.sample, Sample::Good(Value::U64(608)), "at {baud} bit/s");
        assert_eq!(counters(&hub).crc, 2);
        hub.stop().await;
    }
}
