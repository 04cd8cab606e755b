//! Promises of the shared words.

use std::time::Duration;

use proptest::prelude::*;

use crate::*;

#[test]
fn names_are_checked_where_they_enter() {
    let check = |text: &str, fits: bool| assert_eq!(Name::new(text).is_ok(), fits, "{text:?}");
    check("meter", true);
    check("a", true);
    check("shelter-light-3", true);
    check(&"x".repeat(32), true);
    check(&"x".repeat(33), false);
    check("", false);
    check("Meter", false);
    check("a/b", false);
    check("a.b", false);
    check("_run", false);
    check("quality", false);
    check("straße", false);
}

#[test]
fn globs_match_within_one_half_of_a_name() {
    let check = |glob: &str, name: &str, fits: bool| {
        let matched = Glob::parse(glob).unwrap().matches(&PointName::parse(name).unwrap());
        assert_eq!(matched, fits, "{glob} on {name}");
    };
    check("meter/*", "meter/power", true);
    check("meter/*", "meter-2/power", false);
    check("*/power", "meter/power", true);
    check("*/power", "meter/power-factor", false);
    check("*", "meter/power", true);
    check("m*r/p*w*", "meter/power", true);
    check("m*x/p*", "meter/power", false);
    check("meter/volt*", "meter/voltage", true);
    assert!(Glob::parse("meter").is_err());
    assert!(Glob::parse("meter/").is_err());
    assert!(Glob::parse("Meter/*").is_err());
}

#[test]
fn streams_are_devices_outputs_or_our_own() {
    let check = |text: &str, fits: bool| assert_eq!(Stream::parse(text).is_ok(), fits, "{text:?}");
    check("meter", true);
    check("quiet.alarm", true);
    check("_gap", true);
    check("_other", false);
    check("a.b.c", false);
    check("", false);
    check("a/b", false);
    assert_eq!(Stream::parse("quiet.alarm").unwrap().owner(), "quiet");
}

#[test]
fn hub_time_saturates_and_converts() {
    let t = HubTime::from_nanos(i64::MAX);
    assert_eq!(t.plus(Duration::from_secs(1)), t);
    assert_eq!(HubTime::ZERO.since(t), Duration::ZERO);
    let offset = UtcOffset::from_nanos(1_795_000_000_000_000_000);
    assert_eq!(HubTime::from_nanos(1_500_000).utc_millis(offset), 1_795_000_000_001);
}

#[test]
fn clock_has_no_offset_until_it_is_trusted() {
    let clock = HubClock::starting_at(HubTime::from_nanos(5));
    assert_eq!(clock.offset(), None);
    let other = clock.clone();
    clock.set_offset(Some(UtcOffset::from_nanos(-3)));
    assert_eq!(other.offset(), Some(UtcOffset::from_nanos(-3)));
    assert!(other.now() >= HubTime::from_nanos(5));
}

proptest! {
    #[test]
    fn reasons_and_run_ids_survive_their_text(code: u8, counter: u64, nonce: u64) {
        let reason = Reason::Exception(code);
        prop_assert_eq!(reason.to_string().parse::<Reason>().unwrap(), reason);
        let run = RunId { counter, nonce };
        prop_assert_eq!(run.to_string().parse::<RunId>().unwrap(), run);
    }
}

#[test]
fn dropping_keeps_a_batch_closed() {
    let stream = Stream::parse("meter").unwrap();
    let point = std::sync::Arc::new(Point {
        name: PointName::parse("meter/power").unwrap(),
        stream: stream.clone(),
        class: Class::Data,
        unit: None,
        value_type: ValueType::U16,
        range: None,
    });
    let reading = |nanos| Reading {
        point: std::sync::Arc::clone(&point),
        at: HubTime::from_nanos(nanos),
        sample: Sample::Good(Value::U64(1)),
    };
    let mut batch = Batch::read(stream, Class::Data, None, vec![reading(1), reading(9)]);
    assert!(batch.closes());
    batch.drop_readings(GapReason::Overload);
    assert!(batch.closes() && batch.readings.is_empty());
    assert_eq!(batch.dropped[0].count, 2);
    assert_eq!(batch.dropped[0].to, HubTime::from_nanos(9));
    batch.drop_readings(GapReason::Overload);
    assert_eq!(batch.dropped.len(), 1, "an empty batch drops nothing");
}
