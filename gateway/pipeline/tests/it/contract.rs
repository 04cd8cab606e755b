//! What was once built for a hub runs on this one. `plugins/wit` has the versions of the contract, and components that were built
//! against each when it was frozen.

use std::fs;
use std::path::{Path, PathBuf};

use curb_model::{Batch, Class, Reading, Sample, Value};
use curb_pipeline::{PluginConfig, PluginState, inspect};
use serde_json::{Value as Json, json};

use crate::rig::{Rig, States, plugin};

/// A component as it was built against a version.
pub(crate) fn kept(version: &str, name: &str) -> PathBuf {
    let components = format!("../../plugins/wit/{version}/components/{name}.wasm");
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(components)
}

/// Each reading: its point, its number if it has one, `?` behind one that is uncertain and `!` behind a bad one. Sorted: what a plugin
/// adds and what it lets pass are of two streams.
fn told(batches: &[Batch]) -> Vec<String> {
    let reading = |reading: &Reading| {
        let number = reading.sample.value().and_then(Value::as_f64).map_or_else(String::new, |n| n.to_string());
        let mark = match reading.sample {
            Sample::Good(_) => "",
            Sample::Uncertain(..) => "?",
            Sample::Bad(_) => "!",
        };
        format!("{}={number}{mark}", reading.point.name)
    };
    let mut told: Vec<_> = batches.iter().flat_map(|batch| &batch.readings).map(reading).collect();
    told.sort();
    told
}

/// Runs a component over these values of `meter/power`, a batch each, and gives all that comes of them.
async fn run(component: &Path, settings: Json, values: &[f64], states: States) -> (Vec<Batch>, States) {
    let config = PluginConfig { component: component.to_owned(), ..plugin("own", "deadband", "meter/*", settings) };
    let rig = Rig::start_with(vec![config], states);
    for value in values {
        rig.send("meter", vec![rig.number("meter/power", *value)]).await;
    }
    rig.eventually("running", |h| h.plugins.values().any(|p| p.state == PluginState::Running)).await;
    rig.end_with_states().await
}

/// Version, component, settings, whether it remembers, values, what comes of them in the order of the points' names.
type Case = (&'static str, &'static str, Json, bool, &'static [f64], &'static [&'static str]);

#[tokio::test]
async fn plugins_of_each_frozen_version_run_and_say_what_they_said() {
    let volts = json!({ "points": { "meter/power": { "min": 0, "max": 100 } } });
    let twice = json!({ "points": { "twice": "2 * meter/power" } });
    let over = json!({ "rules": { "over": { "point": "meter/power", "above": 100 } } });
    let cases: [Case; 5] = [
        ("0.1.0", "deadband", json!({ "default": 0.5 }), false, &[1.0, 1.2, 2.0], &["meter/power=1", "meter/power=2"]),
        ("0.1.0", "guard", volts, false, &[50.0, 150.0], &["meter/power=150?", "meter/power=50"]),
        ("0.1.0", "derive", twice, false, &[3.0], &["meter/power=3", "own/twice=6"]),
        (
            "0.1.0",
            "alarm",
            over,
            true,
            &[150.0, 50.0],
            &["meter/power=150", "meter/power=50", "own/over=0", "own/over=1"],
        ),
        ("0.1.0", "tally", json!({ "every": 2 }), true, &[1.0, 2.0, 3.0], &["meter/power=2", "own/total=2"]),
    ];
    for (version, name, settings, remembers, values, expected) in cases {
        let component = kept(version, name);
        assert_eq!(inspect(&component).unwrap().stateful, remembers, "{version} {name}");
        let (batches, states) = run(&component, settings, values, States::new()).await;
        let told = told(&batches);
        assert_eq!(
            (told, states.len()),
            (expected.iter().map(|&e| e.into()).collect(), usize::from(remembers)),
            "{name}"
        );
        let alarms = batches.iter().filter(|batch| batch.class == Class::Alarm).count();
        assert_eq!(alarms > 0, name == "alarm", "{version} {name}: alarms have a class of their own");
    }
}

#[tokio::test]
async fn what_a_plugin_of_a_frozen_version_remembers_its_successor_takes() {
    let tally = kept("0.1.0", "tally");
    let (_, states) = run(&tally, json!({ "every": 2 }), &[1.0, 2.0, 3.0], States::new()).await;
    let (batches, _) = run(&crate::rig::component("tally"), json!({ "every": 2 }), &[4.0], states).await;
    assert_eq!(told(&batches), ["meter/power=4", "own/total=4"]);
}

/// `tally`, as if it had been built against another version: its names are as long.
fn tally_of(version: &str) -> Vec<u8> {
    let mut bytes = fs::read(kept("0.1.0", "tally")).unwrap();
    let (old, new) = (b"@0.1.0", format!("@{version}"));
    assert_eq!(old.len(), new.len());
    let places: Vec<usize> = (0..bytes.len() - old.len()).filter(|&i| bytes[i..].starts_with(old)).collect();
    assert!(places.len() > 4, "{places:?}");
    for place in places {
        bytes[place..place + new.len()].copy_from_slice(new.as_bytes());
    }
    bytes
}

/// A component that calls what only a later version has.
const USES_WHAT_IS_NEW: &[u8] = br#"(component
    (import "curb:plugin/metrics@0.1.1" (instance (export "counter-reset" (func (param "name" string)))))
    (instance $transform)
    (export "curb:plugin/transform@0.1.1" (instance $transform)))"#;

#[tokio::test]
async fn a_component_of_another_version_runs_if_it_can_and_is_told_what_the_hub_speaks_if_not() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("tally.wasm");
    // Of the same track and nothing new in use: versions meet.
    fs::write(&component, tally_of("0.1.1")).unwrap();
    assert!(inspect(&component).unwrap().stateful);
    let (batches, states) = run(&component, json!({}), &[1.0], States::new()).await;
    assert_eq!((told(&batches), states.len()), (vec!["meter/power=1".to_owned(), "own/total=1".to_owned()], 1));

    for (bytes, words) in [
        (tally_of("0.2.0"), "made for curb:plugin@0.2.0, and this hub speaks 0.1.0"),
        (tally_of("1.1.0"), "made for curb:plugin@1.1.0, and this hub speaks 0.1.0"),
        (USES_WHAT_IS_NEW.to_vec(), "made for curb:plugin@0.1.1, and this hub speaks 0.1.0: "),
        (USES_WHAT_IS_NEW.to_vec(), "counter-reset"),
        (b"(component (import \"wasi:cli/stdin@0.2.0\" (instance)))".to_vec(), "imports wasi:cli/stdin@0.2.0"),
    ] {
        fs::write(&component, bytes).unwrap();
        let error = inspect(&component).expect_err(words);
        let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(why.contains(words), "{words}: {error}: {why}");
        let config = PluginConfig { component: component.clone(), ..plugin("own", "deadband", "meter/*", json!({})) };
        let rig = Rig::start(vec![config]);
        let health = rig.eventually("failed", |h| h.plugins.values().any(|p| p.state == PluginState::Failed)).await;
        assert!(health.faults[0].detail.contains(words), "{words}: {:?}", health.faults);
        drop(rig.end().await);
    }
}
