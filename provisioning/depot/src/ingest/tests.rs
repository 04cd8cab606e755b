use std::path::Path;
use std::time::Duration;

use curb_wire::record::ClockEvent;
use proptest::prelude::*;

use super::accept::{Incoming, accept};
use super::backoff::Backoff;
use super::book::{Book, Claim, Due};
use super::parse_url;
use crate::db::{Db, Row};
use crate::error::Outcome;
use crate::simhub::{SITE, Sent, SimHub};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../gateway/wire/golden/v1/");

impl Book {
    /// Stores publishes in one transaction, as the writer does.
    pub(crate) fn store_all<'a>(&mut self, publishes: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<Due> {
        let (mut claim, mut taken) = (Claim::default(), Vec::new());
        for (topic, payload) in publishes {
            let incoming = accept(topic, payload);
            match &incoming {
                Ok(Incoming::Message(message)) => claim.message(message),
                Ok(Incoming::Status { site, hub, .. } | Incoming::Points { site, hub, .. }) => claim.hub(site, hub),
                Ok(Incoming::NotForUs) | Err(_) => {}
            }
            taken.push((topic, payload, incoming));
        }
        self.begin(claim).unwrap();
        for (_, _, incoming) in &taken {
            if let Ok(Incoming::Points { site, hub, points }) = incoming {
                self.note_points(site, hub, points).unwrap();
            }
        }
        let mut refused = Vec::new();
        for (topic, payload, incoming) in taken {
            match incoming {
                Ok(Incoming::Message(message)) => drop(self.apply(&message, 1_795_555_555_000).unwrap()),
                Ok(Incoming::Status { site, hub, run, status }) => {
                    self.note_status(&site, &hub, run, &status, 1_795_555_555_000);
                    self.repeat_receipts(&site, &hub).unwrap();
                }
                Ok(Incoming::Points { .. } | Incoming::NotForUs) => {}
                Err(refusal) => refused.push((topic, payload, crate::error::chain(&refusal))),
            }
        }
        let due = self.prepare().unwrap();
        for (topic, payload, reason) in refused {
            self.refuse(topic, payload, &reason, 1).unwrap();
        }
        self.commit().unwrap();
        due
    }

    fn store(&mut self, sent: &[Sent]) -> Vec<(String, u64)> {
        let due = self.store_all(sent.iter().map(|sent| (sent.topic.as_str(), sent.payload.as_slice())));
        due.into_iter().map(|due| (due.stream.stream.to_string(), due.seq)).collect()
    }

    fn number(&mut self, sql: &'static str) -> i64 {
        self.db().first(sql, &[], |row| row.int(0)).unwrap().unwrap()
    }
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{GOLDEN}{name}")).unwrap()
}

fn file(path: &Path) -> Book {
    Book::new(Db::open_for_writing(&path.to_str().unwrap().parse().unwrap()).unwrap())
}

pub(crate) fn in_memory() -> Book {
    file(Path::new(":memory:"))
}

#[test]
fn a_publish_is_stored_only_under_its_own_name() {
    let check = |topic: &str, file: &str, expected: &str| {
        let found = match accept(topic, &golden(file)) {
            Ok(Incoming::Message(message)) => format!("{}/{} {}", message.hub, message.stream, message.seq),
            Ok(Incoming::Status { hub, status, .. }) => format!("{:?} {hub}", status.state),
            Ok(Incoming::Points { hub, .. }) => format!("points of {hub}"),
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
    check("curb/v1/port-credit/lamp-0042/status", "status.json", "Online lamp-0042");
    check("curb/v1/port-credit/lamp-0042/status", "will.json", "Offline lamp-0042");
    check("curb/v1/port-credit/lamp-0042/points", "points.json", "points of lamp-0042");

    check("curb/v1/port-credit/lamp-0042/receipt", "receipt.json", "not for us");
    check("curb/v1/port-credit/lamp-0042/cmd/write", "cmd-write.json", "not for us");
    check("curb/v1/port-credit/lamp-0042/cmd/ping", "receipt.json", "not for us");
    check("curb/v1/port-credit/lamp-0042/reply/7", "answer.json", "not for us");
    let other_hub = "came on the topic of hub lamp-0043, and says that it is from hub \"lamp-0042\"";
    check("curb/v1/port-credit/lamp-0043/data/meter", "data.senml.json", other_hub);
    check("curb/v1/port-credit/lamp-0043/run", "run-opened.json", other_hub);
    check("curb/v1/port-credit/lamp-0043/status", "status.json", other_hub);
    check("curb/v1/port-credit/lamp-0043/points", "points.json", other_hub);
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
    assert_eq!(
        due.iter().map(|due| (due.stream.stream.to_string(), due.seq)).collect::<Vec<_>>(),
        [("_audit".to_owned(), 4)]
    );
    let mut row = |seq: i64| {
        let sql =
            "SELECT origin || ' ' || command || ' ' || coalesce(nullif(hex(correlation), ''), '-') || ' ' || coalesce(point, '-')
                   || ' ' || coalesce(value, '-') || ' ' || ok || ' ' || word FROM audit WHERE seq = ?1";
        book.db().first(sql, crate::db::cells![seq], |row| row.text(0)).unwrap().unwrap()
    };
    assert_eq!(row(1), "core write FF0010 lamp/dim 50 1 read-back");
    assert_eq!(row(2), "core write FF0010 lamp/dim 120 0 out-of-bounds");
    assert_eq!(row(3), "socket write - lamp/dim 1 1 echo");
    assert_eq!(row(4), "core write - - - 0 bad-request");
    let mut out = Vec::new();
    let outcome = crate::ledger::show(book.db(), None, true, &mut out).unwrap();
    assert_eq!(outcome, Outcome::Fine, "{}", String::from_utf8_lossy(&out));
}

#[test]
fn a_reading_without_a_unit_has_that_of_the_hubs_table_of_points() {
    let mut book = in_memory();
    let table = |unit: &str| {
        let unit = if unit.is_empty() { String::new() } else { format!(r#""unit":"{unit}","#) };
        format!(r#"{{"v":1,"hub":"lamp-0042","points":{{"meter/voltage":{{"stream":"meter",{unit}"type":"f32"}}}}}}"#)
    };
    let message = |seq: u64, member: &str| {
        format!(
            r#"[{{"bn":"meter/","bt":1795555555.{seq},"hub":"lamp-0042","run":"12-00a1b2c3d4e5f607","stream":"meter","seq":{seq},"read":{seq},"filtered":0,"refused":0,"n":"voltage{member}}}]"#
        )
    };
    let (points, data) = ("curb/v1/port-credit/lamp-0042/points", "curb/v1/port-credit/lamp-0042/data/meter");
    let good = r#"","v":230"#;
    let bad = r#"/quality","vs":"bad:timeout""#;
    let mut seq = 0;
    for unit in ["", "V", "kV", ""] {
        if seq > 0 {
            // The table and what it explains may come in one transaction.
            let (table, message) = (table(unit), message(seq + 1, good));
            book.store_all([(data, message.as_bytes()), (points, table.as_bytes())]);
        } else {
            book.store_all([(data, message(seq + 1, good).as_bytes())]);
        }
        book.store_all([(data, message(seq + 2, bad).as_bytes())]);
        seq += 2;
    }
    let units = "SELECT coalesce(unit, '-') || ' ' || quality FROM reading ORDER BY time";
    let units = book.db().rows(units, &[], |row| row.text(0)).unwrap();
    let expected =
        ["- good", "- bad:timeout", "V good", "V bad:timeout", "kV good", "kV bad:timeout", "- good", "- bad:timeout"];
    assert_eq!(units, expected);
}

#[test]
fn a_hub_that_counts_from_one_again_is_believed_and_a_late_will_is_not() {
    let mut book = in_memory();
    let topic = "curb/v1/port-credit/lamp-0042/status";
    let status = |state: &str, run: &str, connection: u64| {
        let head = format!(r#"{{"v":1,"hub":"lamp-0042","state":"{state}","run":"{run}","#);
        format!(r#"{head}"connection":{connection},"version":"0.1.0"}}"#)
    };
    let check = |book: &mut Book, said: String, expected: &str| {
        book.store_all([(topic, said.as_bytes())]);
        let stands = "SELECT counter || ' ' || connection || ' ' || online FROM status";
        assert_eq!(book.db().rows(stands, &[], |row| row.text(0)).unwrap(), [expected], "{said}");
    };
    check(&mut book, status("online", "500-00a1b2c3d4e5f607", 3), "500 3 1");
    check(&mut book, status("offline", "500-00a1b2c3d4e5f607", 2), "500 3 1");
    // Its folder was wiped.
    check(&mut book, status("online", "1-00a1b2c3d4e5f608", 1), "1 1 1");
    check(&mut book, status("offline", "1-00a1b2c3d4e5f608", 1), "1 1 0");
}

#[test]
fn a_golden_message_becomes_rows_with_value_unit_quality_and_time() {
    let mut book = in_memory();
    book.store_all([("curb/v1/port-credit/lamp-0042/data/meter", golden("data.senml.json").as_slice())]);
    let show = |row: &Row| {
        let (value, text) = (row.maybe_real(4)?, row.maybe_text(5)?);
        let value = value.map(|value| value.to_string()).or(text).unwrap_or("-".to_owned());
        let unit = row.maybe_text(6)?.unwrap_or("-".to_owned());
        Ok(format!(
            "{} {}/{} {}/{} {value} {unit} {}",
            row.text(0)?,
            row.text(1)?,
            row.text(2)?,
            row.text(3)?,
            row.text(8)?,
            row.text(7)?
        ))
    };
    let rows = book
        .db()
        .rows("SELECT time, site, hub, device, value, text, unit, quality, point FROM reading", &[], show)
        .unwrap();
    let at = |second: &str| format!("2026-11-24T21:25:{second}Z port-credit/lamp-0042 meter");
    let expected = [
        format!("{}/voltage 230.1 V good", at("55.123")),
        format!("{}/voltage 999 V uncertain:range", at("55.123")),
        format!("{}/energy 12 J good", at("55.123")),
        // A number of a view is a float: to the last digit the integer stands in the table.
        format!("{}/energy 9007199254740992 J good", at("55.200")),
        format!("{}/energy -9007199254740992 J good", at("55.200")),
        format!("{}/relay 1 - good", at("56.000")),
        format!("{}/serial A-17 - good", at("56.000")),
        format!("{}/serial 0xff0010 - good", at("56.000")),
        format!("{}/state - - bad:timeout", at("56.300")),
        format!("{}/state - - bad:exception-2", at("56.300")),
    ];
    assert_eq!(rows, expected);
    assert_eq!(book.number("SELECT value FROM sample WHERE n = 3"), 9_007_199_254_740_993);
    let latest = "SELECT point || ' ' || coalesce(CAST(value AS TEXT), text, '-') || ' ' || quality FROM point_latest ORDER BY point";
    let latest = book.db().rows(latest, &[], |row| row.text(0)).unwrap();
    let expected = [
        "energy -9007199254740992.0 good",
        "relay 1.0 good",
        "serial 0xff0010 good",
        "state - bad:exception-2",
        "voltage 999.0 uncertain:range",
    ];
    assert_eq!(latest, expected);
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
fn a_receipt_is_true_whichever_ingester_stored_what() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    let mut hub = SimHub::new("lamp-0042");
    for _ in 0..5 {
        hub.read("meter", 1, 0, 0);
    }
    hub.evict(0, 1);
    // sent: opened, meter 1..=5, gap over 1
    let (mut one, mut other, sent) = (file(&path), file(&path), &hub.sent);
    let meter = |seq| [("meter".to_owned(), seq)];
    assert_eq!(one.store(&sent[2..3]), [], "1 is missing");
    assert_eq!(other.store(&sent[3..4]), [], "1 is missing");
    assert_eq!(one.store(&sent[6..7])[1..], meter(3), "the gap record closes 1, the other has 3");
    assert_eq!(other.store(&sent[5..6]), meter(3), "4 is missing");
    assert_eq!(one.store(&sent[5..6]), meter(3), "the other holds it: a duplicate");
    assert_eq!(other.store(&sent[4..5]), meter(5));
    assert_eq!(one.store(&sent[4..5]), meter(5));
    assert_eq!(one.number("SELECT count(*) FROM message"), 4);
    assert_eq!(other.number("SELECT duplicates FROM stream WHERE name = 'meter'"), 2);
    assert_eq!(
        other.number("SELECT count(*) FROM held WHERE stream = (SELECT id FROM stream WHERE name = 'meter')"),
        1
    );
}

#[test]
fn a_transaction_that_failed_leaves_nothing_behind() {
    let mut book = in_memory();
    let mut hub = SimHub::new("lamp-0042");
    hub.read("meter", 1, 0, 0);
    let Ok(Incoming::Message(message)) = accept(&hub.sent[1].topic, &hub.sent[1].payload) else { panic!("a message") };
    let mut claim = Claim::default();
    claim.message(&message);
    book.begin(claim).unwrap();
    book.apply(&message, 1).unwrap();
    book.prepare().unwrap();
    book.roll_back();
    assert_eq!(book.number("SELECT count(*) FROM hub"), 0);
    assert_eq!(book.store(&hub.sent[1..2]), [("meter".to_owned(), 1)]);
    assert_eq!(book.number("SELECT count(*) FROM sample"), 1);
}

#[test]
fn a_file_of_version_1_is_raised_with_everything_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("core.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../db/schema/sqlite-1.sql")).unwrap();
    old.execute_batch(
        "PRAGMA user_version = 1;
         INSERT INTO hub VALUES (1, 'port-credit', 'lamp-0042');
         INSERT INTO run VALUES (1, 1, '1-0000000000000abc', 1, NULL);
         INSERT INTO stream VALUES (1, 1, 'meter', 1, 1, 0, 0, 1, 0);
         INSERT INTO held VALUES (1, 1, 1);
         INSERT INTO message VALUES (1, 1, 5, 5, 1, 1, 0, 0);
         INSERT INTO point VALUES (1, 1, 'meter/p', 'V');
         INSERT INTO reading VALUES (1, 1, 0, 1, 5, NULL, 7, 'good');",
    )
    .unwrap();
    drop(old);
    let mut book = file(&path);
    assert_eq!(book.number("SELECT CAST(value AS INTEGER) FROM reading WHERE point = 'p' AND device = 'meter'"), 7);
    let mut hub = SimHub::new("lamp-0042");
    hub.read("meter", 1, 0, 0);
    hub.read("meter", 1, 0, 0);
    assert_eq!(book.store(&hub.sent)[1], ("meter".to_owned(), 2));
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
    file(&path).store(&some);
    let mut book = file(&path);
    assert_eq!(book.store(&hub.sent).last(), Some(&("meter".to_owned(), 6)));
    assert_eq!(book.number("SELECT count(*) FROM sample"), 12);
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
    let times = |book: &mut Book| -> Vec<Option<i64>> {
        book.db().rows("SELECT time_ms FROM sample ORDER BY ht", &[], |row| row.maybe_int(0)).unwrap()
    };
    // sent: opened, 10 s, 20 s, lost, trusted, 40 s, stepped. One arrives before its clock record, one after it.
    let (mut book, sent) = (in_memory(), &hub.sent);
    book.store(&sent[..2]);
    assert_eq!(times(&mut book), [None]);
    book.store(&sent[3..]);
    assert_eq!(times(&mut book), [Some(1_795_555_510_000), None]);
    book.store(&sent[2..3]);
    assert_eq!(times(&mut book), [Some(1_795_555_510_000), Some(1_795_555_520_000), None]);
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
        crate::ledger::show(book.db(), None, true, &mut out).unwrap();
        crate::ledger::show(book.db(), None, false, &mut out).unwrap();
    }
}
