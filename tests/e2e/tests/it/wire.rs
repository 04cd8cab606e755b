//! `mosquitto_sub` reads what WIRE.md says.

use e2e::{HUB, Hub, Mosquitto, SITE, Site, peers};
use serde_json::Value;

use crate::{METER, meter};

#[tokio::test]
async fn a_stranger_reads_what_wire_md_says() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let reader = broker.subscriber(&site, &format!("curb/v1/{SITE}/{HUB}/#"), 12);
    let mut hub = Hub::new(&site, &broker, &meter(server.port, "200ms"));
    hub.start().await;
    let messages = reader.collect().await;
    let of = |topic: &str| {
        let topic = format!("curb/v1/{SITE}/{HUB}/{topic}");
        let found: Vec<Value> = messages
            .iter()
            .filter(|(on, _)| *on == topic)
            .map(|(_, payload)| serde_json::from_str(payload).unwrap_or_else(|e| panic!("{topic}: {e}: {payload}")))
            .collect();
        assert!(!found.is_empty(), "nothing on {topic}: {messages:?}");
        found
    };

    let status = &of("status")[0];
    assert_eq!((&status["v"], &status["state"], &status["connection"]), (&1.into(), &"online".into(), &1.into()));
    let points = &of("points")[0]["points"];
    assert_eq!(points["meter/voltage"]["unit"], "V");
    assert_eq!(points["meter/total"]["type"], "u32");
    let run = &of("run")[0];
    assert_eq!((&run["event"], &run["seq"], &run["stream"]), (&"opened".into(), &1.into(), &"_run".into()));
    assert_eq!(of("clock")[0]["event"], "trusted");

    for (index, pack) in of("data/meter").iter().enumerate() {
        let first = &pack[0];
        assert_eq!(first["bn"], "meter/");
        assert_eq!((&first["hub"], &first["stream"], &first["run"]), (&HUB.into(), &"meter".into(), &run["run"]));
        assert_eq!(first["seq"], index + 1, "numbers count from 1 without holes");
        assert!(first["bt"].as_f64().unwrap() > 1.7e9);
        assert_eq!(first["read"], (index + 1) * METER.len());
        let records = pack.as_array().unwrap();
        for (point, expected) in METER {
            let name = point.trim_start_matches("meter/");
            let record = records.iter().find(|record| record["n"] == name).unwrap_or_else(|| panic!("{name}: {pack}"));
            let value = if record["vb"].is_null() { &record["v"] } else { &record["vb"] };
            assert_eq!(value.to_string(), expected, "{point}");
        }
    }
    assert_eq!(hub.stop().await, Some(0));

    // What a newcomer to the broker finds after a clean goodbye.
    let retained = broker.subscribe(&site, &format!("curb/v1/{SITE}/{HUB}/status"), 1).await;
    let goodbye: Value = serde_json::from_str(&retained[0].1).unwrap();
    assert_eq!((&goodbye["state"], &goodbye["clean"]), (&"offline".into(), &true.into()));
}
