//! As a hub would call it, on this machine and without WebAssembly. Times are milliseconds.

use curb_plugin::testing::{Bench, Told};

use crate::Plugin;

fn counts(told: &[Told]) -> Vec<f64> {
    told.iter()
        .filter(|told| told.point == "count")
        .filter_map(Told::number)
        .collect()
}

#[test]
fn switching_on_is_counted_over_a_restart() {
    let mut bench = Bench::<Plugin>::start("{}", &["lamp/on"]).unwrap();
    assert_eq!(counts(&bench.read(1_000, &[("lamp/on", true)])), [1.0]);
    assert_eq!(counts(&bench.read(2_000, &[("lamp/on", true)])), []);
    // As a power cut would: it goes on with what it remembers.
    bench.restart();
    assert_eq!(counts(&bench.read(3_000, &[("lamp/on", true)])), []);
    assert_eq!(counts(&bench.read(4_000, &[("lamp/on", false)])), []);
    assert_eq!(counts(&bench.read(5_000, &[("lamp/on", true)])), [2.0]);
}

#[test]
fn a_setting_that_is_none_is_refused_with_words() {
    assert!(
        Bench::<Plugin>::start(r#"{ "evry": 1 }"#, &["lamp/on"])
            .unwrap_err()
            .contains("evry")
    );
    assert!(
        Bench::<Plugin>::start("{}", &["lamp/on", "door/open"])
            .unwrap_err()
            .contains("expected one point")
    );
}
