//! What is in a bundle may leave the hub, whatever the plugin saw.

use curb_model::{Glob, HubTime, Name, PointSet, Reading, Sample, Value};
use proptest::prelude::*;

use super::{point, samples};
use crate::bundle::{Bundle, Call};
use crate::config::{Engine, Limits, OnFailure, PluginConfig};
use crate::policy::{Policy, Text};
use crate::state::{Ids, Saved};

const POINTS: [&str; 3] = ["meter/a", "meter/b", "door/a"];

fn bundle(calls: Vec<Call>, withholds: bool) -> Bundle {
    let plugin = PluginConfig {
        name: Name::new("mine").unwrap(),
        component: "mine.wasm".into(),
        points: vec![Glob::parse("*").unwrap()],
        settings: serde_json::Value::Null,
        seed: Vec::new(),
        engine: Engine::default(),
        on_failure: OnFailure::Pass,
        limits: Limits::default(),
    };
    let seen: PointSet = POINTS.map(point).into_iter().collect();
    let state = Some(Saved { version: 1, data: [1, 2, 3].into() });
    Bundle { state, withholds, ..Bundle::new(plugin, String::new(), seen, Ids::default(), calls) }
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let readings = prop::collection::vec((0..3usize, samples()), 0..6);
    prop::collection::vec(prop::option::of(readings), 1..6).prop_map(|calls| {
        let now = HubTime::ZERO;
        let reading =
            |(place, sample): (usize, Sample)| Reading { point: point(POINTS[place]), at: HubTime::ZERO, sample };
        let call = |readings: Option<Vec<_>>| match readings {
            None => Call::Tick { now, offset: None },
            Some(readings) => Call::Batch { now, offset: None, readings: readings.into_iter().map(reading).collect() },
        };
        calls.into_iter().map(call).collect()
    })
}

fn of_call(call: &Call) -> &[Reading] {
    match call {
        Call::Batch { readings, .. } => readings,
        Call::Tick { .. } => &[],
    }
}

fn readings(bundle: &Bundle) -> Vec<&Reading> {
    bundle.calls.iter().flat_map(of_call).collect()
}

proptest! {
    #[test]
    fn nothing_is_left_that_must_not_leave_and_the_rest_is_counted(
        calls in calls(),
        deny in prop::sample::subsequence(POINTS.to_vec(), 0..3),
        denies_text: bool,
        withholds: bool,
    ) {
        let deny: Vec<Glob> = deny.into_iter().map(|glob| Glob::parse(glob).unwrap()).collect();
        let is_open = deny.is_empty() && !denies_text && !withholds;
        let policy = Policy { deny, text: if denies_text { Text::Deny } else { Text::Allow }, allow: None };
        let before = bundle(calls, withholds);
        let mut after = before.clone();
        after.leave_out(&policy);
        for reading in readings(&after) {
            prop_assert!(!withholds && policy.allows(&reading.point.name));
            let is_text = matches!(reading.sample.value(), Some(Value::Text(_) | Value::Bytes(_)));
            prop_assert!(!(denies_text && is_text));
        }
        let gone = readings(&before).len() - readings(&after).len();
        prop_assert_eq!((after.left_out.readings, after.left_out.state), (gone as u64, !is_open));
        prop_assert_eq!(after.state.is_some(), is_open);
        prop_assert_eq!(after.calls.len(), before.calls.len());
        if is_open {
            prop_assert_eq!(before, after);
        }
    }
}
