//! What an operator reads who wrote something wrong.

use curb_plugin::Settings;

use crate::settings::checks;

fn refused(text: &str) -> String {
    let settings = Settings::parse(text).expect("each is a table");
    checks(settings, [(1, "meter/power"), (2, "meter/volts")].into_iter()).expect_err(text)
}

#[test]
fn settings_are_refused_with_the_name_of_the_setting() {
    let check = |text: &str, complaint: &str| {
        let error = refused(text);
        assert!(error.starts_with(complaint), "{text}: {error}");
    };
    check(r#"{}"#, "nothing is checked");
    check(r#"{"spike_k": 0, "stuck_after": "0s", "max_step": 0}"#, "nothing is checked");
    check(r#"{"mim": 1}"#, "mim: no such setting");
    check(r#"{"min": "1"}"#, "min: expected a number");
    check(r#"{"min": 2, "max": 1}"#, "min: expected no more than max");
    check(r#"{"outside": "worse"}"#, "outside: expected");
    check(r#"{"outside": 1}"#, "outside: expected");
    check(r#"{"stuck_after": 30}"#, "stuck_after: expected");
    check(r#"{"stuck_after": "30"}"#, "stuck_after: found \"30\"");
    check(r#"{"stuck_band": -1}"#, "stuck_band: expected");
    check(r#"{"spike_k": 5}"#, "spike_floor: expected more than 0");
    check(r#"{"spike_k": 5, "spike_floor": 0}"#, "spike_floor: expected more than 0");
    check(r#"{"spike_k": 0.5, "spike_floor": 1}"#, "spike_k: expected");
    check(r#"{"spike_k": 5, "spike_floor": 1, "spike_window": 4}"#, "spike_window: expected");
    check(r#"{"spike_k": 5, "spike_floor": 1, "spike_window": 7.5}"#, "spike_window: expected");
    check(r#"{"spike_k": 5, "spike_floor": 1, "spike_accept": 1}"#, "spike_accept: expected");
    check(r#"{"spike_k": 5, "spike_floor": 1, "spike_window": 5, "spike_accept": 6}"#, "spike_accept: expected");
    check(r#"{"max_step": -1}"#, "max_step: expected");
    check(r#"{"points": 1}"#, "points: expected a table");
    check(r#"{"min": 0, "points": {"meter/amps": {}}}"#, "points: meter/amps is not among the points");
    check(r#"{"min": 0, "points": {"meter/volts": 1}}"#, "points.meter/volts: expected a table");
    check(r#"{"min": 0, "points": {"meter/volts": {"mx": 1}}}"#, "points.meter/volts: mx: no such setting");
    check(r#"{"min": 0, "points": {"meter/volts": {"max": -1}}}"#, "points.meter/volts: min: expected no more");
    check(r#"{"spike_k": 5, "points": {"meter/volts": {"spike_floor": 1}}}"#, "spike_floor: expected");
}

#[test]
fn what_a_point_does_not_say_holds_as_for_all() {
    let text = r#"{"min": 0, "spike_k": 5, "points": {"meter/volts": {"max": 253, "spike_k": 0}, "meter/power": {"spike_floor": 2}}}"#;
    let checks = checks(Settings::parse(text).unwrap(), [(2, "meter/volts"), (1, "meter/power")].into_iter()).unwrap();
    let [(1, power), (2, volts)] = &checks[..] else { panic!("by point: {checks:?}") };
    assert_eq!((power.min, power.max, power.spike.map(|limit| limit.floor)), (0.0, f64::INFINITY, Some(2.0)));
    assert_eq!((volts.min, volts.max, volts.spike), (0.0, 253.0, None));
}
