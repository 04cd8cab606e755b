//! What is cut of what a plugin does too much of, and what is left: lines, metrics, points; and what a plugin that traps now
//! and then costs.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use curb_pipeline::{Limits, OnFailure, PluginConfig, PluginState};
use serde_json::json;
use tempfile::TempDir;

use crate::guest::Guest;
use crate::rig::{Rig, plugin};

/// A plugin that makes this attack on `air`, under limits that a loaded machine does not run into.
fn attacker(folder: &TempDir, name: &str, on_failure: OnFailure) -> PluginConfig {
    let component = Guest::attack(name).file(folder.path(), name);
    let limits = Limits { call_time: Duration::from_secs(2), ..Limits::default() };
    PluginConfig { component, on_failure, limits, ..plugin("bad", "deadband", "air/*", json!({})) }
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn of_a_thousand_lines_twenty_are_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(vec![attacker(&folder, "flood/log-many", OnFailure::Drop)]);
    for n in 0..5u32 {
        assert_eq!(rig.through("air", vec![rig.number("air/pm", f64::from(n))]).await.readings.len(), 1);
    }
    assert_eq!(rig.end().await, []);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines = text.lines().filter(|line| line.contains("noise")).count();
    // Those of the first call, and one more for each second since.
    assert!((20..40).contains(&lines), "{lines} lines");
}

#[tokio::test]
async fn of_a_thousand_metrics_sixty_four_are_kept_and_of_a_thousand_points_two_hundred_and_fifty_six() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(vec![attacker(&folder, "flood/metric-names", OnFailure::Drop)]);
    for n in 0..3u32 {
        assert_eq!(rig.through("air", vec![rig.number("air/pm", f64::from(n))]).await.readings.len(), 1);
    }
    let health = rig.health();
    let bad = health.plugins.values().next().unwrap();
    assert_eq!((bad.metrics.len(), bad.traps), (64, 0));
    rig.apply(vec![attacker(&folder, "flood/points-many", OnFailure::Drop)]);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while rig.pipeline.points().is_empty() {
        assert!(std::time::Instant::now() < deadline, "no points: {:?}", rig.health());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(rig.pipeline.points().len(), 256);
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn a_reading_that_kills_costs_itself_and_none_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(vec![attacker(&folder, "trap/trap-on-one", OnFailure::Drop)]);
    let readings = [1.0, 2.0, 3.0, 666.0, 5.0, 6.0, 7.0, 8.0].map(|value| rig.number("air/pm", value));
    let batch = rig.through("air", readings.to_vec()).await;
    let dropped: u64 = batch.dropped.iter().map(|dropped| dropped.count).sum();
    assert_eq!((batch.readings.len(), dropped), (7, 1));
    let health = rig.health();
    let bad = health.plugins.values().next().unwrap();
    assert_eq!((bad.poison, bad.kept, bad.state), (1, 7, PluginState::Running));
    assert!(health.faults.iter().any(|fault| fault.word == "plugin-poison"), "{health:?}");
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn who_leaks_or_traps_now_and_then_is_begun_anew_and_costs_no_reading() {
    let folder = tempfile::tempdir().unwrap();
    for (attack, traps) in [("memory/leak", 3..=8), ("trap/trap-each-third", 14..=15)] {
        let mut rig = Rig::start(vec![attacker(&folder, attack, OnFailure::Drop)]);
        for n in 0..30u32 {
            let batch = rig.through("air", vec![rig.number("air/pm", f64::from(n))]).await;
            assert_eq!((batch.readings.len(), batch.dropped.len()), (1, 0), "{attack}: {:?}", rig.health());
        }
        let health = rig.health();
        let bad = health.plugins.values().next().unwrap();
        assert!(traps.contains(&bad.traps), "{attack}: {bad:?}");
        assert_eq!((bad.kept, bad.state, health.restarts), (30, PluginState::Running, 0), "{attack}");
        assert_eq!(rig.end().await, []);
    }
}

#[tokio::test]
async fn a_state_is_no_weapon_when_it_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    for (attack, words) in [
        ("state/restore-spin", "restore ran longer than 2s"),
        ("state/restore-trap", "restore: wasm trap"),
        ("state/restore-bomb", "bytes of memory (limit 8388608)"),
    ] {
        let mut rig = Rig::start(vec![attacker(&folder, attack, OnFailure::Drop)]);
        for n in 0..2u32 {
            let batch = rig.through("air", vec![rig.number("air/pm", f64::from(n))]).await;
            assert_eq!((batch.readings.len(), batch.dropped.len()), (1, 0), "{attack}: {:?}", rig.health());
        }
        let health = rig.health();
        let told = health.faults.iter().any(|f| f.word == "plugin-state" && f.detail.contains(words));
        assert!(told, "{attack}: {health:?}");
        let bad = health.plugins.values().next().unwrap();
        assert_eq!((bad.states_lost, bad.traps, health.restarts), (1, 1, 0), "{attack}");
        drop(rig.end().await);
    }
}

#[tokio::test]
async fn while_one_spins_for_seconds_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { call_time: Duration::from_secs(30), ..Limits::default() };
    let bad = PluginConfig { limits, ..attacker(&folder, "time/spin-process", OnFailure::Drop) };
    let mut rig = Rig::start(vec![bad, plugin("quiet", "deadband", "meter/*", json!({}))]);
    rig.through("meter", vec![rig.number("meter/power", 0.0)]).await;
    rig.send("air", vec![rig.number("air/pm", 1.0)]).await;
    let begun = std::time::Instant::now();
    for n in 1..200u32 {
        let batch = rig.through("meter", vec![rig.number("meter/power", f64::from(n))]).await;
        assert_eq!(batch.stream.as_str(), "meter");
    }
    // Each of the two hundred behind a call of thirty seconds would have taken hours.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
