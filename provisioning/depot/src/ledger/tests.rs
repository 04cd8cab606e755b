use std::collections::BTreeSet;

use curb_model::GapReason;
use curb_wire::record::StreamCounts;
use proptest::prelude::*;

use super::balance::{Account, Ended, GapEntry, Loss, Sums, Told, add_days, balance, close_days};
use super::read::{Ledger, read};
use super::side::{Evidence, Side, Standing, heard_ms, judge, uncounted};
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
    Commit,
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
        2 => Just(Act::Commit),
        1 => any::<bool>().prop_map(|clean| Act::Restart { clean }),
    ]
}

/// What the way from the hub to the core does to a message.
#[derive(Debug, Clone)]
struct Fate {
    /// Arrives although it was evicted, or cut off.
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
            Act::Commit => hub.commit(),
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
    /// sums that the hub knows to be true, if and only if nothing was lost beside what was in memory at a power cut.
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
        let candidates: Vec<usize> = (0..hub.sent.len() - 1).filter(|&i| !hub.sent[i].evicted && !hub.sent[i].cut_off).collect();
        let lost: Vec<usize> = if candidates.is_empty() {
            Vec::new()
        } else {
            lost.iter().map(|index| *index.get(&candidates)).collect()
        };
        let arrives = |i: usize| {
            let sent = &hub.sent[i];
            let sure = !sent.cut_off && !sent.evicted;
            !lost.contains(&i) && (sure || (sent.cut_off || vanish == 0) && fates[i].beats_gap)
        };
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
            let known = known(&hub, arrives);
            prop_assert_eq!((total.read, total.filtered, total.refused), (known.read, known.filtered, known.refused));
            prop_assert_eq!(total.cut_off, known.cut_off);
            prop_assert_eq!(book.side(), (vanish > 0).then_some(Side::Hub));
            prop_assert_eq!(total.delivered, sum(false));
            prop_assert_eq!(total.gaps.get(&GapReason::Full).copied().unwrap_or(0), sum(true));
            prop_assert_eq!(total.gaps.get(&GapReason::Overload).copied().unwrap_or(0), hub.truth.overload);
            prop_assert_eq!(total.unaccounted, i128::from(hub.truth.vanished));
            let again = deliveries.len() - (0..hub.sent.len()).filter(|&i| arrives(i)).count();
            prop_assert_eq!(book.duplicates, again as u64);
            prop_assert_eq!(total.waiting, 0);
            let by_day = book.days.values().fold(Sums::default(), |mut sums, day| { sums.add(day); sums });
            prop_assert_eq!(by_day.read, total.read);
            prop_assert_eq!(by_day.delivered, total.delivered);
            prop_assert_eq!(by_day.filtered + by_day.refused, total.filtered + total.refused);
        }
    }
}

/// What the core can know of a hub.
struct Known {
    read: u64,
    filtered: u64,
    refused: u64,
    cut_off: u64,
}

/// The counters that reached the disk or the core, and the readings that are missing among those that reached it.
fn known(hub: &SimHub, arrives: impl Fn(usize) -> bool) -> Known {
    let mut known = Known { read: 0, filtered: 0, refused: 0, cut_off: 0 };
    for (run, durable) in hub.told() {
        let ours = || hub.sent.iter().enumerate().filter(move |(_, sent)| sent.run == run);
        let names: BTreeSet<&str> =
            durable.keys().map(String::as_str).chain(ours().map(|(_, sent)| sent.stream.as_str())).collect();
        for name in names {
            let arrived = ours().filter(|(i, sent)| sent.stream == name && arrives(*i)).map(|(_, sent)| sent.counts);
            let all: Vec<StreamCounts> = arrived.chain(durable.get(name).copied()).collect();
            let most = |of: fn(&StreamCounts) -> u64| all.iter().map(of).max().unwrap_or(0);
            known.read += most(|counts| counts.read);
            known.filtered += most(|counts| counts.filtered);
            known.refused += most(|counts| counts.refused);
            let holes = ours().filter(|(i, sent)| sent.stream == name && sent.cut_off && !arrives(*i));
            let last = most(|counts| counts.seq);
            known.cut_off +=
                holes.filter(|(_, sent)| sent.counts.seq < last).map(|(_, sent)| sent.readings).sum::<u64>();
        }
    }
    known
}

fn account(read: u64, delivered: u64, seq: u64, covered: &[(u64, u64)]) -> Account {
    let covered = covered.iter().map(|&(first, last)| Interval { first, last }).collect();
    Account { seq, read, delivered, covered, ..Account::default() }
}

#[test]
fn a_line_that_does_not_close_says_which_side_is_wrong() {
    let online = |received_ms, queue: Option<(u64, u64)>| {
        let queue = queue.map(|(messages, readings)| Loss { messages, readings });
        Some(Standing { received_ms, online: true, queue })
    };
    let check = |account: &Account, standing: Option<Standing>, expected: Option<(Side, &str)>| {
        let mut line = balance(account);
        let mut left = standing.and_then(|standing| standing.queue).unwrap_or_default();
        let found = judge(&mut line, standing, &mut left, Evidence { hole_ms: 100, uncounted: 0 });
        let found = found.as_ref().map(|finding| (finding.side, finding.text.as_str()));
        assert_eq!(found, expected, "{account:?}");
        assert_eq!(line.closes(), expected.is_none(), "{account:?}");
        (line.sums.waiting, line.sums.unaccounted)
    };
    let nothing = online(200, Some((0, 0)));
    check(&account(0, 0, 0, &[]), nothing, None);
    check(&account(10, 10, 5, &[(1, 5)]), nothing, None);
    let hole = account(10, 8, 5, &[(1, 3), (5, 5)]);
    let one = "1 message(s) with 2 reading(s) from number 4 on";
    let text = format!("hub side, or the way from it: {one} were never sent, and do not wait there");
    assert_eq!(check(&hole, nothing, Some((Side::Hub, &text))), (0, 2));
    let text = format!("waiting on the hub: {one}");
    assert_eq!(check(&hole, online(50, Some((1, 2))), Some((Side::Waits, &text))), (2, 0));
    let text = format!("missing: {one}; no status of the hub says whether they wait there");
    check(&hole, None, Some((Side::Waits, &text)));
    let text = format!("missing: {one}; the hub has not said since then whether they wait there");
    check(&hole, online(50, Some((0, 0))), Some((Side::Waits, &text)));
    check(&hole, online(200, None), Some((Side::Waits, &text)));
    let away = Some(Standing { received_ms: 200, online: false, queue: Some(Loss::default()) });
    let text = format!("missing: {one}; the hub is away, and they may wait there");
    check(&hole, away, Some((Side::Waits, &text)));
    let text = format!("core side: it receipted {one}, and does not hold them");
    check(&Account { receipted: 5, ..hole.clone() }, nothing, Some((Side::Core, &text)));
    let lost = Loss { messages: 1, readings: 2 };
    let text = "core side: 1 message(s) with 2 reading(s) were held here and are gone";
    let gone = Account { lost, ..account(10, 10, 5, &[(1, 5)]) };
    assert_eq!(check(&gone, nothing, Some((Side::Core, text))), (0, 2));
    let text = "hub side: it read 2 more than it sent, filtered, refused or told a gap for";
    check(&account(10, 8, 5, &[(1, 5)]), nothing, Some((Side::Hub, text)));
    let text = "hub side: it sent or told a gap for 2 reading(s) that it never counted as read";
    check(&account(8, 10, 5, &[(1, 5)]), nothing, Some((Side::Hub, text)));
    // The run was cut off when number 3 was the last on the disk; 4 was sent from memory and never arrived.
    assert_eq!(check(&Account { durable: Some(3), ..hole.clone() }, nothing, None), (0, 0));
    assert_eq!(balance(&Account { durable: Some(3), ..hole.clone() }).sums.cut_off, 2);
    check(
        &Account { durable: Some(4), ..hole },
        nothing,
        Some((Side::Hub, &format!("hub side, or the way from it: {one} were never sent, and do not wait there"))),
    );
}

/// All of a stream was set aside or dropped, and the counters that belong to the gap come within a minute, behind what waits.
#[test]
fn counters_that_are_on_their_way_are_waited_for_and_not_longer() {
    const TOLD_MS: i64 = 1_000_000;
    let status = |online, received_ms, messages| {
        let queue = Some(Loss { messages, readings: messages });
        Some(Standing { received_ms, online, queue })
    };
    let waits = "waiting for counters: the hub has told 4 reading(s) as lost, and not yet as read";
    let wrong = "hub side: it sent or told a gap for 4 reading(s) that it never counted as read";
    let check = |read, ended, standing: Option<Standing>, newest_ms, expected: Option<(Side, &str)>| {
        let mut account = account(read, 0, 2, &[(1, 2)]);
        account.gaps = vec![GapEntry { reason: GapReason::SetAside, count: 4, arrived: 0, received_ms: TOLD_MS }];
        let uncounted = uncounted(&account.gaps, ended, heard_ms(standing, newest_ms));
        let (mut line, mut left) = (balance(&account), standing.and_then(|s| s.queue).unwrap_or_default());
        let found = judge(&mut line, standing, &mut left, Evidence { hole_ms: 0, uncounted });
        let found = found.as_ref().map(|finding| (finding.side, finding.text.as_str()));
        assert_eq!(found, expected, "{read} {ended:?} {standing:?} {newest_ms:?}");
    };
    let (soon, later) = (TOLD_MS + 10_000, TOLD_MS + 100_000);
    let (waits, wrong) = (Some((Side::Waits, waits)), Some((Side::Hub, wrong)));
    check(4, Ended::Running, status(true, soon, 0), Some(soon), None);
    check(0, Ended::Running, None, None, waits);
    check(0, Ended::Running, status(true, soon, 0), Some(soon), waits);
    check(0, Ended::Running, status(true, later, 5), None, waits);
    check(0, Ended::Running, status(false, later, 0), None, waits);
    check(0, Ended::Running, status(true, later, 0), None, wrong);
    check(0, Ended::Running, status(true, later, 5), Some(later), wrong);
    check(0, Ended::Clean, None, None, wrong);
    check(0, Ended::Killed, status(true, soon, 0), None, wrong);
    let fewer = "hub side: it sent or told a gap for 5 reading(s) that it never counted as read";
    let mut more = account(0, 1, 3, &[(1, 3)]);
    more.gaps = vec![GapEntry { reason: GapReason::Full, count: 4, arrived: 0, received_ms: TOLD_MS }];
    let uncounted = uncounted(&more.gaps, Ended::Running, Some(TOLD_MS));
    let finding = judge(&mut balance(&more), None, &mut Loss::default(), Evidence { hole_ms: 0, uncounted }).unwrap();
    assert_eq!((finding.side, finding.text.as_str()), (Side::Hub, fewer), "what was sent has its counters with it");
}

#[test]
fn a_stream_that_was_dropped_whole_waits_for_its_counters() {
    let mut hub = SimHub::new("lamp-0042");
    hub.overload("meter", 4);
    let read_later = |hub: &mut SimHub, stream: &str| {
        hub.read(stream, 1, 0, 0);
        let sent = hub.sent.last_mut().unwrap();
        sent.payload = String::from_utf8_lossy(&sent.payload).replace("1795555555.5", "3000000000.5").into_bytes();
    };
    let mut book = in_memory();
    let mut store = |hub: &SimHub, from: usize| {
        book.store_all(hub.sent[from..].iter().map(|sent| (sent.topic.as_str(), sent.payload.as_slice())));
        let ledger = ledger_of(&mut book);
        (ledger.hubs[0].side(), ledger.hubs[0].total.unaccounted)
    };
    assert_eq!(store(&hub, 0), (Some(Side::Waits), -4));
    // An alarm may have left before what is older.
    let mut sent = hub.sent.len();
    read_later(&mut hub, "quiet.alarm");
    assert_eq!(store(&hub, sent), (Some(Side::Waits), -4));
    sent = hub.sent.len();
    read_later(&mut hub, "lamp");
    assert_eq!(store(&hub, sent), (Some(Side::Hub), -4), "the counters should have come before it");
    sent = hub.sent.len();
    hub.tell_counts();
    assert_eq!(store(&hub, sent), (None, 0));
}

#[test]
fn what_the_core_lost_from_its_tables_is_its_own_mistake() {
    let mut hub = SimHub::new("lamp-0042");
    (0..4).for_each(|_| hub.read("meter", 3, 0, 0));
    hub.tell_counts();
    let mut book = in_memory();
    book.store_all(hub.sent.iter().map(|sent| (sent.topic.as_str(), sent.payload.as_slice())));
    assert!(ledger_of(&mut book).closes());
    book.db().run("DELETE FROM message WHERE seq = 2", &[]).unwrap();
    let ledger = ledger_of(&mut book);
    let total = &ledger.hubs[0].total;
    assert_eq!((ledger.hubs[0].side(), total.delivered, total.unaccounted), (Some(Side::Core), 9, 3));
    let mut out = Vec::new();
    crate::ledger::show(book.db(), None, false, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("the ledger does NOT close: the core is wrong"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is deleted when: the ledger of the hub, its runs and its days is the same as without.
    #[test]
    fn deleting_old_readings_changes_no_sum(
        acts in prop::collection::vec(act(), 0..60),
        fates in prop::collection::vec(fate(), 200),
        ages in prop::collection::vec(0_i64..5, 200),
        cuts in prop::collection::vec((0_i64..6, 1_u64..9), 1..6),
    ) {
        let mut hub = play(&acts);
        // A message's day: time goes on, and some are out of order.
        let mut day = 0;
        for (sent, age) in hub.sent.iter_mut().zip(&ages) {
            day += i64::from(*age == 0);
            let time = 1_700_000_000 + 86_400 * (day - i64::from(*age == 4));
            let text = String::from_utf8(sent.payload.clone()).unwrap();
            sent.payload = text.replace("1795555555.5", &format!("{time}.5")).into_bytes();
        }
        let arrived: Vec<_> = hub.sent.iter().zip(&fates).filter(|(sent, fate)| !sent.evicted || fate.beats_gap).collect();
        let (mut kept, mut deleting) = (in_memory(), in_memory());
        for book in [&mut kept, &mut deleting] {
            book.store_all(arrived.iter().map(|(sent, _)| (sent.topic.as_str(), sent.payload.as_slice())));
        }
        for (cut, batch) in cuts {
            let before_ms = 1_000 * (1_700_000_000 + 86_400 * (day - cut));
            while crate::ingest::delete(deleting.db(), before_ms, batch).unwrap() > 0 {}
            let old = "SELECT count(*) FROM message WHERE time_ms < ?1";
            let left = deleting.db().first(old, crate::db::cells![before_ms], |row| row.int(0));
            prop_assert_eq!(left.unwrap(), Some(0));
            let stray = "SELECT count(*) FROM sample WHERE (stream, seq) NOT IN (SELECT stream, seq FROM message)";
            prop_assert_eq!(deleting.db().first(stray, &[], |row| row.int(0)).unwrap(), Some(0));
        }
        let print = |book: &mut Book| {
            let mut out = Vec::new();
            crate::ledger::show(book.db(), None, true, &mut out).unwrap();
            serde_json::from_slice::<serde_json::Value>(&out).unwrap()
        };
        let (expected, found) = (print(&mut kept), print(&mut deleting));
        prop_assert_eq!(&found["hubs"][0]["runs"], &expected["hubs"][0]["runs"]);
        for sum in ["read", "delivered", "filtered", "refused", "gaps", "cut_off", "waiting", "unaccounted"] {
            prop_assert_eq!(&found["hubs"][0][sum], &expected["hubs"][0][sum]);
        }
        let day = |ledger: &serde_json::Value| -> Vec<_> {
            let days = ledger["hubs"][0]["days"].as_object().unwrap();
            days.iter().map(|(day, sums)| (day.clone(), sums["delivered"].clone())).collect()
        };
        prop_assert_eq!(day(&found), day(&expected));
    }
}

#[test]
fn the_newest_status_says_what_waits() {
    let mut hub = SimHub::new("lamp-0042");
    (0..4).for_each(|_| hub.read("meter", 3, 0, 0));
    hub.tell_counts();
    let mut book = in_memory();
    let status = |state: &str, connection: u64, queue: &str| {
        let text = format!(
            r#"{{"v":1,"hub":"lamp-0042","state":"{state}","run":"1-0000000000000abc","connection":{connection},"version":"0"{queue}}}"#
        );
        (format!("curb/v1/{}/lamp-0042/status", crate::simhub::SITE), text)
    };
    let mut store = |(topic, text): (String, String)| {
        book.store_all([(topic.as_str(), text.as_bytes())]);
        let ledger = ledger_of(&mut book);
        let hub = &ledger.hubs[0];
        (hub.side(), hub.total.waiting, hub.total.unaccounted)
    };
    // sent: opened, meter 1..=4, counts. Number 2 is missing.
    for sent in hub.sent.iter().enumerate().filter(|(i, _)| *i != 2).map(|(_, sent)| sent) {
        store((sent.topic.clone(), String::from_utf8(sent.payload.clone()).unwrap()));
    }
    let queue = |rows, readings| format!(r#","queue":{{"rows":{rows},"readings":{readings},"bytes":9}}"#);
    assert_eq!(store(status("online", 2, &queue(5, 20))), (Some(Side::Waits), 3, 0));
    assert_eq!(store(status("offline", 1, "")), (Some(Side::Waits), 3, 0), "the will of an older connection");
    assert_eq!(store(status("online", 2, &queue(0, 0))), (Some(Side::Hub), 0, 3));
    assert_eq!(store(status("offline", 2, "")), (Some(Side::Waits), 0, 3), "it is away");
    let two = &hub.sent[2];
    assert_eq!(store((two.topic.clone(), String::from_utf8(two.payload.clone()).unwrap())), (None, 0, 0));
}

#[test]
fn data_beats_a_gap_record_whether_or_not_the_hub_counted_it() {
    let check = |told: u64| {
        let mut account = account(10, 6, 5, &[(1, 5)]);
        account.gaps = vec![GapEntry { reason: GapReason::Full, count: told, arrived: 2, received_ms: 0 }];
        let line = balance(&account);
        assert!(line.closes(), "{line:?}");
        assert_eq!(line.sums.gaps, [(GapReason::Full, 4)].into());
    };
    check(6);
    check(4);
}

#[test]
fn what_a_counter_grew_by_belongs_to_the_day_that_told_it() {
    let told = |day, readings, read, filtered| Told { day, messages: 1, readings, read, filtered, refused: 0 };
    let mut days = std::collections::BTreeMap::new();
    add_days(&mut days, [told(1, 2, 3, 1), told(1, 2, 5, 1), told(2, 1, 8, 3), told(3, 0, 9, 4)]);
    close_days(&mut days, &Sums::default());
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
