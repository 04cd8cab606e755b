//! The byte limit, and a disk that is full.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use curb_model::{Batch, Class, Dropped, GapReason, Lane, RunId};
use curb_wire::command::{Audit, Origin, Outcome, Proof};
use curb_wire::record::Gap;
use tokio::time::Instant;

use super::support::{Core, append, at, batch, config, drain, settle, stream, writer};
use crate::Config;
use crate::writer::Writer;

fn small(dir: &std::path::Path, limit_bytes: u64) -> Config {
    Config { limit_bytes, ..config(dir) }
}

fn append_many(writer: &mut Writer, name: &str, messages: u64) {
    for n in 0..messages {
        let batch = batch(name, &writer.clock, n..n + 2);
        writer.queue.append(&batch, writer.clock.now());
        if n % 16 == 0 {
            writer.commit();
        }
    }
    writer.commit();
}

#[test]
fn full_queue_drops_the_oldest_and_tells_which() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&small(folder.path(), 20_000));
    append_many(&mut writer, "meter", 300);
    assert!(writer.queue.waiting.bytes <= 20_000);
    assert!(writer.faults.contains_key("full"));
    let mut core = Core::default();
    drain(&mut writer, &mut core);
    let account = core.account(writer.queue.run(), "meter");
    let (first, last) = (account.received.first_key_value().unwrap().0, account.received.last_key_value().unwrap().0);
    assert_eq!(*last, 300);
    let [gap] = &account.gaps[..] else { panic!("one record tells all: {:?}", account.gaps) };
    assert_eq!((gap.reason, gap.from, gap.to, gap.count), (GapReason::Full, Some(1), Some(first - 1), 2 * (first - 1)));
    assert!(!writer.faults.contains_key("full"), "a queue that was drained is not full");
    settle(&mut writer, &mut core);
}

#[test]
fn queue_fills_and_drains_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&small(folder.path(), 20_000));
    let mut core = Core::default();
    for round in 1..=5 {
        append_many(&mut writer, "meter", 300);
        let before = core.delivered();
        drain(&mut writer, &mut core);
        assert!(core.delivered() > before + 100, "round {round}");
        assert_eq!(core.delivered() + core.lost(), round * 600);
    }
    core.check_closes();
}

#[test]
fn data_goes_before_alarms_and_records_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&small(folder.path(), 20_000));
    for n in 0..20 {
        let alarm = Batch { class: Class::Alarm, ..batch("quiet.alarm", &writer.clock, [n]) };
        append(&mut writer, &alarm);
    }
    append_many(&mut writer, "meter", 300);
    let waiting = writer.next(Class::Data, None, 1_000, usize::MAX).unwrap().messages;
    let alarms = writer.next(Class::Alarm, None, 1_000, usize::MAX).unwrap().messages;
    assert_eq!(alarms.iter().filter(|message| message.lane == Lane::Alarm).count(), 20);
    assert_eq!(waiting[0].lane, Lane::Run, "the opened record");
    assert!(waiting.iter().any(|message| message.lane == Lane::Data));

    // Alarms alone over the limit: the oldest of them go, and are told.
    for n in 0..300 {
        let alarm = Batch { class: Class::Alarm, ..batch("quiet.alarm", &writer.clock, [n]) };
        append(&mut writer, &alarm);
    }
    assert!(writer.queue.waiting.bytes <= 20_000);
    let mut core = Core::default();
    writer.act(Instant::now() + Duration::from_secs(60));
    drain(&mut writer, &mut core);
    assert!(core.account(writer.queue.run(), "quiet.alarm").lost() > 0);
    assert_eq!(core.account(writer.queue.run(), "meter").lost(), 600, "counters went with them and are told again");
    core.check_closes();
}

fn audit_many(writer: &mut Writer, records: u64) {
    for _ in 0..records {
        let outcome = Outcome { point: None, value: None, result: Ok(Proof::Echo), time_ms: None };
        let (ht, command) = (writer.clock.now(), "write".to_owned());
        writer.queue.audit(Audit { ht, origin: Origin::Core, command, correlation: None, outcome });
        writer.commit();
    }
}

/// Numbers of the audit records that a core has, and what it is told of the others.
fn audits(core: &mut Core, run: RunId) -> (Vec<u64>, Vec<Gap>) {
    let account = core.account(run, "_audit");
    (account.received.keys().copied().collect(), account.gaps.clone())
}

#[test]
fn records_of_commands_keep_to_their_share_and_leave_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&small(folder.path(), 40_000));
    append_many(&mut writer, "meter", 20);
    let data = writer.queue.waiting.readings;
    audit_many(&mut writer, 500);
    assert!(writer.queue.waiting.bytes <= 40_000);
    assert_eq!(writer.queue.waiting.readings, data, "no data went for them");
    assert!(writer.faults.contains_key("full"));
    let (mut core, run) = (Core::default(), writer.queue.run());
    drain(&mut writer, &mut core);
    let (kept, gaps) = audits(&mut core, run);
    assert!(kept.len() as u64 >= 40_000 / 4 / 512 && kept.last() == Some(&500), "{kept:?}");
    let [gap] = &gaps[..] else { panic!("one record tells all: {gaps:?}") };
    assert_eq!((gap.reason, gap.from, gap.to), (GapReason::Full, Some(1), Some(kept[0] - 1)), "the oldest");
    core.check_closes();
}

#[test]
fn records_of_commands_within_their_share_outlast_all_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&small(folder.path(), 40_000));
    audit_many(&mut writer, 15);
    append_many(&mut writer, "meter", 600);
    assert!(writer.queue.waiting.bytes <= 40_000);
    let (mut core, run) = (Core::default(), writer.queue.run());
    drain(&mut writer, &mut core);
    assert_eq!(audits(&mut core, run), ((1..=15).collect(), vec![]));
    assert!(core.account(run, "meter").lost() > 0);
}

#[test]
fn outage_makes_no_more_gap_records_than_streams_and_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&small(folder.path(), 20_000));
    for n in 0..2_000_u64 {
        let mut batch = batch(["meter", "lamp"][usize::from(n % 2 == 0)], &writer.clock, n..n + 2);
        batch.counts.read += 1;
        batch.dropped.push(Dropped { reason: GapReason::Overload, count: 1, from: at(1), to: at(2) });
        writer.queue.append(&batch, writer.clock.now());
        if n % 16 == 0 {
            writer.commit();
            writer.act(Instant::now() + Duration::from_secs(60) * u32::try_from(n).unwrap());
        }
    }
    writer.commit();
    let waiting = writer.next(Class::Data, None, 10_000, usize::MAX).unwrap().messages;
    let count = |lane| waiting.iter().filter(|message| message.lane == lane).count();
    assert_eq!(count(Lane::Gap), 4, "two streams, two reasons");
    assert!(count(Lane::Run) <= 2, "opened, and the newest counters");
}

/// While its record is being handed out a gap is closed: what comes later goes into another, whole.
#[test]
fn record_that_was_handed_out_never_changes() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&config(folder.path()));
    let dropped = |writer: &mut Writer| {
        let mut batch = batch("meter", &writer.clock, []);
        batch.counts.read = 3;
        batch.dropped.push(Dropped { reason: GapReason::Plugin, count: 3, from: at(1), to: at(2) });
        append(writer, &batch);
    };
    dropped(&mut writer);
    dropped(&mut writer);
    let first = writer.next(Class::Data, None, 10, 10_000).unwrap().messages;
    assert_eq!(first.len(), 2, "opened, and one gap record for both");
    dropped(&mut writer);
    let second = writer.next(Class::Data, None, 10, 10_000).unwrap().messages;
    assert_eq!(first[..], second[..2]);
    assert_eq!(second.len(), 3);
}

#[test]
fn limit_is_about_what_the_disk_sees() {
    const LIMIT: u64 = 2 << 20;
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&small(folder.path(), LIMIT));
    for n in 0..25_000_u64 {
        let batch = batch("meter", &writer.clock, [n]);
        writer.queue.append(&batch, writer.clock.now());
        if n % 64 == 0 {
            writer.commit();
        }
    }
    writer.commit();
    assert!(writer.faults.contains_key("full"));
    writer.disk.close().unwrap();
    let len = std::fs::metadata(writer.disk.path()).unwrap().len();
    assert!(LIMIT * 7 / 10 < len && len < LIMIT * 12 / 10, "{len} bytes on disk for a limit of {LIMIT}");
}

#[test]
fn full_disk_holds_back_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&config(folder.path()));
    append_many(&mut writer, "meter", 50);
    writer.disk.limit_growth(Some(0));
    let mut refused = 0;
    while !writer.faults.contains_key("disk-full") {
        let next = batch("meter", &writer.clock, 0..50);
        append(&mut writer, &next);
        refused += 1;
        assert!(refused < 1_000);
    }
    // The uplink still reads and delivers; that is what makes room.
    let waiting = writer.next(Class::Data, None, 1_000, usize::MAX).unwrap().messages;
    assert!(waiting.len() > 50);
    writer.act(Instant::now() + Duration::from_secs(60));
    assert!(writer.faults.contains_key("disk-full"), "still full");
    writer.disk.limit_growth(None);
    writer.act(Instant::now() + Duration::from_secs(120));
    assert!(!writer.faults.contains_key("disk-full"), "over");
    let mut core = Core::default();
    drain(&mut writer, &mut core);
    core.check_closes();
    assert_eq!(core.account(writer.queue.run(), stream("meter").as_str()).told.read, 100 + refused * 50);
    assert_eq!(core.lost(), 0);
}

/// What was delivered long ago may still lie in the log, and take the room that the next commit needs.
#[test]
fn full_disk_gets_back_the_room_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&config(folder.path()));
    append_many(&mut writer, "meter", 50);
    drain(&mut writer, &mut Core::default());
    let log = folder.path().join("queue.db-wal");
    assert!(std::fs::metadata(&log).unwrap().len() > 0);
    writer.disk.limit_growth(Some(0));
    for _ in 0..1_000 {
        let next = batch("meter", &writer.clock, 0..50);
        append(&mut writer, &next);
        if writer.faults.contains_key("disk-full") {
            break;
        }
    }
    assert!(writer.faults.contains_key("disk-full"));
    assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
}

/// A file system of its own, where one may be mounted.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path()).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(folder))
    }

    /// Another program leaves this much.
    fn fill_but(&self, free_kib: u64) {
        let mut file = File::create(self.0.path().join("filling")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        let len = file.metadata().unwrap().len();
        file.set_len(len - 1024 * free_kib).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.0.path()).status().ok();
    }
}

/// On a real file system; where none may be mounted, the tests above have to do.
#[test]
fn nearly_empty_queue_goes_on_while_others_fill_the_disk() {
    for free_kib in [256, 64, 16, 0] {
        let Some(disk) = SmallDisk::mount("2m") else { return };
        let mut writer = writer(&config(&disk.0.path().join("queue")));
        let mut core = Core::default();
        append_many(&mut writer, "meter", 20);
        drain(&mut writer, &mut core);
        disk.fill_but(free_kib);
        for n in 0..400 {
            let next = batch("meter", &writer.clock, n..n + 20);
            append(&mut writer, &next);
            drain(&mut writer, &mut core);
            assert!(!writer.faults.contains_key("disk-full"), "{free_kib} KiB, message {n}");
        }
        settle(&mut writer, &mut core);
        assert_eq!(core.lost(), 0);
    }
}

/// A back-log that fills the disk by itself: once it is delivered the queue goes on.
#[test]
fn back_log_that_filled_the_disk_is_gone_when_it_is_delivered() {
    for (size, readings) in [("2m", 1), ("2m", 20), ("2m", 200), ("12m", 1), ("12m", 200)] {
        let Some(disk) = SmallDisk::mount(size) else { return };
        let mut writer = writer(&config(&disk.0.path().join("queue")));
        let mut appended = 0;
        while !writer.faults.contains_key("disk-full") {
            let next = batch("meter", &writer.clock, 0..readings);
            append(&mut writer, &next);
            appended += 1;
        }
        let mut core = Core::default();
        for minute in 1..4 {
            drain(&mut writer, &mut core);
            writer.act(Instant::now() + Duration::from_secs(60 * minute));
        }
        assert!(!writer.faults.contains_key("disk-full"), "{size}, {appended} of {readings}");
        settle(&mut writer, &mut core);
        assert_eq!(core.lost(), 0);
    }
}
