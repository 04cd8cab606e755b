//! A hub that exists in memory, for the tests of the book and the ledger: it reads, filters, drops, evicts, dies and
//! starts again, tells all that by the rules of the wire, and knows the truth.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use curb_model::{GapReason, HubTime, RunId, Stream, UtcOffset};
use curb_wire::record::{
    ClockEvent, ClockRecord, Document as _, Gap, GapRecord, Identity, Previous, RunEvent, RunRecord, StreamCounts,
    VERSION,
};

pub(crate) const SITE: &str = "port-credit";

/// A publish that the hub wants to make.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) readings: u64,
    /// Taken out of the queue and told of in a gap record.
    pub(crate) evicted: bool,
    /// In memory only when the hub was cut off: it has arrived, or never will.
    pub(crate) cut_off: bool,
    pub(crate) run: RunId,
    pub(crate) stream: String,
    /// The stream's counters up to and with this message.
    pub(crate) counts: StreamCounts,
}

/// What the hub has done with readings, as it alone knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Truth {
    pub(crate) read: u64,
    pub(crate) filtered: u64,
    pub(crate) refused: u64,
    /// Dropped before they had a number.
    pub(crate) overload: u64,
    /// Gone without a trace: no hub should, and the ledger must show it.
    pub(crate) vanished: u64,
}

#[derive(Debug)]
pub(crate) struct SimHub {
    pub(crate) name: String,
    pub(crate) run: RunId,
    pub(crate) sent: Vec<Sent>,
    pub(crate) truth: Truth,
    streams: BTreeMap<String, StreamCounts>,
    /// The counters as they stand on the disk. Readings are sent before they are there, records after.
    durable: BTreeMap<String, StreamCounts>,
    /// The last durable counters of each run that is over.
    pub(crate) over: Vec<(RunId, BTreeMap<String, StreamCounts>)>,
    /// By run and stream: what could still be evicted, as places in `sent`, oldest first.
    queues: BTreeMap<(RunId, String), Vec<(u64, usize)>>,
}

impl SimHub {
    pub(crate) fn new(name: &str) -> Self {
        let run = RunId { counter: 1, nonce: 0xabc };
        let mut hub = Self {
            name: name.to_owned(),
            run,
            sent: Vec::new(),
            truth: Truth::default(),
            streams: BTreeMap::new(),
            durable: BTreeMap::new(),
            over: Vec::new(),
            queues: BTreeMap::new(),
        };
        hub.run_record(RunEvent::Opened, None);
        hub
    }

    /// Reads `counts`; the rest of the arguments say what became of it. What is left over is sent as one message.
    pub(crate) fn read(&mut self, stream: &str, passed: u64, filtered: u64, refused: u64) {
        let counts = self.streams.entry(stream.to_owned()).or_default();
        counts.read += passed + filtered + refused;
        counts.filtered += filtered;
        counts.refused += refused;
        self.truth.read += passed + filtered + refused;
        self.truth.filtered += filtered;
        self.truth.refused += refused;
        if passed > 0 {
            counts.seq += 1;
            let counts = *counts;
            let payload = self.senml(stream, counts, passed);
            self.push(stream, counts, &format!("data/{stream}"), payload, passed);
            self.queues.entry((self.run, stream.to_owned())).or_default().push((counts.seq, self.sent.len() - 1));
        }
    }

    /// Reads that are dropped before they have a message number, with a gap record.
    pub(crate) fn overload(&mut self, stream: &str, count: u64) {
        self.streams.entry(stream.to_owned()).or_default().read += count;
        self.truth.read += count;
        self.truth.overload += count;
        self.gap(self.run, stream, GapReason::Overload, None, count);
    }

    /// A hub with a hole in it.
    pub(crate) fn vanish(&mut self, stream: &str, count: u64) {
        self.streams.entry(stream.to_owned()).or_default().read += count;
        self.truth.read += count;
        self.truth.vanished += count;
    }

    /// Takes the oldest messages of a queue out, whatever run it is of. They may have arrived all the same.
    pub(crate) fn evict(&mut self, which: usize, messages: usize) {
        let keys: Vec<_> = self.queues.keys().cloned().collect();
        let Some(key) = keys.get(which % keys.len().max(1)).cloned() else { return };
        let queue = self.queues.get_mut(&key).expect("the key is from this map");
        let gone: Vec<_> = queue.drain(..messages.min(queue.len())).collect();
        let (Some(first), Some(last)) = (gone.first(), gone.last()) else { return };
        let count = gone.iter().map(|(_, place)| self.sent[*place].readings).sum();
        let range = Some((first.0, last.0));
        gone.iter().for_each(|(_, place)| self.sent[*place].evicted = true);
        self.gap(key.0, &key.1, GapReason::Full, range, count);
    }

    /// Writes what is in memory to the disk.
    pub(crate) fn commit(&mut self) {
        self.durable.clone_from(&self.streams);
    }

    /// The counters of every run that are on the disk, or were when it ended.
    pub(crate) fn told(&self) -> impl Iterator<Item = (RunId, &BTreeMap<String, StreamCounts>)> {
        self.over.iter().map(|(run, counts)| (*run, counts)).chain([(self.run, &self.durable)])
    }

    pub(crate) fn tell_counts(&mut self) {
        self.run_record(RunEvent::Counts, None);
    }

    pub(crate) fn close(&mut self) {
        self.run_record(RunEvent::Closed, None);
    }

    /// A new run, after a clean end or a power cut.
    pub(crate) fn restart(&mut self, clean: bool) {
        if clean {
            self.close();
        }
        let durable = std::mem::take(&mut self.durable);
        let on_disk = |stream: &str| durable.get(stream).map_or(0, |counts| counts.seq);
        for sent in self.sent.iter_mut().filter(|sent| sent.run == self.run && sent.counts.seq > on_disk(&sent.stream))
        {
            sent.cut_off = true;
        }
        for ((run, stream), queue) in &mut self.queues {
            queue.retain(|(seq, _)| *run != self.run || *seq <= on_disk(stream));
        }
        self.over.push((self.run, durable.clone()));
        let previous = Previous { run: self.run, clean, streams: durable };
        self.streams.clear();
        self.run = RunId { counter: self.run.counter + 1, nonce: self.run.nonce.wrapping_mul(31) };
        self.run_record(RunEvent::Opened, Some(previous));
    }

    pub(crate) fn clock(&mut self, event: ClockEvent, ht: i64, offset: Option<i64>) {
        let id = self.identity("_clock");
        let record = ClockRecord {
            v: VERSION,
            id,
            event,
            ht: HubTime::from_nanos(ht),
            offset: offset.map(UtcOffset::from_nanos),
            trust: "ntp".to_owned(),
        };
        self.push_record("_clock", "clock", record.encode());
    }

    /// A message of one reading from before the clock was trusted.
    pub(crate) fn read_undated(&mut self, stream: &str, ht: i64) {
        let counts = self.streams.entry(stream.to_owned()).or_default();
        counts.read += 1;
        counts.seq += 1;
        self.truth.read += 1;
        let counts = *counts;
        let (hub, run, StreamCounts { seq, read, .. }) = (&self.name, self.run, counts);
        let payload = format!(
            r#"[{{"bn":"{stream}/","hub":"{hub}","run":"{run}","stream":"{stream}","seq":{seq},"read":{read},"filtered":0,"refused":0,"n":"p","u":"V","ht":"{ht}","v":1}}]"#
        );
        self.push(stream, counts, &format!("data/{stream}"), payload.into_bytes(), 1);
    }

    fn gap(&mut self, run: RunId, stream: &str, reason: GapReason, range: Option<(u64, u64)>, count: u64) {
        let id = self.identity("_gap");
        let (from, to) = range.unzip();
        let at = HubTime::from_nanos(7);
        let gap = Gap { run, stream: stream.to_owned(), reason, from, to, from_ht: at, to_ht: at, count };
        self.push_record("_gap", "gap", GapRecord { v: VERSION, id, gap }.encode());
    }

    fn run_record(&mut self, event: RunEvent, previous: Option<Previous>) {
        let id = self.identity("_run");
        let streams = if event == RunEvent::Opened { BTreeMap::new() } else { self.streams.clone() };
        let ht = HubTime::from_nanos(5);
        let record = RunRecord { v: VERSION, id, event, ht, version: "0".to_owned(), previous, streams };
        self.push_record("_run", "run", record.encode());
    }

    fn identity(&mut self, stream: &str) -> Identity {
        let counts = self.streams.entry(stream.to_owned()).or_default();
        counts.seq += 1;
        Identity { hub: self.name.clone(), run: self.run, stream: stream.to_owned(), seq: counts.seq }
    }

    fn senml(&self, stream: &str, counts: StreamCounts, readings: u64) -> Vec<u8> {
        let (hub, run, StreamCounts { seq, read, filtered, refused }) = (&self.name, self.run, counts);
        let owner = Stream::parse(stream).unwrap().owner().to_owned();
        let mut text = format!(
            r#"[{{"bn":"{owner}/","bt":1795555555.5,"hub":"{hub}","run":"{run}","stream":"{stream}","seq":{seq},"read":{read},"filtered":{filtered},"refused":{refused},"n":"p","u":"V","v":{seq}}}"#
        );
        for n in 1..readings {
            write!(text, r#",{{"n":"p","u":"V","t":0.0{n:02},"v":{seq}}}"#).unwrap();
        }
        text.push(']');
        text.into_bytes()
    }

    fn push_record(&mut self, stream: &str, lane: &str, payload: Vec<u8>) {
        self.commit();
        let counts = self.streams[stream];
        self.push(stream, counts, lane, payload, 0);
    }

    fn push(&mut self, stream: &str, counts: StreamCounts, lane: &str, payload: Vec<u8>, readings: u64) {
        let topic = format!("curb/v1/{SITE}/{}/{lane}", self.name);
        let (run, stream) = (self.run, stream.to_owned());
        self.sent.push(Sent { topic, payload, readings, evicted: false, cut_off: false, run, stream, counts });
    }
}
