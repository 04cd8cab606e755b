//! Promises of the schedule, in a time that is passed in.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const TIMEOUT: Duration = Duration::from_millis(300);

fn schedule(rounds: impl IntoIterator<Item = (u8, Duration)>) -> Schedule {
    Schedule::new(rounds.into_iter().map(|(unit, period)| (unit, period, TIMEOUT)))
}

/// Ends a round that took no time, as if by itself.
fn finish(schedule: &mut Schedule, slot: usize, now: Duration, outcome: Outcome) -> Finished {
    schedule.finish(slot, now, now, outcome)
}

/// Plays a line until `end`: each poll takes what `cost` says of its slot and moment. Returns when each slot was polled.
fn play(
    schedule: &mut Schedule,
    slots: usize,
    end: Duration,
    mut cost: impl FnMut(usize, Duration) -> (Duration, Outcome),
) -> Vec<Vec<Duration>> {
    let mut polls = vec![Vec::new(); slots];
    let mut now = Duration::ZERO;
    while let Some((slot, ready)) = schedule.next(now) {
        if ready > now {
            // Asked again then, as the bus does: it may be another's turn.
            now = ready;
            continue;
        }
        if now >= end {
            break;
        }
        let (took, outcome) = cost(slot, now);
        polls[slot].push(now);
        schedule.finish(slot, now, now + took, outcome);
        now += took;
    }
    polls
}

#[test]
fn due_times_do_not_drift() {
    let mut schedule = schedule([(1, SECOND)]);
    for n in 0..1000 {
        let (slot, due) = schedule.next(SECOND * n).unwrap();
        assert_eq!(due, SECOND * n);
        let finished = schedule.finish(slot, due, due + ms(37), Outcome::Answered);
        assert_eq!(finished, Finished { skipped: 0, change: None });
    }
}

#[test]
fn a_missed_due_time_is_skipped_and_counted_not_queued() {
    let mut schedule = schedule([(1, SECOND)]);
    assert_eq!(schedule.finish(0, Duration::ZERO, ms(3_200), Outcome::Answered).skipped, 3);
    assert_eq!(schedule.next(ms(3_200)), Some((0, ms(4_000))));
}

#[test]
fn an_overfull_line_gives_everybody_a_turn() {
    let mut schedule = schedule((1..=4).map(|unit| (unit, ms(50))));
    let polls = play(&mut schedule, 4, SECOND * 60, |_, _| (ms(34), Outcome::Answered));
    let polls: Vec<usize> = polls.iter().map(Vec::len).collect();
    let (least, most) = (polls.iter().min().unwrap(), polls.iter().max().unwrap());
    assert!(most - least <= 1, "{polls:?}");
}

#[test]
fn back_off_grows_and_the_first_answer_ends_it() {
    let mut schedule = schedule([(1, SECOND)]);
    let mut now = Duration::ZERO;
    let mut rests = Vec::new();
    let mut changes = Vec::new();
    for _ in 0..5 {
        now += ms(300);
        changes.push(finish(&mut schedule, 0, now, Outcome::Silent).change);
        let (_, due) = schedule.next(now).unwrap();
        rests.push((due - now).as_millis());
        now = due;
    }
    assert_eq!(changes, [None, Some(Change::Lost), None, None, None]);
    // The first rest ends at the next due time after 0.5 s.
    assert_eq!(rests, [700, 10_000, 60_000, 60_000, 60_000]);
    assert!(schedule.is_lost(0));
    assert_eq!(finish(&mut schedule, 0, now, Outcome::Answered), Finished { skipped: 0, change: Some(Change::Back) });
    assert!(!schedule.is_lost(0));
    let (_, due) = schedule.next(now).unwrap();
    assert!(due - now <= SECOND);
}

#[test]
fn noise_is_forgiven_twice() {
    let mut schedule = schedule([(1, SECOND)]);
    for (n, outcome) in
        [Outcome::Garbled, Outcome::Garbled, Outcome::Answered, Outcome::Garbled].into_iter().enumerate()
    {
        finish(&mut schedule, 0, SECOND * u32::try_from(n).unwrap(), outcome);
        assert_eq!(schedule.next(Duration::ZERO), Some((0, SECOND * u32::try_from(n + 1).unwrap())));
    }
    finish(&mut schedule, 0, SECOND * 4, Outcome::Garbled);
    finish(&mut schedule, 0, SECOND * 5, Outcome::Garbled);
    assert_eq!(
        schedule.next(Duration::ZERO),
        Some((0, SECOND * 6)),
        "three in a row: rests, until its next due time at the least"
    );
    finish(&mut schedule, 0, SECOND * 6, Outcome::Garbled);
    assert_eq!(schedule.next(Duration::ZERO), Some((0, SECOND * 16)));
}

#[test]
fn a_unit_that_is_not_asked_is_not_blamed() {
    let mut schedule = schedule([(1, SECOND)]);
    for n in 0..10 {
        assert_eq!(finish(&mut schedule, 0, SECOND * n, Outcome::NotAsked).change, None);
        assert_eq!(schedule.next(Duration::ZERO), Some((0, SECOND * (n + 1))));
    }
}

#[test]
fn all_rounds_of_a_dead_unit_rest_together() {
    let mut schedule = schedule([(1, SECOND), (1, SECOND * 5), (2, SECOND)]);
    finish(&mut schedule, 0, ms(300), Outcome::Silent);
    finish(&mut schedule, 2, ms(310), Outcome::Answered);
    assert_eq!(schedule.next(ms(310)), Some((1, ms(800))), "the unit's other round is the next try");
    finish(&mut schedule, 1, ms(1_100), Outcome::Silent);
    assert_eq!(schedule.next(Duration::ZERO), Some((2, SECOND)));
}

proptest! {
    /// Every state has a way out that needs no operator: whatever happened, a unit that answers from now on is polled
    /// again within the longest rest, and is at its full rate from then on.
    #[test]
    fn whatever_happened_an_answer_brings_a_unit_back(history in prop::collection::vec((0_u8..4, 0_u64..5_000), 0..60)) {
        let mut schedule = schedule([(1, SECOND), (1, SECOND * 7)]);
        let mut now = Duration::ZERO;
        for (outcome, took) in history {
            let outcome = [Outcome::Answered, Outcome::Garbled, Outcome::Silent, Outcome::NotAsked][usize::from(outcome)];
            let (slot, due) = schedule.next(now).unwrap();
            now = now.max(due) + ms(took);
            finish(&mut schedule, slot, now, outcome);
        }
        let (slot, due) = schedule.next(now).unwrap();
        prop_assert!(due <= now + SECOND * 60);
        now = now.max(due);
        finish(&mut schedule, slot, now, Outcome::Answered);
        prop_assert!(!schedule.is_lost(slot));
        let polls = (0..20).filter(|_| {
            let (slot, due) = schedule.next(now).unwrap();
            now = now.max(due);
            finish(&mut schedule, slot, now, Outcome::Answered);
            slot == 0
        });
        prop_assert!(polls.count() >= 16);
    }
}

/// A line whose healthy units load it to 90 %, all asked equally often.
#[derive(Debug, Clone, Copy)]
struct Line {
    baud: u64,
    timeout: Duration,
    units: usize,
    /// The answering ones, of which there are so many less than units.
    healthy: usize,
}

const LINES: [(u64, u64); 4] = [(9_600, 300), (9_600, 500), (19_200, 300), (19_200, 500)];

impl Line {
    fn characters(self, tenths: u64) -> Duration {
        Duration::from_nanos(tenths * 1_100_000_000 / self.baud)
    }

    /// A silence, a request, 10 ms, and the answer with 20 registers.
    fn answer(self) -> Duration {
        self.characters(35 + 80 + 450) + ms(10)
    }

    /// A silence, a request for one register, and its answer that does not come.
    fn silence(self) -> Duration {
        self.characters(35 + 80 + 70) + self.timeout
    }

    fn period(self) -> Duration {
        self.answer() * u32::try_from(self.healthy).unwrap() * 10 / 9
    }

    /// When each unit is polled, if `outcome` says how each fares.
    fn play(self, end: Duration, mut outcome: impl FnMut(usize, Duration) -> Outcome) -> Vec<Vec<Duration>> {
        let units = (1..=u8::try_from(self.units).unwrap()).map(|unit| (unit, self.period(), self.timeout));
        play(&mut Schedule::new(units), self.units, end, |unit, now| match outcome(unit, now) {
            Outcome::Answered => (self.answer(), Outcome::Answered),
            failed @ (Outcome::Garbled | Outcome::Silent | Outcome::NotAsked) => (self.silence(), failed),
        })
    }

    /// Checks that the healthy keep 98 % of their polls in each `window` from power-on until `end`.
    fn keeps(
        self,
        window: Duration,
        end: Duration,
        is_healthy: impl Fn(usize) -> bool,
        outcome: impl FnMut(usize, Duration) -> Outcome,
    ) -> Vec<Vec<Duration>> {
        let polls = self.play(end, outcome);
        let mut from = Duration::ZERO;
        while from < end {
            let due = window.as_secs_f64() / self.period().as_secs_f64();
            for (unit, polls) in polls.iter().enumerate().filter(|(unit, _)| is_healthy(*unit)) {
                let made = polls.iter().filter(|&&at| from <= at && at < from + window).count();
                let share = made as f64 / due;
                assert!(
                    share >= 0.98,
                    "{self:?}: unit {unit} from {from:?}: {made} of {due:.0}, {:.1} %",
                    share * 100.0
                );
            }
            from += window;
        }
        polls
    }
}

const MINUTE: Duration = Duration::from_secs(60);

/// In which the share of the silent shows: of some time-outs, not of one more or less.
const WINDOW: Duration = Duration::from_secs(300);

fn silent(is_silent: bool) -> Outcome {
    if is_silent { Outcome::Silent } else { Outcome::Answered }
}

#[test]
fn with_one_dead_of_four_the_others_keep_their_polls_from_the_first_second_on() {
    for (baud, timeout) in LINES {
        for dead in 0..4 {
            let line = Line { baud, timeout: ms(timeout), units: 4, healthy: 3 };
            let polls = line.keeps(WINDOW, MINUTE * 20, |unit| unit != dead, |unit, _| silent(unit == dead));
            assert!(polls[dead].len() >= 10, "{:?}", polls[dead]);
        }
    }
}

#[test]
fn with_31_dead_of_32_the_last_one_keeps_its_polls_and_none_is_forgotten() {
    for (baud, timeout) in LINES {
        let line = Line { baud, timeout: ms(timeout), units: 32, healthy: 1 };
        // Asked first, it never notices the others. Before it is heard of, there is nobody to be spared: asked last, it waits
        // for 31 time-outs once.
        for (healthy, window, end) in [(0, WINDOW, MINUTE * 10), (31, MINUTE * 45, MINUTE * 45)] {
            let polls = line.keeps(window, end, |unit| unit == healthy, |unit, _| silent(unit != healthy));
            if end > MINUTE * 30 {
                assert!(
                    polls.iter().all(|polls| polls.len() >= 2),
                    "{:?}",
                    polls.iter().map(Vec::len).collect::<Vec<_>>()
                );
            }
        }
    }
}

#[test]
fn a_unit_that_answers_every_second_time_or_babbles_costs_the_others_as_little() {
    for (baud, timeout) in LINES {
        let line = Line { baud, timeout: ms(timeout), units: 4, healthy: 4 };
        let mut turns = 0;
        let polls = line.keeps(
            WINDOW,
            MINUTE * 20,
            |unit| unit != 1,
            |unit, _| {
                turns += u32::from(unit == 1);
                silent(unit == 1 && turns % 2 == 0)
            },
        );
        assert!(polls[1].len() >= 20, "it is read all the same: {}", polls[1].len());
        let babbles = |unit| if unit == 2 { Outcome::Garbled } else { Outcome::Answered };
        let line = Line { healthy: 3, ..line };
        line.keeps(
            WINDOW,
            MINUTE * 20,
            |unit| unit != 2,
            |unit, now| if now < SECOND { silent(false) } else { babbles(unit) },
        );
    }
}

#[test]
fn a_unit_that_dies_or_returns_is_noticed_while_the_others_go_on() {
    for (baud, timeout) in LINES {
        let line = Line { baud, timeout: ms(timeout), units: 4, healthy: 4 };
        let (dies, returns) = (MINUTE * 5, MINUTE * 15);
        let is_dead = |now| (dies..returns).contains(&now);
        // Ten minutes, so that the two time-outs in a row by which it is noticed are seen as what they are: the beginning.
        let window = MINUTE * 10;
        let polls = line.keeps(window, MINUTE * 20, |unit| unit != 3, |unit, now| silent(unit == 3 && is_dead(now)));
        let after = polls[3].iter().filter(|&&at| at >= returns);
        let first = *after.clone().next().unwrap() - returns;
        assert!(first <= Duration::from_secs(95), "{line:?}: {first:?}");
        assert!(after.count() as f64 >= (MINUTE * 3).as_secs_f64() / line.period().as_secs_f64(), "at its full rate");
    }
}

#[test]
fn a_new_unit_is_not_kept_waiting_where_the_others_can_spare_the_time() {
    // Polls each second, and time-outs that fit in between: all 32 are asked within the first round or two.
    let mut schedule = schedule((1..=32).map(|unit| (unit, SECOND)));
    let polls = play(&mut schedule, 32, MINUTE, |unit, _| match unit % 4 {
        0 => (TIMEOUT, Outcome::Silent),
        _ => (ms(20), Outcome::Answered),
    });
    let last = polls.iter().map(|polls| polls[0]).max().unwrap();
    assert!(last <= SECOND * 8, "{last:?}");
    assert!(polls.iter().enumerate().all(|(unit, polls)| unit % 4 == 0 || polls.len() >= 54), "{polls:?}");
}

#[test]
fn where_nobody_answers_nobody_is_spared() {
    let mut schedule = schedule((1..=8).map(|unit| (unit, SECOND)));
    let polls = play(&mut schedule, 8, MINUTE, |_, _| (TIMEOUT, Outcome::Silent));
    assert!(polls.iter().all(|polls| polls.len() >= 3 && polls[1] <= SECOND * 6), "{polls:?}");
}
