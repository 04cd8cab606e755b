//! A hub whose clock is at 1970: alive, says so, and dates nothing wrongly.

use e2e::{Hub, Ingest, Mosquitto, Site, peers};
use street::eventually;

use crate::meter;

#[tokio::test]
async fn a_clock_at_1970_delivers_undated_readings_and_says_so() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker);
    let rest = meter(server.port, "200ms");
    // The library itself ($LIB is the loader's own word for its folder): the wrapper `faketime` is a parent that would take the hub's signals. Monotonic time runs on.
    let library = "/usr/$LIB/faketime/libfaketime.so.1";
    let mut hub = Hub::new(&site, &broker, &rest).under(&[
        "env",
        &format!("LD_PRELOAD={library}"),
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "FAKETIME=@1970-01-01 00:01:00",
    ]);
    let text = std::fs::read_to_string(hub.config()).unwrap();
    std::fs::write(hub.config(), text.replace("[clock]\n", "[clock]\nwait = \"2s\"\n")).unwrap();
    hub.start().await;
    let (_, detail) = hub.fault("clock-not-trusted").await;
    assert!(detail.contains("1970"), "{detail}");
    hub.logs("clock-not-trusted").await;
    let reading = || ingest.readings("meter/voltage").last().cloned();
    let logs = [hub.process(), &ingest.process];
    let reading = eventually(e2e::PATIENCE, "an undated reading", &logs, reading).await.unwrap();
    assert!(reading["time_ms"].is_null(), "nothing is dated by a clock at 1970: {reading}");
    assert_eq!(reading["value"].to_string(), "230.1");
    assert_eq!(hub.stop().await, Some(0));
    let (closed, ledger) = site.ledger().await;
    assert!(closed, "{ledger:#}");
}
