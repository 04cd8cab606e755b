//! Plugins in the data path: a real component, and what is left when their process is killed.

use e2e::{Hub, Ingest, Mosquitto, Site, peers};
use street::eventually;

use crate::{component, meter};

fn deadband() -> String {
    format!(
        "[plugin.quiet]\norder = 10\ncomponent = \"{}\"\npoints = [\"meter/*\"]\nsettings = {{ default = 0.5 }}\non_failure = \"pass\"\n",
        component("deadband.wasm").display()
    )
}

#[tokio::test]
async fn deadband_filters_and_the_ledger_still_closes() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &format!("{}{}", meter(server.port, "50ms"), deadband()));
    hub.start().await;
    let first = || ingest.readings("meter/voltage").first().cloned();
    eventually(e2e::PATIENCE, "a first reading", &[hub.process(), &ingest.process], first).await.unwrap();
    hub.shows("many filtered readings", |status| {
        (status["plugins"]["quiet"]["filtered"].as_u64()? > 100).then_some(())
    })
    .await;
    assert_eq!(ingest.readings("meter/voltage").len(), 1, "an unchanged value passes once");
    assert_eq!(hub.stop().await, Some(0));
    let closed = site.ledger().await;
    assert!(closed.0, "the last readings were filtered, and the core knows: {:#}", closed.1);
}

#[tokio::test]
async fn a_killed_plugin_host_costs_a_restart_and_no_reading() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let _ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &format!("{}{}", meter(server.port, "50ms"), deadband()));
    hub.start().await;
    let running = |status: &serde_json::Value| {
        (status["plugins"]["quiet"]["state"] == "running").then(|| status["plugin_host"]["pid"].as_i64())?
    };
    let pid = hub.shows("a plugin host", running).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    hub.shows("a restart", |status| (status["plugin_host"]["restarts"].as_u64()? == 1).then_some(())).await;
    hub.shows("the plugin again", running).await;
    hub.logs("host-restarted").await;
    assert_eq!(hub.stop().await, Some(0));
    let (closed, ledger) = site.ledger().await;
    assert!(closed, "{ledger:#}");
}

/// Counts the readings of the meter, and says each fifth.
fn tally() -> String {
    format!(
        "[plugin.tally]\ncomponent = \"{}\"\npoints = [\"meter/*\"]\nsettings = {{ every = 5 }}\non_failure = \"hold\"\n",
        component("tally.wasm").display()
    )
}

#[tokio::test]
async fn what_a_plugin_has_told_is_told_once_over_kills_and_restarts() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let mut hub = Hub::new(&site, &broker, &format!("{}{}", meter(server.port, "20ms"), tally()));
    let totals = || -> Vec<f64> {
        let mut readings = ingest.readings("tally/total");
        readings.sort_by_key(|reading| reading["ht"].as_i64());
        readings.iter().map(|reading| reading["value"].as_f64().expect("a number")).collect()
    };
    for life in 0..6u64 {
        let before = totals().len();
        hub.start().await;
        let more = || (totals().len() >= before + 3).then_some(());
        eventually(e2e::PATIENCE, "counts of this life", &[hub.process(), &ingest.process], more).await.unwrap();
        // At no particular moment.
        tokio::time::sleep(std::time::Duration::from_millis(life * 37)).await;
        hub.kill().await;
    }
    hub.start().await;
    hub.shows("the state", |status| (status["plugins"]["tally"]["state_bytes"].as_u64()? > 0).then_some(())).await;
    assert_eq!(hub.stop().await, Some(0));
    let (stopped, last) = (totals().len(), *totals().last().unwrap());
    hub.start().await;
    let more = || (totals().len() >= stopped + 2).then_some(());
    eventually(e2e::PATIENCE, "counts behind a stop", &[hub.process(), &ingest.process], more).await.unwrap();
    assert_eq!(hub.stop().await, Some(0));

    let totals = totals();
    assert!(totals.windows(2).all(|pair| pair[0] < pair[1]), "told twice, or behind what was told: {totals:?}");
    assert_eq!(totals[stopped], last + 5.0, "a stop costs not one reading of the count: {totals:?}");
    let (closed, ledger) = site.ledger().await;
    assert!(closed, "{ledger:#}");
}
