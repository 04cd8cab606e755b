//! What holds for any readings, restarts and jumps of time.

use std::collections::BTreeMap;

use curb_plugin::testing::{Bench, Fate, Given, Owned, Told};
use curb_plugin::{Quality, Reason};
use proptest::prelude::*;

use super::{DAY, GATE, HOUR, MINUTE, SECOND, TIMEOUT, awake, given, wait};
use crate::Crowd;

const HALL: &str = "hall/there";
const MODES: [&str; 4] = [
    r#""mode": "floor", "k": 4"#,
    r#""mode": "floor", "below": "absent""#,
    r#""mode": "round", "round_to": 3"#,
    r#""mode": "noise", "epsilon": 0.7, "budget": 20"#,
];

fn settings(mode: usize, kind: &str) -> String {
    format!(r#"{{ "kind": "{kind}", {} }}"#, MODES[mode])
}

/// Something that happens to a hub.
#[derive(Debug, Clone)]
enum Event {
    Read {
        count: f64,
        bad: bool,
        hall: bool,
    },
    Wait {
        ms: i64,
    },
    Restart,
    /// A life without its state, as after the fault `plugin-state`.
    Forget,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0.0..40.0f64, prop::bool::weighted(0.1), any::<bool>())
            .prop_map(|(count, bad, hall)| Event::Read { count: count.floor(), bad, hall }),
        4 => (0..40 * MINUTE).prop_map(|ms| Event::Wait { ms }),
        1 => (0..3 * DAY).prop_map(|ms| Event::Wait { ms }),
        2 => Just(Event::Restart),
    ]
}

/// All that is told while this happens.
fn live(settings: &str, events: &[Event]) -> Vec<Told> {
    let start = || Bench::<Crowd>::start(settings, &[GATE, HALL]).unwrap();
    let mut bench = start();
    let mut now = 7 * HOUR;
    let mut told = Vec::new();
    for event in events {
        match *event {
            Event::Read { count, bad, hall } => {
                let point = if hall { HALL } else { GATE }.to_owned();
                let (value, quality) = if bad { (None, TIMEOUT) } else { (Some(Owned::Number(count)), Quality::GOOD) };
                told.extend(bench.give(now, &[Given { point, at: now, value, quality }]));
            }
            Event::Wait { ms } => {
                now += ms;
                told.extend(bench.tick(now));
            }
            Event::Restart => drop(bench.restart()),
            Event::Forget => bench = start(),
        }
    }
    told.extend(bench.tick(now + DAY));
    told
}

proptest! {
    #[test]
    fn no_reading_ever_comes_out(events in prop::collection::vec(event(), 0..60), mode in 0..4usize) {
        for told in live(&settings(mode, "sum"), &events) {
            prop_assert_eq!(told.fate, Fate::Added);
            prop_assert!(told.point == "gate-passed" || told.point == "hall-there");
            prop_assert_eq!(told.at % (15 * MINUTE), 0, "told at the end of a period, and of no reading");
            match (mode, told.number()) {
                (_, None) => {}
                (0, Some(count)) => prop_assert!(count == 0.0 || count >= 4.0),
                (1, Some(count)) => prop_assert!(count >= 5.0),
                (2, Some(count)) => prop_assert_eq!(count % 3.0, 0.0),
                (_, Some(count)) => prop_assert_eq!(count % 1.0, 0.0),
            }
        }
    }

    #[test]
    fn what_is_told_depends_on_the_aggregate_alone(
        readings in prop::collection::vec((0..15 * 60 * SECOND, 0u32..20), 1..20),
        mode in 0..4usize,
        kind in prop::sample::select(vec!["sum", "max"]),
    ) {
        let aggregate = if kind == "sum" {
            readings.iter().map(|(_, count)| count).sum::<u32>()
        } else {
            readings.iter().map(|(_, count)| *count).max().unwrap()
        };
        let tell = |mut readings: Vec<(i64, u32)>| {
            let mut bench = awake(&settings(mode, kind), &[GATE]);
            readings.sort_unstable();
            let end = 15 * MINUTE;
            let readings: Vec<_> =
                readings.iter().map(|(at, count)| given(*at, f64::from(*count), Quality::GOOD)).collect();
            assert_eq!(bench.give(end, &readings), []);
            wait(&mut bench, end, end + MINUTE)
        };
        prop_assert_eq!(tell(readings), tell(vec![(3 * MINUTE, aggregate)]));
    }

    #[test]
    fn a_restart_is_no_fresh_sample(events in prop::collection::vec(event(), 0..60), mode in 0..4usize) {
        let through: Vec<Event> = events.iter().filter(|event| !matches!(event, Event::Restart)).cloned().collect();
        let settings = settings(mode, "max");
        prop_assert_eq!(live(&settings, &events), live(&settings, &through));
    }

    #[test]
    fn no_period_is_told_twice_and_no_day_beyond_its_budget(
        events in prop::collection::vec(prop_oneof![9 => event(), 1 => Just(Event::Forget)], 0..80),
        epsilon in 1..20u32,
        budget in 20..60u32,
    ) {
        let part = |n: u32| f64::from(n) / 10.0;
        let settings = format!(
            r#"{{ "kind": "sum", "silence": "zero", "mode": "noise", "period": "30min", "epsilon": {}, "budget": {} }}"#,
            part(epsilon), part(budget),
        );
        let mut days: BTreeMap<(String, i64), u32> = BTreeMap::new();
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        for told in live(&settings, &events) {
            let before = last.insert(told.point.clone(), told.at);
            prop_assert!(before.is_none_or(|before| before < told.at), "told twice, or backwards: {told:?}");
            if told.value.is_some() {
                let spent = days.entry((told.point.clone(), (told.at - 1).div_euclid(DAY))).or_default();
                *spent += epsilon;
                prop_assert!(*spent <= budget, "{told:?}");
            }
        }
    }

    #[test]
    fn other_periods_from_one_day_to_the_next_spend_the_same_budget(
        lengths in prop::collection::vec(prop::sample::select(vec!["15min", "30min", "1h", "4h"]), 1..8),
    ) {
        let settings = |length: &str| format!(
            r#"{{ "kind": "sum", "silence": "zero", "mode": "noise", "period": "{length}", "epsilon": 1, "budget": 5 }}"#,
        );
        let mut bench = awake(&settings(lengths[0]), &[GATE]);
        let mut told = 0;
        for (hour, length) in (0..).zip(&lengths) {
            let version = 1;
            let data = bench.restart();
            bench = Bench::start(&settings(length), &[GATE]).unwrap();
            bench.restore(curb_plugin::Saved { version, data }).unwrap();
            told += wait(&mut bench, hour * 2 * HOUR, (hour + 1) * 2 * HOUR).len();
        }
        prop_assert!(told <= 5, "{told}");
    }
}

#[test]
fn a_life_without_memory_takes_what_it_may_have_told_as_told() {
    let settings = r#"{ "kind": "sum", "mode": "noise", "epsilon": 1, "budget": 10, "period": "1h" }"#;
    let mut bench = Bench::<Crowd>::start(settings, &[GATE]).unwrap();
    let mut told = Vec::new();
    for hour in 7..30 {
        told.extend(bench.read(hour * HOUR + MINUTE, &[(GATE, 100.0)]));
        told.extend(wait(&mut bench, hour * HOUR + MINUTE, (hour + 1) * HOUR));
    }
    // Seven of ten are gone at seven o'clock.
    let hours: Vec<i64> = told.iter().map(|told| told.at / HOUR).collect();
    assert_eq!(hours, [8, 9, 10, 25, 26, 27, 28, 29]);
    assert_eq!(told[0].quality, Quality::uncertain(Reason::ABSENT));
}
