//! The plugin as a hub would run it, by table; what it promises of totals and restarts, by property.

mod kept;
mod settings;
mod totals;

use curb_plugin::testing::{Bench, Fate, Given, Told};
use curb_plugin::{Quality, Reason};

use crate::settings::Per;
use crate::{IMPOSSIBLE, PARTIAL, Rate, rate_unit};

const ENERGY: &str = "meter/energy";
const TIMEOUT: Quality = Quality::bad(Reason::TIMEOUT);

fn bench(settings: &str) -> Bench<Rate> {
    Bench::start(settings, &[ENERGY, "door/in"]).expect(settings)
}

fn good(point: &str, at: i64, value: f64) -> Given {
    Given { point: point.to_owned(), at, value: Some(value.into()), quality: Quality::GOOD }
}

fn bad(point: &str, at: i64) -> Given {
    Given { point: point.to_owned(), at, value: None, quality: TIMEOUT }
}

fn told(all: &[Told], name: &str) -> Option<(i64, Option<f64>, Quality)> {
    let told = all.iter().find(|told| told.point == name)?;
    assert_eq!(told.fate, Fate::Added);
    Some((told.at, told.number(), told.quality))
}

/// What is told of a counter that shows `before`, and `value` so many seconds later: rate and difference.
fn step(settings: &str, before: f64, value: f64, seconds: i64) -> (Option<f64>, Option<f64>) {
    let mut bench = bench(&format!(r#"{{"give":["rate","diff"],"raw":"drop",{settings}}}"#));
    assert_eq!(bench.read(1_000, &[(ENERGY, before)]), []);
    let all = bench.read(1_000 + seconds * 1_000, &[(ENERGY, value)]);
    let value = |name: &str| told(&all, name).map(|(.., value, _)| value.expect("a value"));
    (value("meter-energy-rate"), value("meter-energy-diff"))
}

/// Rounded to where arithmetic on decimals is off.
fn close(a: Option<f64>, b: Option<f64>) -> bool {
    a == b || a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= 1e-6 * b.abs().max(1.0))
}

fn check_step(settings: &str, before: f64, value: f64, seconds: i64, expected: Option<(f64, f64)>) {
    let (rate, diff) = step(settings, before, value, seconds);
    let said = format!("{settings}: {before} to {value} in {seconds} s is {rate:?} and {diff:?}, not {expected:?}");
    assert!(close(rate, expected.map(|(rate, _)| rate)) && close(diff, expected.map(|(_, diff)| diff)), "{said}");
}

#[test]
fn a_rate_is_what_was_counted_in_the_time_asked_for() {
    check_step(r#""per":"h""#, 100.0, 100.5, 1_800, Some((1.0, 0.5)));
    check_step(r#""per":"min""#, 0.0, 30.0, 60, Some((30.0, 30.0)));
    check_step(r#""per":"s""#, 0.0, 30.0, 60, Some((0.5, 30.0)));
    check_step(r#""per":"h""#, 7.0, 7.0, 60, Some((0.0, 0.0)));
}

#[test]
fn a_counter_that_rolls_over_goes_on() {
    check_step(r#""max":65535,"per":"s""#, 65_530.0, 4.0, 10, Some((1.0, 10.0)));
    check_step(r#""max":4294967295,"per":"s""#, 4_294_967_295.0, 0.0, 1, Some((1.0, 1.0)));
    check_step(r#""max":999999.9,"per":"s""#, 999_999.5, 0.5, 1, Some((1.0, 1.0)));
    check_step(r#""max":42949672.95,"per":"s""#, 42_949_672.9, 0.04, 1, Some((0.1, 0.1)));
    check_step(r#""points":{"meter/energy":{"max":9999}},"per":"s""#, 9_999.0, 3.0, 1, Some((4.0, 4.0)));
    // Without a greatest rate a tenth of a turn is the most that is believed.
    check_step(r#""max":9999,"per":"s""#, 9_500.0, 500.0, 1, Some((1_000.0, 1_000.0)));
    check_step(r#""max":9999,"per":"s""#, 9_500.0, 501.0, 1, None);
    // With one, whatever is no faster: here 3,600 an hour are one a second.
    check_step(r#""max":9999,"max_rate":3600,"per":"h""#, 9_500.0, 4_500.0, 5_000, None);
    check_step(
        r#""max":9999,"max_rate":3600,"per":"h","max_gap":"2h""#,
        9_500.0,
        4_500.0,
        5_000,
        Some((3_600.0, 5_000.0)),
    );
    check_step(r#""max":9999,"max_rate":3600,"per":"h","max_gap":"2h""#, 9_500.0, 4_501.0, 5_000, None);
}

#[test]
fn a_counter_that_begins_anew_tells_nothing_and_then_goes_on() {
    check_step(r#""per":"s""#, 5_000.0, 3.0, 10, None);
    check_step(r#""max":65535,"per":"s""#, 5_000.0, 3.0, 10, None);
    // An exchanged meter, or one that was misread and comes back.
    check_step(r#""max_rate":100,"per":"s""#, 5_000.0, 6_001.0, 10, None);
    check_step(r#""max_rate":100,"per":"s""#, 5_000.0, 6_000.0, 10, Some((100.0, 1_000.0)));

    let mut bench = bench(r#"{"per":"s","raw":"drop"}"#);
    bench.read(1_000, &[(ENERGY, 5_000.0)]);
    assert_eq!(bench.read(2_000, &[(ENERGY, 3.0)]), []);
    let all = bench.read(3_000, &[(ENERGY, 4.0)]);
    assert_eq!(told(&all, "meter-energy-rate"), Some((3_000, Some(1.0), Quality::GOOD)));
    assert_eq!(bench.metric("resets"), Some(1.0));
}

#[test]
fn no_rate_is_invented_over_a_gap_but_what_was_counted_is_not_lost() {
    let mut bench = bench(r#"{"per":"s","give":["rate","diff"],"raw":"drop","max_gap":"60s","max":9999}"#);
    bench.read(0, &[(ENERGY, 10.0)]);
    assert_eq!(bench.read(60_000, &[(ENERGY, 70.0)]).len(), 2);
    let all = bench.read(120_001, &[(ENERGY, 100.0)]);
    assert_eq!(told(&all, "meter-energy-rate"), None);
    assert_eq!(told(&all, "meter-energy-diff"), Some((120_001, Some(30.0), PARTIAL)));
    // In a gap a roll-over looks like a new beginning.
    assert_eq!(bench.read(181_000, &[(ENERGY, 9_990.0)]).len(), 1);
    assert_eq!(bench.read(250_000, &[(ENERGY, 5.0)]), []);
    assert_eq!((bench.metric("gaps"), bench.metric("resets")), (Some(2.0), Some(1.0)));
}

#[test]
fn a_silence_in_which_a_counter_may_have_turned_twice_is_a_gap() {
    let settings = r#""per":"s","max":999,"max_rate":10,"max_gap":"1h""#;
    check_step(settings, 900.0, 899.0, 99, None);
    check_step(settings, 900.0, 0.0, 99, Some((100.0 / 99.0, 100.0)));
    let (rate, diff) = step(settings, 100.0, 200.0, 100);
    assert_eq!((rate, diff), (None, Some(100.0)));
}

#[test]
fn a_bad_reading_is_told_once_and_a_rate_goes_over_it_within_max_gap() {
    let mut bench = bench(r#"{"per":"s","raw":"drop","max_gap":"60s"}"#);
    bench.read(0, &[(ENERGY, 10.0)]);
    let all = bench.give(10_000, &[bad(ENERGY, 10_000)]);
    assert_eq!(told(&all, "meter-energy-rate"), Some((10_000, None, TIMEOUT)));
    assert_eq!(bench.give(20_000, &[bad(ENERGY, 20_000)]), []);
    let all = bench.read(40_000, &[(ENERGY, 50.0)]);
    assert_eq!(told(&all, "meter-energy-rate"), Some((40_000, Some(1.0), Quality::GOOD)));
    assert_eq!(bench.give(50_000, &[bad(ENERGY, 50_000)]).len(), 1);
    assert_eq!(bench.read(100_001, &[(ENERGY, 90.0)]), []);
    assert_eq!((bench.metric("bad"), bench.metric("gaps")), (Some(3.0), Some(1.0)));
}

#[test]
fn what_a_counter_cannot_show_is_bad() {
    let mut bench = bench(r#"{"per":"s","raw":"drop","max":65535}"#);
    bench.read(0, &[(ENERGY, 10.0)]);
    for (at, value) in [(1_000, 65_536.0), (3_000, -1.0)] {
        let all = bench.read(at, &[(ENERGY, value)]);
        assert_eq!(told(&all, "meter-energy-rate"), Some((at, None, IMPOSSIBLE)), "{value}");
        let all = bench.read(at + 1_000, &[(ENERGY, 10.0)]);
        assert_eq!(told(&all, "meter-energy-rate"), Some((at + 1_000, Some(0.0), Quality::GOOD)), "{value}");
    }
}

#[test]
fn a_reading_that_is_not_newer_says_nothing() {
    let mut bench = bench(r#"{"per":"s","raw":"drop"}"#);
    bench.read(10_000, &[(ENERGY, 10.0)]);
    assert_eq!(bench.give(10_000, &[good(ENERGY, 9_000, 99.0), good(ENERGY, 10_000, 11.0)]), []);
    assert_eq!(bench.metric("late"), Some(2.0));
    let all = bench.read(12_000, &[(ENERGY, 14.0)]);
    assert_eq!(told(&all, "meter-energy-rate"), Some((12_000, Some(2.0), Quality::GOOD)));
}

#[test]
fn a_rate_comes_as_seldom_as_is_asked_for_and_is_over_all_that_was_counted() {
    let mut bench = bench(r#"{"per":"s","give":["rate","diff"],"raw":"drop","every":"10s","max":99}"#);
    for (at, value) in [(0, 90.0), (4_000, 98.0), (8_000, 6.0)] {
        assert_eq!(bench.read(at, &[(ENERGY, value)]), [], "{at}");
    }
    let all = bench.read(12_000, &[(ENERGY, 14.0)]);
    assert_eq!(told(&all, "meter-energy-rate"), Some((12_000, Some(2.0), Quality::GOOD)));
    assert_eq!(told(&all, "meter-energy-diff"), Some((12_000, Some(24.0), Quality::GOOD)));
    // What was counted before a new beginning is told with it, and what is open with the last word.
    assert_eq!(bench.read(14_000, &[(ENERGY, 17.0)]), []);
    let all = bench.read(16_000, &[(ENERGY, 0.0)]);
    assert_eq!((all.len(), told(&all, "meter-energy-diff")), (1, Some((16_000, Some(3.0), PARTIAL))));
    assert_eq!(bench.read(18_000, &[(ENERGY, 5.0)]), []);
    let all = bench.finish(19_000);
    assert_eq!((all.len(), told(&all, "meter-energy-diff")), (1, Some((19_000, Some(5.0), PARTIAL))));
}

#[test]
fn a_rate_is_as_uncertain_as_what_it_is_made_of() {
    let mut bench = bench(r#"{"per":"s","raw":"drop"}"#);
    let doubtful = Given { quality: Quality::STALE, ..good(ENERGY, 2_000, 2.0) };
    bench.give(1_000, &[good(ENERGY, 1_000, 1.0)]);
    let mut quality = |given: Given| {
        told(&bench.give(given.at, std::slice::from_ref(&given)), "meter-energy-rate").expect("a rate").2
    };
    assert_eq!(quality(doubtful), Quality::STALE);
    assert_eq!(quality(good(ENERGY, 3_000, 3.0)), Quality::STALE);
    assert_eq!(quality(good(ENERGY, 4_000, 4.0)), Quality::GOOD);
}

#[test]
fn counters_stay_here_or_pass_and_what_is_no_number_always_passes() {
    for (raw, kept) in [("keep", 2), ("drop", 0)] {
        let mut bench = bench(&format!(r#"{{"raw":"{raw}"}}"#));
        let all = bench.give(2_000, &[good(ENERGY, 1_000, 1.0), bad("door/in", 2_000)]);
        assert_eq!(all.iter().filter(|told| told.fate == Fate::Kept).count(), kept, "{raw}");
        assert_eq!(bench.read(3_000, &[(ENERGY, "-----")])[0].fate, Fate::Kept);
        assert_eq!(bench.read(4_000, &[("door/in", true)])[0].fate, Fate::Kept);
    }
}

#[test]
fn a_rate_has_the_unit_that_people_know() {
    let check = |unit: &str, per: Per, expected: &str| assert_eq!(rate_unit(unit, per), expected);
    check("kWh", Per::Hour, "kW");
    check("kvarh", Per::Hour, "kvar");
    check("Wh", Per::Second, "Wh/s");
    check("m3", Per::Hour, "m3/h");
    check("1", Per::Minute, "1/min");
    check("inch", Per::Hour, "inch/h");
}
