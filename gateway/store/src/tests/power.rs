//! A power cut at every write: what the queue asks of the file system is recorded by strace, and replayed up to each
//! call, with what was not synced yet written, lost, or torn.
//!
//! What is assumed of the file system is what ext4 promises: names change in order, and a sync of anything makes all
//! changes of names before it last; what was written to a file and not synced may be there in any part, by sectors.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use curb_model::{Class, Name, RunId};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::support::{Core, batch, config, drain, end_run, memory, stream, writer};
use crate::Config;
use crate::writer::{Request, Writer};

const FOLDER: &str = "CURB_STORE_POWER_FOLDER";

/// What a disk writes whole.
const SECTOR: usize = 512;

/// Names of the streams that the child appends to.
pub(super) const STREAMS: [&str; 2] = ["meter", "lamp"];

/// The child: two lives of a queue. Says what is durable, and what was delivered. Does nothing when it is run as a test.
#[test]
fn child_lives_two_lives() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = PathBuf::from(folder);
    for life in 1..=2 {
        let mut writer = writer(&child_config(&folder));
        println!("\nbegun {life} {}", writer.queue.run());
        for round in 1..=60_u64 {
            append(&mut writer, life, round);
            if round % 2 == 0 {
                writer.commit();
                println!("\ndurable {life} {round}");
            }
            if round % 5 == 0 {
                send(&mut writer, 4);
            }
        }
        end_run(&mut writer);
        println!("\ndurable {life} 60");
        writer.disk.close().unwrap();
    }
}

/// A message of each stream, of some size, so that the log is written back now and then. The plugin that lets the last one out
/// remembers what it said last.
pub(super) fn append(writer: &mut Writer, life: u64, round: u64) {
    let now = writer.clock.now();
    let values = Said::values(life, round);
    let last = values[values.len() - 1];
    writer.queue.append(&batch(STREAMS[0], &writer.clock, values.clone()), now);
    writer.queue.keep_state(plugin(), Some(last.to_le_bytes().into()), now);
    writer.queue.append(&batch(STREAMS[1], &writer.clock, values), now);
}

fn plugin() -> Name {
    Name::new("dimmer").unwrap()
}

pub(super) fn child_config(folder: &Path) -> Config {
    config(folder)
}

/// Delivers the oldest messages, and says so before the queue knows.
fn send(writer: &mut Writer, rows: usize) {
    let messages = writer.next(Class::Data, None, rows, usize::MAX).unwrap().messages;
    for message in &messages {
        println!("\nsent {} {} {}", message.run.counter, message.stream, message.seq);
    }
    writer.answer(Request::Delivered(messages.iter().map(|message| message.row).collect()));
    writer.commit();
}

/// A call that changes the disk, or a word of the child.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Create(String),
    Write { file: String, at: usize, bytes: Vec<u8> },
    Truncate { file: String, len: usize },
    Sync(String),
    Rename { from: String, to: String },
    Unlink(String),
    Said(String),
}

/// Reads what strace wrote: only calls on files in `folder` count, by their names there.
fn calls(trace: &str, folder: &Path) -> Vec<Call> {
    let folder = format!("{}/", folder.display());
    let mut positions: HashMap<String, usize> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((call, rest)) = line.split_once(' ').and_then(|(_, call)| call.trim_start().split_once('(')) else {
            continue;
        };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else { continue };
        if result.starts_with('-') {
            continue;
        }
        let arguments = arguments.trim_end().trim_end_matches(')');
        let texts = quoted(arguments);
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).strip_prefix(&folder).map(str::to_owned);
        // fd<path>
        let (fd, on) = arguments.split_once('<').map_or(("", None), |(fd, rest)| {
            let path = rest.split_once('>').map(|(path, _)| unescape(path));
            (fd, path.and_then(|path| name(&path)))
        });
        let number = |at: usize| {
            let words: Vec<&str> = arguments.rsplit(", ").collect();
            words.get(at).and_then(|word| word.parse::<usize>().ok())
        };
        match call {
            "openat" => {
                let opened = result.split(['<', ' ']).next().unwrap_or_default().to_owned();
                positions.insert(opened, 0);
                let Some(file) = texts.first().and_then(|path| name(path)) else { continue };
                if arguments.contains("O_TRUNC") {
                    calls.push(Call::Truncate { file: file.clone(), len: 0 });
                }
                if arguments.contains("O_CREAT") {
                    calls.push(Call::Create(file));
                }
            }
            "write" if fd == "1" => {
                let text = String::from_utf8_lossy(&texts[0]).into_owned();
                calls.extend(text.lines().filter(|line| !line.is_empty()).map(|line| Call::Said(line.to_owned())));
            }
            "write" | "pwrite64" => {
                let Some(file) = on else { continue };
                let bytes = texts[0].clone();
                let at = if call == "write" {
                    let position = positions.entry(fd.to_owned()).or_default();
                    let at = *position;
                    *position += bytes.len();
                    at
                } else {
                    number(0).expect("pwrite64 ends with its offset")
                };
                calls.push(Call::Write { file, at, bytes });
            }
            "lseek" => {
                let offset = result.split(' ').next().and_then(|offset| offset.parse().ok()).unwrap_or(0);
                positions.insert(fd.to_owned(), offset);
            }
            "ftruncate" => {
                let Some(file) = on else { continue };
                calls.push(Call::Truncate { file, len: number(0).expect("ftruncate ends with a length") });
            }
            "fsync" | "fdatasync" => calls.extend(on.or_else(|| Some(String::new())).map(Call::Sync)),
            "rename" | "renameat" | "renameat2" => {
                let names: Vec<String> = texts.iter().filter_map(|path| name(path)).collect();
                let [from, to] = &names[..] else { continue };
                calls.push(Call::Rename { from: from.clone(), to: to.clone() });
            }
            "unlink" | "unlinkat" => calls.extend(texts.first().and_then(|path| name(path)).map(Call::Unlink)),
            _ => {}
        }
    }
    calls
}

/// The quoted arguments of a call.
fn quoted(arguments: &str) -> Vec<Vec<u8>> {
    arguments.split('"').skip(1).step_by(2).map(unescape).collect()
}

/// `\x2f` and so on, as `-xx` writes all text.
fn unescape(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).map(|digits| u8::from_str_radix(&digits[..2], 16).unwrap()).collect()
}

/// How much of what was not synced a cut leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Nothing,
    All,
    /// Some calls, some sectors.
    Torn,
}

/// A file as the disk and the memory before it have it.
#[derive(Debug, Clone, Default)]
struct File {
    synced: Vec<u8>,
    pending: Vec<Call>,
}

#[derive(Debug, Default)]
pub(super) struct Disk {
    /// By number; a name leads to one.
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    /// The names at the last sync, and each change since.
    synced_names: BTreeMap<String, usize>,
    since: Vec<BTreeMap<String, usize>>,
}

impl Disk {
    pub(super) fn apply(&mut self, call: &Call) {
        match call {
            Call::Create(name) => {
                if !self.names.contains_key(name) {
                    self.files.push(File::default());
                    self.names.insert(name.clone(), self.files.len() - 1);
                    self.since.push(self.names.clone());
                }
            }
            Call::Write { file, .. } | Call::Truncate { file, .. } => {
                let number = self.names.get(file).copied();
                number.into_iter().for_each(|number| self.files[number].pending.push(call.clone()));
            }
            Call::Sync(name) => {
                if let Some(number) = self.names.get(name) {
                    let file = &mut self.files[*number];
                    let pending = std::mem::take(&mut file.pending);
                    pending.iter().for_each(|call| write(&mut file.synced, call));
                }
                self.synced_names = self.names.clone();
                self.since.clear();
            }
            Call::Rename { from, to } => {
                if let Some(number) = self.names.remove(from) {
                    self.names.insert(to.clone(), number);
                    self.since.push(self.names.clone());
                }
            }
            Call::Unlink(name) => {
                self.names.remove(name);
                self.since.push(self.names.clone());
            }
            Call::Said(_) => {}
        }
    }

    /// Lays out in `folder` what a cut leaves now.
    pub(super) fn cut(&self, cut: Cut, rng: &mut TestRng, folder: &Path) {
        let kept_changes = match cut {
            Cut::Nothing => 0,
            Cut::All => self.since.len(),
            Cut::Torn => below(rng, self.since.len() + 1),
        };
        let names = kept_changes.checked_sub(1).map_or(&self.synced_names, |last| &self.since[last]);
        for (name, number) in names {
            let File { synced, pending } = &self.files[*number];
            let mut bytes = synced.clone();
            for call in pending {
                match cut {
                    Cut::Nothing => {}
                    Cut::All => write(&mut bytes, call),
                    Cut::Torn => tear(&mut bytes, call, rng),
                }
            }
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

fn below(rng: &mut TestRng, end: usize) -> usize {
    usize::try_from(rng.next_u64() % end as u64).unwrap()
}

fn write(file: &mut Vec<u8>, call: &Call) {
    match call {
        Call::Write { at, bytes, .. } => {
            file.resize(file.len().max(at + bytes.len()), 0);
            file[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        Call::Truncate { len, .. } => file.resize(*len, 0),
        Call::Create(_) | Call::Sync(_) | Call::Rename { .. } | Call::Unlink(_) | Call::Said(_) => {}
    }
}

/// Writes some sectors of what was to be written.
fn tear(file: &mut Vec<u8>, call: &Call, rng: &mut TestRng) {
    let Call::Write { file: name, at, bytes } = call else {
        if rng.next_u32().is_multiple_of(2) {
            write(file, call);
        }
        return;
    };
    let mut from = 0;
    while from < bytes.len() {
        let end = bytes.len().min((at + from) / SECTOR * SECTOR + SECTOR - at);
        if rng.next_u32().is_multiple_of(2) {
            write(file, &Call::Write { file: name.clone(), at: at + from, bytes: bytes[from..end].to_vec() });
        }
        from = end;
    }
}

/// What the child had said when the power went.
#[derive(Debug, Default)]
pub(super) struct Said {
    lives: u64,
    /// By life.
    pub(super) runs: BTreeMap<u64, RunId>,
    /// The last round that was durable, by life.
    durable: BTreeMap<u64, u64>,
    pub(super) sent: BTreeSet<(u64, String, u64)>,
}

impl Said {
    pub(super) fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        match words[0] {
            "begun" => {
                self.lives = number(1);
                self.runs.insert(number(1), words[2].parse().unwrap());
            }
            "durable" => drop(self.durable.insert(number(1), number(2))),
            "sent" => drop(self.sent.insert((number(1), words[2].to_owned(), number(3)))),
            _ => {}
        }
    }

    /// What a message of a life holds.
    pub(super) fn values(life: u64, seq: u64) -> Vec<u64> {
        (0..200).map(|n| life * 1_000_000 + seq * 1_000 + n).collect()
    }

    /// The queue opens, holds all that was durable and not delivered, as it was written, and goes on under a new name.
    pub(super) fn check(&self, folder: &Path, case: &str) {
        let mut writer = writer(&child_config(folder));
        assert!(writer.faults.is_empty(), "{case}: {:?}", writer.faults);
        let kept =
            writer.disk.load().unwrap().plugins.get(&plugin()).map_or(0, |state| number(state.bytes.as_ref().unwrap()));
        let run = writer.queue.run();
        assert!(run.counter > self.lives, "{case}: run {run} after {} lives", self.lives);
        let mut core = Core::default();
        drain(&mut writer, &mut core);
        for (life, rounds) in &self.durable {
            for name in STREAMS {
                let held = core.accounts.iter().find(|((run, of), _)| run.counter == *life && of == name);
                for seq in 1..=*rounds {
                    let values = held.and_then(|(_, account)| account.received.get(&seq));
                    let expected = Self::values(*life, seq);
                    match values {
                        Some(values) => assert_eq!(values, &expected, "{case}: {life} {name} {seq}"),
                        None => assert!(
                            self.sent.contains(&(*life, name.to_owned(), seq)),
                            "{case}: message {seq} of {name} in life {life} was durable and is gone"
                        ),
                    }
                }
            }
        }
        assert!(core.accounts.keys().all(|(of, _)| of.counter <= run.counter), "{case}");
        // In one commit with what it let out: neither is ahead.
        let let_out = core.accounts.iter().filter(|((_, of), _)| of == STREAMS[1]);
        let newest = let_out.flat_map(|(_, account)| account.received.values().flatten()).max();
        assert!(newest.is_none_or(|newest| *newest == kept), "{case}: the state is {kept}, let out was {newest:?}");
        writer.queue.append(&batch("meter", &writer.clock, [7]), writer.clock.now());
        writer.commit();
        drain(&mut writer, &mut core);
        assert_eq!(core.account(run, stream("meter").as_str()).received[&1], [7], "{case}: it goes on");
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

/// What the child did, as strace saw it.
pub(super) fn recorded() -> Vec<Call> {
    let folder = tempfile::tempdir().unwrap();
    let queue = folder.path().join("queue");
    let trace = folder.path().join("trace");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-y", "-xx", "-s", "1000000", "-e"])
        .arg("trace=openat,write,pwrite64,lseek,ftruncate,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat")
        .arg("-o")
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "tests::power::child_lives_two_lives", "--nocapture", "--test-threads=1"])
        .env(FOLDER, &queue)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("strace is installed (`make test` does it)");
    assert!(status.success(), "the child: {status}");
    calls(&fs::read_to_string(&trace).unwrap(), &queue)
}

/// Calls from one cut to the next. Each cut opens a queue and empties it; at every call that would take a minute.
const STRIDE: usize = 6;

/// Cuts at every sixth call, in one of the ways; at every call, in all of them, by hand with `CURB_POWER_CUTS=all`.
#[test]
fn a_power_cut_at_any_write_loses_nothing_that_was_durable() {
    let calls = recorded();
    let syncs = calls.iter().filter(|call| matches!(call, Call::Sync(_))).count();
    assert!(calls.len() > 300 && syncs > 50, "{} calls, {syncs} syncs were recorded", calls.len());
    let all = std::env::var_os("CURB_POWER_CUTS").is_some();
    let (stride, ways) = if all { (1, 3) } else { (STRIDE, 1) };
    let mut cuts = 0;
    let mut rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let (mut disk, mut said) = (Disk::default(), Said::default());
    for (index, call) in calls.iter().enumerate() {
        disk.apply(call);
        if let Call::Said(line) = call {
            said.hear(line);
            continue;
        }
        if index % stride != 0 {
            continue;
        }
        for way in 0..ways {
            let cut = [Cut::Torn, Cut::Nothing, Cut::All][(cuts + way) % 3];
            let folder = tempfile::tempdir_in(memory()).unwrap();
            disk.cut(cut, &mut rng, folder.path());
            said.check(folder.path(), &format!("call {index} ({cut:?})"));
        }
        cuts += 1;
    }
}
