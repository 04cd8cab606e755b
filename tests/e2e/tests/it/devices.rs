//! Devices that answer, that do not, that answer late, and ports that come and go.

use e2e::{Hub, Ingest, Mosquitto, Site, peers};
use street::eventually;

use crate::{METER, meter};

#[tokio::test]
async fn libmodbus_and_pymodbus_are_read_to_the_last_bit() {
    for pymodbus in [false, true] {
        let site = Site::new().await;
        let broker = Mosquitto::start(&site).await;
        let server = if pymodbus { peers::pymodbus_tcp(&site).await } else { peers::libmodbus_tcp(&site).await };
        let ingest = Ingest::start(&site, &broker).await;
        let mut hub = Hub::new(&site, &broker, &meter(server.port, "100ms"));
        hub.start().await;
        for (point, expected) in METER {
            let reading = || ingest.readings(point).into_iter().nth(2);
            let logs = [hub.process(), &ingest.process, &server.process];
            let reading = eventually(e2e::PATIENCE, point, &logs, reading).await.unwrap();
            assert_eq!(reading["quality"], "good", "{point}");
            assert_eq!(reading["value"].to_string(), expected, "{point}");
        }
        assert_eq!(hub.stop().await, Some(0));
    }
}

#[tokio::test]
async fn a_device_that_goes_away_is_a_bad_reading_and_comes_back() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let mut server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &meter(server.port, "100ms"));
    hub.start().await;
    let logs = [&ingest.process];
    let quality = |wanted: &'static str| {
        let ingest = &ingest;
        move || ingest.readings("meter/voltage").last().filter(|r| r["quality"] == wanted).map(drop)
    };
    eventually(e2e::PATIENCE, "a good reading", &logs, quality("good")).await.unwrap();
    server.process.kill().await.unwrap();
    eventually(e2e::PATIENCE, "a bad reading", &logs, quality("bad:port")).await.unwrap();
    let bad = ingest.readings("meter/voltage").pop().unwrap();
    assert!(bad["value"].is_null(), "no last value is sent again: {bad}");
    hub.fault("port-gone").await;
    hub.logs("port-gone").await;

    let program = site.path().join("modbus_server");
    let port = server.port.to_string();
    let again = street::Process::start("libmodbus", &program, ["tcp", "127.0.0.1", &port], site.path()).unwrap();
    eventually(e2e::PATIENCE, "a good reading again", &[&again], quality("good")).await.unwrap();
    hub.no_fault("port-gone").await;
    assert_eq!(hub.stop().await, Some(0));
    let (closed, ledger) = site.ledger().await;
    assert!(closed, "{ledger:#}");
}
