//! The store against a plain model, over random lives: append, send, acknowledge, refuse, evict, a full disk, kills.

use std::collections::BTreeMap;
use std::time::Duration;

use curb_model::{Class, Dropped, GapReason, Lane, Message, Name, RowId, RunId};
use curb_wire::record::StreamCounts;
use proptest::prelude::*;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::support::{Core, at, batch, config, end_run, settle, stream, writer};
use crate::Config;
use crate::queue::Waiting;
use crate::shelf::Shelf;
use crate::writer::{Request, Taken, Writer};

const STREAMS: [&str; 4] = ["meter", "lamp", "quiet.alarm", TALLY];

/// What a plugin with state lets out: each of its messages comes with the state behind it, which is its last value.
const TALLY: &str = "tally.count";

#[derive(Debug, Clone)]
enum Step {
    Append {
        stream: usize,
        readings: u64,
        filtered: u64,
        refused: u64,
        dropped: u64,
        dated: bool,
    },
    /// What the writer does when nothing more waits in its channel.
    Commit,
    /// The uplink sends up to so many messages behind the last; they arrive, or the link is cut.
    Send {
        rows: usize,
        arrive: bool,
    },
    /// So many of the messages that arrived are acknowledged, from one end or the other.
    Ack {
        rows: usize,
        newest: bool,
    },
    /// The core holds everything up to the newest message that arrived of a stream.
    Receipt {
        stream: usize,
    },
    /// The broker refuses the next message for what it is.
    Refuse,
    /// Somebody puts back what is aside.
    PutBack,
    /// Or deletes it.
    ThrowAway,
    Release,
    /// Its time has come: counters, deliveries, a commit that failed.
    Due,
    DiskFull(bool),
    Kill,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4_usize, 0..5_u64, 0..3_u64, 0..2_u64, 0..4_u64, prop::bool::weighted(0.8)).prop_map(
            |(stream, readings, filtered, refused, dropped, dated)| {
                // Most batches lose nothing.
                let dropped = dropped.saturating_sub(2);
                Step::Append { stream, readings, filtered, refused, dropped, dated }
            }
        ),
        4 => Just(Step::Commit),
        4 => (1..6_usize, prop::bool::weighted(0.8)).prop_map(|(rows, arrive)| Step::Send { rows, arrive }),
        3 => (1..6_usize, any::<bool>()).prop_map(|(rows, newest)| Step::Ack { rows, newest }),
        1 => (0..3_usize).prop_map(|stream| Step::Receipt { stream }),
        2 => Just(Step::Refuse),
        1 => Just(Step::PutBack),
        1 => Just(Step::ThrowAway),
        1 => Just(Step::Release),
        1 => Just(Step::Due),
        1 => any::<bool>().prop_map(Step::DiskFull),
        1 => Just(Step::Kill),
        1 => Just(Step::Restart),
    ]
}

/// What one stream of one run really did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Truth {
    read: u64,
    filtered: u64,
    refused: u64,
    /// Values of each message, from number 1.
    messages: Vec<Vec<u64>>,
}

struct World {
    config: Config,
    writer: Writer,
    core: Core,
    truth: BTreeMap<(RunId, String), Truth>,
    /// `truth` at the last commit of all there was: what a kill leaves at least, beside what has arrived.
    durable: BTreeMap<(RunId, String), Truth>,
    commits: u64,
    /// The disk has no room, whether the writer has met that or not.
    full: bool,
    next_value: u64,
    /// The uplink's session: how far it has read alarms and all else, and what arrived and is not acknowledged.
    alarm_cursor: Option<RowId>,
    cursor: Option<RowId>,
    arrived: Vec<Message>,
    /// The newest state that the plugin has given out, and the newest of its values that the core has got from a disk that works.
    state: u64,
    told: u64,
}

impl World {
    fn new(config: Config) -> Self {
        let writer = writer(&config);
        Self {
            commits: writer.commits,
            writer,
            config,
            core: Core::default(),
            truth: BTreeMap::new(),
            durable: BTreeMap::new(),
            full: false,
            next_value: 0,
            alarm_cursor: None,
            cursor: None,
            arrived: Vec::new(),
            state: 0,
            told: 0,
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Append { stream, readings, filtered, refused, dropped, dated } => {
                let values: Vec<u64> = (self.next_value..self.next_value + readings).collect();
                self.next_value += readings;
                let mut batch = batch(STREAMS[stream], &self.writer.clock, values.clone());
                batch.class = if stream == 2 { Class::Alarm } else { Class::Data };
                // An alarm overtakes the gap record of its own batch. While the disk refuses, a kill then leaves the core with
                // a count that nothing explains: a known limit. Plugins make alarms, and lose none while they make them.
                let dropped = if stream == 2 { 0 } else { dropped };
                batch.counts.read += filtered + refused + dropped;
                batch.counts.filtered = filtered;
                batch.counts.refused = refused;
                if dropped > 0 {
                    batch.dropped =
                        vec![Dropped { reason: GapReason::Overload, count: dropped, from: at(1), to: at(2) }];
                }
                batch.offset = batch.offset.filter(|_| dated);
                if let (TALLY, Some(last)) = (STREAMS[stream], values.last()) {
                    self.state = *last;
                    let bytes = Some(last.to_le_bytes().into());
                    self.writer.queue.keep_state(tally(), bytes, self.writer.clock.now());
                }
                if self.writer.take_here(&batch) == Taken::No {
                    return;
                }
                let truth = self.truth.entry((self.writer.queue.run(), STREAMS[stream].to_owned())).or_default();
                truth.read += batch.counts.read;
                truth.filtered += filtered;
                truth.refused += refused;
                truth.messages.extend(Some(values).filter(|values| !values.is_empty()));
            }
            Step::Commit if !self.is_refused() => self.writer.commit(),
            Step::Commit => {}
            Step::Send { rows, arrive } => {
                let mut messages = self.writer.next(Class::Alarm, self.alarm_cursor, rows, 2_000).unwrap().messages;
                self.alarm_cursor = messages.last().map(|last| last.row).or(self.alarm_cursor);
                let others = self.writer.next(Class::Data, self.cursor, rows, 2_000).unwrap().messages;
                self.cursor = others.last().map(|last| last.row).or(self.cursor);
                messages.extend(others);
                if arrive {
                    messages.iter().for_each(|message| self.core.accept(message));
                    // While a disk refuses, what is in memory goes out.
                    if !self.is_refused() && !self.full {
                        self.told = self.told.max(newest_of(&self.core, TALLY));
                    }
                    self.arrived.extend(messages);
                } else {
                    self.new_session();
                }
            }
            Step::Ack { rows, newest } => {
                let rows = rows.min(self.arrived.len());
                let from = if newest { self.arrived.len() - rows } else { 0 };
                let acked: Vec<Message> = self.arrived.drain(from..from + rows).collect();
                let rows = acked.iter().map(|message| message.row).collect();
                // As the handle does it.
                if let Some(request) = self.writer.answer_here(Request::Delivered(rows)) {
                    self.writer.answer(request);
                }
            }
            Step::Receipt { stream: index } => {
                let (run, stream) = (self.writer.queue.run(), stream(STREAMS[index]));
                let account = self.core.account(run, stream.as_str());
                // Only what is held, or in a gap, without a hole.
                let seq = (1..).take_while(|seq| account.covers(*seq)).last().unwrap_or(0);
                self.writer.answer(Request::Receipt { run, stream, seq });
            }
            // Refused twice, by the broker and by the disk: a kill in that state may send it once more, out of order.
            Step::Refuse if self.is_refused() || self.full => {}
            Step::Refuse => {
                let messages = self.writer.next(Class::Data, self.cursor, 1, 2_000).unwrap().messages;
                if let Some(message) = messages.first() {
                    self.cursor = Some(message.row);
                    if message.lane == Lane::Data {
                        self.writer.answer(Request::SetAside { row: message.row, code: 0x99 });
                    } else {
                        self.core.accept(message);
                        self.arrived.push(message.clone());
                    }
                }
            }
            Step::PutBack => {
                let (reply, _) = oneshot::channel();
                self.writer.answer(Request::PutBack { rows: self.aside(), reply });
            }
            Step::ThrowAway => {
                let (reply, _) = oneshot::channel();
                self.writer.answer(Request::ThrowAway { rows: self.aside(), reply });
            }
            Step::Release => {
                self.writer.queue.release_undated();
                if !self.is_refused() {
                    self.writer.commit();
                }
            }
            Step::Due => self.writer.act(Instant::now() + Duration::from_secs(3600)),
            Step::DiskFull(full) => {
                self.full = full;
                self.writer.disk.limit_growth(full.then_some(0));
            }
            Step::Kill => {
                self.lose_memory();
                self.reopen();
            }
            Step::Restart => {
                self.writer.disk.limit_growth(None);
                end_run(&mut self.writer);
                self.durable.clone_from(&self.truth);
                self.told = self.state;
                self.reopen();
            }
        }
        if self.writer.commits > self.commits && self.writer.queue.changes.rows.is_empty() {
            self.commits = self.writer.commits;
            self.durable.clone_from(&self.truth);
        }
    }

    /// What a kill leaves of this run: what the disk says of it, and what the core has. That is no less than what was
    /// committed, and no more than what happened; in between, the ledger must close all the same.
    fn lose_memory(&mut self) {
        let run = self.writer.queue.run();
        let refuses = self.full || self.is_refused();
        let on_disk = self.writer.disk.load().unwrap().streams;
        for ((of, stream), truth) in self.truth.iter_mut().filter(|((of, _), _)| *of == run) {
            let durable = self.durable.get(&(*of, stream.clone())).cloned().unwrap_or_default();
            let on_disk = on_disk.iter().find(|state| state.run == run && state.name.as_str() == stream);
            let on_disk = on_disk.map(|state| state.counts).unwrap_or_default();
            let told = self.core.account(run, stream).told;
            let left = |count: fn(&StreamCounts) -> u64, durable: u64, happened: u64| {
                let left = count(&on_disk).max(count(&told));
                assert!((durable..=happened).contains(&left), "{stream}: {left} of {durable} to {happened}");
                left
            };
            let messages = left(|counts| counts.seq, durable.messages.len() as u64, truth.messages.len() as u64);
            truth.read = left(|counts| counts.read, durable.read, truth.read);
            truth.filtered = left(|counts| counts.filtered, durable.filtered, truth.filtered);
            truth.refused = left(|counts| counts.refused, durable.refused, truth.refused);
            truth.messages.truncate(usize::try_from(messages).unwrap());
            // While a disk refuses, a gap record goes out from memory, and behind it the message whose counters have it. A kill
            // between them leaves the core with a loss that no counter has: a known limit, and never the other way round.
            let account = self.core.account(run, stream);
            let known = account.delivered() + account.told.filtered + account.told.refused + account.lost();
            if refuses && known > account.told.read {
                account.told.read = known;
                truth.read = truth.read.max(known);
            }
        }
    }

    fn aside(&self) -> Vec<RowId> {
        let kept = self.writer.disk.look(Shelf::Aside, 0, usize::MAX, usize::MAX).unwrap();
        kept.iter().map(|kept| kept.row).collect()
    }

    fn is_refused(&self) -> bool {
        self.writer.faults.contains_key("disk-full")
    }

    fn new_session(&mut self) {
        self.cursor = None;
        self.alarm_cursor = None;
        self.arrived.clear();
    }

    fn reopen(&mut self) {
        let on_disk = self
            .writer
            .disk
            .load()
            .unwrap()
            .plugins
            .get(&tally())
            .map_or(0, |state| number(state.bytes.as_ref().unwrap()));
        assert!((self.told..=self.state).contains(&on_disk), "{on_disk} of {}, told {}", self.state, self.told);
        self.state = on_disk;
        let before = self.writer.clock.now();
        // The old file must be closed before it can be opened again.
        self.writer.disk.close().unwrap();
        self.full = false;
        self.writer = writer(&self.config);
        assert!(self.writer.clock.now() > before, "hub time went back");
        self.commits = self.writer.commits;
        self.new_session();
    }

    /// What waits is what the disk holds and the next commit brings, no more and no less.
    fn check_waiting(&self) {
        let waiting = self.writer.queue.waiting;
        let on_disk = on_disk(&self.writer);
        let new = self.writer.queue.changes.rows.len() as u64;
        assert!(!self.writer.drained || on_disk.rows == 0, "the disk is believed to be empty");
        let gone = self.writer.queue.changes.gone.len() as u64;
        assert_eq!(waiting.rows, on_disk.rows + new - gone);
        if new == 0 && gone == 0 {
            assert_eq!(waiting, on_disk);
        }
        let streams = self.writer.queue.streams.values();
        assert_eq!(waiting.rows, streams.map(|stream| stream.waiting.rows).sum::<u64>());
    }

    /// The disk works, the link is up, everything goes out: the core must know all that was durable, and nothing else.
    fn finish(&mut self) {
        self.writer.disk.limit_growth(None);
        self.writer.queue.release_undated();
        settle(&mut self.writer, &mut self.core);
        assert_eq!(on_disk(&self.writer).rows, 0, "everything was delivered");
        for ((run, stream), truth) in &self.truth {
            let account = self.core.account(*run, stream);
            let told = account.told;
            assert_eq!(
                (told.seq, told.read, told.filtered, told.refused),
                (truth.messages.len() as u64, truth.read, truth.filtered, truth.refused),
                "{run} {stream}"
            );
            for (seq, values) in &account.received {
                let index = usize::try_from(*seq).unwrap() - 1;
                assert_eq!(values, &truth.messages[index], "{run} {stream} {seq}");
            }
        }
    }
}

fn tally() -> Name {
    Name::new("tally").unwrap()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().unwrap())
}

/// The greatest value that has arrived on a stream of any run.
fn newest_of(core: &Core, stream: &str) -> u64 {
    let accounts = core.accounts.iter().filter(|((_, of), _)| of == stream);
    accounts.flat_map(|(_, account)| account.received.values().flatten()).copied().max().unwrap_or(0)
}

fn on_disk(writer: &Writer) -> Waiting {
    let mut sum = Waiting::default();
    writer.disk.count().unwrap().values().for_each(|waiting| sum.add(*waiting));
    sum
}

fn config_proptest() -> ProptestConfig {
    // Each step syncs the disk; more cases by hand with PROPTEST_CASES.
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(48);
    ProptestConfig { cases, max_shrink_iters: 400, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config_proptest())]

    #[test]
    fn ledger_closes_after_any_life(
        steps in prop::collection::vec(step(), 1..80),
        limit_bytes in prop_oneof![Just(1 << 20), 3_000..12_000_u64],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(Config { limit_bytes, ..config(folder.path()) });
        for step in &steps {
            world.step(step);
            world.check_waiting();
        }
        world.finish();
    }
}
