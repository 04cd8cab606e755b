//! The plugin as a hub would run it, by table; its parts, and the whole against a naive one, by property.

mod grid;
mod naive;
mod open;
mod settings;
mod tail;

use curb_plugin::testing::{Bench, Fate, Given, Told};
use curb_plugin::{Quality, Reason};

use crate::rule::UNFINISHED;
use crate::{EMPTY, Window};

const TIMEOUT: Quality = Quality::bad(Reason::TIMEOUT);
const POWER: &str = "meter/power";

fn bench(settings: &str) -> Bench<Window> {
    Bench::start(settings, &[POWER, "lamp/power"]).expect(settings)
}

fn good(point: &str, at: i64, value: f64) -> Given {
    Given { point: point.to_owned(), at, value: Some(value.into()), quality: Quality::GOOD }
}

fn bad(point: &str, at: i64) -> Given {
    Given { point: point.to_owned(), at, value: None, quality: TIMEOUT }
}

/// What was added: point, time and value.
fn own(told: &[Told]) -> Vec<(&str, i64, Option<f64>)> {
    let own = told.iter().filter(|told| told.fate == Fate::Added);
    own.map(|told| (told.point.as_str(), told.at, told.number())).collect()
}

#[test]
fn a_window_tells_what_was_asked_for_when_a_reading_behind_it_comes() {
    let all = r#"{"every":"10s","lateness":"0s","stats":["min","mean","max","p95","count","sum"]}"#;
    let mut bench = bench(all);
    for (at, value) in [(1_000, 4.0), (5_000, 1.0), (9_000, 7.0)] {
        assert_eq!(bench.read(at, &[(POWER, value)]), []);
    }
    // A reading at the end belongs to the window that ends there, and the next one does not.
    assert_eq!(bench.read(10_000, &[(POWER, 8.0)]), []);
    let told = bench.read(10_001, &[(POWER, 100.0)]);
    let expected = [("min", 1.0), ("mean", 5.0), ("max", 8.0), ("p95", 8.0), ("count", 4.0), ("sum", 20.0)];
    let names: Vec<_> = expected.iter().map(|(name, value)| (format!("meter-power-{name}"), *value)).collect();
    assert_eq!(own(&told), names.iter().map(|(name, value)| (name.as_str(), 10_000, Some(*value))).collect::<Vec<_>>());
    assert!(told.iter().all(|told| told.quality == Quality::GOOD));
}

#[test]
fn a_silent_devices_last_window_comes_with_a_tick() {
    let mut bench = bench(r#"{"every":"10s","lateness":"2s"}"#);
    assert_eq!(bench.tick_ms(), 166);
    bench.read(3_000, &[(POWER, 4.0), ("lamp/power", 6.0)]);
    assert_eq!(bench.tick(12_000), []);
    let told = bench.tick(12_001);
    assert_eq!(own(&told), [("meter-power-mean", 10_000, Some(4.0)), ("lamp-power-mean", 10_000, Some(6.0))]);
    assert_eq!(bench.tick(100_000), []);
    for (every, tick_ms) in [("1s", 100), ("60s", 1_000), ("15m", 10_000), ("24h", 10_000)] {
        assert_eq!(self::bench(&format!(r#"{{"every":"{every}"}}"#)).tick_ms(), tick_ms, "{every}");
    }
}

#[test]
fn a_late_reading_goes_where_it_belongs_or_is_counted() {
    let mut bench = bench(r#"{"every":"10s","lateness":"5s","stats":["sum"]}"#);
    bench.read(8_000, &[(POWER, 1.0)]);
    // Ahead, and back into the window that is still open.
    assert_eq!(bench.give(15_000, &[good(POWER, 9_000, 2.0), good(POWER, 15_000, 10.0)]), []);
    assert_eq!(bench.give(15_000, &[good(POWER, 10_000, 4.0)]), []);
    assert_eq!(own(&bench.read(15_001, &[(POWER, 20.0)])), [("meter-power-sum", 10_000, Some(7.0))]);
    assert_eq!(bench.give(15_001, &[good(POWER, 9_999, 1.0)]), []);
    assert_eq!(bench.metric("late"), Some(1.0));
    assert_eq!(own(&bench.tick(25_001)), [("meter-power-sum", 20_000, Some(30.0))]);
}

#[test]
fn streams_that_come_interleaved_do_not_close_each_others_windows() {
    let mut bench = bench(r#"{"every":"10s","lateness":"0s","stats":["sum"]}"#);
    bench.read(5_000, &[(POWER, 1.0)]);
    bench.read(25_000, &[("lamp/power", 1.0)]);
    assert_eq!(bench.give(25_000, &[good(POWER, 6_000, 1.0)]), []);
    // One answer tells several points in the order of time.
    let told = bench.give(45_000, &[good("lamp/power", 41_000, 1.0), good(POWER, 41_000, 1.0)]);
    assert_eq!(own(&told), [("meter-power-sum", 10_000, Some(2.0)), ("lamp-power-sum", 30_000, Some(1.0))]);
    assert_eq!(bench.metric("late"), None);
}

#[test]
fn bad_readings_are_counted_apart_and_uncertain_ones_show() {
    let mut bench = bench(r#"{"every":"10s","lateness":"0s","stats":["mean","count"]}"#);
    let doubtful = Given { quality: Quality::OUT_OF_RANGE, ..good(POWER, 2_000, 3.0) };
    assert_eq!(bench.give(3_000, &[good(POWER, 1_000, 1.0), doubtful, bad(POWER, 3_000)]), []);
    // A bad one is behind the window all the same.
    let told = bench.give(11_000, &[bad(POWER, 11_000)]);
    assert_eq!(own(&told), [("meter-power-mean", 10_000, Some(2.0)), ("meter-power-count", 10_000, Some(2.0))]);
    assert!(told.iter().all(|told| told.quality == Quality::OUT_OF_RANGE));
    assert_eq!(bench.metric("bad"), Some(2.0));
    assert_eq!(bench.tick(31_000), []);
}

#[test]
fn an_empty_window_is_bad_if_it_is_to_be() {
    let mut bench = bench(r#"{"every":"10s","lateness":"0s","empty":"bad"}"#);
    let check = |told: &[Told], expected: &[(i64, Option<f64>)]| {
        let power: Vec<_> = told.iter().filter(|told| told.point == "meter-power-mean").collect();
        assert_eq!(power.iter().map(|told| (told.at, told.number())).collect::<Vec<_>>(), expected);
        assert!(power.iter().all(|told| told.value.is_some() || told.quality == EMPTY));
    };
    // Windows that ended before the plugin began are nobody's.
    check(&bench.tick(15_000), &[]);
    check(&bench.tick(20_001), &[(20_000, None)]);
    check(&bench.give(21_000, &[good(POWER, 21_000, 1.0)]), &[]);
    check(&bench.give(31_000, &[bad(POWER, 31_000)]), &[(30_000, Some(1.0))]);
    // Many that are closed at once are one.
    check(&bench.read(95_000, &[(POWER, 2.0)]), &[(90_000, None)]);
    check(&bench.tick(1_000_000), &[(100_000, Some(2.0)), (990_000, None)]);
}

#[test]
fn readings_stay_here_or_pass_and_what_is_no_number_always_passes() {
    for (settings, kept) in [(r#"{"every":"10s"}"#, 0), (r#"{"every":"10s","raw":"keep"}"#, 2)] {
        let mut bench = bench(settings);
        let told = bench.give(2_000, &[good(POWER, 1_000, 1.0), bad(POWER, 2_000)]);
        assert_eq!(told.len(), kept, "{settings}");
        let told = bench.read(3_000, &[(POWER, "on fire")]);
        assert_eq!((told.len(), told[0].fate), (1, Fate::Kept), "{settings}");
        assert_eq!(bench.metric("bad"), Some(1.0));
    }
    // A bit has a share of time.
    let mut bench = bench(r#"{"every":"10s","lateness":"0s"}"#);
    for (at, is_on) in [(2_000, true), (4_000, false), (6_000, true), (8_000, true)] {
        bench.read(at, &[(POWER, is_on)]);
    }
    assert_eq!(own(&bench.tick(10_001)), [("meter-power-mean", 10_000, Some(0.75))]);
}

#[test]
fn sliding_windows_overlap_and_go_on_until_they_are_empty() {
    let mut bench = bench(r#"{"every":"10s","over":"30s","lateness":"0s","stats":["sum","p95"]}"#);
    let sums = |told: &[Told]| -> Vec<(i64, Option<f64>)> {
        own(told).iter().filter(|(name, ..)| *name == "meter-power-sum").map(|(_, at, sum)| (*at, *sum)).collect()
    };
    bench.read(5_000, &[(POWER, 1.0)]);
    assert_eq!(sums(&bench.read(15_000, &[(POWER, 2.0)])), [(10_000, Some(1.0))]);
    assert_eq!(sums(&bench.read(25_000, &[(POWER, 4.0)])), [(20_000, Some(3.0))]);
    assert_eq!(sums(&bench.tick(30_001)), [(30_000, Some(7.0))]);
    // Its window that ended is closed, the two that have not ended take it.
    assert_eq!(bench.give(30_001, &[good(POWER, 29_000, 8.0)]), []);
    assert_eq!(bench.metric("late"), None);
    assert_eq!(sums(&bench.tick(100_000)), [(40_000, Some(14.0)), (50_000, Some(12.0))]);
}

#[test]
fn an_uncertain_reading_shows_in_each_window_that_it_belongs_to() {
    let mut bench = bench(r#"{"every":"10s","over":"20s","lateness":"0s"}"#);
    let doubtful = Given { quality: Quality::STALE, ..good(POWER, 15_000, 1.0) };
    bench.give(26_000, &[good(POWER, 5_000, 1.0), doubtful, good(POWER, 25_000, 1.0)]);
    let told = bench.tick(45_000);
    assert_eq!(
        told.iter().map(|told| (told.at, told.quality)).collect::<Vec<_>>(),
        [(30_000, Quality::STALE), (40_000, Quality::GOOD)]
    );
}

#[test]
fn a_plugin_that_goes_tells_what_is_open_as_unfinished() {
    let mut bench = bench(r#"{"every":"10s","lateness":"5s","stats":["sum"]}"#);
    bench.read(8_000, &[(POWER, 1.0)]);
    bench.read(12_000, &[(POWER, 2.0)]);
    let told = bench.finish(13_000);
    assert_eq!(own(&told), [("meter-power-sum", 10_000, Some(1.0)), ("meter-power-sum", 13_000, Some(2.0))]);
    assert_eq!(told.iter().map(|told| told.quality).collect::<Vec<_>>(), [Quality::GOOD, UNFINISHED]);
}

#[test]
fn more_windows_than_an_answer_may_tell_wait_for_the_next() {
    let inputs: Vec<String> = (0..250).map(|n| format!("d/{n}")).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let check = |over: &str, inputs: &[&str], expected: &[usize]| {
        let settings = format!(r#"{{"every":"1s","over":"{over}","lateness":"0s","stats":["sum"]}}"#);
        let mut bench = Bench::<Window>::start(&settings, inputs).expect(over);
        bench.read(500, &inputs.iter().map(|input| (*input, 1.0)).collect::<Vec<_>>());
        let told: Vec<usize> = (0..expected.len()).map(|_| bench.tick(5_000_000).len()).collect();
        assert_eq!(told, expected, "{over}");
    };
    // As many readings as a hub takes; as many parts as are joined in a few milliseconds.
    check("1s", &inputs, &[250, 0]);
    check("8s", &inputs, &[512, 512, 512, 464, 0]);
    check("30s", &inputs[..100], &[137, 137, 137]);
    check("1s", &inputs[..1], &[1, 0]);
    let settings = r#"{"every":"1s","lateness":"0s","stats":["min","max","sum","count"]}"#;
    let mut bench = Bench::<Window>::start(settings, &inputs[..60]).expect(settings);
    let second = |at: i64| inputs[..60].iter().map(move |input| good(input, at * 1_000 + 500, 1.0));
    let batch: Vec<Given> = (0..20).flat_map(second).collect();
    assert_eq!(bench.give(20_000, &batch).len(), 1_000);
    let told: Vec<usize> = (0..6).map(|_| bench.tick(20_001).len()).collect();
    assert_eq!(told, [1_000, 1_000, 1_000, 800, 0, 0]);
    assert_eq!((bench.metric("late"), bench.metric("overload")), (None, None));
}

#[test]
fn a_sum_that_no_float_holds_is_bad() {
    let mut bench = bench(r#"{"every":"10s","lateness":"0s","stats":["sum","max"]}"#);
    bench.give(2_000, &[good(POWER, 1_000, 1e308), good(POWER, 2_000, 1e308)]);
    let told = bench.tick(10_001);
    assert_eq!(own(&told), [("meter-power-sum", 10_000, None), ("meter-power-max", 10_000, Some(1e308))]);
}
