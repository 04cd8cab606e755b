//! What the city did not say it would send stays at the hub, and the books close all the same.

use e2e::{HUB, Hub, Ingest, Mosquitto, SITE, Site, peers};
use serde_json::Value;

use crate::meter;

#[tokio::test]
async fn what_the_policy_refuses_is_counted_and_nowhere_behind_it() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let _ingest = Ingest::start(&site, &broker).await;
    let everything = broker.subscriber(&site, &format!("curb/v1/{SITE}/{HUB}/#"), 12);
    let policy = "[policy]\ndeny = [\"*/voltage*\"]\n";
    let mut hub = Hub::new(&site, &broker, &format!("{}{policy}", meter(server.port, "100ms")));
    hub.start().await;
    let refused = hub.shows("refused readings", |status| status["refused"].as_u64().filter(|count| *count > 5)).await;
    assert!(refused > 5);

    let (code, at_source) = hub.curb(&["tap", "-t", "meter/voltage", "--at", "source", "-C", "1", "-W", "10s"]).await;
    assert_eq!(code, Some(0), "people at the hub see what is read: {at_source}");
    let (_, behind) = hub.curb(&["tap", "--at", "pipeline", "-C", "8", "-W", "10s"]).await;
    assert!(behind.contains("meter/total") && !behind.contains("voltage"), "{behind}");

    let messages = everything.collect().await;
    assert!(messages.iter().any(|(topic, _)| topic.ends_with("data/meter")), "{messages:?}");
    for (topic, payload) in &messages {
        assert!(!payload.contains("voltage"), "{topic}: {payload}");
    }
    assert_eq!(hub.stop().await, Some(0));
    let (closed, ledger) = site.ledger().await;
    assert!(closed, "{ledger:#}");
    let told = ledger["hubs"][0]["refused"].as_u64();
    assert!(told >= Some(refused), "the core knows how many: {told:?} of {refused}");
}

#[tokio::test]
async fn a_policy_that_names_no_point_is_doubted() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let policy = "[policy]\ndeny = [\"meter/voltge\"]\ntext = \"no\"\n";
    let hub = Hub::new(&site, &broker, &format!("{}{policy}", meter(1, "100ms")));
    let (code, said) = hub.curb(&["check", "--config", hub.config().to_str().unwrap(), "--json"]).await;
    assert_ne!(code, Some(0));
    let said: Value = serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("{error}: {said}"));
    let said = said.to_string();
    assert!(said.contains("meter/voltage") && said.contains("policy.text"), "{said}");
}
