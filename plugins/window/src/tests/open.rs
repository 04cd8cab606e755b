//! Open windows over a restart.

use curb_plugin::testing::Bench;
use curb_plugin::{Quality, Saved};

use super::{POWER, bench, good, own};
use crate::Window;
use crate::rule::ODD;

const SECONDS: &str = r#"{"every":"10s","stats":["sum","count"]}"#;

#[test]
fn a_restart_loses_no_reading_of_an_open_window() {
    let mut bench = bench(SECONDS);
    bench.read(3_000, &[(POWER, 1.0), ("lamp/power", 5.0)]);
    bench.restart();
    bench.read(4_000, &[(POWER, 2.0)]);
    bench.restart();
    let told = bench.tick(12_001);
    let power = [("meter-power-sum", 10_000, Some(3.0)), ("meter-power-count", 10_000, Some(2.0))];
    assert_eq!(own(&told)[..2], power);
    assert_eq!(own(&told)[2..], [("lamp-power-sum", 10_000, Some(5.0)), ("lamp-power-count", 10_000, Some(1.0))]);
}

#[test]
fn hub_time_leaps_at_a_start_and_a_window_does_not() {
    for align in ["hub", "utc"] {
        let mut bench = bench(&format!(r#"{{"every":"60s","lateness":"0s","stats":["sum"],"align":"{align}"}}"#));
        bench.utc_offset = Some(6_000_000);
        bench.read(20_000, &[(POWER, 1.0)]);
        bench.restart();
        // Ten minutes ahead, and five seconds have passed: the same minute goes on.
        bench.utc_offset = Some(6_000_000 - 595_000);
        assert_eq!(bench.read(620_000, &[(POWER, 2.0)]), []);
        let told = bench.tick(655_001);
        assert_eq!(own(&told), [("meter-power-sum", 655_000, Some(3.0))], "{align}");
        assert_eq!(told[0].quality, Quality::GOOD);
        // A day off: its window is told as that of the day before.
        bench.read(660_000, &[(POWER, 4.0)]);
        bench.restart();
        bench.utc_offset = Some(6_000_000 + 86_400_000);
        let told = bench.read(661_000, &[(POWER, 8.0)]);
        assert_eq!(own(&told), [("meter-power-sum", 715_000 - 595_000 - 86_400_000, Some(4.0))], "{align}");
        assert_eq!(told[0].quality, Quality::GOOD);
    }
}

#[test]
fn a_window_over_a_restart_of_unknown_length_is_uncertain() {
    let mut bench = bench(r#"{"every":"60s","lateness":"0s","stats":["sum"]}"#);
    bench.read(20_000, &[(POWER, 1.0)]);
    bench.restart();
    bench.utc_offset = None;
    let told = bench.read(620_000, &[(POWER, 2.0)]);
    assert_eq!((own(&told), told[0].quality), (vec![("meter-power-sum", 60_000, Some(1.0))], ODD));
    let told = bench.tick(660_001);
    assert_eq!((own(&told), told[0].quality), (vec![("meter-power-sum", 660_000, Some(2.0))], Quality::GOOD));
}

#[test]
fn foreign_state_is_refused_in_words() {
    let mut bench = bench(SECONDS);
    bench.read(3_000, &[(POWER, 1.0)]);
    let data = bench.restart();
    let mut restore = |version: u32, data: &[u8]| bench.restore(Saved { version, data: data.to_vec() });
    assert_eq!(restore(2, &data), Err("found windows of version 2, expected 1".to_owned()));
    for len in 0..data.len() {
        // Between two points it could be a state of fewer.
        let is_whole = len == 17 + 32 || len == data.len() - 14;
        assert_eq!(restore(1, &data[..len]).is_ok(), is_whole, "{len} of {} bytes", data.len());
    }
    assert_eq!(restore(1, &data), Ok(()));
}

/// Golden bytes: a state that was written today is read by every later version that knows version 1.
#[test]
fn the_bytes_of_version_1_stay_as_they_are() {
    let mut bench = Bench::<Window>::start(r#"{"every":"10s","stats":["p95"]}"#, &[POWER]).unwrap();
    bench.give(3_000, &[good(POWER, 3_000, 1.5)]);
    let written = [
        &3_000_000_000i64.to_le_bytes()[..], // time
        &[1],                                // UTC is known
        &0i64.to_le_bytes(),                 // offset
        &10_000_000_000i64.to_le_bytes(),    // every
        &[0; 8],                             // shift
        &[0; 16],                            // not moved
        &0u32.to_le_bytes(),                 // id
        &0i64.to_le_bytes(),                 // closed
        &1u16.to_le_bytes(),                 // parts
        &10_000_000_000i64.to_le_bytes(),    // end
        &1u32.to_le_bytes(),                 // count
        &1.5f64.to_le_bytes(),               // min
        &1.5f64.to_le_bytes(),               // max
        &1.5f64.to_le_bytes(),               // sum
        &[0],                                // doubt
        &[1],                                // top
        &1.5f64.to_le_bytes(),
        &[0], // rest
    ];
    assert_eq!(bench.restart(), written.concat());
}

#[test]
fn a_changed_setting_costs_no_reading() {
    let mut bench = bench(r#"{"every":"60s","stats":["sum"],"lateness":"0s"}"#);
    bench.read(35_000, &[(POWER, 3.0)]);
    let data = bench.restart();
    let other = || {
        let mut other = self::bench(r#"{"every":"10s","stats":["sum","p95"],"lateness":"0s"}"#);
        other.restore(Saved { version: 1, data: data.clone() }).unwrap();
        other
    };
    assert_eq!(own(&other().finish(36_000))[0], ("meter-power-sum", 36_000, Some(3.0)));
    let mut other = other();
    // The minute would have ended at 60 s: so it goes into the ten seconds that do.
    assert_eq!(own(&other.read(41_000, &[(POWER, 4.0)])), []);
    assert_eq!(
        own(&other.read(52_000, &[(POWER, 5.0)])),
        [("meter-power-sum", 50_000, Some(4.0)), ("meter-power-p95", 50_000, Some(4.0))]
    );
    let told = other.tick(60_001);
    assert_eq!(own(&told), [("meter-power-sum", 60_000, Some(8.0)), ("meter-power-p95", 60_000, None)]);
    assert_eq!(told[0].quality, ODD);
}

#[test]
fn the_state_of_a_full_hundred_points_is_far_below_what_a_hub_keeps() {
    let inputs: Vec<String> = (0..100).map(|n| format!("meter-{n}/power")).collect();
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let settings = r#"{"every":"60s","lateness":"2s","stats":["mean","p95"]}"#;
    let mut bench = Bench::<Window>::start(settings, &inputs).expect(settings);
    let mut value = 1.0;
    for at in (100..62_000).step_by(100) {
        let readings: Vec<(&str, f64)> = inputs.iter().map(|input| (*input, value)).collect();
        assert_eq!(bench.read(at, &readings), []);
        // Values that no sixteenth holds twice: the worst case.
        value = if value > 1e30 { 1.01 } else { value * 1.07 };
    }
    let bytes = bench.restart().len();
    assert!(bytes < 100 << 10, "{bytes} bytes");
}
