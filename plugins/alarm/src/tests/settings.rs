//! What an operator reads who wrote something wrong.

use curb_plugin::testing::Bench;

use crate::Alarm;

#[test]
fn settings_are_refused_with_the_names_of_rule_and_setting() {
    let check = |settings: &str, complaint: &str| {
        let error = Bench::<Alarm>::start(settings, &["cabinet/door", "meter/power"]).err();
        let error = error.unwrap_or_else(|| panic!("{settings} is taken"));
        assert!(error.starts_with(complaint), "{settings}: {error}");
    };
    check("{}", "rules: expected a rule, such as");
    check(r#"{"rules": {}}"#, "rules: expected a rule, such as");
    check(r#"{"rules": []}"#, "rules: expected a table");
    check(r#"{"rule": {}}"#, "rule: no such setting");
    check(r#"{"rules": {"a": 1}}"#, "rules.a: expected a table");
    check(r#"{"rules": {"Door": {"point": "cabinet/door", "above": 1}}}"#, "rules.Door: found Door, expected 1 to 32");
    check(r#"{"rules": {"a": {"above": 1}}}"#, "rules.a: point: expected the point");
    check(r#"{"rules": {"a": {"point": "cabinet/lid", "above": 1}}}"#, "rules.a: point: cabinet/lid is not among");

    let check = |rule: &str, complaint: &str| {
        check(&[r#"{"rules": {"a": {"point": "meter/power", "#, rule, "}}}"].concat(), complaint);
    };
    check(r#""after": "1s""#, "rules.a: expected one of above, below, equals and bad_for");
    check(r#""above": 1, "below": 2"#, "rules.a: expected one of");
    check(r#""equals": 1, "bad_for": "10s""#, "rules.a: expected one of");
    check(r#""above": true"#, "rules.a: above: expected a number");
    check(r#""equals": [1]"#, "rules.a: equals: expected");
    check(r#""above": 1, "clear": 2"#, "rules.a: clear: expected no more than above");
    check(r#""below": 1, "clear": 0"#, "rules.a: clear: expected no less than below");
    check(r#""above": 1, "clear": 0, "hysteresis": 1"#, "rules.a: hysteresis: expected nothing beside clear");
    check(r#""above": 1, "hysteresis": -1"#, "rules.a: hysteresis: expected");
    check(r#""equals": 1, "hysteresis": 1"#, "rules.a: clear and hysteresis: expected beside above or below");
    check(r#""above": 1, "after": 10"#, "rules.a: after: expected");
    check(r#""above": 1, "after": "10""#, "rules.a: after: found \"10\"");
    check(r#""above": 1, "stale_after": "0s""#, "rules.a: stale_after: expected more than 0");
    check(r#""bad_for": "999ms""#, "rules.a: bad_for: expected 1s or more");
    check(r#""bad_for": "10s", "after": "1s""#, "rules.a: bad_for: expected without after");
    check(r#""bad_for": "10s", "stale_after": "1s""#, "rules.a: bad_for: expected without after");
    check(r#""above": 1, "repeat": "10ms""#, "rules.a: repeat: expected 1s or more");
    check(r#""above": 1, "latch": true"#, "rules.a: latch: expected a text");
    check(r#""above": 1, "latch": "cabinet/key""#, "rules.a: latch: cabinet/key is not among");
    check(r#""above": 1, "uncertain": 1"#, "rules.a: uncertain: expected true or false");
    check(r#""above": 1, "abovee": 1"#, "rules.a: abovee: no such setting");
}
