//! Components that are wrong as a whole, or too much of something: refused with a word, or stopped when they start; the host
//! lives through all of them.

use std::time::Duration;

use curb_pipeline::{Limits, OnFailure, PluginConfig, PluginState, inspect};
use serde_json::json;

use crate::guest::Guest;
use crate::rig::{Rig, component, plugin};

/// So many of a thing in the module with the code, or beside both.
fn many(place: &str, before: &str, thing: &str, count: usize, behind: &str) -> Vec<u8> {
    Guest::of(&format!(";;; @{place}\n{before}\n{}\n{behind}", thing.repeat(count))).to_bytes()
}

/// A function that does nothing with so much of it.
fn function(body: &str) -> Vec<u8> {
    Guest::of(&format!("(func (param i32) {body})")).to_bytes()
}

fn shapes() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let deadband = std::fs::read(component("deadband")).unwrap();
    let hub = |text: &str| wat::parse_str(text).unwrap();
    let small = "(core module $small)";
    let one = "(core instance (instantiate $small))";
    let other = |from: &str, to: &str| Guest::framed(from, to).to_bytes();
    let failed = "plugin-failed";
    vec![
        ("a core module", hub("(module (memory 1) (export \"memory\" (memory 0)))"), failed, ""),
        ("no WebAssembly", b"#!/bin/sh\nrm -rf /\n".to_vec(), failed, ""),
        ("nothing", vec![], failed, ""),
        ("half of a component", deadband[..deadband.len() / 2].to_vec(), failed, ""),
        ("all but a byte", deadband[..deadband.len() - 1].to_vec(), failed, ""),
        ("two components", [&deadband[..], &deadband].concat(), failed, ""),
        ("no exports", hub("(component)"), failed, "transform"),
        (
            "an import that there is not",
            other("curb:plugin/log@0.1.0", "wasi:cli/environment@0.2.0"),
            failed,
            "wasi:cli",
        ),
        (
            "a later version",
            other("curb:plugin/transform@0.1.0", "curb:plugin/transform@0.2.0"),
            failed,
            "speaks 0.1.0",
        ),
        ("another signature", other("(field \"tick-ms\" u32)", "(field \"tick-ms\" s32)"), failed, ""),
        (
            "a function less",
            other(
                "(export \"tick\" (func $tick))\n    (export \"finish\" (func $finish)))",
                "(export \"finish\" (func $finish)))",
            ),
            failed,
            "tick",
        ),
        ("10,000 instances", many("component", small, one, 10_000, ""), failed, ""),
        ("900 instances", many("component", small, one, 900, ""), "plugin-trapped", "instance"),
        ("10,000 modules", many("component", "", "(core module)", 10_000, ""), failed, ""),
        ("10,000 memories", many("component", "(core module $small (memory 0))", one, 10_000, ""), failed, ""),
        ("1,000,001 functions", many("core", "", "(func)", 1_000_001, ""), failed, ""),
        ("50,001 locals", function(&format!("(local {})", "i64 ".repeat(50_001))), failed, ""),
        ("threads", Guest::of(";;; @component\n(core module (memory 1 1 shared))").to_bytes(), failed, ""),
        ("64-bit memory", Guest::of(";;; @component\n(core module (memory i64 1))").to_bytes(), failed, ""),
        ("exceptions", Guest::of("(tag (param i32))").to_bytes(), failed, ""),
        ("tail calls", Guest::of("(func $f (return_call $f))").to_bytes(), failed, ""),
    ]
}

/// What is large and well-formed: it may run, or be refused; it must not take the host with it.
fn large() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a br_table of 100,000", function(&format!("(block (br_table {} (local.get 0)))", "0 ".repeat(100_000)))),
        ("5,000 nested blocks", function(&format!("{}{}", "(block ".repeat(5_000), ")".repeat(5_000)))),
        ("5,000 locals", function(&format!("(local {})", "i64 ".repeat(5_000)))),
        ("20,000 functions", many("core", "", "(func (param i64 f64) (result i32) (i32.const 1))", 20_000, "")),
        ("a sum of 20,000", function(&format!("(drop {})", sum(20_000)))),
    ]
}

fn sum(terms: usize) -> String {
    format!("(i32.const 1) {}", "(i32.add (local.get 0))".repeat(terms))
}

fn config(folder: &tempfile::TempDir, number: usize, bytes: &[u8]) -> PluginConfig {
    let path = folder.path().join(format!("{number}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    let limits = Limits { init_time: Duration::from_secs(5), ..Limits::default() };
    let config = plugin(&format!("shape{number}"), "deadband", "air/*", json!({}));
    PluginConfig { component: path, on_failure: OnFailure::Drop, limits, ..config }
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_in_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let quiet = || plugin("quiet", "deadband", "meter/*", json!({}));
    let mut rig = Rig::start(vec![quiet()]);
    rig.through("meter", vec![rig.number("meter/power", 0.0)]).await;
    let host = rig.health().host_pid;
    for (number, (shape, bytes, word, words)) in shapes().into_iter().enumerate() {
        let bad = config(&folder, number, &bytes);
        // Types are compared with an instance only, and inspecting makes none.
        if word == "plugin-failed" && shape != "another signature" {
            inspect(&bad.component).expect_err(shape);
        }
        rig.apply(vec![bad.clone(), quiet()]);
        let health = rig
            .eventually(shape, |health| {
                let subject = format!("plugin {}", bad.name);
                health.faults.iter().any(|f| f.subject == subject && f.word == word && f.detail.contains(words))
            })
            .await;
        assert!(word != "plugin-failed" || health.plugins[&bad.name].state == PluginState::Failed, "{shape}");
        let batch = rig.through("air", vec![rig.number("air/pm", 1.0)]).await;
        assert_eq!((batch.readings.len(), batch.dropped.len()), (0, 1), "{shape}");
        assert_eq!((health.host_pid, health.restarts), (host, 0), "{shape}: the host died of it");
    }
    assert_eq!(rig.end().await, []);
}

#[tokio::test]
async fn what_is_large_does_not_take_the_host_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let quiet = || plugin("quiet", "deadband", "meter/*", json!({}));
    let mut rig = Rig::start(vec![quiet()]);
    rig.through("meter", vec![rig.number("meter/power", 0.0)]).await;
    let host = rig.health().host_pid;
    for (number, (shape, bytes)) in large().into_iter().enumerate() {
        let bad = config(&folder, number, &bytes);
        rig.apply(vec![bad.clone(), quiet()]);
        rig.eventually(shape, |health| health.plugins.contains_key(&bad.name)).await;
        // Another plugin goes on while it is compiled.
        rig.send("air", vec![rig.number("air/pm", 1.0)]).await;
        rig.send("meter", vec![rig.number("meter/power", f64::from(u32::try_from(number).unwrap() + 1))]).await;
        let both = [rig.receive().await, rig.receive().await];
        assert!(both.iter().any(|batch| batch.stream.as_str() == "meter" && batch.readings.len() == 1), "{shape}");
        let health = rig.health();
        assert_eq!((health.host_pid, health.restarts), (host, 0), "{shape}: the host died of it");
    }
    assert_eq!(rig.end().await, []);
}
