//! The worst plugin hurts nobody but its own stream.

use std::time::{Duration, Instant};

use curb_model::GapReason;
use curb_pipeline::{OnFailure, PluginConfig, PluginState};
use serde_json::json;

use crate::rig::{Rig, plugin};

/// Beside every attack on `air` a deadband works on `meter`.
fn plugins(attack: &str, on_failure: OnFailure) -> Vec<PluginConfig> {
    let bad = PluginConfig { on_failure, ..plugin("bad", "hostile", "air/*", json!({ "attack": attack })) };
    vec![bad, plugin("quiet", "deadband", "meter/*", json!({ "default": 0.5 }))]
}

fn trap_text(rig: &Rig) -> String {
    rig.health().faults.iter().map(|fault| format!("{}: {}", fault.word, fault.detail)).collect::<Vec<_>>().join("; ")
}

/// The attack costs the batch that it is made on, is told of with these words, and nobody else notices.
async fn check(attack: &str, traps: u64, words: &str) {
    let mut rig = Rig::start(plugins(attack, OnFailure::Drop));
    rig.through("meter", vec![rig.number("meter/power", 0.0)]).await;
    let host = rig.health().host_pid;
    rig.send("air", vec![rig.number("air/pm", 1.0)]).await;
    let mut slowest = Duration::ZERO;
    let mut hit = None;
    for i in 1..40 {
        let begun = Instant::now();
        rig.send("meter", vec![rig.number("meter/power", f64::from(i))]).await;
        loop {
            let batch = rig.receive().await;
            if batch.stream.as_str() == "meter" {
                assert_eq!(batch.readings.len(), 1, "{attack}");
                break;
            }
            hit = Some(batch);
        }
        slowest = slowest.max(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(slowest < Duration::from_millis(150), "{attack}: the other plugin was held up for {slowest:?}");
    let hit = match hit {
        Some(hit) => hit,
        None => rig.receive().await,
    };
    assert_eq!(
        hit.dropped.iter().map(|d| (d.reason, d.count)).collect::<Vec<_>>(),
        [(GapReason::Plugin, 1)],
        "{attack}"
    );
    let said = trap_text(&rig);
    assert!(said.contains("plugin-trapped") && said.contains(words), "{attack}: {said}");
    let health = rig.health();
    let [bad, quiet] = [health.plugins.values().next().unwrap(), health.plugins.values().nth(1).unwrap()];
    assert_eq!((bad.traps, bad.dropped, quiet.traps, quiet.kept), (traps, 1, 0, 40), "{attack}");
    assert_eq!((health.host_pid, health.restarts), (host, 0), "{attack}: the host died of it");
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn a_plugin_that_spins_is_stopped_in_time() {
    check("spin", 2, "longer than 250ms").await;
}

#[tokio::test]
async fn a_memory_bomb_stops_at_its_limit() {
    check("bomb", 2, "bytes of memory (limit 8388608)").await;
}

#[tokio::test]
async fn endless_recursion_ends_in_a_trap() {
    check("recursion", 2, "process:").await;
}

#[tokio::test]
async fn a_forged_row_number_is_a_trap() {
    check("forge", 2, "answer names row").await;
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_a_trap() {
    check("huge", 2, "process:").await;
    check("add-flood", 2, "adds 5000 readings (limit 1000)").await;
}

#[tokio::test]
async fn a_host_that_runs_a_bomb_stays_small() {
    let mut rig = Rig::start(plugins("bomb", OnFailure::Pass));
    for i in 0..20 {
        rig.through("air", vec![rig.number("air/pm", f64::from(i))]).await;
    }
    let pid = rig.health().host_pid.unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 80_000, "resident at most {peak} kB");
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn one_trap_in_a_while_costs_nothing() {
    let mut rig = Rig::start(plugins("trap-third", OnFailure::Drop));
    for i in 0..9 {
        let batch = rig.through("air", vec![rig.number("air/pm", f64::from(i))]).await;
        assert_eq!(batch.readings.len(), 1);
    }
    let health = rig.health();
    let bad = health.plugins.values().next().unwrap();
    // A fresh instance counts from one: the third call of each traps, and is made again as the first of the next.
    assert_eq!((bad.traps, bad.kept, bad.dropped), (4, 9, 0));
    assert_eq!(bad.state, PluginState::Running);
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn a_plugin_that_declines_meets_its_policy() {
    let mut rig = Rig::start(plugins("decline", OnFailure::Pass));
    let batch = rig.through("air", vec![rig.number("air/pm", 1.0)]).await;
    assert_eq!((batch.readings.len(), batch.dropped.len()), (1, 0));
    let health = rig.health();
    let bad = health.plugins.values().next().unwrap();
    assert_eq!((bad.declined, bad.bypassed, bad.traps), (1, 1, 0));
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn a_log_flood_is_cut_and_harms_nobody() {
    let mut rig = Rig::start(plugins("log-flood", OnFailure::Drop));
    let batch = rig.through("air", vec![rig.number("air/pm", 1.0)]).await;
    assert_eq!(batch.readings.len(), 1);
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn readings_that_a_plugin_makes_go_to_its_own_stream() {
    let mut rig = Rig::start(plugins("add", OnFailure::Drop));
    rig.send("air", vec![rig.number("air/pm", 1.0)]).await;
    let (one, other) = (rig.receive().await, rig.receive().await);
    let (air, own) = if one.stream.as_str() == "air" { (one, other) } else { (other, one) };
    assert_eq!((air.readings.len(), air.counts.read), (1, 1));
    assert_eq!((own.stream.as_str(), own.readings.len(), own.counts.read), ("bad.out", 2, 2));
    assert_eq!(own.readings[0].point.name.to_string(), "bad/noise");
    assert_eq!(rig.pipeline.points().len(), 1);
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn a_plugin_that_cannot_start_is_told_of_in_a_word() {
    let cases = [("bad-settings", "plugin-settings"), ("spin-init", "plugin-trapped")];
    for (attack, word) in cases {
        let mut plugins = plugins(attack, OnFailure::Pass);
        plugins[0].limits.init_time = Duration::from_millis(100);
        let mut rig = Rig::start(plugins);
        let batch = rig.through("air", vec![rig.number("air/pm", 1.0)]).await;
        assert_eq!(batch.readings.len(), 1, "{attack}");
        assert!(rig.health().faults.iter().any(|fault| fault.word == word), "{attack}: {:?}", rig.health());
        assert_eq!(rig.end().await, []);
    }
}
