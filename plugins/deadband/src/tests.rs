//! The rule, by table and by property; what it does as a component is tested where components run.

use curb_plugin::{Quality, Settings};
use proptest::prelude::*;

use crate::rule::{Band, Memory};
use crate::settings::bands;
use crate::{Held, Sample};

const TIMEOUT: Quality = Quality(1 << 2 | 2);

fn number(n: f64) -> Sample {
    Sample { value: Some(Held::Number(n)), quality: Quality::GOOD }
}

fn bad() -> Sample {
    Sample { value: None, quality: TIMEOUT }
}

/// `steps`: time, sample, whether it passes.
fn check(band: Band, steps: &[(i64, Sample, bool)]) {
    let mut memory = Memory::default();
    for (i, (at, sample, passes)) in steps.iter().enumerate() {
        assert_eq!(memory.passes("point", *at, sample.clone(), band), *passes, "step {i}: {sample:?}");
    }
}

#[test]
fn only_news_passes() {
    let half = Band { threshold: 0.5, percent: 0.0, max_silence: None };
    check(half, &[(0, number(1.0), true), (1, number(1.4), false), (2, number(1.5), true), (3, number(1.0), true)]);
    // A slow drift is measured from what passed, not from what was seen.
    check(half, &[(0, number(0.0), true), (1, number(0.3), false), (2, number(0.6), true), (3, number(0.9), false)]);
    check(Band { threshold: 0.0, ..half }, &[(0, number(1.0), true), (1, number(1.0), true)]);
}

#[test]
fn a_share_of_the_last_value_may_be_the_band_and_the_threshold_its_floor() {
    let two = Band { threshold: 0.0, percent: 2.0, max_silence: None };
    check(
        two,
        &[(0, number(1000.0), true), (1, number(1019.0), false), (2, number(1020.0), true), (3, number(1000.0), false)],
    );
    check(two, &[(0, number(-100.0), true), (1, number(-101.9), false), (2, number(-102.0), true)]);
    // Next to nothing: what stays at 0 is silent, and everything else is a great share of it.
    check(two, &[(0, number(0.0), true), (1, number(0.0), false), (2, number(0.1), true), (3, number(0.0), true)]);
    let floor = Band { threshold: 5.0, ..two };
    check(floor, &[(0, number(0.0), true), (1, number(4.0), false), (2, number(5.0), true), (3, number(9.0), false)]);
    check(floor, &[(0, number(1000.0), true), (1, number(1010.0), false), (2, number(1020.0), true)]);
    let silence = Band { max_silence: Some(10), ..two };
    check(silence, &[(0, number(50.0), true), (9, number(50.0), false), (10, number(50.0), true)]);
}

#[test]
fn points_have_bands_of_their_own_and_the_rest_of_the_others() {
    let check = |text: &str, power: (f64, f64), others: (f64, f64)| {
        let settings = Settings::parse(text).expect("each is a table");
        let (all, own) = bands(settings, [(1, "meter/power")].into_iter()).expect(text);
        let sizes = |band: &Band| (band.threshold, band.percent);
        assert_eq!((own.get(&1).map_or(sizes(&all), sizes), sizes(&all)), (power, others), "{text}");
    };
    check("{}", (0.0, 0.0), (0.0, 0.0));
    check(r#"{"default": 1, "percent": 2}"#, (1.0, 2.0), (1.0, 2.0));
    check(r#"{"default": 1, "points": {"meter/power": 5}}"#, (5.0, 0.0), (1.0, 0.0));
    check(r#"{"percent": 2, "points": {"meter/power": 5}}"#, (5.0, 2.0), (0.0, 2.0));
    check(r#"{"default": 1, "points": {"meter/power": {"percent": 3}}}"#, (1.0, 3.0), (1.0, 0.0));
    check(
        r#"{"default": 1, "percent": 2, "points": {"meter/power": {"threshold": 5, "percent": 0}}}"#,
        (5.0, 0.0),
        (1.0, 2.0),
    );
}

#[test]
fn no_contact_never_looks_like_no_change() {
    let half = Band { threshold: 0.5, percent: 0.0, max_silence: None };
    check(half, &[(0, number(1.0), true), (1, bad(), true), (2, bad(), true), (3, number(1.0), true)]);
    let doubt = Sample { quality: Quality::OUT_OF_RANGE, ..number(1.0) };
    check(half, &[(0, number(1.0), true), (1, doubt.clone(), true), (2, doubt, false), (3, number(1.0), true)]);
}

#[test]
fn a_still_point_is_heard_again_after_the_longest_silence() {
    let band = Band { threshold: 5.0, percent: 0.0, max_silence: Some(10) };
    check(band, &[(0, number(1.0), true), (9, number(1.0), false), (10, number(1.0), true), (19, number(1.0), false)]);
}

#[test]
fn what_is_no_number_passes_when_it_changes() {
    let band = Band { threshold: 5.0, percent: 0.0, max_silence: None };
    let held = |value| Sample { value: Some(value), quality: Quality::GOOD };
    let text = |t: &str| held(Held::Text(t.into()));
    check(band, &[(0, text("a"), true), (1, text("a"), false), (2, text("b"), true), (3, number(1.0), true)]);
    let bit = |b| held(Held::Bool(b));
    check(band, &[(0, bit(false), true), (1, bit(false), false), (2, bit(true), true)]);
}

#[test]
fn settings_are_refused_with_the_name_of_the_setting() {
    let check = |text: &str, complaint: &str| {
        let settings = Settings::parse(text).expect("each is a table");
        let error = bands(settings, [(1, "meter/power")].into_iter()).expect_err(text);
        assert!(error.contains(complaint), "{text}: {error}");
    };
    check(r#"{"default": -1}"#, "default: expected");
    check(r#"{"defualt": 1}"#, "defualt: no such");
    check(r#"{"points": {"meter/volts": 1}}"#, "meter/volts");
    check(r#"{"points": {"meter/volts": {"percent": 1}}}"#, "meter/volts is not among");
    check(r#"{"percent": -1}"#, "percent: expected");
    check(r#"{"percent": "2%"}"#, "percent: expected a number");
    check(r#"{"points": {"meter/power": -1}}"#, "meter/power: expected");
    check(r#"{"points": {"meter/power": "5"}}"#, "meter/power: expected a number");
    check(r#"{"points": {"meter/power": {"percent": -1}}}"#, "points: meter/power: percent: expected");
    check(r#"{"points": {"meter/power": {"max_silence": "1s"}}}"#, "points: meter/power: max_silence: no such");
    check(r#"{"max_silence": "60"}"#, "max_silence");
    check(r#"{"max_silence": "60 fortnights"}"#, "max_silence");
    check(r#"{"max_silence": "9223372036854775807h"}"#, "max_silence");
}

proptest! {
    #[test]
    fn what_is_left_out_lies_within_the_band_of_what_passed(
        values in prop::collection::vec(-10.0..10.0f64, 1..50),
        threshold in 0.0..5.0f64,
        percent in prop_oneof![Just(0.0), 0.0..80.0f64],
    ) {
        let mut memory = Memory::default();
        let mut passed = f64::NAN;
        for (at, value) in (0..).zip(values) {
            if memory.passes((), at, number(value), Band { threshold, percent, max_silence: None }) {
                passed = value;
            } else {
                let change = (value - passed).abs();
                prop_assert!(change < threshold || change * 100.0 < percent * passed.abs() || (percent > 0.0 && change == 0.0));
            }
        }
    }
}
