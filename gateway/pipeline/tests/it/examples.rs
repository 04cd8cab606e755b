//! The same small plugin in other languages (`plugins/examples`): a hub cannot tell three of them apart, and refuses the fourth.

#![expect(clippy::print_stderr, reason = "says which languages were run")]

use std::path::PathBuf;
use std::time::Duration;

use curb_model::{Batch, Fault, HubTime, Reason, Sample, Value};
use curb_pipeline::{COMPONENT_SIZE_MOST, Error, Health, Limits, PluginConfig, PluginState, inspect, inspect_within};
use serde_json::json;

use crate::contract::kept;
use crate::rig::{Rig, States, plugin};

/// Those that a hub runs, all of them within the limits that every plugin has. `make test` builds them, so that they must be there.
const LANGUAGES: [&str; 3] = ["rust", "c", "javascript"];

/// Batches of so many readings that a plugin which frees nothing would run out of what memory it has.
const BATCHES: u32 = 400;
const ROWS: u32 = 100;

/// As long as a hub gives a component for compiling, and more: a runtime takes seconds in a build for development.
const COMPILED: Duration = Duration::from_secs(40);

/// A hub that has run for 400 days: more nanoseconds than a number of JavaScript tells apart.
const OLD: HubTime = HubTime::from_nanos(400 * 86_400 * 1_000_000_000);

fn built(language: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../plugins/target/components");
    folder.join(format!("celsius-{language}.wasm"))
}

/// The example in this language, with these settings.
fn celsius(language: &str, settings: serde_json::Value) -> PluginConfig {
    let component = built(language);
    assert!(component.exists(), "{} is not there: run `make examples`", component.display());
    eprintln!("runs the example in {language}");
    PluginConfig { component, ..plugin("own", "deadband", "air/*", settings) }
}

fn numbers(batch: &Batch) -> Vec<(String, Option<f64>, Option<Reason>)> {
    let readings = batch.readings.iter();
    readings
        .map(|reading| {
            let reason = match &reading.sample {
                Sample::Good(_) => None,
                Sample::Uncertain(_, reason) | Sample::Bad(reason) => Some(*reason),
            };
            (reading.point.name.to_string(), reading.sample.value().and_then(Value::as_f64), reason)
        })
        .collect()
}

#[tokio::test]
async fn all_do_the_same() {
    for language in LANGUAGES {
        // A wrong setting first: compiled once, what comes is from the cache.
        let mut rig = Rig::start_at(vec![celsius(language, json!({ "limit": "hot" }))], States::new(), OLD);
        let is = |state| move |health: &Health| health.plugins.values().any(|plugin| plugin.state == state);
        let health = rig.within(COMPILED, "refused", is(PluginState::Failed)).await;
        let Fault { word, detail, .. } = &health.faults[0];
        assert_eq!(*word, "plugin-settings", "{language}: {detail}");
        assert!(detail.contains("limit: expected a number"), "{language}: {detail}");
        rig.apply(vec![celsius(language, json!({ "limit": 90.5 }))]);
        rig.within(COMPILED, "running", is(PluginState::Running)).await;

        let text = Sample::Good(Value::Text("rain".into()));
        let readings = vec![
            rig.number("air/pm", 68.0),
            rig.number("air/pm", 104.0),
            rig.reading("air/pm", Sample::Bad(Reason::Timeout)),
            rig.reading("air/pm", Sample::Uncertain(Value::from_f64(-40.0).unwrap(), Reason::Stale)),
            rig.reading("air/text", text),
        ];
        rig.send("air", readings).await;
        let mut batches = [rig.receive().await, rig.receive().await];
        batches.sort_by_key(|batch| batch.stream.as_str() == "own.values");
        let [passed, added] = batches;
        let point = |value, reason| ("air/pm".to_owned(), value, reason);
        let expected = [
            point(Some(68.0), None),
            point(Some(104.0), Some(Reason::Range)),
            point(None, Some(Reason::Timeout)),
            point(Some(-40.0), Some(Reason::Stale)),
        ];
        assert_eq!(numbers(&passed), expected, "{language}");
        assert_eq!(passed.dropped.iter().map(|dropped| dropped.count).sum::<u64>(), 1, "{language}: the text");
        let point = |value, reason| ("own/air-pm".to_owned(), Some(value), reason);
        let expected = [point(20.0, None), point(40.0, Some(Reason::Range)), point(-40.0, Some(Reason::Stale))];
        assert_eq!((numbers(&added), added.stream.as_str()), (expected.to_vec(), "own.values"), "{language}");
        assert_eq!(added.readings[0].point.unit.as_deref(), Some("Cel"), "{language}");

        // Many calls need no more memory than one.
        for _ in 0..BATCHES {
            rig.send("air", (0..ROWS).map(|n| rig.number("air/pm", f64::from(n % 80))).collect()).await;
            let got = (rig.receive().await.readings.len(), rig.receive().await.readings.len());
            assert_eq!(got, (100, 100), "{language}");
        }
        let health = rig.health();
        let own = health.plugins.values().next().unwrap();
        assert_eq!(
            (own.added, own.remarked, own.rejected, own.traps),
            (u64::from(BATCHES * ROWS) + 3, 1, 1, 0),
            "{language}: {health:?}"
        );
        assert_eq!(own.metrics.get("above"), Some(&1.0), "{language}");
        drop(rig.end().await);
    }
}

/// Of what takes seconds to compile the manifest is looked for in the file alone.
#[test]
fn all_say_what_settings_they_take() {
    for language in LANGUAGES {
        let file = std::fs::read(built(language)).unwrap();
        let name = if language == "rust" { "curb-plugin-celsius" } else { &format!("celsius-{language}") };
        let text = String::from_utf8_lossy(&file).replace([' ', '\n'], "");
        assert!(text.contains(&format!("curb-plugin{{\"name\":\"{name}\"")), "{language}");
        assert!(text.contains("\"required\":[\"limit\"]"), "{language}");
    }
    let manifest = inspect(&built("c")).unwrap().manifest.unwrap();
    assert_eq!(manifest.settings.unwrap()["required"], json!(["limit"]));
}

/// A component with five megabytes that nobody reads, as a runtime of another language might have.
#[tokio::test]
async fn a_large_runtime_is_taken_where_the_operator_grants_it() {
    const LARGE: u64 = 5 << 20;
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("large.wasm");
    let mut bytes = std::fs::read(kept("0.1.0", "deadband")).unwrap();
    // A custom section behind the component: its length in five bytes, and a name of one letter.
    let length = LARGE + 2;
    bytes.push(0);
    bytes.extend((0..5).map(|i| u8::try_from(length >> (7 * i) & 0x7f).unwrap() | if i < 4 { 0x80 } else { 0 }));
    bytes.extend(*b"\x01x");
    bytes.resize(bytes.len() + usize::try_from(LARGE).unwrap(), 0);
    std::fs::write(&component, bytes).unwrap();

    for (limit, passes) in [(Limits::default().component, false), (COMPONENT_SIZE_MOST, true)] {
        assert_eq!(inspect_within(&component, limit).is_ok(), passes, "{limit}");
        let limits = Limits { component: limit, ..Limits::default() };
        let config = plugin("own", "deadband", "air/*", json!({ "default": 5 }));
        let rig = Rig::start(vec![PluginConfig { component: component.clone(), limits, ..config }]);
        let state = if passes { PluginState::Running } else { PluginState::Failed };
        let health = rig.eventually("decided", |h| h.plugins.values().any(|p| p.state == state)).await;
        let word = health.faults.first().map(|fault| fault.word);
        assert_eq!(word, (!passes).then_some("plugin-failed"), "{limit}: {health:?}");
        drop(rig.end().await);
    }
}

/// It is built by `make examples IN=python` alone: there is nothing of it that a hub would run.
#[test]
fn a_whole_python_is_refused_by_its_size() {
    let component = built("python");
    if !component.exists() {
        eprintln!("the example in python is not built here");
        return;
    }
    let refused = inspect(&component);
    assert!(matches!(refused, Err(Error::ComponentTooLarge { .. })), "{refused:?}");
}
