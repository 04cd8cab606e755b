//! One plugin alone: the same readings bring the same bytes, and what a hub could not handle fails here in the same words.

use std::sync::Arc;
use std::time::Duration;

use curb_model::{Batch, Class, Glob, HubTime, PointName, PointSet, Reading, Sample, Stream, UtcOffset, Value};
use curb_pipeline::{Bundle, Call, Engine, OnFailure, PluginConfig, Policy, Runner, RunnerError, Said, Text, measure};
use serde_json::json;

use crate::rig::{Rig, host, plugin, point};

fn points() -> PointSet {
    ["meter/power", "meter/volts"].map(point).into_iter().collect()
}

/// Rounds of both points, each half a second behind the other, on a hub that learns the time half way.
fn rounds(count: u32) -> Vec<Batch> {
    let points = points();
    let round = |n: u32| {
        let at = |shift: u32| HubTime::from_nanos(i64::from(n) * 500_000_000 + i64::from(shift));
        let reading = |(shift, point): (u32, &Arc<_>)| Reading {
            point: Arc::clone(point),
            at: at(shift),
            sample: Sample::Good(Value::from_f64(f64::from((n * 7 + shift) % 13) / 3.0).unwrap()),
        };
        let offset = (n > count / 2).then(|| UtcOffset::from_nanos(1_700_000_000_000_000_000));
        let readings = (0..).zip(points.iter()).map(reading).collect();
        Batch::read(Stream::parse("meter").unwrap(), Class::Data, offset, readings)
    };
    (0..count).map(round).collect()
}

/// All that comes out of a plugin, and what is said.
async fn run(config: &PluginConfig, batches: &[Batch]) -> (Vec<Batch>, Vec<Said>) {
    let mut runner = Runner::start(config.clone(), &points(), HubTime::ZERO, &host()).await.unwrap();
    let mut out = Vec::new();
    for batch in batches {
        out.extend(runner.take(batch.clone()).await.unwrap());
    }
    out.extend(runner.finish().await.unwrap());
    assert!(out.iter().all(Batch::closes));
    (out, runner.said())
}

#[tokio::test]
async fn the_same_readings_bring_the_same_bytes_under_either_engine() {
    let batches = rounds(60);
    for (file, settings, least) in [
        ("deadband", json!({ "default": 1.0 }), 20),
        ("tally", json!({ "every": 7, "tick_ms": 300 }), 50),
        ("window", json!({ "every": "5s", "stats": ["mean", "p95"], "raw": "keep", "names": {} }), 100),
        ("tally", json!({ "every": 3, "attack": "poison-trap", "tick_ms": 0 }), 10),
    ] {
        let config = plugin("mine", file, "meter/*", settings);
        let first = run(&config, &batches).await;
        assert!(first.0.iter().map(|batch| batch.readings.len()).sum::<usize>() >= least, "{file}: {first:?}");
        assert_eq!(first, run(&config, &batches).await, "{file}");
        let interpreted = PluginConfig { engine: Engine::Pulley, ..config };
        assert_eq!(first, run(&interpreted, &batches).await, "{file}");
    }
}

#[tokio::test]
async fn ticks_come_by_the_time_of_the_readings_and_the_last_word_at_their_end() {
    // It tells at a tick what it has not told: one a second, and two readings a second.
    let config = plugin("tally", "tally", "meter/power", json!({ "every": 1000, "tick_ms": 1000 }));
    let (out, said) = run(&config, &rounds(6)).await;
    let told: Vec<(i64, f64)> = out
        .iter()
        .flat_map(|batch| &batch.readings)
        .filter(|reading| reading.point.name.owner().as_str() == "tally")
        .map(|r| (r.at.as_nanos() / 1_000_000, r.sample.value().unwrap().as_f64().unwrap()))
        .collect();
    assert_eq!((told, said), (vec![(1000, 2.0), (2000, 4.0), (2500, 6.0)], vec![]));
}

#[tokio::test]
async fn what_goes_wrong_is_said_in_the_words_of_a_hub() {
    for (attack, words) in [
        ("trap-third", "process: wasm trap"),
        ("spin", "process ran longer than 20ms"),
        ("forge", "answer names row 9 of 2"),
        ("decline", "not today"),
    ] {
        let mut config = plugin("bad", "hostile", "meter/*", json!({ "attack": attack }));
        if attack == "spin" {
            config.limits.call_time = Duration::from_millis(20);
        }
        let (out, said) = run(&config, &rounds(4)).await;
        // They pass, as the operator says, and are all there.
        assert_eq!(out.iter().map(|batch| batch.readings.len()).sum::<usize>(), 8, "{attack}");
        let said: Vec<String> = said.iter().map(|said| format!("{said:?}")).collect();
        assert!(said.iter().any(|said| said.contains(words)), "{attack}: {said:?}");
    }
    let start = async |file: &str, settings| {
        Runner::start(plugin("x", file, "*", settings), &points(), HubTime::ZERO, &host()).await
    };
    let refused = start("hostile", json!({ "attack": "bad-settings" })).await;
    assert!(matches!(&refused, Err(RunnerError::Settings(text)) if text.contains("expected mercy")), "{refused:?}");
    let none = PluginConfig { component: "/nowhere.wasm".into(), ..plugin("x", "hostile", "*", json!({})) };
    let absent = Runner::start(none, &points(), HubTime::ZERO, &host()).await;
    assert!(matches!(&absent, Err(RunnerError::Component(text)) if text.contains("nowhere.wasm")), "{absent:?}");
}

/// A hub whose plugin has counted some readings meets one that it cannot handle; what is kept of that.
async fn poisoned(policy: Policy, on_failure: OnFailure, values: &[&[f64]]) -> (String, Vec<Bundle>) {
    let settings = json!({ "every": 2, "attack": "poison-trap" });
    let tally = PluginConfig { on_failure, ..plugin("tally", "tally", "meter/*", settings) };
    let rig = Rig::start_under(policy, vec![tally]);
    for values in values {
        rig.send("meter", values.iter().map(|value| rig.number("meter/power", *value)).collect()).await;
    }
    let health = rig.eventually("told", |health| health.plugins.values().any(|tally| tally.bundle.is_some())).await;
    let detail = health.faults[0].detail.clone();
    assert!(rig.bundles.is_empty());
    let bundles = rig.end_with_bundles().await;
    (detail, bundles)
}

#[tokio::test]
async fn what_a_hub_could_not_handle_fails_here_in_the_same_words() {
    for values in [&[&[1.0, 2.0, 3.0][..], &[4.0], &[5.0, 666.0, 7.0, 8.0]][..], &[&[1.0], &[666.0]]] {
        let (told, bundles) = poisoned(Policy::default(), OnFailure::Drop, values).await;
        let [bundle] = &bundles[..] else { panic!("{bundles:?}") };
        let file = bundle.file_name();
        assert!(told.starts_with(&bundle.detail) && told.ends_with(&format!("{file} reproduces it")), "{told}");
        assert_eq!((bundle.plugin.seed.len(), bundle.left_out), (0, curb_pipeline::LeftOut::default()));
        for engine in [Engine::Cranelift, Engine::Pulley] {
            let mut here = bundle.clone();
            (here.plugin.engine, here.plugin.seed) = (engine, vec![0; 32]);
            let (mut runner, out) = Runner::replay(&here, &host()).await.unwrap();
            let expected = Said::Trouble { word: bundle.word.clone(), detail: bundle.detail.clone() };
            let said = runner.said();
            assert_eq!(said.last(), Some(&expected), "{said:?}");
            // It goes on from what it had counted: the replay tells what the hub told.
            let told: Vec<f64> = out
                .iter()
                .flat_map(|batch| &batch.readings)
                .filter(|reading| reading.point.name.owner().as_str() == "tally")
                .filter_map(|reading| reading.sample.value()?.as_f64())
                .collect();
            assert_eq!(told, if values.len() == 3 { vec![6.0] } else { vec![] });
        }
        assert_eq!(bundle.word, if values.len() == 3 { "plugin-poison" } else { "plugin-trapped" });
    }
}

#[tokio::test]
async fn nothing_is_in_a_bundle_that_must_not_leave_the_hub() {
    let values: &[&[f64]] = &[&[1.0, 2.0], &[5.0, 666.0, 7.0]];
    let deny = Policy { deny: vec![Glob::parse("meter/power").unwrap()], ..Policy::default() };
    let (_, bundles) = poisoned(deny, OnFailure::Pass, values).await;
    assert!(bundles[0].left_out.readings >= 3 && bundles[0].left_out.state, "{:?}", bundles[0].left_out);
    let readings = |call: &Call| match call {
        Call::Batch { readings, .. } => readings.len(),
        Call::Tick { .. } => 0,
    };
    assert_eq!((bundles[0].calls.iter().map(readings).sum::<usize>(), bundles[0].state.is_some()), (0, false));
    // It does not fail without them, and does not pretend to.
    let (mut runner, _) = Runner::replay(&bundles[0], &host()).await.unwrap();
    assert_eq!(runner.said(), []);
    // A state can have a text in it.
    let (_, bundles) = poisoned(Policy { text: Text::Deny, ..Policy::default() }, OnFailure::Pass, values).await;
    assert_eq!((bundles[0].left_out.readings, bundles[0].left_out.state), (0, true));
}

#[tokio::test]
async fn one_bundle_is_made_of_what_goes_on_and_on() {
    let values = [&[5.0, 666.0][..]; 12];
    let (_, bundles) = poisoned(Policy::default(), OnFailure::Drop, &values).await;
    assert_eq!(bundles.len(), 1);
}

#[test]
fn fuel_is_the_same_each_time() {
    let name = PointName::parse("meter/power").unwrap();
    let readings: Vec<Reading> =
        rounds(50).into_iter().flat_map(|batch| batch.readings).filter(|reading| reading.point.name == name).collect();
    let config = plugin("mine", "deadband", "*", json!({ "default": 0.5 }));
    let once = measure(&config, &readings, &[1, 100]).unwrap();
    let again = measure(&config, &readings, &[1, 100]).unwrap();
    let fuel = |measured: &[curb_pipeline::Measured]| measured.iter().map(|m| m.fuel).collect::<Vec<_>>();
    assert_eq!(fuel(&once), fuel(&again));
    assert!(once[0].fuel > once[1].fuel && once[1].fuel > 1.0 && once[1].ns > 0.0, "{once:?}");
    let bad = plugin("bad", "hostile", "*", json!({ "attack": "decline" }));
    let refused = measure(&bad, &readings, &[1]);
    assert!(matches!(&refused, Err(RunnerError::Failed(text)) if text == "not today"), "{refused:?}");
}
