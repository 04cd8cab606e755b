use std::path::Path;
use std::time::Duration;

use curb_wire::record::ClockEvent;
use proptest::prelude::*;

use super::accept::{Incoming, accept};
use super::backoff::Backoff;
use super::book::{Applied, Book, Due};
use super::parse_url;
use crate::error::Outcome;
use crate::simhub::{SITE, Sent, SimHub};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../gateway/wire/golden/v1/");

impl Book {
    /// Stores publishes in one transaction, as the writer does.
    pub(crate) fn store_all<'a>(&mut self, publishes: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<Due> {
        self.begin().unwrap();
        for (topic, payload) in publishes {
            match accept(topic, payload) {
                Ok(Incoming::Message(message)) => {
                    let applied = self.apply(&message, 1_795_555_555_000).unwrap();
                    assert!(matches!(applied, Applied::New | Applied::Duplicate));
                }
                Ok(Incoming::Birth { site, hub }) => self.repeat_receipts(&site, &hub).unwrap(),
                Ok(Incoming::NotForUs) => {}
                Err(refusal) => {
                    self.refuse(topic, payload, &crate::error::chain(&refusal), 1).unwrap();
                }
            }
        }
        self.commit().unwrap()
    }

    fn store(&mut self, sent: &[Sent]) -> Vec<(String, u64)> {
        let due = self.store_all(sent.iter().map(|sent| (sent.topic.as_str(), sent.payload.as_slice())));
        due.into_iter().map(|due| (due.stream.to_string(), due.seq)).collect()
    }

    fn number(&self, sql: &str) -> i64 {
        self.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{GOLDEN}{name}")).unwrap()
}

fn in_memory() -> Book {
    Book::open(Path::new(":memory:")).unwrap()
}

#[test]
fn a_publish_is_stored_only_under_its_own_name() {
    let check = |topic: &str, file: &str, expected: &str| {
        let found = match accept(topic, &golden(file)) {
            Ok(Incoming::Message(message)) => format!("{}/{} {}", message.hub, message.stream, message.seq),
            Ok(Incoming::Birth { hub, .. }) => format!("birth of {hub}"),
            Ok(Incoming::NotForUs) => "not for us".to_owned(),
            Err(refusal) => crate::error::chain(&refusal),
        };
        assert!(found.starts_with(expected), "{topic} {file}: {found}");
    };
    check("curb/v1/port-credit/lamp-0042/data/meter", "data.senml.json", "lamp-0042/meter 17");
    check("curb/v1/port-credit/lamp-0042/alarm/meter", "data.senml.json", "lamp-0042/meter 17");
    check("curb/v1/port-credit/lamp-0042/run", "run-opened.json", "lamp-0042/_run 4");
    check("curb/v1/port-credit/lamp-0042/gap", "gap.json", "lamp-0042/_gap 4");
    check("curb/v1/port-credit/lamp-0042/clock", "clock.json", "lamp-0042/_clock 4");
    check("curb/v1/port-credit/lamp-0042/audit", "audit.json", "lamp-0042/_audit 4");
    check("curb/v1/port-credit/lamp-0043/audit", "audit.json", "came on the topic of hub lamp-0043");
    check("curb/v1/port-credit/lamp-0042/status", "status.json", "birth of lamp-0042");
    check("curb/v1/port-credit/lamp-0042/status", "will.json", "not for us");
    check("curb/v1/port-credit/lamp-0042/points", "points.json", "not for us");
    check("curb/v1/port-credit/lamp-0042/receipt", "receipt.json", "not for us");
    check("curb/v1/port-credit/lamp-0042/cmd/write", "cmd-write.json", "not for us");
    check("curb/v1/port-credit/lamp-0042/cmd/ping", "receipt.json", "not for us");
    check("curb/v1/port-credit/lamp-0042/reply/7", "answer.json", "not for us");
    let other_hub = "came on the topic of hub lamp-0043, and says that it is from hub \"lamp-0042\"";
    check("curb/v1/port-credit/lamp-0043/data/meter", "data.senml.json", other_hub);
    check("curb/v1/port-credit/lamp-0043/run", "run-opened.json", other_hub);
    check("curb/v1/port-credit/lamp-0043/status", "status.json", other_hub);
    let other_stream = "came on the topic of stream lamp, and says that it is of stream \"meter\"";
    check("curb/v1/port-credit/lamp-0042/data/lamp", "data.senml.json", other_stream);
    check("curb/v1/port-credit/lamp-0042/gap", "clock.json", "read gap record");
    check("curb/v1/port-credit/lamp-0042/data/meter/more", "data.senml.json", "the topic is none of curb/v1's");
    check("curb/v1/port-credit/lamp-0042/data/METER", "data.senml.json", "the topic is none of curb/v1's");
}

#[test]
fn numbers_that_cannot_be_stored_are_refused() {
    let check = |file: &str, lane: &str, from: &str, to: &str, expected: &str| {
        let text = String::from_utf8(golden(file)).unwrap();
        let payload = text.replace(from, to);
        assert_ne!(text, payload);
        let refusal = accept(&format!("curb/v1/{SITE}/lamp-0042/{lane}"), payload.as_bytes()).unwrap_err();
        assert_eq!(refusal.to_string(), expected);
    };
    let most = "9007199254740993";
    check("data.senml.json", "data/meter", "\"seq\":17", "\"seq\":0", "message number 0 is not in 1..=2^53");
    check(
        "data.senml.json",
        "data/meter",
        "\"read\":34",
        &format!("\"read\":{most}"),
        &format!("counter {most} is above 2^53"),
    );
    check("data.senml.json", "data/meter", "\"12-", &format!("\"{most}-"), &format!("counter {most} is above 2^53"));
    check("gap.json", "gap", "\"from\":3", "\"from\":10", "a gap goes from message Some(10) to Some(9)");
    check("gap.json", "gap", "\"from\":3", "\"from\":null", "a gap goes from message None to Some(9)");
    let far = "9223372036854775807";
    let too_far = format!("hub time or offset {far} ns is further than 2^62 from 0");
    check("undated.senml.json", "data/meter", "\"ht\":\"55123000000\"", &format!("\"ht\":\"{far}\""), &too_far);
    check("clock.json", "clock", "\"ht\":\"55000000000\"", &format!("\"ht\":\"{far}\""), &too_far);
    check("gap.json", "gap", "\"to_ht\":\"7000000000\"", &format!("\"to_ht\":\"{far}\""), &too_far);
    check("run-closed.json", "run", "\"meter\"", "\"METER\"", "\"METER\" is no stream name");
}

#[test]
fn an_audit_record_becomes_a_row_and_the_books_close() {
    let mut book = in_memory();
    let renumber = |file: &str, seq: u64| {
        let text = String::from_utf8(golden(file)).unwrap();
        text.replace("\"seq\":4", &format!("\"seq\":{seq}")).into_bytes()
    };
    let files = ["audit.json", "audit-refused.json", "audit-socket.json", "audit-unread.json"];
    let payloads: Vec<_> = files.iter().zip(1..).map(|(file, seq)| renumber(file, seq)).collect();
    let due = book.store_all(payloads.iter().map(|payload| ("curb/v1/port-credit/lamp-0042/audit", &payload[..])));
    assert_eq!(due.iter().map(|due| (due.stream.to_string(), due.seq)).collect::<Vec<_>>(), [("_audit".to_owned(), 4)]);
    let row = |seq: i64| {
        let sql =
            "SELECT origin || ' ' || command || ' ' || coalesce(nullif(hex(correlation), ''), '-') || ' ' || coalesce(point, '-')
                   || ' ' || coalesce(value, '-') || ' ' || ok || ' ' || word FROM audit WHERE seq = ?1";
        book.connection().query_row(sql, [seq], |row| row.get::<_, String>(0)).unwrap()
    };
    assert_eq!(row(1), "core write FF0010 lamp/dim 50 1 read-back");
    assert_eq!(row(2), "core write FF0010 lamp/dim 120 0 out-of-bounds");
    assert_eq!(row(3), "socket write - lamp/dim 1 1 echo");
    assert_eq!(row(4), "core write - - - 0 bad-request");
    let mut out = Vec::new();
    let outcome = crate::ledger::show(book.connection(), None, true, &mut out).unwrap();
    assert_eq!(outcome, Outcome::Fine, "{}", String::from_utf8_lossy(&out));
}

#[test]
fn a_golden_message_becomes_rows_with_value_unit_quality_and_time() {
    let mut book = in_memory();
    book.store_all([("curb/v1/port-credit/lamp-0042/data/meter", golden("data.senml.json").as_slice())]);
    let mut statement = book.connection().prepare("SELECT point, time_ms, value, unit, quality FROM readings").unwrap();
    let rows = statement.query_map([], |row| {
        let value: rusqlite::types::Value = row.get(2)?;
        Ok((
            row.get::<_, String>(0)?,
            row.get::<_, i64>(1)?,
            format!("{value:?}"),
            row.get::<_, Option<String>>(3)?,
            row.get::<_, String>(4)?,
        ))
    });
    let rows: Vec<String> = rows
        .unwrap()
        .map(|row| {
            let (point, time, value, unit, quality) = row.unwrap();
            format!("{point} {time} {value} {} {quality}", unit.unwrap_or_default())
        })
        .collect();
    let expected = [
        "meter/voltage 1795555555123 Real(230.1) V good",
        "meter/voltage 1795555555123 Integer(999) V uncertain:range",
        "meter/energy 1795555555123 Integer(12) J good",
        "meter/energy 1795555555200 Integer(9007199254740993) J good",
        "meter/energy 1795555555200 Integer(-9007199254740993) J good",
        "meter/relay 1795555556000 Integer(1)  good",
        "meter/serial 1795555556000 Text(\"A-17\")  good",
        "meter/serial 1795555556000 Blob([255, 0, 16])  good",
        "meter/state 1795555556300 Null  bad:timeout",
        "meter/state 1795555556300 Null  bad:exception-2",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn receipts_are_cumulative_and_cover_gaps() {
    let mut hub = SimHub::new("lamp-0042");
    for _ in 0..5 {
        hub.read("meter", 1, 0, 0);
    }
    hub.evict(0, 2);
    // sent: opened, meter 1..=5, gap over 1..=2
    let (mut book, sent) = (in_memory(), &hub.sent);
    let due = |stream: &str, seq| (stream.to_owned(), seq);
    assert_eq!(book.store(&sent[5..6]), [], "5 alone is not contiguous");
    assert_eq!(book.store(&sent[0..1]), [due("_run", 1)]);
    assert_eq!(book.store(&sent[3..4]), []);
    assert_eq!(book.store(&sent[6..7]), [due("_gap", 1), due("meter", 3)], "the gap record closes 1 and 2");
    assert_eq!(book.store(&sent[5..6]), [due("meter", 3)], "a duplicate is answered again");
    assert_eq!(book.store(&sent[4..5]), [due("meter", 5)]);
    let mut status = hub.sent[0].clone();
    status.topic = format!("curb/v1/{SITE}/lamp-0042/status");
    status.payload = golden("status.json");
    assert_eq!(book.store(&[status]), [due("_gap", 1), due("_run", 1), due("meter", 5)], "all again at a birth");
    assert_eq!(book.number("SELECT duplicates FROM stream WHERE name = 'meter'"), 1);
}

#[test]
fn what_is_held_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    let mut hub = SimHub::new("lamp-0042");
    for _ in 0..6 {
        hub.read("meter", 2, 0, 0);
    }
    let some = [&hub.sent[..3], &hub.sent[4..5]].concat();
    Book::open(&path).unwrap().store(&some);
    let mut book = Book::open(&path).unwrap();
    assert_eq!(book.store(&hub.sent).last(), Some(&("meter".to_owned(), 6)));
    assert_eq!(book.number("SELECT count(*) FROM reading"), 12);
    assert_eq!(book.number("SELECT sum(duplicates) FROM stream"), 4);
    assert_eq!(book.number("SELECT count(*) FROM held"), 2, "one interval for each stream");
}

#[test]
fn undated_readings_are_dated_by_the_first_trusted_clock_record_after_them() {
    let second = 1_000_000_000;
    let mut hub = SimHub::new("lamp-0042");
    hub.read_undated("meter", 10 * second);
    hub.read_undated("meter", 20 * second);
    hub.clock(ClockEvent::Lost, 25 * second, None);
    hub.clock(ClockEvent::Trusted, 30 * second, Some(1_795_555_500 * second));
    hub.read_undated("meter", 40 * second);
    hub.clock(ClockEvent::Stepped, 45 * second, Some(second));
    let times = |book: &Book| -> Vec<Option<i64>> {
        let mut statement = book.connection().prepare("SELECT time_ms FROM reading ORDER BY ht").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    // sent: opened, 10 s, 20 s, lost, trusted, 40 s, stepped. One arrives before its clock record, one after it.
    let (mut book, sent) = (in_memory(), &hub.sent);
    book.store(&sent[..2]);
    assert_eq!(times(&book), [None]);
    book.store(&sent[3..]);
    assert_eq!(times(&book), [Some(1_795_555_510_000), None]);
    book.store(&sent[2..3]);
    assert_eq!(times(&book), [Some(1_795_555_510_000), Some(1_795_555_520_000), None]);
    assert_eq!(book.number("SELECT count(*) FROM message WHERE time_ms = 1795555510000"), 1);
}

#[test]
fn a_payload_that_cannot_be_read_is_kept_once_and_counted() {
    let mut book = in_memory();
    let topic = format!("curb/v1/{SITE}/lamp-0042/data/meter");
    let long = vec![b'x'; 100_000];
    for payload in [b"{".as_slice(), b"{", b"[]", &long, &golden("run-opened.json")] {
        book.store_all([(topic.as_str(), payload)]);
    }
    assert_eq!(book.number("SELECT count(*) FROM refused"), 4);
    assert_eq!(book.number("SELECT times FROM refused ORDER BY id LIMIT 1"), 2);
    assert_eq!(book.number("SELECT max(length(payload)) FROM refused"), 4_096);
    assert_eq!(book.number("SELECT count FROM refused_total"), 5);
    assert_eq!(book.number("SELECT count(*) FROM message"), 0);
}

#[test]
fn a_broker_is_named_by_an_mqtts_url() {
    let check = |url: &str, expected: Option<(&str, u16)>| {
        let found = parse_url(url).ok();
        assert_eq!(found.as_ref().map(|(host, port)| (host.as_str(), *port)), expected, "{url}");
    };
    check("mqtts://core.city.example", Some(("core.city.example", 8883)));
    check("mqtts://127.0.0.1:18883", Some(("127.0.0.1", 18883)));
    check("mqtts://core/", Some(("core", 8883)));
    check("mqtts://[::1]:1", Some(("::1", 1)));
    check("mqtts://[::1]", Some(("::1", 8883)));
    check("mqtt://core", None);
    check("mqtts://", None);
    check("mqtts://core:port", None);
    check("mqtts://user@core", None);
    check("mqtts://core/path", None);
}

#[test]
fn waits_grow_with_failures_and_start_again_after_a_good_session() {
    let mut backoff = Backoff::default();
    let bad = Duration::from_millis(10);
    let waits: Vec<u64> = (0..6).map(|_| backoff.after(bad, 1.0).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 15, 15]);
    assert_eq!(backoff.after(Duration::from_secs(60), 1.0), Duration::from_secs(1));
    assert_eq!(backoff.after(bad, 0.0), Duration::ZERO);
}

const LANES: [(&str, &str); 10] = [
    ("data/meter", "data.senml.json"),
    ("data/meter", "undated.senml.json"),
    ("run", "run-opened.json"),
    ("run", "run-closed.json"),
    ("gap", "gap.json"),
    ("gap", "gap-without-numbers.json"),
    ("clock", "clock.json"),
    ("audit", "audit.json"),
    ("audit", "audit-refused.json"),
    ("status", "status.json"),
];

proptest! {
    /// Whatever a hub sends under its own name: it is stored or refused, and the books of the others can still be read.
    #[test]
    fn no_payload_stops_the_ingester_or_breaks_the_ledger(
        messages in prop::collection::vec(
            (0..LANES.len(), prop::collection::vec((any::<prop::sample::Index>(), "[0-9a-z\"{}:,.-]{0,3}"), 0..3)),
            1..12,
        ),
    ) {
        let mut book = in_memory();
        for (lane, edits) in messages {
            let (topic, file) = LANES[lane];
            let mut text = String::from_utf8(golden(file)).unwrap();
            for (at, with) in edits {
                let at = at.index(text.len());
                text.replace_range(at..=at, &with);
            }
            let topic = format!("curb/v1/{SITE}/lamp-0042/{topic}");
            book.store_all([(topic.as_str(), text.as_bytes())]);
        }
        let mut out = Vec::new();
        crate::ledger::show(book.connection(), None, true, &mut out).unwrap();
        crate::ledger::show(book.connection(), None, false, &mut out).unwrap();
    }
}
