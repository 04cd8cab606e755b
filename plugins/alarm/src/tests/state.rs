//! What survives a restart, and what of it other settings take.

use curb_plugin::Saved;
use curb_plugin::testing::Bench;
use proptest::prelude::*;

use super::{KEY, POINT, Tick, happens, read, start};
use crate::Alarm;
use crate::state::load;

/// The plugin with these rules, and with the state that `before` left.
fn taken_over(before: &mut Bench<Alarm>, rules: &str) -> Bench<Alarm> {
    let data = before.restart();
    let settings = [r#"{"rules": {"#, rules, "}}"].concat();
    let mut after = Bench::start(&settings, &[POINT, KEY]).unwrap();
    after.restore(Saved { version: 1, data }).unwrap();
    after
}

/// When something is told of the only rule, in milliseconds, and whether it is on.
fn turns(bench: &mut Bench<Alarm>, event: super::Event) -> Vec<(i64, Option<f64>)> {
    happens(bench, &event).iter().map(|told| (told.at, told.number())).collect()
}

#[test]
fn an_alarm_is_raised_once_and_cleared_over_a_restart() {
    let mut bench = start(r#""above": 10"#);
    assert_eq!(turns(&mut bench, read(1.0, 11.0)), [(1_000, Some(1.0))]);
    bench.restart();
    assert_eq!(turns(&mut bench, read(2.0, 11.0)), []);
    assert_eq!(bench.metric("on"), Some(1.0));
    bench.restart();
    assert_eq!(turns(&mut bench, read(3.0, 9.0)), [(3_000, Some(0.0))]);
}

#[test]
fn a_delay_goes_on_over_a_restart_and_not_over_an_hour() {
    let rule = r#""above": 10, "after": "30s""#;
    let mut bench = start(rule);
    assert_eq!(turns(&mut bench, read(0.0, 11.0)), []);
    bench.restart();
    assert_eq!(turns(&mut bench, read(20.0, 11.0)), []);
    bench.restart();
    assert_eq!(turns(&mut bench, Tick(32.0)), [(30_000, Some(1.0))]);

    let mut bench = start(rule);
    assert_eq!(turns(&mut bench, read(0.0, 11.0)), []);
    bench.restart();
    // The delay ended while nobody looked, and the door may be closed by now.
    assert_eq!(turns(&mut bench, Tick(3_600.0)), []);
    assert_eq!(turns(&mut bench, read(3_601.0, 11.0)), []);
    assert_eq!(turns(&mut bench, Tick(3_633.0)), [(3_631_000, Some(1.0))]);

    let mut bench = start(r#""above": 10, "after": "30s", "stale_after": "10s""#);
    assert_eq!(turns(&mut bench, read(0.0, 11.0)), []);
    bench.restart();
    assert_eq!(turns(&mut bench, read(3_600.0, 11.0)), []);
}

#[test]
fn a_rule_that_was_changed_still_clears_what_it_raised() {
    let mut bench = start(r#""above": 10"#);
    assert_eq!(turns(&mut bench, read(1.0, 11.0)), [(1_000, Some(1.0))]);
    let mut higher = taken_over(&mut bench, r#""a": {"point": "cabinet/door", "above": 20}"#);
    assert_eq!(turns(&mut higher, read(2.0, 11.0)), [(2_000, Some(0.0))]);

    let mut bench = start(r#""above": 10"#);
    turns(&mut bench, read(1.0, 11.0));
    let mut other = taken_over(&mut bench, r#""a": {"point": "cabinet/key", "above": 10}"#);
    assert_eq!(turns(&mut other, read(2.0, 0.0)), []);
    assert_eq!(turns(&mut other, super::Key(3.0, 0.0)), [(3_000, Some(0.0))]);

    // What was a threshold on its way is no silence.
    let mut bench = start(r#""above": 10, "after": "20s""#);
    turns(&mut bench, read(1.0, 11.0));
    let mut silence = taken_over(&mut bench, r#""a": {"point": "cabinet/door", "bad_for": "5s"}"#);
    assert_eq!(turns(&mut silence, Tick(7.0)), []);
    assert_eq!(turns(&mut silence, Tick(12.0)), [(10_000, Some(1.0))]);
}

#[test]
fn a_rule_that_was_taken_out_while_on_is_logged() {
    let mut bench = start(r#""above": 10"#);
    turns(&mut bench, read(1.0, 11.0));
    let after = taken_over(&mut bench, r#""b": {"point": "cabinet/door", "above": 10}"#);
    assert_eq!(after.log(), ["rules.a: was on when it was taken out of the settings"]);
}

#[test]
fn torn_state_and_other_versions_are_refused() {
    let mut bench = start(r#""above": 10, "latch": "cabinet/key""#);
    turns(&mut bench, read(1.0, 11.0));
    turns(&mut bench, read(2.0, 1.0));
    let data = bench.restart();
    let whole = |len: usize| load(&Saved { version: 1, data: data[..len].to_vec() });
    // The first nine bytes are a time, and no rules are a list of rules as well.
    let taken: Vec<usize> = (0..=data.len()).filter(|len| whole(*len).is_ok()).collect();
    assert_eq!(taken, [9, data.len()]);
    assert!(bench.restore(Saved { version: 2, data }).is_err());
}

#[test]
fn the_most_rules_fit_into_a_snapshot() {
    // 256 points of its own are what a hub gives a plugin, and a name has 32 bytes.
    let rules: Vec<String> = (0..256)
        .map(|i| format!(r#""{i:032}": {{"point": "{POINT}", "above": 1, "after": "1s", "repeat": "1s"}}"#))
        .collect();
    let settings = format!(r#"{{"rules": {{{}}}}}"#, rules.join(","));
    let mut bench = Bench::<Alarm>::start(&settings, &[POINT]).unwrap();
    bench.read(0, &[(POINT, 2.0)]);
    bench.tick(9_000);
    assert!(bench.restart().len() < (256 << 10) / 8);
}

proptest! {
    #[test]
    fn no_bytes_bring_it_down(data in prop::collection::vec(prop_oneof![0..3u8, any::<u8>()], 0..200)) {
        let _taken = load(&Saved { version: 1, data }).is_ok();
    }
}
