use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::{HOUR, HOURLY, ROUND, Wear};

/// The greatest that there is.
const STATE: usize = 256 << 10;

/// Writes for so long as often as it may, and gives what a disk gets that is written once a round.
fn greedy(hours: u32, pause: Duration) -> u64 {
    let (begin, mut wear, mut written) = (Instant::now(), Wear::default(), 0);
    let (mut now, mut committed) = (begin, None);
    while now < begin + HOUR * hours {
        if let Some(until) = wear.rests_until(now) {
            assert!(until > now, "it waits for what is over");
            now = until;
            continue;
        }
        wear.write(STATE, now);
        if committed.is_none_or(|at| now >= at + ROUND) {
            committed = Some(now);
            written += STATE as u64;
        }
        now += pause;
    }
    written
}

#[test]
fn who_remembers_something_else_each_time_writes_no_more_than_his_share() {
    for pause in [10, 100, 999, 1_000, 1_500] {
        let written = greedy(5, Duration::from_millis(pause));
        // What an hour may cost at once, and five hours of it; less by the rounds that end in a pause.
        assert!(written <= 6 * HOURLY + STATE as u64, "{pause} ms: {written}");
        assert!(written >= 4 * HOURLY, "{pause} ms: {written}");
    }
}

#[test]
fn a_round_costs_one_state_however_many_batches_waited_for_it() {
    let (mut now, mut wear) = (Instant::now(), Wear::default());
    while wear.rests_until(now).is_none() {
        wear.write(STATE, now);
        now += ROUND;
    }
    let until = wear.rests_until(now).unwrap();
    for _ in 0..100 {
        assert_eq!(wear.rests_until(until), None);
        wear.write(STATE, until);
    }
    let next = wear.rests_until(until + ROUND).unwrap();
    assert!(next - until < Duration::from_secs(15), "{:?}", next - until);
}

proptest! {
    /// A plugin that remembers little never waits.
    #[test]
    fn who_writes_within_his_share_never_waits(pauses in prop::collection::vec(1_u64..5_000, 1..300)) {
        let (mut now, mut wear) = (Instant::now(), Wear::default());
        for pause in pauses {
            prop_assert_eq!(wear.rests_until(now), None);
            wear.write(16 << 10, now);
            now += Duration::from_millis(pause.max(1_000));
        }
    }
}
