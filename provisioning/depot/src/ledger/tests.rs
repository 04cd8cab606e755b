use curb_model::GapReason;
use proptest::prelude::*;

use super::balance::{Account, GapEntry, Sums, Told, add_days, balance, close_days};
use super::read::{Ledger, read};
use crate::ingest::Book;
use crate::ingest::tests::in_memory;
use crate::intervals::Interval;
use crate::simhub::SimHub;

/// What a simulated hub can do.
#[derive(Debug, Clone)]
enum Act {
    Read { stream: usize, passed: u64, filtered: u64, refused: u64 },
    Overload { stream: usize, count: u64 },
    Evict { which: usize, messages: usize },
    Counts,
    Restart { clean: bool },
}

const STREAMS: [&str; 3] = ["meter", "lamp", "quiet.alarm"];

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => (0..3_usize, 0..4_u64, 0..3_u64, 0..2_u64)
            .prop_map(|(stream, passed, filtered, refused)| Act::Read { stream, passed, filtered, refused }),
        1 => (0..3_usize, 1..4_u64).prop_map(|(stream, count)| Act::Overload { stream, count }),
        1 => (0..9_usize, 1..5_usize).prop_map(|(which, messages)| Act::Evict { which, messages }),
        1 => Just(Act::Counts),
        1 => any::<bool>().prop_map(|clean| Act::Restart { clean }),
    ]
}

/// What the way from the hub to the core does to a message.
#[derive(Debug, Clone)]
struct Fate {
    /// Arrives although it was evicted.
    beats_gap: bool,
    /// Comes this many times more.
    again: usize,
    /// Messages are delivered in the order of this.
    order: u32,
}

fn fate() -> impl Strategy<Value = Fate> {
    let again = prop_oneof![4 => Just(0_usize), 1 => 1..3_usize];
    (any::<bool>(), again, any::<u32>()).prop_map(|(beats_gap, again, order)| Fate { beats_gap, again, order })
}

fn play(acts: &[Act]) -> SimHub {
    let mut hub = SimHub::new("lamp-0042");
    for act in acts {
        match *act {
            Act::Read { stream, passed, filtered, refused } => hub.read(STREAMS[stream], passed, filtered, refused),
            Act::Overload { stream, count } => hub.overload(STREAMS[stream], count),
            Act::Evict { which, messages } => hub.evict(which, messages),
            Act::Counts => hub.tell_counts(),
            Act::Restart { clean } => hub.restart(clean),
        }
    }
    hub.close();
    hub
}

fn ledger_of(book: &mut Book) -> Ledger {
    read(book.db(), None).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    /// For any life of a hub and any order, repetition and late arrival of its messages: the ledger closes, with the
    /// sums that the hub knows to be true, if and only if nothing was lost.
    #[test]
    fn the_ledger_closes_if_and_only_if_nothing_was_lost(
        acts in prop::collection::vec(act(), 0..60),
        fates in prop::collection::vec(fate(), 200),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        vanish in prop_oneof![3 => Just(0_u64), 1 => 1..4_u64],
    ) {
        let mut hub = play(&acts);
        if vanish > 0 {
            hub.vanish("meter", vanish);
            hub.close();
        }
        // The last record is the last word: nobody can tell that it is missing before the next one comes.
        let candidates: Vec<usize> = (0..hub.sent.len() - 1).filter(|&i| !hub.sent[i].evicted).collect();
        let lost: Vec<usize> = if candidates.is_empty() {
            Vec::new()
        } else {
            lost.iter().map(|index| *index.get(&candidates)).collect()
        };
        let arrives = |i: usize| !lost.contains(&i) && (!hub.sent[i].evicted || vanish == 0 && fates[i].beats_gap);
        let mut deliveries: Vec<(u32, usize)> = Vec::new();
        for (i, fate) in fates.iter().enumerate().take(hub.sent.len()).filter(|&(i, _)| arrives(i)) {
            deliveries.extend((0..=fate.again).map(|n| (fate.order.wrapping_mul(7 * u32::try_from(n).unwrap() + 1), i)));
        }
        deliveries.sort_unstable();

        let mut book = in_memory();
        for chunk in deliveries.chunks(7) {
            let due = book.store_all(chunk.iter().map(|&(_, i)| (hub.sent[i].topic.as_str(), hub.sent[i].payload.as_slice())));
            for due in due {
                prop_assert!(due.seq > 0);
            }
        }

        let ledger = ledger_of(&mut book);
        prop_assert_eq!(ledger.refused_messages, 0);
        prop_assert_eq!(ledger.closes(), lost.is_empty() && vanish == 0, "{:#?}", ledger);
        if lost.is_empty() {
            let book = &ledger.hubs[0];
            let sum = |evicted: bool| -> u64 {
                let sent = hub.sent.iter().enumerate();
                sent.filter(|&(i, sent)| if evicted { sent.evicted && !arrives(i) } else { arrives(i) }).map(|(_, s)| s.readings).sum()
            };
            let total = &book.total;
            prop_assert_eq!((total.read, total.filtered, total.refused), (hub.truth.read, hub.truth.filtered, hub.truth.refused));
            prop_assert_eq!(total.delivered, sum(false));
            prop_assert_eq!(total.gaps.get(&GapReason::Full).copied().unwrap_or(0), sum(true));
            prop_assert_eq!(total.gaps.get(&GapReason::Overload).copied().unwrap_or(0), hub.truth.overload);
            prop_assert_eq!(total.unaccounted, i128::from(hub.truth.vanished));
            let again = deliveries.len() - (0..hub.sent.len()).filter(|&i| arrives(i)).count();
            prop_assert_eq!(book.duplicates, again as u64);
            let by_day = book.days.values().fold(Sums::default(), |mut sums, day| { sums.add(day); sums });
            prop_assert_eq!(by_day.read, total.read);
            prop_assert_eq!(by_day.delivered, total.delivered);
            prop_assert_eq!(by_day.filtered + by_day.refused, total.filtered + total.refused);
        }
    }
}

fn account(read: u64, delivered: u64, seq: u64, covered: &[(u64, u64)]) -> Account {
    let covered = covered.iter().map(|&(first, last)| Interval { first, last }).collect();
    Account { seq, read, delivered, covered, ..Account::default() }
}

#[test]
fn a_line_says_what_is_missing_and_on_which_side() {
    let check = |account: &Account, unaccounted: i128, complaint: Option<&str>| {
        let line = balance(account);
        assert_eq!(line.sums.unaccounted, unaccounted, "{account:?}");
        assert_eq!(line.complaint().as_deref(), complaint, "{account:?}");
        assert_eq!(line.closes(), complaint.is_none(), "{account:?}");
    };
    check(&account(0, 0, 0, &[]), 0, None);
    check(&account(10, 10, 5, &[(1, 5)]), 0, None);
    check(
        &account(10, 8, 5, &[(1, 3), (5, 5)]),
        2,
        Some("the core lacks 2 reading(s) in 1 message(s) from number 4 on"),
    );
    check(&account(10, 10, 5, &[(1, 4)]), 0, Some("the core lacks 1 message(s) from number 5 on, with no readings"));
    check(
        &account(10, 8, 5, &[(1, 5)]),
        2,
        Some("the hub read 2 more than it sent, filtered, refused or told a gap for"),
    );
    check(&account(8, 10, 5, &[(1, 5)]), -2, Some("the core holds 2 reading(s) that the hub never counted as read"));
}

#[test]
fn data_beats_a_gap_record_whether_or_not_the_hub_counted_it() {
    let check = |told: u64| {
        let mut account = account(10, 6, 5, &[(1, 5)]);
        account.gaps = vec![GapEntry { reason: GapReason::Full, count: told, arrived: 2 }];
        let line = balance(&account);
        assert!(line.closes(), "{line:?}");
        assert_eq!(line.sums.gaps, [(GapReason::Full, 4)].into());
    };
    check(6);
    check(4);
}

#[test]
fn what_a_counter_grew_by_belongs_to_the_day_that_told_it() {
    let told = |day, readings, read, filtered| Told { day, readings, read, filtered, refused: 0 };
    let mut days = std::collections::BTreeMap::new();
    add_days(&mut days, [told(1, 2, 3, 1), told(1, 2, 5, 1), told(2, 1, 8, 3), told(3, 0, 9, 4)]);
    close_days(&mut days);
    let row = |day: i64| (days[&day].read, days[&day].delivered, days[&day].filtered, days[&day].unaccounted);
    assert_eq!([row(1), row(2), row(3)], [(5, 4, 1, 0), (3, 1, 2, 0), (1, 0, 1, 0)]);
}

#[test]
fn a_run_whose_end_nobody_told_does_not_close() {
    let mut hub = SimHub::new("lamp-0042");
    hub.read("meter", 2, 0, 0);
    let mut other = SimHub::new("lamp-0042");
    other.run.counter = 7;
    let mut opened = SimHub::new("lamp-0042").sent.remove(0);
    opened.payload = String::from_utf8(opened.payload).unwrap().replace("\"1-", "\"7-").into_bytes();
    let mut book = in_memory();
    book.store_all(hub.sent.iter().map(|sent| (sent.topic.as_str(), sent.payload.as_slice())));
    assert!(ledger_of(&mut book).closes(), "a running hub is fine");
    book.store_all([(opened.topic.as_str(), opened.payload.as_slice())]);
    assert!(!ledger_of(&mut book).closes());
}
