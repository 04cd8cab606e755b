//! Components that nobody has thought of: real ones with damage, and programs drawn by lot in the frame of `plugins/hostile`. Through
//! inspecting, compiling and calling, nobody but the plugin itself comes to harm.
//!
//! A minute of it in the suite would be too much, an hour now and then is not:
//! `PROPTEST_CASES=100000 cargo nextest run --locked --workspace -E 'test(fuzz::)'`. What fails is kept as a file, whose name is said.

use std::path::{Path, PathBuf};
use std::time::Duration;

use curb_pipeline::{Error, Limits, OnFailure, PluginConfig, inspect};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::guest::Guest;
use crate::rig::{Rig, component, plugin};

/// Cases of a test here for so many of proptest's own default.
const SHARE: u32 = 8;

#[derive(Debug, Clone)]
enum Damage {
    Flip {
        at: prop::sample::Index,
        bit: u8,
    },
    Byte {
        at: prop::sample::Index,
        to: u8,
    },
    Cut {
        at: prop::sample::Index,
    },
    /// A piece of another component in the place of as much of this one.
    Splice {
        from: prop::sample::Index,
        to: prop::sample::Index,
        len: usize,
    },
    Remove {
        at: prop::sample::Index,
        len: usize,
    },
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        8 => (index(), 0..8u8).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        4 => (index(), any::<u8>()).prop_map(|(at, to)| Damage::Byte { at, to }),
        1 => index().prop_map(|at| Damage::Cut { at }),
        1 => (index(), index(), 1..64usize).prop_map(|(from, to, len)| Damage::Splice { from, to, len }),
        1 => (index(), 1..4usize).prop_map(|(at, len)| Damage::Remove { at, len }),
    ]
}

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let real = prop::sample::select(vec!["deadband", "tally", "hostile"]);
    (real, prop::collection::vec(damage(), 1..4)).prop_map(|(name, damages)| {
        let mut bytes = std::fs::read(component(name)).unwrap();
        let other = std::fs::read(component("guard")).unwrap();
        for damage in damages {
            let len = bytes.len().max(1);
            match damage {
                Damage::Flip { at, bit } => bytes[at.index(len)] ^= 1 << bit,
                Damage::Byte { at, to } => bytes[at.index(len)] = to,
                Damage::Cut { at } => bytes.truncate(at.index(len).max(1)),
                Damage::Splice { from, to, len: piece } => {
                    let (from, to) = (from.index(other.len() - piece), to.index(len));
                    let piece = piece.min(len - to);
                    bytes[to..to + piece].copy_from_slice(&other[from..from + piece]);
                }
                Damage::Remove { at, len: piece } => {
                    let at = at.index(len);
                    bytes.drain(at..(at + piece).min(len - 1).max(at));
                }
            }
        }
        bytes
    })
}

/// A number, by a program that may do whatever a plugin may.
fn number() -> impl Strategy<Value = String> {
    let edge =
        prop::sample::select(vec![0, 1, 4, 8, 255, 512, 1023, 65_535, 65_536, 131_072, -1, -4, -65_536, i32::MIN]);
    let leaf = prop_oneof![
        edge.prop_map(|n| format!("(i32.const {n})")),
        any::<i16>().prop_map(|n| format!("(i32.const {n})")),
        (3..15u8).prop_map(|n| format!("(local.get {n})")),
        Just("(memory.size)".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 3, |number| {
        let binary = prop::sample::select(vec![
            "add", "sub", "mul", "div_s", "div_u", "rem_s", "rem_u", "and", "or", "xor", "shl", "shr_s", "rotl", "eq",
            "lt_u",
        ]);
        prop_oneof![
            4 => (binary, number.clone(), number.clone()).prop_map(|(op, a, b)| format!("(i32.{op} {a} {b})")),
            2 => number.clone().prop_map(|a| format!("(i32.load {a})")),
            1 => number.clone().prop_map(|a| format!("(i32.trunc_f64_s (f64.load {a}))")),
            1 => number.clone().prop_map(|a| format!("(memory.grow {a})")),
            1 => (number.clone(), number.clone(), number.clone())
                .prop_map(|(a, b, c)| format!("(if (result i32) {a} (then {b}) (else {c}))")),
            1 => (number.clone(), number).prop_map(|(a, b)| format!("(call $one {a} {b})")),
        ]
    })
}

/// What a program does.
fn step() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => (number(), number()).prop_map(|(a, b)| format!("(i32.store {a} {b})")),
        1 => (number(), number()).prop_map(|(a, b)| format!("(i64.store8 {a} (i64.extend_i32_s {b}))")),
        1 => (number(), number(), number()).prop_map(|(a, b, c)| format!("(memory.copy {a} {b} {c})")),
        1 => (number(), number(), number()).prop_map(|(a, b, c)| format!("(memory.fill {a} {b} {c})")),
        2 => (number(), number(), number()).prop_map(|(a, b, c)| format!("(call $log {a} {b} {c})")),
        1 => (number(), number()).prop_map(|(a, b)| format!("(call $counter-add {a} {b} (i64.const -1))")),
        1 => (number(), number()).prop_map(|(a, b)| format!("(call $gauge-set {a} {b} (f64.const nan))")),
        1 => prop::collection::vec(number(), 9).prop_map(|args| format!("(call $declare {})", args.join(" "))),
        1 => number().prop_map(|a| format!("(if {a} (then unreachable))")),
    ];
    leaf.prop_recursive(3, 20, 4, |step| {
        let steps = prop::collection::vec(step, 1..4);
        prop_oneof![
            (number(), steps.clone()).prop_map(|(a, steps)| format!("(if {a} (then {}))", steps.concat())),
            (number(), steps).prop_map(|(a, steps)| format!("(loop $again {} (br_if $again {a}))", steps.concat())),
        ]
    })
}

/// A plugin whose answers to a batch are drawn by lot; some lists of them are good.
fn program() -> impl Strategy<Value = Vec<u8>> {
    let answer = prop_oneof![2 => Just("(call $keep (local.get 4))".to_owned()), 1 => number()];
    let fields = prop::collection::vec((0..20i32, number()), 0..3);
    (prop::collection::vec(step(), 0..4), fields, answer).prop_map(|(steps, fields, answer)| {
        let fields: String = fields.iter().map(|(n, to)| format!("(i32.store (i32.const {}) {to})", n * 4)).collect();
        let text = format!(
            "(func $one (param i32 i32) (result i32) (i32.sub (local.get 1) (local.get 0)))\n\
             (func $process (type $process) (local $answer i32) {} (local.set $answer {answer}) {fields} (local.get $answer))",
            steps.concat()
        );
        Guest::of(&text).to_bytes()
    })
}

/// Draws components and runs each beside a deadband, one batch of three readings.
async fn run(what: &str, strategy: impl Strategy<Value = Vec<u8>>) {
    let mut runner = TestRunner::new(ProptestConfig::default());
    let folder = tempfile::tempdir().unwrap();
    let quiet = || plugin("quiet", "deadband", "meter/*", json!({}));
    let mut rig = Rig::start(vec![quiet()]);
    for case in 0..(ProptestConfig::default().cases / SHARE) {
        let bytes = strategy.new_tree(&mut runner).unwrap().current();
        let path = kept(what, &bytes);
        // Inspecting is done in the process that must not die.
        let inspected = inspect(&path);
        // A hub runs what says nothing of itself that can be read; the installer is told.
        let is_plugin = matches!(inspected, Ok(_) | Err(Error::Manifest { .. }));
        let limits =
            Limits { call_time: Duration::from_millis(50), init_time: Duration::from_millis(500), ..Limits::default() };
        let bad = PluginConfig {
            component: file(folder.path(), case, &bytes),
            on_failure: OnFailure::Drop,
            limits,
            ..plugin(&format!("bad{case}"), "deadband", "air/*", json!({}))
        };
        let name = bad.name.clone();
        rig.apply(vec![bad, quiet()]);
        rig.eventually("configured", |health| health.plugins.contains_key(&name)).await;
        rig.send("air", [1.0, 2.0, 3.0].map(|value| rig.number("air/pm", value)).to_vec()).await;
        rig.send("meter", vec![rig.number("meter/power", f64::from(case))]).await;
        let mut missing = vec!["air", "meter"];
        while !missing.is_empty() {
            let batch = rig.receive().await;
            missing.retain(|stream| *stream != batch.stream.as_str());
            let is_meter = batch.stream.as_str() == "meter";
            assert!(!is_meter || batch.readings.len() == 1, "{}: {batch:?}", path.display());
        }
        let health = rig.health();
        // A host that dies of a guest would be a hole in the engine.
        assert_eq!(health.restarts, 0, "{}: {health:?}", path.display());
        assert!(is_plugin || health.plugins[&name].kept == 0, "{}: runs, and was refused", path.display());
        std::fs::remove_file(&path).unwrap();
    }
    drop(rig.end().await);
}

/// The component as a file that is still there when the test has failed.
fn kept(what: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{what}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    path
}

fn file(folder: &Path, case: u32, bytes: &[u8]) -> PathBuf {
    let path = folder.join(format!("{case}.wasm"));
    std::fs::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn a_damaged_component_harms_nobody() {
    run("damaged", damaged()).await;
}

#[tokio::test]
async fn a_program_drawn_by_lot_harms_nobody() {
    run("program", program()).await;
}
