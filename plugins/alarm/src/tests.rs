//! Alarms as the core hears of them, by table.

mod properties;
mod settings;
mod state;

use curb_plugin::testing::{Bench, Fate, Given, Owned, Told};
use curb_plugin::{Quality, Reason};

use crate::Alarm;

const POINT: &str = "cabinet/door";
const KEY: &str = "cabinet/key";

/// A rule `a` over [`POINT`].
fn start(rule: &str) -> Bench<Alarm> {
    let settings = format!(r#"{{"rules": {{"a": {{"point": "{POINT}", {rule}}}}}}}"#);
    Bench::start(&settings, &[POINT, KEY]).expect(rule)
}

/// Something that happens at a time in seconds.
#[derive(Debug, Clone)]
enum Event {
    /// A good reading of [`POINT`].
    Read(f64, Owned),
    /// One of this quality, without a value if that is bad.
    Doubt(f64, Quality),
    /// A good reading of [`KEY`].
    Key(f64, f64),
    /// Nothing but a tick.
    Tick(f64),
}
use Event::{Doubt, Key, Tick};

fn read(at: f64, value: impl Into<Owned>) -> Event {
    Event::Read(at, value.into())
}

const BAD: Quality = Quality::bad(Reason::TIMEOUT);
const UNCERTAIN: Quality = Quality::uncertain(Reason::RANGE);

#[expect(clippy::cast_possible_truncation, reason = "tests count less far")]
fn millis(seconds: f64) -> i64 {
    (seconds * 1_000.0) as i64
}

fn given(point: &str, at: f64, value: impl Into<Owned>, quality: Quality) -> Given {
    Given { point: point.to_owned(), at: millis(at), value: Some(value.into()).filter(|_| !quality.is_bad()), quality }
}

/// What is told beside the readings, all of which pass as they were.
fn happens(bench: &mut Bench<Alarm>, event: &Event) -> Vec<Told> {
    let (at, row) = match event {
        Tick(at) => return bench.tick(millis(*at)),
        Event::Read(at, value) => (at, given(POINT, *at, value.clone(), Quality::GOOD)),
        Doubt(at, quality) => (at, given(POINT, *at, 99.0, *quality)),
        Key(at, value) => (at, given(KEY, *at, *value, Quality::GOOD)),
    };
    let mut told = bench.give(millis(*at), std::slice::from_ref(&row));
    let kept = told.remove(0);
    assert_eq!((kept.fate, kept.value, kept.quality), (Fate::Kept, row.value, row.quality));
    told
}

/// What each event makes the plugin tell of `a`: times in seconds, `true` where it is raised.
fn check(rule: &str, events: &[(Event, &[(f64, bool)])]) {
    let mut bench = start(rule);
    for (i, (event, expected)) in events.iter().enumerate() {
        let told = happens(&mut bench, event);
        assert!(told.iter().all(|told| (told.fate, told.quality) == (Fate::Alarm, Quality::GOOD)), "{told:?}");
        let told: Vec<_> = told.iter().map(|told| (told.at, told.number())).collect();
        let expected: Vec<_> = expected.iter().map(|(at, on)| (millis(*at), Some(f64::from(u8::from(*on))))).collect();
        assert_eq!(told, expected, "{rule}: event {i}, {event:?}");
    }
}

const NO: &[(f64, bool)] = &[];

#[test]
fn a_threshold_raises_and_clears_at_once_and_not_between() {
    let above = [(read(0.0, 9.0), NO), (read(1.0, 10.0), NO), (read(2.0, 10.1), &[(2.0, true)]), (read(3.0, 11.0), NO)];
    check(r#""above": 10"#, &[&above[..], &[(read(4.0, 10.0), &[(4.0, false)])]].concat());
    let band = [(read(4.0, 9.0), NO), (read(5.0, 8.0), &[(5.0, false)] as &[_]), (read(6.0, 10.0), NO)];
    check(r#""above": 10, "hysteresis": 2"#, &[&above[..], &band].concat());
    check(r#""above": 10, "clear": 8"#, &[&above[..], &band].concat());
    let below = [(read(0.0, 3.0), NO), (read(1.0, 2.9), &[(1.0, true)]), (read(2.0, 4.9), NO)];
    check(r#""below": 3, "clear": 5"#, &[&below[..], &[(read(3.0, 5.0), &[(3.0, false)])]].concat());
    check(r#""below": 3, "hysteresis": 2"#, &[&below[..], &[(read(3.0, 5.0), &[(3.0, false)])]].concat());
}

#[test]
fn a_rule_knows_bits_states_and_texts() {
    let bits = [(read(0.0, false), NO), (read(1.0, true), &[(1.0, true)] as &[_]), (read(2.0, false), &[(2.0, false)])];
    check(r#""equals": true"#, &bits);
    check(r#""above": 0"#, &bits);
    check(r#""equals": false"#, &[(read(0.0, true), NO), (read(1.0, false), &[(1.0, true)])]);
    check(
        r#""equals": 3"#,
        &[(read(0.0, 2.0), NO), (read(1.0, 3.0), &[(1.0, true)]), (read(2.0, 4.0), &[(2.0, false)])],
    );
    let text = [(read(0.0, "ok"), NO), (read(1.0, "lost"), &[(1.0, true)] as &[_]), (read(2.0, "ok"), &[(2.0, false)])];
    check(r#""equals": "lost""#, &text);
    // What cannot be compared says nothing.
    check(r#""equals": "lost""#, &[(read(0.0, "lost"), &[(0.0, true)]), (read(1.0, 1.0), NO)]);
    check(
        r#""above": 5"#,
        &[(read(0.0, 6.0), &[(0.0, true)]), (read(1.0, "ok"), NO), (read(2.0, 1.0), &[(2.0, false)])],
    );
}

#[test]
fn a_delay_ends_when_it_ends_whoever_looks() {
    let rule = r#""above": 10, "after": "10s""#;
    let raised: &[_] = &[(10.0, true)];
    check(rule, &[(read(0.0, 11.0), NO), (read(9.0, 11.0), NO), (read(10.0, 11.0), raised)]);
    check(rule, &[(read(0.0, 11.0), NO), (read(9.0, 11.0), NO), (read(14.0, 11.0), raised)]);
    // A tick waits for readings that are on their way.
    check(rule, &[(read(0.0, 11.0), NO), (Tick(11.9), NO), (Tick(12.0), raised), (read(13.0, 11.0), NO)]);
    check(rule, &[(read(0.0, 11.0), NO), (Tick(11.9), NO), (read(9.9, 1.0), NO), (Tick(20.0), NO)]);
    // The value must stay there: the delay begins anew.
    check(
        rule,
        &[(read(0.0, 11.0), NO), (read(9.0, 10.0), NO), (read(10.0, 11.0), NO), (read(20.0, 11.0), &[(20.0, true)])],
    );
    let off =
        [(read(0.0, 11.0), &[(0.0, true)] as &[_]), (read(1.0, 1.0), NO), (read(5.0, 11.0), NO), (read(6.0, 1.0), NO)];
    check(
        r#""above": 10, "clear_after": "10s""#,
        &[&off[..], &[(read(15.9, 1.0), NO), (Tick(18.0), &[(16.0, false)])]].concat(),
    );
    let on = [
        (read(0.0, 11.0), &[(0.0, true)] as &[_]),
        (read(1.0, 1.0), NO),
        (Tick(21.0), NO),
        (Tick(22.0), &[(20.0, false)]),
    ];
    check(r#""above": 10, "min_on": "20s""#, &on);
}

/// Ticks from one time to another, as close as a hub gives them when it is busy.
fn ticks(from: u16, to: u16) -> Vec<(Event, &'static [(f64, bool)])> {
    (from..=to).step_by(5).map(|at| (Tick(f64::from(at)), NO)).collect()
}

#[test]
fn what_nobody_confirms_raises_nothing_and_clears_nothing() {
    let rule = r#""above": 10, "after": "30s", "stale_after": "5s""#;
    check(rule, &[&[(read(0.0, 11.0), NO)], &ticks(5, 60)[..], &[(read(61.0, 11.0), NO)], &ticks(65, 99)].concat());
    check(
        rule,
        &[&[(read(0.0, 11.0), NO), (read(6.0, 11.0), NO), (read(30.0, 11.0), NO)], &ticks(32, 70)[..]].concat(),
    );
    let polls: Vec<_> = (0..30).step_by(5).map(|at| (read(f64::from(at), 11.0), NO)).collect();
    check(rule, &[&polls[..], &[(Tick(31.0), NO), (Tick(32.0), &[(30.0, true)])]].concat());
    // Bad and uncertain readings confirm nothing, and deny nothing.
    let doubts: Vec<_> = (1..40).map(|at| (Doubt(f64::from(at), BAD), NO)).collect();
    check(rule, &[&[(read(0.0, 11.0), NO)], &doubts[..], &[(Tick(45.0), NO)]].concat());
    check(r#""above": 10"#, &[(Doubt(0.0, UNCERTAIN), NO), (read(1.0, 11.0), &[(1.0, true)]), (Doubt(2.0, BAD), NO)]);
    check(r#""above": 10, "uncertain": true"#, &[(Doubt(0.0, UNCERTAIN), &[(0.0, true)])]);
    let clear = r#""above": 10, "clear_after": "30s", "stale_after": "5s""#;
    let raised: &[_] = &[(read(0.0, 11.0), &[(0.0, true)] as &[_]), (read(1.0, 1.0), NO)];
    check(clear, &[raised, &ticks(5, 60), &[(read(61.0, 1.0), NO)]].concat());
    // If nothing is said, a reading tells what is for a minute, or for as long as the delay.
    let long = [&[(read(0.0, 11.0), NO)], &ticks(5, 600)[..], &[(Tick(602.0), &[(600.0, true)])]];
    check(r#""above": 10, "after": "10m""#, &long.concat());
    check(r#""above": 10, "min_on": "62s""#, &[raised, &ticks(5, 90)].concat());
    check(r#""above": 10, "min_on": "61s""#, &[raised, &ticks(5, 60), &[(Tick(63.0), &[(61.0, false)])]].concat());
}

#[test]
fn silence_and_bad_readings_are_an_alarm_of_their_own() {
    let rule = r#""bad_for": "10s""#;
    let raised: &[_] = &[(10.0, true)];
    check(rule, &[(read(0.0, 1.0), NO), (Tick(5.0), NO), (Tick(11.9), NO), (Tick(12.0), raised), (Tick(20.0), NO)]);
    let doubts = [(read(0.0, 1.0), NO), (Doubt(5.0, BAD), NO), (Doubt(9.0, UNCERTAIN), NO), (Doubt(10.0, BAD), raised)];
    check(rule, &[&doubts[..], &[(Doubt(11.0, BAD), NO), (read(12.0, "any"), &[(12.0, false)])]].concat());
    check(
        r#""bad_for": "10s", "uncertain": true"#,
        &[(read(0.0, 1.0), NO), (Doubt(9.0, UNCERTAIN), NO), (Doubt(11.0, BAD), NO)],
    );
    // A point that was never read at all.
    check(rule, &[(Tick(5.0), NO), (Tick(12.0), NO), (Tick(14.9), NO), (Tick(15.0), &[(13.0, true)])]);
    // Contact must be back without a break.
    let back =
        [(read(0.0, 1.0), NO), (Tick(9.0), NO), (Tick(12.0), raised), (read(13.0, 1.0), NO), (Doubt(17.0, BAD), NO)];
    let steady = [(read(18.0, 1.0), NO), (read(22.0, 1.0), NO), (read(24.0, 1.0), &[(23.0, false)] as &[_])];
    check(r#""bad_for": "10s", "clear_after": "5s""#, &[&back[..], &steady].concat());
    let gone = [(Tick(22.0), NO), (Tick(32.0), NO), (read(33.0, 1.0), &[(33.0, false)] as &[_])];
    check(rule, &[&[(read(0.0, 1.0), NO), (Tick(9.0), NO), (Tick(12.0), raised)], &gone[..]].concat());
}

#[test]
fn a_hub_without_power_is_no_silent_device() {
    let rule = r#""bad_for": "60s""#;
    let events = [(read(0.0, 1.0), NO), (Tick(5.0), NO), (Tick(3_605.0), NO), (Tick(3_610.0), NO), (Tick(3_655.0), NO)];
    // 3,600 s of it were not watched, and neither were the 45 before the last tick.
    check(
        rule,
        &[&events[..], &[(Tick(3_660.0), NO), (Tick(3_670.0), NO), (Tick(3_680.0), NO), (Tick(3_690.0), NO)]].concat(),
    );
    check(
        rule,
        &[&events[..3], &[(read(3_606.0, 1.0), NO), (Tick(3_615.0), NO), (Tick(3_625.0), NO), (Tick(3_635.0), NO)]]
            .concat(),
    );
}

#[test]
fn a_latched_alarm_waits_for_the_key() {
    let rule = r#""equals": true, "latch": "cabinet/key""#;
    let open =
        [(read(0.0, true), &[(0.0, true)] as &[_]), (Key(1.0, 1.0), NO), (read(2.0, false), NO), (Tick(30.0), NO)];
    check(rule, &[&open[..], &[(Key(31.0, 0.0), NO), (Key(32.0, 1.0), &[(32.0, false)])]].concat());
    // Turned while the delay runs, it counts; the cause is back, it does not.
    let rule = r#""equals": true, "latch": "cabinet/key", "clear_after": "10s""#;
    check(
        rule,
        &[&open[..3], &[(Key(5.0, 1.0), NO), (read(11.0, false), NO), (read(12.0, false), &[(12.0, false)])]].concat(),
    );
    let again = [(Key(5.0, 1.0), NO), (read(6.0, true), NO), (read(7.0, false), NO), (read(30.0, false), NO)];
    check(rule, &[&open[..3], &again, &[(Key(31.0, 1.0), &[(31.0, false)])]].concat());
}

#[test]
fn the_state_is_told_again_and_says_when_nobody_knows() {
    let mut bench = start(r#""above": 10, "repeat": "20s", "stale_after": "15s""#);
    let mut told = Vec::new();
    let events =
        [Tick(0.0), read(1.0, 1.0), Tick(3.0), Tick(13.0), Tick(22.0), Tick(23.0), read(25.0, 11.0), read(40.0, 11.0)];
    for event in events.iter().chain(&[Tick(46.0), Tick(47.0), Tick(56.0), Tick(66.0), Tick(67.0), Tick(86.9)]) {
        told.extend(happens(&mut bench, event).iter().map(|told| (told.at, told.number(), told.quality)));
    }
    let (off, on) = (Some(0.0), Some(1.0));
    let expected = [
        (1_000, off, Quality::GOOD),
        (21_000, off, Quality::STALE),
        (25_000, on, Quality::GOOD),
        (45_000, on, Quality::GOOD),
        (65_000, on, Quality::STALE),
    ];
    assert_eq!(told, expected);
}

#[test]
fn rules_are_told_in_the_order_of_time_and_counted() {
    let settings = r#"{"rules": {
        "late": {"point": "cabinet/door", "above": 5},
        "early": {"point": "cabinet/door", "above": 5, "after": "2s"},
        "text": {"point": "cabinet/door", "equals": "open"}}}"#;
    let mut bench = Bench::<Alarm>::start(settings, &[POINT]).unwrap();
    assert_eq!(bench.tick_ms(), 1_000);
    let rows =
        [(0.0, 6.0), (1.0, 1.0), (3.0, 6.0), (6.0, 7.0)].map(|(at, value)| given(POINT, at, value, Quality::GOOD));
    let told: Vec<_> =
        bench.give(9_000, &rows)[rows.len()..].iter().map(|told| (told.point.clone(), told.at)).collect();
    let expected = [("late", 0), ("late", 1_000), ("late", 3_000), ("early", 5_000)];
    assert_eq!(told, expected.map(|(rule, at)| (rule.to_owned(), at)));
    let counted = ["raised", "cleared", "on", "not-comparable"].map(|name| bench.metric(name));
    assert_eq!(counted, [Some(3.0), Some(1.0), Some(2.0), Some(4.0)]);
    assert_eq!(start(r#""above": 5"#).tick_ms(), 0);
}

#[test]
fn an_alarm_that_nobody_watches_any_more_says_so() {
    let mut bench = start(r#""above": 10"#);
    assert_eq!(bench.finish(1_000), []);
    bench.read(2_000, &[(POINT, 11.0)]);
    let told = bench.finish(3_000);
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].at, &told[0].value, told[0].quality), (3_000, &None, Quality::bad(Reason::ABSENT)));
}
