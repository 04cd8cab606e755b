//! Readings that are not worth sending any more leave, and are told.

use std::collections::BTreeMap;
use std::time::Duration;

use curb_model::{Batch, Class, GapReason, HubClock};
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

/// Nobody knows how long the hub was off: it ages from the start of this run.
#[test]
fn what_an_earlier_run_has_read_ages_from_the_start_of_this_one() {
    let check = |later_by: Duration, expected: (u64, u64)| {
        let folder = tempfile::tempdir_in(memory()).unwrap();
        let config = expiring(config(folder.path()));
        let mut first = writer(&config);
        append_three(&mut first);
        first.disk.close().unwrap();
        let mut second = writer(&config);
        assert!(second.clock.now().as_nanos() > 600_000_000_000, "hub time leaps at a start");
        later(&mut second, later_by);
        assert_eq!(end(&mut second), expected, "{later_by:?}");
    };
    check(AFTER - Duration::from_secs(60), (3, 0));
    check(AFTER + Duration::from_secs(1), (0, 3));
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
