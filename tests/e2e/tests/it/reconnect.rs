//! However the core is reached, and whatever stands in the way: what was read arrives, and what is wrong has its word.

use std::path::Path;

use e2e::{HUB, Hub, Ingest, Mosquitto, Site, peers};
use serde_json::Value;
use street::{Process, eventually};

use crate::delivery::{arrive, closes};
use crate::meter;
use crate::refusals::server;

/// Writes `lines` into `[core]` of the hub's config.
fn in_core(hub: &Hub, lines: &str) {
    let text = std::fs::read_to_string(hub.config()).unwrap();
    std::fs::write(hub.config(), text.replace("[core]\n", &format!("[core]\n{lines}\n"))).unwrap();
}

/// Waits until the hub is connected to the address that ends so.
async fn connected(hub: &Hub, address: &str, on_fallback: bool) {
    let there = |status: &Value| {
        let core = &status["core"];
        let there = core["state"] == "connected" && core["address"].as_str()?.ends_with(address);
        (there && core["on_fallback"] == on_fallback).then_some(())
    };
    hub.shows(&format!("a connection to {address}"), there).await;
}

#[tokio::test]
async fn the_second_address_delivers_while_the_first_is_away_and_the_hub_comes_home() {
    let site = Site::new().await;
    let mut home = Mosquitto::start(&site).await;
    let mut other = Mosquitto::start(&site).await;
    let device = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &home).await;
    let mut hub = Hub::new(&site, &home, &meter(device.port, "100ms"));
    in_core(&hub, &format!("fallback = \"mqtts://localhost:{}\"", other.port()));
    hub.start().await;
    connected(&hub, &home.port().to_string(), false).await;
    arrive(&ingest, &hub, 5).await;

    drop(ingest);
    home.go_away().await;
    let ingest = Ingest::start(&site, &other).await;
    connected(&hub, &other.port().to_string(), true).await;
    let before = ingest.readings("meter/voltage").len();
    arrive(&ingest, &hub, before + 10).await;
    let (_, text) = hub.curb(&["status"]).await;
    assert!(text.contains(&format!("core   connected localhost:{}, the fallback, connection", other.port())), "{text}");

    drop(ingest);
    home.come_back().await;
    other.go_away().await;
    let ingest = Ingest::start(&site, &home).await;
    connected(&hub, &home.port().to_string(), false).await;
    let before = ingest.readings("meter/voltage").len();
    arrive(&ingest, &hub, before + 10).await;
    closes(&site, &ingest, hub).await;
}

#[tokio::test]
async fn a_core_is_reached_over_ipv6() {
    let site = Site::new().await;
    let broker = Mosquitto::start_on("::1", &site, &server(&site, &["::1"], -1..30, false)).await;
    let device = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &meter(device.port, "100ms"));
    hub.start().await;
    connected(&hub, &format!("[::1]:{}", broker.port()), false).await;
    arrive(&ingest, &hub, 5).await;
    closes(&site, &ingest, hub).await;
}

/// Debian's tinyproxy, which lets `hub` pass to one port of loopback.
fn tinyproxy(site: &Site, port: u16, to: u16) -> Process {
    let config = site.path().join("tinyproxy.conf");
    let text = format!(
        "Port {port}\nListen 127.0.0.1\nTimeout 600\nMaxClients 20\nAllow 127.0.0.1\nLogLevel Connect\n\
         BasicAuth hub s3cr3t\nConnectPort {to}\n"
    );
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    Process::start("tinyproxy", Path::new("/usr/bin/tinyproxy"), ["-d", "-c", &config], site.path()).unwrap()
}

#[tokio::test]
async fn a_core_behind_a_proxy_is_reached_and_the_password_is_shown_to_nobody() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let device = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let port = e2e::free_port();
    let proxy = |login: &str| format!("proxy = \"http://{login}127.0.0.1:{port}\"");
    let mut hub = Hub::new(&site, &broker, &meter(device.port, "100ms"));
    let direct = std::fs::read_to_string(hub.config()).unwrap();
    in_core(&hub, &proxy("hub:s3cr3t@"));
    hub.start().await;
    hub.fault("proxy-unreachable").await;

    let mut passes = tinyproxy(&site, port, broker.port());
    arrive(&ingest, &hub, 5).await;
    hub.no_fault("proxy-unreachable").await;
    // Every connection went through it.
    let log = std::fs::read_to_string(site.path().join("tinyproxy.out")).unwrap();
    assert!(log.contains(&format!("CONNECT localhost:{}", broker.port())), "{log}");

    for (login, word) in [("hub:wr0ng@", "proxy-login"), ("", "proxy-login")] {
        std::fs::write(hub.config(), &direct).unwrap();
        in_core(&hub, &proxy(login));
        assert_eq!(hub.curb(&["reload"]).await.0, Some(0));
        hub.fault(word).await;
    }
    // Another port than the proxy lets pass.
    passes.kill().await.unwrap();
    let _other = tinyproxy(&site, port, 1);
    std::fs::write(hub.config(), &direct).unwrap();
    in_core(&hub, &proxy("hub:s3cr3t@"));
    assert_eq!(hub.curb(&["reload"]).await.0, Some(0));
    let (_, detail) = hub.fault("proxy-refuses").await;
    assert!(detail.contains("403"), "{detail}");

    let config = hub.config().display().to_string();
    let (_, settings) = hub.curb(&["config", "show", "--config", &config]).await;
    assert!(settings.contains("http://***@127.0.0.1"), "{settings}");
    let status = hub.status().await.to_string();
    for text in [settings, status, hub.log()] {
        assert!(!text.contains("s3cr3t") && !text.contains("wr0ng"), "{text}");
    }
    std::fs::write(hub.config(), &direct).unwrap();
    assert_eq!(hub.curb(&["reload"]).await.0, Some(0));
    hub.no_fault("proxy-refuses").await;
    closes(&site, &ingest, hub).await;
}

#[tokio::test]
async fn a_certificate_made_anew_is_used_by_itself_and_half_a_set_changes_nothing() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let device = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &meter(device.port, "200ms"));
    hub.start().await;
    let connections = async |count: usize| {
        let there = || (broker.subscriptions(HUB) >= count).then_some(());
        eventually(e2e::PATIENCE, &format!("connection {count}"), &[broker.process(), hub.process()], there)
            .await
            .unwrap();
    };
    connections(1).await;

    // Half a set: the key of another one.
    let key = std::fs::read(site.hub("hub.key")).unwrap();
    let certificate = std::fs::read_to_string(site.hub("hub.crt")).unwrap();
    let stranger = Site::new().await;
    std::fs::copy(stranger.hub("hub.key"), site.hub("hub.key")).unwrap();
    let (_, detail) = hub.fault("key-does-not-fit").await;
    assert!(detail.ends_with("the identity that works stays"), "{detail}");
    assert_eq!(broker.subscriptions(HUB), 1, "nothing was connected anew");

    // A whole one. The same bytes would be nothing new: a line more makes the certificate another one.
    std::fs::write(site.hub("hub.key"), key).unwrap();
    std::fs::write(site.hub("hub.crt"), format!("# made anew\n{certificate}")).unwrap();
    connections(2).await;
    hub.no_fault("key-does-not-fit").await;

    // Roots that the core does not come from: it is a stranger from now on.
    let roots = std::fs::read(site.hub("roots.pem")).unwrap();
    std::fs::copy(stranger.hub("roots.pem"), site.hub("roots.pem")).unwrap();
    let (_, detail) = hub.fault("core-foreign-ca").await;
    assert!(detail.contains("captive portal"), "{detail}");
    std::fs::write(site.hub("roots.pem"), roots).unwrap();
    connections(3).await;
    hub.no_fault("core-foreign-ca").await;
    let number = hub.status().await["core"]["connection"].as_u64();
    assert!(number >= Some(3), "the number of a connection goes on in its run: {number:?}");
    closes(&site, &ingest, hub).await;
}

#[tokio::test]
async fn a_name_that_nobody_resolves_does_not_keep_a_hub_from_stopping() {
    let site = Site::new().await;
    let device = peers::libmodbus_tcp(&site).await;
    let names = peers::slow_names(&site).await;
    let mut hub = Hub::with_core(&site, "mqtts://core.example", &meter(device.port, "200ms"))
        .under(&names.each_ref().map(String::as_str));
    hub.start().await;
    hub.shows("a look-up", |status| (status["core"]["state"] == "connecting").then_some(())).await;
    let before = tokio::time::Instant::now();
    assert_eq!(hub.stop().await, Some(0), "{}", hub.log());
    // A third of what the name takes.
    assert!(before.elapsed() < std::time::Duration::from_secs(20), "{:?}", before.elapsed());
}
