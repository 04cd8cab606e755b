//! Promises of the unit's machine, all its states through.

use std::collections::{BTreeMap, VecDeque};

use super::*;

const TIMEOUT: Duration = Duration::from_millis(300);
const ANSWER: Duration = Duration::from_millis(40);
const OUTCOMES: [Outcome; 4] = [Outcome::Answered, Outcome::Garbled, Outcome::Silent, Outcome::NotAsked];

/// A state without its moment: what can still make a difference.
type Abstract = (bool, usize, u32, bool, bool);

fn abstracted(unit: &Unit, now: Duration) -> Abstract {
    let failures = unit.failures.min(BACK_OFF.len() + 1);
    (unit.known, failures, unit.garbled.min(GARBLED_LIMIT + 1), unit.pardoned, now >= unit.pardon)
}

/// The unit's next turn after one at `now`: when it has rested, and `later`.
fn turn(unit: &Unit, now: Duration, outcome: Outcome, later: Duration) -> (Unit, Duration, Noted) {
    let mut unit = unit.clone();
    let took = if outcome == Outcome::Answered { ANSWER } else { TIMEOUT };
    let ended = now + took;
    let noted = unit.note(ended, outcome);
    let next = unit.rests_until().max(ended) + later;
    (unit, next, noted)
}

#[test]
fn from_every_state_one_answer_leads_out() {
    let start = Unit::new(TIMEOUT);
    // Every state that any outcomes lead to, asked as soon as it may be and long after.
    let mut seen: BTreeMap<Abstract, (Unit, Duration)> = BTreeMap::new();
    let mut open = VecDeque::from([(start, Duration::ZERO)]);
    while let Some((unit, now)) = open.pop_front() {
        if seen.contains_key(&abstracted(&unit, now)) {
            continue;
        }
        for outcome in OUTCOMES {
            for later in [Duration::ZERO, Duration::from_secs(100)] {
                let (next, at, _) = turn(&unit, now, outcome, later);
                open.push_back((next, at));
            }
        }
        seen.insert(abstracted(&unit, now), (unit, now));
    }
    println!("{} states", seen.len());
    assert!(seen.len() > 15, "{:?}", seen.keys());
    for (state, (unit, now)) in &seen {
        // It is never left alone for longer than the longest rest.
        assert!(unit.rests_until() <= *now + BACK_OFF[2], "{state:?}");
        let (back, next, noted) = turn(unit, *now, Outcome::Answered, Duration::ZERO);
        assert!(back.is_answering() && back.is_free() && !back.is_lost(), "{state:?}");
        assert_eq!(back.rests_until(), Duration::ZERO, "{state:?}");
        assert_eq!(
            noted.change == Some(Change::Back),
            unit.is_lost(),
            "{state:?}: told of when it was told to be lost"
        );
        // And stays out as long as it answers.
        let (stays, ..) = turn(&back, next, Outcome::Answered, Duration::ZERO);
        assert!(stays.is_answering() && abstracted(&stays, next) == abstracted(&back, next), "{state:?}");
        // Silence alone brings every state to the longest rest, and there it stays, within the share.
        let (mut lost, mut at) = (unit.clone(), *now);
        let mut noted = Noted::default();
        for _ in 0..4 {
            (lost, at, noted) = turn(&lost, at, Outcome::Silent, Duration::ZERO);
        }
        assert!(lost.is_lost() && noted.is_rationed && !lost.is_free(), "{state:?}");
    }
}

#[test]
fn a_single_failure_is_pardoned_a_second_soon_after_is_not() {
    let mut unit = Unit::new(TIMEOUT);
    let second = Duration::from_secs(1);
    unit.note(second, Outcome::Answered);
    assert!(!unit.note(second * 26, Outcome::Silent).is_rationed);
    assert!(unit.is_free() && !unit.is_lost());
    unit.note(second * 27, Outcome::Answered);
    assert!(unit.note(second * 28, Outcome::Silent).is_rationed, "one in 24 seconds at most");
    assert!(!unit.is_free() && !unit.is_lost());
    unit.note(second * 53, Outcome::Answered);
    assert!(!unit.note(second * 78, Outcome::Silent).is_rationed);
    let noted = unit.note(second * 79, Outcome::Silent);
    assert_eq!(noted, Noted { change: Some(Change::Lost), is_rationed: true });
}
