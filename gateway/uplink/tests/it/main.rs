//! The uplink against a real mosquitto on mutual TLS: what it promises when all is well, and when each thing is wrong.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests end where they fail")]

mod city;
mod mosquitto;
mod pki;
mod proxy;
mod queue;
mod strangers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use curb_model::{Fault, Room};
use curb_uplink::{Ack, Address, Config, Health, ReplyTo, State};
use curb_wire::status::{FaultEntry, Status};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use city::{City, HOSTS};
use mosquitto::{ACL, ACL_WITH_TYPO, DEADLINE, Reader, command, publish};
use pki::Ca;
use proxy::Proxy;
use queue::RUN;

/// Waits until `done`, and shows what was seen if it never is.
async fn eventually(what: &str, mut done: impl FnMut() -> bool, seen: impl FnOnce() -> String) {
    let deadline = Instant::now() + DEADLINE;
    while !done() {
        if Instant::now() > deadline {
            panic!("not within {DEADLINE:?}: {what}\n{}", seen());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The numbers without repeats, as a core that deduplicates sees them.
fn first_arrivals(seqs: &[u64]) -> Vec<u64> {
    let mut first = Vec::new();
    for seq in seqs {
        if !first.contains(seq) {
            first.push(*seq);
        }
    }
    first
}

async fn arrived(reader: &Reader, stream: &str, to: u64) {
    let done = || first_arrivals(&reader.seqs(stream)).len() as u64 >= to;
    eventually("the reader has everything", done, || format!("{:#?}", reader.lines())).await;
    assert_eq!(first_arrivals(&reader.seqs(stream)), (1..=to).collect::<Vec<_>>(), "in order");
}

fn status_lines(reader: &Reader) -> Vec<String> {
    reader.lines().into_iter().filter(|line| line.starts_with("curb/v1/pier/hub-7/status ")).collect()
}

#[tokio::test]
async fn what_is_queued_arrives_in_order_with_birth_before_and_goodbye_after() {
    let city = City::new().await;
    let reader = city.reader().await;
    for seq in 1..=100 {
        city.queue.append("meter", seq);
        city.queue.append("lamp", seq);
    }
    let uplink = city.uplink();
    city.delivered(&uplink).await;
    arrived(&reader, "meter", 100).await;
    arrived(&reader, "lamp", 100).await;
    let health = uplink.health();
    assert_eq!((health.state, health.connection, health.sent, health.acked), (State::Connected, 1, 200, 200));
    assert!(health.delay.is_some() && health.faults.is_empty() && health.set_aside == 0, "{health:?}");

    // What comes later goes at once, and what is queued at the stop goes before the goodbye.
    city.queue.append("meter", 101);
    city.delivered(&uplink).await;
    (102..=120).for_each(|seq| city.queue.append("meter", seq));
    uplink.stop(Duration::from_secs(5)).await;
    assert_eq!(city.queue.len(), 0);
    arrived(&reader, "meter", 120).await;
    let seen = || status_lines(&reader);
    eventually("the goodbye arrives", || seen().len() == 2, || format!("{:#?}", seen())).await;
    let (birth, goodbye) = (&seen()[0], &seen()[1]);
    assert!(birth.contains(r#""state":"online""#) && birth.contains(r#""connection":1"#), "{birth}");
    assert!(goodbye.contains(r#""state":"offline""#) && goodbye.contains(r#""clean":true"#), "{goodbye}");
    let lines = reader.lines();
    let position = |what: &str| lines.iter().position(|line| line.contains(what)).unwrap();
    assert!(position("/status ") < position("/points ") && position("/points ") < position("/data/"));
    assert!(city.broker.log().contains("Received DISCONNECT from hub-7"));

    // Both documents are retained.
    let late = Reader::start(city.broker.port, &city.roots(), &city.reader, "late", "curb/v1/pier/hub-7/+");
    let both = || late.lines().iter().filter(|line| line.split(' ').nth(1) == Some("1")).count() == 2;
    eventually("a late reader sees both documents", both, || format!("{:#?}", late.lines())).await;
}

#[tokio::test]
async fn a_hub_that_vanishes_leaves_its_will() {
    let city = City::new().await;
    let reader = city.reader().await;
    let uplink = city.uplink();
    city.until(&uplink, "connected", |_, health| health.state == State::Connected).await;
    let mut status = Status::clone(&city.status.borrow());
    let fault = Fault {
        room: Room::Source,
        subject: "device lamp".to_owned(),
        word: "unit-silent",
        detail: "no answer".to_owned(),
    };
    status.faults.push(FaultEntry::from(&fault));
    city.status.send_replace(Arc::new(status));
    let seen = || status_lines(&reader);
    eventually("the change arrives", || seen().len() == 2, || format!("{:#?}", seen())).await;
    drop(uplink);
    eventually("the will arrives", || seen().len() == 3, || format!("{:#?}", seen())).await;
    assert!(seen()[1].contains("unit-silent"), "{:#?}", seen());
    let will = seen().remove(2);
    assert!(will.contains(r#""state":"offline""#) && will.contains(r#""clean":false"#), "{will}");
    assert!(!will.contains("unit-silent"), "{will}");
}

/// Nothing is delivered, the fault has its word, and the row is still there.
async fn refused(city: &City, word: &str) {
    city.queue.append("meter", 1);
    let uplink = city.uplink();
    city.fault(&uplink, word).await;
    assert_eq!((city.queue.len(), uplink.health().acked), (1, 0));
    uplink.stop(Duration::from_secs(1)).await;
    assert_eq!(city.queue.len(), 1);
}

#[tokio::test]
async fn a_core_of_a_foreign_ca_gets_nothing() {
    let (ca, foreign) = (Ca::new("city"), Ca::new("elsewhere"));
    refused(&City::with(&ca, &foreign, &ca, HOSTS, 2040, "").await, "core-foreign-ca").await;
}

#[tokio::test]
async fn a_core_whose_certificate_expired_gets_nothing() {
    let ca = Ca::new("city");
    refused(&City::with(&ca, &ca, &ca, HOSTS, 2021, "").await, "core-certificate-expired").await;
}

#[tokio::test]
async fn a_core_with_another_hosts_certificate_gets_nothing() {
    let ca = Ca::new("city");
    refused(&City::with(&ca, &ca, &ca, &["other.example"], 2040, "").await, "core-wrong-host").await;
}

#[tokio::test]
async fn a_hub_that_the_core_does_not_trust_says_so() {
    let (ca, foreign) = (Ca::new("city"), Ca::new("elsewhere"));
    refused(&City::with(&ca, &ca, &foreign, HOSTS, 2040, "").await, "core-refused-certificate").await;
}

#[tokio::test]
async fn a_hub_without_certificate_is_refused() {
    let ca = Ca::new("city");
    let mut city = City::with(&ca, &ca, &ca, HOSTS, 2040, "").await;
    let mut roots = RootCertStore::empty();
    let pem = std::fs::read(city.roots()).unwrap();
    roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(&pem).unwrap()).unwrap();
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    city.hub.tls = Arc::new(tls);
    refused(&city, "core-refused-certificate").await;
}

#[tokio::test]
async fn a_core_that_is_not_there_is_unreachable() {
    let mut city = City::new().await;
    city.broker.down().await;
    refused(&city, "core-unreachable").await;
}

#[tokio::test]
async fn an_acl_that_denies_the_topic_holds_everything_until_it_is_mended() {
    let city = City::new().await;
    let reader = city.reader().await;
    city.broker.acl(ACL_WITH_TYPO);
    (1..=50).for_each(|seq| city.queue.append("meter", seq));
    let uplink = city.uplink();
    city.fault(&uplink, "not-authorised").await;
    city.until(&uplink, "holding", |_, health| health.state == State::Holding).await;
    assert_eq!((city.queue.len(), city.queue.set_aside().len(), uplink.health().acked), (50, 0, 0));

    city.broker.acl(ACL);
    city.delivered(&uplink).await;
    arrived(&reader, "meter", 50).await;
    city.until(&uplink, "the fault is gone", |_, health| health.faults.is_empty()).await;
}

#[tokio::test]
async fn what_nobody_subscribes_to_is_kept_and_goes_when_somebody_does() {
    let city = City::new().await;
    let uplink = city.uplink();
    (1..=20).for_each(|seq| city.queue.append("meter", seq));
    city.fault(&uplink, "no-subscriber").await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let sent = uplink.health().sent;
    assert!(sent <= 4, "once a second, one message: {sent}");
    assert_eq!((city.queue.len(), uplink.health().acked), (20, 0));

    let reader = city.reader().await;
    city.delivered(&uplink).await;
    arrived(&reader, "meter", 20).await;
    city.until(&uplink, "the fault is gone", |_, health| health.faults.is_empty()).await;
}

#[tokio::test]
async fn a_stop_takes_along_what_nobody_subscribed_to_if_somebody_does_by_then() {
    let city = City::new().await;
    let uplink = city.uplink_with(Config { retry: Duration::from_secs(60), ..city.config() });
    (1..=200).for_each(|seq| city.queue.append("meter", seq));
    city.fault(&uplink, "no-subscriber").await;
    let reader = city.reader().await;
    uplink.stop(Duration::from_secs(10)).await;
    assert_eq!(city.queue.len(), 0);
    arrived(&reader, "meter", 200).await;
}

#[tokio::test]
async fn a_broker_that_restarts_loses_nothing_and_keeps_the_order() {
    let mut city = City::new().await;
    let reader = city.reader().await;
    let uplink = city.uplink();
    let mut seq = 0;
    let mut append = |city: &City, count: u64| {
        for _ in 0..count {
            seq += 1;
            city.queue.append("meter", seq);
            city.queue.append("lamp", seq);
        }
    };
    append(&city, 200);
    city.until(&uplink, "under way", |_, health| health.acked > 20).await;
    for _ in 0..2 {
        append(&city, 200);
        city.broker.down().await;
        append(&city, 50);
        city.fault(&uplink, "core-unreachable").await;
        city.broker.up().await;
    }
    city.delivered(&uplink).await;
    arrived(&reader, "meter", 700).await;
    arrived(&reader, "lamp", 700).await;
    assert!(uplink.health().faults.is_empty());
    assert_eq!(city.queue.set_aside(), []);
}

#[tokio::test]
async fn a_wire_that_goes_dead_is_given_up_and_nothing_is_lost() {
    let city = City::new().await;
    let reader = city.reader().await;
    let proxy = Proxy::start(city.broker.port).await;
    let uplink = city.uplink_with(Config { core: Address::new("localhost", proxy.port), ..city.config() });
    (1..=10).for_each(|seq| city.queue.append("meter", seq));
    city.delivered(&uplink).await;

    proxy.freeze();
    (11..=40).for_each(|seq| city.queue.append("meter", seq));
    city.delivered(&uplink).await;
    assert_eq!((proxy.accepted(), uplink.health().connection), (2, 2));
    arrived(&reader, "meter", 40).await;
}

#[tokio::test]
async fn a_peer_that_stops_reading_in_the_middle_of_a_flush_is_given_up() {
    let city = City::new().await;
    let reader = city.reader().await;
    let proxy = Proxy::start(city.broker.port).await;
    // The pings alone have to notice.
    let stall = Duration::from_secs(600);
    let uplink = city.uplink_with(Config { core: Address::new("localhost", proxy.port), stall, ..city.config() });
    city.queue.append("meter", 1);
    city.delivered(&uplink).await;
    let dead = Instant::now();
    proxy.freeze();
    // More than all socket buffers on the way take.
    let text = |seq: u64| format!("meter {}{seq}", " ".repeat(1_000_000));
    (2..=20).for_each(|seq| city.queue.append_text("meter", seq, &text(seq)));
    city.until(&uplink, "connected again", |_, health| health.connection >= 2 && health.state == State::Connected)
        .await;
    let (keep_alive, again) = (city.config().keep_alive, dead.elapsed());
    // Some seconds for the wait between tries and a busy machine.
    assert!(again < keep_alive * 2 + Duration::from_secs(3), "{again:?}");
    city.delivered(&uplink).await;
    arrived(&reader, "meter", 20).await;
}

#[tokio::test]
async fn an_idle_connection_that_goes_dead_is_noticed_by_the_pings() {
    let city = City::new().await;
    let proxy = Proxy::start(city.broker.port).await;
    let uplink = city.uplink_with(Config { core: Address::new("localhost", proxy.port), ..city.config() });
    city.until(&uplink, "connected", |_, health| health.state == State::Connected).await;
    // The documents of the birth are acknowledged within the pace of the status.
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxy.freeze();
    city.until(&uplink, "connected again", |_, health| health.connection == 2 && health.state == State::Connected)
        .await;
}

#[tokio::test]
async fn a_message_larger_than_the_broker_takes_is_set_aside_and_the_rest_goes_on() {
    let ca = Ca::new("city");
    let city = City::with(&ca, &ca, &ca, HOSTS, 2040, "max_packet_size 2000").await;
    let reader = city.reader().await;
    city.queue.append_text("meter", 1, &"x".repeat(3000));
    city.queue.append("lamp", 1);
    let uplink = city.uplink();
    city.delivered(&uplink).await;
    arrived(&reader, "lamp", 1).await;
    assert_eq!(city.queue.set_aside(), [(curb_model::RowId(1), 0x95)]);
    let told = city.queue.payload_max();
    assert!(matches!(told[..], [Some(1_700..2_000)]), "the store knows for the next ones: {told:?}");
    assert_eq!((uplink.health().set_aside, uplink.health().connection), (1, 1));
}

/// mosquitto says so in a PUBACK with 0x95, which the standard does not have and rumqttc does not read.
#[tokio::test]
async fn a_limit_that_the_broker_did_not_tell_costs_the_large_messages_and_no_other() {
    let ca = Ca::new("city");
    let city = City::with(&ca, &ca, &ca, HOSTS, 2040, "message_size_limit 1000").await;
    let reader = city.reader().await;
    (1..=10).for_each(|seq| city.queue.append("lamp", seq));
    city.queue.append_text("meter", 1, &"x".repeat(3000));
    (11..=20).for_each(|seq| city.queue.append("lamp", seq));
    city.queue.append_text("meter", 2, &"x".repeat(3500));
    (21..=30).for_each(|seq| city.queue.append("lamp", seq));
    let uplink = city.uplink();
    city.delivered(&uplink).await;
    arrived(&reader, "lamp", 30).await;
    let [first, second] = [11, 22].map(|row| (curb_model::RowId(row), 0x95));
    assert_eq!(city.queue.set_aside(), [first, second]);
    let Health { set_aside, connection, .. } = uplink.health();
    assert_eq!(set_aside, 2);
    assert!(
        connection <= 5,
        "two to see that it is stuck, one for each, and one more: mosquitto breaks each time: {connection}"
    );
}

#[tokio::test]
async fn with_receipts_a_row_stays_until_the_core_says_that_it_holds_it() {
    let city = City::new().await;
    let reader = city.reader().await;
    let receipt_wait = Duration::from_secs(2);
    let uplink = city.uplink_with(Config { ack: Ack::Core, receipt_wait, ..city.config() });
    (1..=5).for_each(|seq| city.queue.append("meter", seq));
    arrived(&reader, "meter", 5).await;
    assert_eq!(city.queue.len(), 5);

    let receipt = |seq: u64| {
        let text = format!(r#"{{"v":1,"run":"{RUN}","stream":"meter","seq":{seq}}}"#);
        publish(city.broker.port, &city.roots(), &city.reader, "curb/v1/pier/hub-7/receipt", &text);
    };
    publish(city.broker.port, &city.roots(), &city.reader, "curb/v1/pier/hub-7/receipt", "nonsense");
    receipt(3);
    city.until(&uplink, "three are done", |city, _| city.queue.len() == 2).await;
    assert!(city.broker.log().contains("Received SUBSCRIBE from hub-7"));

    // Without a receipt the rest is sent again.
    city.fault(&uplink, "no-receipt").await;
    let again = || reader.seqs("meter").ends_with(&[4, 5, 4, 5]);
    eventually("the rest comes again", again, || format!("{:?}", reader.seqs("meter"))).await;
    receipt(5);
    city.delivered(&uplink).await;
    city.until(&uplink, "the fault is gone", |_, health| health.faults.is_empty()).await;
    assert_eq!(uplink.health().receipted, 5);
    uplink.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_command_is_handed_over_and_its_answer_goes_where_it_was_asked_for() {
    let mut city = City::new().await;
    city.broker.acl(&format!("{ACL}pattern write core/answers\n"));
    let uplink = city.uplink();
    let subscribed = || city.broker.log().contains("Sending SUBACK to hub-7");
    eventually("the hub listens", subscribed, || city.broker.log()).await;
    let (port, roots) = (city.broker.port, city.roots());
    let answers = Reader::start(port, &roots, &city.reader, "core", "core/answers");
    let listens = || city.broker.log().contains("Sending SUBACK to core");
    eventually("the core listens", listens, || city.broker.log()).await;
    let topic = "curb/v1/pier/hub-7/cmd/write";

    command(port, &roots, &city.reader, topic, &["-D", "publish", "message-expiry-interval", "60"]);
    let taken = tokio::time::timeout(DEADLINE, city.taken.recv()).await.unwrap().unwrap();
    assert_eq!((&*taken.name, taken.correlation.as_deref(), taken.retained), ("write", Some(&b"7"[..]), false));
    assert_eq!(taken.reply_to, ReplyTo::Topic("core/answers".into()));
    let left = taken.expires.unwrap().saturating_duration_since(Instant::now());
    assert!(left > Duration::from_secs(20) && left <= Duration::from_secs(60), "{left:?}");
    taken.answer(b"done".to_vec());
    let answered = || answers.lines() == ["core/answers 0 done"];
    eventually("the answer arrives", answered, || format!("{:#?}", answers.lines())).await;

    // A second one fills the line, so that the third is refused at once; the second is marked as retained.
    command(port, &roots, &city.reader, topic, &["-r"]);
    city.until(&uplink, "the second", |_, health| health.commands == 2).await;
    command(port, &roots, &city.reader, topic, &[]);
    let full = || answers.lines().get(1).is_some_and(|line| line.contains(r#""ok":false"#) && line.contains("full"));
    eventually("the refusal arrives", full, || format!("{:#?}", answers.lines())).await;
    assert_eq!((uplink.health().commands, uplink.health().commands_refused), (2, 1));
    assert!(city.taken.recv().await.unwrap().retained);
    assert!(city.taken.try_recv().is_err(), "what was retained is not sent again");

    // An answer of the last moment goes before the goodbye.
    command(port, &roots, &city.reader, topic, &[]);
    let last = tokio::time::timeout(DEADLINE, city.taken.recv()).await.unwrap().unwrap();
    last.answer(b"last".to_vec());
    uplink.stop(Duration::from_secs(5)).await;
    let answered = || answers.lines().last().is_some_and(|line| line.ends_with("last"));
    eventually("the last answer arrives", answered, || format!("{:#?}", answers.lines())).await;
}

#[tokio::test]
async fn a_stop_ends_in_its_grace_although_the_wire_is_dead() {
    let city = City::new().await;
    let proxy = Proxy::start(city.broker.port).await;
    for grace in [1, 20] {
        // Either the grace ends first or the watchdog; neither looks for the core again.
        let uplink = city.uplink_with(Config { core: Address::new("localhost", proxy.port), ..city.config() });
        city.until(&uplink, "connected", |_, health| health.state == State::Connected).await;
        proxy.freeze();
        city.queue.append("meter", 1);
        let before = Instant::now();
        uplink.stop(Duration::from_secs(grace)).await;
        assert!(before.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(city.queue.len(), 2);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_core_that_is_not_there() {
    let mut city = City::new().await;
    city.queue.append("meter", 1);
    city.broker.down().await;
    let uplink = city.uplink();
    city.fault(&uplink, "core-unreachable").await;
    let before = Instant::now();
    uplink.stop(Duration::from_secs(20)).await;
    assert!(before.elapsed() < Duration::from_secs(10));
}
