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
    let half = Band { threshold: 0.5, max_silence: None };
    check(half, &[(0, number(1.0), true), (1, number(1.4), false), (2, number(1.5), true), (3, number(1.0), true)]);
    // A slow drift is measured from what passed, not from what was seen.
    check(half, &[(0, number(0.0), true), (1, number(0.3), false), (2, number(0.6), true), (3, number(0.9), false)]);
    check(Band { threshold: 0.0, ..half }, &[(0, number(1.0), true), (1, number(1.0), true)]);
}

#[test]
fn no_contact_never_looks_like_no_change() {
    let half = Band { threshold: 0.5, max_silence: None };
    check(half, &[(0, number(1.0), true), (1, bad(), true), (2, bad(), true), (3, number(1.0), true)]);
    let doubt = Sample { quality: Quality::OUT_OF_RANGE, ..number(1.0) };
    check(half, &[(0, number(1.0), true), (1, doubt.clone(), true), (2, doubt, false), (3, number(1.0), true)]);
}

#[test]
fn a_still_point_is_heard_again_after_the_longest_silence() {
    let band = Band { threshold: 5.0, max_silence: Some(10) };
    check(band, &[(0, number(1.0), true), (9, number(1.0), false), (10, number(1.0), true), (19, number(1.0), false)]);
}

#[test]
fn what_is_no_number_passes_when_it_changes() {
    let band = Band { threshold: 5.0, max_silence: None };
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
    check(r#"{"max_silence": "60"}"#, "max_silence");
    check(r#"{"max_silence": "60 fortnights"}"#, "max_silence");
    check(r#"{"max_silence": "9223372036854775807h"}"#, "max_silence");
}

proptest! {
    #[test]
    fn what_is_left_out_lies_within_the_band_of_what_passed(values in prop::collection::vec(-10.0..10.0f64, 1..50), threshold in 0.0..5.0f64) {
        let mut memory = Memory::default();
        let mut passed = f64::NAN;
        for (at, value) in (0..).zip(values) {
            if memory.passes((), at, number(value), Band { threshold, max_silence: None }) {
                passed = value;
            } else {
                prop_assert!((value - passed).abs() < threshold);
            }
        }
    }
}
