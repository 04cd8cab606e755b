//! A hub whose clock is wrong: alive, says so, and dates nothing wrongly.
//!
//! The wall clock is libfaketime's, which takes its orders from a file; who vouches for it is a `chronyc` of ours. Monotonic
//! time runs on, as it does on a hub.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use e2e::{Hub, Ingest, Mosquitto, Site, peers};

use rusqlite::Connection;
use street::{eventually, now_ms};

use crate::delivery::closes;
use crate::meter;

/// The library itself ($LIB is the loader's own word for its folder): the wrapper `faketime` is a parent that would take the
/// hub's signals.
const LIBRARY: &str = "LD_PRELOAD=/usr/$LIB/faketime/libfaketime.so.1";

/// What a reading's time at the core may be off the truth: a poll, and a test on a busy machine.
const CLOSE: Duration = Duration::from_secs(20);

/// The hub's wall clock and its warrantor.
struct Clock {
    folder: PathBuf,
}

impl Clock {
    /// Shows `time` (`@2038-01-20 00:00:00`, `+6h`), and nobody vouches for it.
    fn new(site: &Site, time: &str) -> Self {
        let clock = Self { folder: site.path().join("clock") };
        std::fs::create_dir(&clock.folder).unwrap();
        clock.set(time);
        let script = clock.folder.join("chronyc");
        let leap = clock.folder.join("leap");
        std::fs::write(&leap, "Not synchronised").unwrap();
        let text = format!(
            "#!/bin/sh\necho \"C0248F97,192.36.143.151,2,1730000000.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,64.2,$(cat {})\"\n",
            leap.display()
        );
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        clock
    }

    fn set(&self, time: &str) {
        // Renamed into its place: the library must not read half of it.
        std::fs::write(self.folder.join("new"), format!("{time}\n")).unwrap();
        std::fs::rename(self.folder.join("new"), self.folder.join("time")).unwrap();
    }

    fn vouch(&self) {
        std::fs::write(self.folder.join("leap"), "Normal").unwrap();
    }

    fn over(&self, hub: Hub) -> Hub {
        let path = std::env::var("PATH").unwrap();
        hub.under(&[
            "env",
            LIBRARY,
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "FAKETIME_NO_CACHE=1",
            &format!("FAKETIME_TIMESTAMP_FILE={}", self.folder.join("time").display()),
            &format!("PATH={}:{path}", self.folder.display()),
        ])
    }
}

/// Changes keys of `[clock]`.
fn set_clock(hub: &Hub, keys: &str) {
    let text = std::fs::read_to_string(hub.config()).unwrap();
    std::fs::write(hub.config(), text.replace("[clock]\ntrust = \"system\"\n", &format!("[clock]\n{keys}\n"))).unwrap();
}

/// The times of all readings of a point at the core: `None` while it does not know.
fn times(ingest: &Ingest) -> Vec<Option<i64>> {
    ingest.readings("meter/voltage").iter().map(|reading| reading["time_ms"].as_i64()).collect()
}

#[tokio::test]
async fn a_clock_at_1970_delivers_undated_readings_and_says_so() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let clock = Clock::new(&site, "@1970-01-01 00:01:00");
    let mut hub = clock.over(Hub::new(&site, &broker, &meter(server.port, "200ms")));
    set_clock(&hub, "trust = \"system\"\nwait = \"2s\"");
    hub.start().await;
    let (_, detail) = hub.fault("clock-not-trusted").await;
    assert!(detail.contains("1970"), "{detail}");
    hub.logs("clock-not-trusted").await;
    let reading = || ingest.readings("meter/voltage").last().cloned();
    let logs = [hub.process(), &ingest.process];
    let reading = eventually(e2e::PATIENCE, "an undated reading", &logs, reading).await.unwrap();
    assert!(reading["time_ms"].is_null(), "nothing is dated by a clock at 1970: {reading}");
    assert_eq!(reading["value"].to_string(), "230.1");
    closes(&site, &ingest, hub).await;
}

/// The same as the core's tables have them: with what a later clock record told.
fn dated(site: &Site) -> Vec<Option<i64>> {
    let core = Connection::open(site.path().join("core.db")).unwrap();
    core.busy_timeout(e2e::PATIENCE).unwrap();
    let mut times = core
        .prepare("select time_ms from reading where device = 'meter' and point = 'voltage' order by time_ms")
        .unwrap();
    times.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// A hub that starts with a wrong clock keeps its readings for the clock; once somebody vouches for the right time, all of
/// them are at the core, with the time at which they were read.
async fn is_put_right(wrong: &str, shown: &str) {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let clock = Clock::new(&site, wrong);
    let mut hub = clock.over(Hub::new(&site, &broker, &meter(server.port, "200ms")));
    set_clock(&hub, "trust = \"ntp\"\nwait = \"10m\"");
    let start = now_ms();
    hub.start().await;
    let (_, detail) = hub.fault("clock-not-trusted").await;
    assert!(detail.contains(shown), "{detail}");
    let many = |status: &serde_json::Value| (status["queue"]["readings"].as_u64()? >= 80).then_some(());
    hub.shows("readings that wait for the clock", many).await;
    assert_eq!(times(&ingest), [], "nothing that waits for the clock is at the core");

    clock.set("+0");
    clock.vouch();
    hub.no_fault("clock-not-trusted").await;
    let end = now_ms();
    let all = || {
        let times = dated(&site);
        (times.len() >= 20 && times.iter().all(Option::is_some)).then_some(times)
    };
    let logs = [hub.process(), &ingest.process];
    let times = eventually(e2e::PATIENCE, "dated readings", &logs, all).await.unwrap();
    let times: Vec<i64> = times.into_iter().flatten().collect();
    let close = i64::try_from(CLOSE.as_millis()).unwrap();
    assert!(times[0] >= start - 1_000 && times[0] <= start + close, "the first was read at the start: {times:?}");
    assert!(times[19] <= end + close, "{times:?}");
    closes(&site, &ingest, hub).await;
}

#[tokio::test]
async fn a_clock_that_is_synchronised_late_dates_what_was_read_before() {
    is_put_right("-1h", "").await;
}

#[tokio::test]
async fn a_clock_that_comes_from_2038_dates_nothing_and_is_put_right() {
    is_put_right("@2038-01-20 00:00:00", "2038").await;
}

#[tokio::test]
async fn a_clock_that_steps_by_six_hours_is_told_and_loses_nothing() {
    let site = Site::new().await;
    let broker = Mosquitto::start(&site).await;
    let server = peers::libmodbus_tcp(&site).await;
    let ingest = Ingest::start(&site, &broker).await;
    let clock = Clock::new(&site, "+0");
    let mut hub = clock.over(Hub::new(&site, &broker, &meter(server.port, "200ms")));
    hub.start().await;
    const SIX_HOURS: i64 = 6 * 3_600_000;
    let close = i64::try_from(CLOSE.as_millis()).unwrap();
    for (time, off) in [("+0", 0), ("+6h", SIX_HOURS), ("-6h", -SIX_HOURS), ("+0", 0)] {
        clock.set(time);
        // What it dates from here on is what it shows: `trust = "system"` believes it.
        let shows = || {
            let last = times(&ingest).last().copied().flatten()?;
            ((last - now_ms() - off).abs() < close).then_some(())
        };
        let logs = [hub.process(), &ingest.process];
        eventually(e2e::PATIENCE, &format!("readings dated {time}"), &logs, shows).await.unwrap();
    }
    hub.logs("the wall clock jumped").await;
    assert!(times(&ingest).iter().all(Option::is_some), "a step is no reason to date nothing");
    closes(&site, &ingest, hub).await;
}
