//! The standard plugins as a hub runs them: in its engine, under its limits, with its ticks. What they decide is tested with them.

use std::time::Duration;

use curb_model::{Batch, Class, Reason, Sample, Value};
use curb_pipeline::{Engine, OnFailure, PluginConfig, PluginState, inspect};
use serde_json::json;

use crate::rig::{Rig, component, plugin};

const STANDARD: [&str; 7] = ["deadband", "guard", "alarm", "crowd", "derive", "window", "rate"];

/// What `name` has said of itself, as point and number; `None`: it is bad.
fn said(batch: &Batch, name: &str) -> Vec<(String, Option<f64>)> {
    let own = batch.readings.iter().filter(|reading| reading.point.name.owner().as_str() == name);
    own.map(|reading| (reading.point.name.point().to_string(), reading.sample.value().and_then(Value::as_f64)))
        .collect()
}

/// Receives until `name` has said so much.
async fn hear(rig: &mut Rig, name: &str, count: usize) -> Vec<(String, Option<f64>)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let batch = rig.receive().await;
        heard.extend(said(&batch, name));
    }
    heard
}

#[test]
fn each_is_a_component_that_says_what_it_takes() {
    for name in STANDARD {
        let inspected = inspect(&component(name)).unwrap();
        let manifest = inspected.manifest.unwrap_or_else(|| panic!("{name} has no manifest"));
        let settings = manifest.settings.unwrap();
        assert_eq!((manifest.name, manifest.withholds), (format!("curb-plugin-{name}"), name == "crowd"));
        assert_eq!(settings["additionalProperties"], false, "{name}: a slip of the pen is told");
        assert_eq!(inspected.stateful, ["alarm", "crowd", "window", "rate"].contains(&name), "{name}");
    }
}

#[tokio::test]
async fn guard_marks_and_lets_pass() {
    let settings = json!({ "points": { "meter/power": { "min": 0, "max": 100 } } });
    let mut rig = Rig::start(vec![plugin("guard", "guard", "meter/*", settings)]);
    let batch = rig.through("meter", [50.0, 150.0, 60.0].map(|n| rig.number("meter/power", n)).to_vec()).await;
    let samples: Vec<&Sample> = batch.readings.iter().map(|reading| &reading.sample).collect();
    assert!(
        matches!(samples[..], [Sample::Good(_), Sample::Uncertain(_, Reason::Range), Sample::Good(_)]),
        "{samples:?}"
    );
    drop(rig.end().await);
}

#[tokio::test]
async fn alarm_is_of_its_own_class_and_a_delay_ends_by_a_tick() {
    let rules = json!({ "rules": { "over": { "point": "meter/power", "above": 100, "after": "500ms" } } });
    let mut rig = Rig::start(vec![plugin("watch", "alarm", "meter/*", rules)]);
    rig.send("meter", vec![rig.number("meter/power", 150.0)]).await;
    // Nothing more is read.
    let raised = loop {
        let batch = rig.receive().await;
        if batch.class == Class::Alarm {
            break batch;
        }
    };
    assert_eq!((raised.stream.as_str(), said(&raised, "watch")), ("watch.alarm", vec![("over".to_owned(), Some(1.0))]));
    rig.send("meter", vec![rig.number("meter/power", 50.0)]).await;
    assert_eq!(hear(&mut rig, "watch", 1).await, [("over".to_owned(), Some(0.0))]);
    drop(rig.end().await);
}

#[tokio::test]
async fn derive_computes_over_points_of_a_batch() {
    let settings = json!({ "points": { "sum": { "expr": "meter/power + 2 * meter/volts", "unit": "W" } } });
    let mut rig = Rig::start(vec![plugin("sums", "derive", "meter/*", settings)]);
    rig.send("meter", vec![rig.number("meter/power", 5.0), rig.number("meter/volts", 10.0)]).await;
    // The first result may lack an input that was read a moment later.
    let heard = hear(&mut rig, "sums", 1).await;
    let last = if heard[0].1 == Some(25.0) { heard } else { hear(&mut rig, "sums", 1).await };
    assert_eq!(last, [("sum".to_owned(), Some(25.0))]);
    drop(rig.end().await);
}

#[tokio::test]
async fn rate_goes_on_over_a_restart() {
    let settings = json!({ "per": "s", "max_gap": "1h" });
    let rate = || plugin("speed", "rate", "meter/power", settings.clone());
    let mut rig = Rig::start(vec![rate()]);
    rig.send("meter", vec![rig.number("meter/power", 1_000.0)]).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    rig.send("meter", vec![rig.number("meter/power", 1_001.0)]).await;
    let (_, value) = hear(&mut rig, "speed", 1).await.remove(0);
    let per_second = value.unwrap();
    assert!((1.0..=50.0).contains(&per_second), "1 in 20 ms or more: {per_second}");
    let (_, states) = rig.end_with_states().await;
    assert_eq!(states.len(), 1);
    let rig = Rig::start_with(vec![rate()], states);
    let health = rig.eventually("running", |h| h.plugins.values().all(|p| p.state == PluginState::Running)).await;
    assert_eq!(health.plugins.values().map(|p| p.states_lost).sum::<u64>(), 0);
    drop(rig.end().await);
}

#[tokio::test]
async fn window_closes_by_a_tick_when_a_device_falls_silent() {
    let settings = json!({ "every": "1s", "lateness": "0s", "stats": ["count"] });
    let mut rig = Rig::start(vec![plugin("window", "window", "meter/power", settings)]);
    rig.send("meter", [1.0, 2.0, 3.0].map(|n| rig.number("meter/power", n)).to_vec()).await;
    let mut count = 0.0;
    while count < 3.0 {
        count += hear(&mut rig, "window", 1).await.iter().filter_map(|(_, value)| *value).sum::<f64>();
    }
    assert_eq!(count, 3.0);
    drop(rig.end().await);
}

#[tokio::test]
async fn the_interpreter_gives_what_the_machines_own_code_gives() {
    let settings = json!({ "points": { "sum": { "expr": "meter/power * 1.8 + 32 - meter/volts / 7" } } });
    let mut heard = Vec::new();
    for engine in [Engine::Cranelift, Engine::Pulley] {
        let sums = plugin("sums", "derive", "meter/*", settings.clone());
        let tally = plugin("tally", "tally", "meter/*", json!({ "every": 3 }));
        let plugins = [sums, tally].map(|plugin| PluginConfig { engine, ..plugin }).to_vec();
        let rig = Rig::start(plugins.clone());
        for n in 0..20 {
            let readings = ["meter/power", "meter/volts"].map(|point| rig.number(point, f64::from(n) * 0.37));
            rig.send("meter", readings.to_vec()).await;
        }
        let (rest, states) = rig.end_with_states().await;
        let told = rest.iter().flat_map(|batch| [said(batch, "sums"), said(batch, "tally")].concat());
        heard.push(told.map(|(_, value)| value.map(f64::to_bits)).collect::<Vec<_>>());
        // What one remembers the other goes on with: that is how a hub changes.
        let other = if engine == Engine::Pulley { Engine::Cranelift } else { Engine::Pulley };
        let plugins = plugins.into_iter().map(|plugin| PluginConfig { engine: other, ..plugin }).collect();
        let mut rig = Rig::start_with(plugins, states);
        let readings = [1.0, 2.0].map(|n| rig.number("meter/power", n)).to_vec();
        rig.send("meter", readings).await;
        assert_eq!(hear(&mut rig, "tally", 1).await, [("total".to_owned(), Some(42.0))], "40 were seen before");
        assert_eq!(rig.health().plugins.values().map(|plugin| plugin.traps).sum::<u64>(), 0);
        drop(rig.end().await);
    }
    assert!(heard[0].len() > 30, "{heard:?}");
    assert_eq!(heard[0], heard[1]);
}

#[tokio::test]
async fn the_interpreter_stops_what_does_not_stop() {
    for (attack, words) in [("spin", "longer than 250ms"), ("bomb", "bytes of memory"), ("recursion", "process:")] {
        let bad =
            PluginConfig { engine: Engine::Pulley, ..plugin("bad", "hostile", "air/*", json!({ "attack": attack })) };
        let mut rig = Rig::start(vec![bad]);
        rig.through("air", vec![rig.number("air/pm", 1.0)]).await;
        let said = format!("{:?}", rig.health().faults);
        assert!(said.contains("plugin-trapped") && said.contains(words), "{attack}: {said}");
        assert_eq!(rig.health().restarts, 0, "{attack}: the host died of it");
        drop(rig.end().await);
    }
}

#[tokio::test]
async fn of_crowd_nothing_raw_passes_not_even_when_it_fails() {
    let fine = json!({ "kind": "sum", "mode": "noise", "epsilon": 1, "budget": 96 });
    for (settings, state) in [(fine, PluginState::Running), (json!({ "kind": "none" }), PluginState::Failed)] {
        let crowd = PluginConfig { on_failure: OnFailure::Pass, ..plugin("people", "crowd", "meter/power", settings) };
        let mut rig = Rig::start(vec![crowd]);
        for n in 0..5 {
            let readings = vec![rig.number("meter/power", f64::from(n)), rig.number("meter/volts", 230.0)];
            let batch = rig.through("meter", readings).await;
            let points: Vec<String> = batch.readings.iter().map(|reading| reading.point.name.to_string()).collect();
            assert_eq!(points, ["meter/volts"], "{state:?}");
        }
        assert_eq!(rig.health().plugins.values().next().unwrap().state, state);
        drop(rig.end().await);
    }
}
