//! What results are told, and when; expressions and units by themselves in `language`.

mod language;

use curb_plugin::testing::{Bench, Fate, Given, Owned, Told};
use curb_plugin::{PointId, Quality, Reason, Settings};

use crate::Derive;
use crate::settings::plan;

const SUM: &str = r#"{ "points": { "sum": { "expr": "meter/l1 + meter/l2", "unit": "W" } }, "inputs": "drop" }"#;
const INPUTS: [&str; 2] = ["meter/l1", "meter/l2"];
const SECOND: i64 = 1_000;

fn bench(settings: &str) -> Bench<Derive> {
    Bench::start(settings, &INPUTS).unwrap()
}

fn given(point: &str, at: i64, value: impl Into<Option<f64>>, quality: Quality) -> Given {
    Given { point: point.to_owned(), at, value: value.into().map(Owned::Number), quality }
}

fn results(told: &[Told]) -> Vec<(i64, Option<f64>, Quality)> {
    let added = told.iter().filter(|told| told.fate == Fate::Added);
    added.map(|told| (told.at, told.number(), told.quality)).collect()
}

#[test]
fn a_result_comes_with_each_time_at_which_an_input_was_read() {
    let mut bench = bench(SUM);
    let told = bench.read(SECOND, &[("meter/l1", 100.0), ("meter/l2", 50.0)]);
    assert_eq!(results(&told), [(SECOND, Some(150.0), Quality::GOOD)]);
    let batch = [
        given("meter/l2", 2 * SECOND, 60.0, Quality::GOOD),
        given("meter/l1", 3 * SECOND, 110.0, Quality::GOOD),
        given("meter/l2", 3 * SECOND, 70.0, Quality::GOOD),
    ];
    let told = bench.give(3 * SECOND, &batch);
    assert_eq!(told[0].point, "sum");
    let expected = [(2 * SECOND, Some(160.0), Quality::GOOD), (3 * SECOND, Some(180.0), Quality::GOOD)];
    assert_eq!(results(&told), expected);
}

#[test]
fn inputs_pass_or_not_as_the_setting_says() {
    for (inputs, fates) in [("pass", &[Fate::Kept, Fate::Added][..]), ("drop", &[Fate::Added])] {
        let settings = format!(r#"{{ "points": {{ "twice": "meter/l1 * 2" }}, "inputs": "{inputs}" }}"#);
        let told = bench(&settings).read(SECOND, &[("meter/l1", 4.0)]);
        assert_eq!(told.iter().map(|told| told.fate).collect::<Vec<_>>(), fates);
    }
}

#[test]
fn only_what_depends_on_a_reading_is_computed_from_it() {
    let settings = r#"{ "points": { "a": "meter/l1 * 2", "b": "meter/l2 * 2", "c": "meter/l1 - meter/l2" } }"#;
    let mut bench = bench(settings);
    let points = |told: &[Told]| {
        let added = told.iter().filter(|told| told.fate == Fate::Added);
        added.map(|told| told.point.clone()).collect::<Vec<_>>()
    };
    assert_eq!(points(&bench.read(SECOND, &[("meter/l1", 1.0)])), ["a"], "of c nothing is known yet");
    assert_eq!(points(&bench.read(SECOND, &[("meter/l2", 1.0)])), ["b", "c"]);
    assert_eq!(points(&bench.read(SECOND, &[("meter/l1", 1.0)])), ["a", "c"]);
}

#[test]
fn an_input_that_is_not_heard_makes_a_result_bad_and_never_old() {
    let stale = Quality::bad(Reason::STALE);
    let mut bench = bench(SUM);
    bench.read(0, &[("meter/l1", 100.0), ("meter/l2", 50.0)]);
    for (at, told) in [(60 * SECOND, (Some(150.0), Quality::GOOD)), (60 * SECOND + 1, (None, stale))] {
        assert_eq!(results(&bench.read(at, &[("meter/l1", 100.0)])), [(at, told.0, told.1)]);
    }
    // One that was never heard is waited for, as long as one may be silent.
    let mut bench = self::bench(SUM);
    assert_eq!(bench.read(0, &[("meter/l1", 100.0)]), []);
    assert_eq!(bench.read(60 * SECOND, &[("meter/l1", 100.0)]), []);
    let told = bench.read(61 * SECOND, &[("meter/l1", 100.0)]);
    assert_eq!(results(&told), [(61 * SECOND, None, Quality::bad(Reason::ABSENT))]);
    // A point may have an age of its own.
    let settings = r#"{ "max_age": "1h", "points": { "a": { "expr": "meter/l1 + meter/l2", "max_age": "2s" } } }"#;
    let mut bench = self::bench(settings);
    bench.read(0, &[("meter/l1", 100.0), ("meter/l2", 50.0)]);
    assert_eq!(results(&bench.read(3 * SECOND, &[("meter/l1", 100.0)])), [(3 * SECOND, None, stale)]);
}

#[test]
fn a_reading_that_was_overtaken_changes_nothing() {
    let mut bench = bench(SUM);
    bench.read(10 * SECOND, &[("meter/l1", 1.0), ("meter/l2", 2.0)]);
    assert_eq!(bench.give(11 * SECOND, &[given("meter/l1", 9 * SECOND, 50.0, Quality::GOOD)]), []);
    // A bus that is late against another is none that was overtaken.
    bench.read(12 * SECOND, &[("meter/l2", 3.0)]);
    let told = bench.give(12 * SECOND, &[given("meter/l1", 11 * SECOND, 4.0, Quality::GOOD)]);
    assert_eq!(results(&told), [(11 * SECOND, Some(7.0), Quality::GOOD)]);
}

#[test]
fn a_result_is_as_good_as_the_worst_of_its_inputs() {
    let check = |one: Quality, other: Quality, result: Quality| {
        for (a, b) in [(one, other), (other, one)] {
            let mut bench = bench(SUM);
            let value = |quality: Quality| (!quality.is_bad()).then_some(4.0);
            let told = bench.give(0, &[given("meter/l1", 0, value(a), a), given("meter/l2", 0, value(b), b)]);
            let number = (!result.is_bad()).then_some(8.0);
            assert_eq!(results(&told), [(0, number, result)], "{a:?} and {b:?}");
        }
    };
    let (bad, uncertain) = (Quality::bad, Quality::uncertain);
    check(Quality::GOOD, uncertain(Reason::RANGE), uncertain(Reason::RANGE));
    check(uncertain(Reason::CLOCK), uncertain(Reason::STALE), uncertain(Reason::STALE));
    check(uncertain(Reason::PORT), bad(Reason::RANGE), bad(Reason::RANGE));
    check(bad(Reason::TIMEOUT), bad(Reason::PORT), bad(Reason::PORT));
    check(bad(Reason::TIMEOUT), bad(Reason(34)), bad(Reason::TIMEOUT));
    check(bad(Reason::ABSENT), bad(Reason(34)), bad(Reason(34)));
}

#[test]
fn what_is_no_number_is_never_told_as_one() {
    let check = |expression: &str, l1: f64, told: (Option<f64>, Quality)| {
        let settings = format!(r#"{{ "points": {{ "x": "{expression}" }} }}"#);
        let results = results(&bench(&settings).read(0, &[("meter/l1", l1)]));
        assert_eq!(results, [(0, told.0, told.1)], "{expression} of {l1}");
    };
    let bad = (None, Quality::bad(Reason::RANGE));
    check("1 / meter/l1", 0.0, bad);
    check("meter/l1 % 0", 5.0, bad);
    check("sqrt(meter/l1)", -1.0, bad);
    check("meter/l1 * 1e300", 1e300, bad);
    check("meter/l1", f64::NAN, bad);
    check("1 / meter/l1 > 0", 0.0, bad);
    check("if(meter/l1 != 0, 1 / meter/l1, 0)", 0.0, (Some(0.0), Quality::GOOD));
    let text = bench(r#"{ "points": { "x": "meter/l1 * 2" } }"#).read(0, &[("meter/l1", "five")]);
    assert_eq!(results(&text), [(0, None, Quality::bad(Reason::DECODE))]);
}

#[test]
fn a_comparison_is_told_as_a_bit() {
    let check = |expression: &str, value: Owned| {
        let settings = format!(r#"{{ "points": {{ "x": "{expression}" }}, "inputs": "drop" }}"#);
        let told = bench(&settings).read(0, &[("meter/l1", 7.0), ("meter/l2", 1.0)]);
        assert_eq!(told.iter().map(|told| told.value.clone()).collect::<Vec<_>>(), [Some(value)], "{expression}");
    };
    check("meter/l1 > 5", Owned::Bool(true));
    check("meter/l1 > 5 && !(meter/l2 == 1)", Owned::Bool(false));
    check("if(meter/l1, meter/l2 < 3, !meter/l2)", Owned::Bool(true));
    check("(meter/l1 > 5) * 2", Owned::Number(2.0));
    check("if(meter/l1 > 5, 1, 0)", Owned::Number(1.0));
    check("if(meter/l1 > 5, meter/l1 > 6, 0)", Owned::Number(1.0));
    let mut bits = bench(r#"{ "points": { "both": "meter/l1 + meter/l2" } }"#);
    assert_eq!(results(&bits.read(0, &[("meter/l1", true), ("meter/l2", true)])), [(0, Some(2.0), Quality::GOOD)]);
}

#[test]
fn units_become_others() {
    let settings = r#"{ "convert": { "meter/l1": { "to": "degF", "from": "Cel", "name": "temp-f" },
                                     "meter/l2": { "to": "kW", "from": "W" } }, "inputs": "drop" }"#;
    let told = bench(settings).read(0, &[("meter/l1", 20.0), ("meter/l2", 1500.0)]);
    let told: Vec<_> = told.iter().map(|told| (told.point.as_str(), told.number())).collect();
    assert_eq!(told, [("temp-f", Some(68.0)), ("meter-l2", Some(1.5))]);
}

#[test]
fn the_unit_of_an_input_is_known_and_that_of_a_result_is_said() {
    let settings =
        r#"{ "convert": { "room/temp": "degF" }, "points": { "half": { "expr": "room/temp / 2", "unit": "Cel" } } }"#;
    let mut declared = Vec::new();
    let made = plan(Settings::parse(settings).unwrap(), &[("room/temp", Some("Cel"))], |name, unit| {
        declared.push((name.to_owned(), unit.map(ToOwned::to_owned)));
        Ok(PointId(u32::try_from(declared.len()).unwrap()))
    });
    assert_eq!(made.unwrap().derived[1].expression.value(|_| 100.0), Some(212.0));
    let cel = Some("Cel".to_owned());
    assert_eq!(declared, [("half".to_owned(), cel), ("room-temp".to_owned(), Some("degF".to_owned()))]);
}

#[test]
fn settings_are_refused_with_the_name_of_the_setting() {
    let check = |settings: &str, complaint: &str| {
        let error = Bench::<Derive>::start(settings, &INPUTS).unwrap_err();
        assert!(error.contains(complaint), "{settings}: {error}");
    };
    let point = |point: &str| format!(r#"{{ "points": {{ "x": {point} }} }}"#);
    check("{}", "points: expected at least one expression");
    check(&point("5"), "points: x: expected a text or a table");
    check(&point("{}"), "points: x: expr: expected an expression");
    check(&point(r#"{ "expr": "1", "units": "W" }"#), "points: x: units: no such setting");
    check(&point(r#"{ "expr": "1", "max_age": 5 }"#), "points: x: max_age: expected a text");
    check(&point(r#""meter/l1 +""#), "points: x: column 11 of \"meter/l1 +\": expected a number");
    check(r#"{ "points": { "X": "1" } }"#, "points: X: found X, expected 1 to 32");
    check(r#"{ "points": { "x": "1" }, "inputs": "keep" }"#, "inputs: expected \"pass\" or \"drop\"");
    check(r#"{ "points": { "x": "1" }, "max_age": "1 day" }"#, "max_age: found \"1 day\"");
    check(r#"{ "convert": { "meter/l3": "W" } }"#, "convert: meter/l3: is not among the points");
    check(r#"{ "convert": { "meter/l1": "W" } }"#, "convert: meter/l1: has no unit: say from = \"..\"");
    check(r#"{ "convert": { "meter/l1": { "from": "W" } } }"#, "convert: meter/l1: to: expected a unit");
    let watts = r#"{ "convert": { "meter/l1": { "to": "kWh", "from": "W" } } }"#;
    check(watts, "convert: meter/l1: found \"kWh\", expected a unit that W can become");
    let twice = r#"{ "points": { "meter-l1": "1" }, "convert": { "meter/l1": { "to": "kW", "from": "W" } } }"#;
    check(twice, "convert: meter/l1: two values would be told as meter-l1");
}
