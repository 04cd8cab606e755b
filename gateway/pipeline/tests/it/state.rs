//! Plugins with state, as real components: what they remember outlives them, and state cannot be made a weapon.

use std::time::Duration;

use curb_model::{Batch, Sample, Value};
use curb_pipeline::{OnFailure, PluginConfig, PluginState};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::rig::{Rig, States, plugin};

/// `tally` lets each tenth reading pass and says how many it has seen.
fn tally() -> PluginConfig {
    plugin("tally", "tally", "meter/*", json!({ "every": 10 }))
}

fn attacked(attack: &str) -> PluginConfig {
    let settings = json!({ "every": 1, "attack": attack });
    PluginConfig { on_failure: OnFailure::Drop, ..plugin("tally", "tally", "meter/*", settings) }
}

/// The counts that this batch tells.
fn totals(batch: &Batch) -> Vec<f64> {
    let total = |sample: &Sample| {
        let Sample::Good(Value::F64(n)) = sample else { panic!("{sample:?}") };
        n.get()
    };
    batch.readings.iter().filter(|r| r.point.name.owner().as_str() == "tally").map(|r| total(&r.sample)).collect()
}

/// Sends so many readings, one batch each, and gives the counts that come of them.
async fn send(rig: &mut Rig, count: u32) -> Vec<f64> {
    let mut told = Vec::new();
    for n in 0..count {
        let batch = rig.through("meter", vec![rig.number("meter/power", f64::from(n))]).await;
        assert_eq!(batch.commit_first, !batch.readings.is_empty(), "{batch:?}");
        // The count comes beside the reading that it came with.
        if !batch.readings.is_empty() {
            let other = rig.receive().await;
            assert!(other.commit_first, "{other:?}");
            told.extend(totals(&batch).into_iter().chain(totals(&other)));
        }
    }
    told
}

#[tokio::test]
async fn a_count_goes_on_over_restarts() {
    let mut states = States::new();
    let mut told = Vec::new();
    for _ in 0..5 {
        let mut rig = Rig::start_with(vec![tally()], states);
        told.extend(send(&mut rig, 16).await);
        // At the end it is asked for what it remembers beyond its last word.
        let (rest, kept) = rig.end_with_states().await;
        assert_eq!(rest, []);
        states = kept;
    }
    assert_eq!(told, [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0]);
}

#[tokio::test]
async fn the_hosts_death_costs_the_last_second_and_repeats_nothing() {
    let mut rig = Rig::start(vec![PluginConfig { on_failure: OnFailure::Hold, ..tally() }]);
    let mut told = Vec::new();
    for _ in 0..5 {
        told.extend(send(&mut rig, 10).await);
        let pid = rig.health().host_pid.unwrap();
        kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
        rig.eventually("gone", |health| health.host_pid != Some(pid)).await;
    }
    // It was asked behind each of its words: what came after the last one is what a death costs.
    assert_eq!(told, [10.0, 20.0, 30.0, 40.0, 50.0]);
    drop(rig.end().await);
}

#[tokio::test]
async fn a_change_of_settings_keeps_what_is_remembered() {
    let mut rig = Rig::start(vec![tally()]);
    assert_eq!(send(&mut rig, 10).await, [10.0]);
    rig.apply(vec![plugin("tally", "tally", "meter/*", json!({ "every": 5 }))]);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let mut told = Vec::new();
    while told.is_empty() {
        assert!(std::time::Instant::now() < deadline, "the change never came");
        rig.send("meter", vec![rig.number("meter/power", 1.0); 5]).await;
        told.extend(totals(&rig.receive().await));
    }
    // At most a second of it can be missing: that is when it was asked last.
    assert!(told[0] > 10.0, "{told:?}");
    drop(rig.end().await);
}

/// The plugin traps with these words; with them its readings are dropped, and the host lives.
async fn check_trap(attack: &str, words: &str) {
    let mut rig = Rig::start(vec![attacked(attack), plugin("quiet", "deadband", "air/*", json!({}))]);
    rig.through("air", vec![rig.number("air/pm", 1.0)]).await;
    let host = rig.health().host_pid;
    let batch = rig.through("meter", vec![rig.number("meter/power", 1.0)]).await;
    assert_eq!((batch.readings.len(), batch.dropped.len()), (0, 1), "{attack}");
    let health = rig.health();
    let said = format!("{:?}", health.faults);
    assert!(said.contains("plugin-trapped") && said.contains(words), "{attack}: {said}");
    assert_eq!((health.host_pid, health.restarts), (host, 0), "{attack}: the host died of it");
    assert_eq!(rig.end_with_states().await, (vec![], States::new()), "{attack}");
}

#[tokio::test]
async fn what_lets_readings_out_and_cannot_say_its_state_lets_nothing_out() {
    check_trap("snapshot-large", "snapshot has 262145 bytes (limit 262144)").await;
    check_trap("snapshot-error", "snapshot: not today").await;
    check_trap("snapshot-trap", "snapshot: wasm trap").await;
    check_trap("snapshot-spin", "snapshot ran longer than 250ms").await;
}

/// The plugin runs without what it remembers, and it is told why.
async fn check_lost(attack: &str, words: &str, states: States) {
    let mut rig = Rig::start_with(vec![attacked(attack)], states);
    let health = rig.eventually("told", |health| health.faults.iter().any(|f| f.word == "plugin-state")).await;
    assert!(health.faults[0].detail.contains(words), "{attack}: {:?}", health.faults);
    rig.send("meter", vec![rig.number("meter/power", 1.0)]).await;
    let mut told = Vec::new();
    while told.is_empty() {
        told = totals(&rig.receive().await);
    }
    assert_eq!(told, [1.0], "{attack}");
    let health = rig.health();
    let tally = health.plugins.values().next().unwrap();
    assert_eq!((tally.state, tally.states_lost), (PluginState::Running, 1), "{attack}");
    drop(rig.end().await);
}

#[tokio::test]
async fn a_state_that_the_plugin_does_not_take_is_left_and_told() {
    let mut rig = Rig::start(vec![tally()]);
    assert_eq!(send(&mut rig, 10).await, [10.0]);
    let (_, states) = rig.end_with_states().await;
    check_lost("restore-error", "found what I wrote, expected something else", states.clone()).await;
    check_lost("restore-trap", "restore: wasm trap", states.clone()).await;
    check_lost("restore-spin", "restore ran longer than 2s", states.clone()).await;
    let cut = states.into_iter().map(|(name, bytes)| (name, bytes[..bytes.len() - 1].into())).collect();
    check_lost("", "what was kept cannot be read", cut).await;
}

#[tokio::test]
async fn a_state_that_kills_its_plugin_is_given_up() {
    let mut rig = Rig::start(vec![tally()]);
    assert_eq!(send(&mut rig, 10).await, [10.0]);
    let (_, states) = rig.end_with_states().await;
    let mut rig = Rig::start_with(vec![attacked("poisoned")], states);
    let mut tries = 0;
    let told = loop {
        tries += 1;
        assert!(tries < 400, "{:?}", rig.health());
        rig.send("meter", vec![rig.number("meter/power", 1.0)]).await;
        let told = totals(&rig.receive().await);
        if let [total] = told[..] {
            break total;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!((told, rig.health().plugins.values().next().unwrap().states_lost), (1.0, 1));
    drop(rig.end().await);
}
