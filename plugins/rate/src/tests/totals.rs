//! What goes in comes out: over roll-overs, at any pace, over restarts.

use curb_plugin::testing::{Bench, Owned, Told};
use proptest::prelude::*;

use super::{ENERGY, bad, good};
use crate::Rate;

/// Readings of a counter: so many milliseconds behind the one before, so many counted since; `None`: a bad one.
fn readings() -> impl Strategy<Value = Vec<(i64, Option<u32>)>> {
    let counted = prop_oneof![8 => (0..6_000u32).prop_map(Some), 1 => Just(None)];
    prop::collection::vec((0..100_000i64, counted), 2..60)
}

/// What is told, and what the counter has truly counted between its first good reading and its last.
fn run(settings: &str, turn: f64, readings: &[(i64, Option<u32>)], restarts: &[usize]) -> (Vec<Told>, f64) {
    let mut bench = Bench::<Rate>::start(settings, &[ENERGY]).expect(settings);
    let (mut now, mut total, mut first, mut last, mut all) = (0, 0.0, None, -1, Vec::new());
    for (i, (later, counted)) in readings.iter().enumerate() {
        if restarts.contains(&i) {
            bench.restart();
        }
        now += later;
        let Some(counted) = counted else {
            all.extend(bench.give(now, &[bad(ENERGY, now)]));
            continue;
        };
        if now > last {
            total += f64::from(*counted);
            first.get_or_insert(total);
        }
        last = now;
        all.extend(bench.give(now, &[good(ENERGY, now, total % turn)]));
    }
    all.extend(bench.finish(now));
    (all, first.map_or(0.0, |first| total - first))
}

proptest! {
    #[test]
    fn the_sum_of_differences_is_what_was_counted(readings in readings(), every in 0..300u32) {
        // What is counted over bad readings may not look like a new beginning: more than a tenth of a turn.
        let settings = format!(r#"{{"give":["diff"],"raw":"drop","max":65535,"every":"{every}s"}}"#);
        let calm: Vec<_> = readings.iter().map(|(later, counted)| (*later, counted.map(|counted| counted / 60))).collect();
        let (all, total) = run(&settings, 65_536.0, &calm, &[]);
        let told: f64 = all.iter().filter_map(Told::number).sum();
        prop_assert_eq!(told, total);
    }

    #[test]
    fn the_integral_of_rates_is_what_was_counted_over_roll_overs(readings in readings(), decimals in 0..3i32) {
        // Bad readings aside: a rate over them is over what was counted in all, and would exceed a tenth of a turn.
        let good: Vec<_> = readings.into_iter().filter(|(_, counted)| counted.is_some()).collect();
        let step = 10f64.powi(-decimals);
        let max = (65_535.0 * step).to_string();
        let settings = format!(r#"{{"per":"s","raw":"drop","max":{max}}}"#);
        let mut bench = Bench::<Rate>::start(&settings, &[ENERGY]).unwrap();
        let (mut now, mut shows, mut total, mut integral) = (1, 0u64, 0u64, 0.0);
        bench.read(now, &[(ENERGY, 0.0)]);
        let mut before = now;
        for (later, counted) in good {
            now += later + 1;
            let counted = u64::from(counted.unwrap_or_default());
            total += counted;
            shows = (shows + counted) % 65_536;
            #[expect(clippy::cast_precision_loss, reason = "16 bits")]
            let all = bench.read(now, &[(ENERGY, shows as f64 * step)]);
            #[expect(clippy::cast_precision_loss, reason = "minutes")]
            let seconds = (now - before) as f64 / 1e3;
            prop_assert!(matches!(all[0].value, Some(Owned::Number(rate)) if rate >= 0.0), "{:?}", all);
            integral += all[0].number().unwrap() * seconds;
            before = now;
        }
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let total = total as f64 * step;
        prop_assert!((integral - total).abs() <= 1e-6 * total.max(1.0), "{integral}, not {total}");
        prop_assert_eq!(bench.metric("resets"), None);
    }

    #[test]
    fn a_restart_anywhere_changes_nothing(
        readings in readings(),
        restarts in prop::collection::vec(0..60usize, 1..10),
        every in 0..100u32,
    ) {
        let settings = format!(r#"{{"give":["rate","diff"],"max":9999,"max_gap":"80s","every":"{every}s"}}"#);
        prop_assert_eq!(run(&settings, 10_000.0, &readings, &restarts), run(&settings, 10_000.0, &readings, &[]));
    }

    #[test]
    fn nothing_is_ever_counted_down(values in prop::collection::vec((1..100_000i64, 0..1_000u32), 1..60), max in 1..1_000u32) {
        let settings = format!(r#"{{"give":["rate","diff"],"raw":"drop","max":{max},"max_gap":"50s"}}"#);
        let mut bench = Bench::<Rate>::start(&settings, &[ENERGY]).unwrap();
        let mut now = 0;
        for (later, value) in values {
            now += later;
            for told in bench.read(now, &[(ENERGY, f64::from(value))]) {
                prop_assert!(told.number().is_none_or(|value| value >= 0.0), "{:?}", told);
            }
        }
    }
}
