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
fn nobody_reconnects_at_once_for_the_core_may_have_lost_everybody() {
    for (up, lasted) in
        [(1, None), (3600, None), (3600, Some(59)), (119, Some(60)), (120, Some(60)), (3600, Some(9000))]
    {
        let found = waits(30 * S, &[(Duration::from_secs(up), lasted.map(Duration::from_secs))]);
        assert_eq!(found, [30], "up {up} lasted {lasted:?}");
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
    assert_eq!(waits(30 * S, &[down, down, (3600 * S, Some(90 * S)), down]), [30, 60, 30, 60]);
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

/// Ten thousand hubs and a core that takes `accepts` of them in a second: CONNECTs in each second, until all are in.
fn connects(accepts: u32, uptime: Duration, lasted: Option<Duration>) -> Vec<u32> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut waiting = std::collections::BTreeSet::new();
    let mut hubs: Vec<Backoff> = (0..10_000).map(|_| Backoff::new(30 * S)).collect();
    for (hub, backoff) in hubs.iter_mut().enumerate() {
        if lasted.is_some() {
            // The connection that is lost now was its first.
            backoff.wait(uptime, None, 0.0);
        }
        waiting.insert((backoff.wait(uptime, lasted, random.f64()), hub));
    }
    let mut in_second: Vec<u32> = Vec::new();
    while let Some((at, hub)) = waiting.pop_first() {
        let second = usize::try_from(at.as_secs()).unwrap();
        in_second.resize(in_second.len().max(second + 1), 0);
        in_second[second] += 1;
        if in_second[second] > accepts {
            waiting.insert((at + hubs[hub].wait(uptime + at, None, random.f64()), hub));
        }
    }
    in_second
}

/// The bound is twice what the spread says: those that are turned away try again, half as many of them, and chance adds.
#[test]
fn ten_thousand_hubs_that_come_back_in_one_second_do_not_storm_the_core() {
    let bound = 10_000 / 30 * 2;
    for (case, uptime, lasted) in
        [("power came back", S, None), ("the broker was restarted", 86_400 * S, Some(3_600 * S))]
    {
        for accepts in [u32::MAX, 200, 50] {
            let in_second = connects(accepts, uptime, lasted);
            let most = in_second.iter().max().copied().unwrap();
            assert!(most <= bound, "{case}, {accepts} accepted: {most} CONNECTs in a second, bound {bound}");
            assert!(in_second.len() < 3_600, "{case}, {accepts} accepted: all are in within the hour");
        }
    }
}
