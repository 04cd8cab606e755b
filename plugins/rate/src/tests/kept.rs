//! What is remembered over a restart.

use curb_plugin::{Quality, Saved};

use super::{ENERGY, TIMEOUT, bad, bench, told};
use crate::PARTIAL;

#[test]
fn the_first_rate_after_a_restart_is_right() {
    let mut bench = bench(r#"{"per":"s","raw":"drop","max":99}"#);
    bench.read(1_000, &[(ENERGY, 95.0)]);
    bench.restart();
    let all = bench.read(6_000, &[(ENERGY, 5.0)]);
    assert_eq!(told(&all, "meter-energy-rate"), Some((6_000, Some(2.0), Quality::GOOD)));
}

#[test]
fn hub_time_leaps_at_a_start_and_a_rate_does_not() {
    let settings = r#"{"per":"s","give":["rate","diff"],"raw":"drop","max_gap":"60s"}"#;
    let check = |now: i64, offset: Option<i64>, rate: Option<f64>, diff: Quality| {
        let mut bench = bench(settings);
        bench.utc_offset = Some(50_000);
        bench.read(1_000, &[(ENERGY, 10.0)]);
        bench.restart();
        bench.utc_offset = offset;
        let all = bench.read(now, &[(ENERGY, 30.0)]);
        assert_eq!(told(&all, "meter-energy-rate").and_then(|(_, rate, _)| rate), rate, "{now} {offset:?}");
        assert_eq!(told(&all, "meter-energy-diff"), Some((now, Some(20.0), diff)), "{now} {offset:?}");
        let all = bench.read(now + 10_000, &[(ENERGY, 40.0)]);
        assert_eq!(told(&all, "meter-energy-rate"), Some((now + 10_000, Some(1.0), Quality::GOOD)), "{now} {offset:?}");
    };
    // Ten minutes ahead, and ten seconds have passed.
    check(601_000, Some(-540_000), Some(2.0), Quality::GOOD);
    // Hardly ahead: the hub was off for a day.
    check(2_000, Some(86_449_000), None, PARTIAL);
    // The clock is not trusted yet, or was wrong.
    check(11_000, None, None, PARTIAL);
    check(11_000, Some(10_000), None, PARTIAL);
}

#[test]
fn a_failure_that_was_told_is_not_told_again_after_a_restart() {
    let mut bench = bench(r#"{"raw":"drop"}"#);
    let all = bench.give(1_000, &[bad(ENERGY, 1_000)]);
    assert_eq!(told(&all, "meter-energy-rate"), Some((1_000, None, TIMEOUT)));
    bench.restart();
    assert_eq!(bench.give(2_000, &[bad(ENERGY, 2_000)]), []);
}

#[test]
fn foreign_state_is_refused_in_words() {
    let mut bench = bench("{}");
    bench.read(1_000, &[(ENERGY, 1.0)]);
    let data = bench.restart();
    let mut restore = |version: u32, data: &[u8]| bench.restore(Saved { version, data: data.to_vec() });
    assert_eq!(restore(0, &data), Err("found counters of version 0, expected 1".to_owned()));
    for len in 0..data.len() {
        // Between two points it could be a state of fewer.
        assert_eq!(
            restore(1, &data[..len]).is_ok(),
            [17, data.len() - 6].contains(&len),
            "{len} of {} bytes",
            data.len()
        );
    }
    assert_eq!(restore(1, &data), Ok(()));
}

/// Golden bytes: a state that was written today is read by every later version that knows version 1.
#[test]
fn the_bytes_of_version_1_stay_as_they_are() {
    let mut bench = bench(r#"{"every":"10s"}"#);
    bench.read(1_000, &[(ENERGY, 1.5)]);
    bench.read(2_000, &[(ENERGY, 4.0)]);
    bench.give(3_000, &[bad("door/in", 3_000)]);
    let written = [
        &3_000_000_000i64.to_le_bytes()[..], // time
        &[1],                                // UTC is known
        &0i64.to_le_bytes(),                 // offset
        &0u32.to_le_bytes(),                 // id
        &[0],                                // not failing
        &[1],                                // had a good reading
        &2_000_000_000i64.to_le_bytes(),     // at
        &4.0f64.to_le_bytes(),               // value
        &1_000_000_000i64.to_le_bytes(),     // since
        &2.5f64.to_le_bytes(),               // counted
        &[0],                                // doubt
        &1u32.to_le_bytes(),                 // id
        &[1],                                // failing
        &[0],                                // had none
    ];
    assert_eq!(bench.restart(), written.concat());
}
