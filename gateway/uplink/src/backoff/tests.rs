use std::time::Duration;

use super::Backoff;

const S: Duration = Duration::from_secs(1);

/// Waits of a hub that has been up for `up` and whose connections stood for `lasted`, at the end of the spread, after the
/// first try of the daemon's life.
fn waits(spread: Duration, steps: &[(Duration, Option<Duration>)]) -> Vec<u64> {
    let mut backoff = Backoff::new(spread);
    assert_eq!(backoff.wait(Duration::MAX, None, 1.0), Duration::ZERO);
    steps.iter().map(|&(up, lasted)| backoff.wait(up, lasted, 1.0).as_secs()).collect()
}

#[test]
fn only_a_hub_long_up_after_a_long_connection_goes_at_once() {
    let cases: &[(u64, Option<u64>, u64)] = &[
        (1, None, 30),        // just started: the whole city may have
        (3600, None, 30),     // the first try came to nothing
        (3600, Some(59), 30), // it broke soon: the core may be in trouble
        (119, Some(60), 30),  // everybody started two minutes ago
        (120, Some(60), 0),
        (3600, Some(9000), 0),
    ];
    for &(up, lasted, expected) in cases {
        let found = waits(30 * S, &[(S * u32::try_from(up).unwrap(), lasted.map(Duration::from_secs))]);
        assert_eq!(found, [expected], "up {up} lasted {lasted:?}");
    }
}

#[test]
fn a_daemon_started_on_a_hub_long_up_goes_at_once_and_one_that_booted_with_the_city_does_not() {
    let check = |up, expected| assert_eq!(Backoff::new(30 * S).wait(up, None, 1.0), expected, "up {up:?}");
    check(3600 * S, Duration::ZERO);
    check(120 * S, Duration::ZERO);
    check(119 * S, 30 * S);
}

#[test]
fn the_spread_doubles_to_five_minutes_and_a_long_connection_resets_it() {
    let down = (3600 * S, None);
    assert_eq!(waits(30 * S, &[down; 7]), [30, 60, 120, 240, 300, 300, 300]);
    assert_eq!(waits(30 * S, &[down, down, (10 * S, Some(90 * S)), down]), [30, 60, 30, 60]);
    assert_eq!(waits(30 * S, &[down, down, (3600 * S, Some(90 * S)), down]), [30, 60, 0, 30]);
    // An operator who wants more than five minutes gets it.
    assert_eq!(waits(900 * S, &[down; 2]), [900, 900]);
}

#[test]
fn the_moment_is_spread_over_all_of_it() {
    for (random, expected) in [(0.0, 0), (0.5, 15), (1.0, 30), (7.0, 30)] {
        assert_eq!(Backoff::new(30 * S).wait(S, None, random).as_secs(), expected);
    }
}

#[test]
fn ten_thousand_tries_do_not_overflow() {
    let mut backoff = Backoff::new(30 * S);
    for _ in 0..10_000 {
        assert!(backoff.wait(S, None, 1.0) <= 300 * S);
    }
}
