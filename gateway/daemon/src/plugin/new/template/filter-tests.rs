//! As a hub would call it, on this machine and without WebAssembly. Times are milliseconds.

use curb_plugin::testing::Bench;

use crate::Plugin;

#[test]
fn a_point_passes_once_in_the_time() {
    let mut bench =
        Bench::<Plugin>::start(r#"{ "every": "10s" }"#, &["meter/power", "meter/voltage"]).unwrap();
    let told = bench.read(1_000, &[("meter/power", 5.0), ("meter/voltage", 230.0)]);
    assert_eq!(
        told.iter()
            .map(|told| told.point.as_str())
            .collect::<Vec<_>>(),
        ["meter/power", "meter/voltage"]
    );
    assert_eq!(bench.read(10_999, &[("meter/power", 6.0)]), []);
    assert_eq!(
        bench.read(11_000, &[("meter/power", 7.0)])[0].number(),
        Some(7.0)
    );
}

#[test]
fn a_setting_that_is_none_is_refused_with_words() {
    let refused = Bench::<Plugin>::start(r#"{ "every": "soon" }"#, &["meter/power"]).unwrap_err();
    assert_eq!(
        refused,
        "every: found \"soon\", expected a duration like \"60s\""
    );
}
