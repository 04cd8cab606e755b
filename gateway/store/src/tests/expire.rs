//! Readings that are not worth sending any more leave, and are told.

use std::collections::BTreeMap;
use std::time::Duration;

use curb_model::{Batch, Class, GapReason, HubClock, UtcOffset};
use curb_wire::record::ClockEvent;
use tokio::time::Instant;

use super::support::{Core, append, batch, config, memory, settle, stream, writer};
use crate::Config;
use crate::writer::Writer;

const AFTER: Duration = Duration::from_secs(600);

fn expiring(config: Config) -> Config {
    Config { expire: BTreeMap::from([(stream("meter"), AFTER), (stream("meter.alarm"), AFTER)]), ..config }
}

/// One message each of a stream that expires, one that does not, and alarms.
fn append_three(writer: &mut Writer) {
    for (name, class) in [("meter", Class::Data), ("lamp", Class::Data), ("meter.alarm", Class::Alarm)] {
        let batch = Batch { class, ..batch(name, &writer.clock, [1, 2, 3]) };
        append(writer, &batch);
    }
}

fn later(writer: &mut Writer, by: Duration) {
    writer.clock = HubClock::starting_at(writer.clock.now().plus(by));
}

/// Delivers everything; what came of `meter`, and how many readings the core was told have expired.
fn end(writer: &mut Writer) -> (u64, u64) {
    let mut core = Core::default();
    settle(writer, &mut core);
    let meter = core.accounts.iter().filter(|((_, of), _)| of == "meter").map(|(_, account)| account);
    let (mut delivered, mut expired) = (0, 0);
    for account in meter {
        delivered += account.delivered();
        assert!(account.gaps.iter().all(|gap| gap.reason == GapReason::Expired), "{account:?}");
        expired += account.lost();
    }
    assert_eq!(core.lost(), expired, "nothing else is lost");
    (delivered, expired)
}

#[test]
fn what_is_too_old_is_told_and_not_sent_and_nothing_else_is() {
    let check = |case: &str, happens: &dyn Fn(&mut Writer), expected: (u64, u64)| {
        let folder = tempfile::tempdir_in(memory()).unwrap();
        let mut writer = writer(&expiring(config(folder.path())));
        append_three(&mut writer);
        happens(&mut writer);
        append_three(&mut writer);
        assert_eq!(end(&mut writer), expected, "{case}");
    };
    check("nothing is old", &|_| {}, (6, 0));
    check("nearly old enough", &|writer| later(writer, AFTER - Duration::from_secs(60)), (6, 0));
    check("when it would be handed out", &|writer| later(writer, AFTER + Duration::from_secs(1)), (3, 3));
    let looked_through = |writer: &mut Writer| {
        later(writer, AFTER + Duration::from_secs(1));
        writer.act(Instant::now() + Duration::from_secs(61));
        assert_eq!(writer.queue.gaps.readings()[&GapReason::Expired], 3, "without anybody who asks for it");
        assert!(!writer.queue.changes.is_urgent(), "and it is committed");
    };
    check("each minute on the disk", &looked_through, (3, 3));
    let in_memory = |writer: &mut Writer| {
        let commits = writer.commits;
        writer.queue.append(&batch("meter", &writer.clock, [4, 5]), writer.clock.now());
        writer.due = crate::writer::Due::new(Instant::now(), Duration::from_secs(60));
        later(writer, AFTER + Duration::from_secs(1));
        writer.act(Instant::now() + Duration::from_secs(1));
        writer.commit();
        assert!(writer.commits > commits);
    };
    check("before it would be written", &in_memory, (3, 5));
}

/// A start makes hub time leap, which is no age; a run before lasted as long as it did, which is. How long the hub was off
/// between two runs a trusted clock knows, if there was one in both.
#[test]
fn what_earlier_runs_have_read_is_as_old_as_anybody_knows() {
    const HOUR: Duration = Duration::from_secs(3_600);
    struct Case {
        /// Between the reading and the end of its run, of a run in between, and since this one began.
        lasts: [Duration; 3],
        /// Whether the clock is trusted in each.
        trusted: [bool; 3],
        /// Off before this run.
        off: Duration,
        expected: (u64, u64),
    }
    let check = |case: &str, Case { lasts, trusted, off, expected }: Case| {
        let folder = tempfile::tempdir_in(memory()).unwrap();
        let config = expiring(config(folder.path()));
        // UTC, beside hub time.
        let mut utc = Duration::from_secs(1_795_555_555);
        for (run, lasts) in lasts.into_iter().enumerate() {
            let mut writer = writer(&config);
            let at = writer.clock.now();
            let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap();
            if trusted[run] {
                let offset = UtcOffset::from_nanos(nanos(utc) - at.as_nanos());
                writer.queue.clock_record(ClockEvent::Trusted, at, Some(offset), "ntp");
                writer.queue.clock_record(ClockEvent::Lost, at, None, "ntp");
            }
            if run == 0 {
                append_three(&mut writer);
            }
            utc += lasts;
            later(&mut writer, lasts);
            if run == 2 {
                assert_eq!(end(&mut writer), expected, "{case}");
                return;
            }
            if run == 1 {
                utc += off;
            }
            writer.queue.close(writer.clock.now());
            writer.commit();
            writer.disk.close().unwrap();
        }
    };
    let (young, none) = (AFTER - Duration::from_secs(60), Duration::ZERO);
    let half = AFTER / 2 + Duration::from_secs(1);
    let case = |lasts, trusted, off, expected| Case { lasts, trusted, off, expected };
    check("starts alone make nothing older", case([none; 3], [false; 3], none, (3, 0)));
    check("this run alone", case([none, none, young], [false; 3], none, (3, 0)));
    check("its own run counts", case([half, none, half], [false; 3], none, (0, 3)));
    check("a run in between counts", case([none, half, half], [false; 3], none, (0, 3)));
    check("all of them before", case([half, half, none], [false; 3], none, (0, 3)));
    check("nobody knows that the hub was off", case([none; 3], [true, true, false], HOUR, (3, 0)));
    check("nor when it was read", case([none; 3], [false, true, true], HOUR, (3, 0)));
    check("a trusted clock knows both", case([none; 3], [true, false, true], HOUR, (0, 3)));
}

/// A back-log of days goes in bounded parts, each a commit.
#[test]
fn a_long_back_log_expires_in_parts() {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let mut writer = writer(&expiring(config(folder.path())));
    for value in 0..2_500 {
        writer.queue.append(&batch("meter", &writer.clock, [value]), writer.clock.now());
    }
    writer.commit();
    later(&mut writer, AFTER + Duration::from_secs(1));
    let mut now = Instant::now() + Duration::from_secs(61);
    let mut parts = 0;
    while writer.queue.waiting.readings > 0 {
        let before = writer.queue.waiting.readings;
        now += Duration::from_secs(2);
        writer.act(now);
        parts += 1;
        assert!((1..=1_024).contains(&(before - writer.queue.waiting.readings)), "part {parts}");
    }
    assert_eq!(parts, 3);
    assert_eq!(end(&mut writer), (0, 2_500));
}
