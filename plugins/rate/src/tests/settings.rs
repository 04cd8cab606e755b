//! What is refused, and in which words.

use curb_plugin::testing::Bench;

use crate::Rate;

#[test]
fn settings_are_refused_with_the_name_of_the_setting() {
    let check = |settings: &str, complaint: &str| {
        let error = Bench::<Rate>::start(settings, &["meter/energy"]).expect_err(settings);
        assert!(error.contains(complaint), "{settings}: {error}");
    };
    check(r#"{"per":"day"}"#, "per: expected s, min or h");
    check(r#"{"give":["rates"]}"#, "give: expected");
    check(r#"{"give":["rate","rate"]}"#, "give: expected");
    check(r#"{"give":[]}"#, "give: expected");
    check(r#"{"every":"25h"}"#, "every: expected 0s to 24h");
    check(r#"{"max_gap":"0s"}"#, "max_gap: expected 1s to 168h");
    check(r#"{"max_gap":"169h"}"#, "max_gap: expected 1s to 168h");
    check(r#"{"max":0}"#, "max: expected a number above 0");
    check(r#"{"max":"4294967295"}"#, "max: expected a number");
    check(r#"{"max_rate":-1}"#, "max_rate: expected");
    check(r#"{"points":{"meter/energy":{"max":-1}}}"#, "points: meter/energy: max: expected");
    check(r#"{"points":{"meter/energy":{"maxrate":1}}}"#, "points: meter/energy: maxrate: no such setting");
    check(r#"{"points":{"meter/power":{}}}"#, "points: meter/power is not among the points");
    check(r#"{"raw":"pass"}"#, "raw: expected keep or drop");
    check(r#"{"names":{"meter/power":"p"}}"#, "names: meter/power is not among");
    check(r#"{"names":{"meter/energy":"Energy"}}"#, "names: Energy-rate is not made of");
    check(r#"{"rate":1}"#, "rate: no such setting");
}
