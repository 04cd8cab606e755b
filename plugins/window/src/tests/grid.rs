//! Where windows end, while UTC appears and moves.

use curb_plugin::Quality;
use curb_plugin::testing::Bench;
use proptest::prelude::*;

use super::{POWER, good, own};
use crate::Window;
use crate::grid::Grid;
use crate::rule::ODD;

const UTC: &str = r#"{"every":"60s","lateness":"0s","align":"utc","stats":["sum"]}"#;

fn start(offset: Option<i64>) -> Bench<Window> {
    let mut bench = Bench::start(UTC, &[POWER]).expect(UTC);
    bench.utc_offset = offset;
    bench
}

#[test]
fn windows_end_with_the_minute_of_utc() {
    // Hub time 0 is 12:00:23.
    let mut bench = start(Some(43_223_000));
    bench.read(36_000, &[(POWER, 1.0)]);
    bench.read(37_000, &[(POWER, 2.0)]);
    assert_eq!(own(&bench.read(37_001, &[(POWER, 4.0)])), [("meter-power-sum", 37_000, Some(3.0))]);
    // So they do after the first window, whatever the hub thinks of its clock then.
    bench.utc_offset = None;
    assert_eq!(own(&bench.tick(97_001)), [("meter-power-sum", 97_000, Some(4.0))]);
}

#[test]
fn a_utc_that_appears_makes_one_odd_window_and_loses_nothing() {
    let check = |offset: i64, odd_end: i64| {
        let mut bench = start(None);
        bench.read(30_000, &[(POWER, 1.0)]);
        bench.utc_offset = Some(offset);
        // What may hold readings stays: the window ends at 60 s, as it would have.
        assert_eq!(bench.read(59_000, &[(POWER, 2.0)]), []);
        assert_eq!(own(&bench.read(61_000, &[(POWER, 4.0)])), [("meter-power-sum", 60_000, Some(3.0))]);
        let told = bench.tick(odd_end + 1);
        assert_eq!(own(&told), [("meter-power-sum", odd_end, Some(4.0))], "offset {offset}");
        assert_eq!(told[0].quality, ODD, "offset {offset}");
        bench.read(odd_end + 60_000, &[(POWER, 8.0)]);
        let told = bench.tick(odd_end + 60_001);
        assert_eq!(own(&told), [("meter-power-sum", odd_end + 60_000, Some(8.0))], "offset {offset}");
        assert_eq!(told[0].quality, Quality::GOOD, "offset {offset}");
    };
    // Half a window is the least that an odd one may have, one and a half the most.
    check(23_000, 97_000);
    check(43_000, 137_000);
    check(-3_000, 123_000);
}

#[test]
fn a_clock_that_is_slewed_moves_no_window_and_one_that_steps_does() {
    let mut bench = start(Some(0));
    let mut at = 0;
    assert_eq!(bench.tick(at), []);
    for (offset, end) in [(300, 60_000), (-500, 120_000), (600, 180_000), (5_000, 240_000), (5_000, 295_000)] {
        bench.utc_offset = Some(offset);
        bench.give(at + 1_000, &[good(POWER, at + 1_000, 1.0)]);
        assert_eq!(own(&bench.tick(end + 1)), [("meter-power-sum", end, Some(1.0))], "offset {offset}");
        at = end;
    }
}

#[test]
fn an_offset_of_whole_windows_moves_nothing() {
    let mut bench = start(None);
    bench.read(30_000, &[(POWER, 1.0)]);
    bench.utc_offset = Some(3_600_000);
    bench.tick(60_001);
    bench.read(90_000, &[(POWER, 2.0)]);
    let told = bench.tick(120_001);
    assert_eq!((own(&told), told[0].quality), (vec![("meter-power-sum", 120_000, Some(2.0))], Quality::GOOD));
}

proptest! {
    #[test]
    fn each_time_is_in_one_part_however_the_offset_moves(
        every in 100..10_000i64,
        moves in prop::collection::vec((0..50_000i64, -1_000_000..1_000_000i64), 0..4),
        times in prop::collection::vec(0..60_000i64, 1..50),
    ) {
        let mut grid = Grid::new(every, 0, None);
        let mut moves = moves;
        moves.sort_unstable();
        for (now, offset) in moves {
            let before = grid;
            grid.follow(now, offset);
            // No part that may hold a reading has moved.
            prop_assert_eq!(grid.end_of(now), before.end_of(now));
            prop_assert_eq!(grid.before(now), before.before(now));
        }
        for time in times {
            let end = grid.end_of(time);
            let begin = grid.before(end);
            prop_assert!(begin < time && time <= end);
            prop_assert_eq!(grid.before(time), begin);
            prop_assert_eq!(grid.end_of(begin + 1), end);
            prop_assert_eq!(grid.end_of(end), end);
            prop_assert!(end - begin > every / 2 && end - begin <= every + every / 2 + 1);
            prop_assert_eq!(grid.back(end, 2), grid.before(begin));
        }
    }
}
