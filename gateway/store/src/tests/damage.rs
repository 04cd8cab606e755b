//! Whatever the disk holds: the store starts, says what it found, and the core is told what went with it.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use curb_model::{Class, GapReason, HubClock, RunId};
use proptest::prelude::*;

use super::support::{Core, append, at, batch, config, drain, end_run, settle, writer};
use crate::disk::{self, Kind};
use crate::writer::Writer;
use crate::{Config, Store};

const PAGE: u64 = 4096;

/// A closed queue of a run that was ended, with 400 messages of two streams; its file.
fn queue_at(config: &Config) -> Vec<u8> {
    let mut writer = writer(config);
    for n in 0..400 {
        let batch = batch(if n % 4 == 0 { "lamp" } else { "meter" }, &writer.clock, n..n + 3);
        writer.queue.append(&batch, writer.clock.now());
    }
    end_run(&mut writer);
    writer.disk.close().unwrap();
    fs::read(file(&config.dir)).unwrap()
}

fn file(dir: &Path) -> std::path::PathBuf {
    dir.join("queue.db")
}

/// Appends, delivers everything, ends the run; the core must have been told of all.
fn check_goes_on(writer: &mut Writer, core: &mut Core, case: &str) {
    let values = [1, 2, 3];
    let batch = batch("meter", &writer.clock, values);
    append(writer, &batch);
    drain(writer, core);
    // A damage that was found on the way: the file is replaced after a pause.
    if writer.queue.changes.is_urgent() {
        writer.commit();
    }
    end_run(writer);
    drain(writer, core);
    let run = writer.queue.run();
    assert_eq!(core.account(run, "meter").received.values().next_back().unwrap(), &values, "{case}");
}

#[test]
fn unusable_database_is_moved_aside_and_told() {
    let check = |case: &str, damage: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        queue_at(&config);
        damage(&file(folder.path()));
        let opened = Store::open(config).unwrap();
        let damaged = opened.damaged.clone().unwrap_or_else(|| panic!("{case}: not seen"));
        assert!(damaged.exists(), "{case}");
        let previous = opened.previous.clone().unwrap();
        assert_eq!((previous.run.counter, opened.run.counter), (1, 2), "{case}: the mark knows the run");
        assert!(opened.hub_time.as_nanos() > 0, "{case}: the mark knows the time");
        let clock = HubClock::starting_at(opened.hub_time);
        let (mut writer, _) = opened.into_writer(clock);
        writer.begin(Some(previous.clone()));
        assert!(writer.faults.contains_key("damaged"), "{case}");
        let mut core = Core::default();
        check_goes_on(&mut writer, &mut core, case);
        let gaps: Vec<_> =
            core.accounts.iter().filter(|((run, _), _)| *run == previous.run).flat_map(|(_, a)| &a.gaps).collect();
        assert!(gaps.iter().any(|gap| gap.reason == GapReason::Damaged), "{case}: {gaps:?}");
    };
    check("zeros", &|file| fs::write(file, vec![0; 40_960]).unwrap());
    check("garbage", &|file| fs::write(file, vec![0xA5; 40_960]).unwrap());
    check("text", &|file| fs::write(file, "not a database\n").unwrap());
    check("half a page", &|file| OpenOptions::new().write(true).open(file).unwrap().set_len(2_000).unwrap());
    check("some of its pages", &|file| OpenOptions::new().write(true).open(file).unwrap().set_len(5 * PAGE).unwrap());
    check("a torn schema", &|file| {
        OpenOptions::new().write(true).open(file).unwrap().write_all_at(&[0xFF; 3_900], 100).unwrap();
    });
    let sql =
        |sql: &'static str| move |file: &Path| rusqlite::Connection::open(file).unwrap().execute_batch(sql).unwrap();
    check("a later schema", &sql("pragma user_version = 2"));
    check("another program's database", &sql("pragma application_id = 7"));
    check("a missing table", &sql("drop table message"));
    check("nonsense in a counter", &sql("update stream set read = -1"));
}

/// What a kill leaves of a queue: the file and its log are copied to `to` while they are in use, and the mark.
fn kill_at(writer: &Writer, to: &Path) {
    let from = writer.disk.path().parent().unwrap();
    for name in ["queue.db", "queue.db-wal", "mark", "mark.previous"] {
        match fs::copy(from.join(name), to.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{name}: {error}"),
            _ => {}
        }
    }
}

fn log(dir: &Path) -> PathBuf {
    dir.join("queue.db-wal")
}

/// SQLite opens these without a word.
#[test]
fn back_log_that_vanished_with_a_kill_is_told() {
    let check = |case: &str, leaves_something: bool, damage: &dyn Fn(&Path)| {
        let (folder, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut writer = writer(&config(folder.path()));
        for n in 0..20 {
            let next = batch("meter", &writer.clock, n..n + 3);
            append(&mut writer, &next);
        }
        let lost = writer.queue.run();
        kill_at(&writer, killed.path());
        damage(killed.path());
        let aside = check_loss_is_told(&config(killed.path()), lost, case);
        assert_eq!(aside.is_some_and(|aside| fs::metadata(aside).unwrap().len() > 0), leaves_something, "{case}");
    };
    check("a damaged log", true, &|dir| {
        OpenOptions::new().write(true).open(log(dir)).unwrap().write_all_at(&[0xA5; 64], 40).unwrap();
    });
    check("an empty log", false, &|dir| fs::write(log(dir), "").unwrap());
    check("a deleted log", false, &|dir| fs::remove_file(log(dir)).unwrap());
    check("a file without a byte", true, &|dir| fs::write(file(dir), "").unwrap());
    check("a deleted file", true, &|dir| fs::remove_file(file(dir)).unwrap());
    check("both deleted", false, &|dir| {
        fs::remove_file(file(dir)).unwrap();
        fs::remove_file(log(dir)).unwrap();
    });
    check("a file of one page and a damaged log, as before the schema was written back", true, &|dir| {
        fs::remove_file(file(dir)).unwrap();
        fs::remove_file(log(dir)).unwrap();
        let empty = rusqlite::Connection::open(file(dir)).unwrap();
        empty.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
        empty.close().unwrap();
        fs::write(log(dir), [0xA5; 8_000]).unwrap();
    });
}

/// Opens, and goes on; the core is told that `lost` lost something. What was put aside.
#[track_caller]
fn check_loss_is_told(config: &Config, lost: RunId, case: &str) -> Option<PathBuf> {
    let opened = Store::open(config.clone()).unwrap();
    let (aside, previous) = (opened.damaged.clone(), opened.previous.clone());
    assert_eq!(previous.as_ref().map(|previous| previous.run), Some(lost), "{case}");
    let clock = HubClock::starting_at(opened.hub_time);
    let (mut writer, _) = opened.into_writer(clock);
    writer.begin(previous);
    assert!(writer.faults.contains_key("damaged"), "{case}");
    let mut core = Core::default();
    check_goes_on(&mut writer, &mut core, case);
    let gaps = &core.account(lost, "_run").gaps;
    assert!(gaps.iter().any(|gap| gap.reason == GapReason::Damaged), "{case}: {gaps:?}");
    writer.disk.close().unwrap();
    let again = Store::open(config.clone()).unwrap().into_writer(HubClock::starting_at(at(1))).0;
    assert!(again.faults.is_empty(), "{case}: told once: {:?}", again.faults);
    aside
}

/// The log of a run is lost, and what earlier runs had written back is not.
#[test]
fn lost_log_takes_nothing_of_earlier_runs_with_it() {
    let (folder, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config_before = config(folder.path());
    queue_at(&config_before);
    let mut second = writer(&config_before);
    let next = batch("meter", &second.clock, [1, 2, 3]);
    append(&mut second, &next);
    kill_at(&second, killed.path());
    OpenOptions::new().write(true).open(log(killed.path())).unwrap().write_all_at(&[0xA5; 64], 40).unwrap();

    let mut third = writer(&config(killed.path()));
    assert!(third.faults.contains_key("damaged"));
    let mut core = Core::default();
    drain(&mut third, &mut core);
    assert_eq!(core.delivered(), 1_200, "of the first run everything");
    assert_eq!(core.account(second.queue.run(), "_run").gaps.len(), 1, "of the second that it is lost");
    assert!(killed.path().join("queue.db.damaged-1-wal").exists());
    assert!(!killed.path().join("queue.db.damaged-1").exists());
}

/// Whatever a run did before its first commit, it lost nothing.
#[test]
fn run_that_died_before_its_first_commit_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    for round in 0..4 {
        let opened = Store::open(config.clone()).unwrap();
        let clock = HubClock::starting_at(opened.hub_time);
        let (mut writer, _) = opened.into_writer(clock);
        assert!(writer.faults.is_empty(), "round {round}: {:?}", writer.faults);
        if round == 2 {
            writer.begin(None);
        } else {
            // Dies on the way: the disk takes nothing.
            writer.disk.close().unwrap();
            let path = writer.disk.path().to_owned();
            writer.disk = crate::disk::Disk::new(&folder.path().join("not there"));
            writer.begin(None);
            assert_eq!(writer.commits, 0);
            assert!(path.exists());
        }
    }
}

/// The counters can be read and the messages cannot: all of them are told, and the ledger closes.
#[test]
fn damaged_messages_are_told_by_number_and_the_ledger_closes() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let pages = queue_at(&config).len() as u64 / PAGE;
    let disk = OpenOptions::new().write(true).open(file(folder.path())).unwrap();
    // The schema and the four tables' first pages stay.
    (8..pages).for_each(|page| disk.write_all_at(&[0xA5; 4096], page * PAGE).unwrap());
    let mut writer = writer(&config);
    let mut core = Core::default();
    check_goes_on(&mut writer, &mut core, "pages");
    assert!(writer.faults.contains_key("damaged"));
    core.check_closes();
    assert!(core.lost() >= 1_000, "nearly all of 1200 readings: {}", core.lost());
    assert_eq!(core.lost() + core.delivered(), 1_200 + 3);
}

#[test]
fn damage_while_it_runs_loses_nothing_that_was_not_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(&config(folder.path()));
    let next = batch("meter", &writer.clock, 0..10);
    append(&mut writer, &next);
    // Accepted and not committed when the disk is found to be damaged.
    let (meter, lamp) = (batch("meter", &writer.clock, 10..14), batch("lamp", &writer.clock, 14..16));
    writer.queue.append(&meter, writer.clock.now());
    writer.queue.append(&lamp, writer.clock.now());
    writer.failed(&crate::disk::Error::Nonsense { what: "page" });
    writer.commit();
    let mut core = Core::default();
    settle(&mut writer, &mut core);
    assert_eq!((core.delivered(), core.lost()), (6, 10));
    let kept = &core.account(writer.queue.run(), "meter").received;
    assert_eq!(kept.keys().copied().collect::<Vec<_>>(), [2], "the first message went with the disk");
}

/// What SQLite could not do for another reason says nothing about what the file holds.
#[test]
fn only_a_file_that_is_wrong_is_moved_aside() {
    let check = |code, kind| {
        let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        assert_eq!(disk::Error::from(error).kind(), kind, "code {code}");
    };
    check(rusqlite::ffi::SQLITE_CORRUPT, Kind::Damaged);
    check(rusqlite::ffi::SQLITE_NOTADB, Kind::Damaged);
    // No such table or column.
    check(rusqlite::ffi::SQLITE_ERROR, Kind::Damaged);
    check(rusqlite::ffi::SQLITE_FULL, Kind::Full);
    check(rusqlite::ffi::SQLITE_BUSY, Kind::Locked);
    check(rusqlite::ffi::SQLITE_NOMEM, Kind::Other);
    check(rusqlite::ffi::SQLITE_IOERR_NOMEM, Kind::Other);
    check(rusqlite::ffi::SQLITE_CANTOPEN, Kind::Other);
    check(99, Kind::Other);
}

#[test]
fn only_the_last_damaged_databases_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    for _ in 0..5 {
        fs::write(file(folder.path()), "torn").unwrap();
        assert!(Store::open(config.clone()).unwrap().damaged.is_some());
    }
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.contains("damaged")).count(), 2);
}

#[test]
fn lost_database_never_repeats_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let first = writer(&config).queue.run();
    fs::remove_file(file(folder.path())).unwrap();
    let opened = Store::open(config).unwrap();
    assert_eq!(opened.run.counter, first.counter + 1);
    assert_ne!(opened.run.nonce, first.nonce);
    let previous = opened.previous.unwrap();
    assert_eq!((previous.run, previous.clean), (first, false));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// SQLite cannot see every flipped byte, but none may stop a start or break the numbering of what comes after.
    #[test]
    fn any_torn_part_of_the_file_lets_the_store_start(
        from in 0.0..1.0_f64, len in 1..9_000_usize, fill in prop_oneof![Just(0_u8), Just(0xFF), any::<u8>()],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path());
        let mut bytes = queue_at(&config);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a random place")]
        let from = (from * bytes.len() as f64) as usize;
        let to = bytes.len().min(from + len);
        bytes[from..to].fill(fill);
        fs::write(file(folder.path()), &bytes).unwrap();
        let mut writer = writer(&config);
        let next = batch("meter", &writer.clock, [7]);
        append(&mut writer, &next);
        for _ in 0..4 {
            // What is read may be nonsense inside; that it is read, or replaced, is what counts here.
            match writer.next(Class::Data, None, 10_000, usize::MAX) {
                Ok(_) => break,
                Err(error) => writer.failed(&error),
            }
            writer.commit();
        }
        // Damage that was found on the way took what was written since the start along; nothing after it.
        let next = batch("meter", &writer.clock, [8]);
        append(&mut writer, &next);
        writer.commit();
        let run = writer.queue.run();
        let waiting = writer.next(Class::Data, None, 10_000, usize::MAX).unwrap().messages;
        let ours = waiting.iter().filter(|message| message.run == run && message.stream.as_str() == "meter");
        let ours: Vec<u64> = ours.map(|message| message.seq).collect();
        let was_found = writer.faults.contains_key("damaged");
        prop_assert!(ours == [1, 2] || (was_found && ours == [2]), "{:?}, {:?}", ours, writer.faults);
    }
}
