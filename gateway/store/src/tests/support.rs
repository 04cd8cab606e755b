//! Batches to append, and a small core that judges what arrives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use curb_model::{
    Batch, Class, HubClock, HubTime, Lane, Message, Name, Point, PointName, Reading, RowId, RunId, Sample, Stream,
    UtcOffset, Value, ValueType,
};
use curb_wire::record::{Document as _, Gap, GapRecord, RunRecord, StreamCounts};
use curb_wire::senml;

use crate::writer::{Request, Writer};
use crate::{Config, Store};

pub(super) const OFFSET: UtcOffset = UtcOffset::from_nanos(1_795_555_555_000_000_000);

pub(super) fn config(dir: &Path) -> Config {
    Config::new(dir, Name::new("lamp-0042").unwrap())
}

pub(super) fn stream(name: &str) -> Stream {
    Stream::parse(name).unwrap()
}

/// A dated batch of `stream` with these values, read at `clock`'s now.
pub(super) fn batch(name: &str, clock: &HubClock, values: impl IntoIterator<Item = u64>) -> Batch {
    let point = Arc::new(Point {
        name: PointName::parse(&format!("{}/count", stream(name).owner())).unwrap(),
        stream: stream(name),
        class: Class::Data,
        unit: None,
        value_type: ValueType::U32,
        range: None,
    });
    let at = clock.now();
    let reading = |value| Reading { point: Arc::clone(&point), at, sample: Sample::Good(Value::U64(value)) };
    let readings = values.into_iter().map(reading).collect();
    Batch::read(stream(name), Class::Data, Some(OFFSET), readings)
}

/// The writer without its thread, and with its run begun.
pub(super) fn writer(config: &Config) -> Writer {
    let opened = Store::open(config.clone()).unwrap();
    let previous = opened.previous.clone();
    let clock = HubClock::starting_at(opened.hub_time);
    let (mut writer, _) = opened.into_writer(clock);
    writer.begin(previous);
    writer
}

pub(super) fn append(writer: &mut Writer, batch: &Batch) {
    writer.queue.append(batch, writer.clock.now());
    writer.commit();
}

pub(super) fn deliver(writer: &mut Writer, messages: &[Message]) {
    writer.answer(Request::Delivered(messages.iter().map(|message| message.row).collect()));
}

/// Gives everything that waits to `core`.
pub(super) fn drain(writer: &mut Writer, core: &mut Core) {
    for class in [Class::Alarm, Class::Data] {
        drain_of(class, writer, core);
    }
    writer.commit();
}

/// Ends the run; its last record is durable.
pub(super) fn end_run(writer: &mut Writer) {
    writer.queue.close(writer.clock.now());
    writer.commit();
}

/// Ends the run and gives everything to `core`, whose ledger closes then.
#[track_caller]
pub(super) fn settle(writer: &mut Writer, core: &mut Core) {
    end_run(writer);
    drain(writer, core);
    core.check_closes();
}

fn drain_of(class: Class, writer: &mut Writer, core: &mut Core) {
    let mut after: Option<RowId> = None;
    loop {
        let commits = writer.commits;
        let messages = match writer.next(class, after, 7, 10_000) {
            Ok(page) => page.messages,
            Err(error) => {
                writer.failed(&error);
                writer.commit();
                continue;
            }
        };
        // What was taken out instead of handed out is committed at once: as the uplink, look again.
        let Some(last) = messages.last() else {
            if writer.commits == commits {
                break;
            }
            continue;
        };
        after = Some(last.row);
        messages.iter().for_each(|message| core.accept(message));
        deliver(writer, &messages);
    }
}

/// What a core knows of one run and stream.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Values of each message that arrived, by number.
    pub(super) received: BTreeMap<u64, Vec<u64>>,
    pub(super) told: StreamCounts,
    pub(super) gaps: Vec<Gap>,
}

/// A reference core: removes duplicates, keeps counters and gaps.
#[derive(Debug, Default)]
pub(super) struct Core {
    pub(super) accounts: BTreeMap<(RunId, String), Account>,
    pub(super) run_records: Vec<RunRecord>,
    pub(super) duplicates: u64,
}

impl Core {
    pub(super) fn accept(&mut self, message: &Message) {
        let key = (message.run, message.stream.to_string());
        let account = self.accounts.entry(key).or_default();
        if account.received.contains_key(&message.seq) {
            self.duplicates += 1;
            return;
        }
        let newest = account.received.last_key_value().map_or(0, |(seq, _)| *seq);
        let in_order = message.seq > newest || message.is_released();
        assert!(in_order, "{} {} came after {newest}", message.stream, message.seq);
        let tell = |told: &mut StreamCounts, counts: StreamCounts| {
            told.seq = told.seq.max(counts.seq);
            told.read = told.read.max(counts.read);
            told.filtered = told.filtered.max(counts.filtered);
            told.refused = told.refused.max(counts.refused);
        };
        let seq = message.seq;
        let mut values = Vec::new();
        match message.lane {
            Lane::Data | Lane::Alarm => {
                let pack = senml::decode(&message.payload).unwrap();
                let senml::Header { run, stream, read, filtered, refused, .. } = pack.header;
                assert_eq!((run, &stream, pack.header.seq), (message.run, &message.stream, seq));
                let value = |record: &senml::Record| {
                    let Sample::Good(Value::U64(value)) = record.sample else { panic!("unexpected {record:?}") };
                    value
                };
                values = pack.records.iter().map(value).collect();
                assert!(message.is_released() || values.len() == message.readings as usize);
                tell(&mut account.told, StreamCounts { seq, read, filtered, refused });
            }
            Lane::Run | Lane::Gap | Lane::Clock | Lane::Audit => account.told.seq = account.told.seq.max(seq),
        }
        account.received.insert(seq, values);
        if message.lane == Lane::Gap {
            let record = GapRecord::decode(&message.payload).unwrap();
            assert_eq!((record.id.run, record.id.seq), (message.run, seq));
            self.account(record.gap.run, &record.gap.stream).gaps.push(record.gap);
        } else if message.lane == Lane::Run {
            let record = RunRecord::decode(&message.payload).unwrap();
            assert_eq!((record.id.run, record.id.seq), (message.run, seq));
            for (name, counts) in &record.streams {
                tell(&mut self.account(message.run, name).told, *counts);
            }
            if let Some(previous) = &record.previous {
                for (name, counts) in &previous.streams {
                    tell(&mut self.account(previous.run, name).told, *counts);
                }
            }
            self.run_records.push(record);
        }
    }

    pub(super) fn account(&mut self, run: RunId, stream: &str) -> &mut Account {
        self.accounts.entry((run, stream.to_owned())).or_default()
    }

    /// Whether every reading that was told of is here, filtered, refused or in a gap, and every number as well.
    #[track_caller]
    pub(super) fn check_closes(&self) {
        for ((run, stream), account) in &self.accounts {
            let case = format!("{run} {stream}: {account:?}");
            let StreamCounts { seq, read, filtered, refused } = account.told;
            assert_eq!(read, account.delivered() + filtered + refused + account.lost(), "{case}");
            assert!((1..=seq).all(|seq| account.covers(seq)), "a message is missing: {case}");
        }
    }

    pub(super) fn delivered(&self) -> u64 {
        self.accounts.values().map(Account::delivered).sum()
    }

    pub(super) fn lost(&self) -> u64 {
        self.accounts.values().map(Account::lost).sum()
    }
}

impl Account {
    pub(super) fn delivered(&self) -> u64 {
        self.received.values().map(|values| values.len() as u64).sum()
    }

    /// Whether this number is held, or in a gap.
    pub(super) fn covers(&self, seq: u64) -> bool {
        self.received.contains_key(&seq) || self.gaps.iter().any(|gap| range(gap).contains(&seq))
    }

    /// Data beats a gap. Whether a gap's count has in it what arrived all the same, the hub could not know; the counters say
    /// it, between no message that arrived and all of them.
    pub(super) fn lost(&self) -> u64 {
        let least = |gap: &Gap| {
            let arrived = self.received.iter().filter(|(seq, _)| range(gap).contains(seq));
            gap.count.saturating_sub(arrived.map(|(_, values)| values.len() as u64).sum::<u64>())
        };
        let least: u64 = self.gaps.iter().map(least).sum();
        let most: u64 = self.gaps.iter().map(|gap| gap.count).sum();
        let StreamCounts { read, filtered, refused, .. } = self.told;
        read.saturating_sub(self.delivered() + filtered + refused).clamp(least, most)
    }
}

fn range(gap: &Gap) -> std::ops::RangeInclusive<u64> {
    // Without numbers: an empty range.
    gap.from.unwrap_or(1)..=gap.to.unwrap_or(0)
}

/// Hub time at `seconds`.
pub(super) fn at(seconds: i64) -> HubTime {
    HubTime::from_nanos(seconds * 1_000_000_000)
}

/// A folder that is quick to sync, where there is one.
pub(super) fn memory() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}
