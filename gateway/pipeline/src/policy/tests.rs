use std::sync::Arc;

use curb_model::{Batch, Class, Glob, HubTime, Point, PointName, Reading, Reason, Sample, Stream, Value, ValueType};
use proptest::prelude::*;

use super::{Gate, Policy, Text};

fn globs(texts: &[&str]) -> Vec<Glob> {
    texts.iter().map(|text| Glob::parse(text).unwrap()).collect()
}

fn reading(name: &str, sample: Sample) -> Reading {
    let name = PointName::parse(name).unwrap();
    let stream = Stream::parse(name.owner().as_str()).unwrap();
    let point = Point { name, stream, class: Class::Data, unit: None, value_type: ValueType::F64, range: None };
    Reading { point: Arc::new(point), at: HubTime::from_nanos(1), sample }
}

fn number(name: &str) -> Reading {
    reading(name, Sample::Good(Value::U64(1)))
}

/// What is left of these readings, and how many were refused.
#[track_caller]
fn check(policy: &Policy, readings: Vec<Reading>, expected: &[&str]) {
    let count = readings.len();
    let mut batch = Batch::read(Stream::parse("kiosk").unwrap(), Class::Data, None, readings);
    let mut gate = Gate::default();
    gate.set(policy);
    gate.pass(&mut batch);
    let left: Vec<String> = batch.readings.iter().map(|reading| reading.point.name.to_string()).collect();
    assert_eq!(left, expected);
    assert_eq!((batch.counts.refused, gate.refused), ((count - left.len()) as u64, (count - left.len()) as u64));
    assert!(batch.closes());
}

#[test]
fn deny_beats_allow_and_no_allow_is_all() {
    let names = ["kiosk/taps", "kiosk/card", "kiosk/power"];
    let readings = || names.map(number).into();
    check(&Policy::default(), readings(), &names);
    let deny = Policy { deny: globs(&["*/card"]), ..Policy::default() };
    check(&deny, readings(), &["kiosk/taps", "kiosk/power"]);
    let allow = Policy { allow: Some(globs(&["kiosk/t*", "kiosk/card"])), deny: globs(&["*/card"]), text: Text::Allow };
    check(&allow, readings(), &["kiosk/taps"]);
    check(&Policy { allow: Some(Vec::new()), ..Policy::default() }, readings(), &[]);
}

#[test]
fn text_and_bytes_can_be_kept_at_home_whatever_their_point() {
    let policy = Policy { text: Text::Deny, ..Policy::default() };
    let readings = vec![
        reading("kiosk/name", Sample::Good(Value::Text("Ann".into()))),
        reading("kiosk/raw", Sample::Uncertain(Value::Bytes([1][..].into()), Reason::Range)),
        number("kiosk/taps"),
        reading("kiosk/name", Sample::Bad(Reason::Timeout)),
    ];
    check(&policy, readings, &["kiosk/taps", "kiosk/name"]);
}

#[test]
fn a_new_policy_counts_at_once() {
    let mut gate = Gate::default();
    let mut pass = |policy: &Policy| {
        gate.set(policy);
        let mut batch = Batch::read(Stream::parse("kiosk").unwrap(), Class::Data, None, vec![number("kiosk/card")]);
        gate.pass(&mut batch);
        batch.readings.len()
    };
    let deny = Policy { deny: globs(&["kiosk/card"]), ..Policy::default() };
    assert_eq!([pass(&deny), pass(&Policy::default()), pass(&deny)], [0, 1, 0]);
}

proptest! {
    /// Whatever comes, nothing denied passes, and the books close.
    #[test]
    fn nothing_denied_ever_passes(names in prop::collection::vec("[a-c]{1,2}/[a-c]{1,2}", 0..40), deny in "[a-c*]{1,2}/[a-c*]{1,2}") {
        let policy = Policy { deny: globs(&[&deny]), ..Policy::default() };
        let readings: Vec<Reading> = names.iter().map(|name| number(name)).collect();
        let mut batch = Batch::read(Stream::parse("kiosk").unwrap(), Class::Data, None, readings);
        let mut gate = Gate::default();
        gate.set(&policy);
        gate.pass(&mut batch);
        prop_assert!(batch.closes());
        prop_assert!(batch.readings.iter().all(|reading| policy.allows(&reading.point.name)));
        let allowed = names.iter().filter(|name| policy.allows(&PointName::parse(name).unwrap())).count();
        prop_assert_eq!(batch.readings.len(), allowed);
    }
}
