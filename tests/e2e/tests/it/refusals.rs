//! Whom the hub and the broker refuse, and that a refusal throws nothing away.

use std::path::PathBuf;

use e2e::{Hub, Ingest, Mosquitto, Rights, ServerFiles, Site, peers};
use street::eventually;

use crate::meter;

/// A server certificate that is wrong in one way, and signed by the site's own issuing authority unless `foreign`.
pub(crate) fn server(site: &Site, names: &[&str], days: std::ops::Range<i64>, foreign: bool) -> ServerFiles {
    let read = |path: PathBuf| std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>()).unwrap();
    let now = time::OffsetDateTime::now_utc();
    params.not_before = now + time::Duration::days(days.start);
    params.not_after = now + time::Duration::days(days.end);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let chain = if foreign {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = rcgen::Issuer::new(ca, ca_key);
        params.signed_by(&key, &issuer).unwrap().pem()
    } else {
        let issuing = site.pki().join("issuing");
        let ca_key = rcgen::KeyPair::from_pem(&read(issuing.join("issuing.key"))).unwrap();
        let ca = read(issuing.join("issuing.crt"));
        let issuer = rcgen::Issuer::from_ca_cert_pem(&ca, ca_key).unwrap();
        format!("{}{ca}", params.signed_by(&key, &issuer).unwrap().pem())
    };
    let write = |name: &str, text: String| {
        let path = site.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    ServerFiles { certificate: write("server.crt", chain), key: write("server.key", key.serialize_pem()) }
}

#[tokio::test]
async fn a_core_that_is_not_ours_gets_nothing_and_a_word_each() {
    let cases = [
        ("core-certificate-expired", &["localhost"][..], -30..-1, false),
        ("core-certificate-not-yet-valid", &["localhost"], 1..30, false),
        ("core-wrong-host", &["elsewhere.example"], -1..30, false),
        ("core-foreign-ca", &["localhost"], -1..30, true),
    ];
    for (word, names, days, foreign) in cases {
        let site = Site::new().await;
        let broker = Mosquitto::start_with(&site, &server(&site, names, days, foreign)).await;
        let device = peers::libmodbus_tcp(&site).await;
        let mut hub = Hub::new(&site, &broker, &meter(device.port, "200ms"));
        hub.start().await;
        let (_, detail) = hub.fault(word).await;
        assert!(!detail.is_empty());
        hub.logs(word).await;
        hub.shows("that readings are kept", |status| (status["queue"]["readings"].as_u64()? > 10).then_some(())).await;
        assert_eq!(hub.stop().await, Some(0));
    }
}

#[tokio::test]
async fn a_hub_without_a_good_identity_runs_and_says_so() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let device = peers::libmodbus_tcp(&site).await;
    let mut hub = Hub::new(&site, &broker, &meter(device.port, "200ms"));
    hub.start().await;
    hub.shows("a first connection", |status| (status["core"]["state"] == "connected").then_some(())).await;
    assert_eq!(hub.stop().await, Some(0));

    std::fs::rename(site.hub("hub.crt"), site.hub("hub.crt.away")).unwrap();
    hub.start().await;
    hub.fault("file-missing").await;
    hub.shows("that readings are kept", |status| (status["queue"]["readings"].as_u64()? > 10).then_some(())).await;
    assert_eq!(hub.stop().await, Some(0));

    // A certificate of another authority: ours is refused by the broker.
    std::fs::rename(site.hub("hub.crt.away"), site.hub("hub.crt")).unwrap();
    let stranger = Site::new().await;
    std::fs::copy(stranger.hub("hub.crt"), site.hub("hub.crt")).unwrap();
    std::fs::copy(stranger.hub("hub.key"), site.hub("hub.key")).unwrap();
    hub.start().await;
    hub.fault("core-refused-certificate").await;
    assert_eq!(hub.stop().await, Some(0));
}

#[tokio::test]
async fn a_site_that_does_not_fit_does_not_connect() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let device = peers::libmodbus_tcp(&site).await;
    let mut hub = Hub::new(&site, &broker, &meter(device.port, "200ms"));
    let text = std::fs::read_to_string(hub.config()).unwrap();
    std::fs::write(hub.config(), text.replace("port-credit", "lakeview")).unwrap();
    hub.start().await;
    let (_, detail) = hub.fault("site-does-not-fit").await;
    assert!(detail.contains("port-credit") && detail.contains("lakeview"), "{detail}");
    assert_eq!(hub.stop().await, Some(0));
}

#[tokio::test]
async fn a_topic_that_the_broker_denies_is_held_and_alarmed_never_thrown_away() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    broker.grant(Rights::NoData);
    let device = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &meter(device.port, "200ms"));
    hub.start().await;
    let (_, detail) = hub.fault("not-authorised").await;
    assert!(detail.contains("data/meter"), "says which topic: {detail}");
    hub.shows("that readings are kept", |status| (status["queue"]["readings"].as_u64()? > 20).then_some(())).await;
    assert!(ingest.readings("meter/voltage").is_empty());

    broker.grant(Rights::All);
    hub.no_fault("not-authorised").await;
    let first = || ingest.messages().into_iter().find(|message| message["stream"] == "meter");
    let first = eventually(e2e::PATIENCE, "data at the core", &[hub.process()], first).await.unwrap();
    assert_eq!(first["seq"], 1, "from the first on");
    assert_eq!(hub.stop().await, Some(0));
    let (closed, ledger) = site.ledger().await;
    assert!(closed, "{ledger:#}");
}
