use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Air, Budget, carried};

const S: Duration = Duration::from_secs(1);

#[test]
fn a_packet_costs_its_record_and_its_segments_too() {
    let check = |packet, expected| assert_eq!(carried(packet), expected);
    check(0, 22 + 52);
    check(100, 100 + 22 + 52);
    check(1_426, 1_426 + 22 + 52);
    check(1_427, 1_427 + 22 + 2 * 52);
}

#[test]
fn without_a_budget_nothing_waits_and_all_is_counted() {
    let now = Instant::now();
    let mut air = Air::new(Budget::default(), 0, now);
    for _ in 0..1_000 {
        assert!(air.allows(now));
        air.published(500, now);
    }
    assert_eq!(air.spent(), 1_000 * (carried(500) + carried(6)));
    assert_eq!((air.due(), air.waited(), air.fault(now + 1_000 * S)), (None, 0, None));
}

#[test]
fn what_had_to_pass_is_paid_for_by_what_comes_after_it() {
    let start = Instant::now();
    let mut air = Air::new(Budget { per_minute: Some(60_000), ..Budget::default() }, 0, start);
    let now = start + 60 * S;
    assert!(air.allows(now));
    // An alarm asks nobody: a minute's 45,000 bytes that come with time are gone, and a quarter of the budget before them.
    air.published(60_000 - 2_500, now);
    assert!(!air.allows(now));
    assert!(air.due().unwrap() > now + 58 * S);
    assert!(air.fault(now + 59 * S).is_none());
    let fault = air.fault(now + 61 * S).unwrap();
    assert_eq!(fault.word, "air-time");
    assert!(fault.detail.contains("60000 bytes a minute"), "{}", fault.detail);
    let due = air.due().unwrap();
    assert!(air.allows(due), "what is due may go");
    assert_eq!((air.due(), air.waited()), (None, 1));
}

#[test]
fn a_start_is_no_way_around_the_budget() {
    let mut now = Instant::now();
    let mut spent = 0;
    const STARTS: u64 = 144;
    // A hub that starts every ten minutes, with more to send than it may.
    for _ in 0..STARTS {
        let mut air = Air::new(Budget { per_day: Some(1_000_000), ..Budget::default() }, 0, now);
        for _ in 0..600 {
            now += S;
            if air.allows(now) {
                air.published(200, now);
            }
        }
        spent += air.spent();
    }
    // Each life may overdraw by its last message, as any does.
    let message = carried(200) + carried(6);
    assert!((500_000..=1_000_000 + STARTS * message).contains(&spent), "{spent}");
}

proptest! {
    /// Whatever comes when: no day costs more than its budget and the message that went beyond it, and no minute either.
    #[test]
    fn no_window_costs_more_than_its_budget(
        per_day in 20_000..2_000_000_u64,
        per_minute in 2_000..50_000_u64,
        steps in prop::collection::vec((0..3_600_u64, 1..40_usize, 20..2_000_usize), 1..300),
    ) {
        let mut now = Instant::now();
        let mut air = Air::new(Budget { per_day: Some(per_day), per_minute: Some(per_minute) }, 0, now);
        let mut sent: VecDeque<(Instant, u64)> = VecDeque::new();
        let most = carried(2_000) + carried(6);
        for (pause, count, size) in steps {
            now += S * u32::try_from(pause).unwrap();
            for _ in 0..count {
                if !air.allows(now) {
                    // Data that waits goes on at the moment that is due, and not never.
                    let due = air.due().unwrap();
                    prop_assert!(due > now && due < now + Duration::from_secs(86_400));
                    break;
                }
                let before = air.spent();
                air.published(size, now);
                sent.push_back((now, air.spent() - before));
            }
            let within = |window: Duration| -> u64 {
                sent.iter().filter(|(at, _)| *at + window > now).map(|(_, bytes)| bytes).sum()
            };
            prop_assert!(within(86_400 * S) <= per_day + most);
            prop_assert!(within(60 * S) <= per_minute + most);
        }
    }
}
