//! The whole plugin against one that keeps every reading and recomputes every window, and against itself over restarts.

use std::collections::BTreeSet;

use curb_plugin::Quality;
use curb_plugin::testing::{Bench, Fate, Given, Told};
use proptest::prelude::*;

use super::{bad, good};
use crate::Window;

const INPUTS: [&str; 2] = ["meter/power", "lamp/power"];
const STEMS: [&str; 2] = ["meter-power", "lamp-power"];

#[derive(Debug, Clone)]
enum Event {
    /// Readings of these ages, in milliseconds; `None`: a bad one.
    Batch(Vec<(usize, i64, Option<i32>)>),
    Tick,
}

/// Events, each so many milliseconds behind the one before.
fn events() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let value = prop_oneof![9 => (-100..100i32).prop_map(Some), 1 => Just(None)];
    let age = prop_oneof![3 => 0..500i64, 1 => 0..40_000i64];
    let batch = prop::collection::vec((0..INPUTS.len(), age, value), 1..6).prop_map(Event::Batch);
    let event = prop_oneof![4 => batch, 1 => Just(Event::Tick)];
    let later = prop_oneof![8 => 1..4_000i64, 1 => 1..100_000i64];
    prop::collection::vec((later, event), 1..60)
}

fn given(now: i64, rows: &[(usize, i64, Option<i32>)]) -> Vec<Given> {
    let row = |(point, age, value): &(usize, i64, Option<i32>)| match value {
        Some(value) => good(INPUTS[*point], now - age, f64::from(*value)),
        None => bad(INPUTS[*point], now - age),
    };
    let mut given: Vec<Given> = rows.iter().map(row).collect();
    given.sort_by_key(|given| given.at);
    given
}

/// What is told, so that it can be compared: point, time, value.
type Line = (String, i64, Option<f64>);

fn lines(told: &[Told]) -> Vec<Line> {
    assert!(
        told.iter().all(|told| told.fate == Fate::Added && (told.value.is_none() || told.quality == Quality::GOOD))
    );
    let mut lines: Vec<Line> = told.iter().map(|told| (told.point.clone(), told.at, told.number())).collect();
    lines.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    lines
}

fn run(bench: &mut Bench<Window>, events: &[(i64, Event)], restarts: &BTreeSet<usize>) -> Vec<Vec<Line>> {
    let mut now = 100_000;
    let step = |(i, (later, event)): (usize, &(i64, Event))| {
        if restarts.contains(&i) {
            bench.restart();
        }
        now += later;
        let told = match event {
            Event::Batch(rows) => bench.give(now, &given(now, rows)),
            Event::Tick => bench.tick(now),
        };
        lines(&told)
    };
    events.iter().enumerate().map(step).collect()
}

/// All readings of a point, and how far its windows are told.
#[derive(Default)]
struct Naive {
    every: i64,
    over: i64,
    lateness: i64,
    kept: Vec<(i64, f64)>,
    told: Option<i64>,
    late: u32,
}

impl Naive {
    fn time(&mut self, stem: &str, time: i64) -> Vec<Line> {
        let mut lines = Vec::new();
        let told = self.told.get_or_insert((time - self.lateness - 1).div_euclid(self.every) * self.every);
        while *told + self.every < time - self.lateness {
            *told += self.every;
            let of = |at: i64| *told - self.over < at && at <= *told;
            let mut values: Vec<f64> = self.kept.iter().filter(|(at, _)| of(*at)).map(|(_, value)| *value).collect();
            if values.is_empty() {
                continue;
            }
            values.sort_by(f64::total_cmp);
            let (n, sum) = (values.len(), values.iter().sum::<f64>());
            let count = f64::from(u32::try_from(n).unwrap());
            let p95 = values[(n * 95).div_ceil(100) - 1];
            let statistics = [
                ("count", count),
                ("max", values[n - 1]),
                ("mean", sum / count),
                ("min", values[0]),
                ("p95", p95),
                ("sum", sum),
            ];
            lines.extend(statistics.map(|(name, value)| (format!("{stem}-{name}"), *told, Some(value))));
        }
        lines
    }

    fn take(&mut self, at: i64, value: f64) {
        // The last window that it belongs to.
        let last = (at + self.over - 1).div_euclid(self.every) * self.every;
        if self.told.is_some_and(|told| last <= told) {
            self.late += 1;
        } else {
            self.kept.push((at, value));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn windows_are_those_of_a_naive_recomputation(events in events(), parts in 1..4i64, lateness in 0..8i64) {
        let settings = format!(
            r#"{{"every":"5s","over":"{}s","lateness":"{lateness}s","stats":["min","mean","max","p95","count","sum"]}}"#,
            parts * 5
        );
        let mut bench = Bench::start(&settings, &INPUTS).unwrap();
        let told = run(&mut bench, &events, &BTreeSet::new());
        let new = || Naive { every: 5_000, over: parts * 5_000, lateness: lateness * 1_000, ..Naive::default() };
        let mut naive = [new(), new()];
        let mut now = 100_000;
        for ((later, event), told) in events.iter().zip(told) {
            now += later;
            let mut expected = Vec::new();
            match event {
                Event::Batch(rows) => for given in given(now, rows) {
                    let place = INPUTS.iter().position(|input| *input == given.point).unwrap();
                    expected.extend(naive[place].time(STEMS[place], given.at));
                    if let Some(curb_plugin::testing::Owned::Number(value)) = given.value {
                        naive[place].take(given.at, value);
                    }
                },
                Event::Tick => (0..2).for_each(|place| expected.extend(naive[place].time(STEMS[place], now))),
            }
            expected.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
            prop_assert_eq!(told, expected);
        }
        let late = naive[0].late + naive[1].late;
        prop_assert_eq!(bench.metric("late"), (late > 0).then_some(f64::from(late)));
    }

    #[test]
    fn a_restart_anywhere_changes_nothing(
        events in events(),
        restarts in prop::collection::btree_set(0..60usize, 1..10),
        parts in 1..4i64,
    ) {
        let settings = format!(
            r#"{{"every":"5s","over":"{}s","align":"utc","empty":"bad","stats":["mean","p95","sum"]}}"#,
            parts * 5
        );
        let mut bench = Bench::start(&settings, &INPUTS).unwrap();
        let whole = run(&mut bench, &events, &BTreeSet::new());
        let late = bench.metric("late");
        let mut bench = Bench::start(&settings, &INPUTS).unwrap();
        prop_assert_eq!(run(&mut bench, &events, &restarts), whole);
        prop_assert_eq!(bench.metric("late"), late);
    }

    #[test]
    fn the_sum_of_all_windows_is_the_sum_of_all_readings_but_the_late(
        events in events(),
        offsets in prop::collection::vec(prop::option::of(-100_000..100_000i64), 60),
    ) {
        let settings = r#"{"every":"5s","lateness":"1s","align":"utc","stats":["sum","count"]}"#;
        let mut bench = Bench::<Window>::start(settings, &INPUTS).unwrap();
        let (mut now, mut read, mut sum_read, mut told) = (100_000, 0.0, 0.0, Vec::new());
        let mut late_before = 0.0;
        for ((later, event), offset) in events.iter().zip(offsets) {
            now += later;
            bench.utc_offset = offset;
            let Event::Batch(rows) = event else {
                told.extend(bench.tick(now));
                continue;
            };
            // One by one, so that it shows which of them are late.
            for given in given(now, rows) {
                told.extend(bench.give(now, std::slice::from_ref(&given)));
                let late = bench.metric("late").unwrap_or_default();
                if let (Some(curb_plugin::testing::Owned::Number(value)), true) = (given.value, late == late_before) {
                    sum_read += value;
                    read += 1.0;
                }
                late_before = late;
            }
        }
        told.extend(bench.finish(now));
        let total = |what: &str| told.iter().filter(|told| told.point.ends_with(what)).filter_map(Told::number).sum::<f64>();
        prop_assert_eq!(total("-count"), read);
        prop_assert_eq!(total("-sum"), sum_read);
    }
}
