//! After trouble the file is looked through in the background; without, a start reads next to nothing.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use curb_model::GapReason;
use tokio::time::Instant;

use super::support::{Core, append, batch, config, drain, end_run, memory, settle, writer};
use crate::disk::Error as DiskError;
use crate::writer::Writer;
use crate::{Error, Store, Workbench};

const FOLDER: &str = "CURB_STORE_TROUBLE_FOLDER";
const DEADLINE: Duration = Duration::from_secs(20);

/// A queue of 600 messages on the disk.
fn filled(folder: &Path) -> Writer {
    let mut writer = writer(&config(folder));
    for n in 0..600 {
        writer.queue.append(&batch("meter", &writer.clock, n * 40..n * 40 + 40), writer.clock.now());
    }
    writer.commit();
    writer.disk.checkpoint().unwrap();
    writer
}

/// Lets time pass, and goes on committing, until `done`.
fn pass_time(writer: &mut Writer, done: impl Fn(&Writer) -> bool) {
    let (end, mut now) = (Instant::now() + DEADLINE, Instant::now());
    let mut value = 0;
    while !done(writer) {
        now += Duration::from_secs(11);
        writer.act(now);
        value += 1;
        let next = batch("lamp", &writer.clock, [value]);
        append(writer, &next);
        assert!(Instant::now() < end, "{:?}", writer.trouble);
        std::thread::yield_now();
    }
}

fn error_of_the_card() -> DiskError {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_WRITE);
    rusqlite::Error::SqliteFailure(code, None).into()
}

#[test]
fn after_an_error_of_the_card_the_file_is_checked_while_commits_go_on() {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let mut writer = filled(folder.path());
    writer.failed(&error_of_the_card());
    assert!(folder.path().join("trouble").exists());
    pass_time(&mut writer, |writer| writer.trouble.checks == 1);
    assert!(!folder.path().join("trouble").exists());
    assert!(writer.faults.is_empty(), "{:?}", writer.faults);
    // Its connection has gone, and the lock is still ours.
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::trouble::child_finds_the_queue_locked", "--test-threads=1"])
        .env(FOLDER, folder.path())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let mut core = Core::default();
    settle(&mut writer, &mut core);
    assert_eq!(core.lost(), 0);
}

#[test]
fn child_finds_the_queue_locked() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    assert!(matches!(Workbench::open(Path::new(&folder)), Err(Error::Locked { .. })));
}

#[test]
fn trouble_is_remembered_over_a_restart_and_a_power_cut_is_none() {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let mut first = filled(folder.path());
    first.disk.close().unwrap();
    let mut second = writer(&config(folder.path()));
    assert!(second.trouble.due().is_none(), "a run that was cut off is no reason");
    second.failed(&DiskError::Io {
        act: "sync",
        path: folder.path().to_owned(),
        source: std::io::Error::from_raw_os_error(5),
    });
    second.disk.close().unwrap();
    let mut third = writer(&config(folder.path()));
    pass_time(&mut third, |writer| writer.trouble.checks == 1);
    third.disk.close().unwrap();
    let fourth = writer(&config(folder.path()));
    assert!(fourth.trouble.due().is_none(), "it is over");
}

/// A page that nobody reads is damaged: found by the check, moved aside and told.
#[test]
fn what_the_check_finds_damaged_is_moved_aside_and_told() {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let file = folder.path().join("queue.db");
    let mut old = filled(folder.path());
    old.disk.close().unwrap();
    let mut writer = writer(&config(folder.path()));
    let pages = fs::metadata(&file).unwrap().len() / 4096;
    let disk = OpenOptions::new().write(true).open(&file).unwrap();
    (pages / 2..pages / 2 + 20).for_each(|page| disk.write_all_at(&[0xA5; 4096], page * 4096).unwrap());
    writer.failed(&error_of_the_card());
    pass_time(&mut writer, |writer| writer.faults.contains_key("damaged"));
    assert!(folder.path().join("queue.db.damaged-1").exists());
    let mut core = Core::default();
    end_run(&mut writer);
    drain(&mut writer, &mut core);
    // The record with the counters of the run before was in the file, too.
    let gaps = core.accounts.iter().filter(|((_, of), _)| of == "meter").flat_map(|(_, account)| &account.gaps);
    assert_eq!(gaps.map(|gap| gap.count).sum::<u64>(), 24_000, "all that was in the file");
}

/// What one thread has read, in bytes.
fn bytes_read() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/io").unwrap();
    text.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse().ok()).unwrap()
}

#[test]
fn a_start_reads_a_few_pages_however_long_the_queue() {
    let folder = tempfile::tempdir_in(memory()).unwrap();
    let mut writer = filled(folder.path());
    end_run(&mut writer);
    writer.disk.close().unwrap();
    let size = fs::metadata(folder.path().join("queue.db")).unwrap().len();
    let before = bytes_read();
    drop(Store::open(config(folder.path())).unwrap());
    let read = bytes_read() - before;
    assert!(size > 700_000 && read < 150_000, "{read} of {size} bytes were read");
}

/// What a card does that loses what it said it had written, in ways that SQLite does not see.
#[test]
fn what_is_gone_or_changed_behind_our_back_is_told_and_not_sent() {
    let check = |case: &str, sql: &str, lost: u64| {
        let folder = tempfile::tempdir_in(memory()).unwrap();
        let mut old = filled(folder.path());
        old.disk.close().unwrap();
        let behind = rusqlite::Connection::open(folder.path().join("queue.db")).unwrap();
        behind.execute_batch(sql).unwrap();
        behind.close().unwrap();
        let mut writer = writer(&config(folder.path()));
        let mut core = Core::default();
        drain(&mut writer, &mut core);
        writer.act(Instant::now() + Duration::from_secs(61));
        settle(&mut writer, &mut core);
        assert_eq!((core.lost(), core.delivered()), (lost, 24_000 - lost), "{case}");
        assert_eq!(writer.queue.waiting.rows, 0, "{case}");
        assert_eq!(writer.faults.contains_key("damaged"), lost > 0, "{case}");
        let told = core.accounts.values().flat_map(|account| &account.gaps);
        assert!(told.clone().all(|gap| gap.reason == GapReason::Damaged), "{case}");
    };
    check("nothing", "", 0);
    check("older bytes", "update message set payload = zeroblob(length(payload)) where seq = 300 and lane = 0", 40);
    check(
        "another message's bytes",
        "update message set payload = (select payload from message where seq = 5 and lane = 0) where seq = 7 and lane = 0",
        40,
    );
    check("some messages", "delete from message where lane = 0 and seq between 100 and 149", 2_000);
    check("all messages", "delete from message where lane = 0", 24_000);
}
