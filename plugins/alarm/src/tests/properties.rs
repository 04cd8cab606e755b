//! What holds of all readings, rules and restarts.

use curb_plugin::Quality;
use curb_plugin::testing::Bench;
use proptest::prelude::*;

use super::{BAD, Event, KEY, POINT, Tick, UNCERTAIN, happens, millis, read};
use crate::Alarm;

/// Rules of each sort, with each sort of delay.
const RULES: &str = r#"{"rules": {
    "plain": {"point": "cabinet/door", "above": 5, "hysteresis": 2},
    "slow": {"point": "cabinet/door", "above": 5, "clear": 3, "after": "4s", "clear_after": "3s", "stale_after": "6s"},
    "long": {"point": "cabinet/door", "below": 4, "after": "2s", "min_on": "15s"},
    "latched": {"point": "cabinet/door", "equals": 7, "latch": "cabinet/key", "clear_after": "2s", "uncertain": true},
    "silent": {"point": "cabinet/door", "bad_for": "5s", "clear_after": "2s"},
    "quiet": {"point": "cabinet/key", "bad_for": "7s", "min_on": "9s"}}}"#;

fn start(settings: &str) -> Bench<Alarm> {
    Bench::start(settings, &[POINT, KEY]).expect("they are right")
}

/// What happens, a while after what was before it, and whether the plugin is started anew then.
fn events() -> impl Strategy<Value = Vec<(Event, bool)>> {
    let event = prop_oneof![
        6 => (0..10u8).prop_map(|value| read(0.0, f64::from(value))),
        1 => prop::sample::select(vec![BAD, UNCERTAIN]).prop_map(|quality| Event::Doubt(0.0, quality)),
        1 => (0..2u8).prop_map(|value| Event::Key(0.0, f64::from(value))),
        2 => Just(Tick(0.0)),
    ];
    prop::collection::vec((event, 0..40u32, prop::bool::weighted(0.2)), 1..80).prop_map(|events| {
        let mut now = 0.0;
        let events = events.into_iter().map(|(event, later, anew)| {
            now += f64::from(later) / 8.0;
            (at(event, now), anew)
        });
        // All that must be told by a tick in the end is told.
        let events: Vec<_> = events.collect();
        let ticks = (1..4u8).map(|i| (Tick(now + 9.0 * f64::from(i)), false));
        events.into_iter().chain(ticks).collect()
    })
}

fn at(event: Event, now: f64) -> Event {
    match event {
        Event::Read(_, value) => Event::Read(now, value),
        Event::Doubt(_, quality) => Event::Doubt(now, quality),
        Event::Key(_, value) => Event::Key(now, value),
        Tick(_) => Tick(now),
    }
}

fn time(event: &Event) -> i64 {
    let (Event::Read(at, _) | Event::Doubt(at, _) | Event::Key(at, _) | Tick(at)) = event;
    millis(*at)
}

/// Which rule was raised or cleared when, in the order of its being told.
type Turns = Vec<(String, i64, bool)>;

fn run<'a>(events: impl Iterator<Item = &'a (Event, bool)>, restarts: bool) -> Turns {
    let mut bench = start(RULES);
    let mut turns = Vec::new();
    for (event, anew) in events {
        if restarts && *anew {
            bench.restart();
        }
        for told in happens(&mut bench, event) {
            assert!(told.at <= time(event) && told.quality == Quality::GOOD);
            turns.push((told.point.clone(), told.at, told.number() == Some(1.0)));
        }
    }
    turns
}

/// The same, rule by rule.
fn by_rule(mut turns: Turns) -> Turns {
    turns.sort_by(|a, b| a.0.cmp(&b.0));
    turns
}

proptest! {
    #[test]
    fn raised_and_cleared_alternate_and_never_go_back_in_time(events in events(), late in prop::collection::vec(0..5u8, 80)) {
        // Some readings come late.
        let events: Vec<_> = events.into_iter().zip(late.into_iter().chain(std::iter::repeat(0))).collect();
        let mut bench = start(RULES);
        let mut last: Vec<(String, i64, bool)> = Vec::new();
        for ((event, _), late) in events {
            let now = time(&event);
            let told = match &event {
                Event::Read(at, value) => {
                    let row = super::given(POINT, (at - f64::from(late)).max(0.0), value.clone(), Quality::GOOD);
                    bench.give(now, &[row]).split_off(1)
                }
                event @ (Event::Doubt(..) | Event::Key(..) | Tick(_)) => happens(&mut bench, event),
            };
            for told in told {
                let on = told.number() == Some(1.0);
                prop_assert!(told.at <= now);
                match last.iter_mut().find(|(rule, ..)| *rule == told.point) {
                    Some((_, before, was)) => {
                        prop_assert!(told.at >= *before && on != *was, "{}", told.point);
                        (*before, *was) = (told.at, on);
                    }
                    None => {
                        prop_assert!(on, "{} is cleared first", told.point);
                        last.push((told.point, told.at, on));
                    }
                }
            }
        }
    }

    #[test]
    fn a_restart_anywhere_changes_nothing(events in events()) {
        prop_assert_eq!(run(events.iter(), true), run(events.iter(), false));
    }

    #[test]
    fn ticks_change_when_something_is_told_and_nothing_else(events in events()) {
        // Silence counts from the first reading, or the first tick; calls farther apart than 10 s are another matter.
        let first = [(read(0.0, 5.0), false), (Event::Key(0.0, 0.0), false)];
        let last = events.len() - 3;
        let events: Vec<_> = first.iter().chain(&events).collect();
        let few = events.iter().enumerate().filter(|(i, (event, _))| *i >= 2 + last || !matches!(event, Tick(_)));
        let few: Vec<_> = few.map(|(_, event)| *event).collect();
        prop_assume!(few.windows(2).all(|pair| time(&pair[1].0) - time(&pair[0].0) <= 10_000));
        prop_assert_eq!(by_rule(run(events.into_iter(), false)), by_rule(run(few.into_iter(), false)));
    }

    #[test]
    fn an_alarm_is_on_when_its_delays_say_so(
        values in prop::collection::vec(prop::sample::select(vec![0.0, 4.0, 9.0]), 1..80),
        after in 0..5usize, clear_after in 0..5usize, min_on in 0..9usize,
    ) {
        // One reading a second; the same told in other words: it turns as soon as all readings of the delay ask for it.
        let settings = format!(
            r#"{{"rules": {{"a": {{"point": "{POINT}", "above": 5, "clear": 3, "after": "{after}s", "clear_after": "{clear_after}s",
                "min_on": "{min_on}s"}}}}}}"#
        );
        let mut bench = start(&settings);
        let mut on: Option<usize> = None;
        // Readings before a turn ask for nothing any more.
        let mut turned = 0;
        for (now, value) in values.iter().enumerate() {
            let told = bench.read(i64::try_from(now).unwrap() * 1_000, &[(POINT, *value)]).split_off(1);
            let all = |delay: usize, asks: fn(f64) -> bool| {
                now >= turned + delay && values[now - delay..=now].iter().all(|value| asks(*value))
            };
            let turns = match on {
                None => all(after, |value| value > 5.0),
                Some(raised) => all(clear_after, |value| value <= 3.0) && now >= raised + min_on,
            };
            if turns {
                on = if on.is_none() { Some(now) } else { None };
                turned = now;
            }
            prop_assert_eq!(told.len(), usize::from(turns), "second {}", now);
            prop_assert!(told.iter().all(|told| (told.number() == Some(1.0)) == on.is_some()));
        }
    }
}
