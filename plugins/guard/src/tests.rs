//! The guard as a whole, by table and by property. The checks alone are in the folder beside.

mod checks;
mod settings;

use curb_plugin::testing::{Bench, Fate, Given, Owned, Told};
use curb_plugin::{Quality, Reason};
use proptest::prelude::*;

use crate::Guard;

const BAD_RANGE: Quality = Quality::bad(Reason::RANGE);
const TIMEOUT: Quality = Quality::bad(Reason::TIMEOUT);
const CLOCK: Quality = Quality::uncertain(Reason::CLOCK);
const POINT: &str = "meter/power";

fn given(at: i64, value: impl Into<Owned>, quality: Quality) -> Given {
    Given { point: POINT.to_owned(), at, value: Some(value.into()), quality }
}

/// `steps`: milliseconds, value, its quality afterwards.
fn check(settings: &str, steps: &[(i64, f64, Quality)]) {
    let mut bench = Bench::<Guard>::start(settings, &[POINT]).expect(settings);
    for (i, (at, value, expected)) in steps.iter().enumerate() {
        let told = bench.read(*at, &[(POINT, *value)]);
        assert_eq!(told.len(), 1, "step {i} of {settings}");
        assert_eq!(told[0].quality, *expected, "step {i} of {settings}: {value}");
    }
}

const GOOD: Quality = Quality::GOOD;
const RANGE: Quality = Quality::OUT_OF_RANGE;
const STALE: Quality = Quality::STALE;

#[test]
fn what_makes_no_sense_is_marked_as_the_operator_wants_it() {
    let steps = [(0, 0.0, GOOD), (1, 10.0, GOOD), (2, 10.1, RANGE), (3, -0.1, RANGE), (4, 5.0, GOOD)];
    check(r#"{"min": 0, "max": 10}"#, &steps);
    check(r#"{"max": 10, "outside": "bad"}"#, &[(0, -1e300, GOOD), (1, 11.0, BAD_RANGE), (2, 1.0, GOOD)]);
    check(r#"{"max": 10, "points": {"meter/power": {"min": 5, "max": 20}}}"#, &[(0, 1.0, RANGE), (1, 15.0, GOOD)]);
}

#[test]
fn a_stuck_sensor_is_doubted_until_it_moves() {
    let settings = r#"{"stuck_after": "10s", "stuck_band": 0.5}"#;
    let quiet = [(0, 3.0, GOOD), (5_000, 3.5, GOOD), (10_000, 2.5, GOOD), (10_001, 3.0, STALE), (11_000, 3.4, STALE)];
    check(settings, &quiet);
    check(
        settings,
        &[(0, 3.0, GOOD), (9_000, 3.0, GOOD), (11_000, 3.0, STALE), (12_000, 3.6, GOOD), (13_000, 3.6, GOOD)],
    );
    // Nobody knows what it did in an hour without readings.
    check(settings, &[(0, 3.0, GOOD), (3_600_000, 3.0, GOOD), (3_605_000, 3.0, GOOD), (3_610_001, 3.0, STALE)]);
    // A lamp by day.
    let lamp = r#"{"stuck_after": "10s", "stuck_band": 0.5, "stuck_rest": 0}"#;
    check(lamp, &[(0, 0.0, GOOD), (9_000, 0.4, GOOD), (18_000, 0.0, GOOD), (19_000, 70.0, GOOD), (28_000, 70.0, GOOD)]);
    check(
        lamp,
        &[(0, 0.0, GOOD), (10_000, 70.0, GOOD), (20_000, 70.0, GOOD), (20_001, 70.0, STALE), (21_000, 0.0, GOOD)],
    );
}

#[test]
fn a_spike_is_doubted_and_a_new_level_is_not_for_long() {
    let settings = r#"{"spike_k": 5, "spike_floor": 1, "spike_window": 5, "spike_accept": 3}"#;
    // Half a window is trusted; a quiet sensor may wiggle by k × the floor.
    let quiet = [(0, 20.0, GOOD), (1, 20.0, GOOD), (2, 20.0, GOOD), (3, 25.0, GOOD), (4, 25.1, RANGE), (5, 20.0, GOOD)];
    check(settings, &quiet);
    let step = [(0, 20.0, GOOD), (1, 20.0, GOOD), (2, 20.0, GOOD), (3, 90.0, RANGE), (4, 95.0, RANGE), (5, 92.0, GOOD)];
    check(settings, &step);
    // One disturbance after the other, nowhere twice.
    let wild = [(3, 100.0, RANGE), (4, 9_000.0, RANGE), (5, 400_000.0, RANGE), (6, 20.0, GOOD), (7, 90.0, RANGE)];
    check(settings, &[&quiet[..3], &wild].concat());
    // Two levels in turn are no step, and no reason to doubt a point for ever.
    let turns = [(3, 90.0, RANGE), (4, -90.0, RANGE), (5, 90.0, RANGE), (6, -90.0, RANGE), (7, 90.0, GOOD)];
    check(settings, &[&quiet[..3], &turns, &[(8, -90.0, GOOD), (9, 90.0, GOOD)]].concat());
}

#[test]
fn what_changes_too_fast_is_doubted_until_it_could_have_come_there() {
    let settings = r#"{"max_step": 2}"#;
    check(settings, &[(0, 20.0, GOOD), (1_000, 22.0, GOOD), (2_000, 19.9, RANGE), (2_500, 19.9, GOOD)]);
    check(settings, &[(0, 20.0, GOOD), (1_000, 30.0, RANGE), (4_999, 30.0, RANGE), (5_000, 30.0, GOOD)]);
    check(settings, &[(0, 20.0, GOOD), (0, 20.0, GOOD), (0, 21.0, RANGE)]);
}

#[test]
fn what_a_stuck_sensor_says_first_is_doubted_too() {
    let settings = r#"{"stuck_after": "8s", "spike_k": 5, "spike_floor": 0.1, "spike_window": 5}"#;
    let still: Vec<_> = (0..9).map(|i| (i * 1_000, 20.0, GOOD)).collect();
    let glitch = [(9_000, 20.0, STALE), (10_000, 4_000.0, RANGE), (11_000, 20.0, GOOD)];
    check(settings, &[&still[..], &glitch].concat());
    let moves = [(9_000, 20.0, STALE), (10_000, 23.0, RANGE), (11_000, 23.5, RANGE), (12_000, 23.1, GOOD)];
    check(settings, &[&still[..], &moves].concat());
    let wiggle = [(9_000, 20.0, STALE), (10_000, 20.4, GOOD)];
    check(settings, &[&still[..], &wiggle].concat());
}

#[test]
fn the_first_complaint_gives_the_mark_and_is_counted() {
    let settings = r#"{"max": 100, "stuck_after": "3s", "max_step": 1}"#;
    let mut bench = Bench::<Guard>::start(settings, &[POINT]).unwrap();
    let rows = [(0, 200.0), (1_000, 20.0), (2_000, 90.0), (3_000, 90.0), (5_001, 90.0)];
    let rows = rows.map(|(at, value)| given(at, value, GOOD));
    let marks: Vec<_> = bench.give(5_001, &rows).iter().map(|told| told.quality).collect();
    assert_eq!(marks, [RANGE, GOOD, RANGE, RANGE, STALE]);
    let counted = ["range", "stuck", "spike", "step"].map(|reason| bench.metric(&["marked-", reason].concat()));
    assert_eq!(counted, [Some(1.0), Some(1.0), None, Some(2.0)]);
}

#[test]
fn what_has_no_range_passes() {
    let settings = r#"{"min": 5, "max": 6, "stuck_after": "1s", "max_step": 1}"#;
    let mut bench = Bench::<Guard>::start(settings, &[POINT]).unwrap();
    for at in [0, 10_000] {
        let bad = Given { value: None, ..given(at, 0.0, TIMEOUT) };
        let bytes = Owned::Bytes(vec![1]);
        let rows = [given(at, true, GOOD), given(at, "on", GOOD), given(at, bytes, GOOD), bad, given(at, 0.0, CLOCK)];
        let told = bench.give(at, &rows);
        assert_eq!(told.iter().map(|told| told.fate).collect::<Vec<_>>(), [Fate::Kept; 5]);
    }
}

fn row() -> impl Strategy<Value = Given> {
    let value = prop_oneof![
        4 => (-20.0..120.0f64).prop_map(Owned::Number),
        2 => prop::sample::select(vec![0.0, 20.0, 20.5, f64::MAX, f64::MIN, -0.0]).prop_map(Owned::Number),
        1 => any::<bool>().prop_map(Owned::Bool),
        1 => Just(Owned::Text("on".to_owned())),
    ];
    (value, prop::sample::select(vec![GOOD, GOOD, GOOD, RANGE, STALE, CLOCK, TIMEOUT]), 0..5_000i64).prop_map(
        |(value, quality, at)| Given { value: Some(value).filter(|_| !quality.is_bad()), ..given(at, 0.0, quality) },
    )
}

const EVERYTHING: &str = r#"{"min": 0, "max": 100, "stuck_after": "2s", "stuck_band": 1, "spike_k": 4, "spike_floor": 1,
    "spike_window": 7, "max_step": 30}"#;

proptest! {
    #[test]
    fn every_row_passes_with_its_value_and_none_is_better_than_before(
        rows in prop::collection::vec(row(), 0..60), outside in prop::sample::select(vec!["uncertain", "bad"]),
    ) {
        let settings = EVERYTHING.replacen('{', &format!(r#"{{"outside": "{outside}", "#), 1);
        let mut bench = Bench::<Guard>::start(&settings, &[POINT]).map_err(TestCaseError::fail)?;
        let mut rows = rows;
        let mut clock = 0;
        for row in &mut rows {
            clock += row.at;
            row.at = clock;
        }
        let told: Vec<Told> = rows.chunks(7).flat_map(|batch| bench.give(clock, batch)).collect();
        prop_assert_eq!(told.len(), rows.len());
        for (told, row) in told.iter().zip(&rows) {
            prop_assert_eq!(told.at, row.at);
            if told.fate == Fate::Kept {
                prop_assert_eq!((&told.value, told.quality), (&row.value, row.quality));
            } else {
                prop_assert_eq!((told.fate, row.quality), (Fate::Marked, GOOD));
                prop_assert!([RANGE, STALE, BAD_RANGE].contains(&told.quality));
                prop_assert_eq!(told.value.as_ref(), row.value.as_ref().filter(|_| told.quality != BAD_RANGE));
            }
        }
    }
}
