//! The deadband component against its rule, told again in other words.

use std::collections::HashMap;
use std::time::Duration;

use curb_model::{Reading, Reason, Sample, Value};
use curb_pipeline::PluginState;
use serde_json::json;

use crate::rig::{Rig, plugin};

/// Which of the readings pass, with these thresholds and this longest silence.
fn expected(readings: &[Reading], threshold: impl Fn(&str) -> f64, silence: Option<Duration>) -> Vec<Reading> {
    let mut last: HashMap<String, Reading> = HashMap::new();
    let mut passed = Vec::new();
    for reading in readings {
        let name = reading.point.name.to_string();
        let pass = match (last.get(&name), &reading.sample) {
            (None, _) | (_, Sample::Bad(_)) => true,
            (Some(before), sample) => {
                let silent = silence.is_some_and(|longest| reading.at.since(before.at) >= longest);
                let requalified =
                    before.sample.reason() != sample.reason() || before.sample.is_good() != sample.is_good();
                let number = |sample: &Sample| match sample.value() {
                    Some(Value::Bool(_)) | None => None,
                    Some(value) => value.as_f64(),
                };
                let moved = match (number(&before.sample), number(sample)) {
                    (Some(then), Some(now)) => (now - then).abs() >= threshold(&name),
                    _ => before.sample.value() != sample.value(),
                };
                silent || requalified || moved
            }
        };
        if pass {
            last.insert(name, reading.clone());
            passed.push(reading.clone());
        }
    }
    passed
}

fn walk(rig: &Rig, seed: u64, rows: usize) -> Vec<Reading> {
    let mut state = seed;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    (0..rows)
        .map(|_| {
            let point = ["meter/power", "meter/volts"][usize::try_from(next(2)).unwrap()];
            let value = Value::from_f64(f64::from(u32::try_from(next(40)).unwrap()) / 4.0).unwrap();
            let sample = match next(10) {
                0 => Sample::Bad(Reason::Timeout),
                1 => Sample::Bad(Reason::Exception(2)),
                2 => Sample::Uncertain(value, Reason::Range),
                3 => Sample::Good(Value::I64(7)),
                4 => Sample::Good(Value::U64(u64::MAX)),
                5 => Sample::Good(Value::Bool(next(2) == 0)),
                6 => Sample::Good(Value::Text(["on", "off"][usize::try_from(next(2)).unwrap()].into())),
                _ => Sample::Good(value),
            };
            rig.reading(point, sample)
        })
        .collect()
}

#[tokio::test]
async fn the_component_does_what_the_rule_says() {
    let settings = json!({ "default": 0.5, "points": { "meter/power": 5.0 }, "max_silence": "50ms" });
    let mut rig = Rig::start(vec![plugin("quiet", "deadband", "meter/*", settings)]);
    let threshold = |name: &str| if name == "meter/power" { 5.0 } else { 0.5 };
    let (mut sent, mut came, mut filtered) = (Vec::new(), Vec::new(), 0);
    for round in 0..40 {
        let readings = walk(&rig, round, 50);
        sent.extend(readings.iter().cloned());
        let batch = rig.through("meter", readings).await;
        assert_eq!(batch.counts.read, 50);
        filtered += batch.counts.filtered;
        came.extend(batch.readings);
    }
    let expected = expected(&sent, threshold, Some(Duration::from_millis(50)));
    assert_eq!(came, expected);
    assert_eq!(usize::try_from(filtered).unwrap(), sent.len() - expected.len());
    let health = &rig.health().plugins.into_values().next().unwrap();
    assert_eq!((health.state, health.traps, health.filtered), (PluginState::Running, 0, filtered));
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn a_point_that_no_plugin_names_passes_untouched() {
    let mut rig = Rig::start(vec![plugin("quiet", "deadband", "meter/power", json!({ "default": 1e6 }))]);
    let readings: Vec<Reading> = (0..10).map(|i| rig.number(["meter/power", "meter/volts"][i % 2], 1.0)).collect();
    let batch = rig.through("meter", readings.clone()).await;
    assert_eq!(batch.counts.filtered, 4);
    assert_eq!(batch.readings.len(), 6);
    assert_eq!(batch.readings[0], readings[0]);
    assert!(batch.readings[1..].iter().all(|reading| reading.point.name.point().as_str() == "volts"));
    assert_eq!(rig.end().await, []);
}
