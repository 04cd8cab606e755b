//! From a hub's publish to rows, receipts and a ledger that closes, through a real broker.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::peers::{DEPOT, HUB, Site, eventually, output};

pub(crate) const RUN: &str = "12-00a1b2c3d4e5f607";

pub(crate) fn golden(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../gateway/wire/golden/v1/");
    std::fs::read_to_string(format!("{path}{name}")).unwrap()
}

/// Readings in each message: those of the golden file.
pub(crate) const READINGS: u64 = 10;

/// The golden message as number `seq` of a stream that filters nothing.
pub(crate) fn data(seq: u64) -> String {
    let golden = golden("data.senml.json");
    let text = golden.replace(
        "\"seq\":17,\"read\":34,\"filtered\":3",
        &format!("\"seq\":{seq},\"read\":{},\"filtered\":0", READINGS * seq),
    );
    assert_ne!(text, golden);
    text
}

/// The golden run record as the first of its run, or as number `seq` with the final counters of `meter`.
pub(crate) fn opened() -> String {
    let mut record: Value = serde_json::from_str(&golden("run-opened.json")).unwrap();
    record["seq"] = json!(1);
    record.as_object_mut().unwrap().remove("previous");
    record.to_string()
}

pub(crate) fn closed(seq: u64, messages: u64) -> String {
    let mut record: Value = serde_json::from_str(&golden("run-closed.json")).unwrap();
    record["seq"] = json!(seq);
    record["streams"] = json!({"meter": {"seq": messages, "read": READINGS * messages, "filtered": 0, "refused": 0}});
    record.to_string()
}

#[test]
fn each_message_is_stored_once_receipted_and_balanced() {
    let site = Site::new();
    let broker = site.broker();
    let ingester = site.subscribed_ingester();
    let receipts = site.receipts(&broker);
    let processes = [&broker, &ingester, &receipts];

    site.publish("run", &opened());
    for seq in [1, 2, 3, 3, 2, 5, 4] {
        site.publish("data/meter", &data(seq));
    }
    site.publish("data/meter", "{not SenML");
    eventually("all lines are told", &processes, || (ingester.lines().len() == 8).then_some(()));
    eventually("the receipt for 5 comes", &processes, || {
        receipts.output().contains(&format!(r#"{{"v":1,"run":"{RUN}","stream":"meter","seq":5}}"#)).then_some(())
    });
    assert!(!receipts.output().contains(r#""seq":6"#));

    let lines = ingester.lines();
    let duplicates: Vec<u64> =
        lines.iter().filter(|line| line["duplicate"] == true).map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(duplicates, [3, 2]);
    let second = lines.iter().find(|line| line["seq"] == 2).unwrap();
    assert_eq!(second["hub"], HUB);
    assert_eq!(second["run"], RUN);
    assert!(second["received_ms"].as_i64().unwrap() > 1_700_000_000_000);
    let readings = second["readings"].as_array().unwrap();
    assert_eq!(readings.len() as u64, READINGS);
    let first = json!({"point": "meter/voltage", "value": 230.1, "unit": "V", "quality": "good", "time_ms": 1_795_555_555_123_i64});
    assert_eq!(readings[0], first);
    let bad = json!({"point": "meter/state", "value": null, "unit": null, "quality": "bad:timeout", "time_ms": 1_795_555_556_300_i64});
    assert_eq!(readings[8], bad);

    eventually("the payload that cannot be read is counted", &processes, || {
        (site.ledger().0["refused_messages"] == 1).then_some(())
    });
    let (ledger, code) = site.ledger();
    assert_eq!((ledger["closes"].as_bool(), code), (Some(true), 0), "{ledger}");
    let hub = &ledger["hubs"][0];
    assert_eq!((&hub["read"], &hub["delivered"], &hub["duplicates"]), (&json!(50), &json!(50), &json!(2)), "{ledger}");

    // The hub says that it sent a sixth message, then the message itself arrives.
    site.publish("run", &closed(2, 6));
    eventually("the closed record is stored", &processes, || (ingester.lines().len() == 9).then_some(()));
    let (ledger, code) = site.ledger();
    assert_eq!((ledger["closes"].as_bool(), code), (Some(false), 1), "{ledger}");
    let complaint = ledger["hubs"][0]["complaints"][0].as_str().unwrap();
    assert!(complaint.ends_with("meter: missing: 1 message(s) with 10 reading(s) from number 6 on; no status of the hub says whether they wait there"), "{complaint}");
    site.publish("data/meter", &data(6));
    eventually("the ledger closes", &processes, || (site.ledger().1 == 0).then_some(()));
    let table = output(DEPOT, &["ledger", "--db", &site.text("core.db"), "--hub", HUB]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("the ledger closes") && table.contains(&format!("{RUN} (clean)")), "{table}");

    let nobody = output(DEPOT, &["ledger", "--db", &site.text("core.db"), "--hub", "lamp-0043"]);
    assert_eq!(nobody.status.code(), Some(2));

    assert_eq!(ingester.sigterm(), Some(0));
    assert_eq!(site.ledger().1, 0, "readable when no ingester runs");
}

#[test]
fn receipts_are_repeated_when_a_hub_comes_online() {
    let site = Site::new();
    let broker = site.broker();
    let ingester = site.subscribed_ingester();
    site.publish("data/meter", &data(1));
    eventually("the message is stored", &[&broker, &ingester], || (ingester.lines().len() == 1).then_some(()));
    // The receipt for it went nowhere: only now does the hub listen, and says that it is there.
    let receipts = site.receipts(&broker);
    site.publish("status", &golden("status.json"));
    eventually("the receipt comes again", &[&broker, &ingester, &receipts], || {
        receipts.output().contains(r#""stream":"meter","seq":1}"#).then_some(())
    });
}

#[test]
fn an_ingester_that_is_killed_loses_and_doubles_nothing() {
    const MESSAGES: u64 = 600;
    let site = Site::new();
    let broker = site.broker();
    let ingester = site.subscribed_ingester();
    let mut publisher = site.publisher("data/meter");
    site.publish("run", &opened());

    let told = |process: &crate::peers::Process| process.output().lines().count() as u64;
    let mut ingester = ingester;
    for seq in 1..=MESSAGES {
        publisher.say(&data(seq));
        if seq % 200 == 0 {
            // Killed while messages are on their way, at whatever point of a transaction it is.
            eventually("some are stored", &[&broker, &ingester], || (told(&ingester) > seq / 4).then_some(()));
            ingester.sigkill();
            ingester = site.ingester();
        }
    }
    site.publish("run", &closed(2, MESSAGES));
    let ledger = eventually("the finished run closes", &[&broker, &ingester], || {
        let (ledger, code) = site.ledger();
        (code == 0 && ledger["hubs"][0]["runs"][0]["ended"] == "clean").then_some(ledger)
    });
    assert_eq!(ledger["hubs"][0]["delivered"], json!(READINGS * MESSAGES), "{ledger}");

    let db = rusqlite::Connection::open(site.path("core.db")).unwrap();
    let number = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned();
    assert_eq!(number("SELECT count(*) FROM sample"), READINGS * MESSAGES);
    assert_eq!(number("SELECT count(*) FROM message"), MESSAGES);
    assert_eq!(number("SELECT count(*) FROM held"), 2, "_run and meter, one interval each");
}

#[test]
fn a_broker_of_another_authority_is_not_talked_to() {
    let (site, other) = (Site::new(), Site::new());
    let broker = site.broker();
    let ingester = site.ingester_that_trusts(&other.text("ca/core/roots.pem"));
    eventually("the ingester says why", &[&broker, &ingester], || {
        ingester.log().contains("UnknownIssuer").then_some(())
    });
    assert_eq!(ingester.sigterm(), Some(0), "it tries on until it is told to stop");
}

#[test]
fn a_flood_is_held_back_and_neither_lost_nor_cut_off() {
    const MESSAGES: u64 = 4_000;
    let site = Site::new();
    let broker = site.broker();
    let ingester = site.subscribed_ingester();
    let mut publisher = site.publisher("data/meter");
    (1..=MESSAGES).for_each(|seq| publisher.say(&data(seq)));
    eventually("all are stored", &[&ingester], || {
        (site.ledger().0["hubs"][0]["delivered"] == json!(READINGS * MESSAGES)).then_some(())
    });
    assert_eq!(ingester.log().matches(" connected").count(), 1, "{}", ingester.log());
    assert_eq!(site.ledger().0["hubs"][0]["duplicates"], 0);
    drop(broker);
}

#[test]
fn a_broker_that_comes_late_and_goes_away_is_used_again() {
    let site = Site::new();
    let ingester = site.ingester();
    eventually("the ingester says that it cannot connect", &[&ingester], || {
        ingester.log().contains("not connected").then_some(())
    });
    let mut seen = BTreeSet::new();
    for seq in 1..=2 {
        let broker = site.broker();
        let subscribed = || ingester.log().matches("subscribed").count() == seq;
        eventually("the ingester subscribes", &[&broker, &ingester], || subscribed().then_some(()));
        site.publish("data/meter", &data(seq as u64));
        eventually("the message is stored", &[&broker, &ingester], || (ingester.lines().len() == seq).then_some(()));
        seen.extend(ingester.lines().iter().map(|line| line["seq"].as_u64().unwrap()));
        broker.sigkill();
    }
    assert_eq!(seen, [1, 2].into());
}

/// Two with one certificate throw each other out, and mosquitto does not say why. Each of them tells what a person can do.
#[test]
fn a_second_ingester_with_the_same_certificate_is_called_that() {
    let site = Site::new();
    let broker = site.broker();
    let first = site.subscribed_ingester();
    let second = site.ingester_of(&site.text("other.db"), &[]);
    // Both log to one file.
    let said = eventually("somebody suspects the other", &[&broker, &first, &second], || {
        first.log().lines().find(|line| line.contains("again and again")).map(str::to_owned)
    });
    assert!(said.contains("ERROR") && said.contains("the id ingester:") && said.contains("--group"), "{said}");
}
