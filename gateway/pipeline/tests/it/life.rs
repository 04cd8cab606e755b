//! The host as a process, and the pipeline over its life: deaths, changes, the end.

use std::path::Path;
use std::time::Duration;

use curb_model::Sample;
use curb_pipeline::{Error, OnFailure, PluginConfig, PluginState, inspect};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::rig::{Rig, component, plugin};

fn kill_host(rig: &Rig) {
    if let Some(pid) = rig.health().host_pid {
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }
}

#[tokio::test]
async fn a_killed_host_costs_no_reading_and_repeats_none() {
    let all = json!({ "default": 0 });
    let mut rig =
        Rig::start(vec![plugin("quiet", "deadband", "meter/*", all.clone()), plugin("also", "deadband", "*", all)]);
    let (mut sent, mut came) = (Vec::new(), Vec::new());
    for round in 0..300u32 {
        let readings = vec![rig.number("meter/power", f64::from(round)), rig.number("meter/volts", f64::from(round))];
        sent.extend(readings.iter().cloned());
        rig.send("meter", readings).await;
        if round % 60 == 30 {
            rig.eventually("up", |health| health.host_pid.is_some()).await;
            kill_host(&rig);
        }
        if round >= 10 {
            came.extend(rig.receive().await.readings);
        }
    }
    let health = rig.eventually("restarted", |health| health.restarts >= 5).await;
    assert!(health.faults.iter().any(|fault| fault.word == "host-restarted"), "{health:?}");
    for batch in rig.end().await {
        came.extend(batch.readings);
    }
    assert_eq!(came, sent);
}

#[tokio::test]
async fn a_host_that_cannot_be_started_holds_nobody_up_for_long() {
    let mut plugins = vec![plugin("quiet", "deadband", "meter/*", json!({}))];
    plugins[0].on_failure = OnFailure::Pass;
    let mut rig = Rig::start(plugins);
    rig.eventually("up", |health| health.host_pid.is_some()).await;
    // Each time that it comes, it is killed: after some deaths the operator's policy decides.
    rig.send("meter", vec![rig.number("meter/power", 1.0)]).await;
    let batch = loop {
        kill_host(&rig);
        if let Ok(batch) = tokio::time::timeout(Duration::from_millis(5), rig.receive()).await {
            break batch;
        }
    };
    assert_eq!(batch.readings.len(), 1);
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn without_plugins_there_is_no_child() {
    let mut rig = Rig::start(vec![]);
    let batch = rig.through("meter", vec![rig.number("meter/power", 1.0)]).await;
    assert_eq!(batch.readings.len(), 1);
    assert_eq!(rig.health().host_pid, None);
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn the_host_inherits_nothing() {
    let mut rig = Rig::start(vec![plugin("quiet", "deadband", "meter/*", json!({}))]);
    let batch = rig.through("meter", vec![rig.number("meter/power", 1.0)]).await;
    assert_eq!(batch.readings.len(), 1);
    let proc = Path::new("/proc").join(rig.health().host_pid.unwrap().to_string());
    assert_eq!(std::fs::read(proc.join("environ")).unwrap(), b"");
    // Beside the link and standard error, the engine keeps images of plugins' memory, in memory.
    for entry in std::fs::read_dir(proc.join("fd")).unwrap() {
        let entry = entry.unwrap();
        let target = std::fs::read_link(entry.path()).unwrap();
        let link = ["0", "1", "2"].iter().any(|number| entry.file_name() == *number);
        assert!(link || target.to_string_lossy().starts_with("/memfd:"), "{target:?}");
    }
    let status = std::fs::read_to_string(proc.join("status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn a_change_disturbs_only_what_differs() {
    let quiet = || plugin("quiet", "deadband", "meter/*", json!({ "default": 5 }));
    let second = |default: f64| plugin("second", "deadband", "air/*", json!({ "default": default }));
    let mut rig = Rig::start(vec![quiet(), second(5.0)]);
    for (device, point) in [("meter", "meter/power"), ("air", "air/pm")] {
        assert_eq!(rig.through(device, vec![rig.number(point, 1.0)]).await.readings.len(), 1);
    }
    let host = rig.health().host_pid;
    rig.apply(vec![quiet(), second(0.1)]);
    // The changed one starts anew and lets its first reading pass; the other remembers.
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while rig.through("air", vec![rig.number("air/pm", 1.0)]).await.readings.is_empty() {
        assert!(std::time::Instant::now() < deadline, "the change never came");
    }
    assert_eq!(rig.through("air", vec![rig.number("air/pm", 1.2)]).await.readings.len(), 1);
    assert_eq!(rig.through("meter", vec![rig.number("meter/power", 2.0)]).await.readings.len(), 0);
    rig.apply(vec![quiet()]);
    rig.eventually("removed", |health| health.plugins.len() == 1).await;
    assert_eq!(rig.through("air", vec![rig.number("air/pm", 1.2)]).await.readings.len(), 1);
    assert_eq!(rig.through("meter", vec![rig.number("meter/power", 2.0)]).await.readings.len(), 0);
    assert_eq!(rig.health().host_pid, host);
    rig.apply(vec![]);
    rig.eventually("ended", |health| health.host_pid.is_none()).await;
    assert_eq!(rig.through("meter", vec![rig.number("meter/power", 2.0)]).await.readings.len(), 1);
    assert_eq!(rig.health().restarts, 0);
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn a_component_that_is_none_is_a_fault_and_not_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let deadband = std::fs::read(component("deadband")).unwrap();
    let cases = [
        (file("module", b"(module)"), "CompileComponent"),
        (file("cut", &deadband[..deadband.len() / 2]), "CompileComponent"),
        (file("world", b"(component (import \"wasi:cli/stdin@0.2.0\" (instance)))"), "WrongWorld"),
        (file("empty", b"(component)"), "WrongWorld"),
        (file("large", &vec![0; (4 << 20) + 1]), "ComponentTooLarge"),
        (folder.path().join("absent"), "ReadComponent"),
    ];
    for (path, variant) in cases {
        let error = inspect(&path).expect_err(variant);
        assert!(format!("{error:?}").starts_with(variant), "{error:?}");
        let broken = PluginConfig { component: path, ..plugin("broken", "deadband", "meter/*", json!({})) };
        let mut rig = Rig::start(vec![broken]);
        let batch = rig.through("meter", vec![rig.number("meter/power", 1.0)]).await;
        assert_eq!(batch.readings.len(), 1, "{variant}");
        let health = rig.health();
        assert_eq!(health.plugins.values().next().unwrap().state, PluginState::Failed, "{variant}");
        assert_eq!(health.faults[0].word, "plugin-failed", "{variant}");
        assert_eq!(rig.end().await, []);
    }
    inspect(&component("deadband")).unwrap();
}

#[tokio::test]
async fn what_waits_at_the_end_comes_out() {
    let held = PluginConfig {
        on_failure: OnFailure::Hold,
        ..plugin("bad", "hostile", "air/*", json!({ "attack": "bad-settings" }))
    };
    let rig = Rig::start(vec![held]);
    for i in 0..10u32 {
        rig.send("air", vec![rig.number("air/pm", f64::from(i))]).await;
    }
    rig.send("meter", vec![rig.reading("meter/power", Sample::Bad(curb_model::Reason::Timeout))]).await;
    let rest = rig.end().await;
    let lost: u64 = rest.iter().flat_map(|batch| &batch.dropped).map(|dropped| dropped.count).sum();
    assert_eq!((rest.len(), lost), (11, 10));
}

#[tokio::test]
async fn two_plugins_of_one_name_are_refused() {
    let rig = Rig::start(vec![]);
    let twice = plugin("quiet", "deadband", "meter/*", json!({}));
    let config = curb_pipeline::Config {
        plugins: vec![twice.clone(), twice],
        host: curb_pipeline::HostCommand::default(),
        cache: std::path::PathBuf::new(),
        bundles: None,
        policy: curb_pipeline::Policy::default(),
        state_every: curb_pipeline::STATE_EVERY,
    };
    let refused = rig.pipeline.apply(config, curb_model::PointSet::default());
    assert!(matches!(refused, Err(Error::DuplicatePlugin { .. })), "{refused:?}");
    assert_eq!(rig.end().await, []);
}
