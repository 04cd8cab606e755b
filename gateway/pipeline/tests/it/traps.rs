//! A trap says where: the file and line of the panic that it comes from, on a hub, of a component without debug information.

use curb_pipeline::{OnFailure, PluginConfig};
use serde_json::json;

use crate::rig::{Rig, plugin};

/// What `tally` says when it panics as its setting asks it to.
fn expected(call: &str) -> String {
    let source = include_str!("../../../../plugins/tally/src/lib.rs");
    let line = (1..).zip(source.lines()).find(|(_, line)| line.contains("\"as asked\"")).unwrap().0;
    format!("{call}: panicked at tally/src/lib.rs:{line}:9: as asked")
}

#[tokio::test]
async fn a_panic_is_told_with_its_file_and_line_whatever_call_it_comes_from() {
    // The attack, the value of the reading that it needs, and the call.
    let cases = [("poison-trap", 666.0, "process"), ("snapshot-trap", 1.0, "snapshot"), ("tick-trap", 1.0, "tick")];
    for (attack, value, call) in cases {
        let settings = json!({ "every": 1, "attack": attack, "tick_ms": if call == "tick" { 100 } else { 0 } });
        let tally = PluginConfig { on_failure: OnFailure::Drop, ..plugin("tally", "tally", "meter/*", settings) };
        let rig = Rig::start(vec![tally]);
        rig.send("meter", vec![rig.number("meter/power", value)]).await;
        let expected = expected(call);
        rig.eventually(&expected, |health| health.faults.iter().any(|fault| fault.detail.contains(&expected))).await;
        drop(rig.end().await);
    }
}
