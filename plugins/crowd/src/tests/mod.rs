//! What may come out of the plugin, and what may not: by table here, by property in `promise`, the noise itself in `noise`.

mod noise;
mod promise;

use curb_plugin::testing::{Bench, Fate, Given, Owned, Told};
use curb_plugin::{Quality, Reason, Saved};

use crate::Crowd;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const GATE: &str = "gate/passed";
const TIMEOUT: Quality = Quality::bad(Reason::TIMEOUT);

fn bench(settings: &str) -> Bench<Crowd> {
    Bench::start(settings, &[GATE]).unwrap()
}

/// A plugin that has run since before the day began, so that nothing is doubted.
fn awake(settings: &str, inputs: &[&str]) -> Bench<Crowd> {
    let mut bench = Bench::start(settings, inputs).unwrap();
    bench.tick(-SECOND);
    for at in [0, 10 * SECOND] {
        bench.tick(at);
    }
    bench
}

/// Time to `at`, with a tick each minute as a hub would give, so that nothing is missed.
fn wait(bench: &mut Bench<Crowd>, from: i64, at: i64) -> Vec<Told> {
    let mut told = Vec::new();
    let mut now = from;
    while now < at {
        now = (now + MINUTE).min(at);
        told.extend(bench.tick(now));
    }
    told
}

fn given(at: i64, value: impl Into<Option<f64>>, quality: Quality) -> Given {
    Given { point: GATE.to_owned(), at, value: value.into().map(Owned::Number), quality }
}

fn values(told: &[Told]) -> Vec<Option<f64>> {
    assert!(told.iter().all(|told| told.fate == Fate::Added), "a reading has passed: {told:?}");
    told.iter().map(Told::number).collect()
}

/// `counts`: readings of one period of a quarter of an hour, a minute apart; what is told at its end.
fn check(settings: &str, counts: &[f64], count: Option<f64>, quality: Quality) {
    let mut bench = awake(settings, &[GATE]);
    let mut now = 10 * SECOND;
    for &count in counts {
        now += MINUTE;
        assert_eq!(bench.read(now, &[(GATE, count)]), []);
    }
    let told = wait(&mut bench, now, 15 * MINUTE + 10 * SECOND);
    let expected = Told {
        point: "gate-passed".to_owned(),
        at: 15 * MINUTE,
        value: count.map(Owned::Number),
        quality,
        fate: Fate::Added,
    };
    assert_eq!(told, [expected], "{settings} {counts:?}");
}

const ABSENT: Quality = Quality::bad(Reason::ABSENT);

#[test]
fn a_period_is_told_once_and_as_its_mode_says() {
    let floor = r#"{ "kind": "sum", "mode": "floor" }"#;
    for (counts, told) in [(&[2.0, 3.0][..], 5.0), (&[1.0, 3.0], 0.0), (&[0.0], 0.0), (&[7.0, 0.0, 1.0], 8.0)] {
        check(floor, counts, Some(told), Quality::GOOD);
    }
    let absent = r#"{ "kind": "sum", "mode": "floor", "k": 3, "below": "absent" }"#;
    check(absent, &[0.0], None, ABSENT);
    check(absent, &[2.0], None, ABSENT);
    check(absent, &[3.0], Some(3.0), Quality::GOOD);
    for (to, count, told) in
        [(5, 2.0, 0.0), (5, 3.0, 5.0), (4, 2.0, 4.0), (4, 1.0, 0.0), (10, 15.0, 20.0), (10, 14.0, 10.0)]
    {
        let settings = format!(r#"{{ "kind": "sum", "mode": "round", "round_to": {to} }}"#);
        check(&settings, &[count], Some(told), Quality::GOOD);
    }
}

#[test]
fn a_kind_says_what_readings_come_to() {
    let counts = [4.0, 9.0, 6.0, 7.0];
    for (kind, told) in [("sum", 26.0), ("max", 9.0), ("mean", 7.0)] {
        check(&format!(r#"{{ "kind": "{kind}", "mode": "floor" }}"#), &counts, Some(told), Quality::GOOD);
    }
    // 6.5 is told as 7, and what a sensor scales is taken to the nearest.
    check(r#"{ "kind": "mean", "mode": "floor" }"#, &[6.0, 7.0], Some(7.0), Quality::GOOD);
    check(r#"{ "kind": "sum", "mode": "floor" }"#, &[2.9999, 3.0001], Some(6.0), Quality::GOOD);
    // A running total counts from its first reading; one that falls began anew.
    let total = r#"{ "kind": "total", "mode": "floor" }"#;
    check(total, &[1000.0, 1004.0, 1009.0], Some(9.0), Quality::uncertain(Reason::ABSENT));
    check(total, &[1000.0, 1004.0, 6.0], Some(10.0), Quality::uncertain(Reason::ABSENT));
}

#[test]
fn no_reading_is_told_as_no_reading_and_not_as_nobody() {
    check(r#"{ "kind": "sum", "mode": "floor" }"#, &[], None, ABSENT);
    check(r#"{ "kind": "sum", "mode": "floor", "silence": "zero" }"#, &[], Some(0.0), Quality::GOOD);
}

#[test]
fn a_bad_reading_makes_its_period_uncertain_and_no_other() {
    let mut bench = awake(r#"{ "kind": "sum", "mode": "floor", "silence": "zero" }"#, &[GATE]);
    bench.read(MINUTE, &[(GATE, 8.0)]);
    bench.give(2 * MINUTE, &[given(2 * MINUTE, None, TIMEOUT)]);
    let told = wait(&mut bench, 2 * MINUTE, 31 * MINUTE);
    assert_eq!(values(&told), [Some(8.0), Some(0.0)]);
    assert_eq!(told[0].quality, Quality::uncertain(Reason::TIMEOUT));
    assert_eq!(told[1].quality, Quality::GOOD);
    // With nothing but bad readings there is nothing to tell, silence or not.
    bench.give(31 * MINUTE, &[given(31 * MINUTE, None, TIMEOUT)]);
    let told = wait(&mut bench, 31 * MINUTE, 46 * MINUTE);
    assert_eq!((values(&told), told[0].quality), (vec![None], TIMEOUT));
    assert_eq!(bench.metric("bad-readings"), Some(2.0));
}

#[test]
fn what_no_sensor_of_people_says_does_not_count() {
    for wrong in [-1.0, 65_535.0, f64::NAN, f64::INFINITY] {
        let mut bench = awake(r#"{ "kind": "sum", "mode": "floor" }"#, &[GATE]);
        bench.read(MINUTE, &[(GATE, 6.0)]);
        bench.read(2 * MINUTE, &[(GATE, wrong)]);
        let told = wait(&mut bench, 2 * MINUTE, 16 * MINUTE);
        assert_eq!((values(&told), told[0].quality), (vec![Some(6.0)], Quality::OUT_OF_RANGE), "{wrong}");
    }
    let mut bench = awake(r#"{ "kind": "sum", "mode": "floor" }"#, &[GATE]);
    bench.read(MINUTE, &[(GATE, "six")]);
    let told = wait(&mut bench, MINUTE, 16 * MINUTE);
    assert_eq!((values(&told), told[0].quality), (vec![None], Quality::bad(Reason::DECODE)));
}

#[test]
fn a_reading_may_be_late_by_the_wait_and_no_later() {
    let mut bench = awake(r#"{ "kind": "sum", "mode": "floor", "silence": "zero" }"#, &[GATE]);
    bench.give(
        15 * MINUTE + 9 * SECOND,
        &[given(14 * MINUTE, 6.0, Quality::GOOD), given(15 * MINUTE, 7.0, Quality::GOOD)],
    );
    assert_eq!(values(&bench.tick(15 * MINUTE + 10 * SECOND)), [Some(6.0)]);
    bench.give(15 * MINUTE + 11 * SECOND, &[given(14 * MINUTE, 50.0, Quality::GOOD)]);
    assert_eq!(values(&wait(&mut bench, 15 * MINUTE + 11 * SECOND, 31 * MINUTE)), [Some(7.0)]);
    assert_eq!(bench.metric("late-readings"), Some(1.0));
}

#[test]
fn a_period_that_was_not_seen_whole_is_uncertain() {
    let settings = r#"{ "kind": "sum", "mode": "floor", "silence": "zero" }"#;
    let uncertain = Quality::uncertain(Reason::ABSENT);
    // Begun in its middle.
    let mut bench = bench(settings);
    bench.read(5 * MINUTE, &[(GATE, 9.0)]);
    let told = wait(&mut bench, 5 * MINUTE, 31 * MINUTE);
    assert_eq!(told.iter().map(|told| told.quality).collect::<Vec<_>>(), [uncertain, Quality::GOOD]);
    // Not called for a while, by hub time; then off, which only the time of the world shows.
    let told = bench.tick(34 * MINUTE);
    assert_eq!(told, []);
    bench.restart();
    let told = wait(&mut bench, 34 * MINUTE, 46 * MINUTE);
    assert_eq!(told[0].quality, uncertain);
    bench.utc_offset = Some(10 * HOUR);
    let told = wait(&mut bench, 46 * MINUTE, 76 * MINUTE);
    assert_eq!(told.iter().map(|told| told.quality).collect::<Vec<_>>(), [uncertain, Quality::GOOD]);
    // Hours ahead: what was open is told, what nobody saw is not.
    let told = bench.tick(10 * HOUR);
    assert_eq!(told.iter().map(|told| (told.at, told.quality)).collect::<Vec<_>>(), [(90 * MINUTE, uncertain)]);
}

#[test]
fn without_the_time_of_the_world_what_was_missed_shows_by_that_of_the_hub() {
    let mut bench = awake(r#"{ "kind": "sum", "mode": "floor", "silence": "zero" }"#, &[GATE]);
    bench.utc_offset = None;
    bench.tick(MINUTE);
    bench.restart();
    assert_eq!(wait(&mut bench, MINUTE, 16 * MINUTE)[0].quality, Quality::GOOD);
    bench.tick(20 * MINUTE);
    assert_eq!(wait(&mut bench, 20 * MINUTE, 31 * MINUTE)[0].quality, Quality::uncertain(Reason::ABSENT));
}

#[test]
fn a_reading_from_a_time_to_come_counts_now() {
    let mut bench = awake(r#"{ "kind": "sum", "mode": "floor" }"#, &[GATE]);
    bench.give(MINUTE, &[given(DAY, 6.0, Quality::GOOD)]);
    assert_eq!(values(&wait(&mut bench, MINUTE, 16 * MINUTE)), [Some(6.0)]);
}

#[test]
fn under_other_periods_nothing_is_told_that_was_counted_before() {
    let settings = |kind: &str, period: &str| {
        format!(r#"{{ "kind": "{kind}", "mode": "floor", "period": "{period}", "wait": "0s" }}"#)
    };
    // Told at which minutes, and what, after a change at 1:40.
    let check = |kind: &str, period: &str, expected: &[(i64, Option<f64>)]| {
        let mut bench = awake(&settings("sum", "1h"), &[GATE]);
        let mut now = 10 * SECOND;
        for at in (5..100).step_by(5) {
            wait(&mut bench, now, at * MINUTE);
            now = at * MINUTE;
            bench.read(now, &[(GATE, 100.0)]);
        }
        wait(&mut bench, now, 100 * MINUTE);
        let data = bench.restart();
        bench = Bench::start(&settings(kind, period), &[GATE]).unwrap();
        bench.restore(Saved { version: 1, data }).unwrap();
        let mut told = bench.read(100 * MINUTE, &[(GATE, 7.0)]);
        told.extend(wait(&mut bench, 100 * MINUTE, 121 * MINUTE));
        let found: Vec<_> = told.iter().map(|told| (told.at / MINUTE, told.number())).collect();
        assert_eq!(found, expected, "{kind} {period}");
        let is_same = (kind, period) == ("sum", "1h");
        assert_eq!(told[0].quality.is_good(), is_same, "begun under another rule, or not: {told:?}");
    };
    check("sum", "1h", &[(120, Some(807.0))]);
    check("sum", "15min", &[(105, Some(7.0)), (120, None)]);
    check("sum", "2h", &[(120, Some(7.0))]);
    check("max", "1h", &[(120, Some(7.0))]);
}

#[test]
fn with_its_budget_spent_a_point_is_silent_until_the_next_day() {
    let settings = r#"{ "kind": "sum", "mode": "noise", "epsilon": 0.5, "budget": 2.2, "period": "1h" }"#;
    let mut bench = awake(settings, &[GATE]);
    let mut hours = Vec::new();
    for hour in 0..48 {
        let now = hour * HOUR + MINUTE;
        let mut told = bench.read(now, &[(GATE, 100.0)]);
        told.extend(wait(&mut bench, now, now + HOUR - MINUTE));
        hours.extend(told.iter().map(|told| told.at / HOUR));
    }
    assert_eq!(hours, [1, 2, 3, 4, 25, 26, 27, 28]);
    assert_eq!(bench.metric("withheld"), Some(40.0));
}

#[test]
fn a_sensor_that_fails_costs_no_budget() {
    let settings = r#"{ "kind": "max", "mode": "noise", "epsilon": 1, "budget": 1, "period": "1h" }"#;
    let mut bench = awake(settings, &[GATE]);
    let told = wait(&mut bench, 10 * SECOND, 3 * HOUR + MINUTE);
    assert_eq!(values(&told), [None, None, None]);
    bench.read(3 * HOUR + 2 * MINUTE, &[(GATE, 100.0)]);
    let told = wait(&mut bench, 3 * HOUR + 2 * MINUTE, 6 * HOUR);
    assert!(told.len() == 1 && told[0].number().is_some(), "{told:?}");
}

#[test]
fn noise_without_a_secret_is_refused_with_words() {
    let noise = r#"{ "kind": "sum", "mode": "noise", "epsilon": 0.5, "budget": 12 }"#;
    for seed in [&[][..], &[7; 15]] {
        let error = Bench::<Crowd>::seeded(noise, &[GATE], seed).unwrap_err();
        assert_eq!(
            error,
            "points: gate/passed: mode: \"noise\" needs the secret seed of a hub, and this one gives none"
        );
        assert!(Bench::<Crowd>::seeded(r#"{ "kind": "sum", "mode": "floor" }"#, &[GATE], seed).is_ok());
    }
    assert!(Bench::<Crowd>::seeded(noise, &[GATE], &[7; 16]).is_ok());
}

#[test]
fn points_have_rules_and_names_of_their_own() {
    let settings = r#"{ "kind": "sum", "mode": "floor", "period": "1h", "points": {
        "gate/passed": { "mode": "round", "round_to": 10, "period": "15min", "name": "people" },
        "hall/there": { "kind": "max", "k": 3 } } }"#;
    let mut bench = awake(settings, &[GATE, "hall/there"]);
    bench.read(MINUTE, &[(GATE, 12.0), ("hall/there", 3.0)]);
    let told = wait(&mut bench, MINUTE, HOUR + MINUTE);
    let told: Vec<_> = told.iter().map(|told| (told.at / MINUTE, told.point.as_str(), told.number())).collect();
    let absent = [30, 45, 60].map(|at| (at, "people", None));
    assert_eq!(told, [&[(15, "people", Some(10.0))], &absent[..], &[(60, "hall-there", Some(3.0))]].concat());
}

#[test]
fn settings_are_refused_with_the_name_of_the_setting() {
    let check = |settings: &str, complaint: &str| {
        let error = Bench::<Crowd>::start(settings, &[GATE, "gate-passed/x"]).unwrap_err();
        assert!(error.contains(complaint), "{settings}: {error}");
    };
    let floor = |rest: &str| format!(r#"{{ "kind": "sum", "mode": "floor", {rest} }}"#);
    check("{}", "kind: expected");
    check(r#"{ "kind": "sum" }"#, "mode: expected");
    check(r#"{ "kind": "sums" }"#, "kind: found \"sums\", expected one of sum, total, max, mean");
    check(r#"{ "kind": "sum", "mode": "noise" }"#, "epsilon: expected");
    check(r#"{ "kind": "sum", "mode": "noise", "epsilon": 0.5 }"#, "budget: expected");
    check(r#"{ "kind": "sum", "mode": "noise", "epsilon": 0.5, "budget": 0.4 }"#, "budget: expected epsilon or more");
    check(&floor(r#""epsilon": 0.0005"#), "epsilon: expected 0.01 to 10");
    check(&floor(r#""epsilon": 0.5005"#), "epsilon: expected");
    check(&floor(r#""budget": 20000"#), "budget: expected 0.01 to 10000");
    check(&floor(r#""k": 1"#), "k: expected a whole number from 2");
    check(&floor(r#""round_to": 2.5"#), "round_to: expected");
    check(&floor(r#""below": 0"#), "below: expected a text");
    check(&floor(r#""period": "7min""#), "period: expected");
    check(&floor(r#""period": "30s""#), "period: expected");
    check(&floor(r#""wait": "1h""#), "wait: expected");
    check(&floor(r#""floor": 5"#), "floor: no such setting");
    check(r#"{ "kind": "max", "mode": "floor", "silence": "zero" }"#, "silence: \"zero\" is for kind \"sum\"");
    check(&floor(r#""points": { "gate/pased": {} }"#), "gate/pased is not among the points");
    check(&floor(r#""points": { "gate/passed": { "k": 0 } }"#), "points: gate/passed: k: expected");
    check(&floor(r#""points": { "gate/passed": { "name": "People" } }"#), "points: gate/passed: found People");
    check(&floor(r#""points": { "gate/passed": { "name": "gate-passed-x" } }"#), "gate-passed/x: name: another point");
}

#[test]
fn a_state_that_is_not_its_own_is_refused_with_words() {
    let mut bench = awake(r#"{ "kind": "sum", "mode": "floor" }"#, &[GATE]);
    let data = bench.restart();
    for (version, data) in [(2, data.clone()), (1, data[..data.len() - 1].to_vec()), (1, vec![0; 3])] {
        let error = bench.restore(Saved { version, data }).unwrap_err();
        assert!(error.starts_with("found a state"), "{error}");
    }
    assert_eq!(bench.restore(Saved { version: 1, data: Vec::new() }), Ok(()));
}
