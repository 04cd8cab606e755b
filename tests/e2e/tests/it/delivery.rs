//! A reading is delivered once, or the core is told which one is not, whatever breaks.

use e2e::{Hub, Ingest, Mosquitto, Site, peers};
use street::eventually;

use crate::{METER, meter};

/// Until `count` readings of the meter's voltage are at the core.
pub(crate) async fn arrive(ingest: &Ingest, hub: &Hub, count: usize) {
    let enough = || (ingest.readings("meter/voltage").len() >= count).then_some(());
    let logs = [&ingest.process, hub.process()];
    eventually(e2e::PATIENCE, &format!("{count} readings at the core"), &logs, enough).await.unwrap();
}

/// Ends the hub cleanly and balances the books.
pub(crate) async fn closes(site: &Site, ingest: &Ingest, mut hub: Hub) {
    assert_eq!(hub.stop().await, Some(0), "{}", hub.log());
    let (closed, ledger) = site.ledger().await;
    assert!(closed, "the ledger does not close: {ledger:#}\n{}\n{}", ingest.process.tail(), hub.log());
}

/// Starts the hub, lets it deliver, and takes the core away until more than so many readings wait.
async fn cut_off(hub: &mut Hub, broker: &mut Mosquitto, ingest: &Ingest, waiting: u64) {
    hub.start().await;
    arrive(ingest, hub, 5).await;
    broker.go_away().await;
    hub.fault("core-unreachable").await;
    let enough =
        |status: &serde_json::Value| status["queue"]["readings"].as_u64().filter(|readings| *readings > waiting);
    hub.shows("readings that wait", enough).await;
}

#[tokio::test]
async fn the_ledger_closes_over_messages_of_every_form() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &meter(server.port, "100ms"));
    let plain = std::fs::read_to_string(hub.config()).unwrap();
    let forms =
        ["encoding = \"senml-cbor\"", "compress = \"deflate\"", "encoding = \"senml-cbor\"\ncompress = \"deflate\""];
    for form in forms {
        if form != forms[0] {
            assert_eq!(hub.stop().await, Some(0), "{}", hub.log());
        }
        std::fs::write(hub.config(), plain.replace("[core]\n", &format!("[core]\n{form}\n"))).unwrap();
        let before = ingest.readings("meter/voltage").len();
        hub.start().await;
        arrive(&ingest, &hub, before + 5).await;
    }
    for (point, value) in METER {
        let readings = ingest.readings(point);
        let value: serde_json::Value = serde_json::from_str(value).unwrap();
        assert!(readings.iter().all(|reading| reading["value"] == value), "{point}: {readings:?}");
    }
    closes(&site, &ingest, hub).await;
}

#[tokio::test]
async fn a_broker_outage_loses_nothing() {
    for ack in ["broker", "core"] {
        let site = Site::new().await;
        let mut broker = Mosquitto::start(&site).await;
        let server = peers::pymodbus_tcp(&site).await;
        let ingest = Ingest::start(&site, &broker).await;
        let url = format!("mqtts://localhost:{}", broker.port());
        let mut hub = Hub::new(&site, &broker, "");
        hub.configure(&site, &url, &format!("{}[store]\nlimit = \"16 MiB\"\n", meter(server.port, "100ms")));
        let text = std::fs::read_to_string(hub.config()).unwrap();
        std::fs::write(hub.config(), text.replace("[core]\n", &format!("[core]\nack = \"{ack}\"\n"))).unwrap();
        hub.start().await;
        arrive(&ingest, &hub, 10).await;

        broker.go_away().await;
        let (subject, _) = hub.fault("core-unreachable").await;
        assert_eq!(subject, "core");
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        hub.shows("readings that wait while the core is away", |status| {
            status["queue"]["readings"].as_u64().filter(|waiting| *waiting > 0)
        })
        .await;
        broker.come_back().await;

        hub.no_fault("core-unreachable").await;
        let before = ingest.readings("meter/voltage").len();
        arrive(&ingest, &hub, before + 10).await;
        hub.shows("an empty queue", |status| (status["queue"]["readings"].as_u64()? < 20).then_some(())).await;
        let times: Vec<i64> = ingest.readings("meter/voltage").iter().map(|r| r["time_ms"].as_i64().unwrap()).collect();
        assert!(times.is_sorted(), "in order per stream, {ack} mode");
        hub.logs("core-unreachable").await;
        closes(&site, &ingest, hub).await;
    }
}

#[tokio::test]
async fn a_killed_daemon_tells_what_it_held_and_goes_on() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &meter(server.port, "100ms"));
    hub.start().await;
    arrive(&ingest, &hub, 10).await;
    hub.kill().await;
    hub.start().await;
    let before = ingest.readings("meter/voltage").len();
    arrive(&ingest, &hub, before + 10).await;

    let runs: std::collections::BTreeSet<String> =
        ingest.messages().iter().map(|message| message["run"].as_str().unwrap().to_owned()).collect();
    assert_eq!(runs.len(), 2, "two lives, two runs: {runs:?}");
    closes(&site, &ingest, hub).await;
}

/// `store.commit_every` and one second more, as ARCHITECTURE.md says.
const COST_OF_A_KILL_MS: i64 = 2_000;

#[tokio::test]
async fn a_kill_in_an_outage_costs_no_more_than_the_promise() {
    let site = Site::new().await;
    let mut broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &meter(server.port, "100ms"));
    // Five seconds of them.
    cut_off(&mut hub, &mut broker, &ingest, 400).await;
    hub.kill().await;
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970")]
    let killed_ms = (e2e::now() * 1_000.0) as i64;
    broker.come_back().await;
    hub.start().await;
    let before = ingest.readings("meter/voltage").len();
    arrive(&ingest, &hub, before + 60).await;

    let times: Vec<i64> = ingest.readings("meter/voltage").iter().map(|r| r["time_ms"].as_i64().unwrap()).collect();
    let last = times.iter().filter(|time| **time <= killed_ms).max().copied().unwrap_or_default();
    assert!(
        killed_ms - last <= COST_OF_A_KILL_MS,
        "the last reading kept is {} ms older than the kill",
        killed_ms - last
    );
    closes(&site, &ingest, hub).await;
}

#[tokio::test]
async fn after_a_longer_outage_what_has_expired_is_told_and_not_sent() {
    let site = Site::new().await;
    let mut broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let rest = meter(server.port, "100ms").replace("unit_id = 1\n", "unit_id = 1\nexpire = \"1s\"\n");
    let mut hub = Hub::new(&site, &broker, &rest);
    cut_off(&mut hub, &mut broker, &ingest, 200).await;
    broker.come_back().await;
    let before = ingest.readings("meter/voltage").len();
    arrive(&ingest, &hub, before + 10).await;
    let expired = |status: &serde_json::Value| status["queue"]["gaps"]["expired"].as_u64();
    let told = hub.shows("expired readings", expired).await;
    assert!(told >= 40, "{told}");
    assert_eq!(hub.stop().await, Some(0));
    let (closed, ledger) = site.ledger().await;
    assert!(closed, "{ledger:#}");
    assert!(ledger["hubs"][0]["gaps"]["expired"].as_u64() >= Some(told), "{ledger:#}");
}

#[tokio::test]
async fn in_good_weather_receipts_come_before_anything_is_written() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &meter(server.port, "100ms"));
    let text = std::fs::read_to_string(hub.config()).unwrap();
    let keys = "[core]\nack = \"core\"\nencoding = \"senml-cbor\"\n";
    std::fs::write(hub.config(), text.replace("[core]\n", keys)).unwrap();
    hub.start().await;
    arrive(&ingest, &hub, 20).await;
    let written = |status: serde_json::Value| status["queue"]["payload_bytes"].as_u64().unwrap();
    let before = written(hub.status().await);
    let seen = ingest.readings("meter/voltage").len();
    arrive(&ingest, &hub, seen + 40).await;
    // Forty rounds of eight points take some 12 KB. On a machine that is busy elsewhere some of them may come late.
    let after = written(hub.status().await);
    assert!(after - before < 3_000, "{} bytes were written", after - before);
    closes(&site, &ingest, hub).await;
    // What CBOR leaves out the core has from the table of points.
    let core = rusqlite::Connection::open(site.path().join("core.db")).unwrap();
    let unit = "select count(distinct unit), min(unit) from reading where point = 'voltage'";
    let units: (i64, String) = core.query_row(unit, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(units, (1, "V".to_owned()));
}

#[tokio::test]
async fn without_a_subscriber_nothing_counts_as_delivered() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let mut hub = Hub::new(&site, &broker, &meter(server.port, "200ms"));
    hub.start().await;
    hub.fault("no-subscriber").await;
    let ingest = Ingest::start(&site, &broker).await;
    arrive(&ingest, &hub, 5).await;
    hub.no_fault("no-subscriber").await;
    let first = &ingest.messages().into_iter().find(|message| message["stream"] == "meter").unwrap();
    assert_eq!(first["seq"], 1, "what nobody took at first came later, from the first on");
    closes(&site, &ingest, hub).await;
}
