//! Promises of the counting: what the figures rest on.

use std::time::Duration;

use crate::clock::{age, stamp};
use crate::counting::{Arrival, Counter, From, Tally};
use crate::meter::{CpuMeter, Memory, family};
use crate::table::{Goal, Table};

#[test]
fn a_stamp_tells_its_age_across_its_turn() {
    let check = |then_ms: u64, age_ms: u64| {
        let then = Duration::from_millis(then_ms);
        let late = Duration::from_millis(age_ms);
        assert_eq!(age(stamp(then), then + late), late, "{then_ms} + {age_ms}");
    };
    check(1_795_555_555_123, 0);
    check(1_795_555_555_123, 6_500);
    // 6.5536 s is a whole turn.
    check(65_530, 10);
}

/// Lines of mosquitto_sub, and what should be counted: messages, readings, bad, wrong, duplicates, gaps.
fn check_counts(from: From, lines: &[&str], expected: [u64; 6]) {
    let (mut counter, mut tally) = (Counter::new(from), Tally::default());
    for line in lines {
        counter.count(&Arrival::parse(line).unwrap(), &mut tally).unwrap();
    }
    let Tally { messages, readings, bad, wrong, duplicates, gaps, .. } = tally;
    assert_eq!([messages, readings, bad, wrong, duplicates, gaps], expected, "{lines:?}");
}

#[test]
fn each_reading_counts_once_and_a_wrong_one_is_seen() {
    // 1 s after 1970 is the stamp 10,000; the second value holds address 1 in its low byte.
    let good = r#"1.000000000 curb/v1/bench/hub/data/b0u1 [{"bn":"b0u1/","run":"1-00","stream":"b0u1","seq":1,"n":"r0","v":9990},{"n":"r1","v":257}]"#;
    let bad = r#"1.000000000 curb/v1/bench/hub/data/b0u1 [{"bn":"b0u1/","run":"1-00","stream":"b0u1","seq":2,"n":"r0/quality","vs":"bad:timeout"}]"#;
    let elsewhere = r#"1.000000000 curb/v1/bench/hub/data/b0u1 [{"bn":"b0u1/","run":"1-00","stream":"b0u1","seq":3,"n":"r2","v":257}]"#;
    let gap = r#"1.000000000 curb/v1/bench/hub/gap {"v":1}"#;
    let birth = r#"1.000000000 curb/v1/bench/hub/status {"v":1}"#;
    check_counts(From::Served, &[good, bad, gap, birth], [2, 2, 1, 0, 0, 1]);
    check_counts(From::Served, &[good, good], [1, 2, 0, 0, 1, 0]);
    check_counts(From::Served, &[good, elsewhere], [2, 3, 0, 1, 0, 0]);
    check_counts(From::Others, &[elsewhere], [1, 1, 0, 0, 0, 0]);
    check_counts(From::Served, &["1.000000000 loop/0 9990,257,2", "1.000000000 loop/1 9990,256"], [2, 5, 0, 1, 0, 0]);
}

#[test]
fn a_delay_is_read_from_the_value_itself() {
    let (mut counter, mut tally) = (Counter::new(From::Served), Tally::default());
    for line in ["1.000000000 loop/0 9990", "1.000000000 loop/0 9900", "1.000000000 loop/0 9999"] {
        counter.count(&Arrival::parse(line).unwrap(), &mut tally).unwrap();
    }
    assert_eq!(tally.delay(50), Some(Duration::from_millis(1)));
}

#[test]
fn work_of_this_process_is_seen_and_no_more() {
    let mut meter = CpuMeter::start(std::process::id()).unwrap();
    let begin = std::time::Instant::now();
    let mut work = 0_u64;
    while begin.elapsed() < Duration::from_millis(50) {
        work = std::hint::black_box(work.wrapping_add(1));
    }
    meter.sample().unwrap();
    assert!(meter.spent() > Duration::from_millis(5), "{:?}", meter.spent());
}

#[test]
fn a_child_is_family() {
    let mut child = std::process::Command::new("sleep").arg("10").spawn().unwrap();
    assert!(family(std::process::id()).unwrap().contains(&child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn shared_pages_count_once_at_most() {
    let memory = Memory::of(std::process::id()).unwrap();
    assert!(memory.pss > 0 && memory.pss <= memory.rss, "{memory:?}");
}

#[test]
fn columns_stand_under_each_other() {
    let mut table = Table::default();
    table.add("delay → core", "ms", 1.25, ("C loop", 0.5), Goal::AtMost(5.0));
    table.add("silences cut short", "requests", 3.0, ("C loop", 436.0), Goal::AtMost(0.0));
    table.add("disk", "bytes", 12_345.6, ("payload", 0.0), Goal::None);
    table.note("odd");
    let mut out = Vec::new();
    table.print(&mut out).unwrap();
    let expected = "\
figure              unit       curb  compared with         ratio  goal
delay → core        ms         1.25  C loop         0.500  2.500  ≤ 5   met
silences cut short  requests      3  C loop           436  0.007  ≤ 0   missed
disk                bytes     12346  payload            0      –
note: odd
";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
