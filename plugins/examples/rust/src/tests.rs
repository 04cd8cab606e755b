//! What the plugin decides, without WebAssembly.

use curb_plugin::testing::Bench;

use super::Celsius;

#[test]
fn each_temperature_is_told_in_celsius_too() {
    let mut bench = Bench::<Celsius>::start(r#"{"limit": 90}"#, &["air/temp"]).expect("it starts");
    let told = bench.read(1_000, &[("air/temp", 68.0)]);
    assert_eq!(told.iter().map(|told| told.number()).collect::<Vec<_>>(), [Some(68.0), Some(20.0)]);
    assert_eq!(bench.metric("above"), None);
    bench.read(2_000, &[("air/temp", 104.0)]);
    assert_eq!(bench.metric("above"), Some(1.0));
    assert_eq!(bench.log(), ["air/temp is above the limit"]);
}

#[test]
fn a_limit_is_needed() {
    for settings in ["{}", r#"{"limit": "hot"}"#] {
        let error = Bench::<Celsius>::start(settings, &["air/temp"]).expect_err(settings);
        assert!(error.starts_with("limit: expected a number"), "{error}");
    }
}
