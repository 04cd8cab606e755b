//! Golden bytes of version 1, and that what is written can be read.

mod asyncapi;
mod forms;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use curb_model::*;
use proptest::prelude::*;

use crate::command::{Answer, Audit, AuditRecord, Origin, Outcome, Proof, Refusal, Write};
use crate::record::{
    ClockEvent, ClockRecord, Document, Gap, GapRecord, Identity, Previous, Receipt, RunEvent, RunRecord, StreamCounts,
};
use crate::senml::{self, Form, Header, Time};
use crate::status::{FaultEntry, Points, Queue, State, Status};
use crate::topic::{Address, Kind, Topics};

const OFFSET: UtcOffset = UtcOffset::from_nanos(1_795_555_500_000_000_000);
const RUN: RunId = RunId { counter: 12, nonce: 0x00a1_b2c3_d4e5_f607 };

fn point(name: &str, unit: Option<&str>, value_type: ValueType) -> Arc<Point> {
    let name = PointName::parse(name).unwrap();
    let stream = Stream::device(name.owner());
    Arc::new(Point { name, stream, class: Class::Data, unit: unit.map(Into::into), value_type, range: None })
}

fn reading(point: &Arc<Point>, at_ms: i64, sample: Sample) -> Reading {
    Reading { point: Arc::clone(point), at: HubTime::from_nanos(at_ms * 1_000_000), sample }
}

fn header() -> Header {
    Header {
        hub: Name::new("lamp-0042").unwrap(),
        run: RUN,
        stream: Stream::parse("meter").unwrap(),
        seq: 17,
        read: 34,
        filtered: 3,
        refused: 0,
    }
}

/// Every kind of value and quality once.
fn readings() -> Vec<Reading> {
    let voltage = point("meter/voltage", Some("V"), ValueType::F32);
    let energy = point("meter/energy", Some("J"), ValueType::U32);
    let relay = point("meter/relay", None, ValueType::Bool);
    let serial = point("meter/serial", None, ValueType::Text);
    let state = point("meter/state", None, ValueType::U16);
    let good = |value| Sample::Good(value);
    vec![
        reading(&voltage, 55_123, good(Value::from_f64(230.1).unwrap())),
        reading(&voltage, 55_123, Sample::Uncertain(Value::from_f64(999.0).unwrap(), Reason::Range)),
        reading(&energy, 55_123, good(Value::U64(12))),
        reading(&energy, 55_200, good(Value::U64((1 << 53) + 1))),
        reading(&energy, 55_200, good(Value::I64(-((1 << 53) + 1)))),
        reading(&relay, 56_000, good(Value::Bool(true))),
        reading(&serial, 56_000, good(Value::Text("A-17".into()))),
        reading(&serial, 56_000, good(Value::Bytes([0xff, 0x00, 0x10].into()))),
        reading(&state, 56_300, Sample::Bad(Reason::Timeout)),
        reading(&state, 56_300, Sample::Bad(Reason::Exception(2))),
    ]
}

fn batch(offset: Option<UtcOffset>, readings: Vec<Reading>) -> Batch {
    Batch::read(Stream::parse("meter").unwrap(), Class::Data, offset, readings)
}

fn golden_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1").join(name)
}

/// The bytes must be those of the golden file. `CURB_WRITE_GOLDEN=1` writes a new file; it never replaces one.
fn golden(name: &str, bytes: &[u8]) {
    let path = golden_path(name);
    if !path.exists() && std::env::var_os("CURB_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let expected = std::fs::read(&path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    assert!(
        bytes == expected,
        "{name} is {:?}, {:?} is golden",
        String::from_utf8_lossy(bytes),
        String::from_utf8_lossy(&expected)
    );
}

fn golden_document<D: Document + PartialEq + std::fmt::Debug>(name: &str, document: &D) {
    golden(name, &document.encode());
    assert_eq!(&D::decode(&document.encode()).unwrap(), document, "{name}");
}

fn identity(stream: &str) -> Identity {
    Identity { hub: "lamp-0042".to_owned(), run: RUN, stream: stream.to_owned(), seq: 4 }
}

#[test]
fn senml_of_version_1_is_golden() {
    golden("data.senml.json", &senml::encode(&header(), &batch(Some(OFFSET), readings()), Form::default()));
    golden("undated.senml.json", &senml::encode(&header(), &batch(None, readings()), Form::default()));
}

#[test]
fn records_of_version_1_are_golden() {
    let counts = |seq| StreamCounts { seq, read: 34, filtered: 3, refused: 0 };
    let opened = RunRecord {
        v: 1,
        id: identity("_run"),
        event: RunEvent::Opened,
        ht: HubTime::from_nanos(7),
        version: "0.1.0".to_owned(),
        previous: Some(Previous {
            run: RunId { counter: 11, nonce: 1 },
            clean: false,
            streams: [("meter".to_owned(), counts(9))].into(),
        }),
        streams: std::collections::BTreeMap::new(),
    };
    golden_document("run-opened.json", &opened);
    let streams = [("meter".to_owned(), counts(17)), ("quiet.alarm".to_owned(), counts(1))].into();
    let closed = RunRecord { event: RunEvent::Closed, previous: None, streams, ..opened.clone() };
    golden_document("run-closed.json", &closed);
    golden_document("run-counts.json", &RunRecord { event: RunEvent::Counts, ..closed });
    let gap = |from: Option<u64>| GapRecord {
        v: 1,
        id: identity("_gap"),
        gap: Gap {
            run: RUN,
            stream: "meter".to_owned(),
            reason: GapReason::Full,
            from,
            to: from.map(|from| from + 6),
            from_ht: HubTime::from_nanos(1_000_000_000),
            to_ht: HubTime::from_nanos(7_000_000_000),
            count: 14,
        },
    };
    golden_document("gap.json", &gap(Some(3)));
    golden_document("gap-without-numbers.json", &gap(None));
    let clock = ClockRecord {
        v: 1,
        id: identity("_clock"),
        event: ClockEvent::Trusted,
        ht: HubTime::from_nanos(55_000_000_000),
        offset: Some(OFFSET),
        trust: "ntp".to_owned(),
    };
    golden_document("clock.json", &clock);
    golden_document("clock-lost.json", &ClockRecord { event: ClockEvent::Lost, offset: None, ..clock });
    let stream = Stream::parse("meter").unwrap();
    golden_document("receipt.json", &Receipt { v: 1, run: RUN, stream, seq: 17 });
}

fn outcome(value: Value, result: Result<Proof, Refusal>) -> Outcome {
    let point = Some(PointName::parse("lamp/dim").unwrap());
    Outcome { point, value: Some(value), result, time_ms: Some(1_795_555_550_250) }
}

fn refusal() -> Refusal {
    Refusal { word: "out-of-bounds".to_owned(), detail: "120 is not within 0 to 100, which is granted".to_owned() }
}

#[test]
fn commands_of_version_1_are_golden() {
    let write = |value| Write { point: PointName::parse("lamp/dim").unwrap(), value, deadline_ms: 1_795_555_555_500 };
    golden_document("cmd-write.json", &write(Value::U64(50)));
    golden_document("cmd-write-negative.json", &write(Value::I64(-5)));
    golden_document("cmd-write-decimal.json", &write(Value::from_f64(2.5).unwrap()));
    golden_document("cmd-write-switch.json", &write(Value::Bool(true)));
    golden_document("cmd-write-name.json", &write(Value::Text("boost".into())));
    golden_document("cmd-write-wide.json", &write(Value::U64(u64::MAX)));
    let answer = |outcome| Answer { hub: "lamp-0042".to_owned(), outcome };
    golden_document("answer.json", &answer(outcome(Value::U64(50), Ok(Proof::ReadBack))));
    golden_document("answer-echo.json", &answer(outcome(Value::Bool(true), Ok(Proof::Echo))));
    let refused = Outcome { value: None, ..outcome(Value::U64(120), Err(refusal())) };
    golden_document("answer-refused.json", &answer(refused));
    let unread = Refusal { word: "bad-request".to_owned(), detail: "no JSON".to_owned() };
    let unread = Outcome { point: None, value: None, result: Err(unread), time_ms: None };
    golden_document("answer-unread.json", &answer(unread.clone()));

    let audit = |origin, correlation: Option<&[u8]>, outcome| AuditRecord {
        id: identity("_audit"),
        audit: Audit {
            ht: HubTime::from_nanos(55_000_000_000),
            origin,
            command: "write".to_owned(),
            correlation: correlation.map(<[u8]>::to_vec),
            outcome,
        },
    };
    let id = Some([0xff, 0x00, 0x10].as_slice());
    golden_document("audit.json", &audit(Origin::Core, id, outcome(Value::U64(50), Ok(Proof::ReadBack))));
    golden_document("audit-refused.json", &audit(Origin::Core, id, outcome(Value::U64(120), Err(refusal()))));
    golden_document("audit-socket.json", &audit(Origin::Socket, None, outcome(Value::Bool(true), Ok(Proof::Echo))));
    golden_document("audit-tool.json", &audit(Origin::Tool, None, outcome(Value::Bool(true), Ok(Proof::Echo))));
    let mut store = audit(
        Origin::Socket,
        None,
        Outcome { point: None, value: None, ..outcome(Value::Bool(true), Ok(Proof::Committed)) },
    );
    store.audit.command = "store release 17".to_owned();
    golden_document("audit-store.json", &store);
    golden_document("audit-unread.json", &audit(Origin::Core, None, unread));
}

#[test]
fn a_request_that_is_not_whole_says_what_is_wrong_with_it() {
    let check = |text: &str, expected: &str| {
        let error = Write::decode(text.as_bytes()).unwrap_err();
        let text = std::error::Error::source(&error).map_or(error.to_string(), |source| format!("{error}: {source}"));
        assert!(text.contains(expected), "{text} should contain {expected}");
    };
    check("", "EOF");
    check(r#"{"v":2,"point":"lamp/dim","value":50,"deadline":1795555555.5}"#, "version is 2");
    check(r#"{"v":1,"point":"lamp/dim","value":50}"#, "missing field `deadline`");
    check(r#"{"v":1,"point":"lamp/dim","deadline":1795555555.5}"#, "missing field `value`");
    check(r#"{"v":1,"value":50,"deadline":1795555555.5}"#, "missing field `point`");
    check(r#"{"v":1,"point":"LAMP","value":50,"deadline":1795555555.5}"#, "device/point");
    check(r#"{"v":1,"point":"lamp/dim","value":null,"deadline":1795555555.5}"#, "a number, true, false or text");
    check(r#"{"v":1,"point":"lamp/dim","value":[1],"deadline":1795555555.5}"#, "a number, true, false or text");
    check(r#"{"v":1,"point":"lamp/dim","value":"x","type":"u64","deadline":1795555555.5}"#, "an unsigned integer");
    check(r#"{"v":1,"point":"lamp/dim","value":5,"type":"u64","deadline":1795555555.5}"#, "text, as there is a type");
    check(r#"{"v":1,"point":"lamp/dim","value":"5","type":"f32","deadline":1795555555.5}"#, "unknown variant");
    check(&format!(r#"{{"v":1,"point":"a/b","value":"{}","deadline":1}}"#, "x".repeat(300)), "256 bytes at most");
    check(r#"{"v":1,"point":"lamp/dim","value":1e999,"deadline":1795555555.5}"#, "number out of range");
}

#[test]
fn an_answer_may_go_anywhere_but_into_topics_of_ours() {
    let topics = Topics::new(&Name::new("pier").unwrap(), &Name::new("lamp-0042").unwrap());
    for fine in ["core/answers/7", "curb/v1/pier/lamp-0042/reply/x", "curb/v1/pier/lamp-0042/reply/a/b", "curb/v12"] {
        assert!(topics.takes_replies(fine), "{fine}");
    }
    let long = "x".repeat(513);
    for not in [
        "",
        "a/+",
        "a/#",
        "a\0b",
        long.as_str(),
        "$share/a/b",
        "curb/v1",
        "curb/v1/pier/lamp-0042/data/meter",
        "curb/v1/pier/lamp-0042/reply",
        "curb/v1/pier/lamp-00421/reply/x",
        "curb/v1/pier/lamp-0043/reply/x",
    ] {
        assert!(!topics.takes_replies(not), "{not}");
    }
}

#[test]
fn retained_documents_of_version_1_are_golden() {
    let status = Status {
        v: 1,
        hub: "lamp-0042".to_owned(),
        state: State::Online,
        run: RUN.to_string(),
        connection: 2,
        version: "0.1.0".to_owned(),
        clean: false,
        faults: vec![FaultEntry {
            room: "source".to_owned(),
            subject: "device lamp".to_owned(),
            word: "unit-silent".to_owned(),
            detail: "no answer from unit 4 on bus cabinet".to_owned(),
        }],
        queue: Some(Queue { rows: 3, readings: 30, bytes: 900 }),
    };
    golden_document("status.json", &status);
    let will = Status { state: State::Offline, faults: Vec::new(), queue: None, ..status };
    golden_document("will.json", &will);
    let mut dim = Arc::unwrap_or_clone(point("lamp/dim", Some("%"), ValueType::U16));
    dim.range = Some((0.0, 100.0));
    let points = [Arc::new(dim), point("meter/voltage", Some("V"), ValueType::F32)].into_iter().collect();
    golden_document("points.json", &Points::new("lamp-0042", &points));

    // Members that came later are absent where they say nothing: the table above has the bytes that it always had.
    let mode = point("lamp/mode", None, ValueType::Text);
    let dim = point("lamp/dim", Some("%"), ValueType::U16);
    let usage = |names: &[&str], bounds| Usage {
        names: names.iter().map(|name| Arc::from(*name)).collect(),
        write: Some(Writable { bounds }),
        access: Access::Read,
    };
    let usages = [
        (mode.name.clone(), usage(&["off", "on", "dimmed"], None)),
        (dim.name.clone(), usage(&[], Some((0.0, 100.0)))),
        (PointName::parse("lamp/hours").unwrap(), Usage::default()),
    ];
    let points = PointSet::default().and([mode, dim]).with_usages(usages);
    golden_document("points-written.json", &Points::new("lamp-0042", &points));

    let enable = point("charger/enable", None, ValueType::Bool);
    let usage = Usage { access: Access::Write, ..usage(&[], None) };
    let points = PointSet::default().and([enable.clone()]).with_usages([(enable.name.clone(), usage)]);
    golden_document("points-only-written.json", &Points::new("lamp-0042", &points));
}

#[test]
fn what_is_written_can_be_read() {
    for offset in [Some(OFFSET), None] {
        let batch = batch(offset, readings());
        let pack = senml::decode(&senml::encode(&header(), &batch, Form::default())).unwrap();
        assert_eq!(pack.header, header());
        assert_eq!(pack.records.len(), batch.readings.len());
        for (record, reading) in pack.records.iter().zip(&batch.readings) {
            assert_eq!(record.point, reading.point.name);
            let time = offset.map_or(Time::Hub(reading.at), |offset| Time::Utc(reading.at.utc_millis(offset)));
            assert_eq!(record.time, time);
            // JSON has one kind of number: 999.0 is read as 999.
            assert_eq!(record.sample.reason(), reading.sample.reason());
            let number = |sample: &Sample| sample.value().and_then(Value::as_f64);
            assert_eq!(number(&record.sample), number(&reading.sample));
        }
    }
}

#[test]
fn a_clock_near_1970_never_dates_a_reading() {
    let batch = batch(Some(UtcOffset::from_nanos(1_000_000_000)), readings());
    let pack = senml::decode(&senml::encode(&header(), &batch, Form::default())).unwrap();
    assert!(pack.records.iter().all(|record| matches!(record.time, Time::Hub(_))));
}

#[test]
fn what_is_not_ours_is_refused_with_its_member() {
    let check = |text: &str, expected: &str| {
        let error = senml::decode(text.as_bytes()).unwrap_err();
        let text = std::error::Error::source(&error).map_or(error.to_string(), |source| format!("{error}: {source}"));
        assert!(text.contains(expected), "{text} should contain {expected}");
    };
    let head = r#""hub":"h","run":"1-0000000000000001","stream":"m","seq":1,"read":1,"filtered":0,"refused":0"#;
    check("", "EOF");
    check("[]", "at least one record");
    check(r#"[{"n":"a","v":1}]"#, "hub");
    check(&format!(r#"[{{{head},"bn":"m/","n":"a","v":1}}]"#), "bt");
    check(&format!(r#"[{{{head},"bn":"m/","bt":1795555555,"n":"a"}}]"#), "one of v, vb, vs, vd");
    check(&format!(r#"[{{{head},"bn":"M/","bt":1795555555,"n":"a","v":1}}]"#), "device/point");
    check(&format!(r#"[{{{head},"bn":"m/","bt":1795555555,"n":"a/quality","vs":"bad:odd"}}]"#), "bad:<reason>");
    check(&format!(r#"[{{{head},"bn":"m/","bt":1795555555,"n":"a/quality","vs":"uncertain:range"}}]"#), "uncertain");
    let receipt = Receipt::decode(br#"{"v":2,"run":"x","stream":"m","seq":1}"#).unwrap_err();
    assert!(receipt.to_string().contains("version is 2"), "{receipt}");
}

#[test]
fn topics_are_taken_apart_as_they_were_made() {
    let topics = Topics::new(&Name::new("port-credit").unwrap(), &Name::new("lamp-0042").unwrap());
    let meter = Stream::parse("meter").unwrap();
    let check = |topic: String, kind: Kind| assert_eq!(Address::parse(&topic).unwrap().kind, kind, "{topic}");
    check(topics.lane(Lane::Data, &meter), Kind::Data(meter.clone()));
    check(topics.lane(Lane::Alarm, &meter), Kind::Alarm(meter.clone()));
    check(topics.lane(Lane::Run, &Stream::run()), Kind::Run);
    check(topics.lane(Lane::Gap, &Stream::gap()), Kind::Gap);
    check(topics.lane(Lane::Clock, &Stream::clock()), Kind::Clock);
    check(topics.status(), Kind::Status);
    check(topics.points(), Kind::Points);
    check(topics.receipt(), Kind::Receipt);
    check(topics.lane(Lane::Audit, &Stream::audit()), Kind::Audit);
    check(topics.commands().replace('+', "write"), Kind::Command("write".to_owned()));
    for foreign in
        ["", "curb/v1", "curb/v2/s/h/run", "curb/v1/s/h", "curb/v1/s/h/data", "curb/v1/s/h/run/x", "x/s/h/run"]
    {
        assert_eq!(Address::parse(foreign), None, "{foreign}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        any::<f64>().prop_filter_map("finite", Value::from_f64),
        any::<String>().prop_map(|text| Value::Text(text.into())),
        any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(bytes.into())),
    ]
}

proptest! {
    #[test]
    fn every_commanded_value_arrives_as_it_was(value in any_value(), deadline_ms in 0..1_i64 << 50) {
        let sent = Write { point: PointName::parse("a/b").unwrap(), value: value.clone(), deadline_ms };
        let long = matches!(&value, Value::Text(text) if text.len() > 256);
        match Write::decode(&sent.encode()) {
            Err(_) => prop_assert!(long || matches!(value, Value::Bytes(_))),
            Ok(got) => {
                prop_assert_eq!(got.deadline_ms, deadline_ms);
                match (&value, &got.value) {
                    (Value::I64(a), Value::U64(b)) => prop_assert_eq!(u64::try_from(*a).unwrap(), *b),
                    (Value::F64(a), other) => prop_assert_eq!(other.as_f64(), Some(a.get())),
                    (Value::Bytes(_), Value::Text(_)) => {}
                    (a, b) => prop_assert_eq!(a, b),
                }
            }
        }
    }

    #[test]
    fn every_value_arrives_as_it_was(value in any_value(), at in 0..i64::MAX / 4) {
        let state = point("meter/state", None, ValueType::U16);
        let sent = batch(Some(OFFSET), vec![Reading { point: state, at: HubTime::from_nanos(at), sample: Sample::Good(value.clone()) }]);
        let pack = senml::decode(&senml::encode(&header(), &sent, Form::default())).unwrap();
        let got = pack.records[0].sample.value().unwrap();
        match (&value, got) {
            (Value::I64(a), Value::U64(b)) => prop_assert_eq!(u64::try_from(*a).unwrap(), *b),
            (Value::F64(a), other) => prop_assert_eq!(other.as_f64(), Some(a.get())),
            (a, b) => prop_assert_eq!(a, b),
        }
        prop_assert_eq!(pack.records[0].time, Time::Utc(HubTime::from_nanos(at).utc_millis(OFFSET)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text: String) {
        let _ = senml::decode(&bytes).is_ok();
        let _ = senml::decode(text.as_bytes()).is_ok();
        let _ = RunRecord::decode(&bytes).is_ok();
        let _ = Write::decode(text.as_bytes()).is_ok();
        let _ = Answer::decode(&bytes).is_ok();
        let _ = AuditRecord::decode(&bytes).is_ok();
        let _ = Address::parse(&text).is_some();
    }
}
