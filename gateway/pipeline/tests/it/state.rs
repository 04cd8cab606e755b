//! Plugins with state, as real components: what they remember outlives them, and state cannot be made a weapon.

use curb_model::{Batch, Sample, Value};
use curb_pipeline::{Health, OnFailure, PluginConfig, PluginState};
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
        // The count comes beside the reading that it came with.
        if !batch.readings.is_empty() {
            let other = rig.receive().await;
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
async fn a_change_of_settings_costs_not_one_reading_of_what_is_remembered() {
    let mut rig = Rig::start(vec![tally()]);
    assert_eq!(send(&mut rig, 17).await, [10.0]);
    // Batches are on their way while the configuration changes.
    for n in 0..8u32 {
        rig.send("meter", vec![rig.number("meter/power", f64::from(n))]).await;
        if n == 3 {
            rig.apply(vec![plugin("tally", "tally", "meter/*", json!({ "every": 1 }))]);
        }
    }
    let mut told = Vec::new();
    while told.last() != Some(&25.0) {
        told.extend(totals(&rig.receive().await));
    }
    let first = told[0];
    let expected: Vec<f64> = (0..).map(|n| first + f64::from(n)).take(told.len()).collect();
    assert_eq!(told, expected, "each from then on");
    assert_eq!(rig.health().plugins.values().next().unwrap().traps, 0);
    drop(rig.end().await);
}

#[tokio::test]
async fn a_plugin_that_is_removed_gives_out_what_it_held_back_and_is_forgotten() {
    let mut rig = Rig::start(vec![tally()]);
    assert_eq!(send(&mut rig, 13).await, [10.0]);
    rig.apply(vec![]);
    assert_eq!(totals(&rig.receive().await), [13.0]);
    rig.eventually("gone", |health| health.plugins.is_empty() && health.host_pid.is_none()).await;
    // It comes back, and knows nothing: what it has told is told.
    rig.apply(vec![tally()]);
    rig.eventually("back", |health| health.plugins.values().any(|p| p.state == PluginState::Running)).await;
    assert_eq!(send(&mut rig, 10).await, [10.0]);
    let (rest, states) = rig.end_with_states().await;
    assert_eq!((rest.len(), states.len()), (0, 1));
}

#[tokio::test]
async fn a_tick_comes_although_nothing_is_read() {
    let ticking = plugin("tally", "tally", "meter/*", json!({ "every": 1000, "tick_ms": 150 }));
    let mut rig = Rig::start(vec![ticking]);
    for n in 1..4u32 {
        rig.send("meter", vec![rig.number("meter/power", 1.0)]).await;
        let mut told = Vec::new();
        while told.is_empty() {
            told = totals(&rig.receive().await);
        }
        assert_eq!(told, [f64::from(n)]);
    }
    drop(rig.end().await);
}

#[tokio::test]
async fn bad_manners_with_time_are_the_plugins_own_affair() {
    for (attack, tick_ms, word, words) in [
        ("tick-spin", 100, "plugin-trapped", "tick ran longer than 250ms"),
        ("tick-trap", 100, "plugin-trapped", "tick: panicked at tally/src/lib.rs:"),
        ("tick-error", 100, "plugin-trapped", "tick: not today"),
        ("", 99, "plugin-settings", "asks for ticks each 99 ms, expected 100 or more"),
    ] {
        let settings = json!({ "every": 1, "attack": attack, "tick_ms": tick_ms });
        let bad = plugin("tally", "tally", "meter/*", settings);
        let mut rig = Rig::start(vec![bad, plugin("quiet", "deadband", "air/*", json!({}))]);
        let told = |health: &Health| health.faults.iter().any(|f| f.word == word && f.detail.contains(words));
        rig.eventually(attack, told).await;
        // With what it cannot see it has nothing to do; what it can see passes.
        assert_eq!(rig.through("air", vec![rig.number("air/pm", 1.0)]).await.readings.len(), 1);
        rig.send("meter", vec![rig.number("meter/power", 1.0)]).await;
        while rig.receive().await.stream.as_str() != "meter" {}
        drop(rig.end().await);
    }
    // Its last word is lost if it cannot say it, and nobody waits for it for long.
    for attack in ["finish-spin", "finish-trap", "finish-error"] {
        let bad = plugin("tally", "tally", "meter/*", json!({ "every": 10, "attack": attack }));
        let mut rig = Rig::start(vec![bad]);
        assert_eq!(send(&mut rig, 3).await, [] as [f64; 0]);
        rig.apply(vec![]);
        rig.eventually("gone", |health| health.plugins.is_empty()).await;
        assert_eq!(rig.through("meter", vec![rig.number("meter/power", 1.0)]).await.readings.len(), 1);
        assert_eq!(rig.end().await, []);
    }
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
    check_trap("snapshot-trap", "snapshot: panicked at tally/src/lib.rs:").await;
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
    check_lost("restore-error", "not today", states.clone()).await;
    check_lost("restore-trap", "restore: panicked at tally/src/lib.rs:", states.clone()).await;
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
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!((told, rig.health().plugins.values().next().unwrap().states_lost), (1.0, 1));
    drop(rig.end().await);
}

#[tokio::test]
async fn one_reading_that_it_cannot_handle_costs_that_reading_and_no_count() {
    for (attack, on_failure, traps) in
        [("poison-trap", OnFailure::Drop, 5), ("poison-trap", OnFailure::Pass, 5), ("poison-error", OnFailure::Drop, 0)]
    {
        let settings = json!({ "every": 2, "attack": attack });
        let mut rig = Rig::start(vec![PluginConfig { on_failure, ..plugin("tally", "tally", "meter/*", settings) }]);
        let mut told = Vec::new();
        // One is seen before; then a batch of eight with one among them; then one more.
        for values in [&[1.0][..], &[1.0, 2.0, 3.0, 4.0, 5.0, 666.0, 7.0, 8.0], &[1.0]] {
            let readings = values.iter().map(|value| rig.number("meter/power", *value)).collect();
            rig.send("meter", readings).await;
        }
        let mut dropped = 0;
        while told.len() < 4 {
            let batch = rig.receive().await;
            told.extend(totals(&batch));
            dropped += batch.dropped.iter().map(|dropped| dropped.count).sum::<u64>();
        }
        // Nine readings that it can handle: seven of the eight, although it began anew many times between.
        assert_eq!(told, [2.0, 4.0, 6.0, 8.0], "{attack}");
        let health = rig.eventually("told", |health| health.faults.iter().any(|f| f.word == "plugin-poison")).await;
        assert!(health.faults[0].detail.contains("1 readings of meter/power"), "{:?}", health.faults);
        let tally = health.plugins.values().next().unwrap().clone();
        assert_eq!((tally.poison, tally.traps, tally.state), (1, traps, PluginState::Running), "{attack}");
        let expected = if on_failure == OnFailure::Pass { (0, 1) } else { (1, 0) };
        assert_eq!((tally.rejected, tally.bypassed), expected, "{attack}");
        let rest: u64 = rig.end().await.iter().flat_map(|batch| &batch.dropped).map(|dropped| dropped.count).sum();
        assert_eq!(dropped + rest, tally.rejected, "{attack}");
    }
}
