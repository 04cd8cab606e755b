//! What is refused, and in which words.

use curb_plugin::testing::Bench;

use crate::Window;

#[test]
fn settings_are_refused_with_the_name_of_the_setting() {
    let check = |settings: &str, complaint: &str| {
        let error = Bench::<Window>::start(settings, &["meter/power", "a/b-c", "a-b/c"]).expect_err(settings);
        assert!(error.contains(complaint), "{settings}: {error}");
    };
    check("{}", "every: expected 1s to 24h");
    check(r#"{"every":"999ms"}"#, "every: expected");
    check(r#"{"every":"25h"}"#, "every: expected");
    check(r#"{"every":60}"#, "every: expected");
    check(r#"{"every":"10s","over":"9s"}"#, "over: expected every to 168h");
    check(r#"{"every":"10s","over":"169h"}"#, "over: expected every to 168h");
    check(r#"{"every":"10s","over":"25s"}"#, "over: expected a multiple of every");
    check(r#"{"every":"10s","lateness":"2h"}"#, "lateness: expected 0s to 1h");
    check(r#"{"every":"10s","stats":[]}"#, "stats: expected");
    check(r#"{"every":"10s","stats":["median"]}"#, "stats: expected");
    check(r#"{"every":"10s","stats":["min","min"]}"#, "stats: expected");
    check(r#"{"every":"10s","raw":"pass"}"#, "raw: found \"pass\", expected drop or keep");
    check(r#"{"every":"10s","empty":"good"}"#, "empty: found");
    check(r#"{"every":"10s","align":"local"}"#, "align: found \"local\", expected hub or utc");
    check(r#"{"every":"10s","lenght":1}"#, "lenght: no such setting");
    check(r#"{"every":"10s"}"#, "names: a-b-c-mean is what there is of a/b-c; choose one");
    check(r#"{"every":"10s","names":{"a/b-c":"x","meter/volt":"v"}}"#, "names: meter/volt is not among");
    check(r#"{"every":"10s","names":{"a/b-c":"x"},"output":"Window"}"#, "Window");
    check(r#"{"every":"1s","over":"1h","names":{"a/b-c":"x"}}"#, "over: more parts than a hub keeps, of 3 points");
}

#[test]
fn a_hundred_points_fit_as_a_street_has_them() {
    let inputs: Vec<String> = (0..100).map(|n| format!("meter-{n}/power")).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let check = |settings: &str, fits: bool| {
        assert_eq!(Bench::<Window>::start(settings, &inputs).is_ok(), fits, "{settings}");
    };
    check(r#"{"every":"60s","stats":["mean","p95"]}"#, true);
    check(r#"{"every":"10s","over":"20s","stats":["p95"]}"#, true);
    check(r#"{"every":"10s","over":"30s","stats":["p95"]}"#, false);
    check(r#"{"every":"10s","over":"480s","stats":["min","max"]}"#, true);
    check(r#"{"every":"10s","over":"490s","stats":["min","max"]}"#, false);
    let settings = r#"{"every":"1m","over":"24h","stats":["min","mean","max"]}"#;
    assert!(Bench::<Window>::start(settings, &["haze/pm25", "haze/pm10", "haze/no2"]).is_ok());
}
