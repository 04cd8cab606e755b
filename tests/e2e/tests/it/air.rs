//! What a metered line costs: readings that travel together, a budget of bytes, and a count that a person can believe.

use std::process::Command;
use std::time::Duration;

use e2e::{Hub, Ingest, Mosquitto, Site, peers};
use street::eventually;

use crate::delivery::closes;
use crate::meter;

/// A hub that reads a meter ten times a second, with these keys in `[core]`.
fn hub(site: &Site, broker: &Mosquitto, port: u16, keys: &str) -> Hub {
    let hub = Hub::new(site, broker, &meter(port, "100ms"));
    let text = std::fs::read_to_string(hub.config()).unwrap();
    std::fs::write(hub.config(), text.replace("[core]\n", &format!("[core]\n{keys}\n"))).unwrap();
    hub
}

/// Until so many messages are at the core.
async fn messages(ingest: &Ingest, hub: &Hub, count: usize) -> Vec<serde_json::Value> {
    let of_meter = || ingest.messages().into_iter().filter(|message| message["stream"] == "meter").collect::<Vec<_>>();
    let enough = || Some(of_meter()).filter(|messages| messages.len() >= count);
    let logs = [&ingest.process, hub.process()];
    eventually(e2e::PATIENCE, &format!("{count} messages at the core"), &logs, enough).await.unwrap()
}

#[tokio::test]
async fn readings_that_linger_travel_together_and_none_is_lost() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = hub(&site, &broker, server.port, "linger = \"1s\"");
    hub.start().await;
    let messages = messages(&ingest, &hub, 4).await;
    for message in &messages {
        let readings = message["readings"].as_array().unwrap();
        let times: Vec<i64> = readings.iter().map(|reading| reading["time_ms"].as_i64().unwrap()).collect();
        let span = times.last().unwrap() - times[0];
        assert!(times.is_sorted() && span <= 3_000, "{times:?}");
    }
    // Ten rounds of eight points a second; half of that on a busy machine.
    let most = messages.iter().map(|message| message["readings"].as_array().unwrap().len()).max().unwrap();
    assert!(most >= 40, "{most} readings in the largest message");
    closes(&site, &ingest, hub).await;
}

#[tokio::test]
async fn a_budget_makes_messages_larger_and_what_does_not_fit_waits() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    // Ten messages a second have some 500 KB a minute.
    let mut hub = hub(&site, &broker, server.port, "bytes_per_minute = \"16 KiB\"");
    hub.start().await;
    hub.shows("data that waits for the budget", |status| {
        (status["queue"]["readings"].as_u64()? > 100 && status["core"]["state"] == "connected").then_some(())
    })
    .await;
    let spent = hub.status().await["usage"]["line_today"].as_u64().unwrap();
    assert!(spent <= 16 * 1024 + 8_000, "{spent} bytes, the handshake among them");

    // More of it, and all of it goes out.
    let text = std::fs::read_to_string(hub.config()).unwrap();
    std::fs::write(hub.config(), text.replace("bytes_per_minute = \"16 KiB\"\n", "")).unwrap();
    let (code, out) = hub.curb(&["reload"]).await;
    assert_eq!(code, Some(0), "{out}");
    messages(&ingest, &hub, 20).await;
    hub.shows("an empty queue", |status| (status["queue"]["readings"].as_u64()? < 20).then_some(())).await;
    closes(&site, &ingest, hub).await;
}

/// What waits when a hub is stopped goes out then, and is paid for as well.
#[tokio::test]
async fn what_a_stop_sends_is_counted_with_the_bytes_of_the_day() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let _ingest = Ingest::start(&site, &broker).await;
    let mut hub = hub(&site, &broker, server.port, "linger = \"30s\"");
    hub.start().await;
    let polled = |status: &serde_json::Value| (status["buses"]["lan"]["answers"].as_u64()? > 60).then_some(());
    hub.shows("readings that linger", polled).await;
    let before = hub.status().await["usage"]["line_today"].as_u64().unwrap();
    assert_eq!(hub.stop().await, Some(0));
    let kept = std::fs::read(hub.config().with_file_name("state").join("usage")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept[16..]).unwrap();
    let after = kept["this_month"]["line"].as_u64().unwrap() + kept["undated"]["line"].as_u64().unwrap();
    // 15 rounds of eight points, at more than 20 bytes each.
    assert!(after > before + 2_400, "{before} bytes before the stop, {after} after");
}

/// What the kernel has counted on the hub's connection to `port`: bytes of TCP both ways, and the headers of its segments.
fn counted(port: u16) -> Option<u64> {
    let out = Command::new("ss").args(["-tinHO", "state", "established", "dport", "=", &format!(":{port}")]).output();
    let text = String::from_utf8(out.unwrap().stdout).unwrap();
    let connections: Vec<&str> = text.lines().filter(|line| line.contains("bytes_sent")).collect();
    let value = |line: &str, name: &str| -> Option<u64> {
        let of_name = |word: &str| word.strip_prefix(name)?.strip_prefix(':')?.parse().ok();
        line.split_whitespace().find_map(of_name)
    };
    let bytes = |line: &&str| -> Option<u64> {
        let segments = value(line, "segs_out")? + value(line, "segs_in")?;
        Some(value(line, "bytes_sent")? + value(line, "bytes_received")? + 52 * segments)
    };
    // The hub is the one that sends: an ingester hears.
    connections.iter().filter(|line| value(line, "bytes_sent") > value(line, "bytes_received")).filter_map(bytes).max()
}

#[tokio::test]
async fn the_bytes_of_today_are_those_that_the_kernel_counted() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = hub(&site, &broker, server.port, "");
    hub.start().await;
    messages(&ingest, &hub, 60).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (before, status) = (counted(broker.port()).unwrap(), hub.status().await);
    let after = counted(broker.port()).unwrap();
    let reckoned = status["usage"]["line_today"].as_u64().unwrap();
    // Loopback has larger segments than a line, and the hub looks once a second; so it is close, not the same.
    let (least, most) = (before as f64 * 0.75, after as f64 * 1.25);
    assert!((least..=most).contains(&(reckoned as f64)), "reckoned {reckoned}, counted {before} to {after}");
    let (_, text) = hub.curb(&["status"]).await;
    assert!(text.contains("line   ") && text.contains(" this month"), "{text}");
    closes(&site, &ingest, hub).await;
}
