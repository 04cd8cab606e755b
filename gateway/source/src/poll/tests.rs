//! Promises of the schedule, in a time that is passed in.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Plays a line: each poll of `slots[i]` takes what `cost` says. Returns how often each slot was polled until `end`.
fn play(
    schedule: &mut Schedule,
    slots: usize,
    end: Duration,
    cost: impl Fn(usize, Duration) -> (Duration, Outcome),
) -> Vec<u32> {
    let mut polls = vec![0; slots];
    let mut now = Duration::ZERO;
    while let Some((slot, due)) = schedule.next(now) {
        now = now.max(due);
        if now >= end {
            break;
        }
        let (took, outcome) = cost(slot, now);
        now += took;
        polls[slot] += 1;
        schedule.finish(slot, now, outcome);
    }
    polls
}

#[test]
fn due_times_do_not_drift() {
    let mut schedule = Schedule::new([(1, SECOND)]);
    for n in 0..1000 {
        let (slot, due) = schedule.next(SECOND * n).unwrap();
        assert_eq!(due, SECOND * n);
        let finished = schedule.finish(slot, due + ms(37), Outcome::Answered);
        assert_eq!(finished, Finished { skipped: 0, change: None });
    }
}

#[test]
fn a_missed_due_time_is_skipped_and_counted_not_queued() {
    let mut schedule = Schedule::new([(1, SECOND)]);
    assert_eq!(schedule.finish(0, ms(3_200), Outcome::Answered).skipped, 3);
    assert_eq!(schedule.next(ms(3_200)), Some((0, ms(4_000))));
}

#[test]
fn an_overfull_line_gives_everybody_a_turn() {
    let mut schedule = Schedule::new((1..=4).map(|unit| (unit, ms(50))));
    let polls = play(&mut schedule, 4, SECOND * 60, |_, _| (ms(34), Outcome::Answered));
    let (least, most) = (polls.iter().min().unwrap(), polls.iter().max().unwrap());
    assert!(most - least <= 1, "{polls:?}");
}

#[test]
fn one_dead_of_four_costs_the_others_less_than_two_per_cent() {
    let check = |period: Duration, cost: Duration| {
        let alive = play(&mut Schedule::new((1..=4).map(|unit| (unit, period))), 4, SECOND * 60, |_, _| {
            (cost, Outcome::Answered)
        });
        let mut schedule = Schedule::new((1..=4).map(|unit| (unit, period)));
        let one_dead = play(&mut schedule, 4, SECOND * 60, |slot, _| match slot {
            0 => (ms(300), Outcome::Silent),
            _ => (cost, Outcome::Answered),
        });
        for slot in 1..4 {
            assert!(one_dead[slot] * 100 >= alive[slot] * 98, "{period:?}: {one_dead:?} of {alive:?}");
        }
        assert!(one_dead[0] <= 4, "{one_dead:?}");
    };
    check(SECOND, ms(34));
    check(ms(200), ms(34));
    check(ms(50), ms(34));
}

#[test]
fn back_off_grows_and_the_first_answer_ends_it() {
    let mut schedule = Schedule::new([(1, SECOND)]);
    let mut now = Duration::ZERO;
    let mut rests = Vec::new();
    let mut changes = Vec::new();
    for _ in 0..5 {
        now += ms(300);
        changes.push(schedule.finish(0, now, Outcome::Silent).change);
        let (_, due) = schedule.next(now).unwrap();
        rests.push((due - now).as_millis());
        now = due;
    }
    assert_eq!(changes, [None, Some(Change::Lost), None, None, None]);
    // The first rest ends at the next due time after 0.5 s.
    assert_eq!(rests, [700, 10_000, 60_000, 60_000, 60_000]);
    assert!(schedule.is_lost(0));
    assert_eq!(schedule.finish(0, now, Outcome::Answered), Finished { skipped: 0, change: Some(Change::Back) });
    assert!(!schedule.is_lost(0));
    let (_, due) = schedule.next(now).unwrap();
    assert!(due - now <= SECOND);
}

#[test]
fn noise_is_forgiven_twice() {
    let mut schedule = Schedule::new([(1, SECOND)]);
    for (n, outcome) in
        [Outcome::Garbled, Outcome::Garbled, Outcome::Answered, Outcome::Garbled].into_iter().enumerate()
    {
        schedule.finish(0, SECOND * u32::try_from(n).unwrap(), outcome);
        assert_eq!(schedule.next(Duration::ZERO), Some((0, SECOND * u32::try_from(n + 1).unwrap())));
    }
    schedule.finish(0, SECOND * 4, Outcome::Garbled);
    schedule.finish(0, SECOND * 5, Outcome::Garbled);
    assert_eq!(
        schedule.next(Duration::ZERO),
        Some((0, SECOND * 6)),
        "three in a row: rests, until its next due time at the least"
    );
    schedule.finish(0, SECOND * 6, Outcome::Garbled);
    assert_eq!(schedule.next(Duration::ZERO), Some((0, SECOND * 16)));
}

#[test]
fn a_unit_that_is_not_asked_is_not_blamed() {
    let mut schedule = Schedule::new([(1, SECOND)]);
    for n in 0..10 {
        assert_eq!(schedule.finish(0, SECOND * n, Outcome::NotAsked).change, None);
        assert_eq!(schedule.next(Duration::ZERO), Some((0, SECOND * (n + 1))));
    }
}

#[test]
fn all_rounds_of_a_dead_unit_rest_together() {
    let mut schedule = Schedule::new([(1, SECOND), (1, SECOND * 5), (2, SECOND)]);
    schedule.finish(0, ms(300), Outcome::Silent);
    schedule.finish(2, ms(310), Outcome::Answered);
    assert_eq!(schedule.next(ms(310)), Some((1, ms(800))), "the unit's other round is the next try");
    schedule.finish(1, ms(1_100), Outcome::Silent);
    assert_eq!(schedule.next(Duration::ZERO), Some((2, SECOND)));
}

proptest! {
    /// Every state has a way out that needs no operator: whatever happened, a unit that answers from now on is polled
    /// again within the longest rest, and is at its full rate from then on.
    #[test]
    fn whatever_happened_an_answer_brings_a_unit_back(history in prop::collection::vec((0_u8..4, 0_u64..5_000), 0..60)) {
        let mut schedule = Schedule::new([(1, SECOND), (1, SECOND * 7)]);
        let mut now = Duration::ZERO;
        for (outcome, took) in history {
            let outcome = [Outcome::Answered, Outcome::Garbled, Outcome::Silent, Outcome::NotAsked][usize::from(outcome)];
            let (slot, due) = schedule.next(now).unwrap();
            now = now.max(due) + ms(took);
            schedule.finish(slot, now, outcome);
        }
        let (slot, due) = schedule.next(now).unwrap();
        prop_assert!(due <= now + SECOND * 60);
        now = now.max(due);
        schedule.finish(slot, now, Outcome::Answered);
        prop_assert!(!schedule.is_lost(slot));
        let polls = (0..20).filter(|_| {
            let (slot, due) = schedule.next(now).unwrap();
            now = now.max(due);
            schedule.finish(slot, now, Outcome::Answered);
            slot == 0
        });
        prop_assert!(polls.count() >= 16);
    }
}
