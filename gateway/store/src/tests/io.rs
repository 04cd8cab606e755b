//! A card that fails now and then, at each kind of call: strace makes the call fail, at a daemon's child, and the next one finds
//! all that was durable.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use curb_model::{Class, HubClock};
use tokio::time::Instant;

use super::power::{self, Said, child_config};
use super::support::memory;
use crate::Store;
use crate::writer::{Request, Writer};

const FOLDER: &str = "CURB_STORE_IO_FOLDER";

/// The child: a life on a card that fails. Says what is durable, and what was delivered. Does nothing when it is run as a test.
#[test]
fn child_lives_on_a_bad_card() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let opened = match Store::open(child_config(&PathBuf::from(folder))) {
        Ok(opened) => opened,
        // A start that is refused is tried again by whoever started it.
        Err(error) => return println!("\nrefused {error}"),
    };
    let (previous, clock) = (opened.previous.clone(), HubClock::starting_at(opened.hub_time));
    let (mut writer, _) = opened.into_writer(clock);
    println!("\nbegun 1 {}", writer.queue.run());
    writer.begin(previous);
    let (mut now, mut met) = (Instant::now(), false);
    for round in 1..=20_u64 {
        power::append(&mut writer, 1, round);
        writer.commit();
        met |= !writer.faults.is_empty();
        // What failed is tried again.
        now += Duration::from_secs(10);
        writer.act(now);
        if writer.queue.changes.rows.is_empty() {
            println!("\ndurable 1 {round}");
        }
        if round % 5 == 0 {
            send(&mut writer);
        }
    }
    println!("\nlived, and {}", if met || writer.trouble.stands() { "met trouble" } else { "met none" });
}

fn send(writer: &mut Writer) {
    let messages = match writer.next(Class::Data, None, 3, usize::MAX) {
        Ok(page) => page.messages,
        Err(error) => return writer.failed(&error),
    };
    for message in &messages {
        println!("\nsent 1 {} {}", message.stream, message.seq);
    }
    writer.answer(Request::Delivered(messages.iter().map(|message| message.row).collect()));
}

#[test]
fn an_error_of_the_card_at_any_call_loses_nothing_that_was_durable() {
    // Which call, its error, from which one on and how often. The first ones are those of the start.
    let cases = [
        ("pwrite64", "EIO", "9+5"),
        ("pwrite64", "EIO", "40+23"),
        ("pwrite64", "ENOSPC", "40+23"),
        ("pread64", "EIO", "4+3"),
        ("pread64", "EIO", "20+3"),
        ("fsync", "EIO", "1+2"),
        ("fsync", "EIO", "9+4"),
        ("openat", "EIO", "3+1"),
        ("openat", "EMFILE", "1+1"),
        ("ftruncate", "EIO", "1+2"),
        ("rename", "EIO", "1+1"),
        ("unlink", "EIO", "1+1"),
    ];
    let mut met = 0;
    for (call, error, when) in cases {
        let folder = tempfile::tempdir_in(memory()).unwrap();
        let queue = folder.path().join("queue");
        let told = live(&queue, call, error, when);
        let case = format!("{call} {error} {when}: {told}");
        met += usize::from(told.contains("met trouble"));
        let mut said = Said::default();
        told.lines().filter(|line| !line.is_empty()).for_each(|line| said.hear(line));
        assert!(told.contains("lived") || told.contains("refused"), "{case}");
        said.check(&queue, &case);
    }
    assert!(met >= 4, "the errors are met: {met}");
}

/// What the child said.
fn live(queue: &Path, call: &str, error: &str, when: &str) -> String {
    std::fs::create_dir_all(queue).unwrap();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={call}:error={error}:when={when}")]);
    for file in ["queue.db", "queue.db-wal", "queue.reserve", "mark", "mark.new", "mark.previous"] {
        strace.arg("-P").arg(queue.join(file));
    }
    let output = strace
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "tests::io::child_lives_on_a_bad_card", "--nocapture", "--test-threads=1"])
        .env(FOLDER, queue)
        .stderr(Stdio::null())
        .output()
        .expect("strace is installed (`make test` does it)");
    String::from_utf8(output.stdout).unwrap()
}
